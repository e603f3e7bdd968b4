"""Failures of a network: numbers of one test image, rules for kinds of failure, and calibration.

Probabilities are those of the network's own output, stored in 8 bits, and enlarged to the image by `enlarge`. The page
of the atlas (book/explorer/scores.js) does the same arithmetic and must come to the same counts.

The paper shows two kinds of failure without a rule (Sec. V-B, Fig. 11): large landslides of which the frame shows a
part, and landslides among buildings. Here each kind is a condition measured on image and truth, and an error measured
on the prediction; limits are quartiles of the validation part. The kinds of origin "here" were devised after looking at
failures of the study's own runs, images of the test part among them: they sort those failures, and predict nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from scgcnet.data import Sample
from scgcnet.metrics import IGNORE_INDEX, component_hits

LEVELS = 255  # of a stored probability
STEPS = 99  # thresholds of the page: 0.01, 0.02, ... 0.99
BAND = 4  # pixels at native size: the bands in which outlines are compared, one of scgcnet.metrics.WIDTHS
NEAR = 8  # pixels: a wrong pixel this near to the true outline counts as one of the outline
EDGE = 0.08  # change of brightness from pixel to pixel, as a share of the full range, that counts as an edge
FOUND = 0.5  # a landslide is found if at least this share of its pixels is
BINS = 10  # of a reliability diagram, of equal width

_SQUARE = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class ImageFacts:
    """An image and its truth, independent of any network. Counts are pixels."""

    dataset: str
    name: str
    site: str  # sub-set, event or place; "" where the data set has none
    height: int
    width: int
    resolution: float | None  # metres per pixel, None where unknown
    known: int  # pixels of known truth
    truth: int  # landslide pixels
    landslides: int  # connected patches
    largest: int  # pixels of the largest landslide
    touches: bool  # the largest landslide reaches the outermost row or column
    edge_density: float
    contrast: float  # `outline_contrast`
    greenness: float  # of the landslide pixels; NaN without them

    @property
    def share(self) -> float:
        """The largest landslide's share of the known pixels, a fraction of 1."""
        return self.largest / self.known if self.known else 0.0


@dataclass(frozen=True)
class Prediction:
    """A network's prediction on an image at one threshold. Counts are pixels."""

    tp: int
    fp: int
    fn: int
    band: tuple[int, int]  # intersection and union of the boundary bands, `BAND` pixels wide
    found: int  # landslides of which at least half the pixels are found
    largest_found: float  # share of the largest landslide that is found; NaN without one
    near: float  # share of the wrong pixels within `NEAR` pixels of the true outline; NaN without any
    alarm_greenness: float  # mean of the false alarms; NaN without any
    entropy: float  # mean binary entropy of the known pixels, bits, 0 (sure) to 1, independent of the threshold

    @property
    def iou(self) -> float:
        """A fraction of 1; 1 where both prediction and truth are empty."""
        union = self.tp + self.fp + self.fn
        return self.tp / union if union else 1.0

    @property
    def boundary_iou(self) -> float:
        """IoU of the boundary bands."""
        return self.band[0] / self.band[1] if self.band[1] else 1.0


@dataclass(frozen=True)
class Curves:
    """Counts of pixels at each threshold, int64 (n,)."""

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    band: NDArray[np.int64]  # the prediction's boundary band
    band_hits: NDArray[np.int64]  # those that also are in the truth's
    truth_band: int  # the truth's boundary band


def quantise(probability: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A probability from 0 to 1 in 8 bits, rounded to the nearest of `LEVELS` + 1 values."""
    levels: NDArray[np.uint8] = np.rint(probability * LEVELS).astype(np.uint8)
    return levels


def enlarge(small: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.float64]:
    """Bilinear values from 0 to 255 at `shape` (H, W), as torch's `interpolate`; to the last bit those of scores.js."""
    top, bottom, down = _places(small.shape[0], shape[0])
    left, right, across = _places(small.shape[1], shape[1])
    values = small.astype(np.float64)
    wide = values[:, left] * (1 - across) + values[:, right] * across
    enlarged: NDArray[np.float64] = wide[top] * (1 - down)[:, None] + wide[bottom] * down[:, None]
    return enlarged


def _places(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """For each new pixel the two old ones around it, and its distance from the first, 0 to 1."""
    place = np.maximum((np.arange(new) + 0.5) * (old / new) - 0.5, 0.0)
    first = np.minimum(np.floor(place).astype(np.intp), old - 1)
    return first, np.minimum(first + 1, old - 1), place - first


def describe(sample: Sample, dataset: str, site: str = "") -> ImageFacts:
    """Facts of a sample."""
    mask, truth = sample.mask, sample.mask == 1
    labels, number = ndimage.label(truth, _SQUARE)
    sizes = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    main = labels == 1 + int(sizes.argmax()) if number else np.zeros(mask.shape, dtype=bool)
    frame = np.concatenate([main[0], main[-1], main[:, 0], main[:, -1]])
    return ImageFacts(
        dataset=dataset,
        name=sample.name,
        site=site,
        height=mask.shape[0],
        width=mask.shape[1],
        resolution=sample.resolution,
        known=int(np.count_nonzero(mask != IGNORE_INDEX)),
        truth=int(np.count_nonzero(truth)),
        landslides=number,
        largest=int(sizes.max(initial=0)),
        touches=bool(frame.any()),
        edge_density=edge_density(sample.image, mask),
        contrast=outline_contrast(sample.image, mask),
        greenness=float(greenness(sample.image)[truth].mean()) if truth.any() else float("nan"),
    )


def edge_density(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    """Share of the background of an image (H, W, C) with sharp edges, 0 without background: a proxy for buildings.

    Textured forest, terraces and field borders have edges too. Brightness is the mean of red, green and blue, smoothed
    over about one pixel; a gradient of at least `EDGE` of the full range per pixel is an edge.
    """
    brightness = image[..., :3].mean(axis=2) / 255
    slope = ndimage.gaussian_gradient_magnitude(brightness, sigma=1.0, mode="nearest")
    around = mask == 0
    return float((slope[around] >= EDGE).mean()) if around.any() else 0.0


def outline_contrast(image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> float:
    """Distance between the mean colours on both sides of the true outline, in standard deviations.

    The sides are bands of `BAND` pixels; the deviation is the root of the mean variance within the bands. NaN where one
    of the bands is empty.
    """
    truth = mask == 1
    inside = truth & (_grey_erosion(truth.astype(np.float64), outside=1.0) < 1)
    outside = (mask == 0) & (ndimage.maximum_filter(truth, 2 * BAND + 1, mode="constant", cval=0))
    if not inside.any() or not outside.any():
        return float("nan")
    colours = image[..., :3].astype(np.float64)
    first, second = colours[inside], colours[outside]
    spread = np.sqrt((first.var(axis=0) + second.var(axis=0)).mean() / 2)
    distance = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) / np.sqrt(first.shape[1])
    return float(distance / max(spread, 1.0))  # at least 1 of 255, the rounding of flat colours


def greenness(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Excess green (2 g - r - b) / (r + g + b) of each pixel, (H, W): from -1 to 2, about 0 on bare ground.

    Woebbecke et al., "Color indices for weed identification under various soil, residue, and lighting conditions",
    Transactions of the ASAE 38 (1995).
    """
    red, green, blue = (image[..., channel].astype(np.float64) for channel in range(3))
    index: NDArray[np.float64] = (2 * green - red - blue) / np.maximum(red + green + blue, 1)
    return index


def assess_prediction(sample: Sample, values: NDArray[np.float64], threshold: float) -> Prediction:
    """Score a prediction at a threshold, from the probability times 255 (H, W) of `enlarge`."""
    mask = sample.mask
    known, truth = mask != IGNORE_INDEX, mask == 1
    called = (values > LEVELS * threshold) & known
    hits = component_hits(mask, called)
    alarms, wrong = called & ~truth, (called != truth) & known
    counted = curves(mask, values, (threshold,))
    (tp,), (fp,), (band,), (hit,) = (one.tolist() for one in (counted.tp, counted.fp, counted.band, counted.band_hits))
    return Prediction(
        tp=tp,
        fp=fp,
        fn=int(np.count_nonzero(truth)) - tp,
        band=(hit, counted.truth_band + band - hit),
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
    """Counts of a probability times 255 (H, W) at many ascending thresholds at once, by default those of the page.

    The counts of boundary bands are those of `metrics.boundary_counts`.
    """
    # A pixel lies in the boundary band of a prediction when it is called landslide and a pixel within `BAND` pixels is
    # not, that is at thresholds below its own value and not below the least value around it: one histogram of each.
    limits = LEVELS * np.array(thresholds or [step / 100 for step in range(1, STEPS + 1)])
    truth = mask == 1
    shown = np.where(mask == IGNORE_INDEX, 0.0, values)
    own = np.searchsorted(limits, shown)  # number of thresholds below the pixel
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
    """The least value within `BAND` pixels (chessboard distance); beyond the image it is `outside`."""
    least: NDArray[np.float64] = ndimage.minimum_filter(values, 2 * BAND + 1, mode="constant", cval=outside)
    return least


def _near_outline(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels within `NEAR` pixels of the true outline, on both of its sides; the frame is no outline."""
    size = 2 * NEAR + 1
    grown = ndimage.maximum_filter(truth, size, mode="constant", cval=0)
    kept = ndimage.minimum_filter(truth, size, mode="constant", cval=1)
    near: NDArray[np.bool_] = grown & ~kept
    return near


# Kinds of failure.


@dataclass(frozen=True)
class Limits:
    """Quartiles of the validation part, over its images with landslides: limits of the rules."""

    iou: float  # lower quartile at the threshold chosen there; an image below it is a failure
    share: float  # upper quartile of the largest landslide's share of the image
    small: float  # lower quartile of the largest landslide, pixels
    edges: float  # upper quartile of the edge density
    contrast: float  # lower quartile of the contrast at the outline
    greenness: float  # upper quartile of the greenness of landslides: three quarters of them are as bare as this

    @classmethod
    def of(cls, images: Sequence[ImageFacts], predictions: Sequence[Prediction]) -> Limits:
        """Limits from the images of a validation part, one with a landslide among them, and the prediction on each."""
        pairs = [(image, found) for image, found in zip(images, predictions, strict=True) if image.truth]

        def quartile(which: float, value: Callable[[ImageFacts], float]) -> float:
            return float(np.nanquantile([value(image) for image, _ in pairs], which))

        return cls(
            iou=float(np.nanquantile([found.iou for _, found in pairs], 0.25)),
            share=quartile(0.75, lambda image: image.share),
            small=quartile(0.25, lambda image: image.largest),
            edges=quartile(0.75, lambda image: image.edge_density),
            contrast=quartile(0.25, lambda image: image.contrast),
            greenness=quartile(0.75, lambda image: image.greenness),
        )


@dataclass(frozen=True)
class Cause:
    """A kind of failure."""

    title: str
    origin: str  # "paper" | "here"
    rule: str  # in words, with the names of `Limits`
    condition: Callable[[ImageFacts, Limits], bool] | None  # None where the prediction alone decides
    error: Callable[[Prediction, Limits], bool]


CAUSES: Mapping[str, Cause] = {
    "cut": Cause(
        "large slide cut by the frame",
        "paper",
        "the largest landslide reaches the frame and covers at least 'share' of the image; more is missed than is "
        "falsely called",
        lambda image, limits: image.touches and image.share >= limits.share,
        lambda found, limits: found.fn > found.fp,
    ),
    "built": Cause(
        "built-up surroundings (by edge density, a proxy)",
        "paper",
        "the edge density of what is not landslide is at least 'edges'",
        lambda image, limits: image.edge_density >= limits.edges,
        lambda found, limits: True,
    ),
    "small": Cause(
        "small slide missed",
        "here",
        "the largest landslide has at most 'small' pixels, and less than half of it is found",
        lambda image, limits: 0 < image.largest <= limits.small,
        lambda found, limits: found.largest_found < FOUND,
    ),
    "wide": Cause(
        "small slide outlined too widely",
        "here",
        "the largest landslide has at most 'small' pixels; more is falsely called than is missed, and at least half of "
        f"the wrong pixels lie within {NEAR} pixels of the outline",
        lambda image, limits: 0 < image.largest <= limits.small,
        lambda found, limits: found.fp > found.fn and found.near >= 0.5,
    ),
    "vague": Cause(
        "vague boundary",
        "here",
        f"the contrast at the outline is at most 'contrast'; at least half of the wrong pixels lie within {NEAR} "
        "pixels of it",
        lambda image, limits: image.contrast <= limits.contrast,
        lambda found, limits: found.near >= 0.5,
    ),
    "green": Cause(
        "overgrown slide, part missed",
        "here",
        "the landslide pixels are at least as green as 'greenness'; more is missed than is falsely called",
        lambda image, limits: image.greenness >= limits.greenness,
        lambda found, limits: found.fn > found.fp,
    ),
    "bare": Cause(
        "false alarm on bare ground (by greenness, a proxy)",
        "here",
        "more is falsely called than is missed, most of it away from the outline, and on the mean it is no "
        "greener than 'greenness'",
        None,
        lambda found, limits: (
            found.fp > found.fn and not found.near >= 0.5 and found.alarm_greenness <= limits.greenness
        ),
    ),
}
OTHER = "other"  # a failure that no rule explains
TITLES: Mapping[str, str] = {key: cause.title for key, cause in CAUSES.items()} | {OTHER: "no rule explains it"}


def find_causes(image: ImageFacts, found: Prediction, limits: Limits) -> tuple[str, ...]:
    """Keys of `CAUSES` that explain a failure, or `OTHER`; none where the IoU is not below the limit."""
    if found.iou >= limits.iou:
        return ()
    return tuple(
        key
        for key, cause in CAUSES.items()
        if (cause.condition is None or cause.condition(image, limits)) and cause.error(found, limits)
    ) or (OTHER,)


def hard_images(test: Sequence[ImageFacts], val: Sequence[ImageFacts]) -> pd.DataFrame:
    """Which test images meet the conditions of the paper's two kinds of failure, whatever was predicted.

    Limits are quartiles of the validation part.

    Returns:
        A row for each image: name, cut, built (0 or 1).
    """
    known = [image for image in val if image.truth]
    share, edges = (
        np.quantile(values, 0.75) for values in zip(*((i.share, i.edge_density) for i in known), strict=True)
    )
    limits = Limits(iou=0, share=float(share), small=0, edges=float(edges), contrast=0, greenness=0)
    kinds = {key: cause.condition for key, cause in CAUSES.items() if cause.origin == "paper"}
    rows = [{"name": one.name} | {k: int(meets(one, limits)) for k, meets in kinds.items() if meets} for one in test]
    return pd.DataFrame(rows)


# Calibration.


def reliability(images: Iterable[tuple[NDArray[np.uint8], NDArray[np.float64]]]) -> pd.DataFrame:
    """Known pixels of images by their probability of landslide, in `BINS` bins.

    Args:
        images: mask (H, W) of 0, 1 or 255, and probability times 255 (H, W), of each.

    Returns:
        A row for each bin, an edge between two belonging to the upper one: `pixels`, `confidence` (mean probability)
        and `frequency` (share that is landslide), both NaN in an empty bin.
    """
    pixels, landslide = np.zeros(BINS, dtype=np.int64), np.zeros(BINS, dtype=np.int64)
    total = np.zeros(BINS)
    for mask, values in images:
        known = mask != IGNORE_INDEX
        probability = values[known] / LEVELS
        places = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
        pixels += np.bincount(places, minlength=BINS)
        landslide += np.bincount(places[mask[known] == 1], minlength=BINS)
        total += np.bincount(places, weights=probability, minlength=BINS)
    filled = np.where(pixels, pixels, np.nan)
    return pd.DataFrame({"pixels": pixels, "confidence": total / filled, "frequency": landslide / filled})


def calibration_error(bins: pd.DataFrame) -> float:
    """Expected calibration error of `reliability`, a fraction of 1: mean over pixels of the gap in their bin.

    Source: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3, for the probability of landslide.
    """
    total = bins.pixels.sum()
    return float((bins.pixels * (bins.confidence - bins.frequency).abs()).sum() / total) if total else float("nan")


def largest_gap(bins: pd.DataFrame) -> float:
    """The largest difference between confidence and frequency of a bin of `reliability`; NaN without pixels."""
    return float((bins.confidence - bins.frequency).abs().max())
