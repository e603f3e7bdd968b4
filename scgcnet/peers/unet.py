"""U-Net (Ronneberger, Fischer & Brox, MICCAI 2015): an encoder, a decoder, and a copy of every level between them.

Paper: "U-Net: Convolutional Networks for Biomedical Image Segmentation", Fig. 1. Two 3x3 convolutions per level and
pooling between levels on the way down; on the way up the map is enlarged, joined to the encoder's map of that level
and convolved twice. Built as mmsegmentation's UNet-S5-D16, whose counts are published. It differs from the paper:

- convolutions are padded, so that nothing is cropped, and batch-normalised;
- the "up-convolution" is bilinear enlargement and a 1x1 convolution, not a transposed 2x2 convolution;
- before the classifier comes one more 3x3 convolution, and in training an auxiliary head reads the level at stride 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, PeerConfig, fcn_head, init_by_inputs

AUXILIARY_WEIGHT = 0.4  # mmsegmentation's fcn_unet_s5-d16

PRESETS: dict[str, dict[str, Any]] = {
    # With a head as narrow as full resolution, four channels would reach the classifiers: it then learns far slower.
    "tiny": {"widths": [4, 8, 24, 40, 64], "head_width": 16},
    "paper": {},
}


@dataclass(frozen=True)
class UNetConfig(PeerConfig):
    """What determines a U-Net."""

    name: ClassVar[str] = "unet"

    widths: tuple[int, int, int, int, int] = (64, 128, 256, 512, 1024)  # channels of the levels at strides 1 to 16
    head_width: int = 64  # channels that the classifiers read; in mmsegmentation as many as at stride 1


class UNet(Peer):
    """The network of Fig. 1, top to bottom."""

    stride: ClassVar[int] = 16
    Config = UNetConfig

    def __init__(self, config: UNetConfig) -> None:
        super().__init__(config)
        widths = config.widths
        self.down = nn.ModuleList(
            _double_conv(before, after) for before, after in zip((config.in_channels, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(Up(widths[level + 1], widths[level]) for level in (3, 2, 1, 0))
        self.head = fcn_head(widths[0], config.head_width, config.num_classes)
        self.aux = nn.ModuleList([fcn_head(widths[1], config.head_width, config.num_classes)])
        init_by_inputs(self)  # Sec. 3

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at the images' resolution; the auxiliary ones at half of it."""
        x = self.down[0](images)  # (B, C, H, W)
        maps = [x]
        for level in self.down[1:]:
            x = level(F.max_pool2d(x, 2))
            maps.append(x)
        decoded = [maps.pop()]  # the deepest, (B, 16 C, H/16, W/16)
        for level in self.up:
            decoded.append(level(decoded[-1], maps.pop()))
        logits = self.head(decoded[-1])
        if not self.training:
            return logits, []
        return logits, [Auxiliary(head(decoded[-2]), AUXILIARY_WEIGHT) for head in self.aux]


class Up(nn.Module):
    """One level of the expanding path: (B, Cin, H/2, W/2) and the encoder's (B, Cout, H, W) to (B, Cout, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.enlarge = conv_bn(in_channels, out_channels, 1, nn.ReLU)
        self.convs = _double_conv(2 * out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Enlarges `x`, joins it to `skip` and convolves both."""
        x = self.enlarge(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        merged: Tensor = self.convs(torch.cat([skip, x], 1))
        return merged


def _double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        conv_bn(in_channels, out_channels, 3, nn.ReLU), conv_bn(out_channels, out_channels, 3, nn.ReLU)
    )
