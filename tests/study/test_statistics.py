import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.study.statistics import Summary, further, judge, spread, summarize


def test_interval_of_a_known_sample():
    summary = summarize([60.0, 62.0, 64.0])
    assert (summary.n, summary.mean) == (3, 62.0)
    half = 4.302652729911275 * 2 / math.sqrt(3)  # t(0.975, 2) from a printed table
    assert summary.low == pytest.approx(62 - half, rel=1e-9)
    assert summary.high == pytest.approx(62 + half, rel=1e-9)
    assert str(summary) == "62.00 [57.03, 66.97]"


def test_where_one_more_value_falls():
    low, high = further([60.0, 62.0, 64.0])
    half = 4.302652729911275 * 2 * math.sqrt(4 / 3)  # t(0.975, 2) from a printed table
    assert (low, high) == (pytest.approx(62 - half, rel=1e-9), pytest.approx(62 + half, rel=1e-9))
    with pytest.raises(ValueError, match="two values"):
        further([60.0])


def test_one_value_has_no_interval():
    assert summarize([60.0]) == Summary(1, 60.0, None, None)
    assert str(summarize([60.0])) == "60.00"


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="value"):
        summarize(values)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8), st.floats(-50, 50))
def test_interval_moves_with_its_values(values, shift):
    here, there = summarize(values), summarize([value + shift for value in values])
    assert here.low <= here.mean <= here.high
    assert there.low == pytest.approx(here.low + shift, abs=1e-6)
    assert summarize(values, confidence=0.99).high >= here.high


@pytest.mark.parametrize(
    ("low", "high", "condition", "verdict"),
    [
        (74.0, 76.0, "same", "supported"),
        (74.0, 76.0, "scaled down", "supported"),
        (73.0, 74.5, "same", "supported"),  # contains 73.53, narrow
        (70.0, 77.0, "same", "unresolved"),  # contains it, the seeds cannot tell
        (70.0, 72.0, "same", "contradicted"),
        (70.0, 72.0, "scaled down", "unresolved"),
        (74.0, 76.0, "other data", None),
        (74.0, 76.0, "fitted", None),
    ],
)
def test_verdicts(low, high, condition, verdict):
    assert judge(73.53, Summary(3, (low + high) / 2, low, high), condition) == verdict


def test_without_repeats_there_is_no_verdict():
    assert judge(73.53, Summary(1, 80.0), "same") == "unresolved"
    assert judge(73.53, None, "same") == "not run"


def test_spread_holds_worst_best_and_ranks_between():
    values = [0.5, 0.1, 0.9, 0.3, 0.7]
    assert spread(values, 3) == [1, 0, 2]
    assert spread(values, 2) == [1, 2]
    assert spread(values, 1) == [1]
    assert spread(values, 9) == [1, 3, 0, 4, 2]
    assert spread([0.0, 0.0, 0.0], 2) == [0, 2]
    assert spread([], 3) == []
    with pytest.raises(ValueError, match="at least one"):
        spread(values, 0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.integers(1, 12))
def test_spread_never_repeats_a_case(values, n):
    picked = spread(values, n)
    assert len(picked) == len(set(picked)) == min(n, len(values))
    assert [values[i] for i in picked] == sorted(values[i] for i in picked)
