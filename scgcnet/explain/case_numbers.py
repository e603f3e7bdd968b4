"""The numbers of one test image: what it is like, what a network does on it, and counts at every threshold.

Probabilities are those of the network's own output, stored in 8 bits, and enlarged to the image by `enlarge`. The page
of the atlas (book/explorer/scores.js) does the same arithmetic and must come to the same counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scgcnet.data import Sample
from scgcnet.measures import IGNORE, component_hits

LEVELS = 255  # of a stored probability
STEPS = 99  # thresholds of the page: 0.01, 0.02, ... 0.99
WIDTH = 4  # pixels at native size: the bands in which outlines are compared, one of scgcnet.measures.WIDTHS
NEAR = 8  # pixels: a wrong pixel this near to the true outline is one of the outline
EDGE = 0.08  # change of brightness from pixel to pixel, as a share of the full range, that counts as an edge
FOUND = 0.5  # a landslide is found if at least this share of its pixels is

_SQUARE = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Facts:
    """What an image and its truth are like, whatever a network makes of them.

    Attributes:
        dataset: name of the data set.
        name: of the sample.
        site: sub-set, event or place; "" where the data set has none.
        height: pixels.
        width: pixels.
        resolution: metres per pixel, None where it is not known.
        known: pixels of which the truth is known.
        truth: landslide pixels.
        landslides: patches of connected landslide pixels.
        largest: pixels of the largest of them.
        touches: whether the largest reaches the outermost row or column of the image.
        edge_density: see `edge_density`.
        contrast: see `outline_contrast`.
        greenness: of the landslide pixels, see `greenness`; not a number without them.
    """

    dataset: str
    name: str
    site: str
    height: int
    width: int
    resolution: float | None
    known: int
    truth: int
    landslides: int
    largest: int
    touches: bool
    edge_density: float
    contrast: float
    greenness: float

    @property
    def share(self) -> float:
        """The largest landslide's share of the known pixels, a fraction of 1."""
        return self.largest / self.known if self.known else 0.0


@dataclass(frozen=True)
class Outcome:
    """What a network does on an image at one threshold.

    Attributes:
        tp: landslide pixels found.
        fp: pixels falsely called landslide.
        fn: landslide pixels missed.
        band: pixels in the intersection and in the union of the boundary bands, `WIDTH` pixels wide.
        found: landslides of which at least half the pixels are found.
        largest_found: share of the largest landslide that is found; not a number without one.
        near: share of the wrong pixels that lie within `NEAR` pixels of the true outline; not a number without any.
        alarm_greenness: mean of the false alarms, see `greenness`; not a number without any.
        entropy: mean binary entropy of the known pixels, bits, from 0 (sure) to 1; no threshold takes part in it.
    """

    tp: int
    fp: int
    fn: int
    band: tuple[int, int]
    found: int
    largest_found: float
    near: float
    alarm_greenness: float
    entropy: float

    @property
    def iou(self) -> float:
        """A fraction of 1; 1 where both prediction and truth are empty."""
        union = self.tp + self.fp + self.fn
        return self.tp / union if union else 1.0

    @property
    def boundary_iou(self) -> float:
        """The same of the boundary bands."""
        return self.band[0] / self.band[1] if self.band[1] else 1.0


@dataclass(frozen=True)
class Curves:
    """Counts at each threshold of the page, int64 (`STEPS`,): the first is at 0.01.

    Attributes:
        tp: landslide pixels found.
        fp: pixels falsely called landslide.
        band: pixels of the prediction's boundary band.
        band_hits: those that also are in the truth's.
        truth_band: pixels of the truth's, one number.
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    band: NDArray[np.int64]
    band_hits: NDArray[np.int64]
    truth_band: int


def quantise(probability: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A probability from 0 to 1 in 8 bits, rounded to the nearest of `LEVELS` + 1 values."""
    levels: NDArray[np.uint8] = np.rint(probability * LEVELS).astype(np.uint8)
    return levels


def enlarge(small: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Bilinear values from 0 to 255 at another size, as torch's `interpolate` without aligned corners, in 64 bits.

    Args:
        small: uint8 (h, w).
        shape: (H, W) wanted.

    Returns:
        float64 (H, W), to the last bit what scores.js computes.
    """
    top, bottom, down = _places(small.shape[0], shape[0])
    left, right, across = _places(small.shape[1], shape[1])
    values = small.astype(np.float64)
    wide = values[:, left] * (1 - across) + values[:, right] * across
    enlarged: NDArray[np.float64] = wide[top] * (1 - down)[:, None] + wide[bottom] * down[:, None]
    return enlarged


def _places(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """For each new pixel the two old ones that it lies between, and how far from the first to the second."""
    place = np.maximum((np.arange(new) + 0.5) * (old / new) - 0.5, 0.0)
    first = np.minimum(np.floor(place).astype(np.intp), old - 1)
    return first, np.minimum(first + 1, old - 1), place - first


def describe(sample: Sample, dataset: str, site: str = "") -> Facts:
    """The facts of one image."""
    mask = sample.mask
    labels, number = ndimage.label(mask == 1, _SQUARE)
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    main = labels == 1 + int(sizes.argmax()) if number else np.zeros(mask.shape, dtype=bool)
    frame = np.concatenate([main[0], main[-1], main[:, 0], main[:, -1]])
    truth = mask == 1
    return Facts(
        dataset=dataset,
        name=sample.name,
        site=site,
        height=mask.shape[0],
        width=mask.shape[1],
        resolution=sample.resolution,
        known=int(np.count_nonzero(mask != IGNORE)),
        truth=int(np.count_nonzero(truth)),
        landslides=number,
        largest=int(sizes.max(initial=0)),
        touches=bool(frame.any()),
        edge_density=edge_density(sample.image, mask),
        contrast=outline_contrast(sample.image, mask),
        greenness=float(greenness(sample.image)[truth].mean()) if truth.any() else float("nan"),
    )


def edge_density(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    """Share of the pixels known to be no landslide where brightness changes sharply: a proxy for buildings and roads.

    Forest of strong texture, terraces and field borders have edges too, so it is no more than that. The brightness
    (mean of red, green and blue) is smoothed over about one pixel; where its gradient is at least `EDGE` of the full
    range per pixel there is an edge.

    Args:
        image: uint8 (H, W, C), 0 to 255.
        mask: uint8 (H, W), 0, 1 or 255.

    Returns:
        A fraction of 1; 0 where all is landslide or unknown.
    """
    brightness = image[..., :3].mean(axis=2) / 255
    slope = ndimage.gaussian_gradient_magnitude(brightness, sigma=1.0, mode="nearest")
    around = mask == 0
    return float((slope[around] >= EDGE).mean()) if around.any() else 0.0


def outline_contrast(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    """How far apart the mean colours on both sides of the true outline are, in standard deviations.

    The sides are bands of `WIDTH` pixels; the distance of their mean colours is divided by the root of the mean
    variance within the bands.

    Args:
        image: uint8 (H, W, C), 0 to 255.
        mask: uint8 (H, W), 0, 1 or 255.

    Returns:
        From 0; not a number where one of the bands is empty.
    """
    truth = mask == 1
    inside = truth & (_grey_erosion(truth.astype(np.float64), outside=1.0) < 1)
    outside = (mask == 0) & (ndimage.maximum_filter(truth, 2 * WIDTH + 1, mode="constant", cval=0))
    if not inside.any() or not outside.any():
        return float("nan")
    colours = image[..., :3].astype(np.float64)
    first, second = colours[inside], colours[outside]
    spread = np.sqrt((first.var(axis=0) + second.var(axis=0)).mean() / 2)
    distance = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) / np.sqrt(first.shape[1])
    return float(distance / max(spread, 1.0))  # 1 of 255: even flat colours are known no better


def greenness(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Excess green (2 g - r - b) / (r + g + b) of each pixel, (H, W): from -1 to 2, about 0 on bare ground.

    Woebbecke et al., "Color indices for weed identification under various soil, residue, and lighting conditions",
    Transactions of the ASAE 38 (1995).
    """
    red, green, blue = (image[..., channel].astype(np.float64) for channel in range(3))
    index: NDArray[np.float64] = (2 * green - red - blue) / np.maximum(red + green + blue, 1)
    return index


def judge(sample: Sample, values: NDArray[np.float64], threshold: float) -> Outcome:
    """What a network does on an image.

    Args:
        sample: image and truth.
        values: float64 (H, W), probability times 255, from `enlarge`.
        threshold: probability above which a pixel is called landslide.

    Raises:
        ValueError: the shapes differ.
    """
    mask = sample.mask
    known, truth = mask != IGNORE, mask == 1
    called = (values > LEVELS * threshold) & known
    hits = component_hits(mask, called)
    counted, step = curves(mask, values, (threshold,)), 0
    alarms, wrong = called & ~truth, (called != truth) & known
    tp, fp = int(counted.tp[step]), int(counted.fp[step])
    band = int(counted.band_hits[step])
    return Outcome(
        tp=tp,
        fp=fp,
        fn=int(np.count_nonzero(truth)) - tp,
        band=(band, counted.truth_band + int(counted.band[step]) - band),
        found=sum(part >= FOUND * whole for whole, part in hits),
        largest_found=hits[0][1] / hits[0][0] if hits else float("nan"),
        near=float(_near_outline(truth)[wrong].mean()) if wrong.any() else float("nan"),
        alarm_greenness=float(greenness(sample.image)[alarms].mean()) if alarms.any() else float("nan"),
        entropy=mean_entropy(values[known]),
    )


def mean_entropy(values: NDArray[np.float64]) -> float:
    """Mean binary entropy in bits of probabilities times 255, of any shape; 0 where there are none."""
    p = values.ravel() / LEVELS
    p = p[(p > 0) & (p < 1)]
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return float(bits.sum() / max(values.size, 1))


def curves(mask: NDArray[np.uint8], values: NDArray[np.float64], thresholds: Sequence[float] = ()) -> Curves:
    """Counts at many thresholds at once.

    A pixel lies in the boundary band of a prediction when it is called landslide and something within `WIDTH` pixels is
    not, so when the threshold is below its own value and not below the least value around it: one histogram of each
    does for all thresholds, and no distance has to be computed. The counts are those of `measures.boundary_counts`.

    Args:
        mask: uint8 (H, W), 0, 1 or 255.
        values: float64 (H, W), probability times 255.
        thresholds: ascending; those of the page by default.

    Raises:
        ValueError: the shapes differ.
    """
    if mask.shape != values.shape:
        raise ValueError(f"mask {mask.shape} and probability {values.shape} differ in shape")
    limits = LEVELS * np.array(thresholds or [step / 100 for step in range(1, STEPS + 1)])
    truth = mask == 1
    shown = np.where(mask == IGNORE, 0.0, values)
    own = np.searchsorted(limits, shown)  # how many thresholds the pixel is above
    least = np.searchsorted(limits, _grey_erosion(shown))
    truth_band = truth & (_grey_erosion(truth.astype(np.float64)) < 1)

    def above(levels: NDArray[np.intp]) -> NDArray[np.int64]:
        counts = np.bincount(levels, minlength=len(limits) + 1).astype(np.int64)
        return counts[::-1].cumsum()[::-1][1:]

    tp, called = above(own[truth]), above(own.ravel())
    return Curves(
        tp=tp,
        fp=called - tp,
        band=called - above(least.ravel()),
        band_hits=above(own[truth_band]) - above(least[truth_band]),
        truth_band=int(np.count_nonzero(truth_band)),
    )


def _grey_erosion(values: NDArray[np.float64], outside: float = 0.0) -> NDArray[np.float64]:
    """The least value within `WIDTH` pixels (chessboard distance); beyond the image it is `outside`."""
    least: NDArray[np.float64] = ndimage.minimum_filter(values, 2 * WIDTH + 1, mode="constant", cval=outside)
    return least


def _near_outline(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels within `NEAR` pixels of the true outline, on both of its sides; the frame is none."""
    size = 2 * NEAR + 1
    grown = ndimage.maximum_filter(truth, size, mode="constant", cval=0)
    kept = ndimage.minimum_filter(truth, size, mode="constant", cval=1)
    near: NDArray[np.bool_] = grown & ~kept
    return near
