"""Bijie's landslide-free images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bijie_files import picture
from PIL import Image

from scgcnet.data import DatasetError, DatasetNotFoundError, check_dataset, open_dataset, open_whole
from scgcnet.data.bijie import FOLDER


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER / "non-landslide" / "image"
    folder.mkdir(parents=True)
    for index in range(10):
        Image.fromarray(picture(index)[0]).save(folder / f"n{index}.png")
    return tmp_path


def test_masks_are_empty_and_the_split_is_5_3_2(root: Path) -> None:
    whole = open_whole("bijie_negatives", root)
    assert len(whole) == 10
    np.testing.assert_array_equal(whole[3].image, picture(3)[0])
    assert whole[3].mask.shape == (9, 7)
    assert not any(sample.mask.any() for sample in whole)
    assert [len(open_dataset("bijie_negatives", 0, part, root)) for part in ("train", "val", "test")] == [5, 3, 2]
    assert check_dataset("bijie_negatives", root) == []


def test_faults(root: Path, tmp_path: Path) -> None:
    (root / FOLDER / "non-landslide" / "image" / "n4.png").write_bytes(b"")
    (fault,) = check_dataset("bijie_negatives", root)
    assert "n4.png cannot be decoded" in fault
    with pytest.raises(DatasetError, match=r"n4\.png"):
        open_whole("bijie_negatives", root)[4]
    with pytest.raises(DatasetNotFoundError, match="Bijie"):
        open_whole("bijie_negatives", tmp_path / "none")
