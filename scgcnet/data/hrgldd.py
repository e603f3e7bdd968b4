"""HR-GLDD (Meena et al., Earth Syst. Sci. Data 15, 2023): PlanetScope at 3 m, tiles of 128 px of ten events.

`HR-GLDD/{train,val,test}{X,Y}.npy`: images (N, 128, 128, 4), numbers of an unstated scale, and masks (N, 128, 128, 1)
of 0 and 1. They are mapped into memory, so that a tile is read when it is asked for.

Band 1 is green and band 3 near infrared. Which of the bands 0 and 2 is red is not settled: PlanetScope's own order is
blue, green, red, and the means of the training part agree (blue 0.107, red 0.137); but the authors' notebook shows the
bands 0 to 2 as if they were red, green, blue. The order is therefore a parameter, by default PlanetScope's.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.pairs import BandDataset, Found, Pair
from scgcnet.data.rasters import AGAIN, Raster, binary_mask, to_8_bits
from scgcnet.data.sample import PARTS, DatasetError, Split
from scgcnet.data.splits import deal
from scgcnet.data.synthetic import near_infrared, render

RESOLUTION = 3.0  # metres per pixel
SIZE = 128  # pixels a side
BANDS = 4
RGB = (2, 1, 0)  # bands that are taken for red, green and blue

# The number that becomes 255, of each band; 0 becomes 0. Chosen from the means of the training part alone, .107, .148,
# .137 and .500: an average pixel comes to 55 to 75, and one white for all visible bands keeps their colours.
WHITE = (0.5, 0.5, 0.5, 1.0)


class HrGldd(BandDataset):
    """All tiles; `sites` holds the part that each came in."""

    dataset = "hrgldd"
    home = "HR-GLDD"
    about = (
        "HR-GLDD",
        "https://zenodo.org/records/7189381",
        "1758 tiles of 128 x 128 px and 4 bands, six .npy files",
        "see the record; cite Meena et al. 2023",
    )
    band_count, rgb = BANDS, RGB
    published = {"train": 1119, "val": 284, "test": 355}  # noqa: RUF012

    @classmethod
    def find(cls, folder: Path) -> Found:
        pairs: list[Pair] = []
        faults: list[str] = []
        for part in PARTS:
            files = folder / f"{part}X.npy", folder / f"{part}Y.npy"
            lengths = []
            for file in files:
                try:
                    lengths.append(len(_mapped(file)))
                except DatasetError as error:
                    faults.append(str(error))
            if len(set(lengths)) == 2:
                faults.append(
                    f"{files[1]} has {lengths[1]} masks, but {files[0].name} has {lengths[0]} images; they belong "
                    "together one by one. Copy both again from the download."
                )
            elif len(lengths) == 2:
                pairs += [Pair(f"{part}_{index:04d}", *files, part, RESOLUTION) for index in range(lengths[0])]
        return sorted(pairs, key=lambda pair: (pair.site, int(pair.name.split("_")[1]))), faults

    @classmethod
    def read_bands(cls, pair: Pair, bands: Sequence[int]) -> Raster:
        values, name = _tile(pair, pair.image)
        if not 0 <= np.nan_to_num(np.median(values)) <= 1:
            raise DatasetError(
                f"{name}: half of its values are not between 0 and 1, so they are not scaled as published. {AGAIN}"
            )
        return Raster(to_8_bits(values, WHITE, bands, name))

    @classmethod
    def read_mask(cls, pair: Pair) -> Raster:
        assert pair.mask
        values, name = _tile(pair, pair.mask)
        return Raster(binary_mask(values[..., 0], name))

    def split(self, which: str) -> Split:
        return self.own_parts(which)

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        for part, indices in deal(n, seed).items():
            drawn = [render(seed, index, (SIZE, SIZE)) for index in indices]
            images = np.empty((len(drawn), SIZE, SIZE, BANDS), np.float32)
            visible = np.stack([image for image, _ in drawn]) / 255
            images[..., RGB] = visible * WHITE[0]
            images[..., 3] = near_infrared(visible)
            np.save(folder / f"{part}X.npy", images)
            np.save(folder / f"{part}Y.npy", np.stack([mask for _, mask in drawn])[..., None].astype(np.float32))


def _tile(pair: Pair, file: Path) -> tuple[Any, str]:
    """The values of a pair's tile in a file, and how messages name it."""
    # Mapped anew for each tile: a data set that goes to another process would otherwise take all pixels along.
    index = int(pair.name.split("_")[1])
    return np.array(_mapped(file)[index]), f"{file}, tile {index}"


def _mapped(file: Path) -> NDArray[Any]:
    """Map the images or masks of a part, (N, 128, 128, 4 or 1), into memory; no pixel is read yet."""
    if not file.exists():
        raise DatasetError(f"{file} is missing; unpack the download again.")
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)  # pickled objects could run anything
    except Exception as error:  # damage leads numpy's parser into errors of any kind, SyntaxError among them
        raise DatasetError(
            f"{file} cannot be read as an array of numbers: it is truncated, damaged, or holds pickled objects, which "
            f"are never loaded ({error}). {AGAIN}"
        ) from error
    of_images = file.stem.endswith("X")
    shape, kinds = (SIZE, SIZE, BANDS if of_images else 1), "f" if of_images else "fbui"
    if array.ndim != 4 or array.shape[1:] != shape or not len(array):
        raise DatasetError(f"{file}: the shape must be (N, {', '.join(map(str, shape))}), found {array.shape}. {AGAIN}")
    if array.dtype.kind not in kinds:
        wanted = "floating-point numbers" if of_images else "numbers or truth values"
        raise DatasetError(f"{file}: there must be {wanted} in it, not {array.dtype}. {AGAIN}")
    return np.asarray(array)
