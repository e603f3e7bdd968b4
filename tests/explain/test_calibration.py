"""Reliability and calibration error by hand."""

import numpy as np
import pytest

from scgcnet.explain.calibration import BINS, reliability


def image(probabilities: list[float], truth: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([truth], dtype=np.uint8), 255 * np.array([probabilities])


def test_by_hand() -> None:
    first = image([0.05, 0.15, 0.72, 0.78], [0, 0, 1, 0])
    second = image([0.05, 1.0, 0.5], [1, 1, 255])  # of the last nobody knows
    found = reliability([first, second])
    assert found.pixels.tolist() == [2, 1, 0, 0, 0, 0, 0, 2, 0, 1]
    np.testing.assert_allclose(found.confidence[[0, 1, 7, 9]], [0.05, 0.15, 0.75, 1.0])
    np.testing.assert_allclose(found.frequency[[0, 1, 7, 9]], [0.5, 0, 0.5, 1.0])
    assert np.isnan(found.confidence[2]) and np.isnan(found.frequency[2])
    assert found.error == pytest.approx((2 * 0.45 + 0.15 + 2 * 0.25 + 0) / 6)
    assert found.worst == pytest.approx(0.45)


def test_a_calibrated_network() -> None:
    rng = np.random.default_rng(0)
    probability = rng.random((400, 400))
    mask = (rng.random((400, 400)) < probability).astype(np.uint8)
    found = reliability([(mask, 255 * probability)])
    assert found.error < 0.01
    assert reliability([(mask, 255 * probability**2)]).error > 0.1


def test_an_edge_belongs_to_the_upper_bin() -> None:
    assert reliability([image([0.5], [1])]).pixels.tolist() == [0] * 5 + [1] + [0] * 4


def test_nothing_known() -> None:
    found = reliability([image([0.5], [255])])
    assert len(found.pixels) == BINS and not found.pixels.any()
    assert np.isnan(found.error) and np.isnan(found.worst)
