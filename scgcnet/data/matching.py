"""What images have in common: quadrants of tiles, windows at any shift, and looks.

- Quadrants: CLD was cut at 512 px every 256 px, and where the tiles lay was not kept. But each quadrant of such a tile
  is, pixel by pixel, a quadrant of the neighbours that overlap it, so equal hashes give connected tiles their places.
- Windows: crops of one scene overlap by anything. Of all windows of 16 x 16 px those are kept whose hash ends in some
  zero bits. That depends on content alone, so images that share pixels keep the same windows there, whose places give
  the shift between them. Resampled images share nothing.
- Looks: copies that were resampled, recoded, brightened or turned. Each image becomes a grey thumbnail without its
  mean; two that correlate as closely as `ALIKE` show the same. Pixels without data do not count.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from scgcnet.data.pairs import cache_file
from scgcnet.data.rasters import read_image
from scgcnet.data.sample import Sample
from scgcnet.data.splits import Box
from scgcnet.files import WriteError, write_text

LEAST_COLOURS = 16  # of a quadrant; one with fewer, such as the black of no data, says nothing about its place
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # where the quadrants begin, row and column in half sides

SIDE = 16  # pixels of a window, a power of 2
KEPT, KEPT_OF_LARGE = 64, 256  # one window of so many; as powers of 2, the second choice is among the first
LARGE = 512 * 512  # pixels; 20,000 tiles of this size still fit into memory
RANGE = 8  # levels between a window's lowest and highest green; with less it is too plain to be placed
REPEATS = 16  # a window that is met more often is a pattern, which says nothing about its place
_MIX = (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53)  # the finaliser of MurmurHash3 (A. Appleby, public domain)
_FACTORS = (0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93)  # any two odd numbers, one for each axis

THUMBNAIL, COARSE = 64, 16  # pixels of the thumbnails that decide, and of those that choose what to look at
ALIKE = 0.95  # correlation; by chance, pairs of Bijie come to 0.80, of Landslide4Sense to 0.76, of AMU-Net's to 0.85
WORTH_A_LOOK = 0.9  # correlation of the coarse thumbnails
PLAIN = 3.0  # grey levels, standard deviation; open water correlates with open water
ROWS = 512  # thumbnails compared with all at once


class Quadrants(NamedTuple):
    """Height and width of a tile's quadrants, and digests in the order of `CORNERS`, empty where one is too plain."""

    half: tuple[int, int]
    digests: tuple[str, ...]


def quadrants(image: NDArray[np.uint8]) -> Quadrants:
    """Hash the quadrants of a tile, (H, W, C); one with an odd side has none that a neighbour could share."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    if image.shape[0] % 2 or image.shape[1] % 2:
        return Quadrants((height, width), ("",) * len(CORNERS))
    parts = (image[y * height : (y + 1) * height, x * width : (x + 1) * width] for y, x in CORNERS)
    return Quadrants((height, width), tuple(map(_digest, parts)))


def _digest(part: NDArray[np.uint8]) -> str:
    colours = part.reshape(-1, part.shape[2]).astype(np.uint32) @ (1 << 8 * np.arange(part.shape[2], dtype=np.uint32))
    if len(np.unique(colours)) < LEAST_COLOURS:
        return ""
    return hashlib.blake2b(part.tobytes(), digest_size=16, key=repr(part.shape).encode()).hexdigest()


def shared_quadrants(tiles: Sequence[Quadrants]) -> list[list[tuple[int, int]]]:
    """Every quadrant that several tiles have, as its places: index of the tile, and of the corner in `CORNERS`."""
    places: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for tile, found in enumerate(tiles):
        for corner, digest in enumerate(found.digests):
            places[digest].append((tile, corner))
    return [seen for digest, seen in places.items() if digest and len({tile for tile, _ in seen}) > 1]


class Overlap(NamedTuple):
    """Which tiles of a data set overlap, and how they lie to one another.

    A group may contradict itself: its quadrants put a tile in two places, as a repeated pattern does.
    """

    groups: tuple[int, ...]  # of each tile, counted from 0: its tiles are connected, directly or over others
    boxes: tuple[Box | None, ...]  # pixels of each tile, from the top left of its group; None in a contradiction
    conflicts: Mapping[int, tuple[int, int]]  # by group: two tiles that share a quadrant and do not lie so


Step = tuple[int, int]  # down and right, in half sides


def find_overlap(tiles: Sequence[Quadrants]) -> Overlap:
    """Group tiles by the quadrants they share, and find their positions inside each group."""
    links: list[list[tuple[int, Step]]] = [[] for _ in tiles]
    for (first, at), *others in shared_quadrants(tiles):
        for tile, corner in others:
            down, right = (CORNERS[at][axis] - CORNERS[corner][axis] for axis in (0, 1))
            links[first].append((tile, (down, right)))
            links[tile].append((first, (-down, -right)))
    groups: dict[int, int] = {}
    boxes: list[Box | None] = [None] * len(tiles)
    conflicts: dict[int, tuple[int, int]] = {}
    number = -1
    for start in range(len(tiles)):
        if start in groups:
            continue
        number += 1
        places, conflict = _walk(start, links)
        groups.update(dict.fromkeys(places, number))
        if conflict:
            conflicts[number] = conflict
        else:
            top, left = (min(place[axis] for place in places.values()) for axis in (0, 1))
            for tile, (row, column) in places.items():
                height, width = tiles[tile].half
                y, x = (row - top) * height, (column - left) * width
                boxes[tile] = Box(f"group {number}", y, x, y + 2 * height, x + 2 * width)
    return Overlap(tuple(groups[tile] for tile in range(len(tiles))), tuple(boxes), conflicts)


def _walk(start: int, links: Sequence[Sequence[tuple[int, Step]]]) -> tuple[dict[int, Step], tuple[int, int] | None]:
    """All tiles connected with one, where they lie from it, and two whose link contradicts that."""
    places = {start: (0, 0)}
    conflict = None
    waiting = deque([start])
    while waiting:
        tile = waiting.popleft()
        row, column = places[tile]
        for other, (down, right) in links[tile]:
            place = (row + down, column + right)
            if other not in places:
                places[other] = place
                waiting.append(other)
            if places[other] != place:
                conflict = conflict or (tile, other)
    return places, conflict


def quadrants_of_files(files: Sequence[Path], folder: Path) -> list[Quadrants]:
    """Hash the quadrants of image files of a folder, 16 GB of pixels for CLD, and keep them where that is possible."""
    cache = cache_file("quadrants", ".json", folder, files)
    if cache.is_file():
        return [Quadrants((height, width), tuple(found)) for height, width, *found in json.loads(cache.read_text())]
    bar = tqdm(files, desc="looking for overlaps", unit="tile", disable=None)
    found = [quadrants(read_image(file)) for file in bar]
    with contextlib.suppress(WriteError):
        write_text(cache, json.dumps([[*tile.half, *tile.digests] for tile in found]))
    return found


class Windows(NamedTuple):
    """Kept windows of an image: hashes, uint64 (n,), and places, int32 (n, 2), row and column of the top left."""

    hashes: NDArray[np.uint64]
    places: NDArray[np.int32]


class Shift(NamedTuple):
    """How two images, by index, lie: pixel (y, x) of the second is pixel (y + down, x + right) of the first."""

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
    """Hash the windows of an image, uint8, (H, W, C), by its first three bands, and keep a few; below 16 px none."""
    last = image.shape[2] - 1
    red, green, blue = (image[..., min(channel, last)].astype(np.uint64) for channel in range(3))
    hashes = _mix(red << np.uint64(16) | green << np.uint64(8) | blue)
    for axis, factor in enumerate(_FACTORS):
        hashes = _sum(hashes, factor, axis)
    hashes = _mix(hashes)
    one_of = KEPT if image.shape[0] * image.shape[1] < LARGE else KEPT_OF_LARGE
    kept = hashes & np.uint64(one_of - 1) == 0
    kept[:, 1:] &= hashes[:, 1:] != hashes[:, :-1]  # of an even area, every window is kept or none
    rows, columns = np.nonzero(kept)
    within = np.arange(SIDE)
    pixels = image[..., min(1, last)][
        rows[:, None, None] + within[:, None], columns[:, None, None] + within
    ]  # (n, SIDE, SIDE)
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


def thumbnail(sample: Sample) -> NDArray[np.float32]:
    """A grey thumbnail, (64, 64), of mean 0 and length 1; all 0 where there is next to nothing to see."""
    grey = np.asarray(Image.fromarray(sample.image[..., :3]).convert("L"), dtype=np.float32).copy()
    empty = (sample.mask == 255) | ~sample.image.any(axis=2)  # no data: unknown, or black
    if empty.all():
        return np.zeros((THUMBNAIL, THUMBNAIL), np.float32)
    grey[empty] = grey[~empty].mean()
    small = np.asarray(Image.fromarray(grey).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
    return _unit(small[None])[0] if small.std() >= PLAIN else np.zeros_like(small)


def _unit(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (n, H, W) of mean 0 and length 1; plain ones stay 0."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(centred / np.where(length > 1e-6, length, np.inf), dtype=np.float32)


def near_pairs(thumbnails: Sequence[NDArray[np.float32]]) -> list[tuple[int, int, float]]:
    """All pairs that look alike under a flip or turn, the most alike first: two ascending indices, and correlation."""
    fine = np.stack(thumbnails)
    step = THUMBNAIL // COARSE
    coarse = _unit(fine.reshape(-1, COARSE, step, COARSE, step).mean(axis=(2, 4)))
    best: dict[tuple[int, int], float] = {}
    for turned, turned_coarse in zip(_turns(fine), _turns(coarse), strict=True):
        others = turned_coarse.reshape(len(coarse), -1).T
        for start in range(0, len(coarse), ROWS):
            likeness = coarse[start : start + ROWS].reshape(-1, others.shape[0]) @ others
            for row, second in np.argwhere(likeness >= WORTH_A_LOOK).tolist():
                first = start + row
                if first < second:
                    correlation = float((fine[first] * turned[second]).sum())
                    best[first, second] = max(correlation, best.get((first, second), -1.0))
    found = [(*pair, correlation) for pair, correlation in best.items() if correlation >= ALIKE]
    return sorted(found, key=lambda pair: -pair[2])


def _turns(pictures: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Pictures (n, S, S) as they are, mirrored, and both turned by quarters."""
    for flipped in (pictures, pictures[:, :, ::-1]):
        for quarters in range(4):
            yield np.rot90(flipped, quarters, axes=(1, 2))
