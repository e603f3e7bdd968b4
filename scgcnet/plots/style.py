"""Width, colours, line styles, and how a figure is opened and closed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

WIDTH = 8.0  # inches; the theme shows it at about 750 pixels
DPI = 120

Interval = tuple[float, float, float]  # value, low, high

# Okabe and Ito's palette, distinguishable with any kind of colour vision.
BLUE, ORANGE, PURPLE, GREEN = "#0072B2", "#E69F00", "#CC79A7", "#009E73"
SKY, VERMILION, BLACK, GREY = "#56B4E9", "#D55E00", "#000000", "#666666"
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)
OTHERS = [colour for colour in CYCLE if colour != VERMILION]  # of curves beside the one in vermilion
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def page_figure(
    height: float, rows: int = 1, columns: int = 1, dpi: float | None = DPI, layout: Any = "constrained", **options: Any
) -> tuple[Figure, npt.NDArray[Any]]:
    """A figure as wide as a page and `height` inches high, and its axes (rows, columns); `options` as of subplots."""
    return plt.subplots(rows, columns, figsize=(WIDTH, height), dpi=dpi, layout=layout, squeeze=False, **options)


def open_figure(height: float) -> Figure:
    """A figure as wide as a page without axes, for parts of its own."""
    return plt.figure(figsize=(WIDTH, height), dpi=DPI, layout="constrained")


def finished(figure: Figure) -> Figure:
    """Take the figure from pyplot's list, or a notebook shows it twice: as result of the cell and as left open."""
    plt.close(figure)
    return figure


def message(text: str) -> Figure:
    """A low figure with one sentence, where there is nothing to draw yet."""
    figure = plt.figure(figsize=(WIDTH, 0.8))
    figure.add_axes((0, 0, 1, 1)).set_axis_off()  # a notebook shows no figure without axes
    figure.text(0.5, 0.5, textwrap.fill(text, 100), ha="center", va="center")
    return finished(figure)


def open_frame(axis: Axes) -> None:
    """Pale grid lines, and no line at the top and at the right."""
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def mark(label: str, colour: str, marker: str, size: float = 7, line: float | None = None, **style: Any) -> Line2D:
    """An entry of a legend: a marker, on a line of so many points where `line` is given."""
    strokes = {"ls": ""} if line is None else {"lw": line}
    return Line2D([], [], color=colour, marker=marker, ms=size, label=label, **{**strokes, **style})


def embolden(texts: Iterable[Text], name: str) -> None:
    """Set one name in bold among those of an axis or a legend."""
    for text in texts:
        text.set_fontweight("bold" if text.get_text() == name else "normal")
