"""Fakes are written in the layout of the real download, and read back by its own loader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scgcnet.data import PARTS, DatasetError, check_dataset, fake_tiles, open_dataset, open_whole, write_fake
from scgcnet.data.hrgldd import open_hrgldd
from scgcnet.data.landslide4sense_h5 import open_landslide4sense_h5
from scgcnet.data.sample import MARKER
from scgcnet.data.synthetic import render
from scgcnet.files import WriteError

FOLDERS = {
    "hrgldd": "HR-GLDD",
    "landslide4sense": "Landslide4Sense-RGB",
    "landslide4sense_h5": "Landslide4Sense",
}


@pytest.fixture(scope="module")
def drawn() -> list[tuple[np.ndarray, np.ndarray]]:
    return [render(2, index, (128, 128)) for index in range(6)]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_fake_is_valid_and_says_that_it_is_one(
    tmp_path: Path, name: str, drawn: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    write_fake(name, tmp_path, n=6, seed=2)
    assert [path.name for path in tmp_path.iterdir()] == [FOLDERS[name]]
    assert check_dataset(name, tmp_path) == []
    data = open_whole(name, tmp_path)
    assert (data.dataset, data.kind, len(data)) == (name, "synthetic", 6)
    assert [len(open_dataset(name, 0, part, tmp_path)) for part in PARTS] == [3, 2, 1]
    places = {image.tobytes(): index for index, (image, _) in enumerate(drawn)}
    found = [places[sample.image.tobytes()] for sample in data]  # the very colours that were drawn
    assert sorted(found) == list(range(6))
    for index, sample in zip(found, data, strict=True):
        np.testing.assert_array_equal(sample.mask, drawn[index][1])


def test_other_bands_are_plausible(tmp_path: Path) -> None:
    """Of near infrared landslides have less than what grows around them, and no band is black or white throughout."""
    write_fake("hrgldd", tmp_path, n=5)
    write_fake("landslide4sense_h5", tmp_path, n=5)
    for data, band in ((open_hrgldd(tmp_path, bands=(3,)), 0), (open_landslide4sense_h5(tmp_path, range(14)), 7)):
        images, masks = np.stack([s.image for s in data]), np.stack([s.mask for s in data])
        assert images[masks == 1, band].mean() < 0.8 * images[masks == 0, band].mean()
        assert ((images.mean((0, 1, 2)) > 25) & (images.mean((0, 1, 2)) < 200)).all()


@pytest.mark.parametrize("name", FOLDERS)
def test_writing_again_changes_nothing_and_other_settings_are_refused(tmp_path: Path, name: str) -> None:
    write_fake(name, tmp_path, n=3)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    write_fake(name, tmp_path, n=3)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert json.loads((tmp_path / FOLDERS[name] / MARKER).read_text())["n"] == 3
    with pytest.raises(DatasetError, match="remove it or choose another folder"):
        write_fake(name, tmp_path, n=3, seed=1)
    with pytest.raises(DatasetError, match="at least 3 images"):
        write_fake(name, tmp_path / "b", n=2)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", FOLDERS)
def test_real_data_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / FOLDERS[name]).mkdir()
    with pytest.raises(DatasetError, match="is not synthetic"):
        write_fake(name, tmp_path, n=3)
    assert list((tmp_path / FOLDERS[name]).iterdir()) == []


@pytest.mark.parametrize("name", FOLDERS)
def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def stop(seed: int, index: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        if index == 2:
            raise KeyboardInterrupt
        return render(seed, index, shape)

    monkeypatch.setattr(fake_tiles, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        write_fake(name, tmp_path, n=3)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        write_fake(name, tmp_path / "file", n=3)
