"""What all figures share: width, colours, line styles, and how a figure is handed over."""

from __future__ import annotations

import textwrap

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 8.0  # inches; the theme shows it at about 750 pixels
DPI = 120

# Okabe and Ito's palette, told apart with any kind of colour vision.
BLUE, ORANGE, PURPLE, GREEN, SKY, VERMILION, BLACK = (
    "#0072B2",
    "#E69F00",
    "#CC79A7",
    "#009E73",
    "#56B4E9",
    "#D55E00",
    "#000000",
)
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)
LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def finished(figure: Figure) -> Figure:
    """Take the figure from pyplot's list, or a notebook shows it twice: as result of the cell and as left open."""
    plt.close(figure)
    return figure


def message(text: str) -> Figure:
    """A low figure that holds nothing but a sentence, where there is nothing to draw yet."""
    figure = plt.figure(figsize=(WIDTH, 0.8))
    figure.add_axes((0, 0, 1, 1)).set_axis_off()  # a notebook shows no figure without axes
    figure.text(0.5, 0.5, textwrap.fill(text, 100), ha="center", va="center")
    return finished(figure)


def open_frame(axis: Axes) -> None:
    """Pale grid lines, and no line at the top and at the right."""
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
