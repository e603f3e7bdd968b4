"""A scene and its map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from scgcnet.plots.style import DPI, VERMILION, WIDTH, finished

if TYPE_CHECKING:
    from scgcnet.chapters.mapping import MapView


def scene_map(shown: MapView) -> Figure:
    """The outlines of the landslides over the scene, and beside it the probability with the threshold marked.

    Args:
        shown: what to draw; no-data stays white in the probability.
    """
    height, width = shown.probability.shape
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 0.47 * WIDTH * min(height / width, 2) + 0.7), dpi=DPI, layout="constrained"
    )
    left.imshow(shown.image)
    for points in shown.outlines:
        left.plot(*(points - 0.5).T, color="white", linewidth=2)
        left.plot(*(points - 0.5).T, color=VERMILION, linewidth=1)
    number = f"{shown.polygons} polygon{'s' * (shown.polygons != 1)}"
    left.set_title(number if shown.polygons else "no landslide found", fontsize="medium")
    drawn = right.imshow(shown.probability, cmap="cividis", vmin=0, vmax=1)
    right.set_title("probability", fontsize="medium")
    bar = figure.colorbar(drawn, ax=right, shrink=0.8)
    bar.ax.axhline(shown.threshold, color=VERMILION, linewidth=2)
    for axis in (left, right):
        axis.set_axis_off()
    return finished(figure)
