"""Every backend that runs on this machine against the recurrence: values and all six gradients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrence import NAMES, make_inputs, scan_numpy, scan_with_gradients
from torch import Tensor

from scgcnet.scan import selective_scan_2d

BACKENDS = ["reference", "numba"]
TOLERANCE = {"rtol": 6e-4, "atol": 5e-4}  # the requirement is 6e-4 and 2e-3


def dy_for(inputs: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(inputs[0].shape, generator=generator, dtype=torch.float32).double()


def run(inputs: list[Tensor], dy: Tensor, backend: str) -> tuple[Tensor, list[Tensor]]:
    leaves = [v.detach().requires_grad_() for v in inputs]
    y = selective_scan_2d(*leaves, backend=backend)
    return y.detach(), list(torch.autograd.grad(y, leaves, dy.to(y.dtype)))


def check(inputs: list[Tensor], backend: str) -> None:
    dy = dy_for(inputs)
    y, gradients = scan_with_gradients(inputs, dy)
    got, got_gradients = run([v.float() for v in inputs], dy, backend)
    np.testing.assert_allclose(got.double(), y, **TOLERANCE, err_msg="y")
    for name, value, expected in zip(NAMES, got_gradients, gradients, strict=True):
        assert value.shape == expected.shape, name
        np.testing.assert_allclose(value.double(), expected, **TOLERANCE, err_msg=f"gradient of {name}")


def test_the_two_loops_agree() -> None:
    inputs = make_inputs(2, 3, 4, 3, 2)
    np.testing.assert_allclose(scan_with_gradients(inputs, dy_for(inputs))[0], scan_numpy(inputs), rtol=1e-12)


# Batch, rows, columns, channels, state: odd sizes, one row, one column, one pixel, more than one chunk (64 steps) and
# not a multiple of one, exactly one and two chunks, and channels below, at, and beyond a block (96), not a multiple.
SHAPES = [
    (1, 13, 11, 33, 16),
    (2, 5, 7, 130, 4),
    (3, 1, 9, 96, 1),
    (4, 9, 1, 3, 1),
    (1, 1, 1, 1, 1),
    (1, 8, 8, 97, 5),
    (2, 16, 8, 5, 16),
    (1, 15, 15, 200, 1),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(shape: tuple[int, int, int, int, int], backend: str) -> None:
    check(make_inputs(*shape), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=12, derandomize=True, database=None)
@given(
    batch=st.integers(1, 4),
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    channels=st.integers(1, 40),
    size=st.sampled_from([1, 2, 3, 4, 16]),
    step=st.sampled_from([1e-3, 0.1, 1.0, 10.0]),
)
def test_any_shape(backend: str, batch: int, height: int, width: int, channels: int, size: int, step: float) -> None:
    check(make_inputs(batch, height, width, channels, size, step=step), backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_non_contiguous_inputs(backend: str) -> None:
    inputs = make_inputs(2, 6, 5, 10, 3)
    dy = dy_for(inputs)
    inputs = [v.float() for v in inputs]
    strided = [v.movedim(-1, 1).contiguous().movedim(1, -1) for v in inputs[:1]]  # an NCHW map seen as NHWC
    strided += [torch.stack([v, v + 1], -1)[..., 0] for v in inputs[1:]]
    assert not any(v.is_contiguous() for v in strided)
    y, gradients = run(inputs, dy, backend)
    dy_strided = dy.transpose(1, 2).contiguous().transpose(1, 2)
    got, got_gradients = run(strided, dy_strided, backend)
    torch.testing.assert_close(got, y)
    torch.testing.assert_close(got_gradients, gradients)


@pytest.mark.parametrize("backend", BACKENDS)
def test_large_step_sizes_give_the_right_values(backend: str) -> None:
    """At delta = 1e4 nothing of the state survives a step, and nothing overflows on the way."""
    inputs = make_inputs(2, 9, 8, 6, 4)
    inputs[1] = torch.full_like(inputs[1], 1e4)
    y, gradients = scan_with_gradients(inputs, dy := dy_for(inputs))
    got, got_gradients = run([v.float() for v in inputs], dy, backend)
    for name, value, expected in zip(("y", *NAMES), (got, *got_gradients), (y, *gradients), strict=True):
        assert torch.isfinite(value).all(), name
        atol = 1e-5 * max(float(expected.abs().max()), 1e-3)  # A's gradient is 0, and e^-44 in numba's decays
        np.testing.assert_allclose(value.double(), expected, rtol=1e-4, atol=atol, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_large_and_small_step_sizes_side_by_side(backend: str) -> None:
    inputs = make_inputs(1, 10, 10, 8, 2, step=0.05)
    inputs[1][:, ::3, ::2] = 1e3
    y, _ = scan_with_gradients(inputs, dy_for(inputs))
    got, got_gradients = run([v.float() for v in inputs], dy_for(inputs), backend)
    np.testing.assert_allclose(got.double(), y, rtol=1e-4, atol=1e-3)
    assert all(torch.isfinite(v).all() for v in got_gradients)


@pytest.mark.parametrize("backend", BACKENDS)
def test_step_size_zero_leaves_the_direct_path(backend: str) -> None:
    inputs = [v.float() for v in make_inputs(2, 5, 6, 7, 3)]
    inputs[1] = torch.zeros_like(inputs[1])
    y, gradients = run(inputs, torch.ones_like(inputs[0]), backend)
    torch.testing.assert_close(y, inputs[0] * inputs[5].sum(0))
    torch.testing.assert_close(gradients[0], inputs[5].sum(0).expand_as(gradients[0]))
    assert not any(gradients[i].any() for i in (2, 3, 4))  # A, B and C act through delta alone


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_is_not_swallowed(backend: str) -> None:
    inputs = [v.float() for v in make_inputs(1, 4, 4, 3, 2)]
    inputs[2][0, 1, 0] = torch.nan
    y = selective_scan_2d(*inputs, backend=backend)
    assert y[..., 1].isnan().all() and not y[..., [0, 2]].isnan().any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision_rounds_only_the_ends(backend: str, dtype: torch.dtype) -> None:
    inputs = [v.to(dtype) for v in make_inputs(2, 9, 9, 6, 3)]
    dy = dy_for(inputs).to(dtype)
    y, gradients = run([v.float() for v in inputs], dy, backend)
    got, got_gradients = run(inputs, dy, backend)
    assert torch.equal(got, y.to(dtype))  # the state was float32
    for value, expected in zip(got_gradients, gradients, strict=True):
        assert torch.equal(value, expected.to(dtype))


@pytest.mark.parametrize("backend", BACKENDS)
def test_autocast_with_mixed_dtypes(backend: str) -> None:
    inputs = [v.float() for v in make_inputs(2, 9, 9, 6, 3)]
    for i in (0, 3, 4):
        inputs[i] = inputs[i].bfloat16()
    y, gradients = run(inputs, dy_for(inputs), backend)
    leaves = [v.detach().requires_grad_() for v in inputs]
    with torch.autocast("cpu", torch.bfloat16):
        got = selective_scan_2d(*leaves, backend=backend)
    got_gradients = torch.autograd.grad(got, leaves, dy_for(inputs).bfloat16())
    assert torch.equal(got, y)
    for value, expected, leaf in zip(got_gradients, gradients, leaves, strict=True):
        assert value.dtype == leaf.dtype and torch.equal(value, expected)


def test_reference_in_float64() -> None:
    inputs = make_inputs(2, 9, 10, 4, 3)
    y, gradients = scan_with_gradients(inputs, dy := dy_for(inputs))
    got, got_gradients = run(inputs, dy, "auto")
    assert got.dtype == torch.float64
    np.testing.assert_allclose(got, y, rtol=1e-10, atol=1e-11)
    for value, expected in zip(got_gradients, gradients, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-10)


def test_reference_works_on_many_chunks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many chunks step together, one included, the result is the same."""
    inputs = make_inputs(1, 20, 21, 3, 2)
    dy = dy_for(inputs)
    y, gradients = run(inputs, dy, "reference")
    for elements in (1, 64 * 24 * 2, 64 * 24 * 4):  # 1, 2 and 4 of the 7 chunks
        monkeypatch.setattr("scgcnet.scan.reference.WORKING_SET", elements)
        got, got_gradients = run(inputs, dy, "reference")
        torch.testing.assert_close(got, y, rtol=1e-10, atol=1e-11)
        torch.testing.assert_close(got_gradients, gradients, rtol=1e-10, atol=1e-10)
