"""SegFormer: a pyramid of transformer stages without position codes, and a decoder of 1x1 layers only.

Xie, Wang, Yu, Anandkumar, Alvarez, Luo: SegFormer: Simple and Efficient Design for Semantic Segmentation with
Transformers, NeurIPS 2021. Every pixel attends to a coarser copy of its map (Sec. 3.1, efficient self-attention); a
depthwise 3x3 inside the feed-forward layers tells it where it is (Mix-FFN); four maps are brought to one width and
to stride 4, joined and classified (Sec. 3.2). The code is `SegformerForSemanticSegmentation` of Hugging Face's
transformers; only its start is the authors' here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from scgcnet.peers.base import Auxiliary, Peer, PeerConfig, init_by_outputs


@dataclass(frozen=True)
class SegFormerConfig(PeerConfig):
    """The defaults are SegFormer-B2 (Table 6)."""

    widths: tuple[int, int, int, int] = (64, 128, 320, 512)
    depths: tuple[int, int, int, int] = (3, 4, 6, 3)
    heads: tuple[int, int, int, int] = (1, 2, 5, 8)
    reductions: tuple[int, int, int, int] = (8, 4, 2, 1)  # how much coarser the map is that pixels attend to
    expansion: int = 4  # of the feed-forward layers
    drop_path: float = 0.1  # of the last block; grows linearly from 0 (stochastic depth)
    decoder_width: int = 768

    name: ClassVar[str] = "segformer"

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(width % heads for width, heads in zip(self.widths, self.heads, strict=True)):
            raise ValueError(f"heads={self.heads!r}: each must divide its stage's width, {self.widths!r}")
        for stage, (stride, reduction) in enumerate(zip((4, 8, 16, 32), self.reductions, strict=True)):
            if 32 // stride % reduction:
                raise ValueError(
                    f"reductions={self.reductions!r}: that of stage {stage + 1} must divide {32 // stride}, the side "
                    "of the smallest map"
                )


#: Table 6; tiny is B0 at half its widths.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"widths": (16, 32, 80, 128), "depths": (2, 2, 2, 2), "decoder_width": 96},
    "paper": {},
    "b0": {"widths": (32, 64, 160, 256), "depths": (2, 2, 2, 2), "decoder_width": 256},
}


class SegFormer(Peer):
    """The library's network; it has no auxiliary head."""

    config: SegFormerConfig
    Config = SegFormerConfig

    def __init__(self, config: SegFormerConfig) -> None:
        super().__init__(config)
        wiring = SegformerConfig(
            num_channels=config.in_channels,
            hidden_sizes=config.widths,
            depths=config.depths,
            num_attention_heads=config.heads,
            sr_ratios=config.reductions,
            mlp_ratios=(config.expansion,) * 4,
            drop_path_rate=config.drop_path,
            decoder_hidden_size=config.decoder_width,
        )
        wiring.num_labels = config.num_classes
        self.net = SegformerForSemanticSegmentation(wiring)
        # The library draws convolutions as it draws linear layers, from N(0, 0.02): a depthwise 3x3 would pass on a
        # twentieth of its input, which only pretrained weights mend.
        self.net.segformer.apply(init_by_outputs)
        init_by_outputs(self.net.decode_head.linear_fuse)  # the classifier keeps its small weights
        for module in self.net.decode_head.modules():
            if isinstance(module, nn.Linear):  # the four levels': the authors leave them torch's own start
                module.reset_parameters()

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        return self.net(pixel_values=images).logits, []  # at stride 4
