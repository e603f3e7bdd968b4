"""Effect of cutting a scene into windows: seams, polygons cut by them, and accuracy by window size.

The paper names processing in patches as a limit of its method. Three ways are compared on the same scene: adjacent
tiles, blended overlapping windows, and one window for the whole scene. Everything is in memory, for scenes of some
thousand pixels a side.
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
        mask: uint8 (H, W), 0, 1 or 255 for unknown.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


@dataclass(frozen=True)
class Seams:
    """One way to map one scene, measured; shares and scores are fractions of 1.

    Attributes:
        scene: its name.
        scale: pixels of the working grid per pixel of the scene.
        window: side of a window, pixels of the working grid; 0 for the whole scene at once.
        overlap: share of the side that neighbours have in common.
        iou: over all known pixels, as are the next two.
        precision: likewise.
        recall: likewise.
        chance: expected IoU of as many landslide pixels placed at random.
        polygons: landslides of at least LEAST_PIXELS.
        cut: share of them whose outline runs along a window's edge for RUN pixels or more.
        cut_elsewhere: the same for as many lines halfway between the edges: the level of chance.
        step: mean difference of probability between pixels on both sides of an edge.
        step_elsewhere: the same on the lines between.
        disagree: of the pixels that one of two overlapping windows calls landslide, the share that the other does not;
            None without overlap.
        seconds: of processor time, all threads together, per megapixel of the scene; the network alone.
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
    """The two scenes of AMU-Net below a data root; an empty list if they are missing.

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
    """Rows and columns before which a window begins or ends within the scene."""
    lines = []
    for axis in (grid.rows, grid.columns):
        ends = {end for index in range(len(axis.starts)) for end in axis.span(index)}
        lines.append(sorted(ends - {0, axis.length}))
    return lines[0], lines[1]


def between(lines: list[int], length: int) -> list[int]:
    """As many lines, halfway between neighbouring ones and the ends of the scene."""
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
    """Share of differing pixels where neighbouring windows overlap, see `Seams.disagree`."""
    called = {place: part > threshold for place, part in found.items()}
    either = both = 0
    for (row, column), here in called.items():
        pairs = []
        if (below := called.get((row + 1, column))) is not None:
            first = grid.rows.starts[row + 1] - grid.rows.starts[row]
            pairs.append((here[first:], below[: len(here) - first]))
        if (right := called.get((row, column + 1))) is not None:
            first = grid.columns.starts[column + 1] - grid.columns.starts[column]
            pairs.append((here[:, first:], right[:, : here.shape[1] - first]))
        either += sum(int(np.count_nonzero(one | two)) for one, two in pairs)
        both += sum(int(np.count_nonzero(one & two)) for one, two in pairs)
    return 1 - both / either if either else None


def measure(
    network: nn.Module, mosaic: Mosaic, threshold: float, window: int, overlap: float, scale: float = 1.0
) -> Seams:
    """Maps a scene one way and measures the effect of cutting it.

    Args:
        network: gives logits (1, 2, h, w), in evaluation mode.
        mosaic: the scene.
        threshold: probability above which a pixel is landslide.
        window: side, pixels of the working grid; 0 for the whole scene at once.
        overlap: share of the side that neighbours have in common.
        scale: pixels of the working grid per pixel of the scene.
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
    probability = native = blend(found, grid)
    if shape != (height, width):
        native = np.asarray(Image.fromarray(probability).resize((width, height), Image.Resampling.BILINEAR))
    rows, columns = edges(grid)
    elsewhere = between(rows, shape[0]), between(columns, shape[1])
    labels, number = patches(probability > threshold)
    called, true, known = native > threshold, mosaic.mask == 1, mosaic.mask != 255
    area, hits, wanted, claimed = (int(np.count_nonzero(part)) for part in (known, called & true, true, called & known))
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
        cut_elsewhere=share_cut(labels, number, *elsewhere),
        step=steps_across(probability, rows, columns),
        step_elsewhere=steps_across(probability, *elsewhere),
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
