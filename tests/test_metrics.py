"""Scores against their definitions; landslides, boundary bands and false alarms against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from scgcnet.metrics import (
    SCORES,
    Confusion,
    boundary_counts,
    component_hits,
    false_alarms,
    mean_over_sources,
    mean_scores,
)

TRUTH = np.array(
    [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],  # touches the square at its corner
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1],
    ],
    dtype=np.uint8,
)


def test_component_hits() -> None:
    prediction = np.zeros(TRUTH.shape, dtype=bool)
    prediction[0, :] = True
    assert component_hits(TRUTH, prediction) == [(5, 2), (2, 0)]
    assert component_hits(np.zeros_like(TRUTH), prediction) == []


def test_false_alarms() -> None:
    prediction = np.zeros(TRUTH.shape, dtype=bool)
    prediction[0, :3] = True  # overlaps the truth: its third pixel is wrong, but no alarm of its own
    prediction[4, :2] = prediction[0, 5] = True
    assert false_alarms(TRUTH, prediction) == [2, 1]
    unknown = TRUTH.copy()
    unknown[4, 1] = 255
    assert false_alarms(unknown, prediction) == [1]


def test_boundary_of_a_shifted_square() -> None:
    mask = np.zeros((20, 20), dtype=np.uint8)
    mask[5:15, 5:15] = 1
    shifted = np.roll(mask, 1, axis=1) == 1
    # Bands of width 1 are frames of 36 pixels: 9 columns of the top and bottom rows coincide, and nothing else.
    assert boundary_counts(mask, shifted, [1]) == [(18, 54)]
    assert boundary_counts(mask, mask == 1, [1, 2, 50]) == [(36, 36), (64, 64), (100, 100)]


def test_the_image_has_an_edge() -> None:
    mask = np.ones((6, 6), dtype=np.uint8)
    assert boundary_counts(mask, mask == 1, [1]) == [(20, 20)]


def test_unknown_pixels_count_for_neither() -> None:
    mask = np.zeros((6, 6), dtype=np.uint8)
    mask[:, 3:] = 255
    prediction = np.zeros((6, 6), dtype=bool)
    prediction[:, 4] = True
    assert boundary_counts(mask, prediction, [1]) == [(0, 0)]


masks = arrays.arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 1, 255]))
maps = arrays.arrays(np.bool_, (9, 11))


@given(masks, maps, st.integers(1, 5))
def test_boundary_bands_are_erosions(mask: np.ndarray, prediction: np.ndarray, width: int) -> None:
    def band(whole: np.ndarray) -> np.ndarray:
        return whole & ~ndimage.binary_erosion(whole, np.ones((3, 3)), iterations=width)

    first, second = band(mask == 1), band(prediction & (mask != 255))
    assert boundary_counts(mask, prediction, [width]) == [((first & second).sum(), (first | second).sum())]


@given(masks, maps)
def test_components_add_up(mask: np.ndarray, prediction: np.ndarray) -> None:
    hits = component_hits(mask, prediction)
    assert sum(whole for whole, _ in hits) == (mask == 1).sum()
    assert sum(found for _, found in hits) == (prediction & (mask == 1)).sum()
    assert sum(false_alarms(mask, prediction)) <= (prediction & (mask == 0)).sum()


@pytest.mark.parametrize("measure", [component_hits, false_alarms, lambda m, p: boundary_counts(m, p, [1])])
def test_shapes_must_agree(measure) -> None:
    with pytest.raises(ValueError, match=r"mask \(5, 6\) and prediction \(4, 4\)"):
        measure(TRUTH, np.zeros((4, 4), dtype=bool))


def test_widths_from_one() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        boundary_counts(TRUTH, TRUTH == 1, [2, 0])


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


def test_confusion_needs_equal_shapes() -> None:
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
    alarmed = Confusion(fp=60, tn=40)
    with_alarms = mean_over_sources([half, most, alarmed], quiet_counts=True)["iou"]
    assert with_alarms == pytest.approx(mean_over_sources([half + Confusion(fp=30), most + Confusion(fp=30)])["iou"])
    with pytest.raises(ValueError, match="no counts"):
        mean_over_sources([])
