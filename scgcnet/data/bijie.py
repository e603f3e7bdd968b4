"""The Bijie landslide data set (Ji et al., Landslides 17, 2020) in its official layout.

`Bijie-landslide-dataset/landslide/{image,mask}`: RGB images of 61 to 1239 px a side (TripleSat, 0.8 m) and
masks of 0 and 255. The download has PNG files; a lossless copy in another format, such as WebP, is read
alike: image and mask belong together when their stems are equal. Elevations (`dem`) are not used, and of the
landslide-free images (`non-landslide`) only `bijie_negatives` makes use: the paper's counts are those of the 770
landslide images alone.
"""

from __future__ import annotations

import functools
from pathlib import Path

from scgcnet.data.images import (
    LOSSLESS,
    Pair,
    PairDataset,
    faults_of,
    list_files,
    match_stems,
    require_no_faults,
    stamp,
)
from scgcnet.data.sample import DatasetError, DatasetNotFoundError, Split, data_root, kind_of
from scgcnet.data.splits import committed_split, read_split, split_indices

FOLDER = "Bijie-landslide-dataset"
RESOLUTION = 0.8  # metres per pixel
SUFFIXES = {suffix for suffixes in LOSSLESS.values() for suffix in suffixes}


class Bijie(PairDataset):
    """All pairs of one folder, sorted by name; open it with `open_bijie`, which shares the cache."""

    @property
    def folder(self) -> Path:
        """The data set's own folder."""
        return self.pairs[0].image.parents[2]

    def split(self, which: str) -> Split:
        """A committed split; for generated images one of those beside them.

        "0" to "2" are drawn over images, as in the paper as far as it says. Many images are crops of one scene and
        show some of the same ground; "grouped-0" is drawn over groups of such (`audit.ground_groups`).
        """
        return read_split(_split_path(self.folder, which))


def open_bijie(root: Path | None = None, dataset: str = "bijie") -> Bijie:
    """Open the whole data set below `root` (default `data_root()`); nothing is decoded yet.

    Raises:
        DatasetNotFoundError: the folder is not there.
        DatasetError: it is empty, or an image or a mask has no partner.
    """
    folder = require_folder(root)
    pairs, faults = find_pairs(folder)
    require_no_faults(faults)
    return _opened(dataset, kind_of(folder), tuple(pairs), stamp(pairs))


_opened = functools.lru_cache(maxsize=4)(Bijie)


def check_bijie(root: Path | None = None) -> list[str]:
    """Return every fault of the data set below `root`, as messages; an empty list if all is well."""
    try:
        folder = require_folder(root)
    except DatasetNotFoundError as error:
        return [str(error)]
    pairs, faults = find_pairs(folder)
    faults += [fault for pair in pairs for fault in faults_of(pair)]
    if pairs:
        try:
            split_indices([pair.name for pair in pairs], read_split(_split_path(folder, "0")), "bijie split 0")
        except DatasetError as error:
            faults.append(str(error))
    return faults


def _split_path(folder: Path, which: str) -> Path:
    """Real images have the committed splits; generated ones have their own beside them."""
    if kind_of(folder) == "synthetic":
        return folder / "splits" / f"bijie-{which}.csv"
    return committed_split("bijie", which)


def require_folder(root: Path | None) -> Path:
    """Return the data set's own folder below `root`; raises DatasetNotFoundError where it is missing."""
    folder = (data_root() if root is None else Path(root)).absolute() / FOLDER
    if not folder.is_dir():
        raise DatasetNotFoundError(
            "The Bijie landslide data set",
            folder,
            source="http://gpcv.whu.edu.cn/data/Bijie_pages.html",
            size="770 pairs, 50 megapixels",
            licence="none stated; cite Ji et al. 2020",
        )
    return folder


def find_pairs(folder: Path) -> tuple[list[Pair], list[str]]:
    """Match images and masks by stem.

    Returns:
        The pairs sorted by name, and the faults found: a missing or empty folder, files without a partner,
        two files of one name.
    """
    images, faults = list_files(folder / "landslide" / "image", SUFFIXES)
    masks, more = list_files(folder / "landslide" / "mask", SUFFIXES)
    matched, alone = match_stems(images, masks)
    pairs = [Pair(image.stem, image, mask, resolution=RESOLUTION) for image, mask in matched]
    return pairs, [*faults, *more, *alone]
