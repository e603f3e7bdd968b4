"""Data sets of files below one folder: found, checked, opened, and written as fakes.

A new data set is a subclass of `FileDataset` in a file of its own, and one line in `scgcnet/data/__init__.py`. It says
where its folder lies (`home`), what is in it (`find`) and how a fake is written (`fill`); and, where that differs from
the defaults, how an image and a mask are read and how it is split.
"""

from __future__ import annotations

import functools
import hashlib
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from scgcnet.data.rasters import AGAIN, SUFFIXES, Raster, read_image, read_mask
from scgcnet.data.sample import (
    DatasetError,
    DatasetNotFoundError,
    Sample,
    Split,
    WholeDataset,
    cache_folder,
    data_root,
    kind_of,
)
from scgcnet.data.splits import random_split, seeded
from scgcnet.data.synthetic import VERSION, write_folder


@dataclass(frozen=True)
class Pair:
    """One image and its mask on disk."""

    name: str  # unique within the data set
    image: Path
    mask: Path | None  # None where the whole image is without landslides
    site: str = ""  # the sub-set, event or place it belongs to
    resolution: float | None = None  # metres per pixel


Found = tuple[list[Pair], list[str]]  # pairs sorted by name, and faults


class FileDataset(WholeDataset):
    """All pairs of a folder, sorted by name; `open` returns the same object until a file changes."""

    home: str  # the data set's own folder below the data root
    about: tuple[str, str, str, str]  # of the download: title, where it is, how large, its licence
    without_mask: int = 0  # in the mask of an image that has none: 0 for no landslide, 255 for unknown
    fewest: int = 3  # images that a fake needs

    def __init__(self, folder: Path, pairs: Sequence[Pair]) -> None:
        names, sites = tuple(pair.name for pair in pairs), tuple(pair.site for pair in pairs)
        super().__init__(self.dataset, kind_of(folder), names, sites)
        self.folder, self.pairs = folder, tuple(pairs)

    @classmethod
    @abstractmethod
    def find(cls, folder: Path) -> Found:
        """List the pairs below the data set's own folder, sorted by name, and the faults of files and folders."""

    @classmethod
    @abstractmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        """Write n synthetic images into an empty folder, in the layout of the real data set."""

    @classmethod
    def notes(cls, root: Path | None = None) -> list[str]:
        """Return what is no fault but should be known, such as missing sub-sets."""
        return []

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        """Return the data set's own folder below `root` (default `data_root()`), or raise DatasetNotFoundError."""
        folder = (data_root() if root is None else Path(root)).absolute() / cls.home
        if not folder.is_dir():
            raise cls.not_found(folder)
        return folder

    @classmethod
    def not_found(cls, folder: Path) -> DatasetNotFoundError:
        """Say how to get the data set."""
        title, source, size, licence = cls.about
        return DatasetNotFoundError(
            f"{title} not found: there is no folder {folder}. Get it from {source} (size: {size}; licence: {licence}), "
            f"unpack it so that this folder exists, or set SCGCNET_DATA to the folder that holds {folder.name!r}."
        )

    @classmethod
    def open(cls, root: Path | None = None, **options: Any) -> Self:
        """Open the data set below `root` (default `data_root()`); nothing is decoded yet.

        Raises:
            DatasetNotFoundError: the folder is missing.
            DatasetError: files are missing, have no partner, or do not fit the layout.
        """
        folder = cls.locate(root)
        pairs, faults = cls.find(folder)
        if faults:
            more = f" ({len(faults) - 1} more; `scgcnet data check` lists all)" if len(faults) > 1 else ""
            raise DatasetError(faults[0] + more)
        files = dict.fromkeys(file for pair in pairs for file in cls.files_of(pair))
        opened: Self = _opened(cls, folder, tuple(pairs), stamp(files), **options)
        return opened

    @classmethod
    def check(cls, root: Path | None = None) -> list[str]:
        """Return every fault of the data set below `root`, as messages."""
        try:
            folder = cls.locate(root)
        except DatasetNotFoundError as error:
            return [str(error)]
        pairs, faults = cls.find(folder)
        for pair in tqdm(pairs, desc="checking", unit="pair", disable=None, leave=False):
            faults += cls.look_at(pair)[0]
        return faults + cls.common_faults(folder, pairs)

    @classmethod
    def common_faults(cls, folder: Path, pairs: Sequence[Pair]) -> list[str]:
        """Return faults of no single pair, such as a split that does not fit."""
        return []

    @classmethod
    def write_fake(cls, root: Path, n: int, seed: int) -> Path:
        """Write n synthetic images below `root` in the data set's layout, and return its own folder.

        Raises:
            DatasetError: n is too small, or the folder holds something else, such as the real data.
            WriteError: the folder cannot be written or the disk is full; nothing is left of it.
        """
        if n < cls.fewest:
            raise DatasetError(f"A synthetic {cls.dataset} needs at least {cls.fewest} images; {n} were asked for.")
        folder = Path(root).absolute() / cls.home
        settings = {"generator": VERSION, "layout": cls.dataset, "n": n, "seed": seed}
        write_folder(folder, settings, lambda partial: cls.fill(partial, n, seed))
        return folder

    @classmethod
    def files_of(cls, pair: Pair) -> tuple[Path, ...]:
        """Return the files whose change is to be noticed."""
        return (pair.image, pair.mask) if pair.mask else (pair.image,)

    @classmethod
    def read_image(cls, pair: Pair) -> Raster:
        """Decode the image of a pair."""
        return Raster(read_image(pair.image))

    @classmethod
    def read_mask(cls, pair: Pair) -> Raster:
        """Decode the mask of a pair, which has one."""
        assert pair.mask
        return Raster(read_mask(pair.mask))

    @classmethod
    def join(cls, pair: Pair, image: Raster, mask: Raster | None) -> Sample:
        """Make a sample; raises DatasetError where image and mask differ in size or place."""
        if mask is None:
            truth = np.full(image.pixels.shape[:2], cls.without_mask, np.uint8)
        else:
            truth = mask.pixels
            require_same_size(pair, image.pixels.shape, truth.shape)
            if image.place and mask.place and not image.place.agrees(mask.place, truth.shape):
                raise DatasetError(
                    f"{pair.mask} does not lie where its image {pair.image.name} does: coordinate system or transform "
                    "differ. Warp the mask onto the image's grid."
                )
        if image.valid is not None and not image.valid.all():
            truth = np.where(image.valid, truth, np.uint8(255))
        truth.setflags(write=False)
        resolution = image.place.resolution if image.place else pair.resolution
        return Sample(pair.name, image.pixels, truth, resolution)

    @classmethod
    def look_at(cls, pair: Pair) -> tuple[list[str], Sample | None]:
        """Return what is wrong with a pair, and the sample where nothing is; both files are looked at."""
        faults: list[str] = []
        decoded: list[Any] = []
        for read in (cls.read_image, cls.read_mask) if pair.mask else (cls.read_image,):
            try:
                decoded.append(read(pair))
            except DatasetError as error:
                faults.append(str(error))
        if faults:
            return faults, None
        try:
            return [], cls.join(pair, *decoded, *[None] * (2 - len(decoded)))
        except DatasetError as error:
            return [str(error)], None

    def read(self, index: int) -> Sample:
        pair = self.pairs[index]
        return self.join(pair, self.read_image(pair), self.read_mask(pair) if pair.mask else None)

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2, "random-SEED"; "0" means "random-0". Data sets with splits of their own override it."""
        return random_split(self.names, seeded(which, ("random",), self.dataset)[1])

    def own_parts(self, which: str) -> Split:
        """Return the split "0" of a data set that comes split; its sites are the parts."""
        if which != "0":
            raise DatasetError(f"{self.dataset} comes split: only split 0, not {which!r}, or a CSV file of your own.")
        parts: dict[str, Any] = dict(zip(self.names, self.sites, strict=True))
        return parts


class BandDataset(FileDataset):
    """A data set of images with more bands than red, green and blue."""

    band_count: int  # of the files
    rgb: tuple[int, ...]  # the bands for red, green and blue, by their index from 0
    published: dict[str, int]  # tiles of each part

    def __init__(self, folder: Path, pairs: Sequence[Pair], bands: tuple[int, ...]) -> None:
        super().__init__(folder, pairs)
        self.bands = bands

    @classmethod
    def open(cls, root: Path | None = None, *, bands: Sequence[int] = (), **options: Any) -> Self:
        """Open the data set with some bands, by their index from 0, such as (*cls.rgb, 3); by default `rgb`."""
        if any(band not in range(cls.band_count) for band in bands):
            raise DatasetError(
                f"{cls.home} has the bands 0 to {cls.band_count - 1}: name one or more of them, not {tuple(bands)}."
            )
        return super().open(root, bands=tuple(bands) or cls.rgb)

    @classmethod
    def notes(cls, root: Path | None = None) -> list[str]:
        sites = [pair.site for pair in cls.find(cls.locate(root))[0]]
        return [
            f"{cls.home}: the part {part} has {sites.count(part) or 'no'} tiles with a mask; {count} were published."
            for part, count in cls.published.items()
            if sites.count(part) != count
        ]

    @classmethod
    @abstractmethod
    def read_bands(cls, pair: Pair, bands: Sequence[int]) -> Raster:
        """Decode some bands of the image of a pair, in this order."""

    @classmethod
    def read_image(cls, pair: Pair) -> Raster:
        return cls.read_bands(pair, cls.rgb)

    def read(self, index: int) -> Sample:
        pair = self.pairs[index]
        return self.join(pair, self.read_bands(pair, self.bands), self.read_mask(pair))


@functools.lru_cache(maxsize=16)
def _opened(cls: type[FileDataset], folder: Path, pairs: tuple[Pair, ...], _: object, **options: Any) -> Any:
    return cls(folder, pairs, **options)


def stamp(files: Collection[Path]) -> tuple[tuple[int, int], ...]:
    """Return size and time of change of files; raises DatasetError where one cannot be reached."""
    found = []
    for file in files:
        try:
            state = file.stat()
        except OSError as error:
            raise DatasetError(f"{file} cannot be reached ({error.strerror}). {AGAIN}") from error
        found.append((state.st_size, state.st_mtime_ns))
    return tuple(found)


def cache_file(name: str, suffix: str, folder: Path, files: Collection[Path]) -> Path:
    """Where to keep what was made of files of a folder, until one of them changes."""
    state = f"{folder.absolute()} {stamp(files)}"
    return cache_folder() / f"{name}-{hashlib.blake2b(state.encode(), digest_size=8).hexdigest()}{suffix}"


def require_same_size(pair: Pair, image: tuple[int, ...], mask: tuple[int, ...]) -> None:
    """Raise DatasetError where a mask's shape is not that of its image."""
    if image[:2] != mask[:2]:
        raise DatasetError(
            f"{pair.mask}: the mask is {mask[1]}x{mask[0]} px, but its image {pair.image.name} is "
            f"{image[1]}x{image[0]} px; they must have the same size. Copy both again from the download."
        )


def list_files(folder: Path, suffixes: Collection[str] = SUFFIXES) -> tuple[dict[str, Path], list[str]]:
    """Return the visible files of a folder with one of some suffixes, by stem and sorted, and the faults found."""
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    except FileNotFoundError:
        return {}, [f"{folder} is missing; unpack the download again."]
    except OSError as error:
        return {}, [f"{folder} cannot be read ({error.strerror}); unpack the download again."]
    if not files:
        return {}, [f"{folder} is empty: it has no file with {', '.join(suffixes)}; unpack the download again."]
    stems: dict[str, Path] = {}
    faults: list[str] = []
    for file in files:
        if file.stem in stems:
            faults.append(f"{file}: {stems[file.stem].name} has the same name; keep only one of the two.")
        stems.setdefault(file.stem, file)
    return stems, faults


def match_folders(
    images: Path,
    masks: Path,
    prefix: str = "",
    site: str = "",
    resolution: float | None = None,
    suffixes: Collection[str] = SUFFIXES,
) -> Found:
    """Pair the images and masks of two folders by stem; `prefix` is put before the stems to make names."""
    by_stem, faults = list_files(images, suffixes)
    truth, more = list_files(masks, suffixes)
    faults += more
    if by_stem and truth:
        for stem in sorted(by_stem.keys() - truth.keys()):
            faults.append(f"{by_stem[stem]} has no mask {stem}.* in {masks.name}; add the mask or remove the image.")
        for stem in sorted(truth.keys() - by_stem.keys()):
            faults.append(f"{truth[stem]} has no image {stem}.* in {images.name}; add the image or remove the mask.")
    both = sorted(by_stem.keys() & truth.keys())
    return [Pair(f"{prefix}{stem}", by_stem[stem], truth[stem], site, resolution) for stem in both], faults
