"""CAM, the context-aware modulator of SCGC-Net (paper Sec. III-C, eqs. 13-17).

Glossary
    X          feature map, (B, C, H, W)
    Z^0        f_Z(X), linear (eq. 13)
    Z^n        SiLU(DWConv(Z^{n-1})), kernels 5, 7, 9 (eq. 14); receptive field 1 + 4 + 6 + 8 = 19 (eq. 15)
    G^n        one gate map per level, (B, 1, H, W); the paper gives no formula, linear in X here
    Z^out      sum_n G^n * Z^n (eq. 16);  Z^final = f_h(Z^out) (eq. 17)

Focal modulation (Yang et al. 2022) also multiplies by a query and adds a global-average level; the paper leaves
both out, `query` and `global_level` bring them back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ContextAwareModulator(nn.Module):
    """X + Z^final; (B, C, H, W) to the same."""

    def __init__(
        self,
        channels: int,
        kernels: Sequence[int] = (5, 7, 9),
        *,
        query: bool = False,
        global_level: bool = False,
    ) -> None:
        super().__init__()
        self.f_z = nn.Conv2d(channels, channels, 1)
        self.context = nn.ModuleList(
            nn.Conv2d(channels, channels, k, padding=k // 2, groups=channels, bias=False) for k in kernels
        )
        self.global_level = global_level
        self.gates = nn.Conv2d(channels, len(kernels) + int(global_level), 1)
        self.query = nn.Conv2d(channels, channels, 1) if query else None
        self.f_h = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Eqs. 13-17 and the residual."""
        z = self.f_z(x)  # eq. 13
        levels = []
        for conv in self.context:
            z = F.silu(conv(z))  # eq. 14
            levels.append(z)
        if self.global_level:
            levels.append(F.silu(z.mean(dim=(2, 3), keepdim=True)))
        gates = self.gates(x).unsqueeze(2)  # (B, levels, 1, H, W)
        out = torch.zeros_like(z)
        for n, level in enumerate(levels):
            out = out + gates[:, n] * level  # eq. 16
        final: Tensor = self.f_h(out)  # eq. 17
        if self.query is not None:
            final = self.query(x) * final
        return x + final
