"""One run from data to run file: `run(spec)` gives the stored result, or computes it; `run_trial` does without a test.

torch, lightning and the data room are imported when a run is computed, not when the study is listed.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scgcnet import files
from scgcnet.study.details import Details, find_details, save_details, take_details
from scgcnet.study.fingerprint import changed_since_start, code_sha256
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import Look, note_look
from scgcnet.study.material import Material, datasets_of, open_domains, open_material, open_test
from scgcnet.study.plan import PlanError, Run, project_root
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.replaced import note_replaced
from scgcnet.study.replays import ROUNDING, Replay, note_replay
from scgcnet.study.store import (
    FOLDERS,
    Record,
    Training,
    Trial,
    describe_processor,
    find,
    find_trial,
    is_stale,
    provenance,
    save,
    without_nan,
)
from scgcnet.study.threads import limit_threads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from scgcnet.train import TrainConfig

WEIGHTS_FOLDER = "build/weights"  # of every run computed here, not committed
PUBLISHED_FOLDER = "scgcnet/weights"  # of the few that are
TRAINING_FOLDER = "build/training"  # checkpoints of unfinished runs


def run(spec: Run, *, force: bool = False, progress: bool = True) -> Record:
    """The result of one run: read from the store, or trained, scored on the test part and stored.

    A stored run on real data is returned whatever code made it (tables call it stale). On synthetic data,
    where a run takes seconds and its numbers mean nothing, one of other code or other data is computed again.

    Args:
        spec: a run of study.yml, or one of `Plan.make_run`.
        force: compute it even if it is stored; the ledger keeps counting the looks at the test part.
        progress: show a progress bar.

    Raises:
        DatasetNotFoundError: the run is not stored and its data set is not there.
        DatasetError: the data set is damaged.
        PlanError: the network does not know the size or an override.
        StoreError: a run file, or the ledger of looks, is broken; or the code was edited since the process began.
        WriteError: something cannot be written; what was finished is kept.
        TrainingError: the training cannot go on, for instance with a batch larger than the training part.
    """
    root = project_root()
    stored = find(spec.run_id, "real", root)
    if stored and not force:
        return _with_claims(stored, spec)
    _refuse_changed_code()

    from scgcnet.train import distributed

    material = open_material(spec)
    kind = material.kind

    def current() -> Record | None:
        found = find(spec.run_id, kind, root)
        if force or found is None:
            return None
        return found if kind == "real" or (not is_stale(found) and found.data_sha256 == material.data_sha256) else None

    if stored := current():  # for all processes under torchrun alike
        return _with_claims(stored, spec)
    rank, world = distributed()
    if spec.settings["batch_size"] % world:
        raise PlanError(f"run {spec.run_id}: {world} processes cannot share a batch of {spec.settings['batch_size']}")
    if rank > 0:  # a helper of the process that holds the lock, and writes
        return _compute(spec, material, progress=False)
    # Two processes that train the same run would share, and remove, one folder of checkpoints.
    with files.lock(root / TRAINING_FOLDER / f"{spec.run_id}.lock"):
        if world == 1 and (stored := current()):  # another process has finished it meanwhile
            return _with_claims(stored, spec)
        return _compute(spec, material, progress=progress)


def _with_claims(stored: Record, spec: Run) -> Record:
    """Claims belong to the plan, not to the configuration: a newer plan's are shown without running again."""
    return replace(stored, claims=list(spec.claims)) if spec.claims else stored


def _compute(spec: Run, material: Material, *, progress: bool) -> Record:
    import torch

    from scgcnet import zoo
    from scgcnet.train import distributed, evaluate

    root, kind = project_root(), material.kind
    trained = _train(spec, material, progress=progress)
    rank, world = distributed()
    if rank > 0:  # the first process scores and stores; the others read what it stored
        torch.distributed.barrier()
        stored = find(spec.run_id, kind, root)
        assert stored is not None
        return stored

    code_sha = trained.fields["code_sha256"]
    looks = {
        name: note_look(Look(_now(), name, spec.split, spec.run_id, code_sha), kind, root) for name in datasets_of(spec)
    }
    network, prediction = _predictor(spec, trained.model.to("cuda" if torch.cuda.is_available() else "cpu"), material)
    record = Record(
        claims=list(spec.claims),
        metrics=evaluate(network, open_test(spec), spec.settings["image_size"]),
        test_looks=looks[spec.dataset],
        domains=_count_domains(spec, network),
        prediction=prediction,
        **trained.finished(),
    )
    details = take_details(spec, network, record)
    weights = root / WEIGHTS_FOLDER / f"{spec.run_id}.safetensors"
    for path in (weights, root / record.file, root / details.file):
        files.sweep(path)
    zoo.save_model(trained.model.cpu(), weights, {"run_id": spec.run_id, "finished_utc": record.finished_utc})
    note_replaced(find(spec.run_id, kind, root), root)
    save(record, root)
    save_details(details, record, root)
    files.remove_folder(trained.folder)  # the optimiser's state of a finished run is of no use
    if world > 1:
        torch.distributed.barrier()
    return record


def _predictor(spec: Run, model: nn.Module, material: Material) -> tuple[nn.Module, dict[str, float]]:
    """What predicts in a run: its network, or its mean over views at the threshold that is best on validation."""
    from scgcnet.train import count
    from scgcnet.views import ManyViews

    if spec.prediction is None:
        return model, {}
    views, thresholds = spec.prediction["views"], spec.prediction["thresholds"]
    counted = count(ManyViews(model, views), material.val, spec.settings["image_size"], thresholds)
    ious = [found.scores()["iou"] for found in counted]
    best = thresholds[ious.index(max(ious))]
    return ManyViews(model, views, best).eval(), {"views": views, "threshold": best, "val_iou": max(ious)}


def _count_domains(spec: Run, network: nn.Module) -> dict[str, dict[str, dict[str, int]]]:
    from scgcnet.train import count

    found: dict[str, dict[str, dict[str, int]]] = {}
    for name, part, dataset in open_domains(spec):
        (counted,) = count(network, dataset, spec.settings["image_size"])
        found.setdefault(name, {})[part] = {"n": len(dataset), **asdict(counted)}
    return found


def details_of(spec: Run) -> Details:
    """The details of a stored run: read, or taken with its weights, which is a look at the test part as any other.

    Raises:
        StoreError: the run is not stored, its weights are not at hand, or the images are others than it was scored on.
        DatasetError, WriteError: as for `run`.
    """
    root = project_root()
    record = next((found for kind in FOLDERS if (found := find(spec.run_id, kind, root))), None)
    if record is None:
        raise StoreError(f"{spec.run_id} is not stored: scgcnet study run {spec.run_id}")
    if stored := find_details(record, root):
        return stored
    network = load_predictor(record)
    if network is None:
        raise StoreError(f"the weights of {spec.run_id} are not at hand: scgcnet study run {spec.run_id} --force")
    if (data := open_material(spec).data_sha256) != record.data_sha256:
        raise StoreError(f"{spec.run_id} was scored on other images: their hash is {data}, not {record.data_sha256}")
    note_look(Look(_now(), spec.dataset, spec.split, spec.run_id, record.code_sha256), record.data_kind, root)
    taken = take_details(spec, network, record)
    save_details(taken, record, root)
    return taken


def run_trial(spec: Run, *, progress: bool = True) -> Trial:
    """The result of one trial: read from the store, or trained and stored. The test part stays closed.

    Unlike a run, a trial of other code or other data is computed again: it serves to choose among present recipes.

    Args:
        spec: a trial of study.yml.
        progress: show a progress bar.

    Raises:
        PlanError: the network does not know the size; or several processes (torchrun) were started for it.
        DatasetNotFoundError: the trial is not stored and its data set is not there.
        DatasetError, StoreError, WriteError, TrainingError: as for `run`.
    """
    root = project_root()
    stored = find_trial(spec.run_id, "real", root)
    if stored and not is_stale(stored):
        return stored
    _refuse_changed_code()

    from scgcnet.train import distributed

    if distributed()[1] > 1:
        raise PlanError(f"trial {spec.run_id}: trials are small; start one process, not torchrun")
    material = open_material(spec)
    with files.lock(root / TRAINING_FOLDER / f"{spec.run_id}.lock"):
        stored = find_trial(spec.run_id, material.kind, root)
        if stored and not is_stale(stored) and stored.data_sha256 == material.data_sha256:
            return stored
        trained = _train(spec, material, progress=progress)
        trial = Trial(**trained.finished())
        files.sweep(root / trial.file)
        save(trial, root)
        files.remove_folder(trained.folder)
    return trial


@dataclass(frozen=True)
class _Trained:
    """What a training leaves: the network, the fields of its file that are known then, and its folder."""

    model: nn.Module
    fields: dict[str, Any]
    started: float
    folder: Path

    def finished(self) -> dict[str, Any]:
        """All fields that runs and trials share, as of now."""
        return {**self.fields, "wall_s": round(time.monotonic() - self.started, 1), "finished_utc": _now()}


def _train(spec: Run, material: Material, *, progress: bool) -> _Trained:
    """Trains a run's network on its training part and picks the epoch on its validation part."""
    from scgcnet.cost import count_cost
    from scgcnet.train import fit

    limit_threads()
    root = project_root()
    made_at = provenance(root)
    code_sha = code_sha256(spec.model, set(datasets_of(spec)), views=spec.prediction is not None)
    started = time.monotonic()
    model, config = _network(spec, material, progress=progress)
    channels = material.train[0].image.shape[2]
    cost = count_cost(model, (1, channels, config.image_size, config.image_size))

    # Keyed on code, data and split as well: an unfinished training on others must not be taken up.
    key = f"{code_sha[:10]}-{material.data_sha256[:10]}-{material.split_sha256[:10]}"
    folder = root / TRAINING_FOLDER / spec.run_id
    result = fit(model, material.train, material.val, config, spec.seed, folder / key, progress=progress)
    fields = {
        "run_id": spec.run_id,
        "dataset": spec.dataset,
        "data_kind": material.kind,
        "train_datasets": spec.config["train_datasets"],
        "split": spec.split,
        "split_sha256": material.split_sha256,
        "data_sha256": material.data_sha256,
        "code_sha256": code_sha,
        "model": spec.model,
        "size": spec.size,
        "flags": dict(spec.overrides),
        "params": cost.params,
        "gmac": cost.gmac,
        "profile": spec.profile,
        "seed": spec.seed,
        "config": spec.config,
        "history": without_nan(result.history),
        "best_epoch": result.best_epoch,
        "device": _device(),
        **made_at,
    }
    return _Trained(result.model, fields, started, folder)


def _network(spec: Run, material: Material, *, progress: bool) -> tuple[nn.Module, TrainConfig]:
    """A run's network before its training, and the recipe."""
    import torch

    from scgcnet.train import TrainConfig, new_network
    from scgcnet.zoo import MissingPackageError

    # One network on a processor leaves no core for loaders; a graphics card would wait without them.
    workers = min(8, (os.cpu_count() or 1) - 1) if torch.cuda.is_available() else 0
    channels = material.train[0].image.shape[2]
    try:
        model = new_network(spec.model, spec.size, channels, spec.overrides, spec.seed)
    except (TypeError, ValueError, MissingPackageError) as error:
        raise PlanError(f"run {spec.run_id}: {error}") from None
    if spec.start is not None:
        model.load_state_dict(_start_weights(spec.start, progress=progress))
    return model, TrainConfig.from_settings(spec.settings, workers)


def _start_weights(spec: Run, *, progress: bool) -> dict[str, Tensor]:
    """The weights of the run that another goes on from, which is trained first where it is not stored.

    Raises:
        StoreError: it is stored, its weights are not at hand. To make it again would replace a result that others may
            have gone on from; that is for the user to ask for. (Results on synthetic data are not kept for long.)
    """
    from scgcnet.zoo import load_model

    record = run(spec, progress=progress)
    path = weights_for(record)
    if path is None and record.data_kind == "synthetic":
        path = weights_for(run(spec, force=True, progress=progress))
    if path is None:
        raise StoreError(
            f"the weights of {spec.run_id} are not at hand, from which this run goes on: "
            f"`scgcnet study run {spec.run_id} --force` makes them again, and then all that went on from the old ones "
            "is stale"
        )
    return load_model(path).state_dict()


def replay(record: Training, epochs: int, *, rounding: bool = False, progress: bool = True) -> str | None:
    """Begin the training of a stored run or trial again, and compare its first epochs with those stored.

    Where every number is the same to the last digit, the present code trains as that which made the record: this is
    noted in the ledger of replays, and the record is not stale. With `rounding` it is enough that the training loss of
    each epoch is the same to within `ROUNDING`: the same network then learns the same from the same images, though in
    forty epochs it ends elsewhere, as another seed does. Equal numbers are to be expected only on the processor, with
    the number of threads and the library versions that the record names. How the test part was scored it cannot tell:
    that the tests hold to values.

    Args:
        record: the stored run or trial.
        epochs: how many epochs to train, from 1.
        rounding: let the order of sums differ.
        progress: show a progress bar.

    Returns:
        The first difference, in words; None where there is none.

    Raises:
        PlanError: study.yml does not plan it any more, or fewer than one epoch is asked for.
        DatasetError, StoreError, WriteError, TrainingError: as for `run`.
    """
    from scgcnet.train import fit

    if epochs < 1:
        raise PlanError(f"{epochs} epochs cannot be replayed: 1 or more")
    _refuse_changed_code()
    plan, root = load_plan(), project_root()
    spec = plan.find_trial(record.run_id) if isinstance(record, Trial) else plan.find(record.run_id)
    material = open_material(spec)
    if (material.data_sha256, material.split_sha256) != (record.data_sha256, record.split_sha256):
        return "the images or their split are others"
    model, config = _network(spec, material, progress=progress)
    folder = root / TRAINING_FOLDER / f"{spec.run_id}.replay"
    with files.lock(folder.with_suffix(".replay.lock")):
        files.remove_folder(folder)
        history = fit(model, material.train, material.val, config, spec.seed, folder, progress, epochs).history
        files.remove_folder(folder)
    moved = 0.0
    for found, stored in zip(without_nan(history), record.history, strict=False):
        if rounding:
            moved = max(moved, step := abs(found["loss"] / stored["loss"] - 1))
            if step > ROUNDING:
                return f"epoch {stored['epoch']}, loss: {found['loss']} for {stored['loss']}"
            continue
        for key, value in stored.items():
            if found.get(key) != value:
                return f"epoch {stored['epoch']}, {key}: {found.get(key)} for {value}"
    code_sha = code_sha256(spec.model, set(datasets_of(spec)), views=spec.prediction is not None)
    note_replay(Replay(_now(), spec.run_id, code_sha, len(history), round(moved, 6)), root)
    return None


def _refuse_changed_code() -> None:
    if changed := changed_since_start():
        raise StoreError(
            f"the code has changed since this process began ({', '.join(changed[:3])}): start again, so that the run "
            "file tells which code made it"
        )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _device() -> str:
    import torch

    from scgcnet.train import distributed

    threads = torch.get_num_threads()
    processor = f"{describe_processor()}, {threads} thread{'s' * (threads != 1)} used"
    one = torch.cuda.get_device_name(0) if torch.cuda.is_available() else processor
    world = distributed()[1]
    return one if world == 1 else f"{world} processes, each on {one}"


def weights_for(record: Record) -> Path | None:
    """The weights of a run: computed here, or published with the repository; None where neither is there.

    A run made again has other weights under the same name, so the time that it was finished must agree too.

    Raises:
        WeightsError: a published file is damaged.
    """
    from scgcnet.zoo import read_metadata

    root = project_root()
    candidates = [root / WEIGHTS_FOLDER / f"{record.run_id}.safetensors"]
    candidates += sorted((root / PUBLISHED_FOLDER).glob("*.safetensors"))
    for path in filter(Path.is_file, candidates):
        metadata = read_metadata(path)
        if (metadata.get("run_id"), metadata.get("finished_utc")) == (record.run_id, record.finished_utc):
            return path
    return None


def load_predictor(record: Record) -> nn.Module | None:
    """What predicted in a run, in evaluation mode: its network, or its mean over views at its threshold.

    Returns:
        None where the weights are not at hand.

    Raises:
        WeightsError: the weights are damaged.
    """
    from scgcnet import zoo
    from scgcnet.views import ManyViews

    weights = weights_for(record)
    if weights is None:
        return None
    limit_threads()
    network = zoo.load_model(weights).eval()
    if not record.prediction:
        return network
    return ManyViews(network, int(record.prediction["views"]), record.prediction["threshold"]).eval()
