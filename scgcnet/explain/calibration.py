"""Whether a probability means what it says: of the pixels called landslide with 0.7, are 70 % landslide?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scgcnet.explain.case_numbers import LEVELS
from scgcnet.measures import IGNORE

BINS = 10  # of equal width


@dataclass(frozen=True)
class Reliability:
    """Pixels pooled over images, by their probability of landslide.

    Attributes:
        pixels: int64 (`BINS`,), how many in each bin.
        confidence: float64 (`BINS`,), mean probability; not a number in an empty bin.
        frequency: float64 (`BINS`,), the share that is landslide; likewise.
    """

    pixels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    frequency: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error, a fraction of 1: the mean over pixels of the gap between the two in their bin.

        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, eq. 3, for the probability of landslide.
        Most pixels of most images are surely none, and make it small; the diagram shows the others.
        """
        gaps = np.abs(self.confidence - self.frequency)
        total = self.pixels.sum()
        return float(np.nansum(self.pixels * gaps) / total) if total else float("nan")

    @property
    def worst(self) -> float:
        """The largest gap of a bin that is not empty."""
        return float(np.nanmax(np.abs(self.confidence - self.frequency))) if self.pixels.any() else float("nan")


def reliability(images: Iterable[tuple[NDArray[np.uint8], NDArray[np.float64]]]) -> Reliability:
    """Pool the known pixels of images.

    Args:
        images: mask, uint8 (H, W) of 0, 1 or 255, and probability times 255, float64 (H, W), of each.

    Returns:
        By bins of the probability; 1 belongs to the last, and an edge between two bins to the upper one.
    """
    pixels, landslide = np.zeros(BINS, dtype=np.int64), np.zeros(BINS, dtype=np.int64)
    total = np.zeros(BINS)
    for mask, values in images:
        known = mask != IGNORE
        probability = values[known] / LEVELS
        places = np.minimum((probability * BINS).astype(np.intp), BINS - 1)
        pixels += np.bincount(places, minlength=BINS)
        landslide += np.bincount(places[mask[known] == 1], minlength=BINS)
        total += np.bincount(places, weights=probability, minlength=BINS)
    filled = np.where(pixels, pixels, np.nan)
    return Reliability(pixels, total / filled, landslide / filled)
