"""Training windows: what a map shows its network, composed from pictures of several sources.

A training view that is a whole picture (`transforms.TrainTransform`) has its landslide in the middle, at one size: a
network learns the frame. Here landslides lie anywhere, at any size, several or none in a window, often cut:

1. A source is drawn by its weight, then one of its pictures and a zoom, log-uniform in the source's range.
2. A picture larger than the window at that zoom is cut at random; a smaller one is placed whole, undistorted, in a
   corner, and the rest is filled with further pieces of the source, or (a third of the time, for Bijie) of
   landslide-free ground.
3. Flips and quarter turns, then light, colour, blur and noise.

Every window is a function of seed, epoch and index alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from scgcnet.data.sample import LandslideDataset, Sample
from scgcnet.data.transforms import IGNORE_INDEX, LUMA, normalise

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]  # (H, W, C)
Mask = NDArray[np.uint8]  # (H, W): 0, 1, 255


class Drawn(NamedTuple):
    """How often a source is drawn, and the range of its zoom: pixels of the window per pixel of the picture."""

    weight: float = 1.0
    zoom: tuple[float, float] = (0.5, 2.0)


#: From trials on left-out sources; a source that is not listed takes the defaults.
DRAWN = {
    "bijie": Drawn(3.0, (0.35, 1.6)),
    "landslide4sense": Drawn(1.5, (1.0, 4.0)),
    "cld": Drawn(1.2, (0.5, 2.0)),
    "amunet": Drawn(1.5, (0.3, 2.0)),
    "sichuan": Drawn(2.0, (0.2, 1.2)),
    "bijie_negatives": Drawn(0.7, (0.35, 1.6)),
    "landslide_free": Drawn(0.8, (0.7, 2.0)),
    "own_free": Drawn(0.5),  # `scgcnet train`, which has a zoom of its own
}
FILLED_BY = {"bijie": "bijie_negatives", "own": "own_free"}  # landslide-free ground of the same place and sensor
WHOLE_PIECES = 3  # pieces of a window placed at their own zoom; later ones are enlarged until they cover what is left
NARROW = 0.2  # of the window's side: a narrower gap is covered at once


class Windows:
    """Windows of one or several merged data sets, as pairs of tensors.

    Args:
        dataset: images of as many bands each; of a `Merged` one, sources are drawn by weight.
        size: side of the square window, pixels.
        seed: of every draw.
        augment: flips, turns, light and colour; without, the composition alone (for validation).
        zoom: range of the zoom of all sources, instead of those in `DRAWN`.
    """

    def __init__(
        self,
        dataset: LandslideDataset,
        size: int,
        seed: int,
        augment: bool = True,
        zoom: tuple[float, float] | None = None,
    ) -> None:
        self.dataset, self.size, self.seed, self.augment, self.zoom = dataset, size, seed, augment, zoom
        starts = np.cumsum([0, *(length for _, length in dataset.sources)])
        self.names = [name for name, _ in dataset.sources]
        self.places = [range(start, end) for start, end in pairwise(starts)]
        weights = np.array([DRAWN.get(name, Drawn()).weight for name in self.names])
        self.shares = weights / weights.sum()
        self.bands = dataset[0].image.shape[2]

    def __getitem__(self, key: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Image float32 (C, S, S), normalised, and mask int64 (S, S), of the window `key`: (epoch, index)."""
        import torch

        image, mask, _ = self.compose(key)
        pixels = normalise(np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32))
        return torch.from_numpy(pixels), torch.from_numpy(mask.astype(np.int64))

    def compose(self, key: Sequence[int], source: int | None = None) -> tuple[Pixels, Mask, int]:
        """Image, mask and number of the source of the window `key`; the source is drawn unless it is given."""
        rng = np.random.default_rng([self.seed, *key])
        drawn = int(rng.choice(len(self.names), p=self.shares))
        source = drawn if source is None else source
        image = np.zeros((self.size, self.size, self.bands), np.uint8)
        mask = np.full((self.size, self.size), IGNORE_INDEX, np.uint8)
        gaps, pieces = [(0, 0, self.size, self.size)], 0
        while gaps:
            top, left, height, width = gaps.pop()
            cover = pieces >= WHOLE_PIECES or min(height, width) < NARROW * self.size
            piece, truth = self._piece(self._filler(source, rng) if pieces else source, height, width, cover, rng)
            high, wide = truth.shape
            bottom, right = rng.random(2) < 0.5  # the corner in which it is placed
            y, x = top + bottom * (height - high), left + right * (width - wide)
            image[y : y + high, x : x + wide], mask[y : y + high, x : x + wide] = piece, truth
            if high < height:  # the strip above or below, over the whole width
                gaps.append((top if bottom else top + high, left, height - high, width))
            if wide < width:  # what is left beside it
                gaps.append((y, left if right else left + wide, high, width - wide))
            pieces += 1
        if self.augment:
            image, mask = _turn(image, mask, rng)
            image = recolour(image, rng) if self.bands == 3 else relight(image, rng)
        return image, mask, source

    def _filler(self, source: int, rng: np.random.Generator) -> int:
        quiet = FILLED_BY.get(self.names[source])
        return self.names.index(quiet) if quiet in self.names and rng.random() < 1 / 3 else source

    def _piece(
        self, source: int, height: int, width: int, cover: bool, rng: np.random.Generator
    ) -> tuple[Pixels, Mask]:
        """A piece of one picture of at most (height, width), undistorted; exactly that if it is to cover."""
        places = self.places[source]
        sample = self.dataset[places[int(rng.integers(len(places)))]]
        low, high = self.zoom or DRAWN.get(self.names[source], Drawn()).zoom
        zoom = math.exp(rng.uniform(math.log(low), math.log(high)))
        rows, columns = sample.mask.shape
        if cover:
            zoom = max(zoom, height / rows, width / columns)
        cut = (min(rows, height / zoom), min(columns, width / zoom))
        size = tuple(max(1, min(limit, round(side * zoom))) for side, limit in zip(cut, (height, width), strict=True))
        top, left = (float(rng.uniform(0, whole - part)) for whole, part in zip((rows, columns), cut, strict=True))
        return _resize(sample, (left, top, left + cut[1], top + cut[0]), (size[1], size[0]))


def validation_windows(
    dataset: LandslideDataset, size: int, seed: int, number: int, zoom: tuple[float, float] | None = None
) -> list[tuple[Any, Any, int]]:
    """Fixed windows, as many of each source, without augmentation: (image, mask, number of the source) each."""
    import torch

    windows, found = Windows(dataset, size, seed, augment=False, zoom=zoom), []
    for index in range(number):
        image, mask, source = windows.compose((2**31, index), index % len(windows.names))
        pixels = normalise(np.ascontiguousarray(image.transpose(2, 0, 1)).astype(np.float32))
        found.append((torch.from_numpy(pixels), torch.from_numpy(mask.astype(np.int64)), source))
    return found


def _resize(sample: Sample, box: tuple[float, float, float, float], size: tuple[int, int]) -> tuple[Pixels, Mask]:
    """The part of a sample in a box (left, top, right, bottom), at (width, height); averaged where it shrinks."""
    # Of four bands, Pillow would take the last one for transparency.
    bands = [sample.image] if sample.image.shape[2] == 3 else np.moveaxis(sample.image, 2, 0)
    resized = [Image.fromarray(band).resize(size, Image.Resampling.BILINEAR, box=box) for band in bands]
    truth = Image.fromarray(np.where(sample.mask == 1, 255, 0).astype(np.uint8))
    mask = (np.asarray(truth.resize(size, Image.Resampling.BILINEAR, box=box)) > 127).astype(np.uint8)
    if (unknown := sample.mask == IGNORE_INDEX).any():
        blank = Image.fromarray(np.where(unknown, 255, 0).astype(np.uint8))
        mask[np.asarray(blank.resize(size, Image.Resampling.BILINEAR, box=box)) > 0] = IGNORE_INDEX
    return np.dstack([np.asarray(band) for band in resized]), mask


def _turn(image: Pixels, mask: Mask, rng: np.random.Generator) -> tuple[Pixels, Mask]:
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    turns = int(rng.integers(4))
    return np.ascontiguousarray(np.rot90(image, turns)), np.ascontiguousarray(np.rot90(mask, turns))


def recolour(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Other light, sensor and season: gamma, gains, contrast, saturation from grey to strong.

    Now and then channels in another order, or false colour (`false_colour`); blur and noise in a quarter each.
    """
    pixels = image.astype(np.float32)
    if rng.random() < 0.1:
        pixels = false_colour(pixels)
    elif rng.random() < 0.125:
        pixels = pixels[..., rng.permutation(3)]
    grey = (pixels @ LUMA.astype(np.float32))[..., None]
    pixels = grey + rng.uniform(0.0, 1.6) ** 0.7 * (pixels - grey)
    pixels *= rng.uniform(0.8, 1.2, 3).astype(np.float32)
    mean = float(pixels.mean())
    pixels = (pixels - mean) * rng.uniform(0.6, 1.5) + mean + rng.uniform(-35, 35)
    pixels = 255 * np.clip(pixels / 255, 0, 1) ** math.exp(rng.uniform(-0.4, 0.4))
    if rng.random() < 0.25:
        radius = rng.uniform(0.3, 1.5)
        blurred = Image.fromarray(pixels.astype(np.uint8)).filter(ImageFilter.GaussianBlur(radius))
        pixels = np.asarray(blurred, np.float32)
    if rng.random() < 0.25:
        pixels = pixels + rng.normal(0, rng.uniform(2, 12), pixels.shape).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def relight(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Mild changes of bands whose meaning is not known, such as elevation: a gain and a shift for each, and noise."""
    bands = image.shape[2]
    pixels = image.astype(np.float32) * np.float32(rng.uniform(0.85, 1.15, bands))
    pixels = pixels + np.float32(rng.uniform(-15, 15, bands))
    if rng.random() < 0.25:
        pixels = pixels + rng.normal(0, rng.uniform(2, 8), pixels.shape).astype(np.float32)
    return np.asarray(np.clip(pixels, 0, 255).astype(np.uint8))


def false_colour(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Near infrared, red and green of an RGB image (..., 3), 0 to 255: vegetation bright red.

    Near infrared is not known; it is simulated as rising with greenness (excess green) and with brightness.
    """
    red, green, blue = np.moveaxis(pixels, -1, 0)
    excess = (2 * green - red - blue) / (red + green + blue + 1)
    brightness = (red + green + blue) / 765
    infrared = 255 * np.clip(0.6 / (1 + np.exp(-10 * (excess - 0.05))) + 0.5 * brightness, 0, 1)
    return np.stack([infrared, red, green], axis=-1)
