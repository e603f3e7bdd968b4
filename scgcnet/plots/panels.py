"""Pictures: test images and the predictions of networks, failures, and a mapped scene."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from scgcnet.plots.style import BLACK, BLUE, ORANGE, VERMILION, WIDTH, finished, message, open_figure, page_figure

if TYPE_CHECKING:
    from scgcnet.data import Sample

HIT, FALSE_ALARM, MISS = BLUE, ORANGE, BLACK
NO_PREDICTION = "No prediction to show: weights or data are missing. `scgcnet run ID --force` makes weights."
_CAUSES = 4  # failures side by side

Image = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]


def prediction_panels(cases: Sequence[tuple[Sample, Probability, float]], threshold: float = 0.5) -> Figure:
    """One row for each case: image, truth, probability, and the errors laid over the image in grey.

    Args:
        cases: sample, probability of landslide (H, W) and IoU as a fraction of each, from top to bottom.
        threshold: probability above which a pixel counts as landslide.
    """
    if not cases:
        return message(NO_PREDICTION)
    heights = row_heights([sample.mask for sample, _, _ in cases])
    height = 0.235 * WIDTH * sum(heights) + 0.1 * len(cases) + 0.7
    figure, axes = page_figure(height, len(cases), 4, height_ratios=heights)
    for row, (sample, probability, iou) in zip(axes, cases, strict=True):
        row[0].imshow(sample.image[..., :3])
        row[1].imshow(sample.mask, cmap="gray", vmin=0, vmax=1)
        row[2].imshow(probability, cmap="cividis", vmin=0, vmax=1)
        row[3].imshow(error_overlay(sample.image, sample.mask, probability > threshold))
        rows, columns = sample.mask.shape
        row[0].set_ylabel(f"{sample.name}, {columns}x{rows} px\nIoU {100 * iou:.0f} %", fontsize="small")
        without_ticks(row)
    for axis, title in zip(axes[0], ("image", "truth", "probability", "errors"), strict=True):
        axis.set_title(title, fontsize="medium")
    error_legend(figure)
    return finished(figure)


def hero(cases: Sequence[tuple[str, Sample, Probability, npt.NDArray[np.bool_], float]]) -> Figure:
    """Images in one row, each with its true outline, its probability and its errors.

    Args:
        cases: where it is from, sample, probability of landslide (H, W), what was called landslide
            (H, W), and IoU as a fraction, from left to right.
    """
    if not cases:
        return message(NO_PREDICTION)
    figure = open_figure(WIDTH / (3 * len(cases)) + 0.55)
    groups = figure.subfigures(1, len(cases), wspace=0.02, squeeze=False)
    for part, (origin, sample, probability, called, iou) in zip(groups[0], cases, strict=True):
        axes = part.subplots(1, 3)
        part.suptitle(f"{origin}, IoU {100 * iou:.0f} %", fontsize="medium")
        axes[0].imshow(sample.image[..., :3])
        axes[0].contour(sample.mask == 1, [0.5], colors=[ORANGE], linewidths=1.2)
        axes[1].imshow(probability, cmap="cividis", vmin=0, vmax=1)
        axes[2].imshow(error_overlay(sample.image, sample.mask, called))
        for axis in axes:
            axis.set_box_aspect(1)
            axis.set_aspect("auto")
            axis.set_axis_off()
    error_legend(figure)
    return finished(figure)


def window_grid(windows: Sequence[tuple[Image, Image, str]], columns: int = 8) -> Figure:
    """Training windows with the outlines of their landslides, each titled by its source.

    Args:
        windows: image uint8 (S, S, 3), mask uint8 (S, S) of 0, 1 and 255, and source of each.
        columns: side by side.
    """
    rows = -(-len(windows) // columns)
    figure, axes = page_figure(rows * (WIDTH / columns + 0.15), rows, columns)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, (image, mask, source) in zip(axes.flat, windows, strict=False):
        axis.imshow(image)
        if (mask == 1).any():
            axis.contour(mask == 1, [0.5], colors=[ORANGE], linewidths=1)
        axis.set_title(source, fontsize=8)
    return finished(figure)


def network_panels(cases: Sequence[tuple[Sample, Mapping[str, Probability]]], threshold: float = 0.5) -> Figure:
    """One row for each case: image, truth, and the errors of each network with its IoU, as the paper's Fig. 6.

    Pixels of unknown truth are grey in it, and count as no error.

    Args:
        cases: sample, and network -> probability of landslide (H, W), from top to bottom; a network that a case does
            not have stays blank in its row.
        threshold: probability above which a pixel counts as landslide.

    Raises:
        ValueError: the cases have more than 6 networks, which would be too small to see.
    """
    if not cases:
        return message(NO_PREDICTION)
    networks = list(dict.fromkeys(name for _, found in cases for name in found))
    if len(networks) > 6:
        raise ValueError(f"{len(networks)} networks in a row: at most 6 can be seen, so draw several figures")
    columns = 2 + len(networks)
    heights = row_heights([sample.mask for sample, _ in cases])
    side = WIDTH / columns - 0.1  # inches
    letters = int(side * 14)  # of the small font, side by side
    labels = [f"{textwrap.fill(s.name, letters)}\n{s.mask.shape[1]}x{s.mask.shape[0]} px" for s, _ in cases]
    titles = [textwrap.fill(name, letters) for name in ("image", "truth", *networks)]
    lines = sum(text.count("\n") + 1 for text in [*labels, max(titles, key=lambda title: title.count("\n"))])
    height = side * sum(heights) + 0.14 * lines + 0.16 * len(cases) + 0.5
    # The layout "constrained" cuts off a title of two lines.
    figure, axes = page_figure(height, len(cases), columns, layout="compressed", height_ratios=heights)
    without_ticks(axes.flat)
    for row, (sample, found), label in zip(axes, cases, labels, strict=True):
        truth, known = sample.mask == 1, sample.mask <= 1
        row[0].imshow(sample.image[..., :3])
        row[0].set_xlabel(label, fontsize="small")
        row[1].imshow(np.where(known, sample.mask, 0.5), cmap="gray", vmin=0, vmax=1)
        for axis, name in zip(row[2:], networks, strict=True):
            if name not in found:
                axis.axis("off")
                continue
            called = (found[name] > threshold) & known
            axis.imshow(error_overlay(sample.image, sample.mask, called))
            union = np.count_nonzero(truth | called)
            iou = np.count_nonzero(truth & called) / union if union else 1.0
            axis.set_xlabel(f"IoU {100 * iou:.0f} %", fontsize="small")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize="small")
    error_legend(figure)
    return finished(figure)


def cause_panels(failures: Sequence[tuple[str, Sample, npt.NDArray[np.bool_], float]]) -> Figure:
    """One failure of each kind: the image under the names of its kinds above, the errors below.

    Args:
        failures: names of its kinds, sample, prediction (H, W) and IoU as a fraction of each.
    """
    if not failures:
        return message("No failure to show: no test image has an IoU below the limit.")
    blocks = -(-len(failures) // _CAUSES)
    figure, axes = page_figure(4.7 * blocks + 0.4, 2 * blocks, _CAUSES)
    for axis in axes.flat:
        axis.axis("off")
    for place, (title, sample, called, iou) in enumerate(failures):
        block, column = divmod(place, _CAUSES)
        above, below = axes[2 * block : 2 * block + 2, column]
        above.imshow(sample.image[..., :3])
        above.contour(sample.mask == 1, levels=[0.5], colors="#F0E442", linewidths=1)
        above.set_title(textwrap.fill(title, 24), fontsize="small")
        below.imshow(error_overlay(sample.image, sample.mask, called))
        below.set_xlabel(f"{sample.name}\nIoU {100 * iou:.0f} %", fontsize="small")
        for axis in (above, below):
            axis.axis("on")
        without_ticks((above, below))
    error_legend(figure)
    return finished(figure)


def scene_map(
    image: Image,
    probability: Probability,
    outlines: Sequence[npt.NDArray[np.float64]],
    threshold: float,
    polygons: int,
    compared: tuple[Image, npt.NDArray[np.bool_]] | None = None,
) -> Figure:
    """The outlines of the landslides over a scene, the probability with the threshold marked, and the errors if known.

    Args:
        image: uint8 (h, w, 3).
        probability: (h, w), NaN (drawn white) where there is no data.
        outlines: of the landslides and of holes in them, points (n, 2) of columns and rows of the image.
        threshold: at which landslides are outlined.
        polygons: number of landslides; one with holes has several outlines.
        compared: the truth (h, w), 1 for landslide, and the mask of the map.
    """
    height, width = probability.shape
    number = 2 if compared is None else 3
    figure, (axes,) = page_figure(WIDTH / number * 0.94 * min(height / width, 2) + 0.7, 1, number)
    left, right = axes[:2]
    left.imshow(image)
    for points in outlines:
        left.plot(*(points - 0.5).T, color="white", linewidth=2)
        left.plot(*(points - 0.5).T, color=VERMILION, linewidth=1)
    found = f"{polygons} polygon{'s' * (polygons != 1)}"
    left.set_title(found if polygons else "no landslide found", fontsize="medium")
    drawn = right.imshow(probability, cmap="cividis", vmin=0, vmax=1)
    right.set_title("probability", fontsize="medium")
    if compared is not None:
        axes[2].imshow(error_overlay(image, *compared))
        axes[2].set_title("errors", fontsize="medium")
        error_legend(figure)
    bar = figure.colorbar(drawn, ax=right, shrink=0.8)
    bar.ax.axhline(threshold, color=VERMILION, linewidth=2)
    for axis in axes:
        axis.set_axis_off()
    return finished(figure)


def error_overlay(image: Image, mask: Image, prediction: npt.NDArray[np.bool_]) -> Image:
    """The image (H, W, C) in pale grey with found, falsely alarmed and missed pixels in their colours, (H, W, 3)."""
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


def error_legend(figure: Figure) -> None:
    """The colours of `error_overlay`, below a figure."""
    colours = {"found": HIT, "false alarm": FALSE_ALARM, "missed": MISS}
    patches = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=3, frameon=False)


def row_heights(masks: Sequence[Image]) -> list[float]:
    """Height over width of each image, at most 1.6: rows of pictures are as high."""
    return [min(mask.shape[0] / mask.shape[1], 1.6) for mask in masks]


def without_ticks(axes: Iterable[Axes]) -> None:
    """Take the ticks from pictures."""
    for axis in axes:
        axis.set(xticks=[], yticks=[])
