"""Landslide4Sense (Ghorbanzadeh et al., IEEE TGRS 60, 2022) as its official HDF5 files: tiles of 128 px at 10 m.

`Landslide4Sense/{TrainData,ValidData,TestData}/{img,mask}/{image,mask}_1.h5`, with the arrays `img`, (128, 128, 14),
and `mask`, (128, 128), 0 or 1. The bands are B1 to B12 of Sentinel-2 without B8A, the slope and the elevation, in this
order; each was divided by one number, about its mean (github.com/iarai/Landslide4Sense-2022, issue 4), so all of them
lie around 1. During the competition only the masks of TrainData were public; the copy at Zenodo has all. A part without
masks is left out. Nothing tells which tiles are of one region, so a split drawn at random has neighbours in all parts.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.arrays import require_bands, to_8_bits, zero_one_mask
from scgcnet.data.images import AGAIN, Pair, PairDataset, Stamp, list_files, require_file, require_no_faults, stamp
from scgcnet.data.sample import (
    PARTS,
    UNUSED,
    DatasetError,
    DatasetNotFoundError,
    Kind,
    Part,
    Sample,
    Split,
    data_root,
    kind_of,
)
from scgcnet.data.splits import random_split, seeded

FOLDER = "Landslide4Sense"
FOLDERS: dict[Part, str] = {"train": "TrainData", "val": "ValidData", "test": "TestData"}
COUNTS = {"train": 3799, "val": 245, "test": 800}  # as published
RESOLUTION = 10.0  # metres per pixel
SIZE = 128  # pixels a side
BANDS = 14
RGB = (3, 2, 1)  # B4, B3, B2: red, green and blue

# The number that becomes 255; 0 becomes 0. All bands lie around 1, so one white does for all. At 5 an average pixel
# comes to 51, about as in the RGB pictures of a third party (`landslide4sense`), whose means are 54, 54 and 52; there
# only a pixel in a thousand has a red above four times its mean, so next to nothing is clipped.
WHITE = (5.0,) * BANDS


class Landslide4SenseH5(PairDataset):
    """All tiles that have a mask, sorted by name; `sites` holds the part that each came in."""

    def __init__(self, kind: Kind, pairs: tuple[Pair, ...], bands: tuple[int, ...], stamp: Stamp) -> None:
        super().__init__("landslide4sense_h5", kind, pairs, stamp)
        self.bands = bands

    def read(self, index: int) -> Sample:
        """Read one tile; the image has the bands that were asked for, in that order."""
        pair = self.pairs[index]
        return Sample(pair.name, _image(pair.image, self.bands), _mask(pair.mask), pair.resolution)

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2 of the training tiles, "random-SEED"; "0" means "random-0".

        "official" is the parts that the tiles came in, where all three have masks.
        """
        parts: dict[str, Part] = {pair.name: part for pair in self.pairs for part in PARTS if part == pair.site}
        if which == "official":
            if missing := [folder for part, folder in FOLDERS.items() if part not in parts.values()]:
                raise DatasetError(
                    f"{self.dataset} has no split 'official': there are no masks in {', '.join(missing)}. Get the "
                    "copy at Zenodo, which has them, or take the split random-SEED of the training tiles."
                )
            return parts
        _, seed = seeded(which, ("random",), self.dataset)
        drawn = random_split([name for name, part in parts.items() if part == "train"], seed)
        return {name: drawn.get(name, UNUSED) for name in self.names}


def open_landslide4sense_h5(root: Path | None = None, bands: Sequence[int] = RGB) -> Landslide4SenseH5:
    """Open all tiles below `root` (default `data_root()`); no pixel is read yet.

    Args:
        root: the folder that holds `Landslide4Sense`.
        bands: those of the images, by their index: red, green and blue, and any others after these, such as
            (3, 2, 1, 7, 12, 13) with near infrared, slope and elevation.

    Raises:
        DatasetNotFoundError: the folder is not there.
        DatasetError: TrainData is missing or empty, an image or a mask has no partner, there is no such band, or h5py
            is not installed.
    """
    folder = _require_folder(root)
    bands = require_bands(bands, BANDS, "Landslide4Sense")
    require_h5py()
    pairs, faults = _pairs(folder)
    require_no_faults(faults)
    return _opened(kind_of(folder), tuple(pairs), bands, stamp(pairs))


_opened = functools.lru_cache(maxsize=4)(Landslide4SenseH5)


def check_landslide4sense_h5(root: Path | None = None) -> list[str]:
    """Return every fault of the data set below `root`, as messages; an empty list if all is well."""
    try:
        folder = _require_folder(root)
        require_h5py()
    except DatasetError as error:
        return [str(error)]
    pairs, faults = _pairs(folder)
    for pair in pairs:
        for read, file in ((_image, pair.image), (_mask, pair.mask)):
            try:
                read(file)
            except DatasetError as error:
                faults.append(str(error))
    return faults


def notes_landslide4sense_h5(root: Path | None = None) -> list[str]:
    """Return what is no fault but should be known: parts with more or fewer tiles than were published, or no masks.

    Raises:
        DatasetNotFoundError: the folder is not there.
    """
    pairs, _ = _pairs(_require_folder(root))
    counts = {part: sum(pair.site == part for pair in pairs) for part in PARTS}
    return [
        f"Landslide4Sense: {FOLDERS[part]} has {count or 'no'} tiles with a mask; {COUNTS[part]} were published."
        for part, count in counts.items()
        if count != COUNTS[part]
    ]


def _require_folder(root: Path | None) -> Path:
    folder = (data_root() if root is None else Path(root)).absolute() / FOLDER
    if not folder.is_dir():
        raise DatasetNotFoundError(
            "Landslide4Sense, as HDF5",
            folder,
            source="https://zenodo.org/records/10463239",
            size="4844 tiles of 128 x 128 px and 14 bands",
            licence="see the record; cite Ghorbanzadeh et al. 2022",
        )
    return folder


def _pairs(folder: Path) -> tuple[list[Pair], list[str]]:
    """The images and masks of equal number, sorted by name, and the faults found."""
    pairs: list[Pair] = []
    faults: list[str] = []
    for part, name in FOLDERS.items():
        if part != "train" and not (folder / name / "mask").is_dir():
            continue  # as it was downloaded during the competition
        images, of_images = _numbered(folder / name / "img", "image")
        masks, of_masks = _numbered(folder / name / "mask", "mask")
        faults += [*of_images, *of_masks]
        if not images or not masks:
            continue
        for number in sorted(images.keys() ^ masks.keys()):
            file, partner = (
                (images[number], f"mask/mask_{number}.h5")
                if number in images
                else (masks[number], f"img/image_{number}.h5")
            )
            faults.append(f"{file} has no partner {partner}; add it or remove the file.")
        for number in sorted(images.keys() & masks.keys()):
            pairs.append(Pair(f"{part}_{number:04d}", images[number], masks[number], part, RESOLUTION))
    return sorted(pairs, key=lambda pair: pair.name), faults


def _numbered(folder: Path, stem: str) -> tuple[dict[int, Path], list[str]]:
    """The files `stem`_NUMBER.h5 of a folder by their number, and the faults found."""
    files, faults = list_files(folder, {".h5"})
    found: dict[int, Path] = {}
    for name, file in files.items():
        number = name.removeprefix(f"{stem}_")
        if name.startswith(f"{stem}_") and number.isascii() and number.isdigit() and str(int(number)) == number:
            found[int(number)] = file
        else:
            faults.append(f"{file}: the name must be {stem}_1.h5, {stem}_2.h5, ...; rename or remove the file.")
    return found, faults


def _image(file: Path, bands: Sequence[int] = RGB) -> NDArray[np.uint8]:
    """One image in 8 bits, (128, 128, C)."""
    return to_8_bits(_read(file, "img", (SIZE, SIZE, BANDS), "f"), WHITE, bands, str(file))


def _mask(file: Path) -> NDArray[np.uint8]:
    """One mask of 0 and 1, (128, 128)."""
    return zero_one_mask(_read(file, "mask", (SIZE, SIZE), "fbui"), str(file))


_KINDS = {"f": "floating-point numbers", "fbui": "numbers or truth values"}


def _read(file: Path, key: str, shape: tuple[int, ...], kinds: str) -> NDArray[Any]:
    """Read one array of an HDF5 file.

    Raises:
        DatasetError: the file is damaged, or has no array of that name, shape and type.
    """
    h5py = require_h5py()
    require_file(file)
    try:
        with h5py.File(file, "r") as content:
            array = content.get(key)
            if not isinstance(array, h5py.Dataset):
                raise DatasetError(f"{file} has no array {key!r}, only {', '.join(content) or 'nothing'}. {AGAIN}")
            # Looked at before it is read: damage can make the array claim any size.
            if array.shape != shape or array.dtype.kind not in kinds:
                raise DatasetError(
                    f"{file}: {key!r} must hold {_KINDS[kinds]} of the shape {shape}, found {array.dtype} of the shape "
                    f"{array.shape}. {AGAIN}"
                )
            return np.asarray(array[()])
    except DatasetError:
        raise
    except Exception as error:  # damage leads h5py into errors of any kind, RuntimeError and KeyError among them
        raise DatasetError(f"{file} cannot be read as HDF5, it is truncated or damaged ({error}). {AGAIN}") from error


def require_h5py() -> ModuleType:
    """The package h5py, which nothing else needs."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise DatasetError(
            "Landslide4Sense's HDF5 files need the package h5py, which is not installed: pip install h5py, or "
            "'scgcnet[data]'."
        ) from error
