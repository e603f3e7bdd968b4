"""The first result of a data set, of the whole network with its own recipe alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from table_rows import rows

from scgcnet.study.headline import headline_note, headline_table
from scgcnet.study.plan import Plan
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record

Make = Callable[..., Record]


@pytest.fixture
def plan(project: Path) -> Plan:
    return load_plan()


@pytest.fixture
def stored(plan: Plan, tiny: list[Record], make_record: Make) -> list[Record]:
    """Ours with 60, 62, 64 % on split 0 and one seed on two more; other rates, parts and places with 90 %."""
    own = {record.run_id for record in tiny}
    others = [run for run in plan.select("cpu") if run.run_id not in own and run.prediction is None]
    return [*tiny, *(make_record(run, 0.9) for run in others if run.model == "scgcnet")]


def views(plan: Plan, make_record: Make, model: str = "scgcnet") -> Record:
    run = next(run for run in plan.runs if run.prediction is not None and run.model == model)
    return make_record(
        run,
        0.74 if model == "scgcnet" else 0.75,
        prediction={"views": 8, "threshold": 0.4, "val_iou": 0.7},
        wall_s=900.0,
    )


def test_one_row_of_the_whole_network(plan: Plan, stored: list[Record], make_record: Make) -> None:
    (row,) = rows(headline_table("bijie", plan, [*stored, views(plan, make_record)]))
    assert row["Test IoU, 3 seeds on split 0, 154 images"] == "62.00 [57.03, 66.97]"
    assert row["Test IoU, 3 splits, seed 0, 154 images each"].startswith("65.00 [")
    assert (row["Over views, threshold from validation"], row["Condition"]) == ("74.00", "scaled down")
    assert row["Paper, the whole network at 512 px"] == "73.53"
    assert len(row["Runs"].items) == 6
    (row,) = rows(headline_table("bijie", plan, []))
    assert row["Network"] == row["Over views, threshold from validation"] == "not run"


def test_the_note_says_it_in_words(plan: Plan, stored: list[Record], make_record: Make) -> None:
    further = [views(plan, make_record, model) for model in ("icnet", "scgcnet")]
    text = headline_note("bijie", plan, [*stored, *further]).text
    assert "test IoU 62.00 [57.03, 66.97] % (3 seeds on split 0, 154 images)." in text
    assert "came to here: 74.00 %, over 8 views" in text and "minutes" not in text
    assert "icnet of the same cost, likewise: 75.00 %." in text
    assert "The paper prints 73.53 %" in text and text.endswith("scaled down: no verdict on it.")
    assert "over views" not in headline_note("bijie", plan, stored).text
    assert "not run" in headline_note("hrgldd", plan, []).text


def test_a_small_part_does_not_stand_beside_the_paper(plan: Plan, make_record: Make) -> None:
    whole = make_record(next(run for run in plan.select("cpu") if run.dataset == "cld"), 0.45)
    part = replace(whole, metrics={**whole.metrics, "per_image": {**whole.metrics["per_image"], "n": 7}})
    text = headline_note("cld", plan, [part]).text
    assert "45.00 %" in text and "87.85" not in text and "too small a part" in text
    (row,) = rows(headline_table("cld", plan, [part]))
    assert (row["Paper, the whole network at 512 px"], row["Condition"]) == ("-", "other data")
    (row,) = rows(headline_table("bijie", plan, []))
    assert (row["Paper, the whole network at 512 px"], row["Condition"]) == ("73.53", "-")


def test_synthetic_runs_make_no_headline(plan: Plan, make_record: Make) -> None:
    for show in (headline_table, headline_note):
        with pytest.raises(ValueError, match="synthetic"):
            show("bijie", plan, [make_record(kind="synthetic")])
