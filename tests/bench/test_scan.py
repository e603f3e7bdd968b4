"""What the scan's benchmark compares, and how; never how fast it is."""

from __future__ import annotations

import pytest
import torch

from scgcnet.bench import scan
from scgcnet.bench.machine import Limits, in_fresh_process
from scgcnet.scan import selective_scan_2d

LIMITS = Limits(exponentials=1e9, copied_bytes=1e9, multiply_accumulates=1e9)


def test_the_loop_over_steps_is_the_same_scan() -> None:
    inputs = scan.make_inputs((2, 16, 5, 3))
    y = scan.stepwise(*inputs)
    expected = selective_scan_2d(*inputs, backend="reference")
    torch.testing.assert_close(y, expected)
    dy = torch.randn_like(y)
    for a, b in zip(torch.autograd.grad(y, inputs, dy), torch.autograd.grad(expected, inputs, dy), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_what_is_timed_here() -> None:
    assert scan.ways((1, 64, 8, 1), "cpu") == ["numba", "reference", "stepwise"]
    assert scan.ways((1, 65536, 192, 16), "cpu") == ["numba", "reference"]


def test_shares_and_speed_up_follow_from_the_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "in_fresh_process", lambda function, size, way: {"numba": 1.4}.get(way))
    timings = scan.measure((2, 64, 8, 3), LIMITS, "cpu", repeats=1, budget=1)
    assert [t.backend for t in timings] == ["numba", "reference", "stepwise"]
    assert [t.extra_mb for t in timings] == [1.4, None, None]
    fast, plain, _ = timings
    assert plain.speedup == 1
    for t in timings:
        assert t.forward_exp_share == pytest.approx(4 * 2 * 64 * 8 * 3 / (t.forward_ms / 1e3) / 1e9)
        assert t.backward_exp_share == pytest.approx(4 * 2 * 64 * 8 * 3 / (t.backward_ms / 1e3) / 1e9)
    assert scan.row(fast).split()[4:6] == ["numba", f"{fast.forward_ms:.1f}"]
    assert scan.row(plain).split()[7:9] == ["-", "1.0x"]


def test_memory_is_at_least_the_outputs_and_gradients() -> None:
    """Those of (2, 1024, 192, 1): y, dx 1.6 MB each, ddelta 6.3 MB; a step may need some more, not ten times more."""
    extra = in_fresh_process(scan._peak_extra_mb, (2, 1024, 192, 1), "numba")
    if extra is None:
        pytest.skip("this system does not tell a process its peak memory")
    assert 9 < extra < 30
