"""Tiles that overlap by half, found by the quadrants that they have in common.

CLD was cut at 512 px every 256 px, and where the tiles lay was not kept. But each quadrant of such a tile is, pixel by
pixel, a quadrant of the neighbours that overlap it: equal hashes tell who overlaps whom and by how much, and tiles that
hang together get positions to one another. Images that overlap by anything else are for `scgcnet.data.shared`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scgcnet.checkout import find_checkout
from scgcnet.data.images import Pair, read_image, stamp
from scgcnet.data.splits import Box
from scgcnet.files import WriteError, write_text

LEAST_COLOURS = 16
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # where the quadrants begin, row and column in half sides


@dataclass(frozen=True)
class Quadrants:
    """What the quadrants of one tile show.

    Attributes:
        half: height and width of a quadrant, pixels.
        digests: of the pixels, in the order of `CORNERS`; empty where a quadrant has fewer than `LEAST_COLOURS`, such
            as the black of no data, which does not tell where it is.
    """

    half: tuple[int, int]
    digests: tuple[str, ...]


def quadrants(image: NDArray[np.uint8]) -> Quadrants:
    """Hash the quadrants of a tile, uint8, (H, W, C); one with an odd side has none that a neighbour could share."""
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
            if digest:
                places[digest].append((tile, corner))
    return [seen for seen in places.values() if len({tile for tile, _ in seen}) > 1]


@dataclass(frozen=True)
class Overlap:
    """Which tiles of a data set overlap, and how they lie to one another.

    Attributes:
        groups: of each tile, counted from 0: tiles of one group hang together, directly or over others.
        boxes: the pixels that each tile covers, from the top left of its group, which is the scene; None in a group
            that contradicts itself: its quadrants put a tile in two places, as a repeated pattern does.
        conflicts: of each such group, by its number, two tiles that share a quadrant and do not lie so.
    """

    groups: tuple[int, ...]
    boxes: tuple[Box | None, ...]
    conflicts: Mapping[int, tuple[int, int]]


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
    """All tiles that hang together with one, where they lie from it, and two whose link does not agree to that."""
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
    """Hash the quadrants of many image files, decoded one after the other.

    CLD has 16 GB of pixels, so what was hashed is kept in `build/cache` of the checkout and taken from there while a
    file's size and time are the same. Without a checkout, or where that cannot be written, all is hashed each time.

    Args:
        files: the images.
        folder: the data set's own; each has a cache of its own.

    Raises:
        DatasetError: a file is damaged or cannot be reached.
    """
    cache = _cache_file(folder)
    stamps = dict(zip(map(str, files), stamp([Pair("", file, file) for file in files])[::2], strict=True))
    known = _read_cache(cache, stamps)
    missing = [file for file in files if str(file) not in known]
    try:
        for file in tqdm(missing, desc="looking for overlaps", unit="tile", disable=None):
            known[str(file)] = quadrants(read_image(file))
    finally:  # what an interrupt leaves is worth keeping
        if missing:
            _write_cache(cache, stamps, known)
    return [known[str(file)] for file in files]


def _cache_file(folder: Path) -> Path | None:
    checkout = find_checkout()
    name = hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()
    return checkout / "build" / "cache" / f"quadrants-{name}.json" if checkout else None


def _read_cache(cache: Path | None, stamps: Mapping[str, tuple[int, int]]) -> dict[str, Quadrants]:
    """What is known of the files that have not changed; nothing where the cache is missing or damaged."""
    try:
        rows = json.loads(cache.read_text(encoding="utf-8")) if cache else {}
        return {
            file: Quadrants((height, width), tuple(digests))
            for file, (size, time, height, width, *digests) in rows.items()
            if stamps.get(file) == (size, time) and len(digests) == len(CORNERS)
        }
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _write_cache(cache: Path | None, stamps: Mapping[str, tuple[int, int]], known: Mapping[str, Quadrants]) -> None:
    if cache:
        rows = {file: [*stamps[file], *found.half, *found.digests] for file, found in known.items()}
        with contextlib.suppress(WriteError):  # a read-only checkout does without
            write_text(cache, json.dumps(rows))
