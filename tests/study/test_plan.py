"""study.yml: what a line expands to, ids that never change, and faults that are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.study.plan import Plan, load_plan, loss_grid
from scgcnet.study.runs import PlanError, config_id, configuration, plain

EDITS = {
    "profiles.cpu.lr": (-1, r"profile cpu, lr: Input should be greater than 0"),
    "profiles.cpu.augment.scale": ([2, 1], "profile cpu, augment"),
    "profiles.cpu.augment.warp": (1, "augment"),
    "profiles.cpu.learning_rate": (1, "learning_rate: Extra inputs"),
    "profiles.cpu.data": ("made", "neither real nor synthetic"),
    "runs.0.profile": ("quick", "runs.0.profile: there is no 'quick'"),
    "runs.0.seeds": ([], "runs.0.seeds"),
    "runs.0.seeds.0": (-1, "runs.0.seeds.0"),
    "runs.0.seed": (0, "runs.0.seed: Extra inputs"),
    "runs.0.claims": (["no_such"], "'no_such' is no id"),
    "runs.0.settings": ({"epochs": 0}, "runs.0.profile smoke, epochs"),
    "chapters.start.template": ("book/start.py", "chapters.start.template"),
    "exhibits.table1.claims": (["no_such"], "'no_such' is no id"),
    "nonsense": (1, "nonsense: Extra inputs"),
}


def test_ids_are_those_that_are_stored(plan: Plan) -> None:
    """A changed id would orphan every stored run."""
    ids = [run.run_id for run in plan.runs]
    assert "bijie-scgcnet-tiny-cpu-s0-3f66e797ea" in ids and "bijie-icnet-tiny-cpu-s0-1cfba17f46" in ids
    assert len(ids) == len(set(ids))
    assert all(config_id(run.config) == run.run_id for run in plan.runs)


def test_lists_stand_for_every_combination(plan: Plan) -> None:
    rows = [run for run in plan.select("cpu") if run.overrides == {"hmie": True, "cam": False, "psccs": False}]
    assert [(run.split, run.seed) for run in rows] == [(0, 0), (0, 1), (0, 2)]
    assert [run.priority for run in plan.runs] == sorted(run.priority for run in plan.runs)


def test_increments_start_from_the_first(plan: Plan) -> None:
    runs = [run for run in plan.select("cpu") if run.increment and run.model == "scgcnet"]
    assert [run.increment.percent for run in runs if run.increment] == [0, 1, 5, 10, 20]
    assert [run.start for run in runs] == [None] + [runs[0]] * 4
    assert runs[1].config["start"] == runs[0].run_id


def test_every_network_has_the_same_trials(plan: Plan) -> None:
    rates = {}
    for trial in plan.trials:
        rates.setdefault(trial.model, []).append(trial.settings["lr"])
    assert len(rates) == 18 and all(found == [5e-4, 1e-3, 2e-3, 4e-3] for found in rates.values())
    assert len(loss_grid(10)) == 66 and all(sum(weights) == pytest.approx(1) for weights in loss_grid(10))


def test_a_run_of_ones_own(plan: Plan) -> None:
    own = plan.make_run("mine", "scgcnet", "tiny", "cpu", changes={"epochs": 5}, seed=3)
    assert (own.run_id.startswith("mine-scgcnet-tiny-cpu-s3-"), own.settings["epochs"]) == (True, 5)
    planned = plan.make_run("bijie", "scgcnet", "tiny", "cpu")
    assert planned.claims == ("bijie_iou", "bijie_f1")  # of study.yml
    assert plan.find(planned.run_id) == planned
    with pytest.raises(PlanError, match="no run in "):
        plan.find("nothing")
    with pytest.raises(PlanError, match="runs in "):
        plan.find("bijie")
    with pytest.raises(PlanError, match="no profile 'quick': choose one of smoke"):
        plan.profile("quick")


@given(st.integers(0, 2**20))
def test_whole_numbers_and_fractions_are_one_setting(value: int) -> None:
    config = {"dataset": "a", "model": "b", "size": "c", "profile": "d", "seed": 0, "split": 0}
    assert config_id({**config, "x": value}) == config_id({**config, "x": float(value)})
    assert configuration({**config, "seed": value}) == configuration(config)
    assert plain({"x": (1, 2)}) == {"x": [1, 2]}


@pytest.mark.parametrize("place", EDITS)
def test_faults_are_named(project: Path, place: str) -> None:
    value, message = EDITS[place]
    tree = yaml.safe_load((project / "study.yml").read_text())
    *parents, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    node = tree
    for key in parents:
        node = node[key]
    node[last] = value
    (project / "study.yml").write_text(yaml.safe_dump(tree))
    with pytest.raises(PlanError, match=message):
        load_plan()


def test_other_faults(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project / "study.yml"
    tree = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**tree, "runs": [*tree["runs"], tree["runs"][0]]}))
    with pytest.raises(PlanError, match="is listed twice"):
        load_plan()
    del tree["profiles"]["cpu"]["epochs"]
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(PlanError, match=r"profiles\.cpu: epochs is missing"):
        load_plan()
    path.write_text("a: [")
    with pytest.raises(PlanError, match="not valid YAML"):
        load_plan()
    path.write_text("!!python/object/apply:os.abort []")
    with pytest.raises(PlanError, match="not valid YAML"):
        load_plan()
    with pytest.raises(PlanError, match="does not exist"):
        load_plan(project / "none.yml")


def test_a_teacher_has_seen_what_its_student_has(plan: Plan) -> None:
    taught = [run for run in plan.select("windows") if run.teacher]
    assert len(taught) == 6 and len({run.config["teacher"] for run in taught}) == 6
    for run in taught:
        assert run.teacher and run.teacher.config["train_datasets"] == run.config["train_datasets"]
        assert run.teacher.run_id in {other.run_id for other in plan.runs}
