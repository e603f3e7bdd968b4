"""A made-up scene of any size with a place on earth, to try mapping on where there is no real one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin
from rasterio.windows import Window

from scgcnet import files
from scgcnet.data.synthetic import render

PATCH = 256  # pixels; side of the drawn pictures that a scene is laid out with
CRS = "EPSG:32648"  # UTM zone 48 north, where Bijie lies
METRES = 1.4  # per pixel
ORIGIN = (500_000.0, 3_000_000.0)


def patches(number: int, seed: int) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Drawn pictures (PATCH, PATCH, 3) with their masks (PATCH, PATCH), 0 or 1."""
    return [render(seed, index, (PATCH, PATCH)) for index in range(number)]


def write_made_up_scene(path: Path, shape: tuple[int, int], seed: int = 0, pictures: int = 24) -> tuple[Path, Path]:
    """Writes a GeoTIFF that is laid out with drawn pictures, turned and mirrored, and its truth beside it.

    Args:
        path: of the scene; the truth's name has `-truth` added.
        shape: height and width, pixels.
        seed: of the drawing and the layout.
        pictures: how many different ones at most.

    Returns:
        Both files; the truth has 0 and 1.

    Raises:
        WriteError: the folder cannot be written or the disk is full.
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    pool = patches(min(pictures, math.ceil(height / PATCH) * math.ceil(width / PATCH)), seed)
    truth_path = path.with_name(f"{path.stem}-truth{path.suffix}")
    profile = {
        "driver": "GTiff", "height": height, "width": width, "dtype": "uint8", "crs": CRS,
        "transform": from_origin(*ORIGIN, METRES, METRES), "tiled": True, "blockxsize": 256, "blockysize": 256,
        "bigtiff": "if_safer",
    }  # fmt: skip
    with (
        files.atomic(path) as image_file,
        files.atomic(truth_path) as mask_file,
        rasterio.open(image_file, "w", count=3, photometric="rgb", **profile) as image,
        rasterio.open(mask_file, "w", count=1, compress="deflate", **profile) as truth,
    ):
        for top in range(0, height, PATCH):
            strip = [_turned(pool, rng) for _ in range(0, width, PATCH)]
            rows = min(PATCH, height - top)
            window = Window(0, top, width, rows)
            pixels = np.concatenate([picture for picture, _ in strip], axis=1)[:rows, :width]
            image.write(np.moveaxis(pixels, 2, 0), window=window)
            truth.write(np.concatenate([mask for _, mask in strip], axis=1)[:rows, :width], 1, window=window)
    return path, truth_path


def _turned(
    pool: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    picture, mask = pool[rng.integers(len(pool))]
    turns, mirrored = int(rng.integers(4)), int(rng.integers(2))
    if mirrored:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
    return np.rot90(picture, turns), np.rot90(mask, turns)
