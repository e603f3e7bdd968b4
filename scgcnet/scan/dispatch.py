"""One entry to the selective scan: checks the inputs, chooses the backend, and is one operator for PyTorch.

The scan is registered as the custom operators `scgcnet::selective_scan_2d` and `scgcnet::selective_scan_2d_backward`
with shapes for the meta device and FLOP formulas, so `FlopCounterMode`, `torch.export` and `torch.compile` see one
node where a traced loop would be thousands. (The mamba backend is not behind the operator: it has its own.)

Backends:
    numba: compiled for the CPU; what "auto" takes there.
    triton: compiled for the GPU; what "auto" takes on CUDA where Triton can be imported. It has not run on a GPU here:
        its tests run in Triton's interpreter, on the CPU. So "auto" compares it with the reference first (trust.py).
    mamba: mamba-ssm's CUDA kernel; what "auto" takes next on CUDA. Experimental.
    reference: plain PyTorch, any device and dtype; what "auto" takes otherwise.

The choice is made by, in this order, the `backend` argument, `use_backend`, the environment variable SCGCNET_SCAN,
and the device.
"""

import functools
import importlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from scgcnet.scan import trust
from scgcnet.scan.reference import CHUNK, K

ENVIRONMENT_VARIABLE = "SCGCNET_SCAN"
_MODULES = {"numba": "numba_cpu", "triton": "triton_gpu", "mamba": "mamba_cuda", "reference": "reference"}
_DEVICES = {"numba": "cpu", "triton": "cuda", "mamba": "cuda"}  # the reference runs on any
_REMEDIES = {
    "numba": "pip install numba",
    "triton": "pip install 'triton>=3.3'; CUDA builds of torch from 2.7 on bring it",
    "mamba": "pip install mamba-ssm on a machine with CUDA and nvcc",
}
_override: ContextVar[str | None] = ContextVar("scan_backend", default=None)
_traced: ContextVar[Callable[..., Tensor] | None] = ContextVar("traced_scan", default=None)


class BackendError(RuntimeError):
    """A scan backend that does not exist, or cannot run here."""


@functools.cache
def _load(name: str) -> ModuleType | str:
    """Returns the module of a backend, or the reason why it cannot be used."""
    try:
        module = importlib.import_module(f"scgcnet.scan.{_MODULES[name]}")
    except ImportError as error:
        return f"{error} (remedy: {_REMEDIES[name]})"
    if name == "triton" and not module.INTERPRETED and not torch.cuda.is_available():
        return "triton finds no CUDA device (remedy, for tests: TRITON_INTERPRET=1 before Python starts)"
    return module


def _takes(name: str, kind: str) -> bool:
    """Whether a backend that can be loaded takes tensors on a kind of device."""
    if name == "triton" and kind == "cpu":
        return bool(_module(name).INTERPRETED)
    return _DEVICES.get(name, kind) == kind


def _fault(name: str) -> str | None:
    """Why "auto" does not take a backend."""
    if isinstance(found := _load(name), str):
        return found
    # What is compiled asks again when it runs.
    return _first_use(found) if name == "triton" and not torch.compiler.is_compiling() else None


@functools.cache
def _first_use(module: ModuleType) -> str | None:
    return trust.fault(module, "cuda")


@functools.cache
def _warn_once(name: str, reason: str) -> None:
    warnings.warn(f"the scan runs on CUDA by the backend {name!r}, not by 'triton': {reason}", stacklevel=4)


def available_backends() -> dict[str, str | None]:
    """Names every backend with None if it can be used on this machine, else with the reason why not."""
    return {name: found if isinstance(found := _load(name), str) else None for name in _MODULES}


def _check_name(name: str, origin: str) -> str:
    if name != "auto" and name not in _MODULES:
        raise BackendError(f"unknown scan backend {name!r} ({origin}); choose one of auto, {', '.join(_MODULES)}")
    return name


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Makes `name` the backend of every scan inside the `with` block that does not name its own.

    Raises:
        BackendError: if there is no such backend.
    """
    token = _override.set(_check_name(name, "use_backend"))
    try:
        yield
    finally:
        _override.reset(token)


@contextmanager
def trace_scan_as(function: Callable[..., Tensor]) -> Iterator[None]:
    """Makes `torch.export` trace `function(x, delta, A, B, C, skip)`, not the operator, inside the `with` block."""
    token = _traced.set(function)
    try:
        yield
    finally:
        _traced.reset(token)


def resolve_backend(device: torch.device | str, dtype: torch.dtype = torch.float32, backend: str = "auto") -> str:
    """Names the backend that a scan of a tensor on `device` with `dtype` takes.

    Args:
        device: Where x is.
        dtype: x's dtype. float64 runs in the reference only.
        backend: "auto", or a name, which is then checked.

    Raises:
        BackendError: if the backend asked for does not exist, cannot be loaded, or does not take this device or dtype.
    """
    kind = torch.device(device).type
    asked, origin = _check_name(backend, "the backend argument"), "the backend argument"
    if asked == "auto" and (override := _override.get()) is not None:
        asked, origin = override, "use_backend"
    if asked == "auto" and (variable := os.environ.get(ENVIRONMENT_VARIABLE)):
        asked, origin = _check_name(variable, ENVIRONMENT_VARIABLE), ENVIRONMENT_VARIABLE
    if kind == "meta":  # shapes only: nothing runs
        return "reference"
    if asked == "auto":
        found = "reference"
        if dtype != torch.float64:
            suited = (name for name, device in _DEVICES.items() if device == kind)  # in order of preference
            found = next((name for name in suited if _fault(name) is None), found)
            if kind == "cuda" and (fault := _fault("triton")):
                _warn_once(found, fault)
        return found
    if isinstance(reason := _load(asked), str):
        usable = ", ".join(name for name, reason in available_backends().items() if reason is None)
        raise BackendError(f"scan backend {asked!r} ({origin}) is not available: {reason}; usable: {usable}")
    if asked in _DEVICES and (not _takes(asked, kind) or dtype == torch.float64):
        takes = f"takes float32, bfloat16 and float16 on {_DEVICES[asked]}, not {dtype} on {kind}"
        raise BackendError(f"scan backend {asked!r} ({origin}) {takes}; choose 'auto' or 'reference'")
    return asked


def _resolve_for_tracer(kind: str, dtype: torch.dtype, backend: str) -> str:
    return resolve_backend(kind, dtype, backend)


# As torch.compiler.assume_constant_result does it, which imports torch._dynamo: seconds.
_resolve_for_tracer._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _check_inputs(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> None:
    if x.dim() != 4 or A.dim() != 3:
        raise ValueError(
            f"the scan takes x (B, H, W, D) and A ({K}, D, N), not x {tuple(x.shape)} and A {tuple(A.shape)}"
        )
    batch, height, width, channels = x.shape
    size = A.shape[2]
    if min(*x.shape, size) < 1:
        raise ValueError(f"the scan takes no empty tensor: x {tuple(x.shape)}, A {tuple(A.shape)}")
    expected = {
        "delta": (delta, (batch, height, width, K, channels)),
        "A": (A, (K, channels, size)),
        "B": (B, (batch, height, width, K, size)),
        "C": (C, (batch, height, width, K, size)),
        "skip": (skip, (K, channels)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(
                f"{name} must be {shape} for x {tuple(x.shape)} and state size {size}, not {tuple(tensor.shape)}"
            )
        if tensor.device != x.device:
            raise ValueError(f"{name} is on {tensor.device} and x on {x.device}: move them to one device")
    for name, tensor in {"x": x, **{name: tensor for name, (tensor, _) in expected.items()}}.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name} must be a floating-point tensor, not {tensor.dtype}")


def selective_scan_2d(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, backend: str = "auto"
) -> Tensor:
    """Scans a feature map along rows and columns, both ways, and sums the four (eq. 10).

    In each direction k, with steps t as in `reference.positions`:
    h_t = exp(delta_t A) h_{t-1} + delta_t x_t B_t and y_t = C_t . h_t + skip x_t.

    Args:
        x: (B, H, W, D) float32, bfloat16, float16, or float64. The other arguments may differ in dtype (autocast).
        delta: (B, H, W, 4, D) step sizes, not negative (softplus is the caller's). Large ones are safe.
        A: (4, D, N), negative. Neither sign is checked: that would cost a pass over the data.
        B: (B, H, W, 4, N).
        C: (B, H, W, 4, N).
        skip: (4, D).
        backend: "auto", "numba", "triton", "mamba" or "reference"; "auto" leaves the choice to `use_backend`,
            SCGCNET_SCAN and the device, see `resolve_backend`.

    Returns:
        y (B, H, W, D) in x's dtype, differentiable in all six tensors. The state is float32 (float64 if x is).

    Raises:
        BackendError: see `resolve_backend`.
        ValueError: if a shape, dtype or device does not fit.
    """
    _check_inputs(x, delta, A, B, C, skip)
    if not torch.compiler.is_compiling():  # else the operator resolves it, where no tracer looks
        backend = resolve_backend(x.device, x.dtype, backend)
    elif x.is_cuda and _resolve_for_tracer(x.device.type, x.dtype, backend) == "mamba":
        backend = "mamba"  # which is not behind the operator
    elif not torch.compiler.is_dynamo_compiling() and (function := _traced.get()) is not None:
        return function(x, delta, A, B, C, skip)
    y: Tensor
    if backend == "mamba":
        y = _module(backend).scan(x, delta, A, B, C, skip)
        return y
    keep = torch.is_grad_enabled() and any(v.requires_grad for v in (x, delta, A, B, C, skip))
    y, _ = _scan(x, delta, A, B, C, skip, backend, keep)
    return y


def _module(name: str) -> ModuleType:
    module = _load(name)
    assert isinstance(module, ModuleType), module  # `resolve_backend` has refused names that cannot be loaded
    return module


# Two operators of torch, so that tracers and counters see them. By `define` and `impl`, since `custom_op` imports
# torch._dynamo when it is first called: half of the time in which a network gives its first answer.
_INPUTS = "Tensor x, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor skip"
_FORWARD, _BACKWARD = "scgcnet::selective_scan_2d", "scgcnet::selective_scan_2d_backward"
_tags = torch.Tag.pt2_compliant_tag
torch.library.define(_FORWARD, f"({_INPUTS}, str backend, bool keep) -> (Tensor, Tensor)", tags=_tags)
_gradients = ", ".join(["Tensor"] * 6)
torch.library.define(_BACKWARD, f"(Tensor dy, {_INPUTS}, Tensor states, str backend) -> ({_gradients})", tags=_tags)
_scan: Any = torch.ops.scgcnet.selective_scan_2d.default
_scan_backward: Any = torch.ops.scgcnet.selective_scan_2d_backward.default


@torch.library.impl(_FORWARD, "CompositeExplicitAutograd")
def _(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, backend: str, keep: bool
) -> tuple[Tensor, Tensor]:
    y, states = _module(resolve_backend(x.device, x.dtype, backend)).forward(x, delta, A, B, C, skip, keep)
    return y, states


@torch.library.impl(_BACKWARD, "CompositeExplicitAutograd")
def _(
    dy: Tensor, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, states: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    inputs = (x, delta, A, B, C, skip)
    module = _module(resolve_backend(x.device, x.dtype, backend))
    if states.numel() == 0:  # the forward pass did not know that a gradient would be asked for
        _, states = module.forward(*inputs, True)
    grads = module.backward(dy, *inputs, states)
    dx, ddelta, dA, dB, dC, dskip = (_laid_out(g, v) for g, v in zip(grads, inputs, strict=True))
    return dx, ddelta, dA, dB, dC, dskip


def _laid_out(gradient: Tensor, like: Tensor) -> Tensor:
    """The gradient in the dtype and with the strides of what it belongs to, copied only where it is not so."""
    wanted = torch.empty_like(like, device="meta")
    if gradient.dtype == like.dtype and gradient.stride() == wanted.stride():
        return gradient
    return torch.empty_like(like).copy_(gradient)


@torch.library.register_fake(_FORWARD)  # type: ignore[untyped-decorator]
def _(
    x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, backend: str, keep: bool
) -> tuple[Tensor, Tensor]:
    batch, height, width, channels = x.shape
    y = x.new_empty(batch, height, width, channels)
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    chunks = (height * width + CHUNK - 1) // CHUNK
    shape = (batch, K, chunks, A.shape[2], channels) if keep else (0,)
    return y, x.new_empty(shape, dtype=dtype)


@torch.library.register_fake(_BACKWARD)  # type: ignore[untyped-decorator]
def _(
    dy: Tensor, x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor, states: Tensor, backend: str
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    dx, ddelta, dA, dB, dC, dskip = (torch.empty_like(v) for v in (x, delta, A, B, C, skip))
    return dx, ddelta, dA, dB, dC, dskip


def _save(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]  # torch gives no type for ctx
    *tensors, backend, _ = inputs
    ctx.save_for_backward(*tensors, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.backend = resolve_backend(tensors[0].device, tensors[0].dtype, backend)  # `use_backend` may end before


def _differentiate(ctx, dy: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:  # type: ignore[no-untyped-def]
    return *_scan_backward(dy, *ctx.saved_tensors, ctx.backend), None, None


torch.library.register_autograd(_FORWARD, _differentiate, setup_context=_save)


@register_flop_formula(torch.ops.scgcnet.selective_scan_2d)
def _flops(x: tuple[int, ...], delta: tuple[int, ...], A: tuple[int, ...], *_: object, **__: object) -> int:
    """Counts 2 per multiply-accumulate, 9 of which per state and step (VMamba's count) and one for the skip."""
    batch, height, width, channels = x
    return 2 * K * (9 * batch * height * width * channels * A[2] + batch * height * width * channels)


@register_flop_formula(torch.ops.scgcnet.selective_scan_2d_backward)
def _flops_backward(
    dy: tuple[int, ...], x: tuple[int, ...], delta: tuple[int, ...], A: tuple[int, ...], *_: object, **__: object
) -> int:
    """Counts twice the forward pass, as for any product of two operands; recomputed chunks are not counted."""
    return 2 * _flops(x, delta, A)
