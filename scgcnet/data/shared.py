"""Pixels that two images share, at whatever shift: crops of one scene overlap by anything, not by half a tile.

Of each image all windows of 16 x 16 px are hashed, and few are kept: those whose hash ends in some zero bits. That
depends on content alone, so the same windows are kept wherever two images show the same pixels, and the places of these
tell by how much one image is shifted against the other. Images that were resampled or changed otherwise share nothing.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.splits import Box

SIDE = 16  # pixels of a window, a power of 2
KEPT, KEPT_OF_LARGE = 64, 256  # one window of so many; as powers of 2, the second choice is among the first
LARGE = 512 * 512  # pixels; 20,000 tiles of this size still fit into memory
RANGE = 8  # levels between a window's lowest and highest green; with less it is too plain to tell where it is
REPEATS = 16  # a window that is met more often is a pattern, which does not tell where it is

_MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)  # the finaliser of MurmurHash3 (A. Appleby, public domain)
_FACTORS = (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)  # any two odd numbers, one for each axis


@dataclass(frozen=True)
class Windows:
    """The windows that were kept of one image.

    Attributes:
        hashes: uint64, (n,).
        places: int32, (n, 2), row and column of each one's top left pixel.
    """

    hashes: NDArray[np.uint64]
    places: NDArray[np.int32]


@dataclass(frozen=True)
class Shift:
    """How two images may lie to one another: pixel (y, x) of the second is pixel (y + down, x + right) of the first.

    Attributes:
        first: index of an image.
        second: index of one after it.
        down: pixels.
        right: pixels.
    """

    first: int
    second: int
    down: int
    right: int

    def common(self, first: tuple[int, ...], second: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        """Rows and columns of either image that cover one another; `first` and `second` are heights and widths."""
        steps = (self.down, self.right)
        spans = [(max(0, d), max(0, d, min(a, b + d))) for d, a, b in zip(steps, first, second, strict=True)]
        of_first = tuple(slice(start, stop) for start, stop in spans)
        return of_first, tuple(slice(start - d, stop - d) for d, (start, stop) in zip(steps, spans, strict=True))


def windows(image: NDArray[np.uint8]) -> Windows:
    """Hash the windows of an image, uint8, (H, W, 3), and keep a few; one below 16 px has none."""
    red, green, blue = (image[..., channel].astype(np.uint64) for channel in range(3))
    hashes = _mix(red << np.uint64(16) | green << np.uint64(8) | blue)
    for axis, factor in enumerate(_FACTORS):
        hashes = _sum(hashes, factor, axis)
    hashes = _mix(hashes)
    one_of = KEPT if image.shape[0] * image.shape[1] < LARGE else KEPT_OF_LARGE
    kept = hashes & np.uint64(one_of - 1) == 0
    kept[:, 1:] &= hashes[:, 1:] != hashes[:, :-1]  # of an even area, every window is kept or none
    rows, columns = np.nonzero(kept)
    within = np.arange(SIDE)
    pixels = image[..., 1][rows[:, None, None] + within[:, None], columns[:, None, None] + within]  # (n, SIDE, SIDE)
    telling = np.ptp(pixels.reshape(-1, SIDE * SIDE), axis=1) >= RANGE
    return Windows(hashes[rows, columns][telling], np.stack([rows, columns], axis=1)[telling].astype(np.int32))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Let every bit depend on all."""
    for factor in _MIX:
        values = (values ^ values >> np.uint64(33)) * np.uint64(factor)
    return values ^ values >> np.uint64(33)


def _sum(values: NDArray[np.uint64], factor: int, axis: int) -> NDArray[np.uint64]:
    """Sums of SIDE neighbours along an axis, each times another power of the factor, modulo 2 ** 64, by doubling."""
    values = np.moveaxis(values, axis, 0)
    length = 1
    while length < SIDE:
        values = values[:-length] * np.uint64(pow(factor, length, 1 << 64)) + values[length:]
        length *= 2
    return np.moveaxis(values, 0, axis)


def find_shifts(images: Sequence[Windows]) -> list[Shift]:
    """All shifts at which two images have a window in common; a few are chance, so the pixels must be compared."""
    hashes = np.concatenate([image.hashes for image in images])
    owners = np.repeat(np.arange(len(images), dtype=np.int32), [len(image.hashes) for image in images])
    places = np.concatenate([image.places for image in images])
    order = np.argsort(hashes, kind="stable")  # which leaves equal ones in the order of the images
    counts = np.unique(hashes, return_counts=True)[1]
    counts = np.repeat(counts, counts)
    order = order[(counts > 1) & (counts <= REPEATS)]
    hashes, owners, places = hashes[order], owners[order], places[order]
    found = [np.empty((0, 4), np.int32)]
    for step in range(1, REPEATS):
        first, second = slice(None, -step), slice(step, None)
        meet = np.flatnonzero((hashes[first] == hashes[second]) & (owners[first] != owners[second]))
        pairs = owners[first][meet], owners[second][meet], places[first][meet] - places[second][meet]
        found.append(np.unique(np.column_stack(pairs), axis=0))
    return [Shift(*row) for row in np.unique(np.concatenate(found), axis=0).tolist()]


def shifts_of_boxes(boxes: Sequence[Box]) -> list[Shift]:
    """The shifts of all tiles that overlap, where their places are known."""
    scenes: dict[str, list[int]] = defaultdict(list)
    for index, box in enumerate(boxes):
        scenes[box.scene].append(index)
    return [
        Shift(first, second, boxes[second].top - boxes[first].top, boxes[second].left - boxes[first].left)
        for tiles in scenes.values()
        for first, second in itertools.combinations(tiles, 2)
        if boxes[first].overlaps(boxes[second])
    ]
