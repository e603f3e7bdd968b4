"""Scores with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scgcnet.plots.style import BLACK, BLUE, CYCLE, DPI, MARKERS, VERMILION, WIDTH, finished, message, open_frame

_GREY = "#666666"
_VERDICTS = {"better": (BLUE, "^"), "worse": (VERMILION, "v"), "unresolved": (_GREY, "o")}


def component_recall(curves: Mapping[str, Sequence[tuple[str, float, float, float]]], counts: Sequence[int]) -> Figure:
    """Share of the landslides of each size that networks find, with intervals; networks stand beside each other.

    Args:
        curves: network -> size bins as (label, share found, low, high), in percent, the same bins for all; at most 6
            networks, empty for none.
        counts: landslides (connected components of the truth) in each bin.

    Returns:
        The figure; without networks it says that there are none.

    Raises:
        ValueError: there are more than 6 networks, or networks or counts differ in their bins.
    """
    if not any(curves.values()):
        return message(
            "No shares to show: weights or data are not at hand. `scgcnet study run ID --force` makes weights."
        )
    if len(curves) > 6:
        raise ValueError(f"{len(curves)} networks: at most 6 can be told apart beside each other")
    labels = [label for label, *_ in next(iter(curves.values()))]
    if any([label for label, *_ in bins] != labels for bins in curves.values()):
        raise ValueError("networks differ in their size bins")
    if len(counts) != len(labels):
        raise ValueError(f"{len(counts)} counts for {len(labels)} size bins")
    figure, axis = plt.subplots(figsize=(WIDTH, 3.6), dpi=DPI, layout="constrained")
    for edge in range(1, len(labels)):
        axis.axvline(edge - 0.5, color=BLACK, alpha=0.2, lw=0.8)
    step = 0.8 / len(curves)
    for index, (name, bins) in enumerate(curves.items()):
        colour, marker = CYCLE[index], MARKERS[index]
        places = [i + step * (index - (len(curves) - 1) / 2) for i in range(len(bins))]
        for place, (_, _, low, high) in zip(places, bins, strict=True):
            axis.plot([place, place], [low, high], color=colour, lw=1.5)
        axis.plot(places, [value for _, value, _, _ in bins], marker, color=colour, ms=7, label=name)
    axis.set_xticks(
        range(len(labels)), [f"{label}\n{count:,} landslides" for label, count in zip(labels, counts, strict=True)]
    )
    axis.set(ylim=(-3, 103), xlim=(-0.5, len(labels) - 0.5), ylabel="landslides found, %")
    axis.tick_params(axis="x", length=0, labelsize=9)
    open_frame(axis)
    axis.grid(visible=False, axis="x")
    figure.legend(loc="outside upper center", ncols=len(curves), frameon=False, fontsize="small", handletextpad=0.2)
    return finished(figure)


def ablation_bars(rows: Mapping[str, tuple[float, float, float] | None], reference: str) -> Figure:
    """IoU of each variant of a network with its interval, a row for each, and a line at the whole network's.

    Args:
        rows: variant -> (mean, low, high) of its IoU in percent, from top to bottom; None where it was not run. A
            single run has low and high equal to the mean, and a hollow dot.
        reference: the variant that the others are compared with.

    Returns:
        The figure; where no variant was run it says so.

    Raises:
        ValueError: `reference` is not among the variants.
    """
    if not any(rows.values()):
        return message("No scores to show: no run of these variants is stored.")
    if reference not in rows:
        raise ValueError(f"{reference} is not among {', '.join(rows)}")
    figure, axis = _rows_figure(list(rows))
    if score := rows[reference]:
        axis.axvline(score[0], color=VERMILION, ls="--", lw=1)
    for y, (name, score) in enumerate(rows.items()):
        colour, marker = (VERMILION, "D") if name == reference else (BLUE, "o")
        if score is None:
            axis.text(
                0.02, y, "not run", transform=axis.get_yaxis_transform(), va="center", color=_GREY, style="italic"
            )
            continue
        mean, low, high = score
        single = low == mean == high
        axis.plot([low, high], [y, y], color=colour, lw=2)
        axis.plot(mean, y, marker, color=colour, ms=7, mfc="white" if single else colour)
    axis.get_yticklabels()[list(rows).index(reference)].set_fontweight("bold")
    axis.set_xlabel("IoU, %")
    marks = [
        Line2D([], [], color=BLUE, marker="o", ms=7, lw=2, label="mean and interval of several runs"),
        Line2D([], [], color=BLUE, marker="o", ms=7, ls="", mfc="white", label="single run"),
        Line2D([], [], color=VERMILION, marker="D", ms=7, ls="--", lw=1, label=reference),
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return finished(figure)


def score_differences(rows: Mapping[str, tuple[float, float, float, str]], reference: str) -> Figure:
    """How far each network's score is from the reference's, with intervals, the best network on top.

    Args:
        rows: network -> (difference in percentage points, low, high, verdict); a positive difference is a network
            above the reference, the verdict is "better", "worse" or "unresolved" and says what the network is.
        reference: the network that the others are compared with.

    Returns:
        The figure; without rows it says that there are none.

    Raises:
        ValueError: a verdict is none of the three.
    """
    if not rows:
        return message(f"No differences to show: no other network has runs to compare with those of {reference}.")
    if strange := {verdict for *_, verdict in rows.values()} - _VERDICTS.keys():
        raise ValueError(f"verdict {', '.join(sorted(strange))}: expected {', '.join(_VERDICTS)}")
    ordered = sorted(rows, key=lambda name: rows[name][0], reverse=True)
    figure, axis = _rows_figure(ordered)
    axis.axvline(0, color=BLACK, lw=1)
    for y, name in enumerate(ordered):
        difference, low, high, verdict = rows[name]
        colour, marker = _VERDICTS[verdict]
        axis.plot([low, high], [y, y], color=colour, lw=2)
        axis.plot(difference, y, marker, color=colour, ms=7, mfc="white" if verdict == "unresolved" else colour)
    axis.set_xlabel(f"score minus that of {reference}, percentage points")
    marks = [
        Line2D(
            [], [], color=colour, marker=marker, ms=7, lw=2, mfc="white" if verdict == "unresolved" else colour,
            label=verdict if verdict == "unresolved" else f"{verdict} than {reference}",
        )
        for verdict, (colour, marker) in _VERDICTS.items()
    ]  # fmt: skip
    figure.legend(handles=marks, loc="outside upper center", ncols=3, frameon=False, fontsize="small")
    return finished(figure)


def _rows_figure(names: Sequence[str]) -> tuple[Figure, Axes]:
    """One axis with a row for each name, the first on top."""
    figure, axis = plt.subplots(figsize=(WIDTH, 1.0 + 0.26 * len(names)), dpi=DPI, layout="constrained")
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
    open_frame(axis)
    return figure, axis
