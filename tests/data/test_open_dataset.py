from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from bijie_files import Write, picture

from scgcnet.checkout import find_checkout
from scgcnet.data import (
    DatasetError,
    DatasetNotFoundError,
    check_dataset,
    data_root,
    data_sha256,
    dataset_available,
    open_dataset,
    split_sha256,
    synthetic,
)
from scgcnet.data.bijie import FOLDER
from scgcnet.data.splits import committed_split, read_split, split_hash, write_split

OFFICIAL = [f"{site}{i:03d}" for site in ("df", "hz", "js", "nyx", "qx", "qxg", "wn") for i in range(110)]


def test_the_root_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "book" / "pages"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    assert data_root() == find_checkout() / "data"  # type: ignore[operator]  # not in a checkout: the package's
    (tmp_path / "study.yml").touch()
    assert data_root() == tmp_path / "data"
    monkeypatch.setenv("SCGCNET_DATA", "../shared/data")
    assert data_root() == tmp_path / "../shared/data"
    monkeypatch.setenv("SCGCNET_DATA", "/elsewhere")
    assert data_root() == Path("/elsewhere")


def test_environment_is_used(write_bijie: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))
    assert not dataset_available("bijie")
    with pytest.raises(DatasetNotFoundError, match="SCGCNET_DATA"):
        open_dataset("bijie", 0, "train")
    write_bijie(["a", "b", "c"])
    assert dataset_available("bijie")
    assert data_sha256("bijie") == data_sha256("bijie", tmp_path)


def test_full_download_with_official_names(write_bijie: Write) -> None:
    root = write_bijie(OFFICIAL)
    parts = {part: open_dataset("bijie", 0, part, root) for part in ("train", "val", "test")}
    assert {part: len(data) for part, data in parts.items()} == {"train": 385, "val": 231, "test": 154}
    assert sorted(name for data in parts.values() for name in data.names) == sorted(OFFICIAL)
    # split 0 starts with train, train, val (by rank)
    assert parts["train"].names[:2] == ("df000", "df001")
    assert parts["val"].names[0] == "df002"
    np.testing.assert_array_equal(parts["val"][0].image, picture(2)[0])
    assert parts["train"].dataset == "bijie"
    assert parts["train"].kind == "real"
    assert check_dataset("bijie", root) == []
    (root / FOLDER / "landslide" / "image" / "hz000.png").unlink()
    (root / FOLDER / "landslide" / "mask" / "hz000.png").unlink()
    with pytest.raises(DatasetError, match="Complete the download"):
        open_dataset("bijie", 0, "train", root)


def test_own_split_file(write_bijie: Write, tmp_path: Path) -> None:
    root = write_bijie(["a", "b", "c", "d"])
    path = tmp_path / "mine.csv"
    write_split(path, {"a": "test", "b": "train", "c": "val", "d": "train"})
    train = open_dataset("bijie", str(path), "train", root)
    assert [sample.name for sample in train] == ["b", "d"]
    assert split_sha256("bijie", str(path), root) == split_hash(read_split(path))
    with pytest.raises(DatasetError, match="does not fit the data"):
        open_dataset("bijie", 0, "train", root)
    committed = split_hash(read_split(committed_split("bijie", 1)))
    assert split_sha256("bijie", 1, root) == split_sha256("bijie", "1", root) == committed


def test_unknown_names(write_bijie: Write) -> None:
    root = write_bijie(["a", "b", "c"])
    with pytest.raises(DatasetError, match="no data set 'bije'; the names are bijie, "):
        open_dataset("bije", 0, "train", root)
    with pytest.raises(DatasetError, match="'testing' must be one of train, val, test"):
        open_dataset("bijie", 0, "testing", root)  # type: ignore[arg-type]


def test_synthetic_is_made_on_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.yml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(synthetic, "DEFAULT_COUNT", 10)
    assert dataset_available("synthetic")
    parts = [open_dataset("synthetic", 0, part) for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [5, 3, 2]
    assert (parts[0].dataset, parts[0].kind) == ("synthetic", "synthetic")
    assert len(set().union(*(part.names for part in parts))) == 10
    (made,) = (tmp_path / "build" / "data").iterdir()
    assert len({split_sha256("synthetic", k) for k in range(3)}) == 3
    before = data_sha256("synthetic")
    assert check_dataset("synthetic") == []
    shutil.rmtree(made)
    assert data_sha256("synthetic") == before


@pytest.mark.skipif("SCGCNET_DATA" not in os.environ, reason="SCGCNET_DATA does not name the real data")
def test_real_bijie() -> None:
    if not dataset_available("bijie"):
        pytest.skip(f"no {FOLDER} in SCGCNET_DATA")
    test = open_dataset("bijie", 0, "test")
    assert len(test) == 154
    assert test.kind == "real"
    sides = [side for i in range(20) for side in test[i].mask.shape]
    assert min(sides) >= 61
    assert max(sides) <= 1239
    assert 0.04 < np.mean([test[i].mask.mean() for i in range(20)]) < 0.2
