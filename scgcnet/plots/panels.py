"""Test images and what networks make of them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from scgcnet.plots.style import BLACK, BLUE, DPI, ORANGE, WIDTH, finished, message

if TYPE_CHECKING:
    from scgcnet.study.cases import Case, NetworkCase

HIT, FALSE_ALARM, MISS = BLUE, ORANGE, BLACK


def prediction_panels(cases: Sequence[Case], threshold: float = 0.5) -> Figure:
    """One row for each case: image, truth, probability, and the errors laid over the image in grey.

    Args:
        cases: what to show, from top to bottom.
        threshold: probability above which a pixel counts as landslide.

    Returns:
        The figure; without cases it says why there may be none.
    """
    if not cases:
        return message(
            "No prediction to show: weights or data are not at hand. `scgcnet study run ID --force` makes weights."
        )
    heights = [min(case.sample.mask.shape[0] / case.sample.mask.shape[1], 1.6) for case in cases]
    figure, axes = plt.subplots(
        len(cases),
        4,
        figsize=(WIDTH, 0.235 * WIDTH * sum(heights) + 0.1 * len(cases) + 0.7),
        height_ratios=heights,
        dpi=DPI,
        layout="constrained",
        squeeze=False,
    )
    for row, case in zip(axes, cases, strict=True):
        _panel_row(row, case, threshold)
    for axis, title in zip(axes[0], ("image", "truth", "probability", "errors"), strict=True):
        axis.set_title(title, fontsize="medium")
    error_legend(figure)
    return finished(figure)


def _panel_row(row: Sequence[Axes], case: Case, threshold: float) -> None:
    image, mask = case.sample.image, case.sample.mask
    row[0].imshow(image[..., :3])
    row[1].imshow(mask, cmap="gray", vmin=0, vmax=1)
    row[2].imshow(case.probability, cmap="cividis", vmin=0, vmax=1)
    row[3].imshow(error_overlay(image, mask, case.probability > threshold))
    height, width = mask.shape
    row[0].set_ylabel(f"{case.sample.name}, {width}x{height} px\nIoU {100 * case.iou:.0f} %", fontsize="small")
    for axis in row:
        axis.set(xticks=[], yticks=[])


def error_overlay(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], prediction: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """The image in pale grey with found, falsely alarmed and missed pixels in their colours.

    Args:
        image: uint8 (H, W, C).
        mask: truth, uint8 (H, W) in {0, 1}.
        prediction: bool (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    grey = 0.5 * image.mean(axis=2) + 110  # pale, so that blue and black stand out on dark forest
    out = np.repeat(grey[..., None], 3, axis=2)
    truth = mask == 1
    for where, colour in (
        (truth & prediction, HIT),
        (~truth & prediction, FALSE_ALARM),
        (truth & ~prediction, MISS),
    ):
        out[where] = 0.25 * out[where] + 0.75 * 255 * np.array(to_rgb(colour))
    return out.round().astype(np.uint8)


def network_panels(cases: Sequence[NetworkCase], threshold: float = 0.5) -> Figure:
    """One row for each case: image, truth, and the errors of each network with its IoU, as the paper's Fig. 6.

    Pixels where nobody knows the truth are grey in it, and no errors.

    Args:
        cases: what to show, from top to bottom; a network that a case does not have stays blank in its row.
        threshold: probability above which a pixel counts as landslide.

    Returns:
        The figure; without cases it says why there may be none.

    Raises:
        ValueError: the cases have more than 6 networks, which would be too small to see.
    """
    if not cases:
        return message(
            "No prediction to show: weights or data are not at hand. `scgcnet study run ID --force` makes weights."
        )
    networks = list(dict.fromkeys(name for case in cases for name in case.probabilities))
    if len(networks) > 6:
        raise ValueError(f"{len(networks)} networks in a row: at most 6 can be seen, so draw several figures")
    columns = 2 + len(networks)
    heights = [min(case.sample.mask.shape[0] / case.sample.mask.shape[1], 1.6) for case in cases]
    side = WIDTH / columns - 0.1  # inches
    letters = int(side * 14)  # of the small font, side by side
    labels = [
        f"{textwrap.fill(case.sample.name, letters)}\n{case.sample.mask.shape[1]}x{case.sample.mask.shape[0]} px"
        for case in cases
    ]
    titles = [textwrap.fill(name, letters) for name in ("image", "truth", *networks)]
    lines = sum(text.count("\n") + 1 for text in [*labels, max(titles, key=lambda title: title.count("\n"))])
    figure, axes = plt.subplots(
        len(cases),
        columns,
        figsize=(WIDTH, side * sum(heights) + 0.14 * lines + 0.16 * len(cases) + 0.5),
        height_ratios=heights,
        dpi=DPI,
        layout="compressed",  # "constrained" cuts off a title of two lines
        squeeze=False,
    )
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    for row, case, label in zip(axes, cases, labels, strict=True):
        _network_row(row, case, networks, threshold)
        row[0].set_xlabel(label, fontsize="small")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize="small")
    error_legend(figure)
    return finished(figure)


def _network_row(row: Sequence[Axes], case: NetworkCase, networks: Sequence[str], threshold: float) -> None:
    image, mask = case.sample.image, case.sample.mask
    known = mask <= 1
    row[0].imshow(image[..., :3])
    row[1].imshow(np.where(known, mask, 0.5), cmap="gray", vmin=0, vmax=1)
    for axis, name in zip(row[2:], networks, strict=True):
        if name not in case.probabilities:
            axis.axis("off")
            continue
        prediction = (case.probabilities[name] > threshold) & known
        axis.imshow(error_overlay(image, mask, prediction))
        axis.set_xlabel(f"IoU {100 * _iou(mask == 1, prediction):.0f} %", fontsize="small")


def _iou(truth: npt.NDArray[np.bool_], prediction: npt.NDArray[np.bool_]) -> float:
    """IoU of two maps, a fraction of 1; 1 where both are empty, as `scgcnet.train.Confusion` has it."""
    union = np.count_nonzero(truth | prediction)
    return float(np.count_nonzero(truth & prediction) / union) if union else 1.0


def error_legend(figure: Figure) -> None:
    """What the colours of `error_overlay` mean, below a figure."""
    colours = {"found": HIT, "false alarm": FALSE_ALARM, "missed": MISS}
    figure.legend(
        handles=[Patch(color=colour, label=label) for label, colour in colours.items()],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
