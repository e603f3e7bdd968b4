"""What every data set gives: a `Sample`, a sequence of samples, and errors that say what to do."""

from __future__ import annotations

import functools
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from scgcnet.checkout import find_checkout

Part = Literal["train", "val", "test"]
Kind = Literal["real", "synthetic"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


class DatasetError(Exception):
    """Something in a data set is wrong; the message names the file and the remedy."""


class DatasetNotFoundError(DatasetError):
    """A data set is not where it is looked for; the message says how to get it."""

    def __init__(self, title: str, folder: Path, source: str, size: str, licence: str) -> None:
        super().__init__(
            f"{title} not found: there is no folder {folder}. Get it from {source} (size: {size}; "
            f"licence: {licence}), unpack it so that this folder exists, or set SCGCNET_DATA to the folder "
            f"that holds {folder.name!r}."
        )


@dataclass(frozen=True)
class Sample:
    """One image with its truth, as stored: native size, not normalised.

    Attributes:
        name: the file's stem, unique within the data set.
        image: uint8, (H, W, C), 0 to 255, channels in the order red, green, blue.
        mask: uint8, (H, W), 1 where there is a landslide, else 0.
    """

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


class LandslideDataset(ABC):
    """A sequence of samples that are decoded when asked for and kept in memory.

    Attributes:
        dataset: the registered name, as in run files.
        kind: "synthetic" if our generator wrote the files, whatever the name, else "real".
        names: the samples' names, in the order of the sequence.
    """

    dataset: str
    kind: Kind
    names: tuple[str, ...]

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Return one sample.

        Raises:
            DatasetError: a file is damaged or does not fit its partner.
            IndexError: there is no such sample.
        """

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


class WholeDataset(LandslideDataset):
    """All samples of a data set, sorted by name, before they are split."""

    @abstractmethod
    def split_path(self, split: int) -> Path:
        """Return the CSV file of a numbered split.

        Raises:
            DatasetError: there is no such split.
        """

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 over all decoded pixels in the order of the names, as hexadecimal digits.

        File formats do not count, and names only by their order: PNG and lossless WebP copies, and copies
        with other names in the same order, have the same hash. Decodes everything on first use.
        """
        digest = hashlib.sha256()
        for sample in self:
            digest.update(repr(sample.image.shape).encode())
            digest.update(sample.image.tobytes())
            digest.update(sample.mask.tobytes())
        return digest.hexdigest()


class Subset(LandslideDataset):
    """Some samples of a data set, for example its training part; the cache stays with the whole."""

    def __init__(self, whole: LandslideDataset, indices: list[int]) -> None:
        self.whole = whole
        self.indices = indices
        self.dataset, self.kind = whole.dataset, whole.kind
        self.names = tuple(whole.names[index] for index in indices)

    def __getitem__(self, index: int) -> Sample:
        return self.whole[self.indices[index]]


def data_root() -> Path:
    """Return the folder that holds the data sets' own folders: SCGCNET_DATA, by default `data`.

    A relative path counts from the checkout, without one from the working folder.
    """
    return (find_checkout() or Path.cwd()) / (os.environ.get("SCGCNET_DATA") or "data")
