"""Images to look at, and the networks that are looked into. Nothing here is scored for the tables.

Networks side by side were all trained on the same kind of images, real or synthetic. Without real images the published
weights are shown synthetic ones, and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from scgcnet import zoo
from scgcnet.data import LandslideDataset, Part, Sample, dataset_available, open_dataset, open_whole
from scgcnet.metrics import Confusion
from scgcnet.study import results
from scgcnet.study.networks import data_set
from scgcnet.study.pages import page_profile
from scgcnet.study.plan import Plan
from scgcnet.study.publish import picture_threshold
from scgcnet.study.results import Kind, ResultError
from scgcnet.study.runner import limit_threads, load_predictor
from scgcnet.study.runs import PlanError
from scgcnet.study.show import Note
from scgcnet.train.predict import predict

EXAMPLE = "tiny-bijie"  # published weights that pages look into
SIZE = 128  # side of the square input that published weights were trained with, pixels
_MAKE = "`scgcnet run ID --force` makes them"
_NO_WEIGHTS = (
    "No trained weights are available. They lie in `build/weights` after `make study PROFILE=cpu`; "
    "`scgcnet run ID --force` makes those of one run."
)
_PARTS = {"val": "validation", "test": "test"}


class Case(NamedTuple):
    """One image to show."""

    sample: Sample
    probability: npt.NDArray[np.float32]  # of landslide, (H, W)
    iou: float  # of the prediction at a threshold, a fraction of 1


class NetworkCase(NamedTuple):
    """One image, and the predictions of several networks."""

    sample: Sample
    probabilities: dict[str, npt.NDArray[np.float32]]  # network -> probability of landslide, (H, W)


class TrainedNetworks(NamedTuple):
    """Networks to show side by side."""

    networks: dict[str, nn.Module]  # by name, in evaluation mode; empty without weights
    kind: Kind  # of the images that all of them were trained on
    note: Note  # for the top of a page


@dataclass(frozen=True)
class TrainedNetwork:
    """A network, and the images that a page shows it."""

    title: str
    network: nn.Module  # in evaluation mode
    image_size: int  # side of the square input that it was trained with, pixels
    threshold: float  # best on validation
    part: LandslideDataset  # images that it did not learn from
    note: Note  # for the top of a page


def predict_cases(
    network: nn.Module,
    part: LandslideDataset,
    image_size: int,
    threshold: float = 0.5,
    indices: Sequence[int] | None = None,
) -> list[Case]:
    """Images of a part (by default all) with the network's probability, and the IoU of each at a threshold."""
    chosen = range(len(part)) if indices is None else indices
    found = []
    for index, probability in zip(chosen, predict(network, part, chosen, image_size), strict=True):
        sample = part[index]
        iou = Confusion.of(probability > threshold, sample.mask).scores()["iou"]
        found.append(Case(sample, probability, iou))
    return found


def spread(values: Sequence[float], n: int) -> list[int]:
    """Indices of `n` values evenly spaced by rank, from the lowest to the highest; fewer where there are fewer.

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n_cases is {n}: show at least one case")
    order = sorted(range(len(values)), key=lambda index: (values[index], index))
    if n >= len(order) or n == 1:
        return order[:n]
    return [order[round(step * (len(order) - 1) / (n - 1))] for step in range(n)]


def spread_cases(cases: Sequence[Case], n: int) -> list[Case]:
    """`n` cases evenly spaced by rank, from the worst IoU to the best; ValueError if `n` is below 1."""
    return [cases[index] for index in spread([case.iou for case in cases], n)]


# Test images of finished runs.


def pick_cases(runs: pd.DataFrame, test: LandslideDataset | None, n_cases: int) -> list[Case]:
    """Test images of a run, evenly spaced by rank from the worst IoU (at threshold 0.5) to the best.

    Args:
        runs: rows of `results.frame` on one split; the first with weights is shown.
        test: the test part, or None without data.
        n_cases: how many to show, from 1.

    Returns:
        The cases; none without data or weights.
    """
    shown = _first(runs)
    return spread_cases(_predict(shown, test), n_cases) if shown and test else []


def pick_network_cases(
    runs: Mapping[str, pd.DataFrame], test: LandslideDataset | None, n_cases: int
) -> list[NetworkCase]:
    """`pick_cases` of the first network with weights, and the predictions of the others on the same images."""
    shown = {name: row for name, group in runs.items() if (row := _first(group))}
    if not shown or test is None:
        return []
    indices = spread([case.iou for case in _predict(next(iter(shown.values())), test)], n_cases)
    found = {name: _predict(row, test, indices) for name, row in shown.items()}
    return [
        NetworkCase(test[index], {name: cases[place].probability for name, cases in found.items()})
        for place, index in enumerate(indices)
    ]


def load_networks(runs: Mapping[str, pd.DataFrame], images: Kind = "real") -> TrainedNetworks:
    """The networks of some runs, all trained on one kind of images, so that they compare.

    Networks trained on real images are taken where `images`, those to show them, are real, and where there are two or
    none trained on synthetic images; else the latter.

    Args:
        runs: rows of `results.frame` by network, the preferred first.
        images: kind of the available images.
    """
    limit_threads()
    found: dict[Kind, dict[str, Path]] = {"real": {}, "synthetic": {}}
    for name, group in runs.items():
        for row in group.itertuples():
            if name not in found[row.data_kind] and (weights := results.weights_of(row.run_id, row.finished_utc)):
                found[row.data_kind][name] = weights
    real = images == "real" and (len(found["real"]) > 1 or not found["synthetic"])
    kind: Kind = "real" if real else "synthetic"
    networks = {name: zoo.load_model(path) for name, path in found[kind].items()}
    return TrainedNetworks(networks, kind, kind_note(kind, networks, runs))


def no_images(dataset: str) -> str:
    """Said by a page without the images of a data set."""
    return (
        f"The images of {data_set(dataset)} are missing: set `SCGCNET_DATA` to the folder of the data sets; "
        f"`scgcnet data check {dataset}` lists what is missing."
    )


def kind_note(kind: Kind, shown: Iterable[str], asked: Iterable[str], missing: str = "") -> Note:
    """A box on the images that the networks shown side by side were trained on, and on the networks without weights.

    Args:
        kind: of the images that they were trained on and are shown on.
        shown: names of the networks that are shown.
        asked: names of those to show.
        missing: text where none is shown, unless their weights are missing.
    """
    names = list(shown)
    absent = [name for name in asked if name not in names]
    if not names:
        return Note("Nothing to show", missing or _NO_WEIGHTS)
    lacking = f" Missing because there are no weights: {', '.join(absent)} ({_MAKE})." if absent else ""
    if kind == "real":
        return Note("Real images", f"{', '.join(names)}: trained on real images, the stored runs.{lacking}")
    return Note(
        "Synthetic images",
        f"{', '.join(names)}: trained for seconds on synthetic images, and shown on such. This shows that the page "
        f"works, and nothing about the paper.{lacking}",
        "warning",
    )


# The network that a page looks into.


def load_network(plan: Plan, profile: str = "auto", weights: str = EXAMPLE, part: Part = "val") -> TrainedNetwork:
    """The network of a page, and its images.

    Args:
        plan: the study.
        profile: name in study.yml. Without real images, or with a profile on synthetic data, the images are synthetic.
        weights: a name of published weights, or the id of a run with weights.
        part: the images, "val" or "test": nothing is chosen by either.

    Raises:
        PlanError: there is no such profile, or the part is that of training.
        ResultError: there are no such weights.
    """
    if part not in _PARTS:
        raise PlanError(f"part {part!r}: val or test; a network knows the images of training")
    real = plan.profile(page_profile(plan, profile, "bijie")).data == "real"
    return (_on_real(weights, part) if real else None) or _on_synthetic(weights, part)


def choose_cases(shown: TrainedNetwork, n: int, names: Sequence[str] | None = None) -> list[Case]:
    """Images with landslides, evenly spaced by rank from the worst IoU to the best.

    Args:
        shown: the network and its images.
        n: how many, from 1.
        names: of images to take instead; ValueError if there is no image of such a name.
    """
    known = shown.part.names
    if unknown := [name for name in names or () if name not in known]:
        raise ValueError(f"there is no image {unknown[0]!r} in this part; names are such as {known[0]}")
    indices = [known.index(name) for name in names] if names else None
    cases = predict_cases(shown.network, shown.part, shown.image_size, shown.threshold, indices)
    return cases if names else spread_cases([case for case in cases if (case.sample.mask == 1).any()], n)


def case_table(shown: TrainedNetwork, cases: Sequence[Case]) -> pd.DataFrame:
    """Name, size, landslide share and IoU of some cases."""
    return pd.DataFrame(
        {
            "Image": [case.sample.name for case in cases],
            "Pixels": ["{1} x {0}".format(*case.sample.mask.shape) for case in cases],
            "Landslide (%)": [f"{100 * np.mean(case.sample.mask == 1):.1f}" for case in cases],
            f"IoU at {shown.threshold:g} (%)": [f"{100 * case.iou:.1f}" for case in cases],
        }
    )


# Examples.


def available_kind() -> Kind:
    """Whether real images of Bijie are available, or synthetic ones alone."""
    return open_whole("bijie").kind if dataset_available("bijie") else "synthetic"


def validation_part(kind: Kind) -> LandslideDataset:
    """The validation images of Bijie, or synthetic ones for networks that were trained on such."""
    return open_dataset("bijie" if kind == "real" else "synthetic", 0, "val")


def spread_samples(part: LandslideDataset, n: int) -> list[Sample]:
    """Different samples evenly spaced in the order of their names, at least one and at most all."""
    return [part[int(index)] for index in np.linspace(0, len(part) - 1, min(max(n, 1), len(part)))]


def example_network(size: str, flags: dict[str, Any]) -> tuple[nn.Module, str]:
    """An SCGC-Net in evaluation mode, and a sentence on its weights: the published ones if they fit, else random."""
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", size, **flags).eval()
    trained = zoo.load_pretrained(EXAMPLE)
    if trained.config == model.config:
        return trained, f"The weights are {EXAMPLE}, trained on real images of Bijie."
    return model, "The weights are random: no trained ones of this configuration are stored."


def example_sample() -> tuple[Sample, str]:
    """A validation image, and a sentence on its source: Bijie where it is available, else synthetic."""
    part = validation_part(available_kind())
    kind = "a real one of Bijie" if part.kind == "real" else "a synthetic one"
    return part[0], f"The image is {kind}, {part[0].name} of the validation part."


def _first(runs: pd.DataFrame) -> Any:
    return next((row for row in runs.itertuples() if results.weights_of(row.run_id, row.finished_utc)), None)


def _predict(row: Any, test: LandslideDataset, indices: Sequence[int] | None = None) -> list[Case]:
    network = load_predictor(row.run_id, row.finished_utc, row.prediction)
    assert network is not None
    return predict_cases(network, test, row.config["settings"]["image_size"], indices=indices)


def _on_real(weights: str, part: Part) -> TrainedNetwork | None:
    """Stored weights with real images; None if the images are missing."""
    published = zoo.pretrained_names()
    run_id = zoo.read_metadata(zoo.pretrained_file(weights))["run_id"] if weights in published else weights
    record = results.find(run_id, "real")
    if record is None:
        raise ResultError(f"weights {weights!r}: neither one of {', '.join(published)} nor a stored run on real images")
    path = results.weights_of(run_id, record.finished_utc)
    if path is None:
        raise ResultError(f"the weights of {run_id} are missing: scgcnet run {run_id} --force")
    dataset = record.dataset if record.dataset in record.train_datasets else record.train_datasets[0]
    if not dataset_available(dataset) or open_whole(dataset).kind != "real":
        return None
    network, size = zoo.load_model(path), record.config["settings"]["image_size"]
    val, images = (open_dataset(dataset, record.split, one) for one in ("val", part))
    known = zoo.read_metadata(path).get("threshold")
    threshold = float(known) if known else picture_threshold(network, val, size)[0]
    text = (
        f"{weights} ({record.model} {record.size}, {size} px), trained on real images of "
        f"{', '.join(map(data_set, record.train_datasets))}, is shown {_PARTS[part]} images of {data_set(dataset)}. "
        f"Its threshold {threshold:g} is the best on validation. Nothing is chosen by the images shown here."
    )
    return TrainedNetwork(weights, network, size, threshold, images, Note("Real data", text))


def _on_synthetic(weights: str, part: Part) -> TrainedNetwork:
    """Published weights with synthetic images."""
    name = weights if weights in zoo.pretrained_names() else EXAMPLE
    threshold = float(zoo.read_metadata(zoo.pretrained_file(name))["threshold"])
    text = (
        f"The published weights {name}, trained on real images, are shown synthetic images: this page shows that "
        "everything works. With Bijie's images in place (SCGCNET_DATA) it shows real ones at the profile cpu."
    )
    note = Note("Synthetic data", text, "warning")
    return TrainedNetwork(name, zoo.load_pretrained(name), SIZE, threshold, open_dataset("synthetic", 0, part), note)
