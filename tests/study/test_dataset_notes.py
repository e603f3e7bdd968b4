"""What a page says of its data set: by hand, and only where it holds."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scgcnet.study.dataset_notes import beside_note, counting_note, implied_share, recipe_note
from scgcnet.study.looks import Look
from scgcnet.study.plan import Plan
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record


@pytest.fixture
def plan(project: Path) -> Plan:
    return load_plan()


def test_the_share_that_scores_imply() -> None:
    """Of 100 pixels 10 are landslide: 8 found, 2 missed, 4 falsely alarmed."""
    assert implied_share({"precision": 8 / 12, "recall": 0.8, "oa": 0.94}) == pytest.approx(0.1)


def test_shares_are_told_on_bijie_alone(plan: Plan, make_record: Callable[..., Record]) -> None:
    record = make_record(plan.select("cpu")[0])
    assert " imply, 8.65 %, comes nearest" in counting_note("bijie", [record]).text
    assert "imply" not in counting_note("bijie", []).text + counting_note("cld", [record]).text


def test_a_recipe_is_chosen_or_taken_over(plan: Plan) -> None:
    assert recipe_note("bijie", plan).title == "Chosen on validation"
    assert recipe_note("landslide4sense", plan).title == "Taken over"


def test_looks_are_counted_and_splits_told_where_there_are_some(plan: Plan, make_record: Callable[..., Record]) -> None:
    views = next(run for run in plan.runs if run.dataset == "bijie" and run.prediction and run.model == "scgcnet")
    looks = [Look("2026-01-01T00:00:00Z", "bijie", 0, views.run_id, "")] * 2
    runs = [make_record(run) for run in plan.select("cpu") if run.model == "scgcnet" and run.unaltered]
    text = beside_note("bijie", plan, runs, looks).text
    assert "splits 1 and 2" in text and "opened once for each training (scgcnet 2 looks, icnet 0 looks)" in text
    other = beside_note("landslide4sense", plan, runs, looks).text
    assert other == "Recipe and thresholds were chosen on the validation images of split 0."
