"""The failure atlas: every test image with its numbers and causes, for one network or two beside each other.

Nothing is chosen on the test part: thresholds and the rules' limits come from the validation part, and the shown runs
were scored before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from scgcnet.data import EvalTransform, Kind, LandslideDataset, Sample
from scgcnet.explain.failures import (
    LEVELS,
    TITLES,
    ImageFacts,
    Limits,
    Prediction,
    assess_prediction,
    curves,
    describe,
    enlarge,
    find_causes,
    quantise,
    reliability,
)

GRID = 256  # pixels: largest side of a stored probability; a larger output of a network is averaged down
BATCH = 8  # images at a time


@dataclass(frozen=True)
class RunFacts:
    """A stored run in plain values."""

    run_id: str
    title: str  # in print
    file: str  # of its record, relative to the project
    trained_on: str  # names of data sets
    pooled_iou: float | None  # on the test part at threshold 0.5, in its record, a fraction of 1; None if not scored


@dataclass(frozen=True)
class Shown:
    """A network to show."""

    run: RunFacts
    network: nn.Module  # in evaluation mode; images (B, C, S, S) to logits
    image_size: int  # S, pixels
    threshold: float  # best on validation
    val: LandslideDataset  # its validation part


@dataclass(frozen=True)
class Model:
    """A network of the atlas."""

    run: RunFacts
    threshold: float  # best on validation
    limits: Limits  # of the rules
    calibration: dict[str, pd.DataFrame]  # `reliability` of the parts "validation" and "test"
    test_iou: NDArray[np.float64]  # over the pixels of all test images at native size, at each threshold of the page

    @property
    def best_on_test(self) -> float:
        """The best threshold on the test part: not for a reportable score."""
        return float((int(self.test_iou.argmax()) + 1) / 100)


@dataclass(frozen=True)
class Entry:
    """One image of the atlas; the tuples have an item for each model."""

    sample: Sample
    facts: ImageFacts
    small: tuple[NDArray[np.uint8], ...]  # probability in 8 bits at the size of the network's output, (h, w)
    predictions: tuple[Prediction, ...]  # at the model's threshold
    causes: tuple[tuple[str, ...], ...]  # keys of `failures.CAUSES`; empty where the image is no failure

    def values(self, model: int) -> NDArray[np.float64]:
        """Probability times 255 at native size, (H, W)."""
        return enlarge(self.small[model], self.sample.mask.shape)

    def called(self, model: int, threshold: float) -> NDArray[np.bool_]:
        """Pixels of known truth that a model calls landslide at a threshold, (H, W)."""
        found: NDArray[np.bool_] = (self.values(model) > LEVELS * threshold) & (self.sample.mask <= 1)
        return found


@dataclass(frozen=True)
class Atlas:
    """All entries of one or two networks."""

    models: tuple[Model, ...]
    dataset: str  # of the test part
    split: str
    kind: Kind
    entries: tuple[Entry, ...]  # the test part, in its order
    free: tuple[Entry, ...]  # landslide-free images of the same place, untouched by training; may be empty

    def examples(self) -> list[tuple[str, Entry]]:
        """For each kind the first model's failure of the lowest IoU among those not shown yet, with all its kinds."""
        shown: list[tuple[str, Entry]] = []
        for key in TITLES:
            used = {entry.sample.name for _, entry in shown}
            kind = [entry for entry in self.entries if key in entry.causes[0] and entry.sample.name not in used]
            if kind:
                entry = min(kind, key=lambda entry: entry.predictions[0].iou)
                shown.append(("; ".join(TITLES[why] for why in TITLES if why in entry.causes[0]), entry))
        return shown


def make_atlas(shown: Sequence[Shown], test: LandslideDataset, split: str, free: Sequence[LandslideDataset]) -> Atlas:
    """Predict the validation part of each network, the test part, and landslide-free images of the same place."""
    parts = [test, *free]
    facts = [_facts(part) for part in parts]
    models, found = [], []
    for one in shown:
        smalls = [_predict(one.network, part, one.image_size) for part in parts]
        models.append(_model(one, test, smalls[0]))
        found.append(smalls)
    made = [
        make_entries(part, facts[place], models, [smalls[place] for smalls in found])
        for place, part in enumerate(parts)
    ]
    return Atlas(tuple(models), test.dataset, split, test.kind, made[0], sum(made[1:], ()))


def make_entries(
    part: LandslideDataset,
    facts: Sequence[ImageFacts],
    models: Sequence[Model],
    smalls: Sequence[Sequence[NDArray[np.uint8]]],
) -> tuple[Entry, ...]:
    """Entries of a part, from the facts of its images and, for each model, the probability of each image in 8 bits."""
    made = []
    for sample, fact, *own in zip(part, facts, *smalls, strict=True):
        found = tuple(
            assess_prediction(sample, enlarge(small, sample.mask.shape), model.threshold)
            for small, model in zip(own, models, strict=True)
        )
        why = tuple(find_causes(fact, one, model.limits) for one, model in zip(found, models, strict=True))
        made.append(Entry(sample, fact, tuple(own), found, why))
    return tuple(made)


def iou_curve(pairs: Sequence[tuple[NDArray[np.uint8], NDArray[np.float64]]]) -> NDArray[np.float64]:
    """IoU over the pixels of all images at each threshold of the page, from mask and probability times 255 of each."""
    counted = [curves(mask, values) for mask, values in pairs]
    tp, fp = (np.sum([getattr(one, key) for one in counted], axis=0) for key in ("tp", "fp"))
    truth = sum(int(np.count_nonzero(mask == 1)) for mask, _ in pairs)
    ious: NDArray[np.float64] = tp / np.maximum(truth + fp, 1)
    return ious


def _model(one: Shown, test: LandslideDataset, smalls: Sequence[NDArray[np.uint8]]) -> Model:
    """Limits from the validation part alone; calibration of both parts."""
    val = list(zip(one.val, _predict(one.network, one.val, one.image_size), strict=True))
    values = [enlarge(small, sample.mask.shape) for sample, small in val]
    judged = [assess_prediction(s, v, one.threshold) for (s, _), v in zip(val, values, strict=True)]
    pairs = [(sample.mask, enlarge(small, sample.mask.shape)) for sample, small in zip(test, smalls, strict=True)]
    calibration = {
        "validation": reliability((sample.mask, v) for (sample, _), v in zip(val, values, strict=True)),
        "test": reliability(pairs),
    }
    return Model(one.run, one.threshold, Limits.of(_facts(one.val), judged), calibration, iou_curve(pairs))


def _facts(part: LandslideDataset) -> list[ImageFacts]:
    return [describe(sample, part.dataset, site) for sample, site in zip(part, part.sites, strict=True)]


def _predict(network: nn.Module, part: LandslideDataset, image_size: int) -> list[NDArray[np.uint8]]:
    """Probability of landslide in 8 bits at the size of the network's input, at most `GRID`, for each image."""
    transform, found = EvalTransform(image_size), []
    for start in range(0, len(part), BATCH):
        indices = range(start, min(start + BATCH, len(part)))
        images = torch.stack([transform(part[index])[0] for index in indices])
        with torch.no_grad():
            probability = network(images).float().softmax(dim=1)[:, 1:]
        if image_size > GRID:
            probability = F.adaptive_avg_pool2d(probability, GRID)
        found += [quantise(one) for one in probability[:, 0].numpy()]
    return found
