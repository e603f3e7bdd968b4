"""HMIE, the hybrid multi-scale encoder of SCGC-Net (paper Sec. III-B, eqs. 3-12).

Glossary
    B, H, W      batch, rows and columns of the present map
    C            channels of the stage; the scan's inner width D equals C (expansion 1)
    L = H W      positions that a scan walks
    K = 4        scan directions: rows and columns, both ways (eq. 10)
    N            state size of the selective scan
    R            rank of the step-size projection, C / 16
    sigma        SiLU in eqs. 7-9

The encoder reads top to bottom: Stem -> Bottleneck stages 1, 2 -> SCFE stages 3, 4.
    SCFE = ContextBranch (global, Mamba) + MSLE (local, dilated convolutions).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.config import Rates, SCGCNetConfig
from scgcnet.model.layers import ChannelsLastConv2d, conv_bn
from scgcnet.model.trunk import Lite0Trunk
from scgcnet.scan import selective_scan_2d

DIRECTIONS = 4  # K in the glossary


class Stem(nn.Sequential):
    """Image (B, in_channels, H, W) to (B, stem_width, H/4, W/4): the paper says convolutions, the rest is chosen."""

    def __init__(self, config: SCGCNetConfig) -> None:
        half, width = config.stem_width // 2, config.stem_width
        if config.stem == "light":
            super().__init__(
                conv_bn(config.in_channels, half, 3, nn.GELU, stride=2),
                conv_bn(half, width, 3, nn.GELU, stride=2),
            )
        else:
            super().__init__(
                conv_bn(config.in_channels, half, 3, nn.GELU, stride=2),
                conv_bn(half, half, 3, nn.GELU),
                conv_bn(half, width, 3, nn.GELU),
                nn.MaxPool2d(3, stride=2, padding=1),
            )


class Bottleneck(nn.Module):
    """ResNet-50's bottleneck with GELU, eqs. 3-6; (B, Cin, H, W) to (B, Cout, H/stride, W/stride)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        mid = out_channels // 4
        self.body = nn.Sequential(
            conv_bn(in_channels, mid, 1, nn.GELU),  # eq. 3
            conv_bn(mid, mid, 3, nn.GELU, stride=stride),  # eq. 4
            conv_bn(mid, out_channels, 1),  # eq. 5
        )
        same = in_channels == out_channels and stride == 1
        self.skip = nn.Identity() if same else conv_bn(in_channels, out_channels, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Eq. 6."""
        return F.gelu(self.body(x) + self.skip(x))


def bottlenecks(in_channels: int, out_channels: int, depth: int, stride: int) -> nn.Sequential:
    """A stage of `depth` bottlenecks; the first one changes width and resolution."""
    first = Bottleneck(in_channels, out_channels, stride)
    return nn.Sequential(first, *(Bottleneck(out_channels, out_channels) for _ in range(depth - 1)))


class SelectiveScan(nn.Module):
    """Eq. 10: four S6 scans over a map, each with its own parameters, summed. (B, H, W, C) to the same.

    Per direction k and position t, with x_t in R^C:
        [r_t, B_t, C_t] = x_t W_k          r in R^R, B and C in R^N
        delta_t = softplus(r_t V_k + b_k)  step size, R^C
        h_t = exp(delta_t A_k) h_{t-1} + delta_t x_t B_t
        y_t = C_t . h_t + D_k x_t
    A is S4D-real: A_n = -n for n = 1..N (Gu et al. 2022), learned through its logarithm.
    """

    def __init__(self, channels: int, state_size: int, dt_rank: int) -> None:
        super().__init__()
        self.state_size, self.dt_rank = state_size, dt_rank
        self.in_weight = nn.Parameter(torch.empty(DIRECTIONS, dt_rank + 2 * state_size, channels))
        self.dt_weight = nn.Parameter(torch.empty(DIRECTIONS, channels, dt_rank))
        self.dt_bias = nn.Parameter(torch.empty(DIRECTIONS, channels))
        self.A_log = nn.Parameter(torch.empty(DIRECTIONS, channels, state_size))
        self.skip = nn.Parameter(torch.empty(DIRECTIONS, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Mamba's initialisation: step sizes log-uniform in [0.001, 0.1], A_n = -n, D = 1."""
        if self.skip.is_meta:  # shapes only; torch would import its compiler for these operators, which takes seconds
            return
        channels = self.skip.shape[1]
        nn.init.uniform_(self.in_weight, -(channels**-0.5), channels**-0.5)
        nn.init.uniform_(self.dt_weight, -(self.dt_rank**-0.5), self.dt_rank**-0.5)
        with torch.no_grad():
            step = torch.exp(torch.empty_like(self.dt_bias).uniform_(math.log(1e-3), math.log(1e-1)))
            self.dt_bias.copy_(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
            n = torch.arange(1, self.state_size + 1, dtype=torch.float32, device=self.A_log.device)
            self.A_log.copy_(n.log().expand_as(self.A_log))
            self.skip.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, H, W, C) to (B, H, W, C)."""
        batch, height, width, _ = x.shape
        sizes = [self.dt_rank, self.state_size, self.state_size]
        # One product for the four directions: they read the same map, only their walks differ.
        projected = F.linear(x, self.in_weight.flatten(0, 1))  # (B, H, W, K (R + 2N))
        projected = projected.view(batch, height, width, DIRECTIONS, -1)
        r, B, C = projected.split(sizes, dim=-1)  # (B, H, W, K, R | N | N)
        # (K, B H W, C): the numbers of one direction lie together, which is how the scans read them.
        r = r.permute(3, 0, 1, 2, 4).flatten(1, 3)
        delta = torch.baddbmm(self.dt_bias.unsqueeze(1), r, self.dt_weight.transpose(1, 2))
        delta = delta.view(DIRECTIONS, batch, height, width, -1).permute(1, 2, 3, 0, 4)
        A = -torch.exp(self.A_log.float())
        return selective_scan_2d(x, F.softplus(delta), A, B, C, self.skip)


class SS2D(nn.Module):
    """Eq. 9: W2 LN(Scan(sigma(DWConv(W1 X)))); (B, H, W, C) to the same."""

    def __init__(self, channels: int, config: SCGCNetConfig) -> None:
        super().__init__()
        self.w1 = nn.Linear(channels, channels, bias=False)
        self.dwconv = ChannelsLastConv2d(channels)
        self.scan = SelectiveScan(channels, config.state_size, max(channels // config.dt_rank_divisor, 1))
        self.norm = nn.LayerNorm(channels)
        self.w2 = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, H, W, C) to (B, H, W, C)."""
        x = F.silu(self.dwconv(self.w1(x)))
        out: Tensor = self.w2(self.norm(self.scan(x)))
        return out


class ContextBranch(nn.Module):
    """Eqs. 7 and 8, multiplied: sigma(Linear(x)) * Path2(x); (B, C, H, W) to the same.

    `nested` follows the letter: eq. 8 wraps eq. 9, so projection and depthwise convolution come twice.
    `collapsed` has them once, and Path2 is eq. 9 itself: what VSS blocks elsewhere do.
    """

    def __init__(self, channels: int, config: SCGCNetConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.gate = nn.Linear(channels, channels, bias=False)
        ss2d = SS2D(channels, config)
        self.path2: nn.Module = ss2d
        if config.context == "nested":
            self.path2 = nn.Sequential(
                nn.Linear(channels, channels, bias=False),
                ChannelsLastConv2d(channels),
                nn.SiLU(),
                ss2d,
                nn.LayerNorm(channels),
                nn.Linear(channels, channels, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, H, W) to (B, C, H, W)."""
        x = self.norm(x.permute(0, 2, 3, 1))  # (B, H, W, C); a view where x is channels-last in memory
        out: Tensor = F.silu(self.gate(x)) * self.path2(x)
        return out.permute(0, 3, 1, 2)


class MSLE(nn.Module):
    """Multi-scale local enhancement, eqs. 11-12: C(D_a(X), D_b(X), D_c(X)) + X; (B, C, H, W) to the same.

    Kinds: `conv`, 3x3 from C to `mid`; `bottleneck`, a 1x1 to `mid` first, then 3x3 at `mid`; `depthwise`, 3x3
    per channel. `cascade` feeds each dilated convolution with the one before, which is what gives equal rates
    three different receptive fields.
    """

    def __init__(self, channels: int, rates: Rates, config: SCGCNetConfig) -> None:
        super().__init__()
        self.cascade = config.msle_layout == "cascade"
        mid = channels if config.msle == "depthwise" else max(int(channels * config.msle_mid), 1)
        reduce = config.msle == "bottleneck"
        groups = channels if config.msle == "depthwise" else 1
        self.reduce = conv_bn(channels, mid, 1, nn.SiLU) if reduce else nn.Identity()
        # Side by side and at one rate, the three convolutions are one with three times the outputs, which is faster.
        joint = not self.cascade and len(set(rates)) == 1
        self.branches = nn.ModuleList(
            conv_bn(
                mid if reduce or (self.cascade and i > 0) else channels,
                len(rates) * mid if joint else mid,
                3,
                nn.SiLU,
                dilation=rate,
                groups=groups,
            )
            for i, rate in enumerate(rates[:1] if joint else rates)
        )
        self.compress = conv_bn(len(rates) * mid, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Eq. 12."""
        maps: list[Tensor] = []
        z = self.reduce(x)
        for branch in self.branches:
            maps.append(branch(maps[-1] if self.cascade and maps else z))
        joined = torch.cat(maps, dim=1) if len(maps) > 1 else maps[0]
        out: Tensor = self.compress(joined) + x
        return out


class SCFE(nn.Module):
    """Spatial-context feature extractor: ContextBranch and MSLE on the same input; (B, C, H, W) to the same."""

    def __init__(self, channels: int, rates: Rates, config: SCGCNetConfig) -> None:
        super().__init__()
        self.context = ContextBranch(channels, config)
        self.spatial = MSLE(channels, rates, config)
        self.fuse = conv_bn(2 * channels, channels, 1) if config.fuse == "concat" else None

    def forward(self, x: Tensor) -> Tensor:
        """Joins both branches by their sum, or by a 1x1 over their concatenation."""
        context, spatial = self.context(x), self.spatial(x)
        out: Tensor = context + spatial if self.fuse is None else self.fuse(torch.cat([context, spatial], dim=1))
        return out


def _identity_at_start(scfe: SCFE) -> SCFE:
    """Zeroes the last layer of both branches, so that a pre-trained trunk reaches the next stage unchanged."""
    norms = [layer for layer in scfe.spatial.compress if isinstance(layer, nn.BatchNorm2d)]
    linears = [layer for layer in scfe.context.path2.modules() if isinstance(layer, nn.Linear)]
    for last in (norms[-1], linears[-1]):
        nn.init.zeros_(last.weight)
    return scfe


class Encoder(nn.Module):
    """The four-level encoder: image (B, in_channels, H, W) to maps at H/4, H/8, H/16, H/32 of `config.widths`.

    With `config.hmie` this is HMIE; without, ResNet-50's stages 3 and 4 take the SCFEs' place (Table II, A1).
    """

    def __init__(self, config: SCGCNetConfig) -> None:
        super().__init__()
        w1, w2, w3, w4 = config.widths
        self.deep = deep = config.trunk == "lite0_deep"
        if config.trunk != "resnet":
            self.trunk = Lite0Trunk(config.in_channels, deep)
        else:
            self.stem = Stem(config)
            self.stage1 = bottlenecks(config.stem_width, w1, config.depths[0], stride=1)
            self.stage2 = bottlenecks(w1, w2, config.depths[1], stride=2)
        if deep:
            self.stage3, self.stage4 = (
                nn.Sequential(*(_identity_at_start(SCFE(width, rates, config)) for rates in stage if config.hmie))
                for width, stage in zip((w3, w4), config.dilations, strict=True)
            )
        elif config.hmie:
            self.stage3 = self._scfe_stage(w2, w3, config.dilations[0], config)
            self.stage4 = self._scfe_stage(w3, w4, config.dilations[1], config)
        else:
            self.stage3 = bottlenecks(w2, w3, config.resnet_depths[0], stride=2)
            self.stage4 = bottlenecks(w3, w4, config.resnet_depths[1], stride=2)

    @staticmethod
    def _scfe_stage(cin: int, cout: int, dilations: tuple[Rates, ...], config: SCGCNetConfig) -> nn.Sequential:
        kernel = 3 if config.downsample == "conv3" else 2
        down = conv_bn(cin, cout, kernel, nn.GELU, stride=2)
        return nn.Sequential(down, *(SCFE(cout, rates, config) for rates in dilations))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the four maps, finest first."""
        if hasattr(self, "trunk"):
            maps: list[Tensor] = self.trunk(images)
        else:
            maps = [self.stage1(self.stem(images))]
            maps.append(self.stage2(maps[-1]))
        for stage, name in ((self.stage3, "stride16"), (self.stage4, "stride32")):
            finer = maps[-1]
            if self.deep:
                finer = getattr(self.trunk, name)(finer)
            maps.append(stage(finer))
        return maps
