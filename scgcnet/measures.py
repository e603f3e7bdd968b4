"""What pooled pixel scores do not tell: landslides found by size, the place of edges, false alarms as areas.

The paper says of its network that it finds small landslides, draws sharper edges and raises fewer false alarms, and
shows pictures (Sec. IV-B). These are the numbers that such sentences can be held to. All work on one image at its
native size, masks being 0, 1 and, where nobody knows, 255.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

IGNORE = 255
WIDTHS = (2, 4, 8)  # pixels at native size: the bands in which this study compares edges
_NEIGHBOURS = np.ones((3, 3), dtype=bool)  # pixels that touch at a corner belong together


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
    known = mask != IGNORE
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
