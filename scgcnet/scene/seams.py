"""Effect of cutting a scene into windows: seams, polygons cut by them, and accuracy by window size.

The paper names processing in patches as a limit of its method. Three ways are compared on the same scene: adjacent
tiles, blended overlapping windows, and one window for the whole scene. Everything is in memory, for scenes of some
thousand pixels a side.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from scgcnet.data.amunet import SCENES, Amunet
from scgcnet.data.rasters import read_image, read_mask
from scgcnet.data.sample import data_root
from scgcnet.scene.predict import Prob, Windows, blend, predict_windows
from scgcnet.scene.source import FILL
from scgcnet.scene.windows import Grid

LEAST_PIXELS = 100  # of a polygon that counts
RUN = 8  # pixels of its outline on a seam from which on a polygon counts as cut by it

Lines = tuple[list[int], list[int]]  # rows and columns; a line runs before each


@dataclass(frozen=True)
class Mosaic:
    """A scene with its truth."""

    name: str
    image: NDArray[np.uint8]  # (H, W, 3), no-data filled
    mask: NDArray[np.uint8]  # (H, W), 0, 1 or 255 for unknown


def read_mosaics(root: Path | None = None) -> list[Mosaic]:
    """The two scenes of AMU-Net below a data root; an empty list if its folder is missing."""
    folder = (data_root() if root is None else root) / Amunet.home
    found = []
    for name in SCENES if folder.is_dir() else ():
        image = read_image(folder / f"{name}_image.png")
        mask, valid = (read_mask(folder / f"{name}_{what}.png") for what in ("mask", "valid"))
        known = valid == 1
        found.append(Mosaic(name, np.where(known[..., None], image, FILL), np.where(known, mask, 255).astype(np.uint8)))
    return found


def edges(grid: Grid) -> Lines:
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


def _sides(values: NDArray[Any], lines: Lines) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The pixels before and after each line."""
    for array, places in zip((values, values.T), lines, strict=True):
        for place in places:
            yield array[place - 1], array[place]


def steps_across(probability: Prob, lines: Lines) -> float | None:
    """Mean absolute difference between the pixels before and after each line; None without lines."""
    steps = [np.abs(after - before) for before, after in _sides(probability, lines)]
    return float(np.concatenate(steps).mean()) if steps else None


def share_cut(labels: NDArray[np.int32], number: int, lines: Lines) -> float | None:
    """Share of labelled patches with at least RUN pixels whose neighbour across a line is in no patch."""
    if not any(lines):
        return None
    most = np.zeros(number + 1, np.int64)
    for before, after in _sides(labels, lines):
        for here, there in ((before, after), (after, before)):
            most = np.maximum(most, np.bincount(here[there == 0], minlength=number + 1))
    return float((most[1:] >= RUN).mean()) if number else 0.0


def _shared(
    called: dict[tuple[int, int], NDArray[np.bool_]], grid: Grid
) -> Iterable[tuple[NDArray[Any], NDArray[Any]]]:
    """What two neighbouring windows say of the pixels that they share."""
    for (row, column), here in called.items():
        if (below := called.get((row + 1, column))) is not None:
            first = grid.rows.starts[row + 1] - grid.rows.starts[row]
            yield here[first:], below[: len(here) - first]
        if (right := called.get((row, column + 1))) is not None:
            first = grid.columns.starts[column + 1] - grid.columns.starts[column]
            yield here[:, first:], right[:, : here.shape[1] - first]


def disagreement(found: Windows, grid: Grid, threshold: float) -> float | None:
    """Of the pixels that one of two overlapping windows calls landslide, the share that the other does not."""
    either = both = 0
    for one, two in _shared({place: part > threshold for place, part in found.items()}, grid):
        either += int(np.count_nonzero(one | two))
        both += int(np.count_nonzero(one & two))
    return 1 - both / either if either else None


def measure(
    network: nn.Module, mosaic: Mosaic, threshold: float, window: int, overlap: float, scale: float = 1.0
) -> dict[str, Any]:
    """Maps a scene one way and measures the effect of cutting it.

    Args:
        network: gives logits (1, 2, h, w), in evaluation mode.
        mosaic: the scene.
        threshold: probability above which a pixel is landslide.
        window: side, pixels of the working grid; 0 for the whole scene at once.
        overlap: share of the side that neighbours have in common.
        scale: pixels of the working grid per pixel of the scene.

    Returns:
        scene, scale, window, overlap: which way.
        iou, precision, recall: over all known pixels, fractions of 1.
        chance: expected IoU of as many landslide pixels placed at random.
        polygons: number of landslides of at least LEAST_PIXELS.
        cut: share of them whose outline runs along a window's edge for RUN pixels or more; None without edges.
        step: mean difference of probability between the pixels on both sides of an edge.
        cut_elsewhere, step_elsewhere: the same for as many lines halfway between the edges: the level of chance.
        disagree: see `disagreement`; None without overlap.
        seconds: of processor time, all threads together, per megapixel of the scene; the network alone.
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
    lines = edges(grid)
    elsewhere = between(lines[0], shape[0]), between(lines[1], shape[1])
    labels, number = patches(probability > threshold)
    called, true, known = native > threshold, mosaic.mask == 1, mosaic.mask != 255
    area, hits, wanted, claimed = (int(np.count_nonzero(part)) for part in (known, called & true, true, called & known))
    shares = claimed / max(1, area), wanted / max(1, area)
    by_chance = shares[0] * shares[1]
    return {
        "scene": mosaic.name,
        "scale": scale,
        "window": window,
        "overlap": overlap,
        "iou": hits / max(1, wanted + claimed - hits),
        "precision": hits / max(1, claimed),
        "recall": hits / max(1, wanted),
        "chance": by_chance / (shares[0] + shares[1] - by_chance) if by_chance else 0.0,
        "polygons": number,
        "cut": share_cut(labels, number, lines),
        "cut_elsewhere": share_cut(labels, number, elsewhere),
        "step": steps_across(probability, lines),
        "step_elsewhere": steps_across(probability, elsewhere),
        "disagree": disagreement(found, grid, threshold) if overlap else None,
        "seconds": seconds / (height * width / 1e6),
    }


def patches(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int32], int]:
    """Labels from 1 of the patches with at least LEAST_PIXELS, 0 elsewhere, and their number."""
    labels, number = ndimage.label(mask)
    large = np.bincount(labels.ravel(), minlength=number + 1) >= LEAST_PIXELS
    large[0] = False
    return np.asarray((np.cumsum(large) * large)[labels], np.int32), int(large.sum())
