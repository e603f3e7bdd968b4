"""VMamba under UPerNet (Liu et al., NeurIPS 2024).

Liu, Tian, Zhao, Yu, Xie, Wang, Ye, Jiao, Liu: "VMamba: Visual State Space Model", arXiv:2401.10166. A backbone whose
blocks exchange information over the whole map in linear time: SS2D walks the map along four routes (rows and columns,
both ways: cross-scan), runs a selective state space model along each, and adds the four results at their places
(cross-merge; its Sec. 4.2 and Fig. 2). This is the final architecture of its Sec. 4.3, without a gate: sizes are named
after the expansion of SS2D and the depth of the third stage, `s1l8`. The scan is this study's own, the head `upernet`.

Glossary
    B, H, W, C   batch, rows, columns, channels of a map; kept in this order, linear layers and scan copy nothing
    E            channels that are scanned, C times the expansion
    K = 4        routes
    N            state size, 1 in every published size
    R            rank of the step-size projection, C / 16 rounded up
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import torch.nn.functional as F
from timm.layers.drop import DropPath
from torch import Tensor, nn

from scgcnet.model.hmie import SelectiveScan
from scgcnet.peers.base import drop_path_rates
from scgcnet.peers.upernet import UPerNet, UPerNetConfig


@dataclass(frozen=True)
class VMambaConfig(UPerNetConfig):
    """VMamba-B (`s2l15`) under UPerNet; sizes from the paper's Appendix E and its authors' configurations."""

    depths: tuple[int, ...] = (2, 2, 15, 2)
    expansion: int = 2  # E / C
    state_size: int = 1
    mlp_ratio: int = 4
    drop_path: float = 0.6

    name: ClassVar[str] = "vmamba"


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "width": 24,
        "depths": (1, 1, 2, 1),
        "expansion": 1,
        "drop_path": 0.0,
        "decoder_width": 24,
        "auxiliary_width": 32,
    },
    "t": {"width": 96, "depths": (2, 2, 8, 2), "expansion": 1, "drop_path": 0.2},
    "paper": {},
}


class Halve(nn.Module):
    """A 3x3 convolution of stride 2 and LayerNorm: (B, H, W, C) to (B, H/2, W/2, C')."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Views, no copies: the convolution reads and writes channels last."""
        out: Tensor = self.norm(self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        return out


class SS2D(nn.Module):
    """2D selective scan (Sec. 4.2, Fig. 2): linear, depthwise 3x3, SiLU, scan along four routes, LayerNorm, linear."""

    def __init__(self, channels: int, config: VMambaConfig) -> None:
        super().__init__()
        inner = config.expansion * channels
        self.in_proj = nn.Linear(channels, inner, bias=False)
        self.dwconv = nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.scan = SelectiveScan(inner, config.state_size, math.ceil(channels / 16))
        self.norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, H, W, C) to (B, H, W, C)."""
        x = self.in_proj(x)  # (B, H, W, E)
        x = F.silu(self.dwconv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))
        out: Tensor = self.out_proj(self.norm(self.scan(x)))
        return out


class VSSBlock(nn.Module):
    """Visual state space block (Sec. 4.1, Fig. 3 d): SS2D and then an MLP, each on normalised input and added to it."""

    def __init__(self, channels: int, config: VMambaConfig, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.ss2d = SS2D(channels, config)
        self.norm2 = nn.LayerNorm(channels)
        hidden = config.mlp_ratio * channels
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.GELU(), nn.Linear(hidden, channels))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, H, W, C) to (B, H, W, C)."""
        x = x + self.drop_path(self.ss2d(self.norm1(x)))
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out


class Encoder(nn.Module):
    """Images (B, in_channels, H, W), sides divisible by 32, to maps at strides 4 to 32 (Sec. 4.1, Fig. 3 a)."""

    def __init__(self, config: VMambaConfig) -> None:
        super().__init__()
        widths = config.widths
        half = max(config.width // 2, 1)
        self.stem = nn.Sequential(Halve(config.in_channels, half), nn.GELU(), Halve(half, config.width))
        self.downsamples = nn.ModuleList([nn.Identity(), *(Halve(a, b) for a, b in pairwise(widths))])
        rates = iter(drop_path_rates(config.drop_path, config.depths))
        self.stages = nn.ModuleList(
            nn.Sequential(*(VSSBlock(width, config, next(rates)) for _ in range(depth)))
            for width, depth in zip(widths, config.depths, strict=True)
        )
        for module in self.modules():  # the authors' initialisation; the scans have Mamba's
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.stem(images.permute(0, 2, 3, 1))  # (B, H/4, W/4, C)
        maps = []
        for downsample, stage in zip(self.downsamples, self.stages, strict=True):
            x = stage(downsample(x))
            maps.append(x.permute(0, 3, 1, 2))  # (B, C, H, W)
        return maps


class VMambaUPerNet(UPerNet):
    """The backbone under UPerNet."""

    Config = VMambaConfig
    Encoder = Encoder
