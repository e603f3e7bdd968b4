"""Which networks differ, by their mean ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scgcnet.plots.style import BLACK, BLUE, DPI, VERMILION, WIDTH, finished, message

# Heights downwards from the scale, in units of _UNIT inches: the critical difference and the first bar, and then a bar
# and a name.
_UNIT = 0.2
_CRITICAL, _BARS, _LEVEL, _ROW = -2.8, 0.6, 0.5, 1.0


def critical_difference(
    ranks: Mapping[str, float], critical: float, cliques: Sequence[Sequence[str]], highlight: str
) -> Figure:
    """Demsar's diagram: networks at their mean ranks, the best on the right, and bars over those that do not differ.

    As in J. Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006), Fig. 1.

    Args:
        ranks: network -> mean rank over the test sets, 1 (best) to the number of networks; empty for none.
        critical: the least difference of two mean ranks that counts, in ranks.
        cliques: groups of networks that do not differ; each is a bar from its best rank to its worst. A group of one
            gets none.
        highlight: the network drawn in another colour and in bold.

    Returns:
        The figure; without ranks it says that there are none.

    Raises:
        ValueError: a group holds a network without a rank, or a rank is not between 1 and the number of networks.
    """
    if not ranks:
        return message("No ranks to show: they need stored runs of several networks on the same test sets.")
    if unranked := {name for clique in cliques for name in clique} - ranks.keys():
        raise ValueError(f"no mean rank for {', '.join(sorted(unranked))}, which a group holds")
    n = len(ranks)
    if outside := [f"{name} {rank}" for name, rank in ranks.items() if not 1 <= rank <= n]:
        raise ValueError(f"mean ranks of {n} networks lie between 1 and {n}: {', '.join(outside)}")
    bars = _levels([(min(group), max(group)) for clique in cliques if len(group := [ranks[m] for m in clique]) > 1])
    depth = _BARS + _LEVEL * (1 + max((level for _, _, level in bars), default=-1))  # where the names begin
    rows = -(-n // 2)
    bottom = depth + _ROW * rows
    figure, axis = plt.subplots(figsize=(WIDTH, _UNIT * (bottom + 4.2)), dpi=DPI, layout="constrained")
    last = max(n, 2)  # an axis needs a length
    axis.set(xlim=(last, min(1, last - critical)), ylim=(bottom, _CRITICAL - 1.2))
    axis.axis("off")
    _scale(axis, last)
    axis.plot([last, last - critical], [_CRITICAL, _CRITICAL], "|-", color=BLACK, lw=1.5, ms=7, clip_on=False)
    axis.text(last, _CRITICAL - 0.3, f"critical difference {critical:.2f}", va="bottom", fontsize=9)
    for low, high, level in bars:
        y = _BARS + _LEVEL * level
        axis.plot([high + 0.006 * last, low - 0.006 * last], [y, y], color=BLACK, lw=4, solid_capstyle="butt")
    ordered = sorted(ranks, key=ranks.__getitem__)
    for row, name in enumerate(ordered[:rows]):
        _leader(axis, name, ranks[name], depth + _ROW * (row + 0.5), 1 - 0.02 * last, name == highlight)
    for row, name in enumerate(reversed(ordered[rows:])):
        _leader(axis, name, ranks[name], depth + _ROW * (row + 0.5), last + 0.02 * last, name == highlight)
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


def _scale(axis: Axes, last: int) -> None:
    axis.plot([1, last], [0, 0], color=BLACK, lw=1)
    for rank in range(1, last + 1):
        axis.plot([rank, rank], [0, -0.3], color=BLACK, lw=1)
        axis.text(rank, -0.45, str(rank), ha="center", va="bottom", fontsize=9)
    axis.text((1 + last) / 2, -1.4, "mean rank (1 is best)", ha="center", va="bottom", fontsize=9)


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
