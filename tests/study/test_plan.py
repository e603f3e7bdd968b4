import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from scgcnet.data import AugmentConfig
from scgcnet.study import plan_schema
from scgcnet.study.plan import PlanError, config_id, project_root
from scgcnet.study.plan_reader import load_plan
from scgcnet.train import LossWeights, TrainConfig

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_papers_protocol_is_the_profile_paper():
    settings = load_plan().profile("paper").settings
    told = {"image_size": 512, "epochs": 400, "batch_size": 16, "optimizer": "adam", "lr": 2e-4}
    told |= {"weight_decay": 1e-4, "betas": [0.9, 0.999], "focal_exponent": 2.0}
    assert {key: settings[key] for key in told} == told
    assert settings["loss"] == {"dwce": 0.4, "focal": 0.4, "lovasz": 0.2}
    augment = settings["augment"]
    assert (augment["hflip"], augment["vflip"], augment["rot90"]) == (0.5, 0.0, False)


def test_planned_runs_are_those_of_the_issue():
    runs = {(r.dataset, r.model, r.size, r.profile, r.split, r.seed) for r in load_plan().runs}
    tiny = ("bijie", "scgcnet", "tiny", "cpu")
    wanted = {(*tiny, 0, 0), (*tiny, 0, 1), (*tiny, 0, 2), (*tiny, 1, 0), (*tiny, 2, 0)}
    wanted |= {("bijie", "scgcnet", size, "gpu", 0, 0) for size in ("small", "base")}
    wanted |= {("synthetic", "scgcnet", "tiny", "smoke", 0, 0), ("bijie", "scgcnet", "base", "paper", 0, 0)}
    assert wanted <= runs
    assert load_plan().runs[0].priority == 1


def test_settings_are_the_fields_of_the_training_configuration():
    """plan.py spells them out, so that it need not import torch; here the two are held together."""
    keys = plan_schema.SETTING_KEYS
    assert set(keys) == {f.name for f in dataclasses.fields(TrainConfig)} - {"workers"}
    assert set(keys["augment"]["properties"]) == {f.name for f in dataclasses.fields(AugmentConfig)}
    assert set(keys["loss"]["properties"]) == set(LossWeights._fields)


def test_run_id_is_the_same_in_every_process():
    config = {"dataset": "d", "model": "m", "size": "s", "profile": "p", "seed": 3, "lr": 0.1, "n": [1, 2]}
    assert config_id(config) == "d-m-s-p-s3-630c30a2b8"
    code = "from scgcnet.study.plan_reader import load_plan; print(*[r.run_id for r in load_plan().runs])"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.split() == [run.run_id for run in load_plan().runs]


def test_run_id_follows_the_configuration_and_nothing_else():
    plan = load_plan()
    run = plan.make_run("bijie", "scgcnet", "tiny", "cpu")
    same = dataclasses.replace(run, claims=("a2_iou",), priority=7)
    reordered = dataclasses.replace(run, settings=dict(reversed(list(run.settings.items()))))
    as_float = dataclasses.replace(run, settings={**run.settings, "batch_size": 8.0})
    assert run.run_id == same.run_id == reordered.run_id == as_float.run_id
    others = [
        plan.make_run("bijie", "scgcnet", "tiny", "cpu", seed=1),
        plan.make_run("bijie", "scgcnet", "tiny", "cpu", split=1),
        plan.make_run("bijie", "scgcnet", "small", "cpu"),
        plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 5}),
        plan.make_run("bijie", "scgcnet", "tiny", "cpu", overrides={"cam": False}),
    ]
    assert len({run.run_id, *(other.run_id for other in others)}) == 6


def test_made_run_that_is_planned_keeps_its_claims():
    plan = load_plan()
    assert plan.make_run("bijie", "scgcnet", "tiny", "cpu").claims == ("bijie_iou", "bijie_f1")
    assert plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 5}).claims == ()


def test_find_takes_a_unique_beginning():
    plan = load_plan()
    run = plan.runs[0]
    assert plan.find(run.run_id[:-3]) == run
    with pytest.raises(PlanError, match=r"\d+ runs .* like 'bijie-scgcnet-tiny-cpu'"):
        plan.find("bijie-scgcnet-tiny-cpu")
    with pytest.raises(PlanError, match=r"no run .* like 'nope'"):
        plan.find("nope")


def test_changes_are_checked_like_the_file():
    plan = load_plan()
    with pytest.raises(PlanError, match=r"profile cpu, .*unknown key epoch"):
        plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epoch": 5})
    with pytest.raises(PlanError, match=r"image_size: 16 is less than the minimum of 32"):
        plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"image_size": 16})
    with pytest.raises(PlanError, match="no profile 'warp': choose one of smoke, cpu, domains, gpu, paper"):
        plan.make_run("bijie", "scgcnet", "tiny", "warp")


def test_project_root_is_found_from_below_and_from_elsewhere(project, tmp_path_factory, monkeypatch):
    below = project / "build" / "book"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert project_root() == project
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert project_root() == REPOSITORY


def test_reading_the_plan_does_not_import_torch():
    code = "import sys, scgcnet.study; scgcnet.study.load_plan(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
