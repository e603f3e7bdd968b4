"""Charts: scores with their intervals, costs, curves of trainings, and what thresholds and probabilities do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, NullFormatter

from scgcnet.plots.style import (
    BLACK,
    BLUE,
    CYCLE,
    GREY,
    LINES,
    MARKERS,
    ORANGE,
    VERMILION,
    finished,
    mark,
    message,
    open_frame,
    page_figure,
)

Interval = tuple[float, float, float]  # value, low, high
History = Sequence[Mapping[str, float | None]]  # of a run file, by epoch: epoch, loss, val_loss, val_iou

_OTHERS = [colour for colour in CYCLE if colour != VERMILION]
_VERDICTS = {"better": (BLUE, "^"), "worse": (VERMILION, "v"), "unresolved": (GREY, "o")}
_OFF = {
    "": ("fits", BLUE, "o"),
    "just": ("just off", ORANGE, "s"),
    "far": ("far off (OA as printed → as it would fit)", VERMILION, "D"),
}


# Rows: a network each, with dots and intervals.


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
    _embolden(axis.get_yticklabels(), reference)
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
    _embolden(axis.get_yticklabels(), highlight)
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
            axis.plot(iou, y, MARKERS[place], color=_OTHERS[place], ms=6, alpha=0.9)
        if np.isfinite(mean := np.mean(list(scores.values()))):
            axis.plot([mean, mean], [y - 0.38, y + 0.38], color=BLACK, lw=2.5, zorder=3)
    axis.set_xlim(left=0)
    axis.set_xlabel("IoU of maps of the source left out, %")
    marks = [mark(f"{source} left out", _OTHERS[place], MARKERS[place]) for place, source in enumerate(sources)]
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
    _embolden(left.get_yticklabels(), highlight)
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


def component_recall(curves: Mapping[str, Sequence[tuple[str, float, float, float]]], counts: Sequence[int]) -> Figure:
    """Share of the landslides of each size that networks find, with intervals; networks stand beside each other.

    Args:
        curves: network -> size bins as (label, share found, low, high), in percent, the same bins for all; at most 6
            networks, empty for none.
        counts: landslides (connected components of the truth) in each bin.

    Raises:
        ValueError: there are more than 6 networks.
    """
    if not any(curves.values()):
        return message("No shares to show: weights or data are missing. `scgcnet run ID --force` makes weights.")
    if len(curves) > 6:
        raise ValueError(f"{len(curves)} networks: at most 6 are distinguishable beside each other")
    labels = [label for label, *_ in next(iter(curves.values()))]
    figure, ((axis,),) = page_figure(3.6)
    for edge in range(1, len(labels)):
        axis.axvline(edge - 0.5, color=BLACK, alpha=0.2, lw=0.8)
    step = 0.8 / len(curves)
    for index, (name, bins) in enumerate(curves.items()):
        colour, marker = CYCLE[index], MARKERS[index]
        places = [i + step * (index - (len(curves) - 1) / 2) for i in range(len(bins))]
        for place, (_, _, low, high) in zip(places, bins, strict=True):
            axis.plot([place, place], [low, high], color=colour, lw=1.5)
        axis.plot(places, [value for _, value, _, _ in bins], marker, color=colour, ms=7, label=name)
    ticks = [f"{label}\n{count:,} landslides" for label, count in zip(labels, counts, strict=True)]
    axis.set_xticks(range(len(labels)), ticks)
    axis.set(ylim=(-3, 103), xlim=(-0.5, len(labels) - 0.5), ylabel="landslides found, %")
    axis.tick_params(axis="x", length=0, labelsize=9)
    open_frame(axis)
    axis.grid(visible=False, axis="x")
    figure.legend(loc="outside upper center", ncols=len(curves), frameon=False, fontsize="small", handletextpad=0.2)
    return finished(figure)


# Curves.


def increment_curves(
    scores: Mapping[str, Mapping[float, Mapping[str, float]]],
    highlight: str,
    percents: Sequence[float] = (0, 1, 5, 10, 20),
) -> Figure:
    """Recall, IoU and F1 on a new data set by the share of it that was trained on, as the paper's Fig. 8.

    The increments are evenly spaced, whatever their sizes. A line breaks where a run is missing.

    Args:
        scores: network -> percent of the new data set -> "recall", "iou" and "f1", in percent; missing ones are left
            out, and so is a network without any.
        highlight: the network drawn in another colour, with a heavier line.
        percents: the increments, from left to right.
    """
    if not any(scores.values()):
        return message("No scores to show: no run with an increment of the new data set is stored.")
    columns = min(len(scores), 5)
    figure, axes = page_figure(2.9 + 0.2 * -(-len(scores) // columns), 1, 3, sharex=True, sharey=True)
    for axis, (key, title) in zip(axes[0], {"recall": "recall", "iou": "IoU", "f1": "F1"}.items(), strict=True):
        for index, (name, runs) in enumerate(scores.items()):
            if runs:  # a name in the legend without a line would be looked for
                values = [runs.get(percent, {}).get(key, math.nan) for percent in percents]
                ours = name == highlight
                look = {**_line(index, ours, 1.2), "ms": 6 if ours else 4.5}
                axis.plot(range(len(percents)), values, label=name, **look)
        axis.set_title(title, fontsize="medium")
        axis.set_xticks(range(len(percents)), [f"{percent:g}" for percent in percents])
        open_frame(axis)
    axes[0, 0].set_ylabel("score, %")
    axes[0, 1].set_xlabel("increment, % of the new data set (evenly spaced)")
    look = {"ncols": columns, "frameon": False, "fontsize": "small", "handlelength": 3}
    legend = figure.legend(handles=axes[0, 0].lines, loc="outside lower center", **look)
    _embolden(legend.get_texts(), highlight)
    return finished(figure)


def size_curves(
    panels: Mapping[str, Mapping[str, Mapping[int, float]]], highlight: str, logarithmic: Sequence[str] = ()
) -> Figure:
    """A quantity by the side of the image, a line for each network, as the paper's Fig. 10; a panel for each quantity.

    Args:
        panels: label of the vertical axis -> network -> side in pixels -> value.
        highlight: the network drawn in another colour.
        logarithmic: labels of the vertical axes that are; the others begin at 0.
    """
    if not any(any(curves.values()) for curves in panels.values()):
        return message("No values to show.")
    figure, axes = page_figure(3.6, 1, len(panels))
    others = [name for name in dict.fromkeys(n for curves in panels.values() for n in curves) if name != highlight]
    for axis, (what, curves) in zip(axes[0], panels.items(), strict=True):
        for name, values in curves.items():
            ours = name == highlight
            look = _line(0 if ours else others.index(name), ours, 1.4)
            axis.plot(list(values), list(values.values()), label=name, **look)
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
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    _embolden(legend.get_texts(), highlight)
    return finished(figure)


def training_curves(histories: Mapping[str, History]) -> Figure:
    """Loss (left) and validation IoU (right) by epoch, a colour and a line style for each run's history by label."""
    figure, ((left, right),) = page_figure(3.0, 1, 2)
    for index, (label, history) in enumerate(histories.items()):
        look: dict[str, Any] = {"color": CYCLE[index % len(CYCLE)], "ls": LINES[index % len(LINES)]}
        epochs, iou = [row["epoch"] for row in history], _column(history, "val_iou", 100)
        left.plot(epochs, _column(history, "loss"), label=label, **look)
        left.plot(epochs, _column(history, "val_loss"), alpha=0.45, **look)
        right.plot(epochs, iou, label=label, **look)
        best = int(np.nanargmax(iou))
        right.plot(epochs[best], iou[best], "o", color=look["color"], ms=5)
    left.set(xlabel="epoch", ylabel="loss (pale: validation)", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="validation IoU, % (dot: best)", ylim=(0, 100))
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        open_frame(axis)
    right.legend(frameon=False, fontsize="small")
    return finished(figure)


def curve_grid(histories: Mapping[str, History], reference: str) -> Figure:
    """Validation IoU by epoch, a small panel for each network by label; the reference's curve is pale in all."""
    columns = 6
    rows = -(-max(len(histories), 1) // columns)
    figure, axes = page_figure(0.4 + 1.2 * rows, rows, columns, sharex=True, sharey=True)
    for axis in axes.flat[len(histories) :]:
        axis.set_visible(False)
    for axis, (label, history) in zip(axes.flat, histories.items(), strict=False):
        for shown, colour, width in ((histories.get(reference, []), "#999999", 1.0), (history, BLUE, 1.5)):
            axis.plot([row["epoch"] for row in shown], _column(shown, "val_iou", 100), color=colour, lw=width)
        axis.set_title(label, fontsize="small")
        open_frame(axis)
    figure.supxlabel("epoch", fontsize="small")
    figure.supylabel("validation IoU, %", fontsize="small")
    return finished(figure)


# Data and probabilities.


def image_histograms(sides: Sequence[float], shares: Sequence[float]) -> Figure:
    """Side of each image, pixels (left), and its share of landslide pixels, 0 to 1 (right)."""
    figure, ((left, right),) = page_figure(2.6, 1, 2)
    low, high = min(sides), max(sides)
    bins = np.geomspace(low, high, 30) if high > 1.01 * low else np.array([0.9 * low, 1.1 * low])
    left.hist(sides, bins=bins.tolist(), color=BLUE)
    left.set(xscale="log", xlabel="side of an image, pixels (square root of its area)", ylabel="images")
    left.xaxis.set_major_formatter("{x:.0f}")
    left.xaxis.set_minor_formatter(NullFormatter())
    right.hist([100 * share for share in shares], bins=30, color=ORANGE)
    right.set(xlabel="landslide, % of an image", ylabel="images")
    for axis in (left, right):
        open_frame(axis)
    return finished(figure)


def reliability_diagram(networks: Mapping[str, Mapping[str, pd.DataFrame]]) -> Figure:
    """Share of landslide among pixels by their probability, and their number; a column for each network.

    `networks`: title -> label of a curve -> bins of `explain.failures.reliability`.
    """
    figure, axes = page_figure(4.6, 2, len(networks), height_ratios=(3, 1), sharex=True, sharey="row")
    for (upper, lower), (title, curves) in zip(axes.T, networks.items(), strict=True):
        upper.plot([0, 1], [0, 1], color="0.5", linewidth=1, label="calibrated")
        for place, (label, bins) in enumerate(curves.items()):
            look: dict[str, Any] = {"color": CYCLE[place], "marker": MARKERS[place]}
            upper.plot(bins.confidence, bins.frequency, label=label, **look)
            middles = (np.arange(len(bins)) + 0.5) / len(bins)
            lower.plot(middles, 100 * bins.pixels / max(bins.pixels.sum(), 1), **look)
        upper.set_title(title, fontsize="medium")
        upper.legend(fontsize="small", frameon=False)
        lower.set(yscale="log", xlabel="probability of landslide", xlim=(0, 1), ylim=(0.1, 100))
        lower.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        lower.minorticks_off()
        for axis in (upper, lower):
            open_frame(axis)
    axes[0, 0].set_ylabel("share that is landslide")
    axes[1, 0].set_ylabel("pixels, %")
    return finished(figure)


def threshold_curves(networks: Mapping[str, tuple[npt.NDArray[np.float64], float, float]]) -> Figure:
    """IoU on the test part by threshold: a filled mark where validation chose it, a hollow one at the highest.

    `networks`: title -> IoU at the thresholds 0.01, 0.02, ... (fractions), the chosen threshold, the best on test.
    """
    figure, ((axis,),) = page_figure(3.2)
    for place, (title, (ious, chosen, best)) in enumerate(networks.items()):
        colour = CYCLE[place]
        axis.plot(np.arange(1, len(ious) + 1) / 100, 100 * ious, color=colour, label=title)
        for threshold, fill in ((chosen, colour), (best, "white")):
            height = 100 * ious[round(100 * threshold) - 1]
            axis.plot(threshold, height, marker=MARKERS[place], color=colour, markerfacecolor=fill, markersize=8)
    axis.set(xlabel="threshold", ylabel="IoU on the test part, %", xlim=(0, 1))
    axis.legend(fontsize="small", frameon=False)
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


def _line(place: int, ours: bool, width: float) -> dict[str, Any]:
    """Style of a network's curve, ours heavier and in a colour of its own."""
    return {
        "color": VERMILION if ours else _OTHERS[place % len(_OTHERS)],
        "ls": "-" if ours else LINES[place % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
        "lw": 2.4 if ours else width,
        "zorder": 3 if ours else 2,
    }


def _embolden(texts: Iterable[Text], name: str) -> None:
    for text in texts:
        text.set_fontweight("bold" if text.get_text() == name else "normal")


def _column(history: History, name: str, factor: float = 1) -> npt.NDArray[np.float64]:
    return np.array([np.nan if row[name] is None else row[name] for row in history], dtype=np.float64) * factor
