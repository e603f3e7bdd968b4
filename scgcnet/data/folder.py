"""A folder of your own: `images` and `masks` (or `image`, `img`, and `mask`), pairs of one stem.

PNG, WebP, TIFF and GeoTIFF, images also JPEG, of 8 or 16 bits or real numbers, grey, RGB or with more bands: see
`rasters.py`. No-data (a GeoTIFF's no-data value or mask band, a PNG's alpha of 0, NaN) is 0 in the image and 255 in the
mask. Where an image and its mask are both GeoTIFF, they must lie on the same ground.

The folder itself is the root, so `scgcnet data check folder DIR` checks DIR; by default it is `folder` in
`data_root()`. A file `split.csv` in it, with the columns name,part, is split "0".
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from scgcnet.data.pairs import FileDataset, Found, Pair, match_folders
from scgcnet.data.rasters import SUFFIXES, Raster, read_any_image, read_any_mask
from scgcnet.data.sample import DatasetError, DatasetNotFoundError, Split, data_root
from scgcnet.data.splits import read_split, split_faults
from scgcnet.data.synthetic import render, write_pair

IMAGE_FOLDERS = ("images", "image", "img")
MASK_FOLDERS = ("masks", "mask")
SPLIT_FILE = "split.csv"


class Folder(FileDataset):
    """All pairs of the folder."""

    dataset = "folder"
    home = ""

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        return super().locate(data_root() / "folder" if root is None else root)

    @classmethod
    def not_found(cls, folder: Path) -> DatasetNotFoundError:
        return DatasetNotFoundError(
            f"There is no folder {folder}. Make it, with your images in {folder / IMAGE_FOLDERS[0]} and their masks of "
            f"the same names in {folder / MASK_FOLDERS[0]}, or name another one."
        )

    @classmethod
    def find(cls, folder: Path) -> Found:
        chosen: list[Path] = []
        faults: list[str] = []
        for names in (IMAGE_FOLDERS, MASK_FOLDERS):
            found = [folder / name for name in names if (folder / name).is_dir()]
            chosen += found[:1]
            if not found:
                faults.append(f"{folder} has no folder {names[0]} (or {', '.join(names[1:])}); make it.")
            elif len(found) > 1:
                faults.append(f"{folder} has {' and '.join(p.name for p in found)}; keep only one of them.")
        if faults:
            return [], faults
        # JPEG among the masks is listed too: it is refused with its reason when it is read.
        return match_folders(chosen[0], chosen[1], suffixes=(*SUFFIXES, ".jpg", ".jpeg"))

    @classmethod
    def common_faults(cls, folder: Path, pairs: Sequence[Pair]) -> list[str]:
        file = folder / SPLIT_FILE
        return split_faults([p.name for p in pairs], file, str(file)) if pairs and os.path.lexists(file) else []

    @classmethod
    def notes(cls, root: Path | None = None) -> list[str]:
        """Name masks whose no-data may be landslides."""
        hiding = []
        for pair in cls.find(cls.locate(root))[0]:
            with contextlib.suppress(DatasetError):  # a fault
                mask = cls.read_mask(pair).pixels
                if pair.mask and 255 in mask and 1 not in mask:
                    hiding.append(pair.mask.name)
        return [
            f"folder: {len(hiding)} masks have no-data and no landslide, such as {name}. If 255 stands for landslides "
            "there, take the no-data value off: rio edit-info --unset-nodata FILE."
            for name in hiding[:1]
        ]

    @classmethod
    def read_image(cls, pair: Pair) -> Raster:
        return read_any_image(pair.image)

    @classmethod
    def read_mask(cls, pair: Pair) -> Raster:
        assert pair.mask
        return read_any_mask(pair.mask)

    def split(self, which: str) -> Split:
        """Read `split.csv` as "0"; else, and without that file, draw one 5:3:2, "random-SEED" or "SEED"."""
        if which == "0" and os.path.lexists(self.folder / SPLIT_FILE):
            return read_split(self.folder / SPLIT_FILE)
        return super().split(which)

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        for index in range(n):
            write_pair(folder / IMAGE_FOLDERS[0], folder / MASK_FOLDERS[0], f"tile_{index:04d}", *render(seed, index))
