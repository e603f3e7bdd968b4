from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.data import PARTS, DatasetError, Sample, Split, WholeDataset
from scgcnet.data.splits import (
    Box,
    By,
    blocked_split,
    committed_split,
    grouped_split,
    increment_split,
    random_split,
    read_split,
    split_hash,
    split_indices,
    write_split,
)

OFFICIAL = [f"{site}{i:03d}" for site in ("df", "hz", "js", "nyx", "qx", "qxg", "wn") for i in range(110)]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_committed_splits(number: int) -> None:
    split = read_split(committed_split("bijie", number))
    assert list(split) == [f"ls_{i:04d}" for i in range(770)]
    assert Counter(split.values()) == {"train": 385, "val": 231, "test": 154}
    with pytest.raises(DatasetError, match=r"no committed split bijie-3\.csv; take one of bijie-0\.csv"):
        committed_split("bijie", 3)


def test_match_by_rank_when_all_770_official_names_are_there() -> None:
    path = committed_split("bijie", 0)
    split = read_split(path)
    by_rank = split_indices(sorted(OFFICIAL), split, str(path))
    assert by_rank == split_indices(list(split), split, str(path))
    assert sorted(i for indices in by_rank.values() for i in indices) == list(range(770))


@pytest.mark.parametrize(
    "names",
    [
        OFFICIAL[:-1],  # one is missing: the ranks after it would shift
        [*OFFICIAL, "zz000"],
        [f"ls_{i:04d}" for i in range(769)],
        [f"ls_{i:04d}" for i in range(1, 771)],  # 770, and most of the names agree: ranks would be off by one
    ],
)
def test_no_guessing_otherwise(names: list[str]) -> None:
    path = committed_split("bijie", 0)
    with pytest.raises(DatasetError, match=r"bijie-0\.csv does not fit the data") as caught:
        split_indices(sorted(names), read_split(path), str(path))
    assert f"the folder holds {len(names)} pairs" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,part\na,train\nb,val\nc,test\na,val\n", "'a' is listed twice"),
        ("name,part\na,train\nb,val\nc,testing\n", "part 'testing' of 'c' must be one of train, val, test"),
        ("name,part\na,train\nb,val\n", "no image is in part 'test'"),
        ("file,part\na,train\n", "columns must be name,part"),
        ("", "columns must be name,part"),
    ],
)
def test_faulty_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_split(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("n", "sizes"), [(3, (1, 1, 1)), (10, (5, 3, 2)), (60, (30, 18, 12)), (770, (385, 231, 154))])
def test_random_split(n: int, sizes: tuple[int, int, int]) -> None:
    names = [f"x{i}" for i in range(n)]
    split = random_split(names, seed=1)
    assert list(split) == names
    counts = Counter(split.values())
    assert tuple(counts[part] for part in PARTS) == sizes
    assert random_split(names, seed=1) == split
    if n >= 10:
        assert random_split(names, seed=2) != split
    with pytest.raises(DatasetError, match="at least 3"):
        random_split(names[:2], seed=0)


def test_hash_ignores_line_endings_and_order(tmp_path: Path) -> None:
    a, b, c = (tmp_path / f"{name}.csv" for name in "abc")
    write_split(a, {"x": "train", "y": "val", "z": "test"})
    b.write_bytes(b"name,part\r\nz,test\r\ny,val\r\nx,train\r\n")
    write_split(c, {"x": "train", "y": "test", "z": "val"})
    first, second, third = (split_hash(read_split(path)) for path in (a, b, c))
    assert first == second != third


@given(st.lists(st.integers(0, 8), min_size=12, max_size=80), st.integers(0, 5))
def test_a_grouped_split_divides_no_group(numbers: list[int], seed: int) -> None:
    names, groups = [f"x{i}" for i in range(len(numbers))], [f"g{n}" for n in numbers]
    if len(set(groups)) < 3:
        with pytest.raises(DatasetError, match="at least 3 of them"):
            grouped_split(names, groups, seed)
        return
    split = grouped_split(names, groups, seed)
    assert list(split) == names
    assert set(split.values()) == set(PARTS)
    assert len({(group, split[name]) for name, group in zip(names, groups, strict=True)}) == len(set(groups))
    assert grouped_split(names, groups, seed) == split


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=30, max_size=60), st.integers(0, 3))
def test_a_buffer_keeps_pixels_apart(places: set[tuple[int, int]], seed: int) -> None:
    """Tiles at half overlap: with a buffer no two of different parts share a pixel."""
    boxes = [Box("scene", 8 * y, 8 * x, 8 * y + 16, 8 * x + 16) for y, x in sorted(places)]
    names = [f"x{i}" for i in range(len(boxes))]
    try:
        split = blocked_split(names, boxes, seed, 32, buffer=True)
    except DatasetError as error:
        assert "leave no tile" in str(error) or "at least 3 of them" in str(error)
        return
    used = [(box, split[name]) for name, box in zip(names, boxes, strict=True) if split[name] != "unused"]
    assert not any(p != q and one.overlaps(other) for one, p in used for other, q in used)


PERCENTS = (0, 1, 5, 10, 20)  # those of the paper


class Tiles(WholeDataset):
    """`slides` tiles with a landslide, `empty` without, one site after each seven."""

    def __init__(self, slides: int, empty: int, sites: bool = False) -> None:
        n = slides + empty
        super().__init__(
            "tiles",
            "synthetic",
            tuple(f"t{i:04d}" for i in range(n)),
            tuple(f"s{i // 7}" for i in range(n)) if sites else (),
        )
        self.slides = slides

    def read(self, index: int) -> Sample:
        mask = np.full((1, 2), index < self.slides, np.uint8)
        return Sample(self.names[index], np.zeros((1, 2, 3), np.uint8), mask)

    def split(self, which: str) -> Split:
        raise NotImplementedError


def drawn(split: Split, part: str) -> set[str]:
    return {name for name, given in split.items() if given == part}


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 5), st.sampled_from(["patch", "site"]))
def test_increments_are_nested_and_the_test_part_is_fixed(slides: int, empty: int, seed: int, by: By) -> None:
    whole = Tiles(slides, empty, sites=True)
    if slides + empty < 15:
        return
    splits = [increment_split(whole, percent, seed, by) for percent in PERCENTS]
    tests = [drawn(split, "test") for split in splits]
    assert all(test == tests[0] for test in tests)
    assert drawn(splits[0], "train") == set()
    for smaller, larger in pairwise(splits):
        assert drawn(smaller, "train") <= drawn(larger, "train")
    if by == "patch":  # the largest increment is the pool
        assert drawn(splits[-1], "unused") == set()
    else:  # whole sites are in the pool, which may hold more than a fifth
        assert [len(drawn(split, "train")) for split in splits] == [round(len(whole) * p / 100) for p in PERCENTS]
    assert drawn(splits[-1], "train") | drawn(splits[-1], "unused") | tests[0] == set(whole.names)
    if by == "site":
        site = dict(zip(whole.names, whole.sites, strict=True))
        assert not {site[name] for name in drawn(splits[-1], "train")} & {site[name] for name in tests[0]}


def test_a_pool_by_patch_has_a_fifth_of_each_kind() -> None:
    whole = Tiles(100, 300)
    slides = set(whole.names[:100])
    for percent in PERCENTS:
        train = drawn(increment_split(whole, percent, 0), "train")
        assert (len(train & slides), len(train - slides)) == (percent, 3 * percent)
    assert increment_split(whole, 5, 0) == increment_split(whole, 5, 0) != increment_split(whole, 5, 1)


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(DatasetError, match="An increment of 21 % cannot be drawn from a pool of 20 %"):
        increment_split(Tiles(10, 10), 21, 0)
    with pytest.raises(DatasetError, match="tiles has no sites to choose among"):
        increment_split(Tiles(10, 10), 5, 0, "site")
    whole = Tiles(10, 10, sites=True)
    whole.sites = ("train", "test") * 10
    with pytest.raises(DatasetError, match="has no sites to choose among; draw the increments by patch"):
        increment_split(whole, 5, 0, "site")
