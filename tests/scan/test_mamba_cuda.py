"""The rearrangement around mamba-ssm's kernel, with a stand-in that has its signature and its (B, D, L) layout."""

import sys
from types import ModuleType

import pytest
import torch
from recurrence import make_inputs, scan_with_gradients
from torch import Tensor


def selective_scan_fn(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """u, delta (B, G D, L); A (G D, N); B, C (B, G, N, L); D (G D): one direction, G groups of channels."""
    assert all(v.is_contiguous() for v in (u, delta, B, C)) and u.dtype == A.dtype == D.dtype == torch.float32
    each = u.shape[1] // B.shape[1]
    B, C = B.repeat_interleave(each, 1), C.repeat_interleave(each, 1)  # (B, G D, N, L)
    h = torch.zeros(*u.shape[:2], A.shape[1])
    out = []
    for t in range(u.shape[2]):
        h = torch.exp(delta[:, :, t, None] * A) * h + (delta * u)[:, :, t, None] * B[..., t]
        out.append((h * C[..., t]).sum(-1) + D * u[:, :, t])
    return torch.stack(out, -1)


def test_against_the_recurrence(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.selective_scan_interface")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(sys.modules[names[-1]], "selective_scan_fn", selective_scan_fn, raising=False)
    monkeypatch.delitem(sys.modules, "scgcnet.scan.mamba_cuda", raising=False)
    from scgcnet.scan import mamba_cuda

    monkeypatch.delitem(sys.modules, "scgcnet.scan.mamba_cuda")  # for others, the package is still not there
    inputs = make_inputs(2, 4, 5, 3, 2)
    dy = torch.randn(inputs[0].shape, dtype=torch.float64)
    y, gradients = scan_with_gradients(inputs, dy)
    leaves = [v.float().requires_grad_() for v in inputs]
    with pytest.warns(UserWarning, match="experimental"):
        got = mamba_cuda.scan(*leaves)
    torch.testing.assert_close(got.double(), y, rtol=1e-4, atol=1e-5)
    for value, expected in zip(torch.autograd.grad(got, leaves, dy.float()), gradients, strict=True):
        torch.testing.assert_close(value.double(), expected, rtol=1e-4, atol=1e-4)
