"""Typed causes of failure, by rules that anyone can check.

The paper shows two kinds of failure and does not say how to tell them (Sec. V-B, Fig. 11): large landslides of which
the frame shows a part, and landslides among buildings. Here each kind is a condition that is measured on image and
truth, and an error that is measured on the prediction. Where a rule needs a limit, it is a quartile of the validation
part.

The kinds "found here" were devised after looking at failures of the study's own runs, images of the test part among
them: they sort what is there, and foretell nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scgcnet.explain.case_numbers import FOUND, NEAR, Facts, Outcome


@dataclass(frozen=True)
class Limits:
    """Quartiles of the validation part, over its images: what a rule calls low or high.

    Attributes:
        iou: lower quartile at the threshold chosen there; an image below it is a failure.
        share: upper quartile of the largest landslide's share of the image.
        small: lower quartile of the largest landslide, pixels.
        edges: upper quartile of the edge density.
        contrast: lower quartile of the contrast at the outline.
        greenness: upper quartile of the greenness of landslides: three quarters of them are as bare as this.
    """

    iou: float
    share: float
    small: float
    edges: float
    contrast: float
    greenness: float

    @classmethod
    def of(cls, facts: Sequence[Facts], outcomes: Sequence[Outcome]) -> Limits:
        """The limits that a validation part gives.

        Args:
            facts: of each of its images.
            outcomes: of a network on each, at its threshold.

        Raises:
            ValueError: there is no image with a landslide.
        """
        pairs = [(fact, outcome) for fact, outcome in zip(facts, outcomes, strict=True) if fact.truth]
        if not pairs:
            raise ValueError("no image with a landslide, so nothing tells what is large, small or a failure")
        kept = [fact for fact, _ in pairs]

        def quartile(values: Sequence[float], which: float) -> float:
            return float(np.nanquantile(np.array(values, dtype=float), which))

        return cls(
            iou=quartile([outcome.iou for _, outcome in pairs], 0.25),
            share=quartile([fact.share for fact in kept], 0.75),
            small=quartile([fact.largest for fact in kept], 0.25),
            edges=quartile([fact.edge_density for fact in kept], 0.75),
            contrast=quartile([fact.contrast for fact in kept], 0.25),
            greenness=quartile([fact.greenness for fact in kept], 0.75),
        )


@dataclass(frozen=True)
class Cause:
    """A kind of failure.

    Attributes:
        title: what it is called.
        origin: "paper" | "here".
        rule: in words, with the names of `Limits`.
        condition: on image and truth; None where the kind is one of the prediction alone.
        error: on the prediction.
    """

    title: str
    origin: str
    rule: str
    condition: Callable[[Facts, Limits], bool] | None
    error: Callable[[Outcome, Limits], bool]

    def explains(self, fact: Facts, outcome: Outcome, limits: Limits) -> bool:
        """Whether image and prediction are of this kind; whether the image failed is asked elsewhere."""
        return (self.condition is None or self.condition(fact, limits)) and self.error(outcome, limits)


CAUSES: Mapping[str, Cause] = {
    "cut": Cause(
        "large slide cut by the frame",
        "paper",
        "the largest landslide reaches the frame and covers at least 'share' of the image; more is missed than is "
        "falsely called",
        lambda fact, limits: fact.touches and fact.share >= limits.share,
        lambda outcome, limits: outcome.fn > outcome.fp,
    ),
    "built": Cause(
        "built-up surroundings (by edge density, a proxy)",
        "paper",
        "the edge density of what is not landslide is at least 'edges'",
        lambda fact, limits: fact.edge_density >= limits.edges,
        lambda outcome, limits: True,
    ),
    "small": Cause(
        "small slide missed",
        "here",
        "the largest landslide has at most 'small' pixels, and less than half of it is found",
        lambda fact, limits: 0 < fact.largest <= limits.small,
        lambda outcome, limits: outcome.largest_found < FOUND,
    ),
    "wide": Cause(
        "small slide outlined too widely",
        "here",
        "the largest landslide has at most 'small' pixels; more is falsely called than is missed, and at least half of "
        f"the wrong pixels lie within {NEAR} pixels of the outline",
        lambda fact, limits: 0 < fact.largest <= limits.small,
        lambda outcome, limits: outcome.fp > outcome.fn and outcome.near >= 0.5,
    ),
    "vague": Cause(
        "vague boundary",
        "here",
        f"the contrast at the outline is at most 'contrast'; at least half of the wrong pixels lie within {NEAR} "
        "pixels of it",
        lambda fact, limits: fact.contrast <= limits.contrast,
        lambda outcome, limits: outcome.near >= 0.5,
    ),
    "green": Cause(
        "overgrown slide, part missed",
        "here",
        "the landslide pixels are at least as green as 'greenness'; more is missed than is falsely called",
        lambda fact, limits: fact.greenness >= limits.greenness,
        lambda outcome, limits: outcome.fn > outcome.fp,
    ),
    "bare": Cause(
        "false alarm on bare ground (by greenness, a proxy)",
        "here",
        "more is falsely called than is missed, most of it away from the outline, and on the mean it is no "
        "greener than 'greenness'",
        None,
        lambda outcome, limits: (
            outcome.fp > outcome.fn and not outcome.near >= 0.5 and outcome.alarm_greenness <= limits.greenness
        ),
    ),
}
OTHER = "other"  # a failure that no rule explains
TITLES: Mapping[str, str] = {key: cause.title for key, cause in CAUSES.items()} | {OTHER: "no rule explains it"}


def causes(fact: Facts, outcome: Outcome, limits: Limits) -> tuple[str, ...]:
    """Keys of `CAUSES` that explain a failure, or `OTHER`; none where the image is no failure.

    An image fails if its IoU is below the limit. Several causes may hold at once, and that one holds does not prove
    that it was the reason.
    """
    if outcome.iou >= limits.iou:
        return ()
    return tuple(key for key, cause in CAUSES.items() if cause.explains(fact, outcome, limits)) or (OTHER,)
