from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from scgcnet.data import (
    PARTS,
    DatasetError,
    DatasetNotFoundError,
    EvalTransform,
    check_dataset,
    data_sha256,
    open_dataset,
)
from scgcnet.data.hrgldd import FOLDER, RGB, WHITE, check_hrgldd, notes_hrgldd, open_hrgldd

SIZES = {"train": 3, "val": 2, "test": 2}


def tile(part: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers about those of the real tiles, some beyond the white, and a mask with a bar."""
    rng = np.random.default_rng([PARTS.index(part), index])
    mask = np.zeros((128, 128, 1), np.float32)
    mask[index : index + 9, 20:60] = 1
    return rng.uniform(-0.05, [0.6, 0.6, 0.6, 1.2], (128, 128, 4)).astype(np.float32), mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    for part, size in SIZES.items():
        images, masks = zip(*(tile(part, index) for index in range(size)), strict=True)
        save(tmp_path, f"{part}X", np.stack(images))
        save(tmp_path, f"{part}Y", np.stack(masks))
    return tmp_path


def path(root: Path, name: str) -> Path:
    return root / FOLDER / f"{name}.npy"


def save(root: Path, name: str, array: np.ndarray) -> None:
    np.save(path(root, name), array)


def change(root: Path, name: str, place: tuple[object, ...], value: float) -> None:
    array = np.load(path(root, name))
    array[place] = value
    save(root, name, array)


def the_error(root: Path) -> str:
    """The one error that reading everything gives; the check must list just that one."""
    with pytest.raises(DatasetError) as caught:
        list(open_hrgldd(root))
    assert check_hrgldd(root) == [str(caught.value)]
    return str(caught.value)


def test_values_come_back(root: Path) -> None:
    data = open_hrgldd(root)
    assert data.names == ("test_0000", "test_0001", "train_0000", "train_0001", "train_0002", "val_0000", "val_0001")
    assert data.sites == ("test", "test", "train", "train", "train", "val", "val")
    assert (data.dataset, data.kind) == ("hrgldd", "real")
    for sample in data:
        part, index = sample.name.split("_")
        values, mask = tile(part, int(index))
        assert sample.image.dtype == sample.mask.dtype == np.uint8
        for channel, band in enumerate((2, 1, 0)):
            expected = np.rint(np.clip(values[..., band].astype(np.float64), 0, 0.5) * 510)
            np.testing.assert_array_equal(sample.image[..., channel], expected)
        np.testing.assert_array_equal(sample.mask, mask[..., 0])
        assert sample.resolution == 3.0
    assert check_hrgldd(root) == []


def test_other_bands_and_orders(root: Path) -> None:
    usual = open_hrgldd(root)[0].image
    np.testing.assert_array_equal(open_hrgldd(root, bands=(0, 1, 2))[0].image, usual[..., ::-1])
    four = open_hrgldd(root, bands=(*RGB, 3))[0].image
    assert four.shape == (128, 128, 4)
    np.testing.assert_array_equal(four[..., :3], usual)
    values = tile("test", 0)[0][..., 3].astype(np.float64)
    np.testing.assert_array_equal(four[..., 3], np.rint(np.clip(values, 0, 1) * 255))
    assert EvalTransform(32)(open_hrgldd(root, bands=(*RGB, 3))[0])[0].shape == (4, 32, 32)
    with pytest.raises(DatasetError, match=r"HR-GLDD has the bands 0 to 3: name one or more of them, not \(4,\)"):
        open_hrgldd(root, bands=(4,))


def test_published_means_give_inputs_in_range() -> None:
    """An average pixel must be neither black nor white, and bare soil thrice as bright must not be clipped."""
    means = np.array([0.107, 0.148, 0.137, 0.500])
    assert (np.array(WHITE) / means > 1.9).all()
    assert (np.array(WHITE)[:3] / means[:3] > 3).all()
    normalised = (means[[2, 1, 0]] / 0.5 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    assert (np.abs(normalised) < 1).all()


def test_parts_are_those_it_came_in(root: Path) -> None:
    for part in PARTS:
        names = open_dataset("hrgldd", 0, part, root).names
        assert names == tuple(f"{part}_{index:04d}" for index in range(SIZES[part]))
    for which in ("1", "random-0"):
        with pytest.raises(DatasetError, match=f"hrgldd comes split: only split 0, not '{which}'"):
            open_dataset("hrgldd", which, "train", root)


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float64])
def test_types_of_masks_and_images_do_not_matter(root: Path, dtype: type) -> None:
    before = data_sha256("hrgldd", root)
    for part in PARTS:
        save(root, f"{part}Y", np.load(path(root, f"{part}Y")).astype(dtype))
        save(root, f"{part}X", np.load(path(root, f"{part}X")).astype(np.float64))
    assert data_sha256("hrgldd", root) == before


def test_a_changed_file_is_read_anew(root: Path) -> None:
    data = open_hrgldd(root)
    assert open_hrgldd(root) is data and open_hrgldd(root)[0] is data[0]
    change(root, "testX", (0, 0, 0, 2), 0.3)
    save(root, "testX", np.concatenate([np.load(path(root, "testX"))] * 2))
    save(root, "testY", np.concatenate([np.load(path(root, "testY"))] * 2))
    assert len(open_hrgldd(root)) == 9
    assert open_hrgldd(root)[0].image[0, 0, 0] == 153


def test_files_are_not_held_whole(tmp_path: Path) -> None:
    """Opening, and reading one tile of 64 MiB, takes no more than some tiles; nor does a copy for another process."""
    (tmp_path / FOLDER).mkdir()
    for part in PARTS:
        np.lib.format.open_memmap(path(tmp_path, f"{part}X"), "w+", np.float32, (256, 128, 128, 4))
        np.lib.format.open_memmap(path(tmp_path, f"{part}Y"), "w+", np.float32, (256, 128, 128, 1))
    tracemalloc.start()
    data = open_hrgldd(tmp_path)
    sample = data[700]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sample.name == "val_0188" and peak < 8 << 20
    assert len(pickle.dumps(data)) < 1 << 20


def test_missing_folder_and_file(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        open_hrgldd(tmp_path / "none")
    assert "zenodo.org/records/7189381" in str(caught.value) and "SCGCNET_DATA" in str(caught.value)
    assert check_hrgldd(tmp_path / "none") == [str(caught.value)]
    path(root, "valY").unlink()
    assert the_error(root) == f"{path(root, 'valY')} is missing; unpack the download again."


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("trainX", (3, 128, 128, 3), "(N, 128, 128, 4)"),
        ("trainX", (3, 4, 128, 128), "(N, 128, 128, 4)"),
        ("trainX", (128, 128, 4), "(N, 128, 128, 4)"),
        ("trainX", (0, 128, 128, 4), "(N, 128, 128, 4)"),
        ("trainY", (3, 128, 128), "(N, 128, 128, 1)"),
        ("trainY", (3, 64, 64, 1), "(N, 128, 128, 1)"),
    ],
)
def test_wrong_shape(root: Path, name: str, shape: tuple[int, ...], wanted: str) -> None:
    save(root, name, np.zeros(shape, np.float32))
    message = the_error(root)
    assert message.startswith(f"{path(root, name)}")
    assert f"the shape must be {wanted}, found {shape}" in message or (0 in shape and "cannot be read" in message)


@pytest.mark.parametrize(("name", "dtype"), [("valX", np.uint16), ("valX", np.complex64), ("valY", "U3")])
def test_wrong_type(root: Path, name: str, dtype: str) -> None:
    save(root, name, np.zeros_like(np.load(path(root, name)), dtype))
    assert the_error(root).startswith(f"{path(root, name)}: there must be ")


def test_lengths_differ(root: Path) -> None:
    save(root, "trainY", np.load(path(root, "trainY"))[:2])
    assert f"{path(root, 'trainY')} has 2 masks, but trainX.npy has 3 images" in the_error(root)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("band", [1, 3])
def test_numbers_that_are_none(root: Path, value: float, band: int) -> None:
    """Of any band: whether the data set is whole does not depend on which are read."""
    change(root, "trainX", (1, slice(5), 7, band), value)
    message = the_error(root)
    assert message.startswith(f"{path(root, 'trainX')}, tile 1: 5 of 65536 values are NaN or infinite.")


@pytest.mark.parametrize("value", [0.5, 2, 255, -1, np.nan])
def test_mask_values(root: Path, value: float) -> None:
    change(root, "testY", (1, 3, 3, 0), value)
    assert the_error(root).startswith(f"{path(root, 'testY')}, tile 1: mask values must be 0 and 1, found {value:g}.")


@pytest.mark.parametrize("keep", [0, 5, 60, 1000, -1])
def test_truncated_file(root: Path, keep: int) -> None:
    file = path(root, "trainX")
    file.write_bytes(file.read_bytes()[:keep])
    assert the_error(root).startswith(f"{file} cannot be read as an array of numbers: it is truncated, damaged")


def test_pickled_objects_are_never_loaded(root: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    np.save(path(root, "trainY"), np.array([Trap()] * 3, dtype=object), allow_pickle=True)
    assert "holds pickled objects, which are never loaded" in the_error(root)
    path(root, "trainY").write_bytes(pickle.dumps(Trap()))
    assert "holds pickled objects, which are never loaded" in the_error(root)
    assert not (tmp_path / "sprung").exists()


def test_an_archive_of_arrays(root: Path) -> None:
    with path(root, "valX").open("wb") as file:
        np.savez(file, a=np.zeros(3))
    assert "found an archive of arrays" in the_error(root)


def test_check_lists_every_fault(root: Path) -> None:
    change(root, "trainX", (0, 0, 0, 0), np.nan)
    change(root, "trainX", (2, 0, 0, 0), np.inf)
    change(root, "trainY", (2, 0, 0, 0), 7)
    path(root, "valX").unlink()
    save(root, "valY", np.zeros((2, 128, 128)))
    save(root, "testY", np.load(path(root, "testY"))[:1])
    faults = check_dataset("hrgldd", root)
    expected = ["trainX.npy, tile 0: 1 of", "trainX.npy, tile 2: 1 of", "trainY.npy, tile 2: mask values",
                "valX.npy is missing", "valY.npy: the shape", "testY.npy has 1 masks"]  # fmt: skip
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)
    with pytest.raises(DatasetError, match=r"valX\.npy is missing.* \(2 more; `scgcnet data check` lists all\)"):
        open_hrgldd(root)


def test_notes_tell_other_counts(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert notes_hrgldd(root) == [
        "HR-GLDD: the part train has 3 tiles; 1119 were published.",
        "HR-GLDD: the part val has 2 tiles; 284 were published.",
        "HR-GLDD: the part test has 2 tiles; 355 were published.",
    ]
    monkeypatch.setattr("scgcnet.data.hrgldd.COUNTS", SIZES)
    assert notes_hrgldd(root) == []
    path(root, "valX").unlink()  # a fault, not a note
    assert notes_hrgldd(root) == []
    with pytest.raises(DatasetNotFoundError):
        notes_hrgldd(root / "none")


def test_a_head_that_does_not_fit_the_size(root: Path) -> None:
    file = path(root, "trainX")
    content = file.read_bytes()
    file.write_bytes(content + bytes(999))
    with pytest.raises(DatasetError, match=r"trainX\.npy: its head and its size disagree"):
        open_hrgldd(root)
    moved = bytearray(content)
    moved[8] ^= 16  # the length of the head, so every pixel moves
    file.write_bytes(moved)
    with pytest.raises(DatasetError, match=r"trainX\.npy"):
        open_hrgldd(root)


def test_values_that_are_not_scaled(root: Path) -> None:
    save(root, "trainX", np.load(path(root, "trainX")) * 10000)
    assert all("not scaled as published" in fault for fault in check_dataset("hrgldd", root))
    assert check_dataset("hrgldd", root)
