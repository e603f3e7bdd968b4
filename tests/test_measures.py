"""Landslides found by size, boundary bands and false alarms, against counts by hand and by another way of counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from scgcnet.measures import boundary_counts, component_hits, false_alarms

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
