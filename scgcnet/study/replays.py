"""The ledger of replays: which stored trainings the code of a later day was seen to begin alike.

A change of code makes what it decides stale (scgcnet/study/fingerprint.py), also where no number changes, or where
nothing but the order of sums does. To train everything again for that is hours of work; to begin it again and compare
is minutes (`scgcnet study replay`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scgcnet.study.ledger import add_line, read_lines

REPLAYS = "results/replays.csv"
#: How far the training loss of an epoch may move, as a fraction, where sums are only taken in another order. Fixed
#: before the replays of 23 November 2026, of which 57 of 64 stayed within it and the others moved by 0.0013 to 0.0062:
#: rounding grows within an epoch, so that a training beyond it may be of the same function, but is made again.
ROUNDING = 1e-3


@dataclass(frozen=True)
class Replay:
    """One training that was begun again and gave the same numbers, or the same but for rounding.

    Attributes:
        utc: when, ISO 8601.
        run_id: of the run or trial.
        code_sha256: of the code that began it again.
        epochs: how many were compared.
        moved: by how much the training loss of an epoch moved at most, as a fraction; 0 means that every number was
            the same to the last digit.
    """

    utc: str
    run_id: str
    code_sha256: str
    epochs: int
    moved: float


def read_replays(root: Path) -> list[Replay]:
    """All replays of real runs and trials.

    Raises:
        StoreError: the ledger cannot be read.
    """
    return read_lines(root / REPLAYS, Replay, _parse)


def note_replay(replay: Replay, root: Path) -> None:
    """Add one to the ledger.

    Raises:
        StoreError: the ledger cannot be read.
        WriteError: it cannot be written; what it held stands.
    """
    add_line(root / REPLAYS, replay, root / "build" / "replays.lock", _parse)


def _parse(utc: str, run_id: str, code: str, epochs: str, moved: str) -> Replay:
    return Replay(utc, run_id, code, int(epochs), float(moved))
