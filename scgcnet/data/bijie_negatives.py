"""The landslide-free images of the Bijie data set, `Bijie-landslide-dataset/non-landslide/image`: 2003 in the download.

The paper does not use them. Here they serve to count false alarms, and to train against them where a run says so.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from scgcnet.data.bijie import RESOLUTION, SUFFIXES, require_folder
from scgcnet.data.images import Pair, Stamp, list_files, read_image, require_no_faults, stamp
from scgcnet.data.sample import DatasetError, DatasetNotFoundError, Sample, Split, WholeDataset, kind_of
from scgcnet.data.splits import random_split, seeded


class BijieNegatives(WholeDataset):
    """All landslide-free images, sorted by name; their masks are 0 throughout."""

    def __init__(self, files: tuple[Path, ...], _: Stamp) -> None:
        self.files = files
        super().__init__("bijie_negatives", kind_of(files[0].parents[2]), tuple(file.stem for file in files))

    def read(self, index: int) -> Sample:
        """Decode one image; it raises as `read_image` does."""
        image = read_image(self.files[index])
        return Sample(self.names[index], image, np.zeros(image.shape[:2], np.uint8), RESOLUTION)

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2, "random-SEED"; "0" means "random-0"."""
        return random_split(self.names, seeded(which, ("random",), self.dataset)[1])


def open_bijie_negatives(root: Path | None = None) -> BijieNegatives:
    """Open the images below `root` (default `data_root()`); nothing is decoded yet.

    Raises:
        DatasetNotFoundError: the folder is not there.
        DatasetError: it is empty, or two files have one name.
    """
    files, faults = _files(root)
    require_no_faults(faults)
    return _opened(files, stamp([Pair("", file, file) for file in files]))


_opened = functools.lru_cache(maxsize=2)(BijieNegatives)


def check_bijie_negatives(root: Path | None = None) -> list[str]:
    """Return every fault of the images below `root`, as messages; an empty list if all is well."""
    try:
        files, faults = _files(root)
    except DatasetNotFoundError as error:
        return [str(error)]
    for file in files:
        try:
            read_image(file)
        except DatasetError as error:
            faults.append(str(error))
    return faults


def _files(root: Path | None) -> tuple[tuple[Path, ...], list[str]]:
    files, faults = list_files(require_folder(root) / "non-landslide" / "image", SUFFIXES)
    return tuple(files.values()), faults
