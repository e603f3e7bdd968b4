"""Files written whole or not at all: a kill, a full disk or a read-only folder leaves the older file as it was."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PLAN_FILE = "study.yml"


class WriteError(RuntimeError):
    """A file cannot be written; the message names it, says why, and what to do."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path}: cannot be written: {error.strerror or error}. Nothing that was finished is lost: make room, or "
            "make the folder writable, and start again."
        )


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Gives a temporary file in the folder of `path`, which is made; it becomes `path` when the block ends well.

    The content is on the disk before the name changes, so that not even a power cut leaves half a file.

    Raises:
        WriteError: an OSError in the block, or the folder cannot be written. `path` is what it was before.
    """
    temporary: Path | None = None
    path = Path(os.path.realpath(path))  # a link stays one, and its target is replaced
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        temporary = Path(name)
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's 600 would keep others from reading a shared store
        temporary.replace(path)
    except OSError as error:
        raise WriteError(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all, in UTF-8, with its line ends unchanged; errors as in `atomic`."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Waits until no other process holds this lock, and holds it; a killed process releases it."""
    held = FileLock(path)
    try:
        while not held.is_locked:
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # the holder has removed the folder meanwhile
                try:
                    held.acquire(blocking=False)
                except Timeout:
                    print(f"waiting for another process, which holds {path.name}", file=sys.stderr)
                    held.acquire()
    except OSError as error:
        raise WriteError(path, error) from error
    try:
        yield
    finally:
        held.release()


def remove_folder(folder: Path) -> None:
    """Removes a folder such that a kill leaves all of it or nothing under its name."""
    for earlier in folder.parent.glob(f".{folder.name}.*.removed"):
        shutil.rmtree(earlier, ignore_errors=True)
    with suppress(OSError):  # it is gone, or not ours to remove
        shutil.rmtree(folder.rename(folder.with_name(f".{folder.name}.{os.getpid()}.removed")), ignore_errors=True)


def find_checkout() -> Path | None:
    """The nearest folder from here upwards with a study.yml, else the checkout of this package, else None."""
    here = Path.cwd()
    folders = (here, *here.parents, Path(__file__).resolve().parents[1])
    return next((folder for folder in folders if (folder / PLAN_FILE).is_file()), None)
