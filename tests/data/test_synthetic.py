"""Synthetic images, and the folders that appear at once and never over anything else."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import numpy as np
import pytest

from scgcnet.data import DatasetError
from scgcnet.data.bijie import Bijie, Synthetic, SyntheticElsewhere
from scgcnet.data.sample import MARKER
from scgcnet.data.synthetic import render, write_folder
from scgcnet.files import WriteError

SETTINGS = {"n": 3, "seed": 7}


@pytest.fixture(scope="module")
def pictures() -> list[tuple[np.ndarray, np.ndarray]]:
    return [render(0, index) for index in range(24)]


def test_pictures_are_a_function_of_seed_and_index(pictures: list[tuple[np.ndarray, np.ndarray]]) -> None:
    image, mask = render(0, 5)
    np.testing.assert_array_equal(image, pictures[5][0])
    np.testing.assert_array_equal(mask, pictures[5][1])
    assert render(1, 5)[0].shape != image.shape or (render(1, 5)[0] != image).any()


def test_sizes_shares_and_values(pictures: list[tuple[np.ndarray, np.ndarray]]) -> None:
    shares = np.array([mask.mean() for _, mask in pictures])
    assert 0.08 < shares.mean() < 0.13  # Bijie: 0.101
    assert shares.min() > 0
    assert (shares < 0.04).any() and (shares > 0.2).any()
    sides = {side for _, mask in pictures for side in mask.shape}
    assert min(sides) >= 64 and max(sides) <= 200
    assert any(side % 2 for side in sides)
    for image, mask in pictures:
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == (*mask.shape, 3)
        assert set(np.unique(mask)) == {0, 1}
        assert image.std() > 10


def test_a_fake_holds_what_was_drawn(tmp_path: Path) -> None:
    data = Bijie.open(Bijie.write_fake(tmp_path, 8, 3).parent)
    image, mask = render(3, 7)
    np.testing.assert_array_equal(data[7].image, image)
    np.testing.assert_array_equal(data[7].mask, mask)


def test_another_draw_stands_in_for_a_new_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgcnet.data.bijie.DEFAULT_COUNT", 6)
    (tmp_path / "study.yml").touch()
    monkeypatch.chdir(tmp_path)
    home, elsewhere = Synthetic.open(), SyntheticElsewhere.open()
    assert {path.parent for path in (home.folder.parent, elsewhere.folder.parent)} == {tmp_path / "build" / "data"}
    assert len(home) == len(elsewhere) == 6 and home.sha256 != elsewhere.sha256
    np.testing.assert_array_equal(elsewhere[3].image, render(1, 3)[0])


def fill(folder: Path) -> None:
    (folder / "a.txt").write_text("a")


def test_it_appears_at_once_with_its_settings(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "new"

    def watched(partial: Path) -> None:
        assert not folder.exists()
        fill(partial)

    write_folder(folder, SETTINGS, watched)
    assert sorted(path.name for path in folder.iterdir()) == ["a.txt", MARKER]
    assert json.loads((folder / MARKER).read_text()) == SETTINGS
    assert folder.stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "deep").iterdir()) == [folder]


def test_what_is_there_is_kept_or_refused(tmp_path: Path) -> None:
    write_folder(tmp_path / "a", SETTINGS, fill)
    write_folder(tmp_path / "a", SETTINGS, lambda _: pytest.fail("written again"))
    with pytest.raises(DatasetError, match="was written with"):
        write_folder(tmp_path / "a", {**SETTINGS, "n": 4}, fill)
    (tmp_path / "mine").mkdir()
    fill(tmp_path / "mine")
    with pytest.raises(DatasetError, match="is not synthetic"):
        write_folder(tmp_path / "mine", SETTINGS, fill)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["a.txt"]


def test_nothing_is_left_of_an_interruption_or_a_full_disk(tmp_path: Path) -> None:
    def stop(folder: Path) -> None:
        fill(folder)
        raise KeyboardInterrupt

    def full(folder: Path) -> None:
        fill(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "a", SETTINGS, stop)
    with pytest.raises(WriteError, match="No space left on device"):
        write_folder(tmp_path / "a", SETTINGS, full)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="cannot be written"):
        write_folder(tmp_path / "file" / "a", SETTINGS, fill)


def test_another_process_was_first(tmp_path: Path) -> None:
    def late(folder: Path) -> None:
        fill(folder)
        write_folder(tmp_path / "a", SETTINGS, fill)

    write_folder(tmp_path / "a", SETTINGS, late)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["a.txt", MARKER]
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]
