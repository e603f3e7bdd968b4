"""ConvNeXt under UPerNet (Liu et al., CVPR 2022).

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie: "A ConvNet for the 2020s", doi:10.1109/CVPR52688.2022.01167. A ResNet
redesigned step by step after Swin Transformer: a stem of 4x4 patches, then blocks of a 7x7 depthwise convolution,
LayerNorm, and two linear layers with GELU at four times the width (its Sec. 2 and Fig. 4). The backbone is timm's, the
head `upernet`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from timm.models.convnext import ConvNeXt
from torch import Tensor, nn

from scgcnet.peers.base import run_stages
from scgcnet.peers.upernet import UPerNet, UPerNetConfig


@dataclass(frozen=True)
class ConvNeXtConfig(UPerNetConfig):
    """ConvNeXt-B under UPerNet, trained as for ADE20K; the paper's Sec. 3 and Appendix A.3 have the sizes."""

    depths: tuple[int, ...] = (3, 3, 27, 3)
    drop_path: float = 0.4

    name: ClassVar[str] = "convnext"


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"width": 32, "depths": (1, 1, 2, 1), "drop_path": 0.0, "decoder_width": 24, "auxiliary_width": 32},
    "t": {"width": 96, "depths": (3, 3, 9, 3)},
    "paper": {},
}


class Encoder(nn.Module):
    """Images (B, in_channels, H, W), sides divisible by 32, to maps at strides 4, 8, 16 and 32."""

    def __init__(self, config: ConvNeXtConfig) -> None:
        super().__init__()
        net = ConvNeXt(
            in_chans=config.in_channels,
            num_classes=0,
            depths=config.depths,
            dims=config.widths,
            drop_path_rate=config.drop_path,
        )
        self.stem = net.stem
        self.stages = net.stages

    def forward(self, images: Tensor) -> list[Tensor]:
        return run_stages(self.stem(images), self.stages)


class ConvNeXtUPerNet(UPerNet):
    """The backbone under UPerNet."""

    Config = ConvNeXtConfig
    Encoder = Encoder
