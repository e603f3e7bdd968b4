"""The modulator against eqs. 13-17."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from scgcnet.model.cam import ContextAwareModulator


def test_equations_13_to_17() -> None:
    torch.manual_seed(0)
    cam = ContextAwareModulator(6)
    x = torch.randn(2, 6, 9, 11)
    z = cam.f_z(x)
    gates = cam.gates(x)
    out = torch.zeros_like(x)
    for n, conv in enumerate(cam.context):
        z = F.silu(conv(z))
        out += gates[:, n : n + 1] * z
    torch.testing.assert_close(cam(x), x + cam.f_h(out))


def test_receptive_field_is_equation_15() -> None:
    torch.manual_seed(0)
    cam = ContextAwareModulator(4).double()
    x = torch.randn(1, 4, 31, 31, dtype=torch.float64, requires_grad=True)
    cam(x)[0, :, 15, 15].sum().backward()
    assert x.grad is not None
    columns = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    assert int(columns.max() - columns.min()) + 1 == 1 + 4 + 6 + 8


def test_query_and_global_level_are_focal_modulation() -> None:
    torch.manual_seed(0)
    cam = ContextAwareModulator(4, (3,), query=True, global_level=True)
    x = torch.randn(1, 4, 5, 5)
    gates = cam.gates(x)
    z = F.silu(cam.context[0](cam.f_z(x)))
    context = gates[:, :1] * z + gates[:, 1:] * F.silu(z.mean(dim=(2, 3), keepdim=True))
    assert cam.query is not None
    torch.testing.assert_close(cam(x), x + cam.query(x) * cam.f_h(context))
