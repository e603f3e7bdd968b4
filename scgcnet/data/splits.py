"""Splits: CSV files with the columns `name,part`; 5:3:2 ones drawn over samples, groups or blocks; increments."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np

from scgcnet import files
from scgcnet.data.sample import PARTS, UNUSED, DatasetError, Part, Split, Subset, WholeDataset

BIJIE_COUNT = 770  # landslide images in the official download (Ji et al. 2020)
SHARES = (5, 3, 2)  # train : val : test (paper, Sec. IV-A-1)
POOL = 20  # percent of a new domain's patches that increments are drawn from (paper, Sec. IV-D)

By = Literal["patch", "site"]


def committed_split(dataset: str, split: int | str) -> Path:
    """Return the path of a committed split, for example `bijie-0.csv`."""
    folder = Path(str(resources.files("scgcnet.data") / "splits"))
    path = folder / f"{dataset}-{split}.csv"
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in folder.glob("*.csv")))
        raise DatasetError(
            f"There is no committed split {path.name}; take one of {known}, or name a CSV file of your own."
        )
    return path


def read_split(path: Path) -> Split:
    """Read a split: the part of every name, in the order of the file; "unused" stands for none of the parts."""
    if not path.is_file():
        raise DatasetError(f"{path}: no such split file; it is a CSV file with the columns name,part.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != ["name", "part"]:
                raise DatasetError(f"{path}: the columns must be name,part, not {reader.fieldnames}.")
            rows = [(row["name"], row["part"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as CSV: {error}. Copy it again, or write it anew.") from error
    split: dict[str, Any] = {}
    for name, part in rows:
        if part not in (*PARTS, UNUSED):
            raise DatasetError(f"{path}: part {part!r} of {name!r} must be one of {', '.join(PARTS)}, {UNUSED}.")
        if name in split:
            raise DatasetError(f"{path}: {name!r} is listed twice; the parts must be disjoint, keep one of its lines.")
        split[name] = part
    for part in PARTS:
        if part not in split.values():
            raise DatasetError(f"{path}: no image is in part {part!r}; every part needs at least one.")
    return split


def split_indices(names: Sequence[str], split: Split, source: str) -> dict[Part, list[int]]:
    """Match a split to the sorted names of a data set: for each part the indices into `names`, ascending.

    The committed Bijie splits are numbered by rank, since the copy they were made on had lost the official names
    (`df003`, `hz001`, ...): entry i is the i-th of these, so a complete download of other names is matched by rank.
    """
    if set(names) == set(split):
        parts = [split[name] for name in names]
    elif len(names) == len(split) == BIJIE_COUNT and not set(names) & set(split):
        parts = [split[name] for name in sorted(split)]
    else:
        unknown = sorted(set(split) - set(names))
        unlisted = sorted(set(names) - set(split))
        raise DatasetError(
            f"{source} does not fit the data: it lists {len(split)} names, the folder holds {len(names)} pairs; "
            f"{_some(unknown)} of the split are not in the folder, {_some(unlisted)} of the folder are not in the "
            f"split. Complete the download ({BIJIE_COUNT} pairs for Bijie), or name a split file made for these images."
        )
    return {wanted: [i for i, part in enumerate(parts) if part == wanted] for wanted in PARTS}


def split_faults(names: Sequence[str], path: Path, source: str) -> list[str]:
    """Return why a split file does not fit the sorted names of a data set; empty if it does."""
    try:
        split_indices(names, read_split(path), source)
    except DatasetError as error:
        return [str(error)]
    return []


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} names ({shown})" if names else "0 names"


def take_part(whole: WholeDataset, split: Split, source: str, part: Part) -> Subset:
    """Return one part of a data set under a split; `source` names it in messages."""
    if part not in PARTS:
        raise DatasetError(f"part {part!r} must be one of {', '.join(PARTS)}.")
    return Subset(whole, split_indices(whole.names, split, source)[part])


def seeded(which: str, kinds: Sequence[str], dataset: str) -> tuple[str, int]:
    """Kind and seed that the name of a drawn split stands for: "random-2", or "2" for the first kind."""
    kind, dash, seed = which.rpartition("-")
    if not seed.isascii() or not seed.isdigit() or (dash and kind not in kinds):
        known = " or ".join(f"{kind}-SEED" for kind in kinds)
        raise DatasetError(f"{dataset} has no split {which!r}: name {known}, with a SEED of 0, 1, 2, ...")
    return kind or kinds[0], int(seed)


def random_split(names: Sequence[str], seed: int) -> Split:
    """Draw a 5:3:2 split of three or more names; sizes are rounded, and each part gets at least one."""
    n = len(names)
    if n < 3:
        raise DatasetError(f"A split needs at least 3 images, one a part; there are {n}.")
    train, val = (max(1, round(n * share / sum(SHARES))) for share in SHARES[:2])
    train = min(train, n - val - 1)
    ranks = np.argsort(np.random.default_rng(seed).permutation(n))
    bounds = (train, train + val)
    return {name: PARTS[np.searchsorted(bounds, rank, "right")] for name, rank in zip(names, ranks, strict=True)}


def deal(n: int, seed: int) -> dict[Part, list[int]]:
    """Deal the numbers from 0 to n - 1 out to the parts, about 5:3:2."""
    split = random_split([str(index) for index in range(n)], seed)
    return {part: [int(index) for index, chosen in split.items() if chosen == part] for part in PARTS}


def grouped_split(names: Sequence[str], groups: Sequence[str], seed: int, parts: Sequence[Part] = PARTS) -> Split:
    """Draw a split near 5:3:2 that never divides a group, such as tiles that overlap, or a site.

    Groups are taken in random order; each goes to the part that lacks most of its share.
    """
    sizes = Counter(groups)
    if len(sizes) < len(parts):
        raise DatasetError(
            f"A split over groups needs at least {len(parts)} of them, one a part; there are {len(sizes)}."
        )
    order = [list(sizes)[i] for i in np.random.default_rng(seed).permutation(len(sizes))]
    shares = {part: share for part, share in zip(PARTS, SHARES, strict=True) if part in parts}
    room = {part: len(names) * share / sum(shares.values()) for part, share in shares.items()}
    taken: dict[str, Part] = {}
    for left, group in zip(range(len(order), 0, -1), order, strict=True):
        empty = [part for part in parts if part not in taken.values()]
        # The last groups are for parts that have none yet.
        part = max(empty if left <= len(empty) else parts, key=lambda part: room[part])
        taken[group] = part
        room[part] -= sizes[group]
    return {name: taken[group] for name, group in zip(names, groups, strict=True)}


@dataclass(frozen=True)
class Box:
    """Where a tile lies: pixels from the top left of its scene, the ends not included."""

    scene: str
    top: int
    left: int
    bottom: int
    right: int

    def overlaps(self, other: Box) -> bool:
        return (
            self.scene == other.scene
            and self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )


def blocked_split(
    names: Sequence[str], boxes: Sequence[Box], seed: int, block: int, *, buffer: bool, parts: Sequence[Part] = PARTS
) -> Split:
    """Draw a split near 5:3:2 over square blocks of scenes, for tiles that overlap throughout.

    A tile belongs to the block that holds its centre. Tiles on both sides of an edge between two blocks still share
    pixels; with a buffer, what overlaps a tile of the test part is taken out of training and validation, and what
    overlaps one of the validation part out of training. `block` is the side of a block, pixels.
    """
    centres = [((box.top + box.bottom) // 2, (box.left + box.right) // 2) for box in boxes]
    groups = [f"{box.scene} {y // block} {x // block}" for box, (y, x) in zip(boxes, centres, strict=True)]
    drawn: dict[str, Any] = dict(grouped_split(names, groups, seed, parts))
    if buffer:
        for kept, cut in (("test", ("train", "val")), ("val", ("train",))):
            walls = [box for name, box in zip(names, boxes, strict=True) if drawn[name] == kept]
            for name, box in zip(names, boxes, strict=True):
                if drawn[name] in cut and any(map(box.overlaps, walls)):
                    drawn[name] = UNUSED
    if empty := [part for part in parts if part not in drawn.values()]:
        raise DatasetError(f"Blocks of {block} px leave no tile for {', '.join(empty)}; take smaller ones.")
    return drawn


def increment_split(whole: WholeDataset, percent: float, seed: int, by: By = "patch") -> Split:
    """Draw an increment of a new domain: "train", with "test" outside the pool and "unused" for the rest of the pool.

    The paper draws 20 % of the patches with and 20 % of those without landslides as the pool, adds 0 to 20 % of the
    patches to the training set, and tests on "the remaining" data. Here increments of one seed are nested, and the test
    part is what never was in the pool, the same for all, so that their scores compare.

    Args:
        whole: the new data set. By "patch", its masks are decoded.
        percent: share of the samples that is trained on, 0 to `POOL`.
        seed: of the pool and its order.
        by: "patch" draws samples, with and without landslides alike; "site" takes whole sites into the pool until it
            holds `POOL` percent of the samples, and draws increments from these.
    """
    if not 0 <= percent <= POOL:
        raise DatasetError(f"An increment of {percent} % cannot be drawn from a pool of {POOL} %: take 0 to {POOL}.")
    rng = np.random.default_rng([seed, POOL])
    pools = _pools_by_site(whole, rng) if by == "site" else _pools_by_patch(whole, rng)
    parts: dict[str, Part | Literal["unused"]] = dict.fromkeys(whole.names, "test")
    for pool in pools:
        taken = min(len(pool), round(len(pool) * percent / POOL if by == "patch" else len(whole) * percent / 100))
        for rank, index in enumerate(pool):
            parts[whole.names[index]] = "train" if rank < taken else "unused"
    if "test" not in parts.values():
        raise DatasetError(f"{whole.dataset}: the pool takes all {len(whole)} samples; nothing is left to test.")
    return parts


def _pools_by_patch(whole: WholeDataset, rng: np.random.Generator) -> list[list[int]]:
    slides = np.array([bool((sample.mask == 1).any()) for sample in whole])
    pools = []
    for kind in (True, False):
        found = rng.permutation(np.flatnonzero(slides == kind))
        pools.append([int(index) for index in found[: round(len(found) * POOL / 100)]])
    return pools


def _pools_by_site(whole: WholeDataset, rng: np.random.Generator) -> list[list[int]]:
    sites = sorted(set(whole.sites))
    if len(sites) < 2 or set(sites) <= set(PARTS):
        raise DatasetError(f"{whole.dataset} has no sites to choose among; draw the increments by patch.")
    pool: list[int] = []
    for number in rng.permutation(len(sites)):
        if len(pool) >= len(whole) * POOL / 100:
            break
        pool += [index for index, site in enumerate(whole.sites) if site == sites[number]]
    return [[int(index) for index in rng.permutation(pool)]]


def write_split(path: Path, split: Split) -> None:
    """Write a split as CSV."""
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("name", "part"), *split.items()])
    files.write_text(path, table.getvalue())


def split_hash(split: Split) -> str:
    """SHA-256 of a split's content; the order of its names does not matter."""
    return hashlib.sha256("".join(f"{name},{split[name]}\n" for name in sorted(split)).encode()).hexdigest()
