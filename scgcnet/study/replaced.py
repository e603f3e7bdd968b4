"""The ledger of replaced scores: what a run had come to before it was made again, so that no score is lost from view.

A run is made again when its code has changed, or with `--force`. Its file then holds the new result, whichever is the
better; `results/replaced.csv` keeps the old one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from scgcnet.study.ledger import add_line, read_lines
from scgcnet.study.plan import project_root
from scgcnet.study.show import Link, Note, Table
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


def read_replaced(root: Path | None = None) -> list[Replaced]:
    """All replaced results of real runs.

    Raises:
        StoreError: the ledger cannot be read.
    """
    return read_lines((root or project_root()) / REPLACED, Replaced, _parse)


def note_replaced(record: Record | None, root: Path) -> None:
    """Note the record that is about to be replaced; None, or one on synthetic data, leaves no line.

    Raises:
        StoreError: the ledger cannot be read.
        WriteError: it cannot be written; what it held stands.
    """
    if record is not None and record.data_kind == "real":
        line = Replaced(record.finished_utc, record.run_id, record.code_sha256, record.metrics["pooled"]["iou"])
        add_line(root / REPLACED, line, root / "build" / "replaced.lock", _parse)


def replaced_note(lines: Sequence[Replaced], records: Sequence[Record]) -> Note:
    """In a sentence, how far the scores moved between code that differs in rounding, or less.

    Args:
        lines: the ledger.
        records: stored runs on real data.
    """
    moved = np.array([100 * (now - line.iou) for line, now in _pairs(lines, records)])
    if len(moved) < 2:
        return Note("Runs made again", "Fewer than two: nothing to say of them.")
    span = f"{moved.min():+.1f} to {moved.max():+.1f} points (mean {moved.mean():+.1f}, standard deviation "
    text = (
        f"{len(moved)} runs were made again, by code that computes the same function and takes its sums in another "
        f"order. Seed, images and recipe are the same, yet IoU moved by {span}{moved.std(ddof=1):.1f}): as far as "
        "another seed moves it. Every number of one run is to be read so. The newer result counts, whichever is better."
    )
    return Note("Runs made again", text)


def replaced_table(lines: Sequence[Replaced], records: Sequence[Record]) -> Table:
    """Pooled test IoU before and after, of every run that was made again, in percent."""
    files = {record.run_id: record.file for record in records}
    rows = [
        {
            "Run": line.run_id,
            "Before": f"{100 * line.iou:.2f}",
            "Now": Link(f"{100 * now:.2f}", files[line.run_id]),
            "Difference": f"{100 * (now - line.iou):+.2f}",
        }
        for line, now in _pairs(lines, records)
    ]
    return Table(pd.DataFrame(rows or [{"Run": "none was made again"}]), "Runs made again: IoU before and now (%)")


def _pairs(lines: Sequence[Replaced], records: Sequence[Record]) -> list[tuple[Replaced, float]]:
    now = {record.run_id: record.metrics["pooled"]["iou"] for record in records}
    return [(line, now[line.run_id]) for line in lines if line.run_id in now]


def _parse(utc: str, run_id: str, code: str, iou: str) -> Replaced:
    return Replaced(utc, run_id, code, float(iou))
