"""From samples to network inputs: resizing, augmentation, normalisation.

The paper resizes every image to S x S (S = 512), whatever its shape, and augments with random scale, random crop to
S x S, horizontal flips with probability 0.5 and photometric distortion (Sec. IV-A-4); it gives no ranges. Images are
resized with Pillow's antialiased bilinear filter. Masks take the nearest pixel: the landslide share stays right on
average, while averaging and cutting at one half would erase scars thinner than half an output pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.sample import LandslideDataset, Sample

if TYPE_CHECKING:  # torch takes seconds to import, and settings and masks need none of it
    import torch

IGNORE_INDEX = 255  # mask value of padding: loss and metrics leave these pixels out

# ImageNet's channel means and standard deviations, the field's convention (fractions of 1; red, green, blue).
# They are kept for every data set, so that one network can be tested on any of them.
MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
# Of any other band: ImageNet has none. Mid-grey, and a deviation near those above.
OTHER_MEAN, OTHER_STD = 0.5, 0.25

LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_YIQ = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_YIQ)

Pair = tuple["torch.Tensor", "torch.Tensor"]  # image float32 (C, S, S), normalised; mask int64 (S, S) of 0, 1, 255


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths of the augmentation; the defaults are the paper's kinds with the ranges usual in the field.

    Attributes:
        scale: lowest and highest factor on the size, after the nominal resize to S x S.
        hflip, vflip: probabilities.
        rot90: turn by 0, 90, 180 or 270 degrees, equally often.
        brightness: largest shift, as a fraction of the full range; like all photometric steps with probability 0.5.
        contrast, saturation: the factor is drawn from 1 - x to 1 + x.
        hue: largest turn, as a fraction of the colour circle.
        tint: each channel's own factor is drawn from 1 - tint to 1 + tint, as if the light had another colour.
        resolution: lowest and highest metres per pixel of the network's input. Where a sample's own is known, its
            factor is drawn from these, uniformly in the logarithm and within 0.5 to 4; else from `scale`.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    hflip: float = 0.5
    vflip: float = 0.0
    rot90: bool = False
    brightness: float = 0.125
    contrast: float = 0.5
    saturation: float = 0.5
    hue: float = 0.05
    tint: float = 0.0
    resolution: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in (("scale", self.scale), ("resolution", self.resolution or (1, 1))):
            if not 0 < low <= high:
                raise ValueError(f"{name} {getattr(self, name)} must be two numbers with 0 < lowest <= highest")
        for name in ("hflip", "vflip", "brightness", "contrast", "saturation", "hue", "tint"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)} must lie in 0 to 1")


Transform = Callable[[Sample, np.random.Generator], Pair]


class EvalTransform:
    """Resize to S x S and normalise, nothing random; its masks are what "resized" scores compare with."""

    def __init__(self, image_size: int) -> None:
        self.image_size = image_size

    def __call__(self, sample: Sample, rng: np.random.Generator | None = None) -> Pair:
        height, width = sample.mask.shape
        image, mask = _resize(sample, (0.0, 0.0, width, height), self.image_size)
        return _tensors(normalise(_channels_first(image)).reshape(-1, *mask.shape), mask)


class TrainTransform:
    """Random scale, crop or padding, flips, turns and photometric distortion, then normalisation.

    After the resize to S x S, a factor above 1 enlarges the image and a window of S x S is cut out; a factor below 1
    shrinks it and it is placed anywhere on an S x S canvas, which is 0 after normalisation and `IGNORE_INDEX` in the
    mask. Crop and resize are one step, so no pixel is interpolated twice.
    """

    def __init__(self, image_size: int, augment: AugmentConfig | None = None) -> None:
        self.image_size = image_size
        self.augment = augment or AugmentConfig()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Pair:
        size, config = self.image_size, self.augment
        scale = self._scale(sample, rng)
        place_x, place_y = rng.random(2)
        height, width = sample.mask.shape
        window = min(1.0, 1.0 / scale)  # side of the crop, as a fraction of the image
        left, top = place_x * (1 - window) * width, place_y * (1 - window) * height
        patch = max(1, round(size * min(1.0, scale)))
        box = (left, top, left + window * width, top + window * height)
        small, small_mask = _resize(sample, box, patch)

        pixels = normalise(_distort_colours(_channels_first(small), config, rng)).reshape(-1, patch, patch)
        if patch < size:
            x, y = (int(place * (size - patch + 1)) for place in (place_x, place_y))
            image = np.zeros((len(pixels), size, size), np.float32)
            image[:, y : y + patch, x : x + patch] = pixels
            mask = np.full((size, size), IGNORE_INDEX, np.uint8)
            mask[y : y + patch, x : x + patch] = small_mask
        else:
            image, mask = pixels, small_mask

        flip_h, flip_v = rng.random(2)
        turns = int(rng.integers(4))
        if flip_h < config.hflip:
            image, mask = image[:, :, ::-1], mask[:, ::-1]
        if flip_v < config.vflip:
            image, mask = image[:, ::-1], mask[::-1]
        if config.rot90:
            image, mask = np.rot90(image, turns, axes=(1, 2)), np.rot90(mask, turns)
        return _tensors(image, mask)

    def _scale(self, sample: Sample, rng: np.random.Generator) -> float:
        wanted = self.augment.resolution
        if wanted is None or sample.resolution is None:
            return float(rng.uniform(*self.augment.scale))
        nominal = sample.resolution * math.sqrt(sample.mask.size) / self.image_size  # metres per pixel
        low, high = (math.log(nominal / metres) for metres in reversed(wanted))
        return math.exp(rng.uniform(*np.clip((low, high), math.log(0.5), math.log(4.0))))


def _tensors(image: NDArray[np.float32], mask: NDArray[np.uint8]) -> Pair:
    import torch

    return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(np.ascontiguousarray(mask, np.int64))


def normalise(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (x / 255 - mean) / std for channels-first pixels (C, ...), x from 0 to 255. Works in place.

    Three or more channels start with red, green, blue; of one or two the first is grey, and takes ImageNet's averages.
    """
    mean, std = (MEAN, STD) if len(pixels) >= 3 else (MEAN.mean(keepdims=True), STD.mean(keepdims=True))
    others = len(pixels) - len(mean)
    mean = np.concatenate([mean, np.full(others, OTHER_MEAN, np.float32)])
    std = np.concatenate([std, np.full(others, OTHER_STD, np.float32)])
    shape = (len(pixels),) + (1,) * (pixels.ndim - 1)
    pixels *= (1 / (255 * std)).reshape(shape)
    pixels -= (mean / std).reshape(shape)
    return pixels


def _distort_colours(
    pixels: NDArray[np.float32], config: AugmentConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    # Grey counts as three equal channels. Other bands stay: elevation does not change with the light.
    colours = 3 if len(pixels) >= 3 else 1
    changed = distort(pixels[:3] if colours == 3 else pixels[:1].repeat(3, axis=0), config, rng)
    return changed if len(pixels) == 3 else np.concatenate([changed[:colours], pixels[colours:]])


def distort(pixels: NDArray[np.float32], config: AugmentConfig, rng: np.random.Generator) -> NDArray[np.float32]:
    """Change brightness, contrast, saturation and hue of (3, n), 0 to 255, each with probability 0.5.

    All are affine in the colours: a shift, a stretch about the mean luma, one about each pixel's own luma, and a turn
    of the chroma plane (YIQ). They make one matrix; a tint comes last, then one clip. 8 draws are taken whatever the
    strengths, and 4 more for a tint.
    """
    amount = rng.uniform(-1.0, 1.0, 4) * (rng.random(4) < 0.5)
    brightness = 255 * config.brightness * amount[0]
    contrast = 1 + config.contrast * amount[1]
    saturation = 1 + config.saturation * amount[2]
    angle = 2 * math.pi * config.hue * amount[3]

    cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
    colour = _FROM_YIQ @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ _YIQ
    mean_luma = float(LUMA @ pixels.mean(axis=1)) + brightness
    # Grey stays grey under `colour`, so the shifts of the first two steps pass it unchanged.
    shift = contrast * brightness + (1 - contrast) * mean_luma
    out: NDArray[np.float32] = (contrast * colour).astype(np.float32) @ pixels
    out += np.float32(shift)
    if config.tint:
        gain = 1 + config.tint * rng.uniform(-1.0, 1.0, 3) * (rng.random() < 0.5)
        out *= gain.astype(np.float32)[:, None]
    np.clip(out, 0, 255, out=out)
    return out


def _resize(
    sample: Sample, box: tuple[float, float, float, float], size: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    # box: left, top, right, bottom in pixels.
    shape = (size, size)
    # Pillow knows images of three channels, and of one; of four, the last one would be taken for transparency.
    bands = [sample.image] if sample.image.shape[2] == 3 else np.moveaxis(sample.image, 2, 0)
    resized = [Image.fromarray(band).resize(shape, Image.Resampling.BILINEAR, box=box) for band in bands]
    mask = Image.fromarray(sample.mask).resize(shape, Image.Resampling.NEAREST, box=box)
    return np.dstack([np.asarray(band) for band in resized]), np.asarray(mask)


def _channels_first(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    # (H, W, C) to (C, H * W)
    return np.ascontiguousarray(image.reshape(-1, image.shape[2]).T, dtype=np.float32)


class TrainingView:
    """The training part as torch's loader sees it; a pair depends on the seed and its key alone.

    The key is (epoch, index), both from 0, so draws do not depend on order, loader processes or interruptions. A third
    number separates the draws of a sample that an epoch takes more than once: none for the first, then 1, 2, ...
    """

    def __init__(self, dataset: LandslideDataset, transform: Transform, seed: int) -> None:
        self.dataset, self.transform, self.seed = dataset, transform, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, ...]) -> Pair:
        return self.transform(self.dataset[key[1]], np.random.default_rng([self.seed, *key]))
