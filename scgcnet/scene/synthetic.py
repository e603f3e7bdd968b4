"""A synthetic scene of any size with a georeference, to try mapping without a real one."""

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

PATCH = 256  # pixels; side of the drawn images that a scene is composed of
CRS = "EPSG:32648"  # UTM zone 48 north, where Bijie lies
METRES = 1.4  # per pixel
ORIGIN = (500_000.0, 3_000_000.0)

Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]  # image (PATCH, PATCH, 3) and mask (PATCH, PATCH), 0 or 1


def write_synthetic_scene(path: Path, shape: tuple[int, int], seed: int = 0, pictures: int = 24) -> tuple[Path, Path]:
    """Writes a GeoTIFF composed of synthetic images, turned and mirrored, and its truth (0 and 1) beside it.

    Args:
        path: of the scene; the name of the truth has `-truth` added.
        shape: height and width, pixels.
        seed: of the images and their layout.
        pictures: number of different images, at most.
    """
    rng = np.random.default_rng(seed)
    height, width = shape
    number = min(pictures, math.ceil(height / PATCH) * math.ceil(width / PATCH))
    pool = [render(seed, index, (PATCH, PATCH)) for index in range(number)]
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
            pixels, mask = (np.concatenate(parts, axis=1)[:rows, :width] for parts in zip(*strip, strict=True))
            image.write(np.moveaxis(pixels, 2, 0), window=window)
            truth.write(mask, 1, window=window)
    return path, truth_path


def _turned(pool: list[Pair], rng: np.random.Generator) -> Pair:
    picture, mask = pool[rng.integers(len(pool))]
    turns, mirrored = int(rng.integers(4)), int(rng.integers(2))
    if mirrored:
        picture, mask = picture[:, ::-1], mask[:, ::-1]
    return np.rot90(picture, turns), np.rot90(mask, turns)
