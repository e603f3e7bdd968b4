"""Figures with a geometry of their own: ranks on a scale, scores in a triangle of weights, claims as squares."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from scgcnet.plots.style import BLACK, BLUE, GREY, VERMILION, finished, mark, message, page_figure

# Heights below the scale of ranks, in units of _UNIT inches: critical difference, first bar, next bar, name.
_UNIT = 0.2
_CRITICAL, _BARS, _LEVEL, _ROW = -2.8, 0.6, 0.5, 1.0


#: By the words of both columns of the ledger.
_VERDICT = {
    **dict.fromkeys(("supported", "holds"), (BLUE, "-")),
    **dict.fromkeys(("contradicted", "does not hold"), (VERMILION, "-")),
    **dict.fromkeys(("unresolved", "not resolved"), ("#BBBBBB", "-")),
    **dict.fromkeys(("not run", "not tested"), ("white", ":")),
}
_LEGEND = ("supported, holds", "contradicted, does not hold", "unresolved", "not run, not tested")


def claim_squares(panels: Mapping[str, Mapping[str, Sequence[str]]]) -> Figure:
    """A square for each claim, coloured by its verdict, in a row for each table or figure that it rests on.

    Args:
        panels: title -> exhibit -> verdicts of its claims ("supported", "contradicted", "unresolved", "not run"), or
            answers ("holds", "does not hold", "not resolved", "not tested"), from top to bottom. All panels have the
            same exhibits.
    """
    most = max((len(verdicts) for rows in panels.values() for verdicts in rows.values()), default=0)
    if not most:
        return message("No claims to show.")
    names = list(next(iter(panels.values())))
    figure, (axes,) = page_figure(0.3 * len(names) + 1.0, 1, len(panels), sharey=True)
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        for y, verdicts in enumerate(rows.values()):
            for x, verdict in enumerate(sorted(verdicts, key=list(_VERDICT).index)):
                face, line = _VERDICT[verdict]
                axis.add_patch(Rectangle((x - 0.42, y - 0.42), 0.84, 0.84, fc=face, ec=GREY, ls=line, lw=1))
        axis.set_title(title, loc="left", fontsize="medium")
        axis.set_xlim(-0.6, most - 0.4)
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_aspect("equal", anchor="W")
        axis.set_yticks(range(len(names)), names)
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    faces = list(dict.fromkeys(_VERDICT.values()))
    marks = [Patch(fc=face, ec=GREY, ls=line, label=name) for name, (face, line) in zip(_LEGEND, faces, strict=True)]
    figure.legend(handles=marks, loc="outside upper center", ncols=4, frameon=False, fontsize="small")
    return finished(figure)


def critical_difference(
    ranks: Mapping[str, float], critical: float, cliques: Sequence[Sequence[str]], highlight: str
) -> Figure:
    """Demsar's diagram: networks at their mean ranks, the best on the right, and bars over those that do not differ.

    Source: J. Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), Fig. 1.

    Args:
        ranks: network -> mean rank over the test sets, 1 (best) to the number of networks; empty for none.
        critical: the least significant difference of two mean ranks.
        cliques: groups of networks that do not differ; each is a bar from its best rank to its worst, except a group
            of one.
        highlight: the network drawn in another colour and in bold.
    """
    if not ranks:
        return message("No ranks to show: they need stored runs of several networks on the same test sets.")
    n = len(ranks)
    bars = _levels([(min(group), max(group)) for clique in cliques if len(group := [ranks[m] for m in clique]) > 1])
    depth = _BARS + _LEVEL * (1 + max((level for _, _, level in bars), default=-1))  # where the names begin
    rows = -(-n // 2)
    bottom = depth + _ROW * rows
    figure, ((axis,),) = page_figure(_UNIT * (bottom + 4.2))
    last = max(n, 2)  # an axis needs a length
    axis.set(xlim=(last, min(1, last - critical)), ylim=(bottom, _CRITICAL - 1.2))
    axis.axis("off")
    axis.plot([1, last], [0, 0], color=BLACK, lw=1)
    for rank in range(1, last + 1):
        axis.plot([rank, rank], [0, -0.3], color=BLACK, lw=1)
        axis.text(rank, -0.45, str(rank), ha="center", va="bottom", fontsize=9)
    axis.text((1 + last) / 2, -1.4, "mean rank (1 is best)", ha="center", va="bottom", fontsize=9)
    axis.plot([last, last - critical], [_CRITICAL, _CRITICAL], "|-", color=BLACK, lw=1.5, ms=7, clip_on=False)
    axis.text(last, _CRITICAL - 0.3, f"critical difference {critical:.2f}", va="bottom", fontsize=9)
    for low, high, level in bars:
        y = _BARS + _LEVEL * level
        axis.plot([high + 0.006 * last, low - 0.006 * last], [y, y], color=BLACK, lw=4, solid_capstyle="butt")
    ordered = sorted(ranks, key=ranks.__getitem__)
    for side, end in ((ordered[:rows], 1 - 0.02 * last), (ordered[rows:][::-1], last + 0.02 * last)):
        for row, name in enumerate(side):
            _leader(axis, name, ranks[name], depth + _ROW * (row + 0.5), end, name == highlight)
    return finished(figure)


def _levels(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float, int]]:
    """Spans of ranks with the row that each is drawn in, so that no two touch."""
    ends: list[float] = []
    placed = []
    for low, high in sorted(spans):
        level = next((level for level, end in enumerate(ends) if end < low - 0.3), len(ends))
        ends[level : level + 1] = [high]
        placed.append((low, high, level))
    return placed


def _leader(axis: Axes, name: str, rank: float, y: float, end: float, highlighted: bool) -> None:
    """A dot on the scale, a line down to the name's row and out to the side, and the name with its rank."""
    colour = VERMILION if highlighted else BLUE
    axis.plot([rank, rank, end], [0, y, y], color=colour, lw=1.8 if highlighted else 0.9)
    axis.plot(rank, 0, "D" if highlighted else "o", color=colour, ms=6 if highlighted else 4, zorder=3)
    on_the_right = end < 1
    axis.annotate(
        f"{name} ({rank:.2f})",
        (end, y),
        (4 if on_the_right else -4, 0),
        textcoords="offset points",
        ha="left" if on_the_right else "right",
        va="center",
        fontsize=9,
        fontweight="bold" if highlighted else "normal",
        annotation_clip=False,
    )


Weights = tuple[float, float, float]
Cell = tuple[int, int, int]  # weights in steps of the grid

#: Corners of the triangle where the weight of DWCE, focal and Lovasz loss is 1.
_CORNERS = np.array([[0.5, math.sqrt(0.75)], [0, 0], [1, 0]])
_LOSSES = ("DWCE", "focal", "Lovász")


def weight_triangle(
    scores: Mapping[Weights, float], marked: Weights, score: str = "validation F1, %", step: float = 0.1
) -> Figure:
    """Validation score over the weights of dynamic weighted cross-entropy, focal and Lovasz loss, which sum to 1.

    Each corner is one loss alone; a weight falls to 0 towards the opposite side. Grid points without a trial are
    hollow dots. The best is marked where there are two or more.

    Args:
        scores: (dwce, focal, lovasz) -> score in percent; empty for none.
        marked: the weights of the paper, which get a ring.
        score: label of the colour bar.
        step: of the grid, a unit fraction such as 0.1.

    Raises:
        ValueError: weights do not sum to 1, are negative, or lie between the points of the grid.
    """
    if not scores:
        return message("No scores to show: no trial of the loss's weights is stored.")
    n = round(1 / step)
    found = {_cell(weights, n): value for weights, value in scores.items()}
    paper, best = _cell(marked, n), max(found, key=found.__getitem__)
    grid = [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]

    figure, ((axis,),) = page_figure(6.2)
    axis.set_aspect("equal")
    axis.axis("off")
    angles = np.radians(np.arange(30, 390, 60))
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1) / (n * math.sqrt(3))
    hexagons = PolyCollection([_place(cell, n) + corners for cell in found], cmap="cividis", lw=0.5, ec="white")
    hexagons.set_array(np.array(list(found.values())))
    axis.add_collection(hexagons)
    missing = np.array([_place(cell, n) for cell in grid if cell not in found]).reshape(-1, 2)
    axis.plot(*missing.T, "o", ms=6, mfc="none", color=GREY)
    handles = []
    marks = [("paper", paper, "o", 16, VERMILION), ("best", best, "D", 21, BLACK)]
    for title, cell, marker, size, colour in marks[: len(found)]:  # a single one is not the best of anything
        axis.plot(*_place(cell, n), marker, ms=size, mfc="none", color="white", mew=4)  # visible on any hexagon
        axis.plot(*_place(cell, n), marker, ms=size, mfc="none", color=colour, mew=2)
        weights = " / ".join(f"{part / n:g}" for part in cell)
        text = f"{title}: {weights}, {f'{found[cell]:.2f} %' if cell in found else 'not run'}"
        handles.append(mark(text, colour, marker, 12, mfc="none", mew=2))
    handles.append(mark("not run", GREY, "o", 6, mfc="none"))
    _sides(axis, n)
    bar = axis.inset_axes((1.05, 0.42, 0.035, 0.45), transform=axis.transData)  # the empty corner beside the triangle
    figure.colorbar(hexagons, cax=bar, label=score)
    look: dict[str, Any] = {
        "loc": "outside lower center",
        "ncols": 3,
        "frameon": False,
        "fontsize": 9,
        "title_fontsize": 9,
    }
    figure.legend(handles=handles, title=f"weights of {' / '.join(_LOSSES)}", **look)
    return finished(figure)


def _cell(weights: Weights, n: int) -> Cell:
    i, j, k = (round(weight * n) for weight in weights)
    between = any(abs(weight * n - c) > 1e-6 for weight, c in zip(weights, (i, j, k), strict=True))
    if between or min(i, j, k) < 0 or i + j + k != n:
        raise ValueError(f"weights {weights} are not multiples of 1/{n} from 0 to 1 that sum to 1")
    return i, j, k


def _place(cell: Cell, n: int) -> npt.NDArray[np.float64]:
    place: npt.NDArray[np.float64] = np.array(cell) @ _CORNERS / n
    return place


def _sides(axis: Axes, n: int) -> None:
    """A scale of one weight along each side, its ticks slanted as the lines of equal weight."""
    middle = _CORNERS.mean(axis=0)

    def text(place: npt.NDArray[np.float64], words: str, **style: Any) -> None:
        x, y = place
        axis.text(x, y, words, **{"ha": "center", "va": "center", "fontsize": 9, **style})

    for loss, other in ((0, 1), (1, 2), (2, 0)):  # the weight of `loss` grows from the corner of `other` to its own
        start, end = _CORNERS[other], _CORNERS[loss]
        slant = (start - _CORNERS[3 - loss - other]) / n  # one step of the grid outwards
        axis.plot(*np.stack([start + 0.65 * slant, end + 0.65 * slant], axis=1), color=BLACK, lw=0.8)
        for i in range(n + 1):
            at = start + (end - start) * i / n
            axis.plot(*np.stack([at + 0.65 * slant, at + 0.85 * slant], axis=1), color=BLACK, lw=0.8)
            if 5 * i % n == 0:
                text(at + 1.3 * slant, f"{i / n:g}")
        corner = end + (end - middle) / np.linalg.norm(end - middle) * 1.5 / n
        text(corner, f"{_LOSSES[loss]} only", ha=("center", "right", "left")[loss], fontweight="bold")
        half = (start + end) / 2
        along = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
        leftwards = abs(along) > 90  # the text reads from left to right, against the scale
        words = f"← weight of {_LOSSES[loss]}" if leftwards else f"weight of {_LOSSES[loss]} →"
        outwards = (half - middle) / np.linalg.norm(half - middle)
        text(half + 2.1 / n * outwards, words, rotation=along - 180 if leftwards else along)
