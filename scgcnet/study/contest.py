"""Networks on the same test images: who takes part, how far apart they are, and what must be left open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scgcnet.study import resampling
from scgcnet.study.details import Details, find_details
from scgcnet.study.plan import Run
from scgcnet.study.resampling import Difference, Outcome
from scgcnet.study.statistics import Summary
from scgcnet.study.store import Record
from scgcnet.study.tables import repeats, summary

WAY = "resized"  # pixels of all images at the network's input size, most likely the paper's way


@dataclass(frozen=True)
class Contestant:
    """One network, by its trainings with different seeds on one split.

    Attributes:
        name: as the tables call it.
        run: one of its planned runs.
        records: what is stored of it, a record for each seed; empty where nothing is.
        details: the details of those records that have them.
    """

    name: str
    run: Run
    records: tuple[Record, ...]
    details: tuple[Details, ...]

    def summary(self, score: str, way: str = WAY) -> Summary | None:
        """Mean and interval over the seeds, percent; None where nothing is stored."""
        return summary(self.records, way, score) if self.records else None

    def scores(self, score: str, way: str = WAY) -> list[float]:
        """A score of each record, percent."""
        return [100 * float(record.metrics[way][score]) for record in self.records]

    @property
    def counted_seeds(self) -> list[int]:
        """The seeds whose test images were counted one by one, in the order of `details`."""
        seeds = {record.run_id: record.seed for record in self.records}
        return [seeds[details.run_id] for details in self.details]

    def counts(self, way: str = WAY, seeds: Sequence[int] | None = None) -> NDArray[np.int64]:
        """tp, fp, fn, tn by seed and test image, (seeds, n, 4); of the seeds that have details, or of some of them."""
        chosen = zip(self.details, self.counted_seeds, strict=True)
        return np.stack([details.counts(way) for details, seed in chosen if seeds is None or seed in seeds])

    @property
    def groups(self) -> list[str]:
        """Of each test image, what stands for those that show some of the same ground."""
        return [image.group for image in self.details[0].images]


def gather(runs: Mapping[str, Run], records: Sequence[Record]) -> list[Contestant]:
    """Everyone's stored trainings with the run's own split, in the order of `runs`.

    Args:
        runs: name -> one planned run; what differs from it in nothing but the seed belongs to it.
        records: stored runs.

    Raises:
        StoreError: a file of details is broken.
        ValueError: two contestants were scored on different test images.
    """
    found = []
    for name, run in runs.items():
        like = [record for record in records if record.split == run.split and _but_seed(record) == _but_seed(run)]
        seeds = next(iter(repeats(like).values()), [])
        details = [detail for record in seeds if (detail := find_details(record))]
        found.append(Contestant(name, run, tuple(seeds), tuple(details)))
    images = {tuple(image.name for image in details.images) for one in found for details in one.details}
    if len(images) > 1:
        raise ValueError("these networks were scored on different test images: they cannot be compared by image")
    return found


def _but_seed(run: Run | Record) -> dict[str, object]:
    return {key: value for key, value in run.config.items() if key != "seed"}


@dataclass(frozen=True)
class Comparison:
    """One network against the reference.

    Attributes:
        difference: of their scores in points, with the interval over test images and the p value of the permutation.
        p: the same p value, adjusted for the number of comparisons (Holm).
        seeds: interval of the difference over all their training seeds, so wide that those of all comparisons hold at
            once with 95 % (Bonferroni); None where one of the two has a single seed.
        outcome: what of it can be said.
        counted: the seeds that `difference` rests on, of the network and of the reference: the same ones, unless they
            have none in common whose images were counted.
    """

    difference: Difference
    p: float
    seeds: tuple[float, float] | None
    outcome: Outcome
    counted: tuple[list[int], list[int]]

    @property
    def in_words(self) -> str:
        """The outcome, and of an open one what leaves it open."""
        if self.outcome != "unresolved":
            return self.outcome
        if self.seeds is None:
            return "unresolved: a single seed"
        return f"unresolved: {'seeds' if self.seeds[0] <= 0 <= self.seeds[1] else 'test images'}"


def compare_all(contestants: Sequence[Contestant], reference: str) -> dict[str, Comparison]:
    """IoU of everyone with details against the reference's, by name; empty where the reference has none.

    Args:
        contestants: from `gather`.
        reference: name of one of them.
    """
    able = {one.name: one for one in contestants if one.details}
    if reference not in able:
        return {}
    base = able.pop(reference)
    counted = {name: _same_seeds(one, base) for name, one in able.items()}
    differences = {
        name: resampling.compare(
            one.counts(seeds=counted[name][0]), base.counts(seeds=counted[name][1]), "iou", groups=base.groups
        )
        for name, one in able.items()
    }
    adjusted = resampling.holm([found.p for found in differences.values()]) if differences else []
    confidence = joint_confidence(base, list(able.values()))
    compared = {}
    for (name, difference), p in zip(differences.items(), adjusted, strict=True):
        seeds = resampling.seed_difference(able[name].scores("iou"), base.scores("iou"), confidence)
        compared[name] = Comparison(difference, p, seeds, resampling.resolve(difference, p, seeds), counted[name])
    return compared


def joint_confidence(base: Contestant, others: Sequence[Contestant]) -> float:
    """Level of each interval over seeds at which those of all others against one hold at once with 95 % (Bonferroni).

    Args:
        base: whom the others are compared with.
        others: those with a single seed have no interval, and do not count.
    """
    repeated = sum(min(len(one.records), len(base.records)) > 1 for one in others)
    return 1 - 0.05 / max(repeated, 1)


def _same_seeds(one: Contestant, base: Contestant) -> tuple[list[int], list[int]]:
    """The seeds whose images were counted for both; for each its own where there are none."""
    common = sorted(set(one.counted_seeds) & set(base.counted_seeds))
    return (common, common) if common else (one.counted_seeds, base.counted_seeds)


@dataclass(frozen=True)
class Ranking:
    """Mean ranks over test images, 1 being best.

    Attributes:
        ranks: by name, the best first.
        p: of Friedman's test that all do alike.
        critical: ranks that differ by less cannot be told apart (Nemenyi, 5 %).
        cliques: names of those that cannot.
        groups: images, or groups of such that share ground, that were ranked on.
    """

    ranks: dict[str, float]
    p: float
    critical: float
    cliques: list[list[str]]
    groups: int


def rank_all(contestants: Sequence[Contestant]) -> Ranking | None:
    """Ranks by the IoU of each image, averaged over seeds and over images that share ground.

    Returns:
        None where fewer than three have details.
    """
    able = [one for one in contestants if one.details]
    if len(able) < 3:
        return None
    groups = np.unique(able[0].groups, return_inverse=True)[1]
    scores = np.stack([_by_group(image_ious(one), groups) for one in able], axis=1)
    ranks = resampling.mean_ranks(scores)
    critical = resampling.critical_difference(len(able), len(scores))
    order = [int(index) for index in np.argsort(ranks, kind="stable")]
    return Ranking(
        ranks={able[index].name: float(ranks[index]) for index in order},
        p=resampling.friedman(scores),
        critical=critical,
        cliques=[[able[index].name for index in clique] for clique in resampling.cliques(ranks, critical)],
        groups=len(scores),
    )


def image_ious(one: Contestant, way: str = WAY) -> NDArray[np.float64]:
    """IoU of each test image, mean over the seeds, fractions of 1; 1 where neither truth nor prediction has any."""
    tp, fp, fn, _ = np.moveaxis(one.counts(way), -1, 0)
    union = tp + fp + fn
    ious: NDArray[np.float64] = np.where(union, tp / np.maximum(union, 1), 1.0).mean(axis=0)
    return ious


def _by_group(values: NDArray[np.float64], groups: NDArray[np.intp]) -> NDArray[np.float64]:
    means: NDArray[np.float64] = np.bincount(groups, values) / np.bincount(groups)
    return means


def image_interval(one: Contestant, score: str = "iou") -> resampling.Interval | None:
    """A score with its interval over test images; None without details, or where all images share one ground."""
    if not one.details or len(set(one.groups)) < 2:
        return None
    return resampling.bootstrap(one.counts(), score, groups=one.groups)


def with_overrides(base: Run, rows: Mapping[str, Mapping[str, object]], usual: str) -> dict[str, Run]:
    """Runs like `base` whose networks differ as `rows` say, by name; the row `usual` is the network as it is."""
    return {name: replace(base, overrides={} if name == usual else dict(row)) for name, row in rows.items()}
