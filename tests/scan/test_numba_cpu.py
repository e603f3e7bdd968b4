"""What only the numba backend does: threads, its own exponential, its cache."""

import concurrent.futures
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
import torch
from recurrence import make_inputs
from torch import Tensor

from scgcnet.scan import lanes, numba_cpu, selective_scan_2d


@pytest.fixture
def threads() -> object:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def train(inputs: list[Tensor]) -> list[Tensor]:
    leaves = [v.float().requires_grad_() for v in inputs]
    y = selective_scan_2d(*leaves, backend="numba")
    return [y.detach(), *torch.autograd.grad(y.square().sum(), leaves)]


def test_exponential() -> None:
    @numba.njit(fastmath={"contract"})
    def apply(x, out):  # type: ignore[no-untyped-def]
        for i in range(0, x.size, lanes.LANES):
            lanes.store(out, (i,), lanes.exp2(lanes.load(x, (i,))))

    x = np.linspace(-64, 0, 200_000 // lanes.LANES * lanes.LANES).astype(np.float32)
    out = np.empty_like(x)
    apply(x, out)
    assert np.abs(out / np.exp2(x.astype(np.float64)) - 1).max() < 1e-7
    assert out[-1] == 1  # a step of size 0 forgets nothing
    apply(np.resize(np.float32([-64.5, -1e3, -1e30, -np.inf, np.nan]), lanes.LANES), out)
    assert (out[:4] == 2.0**-64).all() and np.isnan(out[4])


def test_bit_for_bit(threads) -> None:  # type: ignore[no-untyped-def]
    """Same number of threads, same bits: a resumed training is exact. Only B's and C's sums may know the number."""
    inputs = make_inputs(3, 12, 12, 200, 4)
    assert inputs[0].numel() * 4 * 4 > numba_cpu.SMALL  # threads are used
    results = {}
    for n in (1, 2, 3):
        threads(n)
        results[n] = train(inputs)
        for _ in range(3):
            assert all(torch.equal(a, b) for a, b in zip(train(inputs), results[n], strict=True))
    for n in (2, 3):
        for i, (a, b) in enumerate(zip(results[n], results[1], strict=True)):
            assert i in (4, 5) or torch.equal(a, b)
            torch.testing.assert_close(a, b)


def test_many_groups_of_blocks(threads) -> None:  # type: ignore[no-untyped-def]
    """More blocks of channels than partial sums: groups hold several blocks."""
    threads(1)
    inputs = make_inputs(1, 3, 3, 96 * 9 + 1, 2)
    got = train(inputs)
    leaves = [v.float().requires_grad_() for v in inputs]
    y = selective_scan_2d(*leaves, backend="reference")
    for a, b in zip(got[1:], torch.autograd.grad(y.square().sum(), leaves), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-3)


def test_two_threads_call_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_cpu, "SMALL", 0)  # each on helpers of its own, from one pool
    inputs = make_inputs(2, 12, 12, 120, 3)
    expected = train(inputs)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for result in pool.map(train, [inputs] * 8):
            assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True))


@pytest.mark.parametrize(
    ("batch", "vectors", "threads_", "widths"),
    [
        (1, 6, 2, [3, 3]),
        (1, 8, 2, [4, 4]),
        (1, 12, 1, [6, 6]),
        (8, 5, 2, [5]),
        (1, 1, 16, [1]),
        (16, 32, 2, [6] * 5 + [2]),
    ],
)
def test_plan_shares_the_channels(threads, batch: int, vectors: int, threads_: int, widths: list[int]) -> None:  # type: ignore[no-untyped-def]
    threads(threads_)
    used, blocks = numba_cpu._plan(batch, 4096, vectors, 16)
    assert used == threads_
    assert [end - first for first, end in blocks] == widths
    assert [first for first, _ in blocks] == [sum(widths[:i]) for i in range(len(widths))]


def test_small_maps_use_one_thread(threads) -> None:  # type: ignore[no-untyped-def]
    threads(2)
    assert numba_cpu._plan(1, 64, 3, 1)[0] == 1


def test_numbers_of_one_direction_may_lie_together() -> None:
    """However delta lies in memory, the values are the same, and its gradient lies likewise."""
    plain = [v.float() for v in make_inputs(2, 5, 6, 40, 3)]
    together = list(plain)
    together[1] = plain[1].permute(3, 0, 1, 2, 4).contiguous().permute(1, 2, 3, 0, 4)
    assert together[1].stride() != plain[1].stride()
    for a, b in zip(train(plain), train(together), strict=True):
        assert torch.equal(a, b)
    assert train(together)[2].stride() == together[1].stride()


SCRIPT = """
import torch
from scgcnet.scan import selective_scan_2d
v = [torch.ones(1, 2, 2, 3), torch.ones(1, 2, 2, 4, 3), -torch.ones(4, 3, 1), torch.ones(1, 2, 2, 4, 1),
     torch.ones(1, 2, 2, 4, 1), torch.ones(4, 3)]
print(float(selective_scan_2d(*v, backend="numba").sum()))
"""


@pytest.mark.slow
def test_without_a_folder_for_the_cache(tmp_path: Path) -> None:
    """An installation that the user cannot write to, and no home: compiled anew in each process, and no error."""
    source = Path(numba_cpu.__file__).parent.parent
    package = tmp_path / "scgcnet"
    (package / "scan").mkdir(parents=True)
    for path in [source / "__init__.py", *source.glob("scan/*.py")]:
        (package / path.relative_to(source)).write_text(path.read_text())
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    (package / "scan" / "__pycache__").write_text("")  # numba cannot make its folder here, root or not
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(blocked)}
    environment |= {"XDG_CACHE_HOME": str(blocked)}
    environment.pop("NUMBA_CACHE_DIR", None)
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert float(result.stdout) == pytest.approx(float(_expected()), rel=1e-6)


def _expected() -> Tensor:
    v = [torch.ones(1, 2, 2, 3), torch.ones(1, 2, 2, 4, 3), -torch.ones(4, 3, 1), torch.ones(1, 2, 2, 4, 1)]
    return selective_scan_2d(*v, v[3], torch.ones(4, 3), backend="reference").sum()
