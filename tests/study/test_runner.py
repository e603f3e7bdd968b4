"""One run from data to record, its trials, and the runs that a page shows."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

import scgcnet.data
import scgcnet.train.fit
import scgcnet.train.predict
from scgcnet import files, zoo
from scgcnet.data import DatasetNotFoundError, write_fake
from scgcnet.study import pages, results, runner
from scgcnet.study.plan import Plan
from scgcnet.study.runner import data_parts, load_predictor, run, run_trial
from scgcnet.study.runs import PlanError, Run
from scgcnet.train.config import TrainConfig
from scgcnet.train.fit import FitResult

SMALL = {"epochs": 1, "image_size": 32, "batch_size": 4}


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve synthetic images in Bijie's layout."""
    root = tmp_path_factory.mktemp("data")
    write_fake("bijie", root, n=12, seed=0)
    return root


@pytest.fixture
def spec(project: Path, plan: Plan, fakes: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run on the fakes; nothing but their kind says that they are not the real Bijie."""
    monkeypatch.setenv("SCGCNET_DATA", str(fakes))
    return plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes=SMALL)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the training by nothing, and notes in which order parts are opened, trained on and scored."""
    events: list[str] = []
    open_dataset, score_images = scgcnet.data.open_dataset, scgcnet.train.predict.score_images

    def noted_open(name: str, split: Any, part: Any, root: Any = None) -> Any:
        events.append(f"open {part}")
        return open_dataset(name, split, part, root)

    def noted_score(model: Any, dataset: Any, image_size: int) -> Any:
        events.append(f"score {len(dataset)} images at {image_size} px")
        return score_images(model, dataset, image_size)

    def no_fit(model: Any, train: Any, val: Any, config: Any, seed: int, folder: Path, **_: Any) -> FitResult:
        events.append("fit")
        folder.mkdir(parents=True, exist_ok=True)
        row = {"epoch": 0, "loss": float("nan"), "val_loss": 1.0, "val_iou": 0.0, "val_f1": 0.0}
        return FitResult(model, [row], 0)

    monkeypatch.setattr(scgcnet.data, "open_dataset", noted_open)
    monkeypatch.setattr(scgcnet.train.predict, "score_images", noted_score)
    monkeypatch.setattr(scgcnet.train.fit, "fit", no_fit)
    return events


def test_a_real_training_from_data_to_record(project: Path, spec: Run) -> None:
    record = run(spec, progress=False)
    assert results.records("synthetic") == (record,) and results.records("real") == ()  # never a committed result
    assert (record.run_id, record.config, record.data_kind) == (spec.run_id, spec.config, "synthetic")
    assert (record.params, len(record.history), record.test_looks) == (1_175_197, 1, 1)
    frame = results.runs("synthetic")
    images = results.images(frame)
    parts = data_parts(spec)
    assert images.image.tolist() == list(parts["test"].names)
    assert record.metrics is not None
    native = images[["native_tp", "native_fp", "native_fn", "native_tn"]].sum()
    assert tuple(native) == tuple(record.metrics.confusion.model_dump().values())
    tp, fp, fn, _ = images[["tp", "fp", "fn", "tn"]].sum()
    assert record.metrics.resized["iou"] == pytest.approx(tp / (tp + fp + fn))
    weights = results.weights_of(record.run_id, record.finished_utc)
    assert weights == project / "build" / "weights" / f"{spec.run_id}.safetensors"
    assert load_predictor(record.run_id, record.finished_utc, {}) is not None
    assert not list((project / "build" / "training").glob("*/*"))


def test_the_test_part_is_opened_after_training_and_scored_once(spec: Run, log: list[str]) -> None:
    run(spec)
    assert log == ["open train", "open val", "fit", "open test", "score 2 images at 32 px", "open test"]
    assert results.runs("synthetic").history.iloc[0][0]["loss"] is None  # JSON has no NaN


def test_trained_on_several_every_test_image_is_counted(project: Path, plan: Plan, spec: Run, log: list[str]) -> None:
    """At home on one of them: the images of the other stand apart."""
    write_fake("cld", Path(os.environ["SCGCNET_DATA"]), n=48, seed=1)
    run(dataclasses.replace(spec, train=("bijie", "cld")))
    frame = results.runs("synthetic")
    assert set(frame.domains.iloc[0]) == {"bijie", "cld"} and not frame.maps.iloc[0]
    assert results.images(frame).image.tolist() == list(data_parts(spec)["test"].names)
    cld = results.images(frame, "cld")
    counted = frame.domains.iloc[0]["cld"]["test"]
    assert len(cld) == counted.n > 0 and cld.tp.sum() == counted.tp and cld.tn.sum() == counted.tn


def test_a_stored_run_is_not_computed_again_unless_forced(spec: Run, log: list[str]) -> None:
    first = run(spec)
    assert run(spec) == first and log.count("fit") == 1
    assert run(spec, force=True).test_looks == 2 and log.count("fit") == 2


def test_a_synthetic_run_of_another_protocol_is_computed_again(spec: Run, log: list[str]) -> None:
    results.write(run(spec).model_copy(update={"protocol": 99}))
    assert run(spec).protocol != 99 and log.count("fit") == 2


def test_nothing_is_stored_when_the_training_fails(spec: Run, log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scgcnet.train.fit, "fit", lambda *arguments, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(spec)
    assert results.records("synthetic") == () and results.looks("synthetic").empty


def test_a_look_is_noted_before_the_score_is_known(
    spec: Run, project: Path, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(results, "write", lambda *arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run(spec)
    assert results.looks("synthetic").run_id.tolist() == [spec.run_id]
    assert run(spec).test_looks == 2 and results.looks("real").empty
    (project / "build" / "looks.csv").unlink()
    (project / "build" / "looks.csv").mkdir()
    log.clear()
    with pytest.raises(files.WriteError, match=r"looks\.csv"):
        run(spec, force=True)
    assert "open test" not in log


def test_a_trial_never_opens_the_test_part(project: Path, spec: Run, log: list[str]) -> None:
    trial = run_trial(spec)
    assert log == ["open train", "open val", "fit"]
    assert results.records("synthetic", "trials") == (trial,) and results.records("synthetic") == ()
    assert results.looks("synthetic").empty and not (project / results.WEIGHTS).exists()
    assert run_trial(spec) == trial and log.count("fit") == 1


def test_missing_data_is_an_error_unless_the_run_is_stored(store: Any, ours: list[Run]) -> None:
    with pytest.raises(DatasetNotFoundError, match="Bijie"):
        run(ours[0])
    assert data_parts(ours[0]) == {}
    record = store(ours[0], [(8, 1, 1, 90)], protocol=7)  # a real record is returned whatever made it
    assert run(ours[0]) == record


def test_faults_of_a_network_are_one_error(spec: Run, log: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match=r"run bijie-.*unknown option 'cma'"):
        run(dataclasses.replace(spec, overrides={"cma": False}))
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(PlanError, match="3 processes cannot share"):
        run(spec)
    assert "fit" not in log


def test_a_run_over_views_takes_the_threshold_best_on_validation(
    spec: Run, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_fit = scgcnet.train.fit.fit

    def decide(model: Any, train: Any, val: Any, config: Any, *rest: Any, **options: Any) -> FitResult:
        """The fresh network calls half of the validation pixels landslide, and is sure."""
        transform = scgcnet.data.EvalTransform(config.image_size)
        with torch.no_grad():
            logits = model.eval()(torch.stack([transform(sample)[0] for sample in val]))
            model.head[1].bias[1] -= (logits[:, 1] - logits[:, 0]).median()
            model.head[1].weight *= 500
            model.head[1].bias *= 500
        return no_fit(model, train, val, config, *rest, **options)

    monkeypatch.setattr(scgcnet.train.fit, "fit", decide)
    plain = run(spec)
    found = run(dataclasses.replace(spec, prediction={"views": 2, "thresholds": [0.6, 0.4]}))
    network = load_predictor(found.run_id, found.finished_utc, {})
    val = data_parts(spec)["val"]
    assert network is not None
    by_threshold = {
        threshold: scgcnet.train.predict.count(scgcnet.train.predict.ManyViews(network, 2), val, 32, [threshold])[0]
        for threshold in (0.6, 0.4)
    }
    best = max(by_threshold, key=lambda threshold: by_threshold[threshold].scores()["iou"])
    assert found.prediction == {"views": 2, "threshold": best, "val_iou": by_threshold[best].scores()["iou"]}
    assert plain.prediction == {} and plain.run_id != found.run_id
    assert found.metrics != plain.metrics


def test_two_processes_do_not_train_the_same_run_at_once(
    spec: Run, log: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits at the lock, and finds the result of the first when it gets it."""
    held, entered = files.lock, []

    @contextmanager
    def late(path: Path) -> Iterator[None]:
        with held(path):
            if not entered:  # as if another process had finished while we waited
                entered.append(path)
                monkeypatch.setattr(files, "lock", lambda path: nullcontext())
                run(spec)
            yield

    monkeypatch.setattr(files, "lock", late)
    assert run(spec) == results.find(spec.run_id, "synthetic") and log.count("fit") == 1


@pytest.mark.slow
def test_several_processes_agree(project: Path, spec: Run, tmp_path: Path) -> None:
    """Under torchrun: trained once by two, stored by one, returned by both; the second time nobody waits."""
    script = tmp_path / "both.py"
    script.write_text(
        "import os; from pathlib import Path; from scgcnet import study\n"
        f"spec = study.load_plan().make_run('bijie', 'scgcnet', 'tiny', 'cpu', changes={SMALL})\n"
        "record = study.run(spec, progress=False)\n"
        "told = f'{record.finished_utc} {record.test_looks} {record.device}'\n"
        "Path(f'told-{os.environ[\"RANK\"]}').write_text(told)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    paths = os.pathsep.join([str(Path(zoo.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    told = []
    for _ in range(2):
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, timeout=200)
        told += [(project / f"told-{rank}").read_text() for rank in (0, 1)]
    assert len(set(told)) == 1 and " 1 2 processes, each on " in told[0]
    assert len(results.looks("synthetic")) == 1


class TestPages:
    def test_auto_takes_the_data_that_are_here(self, project: Path, plan: Plan, fakes: Path, monkeypatch: Any) -> None:
        (without,) = pages.chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "auto", [0], split=1)
        assert (without.dataset, without.profile, without.split) == ("synthetic", "smoke", 0)
        monkeypatch.setenv("SCGCNET_DATA", str(fakes))
        (there,) = pages.chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "auto", [0], split=1)
        assert (there.dataset, there.profile, there.split) == ("bijie", "cpu", 1)
        assert [pages.real_profile(plan, name, "bijie") for name in ("smoke", "auto", "paper")] == [
            "cpu",
            "cpu",
            "paper",
        ]

    def test_parameters_replace_the_profiles(self, spec: Run, plan: Plan) -> None:
        runs = pages.chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "cpu", [0, 1], 0, epochs=5, image_size=None)
        assert [(r.seed, r.settings["epochs"], r.settings["image_size"]) for r in runs] == [(0, 5, 128), (1, 5, 128)]
        (trial,) = pages.chapter_runs(plan, "bijie", ["scgcnet"], None, "cpu", None, 0, epochs=5)
        assert (trial.size, trial.seed) == ("tiny", 0)  # a recipe changed by hand is tried with one seed
        with pytest.raises(PlanError, match="at least one"):
            pages.chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "cpu", [], 0)
        with pytest.raises(PlanError, match="epochs"):
            pages.chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "cpu", [0], 0, epochs=0)

    def test_what_is_planned_is_shown(self, spec: Run, plan: Plan, ours: list[Run]) -> None:
        shown = pages.chapter_runs(plan, "bijie", ["scgcnet"], None, "cpu", None, split=0)
        assert [run.run_id for run in shown] == [run.run_id for run in ours if run.split == 0]

    def test_missing_real_runs_are_left_out_or_trained(self, store: Any, plan: Plan, ours: list[Run]) -> None:
        store(ours[0], [(8, 1, 1, 90)])
        assert pages.obtain(ours, plan).run_id.tolist() == [ours[0].run_id]
        assert pages.obtain_trials(ours, plan).empty
        with pytest.raises(DatasetNotFoundError):
            pages.obtain(ours, plan, missing="train")
        with pytest.raises(PlanError, match="show or train"):
            pages.obtain(ours, plan, missing="maybe")


def test_settings_become_the_training_configuration(plan: Plan) -> None:
    assert TrainConfig.from_settings(plan.select("paper")[0].settings) == TrainConfig()  # the defaults are the paper's
    assert runner.datasets_of(plan.select("domains")[-1])[0] in scgcnet.data.SOURCES
