"""Test images of a finished run, predicted again to be looked at. Nothing here is scored for the tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from scgcnet.study.runner import weights_for
from scgcnet.study.statistics import spread
from scgcnet.study.store import Record

if TYPE_CHECKING:
    from scgcnet.data import LandslideDataset, Sample


@dataclass(frozen=True)
class Case:
    """One image to show.

    Attributes:
        sample: image and truth at native size.
        probability: the network's probability of landslide, float32 (H, W), 0 to 1.
        iou: of the prediction at threshold 0.5, a fraction of 1.
    """

    sample: Sample
    probability: npt.NDArray[np.float32]
    iou: float


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
    found = next(((record, path) for record in records if (path := weights_for(record))), None)
    if found is None or test is None:
        return []
    record, weights = found

    from scgcnet import zoo
    from scgcnet.train import Confusion, predict

    size = record.config["settings"]["image_size"]
    probabilities = predict(zoo.load_model(weights), test, range(len(test)), size)
    ious = [
        Confusion.of(probability > 0.5, sample.mask).scores()["iou"]
        for probability, sample in zip(probabilities, test, strict=True)
    ]
    return [Case(test[index], probabilities[index], ious[index]) for index in spread(ious, n_cases)]
