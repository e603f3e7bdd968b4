"""The failure atlas of a run: every test image with its numbers and causes, beside those of a second run if wanted.

Nothing is chosen on the test part: thresholds and the rules' limits come from the validation part, and the run that is
shown was scored before. Predictions for display are no look at the test part (scgcnet/study/looks.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scgcnet.explain.calibration import Reliability, reliability
from scgcnet.explain.case_numbers import LEVELS, STEPS, Facts, Outcome, curves, describe, enlarge, judge, quantise
from scgcnet.explain.failures import TITLES, Limits, causes
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import Plan, Run, at_home
from scgcnet.study.runner import load_predictor, run, weights_for
from scgcnet.study.store import FOLDERS, Kind, Record, find, load_all

if TYPE_CHECKING:
    from torch import nn

    from scgcnet.data import LandslideDataset, Sample

SHOWN = "tiny-bijie"  # the published weights that the atlas opens with
GRID = 256  # pixels: largest side of a stored probability; a larger output of a network is averaged down
BATCH = 8  # images at a time


@dataclass(frozen=True)
class Model:
    """A run whose failures are shown.

    Attributes:
        title: in print.
        record: its run file.
        threshold: best on validation.
        val_iou: there, with this threshold, at the network's input size, a fraction of 1.
        limits: what the rules call low or high.
        calibration: of the parts "validation" and "test".
        test_iou: IoU over the pixels of all test images at native size at each threshold of the page, (`STEPS`,).
    """

    title: str
    record: Record
    threshold: float
    val_iou: float
    limits: Limits
    calibration: dict[str, Reliability]
    test_iou: NDArray[np.float64]

    @property
    def best_on_test(self) -> float:
        """The threshold that would have been best on the test part: not for a score that anybody reports."""
        return float((int(self.test_iou.argmax()) + 1) / 100)


@dataclass(frozen=True)
class Entry:
    """One image of the atlas; the tuples have an item for each model.

    Attributes:
        sample: image and truth.
        facts: of these.
        small: probability of landslide in 8 bits at the size of the network's output, uint8 (h, w).
        outcomes: at the model's threshold.
        causes: keys of `failures.CAUSES`; empty where the image is no failure.
    """

    sample: Sample
    facts: Facts
    small: tuple[NDArray[np.uint8], ...]
    outcomes: tuple[Outcome, ...]
    causes: tuple[tuple[str, ...], ...]

    def values(self, model: int) -> NDArray[np.float64]:
        """Probability times 255 at native size, float64 (H, W)."""
        return enlarge(self.small[model], self.sample.mask.shape)

    def called(self, model: int, threshold: float) -> NDArray[np.bool_]:
        """What a model calls landslide at a threshold, of the pixels whose truth is known, bool (H, W)."""
        found: NDArray[np.bool_] = (self.values(model) > LEVELS * threshold) & (self.sample.mask <= 1)
        return found


@dataclass(frozen=True)
class Atlas:
    """All entries of one or two runs.

    Attributes:
        models: the runs, the one asked for first.
        kind: "synthetic" if the images are made up.
        entries: the test part, in its order.
        free: landslide-free images of the same place that no run was trained on; empty where there are none.
    """

    models: tuple[Model, ...]
    kind: Kind
    entries: tuple[Entry, ...]
    free: tuple[Entry, ...]

    def examples(self) -> list[tuple[str, Entry]]:
        """For each kind the first model's failure of the lowest IoU that is not shown yet, with all its kinds' titles.

        A kind whose images are all shown for other kinds brings none of its own.
        """
        shown: list[tuple[str, Entry]] = []
        for key in TITLES:
            used = {entry.sample.name for _, entry in shown}
            kind = [entry for entry in self.entries if key in entry.causes[0] and entry.sample.name not in used]
            if kind:
                entry = min(kind, key=lambda entry: entry.outcomes[0].iou)
                shown.append(("; ".join(TITLES[why] for why in TITLES if why in entry.causes[0]), entry))
        return shown


def pick_runs(plan: Plan, shown: str = "auto", compare: str = "auto", profile: str = "auto") -> list[Run]:
    """The runs of an atlas, whose weights are at hand.

    Args:
        plan: the study.
        shown: id of a stored run, or its beginning; "auto" for that of the published `SHOWN` where its weights and its
            images are at hand, else a network trained in seconds on synthetic images.
        compare: id of a second run on the same test part; "auto" for the one of another network that is best on
            validation among those whose weights are at hand, if there is one; "none" for no second.
        profile: of study.yml; one on synthetic data rules out the real run of "auto".

    Returns:
        One or two runs.

    Raises:
        PlanError: study.yml does not plan such a run, or has no such profile.
        StoreError: a run that is named is not stored, or its weights are not at hand; or the two are not tested on the
            same images.
        DatasetError: the synthetic images cannot be made.
    """
    wanted_kind: Kind = "real" if profile == "auto" else plan.profile(profile).data
    first = _published(plan) if shown == "auto" and wanted_kind == "real" else None
    if first is None:
        first = _trained_now(plan, "scgcnet") if shown == "auto" else _stored(plan.find(shown))
    if compare == "none":
        return [first]
    if compare != "auto":
        second: Run | None = _stored(plan.find(compare))
    elif first.dataset == "synthetic":
        second = _trained_now(plan, "unet")
    else:
        second = _rival(plan, first)
    if second is None:
        return [first]
    if (first.dataset, first.split, first.increment) != (second.dataset, second.split, second.increment):
        raise StoreError(f"{first.run_id} and {second.run_id} are not tested on the same images: choose others")
    return [first, second]


def _published(plan: Plan) -> Run | None:
    """The run behind the published weights; None where it, its weights or its images are not at hand."""
    from scgcnet.data import data_sha256, dataset_available
    from scgcnet.zoo import pretrained_file, pretrained_names, read_metadata

    if SHOWN not in pretrained_names():
        return None
    run_id = read_metadata(pretrained_file(SHOWN))["run_id"]
    spec = next((one for one in plan.runs if one.run_id == run_id), None)
    record = find(run_id, "real")
    if spec is None or record is None or weights_for(record) is None or not dataset_available(spec.dataset):
        return None
    return spec if data_sha256(spec.dataset) == record.data_sha256 else None  # generated ones may stand in their place


def _trained_now(plan: Plan, model: str) -> Run:
    spec = plan.make_run("synthetic", model, "tiny", "smoke")
    record = run(spec, progress=False)
    if weights_for(record) is None:
        run(spec, force=True, progress=False)
    return spec


def _rival(plan: Plan, first: Run) -> Run | None:
    records = {record.run_id: record for record in load_all("real")}
    able = [
        (records[one.run_id].val_iou, one.run_id, one)
        for one in plan.runs
        if one.run_id in records
        and (one.dataset, one.split, one.increment) == (first.dataset, first.split, first.increment)
        and one.model != first.model
        and at_home(one.config)
        and weights_for(records[one.run_id])
    ]
    return max(able)[2] if able else None


def _stored(spec: Run) -> Run:
    record = _record(spec)
    if weights_for(record) is None:
        raise StoreError(f"the weights of {spec.run_id} are not at hand: scgcnet study run {spec.run_id} --force")
    return spec


def _record(spec: Run) -> Record:
    record = next((found for kind in FOLDERS if (found := find(spec.run_id, kind))), None)
    if record is None:
        raise StoreError(f"{spec.run_id} is not stored: scgcnet study run {spec.run_id}")
    return record


def make_atlas(runs: Sequence[Run]) -> Atlas:
    """Predict the validation part, the test part, and landslide-free images of the same place.

    Args:
        runs: of `pick_runs`.

    Raises:
        StoreError: the images are others than a run was scored on.
        DatasetError: a data set is not there, or damaged.
        WeightsError: weights are damaged.
    """
    from scgcnet.study.details import free_images
    from scgcnet.study.material import open_test

    test = open_test(runs[0])
    free = free_images(runs[0]) if len({bool(free_images(one)) for one in runs}) == 1 else []
    parts = [test, *free]
    facts = [_facts(part) for part in parts]
    models, found = [], []
    for spec in runs:
        model, network = _prepare(spec)
        size = spec.settings["image_size"]
        smalls = [_small(network, part, size) for part in parts]
        models.append(_tested(model, test, smalls[0]))
        found.append(smalls)
    made = [
        _entries(part, facts[place], models, [smalls[place] for smalls in found]) for place, part in enumerate(parts)
    ]
    return Atlas(tuple(models), test.kind, made[0], sum(made[1:], ()))


def _prepare(spec: Run) -> tuple[Model, nn.Module]:
    """All that validation says of a run; the test part is not opened."""
    from scgcnet.study.material import open_material
    from scgcnet.study.publish import best_threshold

    record = _record(spec)
    material = open_material(spec)
    if material.data_sha256 != record.data_sha256:
        raise StoreError(
            f"{spec.run_id} was scored on other images: their hash is {material.data_sha256}, not {record.data_sha256}"
        )
    network = load_predictor(record)
    if network is None:
        raise StoreError(f"the weights of {spec.run_id} are not at hand: scgcnet study run {spec.run_id} --force")
    val, size = material.val, spec.settings["image_size"]
    threshold, val_iou = best_threshold(network, val, size)
    pairs = [
        (sample, enlarge(small, sample.mask.shape))
        for sample, small in zip(val, _small(network, val, size), strict=True)
    ]
    limits = Limits.of(_facts(val), [judge(sample, values, threshold) for sample, values in pairs])
    seen = reliability((sample.mask, values) for sample, values in pairs)
    title = f"{record.model} {record.size}, seed {record.seed}"
    return Model(title, record, threshold, val_iou, limits, {"validation": seen}, np.zeros(STEPS)), network


def _tested(model: Model, test: LandslideDataset, smalls: Sequence[NDArray[np.uint8]]) -> Model:
    pairs = [(sample.mask, enlarge(small, sample.mask.shape)) for sample, small in zip(test, smalls, strict=True)]
    counted = [curves(mask, values) for mask, values in pairs]
    tp, fp = (np.sum([getattr(one, key) for one in counted], axis=0) for key in ("tp", "fp"))
    truth = sum(int(np.count_nonzero(mask == 1)) for mask, _ in pairs)
    calibration = {**model.calibration, "test": reliability(pairs)}
    return Model(
        model.title,
        model.record,
        model.threshold,
        model.val_iou,
        model.limits,
        calibration,
        tp / np.maximum(truth + fp, 1),
    )


def _facts(part: LandslideDataset) -> list[Facts]:
    return [describe(sample, part.dataset, part.sites[index]) for index, sample in enumerate(part)]


def _entries(
    part: LandslideDataset,
    facts: Sequence[Facts],
    models: Sequence[Model],
    smalls: Sequence[Sequence[NDArray[np.uint8]]],
) -> tuple[Entry, ...]:
    made = []
    for index, (sample, fact) in enumerate(zip(part, facts, strict=True)):
        own = tuple(found[index] for found in smalls)
        outcomes = tuple(
            judge(sample, enlarge(small, sample.mask.shape), model.threshold)
            for small, model in zip(own, models, strict=True)
        )
        why = tuple(causes(fact, outcome, model.limits) for outcome, model in zip(outcomes, models, strict=True))
        made.append(Entry(sample, fact, own, outcomes, why))
    return tuple(made)


def _small(network: nn.Module, part: LandslideDataset, image_size: int) -> list[NDArray[np.uint8]]:
    """Probability of landslide in 8 bits at the size of the network's input, at most `GRID`, for each image."""
    import torch
    from torch.nn import functional as F

    from scgcnet.data import EvalTransform

    def predicted() -> Iterator[NDArray[np.uint8]]:
        transform = EvalTransform(image_size)
        for start in range(0, len(part), BATCH):
            indices = range(start, min(start + BATCH, len(part)))
            images = torch.stack([transform(part[index])[0] for index in indices])
            with torch.no_grad():
                probability = network(images).float().softmax(dim=1)[:, 1:]
            if image_size > GRID:
                probability = F.adaptive_avg_pool2d(probability, GRID)
            yield from (quantise(one) for one in probability[:, 0].numpy())

    return list(predicted())
