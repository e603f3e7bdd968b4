"""Bijie: the official layout, the committed splits, and that any copy of the same pixels is the same data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bijie_files import picture, write_pictures
from PIL import Image

from scgcnet.data import PARTS, DatasetError, check_dataset, open_dataset, open_whole, split_sha256
from scgcnet.data.bijie import Bijie
from scgcnet.data.splits import committed_split, read_split, split_hash, write_split

NAMES = ["df003", "hz001", "hz010"]
OFFICIAL = [f"{site}{i:03d}" for site in ("df", "hz", "js", "nyx", "qx", "qxg", "wn") for i in range(110)]


def image_file(root: Path, name: str) -> Path:
    return root / Bijie.home / "landslide" / "image" / f"{name}.png"


def mask_file(root: Path, name: str) -> Path:
    return root / Bijie.home / "landslide" / "mask" / f"{name}.png"


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("scale", [255, 1])
def test_values_come_back(tmp_path: Path, suffix: str, scale: int) -> None:
    data = open_whole("bijie", write_pictures(tmp_path, NAMES, suffix, scale))
    assert (data.names, data.kind) == (tuple(NAMES), "real")
    for index, sample in enumerate(data):
        np.testing.assert_array_equal(sample.image, picture(index)[0])
        np.testing.assert_array_equal(sample.mask, picture(index)[1])
        assert not sample.image.flags.writeable and not sample.mask.flags.writeable
        assert sample.resolution == 0.8


def test_the_hash_depends_on_pixels_alone(tmp_path: Path) -> None:
    png = open_whole("bijie", write_pictures(tmp_path / "a", NAMES)).sha256
    webp = open_whole("bijie", write_pictures(tmp_path / "b", NAMES, ".webp")).sha256
    renamed = open_whole("bijie", write_pictures(tmp_path / "c", ["ls_0", "ls_1", "ls_2"])).sha256
    swapped = open_whole("bijie", write_pictures(tmp_path / "d", [*NAMES[1:], NAMES[0]])).sha256
    assert png == webp == renamed != swapped


def test_a_full_download_is_split_by_rank(tmp_path: Path) -> None:
    root = write_pictures(tmp_path, OFFICIAL)
    parts = {part: open_dataset("bijie", 0, part, root) for part in PARTS}
    assert {part: len(data) for part, data in parts.items()} == {"train": 385, "val": 231, "test": 154}
    assert sorted(name for data in parts.values() for name in data.names) == sorted(OFFICIAL)
    assert parts["train"].names[:2] == ("df000", "df001")  # split 0 starts with train, train, val
    np.testing.assert_array_equal(parts["val"][0].image, picture(2)[0])
    assert check_dataset("bijie", root) == []
    image_file(root, "hz000").unlink()
    mask_file(root, "hz000").unlink()
    with pytest.raises(DatasetError, match="Complete the download"):
        open_dataset("bijie", 0, "train", root)


def test_own_split_file(tmp_path: Path) -> None:
    root, path = write_pictures(tmp_path, ["a", "b", "c", "d"]), tmp_path / "mine.csv"
    write_split(path, {"a": "test", "b": "train", "c": "val", "d": "train"})
    assert [sample.name for sample in open_dataset("bijie", str(path), "train", root)] == ["b", "d"]
    assert split_sha256("bijie", str(path), root) == split_hash(read_split(path))
    assert split_sha256("bijie", 1, root) == split_hash(read_split(committed_split("bijie", 1)))
    with pytest.raises(DatasetError, match="does not fit the data"):
        open_dataset("bijie", 0, "train", root)


def test_check_lists_every_fault(tmp_path: Path) -> None:
    root = write_pictures(tmp_path, list("abcdefg"))
    image_file(root, "a").write_bytes(image_file(root, "a").read_bytes()[:70])
    Image.new("L", (7, 9), 7).save(mask_file(root, "a"))
    mask_file(root, "b").unlink()
    image_file(root, "c").unlink()
    Image.new("RGBA", (7, 9)).save(image_file(root, "d"))
    Image.new("L", (3, 3)).save(mask_file(root, "e"))
    Image.fromarray(picture(0)[0]).save(image_file(root, "f").with_suffix(".webp"), lossless=True)
    (image_file(root, "f").parent / "._f.png").write_bytes(b"left by another system")
    faults = check_dataset("bijie", root)
    expected = ["b.png has no mask b.*", "c.png has no image c.*", "a.png cannot be decoded", "found 7", "mode RGBA"]
    expected += ["the mask is 3x3 px, but its image e.png is 7x9 px", "f.webp: f.png has the same name"]
    expected += ["the folder holds 5 pairs"]  # and not 770
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)
    with pytest.raises(DatasetError, match=r"\(2 more; `scgcnet data check` lists all\)"):
        open_whole("bijie", root)


def test_negatives_have_empty_masks(tmp_path: Path) -> None:
    folder = tmp_path / Bijie.home / "non-landslide" / "image"
    folder.mkdir(parents=True)
    for index in range(10):
        Image.fromarray(picture(index)[0]).save(folder / f"n{index}.png")
    whole = open_whole("bijie_negatives", tmp_path)
    np.testing.assert_array_equal(whole[3].image, picture(3)[0])
    assert whole[3].mask.shape == (9, 7) and not any(sample.mask.any() for sample in whole)
    assert [len(open_dataset("bijie_negatives", 0, part, tmp_path)) for part in PARTS] == [5, 3, 2]
