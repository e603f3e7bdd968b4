"""PSPNet: what a pixel is depends on the scene around it, seen at four scales.

Zhao, Shi, Qi, Wang, Jia, "Pyramid Scene Parsing Network", CVPR 2017. The deepest map of a dilated ResNet is averaged
over the whole image and over grids of 2x2, 3x3 and 6x6 cells; the averages are laid back under the map, and one
convolution reads them together. Widths and the ResNet's stem are mmsegmentation's `pspnet_r50-d8`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, fcn_head, resize
from scgcnet.peers.resnet import ResNetConfig, ResNetTrunk

BINS = (1, 2, 3, 6)  # cells along a side of each pooled map (Sec. 3.2)
AUXILIARY_WEIGHT = 0.4  # Sec. 5.2, the best of those tried
DROPOUT = 0.1  # mmsegmentation

#: What differs from the defaults; the defaults are the paper's network on ResNet-50.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"depths": (1, 1, 2, 2), "widths": (16, 32, 32, 40), "head_width": 40, "auxiliary_width": 32},
    "paper": {},
}


@dataclass(frozen=True)
class PSPNetConfig(ResNetConfig):
    """Everything that determines a PSPNet."""

    name: ClassVar[str] = "pspnet"

    head_width: int = 512  # channels of each pooled map (the paper: a quarter of the deepest map's), and after fusion
    auxiliary_width: int = 256  # channels of the auxiliary head


class PyramidPooling(nn.Module):
    """The pyramid pooling module (Sec. 3.2, Fig. 3c): maps (B, C, h, w) to (B, C + 4 width, h, w).

    A map smaller than a grid still gives it: cells then overlap.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(bins), conv_bn(in_channels, width, 1, nn.ReLU)) for bins in BINS
        )
        self.out_channels = in_channels + len(BINS) * width

    def forward(self, x: Tensor) -> Tensor:
        """The map itself, then its averages from the coarsest to the finest, each enlarged to the map's size."""
        height, width = x.shape[2:]
        return torch.cat([x, *(resize(level(x), (height, width)) for level in self.levels)], dim=1)


class PSPNet(Peer):
    """Images (B, in_channels, H, W) to logits (B, num_classes, H, W)."""

    stride: ClassVar[int] = 8
    Config = PSPNetConfig

    def __init__(self, config: PSPNetConfig) -> None:
        super().__init__(config)
        self.trunk = ResNetTrunk(config.in_channels, config.depths, config.widths, 8)  # Sec. 3.3
        *_, third, fourth = self.trunk.out_channels
        self.pyramid = PyramidPooling(fourth, config.head_width)
        self.head = fcn_head(self.pyramid.out_channels, config.head_width, config.num_classes, DROPOUT)
        self.aux = nn.ModuleList([fcn_head(third, config.auxiliary_width, config.num_classes, DROPOUT)])

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at stride 8; in training also those of the third stage's map, the deep supervision of Sec. 4."""
        *_, third, fourth = self.trunk(images)  # (B, 4 widths[2], H/8, W/8), (B, 4 widths[3], H/8, W/8)
        auxiliary = [Auxiliary(head(third), AUXILIARY_WEIGHT) for head in self.aux] if self.training else []
        return self.head(self.pyramid(fourth)), auxiliary
