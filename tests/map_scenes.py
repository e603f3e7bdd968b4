"""Small scenes with known landslides, and a network whose answer is known: landslide where the first band is bright."""

import math
from pathlib import Path

import numpy as np
import torch
from rasterio.transform import from_origin

from scgcnet.data.transforms import MEAN, STD
from scgcnet.scene import MapOptions, MapResult, map_scene

UTM = {"crs": "EPSG:32648", "transform": from_origin(500_000, 3_000_000, 2, 2)}  # 2 m per pixel
DARK, BRIGHT = 40, 220


class Bright(torch.nn.Module):
    """Probability of landslide = the first band, from 0 to 1: each pixel by itself."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        shade = (images[:, 0] * float(STD[0]) + float(MEAN[0])).clamp(0.01, 0.99)
        return torch.stack([torch.zeros_like(shade), torch.logit(shade)], dim=1)


def scene_pixels(height: int = 150, width: int = 230) -> np.ndarray:
    """uint8 (H, W, 3): dark, with one bright rectangle of 20 x 30 px, one of 10 x 10, and a single bright pixel."""
    pixels = np.full((height, width, 3), DARK, np.uint8)
    pixels[40:60, 50:80] = BRIGHT
    pixels[100:110, 180:190] = BRIGHT
    pixels[5, 5] = BRIGHT
    return pixels


def mapped(scene: Path, out: Path, **options: object) -> MapResult:
    """The map by the bright network, at the scene's own resolution and in windows of 64 px unless told otherwise."""
    options = {"window": 64, "scale": 1.0, "threshold": 0.5, **options}
    return map_scene(scene, out, "tiny-bijie", MapOptions(**options))


def hectares(pixels: int) -> float:
    """Area of so many pixels of `UTM`, square metres."""
    return pixels * 4.0 / math.pow(0.9996, 2)
