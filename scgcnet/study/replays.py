"""The ledger of replays: which stored trainings the code of a later day was seen to begin alike, to the last digit.

A change of code makes what it decides stale (scgcnet/study/fingerprint.py), also where no number changes. To train
everything again for that is hours of work; to begin it again and compare is minutes (`scgcnet study replay`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scgcnet.study.ledger import add_line, read_lines

REPLAYS = "results/replays.csv"


@dataclass(frozen=True)
class Replay:
    """One training that was begun again and gave the same numbers.

    Attributes:
        utc: when, ISO 8601.
        run_id: of the run or trial.
        code_sha256: of the code that began it again.
        epochs: how many were compared.
    """

    utc: str
    run_id: str
    code_sha256: str
    epochs: int


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


def _parse(utc: str, run_id: str, code: str, epochs: str) -> Replay:
    return Replay(utc, run_id, code, int(epochs))
