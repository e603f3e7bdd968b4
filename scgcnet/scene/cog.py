"""Probability and mask as Cloud-Optimized GeoTIFFs, written in strips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray

from scgcnet import files
from scgcnet.scene.source import Scene, writing

STEPS = 200  # a probability is stored as a whole number of 1/200, with GDAL's scale, so that a GIS shows it from 0 to 1
NO_DATA = 255
BLOCK = 512  # pixels; side of the files' tiles
PROBABILITY, MASK = "probability.tif", "mask.tif"
PLAIN = "plain-"  # before the names of the same in strips, for polygons: GDAL reads line by line there
#: Layout of these; the other is a hundred times slower to polygonise.
STRIPS = {"driver": "GTiff", "blockysize": 16, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer"}

Rows = Callable[[int, int], tuple[NDArray[np.float32], NDArray[np.bool_]]]


def quantised(threshold: float) -> int:
    """Largest stored probability that is not above a threshold."""
    return int(np.floor(STEPS * threshold + 1e-6))


def write_cogs(folder: Path, scene: Scene, rows: Rows, threshold: float) -> tuple[int, int]:
    """Writes both files into a folder, and leaves them in strips beside.

    The mask is taken from the stored probabilities, so that the two agree to the last pixel.

    Args:
        folder: where; it is there.
        scene: whose size, coordinate reference system and transform they take.
        rows: gives the probabilities in the rows from one to another, and where they are known.
        threshold: above it, a pixel is landslide.

    Returns:
        Pixels with data, and pixels of landslide.

    Raises:
        SceneError: a block of the scene is damaged.
        WriteError: the disk is full or the folder cannot be written.
    """
    height, width = scene.shape
    profile = {
        **STRIPS, "width": width, "height": height, "count": 1, "dtype": "uint8", "nodata": NO_DATA,
        "crs": scene.crs, "transform": scene.transform,
    }  # fmt: skip
    plain = {name: folder / f"{PLAIN}{name}" for name in (PROBABILITY, MASK)}
    for path in (*plain.values(), *(folder / name for name in plain)):
        path.unlink(missing_ok=True)  # of an earlier process: GDAL reads what is there before it writes
    limit, known, landslide = quantised(threshold), 0, 0
    with writing(folder):
        with (
            rasterio.open(plain[PROBABILITY], "w", **profile) as probability,
            rasterio.open(plain[MASK], "w", **profile) as mask,
        ):
            probability.scales, probability.descriptions = (1 / STEPS,), ("probability of landslide",)
            mask.descriptions = ("landslide",)
            for top in range(0, height, BLOCK):
                bottom = min(top + BLOCK, height)
                found, valid = rows(top, bottom)
                stored = np.where(valid, np.rint(STEPS * found), NO_DATA).astype(np.uint8)
                above = np.where(valid, stored > limit, NO_DATA).astype(np.uint8)
                window = rasterio.windows.Window(0, top, width, bottom - top)
                probability.write(stored, 1, window=window)
                mask.write(above, 1, window=window)
                known += int(np.count_nonzero(valid))
                landslide += int(np.count_nonzero(above == 1))
        for name, resampling in ((PROBABILITY, "average"), (MASK, "mode")):
            rasterio.shutil.copy(
                plain[name], folder / name, driver="COG", blocksize=BLOCK, compress="deflate", predictor="no",
                overview_resampling=resampling, bigtiff="if_safer",
            )  # fmt: skip
            with rasterio.open(plain[name]) as before, rasterio.open(folder / name) as after:
                if before.checksum(1) != after.checksum(1):  # not every failed write is told
                    raise files.WriteError(folder / name, OSError("it does not read back as it was written"))
    return known, landslide
