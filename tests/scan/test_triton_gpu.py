"""The Triton kernels against the recurrence, on a GPU where there is one, else on the CPU in Triton's interpreter.

    pip install triton && python -m pytest tests/scan/test_triton_gpu.py

The interpreter is switched on by TRITON_INTERPRET=1 when Triton is imported, for the whole process. So that no other
test gets it, `test_in_the_interpreter` runs this file once more in a process of its own. Without a GPU the kernels are
also compiled for two, up to machine code: that needs Triton's compiler alone.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recurrence import NAMES, make_inputs, scan_with_gradients
from torch import Tensor

triton = pytest.importorskip("triton", "3.3", reason="no Triton from 3.3 on: pip install triton (286 MB)")

from scgcnet.scan import available_backends, resolve_backend, selective_scan_2d, triton_gpu  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
DEVICE = "cpu" if triton_gpu.INTERPRETED else "cuda"
OLD = tuple(map(int, triton.__version__.split(".")[:2])) < (3, 7) and np.lib.NumpyVersion(np.__version__) >= "2.4.0"
runs = pytest.mark.skipif(
    not triton_gpu.INTERPRETED and not torch.cuda.is_available(), reason="no GPU: test_in_the_interpreter runs it"
)
# Of mamba-ssm's tests, rtol and atol.
TOLERANCE = {torch.float32: (6e-4, 2e-3), torch.float16: (3e-3, 5e-3), torch.bfloat16: (3e-2, 5e-2)}


@pytest.mark.skipif(triton_gpu.INTERPRETED or torch.cuda.is_available(), reason="it is for processes that run none")
@pytest.mark.skipif(OLD, reason="before Triton 3.7 the interpreter fails with numpy 2.4")
def test_in_the_interpreter() -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", __file__]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-8000:] + result.stderr[-2000:]
    assert " passed" in result.stdout, result.stdout[-2000:]


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 8 steps, so that small maps, which are all that the interpreter has time for, have several."""
    monkeypatch.setattr(triton_gpu, "CHUNK", 8)


def dy_for(inputs: list[Tensor]) -> Tensor:
    return torch.randn(inputs[0].shape, generator=torch.Generator().manual_seed(1)).double()


def run(inputs: list[Tensor], dy: Tensor) -> tuple[Tensor, list[Tensor]]:
    leaves = [v.detach().to(DEVICE).requires_grad_() for v in inputs]
    y = selective_scan_2d(*leaves, backend="triton")
    gradients = torch.autograd.grad(y, leaves, dy.to(y))
    return y.detach().cpu(), [g.cpu() for g in gradients]


def check(inputs: list[Tensor], dtype: torch.dtype = torch.float32) -> None:
    inputs = [v.to(dtype).double() for v in inputs]
    dy = dy_for(inputs).to(dtype).double()
    y, gradients = scan_with_gradients(inputs, dy)
    got, got_gradients = run([v.to(dtype) for v in inputs], dy)
    rtol, atol = TOLERANCE[dtype]
    for name, value, expected in zip(("y", *NAMES), (got, *got_gradients), (y, *gradients), strict=True):
        assert value.dtype == dtype and value.shape == expected.shape, name
        np.testing.assert_allclose(value.double(), expected, rtol=rtol, atol=atol, err_msg=name)


# Batch, rows, columns, channels, state: one pixel, one row, one column, more chunks than one and not a whole number of
# them; channels in two blocks, the last not full (a block has 128 of them up to N = 4, 64 up to 8, 32 up to 16).
SHAPES = [
    (1, 1, 1, 1, 1),
    (2, 1, 9, 5, 3),
    (1, 9, 1, 33, 16),
    (1, 3, 5, 130, 1),
    (1, 3, 4, 70, 5),
    (1, 4, 4, 3, 32),
]


@runs
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(shape: tuple[int, int, int, int, int]) -> None:
    check(make_inputs(*shape))


@runs
@settings(max_examples=5, derandomize=True, database=None)
@given(
    batch=st.integers(1, 2),
    height=st.integers(1, 3),
    width=st.integers(1, 4),
    channels=st.integers(1, 40),
    size=st.sampled_from([1, 2, 3, 16]),
    step=st.sampled_from([1e-3, 0.1, 1.0, 10.0]),
)
def test_any_shape(batch: int, height: int, width: int, channels: int, size: int, step: float) -> None:
    check(make_inputs(batch, height, width, channels, size, step=step))


@runs
@pytest.mark.parametrize("programs", [1, 5])  # and 2048 elsewhere, where every chunk is a segment
def test_segments_of_several_chunks(programs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One segment of all five chunks, and three that have two, two and one."""
    monkeypatch.setattr(triton_gpu, "PROGRAMS", programs)
    plan = triton_gpu._plan(1, 35, 3, 2)
    assert (plan.per, plan.segments) == {1: (5, 1), 5: (2, 3)}[programs]
    check(make_inputs(1, 5, 7, 3, 2))


@runs
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    check(make_inputs(1, 4, 4, 6, 3), dtype)


@runs
def test_half_precision_rounds_only_the_ends() -> None:
    inputs = [v.half() for v in make_inputs(1, 3, 4, 6, 3)]  # the interpreter cuts bfloat16 off where a GPU rounds
    dy = dy_for(inputs).half()
    y, gradients = run([v.float() for v in inputs], dy)
    got, got_gradients = run(inputs, dy)
    torch.testing.assert_close(got, y.half(), rtol=2**-10, atol=1e-6)  # a GPU may fuse other products and sums
    torch.testing.assert_close(got_gradients, [g.half() for g in gradients], rtol=2**-10, atol=1e-6)


@runs
def test_mixed_dtypes() -> None:
    inputs = [v.float() for v in make_inputs(1, 3, 4, 6, 3)]
    for i in (0, 3, 4):  # as under autocast
        inputs[i] = inputs[i].bfloat16()
    y, gradients = run([v.float() for v in inputs], dy_for(inputs).bfloat16())
    got, got_gradients = run(inputs, dy_for(inputs))
    torch.testing.assert_close(got, y.bfloat16(), rtol=2**-8, atol=1e-6)
    for value, expected, leaf in zip(got_gradients, gradients, inputs, strict=True):
        assert value.dtype == leaf.dtype
        torch.testing.assert_close(value, expected.to(leaf.dtype), rtol=2**-8, atol=1e-6)


@runs
def test_non_contiguous_inputs() -> None:
    inputs = [v.float() for v in make_inputs(1, 3, 4, 6, 3)]
    strided = [v.movedim(-1, 1).contiguous().movedim(1, -1) for v in inputs[:1]]  # an NCHW map seen as NHWC
    strided += [torch.stack([v, v + 1], -1)[..., 0] for v in inputs[1:]]
    assert not any(v.is_contiguous() for v in strided)
    dy = dy_for(inputs)
    expected = run(inputs, dy)
    torch.testing.assert_close(run(strided, dy.transpose(1, 2).contiguous().transpose(1, 2)), expected, rtol=0, atol=0)


@runs
def test_repeats_bit_for_bit() -> None:
    inputs = [v.float() for v in make_inputs(1, 3, 4, 6, 3)]
    torch.testing.assert_close(run(inputs, dy_for(inputs)), run(inputs, dy_for(inputs)), rtol=0, atol=0)


@runs
def test_large_step_sizes() -> None:
    """At delta = 1e4 nothing of the state survives a step, nothing overflows, and A gets no gradient."""
    inputs = make_inputs(1, 3, 4, 6, 3)
    inputs[1] = torch.full_like(inputs[1], 1e4)
    y, gradients = scan_with_gradients(inputs, dy := dy_for(inputs))
    got, got_gradients = run([v.float() for v in inputs], dy)
    for name, value, expected in zip(("y", *NAMES), (got, *got_gradients), (y, *gradients), strict=True):
        atol = 1e-5 * float(expected.abs().max())
        np.testing.assert_allclose(value.double(), expected, rtol=1e-4, atol=atol, err_msg=name)


@runs
def test_step_size_zero_leaves_the_direct_path() -> None:
    inputs = [v.float() for v in make_inputs(1, 3, 4, 6, 3)]
    inputs[1] = torch.zeros_like(inputs[1])
    y, gradients = run(inputs, torch.ones_like(inputs[0]))
    torch.testing.assert_close(y, inputs[0] * inputs[5].sum(0))
    torch.testing.assert_close(gradients[0], inputs[5].sum(0).expand_as(gradients[0]))
    assert not any(gradients[i].any() for i in (2, 3, 4))  # A, B and C act through delta alone


@runs
def test_nan_is_not_swallowed() -> None:
    inputs = [v.float() for v in make_inputs(1, 3, 3, 3, 2)]
    inputs[2][0, 1, 0] = torch.nan
    y = selective_scan_2d(*[v.to(DEVICE) for v in inputs], backend="triton")
    assert y[..., 1].isnan().all() and not y[..., [0, 2]].isnan().any()


@runs
def test_operator_is_registered_correctly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_gpu, "CHUNK", 64)  # the operator's shapes for fake tensors count on it
    inputs = [v.float().to(DEVICE) for v in make_inputs(1, 1, 2, 3, 2)]
    forward = torch.ops.scgcnet.selective_scan_2d.default
    torch.library.opcheck(forward, (*[v.requires_grad_() for v in inputs], "triton", True))
    y, states = forward(*inputs, "triton", True)
    backward = torch.ops.scgcnet.selective_scan_2d_backward.default
    torch.library.opcheck(backward, (torch.ones_like(y), *[v.detach() for v in inputs], states, "triton"))


@runs
def test_who_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SCGCNET_SCAN", raising=False)
    assert available_backends()["triton"] is None
    assert resolve_backend(DEVICE, backend="triton") == "triton"
    assert resolve_backend("cuda") == "triton" and resolve_backend("cuda", torch.float64) == "reference"
    assert resolve_backend("cpu") == "numba"  # the interpreter is taken by its name alone


@pytest.mark.skipif(triton_gpu.INTERPRETED or torch.cuda.is_available(), reason="it runs here")
def test_without_a_gpu_it_cannot_be_used() -> None:
    assert "no CUDA device" in str(available_backends()["triton"])


KERNELS = {"_ends": [{"BACK": False}, {"BACK": True}], "_enter": [{"BACK": True}], "_forward": [{"KEEP": True}]}
KERNELS["_backward"] = [{}]
INPUTS = ("v", "x", "dy", "delta", "maps", "B", "C", "ddelta")  # what has the dtype of the inputs
SIZES = ("batch", "H", "W", "D", "size", "blocks", "segments", "per")


@pytest.mark.skipif(triton_gpu.INTERPRETED, reason="the interpreter has taken the compiler's place")
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("size", [1, 16])
@pytest.mark.parametrize("name", KERNELS)
def test_compiles_for_a_gpu(
    name: str, size: int, dtype: str, capability: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(triton_gpu, name)
    plan = triton_gpu._plan(1, 4096, 192, size)
    steps = triton_gpu.STEPS_BACK if name == "_backward" else triton_gpu.STEPS
    for options in KERNELS[name]:
        values = {"N": size, "T": 64, "STEPS": steps, "BLOCK": 128, **plan._asdict(), **options}
        types, constants, attributes = {}, {}, {}
        for index, argument in enumerate(kernel.arg_names):
            if argument in SIZES:
                types[argument] = "i32"
            elif argument in values:
                types[argument], constants[argument] = "constexpr", values[argument]
            else:
                types[argument] = "*" + (dtype if argument in INPUTS else "fp32")
            if types[argument].startswith("*") or argument in ("D", "size"):
                attributes[(index,)] = [["tt.divisibility", 16]]
        source = ASTSource(kernel, types, constexprs=constants, attrs=attributes)
        target = GPUTarget("cuda", capability, 32)
        compiled = triton.compile(source, target=target, options=dict(triton_gpu._LAUNCH))
        assert f"sm_{capability}" in compiled.asm["ptx"] and compiled.asm["cubin"]
        assert "atom" not in compiled.asm["ptx"]  # sums are in an order that repeats
