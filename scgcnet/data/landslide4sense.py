"""Landslide4Sense (Ghorbanzadeh et al., IEEE JSTARS 15, 2022) as RGB pictures: Sentinel-2 at 10 m, tiles of 128 px.

`Landslide4Sense-RGB/{train,val,test}/{image,mask}`: renderings in 8 bits with the split of a third party, which is
kept. Where this folder is not there but the official HDF5 files are, those are opened instead; the data set then calls
itself `landslide4sense_h5`, and its split 0 is drawn at random. By that name they are opened in any case.
"""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

from scgcnet.data.bijie import SUFFIXES
from scgcnet.data.images import Pair, PairDataset, faults_of, list_files, match_stems, require_no_faults, stamp
from scgcnet.data.landslide4sense_h5 import FOLDER as OFFICIAL
from scgcnet.data.landslide4sense_h5 import (
    check_landslide4sense_h5,
    notes_landslide4sense_h5,
    open_landslide4sense_h5,
)
from scgcnet.data.sample import PARTS, DatasetError, DatasetNotFoundError, Part, Split, data_root, kind_of

FOLDER = "Landslide4Sense-RGB"
RESOLUTION = 10.0  # metres per pixel


class Landslide4Sense(PairDataset):
    """All tiles, sorted by name; `sites` holds the part that each came in."""

    def split(self, which: str) -> Split:
        """The split that the tiles came in, "0"; there is no other."""
        if which != "0":
            raise DatasetError(f"{self.dataset} comes split: only split 0, not {which!r}, or a CSV file of your own.")
        return {name: _PARTS[site] for name, site in zip(self.names, self.sites, strict=True)}


_PARTS: dict[str, Part] = {part: part for part in PARTS}


def open_landslide4sense(root: Path | None = None) -> PairDataset:
    """Open all tiles below `root` (default `data_root()`); nothing is decoded yet.

    Returns:
        The RGB pictures where they are there, else the official HDF5 files; its `dataset` says which.

    Raises:
        DatasetNotFoundError: neither folder is there.
        DatasetError: a part is missing or empty, or an image or a mask has no partner.
    """
    if _only_official(root):
        return open_landslide4sense_h5(root)
    pairs, faults = _pairs(_require_folder(root))
    require_no_faults(faults)
    return _opened("landslide4sense", kind_of(pairs[0].image.parents[2]), tuple(pairs), stamp(pairs))


_opened = functools.lru_cache(maxsize=2)(Landslide4Sense)


def check_landslide4sense(root: Path | None = None) -> list[str]:
    """Return every fault of what `open_landslide4sense` opens, as messages; an empty list if all is well."""
    if _only_official(root):
        return check_landslide4sense_h5(root)
    try:
        pairs, faults = _pairs(_require_folder(root))
    except DatasetNotFoundError as error:
        return [str(error)]
    return [*faults, *(fault for pair in pairs for fault in faults_of(pair))]


def notes_landslide4sense(root: Path | None = None) -> list[str]:
    """Return what is no fault but should be known: which of the two forms is opened, where that is in question.

    Raises:
        DatasetNotFoundError: neither folder is there.
    """
    if _only_official(root):
        opened = f"Landslide4Sense: the official HDF5 files are read, since there is no {FOLDER}; split 0 is random-0."
        return [opened, *notes_landslide4sense_h5(root)]
    folder = _require_folder(root)
    if (folder.parent / OFFICIAL).is_dir():
        return [f"Landslide4Sense: {FOLDER} is read; the official HDF5 files beside it are landslide4sense_h5."]
    return []


def _only_official(root: Path | None) -> bool:
    place = data_root() if root is None else Path(root)
    return (place / OFFICIAL).is_dir() and not (place / FOLDER).is_dir()


def _require_folder(root: Path | None) -> Path:
    folder = (data_root() if root is None else Path(root)).absolute() / FOLDER
    if not folder.is_dir():
        raise DatasetNotFoundError(
            "Landslide4Sense, as RGB pictures",
            folder,
            source="https://github.com/patschue/DLBS_landslides (or the official HDF5 files, see landslide4sense_h5)",
            size="1980 tiles of 128 x 128 px",
            licence="none stated; cite Ghorbanzadeh et al. 2022",
        )
    return folder


def _pairs(folder: Path) -> tuple[list[Pair], list[str]]:
    pairs: list[Pair] = []
    faults: list[str] = []
    for part in PARTS:
        images, of_images = list_files(folder / part / "image", SUFFIXES)
        masks, of_masks = list_files(folder / part / "mask", SUFFIXES)
        matched, alone = match_stems(images, masks)
        faults += [*of_images, *of_masks, *alone]
        pairs += [Pair(image.stem, image, mask, part, RESOLUTION) for image, mask in matched]
    pairs.sort(key=lambda pair: pair.name)
    for before, after in itertools.pairwise(pairs):
        if before.name == after.name:
            faults.append(f"{after.image}: {before.image} has the same name; a tile must be in one part only.")
    return pairs, faults
