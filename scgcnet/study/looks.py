"""The ledger of looks: every time that a network was scored on a test part, noted *before* the score is known.

A run file counts its own looks, but only a run that was stored has one. The ledger has them all: also the look of a
run that was killed before it could be stored, of one whose file was deleted, of a recipe that nobody kept. (The first
ten lines of ours are older than the ledger, and eight were lost with a copy of it: they were filled in from the run
files.) `results/looks.csv` is
committed; looks at synthetic images mean nothing and stay in `build/looks.csv`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scgcnet.study.ledger import add_line, read_lines
from scgcnet.study.plan import project_root
from scgcnet.study.store import FOLDERS, Kind


@dataclass(frozen=True)
class Look:
    """One look at a test part.

    Attributes:
        utc: when, ISO 8601.
        dataset: whose test part.
        split: number or name of the split.
        run_id: of the configuration that was scored.
        code_sha256: of the code that trained and scored it (see `fingerprint.code_sha256`).
    """

    utc: str
    dataset: str
    split: int | str
    run_id: str
    code_sha256: str


def looks_file(kind: Kind, root: Path | None = None) -> Path:
    """Path of the ledger for real or for synthetic data."""
    return (root or project_root()) / Path(FOLDERS[kind]).parent / "looks.csv"


def read_looks(kind: Kind, root: Path | None = None) -> list[Look]:
    """All looks in the order in which they were taken; none where there is no ledger yet.

    Raises:
        StoreError: the ledger cannot be read; the message names the line.
    """
    return read_lines(looks_file(kind, root), Look, _parse)


def note_look(look: Look, kind: Kind, root: Path | None = None) -> int:
    """Add a line to the ledger; whoever scores a test part calls this first.

    Returns:
        How many looks at this data set this configuration has had now.

    Raises:
        StoreError: the ledger cannot be read.
        WriteError: it cannot be written; then nothing may be scored.
    """
    lock = (root or project_root()) / "build" / "looks.lock"
    looks = add_line(looks_file(kind, root), look, lock, _parse)
    return sum((other.run_id, other.dataset) == (look.run_id, look.dataset) for other in looks)


def _parse(utc: str, dataset: str, split: str, run_id: str, code: str) -> Look:
    return Look(utc, dataset, int(split) if split.isdigit() else split, run_id, code)
