"""The ledger of replaced scores: what a run had come to before it was made again, so that no score is lost from view.

A run is made again when its code has changed, or with `--force`. Its file then holds the new result, whichever is the
better; `results/replaced.csv` keeps the old one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scgcnet.study.ledger import add_line, read_lines
from scgcnet.study.store import Record

REPLACED = "results/replaced.csv"


@dataclass(frozen=True)
class Replaced:
    """A stored result that another took the place of.

    Attributes:
        utc: when it had been finished, ISO 8601.
        run_id: of the run.
        code_sha256: of the code that had made it.
        iou: its pooled test IoU at native size, in [0, 1].
    """

    utc: str
    run_id: str
    code_sha256: str
    iou: float


def read_replaced(root: Path) -> list[Replaced]:
    """All replaced results of real runs.

    Raises:
        StoreError: the ledger cannot be read.
    """
    return read_lines(root / REPLACED, Replaced, _parse)


def note_replaced(record: Record | None, root: Path) -> None:
    """Note the record that is about to be replaced; None, or one on synthetic data, leaves no line.

    Raises:
        StoreError: the ledger cannot be read.
        WriteError: it cannot be written; what it held stands.
    """
    if record is not None and record.data_kind == "real":
        line = Replaced(record.finished_utc, record.run_id, record.code_sha256, record.metrics["pooled"]["iou"])
        add_line(root / REPLACED, line, root / "build" / "replaced.lock", _parse)


def _parse(utc: str, run_id: str, code: str, iou: str) -> Replaced:
    return Replaced(utc, run_id, code, float(iou))
