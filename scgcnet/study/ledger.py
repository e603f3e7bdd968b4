"""Ledgers: CSV files to which lines are added and from which none is taken away."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import asdict, fields
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from scgcnet import files

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class StoreError(ValueError):
    """A run file or a ledger cannot be read, written or trusted; the message names the file and the field."""


def read_lines(path: Path, kind: type[T], parse: Callable[..., T]) -> list[T]:
    """All lines of a ledger in their order; none where there is no file yet.

    Args:
        path: the file.
        kind: dataclass whose fields are the columns.
        parse: makes one from the texts of a line; it raises ValueError where it cannot.

    Raises:
        StoreError: the ledger cannot be read; the message names the line.
    """
    try:
        return _read(path, kind, parse)
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StoreError(f"{path}: cannot be read: {error}; take it back from git") from None
    except ValueError as error:
        raise StoreError(f"{path}: {error}; take it back from git") from None


def _read(path: Path, kind: type[T], parse: Callable[..., T]) -> list[T]:
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = [*csv.reader(file, strict=True)] or [[]]
    if header != (columns := [field.name for field in fields(kind)]):
        raise ValueError(f"line 1: the columns must be {','.join(columns)}")
    found = []
    for line, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise ValueError(f"line {line}: {len(row)} values for {len(columns)} columns")
        try:
            found.append(parse(*row))
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from None
    return found


def add_line(path: Path, line: T, lock: Path, parse: Callable[..., T]) -> list[T]:
    """Add a line to a ledger and return all of them; `lock` is a file that processes hold one at a time.

    Raises:
        StoreError: the ledger cannot be read.
        WriteError: it cannot be written; what it held stands.
    """
    with files.lock(lock):
        lines = [*read_lines(path, type(line), parse), line]
        text = StringIO()
        table = csv.DictWriter(text, [field.name for field in fields(line)], lineterminator="\n")
        table.writeheader()
        table.writerows(map(asdict, lines))
        files.sweep(path)
        files.write_text(path, text.getvalue())
    return lines
