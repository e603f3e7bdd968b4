"""A folder of your own: `images` and `masks` (or `image`, `img`, and `mask`), pairs of one stem.

PNG, WebP, TIFF and GeoTIFF, images also JPEG, of 8 or 16 bits or real numbers, grey, RGB or with more bands: see
`rasters.py` for what becomes of them. No-data (a GeoTIFF's no-data value or mask band, a PNG's alpha of 0, what is not
a number) is 0 in the image and 255 in the mask. Where an image and its mask are both GeoTIFF, they must lie on the same
ground.

The folder itself is the root, so `scgcnet data check folder DIR` checks DIR; by default it is `folder` in
`data_root()`. A file `split.csv` in it, with the columns name,part, is split "0".
"""

from __future__ import annotations

import contextlib
import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.generated import write_folder, write_pair
from scgcnet.data.images import (
    Pair,
    PairDataset,
    list_files,
    match_stems,
    require_no_faults,
    require_same_size,
    stamp,
)
from scgcnet.data.rasters import Place, read_any_image, read_any_mask
from scgcnet.data.sample import DatasetError, DatasetNotFoundError, Sample, Split, data_root, kind_of
from scgcnet.data.splits import random_split, read_split, seeded, split_indices
from scgcnet.data.synthetic import generator_id, render

IMAGE_FOLDERS = ("images", "image", "img")
MASK_FOLDERS = ("masks", "mask")
# JPEG among the masks is listed too: it is refused with its reason when it is read.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
SPLIT_FILE = "split.csv"


class FolderNotFoundError(DatasetNotFoundError):
    """The folder is not there; the message says what it should hold."""

    def __init__(self, folder: Path) -> None:
        DatasetError.__init__(
            self,
            f"There is no folder {folder}. Make it, with your images in {folder / IMAGE_FOLDERS[0]} and their masks of "
            f"the same names in {folder / MASK_FOLDERS[0]}, or name another one.",
        )


class Folder(PairDataset):
    """All pairs of the folder, sorted by name."""

    @property
    def folder(self) -> Path:
        """The folder that holds images and masks."""
        return self.pairs[0].image.parents[1]

    def read(self, index: int) -> Sample:
        """Decode one pair; it raises as `read_any_image` and `read_any_mask` do, and where the two do not fit."""
        pair = self.pairs[index]
        return _joined(pair, read_any_image(pair.image), read_any_mask(pair.mask))

    def split(self, which: str) -> Split:
        """The split in `split.csv` as "0"; else, and without that file, one drawn 5:3:2, "random-SEED" or "SEED"."""
        path = self.folder / SPLIT_FILE
        if which == "0" and os.path.lexists(path):
            return read_split(path)
        return random_split(self.names, seeded(which, ("random",), self.dataset)[1])


def open_folder(root: Path | None = None) -> Folder:
    """Open the folder `root` (default `data_root() / "folder"`); nothing is decoded yet.

    Raises:
        DatasetNotFoundError: it is not there.
        DatasetError: images or masks are missing, or an image or a mask has no partner.
    """
    folder = _require_folder(root)
    pairs, faults = _find_pairs(folder)
    require_no_faults(faults)
    return _opened("folder", kind_of(folder), tuple(pairs), stamp(pairs))


_opened = functools.lru_cache(maxsize=4)(Folder)


def check_folder(root: Path | None = None) -> list[str]:
    """Return every fault of the folder, as messages; an empty list if all is well."""
    try:
        folder = _require_folder(root)
    except DatasetNotFoundError as error:
        return [str(error)]
    pairs, faults = _find_pairs(folder)
    for pair in pairs:
        faults += _check(pair)
    if pairs and os.path.lexists(folder / SPLIT_FILE):
        try:
            split_indices([pair.name for pair in pairs], read_split(folder / SPLIT_FILE), str(folder / SPLIT_FILE))
        except DatasetError as error:
            faults.append(str(error))
    return faults


def notes_folder(root: Path | None = None) -> list[str]:
    """Return what is no fault but should be known: masks whose no-data may be landslides."""
    hiding = []
    for pair in _find_pairs(_require_folder(root))[0]:
        with contextlib.suppress(DatasetError):  # a fault
            mask = read_any_mask(pair.mask)[0]
            if 255 in mask and 1 not in mask:
                hiding.append(pair.mask.name)
    if not hiding:
        return []
    return [
        f"folder: {len(hiding)} masks have no-data and no landslide, such as {hiding[0]}. If 255 stands for landslides "
        "there, take the no-data value off: rio edit-info --unset-nodata FILE."
    ]


def write_fake_folder(root: Path, n: int, seed: int) -> Path:
    """Write n pairs as PNG into the folder `root`, which must not hold anything else.

    Returns:
        The folder.

    Raises:
        DatasetError: n is less than 3, or the folder holds something else.
        WriteError: the folder cannot be written or the disk is full; nothing is left of it.
    """

    def fill(folder: Path) -> None:
        for kind in (IMAGE_FOLDERS[0], MASK_FOLDERS[0]):
            (folder / kind).mkdir()
        for index in range(n):
            write_pair(folder / IMAGE_FOLDERS[0], folder / MASK_FOLDERS[0], f"tile_{index:04d}", *render(seed, index))

    if n < 3:
        raise DatasetError(f"A synthetic data set needs at least 3 images, one for each part; {n} were asked for.")
    place = Path(root).absolute()
    with contextlib.suppress(OSError):
        place.rmdir()  # only if it is empty: this data set's own folder is the one that the user names
    write_folder(place, {"generator": generator_id(), "n": n, "seed": seed}, fill)
    return place


def _require_folder(root: Path | None) -> Path:
    folder = (data_root() / "folder" if root is None else Path(root)).absolute()
    if not folder.is_dir():
        raise FolderNotFoundError(folder)
    return folder


def _find_pairs(folder: Path) -> tuple[list[Pair], list[str]]:
    """Match images and masks by stem; the pairs sorted by name, and the faults found."""
    listed: list[dict[str, Path]] = []
    faults: list[str] = []
    for names in (IMAGE_FOLDERS, MASK_FOLDERS):
        found = [folder / name for name in names if (folder / name).is_dir()]
        if len(found) == 1:
            files, more = list_files(found[0], SUFFIXES)
        elif found:
            files, more = {}, [f"{folder} has {' and '.join(p.name for p in found)}; keep only one of them."]
        else:
            files, more = {}, [f"{folder} has no folder {names[0]} (or {', '.join(names[1:])}); make it."]
        listed.append(files)
        faults += more
    matched, alone = match_stems(*listed)
    return [Pair(image.stem, image, mask) for image, mask in matched], [*faults, *alone]


def _joined(
    pair: Pair,
    image: tuple[NDArray[np.uint8], NDArray[np.bool_], Place | None],
    mask: tuple[NDArray[np.uint8], Place | None],
) -> Sample:
    pixels, valid, of_image = image
    truth, of_mask = mask
    require_same_size(pair.image, pixels, pair.mask, truth)
    if of_image and of_mask and not of_image.agrees(of_mask, truth.shape):
        raise DatasetError(
            f"{pair.mask} does not lie where its image {pair.image.name} does: coordinate system or transform differ. "
            "Warp the mask onto the image's grid."
        )
    if not valid.all():
        truth = np.where(valid, truth, np.uint8(255))
        truth.setflags(write=False)
    return Sample(pair.name, pixels, truth, of_image.resolution if of_image else None)


def _check(pair: Pair) -> list[str]:
    """What is wrong with a pair, both files whatever the first one says."""
    faults: list[str] = []
    decoded: list[Any] = []
    for read, file in ((read_any_image, pair.image), (read_any_mask, pair.mask)):
        try:
            decoded.append(read(file))
        except DatasetError as error:
            faults.append(str(error))
    if not faults:
        try:
            _joined(pair, *decoded)
        except DatasetError as error:
            faults.append(str(error))
    return faults
