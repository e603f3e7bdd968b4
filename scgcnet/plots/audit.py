"""What the arithmetic of the paper's tables gives away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scgcnet.plots.style import BLACK, BLUE, DPI, ORANGE, VERMILION, WIDTH, finished

if TYPE_CHECKING:
    from scgcnet.study.consistency import ShareCheck

_HOW_FAR = {"": (BLUE, "o"), "just": (ORANGE, "s"), "far": (VERMILION, "D")}


def implied_shares(checks: Sequence[ShareCheck]) -> Figure:
    """A panel for each test set: how far the landslide share that each row implies is from the one agreed on.

    Bars are rounding intervals. The axis is linear up to 0.1 points to each side and logarithmic beyond, since
    rounding allows hundredths and some rows are off by points. Rows that are far off carry their OA, as printed and as
    it would fit.

    Args:
        checks: one for each test set, from `scgcnet.study.consistency.check_shares`.
    """
    names = list(dict.fromkeys(found.row.name for check in checks for found in check.rows))
    figure, panels = plt.subplots(
        1,
        len(checks),
        figsize=(WIDTH, 0.22 * len(names) + 1.3),
        dpi=DPI,
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for panel, check in zip(panels[0], checks, strict=True):
        _share_panel(panel, check, names)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("implied minus agreed share of landslide pixels, percentage points", fontsize="medium")
    labels = {"": "fits", "just": "just off", "far": "far off (OA as printed → as it would fit)"}
    handles = [
        Line2D([], [], color=colour, marker=marker, lw=3, ms=5, label=labels[off])
        for off, (colour, marker) in _HOW_FAR.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return finished(figure)


def _share_panel(panel: Axes, check: ShareCheck, names: Sequence[str]) -> None:
    middle = float(check.agreed.middle)
    panel.axvspan(*(100 * (float(end) - middle) for end in check.agreed), color=BLACK, alpha=0.25, lw=0)
    for found in check.rows:
        y = names.index(found.row.name)
        low, high = (100 * (float(end) - middle) for end in found.share)
        colour, marker = _HOW_FAR[found.off]
        panel.plot([low, high], [y, y], color=colour, lw=3, solid_capstyle="butt")
        panel.plot((low + high) / 2, y, marker, color=colour, ms=5)
        if found.off == "far":
            text = f"{found.row.printed['OA']} → {100 * float(found.oa.middle):.2f}"
            panel.annotate(
                text,
                (low, y),
                (-7, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                bbox={"fc": "white", "ec": "none", "pad": 0.5},
            )
    panel.set_xscale("symlog", linthresh=0.1, linscale=1)
    panel.set_xlim(-1, 12)
    panel.set_xticks([-1, -0.1, 0, 0.1, 1, 10], ["-1", "-0.1", "0", "0.1", "1", "10"], fontsize="small")
    panel.set_title(f"{check.title}: {check.agreed.percent()} %", fontsize="medium")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
