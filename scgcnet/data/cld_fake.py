"""Generated tiles in the layout of CLD's archives; apart from the loader, so that runs on CLD do not depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.cld import FOLDER, STRIDE, SUBSETS, TILE
from scgcnet.data.generated import write_folder
from scgcnet.data.sample import DatasetError
from scgcnet.data.synthetic import DEFAULT_COUNT, generator_id, render

ENLARGED = 4  # times; pictures are drawn that much smaller, because drawing one at full size takes seconds
LEAST = 3  # tiles of a sub-set that do not overlap, one for each part


def write_fake_cld(root: Path, n: int = DEFAULT_COUNT, seed: int = 0) -> Path:
    """Write n tiles below `root` in CLD's layout: all 16 sub-sets under their archives' names, and a marker file.

    Every sub-set has three tiles that share nothing; further ones overlap one of these by half.

    Returns:
        The data set's folder, `root/CAS-Landslide-Dataset`.

    Raises:
        DatasetError: fewer than 48 tiles are asked for, or the folder holds something else.
        WriteError: the folder cannot be written or the disk is full; nothing is left of it.
    """
    least = LEAST * len(SUBSETS)
    if n < least:
        raise DatasetError(f"CLD has {len(SUBSETS)} sub-sets of {LEAST} tiles or more: ask for {least}, not {n}.")

    def fill(folder: Path) -> None:
        for number, subset in enumerate(SUBSETS):
            count = n // len(SUBSETS) + (number < n % len(SUBSETS))
            for kind in ("img", "label", "mask"):
                (folder / subset.archive / kind).mkdir(parents=True)
            for index, (image, mask) in enumerate(_tiles(count, seed, number)):
                label = np.where(mask[..., None] == 1, np.uint8(0), np.uint8(255)).repeat(3, axis=2)
                for kind, array in (("img", image), ("label", label), ("mask", mask)):
                    file = folder / subset.archive / kind / f"{subset.key.partition('-')[0]}{index + 1:04d}.tif"
                    Image.fromarray(array).save(file, compression="tiff_lzw")

    settings = {"generator": generator_id(), "n": n, "seed": seed}
    place = Path(root).absolute() / FOLDER
    write_folder(place, settings, fill)
    return place


def _tiles(count: int, seed: int, number: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Images and masks of one sub-set, cut from pictures that are one or two tiles wide."""
    pictures = max(LEAST, (count + 1) // 2)
    for picture in range(pictures):
        tiles = 2 if picture < count - pictures else 1
        width = TILE + STRIDE * (tiles - 1)
        drawn = render(seed, 1000 * number + picture, (TILE // ENLARGED, width // ENLARGED))
        size, resampling = (width, TILE), (Image.Resampling.BICUBIC, Image.Resampling.NEAREST)
        image, mask = (np.asarray(Image.fromarray(a).resize(size, r)) for a, r in zip(drawn, resampling, strict=True))
        for left in range(0, STRIDE * tiles, STRIDE):
            yield image[:, left : left + TILE], mask[:, left : left + TILE]
