"""The data sets of the study, each read in the layout of its real download.

A new data set is one file with a function that opens it and a function that checks it, and one line in
`SOURCES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scgcnet.data.bijie import check_bijie, open_bijie
from scgcnet.data.sample import (
    PARTS,
    DatasetError,
    DatasetNotFoundError,
    Kind,
    LandslideDataset,
    Part,
    Sample,
    Subset,
    WholeDataset,
    data_root,
)
from scgcnet.data.splits import file_sha256, take_part
from scgcnet.data.synthetic import DEFAULT_COUNT, check_synthetic, open_synthetic, write_synthetic
from scgcnet.data.transforms import (
    IGNORE_INDEX,
    AugmentConfig,
    EvalTransform,
    TrainingView,
    TrainTransform,
    Transform,
)

__all__ = [
    "IGNORE_INDEX",
    "PARTS",
    "SOURCES",
    "AugmentConfig",
    "DatasetError",
    "DatasetNotFoundError",
    "EvalTransform",
    "Kind",
    "LandslideDataset",
    "Part",
    "Sample",
    "Subset",
    "TrainTransform",
    "TrainingView",
    "Transform",
    "WholeDataset",
    "check_dataset",
    "data_root",
    "data_sha256",
    "dataset_available",
    "open_dataset",
    "split_file",
    "split_sha256",
    "write_fake",
]


@dataclass(frozen=True)
class Source:
    """How one data set is opened and checked; `None` as root stands for its usual place."""

    open: Callable[[Path | None], WholeDataset]
    check: Callable[[Path | None], list[str]]


SOURCES = {
    "bijie": Source(open_bijie, check_bijie),
    "synthetic": Source(open_synthetic, check_synthetic),
}


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise DatasetError(f"There is no data set {name!r}; the names are {', '.join(SOURCES)}.")
    return SOURCES[name]


def open_dataset(name: str, split: int | str, part: Part, root: Path | None = None) -> LandslideDataset:
    """Open one part of a data set.

    Args:
        name: "bijie" or "synthetic"; the latter is generated on first use.
        split: the number of a committed split (0 is the main one), or the path of a CSV file with the columns
            name,part.
        part: "train", "val" or "test".
        root: the folder that holds the data set's own folder; by default `data_root()`, and `build/data` for
            "synthetic".

    Returns:
        The samples of that part in the order of their names; decoded when asked for, then kept in memory.

    Raises:
        DatasetNotFoundError: the data is not there.
        DatasetError: it does not fit the layout or the split.
    """
    whole = _source(name).open(root)
    return take_part(whole, _split_path(whole, split), part)


def dataset_available(name: str, root: Path | None = None) -> bool:
    """Tell whether the data set is there (or can be made); its files are not decoded.

    Raises:
        DatasetError: there is no data set of that name, or the one found does not fit the layout.
    """
    try:
        _source(name).open(root)
    except DatasetNotFoundError:
        return False
    return True


def data_sha256(name: str, root: Path | None = None) -> str:
    """Return the SHA-256 of all decoded images and masks, the same for PNG and lossless WebP copies.

    Raises:
        DatasetError: the data set is missing or damaged.
    """
    return _source(name).open(root).sha256


def split_file(name: str, split: int | str, root: Path | None = None) -> Path:
    """Return the CSV file of a split, for its hash or a table.

    Raises:
        DatasetError: there is no such split.
    """
    return _split_path(_source(name).open(root), split)


def split_sha256(name: str, split: int | str, root: Path | None = None) -> str:
    """Return the SHA-256 of a split's content, in the order of the names.

    Raises:
        DatasetError: there is no such split, or it cannot be read.
    """
    return file_sha256(split_file(name, split, root))


def check_dataset(name: str, root: Path | None = None) -> list[str]:
    """Return all faults of a data set, as messages that name the file and the remedy; empty if all is well.

    Raises:
        DatasetError: there is no data set of that name.
    """
    return _source(name).check(root)


def write_fake(name: str, folder: Path, n: int = DEFAULT_COUNT, seed: int = 0) -> None:
    """Write a synthetic data set below `folder`, in the on-disk layout of the real one `name`, with splits.

    Raises:
        DatasetError: that layout cannot be written, or `folder` holds the real data.
    """
    if name != "bijie":
        raise DatasetError(f"Fakes can be written in the layout of 'bijie', not of {name!r}.")
    write_synthetic(folder, n, seed)


def _split_path(whole: WholeDataset, split: int | str) -> Path:
    if isinstance(split, str) and not split.isdigit():
        return Path(split)
    return whole.split_path(int(split))
