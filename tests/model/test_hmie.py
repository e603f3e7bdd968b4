"""HMIE's parts against their equations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from scgcnet.model import SCGCNetConfig
from scgcnet.model.hmie import MSLE, Bottleneck, ContextBranch, Encoder, SelectiveScan


def test_bottleneck_is_equations_3_to_6() -> None:
    torch.manual_seed(0)
    block = Bottleneck(16, 16).eval()
    x = torch.randn(1, 16, 5, 7)
    first, second, third = block.body
    z1 = F.gelu(first[1](first[0](x)))
    z2 = F.gelu(second[1](second[0](z1)))
    expected = F.gelu(third[1](third[0](z2)) + x)
    torch.testing.assert_close(block(x), expected)


def test_selective_scan_walks_four_directions() -> None:
    """Against the recurrence written out, position by position."""
    torch.manual_seed(0)
    scan = SelectiveScan(4, state_size=3, dt_rank=2).double()
    with torch.no_grad():
        scan.dt_weight.normal_()
        scan.skip.normal_()
        scan.A_log.normal_()
    height, width = 3, 4
    x = torch.randn(1, height, width, 4, dtype=torch.float64)
    rows = [(i, j) for i in range(height) for j in range(width)]
    columns = [(i, j) for j in range(width) for i in range(height)]
    expected = torch.zeros_like(x)
    for k, walk in enumerate((rows, rows[::-1], columns, columns[::-1])):
        h = torch.zeros(4, 3, dtype=torch.float64)
        for i, j in walk:
            u = x[0, i, j]
            r, b, c = (scan.in_weight[k] @ u).split([2, 3, 3])
            delta = F.softplus(scan.dt_weight[k] @ r + scan.dt_bias[k])
            h = torch.exp(-delta[:, None] * scan.A_log[k].exp()) * h + (delta * u)[:, None] * b
            expected[0, i, j] += h @ c + scan.skip[k] * u
    # A is kept in float32, whatever the input: the comparison is no tighter than that.
    torch.testing.assert_close(scan(x), expected, rtol=1e-5, atol=1e-6)


def test_initial_step_sizes_are_mambas() -> None:
    torch.manual_seed(0)
    scan = SelectiveScan(512, state_size=4, dt_rank=8)
    steps = F.softplus(scan.dt_bias).detach()
    assert 9e-4 < float(steps.min()) < 2e-3
    assert 0.05 < float(steps.max()) < 0.101
    torch.testing.assert_close(scan.A_log.exp()[0, 0], torch.tensor([1.0, 2.0, 3.0, 4.0]))


@pytest.mark.parametrize("kind", ["conv", "bottleneck", "depthwise"])
def test_three_convolutions_at_one_rate_run_as_one(kind: str) -> None:
    torch.manual_seed(0)
    config = SCGCNetConfig(msle=kind)  # type: ignore[arg-type]
    joint, apart = MSLE(8, (2, 2, 2), config), MSLE(8, (2, 2, 3), config)
    assert [len(m.branches) for m in (joint, apart)] == [1, 3]
    assert sum(p.numel() for p in joint.parameters()) == sum(p.numel() for p in apart.parameters())
    for i, branch in enumerate(apart.branches):
        branch[0].dilation = branch[0].padding = (2, 2)  # type: ignore[index]
        with torch.no_grad():
            weight = joint.branches[0][0].weight  # type: ignore[index]
            if kind == "depthwise":  # the three outputs of a channel come one after the other
                branch[0].weight.copy_(weight[i::3])  # type: ignore[index]
            else:
                branch[0].weight.copy_(weight.chunk(3)[i])  # type: ignore[index]
    apart.reduce.load_state_dict(joint.reduce.state_dict())
    with torch.no_grad():
        weight = joint.compress[0].weight
        order = weight.unflatten(1, (-1, 3)).transpose(1, 2).flatten(1, 2) if kind == "depthwise" else weight
        apart.compress[0].weight.copy_(order)
    x = torch.randn(2, 8, 6, 7)
    torch.testing.assert_close(joint(x), apart(x))


def test_context_branch_is_gate_times_path_two() -> None:
    torch.manual_seed(0)
    config = SCGCNetConfig(state_size=2)
    branch = ContextBranch(32, config).eval()
    x = torch.randn(2, 32, 4, 6)
    z = branch.norm(x.permute(0, 2, 3, 1))
    expected = F.silu(branch.gate(z)) * branch.path2(z)
    torch.testing.assert_close(branch(x), expected.permute(0, 3, 1, 2))
    # Nested as printed: eq. 8's linear, depthwise convolution and SiLU around the whole of eq. 9.
    assert [type(m).__name__ for m in branch.path2] == [  # type: ignore[attr-defined]
        "Linear",
        "ChannelsLastConv2d",
        "SiLU",
        "SS2D",
        "LayerNorm",
        "Linear",
    ]


def test_context_branch_sees_the_whole_map_and_the_local_branch_does_not() -> None:
    torch.manual_seed(0)
    config = SCGCNetConfig(context="collapsed", state_size=2)
    context, local = ContextBranch(16, config).eval(), MSLE(16, (1, 1, 1), config).eval()
    for branch, reached in ((context, 12 * 12), (local, 3 * 3)):
        x = torch.randn(1, 16, 12, 12, requires_grad=True)
        branch(x)[0, :, 6, 6].sum().backward()
        assert x.grad is not None
        assert int((x.grad.abs().sum(dim=1) > 0).sum()) == reached


def test_levels_and_widths() -> None:
    config = SCGCNetConfig(widths=(8, 16, 24, 32), depths=(1, 1), stem_width=8, state_size=1)
    maps = Encoder(config).eval()(torch.randn(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 16, 24), (16, 8, 12), (24, 4, 6), (32, 2, 3)]
