"""Test images of a finished run, predicted again to be looked at. Nothing here is scored for the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scgcnet.study.runner import load_predictor, weights_for
from scgcnet.study.statistics import spread
from scgcnet.study.store import Record

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
        records: runs on one split; the first whose weights are at hand (`weights_for`) is shown.
        test: the test part, or None where the data are not at hand.
        n_cases: how many to show.

    Returns:
        The cases from the worst to the best; none where the data or the weights are not at hand.

    Raises:
        ValueError: `n_cases` is below 1.
        WeightsError: the weights are damaged.
    """
    found = next((record for record in records if weights_for(record)), None)
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
        if (record := next((record for record in group if weights_for(record)), None))
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


def load_networks(records: Mapping[str, Sequence[Record]]) -> tuple[dict[str, nn.Module], str]:
    """The networks of some runs whose weights are at hand, ready to predict, and a sentence on their training.

    Args:
        records: runs of each network, the ones to prefer first.

    Raises:
        WeightsError: weights are damaged.
    """
    from scgcnet import zoo

    networks: dict[str, nn.Module] = {}
    kinds = set()
    for name, group in records.items():
        for record in group:
            if weights := weights_for(record):
                networks[name] = zoo.load_model(weights).eval()
                kinds.add(record.data_kind)
                break
    if not networks:
        return {}, "No trained weights are at hand: `scgcnet study run ID --force` makes them."
    trained = " and ".join(sorted(kinds))
    return networks, f"{', '.join(networks)}: weights trained on {trained} images."


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
