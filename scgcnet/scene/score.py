"""How well a network maps images that it was not trained on: each cut into windows, at several scales.

Probabilities are counted in bins, for landslide and for other ground apart. From these follow the scores at every
threshold, how well probabilities agree with frequencies, and a temperature, without predicting again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize_scalar
from torch import nn

from scgcnet.data import IGNORE_INDEX, LandslideDataset, Sample
from scgcnet.metrics import Confusion
from scgcnet.scene.models import SEEN_AT, choose_scales
from scgcnet.scene.predict import Prob, grids_of, predict_image

MEAN = "map"  # the probability of `scgcnet map`: the mean over `models.choose_scales`
WAY = "outlines"  # the landslides of `scgcnet map`: the same, outlined by `hysteresis`
DROP = 0.2  # a landslide reaches the threshold somewhere, and is outlined at a probability so much lower
BINS = 20  # of probability, of equal width
THRESHOLDS = np.arange(1, BINS) / BINS
SCALES = (0.25, 0.5, 1.0, 2.0)
#: Pixels: a scale below 1 keeps the shorter side above the first, one above 1 the longer below the second.
SIDES = (96, 640)
#: Least area of a false alarm that counts: square metres, or pixels where the resolution is unknown.
ALARM = (100.0, 30)

#: What a record holds: by data set, part and scale, the fields of `MapCounts`.
Maps = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]


@dataclass
class MapCounts:
    """Pixels by probability, over some images at one scale.

    Attributes:
        images: how many.
        landslide, other: pixels in each of `BINS` bins from 0 to 1, by probability, or by the highest threshold
            at which `hysteresis` keeps them; unknown ones are left out.
        quiet: how many of the images are free of landslides.
        alarmed: of those, with an alarm of `ALARM` at each of `THRESHOLDS`.
    """

    images: int = 0
    landslide: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    other: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    quiet: int = 0
    alarmed: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS - 1, np.int64))

    def add(self, probability: Prob, sample: Sample, outlined: bool = False) -> None:
        """Counts one more image; `outlined` if a pixel counts from the threshold on at which `hysteresis` keeps it."""
        bins = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
        if outlined:
            kept = [hysteresis(probability, max(high - DROP, 0), high) for high in THRESHOLDS]
            bins = np.stack(kept).sum(axis=0)
        self.images += 1
        self.landslide += np.bincount(bins[sample.mask == 1], minlength=BINS)
        self.other += np.bincount(bins[sample.mask == 0], minlength=BINS)
        if not (sample.mask == 1).any() and (sample.mask != IGNORE_INDEX).any():
            least = ALARM[1] if sample.resolution is None else ALARM[0] / sample.resolution**2
            self.quiet += 1
            self.alarmed += [_largest(bins > bin) >= least for bin in range(BINS - 1)]

    def confusion(self, threshold: float) -> Confusion:
        """Pixels at a threshold, which is moved to the nearest edge of a bin."""
        edge = min(max(round(threshold * BINS), 1), BINS - 1)
        found, wrong = int(self.landslide[edge:].sum()), int(self.other[edge:].sum())
        return Confusion(found, wrong, int(self.landslide[:edge].sum()), int(self.other[:edge].sum()))

    def alarms(self, threshold: float) -> float:
        """Share of the landslide-free images with an alarm at a threshold; NaN if there are none."""
        edge = min(max(round(threshold * BINS), 1), BINS - 1)
        return float(self.alarmed[edge - 1]) / self.quiet if self.quiet else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        lists = {name: getattr(self, name).tolist() for name in ("landslide", "other", "alarmed")}
        return {"images": self.images, "quiet": self.quiet, **lists}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MapCounts:
        """The inverse of `to_dict`."""
        lists = {name: np.array(values[name], np.int64) for name in ("landslide", "other", "alarmed")}
        return cls(images=values["images"], quiet=values["quiet"], **lists)


def hysteresis(probability: Prob, low: float, high: float) -> NDArray[np.bool_]:
    """Pixels above `low` whose patch, joined along edges, has one above `high` (Canny 1986), (H, W).

    The high one keeps quiet ground quiet, the low one gives a landslide its whole extent.
    """
    patches, number = ndimage.label(probability > low)
    kept = np.zeros(number + 1, bool)
    kept[patches[probability > high]] = True
    kept[0] = False
    return np.asarray(kept[patches])


def _largest(found: NDArray[np.bool_]) -> int:
    labels, number = ndimage.label(found, np.ones((3, 3), bool))
    return int(np.bincount(labels.ravel())[1:].max()) if number else 0


def scales_of(sample: Sample) -> list[float]:
    """The scales of `SCALES` at which an image is neither a stamp nor blown up."""
    short, long = min(sample.mask.shape), max(sample.mask.shape)
    return [
        scale
        for scale in SCALES
        if scale == 1 or (short * scale >= SIDES[0] if scale < 1 else long * scale <= SIDES[1])
    ]


def count_maps(
    network: nn.Module, samples: Iterable[Sample], window: int, overlap: float = 0.25
) -> dict[str, MapCounts]:
    """Maps every image at every scale that suits it, and as `scgcnet map` does.

    Returns:
        Counts by scale, such as "0.5", and by `MEAN` and `WAY`.
    """
    counts: dict[str, MapCounts] = {}
    for sample in samples:
        found = {scale: predict_image(network, sample.image, window, overlap, [scale]) for scale in scales_of(sample)}
        scales = choose_scales(sample.resolution, (), SEEN_AT)
        grids = grids_of(sample.mask.shape, scales, window, overlap)
        for scale in grids:
            if scale not in found:
                found[scale] = predict_image(network, sample.image, window, overlap, [scale])
        mean = np.mean([found[scale] for scale in grids], axis=0)
        ways = {f"{scale:g}": found[scale] for scale in scales_of(sample)} | {MEAN: mean, WAY: mean}
        for way, probability in ways.items():
            counts.setdefault(way, MapCounts()).add(probability, sample, outlined=way == WAY)
    return counts


def spread(dataset: LandslideDataset, most: int) -> list[Sample]:
    """At most so many samples, evenly over a data set."""
    chosen = np.unique(np.linspace(0, len(dataset) - 1, min(most, len(dataset))).round().astype(int))
    return [dataset[int(index)] for index in chosen]


def best_threshold(counts: Sequence[MapCounts], quiet: Sequence[MapCounts] = ()) -> float:
    """The threshold of the highest mean IoU over sources, each with the mean false alarms of the quiet ones added."""
    return float(max(THRESHOLDS, key=lambda threshold: mean_iou(counts, quiet, threshold)))


def mean_iou(counts: Sequence[MapCounts], quiet: Sequence[MapCounts], threshold: float) -> float:
    """Mean over sources of the IoU, where as much quiet ground as there is ground in a source counts too."""
    alarms = [one.confusion(threshold) for one in quiet]
    share = float(np.mean([one.fp / max(1, one.fp + one.tn) for one in alarms])) if alarms else 0.0
    ious = []
    for one in counts:
        found = one.confusion(threshold)
        extra = share * (found.tp + found.fp + found.fn + found.tn)
        ious.append(found.tp / max(1.0, found.tp + found.fp + found.fn + extra))
    return float(np.mean(ious))


def temperature(counts: Sequence[MapCounts]) -> float:
    """The T by which logits are divided so that probabilities are least surprising, each source weighing the same.

    Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """
    middle = (np.arange(BINS) + 0.5) / BINS
    logits = np.log(middle / (1 - middle))

    def surprise(log_t: float) -> float:
        p = 1 / (1 + np.exp(-logits / math.exp(log_t)))
        each = [
            -(one.landslide * np.log(p) + one.other * np.log1p(-p)).sum() / max(1, (one.landslide + one.other).sum())
            for one in counts
        ]
        return float(np.mean(each))

    return float(math.exp(minimize_scalar(surprise, bounds=(-2.0, 2.0), method="bounded").x))


def of_way(part: Mapping[str, Mapping[str, Any]], way: str = WAY) -> MapCounts:
    """The counts of a part at one scale, or of its maps."""
    return MapCounts.from_dict(part[way])


def hills_and_quiet(parts: Iterable[MapCounts]) -> tuple[list[MapCounts], list[MapCounts]]:
    """Those with landslides, and those without."""
    hills: list[MapCounts] = []
    quiet: list[MapCounts] = []
    for one in parts:
        (hills if one.landslide.any() else quiet).append(one)
    return hills, quiet


def unseen_threshold(runs: Mapping[str, Maps]) -> float:
    """The threshold best on sources never seen, of runs of one recipe by the source that each left out.

    Sources seen in training ask for a higher one: a network is surer where it has been. Quiet ground is counted, that
    of the validation parts.
    """
    unseen, quiet = [], []
    for target, maps in runs.items():
        unseen.append(of_way(maps[target]["all"]))
        quiet += _seen(maps, target)[1]
    return best_threshold(unseen, quiet)


def _seen(maps: Maps, target: str) -> tuple[list[MapCounts], list[MapCounts]]:
    return hills_and_quiet(of_way(parts["val"]) for name, parts in maps.items() if name != target)


def left_out_scores(runs: Mapping[str, Maps]) -> dict[str, dict[str, float]]:
    """Scores of runs of one recipe, by the source that each of them never saw.

    Returns:
        For each source
        threshold: best on the others, each while it was left out itself (`unseen_threshold`); of one run alone, best on
            the validation parts of what it has seen.
        iou: of the maps that `WAY` makes at it, percent.
        best: at the best threshold, of maps or of a scale that suits every image, chosen on the source itself; an
            upper limit, percent.
        alarms: share of the landslide-free images of its validation parts with an alarm, percent; NaN if none.
    """
    found = {}
    for target, maps in runs.items():
        hills, quiet = _seen(maps, target)
        others = {name: other for name, other in runs.items() if name != target}
        threshold = unseen_threshold(others) if others else best_threshold(hills, quiet)
        unseen = {way: MapCounts.from_dict(counts) for way, counts in maps[target]["all"].items()}
        whole = [one for one in unseen.values() if one.images == unseen[WAY].images]  # scales that suit every image
        best = max(one.confusion(t).scores()["iou"] for one in whole for t in THRESHOLDS)
        images = sum(one.quiet for one in quiet)
        alarmed = sum(one.alarms(threshold) * one.quiet for one in quiet) / images if images else math.nan
        iou = unseen[WAY].confusion(threshold).scores()["iou"]
        found[target] = {"threshold": threshold, "iou": 100 * iou, "best": 100 * best, "alarms": 100 * alarmed}
    return found
