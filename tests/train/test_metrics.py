"""Scores against their definitions and each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.train.metrics import SCORES, Confusion, mean_over_sources, mean_scores


def test_counts() -> None:
    prediction = np.array([[1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    truth = np.array([[1, 0, 1, 0], [1, 0, 0, 1]], dtype=bool)
    assert Confusion.of(prediction, truth.astype(np.uint8)) == Confusion(tp=2, fp=1, fn=2, tn=3)


def test_scores_by_hand() -> None:
    scores = Confusion(tp=6, fp=2, fn=4, tn=88).scores()
    assert scores == pytest.approx({"precision": 0.75, "recall": 0.6, "f1": 2 / 3, "iou": 0.5, "oa": 0.94})
    assert tuple(scores) == SCORES


def test_a_row_of_table_one_follows_the_repaired_equation_24() -> None:
    # Ours / Bijie: P 85.04, R 84.46, IoU 73.53; TP / (TP + TN + FP) would be below 9 %.
    tp = 100_000
    fp, fn = round(tp / 0.8504) - tp, round(tp / 0.8446) - tp
    assert Confusion(tp, fp, fn, 1_000_000).scores()["iou"] == pytest.approx(0.7353, abs=1e-4)


@pytest.mark.parametrize(
    ("confusion", "iou"), [(Confusion(tn=9), 1.0), (Confusion(fp=1, tn=8), 0.0), (Confusion(fn=1, tn=8), 0.0)]
)
def test_empty_maps(confusion: Confusion, iou: float) -> None:
    scores = confusion.scores()
    assert scores["iou"] == scores["f1"] == scores["precision"] == scores["recall"] == iou


counts = st.integers(0, 10**7)


@given(counts, counts, counts, counts)
def test_identities(tp: int, fp: int, fn: int, tn: int) -> None:
    scores = Confusion(tp, fp, fn, tn).scores()
    assert all(0 <= value <= 1 for value in scores.values())
    assert scores["iou"] == pytest.approx(scores["f1"] / (2 - scores["f1"]))
    if tp:
        p, r = scores["precision"], scores["recall"]
        assert scores["f1"] == pytest.approx(2 * p * r / (p + r))


def test_pooled_and_mean_differ_as_they_should() -> None:
    small, large = Confusion(tp=1, fn=1), Confusion(tp=90, fp=10)
    assert (small + large).scores()["iou"] == pytest.approx(91 / 102)
    assert mean_scores([small, large])["iou"] == pytest.approx((0.5 + 0.9) / 2)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(2, 2\).*\(2, 3\)"):
        Confusion.of(np.zeros((2, 2), bool), np.zeros((2, 3), np.uint8))


def test_no_counts() -> None:
    with pytest.raises(ValueError, match="no counts"):
        mean_scores([])


def test_a_source_without_landslides_has_no_say():
    half, most, nothing = Confusion(1, 1, 0, 2), Confusion(8, 0, 2, 0), Confusion(0, 0, 0, 4)
    assert mean_over_sources([half, most])["iou"] == pytest.approx((0.5 + 0.8) / 2)
    for without in (nothing, Confusion(0, 3, 0, 1)):  # no false alarm would be an IoU of 1, one of them 0
        assert mean_over_sources([half, most, without]) == mean_over_sources([half, most])
    assert mean_over_sources([nothing])["iou"] == 1.0
    with pytest.raises(ValueError, match="no counts"):
        mean_over_sources([])
