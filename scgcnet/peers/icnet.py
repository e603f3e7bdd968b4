"""ICNet: the deep network sees a small image, shallow ones see the large image and mend the edges.

Zhao, Qi, Shen, Shi, Jia, "ICNet for Real-Time Semantic Segmentation on High-Resolution Images", ECCV 2018. Three
branches read the image at full, half and quarter resolution; cascade feature fusion joins the lowest to the middle one
and both to the highest. Widths and heads are mmsegmentation's `icnet_r50-d8`: ResNet-50 with all of its
channels, where the paper prunes half of them after training, and the pyramid's maps side by side instead of summed.

    branch       reads                        through                                  stride of its map
    high         the image                    three strided 3x3                        8
    middle       half of it                   stem and stages 1, 2 of the ResNet       16
    low          the middle map, halved       stages 3, 4, dilated; pyramid pooling    32
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, fcn_head, resize
from scgcnet.peers.pspnet import PyramidPooling
from scgcnet.peers.resnet import ResNetConfig, ResNetTrunk

AUXILIARY_WEIGHT = 0.4  # of either lower branch, as in mmsegmentation

#: What differs from the defaults; the defaults are mmsegmentation's `icnet_r50-d8`.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "depths": (1, 2, 2, 2),
        "widths": (32, 64, 80, 80),
        "light_widths": (24, 32, 64),
        "pyramid_width": 64,
        "branch_width": 64,
        "fusion_width": 64,
    },
    "paper": {},
}


@dataclass(frozen=True)
class ICNetConfig(ResNetConfig):
    """Everything that determines an ICNet."""

    name: ClassVar[str] = "icnet"

    light_widths: tuple[int, int, int] = (32, 32, 64)  # channels of the high branch's convolutions
    pyramid_width: int = 512  # channels of each pooled map, and of what is made of them
    branch_width: int = 256  # channels of the middle and of the low branch's map
    fusion_width: int = 128  # channels after each fusion, and of the heads


class CascadeFeatureFusion(nn.Module):
    """Joins a map to one of twice its resolution (Sec. 3.3, Fig. 3)."""

    def __init__(self, low_channels: int, high_channels: int, width: int) -> None:
        super().__init__()
        # Dilated: the coarse map has been enlarged, and a 3x3 at rate 2 sees what an undilated 5x5 sees.
        self.low = conv_bn(low_channels, width, 3, dilation=2)
        self.high = conv_bn(high_channels, width, 1)

    def forward(self, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, low_channels, h, w) and (B, high_channels, 2h, 2w) to two of (B, width, 2h, 2w).

        Returns:
            The joined map, and the coarse one's share of it, on which label guidance is given.
        """
        height, width = high.shape[2:]
        low = self.low(resize(low, (height, width)))
        return F.relu(low + self.high(high)), low


class ICNet(Peer):
    """Images (B, in_channels, H, W) to logits (B, num_classes, H, W).

    Sides are padded to multiples of 32: the halved image must halve once more at stride 16.
    """

    Config = ICNetConfig

    def __init__(self, config: ICNetConfig) -> None:
        super().__init__(config)
        first, second, third = config.light_widths
        self.light = nn.Sequential(
            conv_bn(config.in_channels, first, 3, nn.ReLU, stride=2),
            conv_bn(first, second, 3, nn.ReLU, stride=2),
            conv_bn(second, third, 3, nn.ReLU, stride=2),
        )
        self.trunk = ResNetTrunk(config.in_channels, config.depths, config.widths, output_stride=8)
        self.middle = conv_bn(self.trunk.out_channels[1], config.branch_width, 1, nn.ReLU)
        self.pyramid = PyramidPooling(self.trunk.out_channels[3], config.pyramid_width)
        self.low = nn.Sequential(
            conv_bn(self.pyramid.out_channels, config.pyramid_width, 3, nn.ReLU),
            conv_bn(config.pyramid_width, config.branch_width, 1, nn.ReLU),
        )
        width = config.fusion_width
        self.fuse_low = CascadeFeatureFusion(config.branch_width, config.branch_width, width)
        self.fuse_high = CascadeFeatureFusion(width, third, width)
        self.head = fcn_head(width, width, config.num_classes, dropout=0.0)
        self.aux = nn.ModuleList(fcn_head(width, width, config.num_classes) for _ in range(2))

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at stride 8; in training also those of the low branch and of the lower two, at strides 16 and 8."""
        # Sec. 3.2, Fig. 2. Bilinear interpolation to half the resolution is the mean of 2x2. The authors' code starts
        # the low branch after the first block of stage 2, mmsegmentation's after the last.
        high = self.light(images)  # (B, light_widths[2], H/8, W/8)
        stem, (stage1, stage2, stage3, stage4) = self.trunk.stem, self.trunk.stages
        x = stage2(stage1(stem(F.avg_pool2d(images, 2))))  # (B, 4 widths[1], H/16, W/16)
        low = self.low(self.pyramid(stage4(stage3(F.avg_pool2d(x, 2)))))  # (B, branch_width, H/32, W/32)
        joined, low_share = self.fuse_low(low, self.middle(x))  # (B, fusion_width, H/16, W/16), twice
        joined, middle_share = self.fuse_high(joined, high)  # (B, fusion_width, H/8, W/8), twice
        if not self.training:
            return self.head(joined), []
        shares = zip(self.aux, (low_share, middle_share), strict=True)  # cascade label guidance, Sec. 3.4
        return self.head(joined), [Auxiliary(head(share), AUXILIARY_WEIGHT) for head, share in shares]
