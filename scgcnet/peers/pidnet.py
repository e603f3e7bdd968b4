"""PIDNet: branches for details (P), context (I) and boundaries (D), as in a PID controller.

Xu, Xiong and Bhattacharyya, "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers", CVPR 2023.
Behind a common stem P and D stay at stride 8, I goes down to 64. P takes from I where both agree (Pag); at the end the
boundaries decide, pixel by pixel, whether P or I is believed (Bag). The fourth loss, the main head's again where D sees
a boundary, is left out: all networks of the study share one loss. Where the paper leaves the order of layers open
(fusions, context modules, heads), it is that of the authors' code.

    C       `width`, channels of the stem; the branches' widths are multiples of it
    m, n    `shallow_depth` and `deep_depth`, residual blocks of each stage of stem and P, and of I
    p, i, d maps of the three branches
    sigma   how far a fusion believes one of its maps, 0..1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.layers import conv_bn
from scgcnet.peers.base import Auxiliary, Peer, PeerConfig, resize

P_WEIGHT = 0.4  # of the P branch's loss, lambda_0 of Sec. 3.1
# Of D's. The authors' lambda_1 = 20 goes with a cross-entropy that weights each class by the other's share: with a
# share s of boundary pixels that is 40 s (1 - s) times the mean of both classes' losses, 1 at s = 0.026.
D_WEIGHT = 1.0


@dataclass(frozen=True)
class PIDNetConfig(PeerConfig):
    """Defaults: PIDNet-S; widths and depths are those of the authors' repository."""

    name: ClassVar[str] = "pidnet"

    width: int = 32  # C
    shallow_depth: int = 2  # m
    deep_depth: int = 3  # n
    context_width: int = 96  # of one scale of the context module
    head_width: int = 128
    light: bool = True  # PAPPM and Light-Bag with a narrower D branch (S and M), else DAPPM and Bag (L)


PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"width": 16, "deep_depth": 2, "context_width": 32, "head_width": 64},
    "paper": {},  # PIDNet-S
    "m": {"width": 64},
    "l": {"width": 64, "shallow_depth": 3, "deep_depth": 4, "context_width": 112, "head_width": 256, "light": False},
}


def bn_relu_conv(in_channels: int, out_channels: int, kernel: int, groups: int = 1) -> nn.Sequential:
    """Batch normalisation, ReLU, and a convolution without bias that keeps the size."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU(), conv)


class Residual(nn.Module):
    """A shortcut around convolutions, without the ReLU behind the sum: fusions take the sum itself."""

    def __init__(self, body: nn.Sequential, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.body = body
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else conv_bn(in_channels, out_channels, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x) + self.shortcut(x)
        return out


def basic(in_channels: int, channels: int, stride: int = 1) -> Residual:
    """Two 3x3 convolutions (Fig. 4, RB)."""
    body = nn.Sequential(conv_bn(in_channels, channels, 3, nn.ReLU, stride=stride), conv_bn(channels, channels, 3))
    return Residual(body, in_channels, channels, stride)


def bottleneck(in_channels: int, channels: int, stride: int = 1) -> Residual:
    """1x1, 3x3, 1x1, twice as many channels at the end (Fig. 4, RBB)."""
    body = nn.Sequential(
        conv_bn(in_channels, channels, 1, nn.ReLU),
        conv_bn(channels, channels, 3, nn.ReLU, stride=stride),
        conv_bn(channels, 2 * channels, 1),
    )
    return Residual(body, in_channels, 2 * channels, stride)


def basics(in_channels: int, channels: int, depth: int, stride: int = 1) -> nn.Sequential:
    """`depth` basic blocks, ReLU between them and none at the end; the first has the stride."""
    layers: list[nn.Module] = [basic(in_channels, channels, stride)]
    for _ in range(depth - 1):
        layers += [nn.ReLU(), basic(channels, channels)]
    return nn.Sequential(*layers)


class Pag(nn.Module):
    """Pixel-attention-guided fusion (Sec. 3.2, Fig. 5): P takes from I where both point the same way.

    sigma = sigmoid(f_p(p) . f_i(i)),   p' = sigma i + (1 - sigma) p
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.f_p, self.f_i = conv_bn(channels, width, 1), conv_bn(channels, width, 1)

    def forward(self, p: Tensor, i: Tensor) -> Tensor:
        """Maps (B, channels, H, W) and, coarser, (B, channels, h, w) to (B, channels, H, W)."""
        size = p.shape[2:]
        agreement = (self.f_p(p) * resize(self.f_i(i), size)).sum(dim=1, keepdim=True)  # (B, 1, H, W)
        sigma = torch.sigmoid(agreement)
        return sigma * resize(i, size) + (1 - sigma) * p


class Bag(nn.Module):
    """Boundary-attention-guided fusion (Sec. 3.4, Fig. 7): details at boundaries, context elsewhere.

    conv3x3(sigma p + (1 - sigma) i),   sigma = sigmoid(d)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fuse = bn_relu_conv(channels, channels, 3)

    def forward(self, p: Tensor, i: Tensor, d: Tensor) -> Tensor:
        sigma = torch.sigmoid(d)
        fused: Tensor = self.fuse(sigma * p + (1 - sigma) * i)
        return fused


class LightBag(nn.Module):
    """The same with two 1x1 convolutions for the 3x3 one (Sec. 3.4, Fig. 7).

    f_p((1 - sigma) i + p) + f_i(i + sigma p),   sigma = sigmoid(d)
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.f_p, self.f_i = conv_bn(channels, channels, 1), conv_bn(channels, channels, 1)

    def forward(self, p: Tensor, i: Tensor, d: Tensor) -> Tensor:
        sigma = torch.sigmoid(d)
        fused: Tensor = self.f_p((1 - sigma) * i + p) + self.f_i(i + sigma * p)
        return fused


class ContextModule(nn.Module):
    """What DAPPM and PAPPM share: five scales of the deepest map, each reduced to `width` channels.

    The scales are the map itself, means over 5x5, 9x9 and 17x17 windows at strides 2, 4 and 8, and the mean of all.
    Windows reach over the border, where zeros are counted in, so that a map of one pixel serves as well.
    """

    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__()
        pools = [nn.AvgPool2d(2 * stride + 1, stride, padding=stride) for stride in (2, 4, 8)]
        self.pools = nn.ModuleList([nn.Identity(), *pools, nn.AdaptiveAvgPool2d(1)])
        self.reduce = nn.ModuleList(bn_relu_conv(in_channels, width, 1) for _ in self.pools)
        self.compress = bn_relu_conv(5 * width, out_channels, 1)
        self.shortcut = bn_relu_conv(in_channels, out_channels, 1)

    def scales(self, x: Tensor) -> list[Tensor]:
        """The five scales, each (B, width, H, W)."""
        size = x.shape[2:]
        return [resize(reduce(pool(x)), size) for pool, reduce in zip(self.pools, self.reduce, strict=True)]


class DAPPM(ContextModule):
    """Deep aggregation (Hong et al., DDRNet, 2021): every scale adds the one before and is convolved, in turn."""

    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__(in_channels, width, out_channels)
        self.process = nn.ModuleList(bn_relu_conv(width, width, 3) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.scales(x)
        done = [first]
        for scale, process in zip(others, self.process, strict=True):
            done.append(process(scale + done[-1]))
        out: Tensor = self.compress(torch.cat(done, dim=1)) + self.shortcut(x)
        return out


class PAPPM(ContextModule):
    """Parallel aggregation (Sec. 3.3, Fig. 6): every scale adds the first; one grouped convolution does all four."""

    def __init__(self, in_channels: int, width: int, out_channels: int) -> None:
        super().__init__(in_channels, width, out_channels)
        self.process = bn_relu_conv(4 * width, 4 * width, 3, groups=4)

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.scales(x)
        processed = self.process(torch.cat([scale + first for scale in others], dim=1))
        out: Tensor = self.compress(torch.cat([first, processed], dim=1)) + self.shortcut(x)
        return out


def head(in_channels: int, width: int, num_classes: int) -> nn.Sequential:
    """Logits at the resolution of the features."""
    return nn.Sequential(
        bn_relu_conv(in_channels, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, num_classes, 1)
    )


class PIDNet(Peer):
    """Sec. 3.1, Fig. 4."""

    stride: ClassVar[int] = 64
    Config = PIDNetConfig

    def __init__(self, config: PIDNetConfig) -> None:
        super().__init__(config)
        c, m, n = config.width, config.shallow_depth, config.deep_depth
        light = config.light
        self.stem = nn.Sequential(
            conv_bn(config.in_channels, c, 3, nn.ReLU, stride=2),
            conv_bn(c, c, 3, nn.ReLU, stride=2),
            basics(c, c, m),
            nn.ReLU(),
            basics(c, 2 * c, m, stride=2),
            nn.ReLU(),
        )
        # I, down to strides 16, 32 and 64; there is no ReLU between the two bottlenecks.
        self.i3, self.i4 = basics(2 * c, 4 * c, n, stride=2), basics(4 * c, 8 * c, n, stride=2)
        self.i5 = nn.Sequential(bottleneck(8 * c, 8 * c, stride=2), bottleneck(16 * c, 8 * c))
        self.context = (PAPPM if light else DAPPM)(16 * c, config.context_width, 4 * c)
        # P, with what it takes from I.
        self.p3, self.p4, self.p5 = basics(2 * c, 2 * c, m), basics(2 * c, 2 * c, m), bottleneck(2 * c, 2 * c)
        self.i3_to_p, self.i4_to_p = conv_bn(4 * c, 2 * c, 1), conv_bn(8 * c, 2 * c, 1)
        self.pag3, self.pag4 = Pag(2 * c, c), Pag(2 * c, c)
        # D, with what is added to it from I; the light one is half as wide at first.
        d_width = c if light else 2 * c
        self.d3 = basic(2 * c, d_width)
        self.d4 = bottleneck(c, c) if light else basic(2 * c, 2 * c)
        self.d5 = bottleneck(2 * c, 2 * c)
        self.i3_to_d, self.i4_to_d = conv_bn(4 * c, d_width, 3), conv_bn(8 * c, 2 * c, 3)

        self.bag = (LightBag if light else Bag)(4 * c)
        self.head = head(4 * c, config.head_width, config.num_classes)
        # The authors' boundary head gives one logit per pixel. Here it gives as many as the main head, so that the loss
        # of the study serves it: 0 is no boundary, 1 is one, and logits of further classes are never right.
        self.aux = nn.ModuleDict(
            {"p": head(2 * c, config.head_width, config.num_classes), "d": head(2 * c, c, config.num_classes)}
        )
        self.apply(_initialise)

    def segment(self, images: Tensor) -> tuple[Tensor, list[Auxiliary]]:
        """Logits at stride 8, in training with those of P after stage 3 and of D after stage 4."""
        x = self.stem(images)  # (B, 2C, H/8, W/8), as every p and d below but for their channels
        size = x.shape[2:]

        i = F.relu(self.i3(x))  # (B, 4C, H/16, W/16)
        p3 = self.pag3(self.p3(x), self.i3_to_p(i))  # (B, 2C, ...)
        d = self.d3(x) + resize(self.i3_to_d(i), size)  # (B, C or 2C, ...)

        i = F.relu(self.i4(i))  # (B, 8C, H/32, W/32)
        p = self.pag4(self.p4(F.relu(p3)), self.i4_to_p(i))  # (B, 2C, ...)
        d4 = self.d4(F.relu(d)) + resize(self.i4_to_d(i), size)  # (B, 2C, ...)

        i = resize(self.context(self.i5(i)), size)  # (B, 16C, H/64, W/64) to (B, 4C, H/8, W/8)
        p, d = self.p5(F.relu(p)), self.d5(F.relu(d4))  # (B, 4C, ...)
        logits = self.head(self.bag(p, i, d))
        if not self.training:
            return logits, []
        return logits, [
            Auxiliary(self.aux["p"](p3), P_WEIGHT),
            Auxiliary(self.aux["d"](d4), D_WEIGHT, target="boundary"),
        ]


def _initialise(module: nn.Module) -> None:
    """He's as the authors have it, but for the layers of logits, which alone have a bias.

    By fan-out, two classes would draw their weights with a deviation of 1, and training would start from logits of 10.
    """
    if not isinstance(module, nn.Conv2d):
        return
    if module.bias is None:
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.normal_(module.weight, std=0.01)
