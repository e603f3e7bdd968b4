"""Rows of dots with intervals: networks, steps and statements, the paper's number beside the measured one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter

from scgcnet.plots.style import (
    BLACK,
    BLUE,
    GREY,
    MARKERS,
    ORANGE,
    OTHERS,
    VERMILION,
    Interval,
    embolden,
    finished,
    mark,
    message,
    open_frame,
    page_figure,
)

_VERDICTS = {"better": (BLUE, "^"), "worse": (VERMILION, "v"), "unresolved": (GREY, "o")}
_OFF = {
    "": ("fits", BLUE, "o"),
    "just": ("just off", ORANGE, "s"),
    "far": ("far off (OA as printed → as it would fit)", VERMILION, "D"),
}


def ablation_bars(rows: Mapping[str, Interval | None], reference: str) -> Figure:
    """IoU of each variant of a network with its interval, a row for each, and a line at the whole network's.

    Args:
        rows: variant -> (mean, low, high) of its IoU in percent, from top to bottom; None where it was not run. A
            single run has low and high equal to the mean, and a hollow dot.
        reference: the variant that the others are compared with.
    """
    if not any(rows.values()):
        return message("No scores to show: no run of these variants is stored.")
    figure, axis = _row_figure(list(rows))
    if score := rows.get(reference):
        axis.axvline(score[0], color=VERMILION, ls="--", lw=1)
    for y, (name, score) in enumerate(rows.items()):
        if score is None:
            place = axis.get_yaxis_transform()
            axis.text(0.02, y, "not run", transform=place, va="center", color=GREY, style="italic")
        else:
            colour, marker = (VERMILION, "D") if name == reference else (BLUE, "o")
            _interval_row(axis, y, score, colour, marker, hollow=score[0] == score[1] == score[2])
    embolden(axis.get_yticklabels(), reference)
    axis.set_xlabel("IoU, %")
    marks = [
        mark("mean and interval of several runs", BLUE, "o", line=2),
        mark("single run", BLUE, "o", mfc="white"),
        mark(reference, VERMILION, "D", line=1, ls="--"),
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return finished(figure)


def score_differences(rows: Mapping[str, tuple[float, float, float, str]], reference: str) -> Figure:
    """Difference of each network's score from the reference's, with intervals, the best network on top.

    Args:
        rows: network -> (difference in percentage points, low, high, verdict); positive: the network scores higher
            than the reference. The verdict on the network is "better", "worse" or "unresolved".
        reference: the network that the others are compared with.
    """
    if not rows:
        return message(f"No differences to show: no other network has runs to compare with those of {reference}.")
    ordered = sorted(rows, key=lambda name: rows[name][0], reverse=True)
    figure, axis = _row_figure(ordered)
    axis.axvline(0, color=BLACK, lw=1)
    for y, name in enumerate(ordered):
        *score, verdict = rows[name]
        _interval_row(axis, y, score, *_VERDICTS[verdict], hollow=verdict == "unresolved")
    axis.set_xlabel(f"score minus that of {reference}, percentage points")
    marks = [mark(f"{verdict} than {reference}", *_VERDICTS[verdict], line=2) for verdict in ("better", "worse")]
    marks.append(mark("unresolved", *_VERDICTS["unresolved"], line=2, mfc="white"))
    figure.legend(handles=marks, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return finished(figure)


def statement_rows(rows: Mapping[str, tuple[float, float, float, str]]) -> Figure:
    """Difference that a statement says is above 0, with its interval, a row for each statement.

    Args:
        rows: statement -> (difference in percentage points, low, high, answer); the answer is "holds", "does not hold"
            or "not resolved".
    """
    if not rows:
        return message("No statement was tested yet.")
    figure, axis = _row_figure(list(rows))
    axis.axvline(0, color=BLACK, lw=1)
    styles = {"holds": (BLUE, "o"), "does not hold": (VERMILION, "s"), "not resolved": (GREY, "D")}
    limit = 8.0  # points; what lies beyond stands at the edge, with its number
    for y, (*score, answer) in enumerate(rows.values()):
        _interval_row(
            axis, y, [max(-limit, min(limit, end)) for end in score], *styles[answer], hollow=answer == "not resolved"
        )
        if abs(score[0]) > limit:
            side = math.copysign(1, score[0])
            text = f"{score[0]:+.0f}"
            axis.text(0.95 * side * limit, y, text, ha="right" if side > 0 else "left", va="center", fontsize="small")
    axis.set_xlim(-1.04 * limit, 1.04 * limit)
    axis.set_xlabel("difference that should be above 0, percentage points")
    marks = [
        mark(name, *style, line=2, mfc="white" if name == "not resolved" else style[0])
        for name, style in styles.items()
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return finished(figure)


def paper_dots(
    rows: Mapping[str, tuple[float | None, float | None, Interval | None, Interval | None]], highlight: str, title: str
) -> Figure:
    """IoU of each network, as printed and as measured, joined by a line, with both intervals of what was measured.

    Args:
        rows: network -> (printed, measured, measured with its interval over seeds, and over test images), from top to
            bottom; None for what is not there. Without an interval over seeds there is one seed, and a hollow dot.
        highlight: the network in a colour of its own.
        title: the finding.
    """
    figure, axis = _row_figure(list(rows))
    for y, (name, (printed, measured, seeds, images)) in enumerate(rows.items()):
        colour = VERMILION if name == highlight else BLUE
        if images is not None:
            axis.plot(images[1:], [y, y], color=colour, lw=8, alpha=0.25, solid_capstyle="butt")
        if printed is not None and measured is not None:
            axis.plot([printed, measured], [y, y], color=GREY, lw=0.8, zorder=1)
        if printed is not None:
            axis.plot(printed, y, "D", color=GREY, mfc="white", ms=6)
        if measured is not None:
            low, high = seeds[1:] if seeds else (measured, measured)
            _interval_row(axis, y, (measured, low, high), colour, "o", hollow=seeds is None)
    embolden(axis.get_yticklabels(), highlight)
    axis.set_xlabel("IoU on the test images, %")
    axis.set_title(title, loc="left", fontsize="medium", fontweight="bold")
    marks = [
        mark("paper", GREY, "D", mfc="white"),
        mark("measured, 95 % over seeds", BLUE, "o", line=2),
        mark("a single seed", BLUE, "o", mfc="white"),
        Patch(color=BLUE, alpha=0.25, label="95 % over test images"),
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    return finished(figure)


def step_dots(rows: Mapping[str, Mapping[str, float]]) -> Figure:
    """IoU of each step of a recipe on every source that was left out, a row for each step, with a bar at their mean.

    Args:
        rows: step -> source left out -> IoU in percent, from top to bottom; NaN where it was not run.
    """
    sources = list(dict.fromkeys(source for scores in rows.values() for source in scores))
    if not any(np.isfinite(iou) for scores in rows.values() for iou in scores.values()):
        return message("No scores to show: no run of these steps is stored.")
    figure, axis = _row_figure(list(rows))
    for y, scores in enumerate(rows.values()):
        for source, iou in scores.items():
            place = sources.index(source)
            axis.plot(iou, y, MARKERS[place], color=OTHERS[place], ms=6, alpha=0.9)
        if np.isfinite(mean := np.mean(list(scores.values()))):
            axis.plot([mean, mean], [y - 0.38, y + 0.38], color=BLACK, lw=2.5, zorder=3)
    axis.set_xlim(left=0)
    axis.set_xlabel("IoU of maps of the source left out, %")
    marks = [mark(f"{source} left out", OTHERS[place], MARKERS[place]) for place, source in enumerate(sources)]
    marks.append(mark("mean", BLACK, "|", 12, mew=2.5))
    figure.legend(handles=marks, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return finished(figure)


def implied_shares(panels: Mapping[str, pd.DataFrame], agreed: Mapping[str, tuple[float, float]]) -> Figure:
    """Difference between the landslide share that each row of the paper implies and the agreed one, by test set.

    Bars are rounding intervals; the axis is linear up to 0.1 points to each side and logarithmic beyond.

    Args:
        panels: title -> rows with `name`, `low` and `high` (percentage points from the agreed share), `off` ("",
            "just" or "far") and `text` beside a row that is far off.
        agreed: title -> ends of the agreed share's own interval, in the same points.
    """
    names = list(dict.fromkeys(name for rows in panels.values() for name in rows["name"]))
    figure, axes = page_figure(0.22 * len(names) + 1.3, 1, len(panels), sharey=True)
    for panel, (title, rows) in zip(axes[0], panels.items(), strict=True):
        panel.axvspan(*agreed[title], color=BLACK, alpha=0.25, lw=0)
        for row in rows.itertuples():
            y, (_, colour, marker) = names.index(row.name), _OFF[row.off]
            panel.plot([row.low, row.high], [y, y], color=colour, lw=3, solid_capstyle="butt")
            panel.plot((row.low + row.high) / 2, y, marker, color=colour, ms=5)
            if row.off == "far":
                look = {"ha": "right", "va": "center", "fontsize": 8, "bbox": {"fc": "white", "ec": "none", "pad": 0.5}}
                panel.annotate(row.text, (row.low, y), (-7, 0), textcoords="offset points", **look)
        panel.set_xscale("symlog", linthresh=0.1, linscale=1)
        panel.set_xlim(-1, 12)
        panel.set_xticks([-1, -0.1, 0, 0.1, 1, 10], ["-1", "-0.1", "0", "0.1", "1", "10"], fontsize="small")
        panel.set_title(title, fontsize="medium")
        open_frame(panel)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("implied minus agreed share of landslide pixels, percentage points", fontsize="medium")
    marks = [mark(label, colour, marker, 5, line=3) for label, colour, marker in _OFF.values()]
    figure.legend(handles=marks, loc="outside upper center", ncols=3, frameon=False)
    return finished(figure)


def cost_dots(rows: Mapping[str, tuple[float, float, float]], highlight: str, sides: Sequence[int]) -> Figure:
    """Parameters (left) and cost per megapixel at two image sizes (right), a row for each network, cheapest on top.

    Args:
        rows: label -> millions of parameters, GMAC per megapixel at the first side, and the same at the second.
        highlight: the label drawn in another colour and in bold.
        sides: of the two square images, pixels.
    """
    ordered = sorted(rows, key=lambda label: rows[label][1], reverse=True)
    figure, ((left, right),) = page_figure(0.9 + 0.24 * len(rows), 1, 2, sharey=True)
    for height, label in enumerate(ordered):
        params, small, large = rows[label]
        colour = VERMILION if label == highlight else BLUE
        left.plot(params, height, "o", color=colour, ms=5)
        right.plot([small, large], [height, height], "-", color=colour, lw=1)
        right.plot(small, height, "o", color=colour, ms=4)
        right.plot(large, height, "D", color=colour, ms=8, mfc="none")  # a frame around the dot where both agree
    left.set_yticks(range(len(ordered)), ordered)
    embolden(left.get_yticklabels(), highlight)
    left.set(xscale="log", xlabel="parameters, millions")
    right.set(xscale="log", xlabel="GMAC per megapixel")
    first, second = (f"at {side} x {side}" for side in sides)
    marks = [mark(first, BLUE, "o", 4), mark(second, BLUE, "D", 8, mfc="none")]
    right.legend(handles=marks, frameon=False, fontsize="small", loc="lower left")
    for axis in (left, right):
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        open_frame(axis)
    return finished(figure)


def _row_figure(names: Sequence[str]) -> tuple[Figure, Axes]:
    """One axis with a row for each name, the first on top."""
    figure, ((axis,),) = page_figure(1.0 + 0.26 * len(names))
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    open_frame(axis)
    return figure, axis


def _interval_row(axis: Axes, y: float, score: Sequence[float], colour: str, marker: str, hollow: bool) -> None:
    value, low, high = score
    axis.plot([low, high], [y, y], color=colour, lw=2)
    axis.plot(value, y, marker, color=colour, ms=7, mfc="white" if hollow else colour)
