"""Folders of generated images appear at once, and never over anything else."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from scgcnet.data import DatasetError
from scgcnet.data.generated import write_folder
from scgcnet.data.sample import MARKER
from scgcnet.files import WriteError

SETTINGS = {"n": 3, "seed": 7}


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
    (tmp_path / "a" / MARKER).write_text("{")
    with pytest.raises(DatasetError, match=r"is damaged .* written anew"):
        write_folder(tmp_path / "a", SETTINGS, fill)
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
