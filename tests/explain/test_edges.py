"""The contrast of a map at the truth's boundary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter

from scgcnet.explain.edges import edge_contrast


def disc(side: int = 96, radius: float = 20) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:side, :side] - side // 2
    return (np.hypot(x, y) < radius).astype(np.uint8)


MASK = disc()
NOISE = np.random.default_rng(0).random(MASK.shape, dtype=np.float32)


def test_a_perfect_map_has_all_its_change_at_the_boundary() -> None:
    assert edge_contrast(MASK.astype(np.float32), MASK, 1) == 1
    assert edge_contrast(1 - MASK.astype(np.float32), MASK, 1) == 1


def test_a_constant_map_has_none() -> None:
    assert edge_contrast(np.full((24, 24), 0.3, np.float32), MASK, 2) == 0


def test_a_map_that_changes_elsewhere_only() -> None:
    far = np.zeros(MASK.shape, np.float32)
    far[:10] = 1
    assert edge_contrast(far, MASK, 2) == -1


def test_an_even_slope_is_no_steeper_at_the_boundary() -> None:
    slope = np.linspace(0, 1, 96, dtype=np.float32)[None, :].repeat(96, axis=0)
    assert edge_contrast(slope, MASK, 3) == pytest.approx(0, abs=1e-5)
    half = np.zeros((8, 8), np.uint8)
    half[:, 4:] = 1
    double = np.array([0, 1, 2, 4, 6, 8, 9, 10], np.float32)[None, :].repeat(8, axis=0)
    # Central differences of each row: 1 1 1.5 2 2 1.5 1 1; near are columns 3 and 4.
    assert edge_contrast(double, half, 1) == pytest.approx((2 - 7 / 6) / (2 + 7 / 6))


def test_blur_shift_and_noise_lower_it() -> None:
    sharp = MASK.astype(np.float32)
    values = [edge_contrast(gaussian_filter(sharp, sigma) if sigma else sharp, MASK, 3) for sigma in (0, 2, 4, 8)]
    assert values == sorted(values, reverse=True)
    assert values[0] == 1 and values[-1] < 0.8
    shifted = [edge_contrast(np.roll(sharp, by, axis=1), MASK, 3) for by in (0, 6, 12)]
    assert 1 == shifted[0] > shifted[1] > shifted[2] + 0.1  # above and below, the outlines still meet
    assert edge_contrast(sharp + NOISE, MASK, 3) < 0.3
    assert edge_contrast(NOISE, MASK, 3) == pytest.approx(0, abs=0.05)


def test_a_line_along_the_boundary_is_clear_too() -> None:
    line = gaussian_filter(disc(radius=21).astype(np.float32) - disc(radius=19), 1)
    assert edge_contrast(line, MASK, 5) > 0.95


def test_scale_offset_and_sign_do_not_matter() -> None:
    features = MASK + NOISE
    expected = edge_contrast(features, MASK, 2)
    for other in (3 * features + 7, -features, 1e-3 * features):
        assert edge_contrast(other.astype(np.float32), MASK, 2) == pytest.approx(expected, rel=1e-4)


def test_a_coarse_map_is_brought_to_the_mask() -> None:
    coarse = torch.nn.functional.avg_pool2d(torch.from_numpy(MASK)[None, None].float(), 4)[0, 0].numpy()
    assert 0.9 < edge_contrast(coarse, MASK, 4) < 1


def test_unknown_pixels_do_not_count() -> None:
    mask, features = MASK.copy(), MASK.astype(np.float32)
    features[:, :10] = NOISE[:, :10]
    assert edge_contrast(features, mask, 2) < 0.9
    mask[:, :12] = 255
    assert edge_contrast(features, mask, 2) == 1


@pytest.mark.parametrize(
    ("mask", "width", "message"),
    [
        (MASK, 0, "width=0: must be 1 pixel or more"),
        (np.zeros((8, 8), np.uint8), 2, "no boundary in it"),
        (np.where(disc(8, 3) == 1, 1, 255).astype(np.uint8), 2, "no boundary in it"),
        (disc(8, 3), 8, "all of it is within 8 pixels of a boundary"),
    ],
)
def test_masks_without_an_answer(mask: npt.NDArray[np.uint8], width: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edge_contrast(np.ones((4, 4), np.float32), mask, width)
