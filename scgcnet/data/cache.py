"""Decoded pictures on disk, for those too large to be held: decoded once, then read window by window by memory map.

A picture is kept as a plain `.npy` file under the SHA-256 of what it was decoded from, so a file that has changed is
never answered by what it was before. The folder is `build/cache/images` of the checkout, or the one that SCGCNET_CACHE
names; it can be removed at any time. What is found there is taken if its head and length are right: a file that was
cut off is written anew, bits that changed on the disk are not noticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scgcnet import files
from scgcnet.checkout import find_checkout
from scgcnet.data.sample import DatasetError

LIMIT = 20 << 30  # bytes in the folder; GVLM takes 2 GB. Beyond it, what was not used for longest is removed
Array = NDArray[np.uint8]
Rows = Iterable[Array]  # a picture in pieces of some rows each, from top to bottom


@dataclass(frozen=True)
class _Held:
    """What this process has open: the state of the source (size, time of change), its pixels, and where they lie."""

    state: tuple[int, int]
    array: Array
    entry: Path | None  # None: in memory


_held: dict[tuple[Path, str], _Held] = {}
_warned: list[str] = []  # at most one line a process


def cache_folder() -> Path:
    """Return the folder of decoded pictures; a relative SCGCNET_CACHE counts from the checkout, as SCGCNET_DATA does.

    Without a checkout both count from the working folder.
    """
    return (find_checkout() or Path.cwd()) / (os.environ.get("SCGCNET_CACHE") or "build/cache/images")


def decoded(path: Path, shape: tuple[int, ...], kind: str, read: Callable[[Path], Rows]) -> Array:
    """Return the pixels of a file: a read-only memory map, decoded on first use by any process.

    Two processes may ask at the same time; one decodes and the other waits. Where the folder cannot be written or the
    disk is full, the pixels are held in memory, and a line on standard error says so once; while such a picture is
    decoded it may be there twice.

    Args:
        path: the picture's file.
        shape: of the whole array, uint8, rows first; the file's header tells it.
        kind: what `read` makes of the file, part of the name on disk: letters and digits. Change it when `read` is
            changed so that it gives other pixels.
        read: decodes the file, some rows at a time, so that the whole need not be in memory twice.

    Raises:
        DatasetError: the file cannot be read, or whatever `read` finds wrong; nothing is kept then.
    """
    state = _state(path)
    held = _held.get((path, kind))
    if held is None or held.state != state or held.array.shape != shape:
        held = _held[path, kind] = _Held(state, *_kept(path, state, shape, kind, read))
    return held.array


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise DatasetError(f"{path} cannot be reached ({error.strerror}). Copy the file again.") from error
    return found.st_size, found.st_mtime_ns


def _kept(
    path: Path, state: tuple[int, int], shape: tuple[int, ...], kind: str, read: Callable[[Path], Rows]
) -> tuple[Array, Path | None]:
    """The map of a file in the folder, written where it is not there, or else the pixels in memory and None."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}). Copy the file again.") from error
    entry = cache_folder() / f"{digest}-{kind}.npy"
    found = _map(entry, shape)
    try:
        if found is None:
            with files.lock(entry.with_suffix(".lock")):
                found = _map(entry, shape)  # another process was first
                if found is None:
                    files.sweep(entry)
                    with files.atomic(entry) as temporary:
                        _write(temporary, path, shape, read)
                        if _state(path) != state:  # these pixels are not those of the digest
                            raise _changed(path)
                        found = _map(temporary, shape)  # stays valid whatever becomes of the name
                    _make_room(entry)
    except (files.WriteError, OSError) as error:
        found = None
        if not _warned:
            _warned.append(
                "scgcnet: decoded images are kept in memory, as they cannot be kept on disk "
                f"({error.__cause__ or error}); SCGCNET_CACHE names another folder"
            )
            print(_warned[0], file=sys.stderr)
    if found is None:
        return _in_memory(path, shape, read), None
    with contextlib.suppress(OSError):  # a folder for reading only
        os.utime(entry)  # used now
    return found, entry


def _map(entry: Path, shape: tuple[int, ...]) -> Array | None:
    """The file as a read-only map; None where it is not there, damaged, or of another shape."""
    try:
        found = np.lib.format.open_memmap(entry, mode="r")
        whole = found.offset + found.nbytes == entry.stat().st_size
    except Exception:  # a damaged head leads numpy into errors of many kinds
        return None
    return found if whole and found.shape == shape and found.dtype == np.uint8 and found.flags.c_contiguous else None


def _write(temporary: Path, path: Path, shape: tuple[int, ...], read: Callable[[Path], Rows]) -> None:
    # Written, not filled through a map: on a full disk a write is an error, a map ends the process.
    with temporary.open("wb") as file:
        head = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, head)
        for block in _blocks(path, shape, read):
            file.write(np.ascontiguousarray(block).data)


def _in_memory(path: Path, shape: tuple[int, ...], read: Callable[[Path], Rows]) -> Array:
    array = np.empty(shape, np.uint8)
    top = 0
    for block in _blocks(path, shape, read):
        array[top : top + len(block)] = block
        top += len(block)
    array.setflags(write=False)
    return array


def _blocks(path: Path, shape: tuple[int, ...], read: Callable[[Path], Rows]) -> Rows:
    """The pieces that `read` gives, which must make up the shape that was announced."""
    rows = 0
    for block in read(path):
        rows += len(block)
        if block.shape[1:] != shape[1:] or rows > shape[0]:
            break
        yield block
    if rows != shape[0]:
        raise _changed(path)


def _changed(path: Path) -> DatasetError:
    return DatasetError(f"{path} was changed while it was read; start again.")


def _make_room(newest: Path) -> None:
    """Remove what was not used for longest until the folder keeps to `LIMIT`; never what this process has open."""
    in_use = {newest, *(held.entry for held in _held.values())}
    entries = []
    for entry in newest.parent.glob("*.npy"):
        with contextlib.suppress(FileNotFoundError):  # another process makes room too
            state = entry.stat()
            entries.append((state.st_mtime_ns, state.st_size, entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total > LIMIT and entry not in in_use:
            with contextlib.suppress(OSError):  # somebody else's
                entry.unlink(missing_ok=True)
                total -= size
