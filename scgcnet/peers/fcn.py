"""FCN: a classification network made to answer for every pixel.

Long, Shelhamer, Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015. This is the form in
which the field uses it today, torchvision's `fcn_resnet50`: in place of the paper's VGG-16 with skips from two pools, a
ResNet whose last two stages are dilated instead of strided, so that the map that the classifier reads is fine already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from scgcnet.peers.base import Auxiliary, Peer, fcn_head
from scgcnet.peers.resnet import ResNetConfig, ResNetTrunk

AUXILIARY_WEIGHT = 0.5  # torchvision's references/segmentation/train.py

#: What differs from the defaults; the defaults are torchvision's `fcn_resnet50`. The 7x7 stem of timm always has 64
#: channels, which alone would cost half of what `tiny` may cost: it takes the stem of three 3x3.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"depths": (1, 1, 2, 2), "widths": (16, 32, 48, 40), "deep_stem": True},
    "paper": {},
}


@dataclass(frozen=True)
class FCNConfig(ResNetConfig):
    """Everything that determines an FCN."""

    name: ClassVar[str] = "fcn"

    deep_stem: bool = False  # three 3x3 convolutions instead of one 7x7


class FCN(Peer):
    """Images (B, in_channels, H, W) to logits (B, num_classes, H, W)."""

    stride: ClassVar[int] = 8
    Config = FCNConfig

    def __init__(self, config: FCNConfig) -> None:
        super().__init__(config)
        self.trunk = ResNetTrunk(config.in_channels, config.depths, config.widths, 8, config.deep_stem)
        *_, third, fourth = self.trunk.out_channels
        # Sec. 3.1: a classifier that is a convolution; a 3x3 to a quarter of the channels precedes it in torchvision.
        self.head = fcn_head(fourth, fourth // 4, config.num_classes)
        self.aux = nn.ModuleList([fcn_head(third, third // 4, config.num_classes)])

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at stride 8 from the fourth stage's map; in training also from the third's."""
        *_, third, fourth = self.trunk(images)  # (B, 4 widths[2], H/8, W/8), (B, 4 widths[3], H/8, W/8)
        auxiliary = [Auxiliary(head(third), AUXILIARY_WEIGHT) for head in self.aux] if self.training else []
        return self.head(fourth), auxiliary
