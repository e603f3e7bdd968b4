"""HR-GLDD: arrays of tiles, their bands, and files that are not what they should be."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from scgcnet.data import PARTS, DatasetError, EvalTransform, check_dataset, data_sha256, open_dataset
from scgcnet.data.hrgldd import RGB, HrGldd

SIZES = {"train": 3, "val": 2, "test": 2}


def tile(part: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers about those of the real tiles, some beyond the white, and a mask with a bar."""
    rng = np.random.default_rng([PARTS.index(part), index])
    mask = np.zeros((128, 128, 1), np.float32)
    mask[index : index + 9, 20:60] = 1
    return rng.uniform(-0.05, [0.6, 0.6, 0.6, 1.2], (128, 128, 4)).astype(np.float32), mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / HrGldd.home).mkdir()
    for part, size in SIZES.items():
        images, masks = zip(*(tile(part, index) for index in range(size)), strict=True)
        save(tmp_path, f"{part}X", np.stack(images))
        save(tmp_path, f"{part}Y", np.stack(masks))
    return tmp_path


def path(root: Path, name: str) -> Path:
    return root / HrGldd.home / f"{name}.npy"


def save(root: Path, name: str, array: np.ndarray) -> None:
    np.save(path(root, name), array)


def the_error(root: Path) -> str:
    """The one error that reading everything gives; the check must list just that one."""
    with pytest.raises(DatasetError) as caught:
        list(HrGldd.open(root))
    assert check_dataset("hrgldd", root) == [str(caught.value)]
    return str(caught.value)


def test_values_come_back(root: Path) -> None:
    data = HrGldd.open(root)
    assert data.names == ("test_0000", "test_0001", "train_0000", "train_0001", "train_0002", "val_0000", "val_0001")
    for sample, part in zip(data, data.sites, strict=True):
        values, mask = tile(part, int(sample.name[-1]))
        for channel, band in enumerate((2, 1, 0)):
            expected = np.rint(np.clip(values[..., band].astype(np.float64), 0, 0.5) * 510)
            np.testing.assert_array_equal(sample.image[..., channel], expected)
        np.testing.assert_array_equal(sample.mask, mask[..., 0])
        assert sample.resolution == 3.0
    for part in PARTS:
        assert set(open_dataset("hrgldd", 0, part, root).sites) == {part}
    with pytest.raises(DatasetError, match="hrgldd comes split: only split 0, not 'random-0'"):
        data.split("random-0")


def test_other_bands_and_orders(root: Path) -> None:
    usual = HrGldd.open(root)[0].image
    np.testing.assert_array_equal(HrGldd.open(root, bands=(0, 1, 2))[0].image, usual[..., ::-1])
    four = HrGldd.open(root, bands=(*RGB, 3))[0]
    np.testing.assert_array_equal(four.image[..., :3], usual)
    values = tile("test", 0)[0][..., 3].astype(np.float64)
    np.testing.assert_array_equal(four.image[..., 3], np.rint(np.clip(values, 0, 1) * 255))
    assert EvalTransform(32)(four)[0].shape == (4, 32, 32)
    with pytest.raises(DatasetError, match=r"HR-GLDD has the bands 0 to 3: name one or more of them, not \(4,\)"):
        HrGldd.open(root, bands=(4,))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float64])
def test_number_types_do_not_matter(root: Path, dtype: type) -> None:
    before = data_sha256("hrgldd", root)
    for part in PARTS:
        save(root, f"{part}Y", np.load(path(root, f"{part}Y")).astype(dtype))
        save(root, f"{part}X", np.load(path(root, f"{part}X")).astype(np.float64))
    assert data_sha256("hrgldd", root) == before


def test_files_are_not_held_whole(tmp_path: Path) -> None:
    """Opening, and reading one tile of 64 MiB, takes no more than some tiles; nor does a copy for another process."""
    (tmp_path / HrGldd.home).mkdir()
    for part in PARTS:
        np.lib.format.open_memmap(path(tmp_path, f"{part}X"), "w+", np.float32, (256, 128, 128, 4))
        np.lib.format.open_memmap(path(tmp_path, f"{part}Y"), "w+", np.float32, (256, 128, 128, 1))
    tracemalloc.start()
    data = HrGldd.open(tmp_path)
    sample = data[700]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sample.name == "val_0188" and peak < 8 << 20
    assert len(pickle.dumps(data)) < 1 << 20


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "trainX",
            np.zeros((3, 128, 128, 3), np.float32),
            "the shape must be (N, 128, 128, 4), found (3, 128, 128, 3)",
        ),
        ("trainY", np.zeros((3, 128, 128), np.float32), "the shape must be (N, 128, 128, 1)"),
        ("valX", np.zeros((2, 128, 128, 4), np.uint16), "there must be floating-point numbers"),
        ("valY", np.zeros((2, 128, 128, 1), "U3"), "there must be numbers or truth values"),
        ("trainY", np.zeros((2, 128, 128, 1)), "has 2 masks, but trainX.npy has 3 images"),
    ],
)
def test_wrong_arrays(root: Path, name: str, array: np.ndarray, message: str) -> None:
    save(root, name, array)
    assert the_error(root).startswith(f"{path(root, name)}") and message in the_error(root)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("trainX", (1, slice(5), 7, 3), np.nan, "trainX.npy, tile 1: 5 of 65536 values are NaN or infinite."),
        ("trainX", (1, 0, 7, 1), np.inf, "trainX.npy, tile 1: 1 of 65536 values"),
        ("testY", (1, 3, 3, 0), 0.5, "testY.npy, tile 1: mask values must be 0 and 255 (or 0 and 1), found 0.5."),
        ("testY", (1, 3, 3, 0), np.nan, "found nan."),
        ("valX", (1,), 3000, "valX.npy, tile 1: half of its values are not between 0 and 1"),
    ],
)
def test_wrong_values(root: Path, name: str, place: tuple[object, ...], value: float, message: str) -> None:
    array = np.load(path(root, name))
    array[place] = value
    save(root, name, array)
    assert message in the_error(root)


@pytest.mark.parametrize("keep", [0, 5, 60, 1000, -1])
def test_a_truncated_file(root: Path, keep: int) -> None:
    file = path(root, "trainX")
    file.write_bytes(file.read_bytes()[:keep])
    assert the_error(root).startswith(f"{file} cannot be read as an array of numbers: it is truncated, damaged")
