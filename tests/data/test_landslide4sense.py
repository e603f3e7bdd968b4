"""Landslide4Sense as RGB pictures, as official HDF5 files, and both side by side."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from scgcnet.data import PARTS, DatasetError, check_dataset, dataset_notes, open_dataset, open_whole, write_fake
from scgcnet.data.landslide4sense import Landslide4Sense, Landslide4SenseH5
from scgcnet.data.splits import random_split


def picture(index: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((128, 128), np.uint8)
    mask[index, 20:60] = 255
    return np.random.default_rng(index).integers(0, 256, (128, 128, 3), dtype=np.uint8), mask


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for index, part in enumerate(("train", "val", "test", "train")):
        for sub, array in zip(("image", "mask"), picture(index), strict=True):
            folder = tmp_path / Landslide4Sense.home / part / sub
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / f"image_{index}.png")
    return tmp_path


def tile(number: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((128, 128), np.uint8)
    mask[number : number + 9, 20:60] = 1
    return np.random.default_rng(number).uniform(0, 6, (128, 128, 14)), mask


def file_of(root: Path, kind: str, number: int, folder: str = "TrainData") -> Path:
    sub = {"image": "img", "mask": "mask"}[kind]
    return root / Landslide4SenseH5.home / folder / sub / f"{kind}_{number}.h5"


def save(file: Path, key: str, array: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as opened:
        opened[key] = array


def save_tile(root: Path, number: int, folder: str = "TrainData") -> None:
    for kind, key, array in zip(("image", "mask"), ("img", "mask"), tile(number), strict=True):
        save(file_of(root, kind, number, folder), key, array)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(1, 11):
        save_tile(tmp_path, number)
    return tmp_path


def the_error(root: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        list(Landslide4SenseH5.open(root))
    assert check_dataset("landslide4sense_h5", root) == [str(caught.value)]
    return str(caught.value)


def test_pictures_keep_the_split_they_came_in(pictures: Path) -> None:
    data = open_whole("landslide4sense", pictures)
    assert (data.names, data.kind) == (("image_0", "image_1", "image_2", "image_3"), "real")
    for index, sample in enumerate(data):
        np.testing.assert_array_equal(sample.image, picture(index)[0])
        np.testing.assert_array_equal(sample.mask, picture(index)[1] // 255)
        assert sample.resolution == 10.0
    names = [open_dataset("landslide4sense", 0, part, pictures).names for part in PARTS]
    assert names == [("image_0", "image_3"), ("image_1",), ("image_2",)]
    with pytest.raises(DatasetError, match="only split 0, not 'random-0'"):
        data.split("random-0")


def test_a_tile_is_in_one_part_only(pictures: Path) -> None:
    folder = pictures / Landslide4Sense.home
    for sub in ("image", "mask"):
        shutil.copy(folder / "train" / sub / "image_0.png", folder / "test" / sub)
    (fault,) = check_dataset("landslide4sense", pictures)
    assert "has the same name; a tile must be in one part only" in fault


def test_the_official_files_stand_in_and_say_so(tmp_path: Path) -> None:
    write_fake("landslide4sense_h5", tmp_path, n=4)
    official = open_whole("landslide4sense", tmp_path)
    assert official.dataset == "landslide4sense_h5"
    assert official is open_whole("landslide4sense_h5", tmp_path)
    assert check_dataset("landslide4sense", tmp_path) == []
    notes = dataset_notes("landslide4sense", tmp_path)
    assert "official HDF5 files are read" in notes[0] and "4 tiles with a mask; 3799" in notes[1] and len(notes) == 4
    write_fake("landslide4sense", tmp_path, n=3)
    assert open_whole("landslide4sense", tmp_path).dataset == "landslide4sense"
    assert open_whole("landslide4sense_h5", tmp_path) is official
    assert "Landslide4Sense-RGB is read" in dataset_notes("landslide4sense", tmp_path)[0]


def test_official_values_come_back(root: Path) -> None:
    data = Landslide4SenseH5.open(root)
    assert data.names[0] == "train_0001" and data.names[-1] == "train_0010"
    for number, sample in enumerate(data, start=1):
        values, mask = tile(number)
        np.testing.assert_array_equal(sample.image, np.rint(np.clip(values[..., [3, 2, 1]], 0, 5) * 51))
        np.testing.assert_array_equal(sample.mask, mask)
    more = Landslide4SenseH5.open(root, bands=(3, 2, 1, 7, 13))[0].image
    np.testing.assert_array_equal(more[..., :3], data[0].image)
    np.testing.assert_array_equal(more[..., 4], np.rint(np.clip(tile(1)[0][..., 13], 0, 5) * 51))
    with pytest.raises(DatasetError, match="Landslide4Sense has the bands 0 to 13"):
        Landslide4SenseH5.open(root, bands=(14,))


def test_official_splits(root: Path) -> None:
    """The copy at Zenodo has masks for every part: these make the official split, and stay out of random ones."""
    data = Landslide4SenseH5.open(root)
    assert data.split("0") == data.split("random-0") == random_split(data.names, 0) != data.split("1")
    with pytest.raises(DatasetError, match="no split 'official': there are no masks in ValidData, TestData"):
        data.split("official")
    save(file_of(root, "image", 1, "ValidData"), "img", tile(1)[0])  # without a mask, as during the competition
    assert len(Landslide4SenseH5.open(root)) == 10
    for folder in ("ValidData", "TestData"):
        save_tile(root, 1, folder)
    data = Landslide4SenseH5.open(root)
    assert data.names[:2] == ("test_0001", "train_0001") and data.names[-1] == "val_0001"
    assert data.split("official") == dict(zip(data.names, data.sites, strict=True))
    drawn = data.split("0")
    assert {name for name, part in drawn.items() if part == "unused"} == {"test_0001", "val_0001"}
    assert drawn.items() >= random_split(data.names[1:11], 0).items()


@pytest.mark.parametrize(
    ("kind", "key", "array", "message"),
    [
        ("image", "image", tile(1)[0], "has no array 'img', only image."),
        ("image", "img", tile(1)[0][..., :3], "'img' must hold floating-point numbers of the shape (128, 128, 14)"),
        ("image", "img", tile(1)[0].astype(np.uint16), "found uint16 of the shape (128, 128, 14)"),
        ("mask", "mask", tile(1)[1][..., None], "'mask' must hold numbers or truth values of the shape (128, 128)"),
        ("image", "img", np.full((128, 128, 14), np.nan), "229376 of 229376 values are NaN or infinite."),
        ("mask", "mask", tile(1)[1] * 2, "mask values must be 0 and 255 (or 0 and 1), found 2."),
    ],
)
def test_wrong_arrays(root: Path, kind: str, key: str, array: np.ndarray, message: str) -> None:
    save(file_of(root, kind, 1), key, array)
    assert the_error(root).startswith(str(file_of(root, kind, 1))) and message in the_error(root)


def test_faults_of_files(root: Path) -> None:
    file_of(root, "mask", 3).unlink()
    file_of(root, "image", 7).unlink()
    for name in ("image_01.h5", "mask_1.h5", "image_²1.h5"):
        shutil.copy(file_of(root, "image", 1), file_of(root, "image", 1).with_name(name))
    file_of(root, "image", 2).write_bytes(b"<html>404</html>")
    faults = check_dataset("landslide4sense_h5", root)
    expected = [
        "image_3.h5 has no partner mask/mask_3.h5",
        "mask_7.h5 has no partner img/image_7.h5",
        "image_01.h5: the",
    ]
    expected += ["img/mask_1.h5: the name must be image_1.h5", "image_²1.h5: the name", "image_2.h5 cannot be decoded"]
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)


def test_without_h5py(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError, match="need the package h5py, which is not installed"):
        Landslide4SenseH5.open(root)
    (fault,) = check_dataset("landslide4sense_h5", root)
    assert "not installed" in fault
