"""Checks of the paper's printed numbers and equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd
import torch

from scgcnet.model.psccs import warp

if TYPE_CHECKING:
    from scgcnet.study.audit import ShareCheck
    from scgcnet.study.paper import Interval


def equation_19_table(seed: int = 0) -> pd.DataFrame:
    """Largest differences between eq. 19 as printed and its two repairs, on random maps of variance 1.

    Both printed lines sample the fine map; a repair samples the upsampled coarse map in one of them. Both branches are
    built alike (eq. 18): a network with one repair computes the other's output with its branches exchanged.

    Args:
        seed: of the maps, 4 channels of 12 x 16 pixels, and of offsets of about two pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    coarse, fine = torch.randn(2, 1, 4, 12, 16, generator=generator)
    up, down = 2 * torch.randn(2, 1, 2, 12, 16, generator=generator)

    def sampled(first: torch.Tensor, second: torch.Tensor, fine: torch.Tensor, *offsets: torch.Tensor) -> torch.Tensor:
        one, two = offsets or (up, down)
        found: torch.Tensor = (warp(first, one) + coarse) + (warp(second, two) + fine)
        return found

    nothing, still = torch.zeros_like(fine), (torch.zeros_like(up), torch.zeros_like(down))
    rows = {
        "As printed, against the first repair": sampled(fine, fine, fine) - sampled(coarse, fine, fine),
        "First repair, against the second with its branches exchanged": sampled(coarse, fine, fine)
        - sampled(fine, coarse, fine, down, up),
        "As printed, with a fine map of zeros: moved by the offsets": sampled(nothing, nothing, nothing)
        - sampled(nothing, nothing, nothing, *still),
        "First repair, with a fine map of zeros: moved by the offsets": sampled(coarse, nothing, nothing)
        - sampled(coarse, nothing, nothing, *still),
    }
    largest = [f"{float(difference.abs().max()):.2g}" for difference in rows.values()]
    return pd.DataFrame({"What": list(rows), "Largest difference": largest})


def share_panels(checks: Sequence[ShareCheck]) -> tuple[dict[str, pd.DataFrame], dict[str, tuple[float, float]]]:
    """Implied shares of each test set, for `plots.implied_shares`; the text of a row is its OA, printed and fitting."""
    panels, agreed = {}, {}
    for check in checks:
        title, middle = f"{check.title}: {check.agreed.percent()} %", float(check.agreed.middle)

        def ends(share: Interval, middle: float = middle) -> tuple[float, float]:
            return 100 * (float(share.low) - middle), 100 * (float(share.high) - middle)

        agreed[title] = ends(check.agreed)
        rows = [
            (row.row.name, *ends(row.share), row.off, f"{row.row.printed['OA']} → {100 * float(row.oa.middle):.2f}")
            for row in check.rows
        ]
        panels[title] = pd.DataFrame(rows, columns=["name", "low", "high", "off", "text"])
    return panels, agreed
