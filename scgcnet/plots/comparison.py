"""Networks beside each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter

from scgcnet.plots.style import BLUE, CYCLE, DPI, LINES, MARKERS, VERMILION, WIDTH, finished, message, open_frame


def cost_dots(rows: Mapping[str, tuple[float, float, float]], highlight: str, sides: Sequence[int]) -> Figure:
    """Parameters (left) and cost per megapixel at two image sizes (right), a row for each network, cheapest on top.

    Args:
        rows: label -> millions of parameters, GMAC per megapixel at the first side, and the same at the second.
        highlight: the label drawn in another colour and in bold.
        sides: of the two square images, pixels.
    """
    ordered = sorted(rows, key=lambda label: rows[label][1], reverse=True)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 0.9 + 0.24 * len(rows)), dpi=DPI, layout="constrained", sharey=True
    )
    for height, label in enumerate(ordered):
        params, small, large = rows[label]
        colour = VERMILION if label == highlight else BLUE
        left.plot(params, height, "o", color=colour, ms=5)
        right.plot([small, large], [height, height], "-", color=colour, lw=1)
        right.plot(small, height, "o", color=colour, ms=4)
        right.plot(large, height, "D", color=colour, ms=8, mfc="none")  # a frame around the dot where both agree
    left.set_yticks(range(len(ordered)), ordered)
    for text in left.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() == highlight else "normal")
    left.set(xscale="log", xlabel="parameters, millions")
    right.set(xscale="log", xlabel="GMAC per megapixel")
    marks = [
        Line2D([], [], ls="", marker="o", color=BLUE, ms=4, label=f"at {sides[0]} x {sides[0]}"),
        Line2D([], [], ls="", marker="D", color=BLUE, ms=8, mfc="none", label=f"at {sides[1]} x {sides[1]}"),
    ]
    right.legend(handles=marks, frameon=False, fontsize="small", loc="lower left")
    for axis in (left, right):
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return finished(figure)


def increment_curves(
    scores: Mapping[str, Mapping[float, Mapping[str, float]]],
    highlight: str,
    percents: Sequence[float] = (0, 1, 5, 10, 20),
) -> Figure:
    """Recall, IoU and F1 on a new data set by how much of it was trained on, as the paper's Fig. 8.

    The increments are evenly spaced, whatever their sizes. A line breaks where a run is missing.

    Args:
        scores: network -> percent of the new data set -> "recall", "iou" and "f1", in percent; what is missing is
            left out, and so is a network without any.
        highlight: the network drawn in another colour, with a heavier line.
        percents: the increments, from left to right.

    Returns:
        The figure; without scores it says that there are none.

    Raises:
        ValueError: a score belongs to an increment that is not in `percents`.
    """
    if not any(scores.values()):
        return message("No scores to show: no run with an increment of the new data set is stored.")
    if strange := {percent for runs in scores.values() for percent in runs} - set(percents):
        raise ValueError(f"increments {sorted(strange)} are not among {list(percents)}")
    columns = min(len(scores), 5)
    rows = -(-len(scores) // columns)
    figure, axes = plt.subplots(
        1, 3, figsize=(WIDTH, 2.9 + 0.2 * rows), dpi=DPI, layout="constrained", sharex=True, sharey=True
    )
    colours = [colour for colour in CYCLE if colour != VERMILION]
    for axis, (key, title) in zip(axes, {"recall": "recall", "iou": "IoU", "f1": "F1"}.items(), strict=True):
        for index, (name, runs) in enumerate(scores.items()):
            if not runs:  # a name in the legend without a line would be looked for
                continue
            values = [runs.get(percent, {}).get(key, math.nan) for percent in percents]
            axis.plot(
                range(len(percents)),
                values,
                color=VERMILION if name == highlight else colours[index % len(colours)],
                ls="-" if name == highlight else LINES[index % len(LINES)],
                marker=MARKERS[index % len(MARKERS)],
                lw=2.4 if name == highlight else 1.2,
                ms=6 if name == highlight else 4.5,
                zorder=3 if name == highlight else 2,
                label=name,
            )
        axis.set_title(title, fontsize="medium")
        axis.set_xticks(range(len(percents)), [f"{percent:g}" for percent in percents])
        open_frame(axis)
    axes[0].set_ylabel("score, %")
    axes[1].set_xlabel("increment, % of the new data set (evenly spaced)")
    legend = figure.legend(
        handles=axes[0].lines, loc="outside lower center", ncols=columns, frameon=False, fontsize="small",
        handlelength=3,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_fontweight("bold" if text.get_text() == highlight else "normal")
    return finished(figure)


def size_curves(
    panels: Mapping[str, Mapping[str, Mapping[int, float]]],
    highlight: str,
    logarithmic: Sequence[str] = (),
) -> Figure:
    """Something by the side of the image, a line for each network, as the paper's Fig. 10; a panel for each thing.

    Args:
        panels: label of the vertical axis -> network -> side in pixels -> value.
        highlight: the network drawn in another colour, with a heavier line.
        logarithmic: labels of the vertical axes that are; the others begin at 0.

    Returns:
        The figure; without values it says that there are none.
    """
    if not any(any(curves.values()) for curves in panels.values()):
        return message("No values to show.")
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.6), dpi=DPI, layout="constrained", squeeze=False)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    others = [name for name in names if name != highlight]
    for axis, (what, curves) in zip(axes.flat, panels.items(), strict=True):
        for name, values in curves.items():
            ours = name == highlight
            place = 0 if ours else others.index(name)
            axis.plot(
                list(values),
                list(values.values()),
                color=VERMILION if ours else [c for c in CYCLE if c != VERMILION][place % (len(CYCLE) - 1)],
                ls=LINES[place % len(LINES)],
                marker=MARKERS[place % len(MARKERS)],
                lw=2.4 if ours else 1.4,
                zorder=3 if ours else 2,
                label=name,
            )
        sides = sorted({side for values in curves.values() for side in values})
        axis.set(xscale="log", xlabel="side of the image, pixels", ylabel=what)
        axis.set_xticks(sides, [str(side) for side in sides], rotation=45)
        if what in logarithmic:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
        else:
            axis.set_ylim(bottom=0)
        axis.minorticks_off()
        open_frame(axis)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    for text in legend.get_texts():
        text.set_fontweight("bold" if text.get_text() == highlight else "normal")
    return finished(figure)
