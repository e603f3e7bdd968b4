"""Differences of two networks with one interval for seeds and test images together.

The standard error of a difference joins two parts. Over seeds: the deviation within all repeated networks of a family
(those of Table I, or the rows of one other table), pooled, so that a single training has one too. Over test images:
that of the paired difference; where a network has no counts by image, the median of those that have. Intervals are
Student's at 95 %, jointly over several differences (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd

from scgcnet.study import stats
from scgcnet.study.networks import Network
from scgcnet.study.paper import SCORE_NAMES

Seeds = Sequence[float]
Images = tuple[stats.Array, str]  # counts (seeds, images, 4), and the score that they are added up to


class Effect(NamedTuple):
    """A difference in points, which a statement says is above 0, and half of its joint 95 % interval."""

    name: str
    value: float
    half: float

    def __str__(self) -> str:
        return f"{self.name} {self.value:+.1f} ±{self.half:.1f}"


@dataclass(frozen=True)
class Measure:
    """What is measured of a network: a score by seed, and counts by seed and test image that add up to it."""

    name: str
    seeds: Callable[[Network], Seeds]
    images: Callable[[Network], Images]


def of_score(score: str) -> Measure:
    """A score at the network's input size."""
    return Measure(SCORE_NAMES[score][0], lambda one: one.scores(score), lambda one: (one.counts(), score))


def of_images(name: str, score: str, pairs: Callable[[pd.DataFrame], pd.DataFrame]) -> Measure:
    """A measure of per-image counts alone: `pairs` gives those that count in favour and those that count against."""

    def images(one: Network) -> Images:
        found = pairs(one.images).to_numpy(np.float64)
        counts = np.zeros((len(found), 4))
        counts[:, :2] = found
        return counts.reshape(one.images.run_id.nunique(), -1, 4), score

    def seeds(one: Network) -> Seeds:
        return list(stats.score(images(one)[0].sum(axis=1), score)) if one.counted else []

    return Measure(name, seeds, images)


class Family:
    """Networks whose trainings spread alike over seeds."""

    def __init__(self, networks: Sequence[Network]) -> None:
        self.networks = list(networks)
        self._images: dict[tuple[str, str], Images] = {}
        self._deviations: dict[str, tuple[float, float]] = {}
        self._usual: dict[str, float] = {}

    def deviation(self, measure: Measure) -> tuple[float, float]:
        """Deviation of a measure over seeds, pooled, and its degrees of freedom."""
        if measure.name not in self._deviations:
            self._deviations[measure.name] = stats.pooled_deviation([measure.seeds(one) for one in self.networks])
        return self._deviations[measure.name]

    def effects(self, measure: Measure, pairs: Sequence[tuple[Network, Network]], measures: int = 1) -> list[Effect]:
        """The first network of each pair minus the second; empty if there is no deviation over seeds.

        Intervals hold jointly for the same pairs by so many `measures`.
        """
        deviation, freedom = self.deviation(measure)
        if not pairs or not freedom:
            return []
        level = stats.student(freedom, 1 - 0.05 / len(pairs) / measures)
        found = []
        for one, other in pairs:
            ours, theirs = measure.seeds(one), measure.seeds(other)
            seeds = deviation * (1 / len(ours) + 1 / len(theirs)) ** 0.5
            half = level * math.hypot(seeds, self.image_error(measure, one, other))
            found.append(Effect(f"{one.name} minus {other.name}", float(np.mean(ours) - np.mean(theirs)), half))
        return found

    def image_error(self, measure: Measure, one: Network, other: Network) -> float:
        """Standard error of a difference over test images, points; the usual one where either is not counted."""
        error = self._image_error(measure, one, other)
        return self.usual_error(measure) if error is None else error

    def usual_error(self, measure: Measure) -> float:
        """The median over the pairs of counted networks; 0 without any."""
        if measure.name not in self._usual:
            pairs = combinations([one for one in self.networks if one.counted and len(measure.seeds(one))], 2)
            errors = [error for pair in pairs if (error := self._image_error(measure, *pair)) is not None]
            self._usual[measure.name] = float(np.median(errors)) if errors else 0.0
        return self._usual[measure.name]

    def _image_error(self, measure: Measure, one: Network, other: Network) -> float | None:
        if not one.counted or not other.counted:
            return None
        for network in (one, other):
            if (measure.name, network.name) not in self._images:
                self._images[measure.name, network.name] = measure.images(network)
        (ours, score), (theirs, _) = (self._images[measure.name, network.name] for network in (one, other))
        return stats.image_error(ours, theirs, one.groups, score)
