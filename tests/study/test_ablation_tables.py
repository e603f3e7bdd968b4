"""Tables II and III: the experiments of the paper found among the planned runs, and beside its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from table_rows import rows

from scgcnet import zoo
from scgcnet.study.ablation_tables import (
    STEPS,
    bars,
    experiment_runs,
    experiment_table,
    experimenters,
    experiments,
    gain_table,
    preferred,
)
from scgcnet.study.plan import Plan, PlanError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record

Make = Callable[..., Record]
MODULES = [f"A{n}" for n in range(1, 9)]
RATES = [f"B{n}" for n in range(1, 8)]


@pytest.fixture
def plan(project: object) -> Plan:
    return load_plan()


@pytest.fixture
def made(plan: Plan, make_record: Make) -> list[Record]:
    """On Bijie: A1 with 50, 52 and 54 %, A2 with 60 % once, A8 with 70 and 72 %."""
    ious = {"A1": (0.50, 0.52, 0.54), "A2": (0.60,), "A8": (0.70, 0.72)}
    return [
        make_record(run, iou)
        for name, found in ious.items()
        for run, iou in zip(experiment_runs([name], plan, "cpu"), found, strict=False)
    ]


def test_experiments_change_the_network_as_the_paper_says() -> None:
    assert experiments(["A1", "A6"]) == {
        "A1": {"hmie": False, "cam": False, "psccs": False},
        "A6": {"hmie": True, "cam": False, "psccs": True},
    }
    assert experiments(["B1"])["B1"] == {"dilations": (((1, 1, 1),), ((1, 1, 1),))}
    assert list(experiments(RATES)) == RATES


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["A9"], "there is no 'A9'; the names are A1, A2"),
        (["A1", "C3"], "there is no 'C3'"),
        (["A1", "B1"], "some of one table, A1 to A8 or B1 to B7"),
        ([], "some of one table"),
    ],
)
def test_experiments_that_are_none_are_refused(plan: Plan, names: list[str], message: str) -> None:
    for ask in (lambda: experiments(names), lambda: experimenters(names, plan, [], "cpu")):
        with pytest.raises(PlanError, match=rf"experiments: .*{message}"):
            ask()


def test_every_experiment_is_planned_on_bijie_here_and_on_cld_in_the_paper(plan: Plan) -> None:
    for profile, dataset, size in (("cpu", "bijie", "tiny"), ("paper", "cld", "base")):
        for names, whole in ((MODULES, "A8"), (RATES, "B6")):
            for name, changes in experiments(names).items():
                runs = experiment_runs([*names], plan, profile)
                own = [run for run in runs if run.config["overrides"] == ({} if name == whole else _plain(changes))]
                assert [run.seed for run in own] == list(range(len(own))) and len(own) >= 2, (profile, name)
                assert {(run.dataset, run.size, run.split, run.model) for run in own} == {(dataset, size, 0, "scgcnet")}
                assert all(run.settings == plan.profile(profile).settings for run in own)


def _plain(changes: object) -> object:
    """Lists for tuples, as in a configuration."""
    if isinstance(changes, dict):
        return {key: _plain(value) for key, value in changes.items()}
    return [_plain(value) for value in changes] if isinstance(changes, tuple) else changes


def test_planned_networks_are_those_of_the_paper(plan: Plan) -> None:
    for names in (MODULES, RATES):
        for name, run in zip(names, experiment_runs(names, plan, "cpu", seeds=[0]), strict=True):
            config = zoo.create_model("scgcnet", run.size, **run.overrides).config
            changes = experiments([name])[name]
            assert {key: getattr(config, key) for key in changes} == changes, name


def test_runs_of_some_experiments_and_seeds(plan: Plan) -> None:
    runs = experiment_runs(["A8", "A1"], plan, "cpu", seeds=[1, 0])
    assert [(bool(run.overrides), run.seed) for run in runs] == [(False, 0), (False, 1), (True, 0), (True, 1)]
    assert all(run in plan.runs for run in runs)
    assert experiment_runs(["A1"], plan, "cpu", seeds=[99]) == []
    with pytest.raises(PlanError, match="no run of scgcnet with the profile domains"):
        experiment_runs(["A1"], plan, "domains")


def test_table_two_as_printed_and_as_measured(plan: Plan, made: list[Record]) -> None:
    table = experiment_table(experimenters(MODULES, plan, made, "cpu"), plan)
    assert table.caption.startswith("Table II: as printed, on CLD, and tiny on bijie")
    assert [row["Experiment"] for row in rows(table)] == MODULES
    first, second, third, *_, last = rows(table)
    assert (first["Network"], second["Network"]) == ("baseline", "HMIE")
    assert last["Network"] == "HMIE + CAM + PSCCS"
    assert (first["IoU, paper, CLD"], last["IoU, paper, CLD"]) == ("79.16", "87.85")
    assert first["IoU, measured, bijie"] == "52.00 [47.03, 56.97]"
    assert second["IoU, measured, bijie"] == "60.00"
    assert (first["Repeats"], second["Repeats"], third["Repeats"]) == ("3 seeds", "1 seed", "0 seeds")
    assert [link.href for link in first["Runs"].items] == [record.file for record in made[:3]]
    assert {third[f"{score}, measured, bijie"] for score in ("IoU", "F1", "Precision", "Recall")} == {"not run"}
    assert (third["Cost"], str(third["Runs"])) == ("-", "-")
    assert {row["Condition"] for row in rows(table)} == {"other data"}
    assert not table.frame.isna().any().any()


def test_table_three_tells_the_rates(plan: Plan) -> None:
    table = experiment_table(experimenters(["B1", "B6"], plan, [], "cpu"), plan)
    assert table.caption.startswith("Table III")
    one, six = rows(table)
    assert (one["Network"], six["Network"]) == ("1/1/1; 1/1/1", "2/2/2 3/3/3; 3/3/3 5/5/5")
    assert (one["IoU, paper, CLD"], one["IoU, measured, bijie"]) == ("83.23", "not run")


def test_on_the_papers_own_data_its_own_networks_are_the_same(plan: Plan, make_record: Make) -> None:
    runs = experiment_runs(["A1", "A8"], plan, "paper", seeds=[0])
    assert {run.dataset for run in runs} == {"cld"}

    def conditions(records: list[Record]) -> list[object]:
        found = experimenters(["A1", "A8"], plan, records, "paper")
        return [row["Condition"] for row in rows(experiment_table(found, plan))]

    assert conditions([]) == ["same", "same"]
    few = [make_record(run) for run in runs]  # 154 images, of a small part of CLD
    assert conditions(few) == ["other data"] * 2
    many = [{**record.metrics, "per_image": {**record.metrics["per_image"], "n": 4173}} for record in few]
    assert conditions([replace(r, metrics=m) for r, m in zip(few, many, strict=True)]) == ["same", "same"]


def test_synthetic_runs_are_refused(plan: Plan, make_record: Make) -> None:
    (run,) = experiment_runs(["A8"], plan, "cpu", seeds=[0])
    found = experimenters(["A1", "A8"], plan, [make_record(run, kind="synthetic")], "cpu")
    for table in (lambda: experiment_table(found, plan), lambda: gain_table(found, [("A1", "A8")])):
        with pytest.raises(ValueError, match="synthetic data: it cannot stand beside the paper"):
            table()


def test_what_each_step_brings(plan: Plan, made: list[Record]) -> None:
    table = gain_table(experimenters(MODULES, plan, made, "cpu"), STEPS)
    found = {row["Step"]: row for row in rows(table)}
    assert len(found) == len(STEPS)
    hmie, whole, rest = found["A1 to A2"], found["A1 to A8"], found["A5 to A8"]
    assert (hmie["What is added"], whole["What is added"], rest["What is added"]) == (
        "HMIE", "HMIE, CAM, PSCCS", "PSCCS"
    )  # fmt: skip
    assert hmie["Paper, CLD"] == "+4.64"
    assert (hmie["Measured, bijie"], hmie["95 % over seeds"], hmie["Outcome"]) == (
        "+8.00", "unknown: 3 seeds of A1, 1 seed of A2", "unresolved"
    )  # fmt: skip
    assert (whole["Measured, bijie"], whole["Outcome"]) == ("+19.00", "better")
    low, high = (float(end) for end in whole["95 % over seeds"].split(" to "))
    # Welch: variances 4/3 and 2/2 of the means, 2.88 degrees of freedom: half = 3.2606 * 1.5275.
    assert (low, high) == (pytest.approx(19 - 4.98, abs=0.02), pytest.approx(19 + 4.98, abs=0.02))
    assert (rest["Measured, bijie"], rest["95 % over seeds"], rest["Outcome"]) == ("not run", "-", "not run")
    assert list(table.frame.columns) == [
        "Step", "What is added", "Paper, CLD", "Measured, bijie", "95 % over seeds", "Outcome", "Runs"
    ]  # fmt: skip
    assert [link.href for link in hmie["Runs"].items] == [record.file for record in made[:4]]
    assert not table.frame.isna().any().any()
    (back,) = rows(gain_table(experimenters(MODULES, plan, made, "cpu"), [("A8", "A1")]))
    assert (back["Measured, bijie"], back["Outcome"]) == ("-19.00", "worse")


def test_a_step_to_what_was_not_asked_for_is_not_run(plan: Plan, made: list[Record]) -> None:
    (row,) = rows(gain_table(experimenters(["A1"], plan, made, "cpu"), [("A1", "A8")]))
    assert (row["Measured, bijie"], row["Outcome"]) == ("not run", "not run")


def test_bars_and_the_networks_to_look_into(plan: Plan, made: list[Record], make_record: Make) -> None:
    found = experimenters(["A1", "A2", "A3", "A8"], plan, made, "cpu")
    shown = bars(found)
    assert shown["A1"] == pytest.approx((52, 47.03, 56.97), abs=0.01)
    assert shown["A2"] == pytest.approx((60, 60, 60))
    assert shown["A3"] is None
    own = [make_record(run, kind="synthetic") for run in experiment_runs(["A3", "A8"], plan, "cpu", seeds=[0])]
    assert preferred(found, own, ["A3", "A8"]) == {"A3": own[:1], "A8": [*made[-2:], own[1]]}
