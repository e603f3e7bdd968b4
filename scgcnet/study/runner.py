"""One run from data to record: read from the store, or trained, scored once on the test part, and stored.

torch, lightning and the data room are imported when a run is computed, not when the study is listed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scgcnet import files
from scgcnet.study import results
from scgcnet.study.results import Details, FreeCounts, ImageCounts, Metrics, Record, ResultError
from scgcnet.study.runs import PlanError, Run, project_root
from scgcnet.train.config import PROTOCOL, TrainConfig, distributed

if TYPE_CHECKING:
    from torch import nn

    from scgcnet.data import LandslideDataset, Part, Split, Subset

TRAINING = "build/training"  # checkpoints of unfinished runs
FREE = {"bijie": "bijie_negatives"}  # landslide-free images of the same place and sensor, on which every alarm is false
MAPPED = {"val": 40, "test": 100, "all": 150}  # at most so many images of a part are mapped at several scales
Kind = results.Kind


# ------------------------------------------------------------------------------------------------------ data of a run


@dataclass(frozen=True)
class Material:
    """Training and validation part of a run, merged if there are several data sets, with the hashes of its data."""

    train: LandslideDataset
    val: LandslideDataset
    kind: Kind
    data_sha256: str
    split_sha256: str


def open_material(spec: Run) -> Material:
    """Open what a run is trained on; the test part is opened by `open_test`, after the training.

    Raises:
        DatasetNotFoundError: a data set is missing.
        DatasetError: it is damaged or has no such split, or some data sets are real and others synthetic.
    """
    from scgcnet.data import DatasetError, Merged, Subset, data_sha256, open_dataset, open_whole, split_sha256
    from scgcnet.data.splits import split_hash

    trained, everything = spec.config["train_datasets"], datasets_of(spec)
    kinds = {name: open_whole(name).kind for name in everything}
    if len(set(kinds.values())) > 1:
        synthetic = ", ".join(name for name, kind in kinds.items() if kind == "synthetic")
        raise DatasetError(f"{spec.run_id}: its data set {synthetic} is synthetic, the others are real: get it too")
    train, val = ([open_dataset(name, spec.split, part) for name in trained] for part in ("train", "val"))
    splits = {name: split_sha256(name, spec.split) for name in everything}
    if spec.increment is not None:
        whole, split = open_whole(spec.dataset), _increment_split(spec)
        splits[spec.dataset] = split_hash(split)
        if added := [index for index, name in enumerate(whole.names) if split[name] == "train"]:
            train.append(Subset(whole, added))
    data = {name: data_sha256(name) for name in everything}
    seen, chosen = (parts[0] if len(parts) == 1 else Merged(parts) for parts in (train, val))
    return Material(seen, chosen, kinds[spec.dataset], _joint(data), _joint(splits))


def datasets_of(spec: Run) -> list[str]:
    """Names of the data sets trained on, then of the one tested on."""
    return list(dict.fromkeys([*spec.config["train_datasets"], spec.dataset]))


def open_test(spec: Run) -> Subset:
    """The test part of a run: of a new domain, the images outside the pool of its increments.

    Raises:
        DatasetError: the data set is damaged or missing.
    """
    from scgcnet.data import Subset, open_dataset, open_whole

    if spec.increment is None:
        return open_dataset(spec.dataset, spec.split, "test")
    whole, split = open_whole(spec.dataset), _increment_split(spec)
    return Subset(whole, [index for index, name in enumerate(whole.names) if split[name] == "test"])


def data_parts(spec: Run) -> dict[str, LandslideDataset]:
    """The parts train, val and test of a run's data; empty if the data set is missing."""
    from scgcnet.data import PARTS, dataset_available, open_dataset

    if not dataset_available(spec.dataset):
        return {}
    return {part: open_dataset(spec.dataset, spec.split, part) for part in PARTS}


def _open_domains(spec: Run) -> Iterator[tuple[str, Part, LandslideDataset]]:
    """Further parts to score: validation and test of the data sets trained on, all parts of one that was not."""
    from scgcnet.data import PARTS, open_dataset

    trained = spec.config["train_datasets"]
    if trained == [spec.dataset]:
        return
    for name in datasets_of(spec) if spec.increment is None else trained:
        for part in ("val", "test") if name in trained else PARTS:
            yield name, part, open_dataset(name, spec.split, part)


def free_images(spec: Run) -> LandslideDataset | None:
    """Landslide-free images of the place that a run is tested at, unless it was trained on them or they are missing."""
    from scgcnet.data import DatasetError, open_whole

    name = FREE.get(spec.dataset)
    if name is None or name in spec.config["train_datasets"]:
        return None
    try:
        return open_whole(name)
    except DatasetError:  # a download of the landslides alone lacks them
        return None


def _increment_split(spec: Run) -> Split:
    from scgcnet.data import DatasetError, open_whole
    from scgcnet.data.splits import increment_split

    assert spec.increment is not None
    if not isinstance(spec.split, int):
        raise DatasetError(f"The pool of an increment is drawn by a number: split {spec.split!r} is none.")
    return increment_split(open_whole(spec.dataset), spec.increment.percent, spec.split, spec.increment.by)


def _joint(hashes: dict[str, str]) -> str:
    """One hash for several data sets; of a single one its own."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(f"{name} {hashes[name]}\n" for name in sorted(hashes)).encode()).hexdigest()


# --------------------------------------------------------------------------------------------------------- one training


def run(spec: Run, *, force: bool = False, progress: bool = True) -> Record:
    """The record of one run: read from the store, or trained, scored on the test part and stored.

    A stored run on real data is returned whatever made it. On synthetic data, where a run takes seconds, one of another
    protocol or of other images is computed again.

    Args:
        spec: a run of study.yml, or one of `Plan.make_run`.
        force: compute it even if it is stored; looks at the test part keep being counted.
        progress: show a progress bar.

    Raises:
        DatasetError: the run is not stored and its data set is missing or damaged.
        PlanError: the network does not know the size or an override.
        ResultError: a stored record is broken, or the weights to start from are missing.
        WriteError: something cannot be written; finished results are kept.
        TrainingError: the training cannot go on, for instance with a batch larger than the training part.
    """
    return _obtain(spec, "runs", force, progress)


def run_trial(spec: Run, *, progress: bool = True) -> Record:
    """The record of one trial: read from the store, or trained and stored. The test part stays closed."""
    return _obtain(spec, "trials", False, progress)


def _obtain(spec: Run, folder: Literal["runs", "trials"], force: bool, progress: bool) -> Record:
    stored = results.find(spec.run_id, "real", folder)
    if stored and not force:
        return stored
    material, (rank, world) = open_material(spec), distributed()

    def current() -> Record | None:
        found = results.find(spec.run_id, material.kind, folder)
        same = found and (found.protocol, found.data_sha256) == (PROTOCOL, material.data_sha256)
        return found if not force and found and (material.kind == "real" or same) else None

    if stored := current():  # for all processes under torchrun alike
        return stored
    if world > 1 and (folder == "trials" or spec.settings["batch_size"] % world):
        raise PlanError(f"{spec.run_id}: {world} processes cannot share a trial, or this batch size")
    if rank > 0:  # a helper of the process that holds the lock, and writes
        return _compute(spec, material, folder, progress=False)
    # Two processes that train the same run would share, and remove, one folder of checkpoints.
    with files.lock(project_root() / TRAINING / f"{spec.run_id}.lock"):
        if world == 1 and (stored := current()):  # another process has finished it meanwhile
            return stored
        return _compute(spec, material, folder, progress=progress)


def _compute(spec: Run, material: Material, folder: Literal["runs", "trials"], *, progress: bool) -> Record:
    """Train on the training part, pick the epoch on validation, score the test part once, write the record."""
    import torch

    from scgcnet import zoo
    from scgcnet.cost import count_cost
    from scgcnet.train.fit import fit

    limit_threads()
    made_by, started, (rank, world) = results.provenance(), time.monotonic(), distributed()
    model, config = _network(spec, material, progress=progress)
    channels = material.train[0].image.shape[2]
    cost = count_cost(model, (1, channels, config.image_size, config.image_size))
    # Keyed on protocol, data and split as well: an unfinished training on others must not be resumed.
    checkpoints = project_root() / TRAINING / spec.run_id
    key = f"{PROTOCOL}-{material.data_sha256[:10]}-{material.split_sha256[:10]}"
    teacher = None
    if spec.teacher is not None:
        teacher = zoo.load_model(_weights_of(spec.teacher, progress=progress))
    fitted = fit(
        model, material.train, material.val, config, spec.seed, checkpoints / key, progress=progress, teacher=teacher
    )
    if rank > 0:  # the first process scores and stores; the others read what it stored
        torch.distributed.barrier()
        stored = results.find(spec.run_id, material.kind, folder)
        assert stored is not None
        return stored

    network = fitted.model.to("cuda" if torch.cuda.is_available() else "cpu")
    scored, images, free = _score(spec, network, material) if folder == "runs" else ({}, [], [])
    record = Record(
        run_id=spec.run_id,
        dataset=spec.dataset,
        data_kind=material.kind,
        train_datasets=spec.config["train_datasets"],
        split=spec.split,
        split_sha256=material.split_sha256,
        data_sha256=material.data_sha256,
        protocol=PROTOCOL,
        model=spec.model,
        size=spec.size,
        flags=dict(spec.overrides),
        params=cost.params,
        gmac=cost.gmac,
        profile=spec.profile,
        seed=spec.seed,
        config=spec.config,
        history=[{key: value if abs(value) < float("inf") else None for key, value in row.items()}
                 for row in fitted.history],  # JSON has no NaN
        best_epoch=fitted.best_epoch,
        device=_device(),
        wall_s=round(time.monotonic() - started, 1),
        finished_utc=_now(),
        **made_by,
        **scored,
    )  # fmt: skip
    details = None
    if folder == "runs":
        weights = project_root() / results.WEIGHTS / f"{spec.run_id}.safetensors"
        zoo.save_model(fitted.model.cpu(), weights, {"run_id": spec.run_id, "finished_utc": record.finished_utc})
        details = _details(record, images, free)
    results.write(record, details)
    if checkpoints.exists():  # of no use any more; renamed first, so that a kill leaves all of it or nothing
        shutil.rmtree(checkpoints.replace(checkpoints.with_suffix(".done")), ignore_errors=True)
    if world > 1:
        torch.distributed.barrier()
    return record


def _network(spec: Run, material: Material, *, progress: bool) -> tuple[nn.Module, TrainConfig]:
    """A run's network before its training, and the recipe."""
    import torch

    from scgcnet import zoo
    from scgcnet.train.fit import new_network
    from scgcnet.zoo import MissingPackageError

    # One network on a processor leaves no core for loaders; a graphics card would wait without them.
    workers = min(8, (os.cpu_count() or 1) - 1) if torch.cuda.is_available() else 0
    channels = material.train[0].image.shape[2]
    try:
        model = new_network(spec.model, spec.size, channels, spec.overrides, spec.seed)
    except (TypeError, ValueError, MissingPackageError) as error:
        raise PlanError(f"run {spec.run_id}: {error}") from None
    config = TrainConfig.from_settings(spec.settings, workers)
    if config.pretrained:
        load_imagenet: Any = getattr(model, "load_imagenet", None)
        if load_imagenet is None:
            raise PlanError(f"run {spec.run_id}: there are no ImageNet weights of {spec.model}: leave out `pretrained`")
        try:
            load_imagenet()
        except (ImportError, ValueError) as error:
            raise PlanError(f"run {spec.run_id}: {error}") from None
    if spec.start is not None:
        model.load_state_dict(zoo.load_model(_weights_of(spec.start, progress=progress)).state_dict())
    return model, config


def _weights_of(spec: Run, *, progress: bool) -> Path:
    """The weights of a run that another starts or learns from, which is trained first if it is not stored.

    Raises:
        ResultError: it is stored on real data and its weights are missing: making them again is for the user to ask.
    """
    record = run(spec, progress=progress)
    path = results.weights_of(record.run_id, record.finished_utc)
    if path is None and record.data_kind == "synthetic":
        record = run(spec, force=True, progress=progress)
        path = results.weights_of(record.run_id, record.finished_utc)
    if path is None:
        raise ResultError(
            f"the weights of {spec.run_id}, which this run needs, are missing: `scgcnet run {spec.run_id} --force` "
            "makes them again"
        )
    return path


def _score(spec: Run, network: nn.Module, material: Material) -> tuple[dict[str, Any], list[Any], list[Any]]:
    """The fields of a record that come from the test part, its per-image counts, and those of landslide-free images.

    Every look is noted before its score is known.
    """
    from scgcnet.train.predict import count, score_images, total_scores

    size = spec.settings["image_size"]
    looks = {name: results.add_look(_now(), name, spec.split, spec.run_id, material.kind) for name in datasets_of(spec)}
    network, prediction = _predictor(spec, network, material)
    images = score_images(network, open_test(spec), size)
    domains: dict[str, dict[str, dict[str, int]]] = {}
    windows = spec.settings.get("views") == "windows"
    merged = not windows and spec.dataset in spec.config["train_datasets"]  # with others, or `_open_domains` has none
    further: list[ImageCounts] = []
    for name, part, dataset in () if windows else _open_domains(spec):
        (counted,) = count(network, dataset, size)
        domains.setdefault(name, {})[part] = {"n": len(dataset), **asdict(counted)}
        if merged and part == "test" and name != spec.dataset and counted.tp + counted.fn:
            further += _with_ground(dataset, score_images(network, dataset, size), name)
    free = free_images(spec)
    scored = {
        "claims": list(spec.claims),
        "metrics": Metrics.model_validate(total_scores(images)),
        "test_looks": looks[spec.dataset],
        "domains": domains,
        "maps": _score_maps(spec, network) if len(datasets_of(spec)) > 1 and not (spec.increment or merged) else {},
        "prediction": prediction,
    }
    counted_images = [*_with_ground(open_test(spec), images), *further]
    return scored, counted_images, score_images(network, free, size) if free is not None else []


def _score_maps(spec: Run, network: nn.Module) -> dict[str, dict[str, dict[str, Any]]]:
    """How a network maps the validation and test parts of what it was trained on, or all of a data set left out."""
    from scgcnet.data import Amunet, open_dataset, open_whole
    from scgcnet.scene.predict import folded
    from scgcnet.scene.score import count_maps, spread

    network, trained = folded(network.cpu().eval()), spec.config["train_datasets"]
    parts: tuple[Part, ...] = ("val", "test") if spec.dataset in trained else ("val",)
    samples: dict[tuple[str, str], Any] = {
        (name, part): spread(open_dataset(name, spec.split, part), MAPPED[part]) for name in trained for part in parts
    }
    if spec.dataset not in trained:
        whole = open_whole(spec.dataset)
        scenes = list(whole.scenes.values()) if isinstance(whole, Amunet) else spread(whole, MAPPED["all"])
        samples[spec.dataset, "all"] = scenes
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for (name, part), images in samples.items():
        counts = count_maps(network, images, spec.settings["image_size"])
        found.setdefault(name, {})[part] = {way: one.to_dict() for way, one in counts.items()}
    return found


def _predictor(spec: Run, model: nn.Module, material: Material) -> tuple[nn.Module, dict[str, float]]:
    """The network of a run, or its mean over views at the threshold best on validation."""
    from scgcnet.train.predict import ManyViews, count

    if spec.prediction is None:
        return model, {}
    views, thresholds = spec.prediction["views"], spec.prediction["thresholds"]
    counted = count(ManyViews(model, views), material.val, spec.settings["image_size"], thresholds)
    ious = [found.scores()["iou"] for found in counted]
    best = thresholds[ious.index(max(ious))]
    return ManyViews(model, views, best).eval(), {"views": views, "threshold": best, "val_iou": max(ious)}


def _with_ground(test: Any, images: Sequence[Any], source: str = "") -> list[ImageCounts]:
    from scgcnet.data.overlap import shared_ground

    groups = shared_ground(test)
    return [
        ImageCounts(
            name=one.name,
            group=groups[index],
            site=test.sites[index],
            resolution=one.resolution,
            native=tuple(asdict(one.native).values()),
            resized=tuple(asdict(one.resized).values()),
            components=one.components,
            alarms=one.alarms,
            boundary=one.boundary,
            source=source,
        )
        for index, one in enumerate(images)
    ]


def _details(record: Record, images: list[ImageCounts], free: Sequence[Any]) -> Details:
    from scgcnet.metrics import WIDTHS

    quiet = [
        FreeCounts(name=one.name, pixels=sum(asdict(one.native).values()), resolution=one.resolution, alarms=one.alarms)
        for one in free
    ]
    return Details(
        run_id=record.run_id,
        finished_utc=record.finished_utc,
        data_kind=record.data_kind,
        widths=list(WIDTHS),
        images=images,
        free=quiet,
    )


def limit_threads() -> None:
    """Compute with one thread from now on, unless OMP_NUM_THREADS is set or there is a graphics card.

    The networks of this study are small: with a thread on each core these wait for one another, and as many trainings
    as cores, of one thread each, are done soonest.
    """
    import torch

    if not os.environ.get("OMP_NUM_THREADS") and not torch.cuda.is_available():
        torch.set_num_threads(1)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _device() -> str:
    import torch

    threads, world = torch.get_num_threads(), distributed()[1]
    processor = f"{results.processor()}, {threads} thread{'s' * (threads != 1)} used"
    one = torch.cuda.get_device_name(0) if torch.cuda.is_available() else processor
    return one if world == 1 else f"{world} processes, each on {one}"


def load_predictor(run_id: str, finished_utc: str, prediction: dict[str, float]) -> nn.Module | None:
    """The network of a stored run in evaluation mode, or its mean over views; None if the weights are missing.

    Raises:
        WeightsError: the weights are damaged.
    """
    from scgcnet import zoo
    from scgcnet.train.predict import ManyViews

    path: Path | None = results.weights_of(run_id, finished_utc)
    if path is None:
        return None
    limit_threads()
    network = zoo.load_model(path).eval()
    if not prediction:
        return network
    return ManyViews(network, int(prediction["views"]), prediction["threshold"]).eval()
