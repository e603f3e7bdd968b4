"""Intervals and tests against published examples, hand counts, and scipy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats as scipy_stats

from scgcnet.metrics import Confusion
from scgcnet.study import stats
from scgcnet.study.stats import Difference, Summary

# One image is found, of the other nothing: IoU 100 and 0, pooled 30 / (30 + 10 + 20) = 50.
FOUND, MISSED = (30, 0, 0, 50), (0, 10, 20, 70)


def network(rng: np.random.Generator, images: int, hit: float = 0.7, seeds: int = 1) -> np.ndarray:
    """Counts of a synthetic network that finds each landslide pixel with probability `hit`."""
    landslide = rng.geometric(0.005, images)
    tp = rng.binomial(landslide, hit, (seeds, images))
    fp = rng.binomial(3000, rng.beta(1, 60, (seeds, images)))
    return np.stack([tp, fp, landslide - tp, 4096 - fp + 0 * tp], axis=2)


def alone(counts: np.ndarray) -> range:
    return range(counts.shape[1])  # each image is a group of its own


@given(arrays(np.int64, (2, 4), elements=st.integers(0, 3)))
def test_scores_are_those_of_the_metrics(counts: np.ndarray) -> None:
    expected = Confusion(*counts.sum(axis=0).tolist()).scores()
    for name in stats.SCORES:
        assert stats.score(counts.sum(axis=0), name) == pytest.approx(100 * expected[name])


def test_bootstrap_of_two_images() -> None:
    # The draws are both, twice the first, twice the second: 50 with probability 1/2, 100 and 0 with 1/4 each.
    interval = stats.bootstrap(np.array([[FOUND, MISSED]]), "iou", "ab")
    assert interval == stats.Interval(50.0, 0.0, 100.0)
    # Where one seed finds the first image and the other seed the second, their mean is 50 in every draw.
    only, other = (10, 0, 0, 0), (0, 0, 10, 0)
    assert stats.bootstrap(np.array([[only, other], [other, only]]), "iou", "ab") == stats.Interval(50.0, 50.0, 50.0)
    assert stats.bootstrap(np.array([[FOUND, MISSED]]), "iou", "aa") is None  # one ground says nothing of others


def test_bootstrap_is_scipys_percentile_interval() -> None:
    counts = network(np.random.default_rng(1), 40, seeds=2)

    def score(index: np.ndarray, axis: int = -1) -> np.ndarray:
        return stats.score(counts[:, index].sum(axis=-2)).mean(axis=0)

    rng = np.random.default_rng(0)
    theirs = scipy_stats.bootstrap((np.arange(40),), score, n_resamples=10_000, batch=500, method="percentile", rng=rng)
    ours = stats.bootstrap(counts, "iou", alone(counts))
    assert ours is not None
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval))


def test_copies_of_an_image_tell_nothing_new() -> None:
    counts = network(np.random.default_rng(1), 40, seeds=2)
    labels = [f"site {i}" for i in range(40) for _ in range(4)]
    plain = stats.bootstrap(counts, "iou", alone(counts))
    assert stats.bootstrap(np.repeat(counts, 4, axis=1), "iou", labels) == plain


def test_p_is_that_of_all_swaps() -> None:
    rng = np.random.default_rng(5)
    first, second = network(rng, 6, hit=0.8, seeds=3), network(rng, 6, hit=0.6, seeds=2)

    def iou(counts: np.ndarray) -> float:
        tp, fp, fn, _ = counts.sum(axis=0)
        return float(tp / (tp + fp + fn))

    ours, theirs = first.mean(axis=0), second.mean(axis=0)
    swaps = [np.array(swap)[:, None] for swap in itertools.product([False, True], repeat=6)]
    alike = [abs(iou(np.where(s, theirs, ours)) - iou(np.where(s, ours, theirs))) for s in swaps]
    exact = np.mean(np.array(alike) >= abs(iou(ours) - iou(theirs)) - 1e-12)
    found = stats.compare(first, second, range(6), draws=20_000)
    assert found.p == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))


def test_a_network_does_not_differ_from_itself_and_a_clear_difference_has_the_smallest_p() -> None:
    rng = np.random.default_rng(6)
    good, bad = network(rng, 50, hit=0.9), network(rng, 50, hit=0.3)
    assert stats.compare(good, good, alone(good)) == Difference(0.0, 0.0, 0.0, 1.0)
    found = stats.compare(good, bad, alone(good), draws=999)
    assert found.p == 1 / 1000 and 0 < found.low < found.value < found.high
    with pytest.raises(ValueError, match="50 and 3 images"):
        stats.compare(good, bad[:, :3], alone(good))
    with pytest.raises(ValueError, match="2 group labels for 50 images"):
        stats.compare(good, bad, "ab")


some_counts = arrays(np.int64, (2, 5, 4), elements=st.integers(0, 50))


@given(some_counts, some_counts)
def test_swapping_the_networks_swaps_the_sign(first: np.ndarray, second: np.ndarray) -> None:
    there = stats.compare(first, second, range(5), draws=40)
    back = stats.compare(second, first, range(5), draws=40)
    assert (there.value, there.p) == (-back.value, back.p)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


def test_holm_by_hand() -> None:
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.6, 0.5]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_ranks_friedman_and_demsars_critical_difference() -> None:
    rng = np.random.default_rng(10)
    scores = {name: rng.integers(0, 4, 14) + shift for name, shift in zip("abcd", (0, 0, 1, 2), strict=True)}
    found = stats.rank_networks(scores)
    assert found.p == pytest.approx(scipy_stats.friedmanchisquare(*scores.values()).pvalue)
    assert found.critical == pytest.approx(1.25, abs=0.005)  # Demsar 2006, sec. 3.2.4: four classifiers, 14 data sets
    ordered = [*found.ranks]
    assert ordered[0] == "d" and found.groups == 14
    for one, other in itertools.combinations(ordered, 2):
        near = abs(found.ranks[one] - found.ranks[other]) <= found.critical
        assert any({one, other} <= set(clique) for clique in found.cliques) == near
    assert stats.rank_networks(dict.fromkeys("abc", np.ones(5))).p == 1.0


def test_intervals_over_seeds() -> None:
    first, second = [60.0, 62.0, 64.0], [50.0, 50.5, 51.0, 52.5]
    welch = scipy_stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.9)
    assert stats.seed_interval(first, second, 0.9) == pytest.approx((welch.low, welch.high))
    assert stats.seed_interval([61, 61], [51, 51]) == (10.0, 10.0)
    assert stats.seed_interval([61], [51, 53]) is None
    half = 4.302652729911275 * 2  # t(0.975, 2) from a printed table, times the standard deviation
    found = stats.summarize(first)
    assert (found.low, found.high) == pytest.approx((62 - half / math.sqrt(3), 62 + half / math.sqrt(3)))
    assert str(found) == "62.0 [57.0, 67.0]"
    assert stats.summarize([99.0, 100.0], (0, 100)).high == 100
    assert stats.prediction_interval(first) == pytest.approx((62 - half * (4 / 3) ** 0.5, 62 + half * (4 / 3) ** 0.5))
    assert stats.summarize([60.0]) == Summary(1, 60.0)
    for values in ([], [1.0, math.nan]):
        with pytest.raises(ValueError, match="finite"):
            stats.summarize(values)


def test_wilson_is_scipys() -> None:
    theirs = scipy_stats.binomtest(7, 20).proportion_ci(0.95, "wilson")
    assert stats.wilson(7 / 20, 20) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-5)


@pytest.mark.parametrize(
    ("low", "high", "p", "seeds", "outcome"),
    [
        (1.0, 3.0, 0.01, (0.5, 4.0), "better"),
        (-3.0, -1.0, 0.01, (-4.0, -0.5), "worse"),
        (1.0, 3.0, 0.05, (0.5, 4.0), "unresolved"),  # the permutation test leaves it open
        (0.0, 3.0, 0.01, (0.5, 4.0), "unresolved"),  # the images do
        (1.0, 3.0, 0.01, (-0.5, 4.0), "unresolved"),  # the seeds do
        (1.0, 3.0, 0.01, (-4.0, -0.5), "unresolved"),  # opposite sides
        (1.0, 3.0, 0.01, None, "unresolved"),
    ],
)
def test_outcomes(low: float, high: float, p: float, seeds: tuple[float, float] | None, outcome: str) -> None:
    assert stats.resolve(Difference((low + high) / 2, low, high, p), p, seeds) == outcome


@pytest.mark.parametrize(
    ("low", "high", "condition", "verdict"),
    [
        (74.0, 76.0, "same", "supported"),
        (74.0, 76.0, "scaled down", "supported"),
        (73.0, 74.5, "same", "supported"),  # contains 73.53, narrow
        (70.0, 77.0, "same", "unresolved"),  # contains it, wide
        (70.0, 72.0, "same", "contradicted"),
        (70.0, 72.0, "scaled down", "unresolved"),
        (74.0, 76.0, "other data", None),
        (74.0, 76.0, "fitted", None),
    ],
)
def test_verdicts(low: float, high: float, condition: stats.Condition, verdict: str | None) -> None:
    assert stats.judge(73.53, Summary(3, (low + high) / 2, low, high), condition) == verdict
    assert stats.judge(73.53, Summary(1, 80.0), "same") == "unresolved"
    assert stats.judge(73.53, None, "same") == "not run"


def test_deviation_within_groups_is_pooled() -> None:
    deviation, freedom = stats.pooled_deviation([[1, 3], [10, 12, 14], [99]])
    assert (deviation, freedom) == (pytest.approx(((2 + 8) / 3) ** 0.5), 3)
    assert math.isnan(stats.pooled_deviation([[1]])[0])


def test_image_error_is_that_of_the_bootstrap() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = network(rng, 200, 0.8, seeds=2), network(rng, 200, 0.6)
    for score in ("iou", "recall"):
        wide = stats.compare(ours, theirs, alone(ours), score)
        assert stats.image_error(ours, theirs, alone(ours), score) == pytest.approx(
            (wide.high - wide.low) / 2 / 1.96, rel=0.1
        )
    assert stats.image_error(ours, ours, alone(ours)) == 0
