"""Landslide4Sense (Ghorbanzadeh et al., IEEE TGRS 60, 2022): Sentinel-2 at 10 m, tiles of 128 px, in two forms.

`landslide4sense`: `Landslide4Sense-RGB/{train,val,test}/{image,mask}`, renderings in 8 bits with the split of a third
party, which is kept. Where this folder is missing but the official files are there, those are opened instead.

`landslide4sense_h5`: the official `Landslide4Sense/{TrainData,ValidData,TestData}/{img,mask}/{image,mask}_1.h5`, with
the arrays `img`, (128, 128, 14), and `mask`, (128, 128), 0 or 1. The bands are B1 to B12 of Sentinel-2 without B8A, the
slope and the elevation, each divided by about its mean (github.com/iarai/Landslide4Sense-2022, issue 4). A part without
masks is left out. Nothing tells which tiles are of one region, so a split drawn at random has neighbours in all parts.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.pairs import BandDataset, FileDataset, Found, Pair, list_files, match_folders
from scgcnet.data.rasters import AGAIN, Raster, binary_mask, decoding, to_8_bits
from scgcnet.data.sample import PARTS, UNUSED, DatasetError, Part, Split, data_root
from scgcnet.data.splits import deal, random_split, seeded
from scgcnet.data.synthetic import near_infrared, render, write_pair

RESOLUTION = 10.0  # metres per pixel
FOLDERS: dict[Part, str] = {"train": "TrainData", "val": "ValidData", "test": "TestData"}
SIZE = 128  # pixels a side
BANDS = 14
RGB = (3, 2, 1)  # B4, B3, B2: red, green and blue

# The number that becomes 255; 0 becomes 0. All bands lie around 1, so an average pixel comes to 51, about as in the RGB
# pictures, whose means are 54, 54 and 52; there only a pixel in a thousand has a red above four times its mean.
WHITE = (5.0,) * BANDS


class Landslide4Sense(FileDataset):
    """The RGB tiles; `sites` holds the part that each came in."""

    dataset = "landslide4sense"
    home = "Landslide4Sense-RGB"
    about = (
        "Landslide4Sense, as RGB pictures",
        "https://github.com/patschue/DLBS_landslides (or the official HDF5 files, see landslide4sense_h5)",
        "1980 tiles of 128 x 128 px",
        "none stated; cite Ghorbanzadeh et al. 2022",
    )

    @classmethod
    def find(cls, folder: Path) -> Found:
        pairs: list[Pair] = []
        faults: list[str] = []
        for part in PARTS:
            found, more = match_folders(folder / part / "image", folder / part / "mask", "", part, RESOLUTION)
            pairs += found
            faults += more
        pairs.sort(key=lambda pair: pair.name)
        for before, after in itertools.pairwise(pairs):
            if before.name == after.name:
                faults.append(f"{after.image}: {before.image} has the same name; a tile must be in one part only.")
        return pairs, faults

    @classmethod
    def open(cls, root: Path | None = None, **options: Any) -> Any:
        """Open the RGB pictures where they are there, else the official HDF5 files; `dataset` says which."""
        return Landslide4SenseH5.open(root) if _only_official(root) else super().open(root)

    @classmethod
    def check(cls, root: Path | None = None) -> list[str]:
        return Landslide4SenseH5.check(root) if _only_official(root) else super().check(root)

    @classmethod
    def notes(cls, root: Path | None = None) -> list[str]:
        if _only_official(root):
            note = (
                f"Landslide4Sense: the official HDF5 files are read, since there is no {cls.home}; split 0 is random-0."
            )
            return [note, *Landslide4SenseH5.notes(root)]
        if (cls.locate(root).parent / Landslide4SenseH5.home).is_dir():
            return [f"Landslide4Sense: {cls.home} is read; the official HDF5 files beside it are landslide4sense_h5."]
        return []

    def split(self, which: str) -> Split:
        return self.own_parts(which)

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        for part, indices in deal(n, seed).items():
            for index in indices:
                drawn = render(seed, index, (SIZE, SIZE))
                write_pair(folder / part / "image", folder / part / "mask", f"image_{index}", *drawn)


class Landslide4SenseH5(BandDataset):
    """All official tiles that have a mask; the bands (*rgb, 7, 12, 13) add near infrared, slope and elevation."""

    dataset = "landslide4sense_h5"
    home = "Landslide4Sense"
    about = (
        "Landslide4Sense, as HDF5",
        "https://zenodo.org/records/10463239",
        "4844 tiles of 128 x 128 px and 14 bands",
        "see the record; cite Ghorbanzadeh et al. 2022",
    )
    band_count, rgb = BANDS, RGB
    published = {"train": 3799, "val": 245, "test": 800}  # noqa: RUF012

    @classmethod
    def find(cls, folder: Path) -> Found:
        pairs: list[Pair] = []
        faults: list[str] = []
        try:
            require_h5py()
        except DatasetError as error:
            return [], [str(error)]
        for part, name in FOLDERS.items():
            if part != "train" and not (folder / name / "mask").is_dir():
                continue  # as it was downloaded during the competition
            images, of_images = _numbered(folder / name / "img", "image")
            masks, of_masks = _numbered(folder / name / "mask", "mask")
            faults += [*of_images, *of_masks]
            for number in sorted(images.keys() | masks.keys() if images and masks else ()):
                if number not in masks:
                    faults.append(f"{images[number]} has no partner mask/mask_{number}.h5; add it or remove the file.")
                elif number not in images:
                    faults.append(f"{masks[number]} has no partner img/image_{number}.h5; add it or remove the file.")
                else:
                    pairs.append(Pair(f"{part}_{number:04d}", images[number], masks[number], part, RESOLUTION))
        return sorted(pairs, key=lambda pair: pair.name), faults

    @classmethod
    def read_bands(cls, pair: Pair, bands: Sequence[int]) -> Raster:
        return Raster(to_8_bits(_read(pair.image, "img", (SIZE, SIZE, BANDS), "f"), WHITE, bands, str(pair.image)))

    @classmethod
    def read_mask(cls, pair: Pair) -> Raster:
        assert pair.mask
        return Raster(binary_mask(_read(pair.mask, "mask", (SIZE, SIZE), "fbui"), pair.mask))

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2 of the training tiles, "random-SEED"; "0" means "random-0". "official" needs all masks."""
        if which == "official":
            if missing := [folder for part, folder in FOLDERS.items() if part not in self.sites]:
                raise DatasetError(
                    f"{self.dataset} has no split 'official': there are no masks in {', '.join(missing)}. Get the "
                    "copy at Zenodo, which has them, or take the split random-SEED of the training tiles."
                )
            return self.own_parts("0")
        _, seed = seeded(which, ("random",), self.dataset)
        drawn = random_split([pair.name for pair in self.pairs if pair.site == "train"], seed)
        return {name: drawn.get(name, UNUSED) for name in self.names}

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        """Write tiles, all in TrainData; bands that are not visible follow from the colours by simple rules."""
        h5py = require_h5py()
        images, masks = (folder / FOLDERS["train"] / sub for sub in ("img", "mask"))
        images.mkdir(parents=True)
        masks.mkdir()
        for index in range(n):
            image, mask = render(seed, index, (SIZE, SIZE))
            with h5py.File(images / f"image_{index + 1}.h5", "w") as file:
                file["img"] = _sentinel(image / 255)
            with h5py.File(masks / f"mask_{index + 1}.h5", "w") as file:
                file["mask"] = mask


def _only_official(root: Path | None) -> bool:
    place = data_root() if root is None else Path(root)
    return (place / Landslide4SenseH5.home).is_dir() and not (place / Landslide4Sense.home).is_dir()


def _numbered(folder: Path, stem: str) -> tuple[dict[int, Path], list[str]]:
    """The files `stem`_NUMBER.h5 of a folder by their number, and the faults found."""
    files, faults = list_files(folder, {".h5"})
    found: dict[int, Path] = {}
    for name, file in files.items():
        if re.fullmatch(f"{stem}_[1-9][0-9]*", name):
            found[int(name.removeprefix(f"{stem}_"))] = file
        else:
            faults.append(f"{file}: the name must be {stem}_1.h5, {stem}_2.h5, ...; rename or remove the file.")
    return found, faults


def _read(file: Path, key: str, shape: tuple[int, ...], kinds: str) -> NDArray[Any]:
    """Read one array of an HDF5 file; raises DatasetError where it is damaged, or has another shape or type."""
    h5py = require_h5py()
    with decoding(file), h5py.File(file, "r") as content:
        array = content.get(key)
        if not isinstance(array, h5py.Dataset):
            raise DatasetError(f"{file} has no array {key!r}, only {', '.join(content) or 'nothing'}. {AGAIN}")
        if array.shape != shape or array.dtype.kind not in kinds:
            wanted = "floating-point numbers" if kinds == "f" else "numbers or truth values"
            raise DatasetError(
                f"{file}: {key!r} must hold {wanted} of the shape {shape}, found {array.dtype} of the shape "
                f"{array.shape}. {AGAIN}"
            )
        values = np.asarray(array[()])
    return values


def require_h5py() -> ModuleType:
    """Return the package h5py, which nothing else needs; raises DatasetError where it is missing."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise DatasetError(
            "Landslide4Sense's HDF5 files need the package h5py, which is not installed: pip install h5py, or "
            "'scgcnet[data]'."
        ) from error


def _sentinel(visible: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn colours (H, W, 3) of 0 to 1 into 14 bands (H, W, 14) around 1; `read_image` gives the colours back."""
    red, green, blue = np.moveaxis(visible * WHITE[0], 2, 0)
    infrared = 2 * near_infrared(visible)
    edge, shortwave, haze = (green + infrared) / 2, red + 0.5, np.ones_like(red)
    height = np.linspace(0.5, 1.5, len(red))[:, None] + 0 * red
    bands = [blue, blue, green, red, edge, infrared, infrared, infrared, haze, haze, shortwave, shortwave, haze, height]
    return np.stack(bands, axis=-1)
