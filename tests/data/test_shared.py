from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scgcnet.data.shared import SIDE, Shift, find_shifts, shifts_of_boxes, windows
from scgcnet.data.splits import Box

SCENE = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)


def crop(top: int, left: int, height: int, width: int) -> NDArray[np.uint8]:
    return SCENE[top : top + height, left : left + width]


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_crops_of_one_scene_find_their_shift(data: st.DataObject) -> None:
    boxes = []
    for _ in range(2):
        height, width = data.draw(st.integers(90, 130)), data.draw(st.integers(90, 130))
        top, left = data.draw(st.integers(0, 160 - height)), data.draw(st.integers(0, 160 - width))
        boxes.append((top, left, height, width))
    images = [crop(*box) for box in boxes]
    (shift,) = find_shifts([windows(image) for image in images])
    assert shift == Shift(0, 1, boxes[1][0] - boxes[0][0], boxes[1][1] - boxes[0][1])
    areas = shift.common(images[0].shape[:2], images[1].shape[:2])
    np.testing.assert_array_equal(images[0][areas[0]], images[1][areas[1]])
    rows = min(b[0] + b[2] for b in boxes) - max(b[0] for b in boxes)
    columns = min(b[1] + b[3] for b in boxes) - max(b[1] for b in boxes)
    assert images[0][areas[0]].shape == (rows, columns, 3)


def test_areas_in_common() -> None:
    areas = Shift(0, 1, 3, -2).common((10, 8), (10, 20))
    assert areas == ((slice(3, 10), slice(0, 8)), (slice(0, 7), slice(2, 10)))
    for down in (30, -50):
        apart = Shift(0, 1, down, 0).common((10, 8), (40, 8))
        assert np.zeros((10, 8))[apart[0]].size == np.zeros((40, 8))[apart[1]].size == 0


def test_windows_lie_where_they_say() -> None:
    found = windows(crop(0, 0, 160, 160))
    assert len(found.hashes) == len(found.places) > 100
    row, column = (int(value) for value in found.places[len(found.places) // 2])
    again = windows(crop(row, column, SIDE, SIDE))
    np.testing.assert_array_equal(again.hashes, found.hashes[len(found.places) // 2 :][:1])
    np.testing.assert_array_equal(again.places, [[0, 0]])


def test_a_large_image_keeps_some_of_what_a_small_one_keeps() -> None:
    scene = np.random.default_rng(1).integers(0, 256, (600, 520, 3), dtype=np.uint8)
    large, small = windows(scene), windows(scene[100:400, 200:500])
    assert len(large.hashes) < 2 * len(small.hashes)
    assert find_shifts([large, small]) == [Shift(0, 1, 100, 200)]
    inside = ((large.places >= (100, 200)) & (large.places <= (400 - SIDE, 500 - SIDE))).all(axis=1)
    assert set(large.hashes[inside].tolist()) < set(small.hashes.tolist())


@pytest.mark.parametrize("shape", [(15, 40), (40, 15), (1, 1), (16, 16)])
def test_small_images_have_few_windows_or_none(shape: tuple[int, int]) -> None:
    found = windows(crop(0, 0, *shape))
    assert len(found.hashes) <= (shape == (16, 16))
    assert found.places.shape == (len(found.hashes), 2)
    assert find_shifts([found, found])[1:] == []


def test_plain_areas_are_no_match() -> None:
    plain = [np.full((90, 90, 3), value, np.uint8) for value in range(256)]
    assert all(windows(image).hashes.size == 0 for image in plain)
    calm = np.random.default_rng(2).integers(100, 105, (90, 90, 3), dtype=np.uint8)
    assert windows(calm).hashes.size == 0


def test_other_images_and_changed_ones_share_nothing() -> None:
    images = [crop(0, 0, 80, 160), crop(80, 0, 80, 160), crop(0, 0, 80, 160)[:, ::-1], crop(0, 0, 80, 160) // 2]
    assert find_shifts([windows(image) for image in images]) == []
    assert find_shifts([windows(images[0])]) == []


def test_a_pattern_is_no_match() -> None:
    """A scene that seventeen images show is found in none of them; sixteen are all paired."""
    found = windows(crop(0, 0, 100, 100))
    assert find_shifts([found] * 17) == []
    assert len(find_shifts([found] * 16)) == 16 * 15 // 2


def test_known_places() -> None:
    boxes = [Box("a", 0, 0, 10, 10), Box("b", 0, 0, 10, 10), Box("a", 5, -3, 15, 7), Box("a", 10, 0, 20, 10)]
    assert shifts_of_boxes(boxes) == [Shift(0, 2, 5, -3), Shift(2, 3, 5, 3)]
