"""What cutting a scene into windows does to its map: seams, polygons that they cut, and accuracy by window size.

The paper names it a limit of its method that scenes are processed in patches. Measured here are three ways on the same
scene: tiles side by side, overlapping windows that are blended, and the scene as one window. All of it is in memory,
for scenes of some thousand pixels a side.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from scgcnet.data.amunet import SCENES, Amunet
from scgcnet.data.rasters import read_image, read_mask
from scgcnet.data.sample import data_root
from scgcnet.scene.predict import landslide_probability
from scgcnet.scene.source import FILL
from scgcnet.scene.windows import Grid

LEAST_PIXELS = 100  # of a polygon that counts
RUN = 8  # pixels of its outline on a seam from which on a polygon counts as cut by it

Prob = NDArray[np.float32]


@dataclass(frozen=True)
class Mosaic:
    """A scene with its truth.

    Attributes:
        name: of the scene.
        image: uint8 (H, W, 3), no-data filled.
        mask: uint8 (H, W), 0, 1 or 255 where nobody knows.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class Seams:
    """One way to map one scene, measured.

    Attributes:
        scene: its name.
        scale: pixels of the working grid for one of the scene.
        window: side of a window, pixels of the working grid; 0 for the whole scene at once.
        overlap: share of the side that neighbours have in common.
        iou: over all known pixels, as a fraction of 1; so are the next two.
        precision: likewise.
        recall: likewise.
        chance: IoU to be expected if as many pixels were called landslide anywhere at random.
        polygons: landslides of at least LEAST_PIXELS.
        cut: share of them whose outline runs along a window's edge for RUN pixels or more.
        cut_elsewhere: the same for as many lines between the edges, where nothing was cut: what chance does.
        step: mean difference of probability between pixels on both sides of an edge.
        step_elsewhere: the same on the lines between.
        disagree: of the pixels that one of two overlapping windows calls landslide, the share that the other does not;
            None where none overlap.
        seconds: of processor time, all threads together, for a megapixel of the scene; the network alone.
    """

    scene: str
    scale: float
    window: int
    overlap: float
    iou: float
    precision: float
    recall: float
    chance: float
    polygons: int
    cut: float | None
    cut_elsewhere: float | None
    step: float | None
    step_elsewhere: float | None
    disagree: float | None
    seconds: float


def read_mosaics(root: Path | None = None) -> list[Mosaic]:
    """The two scenes of AMU-Net below a data root; an empty list where they are not there.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    folder = (data_root() if root is None else root) / Amunet.home
    found = []
    for name in SCENES if folder.is_dir() else ():
        image = read_image(folder / f"{name}_image.png")
        mask, valid = (read_mask(folder / f"{name}_{what}.png") for what in ("mask", "valid"))
        known = valid == 1
        found.append(Mosaic(name, np.where(known[..., None], image, FILL), np.where(known, mask, 255).astype(np.uint8)))
    return found


def predict_windows(network: nn.Module, image: NDArray[np.uint8], grid: Grid) -> dict[tuple[int, int], Prob]:
    """Probabilities (h, w) of each window by its row and column in the grid."""
    found = {}
    for row in range(len(grid.rows.starts)):
        for column in range(len(grid.columns.starts)):
            part = image[slice(*grid.rows.span(row)), slice(*grid.columns.span(column))]
            found[row, column] = grid.unpadded(landslide_probability(network, grid.padded(part))).copy()
    return found


def blend(found: dict[tuple[int, int], Prob], grid: Grid) -> Prob:
    """The windows joined by their weights, (H, W)."""
    joined = np.zeros((grid.rows.length, grid.columns.length), np.float32)
    for (row, column), part in found.items():
        weights = grid.rows.weights(row)[:, None] * grid.columns.weights(column)
        joined[slice(*grid.rows.span(row)), slice(*grid.columns.span(column))] += part * weights
    return joined


def edges(grid: Grid) -> tuple[list[int], list[int]]:
    """Rows and columns at which a window begins or ends within the scene: the edge is before that pixel."""
    lines = []
    for axis in (grid.rows, grid.columns):
        ends = {end for index in range(len(axis.starts)) for end in axis.span(index)}
        lines.append(sorted(ends - {0, axis.length}))
    return lines[0], lines[1]


def between(lines: list[int], length: int) -> list[int]:
    """Halfway between neighbouring lines, the scene's begin among them: as many places, so that chance is as large."""
    ends = [0, *lines, length]
    return [(one + two) // 2 for one, two in itertools.pairwise(ends) if two - one > 1][: len(lines)]


def steps_across(probability: Prob, rows: list[int], columns: list[int]) -> float | None:
    """Mean absolute difference between the pixels before and after each line; None without lines."""
    steps = [np.abs(probability[row] - probability[row - 1]) for row in rows]
    steps += [np.abs(probability[:, column] - probability[:, column - 1]) for column in columns]
    return float(np.concatenate(steps).mean()) if steps else None


def share_cut(labels: NDArray[np.int32], number: int, rows: list[int], columns: list[int]) -> float | None:
    """Share of labelled patches with at least RUN pixels whose neighbour across a line is in no patch."""
    if not rows and not columns:
        return None
    sides = [(labels[row - 1], labels[row]) for row in rows]
    sides += [(labels[:, column - 1], labels[:, column]) for column in columns]
    most = np.zeros(number + 1, np.int64)
    for one, two in sides:
        for here, there in ((one, two), (two, one)):
            most = np.maximum(most, np.bincount(here[there == 0], minlength=number + 1))
    return float((most[1:] >= RUN).mean()) if number else 0.0


def disagreement(found: dict[tuple[int, int], Prob], grid: Grid, threshold: float) -> float | None:
    """How differently neighbouring windows see what both see, see `Seams.disagree`."""
    either = both = 0
    for (row, column), part in found.items():
        for other in ((row + 1, column), (row, column + 1)):
            if other not in found:
                continue
            boxes = [(grid.rows.span(r), grid.columns.span(c)) for r, c in ((row, column), other)]
            (top, bottom), (left, right) = (
                (max(one[0], two[0]), min(one[1], two[1])) for one, two in zip(*boxes, strict=True)
            )
            views = [
                p[top - r0 : bottom - r0, left - c0 : right - c0] > threshold
                for p, ((r0, _), (c0, _)) in zip((part, found[other]), boxes, strict=True)
            ]
            either += int(np.count_nonzero(views[0] | views[1]))
            both += int(np.count_nonzero(views[0] & views[1]))
    return 1 - both / either if either else None


def measure(
    network: nn.Module, mosaic: Mosaic, threshold: float, window: int, overlap: float, scale: float = 1.0
) -> Seams:
    """Maps a scene one way and measures what the cutting did.

    Args:
        network: gives logits (1, 2, h, w), in evaluation mode.
        mosaic: the scene.
        threshold: above it, a pixel is landslide.
        window: side, pixels of the working grid; 0 for the whole scene at once.
        overlap: share of the side that neighbours have in common.
        scale: pixels of the working grid for one of the scene.
    """
    height, width = mosaic.mask.shape
    shape = round(height * scale), round(width * scale)
    image = mosaic.image
    if shape != (height, width):
        image = np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))
    grid = Grid.of(shape, window or max(shape), overlap)
    before = time.process_time()
    found = predict_windows(network, image, grid)
    seconds = time.process_time() - before
    probability = blend(found, grid)
    rows, columns = edges(grid)
    rows_between, columns_between = between(rows, shape[0]), between(columns, shape[1])
    labels, number = patches(probability > threshold)
    native = probability
    if shape != (height, width):
        native = np.asarray(Image.fromarray(probability).resize((width, height), Image.Resampling.BILINEAR))
    called, true, known = native > threshold, mosaic.mask == 1, mosaic.mask != 255
    area = int(np.count_nonzero(known))
    hits = int(np.count_nonzero(called & true))
    wanted, claimed = int(np.count_nonzero(true)), int(np.count_nonzero(called & known))
    return Seams(
        scene=mosaic.name,
        scale=scale,
        window=window,
        overlap=overlap,
        iou=hits / max(1, wanted + claimed - hits),
        precision=hits / max(1, claimed),
        recall=hits / max(1, wanted),
        chance=_chance(claimed / max(1, area), wanted / max(1, area)),
        polygons=number,
        cut=share_cut(labels, number, rows, columns),
        cut_elsewhere=share_cut(labels, number, rows_between, columns_between) if rows or columns else None,
        step=steps_across(probability, rows, columns),
        step_elsewhere=steps_across(probability, rows_between, columns_between) if rows or columns else None,
        disagree=disagreement(found, grid, threshold) if overlap else None,
        seconds=seconds / (height * width / 1e6),
    )


def _chance(called: float, true: float) -> float:
    """IoU of two independent masks that cover these shares."""
    both = called * true
    return both / (called + true - both) if both else 0.0


def patches(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Labels from 1 of the patches with at least LEAST_PIXELS, 0 elsewhere, and their number."""
    labels, number = ndimage.label(mask)
    large = np.bincount(labels.ravel(), minlength=number + 1) >= LEAST_PIXELS
    large[0] = False
    return np.asarray((np.cumsum(large) * large)[labels], np.int32), int(large.sum())
