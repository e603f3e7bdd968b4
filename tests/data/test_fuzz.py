"""Every reader on damaged files: right-shaped samples or one DatasetError, never another exception or a crash.

PNG has checksums, so from PNG the samples are the right ones, or there is an error.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scgcnet.data import DatasetError, check_dataset, open_whole, write_fake

NAMES = ("bijie", "landslide4sense", "landslide4sense_h5", "hrgldd")
HEADER = 2048  # bytes in which the structure of an .npy or HDF5 file lies, and most of what can go wrong

clock = itertools.count(1)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny valid data set of each layout."""
    found = {name: tmp_path_factory.mktemp(name) for name in NAMES}
    for name, root in found.items():
        write_fake(name, root, n=3)
        assert check_dataset(name, root) == []
    return found


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """Cut somewhere, or with some bytes changed; half of the places lie near the beginning."""
    places = st.integers(0, min(HEADER, len(content)) - 1) | st.integers(0, len(content) - 1)
    if data.draw(st.integers(0, 3), "cut if 0") == 0:
        return content[: data.draw(places, "length")]
    changed = bytearray(content)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=8), "bytes"):
        changed[place] = value
    return bytes(changed)


def write(file: Path, content: bytes) -> None:
    """Write a file with a time of change of its own: two in a row could else look unchanged to the loader."""
    file.write_bytes(content)
    os.utime(file, ns=(0, next(clock) * 10**9))


def read_all(name: str, root: Path) -> str:
    """Look at all samples; a hash of their pixels."""
    whole = open_whole(name, root)
    for sample in whole:
        assert sample.image.dtype == sample.mask.dtype == np.uint8
        assert sample.image.shape == (*sample.mask.shape, 3)
        assert set(np.unique(sample.mask)) <= {0, 1, 255}
    return whole.sha256


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow and numpy warn of what they can read all the same
@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_damaged_file(roots: dict[str, Path], name: str, data: st.DataObject) -> None:
    root = roots[name]
    files = sorted(path for path in root.rglob("*") if path.suffix in (".png", ".npy", ".h5"))
    file = data.draw(st.sampled_from(files), "file")
    content = file.read_bytes()
    right = read_all(name, root)
    try:
        write(file, damaged(content, data))
        try:
            found = read_all(name, root)
        except DatasetError as error:
            assert str(root) in str(error)
            faults = check_dataset(name, root)
            assert faults and all(str(root) in fault for fault in faults)
        else:
            assert check_dataset(name, root) == []
            assert found == right or file.suffix != ".png"
    finally:
        write(file, content)
