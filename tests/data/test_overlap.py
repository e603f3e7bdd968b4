from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data import DatasetError, open_whole, overlap
from scgcnet.data.overlap import (
    CORNERS,
    Quadrants,
    find_overlap,
    quadrants,
    quadrants_of_files,
    shared_quadrants,
)
from scgcnet.data.splits import Box

HALF = 8
NONE = ("", "", "", "")


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def tile(picture: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    """The tile at a row and a column of half tiles."""
    return picture[HALF * row :, HALF * column :][: 2 * HALF, : 2 * HALF]


def test_quadrants_are_told_apart_by_every_pixel() -> None:
    image = noise(16, 20)
    found = quadrants(image)
    assert found.half == (8, 10)
    assert len(set(found.digests)) == 4
    changed = image.copy()
    changed[15, 19, 2] ^= 1
    assert [a == b for a, b in zip(quadrants(changed).digests, found.digests, strict=True)] == [True, True, True, False]
    # The same bytes in another shape are other pixels.
    square, flat = noise(8, 8), noise(4, 16, 1)
    flat[:2, :8] = square[:4, :4].reshape(2, 8, 3)
    assert all(quadrants(square).digests + quadrants(flat).digests)
    assert not set(quadrants(square).digests) & set(quadrants(flat).digests)


def test_single_colours_and_odd_sides_tell_nothing() -> None:
    image = noise(16, 16)
    image[:8, 8:] = 0
    image[8:, :8] = (255, 128, 0)
    assert [bool(digest) for digest in quadrants(image).digests] == [True, False, False, True]
    assert quadrants(noise(16, 15)).digests == quadrants(noise(15, 16)).digests == NONE
    assert quadrants(np.zeros((16, 16, 3), np.uint8)).digests == NONE


def test_positions_in_a_group() -> None:
    picture, other = noise(32, 40), noise(16, 16, seed=1)
    tiles = [tile(picture, 1, 1), other, tile(picture, 0, 0), tile(picture, 2, 2), tile(picture, 2, 3)]
    found = find_overlap([quadrants(image) for image in tiles])
    assert found.groups == (0, 1, 0, 0, 0)
    places = [(box.top, box.left, box.bottom, box.right) for box in found.boxes if box]
    assert places == [(8, 8, 24, 24), (0, 0, 16, 16), (0, 0, 16, 16), (16, 16, 32, 32), (16, 24, 32, 40)]
    assert [box.scene for box in found.boxes if box] == ["group 0", "group 1", "group 0", "group 0", "group 0"]
    assert found.conflicts == {}
    # The tile at (1, 1) shares its top left with (0, 0), its bottom right with (2, 2); that one a side with (2, 3).
    assert len(shared_quadrants([quadrants(image) for image in tiles])) == 4


def test_nothing_in_common() -> None:
    assert find_overlap([]).groups == ()
    found = find_overlap([quadrants(noise(16, 16, seed)) for seed in range(3)])
    assert found.groups == (0, 1, 2)
    assert shared_quadrants([quadrants(np.zeros((16, 16, 3), np.uint8))] * 2) == []
    black = find_overlap([quadrants(np.zeros((16, 16, 3), np.uint8))] * 2)
    assert black.groups == (0, 1)


def test_copies_lie_on_one_another() -> None:
    image = quadrants(noise(16, 16))
    found = find_overlap([image, quadrants(noise(16, 16, 1)), image])
    assert found.groups == (0, 1, 0)
    assert found.boxes[0] == found.boxes[2] == Box("group 0", 0, 0, 16, 16)


def test_a_repeated_pattern_leaves_a_group_without_positions() -> None:
    """Tile 1 meets tile 0 at two offsets; tile 2 hangs on to it, tile 3 does not."""
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
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three tiles in a checkout of their own, of which the first two overlap."""
    (tmp_path / "study.yml").touch()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiles").mkdir()
    picture = noise(16, 24)
    tiles = [tile(picture, 0, 0), tile(picture, 0, 1), noise(16, 16, 1)]
    for number, image in enumerate(tiles):
        Image.fromarray(image).save(tmp_path / "tiles" / f"{number}.png")
    return sorted((tmp_path / "tiles").iterdir())


def no_reading(path: Path) -> NDArray[np.uint8]:
    raise AssertionError(f"{path} is decoded")


def test_files_are_decoded_once(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files[0].parent
    found = quadrants_of_files(files, folder)
    assert found[0].digests[1::2] == found[1].digests[::2]
    assert found[2] == quadrants(noise(16, 16, 1))
    (cache,) = (folder.parent / "build" / "cache").iterdir()
    monkeypatch.setattr(overlap, "read_image", no_reading)
    assert quadrants_of_files(files, folder) == found
    assert quadrants_of_files(files[:1], folder) == found[:1]
    monkeypatch.undo()
    monkeypatch.chdir(folder.parent)
    Image.fromarray(noise(16, 16, 2)).save(files[2])
    assert quadrants_of_files(files, folder)[2] == quadrants(noise(16, 16, 2))
    for damage in (b"{", b"\xff", b"[]", b'{"a": 1}', b"[" * 100_000, b'{"%s": [1, 2]}' % bytes(files[0])):
        cache.write_bytes(damage)
        assert quadrants_of_files(files, folder)[:2] == found[:2]


def test_what_an_interrupt_leaves_is_kept(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    files[1].write_bytes(b"damaged")
    with pytest.raises(DatasetError, match=r"1\.png cannot be decoded"):
        quadrants_of_files(files, files[0].parent)
    monkeypatch.setattr(overlap, "read_image", no_reading)
    assert quadrants_of_files(files[:1], files[0].parent)[0].half == (HALF, HALF)


def test_it_goes_on_without_a_cache(files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = files[0].parent
    (tmp_path / "build").write_text("a file, where the folder of the cache should be")
    found = quadrants_of_files(files, folder)
    assert quadrants_of_files(files, folder) == found
    monkeypatch.setattr(overlap, "find_checkout", lambda: None)
    assert quadrants_of_files(files, folder) == found
    with pytest.raises(DatasetError, match="cannot be reached"):
        quadrants_of_files([*files, folder / "missing.png"], folder)


@pytest.mark.skipif("SCGCNET_DATA" not in os.environ, reason="SCGCNET_DATA does not name the real data")
def test_real_hokkaido_tiles() -> None:
    try:
        data = open_whole("cld")
    except DatasetError:
        pytest.skip("no CAS-Landslide-Dataset in SCGCNET_DATA")
    tiles = [index for index, name in enumerate(data.names) if name.startswith("hokkaido/1")]
    if len(data) != 36 or len(tiles) != 36:
        pytest.skip("not the 36 tiles at hand")
    found = [quadrants(data[index].image) for index in tiles]
    assert len(shared_quadrants(found)) == 10
    assert Counter(Counter(find_overlap(found).groups).values()) == {1: 23, 2: 5, 3: 1}
