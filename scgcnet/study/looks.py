"""The ledger of looks: every time that a network was scored on a test part, noted *before* the score is known.

A run file counts its own looks, but only a run that was stored has one. The ledger has them all: also the look of a
run that was killed before it could be stored, of one whose file was deleted, of a recipe that nobody kept. (The first
ten lines of ours are older than the ledger: they were filled in from the run files.) `results/looks.csv` is
committed; looks at synthetic images mean nothing and stay in `build/looks.csv`.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path

from scgcnet import files
from scgcnet.study.plan import project_root
from scgcnet.study.store import FOLDERS, Kind, StoreError


@dataclass(frozen=True)
class Look:
    """One look at a test part.

    Attributes:
        utc: when, ISO 8601.
        dataset: whose test part.
        split: number of the split.
        run_id: of the configuration that was scored.
        code_sha256: of the code that trained and scored it (see `fingerprint.code_sha256`).
    """

    utc: str
    dataset: str
    split: int
    run_id: str
    code_sha256: str


_COLUMNS = [field.name for field in fields(Look)]


def looks_file(kind: Kind, root: Path | None = None) -> Path:
    """Path of the ledger for real or for synthetic data."""
    return (root or project_root()) / Path(FOLDERS[kind]).parent / "looks.csv"


def read_looks(kind: Kind, root: Path | None = None) -> list[Look]:
    """All looks in the order in which they were taken; none where there is no ledger yet.

    Raises:
        StoreError: the ledger cannot be read; the message names the line.
    """
    path = looks_file(kind, root)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise StoreError(f"{path}: cannot be read: {error}; take it back from git") from None
    looks = []
    for line, row in enumerate(rows, start=1):
        try:
            if line == 1:
                if row != _COLUMNS:
                    raise ValueError(f"the columns must be {','.join(_COLUMNS)}")
                continue
            utc, dataset, split, run_id, code = row
            looks.append(Look(utc, dataset, int(split), run_id, code))
        except ValueError as error:
            raise StoreError(f"{path}: line {line}: {error}; take it back from git") from None
    return looks


def count_looks(run_id: str, kind: Kind, root: Path | None = None) -> int:
    """How often a configuration has been scored on the test part.

    Raises:
        StoreError: the ledger cannot be read.
    """
    return sum(look.run_id == run_id for look in read_looks(kind, root))


def note_look(look: Look, kind: Kind, root: Path | None = None) -> int:
    """Add a line to the ledger; whoever scores a test part calls this first.

    Returns:
        How many looks this configuration has now.

    Raises:
        StoreError: the ledger cannot be read.
        WriteError: it cannot be written; then nothing may be scored.
    """
    path = looks_file(kind, root)
    with files.lock((root or project_root()) / "build" / "looks.lock"):
        looks = [*read_looks(kind, root), look]
        text = StringIO()
        table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(map(asdict, looks))
        files.sweep(path)
        files.write_text(path, text.getvalue())
    return sum(other.run_id == look.run_id for other in looks)
