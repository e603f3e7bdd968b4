"""The ledger of looks at test parts."""

import multiprocessing
from pathlib import Path

import pytest

from scgcnet.files import WriteError
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import Look, looks_file, note_look, read_looks

LOOK = Look("2026-01-02T03:04:05Z", "bijie", 0, "bijie-scgcnet-tiny-cpu-s0-0123456789", "0" * 64)


def test_looks_add_up_and_synthetic_ones_lie_apart(project: Path) -> None:
    assert read_looks("real") == []
    assert note_look(LOOK, "real") == 1
    other = Look("2026-01-03T00:00:00Z", "bijie", 1, "bijie-scgcnet-tiny-cpu-s1-0123456789", "1" * 64)
    assert note_look(other, "real") == 1
    assert note_look(LOOK, "real") == 2
    assert note_look(LOOK, "synthetic") == 1
    assert read_looks("real") == [LOOK, other, LOOK]
    assert looks_file("real") == project / "results" / "looks.csv"
    assert looks_file("synthetic") == project / "build" / "looks.csv"


def test_lines_are_appended_for_git(project: Path) -> None:
    note_look(LOOK, "real")
    before = looks_file("real").read_bytes()
    note_look(LOOK, "real")
    assert looks_file("real").read_bytes().startswith(before)
    assert b"\r" not in before


def _note(n: int) -> None:
    for _ in range(n):
        note_look(LOOK, "real")


def test_processes_that_look_at_once_lose_no_line(project: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_note, args=(10,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert read_looks("real") == [LOOK] * 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("utc,split\n", "line 1: the columns must be utc,dataset,split"),
        ("{good}x,bijie,0,run\n", "line 2: 4 values for 5 columns"),
        ('{good}"', "cannot be read"),
        ("\udcff", "cannot be read"),
        ("{good}" + "x" * 200_000, "cannot be read"),
    ],
)
def test_a_damaged_ledger_is_one_error(project: Path, text: str, message: str) -> None:
    path = looks_file("real")
    text = text.replace("{good}", "utc,dataset,split,run_id,code_sha256\n")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError, match=f"looks\\.csv: {message}"):
        note_look(LOOK, "real")


def test_a_ledger_that_cannot_be_written_is_left_as_it_was(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    note_look(LOOK, "real")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError, match=r"looks\.csv: cannot be written: No space left"):
        note_look(LOOK, "real")
    assert read_looks("real") == [LOOK]
