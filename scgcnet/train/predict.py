"""Prediction and scoring: each image is predicted once, and everything is counted on that one prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.data import EvalTransform, LandslideDataset, Sample
from scgcnet.metrics import WIDTHS, Confusion, boundary_counts, component_hits, false_alarms, mean_scores

THRESHOLD = 0.5  # probability above which a pixel is landslide, in every score of the study


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image.

    Attributes:
        name: of the sample.
        resolution: metres per pixel, None if unknown.
        native: pixel counts at native size.
        resized: pixel counts at the network's input size.
        components: (pixels, found pixels) of each landslide at native size, the largest first.
        alarms: pixels of each predicted patch that touches no landslide, likewise.
        boundary: pixels in intersection and union of the boundary bands, for each of `WIDTHS`.
    """

    name: str
    resolution: float | None
    native: Confusion
    resized: Confusion
    components: list[tuple[int, int]]
    alarms: list[int]
    boundary: list[tuple[int, int]]


def score_images(model: nn.Module, dataset: LandslideDataset, image_size: int, batch_size: int = 8) -> list[ImageScore]:
    """Predict every image once and count at both sizes.

    Args:
        model: gives logits (B, 2, S, S) for images (B, C, S, S).
        dataset: images and masks.
        image_size: side S of the square network input, pixels.
        batch_size: images at a time.
    """
    transform, scores = EvalTransform(image_size), []
    for sample, logits in _logits(model, dataset, range(len(dataset)), image_size, batch_size):
        found = _to_native(logits, sample) > THRESHOLD
        small = Confusion.of(_landslide(logits).numpy() > THRESHOLD, transform(sample)[1].numpy())
        scores.append(
            ImageScore(
                name=sample.name,
                resolution=sample.resolution,
                native=Confusion.of(found, sample.mask),
                resized=small,
                components=component_hits(sample.mask, found),
                alarms=false_alarms(sample.mask, found),
                boundary=boundary_counts(sample.mask, found, WIDTHS),
            )
        )
    return scores


def total_scores(images: Sequence[ImageScore]) -> dict[str, dict[str, Any]]:
    """Scores of a data set as sums over its images, fractions of 1.

    Returns:
        `pooled`: over all pixels at native size; `resized`: at the network's input size, the paper's way, where every
        image weighs the same; `per_image`: at native size, averaged over images, with their number `n`; `confusion`:
        the counts tp, fp, fn, tn behind `pooled`.
    """
    native, resized = [one.native for one in images], sum((one.resized for one in images), Confusion())
    pooled = sum(native, Confusion())
    return {
        "pooled": pooled.scores(),
        "resized": resized.scores(),
        "per_image": {**mean_scores(native), "n": len(native)},
        "confusion": {"tp": pooled.tp, "fp": pooled.fp, "fn": pooled.fn, "tn": pooled.tn},
    }


def count(
    model: nn.Module,
    dataset: LandslideDataset,
    image_size: int,
    thresholds: Sequence[float] = (THRESHOLD,),
    batch_size: int = 8,
) -> list[Confusion]:
    """Pixel counts over a data set at the network's input size, one for each threshold in [0, 1]."""
    transform = EvalTransform(image_size)
    counted = [Confusion()] * len(thresholds)
    for sample, logits in _logits(model, dataset, range(len(dataset)), image_size, batch_size):
        probability, mask = _landslide(logits).numpy(), transform(sample)[1].numpy()
        counted = [so_far + Confusion.of(probability > t, mask) for so_far, t in zip(counted, thresholds, strict=True)]
    return counted


def predict(
    model: nn.Module, dataset: LandslideDataset, indices: Sequence[int], image_size: int, batch_size: int = 8
) -> list[npt.NDArray[np.float32]]:
    """Probability of landslide for the samples at `indices`, each (H, W) at its native size, in [0, 1]."""
    return [_to_native(logits, sample) for sample, logits in _logits(model, dataset, indices, image_size, batch_size)]


def _logits(
    model: nn.Module, dataset: LandslideDataset, indices: Sequence[int], image_size: int, batch_size: int
) -> Iterator[tuple[Sample, Tensor]]:
    """Yield each sample with its logits (2, S, S); the network's mode is restored at the end."""
    transform = EvalTransform(image_size)
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(indices), batch_size):
            samples = [dataset[i] for i in indices[start : start + batch_size]]
            images = torch.stack([transform(sample)[0] for sample in samples]).to(device)
            with torch.no_grad():
                logits = model(images).float().cpu()
            yield from zip(samples, logits, strict=True)
    finally:
        model.train(was_training)


def _landslide(logits: Tensor) -> Tensor:
    """Softmax probability of class 1, (S, S)."""
    return logits.softmax(dim=0)[1]


def _to_native(logits: Tensor, sample: Sample) -> npt.NDArray[np.float32]:
    """Probability at the sample's own size, bilinear; (H, W)."""
    probability = _landslide(logits)[None, None]
    native = F.interpolate(probability, size=sample.mask.shape, mode="bilinear", align_corners=False)
    out: npt.NDArray[np.float32] = native[0, 0].numpy()
    return out


class ManyViews(nn.Module):
    """A network's mean probability over flips and quarter turns of an image, shifted so that a threshold lies at 0.5.

    Nadir images have no up: each of the eight views is as likely, and their errors are not the same.

    Args:
        network: gives logits (B, 2, H, W) for images (B, C, H, W).
        views: 1 for the image as it is, 2 with its mirror image, 8 with all quarter turns of both.
        threshold: probability above which a pixel is called landslide, between 0 and 1.

    Raises:
        ValueError: another number of views, or a threshold outside (0, 1).
    """

    def __init__(self, network: nn.Module, views: int, threshold: float = 0.5) -> None:
        super().__init__()
        if views not in (1, 2, 8):
            raise ValueError(f"{views} views: 1, 2 (mirror) or 8 (quarter turns of both)")
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold}: must lie between 0 and 1")
        self.network, self.views, self.threshold = network, views, threshold

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2, H, W) whose softmax is above 0.5 where the mean probability is above the threshold."""
        mean = torch.stack([self._landslide(images, view) for view in range(self.views)]).mean(dim=0)
        tiny = torch.finfo(mean.dtype).eps
        odds = torch.logit(mean, eps=tiny) - math.log(self.threshold / (1 - self.threshold))
        return torch.stack([torch.zeros_like(odds), odds], dim=1)

    def _landslide(self, images: Tensor, view: int) -> Tensor:
        """Probability (B, H, W) of one view: odd ones are mirrored, each pair has a quarter turn more."""
        turns = view // 2
        seen = torch.rot90(images, turns, (2, 3))
        seen = seen.flip(3) if view % 2 else seen
        found: Tensor = self.network(seen).float().softmax(dim=1)[:, 1]
        found = found.flip(2) if view % 2 else found
        return torch.rot90(found, -turns, (1, 2))
