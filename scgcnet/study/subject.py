"""The network that is looked into and the images it is shown: both real, or both made up, never one of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgcnet.study.cases import Case
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import Plan, PlanError
from scgcnet.study.runner import run, weights_for
from scgcnet.study.selection import resolve_profile
from scgcnet.study.show import Note
from scgcnet.study.statistics import spread
from scgcnet.study.store import Record, find

if TYPE_CHECKING:
    from torch import nn

    from scgcnet.data import LandslideDataset, Part


@dataclass(frozen=True)
class Subject:
    """A trained network and images of the data that it was trained on.

    Attributes:
        title: of the network, in print.
        network: in evaluation mode.
        record: the run that trained it.
        part: images that it did not learn from.
        threshold: best on validation.
        note: for the top of a page.
    """

    title: str
    network: nn.Module
    record: Record
    part: LandslideDataset
    threshold: float
    note: Note

    @property
    def image_size(self) -> int:
        """Side of the square input that it was trained with, pixels."""
        size: int = self.record.config["settings"]["image_size"]
        return size


def find_subject(plan: Plan, profile: str = "auto", weights: str = "tiny-bijie", part: Part = "val") -> Subject:
    """What a page looks into.

    Args:
        plan: the study.
        profile: name in study.yml. One on real data takes `weights` and real images, or where these are not at hand
            what one on synthetic data takes: a network trained in seconds, and made-up images. "auto" as everywhere.
        weights: a name in `scgcnet/weights`, or the id of a run whose weights are at hand.
        part: which images are shown, "val" or "test": nothing is chosen by either.

    Raises:
        PlanError: there is no such profile, or the part is that of training.
        WeightsError, StoreError: there are no such weights, or they are damaged.
        DatasetError: the data set is damaged.
    """
    if part not in ("val", "test"):
        raise PlanError(f"part {part!r}: val or test, for a network knows the images of training")
    real = plan.profile(resolve_profile(plan, profile, "bijie")).data == "real"
    return (_stored(weights, part) if real else None) or _made_up(plan, part)


def pick_cases(subject: Subject, n: int, names: Sequence[str] | None = None) -> list[Case]:
    """Images with landslides, evenly spaced in rank from the worst IoU to the best, so that nobody chose the nice ones.

    Args:
        subject: the network and its images.
        n: how many, from 1.
        names: of images to take instead.

    Raises:
        ValueError: `n` is below 1, or there is no image of such a name.
    """
    if names:
        if unknown := [name for name in names if name not in subject.part.names]:
            raise ValueError(
                f"there is no image {unknown[0]!r} in this part; names are such as {subject.part.names[0]}"
            )
        return predicted(subject, [subject.part.names.index(name) for name in names])
    cases = [case for case in predicted(subject, range(len(subject.part))) if (case.sample.mask == 1).any()]
    return [cases[index] for index in spread([case.iou for case in cases], n)]


def predicted(subject: Subject, indices: Sequence[int]) -> list[Case]:
    """Some images of the part with the network's probability, and the IoU of each at the subject's threshold."""
    from scgcnet.train import Confusion, predict

    found = predict(subject.network, subject.part, indices, subject.image_size)
    samples = [subject.part[index] for index in indices]
    ious = [
        Confusion.of(probability > subject.threshold, sample.mask).scores()["iou"]
        for probability, sample in zip(found, samples, strict=True)
    ]
    return [Case(*one) for one in zip(samples, found, ious, strict=True)]


def case_table(subject: Subject, cases: Sequence[Case]) -> pd.DataFrame:
    """Name, size, share of landslide and IoU of some cases."""
    return pd.DataFrame(
        {
            "Image": [case.sample.name for case in cases],
            "Pixels": ["{1} x {0}".format(*case.sample.mask.shape) for case in cases],
            "Landslide (%)": [f"{100 * np.mean(case.sample.mask == 1):.1f}" for case in cases],
            f"IoU at {subject.threshold:g} (%)": [f"{100 * case.iou:.1f}" for case in cases],
        }
    )


def _stored(weights: str, part: Part) -> Subject | None:
    """Stored weights with real images; None where the images are not at hand."""
    from scgcnet import zoo
    from scgcnet.data import dataset_available, open_dataset
    from scgcnet.zoo import pretrained_file, pretrained_names

    run_id = zoo.read_metadata(pretrained_file(weights))["run_id"] if weights in pretrained_names() else weights
    record = find(run_id, "real")
    if record is None:
        named = ", ".join(pretrained_names()) or "none"
        raise StoreError(f"weights {weights!r}: neither one of {named} nor the id of a stored run on real images")
    path = weights_for(record)
    if path is None:
        raise StoreError(f"the weights of {run_id} are not at hand: scgcnet study run {run_id} --force")
    dataset = record.dataset if record.dataset in record.train_datasets else record.train_datasets[0]
    if not dataset_available(dataset) or open_dataset(dataset, record.split, part).kind != "real":
        return None
    images = open_dataset(dataset, record.split, part)
    known = zoo.read_metadata(path).get("threshold")
    network = zoo.load_model(path)
    threshold = float(known) if known else _threshold(network, record, dataset)
    side = record.config["settings"]["image_size"]
    text = (
        f"{weights} ({record.model} {record.size}, {side} px), trained on real images of "
        f"{', '.join(record.train_datasets)}, looks at {_PARTS[part]} images of {dataset}. Its threshold {threshold:g} "
        "is the best on validation. Nothing is chosen by what is looked at here."
    )
    return Subject(weights, network, record, images, threshold, Note("Real data", text))


def _made_up(plan: Plan, part: Part) -> Subject:
    from scgcnet import zoo
    from scgcnet.data import open_dataset

    spec = plan.make_run("synthetic", "scgcnet", "tiny", "smoke")
    record = run(spec, progress=False)
    path = weights_for(record) or weights_for(record := run(spec, force=True, progress=False))
    assert path is not None  # just written
    network = zoo.load_model(path)
    threshold = _threshold(network, record, "synthetic")
    text = (
        f"A network that trained on made-up images for {record.wall_s:.0f} seconds looks at made-up images: this page "
        "shows that everything works, and its maps mean nothing. With Bijie's images in place (SCGCNET_DATA) and the "
        "profile cpu the same page shows what the published weights look at."
    )
    images = open_dataset("synthetic", 0, part)
    return Subject("smoke", network, record, images, threshold, Note("Synthetic data", text, "warning"))


_PARTS = {"val": "validation", "test": "test"}


def _threshold(network: nn.Module, record: Record, dataset: str) -> float:
    """The best on the validation part of one data set."""
    from scgcnet.data import open_dataset
    from scgcnet.study.publish import best_threshold

    val = open_dataset(dataset, record.split, "val")
    return best_threshold(network, val, record.config["settings"]["image_size"])[0]
