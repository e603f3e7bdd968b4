"""Test images of a finished run, predicted again to be looked at. Nothing here is scored for the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scgcnet.study.fingerprint import code_sha256
from scgcnet.study.runner import load_predictor, weights_for
from scgcnet.study.show import Note
from scgcnet.study.statistics import spread
from scgcnet.study.store import Kind, Record
from scgcnet.study.threads import limit_threads

if TYPE_CHECKING:
    from torch import nn

    from scgcnet.data import LandslideDataset, Sample


@dataclass(frozen=True)
class Case:
    """One image to show.

    Attributes:
        sample: image and truth at native size.
        probability: the network's probability of landslide, float32 (H, W), 0 to 1.
        iou: of the prediction at threshold 0.5, or the one that whoever made the case states; a fraction of 1.
    """

    sample: Sample
    probability: npt.NDArray[np.float32]
    iou: float


@dataclass(frozen=True)
class NetworkCase:
    """One image, and what several networks make of it.

    Attributes:
        sample: image and truth at native size.
        probabilities: network -> its probability of landslide, float32 (H, W), 0 to 1.
    """

    sample: Sample
    probabilities: Mapping[str, npt.NDArray[np.float32]]


def pick_cases(records: Sequence[Record], test: LandslideDataset | None, n_cases: int) -> list[Case]:
    """Cases from the worst IoU of a run to its best, evenly spaced in rank, so that nobody chose the nice ones.

    Args:
        records: runs on one split; the first whose weights are at hand (`usable_weights`) is shown.
        test: the test part, or None where the data are not at hand.
        n_cases: how many to show.

    Returns:
        The cases from the worst to the best; none where the data or the weights are not at hand.

    Raises:
        ValueError: `n_cases` is below 1.
        WeightsError: the weights are damaged.
    """
    found = next((record for record in records if usable_weights(record)), None)
    if found is None or test is None:
        return []
    probabilities = _predicted(found, test, range(len(test)))
    ious = _ious(probabilities, test)
    return [Case(test[index], probabilities[index], ious[index]) for index in spread(ious, n_cases)]


def pick_network_cases(
    records: Mapping[str, Sequence[Record]], test: LandslideDataset | None, n_cases: int
) -> list[NetworkCase]:
    """The same images through several networks, from the worst to the best of the first whose weights are at hand.

    Args:
        records: runs of each network, on one split; of each the first whose weights are at hand is shown.
        test: the test part, or None where the data are not at hand.
        n_cases: how many to show.

    Returns:
        The cases; none where the data or all weights are not at hand.

    Raises:
        ValueError: `n_cases` is below 1.
        WeightsError: weights are damaged.
    """
    shown = {
        name: record
        for name, group in records.items()
        if (record := next((record for record in group if usable_weights(record)), None))
    }
    if not shown or test is None:
        return []
    first = next(iter(shown.values()))
    indices = spread(_ious(_predicted(first, test, range(len(test))), test), n_cases)
    found = {name: _predicted(record, test, indices) for name, record in shown.items()}
    return [
        NetworkCase(test[index], {name: probabilities[place] for name, probabilities in found.items()})
        for place, index in enumerate(indices)
    ]


@dataclass(frozen=True)
class Lineup:
    """Networks to look into side by side.

    Attributes:
        networks: by name, in evaluation mode; empty where no weights are at hand.
        kind: of the images that all of them were trained on.
        note: what they were trained on, and which of those asked for are missing.
    """

    networks: dict[str, nn.Module]
    kind: Kind
    note: Note


def load_networks(records: Mapping[str, Sequence[Record]], images: Kind = "real") -> Lineup:
    """The networks of some runs whose weights are at hand, all trained on one kind of images, so that they compare.

    Those trained on real images are taken where real ones are at hand to show them, and where there are two of them or
    none trained on made-up images; else the latter.

    Args:
        records: runs of each network, the ones to prefer first.
        images: what is at hand to show them.

    Raises:
        WeightsError: weights are damaged.
    """
    from scgcnet import zoo

    limit_threads()
    found: dict[Kind, dict[str, Path]] = {"real": {}, "synthetic": {}}
    for name, group in records.items():
        for record in group:
            if name not in found[record.data_kind] and (weights := usable_weights(record)):
                found[record.data_kind][name] = weights
    real = images == "real" and (len(found["real"]) > 1 or not found["synthetic"])
    kind: Kind = "real" if real else "synthetic"
    networks = {name: zoo.load_model(path).eval() for name, path in found[kind].items()}
    return Lineup(networks, kind, kind_note(kind, networks, records))


def no_images(dataset: str) -> str:
    """What a page says where the images of a data set are not at hand, and what helps."""
    return (
        f"The images of {dataset} are not at hand: `SCGCNET_DATA` is to name the folder of the data sets, and "
        f"`scgcnet data check {dataset}` says what is missing."
    )


#: What a page says where no trained weights are at hand, and what helps.
NO_WEIGHTS = (
    "No trained weights are at hand. They lie in `build/weights` after `make study PROFILE=cpu`; "
    "`scgcnet study run ID --force` makes those of one run."
)


def kind_note(kind: Kind, shown: Iterable[str], asked: Iterable[str], missing: str = "") -> Note:
    """What networks that are shown side by side were trained on, and which of those asked for are missing, in a box.

    Args:
        kind: of the images that they were trained on and are shown on.
        shown: names of the networks that are.
        asked: names of those that were to be.
        missing: what is said where none is shown, if it is anything but their weights that is not at hand.
    """
    names = list(shown)
    absent = [name for name in asked if name not in names]
    if not names:
        return Note("Nothing to show", missing or NO_WEIGHTS)
    told = f" Missing, for want of weights: {', '.join(absent)} ({_MAKE})." if absent else ""
    if kind == "real":
        return Note("Real images", f"{', '.join(names)}: trained on real images, the stored runs.{told}")
    return Note(
        "Made-up images",
        f"{', '.join(names)}: trained for seconds on made-up images, and shown on such. This says that it works, and "
        f"nothing about the paper.{told}",
        "warning",
    )


_MAKE = "`scgcnet study run ID --force` makes them"


def usable_weights(record: Record) -> Path | None:
    """The weights of a run that can be looked into; None where they are not at hand, or fit an earlier network alone.

    Raises:
        WeightsError: weights of the present code are damaged.
    """
    from scgcnet import zoo

    path = weights_for(record)
    if path is None or record.code_sha256 == code_sha256(record.model, {record.dataset, *record.train_datasets}):
        return path
    try:
        zoo.load_model(path)
    except zoo.WeightsError:
        return None
    return path


def _predicted(record: Record, test: LandslideDataset, indices: Sequence[int]) -> list[npt.NDArray[np.float32]]:
    from scgcnet.train import predict

    network = load_predictor(record)
    assert network is not None
    return predict(network, test, indices, record.config["settings"]["image_size"])


def _ious(probabilities: Sequence[npt.NDArray[np.float32]], test: LandslideDataset) -> list[float]:
    from scgcnet.train import Confusion

    return [
        Confusion.of(probability > 0.5, sample.mask).scores()["iou"]
        for probability, sample in zip(probabilities, test, strict=True)
    ]
