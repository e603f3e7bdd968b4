"""Constructions of one network side by side: what they cost, and what validation says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from table_rows import rows

from scgcnet.study import load_plan
from scgcnet.study.construction_tables import construction_note, construction_table, trials_note
from scgcnet.study.plan import Plan
from scgcnet.study.store import Record, Trial


@pytest.fixture
def plan(project: Path) -> Plan:
    return load_plan()


def _with_val(record: Record, val_iou: float, gmac: float) -> Record:
    """The record, with a validation IoU of its best epoch and a cost."""
    history = [{**row, "val_iou": val_iou} for row in record.history]
    return replace(record, history=history, gmac=gmac)


@pytest.fixture
def stored(plan: Plan, make_record: Callable[..., Record]) -> list[Record]:
    """Two seeds as base is built, at 69 and 71 %, and two as lean, at 70 and 72 %."""
    found = []
    for kind, ious, gmac in (("conv", (0.69, 0.71), 0.15), ("depthwise", (0.70, 0.72), 0.05)):
        runs = [run for run in plan.runs if run.overrides.get("msle") == kind][:2]
        found += [_with_val(make_record(run, 0.6), iou, gmac) for run, iou in zip(runs, ious, strict=True)]
    return found


def test_cost_stands_beside_accuracy_and_trials_have_no_test_score(plan: Plan, stored: list[Record]) -> None:
    tiny, base, lean, *tried = rows(construction_table(plan, stored, [], "bijie"))
    assert (tiny["Construction"], tiny["Validation IoU"]) == ("tiny, as it is", "not run")
    assert base["Construction"].startswith("as base, msle conv, context nested")
    assert (base["GMAC"], base["Seeds"], base["Validation IoU"][:5]) == ("0.1500", 2, "70.00")
    assert lean["Construction"].startswith("as lean, msle depthwise")
    assert (lean["GMAC"], lean["Validation IoU"][:5], lean["Test IoU"]) == ("0.0500", "71.00", "60.00 [60.00, 60.00]")
    assert [str(link) for link in lean["Runs"].items] == ["seed 0", "seed 1"]
    assert tried[0]["Construction"] == "as lean, but neck_width 24"
    assert {row["Test IoU"] for row in tried} == {"-"}


def test_a_stored_trial_fills_its_row(plan: Plan, stored: list[Record]) -> None:
    planned = plan.construction_trials[1]
    fields = {key: value for key, value in vars(stored[0]).items() if key in Trial.__dataclass_fields__}
    trial = Trial(**{**fields, "run_id": planned.run_id, "history": [{**stored[0].history[0], "val_iou": 0.7}]})
    row = rows(construction_table(plan, stored, [trial], "bijie"))[4]
    assert (row["Validation IoU"], row["Seeds"], row["Test IoU"]) == ("70.00", 1, "-")


def test_the_seeds_decide_what_may_be_said(plan: Plan, stored: list[Record]) -> None:
    note = construction_note(plan, stored, "bijie")
    assert "67 % fewer multiplications" in note.text
    assert "the seeds cannot tell them apart; the difference of the means is +1.00 points" in note.text
    base, lean = stored[:2], stored[2:]
    sure = [_with_val(one, iou, 0.15) for one, iou in zip(base, (0.500, 0.501), strict=True)]
    clear = [_with_val(one, iou, 0.05) for one, iou in zip(lean, (0.700, 0.701), strict=True)]
    assert construction_note(plan, [*sure, *clear], "bijie").text.count("it is better;") == 1
    swapped = [replace(one, history=other.history) for one, other in zip([*sure, *clear], [*clear, *sure], strict=True)]
    assert construction_note(plan, swapped, "bijie").text.count("it is worse;") == 1
    assert construction_note(plan, stored[:3], "bijie").title == "Not run"
    assert rows(construction_table(plan, stored, [], "cld")) == [{"Construction": "none are planned on cld"}]


def test_it_is_the_difference_that_is_judged(plan: Plan, make_record: Callable[..., Record]) -> None:
    """Intervals of 69.3 to 71.7 and 67.3 to 69.7 overlap; the difference of three seeds each is 0.87 to 3.13."""
    found = []
    for kind, ious, gmac in (("conv", (0.68, 0.685, 0.69), 0.15), ("depthwise", (0.70, 0.705, 0.71), 0.05)):
        runs = [run for run in plan.runs if run.overrides.get("msle") == kind]
        found += [_with_val(make_record(run, 0.6), iou, gmac) for run, iou in zip(runs, ious, strict=True)]
    assert "it is better; the difference of the means is +2.00 points, over seeds +0.87 to +3.13" in (
        construction_note(plan, found, "bijie").text
    )


def test_a_single_change_is_told_from_lean_by_the_seeds_of_lean(plan: Plan, make_record: Callable[..., Record]) -> None:
    """Three seeds of lean at 70, 70.5 and 71 % say where four more fall at once: t(0.99375, 2) is 8.86."""
    runs = [run for run in plan.runs if run.overrides.get("msle") == "depthwise"]
    lean = [_with_val(make_record(run, 0.6), iou, 0.05) for run, iou in zip(runs, (0.70, 0.705, 0.71), strict=True)]
    fields = {key: value for key, value in vars(lean[0]).items() if key in Trial.__dataclass_fields__}

    def trial(index: int, iou: float, gmac: float) -> Trial:
        history = [{**lean[0].history[0], "val_iou": iou}]
        return Trial(**{**fields, "run_id": plan.construction_trials[index].run_id, "history": history, "gmac": gmac})

    tried = [trial(0, 0.761, 0.055), trial(1, 0.69, 0.03), trial(2, 0.72, 0.051), trial(3, 0.65, 0.045)]
    text = trials_note(plan, lean, tried, "bijie").text
    assert "4 of 11 changes were tried" in text and "65.4 to 75.6 % (95 % for all at once)" in text
    assert "Above: neck_width 24 76.1 at +10 % cost; below: msle bottleneck, msle_mid 0.25 65.0 at -10 % cost" in text
    assert "within, and cheaper: neck_width 8, cu_width 8 69.0 at -40 % cost" in text
    assert text.endswith("within, and no cheaper: downsample conv3 72.0 at +2 % cost.")
    assert trials_note(plan, lean[:1], tried, "bijie").title == "Not run"
    assert trials_note(plan, lean, [], "bijie").title == "Not run"
