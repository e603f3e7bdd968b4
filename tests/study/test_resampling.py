import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from scgcnet.study import resampling
from scgcnet.study.resampling import (
    SCORES,
    Difference,
    bootstrap,
    cliques,
    compare,
    critical_difference,
    friedman,
    holm,
    mean_ranks,
    resolve,
    seed_difference,
)
from scgcnet.train.metrics import Confusion


def one_seed(*images):
    return np.array([images], dtype=np.int64)


def network(rng, images, hit=0.7, seeds=1):
    """Counts of a made-up network that finds each landslide pixel with probability `hit`; sizes differ by image."""
    landslide = rng.geometric(0.005, images)
    tp = rng.binomial(landslide, hit, (seeds, images))
    fp = rng.binomial(3000, rng.beta(1, 60, (seeds, images)))
    return np.stack([tp, fp, landslide - tp, 4096 - fp + 0 * tp], axis=2)


some_counts = st.integers(1, 3).flatmap(
    lambda seeds: arrays(np.int64, st.tuples(st.just(seeds), st.just(5), st.just(4)), elements=st.integers(0, 50))
)

# One image is found, of the other nothing: IoU 100 and 0, pooled 30 / (30 + 10 + 20) = 50.
FOUND, MISSED = (30, 0, 0, 50), (0, 10, 20, 70)


def test_score_is_pooled_over_images_and_then_averaged_over_seeds():
    counts = np.array([[FOUND, MISSED], [MISSED, MISSED]])
    assert bootstrap(counts[:1], draws=10).value == pytest.approx(50.0)
    assert bootstrap(counts, draws=10).value == pytest.approx(25.0)  # the second seed scores 0
    assert bootstrap(counts[:1], "f1", draws=10).value == pytest.approx(100 * 60 / 90)
    assert bootstrap(counts[:1], "precision", draws=10).value == pytest.approx(75.0)
    assert bootstrap(counts[:1], "recall", draws=10).value == pytest.approx(60.0)
    assert bootstrap(counts[:1], "oa", draws=10).value == pytest.approx(100 * 150 / 180)


@given(arrays(np.int64, (1, 2, 4), elements=st.integers(0, 3)))
def test_scores_are_those_of_the_metrics(counts):
    expected = Confusion(*counts.sum(axis=(0, 1)).tolist()).scores()
    for name in SCORES:
        assert bootstrap(counts, name, draws=1).value == pytest.approx(100 * expected[name])


def test_nothing_to_find_and_no_alarm_is_a_hit():
    quiet, alarm = (0, 0, 0, 9), (0, 1, 0, 8)
    assert bootstrap(one_seed(quiet, quiet), draws=10).low == 100.0
    interval = bootstrap(one_seed(quiet, alarm), draws=200)
    assert (interval.value, interval.low, interval.high) == (0.0, 0.0, 100.0)  # one draw in four has no alarm


def test_interval_of_two_images():
    # The draws are both, twice the first, twice the second: 50 with probability 1/2, 100 and 0 with 1/4 each.
    interval = bootstrap(one_seed(FOUND, MISSED), draws=2000)
    assert (interval.low, interval.high) == (0.0, 100.0)
    narrow = bootstrap(one_seed(FOUND, MISSED), draws=2000, confidence=0.4)
    assert (narrow.low, narrow.high) == pytest.approx((50.0, 50.0))
    assert (interval.images, interval.groups) == (2, 2)


def test_seeds_share_each_draw():
    # Where one seed finds the first image and the other seed the second, their mean is 50 in every draw.
    only, other = (10, 0, 0, 0), (0, 0, 10, 0)
    interval = bootstrap(np.array([[only, other], [other, only]]), draws=500)
    assert (interval.low, interval.value, interval.high) == pytest.approx((50.0, 50.0, 50.0))


def test_interval_covers_the_score_of_all_images():
    rng = np.random.default_rng(0)
    truth = bootstrap(network(rng, 200_000), draws=1).value
    intervals = [bootstrap(network(rng, 60), draws=400, seed=i) for i in range(300)]
    covered = np.mean([interval.low <= truth <= interval.high for interval in intervals])
    assert 0.89 <= covered <= 0.985  # 0.95 less what a percentile interval of 60 images loses


def test_copies_of_an_image_tell_nothing_new():
    counts = network(np.random.default_rng(1), 40, seeds=2)
    copies, labels = np.repeat(counts, 4, axis=1), [f"site {i}" for i in range(40) for _ in range(4)]
    plain, fooled, grouped = bootstrap(counts), bootstrap(copies), bootstrap(copies, groups=labels)
    assert (grouped.value, grouped.low, grouped.high) == (plain.value, plain.low, plain.high)
    assert (grouped.images, grouped.groups) == (160, 40)
    assert grouped.high - grouped.low == pytest.approx(2 * (fooled.high - fooled.low), rel=0.1)  # sqrt(4)


def test_comparison_takes_groups_as_a_whole():
    first, second = (network(np.random.default_rng(2), 30, hit=hit) for hit in (0.7, 0.6))
    copies = [np.repeat(counts, 3, axis=1) for counts in (first, second)]
    assert compare(*copies, groups=np.repeat(np.arange(30), 3)) == compare(first, second)
    # Groups need not lie side by side.
    order = np.random.default_rng(3).permutation(90)
    mixed = compare(*(c[:, order] for c in copies), groups=np.repeat(np.arange(30), 3)[order])
    assert mixed.value == pytest.approx(compare(first, second).value)


def test_chunks_do_not_change_the_draws(monkeypatch):
    rng = np.random.default_rng(4)
    first, second = network(rng, 7, seeds=2), network(rng, 7)
    whole = compare(first, second, draws=501)
    monkeypatch.setattr(resampling, "CHUNK", 50)
    assert compare(first, second, draws=501) == whole
    monkeypatch.setattr(resampling, "CHUNK", 1)
    assert compare(first, second, draws=501) == whole


def test_p_is_that_of_all_swaps():
    rng = np.random.default_rng(5)
    first, second = network(rng, 6, hit=0.8, seeds=3), network(rng, 6, hit=0.6, seeds=2)

    def iou(counts):
        tp, fp, fn, _ = counts.sum(axis=0)
        return tp / (tp + fp + fn)

    ours, theirs = first.mean(axis=0), second.mean(axis=0)
    observed = abs(iou(ours) - iou(theirs))
    swaps = [np.array(swap)[:, None] for swap in itertools.product([False, True], repeat=6)]
    alike = [abs(iou(np.where(s, theirs, ours)) - iou(np.where(s, ours, theirs))) for s in swaps]
    exact = np.mean(np.array(alike) >= observed - 1e-12)
    assert 0.03 <= exact < 1  # no swap and every swap exceed always: 2 of 64
    assert compare(first, second, draws=20_000).p == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))


def test_p_of_a_clear_difference_is_the_smallest_there_is():
    rng = np.random.default_rng(6)
    difference = compare(network(rng, 50, hit=0.9), network(rng, 50, hit=0.3), draws=999)
    assert difference.p == 1 / 1000
    assert 0 < difference.low < difference.value < difference.high


def test_p_of_like_networks_is_rarely_small():
    rng = np.random.default_rng(7)
    p = np.array([compare(network(rng, 25), network(rng, 25), draws=199, seed=i).p for i in range(400)])
    for alpha in (0.05, 0.2, 0.5):
        assert np.mean(p <= alpha) == pytest.approx(alpha, abs=4 * math.sqrt(alpha * (1 - alpha) / 400))


def test_difference_is_of_the_two_scores_whatever_the_seeds():
    rng = np.random.default_rng(8)
    first, second = network(rng, 20, seeds=3), network(rng, 20, seeds=1)
    difference = compare(first, second, "f1", draws=100)
    assert difference.value == bootstrap(first, "f1", draws=1).value - bootstrap(second, "f1", draws=1).value
    # A seed told three times says nothing new.
    again = compare(first, np.repeat(second, 3, axis=0), "f1", draws=100)
    assert (again.value, again.low, again.high) == pytest.approx((difference.value, difference.low, difference.high))
    assert again.p == difference.p


def test_difference_from_a_network_that_finds_nothing_is_the_score():
    counts = network(np.random.default_rng(11), 15, seeds=2)
    nothing = counts[:1] * [0, 0, 1, 1]
    alone, difference = bootstrap(counts), compare(counts, nothing)
    assert (difference.value, difference.low, difference.high) == (alone.value, alone.low, alone.high)


def test_a_network_does_not_differ_from_itself():
    counts = network(np.random.default_rng(9), 12, seeds=2)
    same = compare(counts, counts)
    assert same == Difference(0.0, 0.0, 0.0, 1.0)
    assert resolve(same, 1.0, seed_difference([1.0, 2.0], [1.0, 2.0])) == "unresolved"


@given(some_counts, some_counts, st.sampled_from(sorted(SCORES)))
def test_swapping_the_networks_swaps_the_sign(first, second, score):
    there, back = compare(first, second, score, draws=40), compare(second, first, score, draws=40)
    assert there.value == -back.value
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)
    assert there.p == back.p


@given(some_counts, some_counts, st.permutations(range(5)))
def test_order_of_images_does_not_matter(first, second, order):
    assert bootstrap(first[:, order], draws=1).value == bootstrap(first, draws=1).value
    assert compare(first[:, order], second[:, order], draws=1).value == compare(first, second, draws=1).value


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_order_and_never_lowers(p_values):
    adjusted = holm(p_values)
    assert all(raw <= new <= 1 for raw, new in zip(p_values, adjusted, strict=True))
    ranked = [adjusted[i] for i in sorted(range(len(p_values)), key=lambda i: p_values[i])]
    assert ranked == sorted(ranked)


def test_ranks_by_hand():
    scores = [[80, 70, 60], [80, 80, 60], [50, 60, 60]]  # ranks 1 2 3, 1.5 1.5 3, 3 1.5 1.5
    np.testing.assert_allclose(mean_ranks(scores), [5.5 / 3, 5 / 3, 7.5 / 3])


def test_friedman_by_hand_and_by_scipy():
    # Always in the same order: 12 / (4 * 3 * 4) * (4² + 8² + 12²) - 3 * 4 * 4 = 8, and sf(8) = exp(-4) for 2 degrees.
    assert friedman([[3, 2, 1]] * 4) == pytest.approx(math.exp(-4))
    rng = np.random.default_rng(10)
    for scores in (rng.normal(size=(30, 5)), rng.integers(0, 4, (20, 6))):  # without ties and with
        assert friedman(scores) == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert friedman(np.ones((5, 3))) == 1.0
    assert friedman([[2, 1]] * 9) == pytest.approx(2 * stats.norm.sf(3))  # of two, chi-squared is 9


@pytest.mark.parametrize(
    ("networks", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (9, 3.102), (10, 3.164)]
)
def test_critical_differences_are_demsars(networks, q):
    assert critical_difference(networks, 30) == pytest.approx(
        q * math.sqrt(networks * (networks + 1) / (6 * 30)), rel=4e-4
    )


def test_critical_difference_of_demsars_example():
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, alpha=0.10) == pytest.approx(1.12, abs=0.005)


def test_cliques_are_the_largest_groups():
    assert cliques([2.0, 1.0, 3.0, 5.0], 1.0) == [[1, 0], [0, 2]]
    assert cliques([2.0, 1.0, 3.0, 5.0], 2.0) == [[1, 0, 2], [2, 3]]
    assert cliques([2.0, 1.0, 3.0, 5.0], 0.5) == []
    assert cliques([2.0, 1.0, 3.0, 5.0], 9.0) == [[1, 0, 2, 3]]
    assert cliques([1.5, 1.5], 0.0) == [[0, 1]]
    assert cliques([1.0], 1.0) == []


@given(st.lists(st.integers(0, 30), min_size=1, max_size=9), st.integers(0, 12))
def test_two_networks_share_a_clique_where_they_do_not_differ(ranks, critical):
    groups = [set(group) for group in cliques(ranks, critical)]
    for one, other in itertools.combinations(range(len(ranks)), 2):
        assert any({one, other} <= group for group in groups) == (abs(ranks[one] - ranks[other]) <= critical)
    assert not any(one < other for one in groups for other in groups)


def test_interval_over_seeds_is_welchs():
    first, second = [60.0, 62.0, 64.0], [50.0, 50.5, 51.0, 52.5]
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(0.9)
    assert seed_difference(first, second, 0.9) == pytest.approx((expected.low, expected.high))
    # Equal variances and sizes, by hand: 10 +- t(0.975, 2) * sqrt(2 / 2 + 2 / 2).
    half = 4.302652729911275 * math.sqrt(2)
    assert seed_difference([61, 63], [51, 53]) == pytest.approx((10 - half, 10 + half))
    assert seed_difference([61, 61], [51, 51]) == (10.0, 10.0)
    assert seed_difference([61], [51, 53]) is None
    assert seed_difference([61, 63], []) is None


@pytest.mark.parametrize(
    ("low", "high", "p", "seeds", "outcome"),
    [
        (1.0, 3.0, 0.01, (0.5, 4.0), "better"),
        (-3.0, -1.0, 0.01, (-4.0, -0.5), "worse"),
        (1.0, 3.0, 0.05, (0.5, 4.0), "unresolved"),  # the swaps cannot tell
        (-0.1, 3.0, 0.01, (0.5, 4.0), "unresolved"),  # the images cannot
        (0.0, 3.0, 0.01, (0.5, 4.0), "unresolved"),
        (1.0, 3.0, 0.01, (-0.5, 4.0), "unresolved"),  # the seeds cannot
        (1.0, 3.0, 0.01, (-4.0, -0.5), "unresolved"),  # opposite sides
        (1.0, 3.0, 0.01, None, "unresolved"),
    ],
)
def test_outcomes(low, high, p, seeds, outcome):
    assert resolve(Difference((low + high) / 2, low, high, p), p, seeds) == outcome


GOOD = one_seed(FOUND, MISSED)


@pytest.mark.parametrize(
    ("counts", "arguments", "message"),
    [
        (GOOD[0], {}, "shape"),
        (GOOD[..., :3], {}, "shape"),
        (GOOD[:0], {}, "shape"),
        (GOOD[:, :0], {}, "shape"),
        (-GOOD, {}, "negative"),
        (GOOD * math.nan, {}, "whole numbers"),
        (GOOD[:, :1], {}, "at least two"),
        (GOOD, {"groups": ["a", "a"]}, "at least two"),
        (GOOD, {"groups": ["a"]}, "1 group labels for 2 images"),
        (GOOD, {"score": "dice"}, "unknown score 'dice'"),
        (GOOD, {"draws": 0}, "draws"),
    ],
)
def test_counts_that_cannot_be_resampled(counts, arguments, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(counts, **arguments)
    with pytest.raises(ValueError, match=message):
        compare(counts, GOOD, **arguments)
    with pytest.raises(ValueError, match=message):
        compare(GOOD, counts, **arguments)


def test_networks_need_the_same_images():
    with pytest.raises(ValueError, match="2 and 3 images"):
        compare(GOOD, one_seed(FOUND, FOUND, MISSED))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap(GOOD, confidence=1.0), "confidence"),
        (lambda: holm([]), "no p value"),
        (lambda: holm([0.5, math.nan]), "within 0 and 1"),
        (lambda: holm([1.5]), "within 0 and 1"),
        (lambda: mean_ranks([1.0, 2.0]), "shape"),
        (lambda: mean_ranks(np.ones((0, 3))), "shape"),
        (lambda: mean_ranks([[1.0, math.inf]]), "finite"),
        (lambda: friedman([[1.0, math.nan]]), "finite"),
        (lambda: friedman([[1.0], [2.0]]), "one network"),
        (lambda: critical_difference(1, 5), "1 networks"),
        (lambda: critical_difference(3, 0), "0 images"),
        (lambda: critical_difference(3, 5, alpha=0.0), "alpha"),
        (lambda: cliques([], 1.0), "shape"),
        (lambda: cliques([[1.0, 2.0]], 1.0), "shape"),
        (lambda: cliques([1.0, math.nan], 1.0), "finite"),
        (lambda: cliques([1.0, 2.0], -1.0), "finite"),
        (lambda: seed_difference([1.0, math.nan], [1.0, 2.0]), "finite"),
        (lambda: seed_difference([1.0, 2.0], [1.0, 2.0], confidence=0.0), "confidence"),
        (lambda: resolve(Difference(1.0, 0.5, 2.0, 0.01), math.nan, None), "within 0 and 1"),
        (lambda: resolve(Difference(1.0, 0.5, 2.0, 0.01), 0.01, None, alpha=5), "within 0 and 1"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
