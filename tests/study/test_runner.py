import dataclasses
import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
import torch

import scgcnet.data
import scgcnet.train
from scgcnet import files, zoo
from scgcnet.cli import main
from scgcnet.data import DatasetNotFoundError, write_fake
from scgcnet.study import opening, runner
from scgcnet.study.cases import pick_cases
from scgcnet.study.details import find_details
from scgcnet.study.fingerprint import code_sha256
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import looks_file, read_looks
from scgcnet.study.material import data_parts
from scgcnet.study.plan import PlanError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import details_of, run, run_trial, weights_for
from scgcnet.study.selection import chapter_runs
from scgcnet.study.store import load_all, load_trials, save
from scgcnet.train import FitResult, TrainConfig

SMALL = {"epochs": 1, "image_size": 32, "batch_size": 4}


@pytest.fixture(scope="module")
def fakes(tmp_path_factory):
    """Twelve synthetic images in Bijie's layout."""
    root = tmp_path_factory.mktemp("data")
    write_fake("bijie", root, n=12, seed=0)
    return root


@pytest.fixture
def spec(project, fakes, monkeypatch):
    """A run on the fakes; nothing but their kind says that they are not the real Bijie."""
    monkeypatch.setenv("SCGCNET_DATA", str(fakes))
    return load_plan().make_run("bijie", "scgcnet", "tiny", "cpu", changes=SMALL)


@pytest.fixture
def log(monkeypatch):
    """Replaces the training by nothing, and notes in which order parts are opened, trained on and scored."""
    events = []
    open_dataset, evaluate = scgcnet.data.open_dataset, scgcnet.train.evaluate

    def noted_open(name, split, part, root=None):
        events.append(f"open {part}")
        return open_dataset(name, split, part, root)

    def noted_evaluate(model, dataset, image_size):
        events.append(f"score {len(dataset)} images at {image_size} px")
        return evaluate(model, dataset, image_size)

    def no_fit(model, train, val, config, seed, folder, progress):
        events.append("fit")
        folder.mkdir(parents=True, exist_ok=True)
        return FitResult(model, [{"epoch": 0, "loss": float("nan"), "val_loss": 1.0, "val_iou": 0.0}], 0)

    monkeypatch.setattr(scgcnet.data, "open_dataset", noted_open)
    monkeypatch.setattr(scgcnet.train, "evaluate", noted_evaluate)
    monkeypatch.setattr(scgcnet.train, "fit", no_fit)
    return events


@pytest.fixture
def decided(log, monkeypatch):
    """The same without training, but the fresh network calls half of the validation pixels landslide, and is sure."""
    no_fit = scgcnet.train.fit

    def decide(model, train, val, config, seed, folder, progress):
        transform = scgcnet.data.EvalTransform(config.image_size)
        with torch.no_grad():
            logits = model.eval()(torch.stack([transform(sample)[0] for sample in val]))
            model.head[1].bias[1] -= (logits[:, 1] - logits[:, 0]).median()
            model.head[1].weight *= 500
            model.head[1].bias *= 500
        return no_fit(model, train, val, config, seed, folder, progress)

    monkeypatch.setattr(scgcnet.train, "fit", decide)
    return log


def test_a_real_training_from_data_to_run_file(project, spec):
    record = run(spec, progress=False)
    assert load_all("synthetic") == [record]
    assert load_all("real") == []
    assert (record.run_id, record.config) == (spec.run_id, spec.config)
    assert (record.dataset, record.data_kind) == ("bijie", "synthetic")  # never among the committed results
    assert record.params == 1_175_197
    assert record.gmac == pytest.approx(0.020 / 4, rel=0.05)
    assert len(record.history) == 1
    assert record.test_looks == 1
    confusion = record.metrics["confusion"]
    iou = confusion["tp"] / (confusion["tp"] + confusion["fp"] + confusion["fn"])
    assert record.metrics["pooled"]["iou"] == pytest.approx(iou)
    weights = weights_for(record)
    assert weights == project / "build" / "weights" / f"{spec.run_id}.safetensors"
    assert zoo.read_metadata(weights)["run_id"] == spec.run_id
    assert not (project / "build" / "training" / spec.run_id).exists()

    parts = data_parts(spec)
    details = find_details(record)
    assert details_of(spec) == details  # they are there already
    assert [image.name for image in details.images] == list(parts["test"].names)
    assert details.counts("native").sum(axis=0).tolist() == [confusion[key] for key in ("tp", "fp", "fn", "tn")]
    tp, fp, fn, _ = details.counts("resized").sum(axis=0)
    assert record.metrics["resized"]["iou"] == pytest.approx(tp / (tp + fp + fn))
    assert details.free == ()
    assert len(read_looks("synthetic")) == 1
    assert opening.data_table(parts).frame["Images"].tolist() == [len(parts[p]) for p in ("train", "val", "test")]
    cases = pick_cases([record], parts["test"], 2)
    assert len(cases) == 2
    assert [case.iou for case in cases] == sorted(case.iou for case in cases)
    for case in cases:
        assert case.probability.shape == case.sample.mask.shape
    assert pick_cases([record], None, 3) == []
    weights.unlink()
    assert pick_cases([record], parts["test"], 3) == []


def test_the_test_part_is_opened_after_training_and_scored_once(spec, log):
    run(spec)  # and opened once more to be counted image by image
    assert log == ["open train", "open val", "fit", "open test", "score 2 images at 32 px", "open test"]


def test_a_stored_run_is_not_computed_again(spec, log):
    first = run(spec)
    assert run(spec) == first
    assert log.count("fit") == 1


def test_force_computes_again_and_counts_the_looks(spec, log):
    run(spec)
    assert run(spec, force=True).test_looks == 2
    assert run(spec).test_looks == 2
    assert log.count("fit") == 2


def test_a_synthetic_run_of_other_code_is_computed_again(spec, log):
    save(dataclasses.replace(run(spec), code_sha256="1" * 64))
    assert run(spec).code_sha256 != "1" * 64
    assert log.count("fit") == 2


def test_equal_seeds_start_from_equal_weights(spec, log):
    first = zoo.load_model(weights_for(run(spec)))
    again = zoo.load_model(weights_for(run(spec, force=True)))
    other = zoo.load_model(weights_for(run(dataclasses.replace(spec, seed=1))))
    name, tensor = next(iter(first.state_dict().items()))
    assert torch.equal(again.state_dict()[name], tensor)
    assert not torch.equal(other.state_dict()[name], tensor)


def test_nothing_is_stored_when_the_training_fails(spec, log, monkeypatch):
    def broken(*arguments, **options):
        raise scgcnet.train.TrainingError("the loss is no number")

    monkeypatch.setattr(scgcnet.train, "fit", broken)
    with pytest.raises(scgcnet.train.TrainingError):
        run(spec)
    assert load_all("synthetic") == []


def test_an_undefined_number_of_the_history_is_null(spec, log):
    assert run(spec).history[0]["loss"] is None


def test_missing_data_is_an_error_unless_the_run_is_stored(project, make_record):
    spec = load_plan().select("cpu")[0]
    with pytest.raises(DatasetNotFoundError, match="Bijie"):
        run(spec)
    assert data_parts(spec) == {}
    record = make_record(spec, claims=["a2_iou"], code_sha256="1" * 64)
    save(record)
    assert run(spec) == dataclasses.replace(record, claims=list(spec.claims))


def test_an_unknown_option_of_the_network_is_one_error(spec, log):
    with pytest.raises(PlanError, match=r"run bijie-.*unknown option 'cma'"):
        run(dataclasses.replace(spec, overrides={"cma": False}))


def test_a_trial_is_trained_and_stored_and_never_opens_the_test_part(project, spec, log):
    trial = run_trial(spec)
    assert log == ["open train", "open val", "fit"]
    assert load_trials("synthetic") == [trial]
    assert load_all("synthetic") == [] == read_looks("synthetic")
    assert (trial.run_id, trial.config, trial.val_iou) == (spec.run_id, spec.config, 0.0)
    assert not (project / runner.WEIGHTS_FOLDER).exists()
    assert not list((project / runner.TRAINING_FOLDER).glob("*/*"))
    assert run_trial(spec) == trial and log.count("fit") == 1  # what is stored is not done again


def test_a_trial_of_other_code_is_made_again(project, spec, log):
    trial = run_trial(spec)
    save(dataclasses.replace(trial, code_sha256="1" * 64))
    assert run_trial(spec).code_sha256 == trial.code_sha256
    assert log.count("fit") == 2


def test_trials_are_for_one_process(spec, log, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PlanError, match="start one process"):
        run_trial(spec)
    assert log == []


def test_a_package_that_is_missing_is_named(spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "timm.models.resnet", None)
    monkeypatch.delitem(sys.modules, "scgcnet.peers.pspnet", raising=False)
    monkeypatch.delitem(sys.modules, "scgcnet.peers.resnet", raising=False)
    with pytest.raises(PlanError, match=r"pspnet needs the package timm.*scgcnet\[peers\]"):
        run(dataclasses.replace(spec, model="pspnet"))


def test_details_that_are_missing_are_taken_with_the_weights(project, spec, log):
    with pytest.raises(StoreError, match=rf"{spec.run_id} is not stored: scgcnet study run {spec.run_id}"):
        details_of(spec)
    record = run(spec)
    taken = find_details(record)
    (project / taken.file).unlink()
    assert details_of(spec) == taken == find_details(record)
    assert [look.run_id for look in read_looks("synthetic")] == [spec.run_id] * 2  # which is a look as any other
    assert log.count("fit") == 1


def test_details_of_an_earlier_training_are_taken_anew(project, spec, log):
    first = find_details(run(spec))
    record = run(spec, force=True)
    path = project / first.file
    older = path.read_text().replace(record.finished_utc, "1999-01-01T00:00:00Z")
    path.write_text(older)
    assert find_details(record) is None
    assert details_of(spec).finished_utc == record.finished_utc
    assert len(read_looks("synthetic")) == 3


def test_details_want_the_weights_of_the_run(project, spec, log):
    record = run(spec)
    (project / find_details(record).file).unlink()
    weights_for(record).unlink()
    with pytest.raises(StoreError, match=rf"weights of {spec.run_id} are not at hand: .*--force"):
        details_of(spec)
    assert find_details(record) is None
    assert len(read_looks("synthetic")) == 1


def test_details_of_other_images_are_refused(project, spec, log, tmp_path_factory, monkeypatch):
    record = run(spec)
    (project / find_details(record).file).unlink()
    other = tmp_path_factory.mktemp("other")
    write_fake("bijie", other, n=12, seed=1)
    monkeypatch.setenv("SCGCNET_DATA", str(other))
    with pytest.raises(StoreError, match=rf"was scored on other images: .*, not {record.data_sha256}"):
        details_of(spec)
    assert len(read_looks("synthetic")) == 1


def test_details_by_other_weights_are_not_stored(project, spec, decided):
    record = run(spec)
    path = project / find_details(record).file
    path.unlink()
    weights = weights_for(record)
    network = zoo.load_model(weights)
    with torch.no_grad():
        network.head[1].weight *= -1
    zoo.save_model(network, weights, zoo.read_metadata(weights))
    with pytest.raises(StoreError, match="the counts of its images do not add up to the run file's"):
        details_of(spec)
    assert not path.exists()


def test_the_command_counts_a_run_image_by_image(project, log, capsys):
    planned = load_plan().select("smoke")[0]
    record = run(planned)
    path = project / find_details(record).file
    path.unlink()
    assert main(["study", "details", planned.run_id]) == 0
    assert capsys.readouterr().out == f"build/details/{planned.run_id}.json\n"
    assert path.is_file()


@pytest.mark.parametrize("thresholds", [[0.4, 0.6], [0.6, 0.4]])
def test_a_run_over_views_takes_the_threshold_that_is_best_on_validation(project, spec, decided, thresholds):
    plain = run(spec)
    record = run(dataclasses.replace(spec, prediction={"views": 2, "thresholds": thresholds}))
    assert (plain.prediction, plain.run_id != record.run_id) == ({}, True)
    assert record.config["prediction"] == {"views": 2, "thresholds": thresholds}

    def iou(part, threshold):
        """Over the mean of the image and its mirror image, at the network's input size."""
        network, transform, found = zoo.load_model(weights_for(record)), scgcnet.data.EvalTransform(32), []
        for sample in data_parts(spec)[part]:
            image, mask = transform(sample)
            with torch.no_grad():
                logits = network(torch.stack([image, image.flip(2)]))
            one, mirrored = logits.softmax(dim=1)[:, 1]
            found.append(scgcnet.train.Confusion.of(((one + mirrored.flip(1)) / 2 > threshold).numpy(), mask.numpy()))
        return sum(found, scgcnet.train.Confusion()).scores()["iou"]

    by_threshold = {threshold: iou("val", threshold) for threshold in thresholds}
    assert by_threshold[0.4] != pytest.approx(by_threshold[0.6])
    best = max(by_threshold, key=by_threshold.get)
    assert record.prediction["views"] == 2
    assert record.prediction["threshold"] == best
    assert record.prediction["val_iou"] == pytest.approx(by_threshold[best])
    assert record.metrics["resized"]["iou"] == pytest.approx(iou("test", best))
    assert record.metrics["resized"]["iou"] != plain.metrics["resized"]["iou"]

    assert runner.find(record.run_id, "synthetic") == record
    taken = find_details(record)
    (project / taken.file).unlink()
    assert details_of(dataclasses.replace(spec, prediction={"views": 2, "thresholds": thresholds})) == taken


def test_a_change_of_the_network_is_its_flags(spec, log):
    record = run(dataclasses.replace(spec, overrides={"psccs": False}))
    assert record.flags == record.config["overrides"] == {"psccs": False}
    assert record.params < run(spec).params


def test_settings_become_the_training_configuration(project):
    config = TrainConfig.from_settings(load_plan().select("paper")[0].settings)
    assert config == TrainConfig()  # whose defaults are the paper's


def test_published_weights_are_found_by_their_run(project, make_record):
    record = make_record()
    assert weights_for(record) is None
    folder = project / runner.PUBLISHED_FOLDER
    zoo.save_model(zoo.create_model("scgcnet", "tiny"), folder / "a.safetensors", {"run_id": "another"})
    assert weights_for(record) is None
    stamp = {"run_id": record.run_id, "finished_utc": "1999-01-01T00:00:00Z"}  # of an earlier training
    zoo.save_model(zoo.create_model("scgcnet", "tiny"), folder / "b.safetensors", stamp)
    assert weights_for(record) is None
    stamp["finished_utc"] = record.finished_utc
    zoo.save_model(zoo.create_model("scgcnet", "tiny"), folder / "c.safetensors", stamp)
    assert weights_for(record) == folder / "c.safetensors"


def test_auto_takes_what_is_at_hand(project, fakes, monkeypatch):
    plan = load_plan()
    (without,) = chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "auto", [0], split=1)
    assert (without.dataset, without.profile, without.split) == ("synthetic", "smoke", 0)
    monkeypatch.setenv("SCGCNET_DATA", str(fakes))
    (there,) = chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "auto", [0], split=1)
    assert (there.dataset, there.profile, there.split) == ("bijie", "cpu", 1)


@pytest.fixture
def at_hand(project, fakes, monkeypatch):
    """Bijie's images, of which some pages show what is planned alone."""
    monkeypatch.setenv("SCGCNET_DATA", str(fakes))


def test_parameters_of_a_chapter_replace_the_profiles(at_hand):
    plan = load_plan()
    runs = chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "cpu", [0, 1], 0, epochs=5, batch_size=4)
    assert [r.seed for r in runs] == [0, 1]
    assert [(r.settings["epochs"], r.settings["batch_size"], r.settings["image_size"]) for r in runs] == [
        (5, 4, 128)
    ] * 2
    (planned,) = chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "cpu", [0], 0)
    assert planned in plan.runs
    with pytest.raises(PlanError, match="at least one"):
        chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "cpu", [], 0)
    with pytest.raises(PlanError, match="epochs: 0 is less"):
        chapter_runs(plan, "bijie", ["scgcnet"], "tiny", "cpu", [0], 0, epochs=0)


@pytest.mark.parametrize("profile", ["smoke", "cpu", "gpu", "paper"])
def test_a_chapter_left_alone_shows_what_is_planned_and_trains_nothing_else(at_hand, profile):
    plan = load_plan()
    runs = chapter_runs(plan, "bijie", ["scgcnet"], None, profile, None, split=0)
    settings = plan.profile(profile).settings
    shown = [r for r in plan.select(profile) if r.dataset in ("bijie", "synthetic") and r.unaltered]
    planned = [r for r in shown if (r.model, r.split, r.settings) == ("scgcnet", 0, settings)]
    assert [r.run_id for r in runs] == [r.run_id for r in planned]


def test_a_recipe_changed_by_hand_is_tried_with_one_seed(at_hand):
    (trial,) = chapter_runs(load_plan(), "bijie", ["scgcnet"], None, "cpu", None, split=0, epochs=5)
    assert (trial.size, trial.seed, trial.settings["epochs"]) == ("tiny", 0, 5)


def test_two_processes_do_not_train_the_same_run_at_once(project, spec, log, monkeypatch):
    """The second waits at the lock, and finds the result of the first when it gets it."""
    held = files.lock
    entered = []

    @contextmanager
    def late(path):
        with held(path):
            if not entered:  # as if another process had finished while we waited
                entered.append(path)
                monkeypatch.setattr(files, "lock", lambda path: nullcontext())
                run(spec)
            yield

    monkeypatch.setattr(files, "lock", late)
    record = run(spec)
    assert log.count("fit") == 1
    assert record == runner.find(spec.run_id, record.data_kind)


def test_a_look_is_counted_before_the_score_is_known(project, spec, log, monkeypatch):
    """Killed between scoring and storing: the run is not stored, but the look is not forgotten."""
    honest = runner.save
    monkeypatch.setattr(runner, "save", lambda record, root: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(spec)
    assert load_all("synthetic") == []
    (look,) = read_looks("synthetic")
    assert (look.dataset, look.split, look.run_id, look.code_sha256) == (
        "bijie",
        0,
        spec.run_id,
        code_sha256("scgcnet", ["bijie"]),
    )
    monkeypatch.setattr(runner, "save", honest)
    assert run(spec).test_looks == 2
    assert read_looks("real") == []


def test_nothing_is_scored_when_the_look_cannot_be_noted(project, spec, log):
    looks_file("synthetic").mkdir(parents=True)
    with pytest.raises(StoreError, match=r"looks\.csv: cannot be read: .*directory"):
        run(spec)
    assert "open test" not in log


def test_several_processes_agree_and_a_stored_run_is_read_by_all(project, spec, tmp_path):
    """Under torchrun: trained once by two, stored by one, returned by both; the second time nobody waits."""
    script = tmp_path / "both.py"
    script.write_text(
        "import os; from pathlib import Path\n"
        "from scgcnet.study.plan_reader import load_plan\n"
        "from scgcnet.study.runner import run\n"
        f"record = run(load_plan().make_run('bijie', 'scgcnet', 'tiny', 'cpu', changes={SMALL}), progress=False)\n"
        "told = f'{record.finished_utc} {record.test_looks} {record.device}'\n"
        "Path(f'told-{os.environ[\"RANK\"]}').write_text(told)\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    paths = os.pathsep.join([str(Path(zoo.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    told = []
    for _ in range(2):
        subprocess.run(command, cwd=project, env=environment, check=True, capture_output=True, timeout=200)
        told += [(project / f"told-{rank}").read_text() for rank in (0, 1)]
    assert len(set(told)) == 1
    assert " 1 2 processes, each on " in told[0]
    assert len(read_looks("synthetic")) == 1


def test_a_batch_that_cannot_be_shared_is_refused(spec, log, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(PlanError, match="3 processes cannot share a batch of 4"):
        run(spec)
    assert "fit" not in log
