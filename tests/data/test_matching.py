"""What images have in common: quadrants of tiles, windows at any shift, and looks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data import DatasetError, Sample, matching
from scgcnet.data.matching import (
    CORNERS,
    SIDE,
    Quadrants,
    Shift,
    find_overlap,
    find_shifts,
    near_pairs,
    quadrants,
    quadrants_of_files,
    shifts_of_boxes,
    thumbnail,
    windows,
)
from scgcnet.data.splits import Box
from scgcnet.data.synthetic import render

HALF = 8
SCENE = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
IMAGE = render(0, 0, (120, 150))[0]


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tile(picture: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    """The tile at a row and a column of half tiles."""
    return picture[HALF * row :, HALF * column :][: 2 * HALF, : 2 * HALF]


def test_single_colours_and_odd_sides_tell_nothing() -> None:
    image = noise(16, 16)
    image[:8, 8:] = 0
    image[8:, :8] = (255, 128, 0)
    assert [bool(digest) for digest in quadrants(image).digests] == [True, False, False, True]
    assert quadrants(noise(16, 15)).digests == quadrants(noise(15, 16)).digests == ("",) * 4
    assert quadrants(np.zeros((16, 16, 3), np.uint8)).digests == ("",) * 4


def test_a_repeated_pattern_leaves_a_group_without_positions() -> None:
    """Tile 1 meets tile 0 at two offsets; tile 2 is connected to it, tile 3 is not."""
    tiles = [
        Quadrants((8, 8), ("a", "b", "", "")),
        Quadrants((8, 8), ("a", "a", "c", "d")),
        Quadrants((8, 8), ("d", "", "", "")),
        Quadrants((8, 8), ("e", "", "", "")),
    ]
    found = find_overlap(tiles)
    assert found.groups == (0, 0, 0, 1)
    assert found.boxes == (None, None, None, Box("group 1", 0, 0, 16, 16))
    assert found.conflicts == {0: (0, 1)}
    # A pattern inside one tile alone links nothing, and takes no position away.
    alone = find_overlap([Quadrants((8, 8), ("a", "a", "a", "a"))])
    assert alone.boxes == (Box("group 0", 0, 0, 16, 16),)


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=20))
@settings(deadline=None)
def test_any_tiles_of_a_grid_find_their_places(places: set[tuple[int, int]]) -> None:
    order = sorted(places)
    tiles = [Quadrants((4, 6), tuple(f"{row + y} {column + x}" for y, x in CORNERS)) for row, column in order]
    found = find_overlap(tiles)
    for i, (row, column) in enumerate(order):
        for j, (other_row, other_column) in enumerate(order):
            if max(abs(row - other_row), abs(column - other_column)) <= 1:
                assert found.groups[i] == found.groups[j]
            if found.groups[i] == found.groups[j]:
                one, other = found.boxes[i], found.boxes[j]
                assert one is not None and other is not None
                assert (one.top - other.top, one.left - other.left) == (
                    4 * (row - other_row),
                    6 * (column - other_column),
                )
            else:
                assert max(abs(row - other_row), abs(column - other_column)) > 1


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Three tiles, of which the first two overlap."""
    (tmp_path / "tiles").mkdir()
    picture = noise(16, 24)
    for number, image in enumerate([tile(picture, 0, 0), tile(picture, 0, 1), noise(16, 16, 1)]):
        Image.fromarray(image).save(tmp_path / "tiles" / f"{number}.png")
    return sorted((tmp_path / "tiles").iterdir())


def test_files_are_decoded_once(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files[0].parent
    found = quadrants_of_files(files, folder)
    assert found[0].digests[1::2] == found[1].digests[::2]
    with monkeypatch.context() as patch:
        patch.setattr(matching, "read_image", lambda path: pytest.fail(f"{path} is decoded"))
        assert quadrants_of_files(files, folder) == found
    Image.fromarray(noise(16, 16, 2)).save(files[2])
    assert quadrants_of_files(files, folder)[2] == quadrants(noise(16, 16, 2))
    monkeypatch.setenv("SCGCNET_CACHE", str(files[0]))  # a file, where the folder of the cache should be
    assert len(quadrants_of_files(files, folder)) == 3
    with pytest.raises(DatasetError, match="cannot be reached"):
        quadrants_of_files([*files, folder / "missing.png"], folder)


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


def test_a_large_image_keeps_some_of_what_a_small_one_keeps() -> None:
    scene = np.random.default_rng(1).integers(0, 256, (600, 520, 3), dtype=np.uint8)
    large, small = windows(scene), windows(scene[100:400, 200:500])
    assert len(large.hashes) < 2 * len(small.hashes)
    assert find_shifts([large, small]) == [Shift(0, 1, 100, 200)]
    inside = ((large.places >= (100, 200)) & (large.places <= (400 - SIDE, 500 - SIDE))).all(axis=1)
    assert set(large.hashes[inside].tolist()) < set(small.hashes.tolist())


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


def small(image: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
    return thumbnail(Sample("x", image, np.zeros(image.shape[:2], np.uint8) if mask is None else mask))


def jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=70)
    return np.asarray(Image.open(buffer))


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: np.asarray(Image.fromarray(image).resize((300, 400))),
        lambda image: (image * 0.6 + 40).astype(np.uint8),
        lambda image: image[:, ::-1],
        *(lambda image, quarters=quarters: np.rot90(image, quarters) for quarters in (1, 2, 3)),
        *(lambda image, quarters=quarters: np.rot90(image[::-1], quarters) for quarters in (0, 1, 3)),
    ],
)
def test_copies_are_found(change) -> None:  # type: ignore[no-untyped-def]
    others = [render(0, index, (120, 150))[0] for index in range(1, 6)]
    pairs = near_pairs([small(image) for image in (others[0], IMAGE, *others[1:], np.ascontiguousarray(change(IMAGE)))])
    assert [pair[:2] for pair in pairs] == [(1, 6)]
    assert 0.97 < pairs[0][2] <= 1.0001


def test_other_images_are_not_alike() -> None:
    images = [render(seed, index, (100, 100))[0] for seed in range(2) for index in range(8)]
    assert near_pairs([small(image) for image in images]) == []
    assert near_pairs([small(IMAGE)]) == []


def test_plain_images_are_alike_to_none() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(100, 108, 90).astype(np.uint8)
    water = [np.tile(ramp[None, :, None], (90, 1, 3)) + rng.integers(0, 2, (90, 90, 3), dtype=np.uint8) for _ in "ab"]
    assert not small(water[0]).any()
    assert near_pairs([small(image) for image in water]) == []


def test_what_is_outside_of_the_data_does_not_count() -> None:
    """Both are black in the upper half, in one of them the mask says so."""
    images = [render(3, index, (120, 120))[0] for index in range(2)]
    mask = np.zeros((120, 120), np.uint8)
    mask[:60] = 255
    images[0][:60] = 0
    images[1][:60] = 30
    assert near_pairs([small(images[0]), small(images[1], mask)]) == []
    np.testing.assert_allclose(small(images[0], mask), small(images[0]), atol=1e-6)
    assert not small(IMAGE, np.full(IMAGE.shape[:2], 255, np.uint8)).any()
    assert not small(np.zeros((90, 90, 3), np.uint8)).any()
