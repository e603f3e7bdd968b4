"""Intervals and tests: scipy's, on scores over seeds and on the pixel counts of test images.

`counts` are pixel counts of one network, whole numbers of shape (seeds, images, 4) in the order tp, fp, fn, tn. Its
score is that of the counts summed over all images, once per training seed, averaged over the seeds; in percent. Images
that show some of the same ground are not independent: they share a group, which is drawn and swapped as a whole.

Sources: Efron and Tibshirani (1993), chs. 13 and 15 (percentile interval, permutation test); Phipson and Smyth (2010)
(a p value from random permutations is never 0); Holm (1979); Demsar (2006) (ranks, Friedman, Nemenyi); Wilson (1927).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import special

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Outcome = Literal["better", "worse", "unresolved"]
Verdict = Literal["supported", "contradicted", "unresolved", "not run"]
Condition = Literal["same", "scaled down", "other data", "fitted"]

#: Each score as numerator and denominator: how often tp, fp, fn, tn count in either.
SCORES = {
    "precision": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "recall": ((1, 0, 0, 0), (1, 0, 1, 0)),
    "f1": ((2, 0, 0, 0), (2, 1, 1, 0)),
    "iou": ((1, 0, 0, 0), (1, 1, 1, 0)),
    "oa": ((1, 0, 0, 1), (1, 1, 1, 1)),
}
#: Widest half-interval, in percentage points, that still settles a value inside it.
TOLERANCE = 1.0


@dataclass(frozen=True)
class Summary:
    """Mean of repeated runs with its 95 % interval, which a single run has not."""

    n: int
    mean: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.mean:.1f}"
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


@dataclass(frozen=True)
class Interval:
    """A score in percent and its 95 % interval over test images."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference(Interval):
    """First network minus second in percentage points, the interval over test images, and the p value."""

    p: float


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of networks over test images, 1 being best.

    Attributes:
        ranks: by name, the best first.
        p: of Friedman's test that all networks are alike.
        critical: smallest difference of ranks that is significant (Nemenyi, 5 %).
        cliques: names of networks whose ranks do not differ significantly.
        groups: images, or groups of images, that were ranked on.
    """

    ranks: dict[str, float]
    p: float
    critical: float
    cliques: list[list[str]]
    groups: int


def summarize(values: Sequence[float], limits: tuple[float, float] = (-np.inf, np.inf)) -> Summary:
    """Mean and Student-t 95 % interval over repeated runs, cut where a score cannot be.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    if not len(found) or not np.isfinite(found).all():
        raise ValueError(f"scores must be finite, and at least one: {list(values)}")
    if len(found) == 1:
        return Summary(1, float(found[0]))
    mean, half = float(found.mean()), student(len(found) - 1) * float(found.std(ddof=1)) / len(found) ** 0.5
    return Summary(len(found), mean, max(mean - half, limits[0]), min(mean + half, limits[1]))


def prediction_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """Interval in which one more value of the same kind falls at that level (Student-t); of at least two values."""
    if len(values) < 2:
        raise ValueError(f"two values are needed to predict another: {list(values)}")
    mean, half = float(np.mean(values)), student(len(values) - 1, level) * float(np.std(values, ddof=1))
    return mean - half * (1 + 1 / len(values)) ** 0.5, mean + half * (1 + 1 / len(values)) ** 0.5


def seed_interval(ours: Sequence[float], theirs: Sequence[float], level: float = 0.95) -> tuple[float, float] | None:
    """Welch interval of the difference of two mean scores over seeds; None where either has a single seed."""
    first, second = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if len(first) < 2 or len(second) < 2:
        return None
    value, a, b = first.mean() - second.mean(), first.var(ddof=1) / len(first), second.var(ddof=1) / len(second)
    if a + b == 0:
        return float(value), float(value)
    share = a / (a + b)  # Welch-Satterthwaite without the squares of variances, which underflow
    freedom = 1 / (share**2 / (len(first) - 1) + (1 - share) ** 2 / (len(second) - 1))
    half = student(freedom, level) * (a + b) ** 0.5
    return float(value - half), float(value + half)


def student(freedom: float, level: float = 0.95) -> float:
    """Half width of a Student-t interval at a level, in standard errors."""
    return float(special.stdtrit(freedom, (1 + level) / 2))  # scipy.stats takes every page a second to import


def pooled_deviation(groups: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Standard deviation within groups of repeats, taken as the same in all of them, and its degrees of freedom.

    It lends the many repeats of other networks to one that has few. (NaN, 0) without any repeat.
    """
    squares = [float(np.square(np.asarray(group) - np.mean(group)).sum()) for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in groups if len(group) > 1)
    return ((sum(squares) / freedom) ** 0.5 if freedom else float("nan")), float(freedom)


def image_error(ours: Array, theirs: Array, groups: Sequence[Hashable], name: str = "iou") -> float:
    """Standard error of the difference of two networks over test images, in points; arguments as for `compare`.

    From the influence of each group on the ratio that a score is (delta method), which needs no draws.
    """

    def influence(counts: Array) -> Floats:
        part, whole = (by_group(counts, groups) @ np.array(weights, np.float64) for weights in SCORES[name])
        sums = whole.sum(axis=1, keepdims=True)
        ratio = part.sum(axis=1, keepdims=True) / np.maximum(sums, 1)
        return np.asarray(((part - ratio * whole) / np.maximum(sums, 1)).mean(axis=0))

    moved = influence(ours) - influence(theirs)
    return 100 * float(np.sqrt(len(moved) / max(len(moved) - 1, 1) * np.square(moved).sum()))


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of `n` cases, in percent."""
    z = 1.959964
    middle, half = share + z * z / (2 * n), z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    whole = 1 + z * z / n
    return 100 * max(0.0, float((middle - half) / whole)), 100 * min(1.0, float((middle + half) / whole))


def score(counts: Array, name: str = "iou") -> Floats:
    """Score in percent of counts (..., 4), of shape (...).

    Where a denominator is 0, 100 if prediction and truth are both empty, else 0.
    """
    part, whole = (counts @ np.array(weights, dtype=np.float64) for weights in SCORES[name])
    empty = np.where(counts[..., :3].sum(axis=-1) == 0, 100.0, 0.0)
    return np.asarray(np.divide(100 * part, whole, out=empty, where=whole > 0))


def bootstrap(counts: Array, name: str, groups: Sequence[Hashable], draws: int = 10_000) -> Interval | None:
    """A score and its percentile interval over test images; all seeds share each draw.

    Args:
        counts: (seeds, images, 4).
        name: one of `SCORES`.
        groups: one label for each image; whole groups are drawn.
        draws: of as many groups as there are, with replacement.

    Returns:
        None where all images belong to one group.
    """
    units = by_group(counts, groups)
    if units.shape[1] < 2:
        return None
    drawn = _drawn(units, name, draws, np.random.default_rng(0)).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(score(units.sum(axis=1), name).mean()), float(low), float(high))


def compare(
    ours: Array, theirs: Array, groups: Sequence[Hashable], name: str = "iou", draws: int = 10_000
) -> Difference:
    """Difference of two networks on the same test images, with a paired permutation test.

    The test swaps the names of the networks on whole groups. With several seeds it swaps counts averaged over them;
    p = (1 + swaps with a difference at least as large) / (1 + draws).

    Args:
        ours: (seeds, images, 4).
        theirs: likewise, of the same images; the seeds may be more or fewer.
        groups: one label for each image.
        name: one of `SCORES`.
        draws: of the bootstrap and of the permutation test.

    Raises:
        ValueError: different numbers of images.
    """
    if ours.shape[1] != theirs.shape[1]:
        raise ValueError(f"the networks were tested on {ours.shape[1]} and {theirs.shape[1]} images")
    first, second, rng = by_group(ours, groups), by_group(theirs, groups), np.random.default_rng(0)
    drawn = _drawn(np.concatenate([first, second]), name, draws, rng)
    low, high = np.quantile(drawn[:, : len(first)].mean(axis=1) - drawn[:, len(first) :].mean(axis=1), [0.025, 0.975])
    value = score(first.sum(axis=1), name).mean() - score(second.sum(axis=1), name).mean()
    # Mean counts times both numbers of seeds: scores do not change, and whole numbers stay exact.
    a, b = first.sum(axis=0) * len(second), second.sum(axis=0) * len(first)
    moved = rng.integers(2, size=(draws, len(a))) @ (b - a)
    swapped = np.abs(score(a.sum(axis=0) + moved, name) - score(b.sum(axis=0) - moved, name))
    observed = abs(score(a.sum(axis=0), name) - score(b.sum(axis=0), name))
    p = (1 + int((swapped >= observed - 1e-9).sum())) / (1 + draws)
    return Difference(float(value), float(low), float(high), p)


def by_group(counts: Array, groups: Sequence[Hashable]) -> Floats:
    """Counts (seeds, images, 4) summed over the images of each group, in order of appearance: (seeds, groups, 4)."""
    if len(groups) != counts.shape[1]:
        raise ValueError(f"{len(groups)} group labels for {counts.shape[1]} images")
    number = {label: place for place, label in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(number), len(counts), 4))
    np.add.at(sums, np.array([number[label] for label in groups]), counts.swapaxes(0, 1))
    return np.asarray(sums.swapaxes(0, 1))


def _drawn(units: Floats, name: str, draws: int, rng: np.random.Generator) -> Floats:
    """Scores (draws, seeds) of as many units as there are, drawn with replacement."""
    n = units.shape[1]
    drawn = rng.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]  # each draw counts in a row of its own
    times = np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n)  # multinomial, faster than numpy's own
    sums = times.astype(np.float64) @ units.transpose(1, 0, 2).reshape(n, -1)
    return score(sums.reshape(draws, -1, 4), name)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for being one of several (Holm), in the order given."""
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * float(p_values[index])))
        adjusted[index] = highest
    return adjusted


def resolve(difference: Difference, adjusted_p: float, seeds: tuple[float, float] | None) -> Outcome:
    """Whether the first network is better, worse, or neither can be said.

    Better needs all of: an adjusted p below 0.05, an interval over images above 0, an interval over seeds above 0.
    Without repeated seeds nothing is resolved.
    """
    if seeds is None or adjusted_p >= 0.05:
        return "unresolved"
    if min(difference.low, seeds[0]) > 0:
        return "better"
    return "worse" if max(difference.high, seeds[1]) < 0 else "unresolved"


def rank_networks(scores: dict[str, Floats]) -> Ranking:
    """Mean ranks, Friedman's test and Nemenyi's critical difference (Demsar 2006, secs. 3.2.1 and 3.2.2).

    Args:
        scores: by network, one value per image or group, higher better; at least three networks.
    """
    from scipy import stats

    names, table = list(scores), np.stack(list(scores.values()), axis=1)
    ranks = stats.rankdata(-table, axis=1)
    means, (groups, networks) = ranks.mean(axis=0), table.shape
    centred = ranks - (networks + 1) / 2
    within = float((centred**2).sum())  # corrects for ties; stats.friedmanchisquare fails if all are tied
    statistic = (networks - 1) * float((centred.sum(axis=0) ** 2).sum()) / within if within else 0.0
    p = float(stats.chi2.sf(statistic, networks - 1))
    q = float(stats.studentized_range.ppf(0.95, networks, np.inf)) / 2**0.5
    critical = q * (networks * (networks + 1) / (6 * groups)) ** 0.5
    order = np.argsort(means, kind="stable")
    cliques, reached = [], 0
    for start in range(networks):
        end = int((means[order] - means[order[start]] <= critical).sum())
        if end > max(reached, start + 1):
            cliques.append([names[index] for index in order[start:end]])
            reached = end
    return Ranking({names[i]: float(means[i]) for i in order}, p, critical, cliques, groups)


def judge(paper: float, measured: Summary | None, condition: Condition) -> Verdict | None:
    """Whether repeated runs reach the paper's score, both in percent and counted the same way.

    | interval of the mean | verdict |
    |---|---|
    | there is no run | not run |
    | one run, hence no interval | unresolved |
    | above the paper's value | supported |
    | contains it, half-width at most `TOLERANCE` | supported |
    | contains it, wider | unresolved |
    | below | contradicted; scaled down: unresolved, for a smaller network says nothing against the paper's |

    Returns:
        None where no verdict may be given: on other data, or where the run was fitted to the claim.
    """
    if measured is None:
        return "not run"
    if condition in ("other data", "fitted"):
        return None
    if measured.low is None or measured.high is None:
        return "unresolved"
    if measured.low > paper:
        return "supported"
    if measured.high < paper:
        return "contradicted" if condition == "same" else "unresolved"
    return "supported" if (measured.high - measured.low) / 2 <= TOLERANCE else "unresolved"
