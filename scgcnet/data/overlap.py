"""Overlap between the parts of a split: copies, shared ground, and how much of a test part was seen in training.

`audit` returns numbers, `report` makes them into text.
"""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from scgcnet.data import open_dataset, open_whole
from scgcnet.data.matching import (
    Quadrants,
    Shift,
    Windows,
    find_shifts,
    near_pairs,
    quadrants,
    shared_quadrants,
    shifts_of_boxes,
    thumbnail,
    windows,
)
from scgcnet.data.sample import PARTS, UNUSED, Kind, Part, Sample, Subset, WholeDataset

Place = Part | Literal["unused"]
SAME = 0.5  # share of the common pixels that are equal. True shifts have 1.0, chance stays below 0.2 (Bijie)
IN_MEMORY = 256  # decoded samples that are kept while pairs are compared
SHOWN = 10  # pairs of a kind that a report lists
BEFORE: tuple[tuple[Part, Part], ...] = (("test", "train"), ("test", "val"), ("val", "train"))


class PartCount(NamedTuple):
    """One part of the split: images, pixels, and the share of landslide among the known pixels."""

    part: Place
    images: int
    pixels: int
    landslide: float


class Copies(NamedTuple):
    """Images of the same pixels, the part of each, and the share of pixels on which not all of their masks agree."""

    names: tuple[str, ...]
    parts: tuple[Place, ...]
    differing: float


class Near(NamedTuple):
    """Two images that look alike without a known common pixel, their parts, the correlation of their thumbnails."""

    names: tuple[str, str]
    parts: tuple[Place, Place]
    correlation: float


class Ground(NamedTuple):
    """Two images that show some of the same ground: how many pixels, and on how many of these their masks differ."""

    names: tuple[str, str]
    parts: tuple[Place, Place]
    pixels: int
    differing: int


class Seen(NamedTuple):
    """How much of `part` was seen in `before`: images of which a pixel or more than half was, and share of pixels."""

    part: Part
    before: Part
    images: int
    touched: int
    mostly: int
    share: float


class Audit(NamedTuple):
    """The overlap found in one split of a data set."""

    dataset: str
    kind: Kind
    split: str
    parts: tuple[PartCount, ...]
    copies: tuple[Copies, ...]
    near: tuple[Near, ...]  # the most alike first
    quadrants: int  # quadrants that several tiles have
    quadrants_across: int  # those of them that lie in several parts
    ground: tuple[Ground, ...]  # the largest area first
    known_places: bool  # whether ground is by the tiles' known places, not by what was recognised
    seen: tuple[Seen, ...]


class _Look(NamedTuple):
    digest: str
    pixels: int
    known: int
    landslide: int
    quadrants: Quadrants
    windows: Windows
    thumbnail: NDArray[np.float32]


def _look(sample: Sample) -> _Look:
    return _Look(
        digest=hashlib.sha256(sample.image.tobytes()).hexdigest() + repr(sample.image.shape),
        pixels=sample.mask.size,
        known=int((sample.mask != 255).sum()),
        landslide=int((sample.mask == 1).sum()),
        quadrants=quadrants(sample.image),
        windows=windows(sample.image),
        thumbnail=thumbnail(sample),
    )


def audit(name: str, split: int | str = 0, root: Path | None = None) -> Audit:
    """Look at every image of a data set and every pair that has something in common; arguments as `open_dataset`."""
    whole = open_whole(name, root)
    of_name: dict[str, Part] = {s: part for part in PARTS for s in open_dataset(name, split, part, root).names}
    parts: list[Place] = [of_name.get(sample, UNUSED) for sample in whole.names]
    indices = tqdm(range(len(whole)), desc="looking at images", unit="image", disable=None)
    looks = [_look(whole.read(index)) for index in indices]

    groups: dict[str, list[int]] = defaultdict(list)
    for index, look in enumerate(looks):
        groups[look.digest].append(index)
    copies = [group for group in groups.values() if len(group) > 1]
    boxes = getattr(whole, "boxes", None)
    if boxes:  # they show all ground but copies in other places; plain ones, such as no data, are no such copies
        copied = [group for group in copies if any(looks[group[0]].quadrants.digests)]
        shifts = {*shifts_of_boxes(boxes), *_shifts_of_copies(copied, parts)}
    else:
        shifts = {*find_shifts([look.windows for look in looks]), *_shifts_of_copies(copies, parts)}
    ground, seen = _compare(whole.names, whole.read, parts, shifts)
    known = {pair.names for pair in ground}
    pairs = near_pairs([look.thumbnail for look in looks])
    near = [Near((whole.names[i], whole.names[j]), (parts[i], parts[j]), likeness) for i, j, likeness in pairs]
    quads = [{parts[tile] for tile, _ in places} for places in shared_quadrants([look.quadrants for look in looks])]
    return Audit(
        dataset=name,
        kind=whole.kind,
        split=str(split),
        parts=_count(parts, looks),
        copies=tuple(_copies(whole, parts, group) for group in copies),
        near=tuple(pair for pair in near if pair.names not in known),
        quadrants=len(quads),
        quadrants_across=sum(len(places - {UNUSED}) > 1 for places in quads),
        ground=tuple(sorted(ground, key=lambda pair: (-pair.pixels, pair.names))),
        known_places=bool(boxes),
        seen=_sum_up(parts, looks, seen),
    )


def _count(parts: Sequence[Place], looks: Sequence[_Look]) -> tuple[PartCount, ...]:
    counts = []
    for part in (*PARTS, UNUSED):
        own = [look for look, place in zip(looks, parts, strict=True) if place == part]
        if own:
            landslide = sum(look.landslide for look in own) / max(1, sum(look.known for look in own))
            counts.append(PartCount(part, len(own), sum(look.pixels for look in own), landslide))
    return tuple(counts)


def _copies(whole: WholeDataset, parts: Sequence[Place], group: Sequence[int]) -> Copies:
    masks = np.stack([whole.read(index).mask for index in group])
    differing = float((masks != masks[0]).any(axis=0).mean())
    return Copies(tuple(whole.names[i] for i in group), tuple(parts[i] for i in group), differing)


def _shifts_of_copies(copies: Sequence[Sequence[int]], parts: Sequence[Place]) -> Iterator[Shift]:
    # Plain copies have no windows, and may be very many: pairs with the first of every part tell where each was seen.
    for group in copies:
        firsts = {parts[index]: index for index in reversed(group)}.values()
        yield from (Shift(min(i, j), max(i, j), 0, 0) for i in firsts for j in group if i != j)


def _compare(
    names: Sequence[str], read: Callable[[int], Sample], parts: Sequence[Place], shifts: Collection[Shift]
) -> tuple[list[Ground], dict[tuple[int, Place], int]]:
    """The pairs that share pixels, and of each image how many of its pixels are in an image of each other part."""
    read = functools.lru_cache(maxsize=IN_MEMORY)(read)
    partners: dict[int, list[Shift]] = defaultdict(list)
    for shift in shifts:
        partners[shift.first].append(shift)
        partners[shift.second].append(shift)
    ground: list[Ground] = []
    seen: dict[tuple[int, Place], int] = {}
    for own in tqdm(sorted(partners), desc="comparing pairs", unit="image", disable=None):
        covered: dict[Place, NDArray[np.bool_]] = {}
        for shift in partners[own]:
            other = shift.first + shift.second - own
            both = read(shift.first), read(shift.second)
            areas = shift.common(both[0].mask.shape, both[1].mask.shape)
            equal = (both[0].image[areas[0]] == both[1].image[areas[1]]).all(axis=2)
            if not equal.size or equal.mean() < SAME:
                continue
            covered.setdefault(parts[other], np.zeros(read(own).mask.shape, bool))[areas[own == shift.second]] |= equal
            if own == shift.first:
                masks = [one.mask[area] for one, area in zip(both, areas, strict=True)]
                differing = equal & (masks[0] != masks[1]) & (masks[0] != 255) & (masks[1] != 255)
                pair, places = (names[own], names[other]), (parts[own], parts[other])
                ground.append(Ground(pair, places, int(equal.sum()), int(differing.sum())))
        seen |= {(own, place): int(pixels.sum()) for place, pixels in covered.items()}
    return ground, seen


def _sum_up(parts: Sequence[Place], looks: Sequence[_Look], seen: Mapping[tuple[int, Place], int]) -> tuple[Seen, ...]:
    found = []
    for part, before in BEFORE:
        own = [index for index, place in enumerate(parts) if place == part]
        pixels = [seen.get((index, before), 0) for index in own]
        touched = sum(count > 0 for count in pixels)
        mostly = sum(2 * count > looks[index].pixels for index, count in zip(own, pixels, strict=True))
        share = sum(pixels) / sum(looks[index].pixels for index in own)
        found.append(Seen(part, before, len(own), touched, mostly, share))
    return tuple(found)


def ground_groups(whole: WholeDataset, found: Audit) -> list[str]:
    """A name for each sample of a data set, the same for those that share ground, directly or through others."""
    return _joined(whole.names, found.ground)


def shared_ground(part: Subset) -> list[str]:
    """The same for the samples of one part, without an audit of the whole."""
    boxes = getattr(part.whole, "boxes", None)
    if boxes:
        shifts = shifts_of_boxes([boxes[index] for index in part.indices])
    else:
        shifts = find_shifts([windows(sample.image) for sample in part])
    ground, _ = _compare(part.names, part.__getitem__, [UNUSED] * len(part), shifts)
    return _joined(part.names, ground)


def _joined(names: Sequence[str], ground: Sequence[Ground]) -> list[str]:
    group = {name: name for name in names}

    def first(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for pair in ground:
        one, other = sorted(map(first, pair.names))
        group[other] = one
    return [first(name) for name in names]


def report(found: Audit) -> str:
    """An audit as text."""
    images = "synthetic images" if found.kind == "synthetic" else "images"
    lines = [f"{found.dataset}, split {found.split}: {sum(part.images for part in found.parts)} {images}", ""]
    lines.append(f"{'part':<8}{'images':>8}{'megapixels':>12}{'landslide':>11}")
    for part in found.parts:
        lines.append(f"{part.part:<8}{part.images:>8}{part.pixels / 1e6:>12.1f}{part.landslide:>11.2%}")

    count = len(found.copies)
    text = f"{count} group{'s' * (count != 1)} of images with the same pixels" if count else "none"
    lines += ["", f"Exact copies: {text}."]
    if any(map(_across, found.copies)):
        lines.append("  NOTE: copies of one image lie in different parts.")
    lines += _some([(group.names, group.parts, _differ(group.differing)) for group in found.copies])

    count = len(found.near)
    text = f"{count} other pairs look alike, some perhaps flipped or turned" if count else "none"
    lines += ["", f"Near copies: {text}."]
    lines += _some([(near.names, near.parts, f"correlation {near.correlation:.3f}") for near in found.near])

    count = found.quadrants
    text = f"{count} are in several tiles, {found.quadrants_across or 'none'} of them across parts" if count else "none"
    lines += ["", f"Quadrants of tiles, shared: {text}."]

    count = len(found.ground)
    across = [pair for pair in found.ground if _across(pair)]
    text = f"{count} pairs of images, {len(across) or 'none'} of them across parts" if count else "none"
    how = "by the places of the tiles, or of whole copies" if found.known_places else "at any shift"
    lines += ["", f"Ground shared pixel by pixel, {how}: {text}."]
    if count:
        pixels, differing = (sum(getattr(pair, kind) for pair in found.ground) for kind in ("pixels", "differing"))
        lines.append(f"  On all that these pairs share, {_differ(differing / pixels)}.")
    lines += _some([(p.names, p.parts, f"{p.pixels} px, {_differ(p.differing / p.pixels)}") for p in across])

    lines += ["", f"{'part':<8}{'seen in':<9}{'of its pixels':>14}{'images touched':>20}{'by more than half':>20}"]
    for seen in found.seen:
        touched = f"{seen.touched} of {seen.images}"
        lines.append(f"{seen.part:<8}{seen.before:<9}{seen.share:>14.2%}{touched:>20}{seen.mostly:>20}")
    if near_across := sum(map(_across, found.near)):
        lines.append(f"Near copies are not counted here; of those pairs {near_across} lie across parts.")
    return "\n".join(lines)


def _across(found: Copies | Near | Ground) -> bool:
    """Whether images lie in two of train, val and test."""
    return len(set(found.parts) - {UNUSED}) > 1


def _some(found: Sequence[tuple[Sequence[str], Sequence[Place], str]]) -> list[str]:
    lines = [
        f"  {', '.join(f'{name} ({part})' for name, part in zip(names, parts, strict=True))}: {text}"
        for names, parts, text in found[:SHOWN]
    ]
    return lines + ([f"  ... and {len(found) - SHOWN} more"] if len(found) > SHOWN else [])


def _differ(share: float) -> str:
    return f"masks differ on {share:.2%} of the pixels" if share else "masks agree"
