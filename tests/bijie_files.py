"""Tiny pictures in Bijie's on-disk layout, for any test that needs files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from scgcnet.data.bijie import Bijie


def picture(index: int, height: int = 9, width: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """An image of noise, and a mask with a short bar in its first row."""
    rng = np.random.default_rng(index)
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[0, : 2 + index % 5] = 1
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8), mask


def write_pictures(root: Path, names: list[str], suffix: str = ".png", scale: int = 255) -> Path:
    """Write `picture(i)` under the i-th name as the download would have it, and return the data root."""
    for sub in ("image", "mask"):
        (root / Bijie.home / "landslide" / sub).mkdir(parents=True, exist_ok=True)
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    for index, name in enumerate(names):
        image, mask = picture(index)
        for sub, array in (("image", image), ("mask", mask * np.uint8(scale))):
            Image.fromarray(array).save(root / Bijie.home / "landslide" / sub / (name + suffix), **options)
    return root
