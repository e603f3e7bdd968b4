from __future__ import annotations

import numpy as np
import pytest

from scgcnet.data import DatasetError
from scgcnet.data.arrays import require_bands, to_8_bits, zero_one_mask


def test_scaling_to_8_bits() -> None:
    # 255 / 0.5 = 510 and 255 / 1 to the unit, rounded to nearest, by hand
    values = np.array([[[0.0, 0.0], [0.1, 0.1], [0.25, 0.25], [0.5, 0.5], [0.7, 1.0], [-0.2, 3.0]]], np.float64)
    image = to_8_bits(values, (0.5, 1.0), (0, 1), "x")
    np.testing.assert_array_equal(image[0, :, 0], [0, 51, 128, 255, 255, 0])  # 127.5 goes to the even neighbour
    np.testing.assert_array_equal(image[0, :, 1], [0, 26, 64, 128, 255, 255])
    assert image.dtype == np.uint8 and image.shape == (1, 6, 2)
    with pytest.raises(ValueError, match="read-only"):
        image[0] = 1


def test_bands_in_any_order() -> None:
    values = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
    image = to_8_bits(values, (255, 255, 255, 51), (3, 0, 3), "x")
    np.testing.assert_array_equal(image, [[[15, 0, 15], [35, 4, 35]]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_number_formats_do_not_matter(dtype: str) -> None:
    values = (np.arange(256) / 255 * 0.5).astype(dtype).reshape(16, 16, 1)
    np.testing.assert_array_equal(to_8_bits(values, (0.5,), (0,), "x").ravel(), range(256))


@pytest.mark.filterwarnings("error")
def test_huge_numbers_are_white() -> None:
    values = np.array([[[1e308], [-1e308], [5e-324]]])
    np.testing.assert_array_equal(to_8_bits(values, (5.0,), (0,), "x").ravel(), [255, 0, 0])


def test_numbers_that_are_none() -> None:
    values = np.zeros((2, 2, 3))
    values[0, 0, 2] = np.nan
    values[1, 1, :2] = np.inf, -np.inf
    with pytest.raises(DatasetError, match=r"^here: 3 of 12 values are NaN or infinite\. Copy the file again"):
        to_8_bits(values, (1, 1, 1), (0,), "here")  # whatever bands are asked for


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_, np.uint8, np.int64])
def test_masks_of_any_type(dtype: type) -> None:
    mask = zero_one_mask(np.array([[0, 1], [1, 0]], dtype), "x")
    np.testing.assert_array_equal(mask, [[0, 1], [1, 0]])
    assert mask.dtype == np.uint8 and not mask.flags.writeable


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([0.0, 0.5, 1.0], "0.5"),
        ([0, 255], "255"),
        ([-1.0, 1.0], "-1"),
        ([0.0, np.nan], "nan"),
        (np.arange(9), "2, 3, 4, 5, 6, ..."),
    ],
)
def test_masks_of_other_values(values: list[float], found: str) -> None:
    with pytest.raises(DatasetError) as caught:
        zero_one_mask(np.array(values), "here")
    assert str(caught.value).startswith(f"here: mask values must be 0 and 1, found {found}. Copy")


def test_bands_are_there() -> None:
    assert require_bands([3, 0, 3], 4, "X") == (3, 0, 3)
    for wrong in ((), (4,), (0, -1)):
        with pytest.raises(DatasetError, match=r"^X has the bands 0 to 3: name one or more of them, not \("):
            require_bands(wrong, 4, "X")
