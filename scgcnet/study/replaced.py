"""The ledger of replaced scores: what a run had come to before it was made again, so that no score is lost from view.

A run is made again when its code has changed, or with `--force`. Its file then holds the new result, whichever is the
better; `results/replaced.csv` keeps the old one.
"""

from __future__ import annotations

import json
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
DATASET, PROFILE = "bijie", "cpu"  # whose runs the note sums up


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

    Of one data set and profile alone, and at native size, the one way of counting that the ledger has.

    Args:
        lines: the ledger.
        records: stored runs on real data.
    """
    alike = [record for record in records if (record.dataset, record.profile) == (DATASET, PROFILE)]
    code = {record.run_id: record.code_sha256 for record in alike}
    others = [line for line in lines if code.get(line.run_id) != line.code_sha256]  # the same code repeats to the bit
    moved = np.array([100 * (now - line.iou) for line, now in _pairs(others, alike)])
    if len(moved) < 2:
        return Note("Runs made again", "Fewer than two: nothing to say of them.")
    span = f"{moved.min():+.1f} to {moved.max():+.1f} points (mean {moved.mean():+.1f}, standard deviation "
    text = (
        f"{len(moved)} runs of {DATASET} with the profile {PROFILE} were made again, by code that computes the same "
        "function and takes its sums in another order. Seed, images and recipe are the same, yet IoU at native size "
        f"moved by {span}{moved.std(ddof=1):.1f}). {_between_seeds(alike)}"
        "Every number of one run is to be read so. The newer result counts, whichever is better."
    )
    return Note("Runs made again", text)


def _between_seeds(records: Sequence[Record]) -> str:
    """In a sentence, the standard deviation of the difference between two seeds of a configuration, counted alike."""
    groups: dict[str, list[float]] = {}
    for record in records:
        like = json.dumps({key: value for key, value in record.config.items() if key != "seed"}, sort_keys=True)
        groups.setdefault(like, []).append(100 * record.metrics["pooled"]["iou"])
    repeated = [np.array(ious) for ious in groups.values() if len(ious) > 1]
    if not repeated:
        return ""
    squares = sum(float(((ious - ious.mean()) ** 2).sum()) for ious in repeated)
    variance = squares / sum(len(ious) - 1 for ious in repeated)  # of one run, within its configuration
    return (
        f"Between two seeds of one configuration, counted alike, the difference has a standard deviation of "
        f"{(2 * variance) ** 0.5:.1f} (configurations with more than one seed: {len(repeated)}). "
    )


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
    return Table(
        pd.DataFrame(rows or [{"Run": "none was made again"}]),
        "Runs made again: IoU at native size, before and now (%)",
    )


def _pairs(lines: Sequence[Replaced], records: Sequence[Record]) -> list[tuple[Replaced, float]]:
    now = {record.run_id: record.metrics["pooled"]["iou"] for record in records}
    return [(line, now[line.run_id]) for line in lines if line.run_id in now]


def _parse(utc: str, run_id: str, code: str, iou: str) -> Replaced:
    return Replaced(utc, run_id, code, float(iou))
