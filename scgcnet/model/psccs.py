"""PSCCS, the progressive spatial-context calibration strategy of SCGC-Net (paper Sec. III-D, eqs. 18-20).

Glossary
    F_i        the coarse map, upsampled to the fine grid, (B, C, H, W)
    F_{i+1}    the fine map of the encoder's next level up, (B, C, H, W)
    Delta      offsets in pixels of the fine grid, (B, 2, H, W), channel 0 along x and 1 along y
    f(F, Delta) bilinear sampling of F at every pixel plus its offset

Eq. 19 as printed never warps the upsampled map. Its two one-symbol repairs agree after the final addition, but for
which of the two equal branches (eq. 18) moves which map:
    C = F_i + F_{i+1} + f(F_i, Delta_up) + f(F_{i+1}, Delta_down)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.model.config import SCGCNetConfig
from scgcnet.model.layers import conv_bn


def warp(features: Tensor, offsets: Tensor) -> Tensor:
    """Samples `features` bilinearly at each pixel's position plus its offset; borders are repeated.

    Args:
        features: (B, C, H, W).
        offsets: (B, 2, H, W), in pixels; channel 0 moves along x (columns), channel 1 along y (rows).

    Returns:
        (B, C, H, W), in the dtype of `features`; zero offsets give `features` back.
    """
    height, width = features.shape[2:]
    # In float32: a half-precision coordinate cannot address single pixels of a large map. NaN, which a diverging
    # training gives, becomes 0: torch's backward on the CPU takes it for an address and ends the process.
    offsets = offsets.float().nan_to_num()
    y = torch.arange(height, device=features.device, dtype=offsets.dtype)
    x = torch.arange(width, device=features.device, dtype=offsets.dtype)
    grid_x = (x + offsets[:, 0]) * (2 / max(width - 1, 1)) - 1
    grid_y = (y[:, None] + offsets[:, 1]) * (2 / max(height - 1, 1)) - 1
    grid = torch.stack((grid_x, grid_y), dim=-1)  # (B, H, W, 2)
    sampled = F.grid_sample(features.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return sampled.to(features.dtype)


class ResidualBlock(nn.Module):
    """Fig. 4(b): 3x3 BN SiLU, 3x3 BN, skip, SiLU; (B, Cin, H, W) to (B, Cout, H, W).

    With two `groups`, two blocks side by side, each with half of the channels; where they share their input, the
    layers that read it have one group (`shared`).
    """

    def __init__(
        self, in_channels: int, out_channels: int, mid: int | None = None, *, groups: int = 1, shared: bool = False
    ) -> None:
        super().__init__()
        mid = out_channels if mid is None else mid
        first = 1 if shared else groups
        self.body = nn.Sequential(
            conv_bn(in_channels, mid, 3, nn.SiLU, groups=first), conv_bn(mid, out_channels, 3, groups=groups)
        )
        self.copies = groups // first  # of the input, where each block has as many channels out as in
        same = in_channels * self.copies == out_channels
        self.skip = nn.Identity() if same else conv_bn(in_channels, out_channels, 1, groups=first)

    def forward(self, x: Tensor) -> Tensor:
        """SiLU(body(x) + skip(x))."""
        skip = self.skip(x)
        if isinstance(self.skip, nn.Identity) and self.copies > 1:
            skip = torch.cat([skip] * self.copies, dim=1)
        return F.silu(self.body(x) + skip)


class OffsetBranches(nn.Sequential):
    """Eq. 18 for both maps: [F_i, F_{i+1}], (B, 2C, H, W), to offsets (B, 4, H, W): two for F_i, two for F_{i+1}.

    The two branches are built alike, read the same and share no weight: they run side by side, as two groups.

    `project`: 1x1 to `width`, residual block, 3x3 to 2. `concat`: the residual block takes the concatenation
    itself. `literal`: the residual block ends in the two offset channels. In the first two the last convolution
    starts at zero, so that training starts from the plain feature pyramid; the third cannot: its last step is an
    activation.
    """

    def __init__(self, channels: int, width: int, rb: str) -> None:
        if rb == "literal":
            super().__init__(ResidualBlock(2 * channels, 4, mid=2 * width, groups=2, shared=True))
            return
        to_offsets = nn.Conv2d(2 * width, 4, 3, padding=1, groups=2)
        nn.init.zeros_(to_offsets.weight)
        nn.init.zeros_(to_offsets.bias)  # type: ignore[arg-type]  # present: bias=True is the default
        if rb == "project":
            first = conv_bn(2 * channels, 2 * width, 1, nn.SiLU)
            super().__init__(first, ResidualBlock(2 * width, 2 * width, groups=2), to_offsets)
        else:
            super().__init__(ResidualBlock(2 * channels, 2 * width, groups=2, shared=True), to_offsets)


class CalibrationUnit(nn.Module):
    """Eqs. 18-19: learns two offset fields, warps both maps, and adds all four; (B, C, h, w) and (B, C, H, W)."""

    def __init__(self, channels: int, width: int, rb: str) -> None:
        super().__init__()
        self.offsets = OffsetBranches(channels, width, rb)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Returns the calibrated sum, (B, C, H, W)."""
        coarse = upsample_to(coarse, fine)
        offsets = self.offsets(torch.cat([coarse, fine], dim=1))
        # One call for both maps: on a processor, small maps cost mostly the calls.
        up, down = warp(torch.cat([coarse, fine]), torch.cat(offsets.chunk(2, dim=1))).chunk(2)
        return coarse + fine + up + down


class PyramidUnit(nn.Module):
    """The feature pyramid's addition, which stands in for a calibration unit where PSCCS is off (Table II)."""

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Upsamples (B, C, h, w) and adds it to (B, C, H, W)."""
        return upsample_to(coarse, fine) + fine


def upsample_to(coarse: Tensor, fine: Tensor) -> Tensor:
    """Bilinear upsampling of `coarse` to the rows and columns of `fine`."""
    return F.interpolate(coarse, size=fine.shape[2:], mode="bilinear", align_corners=False)


class Decoder(nn.Module):
    """Eq. 20: fuses the four maps (B, C, H/4 .. H/32), deepest first, into one (B, C, H/4, W/4)."""

    def __init__(self, config: SCGCNetConfig) -> None:
        super().__init__()
        width = config.neck_width
        self.units = nn.ModuleList(
            CalibrationUnit(width, config.cu_width, config.rb) if config.psccs else PyramidUnit() for _ in range(3)
        )
        # Each unit adds four maps of like size: without this layer the amplitude doubles at every level.
        self.smooth = nn.ModuleList(
            conv_bn(width, width, 3, nn.SiLU) if config.smooth else nn.Identity() for _ in range(3)
        )

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Takes the four laterals, finest first."""
        fused, *rest = maps[::-1]
        for unit, smooth, fine in zip(self.units, self.smooth, rest, strict=True):
            fused = smooth(unit(fused, fine))
        return fused
