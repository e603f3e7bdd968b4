"""Precision, recall, F1, IoU and overall accuracy of the landslide class (paper Sec. IV-A-2, eqs. 21-25).

Eq. 24 prints IoU = TP / (TP + TN + FP); the paper's tables follow TP / (TP + FP + FN), and so does this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scgcnet.data import IGNORE_INDEX

SCORES = ("precision", "recall", "f1", "iou", "oa")


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of a prediction against its truth; counts of several images add up."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @classmethod
    def of(cls, prediction: npt.NDArray[np.bool_], mask: npt.NDArray[np.integer[Any]]) -> Confusion:
        """Counts a boolean map, true where landslide, against a mask of 0, 1 and, where nobody knows, 255.

        Raises:
            ValueError: The shapes differ.
        """
        if prediction.shape != mask.shape:
            raise ValueError(f"prediction {prediction.shape} and mask {mask.shape} differ in shape")
        truth, valid = mask == 1, mask != IGNORE_INDEX
        tp = int(np.count_nonzero(prediction & truth))
        fp = int(np.count_nonzero(prediction & valid)) - tp
        fn = int(np.count_nonzero(truth)) - tp
        return cls(tp, fp, fn, int(np.count_nonzero(valid)) - tp - fp - fn)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    def scores(self) -> dict[str, float]:
        """The five scores, fractions of 1.

        Where a denominator is 0, the score is 1 if prediction and truth are both empty, else 0.
        """
        empty = float(self.tp + self.fp + self.fn == 0)

        def ratio(part: int, whole: int) -> float:
            return part / whole if whole else empty

        return {
            "precision": ratio(self.tp, self.tp + self.fp),
            "recall": ratio(self.tp, self.tp + self.fn),
            "f1": ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn),
            "iou": ratio(self.tp, self.tp + self.fp + self.fn),
            "oa": ratio(self.tp + self.tn, self.tp + self.fp + self.fn + self.tn),
        }


def mean_scores(confusions: Iterable[Confusion]) -> dict[str, float]:
    """Each score averaged over counts such as those of single images, each weighing the same.

    Raises:
        ValueError: There are none.
    """
    rows = [c.scores() for c in confusions]
    if not rows:
        raise ValueError("no counts to average over")
    return {name: float(np.mean([row[name] for row in rows])) for name in SCORES}


def mean_over_sources(counts: Sequence[Confusion]) -> dict[str, float]:
    """Scores of several data sets averaged, so that a large one does not decide alone.

    A data set without landslides is left out, unless none has any: its IoU is 1 if nothing is called landslide, else
    0, and the network that calls nothing so would be chosen.
    """
    with_landslides = [counted for counted in counts if counted.tp + counted.fn]
    return mean_scores(with_landslides or counts)
