"""The choice of a backend, the checks of inputs, and the operator as PyTorch's tools see it."""

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch
from recurrence import make_inputs
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from scgcnet.scan import (
    BackendError,
    available_backends,
    dispatch,
    resolve_backend,
    selective_scan_2d,
    trust,
    use_backend,
)

BATCH, HEIGHT, WIDTH, CHANNELS, SIZE = 2, 5, 6, 8, 3


def inputs(device: str = "cpu") -> list[Tensor]:
    return [v.float().to(device) for v in make_inputs(BATCH, HEIGHT, WIDTH, CHANNELS, SIZE)]


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    load = dispatch._load
    monkeypatch.setattr(dispatch, "_load", lambda name: "No module named 'numba'" if name == "numba" else load(name))


def test_what_can_run_here() -> None:
    found = available_backends()
    assert found["reference"] is None and found["numba"] is None
    assert found["mamba"] is None or "mamba" in found["mamba"]
    assert found["triton"] is None or "triton" in found["triton"]
    assert found["triton"] is not None or torch.cuda.is_available() or "TRITON_INTERPRET" in os.environ


def test_order_of_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCGCNET_SCAN", raising=False)
    assert resolve_backend("cpu") == "numba"
    assert resolve_backend("cpu", torch.float64) == "reference"
    assert resolve_backend("meta") == "reference"
    monkeypatch.setenv("SCGCNET_SCAN", "reference")
    assert resolve_backend("cpu") == "reference"
    with use_backend("numba"):
        assert resolve_backend("cpu") == "numba"
        assert resolve_backend("cpu", backend="reference") == "reference"
        with use_backend("reference"):
            assert resolve_backend("cpu") == "reference"
        assert resolve_backend("cpu") == "numba"
    assert resolve_backend("cpu") == "reference"


def test_the_choice_is_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward alike, even where the block that chose has ended."""
    from scgcnet.scan import numba_cpu, reference

    calls: list[str] = []
    for name, module in (("numba", numba_cpu), ("reference", reference)):
        for part in ("forward", "backward"):
            function = getattr(module, part)

            def spy(*args, _function=function, _call=f"{name} {part}"):  # type: ignore[no-untyped-def]
                calls.append(_call)
                return _function(*args)

            monkeypatch.setattr(module, part, spy)
    for name in ("numba", "reference"):
        calls.clear()
        leaves = [v.requires_grad_() for v in inputs()]
        with use_backend(name):
            y = selective_scan_2d(*leaves)
        y.sum().backward()
        assert calls == [f"{name} forward", f"{name} backward"]


def test_auto_falls_back(without_numba: None) -> None:
    assert resolve_backend("cpu") == "reference"
    assert available_backends()["numba"] == "No module named 'numba'"


@pytest.fixture
def loadable(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Names of the backends for CUDA that can be loaded, as if there were a GPU; at first both."""
    names = {"triton", "mamba"}
    triton = ModuleType("triton_gpu")
    triton.INTERPRETED = False  # type: ignore[attr-defined]
    modules = {"triton": triton, "mamba": ModuleType("mamba_cuda")}
    load = dispatch._load

    def stand_in(name: str) -> ModuleType | str:
        if name not in modules:
            return load(name)
        return modules[name] if name in names else f"No module named {name!r} (remedy: {dispatch._REMEDIES[name]})"

    monkeypatch.setattr(dispatch, "_load", stand_in)
    monkeypatch.setattr(trust, "fault", lambda module, device: None)
    monkeypatch.delenv("SCGCNET_SCAN", raising=False)
    dispatch._warn_once.cache_clear()
    yield names
    dispatch._warn_once.cache_clear()


def test_cuda_takes_triton_first(loadable: set[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_backend("cuda") == resolve_backend("cuda", torch.bfloat16) == "triton"
        assert resolve_backend("cuda", torch.float64) == "reference"
        assert resolve_backend("cuda", backend="mamba") == "mamba"


@pytest.mark.parametrize("left", ["mamba", "reference"])
def test_cuda_without_triton_says_so_once(left: str, loadable: set[str]) -> None:
    loadable.intersection_update({left})
    with pytest.warns(UserWarning, match=f"by the backend '{left}', not by 'triton': No module.*pip install") as told:
        assert resolve_backend("cuda") == resolve_backend("cuda") == left
    assert len(told) == 1


def test_cuda_does_not_take_a_kernel_that_is_wrong_there(loadable: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried once, and only where "auto" has to choose."""
    asked = []
    monkeypatch.setattr(trust, "fault", lambda module, device: asked.append(device) or "it disagrees")
    assert resolve_backend("cuda", backend="triton") == "triton" and asked == []
    with pytest.warns(UserWarning, match="by the backend 'mamba', not by 'triton': it disagrees"):
        assert resolve_backend("cuda") == resolve_backend("cuda") == "mamba"
    assert asked == ["cuda"]


def test_cpu_does_not_miss_triton(loadable: set[str], without_numba: None) -> None:
    loadable.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_backend("cpu") == "reference"
        assert resolve_backend("cuda", torch.float64) == resolve_backend("meta") == "reference"


def test_triton_takes_no_tensor_on_a_cpu(loadable: set[str]) -> None:
    with pytest.raises(BackendError, match=r"'triton' .* float16 on cuda, not torch\.float32 on cpu"):
        resolve_backend("cpu", backend="triton")
    with pytest.raises(BackendError, match=r"not torch\.float64 on cuda"):
        resolve_backend("cuda", torch.float64, "triton")


def test_backend_that_cannot_be_loaded(without_numba: None) -> None:
    with pytest.raises(BackendError, match=r"'numba' \(the backend argument\) is not available: No module.*reference"):
        selective_scan_2d(*inputs(), backend="numba")


@pytest.mark.parametrize("how", ["argument", "environment", "context"])
def test_unknown_backend(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BackendError, match=r"unknown scan backend 'cuda' .*; choose one of auto, numba, triton, mamba"):
        if how == "environment":
            monkeypatch.setenv("SCGCNET_SCAN", "cuda")
            selective_scan_2d(*inputs())
        elif how == "context":
            with use_backend("cuda"):
                pass
        else:
            selective_scan_2d(*inputs(), backend="cuda")


def test_backend_that_does_not_take_the_tensor() -> None:
    with pytest.raises(BackendError, match=r"takes float32, bfloat16 and float16 on cpu, not torch\.float64 on cpu"):
        selective_scan_2d(*[v.double() for v in inputs()], backend="numba")
    with pytest.raises(BackendError, match=r"not torch\.float32 on cuda"):
        resolve_backend("cuda", backend="numba")


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (0, (2, 30, 8), r"takes x \(B, H, W, D\)"),
        (0, (0, 5, 6, 8), "no empty tensor"),
        (1, (2, 5, 6, 3, 8), r"delta must be \(2, 5, 6, 4, 8\)"),
        (1, (2, 6, 5, 4, 8), r"delta must be \(2, 5, 6, 4, 8\).*not \(2, 6, 5, 4, 8\)"),
        (2, (4, 9, 3), r"A must be \(4, 8, 3\)"),
        (2, (8, 3), r"A \(4, D, N\)"),
        (3, (2, 5, 6, 4, 1), r"B must be \(2, 5, 6, 4, 3\)"),
        (4, (2, 5, 6, 3), r"C must be \(2, 5, 6, 4, 3\)"),
        (5, (8,), r"skip must be \(4, 8\)"),
    ],
)
def test_wrong_shapes(index: int, shape: tuple[int, ...], message: str) -> None:
    values = inputs()
    values[index] = torch.zeros(shape)
    with pytest.raises(ValueError, match=message):
        selective_scan_2d(*values)


def test_wrong_dtype_and_device() -> None:
    values = inputs()
    with pytest.raises(ValueError, match=r"x must be a floating-point tensor, not torch\.int64"):
        selective_scan_2d(values[0].long(), *values[1:])
    with pytest.raises(ValueError, match="delta is on meta and x on cpu"):
        selective_scan_2d(values[0], values[1].to("meta"), *values[2:])


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numba", "reference"])
def test_operator_is_registered_correctly(backend: str) -> None:
    """Schema, autograd, shapes on fake tensors, and AOT tracing, as torch.library checks them."""
    forward = torch.ops.scgcnet.selective_scan_2d.default
    backward = torch.ops.scgcnet.selective_scan_2d_backward.default
    torch.library.opcheck(forward, (*[v.requires_grad_() for v in inputs()], backend, True))
    torch.library.opcheck(forward, (*inputs(), backend, False))
    y, states = forward(*inputs(), backend, True)
    torch.library.opcheck(backward, (torch.ones_like(y), *inputs(), states, backend))


def test_a_first_call_imports_no_compiler() -> None:
    """torch._dynamo takes seconds; `torch.library.custom_op` would import it at the first call of its operator."""
    code = """
import sys, torch
from scgcnet.scan import selective_scan_2d
x, steps = torch.zeros(1, 2, 2, 3), torch.zeros(1, 2, 2, 4, 3)
selective_scan_2d(x, steps, -torch.ones(4, 3, 1), steps[..., :1], steps[..., :1], torch.ones(4, 3))
print("torch._dynamo" in sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "False\n"


def test_gradient_without_kept_states() -> None:
    """The operator called by itself, told not to keep states, still has the right gradient."""
    results = []
    for keep in (True, False):
        leaves = [v.requires_grad_() for v in inputs()]
        y, _ = torch.ops.scgcnet.selective_scan_2d(*leaves, "numba", keep)
        results.append(torch.autograd.grad(y.square().sum(), leaves))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_no_states_are_kept_without_need() -> None:
    _, states = torch.ops.scgcnet.selective_scan_2d(*inputs(), "numba", False)
    assert states.numel() == 0
    _, states = torch.ops.scgcnet.selective_scan_2d(*inputs(), "numba", True)
    assert states.shape == (BATCH, 4, 1, SIZE, CHANNELS)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_flop_formulas(device: str) -> None:
    """4 (9 B L D N + B L D) multiply-accumulates of 2 each, and twice that in the backward pass."""
    leaves = [v.requires_grad_() for v in inputs(device)]
    with FlopCounterMode(display=False) as counter:
        selective_scan_2d(*leaves)
    expected = 2 * 4 * (9 * BATCH * 30 * CHANNELS * SIZE + BATCH * 30 * CHANNELS)
    assert counter.get_total_flops() == expected == 107_520
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(selective_scan_2d(*leaves).sum())
    assert counter.get_total_flops() == 3 * expected
    assert leaves[1].grad is not None and leaves[1].grad.shape == leaves[1].shape


class Block(nn.Module):
    """As in the network: projections around a scan, with a softplus and a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(CHANNELS, 4 * (CHANNELS + 2 * SIZE))
        self.log_a = nn.Parameter(torch.zeros(4, CHANNELS, SIZE))
        self.skip = nn.Parameter(torch.ones(4, CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        delta, B, C = self.project(x).unflatten(-1, (4, -1)).split([CHANNELS, SIZE, SIZE], dim=-1)
        y = selective_scan_2d(x, nn.functional.softplus(delta), -self.log_a.exp(), B, C, self.skip)
        return x + y


def test_export() -> None:
    torch.manual_seed(0)
    block, x = Block().eval(), inputs()[0]
    program = torch.export.export(block, (x,))
    assert torch.ops.scgcnet.selective_scan_2d.default in [node.target for node in program.graph.nodes]
    torch.testing.assert_close(program.module()(x), block(x), rtol=0, atol=0)
    with use_backend("reference"):  # the program leaves the choice to the machine that runs it
        torch.testing.assert_close(program.module()(x), block(x), rtol=0, atol=0)


def test_a_tracer_may_ask_for_the_backend(loadable: set[str]) -> None:
    """On CUDA it must: mamba is not behind the operator."""

    def scale(x: Tensor) -> Tensor:
        return x * (2 if dispatch._resolve_for_tracer("cuda", x.dtype, "auto") == "triton" else 3)

    x = inputs()[0]
    torch.testing.assert_close(torch.compile(scale, backend="eager", fullgraph=True)(x), 2 * x)


@pytest.mark.parametrize("compiler", ["eager", "aot_eager"])
def test_compile(compiler: str) -> None:
    torch.manual_seed(0)
    block, x = Block(), inputs()[0]
    compiled = torch.compile(block, backend=compiler, fullgraph=True)
    y = block(x)
    expected = torch.autograd.grad(y.square().sum(), list(block.parameters()))
    got = compiled(x)
    torch.testing.assert_close(got, y)
    torch.testing.assert_close(torch.autograd.grad(got.square().sum(), list(block.parameters())), expected)
