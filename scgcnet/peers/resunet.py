"""ResUNet (Zhang, Liu & Wang, IEEE GRSL 2018): a U-Net of pre-activation residual units, without pooling.

Paper: "Road Extraction by Deep Residual U-Net", Fig. 2 and Table I: three levels down, a bridge, three levels up, each
one unit of two 3x3 convolutions. Written from the paper, which leaves two things open.

- Shortcuts. Eq. 1 and Fig. 1b say identity, yet every unit changes the number of channels. The 15 convolutions of
  Table I have 7.78 M weights and the paper counts 7.8 M, so its shortcuts have none; 1x1 projections, which most
  reimplementations add, would make 8.2 M. Ours are the parameter-free ones of He et al. (2016a, option A): every
  second row and column at stride 2, missing channels zero, surplus ones left out. In the decoder the encoder's map
  comes first in the concatenation and is as wide as the unit's output: there the shortcut is that map.
- Enlargement. The figure says "up sampling"; ours repeats every value, which needs no weights either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.peers.base import Auxiliary, Peer, PeerConfig, init_by_inputs

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"widths": [5, 11, 22, 44]},
    "paper": {},
}


@dataclass(frozen=True)
class ResUNetConfig(PeerConfig):
    """What determines a ResUNet."""

    name: ClassVar[str] = "resunet"

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)  # channels at strides 1, 2, 4 and, in the bridge, 8


class ResUNet(Peer):
    """The seven levels of Table I, top to bottom."""

    stride: ClassVar[int] = 8
    Config = ResUNetConfig

    def __init__(self, config: ResUNetConfig) -> None:
        super().__init__(config)
        w1, w2, w3, w4 = config.widths
        self.encoder = nn.ModuleList(
            [
                ResidualUnit(config.in_channels, w1, preactivate=False),  # level 1
                ResidualUnit(w1, w2, stride=2),  # level 2
                ResidualUnit(w2, w3, stride=2),  # level 3
            ]
        )
        self.bridge = ResidualUnit(w3, w4, stride=2)  # level 4
        self.decoder = nn.ModuleList(
            [
                ResidualUnit(w3 + w4, w3),  # level 5
                ResidualUnit(w2 + w3, w2),  # level 6
                ResidualUnit(w1 + w2, w1),  # level 7
            ]
        )
        self.head = nn.Conv2d(w1, config.num_classes, 1)
        init_by_inputs(self)  # the paper names no initialisation

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at the images' resolution; it has no auxiliary head."""
        x, maps = images, []
        for unit in self.encoder:
            x = unit(x)
            maps.append(x)
        x = self.bridge(x)  # (B, w4, H/8, W/8)
        for unit in self.decoder:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = unit(torch.cat([maps.pop(), x], 1))
        return self.head(x), []


class ResidualUnit(nn.Module):
    """Fig. 1b: BN ReLU 3x3 twice, plus the input; (B, Cin, H, W) to (B, Cout, H/stride, W/stride).

    The network's first unit has nothing before its first convolution (Fig. 2): its input is the image.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1, preactivate: bool = True) -> None:
        super().__init__()
        self.out_channels, self.stride = out_channels, stride
        self.before = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU()) if preactivate else nn.Identity()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Eq. 1: F(x) + h(x)."""
        residual: Tensor = self.body(self.before(x))
        return residual + identity(x, self.out_channels, self.stride)


def identity(x: Tensor, channels: int, stride: int) -> Tensor:
    """The shortcut without weights: (B, C, H, W) to (B, channels, H/stride, W/stride)."""
    x = x[:, :channels, ::stride, ::stride]
    return F.pad(x, (0, 0, 0, 0, 0, channels - x.shape[1]))
