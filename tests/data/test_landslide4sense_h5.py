from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from scgcnet.data import DatasetError, DatasetNotFoundError, EvalTransform, check_dataset, open_dataset
from scgcnet.data.landslide4sense_h5 import (
    COUNTS,
    FOLDER,
    RGB,
    check_landslide4sense_h5,
    notes_landslide4sense_h5,
    open_landslide4sense_h5,
)
from scgcnet.data.splits import random_split


def tile(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers about those of the real tiles, some above the white, and a mask with a bar."""
    mask = np.zeros((128, 128), np.uint8)
    mask[number, 20:60] = 1
    return np.random.default_rng(number).uniform(0, 6, (128, 128, 14)), mask


def image_file(root: Path, number: int | str, folder: str = "TrainData") -> Path:
    return root / FOLDER / folder / "img" / f"image_{number}.h5"


def mask_file(root: Path, number: int | str, folder: str = "TrainData") -> Path:
    return root / FOLDER / folder / "mask" / f"mask_{number}.h5"


def save(file: Path, key: str, array: np.ndarray, **options: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as content:
        content.create_dataset(key, data=array, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Ten training tiles: the tenth must not come between the first and the second."""
    for number in range(1, 11):
        image, mask = tile(number)
        save(image_file(tmp_path, number), "img", image)
        save(mask_file(tmp_path, number), "mask", mask)
    return tmp_path


def the_error(root: Path) -> str:
    """The one error that reading everything gives; the check must list just that one."""
    with pytest.raises(DatasetError) as caught:
        list(open_landslide4sense_h5(root))
    assert check_landslide4sense_h5(root) == [str(caught.value)]
    return str(caught.value)


def test_values_come_back(root: Path) -> None:
    data = open_landslide4sense_h5(root)
    assert data.names == tuple(f"train_{number:04d}" for number in range(1, 11))
    assert set(data.sites) == {"train"}
    assert (data.dataset, data.kind) == ("landslide4sense_h5", "real")
    for number, sample in enumerate(data, start=1):
        values, mask = tile(number)
        assert sample.image.dtype == sample.mask.dtype == np.uint8
        np.testing.assert_array_equal(sample.image, np.rint(np.minimum(values[..., [3, 2, 1]], 5) * 51))
        np.testing.assert_array_equal(sample.mask, mask)
        assert sample.resolution == 10.0
    assert check_landslide4sense_h5(root) == []


def test_other_bands_and_orders(root: Path) -> None:
    everything = open_landslide4sense_h5(root, bands=(*RGB, *range(14)))[4].image
    assert everything.shape == (128, 128, 17)
    np.testing.assert_array_equal(everything[..., :3], open_landslide4sense_h5(root)[4].image)
    np.testing.assert_array_equal(everything[..., 3:], np.rint(np.minimum(tile(5)[0], 5) * 51))
    terrain = open_landslide4sense_h5(root, bands=(3, 2, 1, 7, 12, 13))[4]
    np.testing.assert_array_equal(terrain.image, everything[..., [0, 1, 2, 10, 15, 16]])
    assert EvalTransform(32)(terrain)[0].shape == (6, 32, 32)
    with pytest.raises(DatasetError, match="Landslide4Sense has the bands 0 to 13"):
        open_landslide4sense_h5(root, bands=(14,))


@pytest.mark.parametrize("options", [{"compression": "gzip"}, {"chunks": (32, 32, 14)}, {"dtype": "f4"}])
def test_other_ways_to_store_the_same(root: Path, options: dict[str, object]) -> None:
    before = open_landslide4sense_h5(root)[0].image
    save(image_file(root, 1), "img", tile(1)[0], **options)
    np.testing.assert_array_equal(open_landslide4sense_h5(root)[0].image, before)


def test_splits_are_drawn_from_the_training_tiles(root: Path) -> None:
    data = open_landslide4sense_h5(root)
    assert data.split("0") == data.split("random-0") == random_split(data.names, 0)
    assert Counter(data.split("1").values()) == {"train": 5, "val": 3, "test": 2}
    assert data.split("1") != data.split("0")
    assert len(open_dataset("landslide4sense_h5", 0, "train", root)) == 5
    with pytest.raises(DatasetError, match="name random-SEED"):
        data.split("block-0")
    with pytest.raises(DatasetError, match="no split 'official': there are no masks in ValidData, TestData"):
        data.split("official")


def test_all_masks_are_there(root: Path) -> None:
    """The copy at Zenodo has masks for every part: these make the official split, and stay out of random ones."""
    for folder in ("ValidData", "TestData"):
        for number in (1, 2):
            save(image_file(root, number, folder), "img", tile(20 + number)[0])
            save(mask_file(root, number, folder), "mask", tile(20 + number)[1])
    data = open_landslide4sense_h5(root)
    assert data.names[:3] == ("test_0001", "test_0002", "train_0001") and data.names[-1] == "val_0002"
    assert data.sites == ("test",) * 2 + ("train",) * 10 + ("val",) * 2
    assert data.split("official") == dict(zip(data.names, data.sites, strict=True))
    drawn = data.split("0")
    assert {name for name, part in drawn.items() if part == "unused"} == {n for n in data.names if "train" not in n}
    assert drawn.items() >= random_split(data.names[2:12], 0).items()
    test = open_dataset("landslide4sense_h5", "official", "test", root)
    np.testing.assert_array_equal(test[1].mask, tile(22)[1])


def test_images_without_masks_are_left_out(root: Path) -> None:
    """As they were during the competition."""
    save(image_file(root, 1, "ValidData"), "img", tile(1)[0])
    assert len(open_landslide4sense_h5(root)) == 10
    assert check_landslide4sense_h5(root) == []


def test_missing_folders(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        open_landslide4sense_h5(tmp_path / "none")
    assert "zenodo.org/records/10463239" in str(caught.value)
    assert check_landslide4sense_h5(tmp_path / "none") == [str(caught.value)]
    shutil.rmtree(mask_file(root, 1).parent)
    assert the_error(root) == f"{mask_file(root, 1).parent} is missing; unpack the download again."


def test_unpaired_files(root: Path) -> None:
    mask_file(root, 3).unlink()
    assert the_error(root).startswith(f"{image_file(root, 3)} has no partner mask/mask_3.h5; add it")
    image_file(root, 3).unlink()
    image_file(root, 7).unlink()
    assert the_error(root).startswith(f"{mask_file(root, 7)} has no partner img/image_7.h5; add it")


@pytest.mark.parametrize("name", ["image_01.h5", "image_x.h5", "mask_1.h5", "image_.h5", "image_²1.h5"])
def test_names_that_are_no_number(root: Path, name: str) -> None:
    shutil.copy(image_file(root, 1), image_file(root, 1).with_name(name))
    message = the_error(root)
    assert message.startswith(str(image_file(root, 1).with_name(name)))
    assert "the name must be image_1.h5, image_2.h5, ...; rename or remove the file" in message


def test_wrong_arrays(root: Path) -> None:
    image, mask = tile(1)
    for key, array, words in (
        ("image", image, "has no array 'img', only image."),
        (
            "img",
            image[..., :3],
            "'img' must hold floating-point numbers of the shape (128, 128, 14), found float64",
        ),
        ("img", image.astype(np.uint16), "found uint16 of the shape (128, 128, 14)"),
        ("img", image.astype(np.complex128), "found complex128"),
        ("img", image.astype("S3"), "found |S3"),
    ):
        save(image_file(root, 1), key, array)
        message = the_error(root)
        assert message.startswith(str(image_file(root, 1))) and words in message
    with h5py.File(image_file(root, 1), "w") as file:
        file.create_group("img")
    assert "has no array 'img', only img." in the_error(root)
    with h5py.File(image_file(root, 1), "w"):
        pass
    assert "has no array 'img', only nothing." in the_error(root)
    save(image_file(root, 1), "img", image)
    save(mask_file(root, 1), "mask", mask[..., None])
    assert "'mask' must hold numbers or truth values of the shape (128, 128), found uint8" in the_error(root)


def test_values_that_are_wrong(root: Path) -> None:
    image, mask = tile(1)
    image[3, 3, 13] = np.nan
    save(image_file(root, 1), "img", image)
    assert the_error(root).startswith(f"{image_file(root, 1)}: 1 of 229376 values are NaN or infinite.")
    save(image_file(root, 1), "img", tile(1)[0])
    save(mask_file(root, 1), "mask", mask * 2)
    assert the_error(root).startswith(f"{mask_file(root, 1)}: mask values must be 0 and 1, found 2.")


@pytest.mark.parametrize("keep", [0, 7, 1000, 100_000, -1])
def test_truncated_file(root: Path, keep: int) -> None:
    file = image_file(root, 2)
    file.write_bytes(file.read_bytes()[:keep])
    assert the_error(root).startswith(f"{file} cannot be read as HDF5, it is truncated or damaged")


def test_check_lists_every_fault(root: Path) -> None:
    image_file(root, 1).write_bytes(b"<html>404</html>")
    save(mask_file(root, 1), "mask", tile(1)[1] * 7)
    save(image_file(root, 2), "other", tile(2)[0])
    mask_file(root, 9).unlink()
    faults = check_dataset("landslide4sense_h5", root)
    expected = ["image_9.h5 has no partner", "image_1.h5 cannot be read", "mask_1.h5: mask values", "no array 'img'"]
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)


def test_notes_tell_other_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert notes_landslide4sense_h5(root) == [
        "Landslide4Sense: TrainData has 10 tiles with a mask; 3799 were published.",
        "Landslide4Sense: ValidData has no tiles with a mask; 245 were published.",
        "Landslide4Sense: TestData has no tiles with a mask; 800 were published.",
    ]
    monkeypatch.setitem(COUNTS, "train", 10)
    assert len(notes_landslide4sense_h5(root)) == 2


def test_without_h5py(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DatasetError, match=r"need the package h5py, which is not installed: pip install h5py, or"):
        open_landslide4sense_h5(root)
    (fault,) = check_landslide4sense_h5(root)
    assert "not installed" in fault
