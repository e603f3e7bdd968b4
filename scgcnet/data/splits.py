"""Splits: committed CSV files with the columns `name,part`, and random 5:3:2 ones for data without."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

from scgcnet.data.sample import PARTS, DatasetError, LandslideDataset, Part, Subset

BIJIE_COUNT = 770  # landslide images in the official download (Ji et al. 2020)
SHARES = (5, 3, 2)  # train : val : test (paper, Sec. IV-A-1)

Split = dict[str, Part]


def committed_split(dataset: str, split: int) -> Path:
    """Return the path of a committed split, for example `bijie-0.csv`.

    Raises:
        DatasetError: there is no such split.
    """
    folder = Path(str(resources.files("scgcnet.data") / "splits"))
    path = folder / f"{dataset}-{split}.csv"
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in folder.glob("*.csv")))
        raise DatasetError(
            f"There is no committed split {path.name}; take one of {known}, or name a CSV file of your own."
        )
    return path


def read_split(path: Path) -> Split:
    """Read a split: the part of every name, in the order of the file.

    Raises:
        DatasetError: the file is missing, has other columns or parts, names an image twice, or leaves a part
            empty.
    """
    if not path.is_file():
        raise DatasetError(f"{path}: no such split file; it is a CSV file with the columns name,part.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if reader.fieldnames != ["name", "part"]:
                raise DatasetError(f"{path}: the columns must be name,part, not {reader.fieldnames}.")
            rows = [(row["name"], row["part"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as CSV: {error}. Copy it again, or write it anew.") from error
    split: Split = {}
    for name, value in rows:
        part = next((known for known in PARTS if known == value), None)
        if part is None:
            raise DatasetError(f"{path}: part {value!r} of {name!r} must be one of {', '.join(PARTS)}.")
        if name in split:
            raise DatasetError(f"{path}: {name!r} is listed twice; the parts must be disjoint, keep one of its lines.")
        split[name] = part
    for part in PARTS:
        if part not in split.values():
            raise DatasetError(f"{path}: no image is in part {part!r}; every part needs at least one.")
    return split


def split_indices(names: Sequence[str], split: Split, source: Path) -> dict[Part, list[int]]:
    """Match a split to the sorted names of a data set.

    Names match where they are the same. The committed Bijie splits are numbered by rank, since the copy they
    were made on had lost the official names (`df003`, `hz001`, ...): entry i is the i-th of the sorted
    official names, so a complete download of other names is matched by rank.

    Args:
        names: the data set's names, sorted.
        split: the part of each name, from `read_split`.
        source: the split's file, for the message.

    Returns:
        For each part the indices into `names`, ascending.

    Raises:
        DatasetError: the names differ and the rank does not settle it.
    """
    if set(names) == set(split):
        parts = [split[name] for name in names]
    elif len(names) == len(split) == BIJIE_COUNT and not set(names) & set(split):
        parts = [split[name] for name in sorted(split)]
    else:
        unknown = sorted(set(split) - set(names))
        unlisted = sorted(set(names) - set(split))
        raise DatasetError(
            f"{source} does not fit the data: it lists {len(split)} names, the folder holds {len(names)} "
            f"pairs; {_some(unknown)} of the split are not in the folder, {_some(unlisted)} of the folder are "
            f"not in the split. Complete the download ({BIJIE_COUNT} pairs for Bijie), or name a split file "
            "made for these images."
        )
    return {wanted: [i for i, part in enumerate(parts) if part == wanted] for wanted in PARTS}


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} names ({shown})" if names else "0 names"


def take_part(whole: LandslideDataset, source: Path, part: Part) -> Subset:
    """Return one part of a data set under the split in the file `source`.

    Raises:
        DatasetError: the split does not fit, or `part` is none of train, val, test.
    """
    if part not in PARTS:
        raise DatasetError(f"part {part!r} must be one of {', '.join(PARTS)}.")
    return Subset(whole, split_indices(whole.names, read_split(source), source)[part])


def random_split(names: Sequence[str], seed: int) -> Split:
    """Draw a 5:3:2 split; sizes are rounded, and each part gets at least one of three or more names.

    Raises:
        DatasetError: fewer than three names.
    """
    n = len(names)
    if n < 3:
        raise DatasetError(f"A split needs at least 3 images, one a part; there are {n}.")
    train, val = (max(1, round(n * share / sum(SHARES))) for share in SHARES[:2])
    train = min(train, n - val - 1)
    order = np.random.default_rng(seed).permutation(n)
    parts: dict[int, Part] = {
        int(index): PARTS[0] if rank < train else PARTS[1] if rank < train + val else PARTS[2]
        for rank, index in enumerate(order)
    }
    return {name: parts[i] for i, name in enumerate(names)}


def write_split(path: Path, split: Split) -> None:
    """Write a split as CSV, lines ending in a single newline so that its hash is the same everywhere."""
    path.write_text(
        "name,part\n" + "".join(f"{name},{part}\n" for name, part in split.items()),
        encoding="utf-8",
        newline="\n",
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a split as read, so that line endings and the order of lines do not matter."""
    split = read_split(path)
    return hashlib.sha256("".join(f"{name},{split[name]}\n" for name in sorted(split)).encode()).hexdigest()
