"""Scores over the weights of the three losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from scgcnet.plots.style import BLACK, DPI, VERMILION, WIDTH, finished, message

Weights = tuple[float, float, float]

#: Corners of the triangle where the weight of DWCE, focal and Lovasz loss is 1.
_CORNERS = np.array([[0.5, math.sqrt(0.75)], [0, 0], [1, 0]])
_LOSSES = ("DWCE", "focal", "Lovász")
_GREY = "#666666"

Cell = tuple[int, int, int]  # weights in steps of the grid


def weight_triangle(
    scores: Mapping[Weights, float], marked: Weights, score: str = "validation F1, %", step: float = 0.1
) -> Figure:
    """Validation score over the weights of dynamic weighted cross-entropy, focal and Lovasz loss, which sum to 1.

    Each corner is one loss alone; a weight falls to 0 towards the opposite side. Points of the grid that were not run
    are hollow dots. The best is marked where there are two to choose from.

    Args:
        scores: (dwce, focal, lovasz) -> score in percent; empty for none.
        marked: the weights of the paper, which get a ring.
        score: what the scores are, for the colour bar.
        step: of the grid, a unit fraction such as 0.1.

    Returns:
        The figure; without scores it says that there are none.

    Raises:
        ValueError: weights do not sum to 1, are negative, or lie between the points of the grid.
    """
    if not scores:
        return message("No scores to show: no trial of the loss's weights is stored.")
    n = round(1 / step)
    found = {_cell(weights, n): value for weights, value in scores.items()}
    paper, best = _cell(marked, n), max(found, key=found.__getitem__)
    grid = [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]

    figure, axis = plt.subplots(figsize=(WIDTH, 6.2), dpi=DPI, layout="constrained")
    axis.set_aspect("equal")
    axis.axis("off")
    hexagons = PolyCollection([_hexagon(_place(cell, n), 1 / n) for cell in found], cmap="cividis", lw=0.5, ec="white")
    hexagons.set_array(np.array(list(found.values())))
    axis.add_collection(hexagons)
    missing = np.array([_place(cell, n) for cell in grid if cell not in found]).reshape(-1, 2)
    axis.plot(*missing.T, "o", ms=6, mfc="none", color=_GREY)
    handles = []
    marks = [("paper", paper, "o", 16, VERMILION), ("best", best, "D", 21, BLACK)]
    for title, cell, marker, size, colour in marks[: len(found)]:  # the only one is not the best of anything
        axis.plot(*_place(cell, n), marker, ms=size, mfc="none", color="white", mew=4)  # seen on any hexagon
        axis.plot(*_place(cell, n), marker, ms=size, mfc="none", color=colour, mew=2)
        text = f"{title}: {_written(cell, n)}, {f'{found[cell]:.2f} %' if cell in found else 'not run'}"
        handles.append(Line2D([], [], ls="", marker=marker, ms=12, mfc="none", mew=2, color=colour, label=text))
    handles.append(Line2D([], [], ls="", marker="o", ms=6, mfc="none", color=_GREY, label="not run"))
    _sides(axis, n)
    bar = axis.inset_axes((1.05, 0.42, 0.035, 0.45), transform=axis.transData)  # the empty corner beside the triangle
    figure.colorbar(hexagons, cax=bar, label=score)
    figure.legend(
        handles=handles,
        title=f"weights of {' / '.join(_LOSSES)}",
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=9,
        title_fontsize=9,
    )
    return finished(figure)


def _cell(weights: Weights, n: int) -> Cell:
    """Weights in steps of the grid."""
    i, j, k = (round(weight * n) for weight in weights)
    if (
        min(i, j, k) < 0
        or i + j + k != n
        or any(abs(w * n - c) > 1e-6 for w, c in zip(weights, (i, j, k), strict=True))
    ):
        raise ValueError(f"weights {weights} are not multiples of 1/{n} from 0 to 1 that sum to 1")
    return i, j, k


def _place(cell: Cell, n: int) -> npt.NDArray[np.float64]:
    place: npt.NDArray[np.float64] = np.array(cell) @ _CORNERS / n
    return place


def _hexagon(middle: npt.NDArray[np.float64], spacing: float) -> npt.NDArray[np.float64]:
    angles = np.radians(np.arange(30, 390, 60))
    return middle + spacing / math.sqrt(3) * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _written(cell: Cell, n: int) -> str:
    return " / ".join(f"{part / n:g}" for part in cell)


def _sides(axis: Axes, n: int) -> None:
    """Along each side a scale of one weight, its ticks slanted as the lines on which that weight stays the same."""
    middle = _CORNERS.mean(axis=0)
    for loss, other in ((0, 1), (1, 2), (2, 0)):  # the weight of `loss` grows from the corner of `other` to its own
        start, end = _CORNERS[other], _CORNERS[loss]
        slant = (start - _CORNERS[3 - loss - other]) / n  # one step of the grid outwards
        axis.plot(*np.stack([start + 0.65 * slant, end + 0.65 * slant], axis=1), color=BLACK, lw=0.8)
        for i in range(n + 1):
            at = start + (end - start) * i / n
            axis.plot(*np.stack([at + 0.65 * slant, at + 0.85 * slant], axis=1), color=BLACK, lw=0.8)
            if 5 * i % n == 0:
                _text(axis, at + 1.3 * slant, f"{i / n:g}")
        corner = end + (end - middle) / np.linalg.norm(end - middle) * 1.5 / n
        _text(axis, corner, f"{_LOSSES[loss]} only", ha=("center", "right", "left")[loss], fontweight="bold")
        half = (start + end) / 2
        along = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
        leftwards = abs(along) > 90  # where the text, which reads from left to right, runs against the scale
        text = f"← weight of {_LOSSES[loss]}" if leftwards else f"weight of {_LOSSES[loss]} →"
        outwards = (half - middle) / np.linalg.norm(half - middle)
        _text(axis, half + 2.1 / n * outwards, text, rotation=along - 180 if leftwards else along)


def _text(axis: Axes, place: npt.NDArray[np.float64], text: str, **style: Any) -> None:
    x, y = place
    axis.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": 9, **style})
