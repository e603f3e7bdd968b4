"""The grid of loss weights, with trials whose scores are known."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from table_rows import rows

from scgcnet.study.loss_tables import (
    PAPER,
    Weights,
    grid,
    grid_scores,
    grid_table,
    seed_noise,
    val_f1,
    verdict,
)
from scgcnet.study.plan import Plan, PlanError, Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record, Training, Trial

MakeTrial = Callable[..., Trial]


@pytest.fixture
def plan(project: Path) -> Plan:
    return load_plan()


@pytest.fixture
def make_trial(make_record: Callable[..., Record]) -> MakeTrial:
    """Builds a trial with F1 and IoU, fractions of 1, of its second epoch, which was kept; the others have more F1."""

    def make(run: Run, f1: float | None, iou: float = 0.5) -> Trial:
        history = [
            {"epoch": 0, "val_iou": 0.1, "val_f1": 0.99},
            {"epoch": 1, "val_iou": iou, "val_f1": f1},
            {"epoch": 2, "val_iou": 0.2, "val_f1": 0.98},
        ]
        record = make_record(run, history=history, best_epoch=1)
        return Trial(**{field.name: getattr(record, field.name) for field in dataclasses.fields(Training)})

    return make


@pytest.mark.parametrize(("step", "points"), [(0.1, 66), (0.2, 21), (0.5, 6), (1, 3)])
def test_the_grid_of_a_step(plan: Plan, step: float, points: int) -> None:
    found = grid(plan, "cpu", step)
    assert len(found) == points
    for weights, trial in found.items():
        assert sum(weights) == pytest.approx(1)
        assert all(weight / step == pytest.approx(round(weight / step)) for weight in weights)
        assert tuple(trial.settings["loss"][name] for name in ("dwce", "focal", "lovasz")) == weights
        assert (trial.profile, trial.dataset) == ("cpu", "bijie")
    assert (PAPER in found) == (step in (0.1, 0.2))


def test_the_papers_weights_are_those_of_the_paper_profile(plan: Plan) -> None:
    loss = plan.profile("paper").settings["loss"]
    assert (loss["dwce"], loss["focal"], loss["lovasz"]) == PAPER


@pytest.mark.parametrize("step", [0, -0.1, 0.3, 0.7, 2, 1.5])
def test_a_step_that_does_not_divide_is_refused(plan: Plan, step: float) -> None:
    with pytest.raises(PlanError, match=rf"step {step}: must divide 1"):
        grid(plan, "cpu", step)


def test_a_profile_without_a_grid_is_refused(plan: Plan) -> None:
    assert len(grid(plan, "smoke", 0.5)) == 6
    with pytest.raises(PlanError, match=r"plans no loss weights with the profile gpu at steps of 0\.1"):
        grid(plan, "gpu", 0.1)


def test_f1_is_that_of_the_kept_epoch(plan: Plan, make_trial: MakeTrial) -> None:
    assert val_f1(make_trial(plan.loss_trials[0], 0.75)) == pytest.approx(75)
    assert val_f1(make_trial(plan.loss_trials[0], None)) == 0  # nothing was predicted, so that it was undefined


def test_what_was_not_run_has_no_score(plan: Plan, make_trial: MakeTrial) -> None:
    trials = grid(plan, "cpu", 0.5)
    first, second, *_ = trials
    other = grid(plan, "smoke", 0.5)[first]
    scores = grid_scores(trials, [make_trial(trials[second], 0.7), make_trial(other, 0.9)])
    assert scores == {second: pytest.approx(70)}


def test_the_best_is_on_top_and_what_was_not_run_below(plan: Plan, make_trial: MakeTrial) -> None:
    trials = grid(plan, "cpu", 0.2)
    f1 = {(1.0, 0.0, 0.0): 0.0, PAPER: 0.71, (0.0, 0.0, 1.0): 0.735}
    made = [make_trial(trials[weights], score, score / (2 - score)) for weights, score in f1.items()]
    made[1] = dataclasses.replace(made[1], code_sha256="1" * 64)
    table = rows(grid_table(trials, made))
    assert len(table) == 21
    best, paper, none, missing = table[:4]
    assert [best[name] for name in ("DWCE", "Focal", "Lovasz")] == ["0", "0", "1"]
    assert (best["Validation F1"].text, best["Validation IoU"], best["Whose"]) == ("73.50", "58.10", "-")
    assert best["Validation F1"].href == made[2].file
    assert [paper[name] for name in ("DWCE", "Focal", "Lovasz")] == ["0.4", "0.4", "0.2"]
    assert (paper["Validation F1"].text, paper["Whose"]) == ("71.00 (stale)", "the paper's choice")
    assert none["Validation F1"].text == "0.00"  # a score, and still above what has none
    assert missing["Validation F1"] == missing["Validation IoU"] == "not run"
    assert [row["Whose"] for row in table].count("the paper's choice") == 1


def scores(**found: float) -> Mapping[Weights, float]:
    """Scores by name: the paper's weights, and three others."""
    weights = {"paper": PAPER, "a": (1.0, 0.0, 0.0), "b": (0.0, 0.5, 0.5), "c": (0.0, 0.0, 1.0)}
    return {weights[name]: score for name, score in found.items()}


def test_the_verdict_counts_who_stands_above_and_who_is_near() -> None:
    text = verdict(scores(a=72.0, paper=71.25, b=73.0, c=60.0), 66, noise=1.0)
    assert "Of 4 combinations that were run, of 66, the paper's 0.4, 0.4, 0.2 is number 3 with 71.25 % F1" in text
    assert "the best, 0, 0.5, 0.5, has 73.00 %" in text
    assert "lie up to 1.0 points apart, so 1 of the others cannot be told from the best" in text


@pytest.mark.parametrize(("noise", "near"), [(0.0, 0), (1.0, 1), (1.5, 1), (1.75, 2), (99.0, 3)])
def test_near_is_within_the_noise(noise: float, near: int) -> None:
    text = verdict(scores(a=72.0, paper=71.25, b=73.0, c=60.0), 66, noise)
    assert f"so {near} of the others cannot be told" in text


def test_the_paper_may_be_best_and_equals_share_a_rank() -> None:
    assert "is number 1 with 73.00 % F1; the best, 0.4, 0.4, 0.2, has 73.00 %" in verdict(
        scores(paper=73, a=72), 66, 0.5
    )
    assert "is number 1 with" in verdict(scores(a=73, paper=73), 66, 0.5)
    assert "is number 2 with" in verdict(scores(a=74, paper=73, b=73), 66, 0.5)


def test_no_verdict_without_the_papers_weights_or_another() -> None:
    for found in ({}, {"a": 70.0, "b": 71.0}):
        text = verdict(scores(**found), 66, 1.0)
        assert text.startswith(f"{len(found)} of the 66 combinations were run, and the paper's")
    text = verdict(scores(paper=70.0), 66, 1.0)
    assert "alone was run, with 70.00 % F1: there is nothing yet to compare it with" in text
    assert "not run" not in text  # for it was


def test_an_unknown_noise_settles_nothing() -> None:
    text = verdict(scores(paper=70.0, a=71.0), 66, math.nan)
    assert text.endswith("is not known.")
    assert "nan" not in text and "cannot be told" not in text


def test_the_noise_is_that_of_the_seeds_alone(plan: Plan, make_record: Callable[..., Record]) -> None:
    """Runs on other data, splits, settings or networks differ in more than the seed, whatever they score."""

    def record(run: Run, f1: float) -> Record:
        return make_record(run, history=[{"epoch": 0, "val_iou": 0.5, "val_f1": f1}])

    settings = plan.profile("cpu").settings
    ours = [
        run
        for run in plan.select("cpu")
        if (run.dataset, run.model, run.split, run.settings) == ("bijie", "scgcnet", 0, settings) and run.unaltered
    ]
    assert [run.seed for run in ours] == [0, 1, 2]
    seeds = [record(run, f1) for run, f1 in zip(ours, (0.70, 0.72, 0.715), strict=True)]
    others = [record(run, 0.1) for run in plan.select() if run not in ours]
    assert seed_noise([*others, *seeds], plan, "cpu") == pytest.approx(2)
    assert seed_noise([*others, *seeds[1:]], plan, "cpu") == pytest.approx(0.5)
    assert math.isnan(seed_noise([*others, seeds[0]], plan, "cpu"))
    beyond = record(plan.make_run("bijie", "scgcnet", "tiny", "cpu", seed=7), 0.1)  # nobody planned it
    assert seed_noise([*seeds, beyond], plan, "cpu") == pytest.approx(2)
    assert math.isnan(seed_noise(others, plan, "gpu"))
