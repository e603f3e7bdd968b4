"""Charts: what is found by size, scores by labels and by image size, curves of trainings, probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from scgcnet.plots.style import (
    BLACK,
    BLUE,
    CYCLE,
    LINES,
    MARKERS,
    ORANGE,
    OTHERS,
    VERMILION,
    Interval,
    embolden,
    finished,
    message,
    open_frame,
    page_figure,
)

History = Sequence[Mapping[str, float | None]]  # of a run file, by epoch: epoch, loss, val_loss, val_iou


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


def score_grid(table: pd.DataFrame, marks: Mapping[tuple[str, str], str], highlight: str) -> Figure:
    """Scores as shaded numbers: a row for each network, a column for each data set, the darker the higher within it.

    Args:
        table: scores in percent, networks as index.
        marks: (network, column) -> "+" or "-" beside a number, where a difference is resolved.
        highlight: the network in bold.
    """
    if table.empty:
        return message("No scores to show: no run of these networks is stored.")
    figure, ((axis,),) = page_figure(0.9 + 0.26 * len(table))
    values = table.to_numpy(np.float64)
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    shade = (values - low) / np.maximum(high - low, 1e-9)
    axis.imshow(shade, cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
    for y, name in enumerate(table.index):
        for x, column in enumerate(table.columns):
            text = f"{values[y, x]:.1f} {marks.get((name, column), '')}".rstrip()
            weight = "bold" if name == highlight else "normal"
            axis.text(x, y, text, ha="center", va="center", fontsize="small", weight=weight)
    axis.set_yticks(range(len(table)), list(table.index))
    axis.set_xticks(range(len(table.columns)), list(table.columns))
    axis.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axis.spines[:].set_visible(False)
    embolden(axis.get_yticklabels(), highlight)
    return finished(figure)


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
    embolden(legend.get_texts(), highlight)
    return finished(figure)


def label_curves(panels: Mapping[str, Mapping[str, Mapping[int, Interval]]], highlight: str) -> Figure:
    """IoU by the number of labelled windows, a line with its intervals for each start, and a panel for each place.

    Args:
        panels: title -> start -> windows -> (IoU, low, high), in percent; the numbers are evenly spaced.
        highlight: the start drawn in another colour.
    """
    if not panels:
        return message("No scores to show: scgcnet bench labels measures them where the images are.")
    figure, axes = page_figure(3.2, 1, len(panels), sharey=True)
    for axis, (title, starts) in zip(axes[0], panels.items(), strict=True):
        numbers = sorted({number for curve in starts.values() for number in curve})
        for place, (name, curve) in enumerate(starts.items()):
            look = _line(place, name == highlight, 1.4)
            x = np.array([numbers.index(number) for number in curve]) + 0.06 * place
            axis.plot(x, [value for value, _, _ in curve.values()], label=name, **look)
            axis.vlines(x, *zip(*(ends for _, *ends in curve.values()), strict=True), color=look["color"], lw=1)
        axis.set_title(title, fontsize="medium")
        axis.set_xticks(range(len(numbers)), [str(number) for number in numbers])
        axis.set_xlabel("labelled windows")
        open_frame(axis)
    axes[0, 0].set(ylabel="IoU, %", ylim=(0, None))  # shared; of all panels once they are drawn
    legend = figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False, fontsize="small"
    )
    embolden(legend.get_texts(), highlight)
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
    embolden(legend.get_texts(), highlight)
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


def _line(place: int, ours: bool, width: float) -> dict[str, Any]:
    """Style of a network's curve, ours heavier and in a colour of its own."""
    return {
        "color": VERMILION if ours else OTHERS[place % len(OTHERS)],
        "ls": "-" if ours else LINES[place % len(LINES)],
        "marker": MARKERS[place % len(MARKERS)],
        "lw": 2.4 if ours else width,
        "zorder": 3 if ours else 2,
    }


def _column(history: History, name: str, factor: float = 1) -> npt.NDArray[np.float64]:
    return np.array([np.nan if row[name] is None else row[name] for row in history], dtype=np.float64) * factor
