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

from scgcnet.data.pairs import BandDataset, Found, Pair
from scgcnet.data.rasters import AGAIN, Raster, binary_mask, require_file, to_8_bits
from scgcnet.data.sample import PARTS, DatasetError, Split
from scgcnet.data.splits import deal
from scgcnet.data.synthetic import near_infrared, render

RESOLUTION = 3.0  # metres per pixel
SIZE = 128  # pixels a side
BANDS = 4
RGB = (2, 1, 0)  # bands that are taken for red, green and blue
COUNTS = {"train": 1119, "val": 284, "test": 355}  # as published

# The number that becomes 255, of each band; 0 becomes 0. Chosen from the means of the training part alone, .107, .148,
# .137 and .500. One white for all visible bands keeps their colours. At 0.5 an average pixel comes to 55 to 75, near
# that of Landslide4Sense's pictures, and bare soil, two to three times as bright, still differs from white. The near
# infrared is several times brighter and has a white of its own.
WHITE = (0.5, 0.5, 0.5, 1.0)

Mapped = np.memmap[Any, np.dtype[Any]]


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

    @classmethod
    def find(cls, folder: Path) -> Found:
        """List the tiles of the parts whose files can be read; tile 7 of train is `train_0007`."""
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
    def notes(cls, root: Path | None = None) -> list[str]:
        sites = [pair.site for pair in cls.find(cls.locate(root))[0]]
        return [
            f"HR-GLDD: the part {part} has {sites.count(part)} tiles; {COUNTS[part]} were published."
            for part in PARTS
            if sites.count(part) not in (0, COUNTS[part])
        ]

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
        """Write tiles, about 5:3:2 in the parts; `read_image` gives the drawn colours back."""
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


def _mapped(file: Path) -> Mapped:
    """Map the images or masks of a part, (N, 128, 128, 4 or 1), into memory; no pixel is read yet.

    Raises:
        DatasetError: the file is missing, damaged, or of another shape or type.
    """
    if file.exists():
        require_file(file)
    try:
        # Pickled objects could run anything when they are loaded, so they never are.
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(f"{file} is missing; unpack the download again.") from None
    except Exception as error:  # damage leads numpy's parser into errors of any kind, SyntaxError among them
        raise DatasetError(
            f"{file} cannot be read as an array of numbers: it is truncated, damaged, or holds pickled objects, which "
            f"are never loaded ({error}). {AGAIN}"
        ) from error
    of_images = file.stem.endswith("X")
    shape, kinds = (SIZE, SIZE, BANDS if of_images else 1), "f" if of_images else "fbui"
    if not isinstance(array, np.memmap) or array.ndim != 4 or array.shape[1:] != shape or not len(array):
        found = array.shape if isinstance(array, np.memmap) else "an archive of arrays"
        raise DatasetError(f"{file}: the shape must be (N, {', '.join(map(str, shape))}), found {found}. {AGAIN}")
    if array.offset + array.nbytes != file.stat().st_size:  # a damaged head moves every pixel
        raise DatasetError(f"{file}: its head and its size disagree, it is damaged. {AGAIN}")
    if array.dtype.kind not in kinds:
        wanted = "floating-point numbers" if of_images else "numbers or truth values"
        raise DatasetError(f"{file}: there must be {wanted} in it, not {array.dtype}. {AGAIN}")
    return array
