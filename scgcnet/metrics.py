"""Pixel scores of the landslide class, and measures beyond them: landslides found, false alarms, boundaries.

Precision, recall, F1, IoU and overall accuracy are those of the paper, Sec. IV-A-2, eqs. 21-25. Eq. 24 prints
IoU = TP / (TP + TN + FP); the paper's tables follow TP / (TP + FP + FN), and so does this module. Masks are 0, 1 and,
where unknown, 255.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SCORES = ("precision", "recall", "f1", "iou", "oa")
IGNORE_INDEX = 255
WIDTHS = (2, 4, 8)  # pixels at native size: the boundary bands that this study compares
_NEIGHBOURS = np.ones((3, 3), dtype=bool)  # pixels that touch at a corner are connected


@dataclass(frozen=True)
class Confusion:
    """Pixel counts of a prediction against its truth; counts of several images add up."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @classmethod
    def of(cls, prediction: NDArray[np.bool_], mask: NDArray[np.integer[Any]]) -> Confusion:
        """Counts a boolean map, true where landslide, against a mask of 0, 1 and, where unknown, 255.

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


def mean_over_sources(counts: Sequence[Confusion], quiet_counts: bool = False) -> dict[str, float]:
    """Scores of several data sets averaged, so that a large one does not decide alone.

    A data set without landslides is left out, unless none has any: its IoU is 1 if nothing is called landslide, else
    0, and the network that calls nothing so would be chosen. With `quiet_counts` its pixels are shared out among the
    others, whose scores then fall with every false alarm on quiet ground.
    """
    with_landslides = [counted for counted in counts if counted.tp + counted.fn]
    quiet = sum((counted for counted in counts if not counted.tp + counted.fn), Confusion())
    if quiet_counts and with_landslides:
        extra = Confusion(fp=quiet.fp // len(with_landslides), tn=quiet.tn // len(with_landslides))
        with_landslides = [counted + extra for counted in with_landslides]
    return mean_scores(with_landslides or counts)


def component_hits(mask: NDArray[np.uint8], prediction: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Each landslide of the truth, as a patch of connected pixels: its pixels, and how many of them were found.

    Args:
        mask: uint8 (H, W), 0, 1 or 255.
        prediction: bool (H, W).

    Returns:
        (pixels, found) for each, the largest first.

    Raises:
        ValueError: the shapes differ.
    """
    _require_same(mask, prediction)
    labels, number = ndimage.label(mask == 1, _NEIGHBOURS)
    pixels = np.bincount(labels.ravel(), minlength=number + 1)[1:]
    found = np.bincount(labels[prediction].ravel(), minlength=number + 1)[1:]
    return sorted(((int(whole), int(part)) for whole, part in zip(pixels, found, strict=True)), reverse=True)


def false_alarms(mask: NDArray[np.uint8], prediction: NDArray[np.bool_]) -> list[int]:
    """Pixels of each predicted patch that holds no landslide pixel at all, the largest first.

    A patch with any unknown pixel is left out: a landslide may be there.

    Args:
        mask: uint8 (H, W), 0, 1 or 255.
        prediction: bool (H, W).

    Raises:
        ValueError: the shapes differ.
    """
    _require_same(mask, prediction)
    labels, number = ndimage.label(prediction, _NEIGHBOURS)
    pixels = np.bincount(labels.ravel(), minlength=number + 1)
    pixels[np.unique(labels[mask != 0])] = 0
    return sorted((int(size) for size in pixels[1:] if size), reverse=True)


def boundary_counts(
    mask: NDArray[np.uint8], prediction: NDArray[np.bool_], widths: Sequence[int]
) -> list[tuple[int, int]]:
    """Pixels in the intersection and in the union of the two boundary bands: boundary IoU is the first by the second.

    The band of a mask are its pixels at most `width` pixels (in the chessboard distance) from what is not in the mask;
    beyond the image nothing is (Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation",
    CVPR 2021). Unknown pixels count for neither.

    Args:
        mask: uint8 (H, W), 0, 1 or 255.
        prediction: bool (H, W).
        widths: pixels, from 1.

    Returns:
        (intersection, union) for each width.

    Raises:
        ValueError: the shapes differ, or a width is below 1.
    """
    _require_same(mask, prediction)
    if min(widths, default=1) < 1:
        raise ValueError(f"widths {list(widths)}: a boundary is at least one pixel wide")
    known = mask != IGNORE_INDEX
    true, predicted = _depth(mask == 1), _depth(prediction & known)
    counts = []
    for width in widths:
        first, second = (true > 0) & (true <= width), (predicted > 0) & (predicted <= width)
        counts.append((int(np.count_nonzero(first & second)), int(np.count_nonzero(first | second))))
    return counts


def _depth(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Chessboard distance to the nearest pixel outside the mask, 0 for those outside; the image has an outer edge."""
    depth: NDArray[np.int32] = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="chessboard")[1:-1, 1:-1]
    return depth


def _require_same(mask: NDArray[np.uint8], prediction: NDArray[np.bool_]) -> None:
    if mask.shape != prediction.shape:
        raise ValueError(f"mask {mask.shape} and prediction {prediction.shape} differ in shape")
