from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scgcnet.data import (
    PARTS,
    DatasetError,
    DatasetNotFoundError,
    check_dataset,
    dataset_available,
    open_dataset,
    open_whole,
    write_fake,
)
from scgcnet.data.landslide4sense import (
    FOLDER,
    check_landslide4sense,
    notes_landslide4sense,
    open_landslide4sense,
)


def picture(index: int) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((128, 128), np.uint8)
    mask[index, 20:60] = 255
    return np.random.default_rng(index).integers(0, 256, (128, 128, 3), dtype=np.uint8), mask


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for index, part in enumerate(("train", "val", "test", "train")):
        for sub, array in zip(("image", "mask"), picture(index), strict=True):
            (tmp_path / FOLDER / part / sub).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(tmp_path / FOLDER / part / sub / f"image_{index}.png")
    return tmp_path


def the_error(root: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        list(open_landslide4sense(root))
    assert check_landslide4sense(root) == [str(caught.value)]
    return str(caught.value)


def test_values_come_back_with_the_split_they_came_in(root: Path) -> None:
    data = open_landslide4sense(root)
    assert data.names == ("image_0", "image_1", "image_2", "image_3")
    assert data.sites == ("train", "val", "test", "train")
    assert (data.dataset, data.kind) == ("landslide4sense", "real")
    for index, sample in enumerate(data):
        np.testing.assert_array_equal(sample.image, picture(index)[0])
        np.testing.assert_array_equal(sample.mask, picture(index)[1] // 255)
        assert sample.resolution == 10.0
    assert [open_dataset("landslide4sense", 0, part, root).names for part in PARTS] == [
        ("image_0", "image_3"), ("image_1",), ("image_2",)
    ]  # fmt: skip
    with pytest.raises(DatasetError, match="only split 0, not 'random-0'"):
        data.split("random-0")
    assert check_landslide4sense(root) == notes_landslide4sense(root) == []


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match=r"Landslide4Sense, as RGB pictures.*or the official HDF5 files"):
        open_landslide4sense(tmp_path)
    assert len(check_landslide4sense(tmp_path)) == 1
    assert not dataset_available("landslide4sense", tmp_path)
    with pytest.raises(DatasetNotFoundError):
        notes_landslide4sense(tmp_path)


def test_faults(root: Path) -> None:
    file = root / FOLDER / "val" / "mask" / "image_1.png"
    content = file.read_bytes()
    file.write_bytes(content[:60])
    assert f"{file} cannot be decoded" in the_error(root)
    file.unlink()
    assert f"{file.parent} is empty" in the_error(root)
    file.write_bytes(content)
    for sub in ("image", "mask"):
        (root / FOLDER / "test" / sub / "image_0.png").write_bytes(
            (root / FOLDER / "train" / sub / "image_0.png").read_bytes()
        )
    assert "has the same name; a tile must be in one part only" in the_error(root)


def test_the_official_files_stand_in_and_say_so(tmp_path: Path) -> None:
    """One name for both forms: the pictures where they are there, else HDF5, whose split is another."""
    write_fake("landslide4sense_h5", tmp_path, n=4)
    official = open_whole("landslide4sense", tmp_path)
    assert official.dataset == "landslide4sense_h5"
    assert official is open_whole("landslide4sense_h5", tmp_path)
    assert check_dataset("landslide4sense", tmp_path) == []
    assert notes_landslide4sense(tmp_path)[0] == (
        "Landslide4Sense: the official HDF5 files are read, since there is no Landslide4Sense-RGB; split 0 is random-0."
    )
    assert len(notes_landslide4sense(tmp_path)) == 4  # beside it, other counts than were published

    write_fake("landslide4sense", tmp_path, n=3)
    assert open_whole("landslide4sense", tmp_path).dataset == "landslide4sense"
    assert open_whole("landslide4sense_h5", tmp_path) is official
    assert notes_landslide4sense(tmp_path) == [
        "Landslide4Sense: Landslide4Sense-RGB is read; the official HDF5 files beside it are landslide4sense_h5."
    ]


@pytest.mark.skipif("SCGCNET_DATA" not in os.environ, reason="SCGCNET_DATA does not name the real data")
def test_real_pictures() -> None:
    if not dataset_available("landslide4sense") or open_whole("landslide4sense").dataset != "landslide4sense":
        pytest.skip(f"no {FOLDER} in SCGCNET_DATA")
    parts = {part: open_dataset("landslide4sense", 0, part) for part in PARTS}
    assert {part: len(data) for part, data in parts.items()} == {"train": 1385, "val": 396, "test": 199}
    sample = parts["test"][0]
    assert sample.image.shape == (128, 128, 3) and set(np.unique(sample.mask)) <= {0, 1}
