"""Calibration, thresholds, and one failure of each kind."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from scgcnet.plots.panels import error_legend, error_overlay
from scgcnet.plots.style import CYCLE, DPI, MARKERS, WIDTH, finished, message, open_frame

if TYPE_CHECKING:
    from scgcnet.explain.atlas import Atlas

COLUMNS = 4  # kinds of failure side by side


def reliability_diagram(atlas: Atlas) -> Figure:
    """Share of landslide among pixels by their probability, and how many there are; a column for each network."""
    figure, axes = plt.subplots(
        2,
        len(atlas.models),
        figsize=(WIDTH, 4.6),
        height_ratios=(3, 1),
        dpi=DPI,
        sharex=True,
        sharey="row",
        layout="constrained",
        squeeze=False,
    )
    for column, model in zip(axes.T, atlas.models, strict=True):
        column[0].plot([0, 1], [0, 1], color="0.5", linewidth=1, label="calibrated")
        for place, (part, found) in enumerate(model.calibration.items()):
            label = f"{part}, error {100 * found.error:.1f} points"
            look = {"color": CYCLE[place], "marker": MARKERS[place]}
            column[0].plot(found.confidence, found.frequency, label=label, **look)
            middles = (np.arange(len(found.pixels)) + 0.5) / len(found.pixels)
            column[1].plot(middles, 100 * found.pixels / max(found.pixels.sum(), 1), **look)
        column[0].set_title(model.title, fontsize="medium")
        column[0].legend(fontsize="small", frameon=False)
        column[1].set(yscale="log", xlabel="probability of landslide", xlim=(0, 1), ylim=(0.1, 100))
        column[1].set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        column[1].minorticks_off()
        for axis in column:
            open_frame(axis)
    axes[0, 0].set_ylabel("share that is landslide")
    axes[1, 0].set_ylabel("pixels, %")
    return finished(figure)


def threshold_curves(atlas: Atlas) -> Figure:
    """IoU on the test part by threshold: a filled mark where validation chose it, a hollow one at the highest."""
    figure, axis = plt.subplots(figsize=(WIDTH, 3.2), dpi=DPI, layout="constrained")
    steps = np.arange(1, len(atlas.models[0].test_iou) + 1) / 100
    for place, model in enumerate(atlas.models):
        colour, marker = CYCLE[place], MARKERS[place]
        axis.plot(steps, 100 * model.test_iou, color=colour, label=model.title)
        for threshold, fill in ((model.threshold, colour), (model.best_on_test, "white")):
            height = 100 * model.test_iou[round(100 * threshold) - 1]
            axis.plot(threshold, height, marker=marker, color=colour, markerfacecolor=fill, markersize=8)
    axis.set(xlabel="threshold", ylabel="IoU on the test part, %", xlim=(0, 1))
    axis.legend(fontsize="small", frameon=False)
    open_frame(axis)
    return finished(figure)


def cause_panels(atlas: Atlas) -> Figure:
    """`Atlas.examples`: the image above under all its kinds of failure, the first network's errors below."""
    model, shown = atlas.models[0], atlas.examples()
    if not shown:
        return message("No failure to show: no test image has an IoU below the limit.")
    blocks = -(-len(shown) // COLUMNS)
    size = (WIDTH, 4.7 * blocks + 0.4)
    figure, axes = plt.subplots(2 * blocks, COLUMNS, figsize=size, dpi=DPI, layout="constrained", squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for place, (title, entry) in enumerate(shown):
        block, column = divmod(place, COLUMNS)
        above, below = axes[2 * block : 2 * block + 2, column]
        image, mask = entry.sample.image, entry.sample.mask
        above.imshow(image[..., :3])
        above.contour(mask == 1, levels=[0.5], colors="#F0E442", linewidths=1)
        above.set_title(textwrap.fill(title, 24), fontsize="small")
        below.imshow(error_overlay(image, mask, entry.called(0, model.threshold)))
        below.set_xlabel(f"{entry.sample.name}\nIoU {100 * entry.outcomes[0].iou:.0f} %", fontsize="small")
        for axis in (above, below):
            axis.axis("on")
            axis.set(xticks=[], yticks=[])
    error_legend(figure)
    return finished(figure)
