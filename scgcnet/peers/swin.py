"""Swin Transformer under UPerNet (Liu et al., ICCV 2021).

Liu, Lin, Cao, Hu, Wei, Zhang, Lin, Guo: "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows",
doi:10.1109/ICCV48922.2021.00986. Patches of 4x4 pixels are tokens; self-attention works within windows of 7x7 tokens,
which every second block shifts by half a window so that neighbours exchange what they know (its Sec. 3.2); between
stages, 2x2 tokens are merged into one (Sec. 3.1). The backbone is timm's, the head `upernet`.

timm's network is made for one size of image: there it shrinks a window to a map that is smaller, and keeps the masks of
shifted windows. Here it takes any size. The window stays what it is, a map that it does not divide is padded by zeros
at the bottom and right, and the masks are made for each image. timm pads after the shift, the authors' code for
segmentation before it: at sizes that the windows divide, as those of `tiny` on 128 pixels, both are the same. At
others, opposite borders of the image see each other in shifted windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from scgcnet.peers.base import run_stages
from scgcnet.peers.upernet import UPerNet, UPerNetConfig


@dataclass(frozen=True)
class SwinConfig(UPerNetConfig):
    """Swin-B under UPerNet, trained as for ADE20K; the paper's Sec. 3.3 has the sizes."""

    depths: tuple[int, ...] = (2, 2, 18, 2)
    heads: tuple[int, ...] = (4, 8, 16, 32)  # of attention in each stage; they share its channels
    window: int = 7  # side of a window, in tokens
    drop_path: float = 0.3

    name: ClassVar[str] = "swin"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(width % heads for width, heads in zip(self.widths, self.heads, strict=True)):
            raise ValueError(f"heads={self.heads}: each stage needs a divisor of its channels, {self.widths}")


PRESETS: dict[str, dict[str, Any]] = {
    # Maps of a 128-pixel image have 32 to 4 tokens a side: windows of 4 divide them all.
    "tiny": {
        "width": 24,
        "depths": (2, 2, 2, 2),
        "heads": (1, 2, 4, 8),
        "window": 4,
        "drop_path": 0.0,
        "decoder_width": 20,
        "auxiliary_width": 32,
    },
    "t": {"width": 96, "depths": (2, 2, 6, 2), "heads": (3, 6, 12, 24)},
    "paper": {},
}


class Encoder(nn.Module):
    """Images (B, in_channels, H, W), sides divisible by 4, to maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        net = SwinTransformer(
            in_chans=config.in_channels,
            num_classes=0,
            embed_dim=config.width,
            depths=config.depths,
            num_heads=config.heads,
            window_size=config.window,
            drop_path_rate=config.drop_path,
            always_partition=True,  # the window never shrinks to the map
            strict_img_size=False,  # masks are made for each image
        )
        self.patches = net.patch_embed
        self.stages = net.layers

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = run_stages(self.patches(images), self.stages)  # each (B, H, W, C)
        return [x.permute(0, 3, 1, 2) for x in maps]


class SwinUPerNet(UPerNet):
    """The backbone under UPerNet."""

    Config = SwinConfig
    Encoder = Encoder
