"""HR-GLDD (Meena et al., Earth Syst. Sci. Data 15, 2023): PlanetScope at 3 m, tiles of 128 px of ten events.

`HR-GLDD/{train,val,test}{X,Y}.npy`: images (N, 128, 128, 4), numbers of an unstated scale, and masks (N, 128, 128, 1)
of 0 and 1. They are mapped into memory, so that a tile is read when it is asked for.

Band 1 is green and band 3 near infrared. Which of the bands 0 and 2 is red is not settled: PlanetScope's own order is
blue, green, red, and the means of the training part agree (blue 0.107, red 0.137); but the authors' notebook shows the
bands 0 to 2 as if they were red, green, blue. The order is therefore a parameter, by default PlanetScope's.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.arrays import require_bands, to_8_bits, zero_one_mask
from scgcnet.data.images import AGAIN, Pair, Stamp, require_file, require_no_faults, stamp
from scgcnet.data.sample import (
    PARTS,
    DatasetError,
    DatasetNotFoundError,
    Part,
    Sample,
    Split,
    WholeDataset,
    data_root,
    kind_of,
)

FOLDER = "HR-GLDD"
RESOLUTION = 3.0  # metres per pixel
SIZE = 128  # pixels a side
BANDS = 4
RGB = (2, 1, 0)  # bands that are taken for red, green and blue
COUNTS = {"train": 1119, "val": 284, "test": 355}  # as published

# The number that becomes 255, of each band; 0 becomes 0. Chosen from the means of the training part alone, .107, .148,
# .137 and .500. One white for all visible bands keeps their colours. At 0.5 an average pixel comes to 55 to 75, near
# that of Landslide4Sense's pictures, and bare soil, two to three times as bright, is still told from white. The near
# infrared is several times brighter and has a white of its own.
WHITE = (0.5, 0.5, 0.5, 1.0)

Mapped = np.memmap[Any, np.dtype[Any]]


class HrGldd(WholeDataset):
    """All tiles, sorted by name; `sites` holds the part that each came in."""

    def __init__(self, folder: Path, bands: tuple[int, ...], counts: tuple[tuple[Part, int], ...], _: Stamp) -> None:
        self.folder, self.bands = folder, bands
        self.places = sorted((part, index) for part, count in counts for index in range(count))
        names = tuple(f"{part}_{index:04d}" for part, index in self.places)
        super().__init__("hrgldd", kind_of(folder), names, tuple(part for part, _ in self.places))

    def read(self, index: int) -> Sample:
        """Read one tile; the image has the bands that were asked for, in that order."""
        part, place = self.places[index]
        # Mapped anew for each tile: a data set that goes to another process would otherwise take all pixels along.
        images, masks = (_mapped(file) for file in _files(self.folder, part))
        return Sample(self.names[index], _image(images, place, self.bands), _mask(masks, place), RESOLUTION)

    def split(self, which: str) -> Split:
        """The split that the tiles came in, "0"; there is no other."""
        if which != "0":
            raise DatasetError(f"{self.dataset} comes split: only split 0, not {which!r}, or a CSV file of your own.")
        return {name: part for name, (part, _) in zip(self.names, self.places, strict=True)}


def open_hrgldd(root: Path | None = None, bands: Sequence[int] = RGB) -> HrGldd:
    """Open all tiles below `root` (default `data_root()`); no pixel is read yet.

    Args:
        root: the folder that holds `HR-GLDD`.
        bands: those of the images, by their index: red, green and blue, and any others after these, such as
            (2, 1, 0, 3); which of 0 and 2 is red is not settled.

    Raises:
        DatasetNotFoundError: the folder is not there.
        DatasetError: a file is missing, damaged, or of another shape or type; or there is no such band.
    """
    folder = _require_folder(root)
    bands = require_bands(bands, BANDS, "HR-GLDD")
    counts, faults = _scan(folder)
    require_no_faults(faults)
    return _opened(folder, bands, counts, stamp([Pair("", *_files(folder, part)) for part in PARTS]))


_opened = functools.lru_cache(maxsize=4)(HrGldd)


def check_hrgldd(root: Path | None = None) -> list[str]:
    """Return every fault of the data set below `root`, as messages; an empty list if all is well."""
    try:
        folder = _require_folder(root)
    except DatasetNotFoundError as error:
        return [str(error)]
    counts, faults = _scan(folder)
    for part, count in counts:
        images, masks = (_mapped(file) for file in _files(folder, part))
        for index in range(count):
            for read, array in ((_image, images), (_mask, masks)):
                try:
                    read(array, index)
                except DatasetError as error:
                    faults.append(str(error))
    return faults


def notes_hrgldd(root: Path | None = None) -> list[str]:
    """Return what is no fault but should be known: parts with more or fewer tiles than were published.

    Raises:
        DatasetNotFoundError: the folder is not there.
    """
    counts, _ = _scan(_require_folder(root))
    return [
        f"HR-GLDD: the part {part} has {count} tiles; {COUNTS[part]} were published."
        for part, count in counts
        if count != COUNTS[part]
    ]


def _require_folder(root: Path | None) -> Path:
    folder = (data_root() if root is None else Path(root)).absolute() / FOLDER
    if not folder.is_dir():
        raise DatasetNotFoundError(
            "HR-GLDD",
            folder,
            source="https://zenodo.org/records/7189381",
            size="1758 tiles of 128 x 128 px and 4 bands, six .npy files",
            licence="see the record; cite Meena et al. 2023",
        )
    return folder


def _files(folder: Path, part: Part) -> tuple[Path, Path]:
    """The files of a part's images and of its masks."""
    return folder / f"{part}X.npy", folder / f"{part}Y.npy"


def _scan(folder: Path) -> tuple[tuple[tuple[Part, int], ...], list[str]]:
    """The number of tiles in each part whose files can be read, and what is wrong with the files as a whole."""
    counts: list[tuple[Part, int]] = []
    faults: list[str] = []
    for part in PARTS:
        lengths = []
        for file in _files(folder, part):
            try:
                lengths.append(len(_mapped(file)))
            except DatasetError as error:
                faults.append(str(error))
        if len(set(lengths)) == 2:
            faults.append(
                f"{folder / part}Y.npy has {lengths[1]} masks, but {part}X.npy has {lengths[0]} images; they belong "
                "together one by one. Copy both again from the download."
            )
        elif len(lengths) == 2:
            counts.append((part, lengths[0]))
    return tuple(counts), faults


def _mapped(file: Path) -> Mapped:
    """Map the images or masks of a part, (N, 128, 128, 4 or 1), into memory; no pixel is read yet.

    Raises:
        DatasetError: the file is missing, damaged, or of another shape or type.
    """
    if file.exists():
        require_file(file)
    try:
        # Pickled objects could run anything when they are loaded, so they never are.
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(f"{file} is missing; unpack the download again.") from None
    except Exception as error:  # damage leads numpy's parser into errors of any kind, SyntaxError among them
        raise DatasetError(
            f"{file} cannot be read as an array of numbers: it is truncated, damaged, or holds pickled objects, which "
            f"are never loaded ({error}). {AGAIN}"
        ) from error
    of_images = file.stem.endswith("X")
    shape, kinds = (SIZE, SIZE, BANDS if of_images else 1), "f" if of_images else "fbui"
    if not isinstance(array, np.memmap) or array.ndim != 4 or array.shape[1:] != shape or not len(array):
        found = array.shape if isinstance(array, np.memmap) else "an archive of arrays"
        raise DatasetError(f"{file}: the shape must be (N, {', '.join(map(str, shape))}), found {found}. {AGAIN}")
    if array.offset + array.nbytes != file.stat().st_size:  # a damaged head moves every pixel
        raise DatasetError(f"{file}: its head and its size disagree, it is damaged. {AGAIN}")
    if array.dtype.kind not in kinds:
        wanted = "floating-point numbers" if of_images else "numbers or truth values"
        raise DatasetError(f"{file}: there must be {wanted} in it, not {array.dtype}. {AGAIN}")
    return array


def _image(images: Mapped, index: int, bands: Sequence[int] = RGB) -> NDArray[np.uint8]:
    """One image in 8 bits, (128, 128, C)."""
    values, name = np.array(images[index]), f"{images.filename}, tile {index}"
    if not 0 <= np.nan_to_num(np.median(values)) <= 1:
        raise DatasetError(
            f"{name}: half of its values are not between 0 and 1, so they are not scaled as published. {AGAIN}"
        )
    return to_8_bits(values, WHITE, bands, name)


def _mask(masks: Mapped, index: int) -> NDArray[np.uint8]:
    """One mask of 0 and 1, (128, 128)."""
    return zero_one_mask(np.array(masks[index, ..., 0]), f"{masks.filename}, tile {index}")
