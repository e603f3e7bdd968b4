"""Images and masks that come as arrays of numbers: checked, and turned into 8 bits or into 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.images import AGAIN
from scgcnet.data.sample import DatasetError


def require_bands(bands: Sequence[int], count: int, dataset: str) -> tuple[int, ...]:
    """Return the bands that were asked for, by their index from 0; raises DatasetError where there is no such band."""
    wrong = [band for band in bands if band not in range(count)]
    if wrong or not bands:
        raise DatasetError(f"{dataset} has the bands 0 to {count - 1}: name one or more of them, not {tuple(bands)}.")
    return tuple(bands)


def to_8_bits(values: NDArray[Any], white: Sequence[float], bands: Sequence[int], name: str) -> NDArray[np.uint8]:
    """Scale some bands of an image so that 0 becomes 0 and `white` 255; what lies beyond either is clipped.

    Nothing is measured on the image, so equal numbers become equal pixels in all images of a data set.

    Args:
        values: floating-point numbers, (H, W, B).
        white: of each of the B bands.
        bands: the C ones that the image is to have, by their index from 0.
        name: file or tile that the message is to name.

    Returns:
        uint8, (H, W, C), rounded to nearest, read-only.

    Raises:
        DatasetError: there are NaN or infinite values, whether or not in these bands.
    """
    wrong = np.count_nonzero(~np.isfinite(values))
    if wrong:
        raise DatasetError(f"{name}: {wrong} of {values.size} values are NaN or infinite. {AGAIN}")
    limit = np.array(white)[list(bands)]
    image: NDArray[np.uint8] = np.rint(np.clip(values[..., list(bands)], 0, limit) * (255 / limit)).astype(np.uint8)
    image.setflags(write=False)
    return image


def zero_one_mask(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Return a mask of numbers or truth values, all 0 or 1, as uint8 of the same shape, read-only.

    Raises:
        DatasetError: it has other values; the message names them and `name`.
    """
    found = np.unique(values)
    wrong = found[(found != 0) & (found != 1)]
    if len(wrong):
        raise DatasetError(
            f"{name}: mask values must be 0 and 1, found {', '.join(f'{value:g}' for value in wrong[:5])}"
            f"{', ...' if len(wrong) > 5 else ''}. {AGAIN}"
        )
    mask = values.astype(np.uint8)
    mask.setflags(write=False)
    return mask
