"""How sure the ranking of networks is that were scored on the same test images.

Glossary: `counts` are pixel counts of one network, whole numbers of shape (seeds, images, 4), the four in the order
tp, fp, fn, tn. Its *score* is computed from the counts summed over all images ("pooled"), once for each training seed,
and averaged over the seeds; in percent. A *unit* is what is drawn or swapped as a whole: an image or, as images that
show the same ground are not independent, a group of images. Differences are in percentage points.

Sources: Efron and Tibshirani (1993), chs. 13 and 15 (percentile interval, permutation test); Phipson and Smyth (2010)
(a p value from random permutations is never 0); Holm (1979); Demsar (2006) (ranks, Friedman, Nemenyi).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Counts = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
Groups = Sequence[Hashable] | npt.NDArray[Any]
Outcome = Literal["better", "worse", "unresolved"]

#: Each score as numerator and denominator: how often tp, fp, fn, tn count in either.
SCORES = {
    "precision": ((1, 0, 0, 0), (1, 1, 0, 0)),
    "recall": ((1, 0, 0, 0), (1, 0, 1, 0)),
    "f1": ((2, 0, 0, 0), (2, 1, 1, 0)),
    "iou": ((1, 0, 0, 0), (1, 1, 1, 0)),
    "oa": ((1, 0, 0, 1), (1, 1, 1, 1)),
}

#: Weights held at a time, draws times units: some four arrays of 8 MiB.
CHUNK = 2**20

#: Two differences closer than this, in percentage points, are the same one rounded differently.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Interval:
    """A score in percent, its interval over test images, and how many images in how many groups it rests on."""

    value: float
    low: float
    high: float
    images: int
    groups: int


@dataclass(frozen=True)
class Difference:
    """First network minus second in percentage points, its 95 % interval over test images, and the p value."""

    value: float
    low: float
    high: float
    p: float


def bootstrap(
    counts: Counts,
    score: str = "iou",
    groups: Groups | None = None,
    draws: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Interval:
    """Score of one network with its percentile interval over test images.

    The interval says how far the score would move with other test images, not with other training seeds: all seeds
    share each draw. A draw without landslides and without alarms scores 100, as in `scgcnet.train.metrics`.

    Args:
        counts: (seeds, images, 4).
        score: one of `SCORES`.
        groups: one label for each image; whole groups are drawn. By default each image is a group of its own.
        draws: how many times to draw as many images (or groups) as there are, with replacement.
        seed: of the draws.
        confidence: probability that the interval is to cover, between 0 and 1.

    Raises:
        ValueError: counts of another shape, empty, not whole or negative; an unknown score; not one label for each
            image; fewer than two units, which have no interval; no draw; confidence out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: between 0 and 1")
    units = _units(counts, score, groups, draws)
    drawn = _drawn_scores(units, score, draws, np.random.default_rng(seed)).mean(axis=1)
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(_value(units, score), float(low), float(high), counts.shape[1], units.shape[1])


def compare(
    first: Counts,
    second: Counts,
    score: str = "iou",
    groups: Groups | None = None,
    draws: int = 10_000,
    seed: int = 0,
) -> Difference:
    """First network minus second on the same test images in the same order.

    The value and its 95 % interval are of the difference of the two scores; both networks share each draw of images.

    The p value is two-sided, of a paired permutation test: were the networks alike, their names could be swapped on
    any image (or group). As they may have different numbers of seeds, the test always swaps counts averaged over the
    seeds, and its statistic is the difference of the pooled scores of these mean counts. For one seed each that is the
    value; for more it differs from it by the little that a score of mean counts differs from a mean of scores.
    p = (1 + swaps with a difference at least as large) / (1 + draws).

    Args:
        first: (seeds, images, 4).
        second: (seeds, images, 4); the seeds may be more or fewer than the first's.
        score: one of `SCORES`.
        groups: one label for each image; whole groups are drawn and swapped.
        draws: of the bootstrap and of the permutation test.
        seed: of both.

    Raises:
        ValueError: as `bootstrap`, or different numbers of images.
    """
    ours, theirs = _units(first, score, groups, draws), _units(second, score, groups, draws)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"the networks were tested on {first.shape[1]} and {second.shape[1]} images")
    rng = np.random.default_rng(seed)
    drawn = _drawn_scores(np.concatenate([ours, theirs]), score, draws, rng)
    moved = drawn[:, : len(ours)].mean(axis=1) - drawn[:, len(ours) :].mean(axis=1)
    low, high = np.quantile(moved, [0.025, 0.975])
    p = _permutation_p(ours, theirs, score, draws, rng)
    return Difference(_value(ours, score) - _value(theirs, score), float(low), float(high), p)


def holm(p_values: Sequence[float]) -> list[float]:
    """P values adjusted for being one of several, so that any false alarm among them stays as rare (Holm 1979).

    Args:
        p_values: each within 0 and 1.

    Returns:
        Adjusted p values in the order given, at most 1 and none below its own.

    Raises:
        ValueError: no p value, or one that is not within 0 and 1.
    """
    if len(p_values) == 0:
        raise ValueError("no p value to adjust")
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError(f"p values must lie within 0 and 1: {list(p_values)}")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * float(p_values[index])))
        adjusted[index] = highest
    return adjusted


def mean_ranks(scores: npt.ArrayLike) -> Floats:
    """Rank of each network averaged over images; 1 is best, ties share the mean of their ranks.

    Args:
        scores: (images, networks), higher better, in any unit.

    Returns:
        (networks,), each from 1 to the number of networks.

    Raises:
        ValueError: scores of another shape, empty or not finite.
    """
    return np.asarray(_ranks(scores).mean(axis=0), dtype=np.float64)


def friedman(scores: npt.ArrayLike) -> float:
    """P value of the Friedman test: do the networks' ranks differ at all?

    Chi-squared with one degree of freedom less than networks, corrected for ties; an approximation that Demsar (2006)
    accepts above 10 images and 5 networks. All networks tied on every image give 1. Rows count as independent: average
    images that show the same ground first.

    Args:
        scores: (images, networks), higher better, in any unit.

    Raises:
        ValueError: as `mean_ranks`, or fewer than two networks.
    """
    ranks = _ranks(scores)
    networks = ranks.shape[1]
    if networks < 2:
        raise ValueError("one network has none to differ from")
    centred = ranks - (networks + 1) / 2
    within = float((centred**2).sum())  # images * networks * (networks² - 1) / 12 without ties, less with
    if within == 0:
        return 1.0
    between = float((centred.sum(axis=0) ** 2).sum())
    return float(stats.chi2.sf((networks - 1) * between / within, networks - 1))


def critical_difference(networks: int, images: int, alpha: float = 0.05) -> float:
    """Mean ranks further apart than this differ (Nemenyi test; Demsar 2006, sec. 3.2.2).

    q_alpha * sqrt(k (k + 1) / (6 N)) for k networks and N images, q_alpha the quantile of the studentized range at
    infinite degrees of freedom over sqrt(2).

    Args:
        networks: how many are compared, at least 2.
        images: how many each rank is averaged over, at least 1.
        alpha: chance of calling any two networks different that are alike, between 0 and 1.

    Raises:
        ValueError: any of them out of its range.
    """
    if networks < 2 or images < 1:
        raise ValueError(f"{networks} networks on {images} images: at least 2 on 1")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}: between 0 and 1")
    q = float(stats.studentized_range.ppf(1 - alpha, networks, np.inf)) / 2**0.5
    return float(q * (networks * (networks + 1) / (6 * images)) ** 0.5)


def cliques(ranks: npt.ArrayLike, critical: float) -> list[list[int]]:
    """Largest groups of networks whose ranks do not differ by more than `critical`: the bars of a diagram of ranks.

    Args:
        ranks: (networks,), of `mean_ranks`.
        critical: largest difference within a group, at least 0, of `critical_difference`.

    Returns:
        Indices of the networks of each group from the best rank to the worst; the groups in the same order. They may
        overlap; none holds another, none is a network alone.

    Raises:
        ValueError: ranks of another shape, empty or not finite; `critical` negative or not finite.
    """
    ranks = np.asarray(ranks, dtype=np.float64)
    if ranks.ndim != 1 or ranks.size == 0:
        raise ValueError(f"ranks of shape {ranks.shape}: one for each network")
    if not np.isfinite(ranks).all() or not 0 <= critical < np.inf:
        raise ValueError(f"ranks and critical difference must be finite: {ranks.tolist()}, {critical}")
    order = np.argsort(ranks, kind="stable")
    groups, reached = [], 0
    for start in range(len(order)):
        end = int((ranks[order] - ranks[order[start]] <= critical).sum())  # those before the start count too
        if end > max(reached, start + 1):
            groups.append([int(index) for index in order[start:end]])
            reached = end
    return groups


def seed_difference(
    first_scores: Sequence[float], second_scores: Sequence[float], confidence: float = 0.95
) -> tuple[float, float] | None:
    """Welch interval of the difference of two mean scores: how far it would move with other training seeds.

    Args:
        first_scores: one score for each seed, in any unit.
        second_scores: the same of the other network, as many or not.
        confidence: probability that the interval is to cover, between 0 and 1.

    Returns:
        Low and high end of first minus second, equal where no seed changed anything; None where either network has
        fewer than two seeds.

    Raises:
        ValueError: a score that is not finite; confidence out of range.
    """
    first, second = np.asarray(first_scores, dtype=np.float64), np.asarray(second_scores, dtype=np.float64)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError(f"scores must be finite: {first.tolist()}, {second.tolist()}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: between 0 and 1")
    if len(first) < 2 or len(second) < 2:
        return None
    value = float(first.mean() - second.mean())
    ours, theirs = float(first.var(ddof=1)) / len(first), float(second.var(ddof=1)) / len(second)
    if ours + theirs == 0:
        return value, value
    share = ours / (ours + theirs)  # Welch-Satterthwaite without the squares of variances, which underflow
    freedom = 1 / (share**2 / (len(first) - 1) + (1 - share) ** 2 / (len(second) - 1))
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * (ours + theirs) ** 0.5
    return value - half, value + half


def resolve(
    difference: Difference, adjusted_p: float, seeds: tuple[float, float] | None, alpha: float = 0.05
) -> Outcome:
    """Whether the first network is better than the second, worse, or nobody can tell.

    Better needs all of: an adjusted p value below `alpha`, an interval over images wholly above 0, and an interval
    over seeds wholly above 0; worse the same below 0. Without repeated seeds nothing is resolved.

    Args:
        difference: of `compare`.
        adjusted_p: its p value after `holm`.
        seeds: of `seed_difference`, None where it is not known.
        alpha: between 0 and 1.

    Raises:
        ValueError: `adjusted_p` or `alpha` not within 0 and 1.
    """
    if not (0 <= adjusted_p <= 1 and 0 <= alpha <= 1):
        raise ValueError(f"adjusted p {adjusted_p} and alpha {alpha} must lie within 0 and 1")
    if seeds is None or adjusted_p >= alpha:
        return "unresolved"
    if min(difference.low, seeds[0]) > 0:
        return "better"
    if max(difference.high, seeds[1]) < 0:
        return "worse"
    return "unresolved"


def _units(counts: Counts, score: str, groups: Groups | None, draws: int) -> Floats:
    """Checked counts of shape (seeds, units, 4): of each image, or summed over each group by first appearance.

    Whole numbers as floats, for matrix products; exact below 2^53.
    """
    if score not in SCORES:
        raise ValueError(f"unknown score {score!r}: one of {', '.join(SCORES)}")
    if draws < 1:
        raise ValueError(f"draws is {draws}: at least one")
    if counts.ndim != 3 or counts.shape[2] != 4 or counts.size == 0:
        raise ValueError(f"counts of shape {counts.shape}: (seeds, images, 4), at least one of each")
    if not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"counts are {counts.dtype}: whole numbers of pixels, so none can be missing or infinite")
    if (counts < 0).any():
        raise ValueError(f"counts must not be negative: {counts.min()}")
    units = counts.astype(np.float64)
    if groups is not None:
        if len(groups) != counts.shape[1]:
            raise ValueError(f"{len(groups)} group labels for {counts.shape[1]} images")
        number = {label: i for i, label in enumerate(dict.fromkeys(groups))}
        sums = np.zeros((len(number), len(counts), 4))
        np.add.at(sums, np.array([number[label] for label in groups]), units.swapaxes(0, 1))
        units = sums.swapaxes(0, 1)
    if units.shape[1] < 2:
        raise ValueError("one image or one group says nothing about others: at least two")
    return units


def _percent(counts: Floats, score: str) -> Floats:
    """Score of counts (..., 4), of shape (...), in percent.

    Where a denominator is 0, the score is 100 if prediction and truth are both empty, else 0: the convention of
    `scgcnet.train.metrics`, which is not imported because it brings torch.
    """
    part, whole = (counts @ np.array(weights, dtype=np.float64) for weights in SCORES[score])
    empty = np.where(counts[..., :3].sum(axis=-1) == 0, 100.0, 0.0)
    return np.asarray(np.divide(100 * part, whole, out=empty, where=whole > 0))


def _value(units: Floats, score: str) -> float:
    return float(_percent(units.sum(axis=1), score).mean())


def _sizes(draws: int, units: int) -> Iterator[int]:
    """Sizes of the chunks in which to take the draws, so that memory does not grow with them."""
    step = max(1, CHUNK // units)
    for done in range(0, draws, step):
        yield min(step, draws - done)


def _drawn_scores(units: Floats, score: str, draws: int, rng: np.random.Generator) -> Floats:
    """Scores of shape (draws, seeds) of as many units as there are, drawn with replacement."""
    n = units.shape[1]
    table = units.transpose(1, 0, 2).reshape(n, -1)  # (units, seeds * 4)
    sums = []
    for size in _sizes(draws, n):
        drawn = rng.integers(n, size=(size, n)) + n * np.arange(size)[:, None]  # each draw counts in a row of its own
        # (draws, units), how often each is drawn: multinomial, an eighth of the time of numpy's own
        weights = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        sums.append(weights.astype(np.float64) @ table)
    return _percent(np.concatenate(sums).reshape(draws, -1, 4), score)


def _permutation_p(ours: Floats, theirs: Floats, score: str, draws: int, rng: np.random.Generator) -> float:
    # Mean counts times both numbers of seeds: scores do not change, and whole numbers stay exact, so that nothing
    # is still nothing after a swap.
    first, second = ours.sum(axis=0) * len(theirs), theirs.sum(axis=0) * len(ours)  # (units, 4)
    observed = _percent(first.sum(axis=0), score) - _percent(second.sum(axis=0), score)
    exceeding = 0
    for size in _sizes(draws, len(first)):
        moved = rng.integers(2, size=(size, len(first))) @ (second - first)  # (draws, 4)
        swapped = _percent(first.sum(axis=0) + moved, score) - _percent(second.sum(axis=0) - moved, score)
        exceeding += int(np.count_nonzero(np.abs(swapped) >= abs(observed) - ROUNDING))
    return (1 + exceeding) / (1 + draws)


def _ranks(scores: npt.ArrayLike) -> Floats:
    """Ranks of shape (images, networks) of checked scores, 1 the highest."""
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.size == 0:
        raise ValueError(f"scores of shape {scores.shape}: (images, networks), at least one of each")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    return np.asarray(stats.rankdata(-scores, axis=1), dtype=np.float64)
