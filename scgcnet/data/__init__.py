"""The data sets of the study, each read in the layout of its real download.

A new data set is a subclass of `pairs.FileDataset` in a file of its own, and its name in `SOURCES`.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from scgcnet.data.amunet import Amunet
from scgcnet.data.bijie import Bijie, BijieNegatives, Synthetic, SyntheticElsewhere
from scgcnet.data.cld import Cld
from scgcnet.data.folder import Folder
from scgcnet.data.gvlm import Gvlm
from scgcnet.data.hrgldd import HrGldd
from scgcnet.data.landslide4sense import Landslide4Sense, Landslide4SenseH5
from scgcnet.data.landslide_free import CldUnlabelled, LandslideFree
from scgcnet.data.pairs import FileDataset
from scgcnet.data.sample import (
    PARTS,
    DatasetError,
    DatasetNotFoundError,
    Kind,
    LandslideDataset,
    Merged,
    Part,
    Sample,
    Split,
    Subset,
    WholeDataset,
    data_root,
)
from scgcnet.data.sichuan import Sichuan
from scgcnet.data.splits import read_split, split_hash, take_part
from scgcnet.data.synthetic import DEFAULT_COUNT
from scgcnet.data.transforms import (
    IGNORE_INDEX,
    AugmentConfig,
    EvalTransform,
    TrainingView,
    TrainTransform,
    Transform,
)

__all__ = [
    "DEFAULT_COUNT",
    "IGNORE_INDEX",
    "PARTS",
    "SOURCES",
    "Amunet",
    "AugmentConfig",
    "DatasetError",
    "DatasetNotFoundError",
    "EvalTransform",
    "Kind",
    "LandslideDataset",
    "Merged",
    "Part",
    "Sample",
    "Split",
    "Subset",
    "TrainTransform",
    "TrainingView",
    "Transform",
    "WholeDataset",
    "check_dataset",
    "data_root",
    "data_sha256",
    "dataset_available",
    "dataset_notes",
    "open_dataset",
    "open_whole",
    "split_sha256",
    "write_fake",
]

SOURCES: dict[str, type[FileDataset]] = {
    source.dataset: source
    for source in (
        Bijie,
        BijieNegatives,
        Cld,
        Gvlm,
        HrGldd,
        Landslide4Sense,
        Landslide4SenseH5,
        Amunet,
        Sichuan,
        LandslideFree,
        CldUnlabelled,
        Folder,
        Synthetic,
        SyntheticElsewhere,
    )
}


def _source(name: str) -> type[FileDataset]:
    if name not in SOURCES:
        raise DatasetError(f"There is no data set {name!r}; the names are {', '.join(SOURCES)}.")
    return SOURCES[name]


def open_whole(name: str, root: Path | None = None) -> WholeDataset:
    """Open a data set as it is before any split; arguments and errors are those of `open_dataset`."""
    return _source(name).open(root)


def open_dataset(name: str, split: int | str, part: Part, root: Path | None = None) -> Subset:
    """Open one part of a data set.

    Args:
        name: one of `SOURCES`; "synthetic" is drawn on first use.
        split: the number or name of a split of the data set (0 is the main one), or a CSV file with columns name,part.
        part: "train", "val" or "test".
        root: the folder that holds the data set's own folder, or for "folder" that folder itself; by default
            `data_root()`, `data_root() / "folder"` for that, and `build/data` for "synthetic".

    Raises:
        DatasetNotFoundError: the data is not there.
        DatasetError: it does not fit the layout or the split.
    """
    whole = open_whole(name, root)
    return take_part(whole, _split(whole, split), f"split {split} of {name}", part)


def dataset_available(name: str, root: Path | None = None) -> bool:
    """Whether the data set is there (or can be made); raises DatasetError where it does not fit the layout."""
    try:
        open_whole(name, root)
    except DatasetNotFoundError:
        return False
    return True


def data_sha256(name: str, root: Path | None = None) -> str:
    """Return the SHA-256 of all decoded images and masks, the same for PNG and lossless WebP copies."""
    return open_whole(name, root).sha256


def split_sha256(name: str, split: int | str, root: Path | None = None) -> str:
    """Return the SHA-256 of a split's content, in the order of the names."""
    return split_hash(_split(open_whole(name, root), split))


def _split(whole: WholeDataset, split: int | str) -> Split:
    return read_split(Path(str(split))) if str(split).endswith(".csv") else whole.split(str(split))


def check_dataset(name: str, root: Path | None = None) -> list[str]:
    """Return all faults of a data set, as messages that name the file and the remedy; empty if all is well."""
    return _source(name).check(root)


def dataset_notes(name: str, root: Path | None = None) -> list[str]:
    """Return what should be known of a data set and is no fault, such as missing sub-sets."""
    source = _source(name)
    with contextlib.suppress(DatasetNotFoundError):  # a fault, which `check_dataset` reports
        return source.notes(root)
    return []


def write_fake(name: str, folder: Path, n: int = DEFAULT_COUNT, seed: int = 0) -> None:
    """Write a synthetic data set below `folder`, in the on-disk layout of the real one `name`, with splits.

    Raises:
        DatasetError: that layout cannot be written, n is too small, or `folder` holds the real data.
        WriteError: the folder cannot be written or the disk is full; nothing is left of it.
    """
    _source(name).write_fake(folder, n, seed)
