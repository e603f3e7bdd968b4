"""The pool of a new domain, its nested increments, and the part that is never in it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.data import DatasetError, Sample, Split, WholeDataset
from scgcnet.data.increments import PERCENTS, By, increment_split


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


def test_parts_are_no_sites() -> None:
    whole = Tiles(10, 10, sites=True)
    whole.sites = ("train", "test") * 10
    with pytest.raises(DatasetError, match="has no sites to choose among; draw the increments by patch"):
        increment_split(whole, 5, 0, "site")
