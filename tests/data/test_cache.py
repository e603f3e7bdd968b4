"""Decoded pictures on disk."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scgcnet import files
from scgcnet.data import DatasetError, cache
from scgcnet.data.cache import cache_folder, decoded

SHAPE = (10, 4, 3)


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCGCNET_CACHE", str(tmp_path / "cache"))
    forget(monkeypatch)


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a new process."""
    monkeypatch.setattr(cache, "_held", {})
    monkeypatch.setattr(cache, "_warned", [])


def source(path: Path, seed: int = 0) -> np.ndarray:
    """A "picture" whose bytes are its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)
    path.write_bytes(pixels.tobytes())
    return pixels


def read(path: Path) -> Iterator[np.ndarray]:
    """Some rows at a time; a file beside it counts how often."""
    with path.with_suffix(".count").open("a") as count:
        count.write("x")
    pixels = np.frombuffer(path.read_bytes(), np.uint8).reshape(SHAPE)
    yield from (pixels[:4], pixels[4:8], pixels[8:])


def times_read(path: Path) -> int:
    return len(path.with_suffix(".count").read_text())


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    (tmp_path / "study.yml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCGCNET_CACHE", "elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("SCGCNET_CACHE")
    assert cache_folder() == tmp_path / "build/cache/images"


def test_decoded_once_and_mapped_for_reading_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    pixels = source(path)
    array = decoded(path, SHAPE, "k", read)
    assert isinstance(array, np.memmap) and array.dtype == np.uint8
    np.testing.assert_array_equal(array, pixels)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1
    assert decoded(path, SHAPE, "k", read) is array
    forget(monkeypatch)
    np.testing.assert_array_equal(decoded(path, SHAPE, "k", read), pixels)
    assert times_read(path) == 1
    (entry,) = entries(tmp_path / "cache")
    np.testing.assert_array_equal(np.load(tmp_path / "cache" / entry), pixels)  # a plain file of numpy's


def test_a_changed_file_is_never_answered_by_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a"
    old = source(path, 0)
    first = decoded(path, SHAPE, "k", read)
    new = source(path, 1)
    os.utime(path, ns=(1, 1))  # a time of its own, whatever the clock's steps
    np.testing.assert_array_equal(decoded(path, SHAPE, "k", read), new)
    np.testing.assert_array_equal(first, old)  # still there for who holds it
    source(path, 0)
    os.utime(path, ns=(2, 2))
    np.testing.assert_array_equal(decoded(path, SHAPE, "k", read), old)
    assert times_read(path) == 2


def test_the_same_content_elsewhere_is_taken_and_another_kind_is_not(tmp_path: Path) -> None:
    pixels = source(tmp_path / "a")
    source(tmp_path / "b")
    decoded(tmp_path / "a", SHAPE, "k", read)
    np.testing.assert_array_equal(decoded(tmp_path / "b", SHAPE, "k", read), pixels)
    assert not (tmp_path / "b.count").exists()
    inverse = decoded(tmp_path / "b", SHAPE, "inverse", lambda path: (255 - block for block in read(path)))
    np.testing.assert_array_equal(inverse, 255 - pixels)
    assert len(entries(tmp_path / "cache")) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "longer", "head", "shape", "zeros"])
def test_a_damaged_entry_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    path = tmp_path / "a"
    pixels = source(path)
    decoded(path, SHAPE, "k", read)
    (name,) = entries(tmp_path / "cache")
    entry = tmp_path / "cache" / name
    content = entry.read_bytes()
    if damage == "shape":
        np.save(entry, pixels[:5])
    else:
        entry.write_bytes(
            {
                "cut": content[:-7],
                "empty": b"",
                "longer": content + b"x",
                "head": content[:10] + b"(((" + content[13:],
                "zeros": bytes(len(content)),
            }[damage]
        )
    forget(monkeypatch)
    np.testing.assert_array_equal(decoded(path, SHAPE, "k", read), pixels)
    assert times_read(path) == 2
    assert entry.read_bytes() == content


def test_a_fault_of_the_picture_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a"
    pixels = source(path)

    def fails(path: Path) -> Iterator[np.ndarray]:
        yield pixels[:4]
        raise DatasetError("the picture ends here")

    with pytest.raises(DatasetError, match="ends here"):
        decoded(path, SHAPE, "k", fails)
    with pytest.raises(DatasetError, match="was changed while it was read"):
        decoded(path, (11, 4, 3), "k", read)
    with pytest.raises(DatasetError, match="was changed while it was read"):
        decoded(path, (9, 4, 3), "k", read)
    with pytest.raises(DatasetError, match="was changed while it was read"):
        decoded(path, (10, 5, 3), "k", read)

    def edits(path: Path) -> Iterator[np.ndarray]:
        source(path, 1)
        os.utime(path, ns=(1, 1))
        return read(path)

    with pytest.raises(DatasetError, match="was changed while it was read"):
        decoded(path, SHAPE, "k", edits)
    assert entries(tmp_path / "cache") == []
    with pytest.raises(DatasetError, match="gone cannot be reached"):
        decoded(tmp_path / "gone", SHAPE, "k", read)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DatasetError, match="loop cannot be reached"):
        decoded(tmp_path / "loop", SHAPE, "k", read)
    with pytest.raises(DatasetError, match="cannot be read"):
        decoded(tmp_path, SHAPE, "k", read)  # a folder


def test_a_full_disk_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    a, b = source(tmp_path / "a", 0), source(tmp_path / "b", 1)
    monkeypatch.setattr(os, "fsync", full)
    array = decoded(tmp_path / "a", SHAPE, "k", read)
    assert not isinstance(array, np.memmap) and not array.flags.writeable
    np.testing.assert_array_equal(array, a)
    np.testing.assert_array_equal(decoded(tmp_path / "b", SHAPE, "k", read), b)
    assert decoded(tmp_path / "a", SHAPE, "k", read) is array  # kept, not decoded again
    (line,) = capsys.readouterr().err.splitlines()
    assert "kept in memory" in line and "No space left on device" in line and "SCGCNET_CACHE" in line
    assert entries(tmp_path / "cache") == []  # nothing half-written


def test_a_limit_of_the_system_is_no_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A real refusal, not a simulated one: files of this process may not grow over 200 bytes."""
    pixels = source(tmp_path / "a")

    def limited() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        np.testing.assert_array_equal(decoded(tmp_path / "a", SHAPE, "k", read), pixels)

    assert in_processes(limited) == [0]
    assert "File too large" in capfd.readouterr().err
    assert entries(tmp_path / "cache") == []


def test_a_folder_that_cannot_be_written_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = source(tmp_path / "a")
    (tmp_path / "file").touch()
    monkeypatch.setenv("SCGCNET_CACHE", str(tmp_path / "file" / "cache"))
    np.testing.assert_array_equal(decoded(tmp_path / "a", SHAPE, "k", read), pixels)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_in_a_folder_for_reading_only_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = source(tmp_path / "a")
    decoded(tmp_path / "a", SHAPE, "k", read)
    forget(monkeypatch)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr(files, "lock", refuse)
    array = decoded(tmp_path / "a", SHAPE, "k", read)
    assert isinstance(array, np.memmap)
    np.testing.assert_array_equal(array, pixels)
    assert capsys.readouterr().err == ""


def test_what_was_not_used_for_longest_goes_but_never_what_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LIMIT", 600)  # two of 248 bytes
    folder = tmp_path / "cache"
    names: dict[str, str] = {}
    for seed, name in enumerate("abc"):
        source(tmp_path / name, seed)
        decoded(tmp_path / name, SHAPE, "k", read)
        (names[name],) = set(entries(folder)) - set(names.values())
    assert entries(folder) == sorted(names.values())  # all three are open here
    for second, name in enumerate("bca"):
        os.utime(folder / names[name], ns=(second, second))
    forget(monkeypatch)
    decoded(tmp_path / "b", SHAPE, "k", read)  # used now, and open: c and a are older
    source(tmp_path / "d", 3)
    decoded(tmp_path / "d", SHAPE, "k", read)
    left = entries(folder)
    assert names["b"] in left and names["c"] not in left and names["a"] not in left and len(left) == 2
    assert times_read(tmp_path / "b") == 1


def in_processes(*works: object) -> list[int | None]:
    """Exit codes of functions that run at the same time."""
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=work) for work in works]  # type: ignore[arg-type]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    return [worker.exitcode for worker in workers]


def test_processes_at_once_decode_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    pixels = source(path)
    context = multiprocessing.get_context("fork")
    together = context.Barrier(3)

    def slowly(path: Path) -> Iterator[np.ndarray]:
        time.sleep(0.3)  # so that all have asked
        return read(path)

    def work() -> None:
        together.wait(30)
        np.testing.assert_array_equal(decoded(path, SHAPE, "k", slowly), pixels)

    assert in_processes(work, work, work) == [0, 0, 0]
    assert times_read(path) == 1
    assert len(entries(tmp_path / "cache")) == 1


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    pixels = source(path)

    def dies(path: Path) -> Iterator[np.ndarray]:
        yield pixels[:4]
        os.kill(os.getpid(), 9)

    assert in_processes(lambda: decoded(path, SHAPE, "k", dies)) == [-9]
    assert len(entries(tmp_path / "cache")) == 1  # the half of it
    np.testing.assert_array_equal(decoded(path, SHAPE, "k", read), pixels)
    (entry,) = entries(tmp_path / "cache")
    assert entry.endswith("-k.npy")
