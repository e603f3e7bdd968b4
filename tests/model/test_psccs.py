"""Calibration: the sampling, the units, eq. 19 as repaired."""

from __future__ import annotations

import pytest
import torch

from scgcnet.model import SCGCNetConfig
from scgcnet.model.psccs import CalibrationUnit, Decoder, OffsetBranches, PyramidUnit, upsample_to, warp


def test_offsets_are_pixels_of_the_map() -> None:
    x = torch.arange(5 * 7, dtype=torch.float32).view(1, 1, 5, 7)
    offsets = torch.zeros(1, 2, 5, 7)
    torch.testing.assert_close(warp(x, offsets), x)
    offsets[:, 0] = 1  # one column to the right: values grow by 1, the last column repeats
    torch.testing.assert_close(warp(x, offsets)[..., :-1], x[..., 1:])
    torch.testing.assert_close(warp(x, offsets)[..., -1], x[..., -1])
    offsets[:, 0], offsets[:, 1] = 0, -0.5  # half a row up
    torch.testing.assert_close(warp(x, offsets)[:, :, 1:], x[:, :, 1:] - 3.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1)])
def test_single_rows_and_columns(shape: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *shape)
    torch.testing.assert_close(warp(x, torch.zeros(2, 2, *shape)), x)


def test_half_precision_addresses_every_pixel_of_a_large_map() -> None:
    x = torch.arange(3000, dtype=torch.float32).view(1, 1, 1, 3000)
    moved = warp(x, torch.ones(1, 2, 1, 3000, dtype=torch.bfloat16))
    torch.testing.assert_close(moved[..., :-1], x[..., 1:], rtol=0, atol=1e-3)  # bfloat16 alone would be off by 8


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e38])
def test_offsets_beyond_all_bounds_stay_within_memory(value: float) -> None:
    x = torch.randn(1, 2, 6, 7, requires_grad=True)
    offsets = torch.full((1, 2, 6, 7), value, requires_grad=True)
    warped = warp(x, offsets)
    warped.sum().backward()
    expected = {"nan": x, "inf": x[:, :, -1:, -1:], "-inf": x[:, :, :1, :1], "1e+38": x[:, :, -1:, -1:]}[str(value)]
    torch.testing.assert_close(warped, expected.expand_as(warped))
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_a_unit_starts_as_twice_the_pyramid() -> None:
    torch.manual_seed(0)
    coarse, fine = torch.randn(1, 8, 3, 4), torch.randn(1, 8, 6, 8)
    pyramid = PyramidUnit()(coarse, fine)
    torch.testing.assert_close(pyramid, upsample_to(coarse, fine) + fine)
    torch.testing.assert_close(CalibrationUnit(8, 4, "project").eval()(coarse, fine), 2 * pyramid)


def test_equation_19_repaired() -> None:
    torch.manual_seed(0)
    unit = CalibrationUnit(8, 4, "literal").eval()
    coarse, fine = torch.randn(1, 8, 3, 4), torch.randn(1, 8, 6, 8)
    f_i = upsample_to(coarse, fine)
    both = torch.cat([f_i, fine], dim=1)
    up, down = unit.offsets(both).chunk(2, dim=1)
    expected = f_i + fine + warp(f_i, up) + warp(fine, down)
    torch.testing.assert_close(unit(coarse, fine), expected)
    assert up.abs().max() > 0


@pytest.mark.parametrize("rb", ["project", "concat"])
def test_offsets_start_at_zero(rb: str) -> None:
    assert not OffsetBranches(8, 4, rb)(torch.randn(2, 16, 5, 5)).any()


@pytest.mark.parametrize(("rb", "width"), [("project", 4), ("concat", 4), ("concat", 16), ("literal", 4)])
def test_the_two_offset_branches_read_the_same_and_share_no_weight(rb: str, width: int) -> None:
    """Run side by side, they are what each is alone: with the other's weights gone, it gives the same."""
    torch.manual_seed(0)
    branches = OffsetBranches(8, width, rb).eval()
    both = torch.randn(2, 16, 5, 6)
    with torch.no_grad():
        for parameter in branches.parameters():
            parameter.uniform_(-0.5, 0.5)
        before = branches(both)
        for parameter in branches.parameters():
            parameter[parameter.shape[0] // 2 :] = 0  # those of the second branch
        after = branches(both)
    torch.testing.assert_close(after[:, :2], before[:, :2])
    assert (after[:, 2:] - before[:, 2:]).abs().max() > 1e-3


def test_decoder_goes_from_deep_to_fine() -> None:
    config = SCGCNetConfig(neck_width=8, psccs=False, smooth=False)
    maps = [torch.full((1, 8, 32 // 2**i, 32 // 2**i), 10.0**i) for i in range(4)]
    torch.testing.assert_close(Decoder(config)(maps), torch.full((1, 8, 32, 32), 1111.0))
