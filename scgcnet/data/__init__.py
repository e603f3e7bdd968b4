"""The data sets of the study, each read in the layout of its real download.

A new data set is one file with a function that opens it and a function that checks it, and one line in
`SOURCES`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scgcnet.data.amunet import check_amunet, open_amunet
from scgcnet.data.bijie import check_bijie, open_bijie
from scgcnet.data.bijie_negatives import check_bijie_negatives, open_bijie_negatives
from scgcnet.data.cld import check_cld, notes_cld, open_cld
from scgcnet.data.cld_fake import write_fake_cld
from scgcnet.data.fake_tiles import write_fake_hrgldd, write_fake_landslide4sense, write_fake_landslide4sense_h5
from scgcnet.data.folder import check_folder, notes_folder, open_folder, write_fake_folder
from scgcnet.data.gvlm import check_gvlm, notes_gvlm, open_gvlm, write_fake_gvlm
from scgcnet.data.hrgldd import check_hrgldd, notes_hrgldd, open_hrgldd
from scgcnet.data.landslide4sense import check_landslide4sense, notes_landslide4sense, open_landslide4sense
from scgcnet.data.landslide4sense_h5 import (
    check_landslide4sense_h5,
    notes_landslide4sense_h5,
    open_landslide4sense_h5,
)
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
from scgcnet.data.splits import read_split, split_hash, take_part
from scgcnet.data.synthetic import (
    DEFAULT_COUNT,
    check_synthetic,
    check_synthetic_elsewhere,
    open_synthetic,
    open_synthetic_elsewhere,
    write_synthetic,
)
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


@dataclass(frozen=True)
class Source:
    """How one data set is opened and checked (`None` as root stands for its usual place), and how a fake is written.

    A fake has the on-disk layout of the real one, and a few images that our generator drew: `fake(root, n, seed)`.
    Notes tell what is worth knowing of what is there and is no fault.
    """

    open: Callable[[Path | None], WholeDataset]
    check: Callable[[Path | None], list[str]]
    fake: Callable[[Path, int, int], object] | None = None
    notes: Callable[[Path | None], list[str]] | None = None


SOURCES = {
    "bijie": Source(open_bijie, check_bijie, write_synthetic),
    "bijie_negatives": Source(open_bijie_negatives, check_bijie_negatives),
    "cld": Source(open_cld, check_cld, write_fake_cld, notes_cld),
    "gvlm": Source(open_gvlm, check_gvlm, write_fake_gvlm, notes_gvlm),
    "hrgldd": Source(open_hrgldd, check_hrgldd, write_fake_hrgldd, notes_hrgldd),
    "landslide4sense": Source(
        open_landslide4sense, check_landslide4sense, write_fake_landslide4sense, notes_landslide4sense
    ),
    "landslide4sense_h5": Source(
        open_landslide4sense_h5, check_landslide4sense_h5, write_fake_landslide4sense_h5, notes_landslide4sense_h5
    ),
    "amunet": Source(open_amunet, check_amunet),
    "folder": Source(open_folder, check_folder, write_fake_folder, notes_folder),
    "synthetic": Source(open_synthetic, check_synthetic),
    "synthetic_elsewhere": Source(open_synthetic_elsewhere, check_synthetic_elsewhere),
}


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise DatasetError(f"There is no data set {name!r}; the names are {', '.join(SOURCES)}.")
    return SOURCES[name]


def open_whole(name: str, root: Path | None = None) -> WholeDataset:
    """Open a data set as it is before any split; arguments and errors are those of `open_dataset`."""
    return _source(name).open(root)


def open_dataset(name: str, split: int | str, part: Part, root: Path | None = None) -> Subset:
    """Open one part of a data set.

    Args:
        name: one of `SOURCES`; "synthetic" is generated on first use.
        split: a number or the name of a split that the data set knows (0 is the main one), or the path of a CSV file,
            ending in .csv, with the columns name,part.
        part: "train", "val" or "test".
        root: the folder that holds the data set's own folder, or for "folder" that folder itself; by default
            `data_root()`, `data_root() / "folder"` for that, and `build/data` for "synthetic".

    Returns:
        The samples of that part in the order of their names; decoded when asked for, then kept in memory.

    Raises:
        DatasetNotFoundError: the data is not there.
        DatasetError: it does not fit the layout or the split.
    """
    whole = open_whole(name, root)
    return take_part(whole, _split(whole, split), f"split {split} of {name}", part)


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


def split_sha256(name: str, split: int | str, root: Path | None = None) -> str:
    """Return the SHA-256 of a split's content, in the order of the names.

    Raises:
        DatasetError: there is no such split, or it cannot be read.
    """
    return split_hash(_split(open_whole(name, root), split))


def check_dataset(name: str, root: Path | None = None) -> list[str]:
    """Return all faults of a data set, as messages that name the file and the remedy; empty if all is well.

    Raises:
        DatasetError: there is no data set of that name.
    """
    return _source(name).check(root)


def dataset_notes(name: str, root: Path | None = None) -> list[str]:
    """Return what is worth knowing of a data set and no fault, such as that it is not complete.

    Raises:
        DatasetError: there is no data set of that name.
    """
    notes = _source(name).notes
    with contextlib.suppress(DatasetNotFoundError):  # a fault, and `check_dataset` tells it
        return notes(root) if notes else []
    return []


def write_fake(name: str, folder: Path, n: int = DEFAULT_COUNT, seed: int = 0) -> None:
    """Write a synthetic data set below `folder`, in the on-disk layout of the real one `name`, with splits.

    Raises:
        DatasetError: that layout cannot be written, or `folder` holds the real data.
    """
    fake = _source(name).fake
    if fake is None:
        known = ", ".join(name for name, source in SOURCES.items() if source.fake)
        raise DatasetError(f"Fakes can be written in the layouts of {known}, not of {name!r}.")
    fake(folder, n, seed)


def _split(whole: WholeDataset, split: int | str) -> Split:
    return read_split(Path(str(split))) if str(split).endswith(".csv") else whole.split(str(split))
