"""What every data set gives: a `Sample`, a sequence of samples, and errors that say what to do."""

from __future__ import annotations

import functools
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scgcnet.files import find_checkout

Part = Literal["train", "val", "test"]
Kind = Literal["real", "synthetic"]
PARTS: tuple[Part, ...] = ("train", "val", "test")
UNUSED: Literal["unused"] = "unused"  # in a split: in none of the parts, such as a buffer between them
Split = Mapping[str, Part | Literal["unused"]]  # by the samples' names

MARKER = "synthetic.json"  # written by the generator, so that its images never pass for real ones
KEEP_BYTES = 1 << 30  # decoded samples that a data set keeps in memory


class DatasetError(Exception):
    """Something in a data set is wrong; the message names the file and the remedy."""


class DatasetNotFoundError(DatasetError):
    """A data set is not where it is looked for; the message says how to get it."""


@dataclass(frozen=True)
class Sample:
    """One image with its mask, as stored: native size, not normalised."""

    name: str  # unique within the data set
    image: NDArray[np.uint8]  # (H, W, C): red, green, blue, then any others
    mask: NDArray[np.uint8]  # (H, W): 1 landslide, 0 none, 255 unknown (no data)
    resolution: float | None = None  # metres per pixel; None where it is not known


class LandslideDataset(ABC):
    """A sequence of samples that are decoded when asked for."""

    dataset: str  # registered name
    kind: Kind
    names: tuple[str, ...]
    sites: tuple[str, ...]  # sub-set, event or place of each sample; empty strings where the data set has none

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Return one sample; raises DatasetError where a file is damaged or does not fit its partner."""

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    @property
    def sources(self) -> tuple[tuple[str, int], ...]:
        """Names and lengths of the data sets in this one."""
        return ((self.dataset, len(self)),)


class WholeDataset(LandslideDataset):
    """All samples of a data set, sorted by name, before they are split.

    Decoded samples are kept in memory up to `KEEP_BYTES`, without eviction: training goes around all samples, so an
    evicted one is as likely to be needed next.
    """

    def __init__(self, dataset: str, kind: Kind, names: tuple[str, ...], sites: tuple[str, ...] = ()) -> None:
        self.dataset, self.kind, self.names = dataset, kind, names
        self.sites = sites or ("",) * len(names)
        self._kept: dict[int, Sample] = {}
        self._bytes = 0

    @abstractmethod
    def read(self, index: int) -> Sample:
        """Decode one sample, from 0."""

    @abstractmethod
    def split(self, which: str) -> Split:
        """Return the part of every sample under a named split; "0" is the main one."""

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        if index in self._kept:
            return self._kept[index]
        sample = self.read(index)
        size = sample.image.nbytes + sample.mask.nbytes
        if self._bytes + size <= KEEP_BYTES:
            self._kept[index], self._bytes = sample, self._bytes + size
        return sample

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 over all decoded pixels in the order of the names; PNG and lossless WebP copies have the same."""
        digest = hashlib.sha256()
        for sample in self:
            digest.update(repr(sample.image.shape).encode())
            digest.update(sample.image.tobytes())
            digest.update(sample.mask.tobytes())
        return digest.hexdigest()


class Subset(LandslideDataset):
    """Some samples of a data set, for example its training part; decoded samples are kept with the whole."""

    def __init__(self, whole: WholeDataset, indices: list[int]) -> None:
        self.whole = whole
        self.indices = indices
        self.dataset, self.kind = whole.dataset, whole.kind
        self.names = tuple(whole.names[index] for index in indices)
        self.sites = tuple(whole.sites[index] for index in indices)

    def __getitem__(self, index: int) -> Sample:
        return self.whole[self.indices[index]]


class Merged(LandslideDataset):
    """Several data sets, one after the other, as one: merged training (paper, Sec. IV-A-1)."""

    def __init__(self, datasets: Sequence[LandslideDataset]) -> None:
        if not datasets:
            raise ValueError("nothing to merge")
        self.datasets = tuple(datasets)
        self.dataset = "+".join(part.dataset for part in datasets)
        self.kind = "real" if all(part.kind == "real" for part in datasets) else "synthetic"
        self.names = tuple(f"{part.dataset}/{name}" for part in datasets for name in part.names)
        self.sites = tuple(site for part in datasets for site in part.sites)
        self._places = [(part, index) for part in datasets for index in range(len(part))]

    def __getitem__(self, index: int) -> Sample:
        part, place = self._places[index]
        return part[place]

    @property
    def sources(self) -> tuple[tuple[str, int], ...]:
        return tuple(source for part in self.datasets for source in part.sources)


def kind_of(folder: Path) -> Kind:
    """Whether a data set's own folder holds real images or ones that our generator wrote."""
    return "synthetic" if (folder / MARKER).is_file() else "real"


def data_root() -> Path:
    """The folder that holds the data sets' own: SCGCNET_DATA, by default `data`, below `base_folder()`."""
    return base_folder() / (os.environ.get("SCGCNET_DATA") or "data")


def cache_folder() -> Path:
    """The folder of decoded pictures and found overlaps, removable at any time: SCGCNET_CACHE or `build/cache`."""
    return base_folder() / (os.environ.get("SCGCNET_CACHE") or "build/cache")


def base_folder() -> Path:
    """The checkout, without one the working folder."""
    return find_checkout() or Path.cwd()
