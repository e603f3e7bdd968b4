"""How fast the scan is: `scgcnet bench scan`.

For each size, every backend that runs here is timed forward and in training, beside two ways to write the scan in
PyTorch: `scan/reference.py` (chunks that step together in place, a backward pass written out, working sets that fit
the cache; no faster PyTorch variant was found), and `stepwise`, the plain loop over all steps with automatic gradients,
which is how mamba-ssm's own reference function computes. The rate at which the machine computes exponentials bounds
them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from scgcnet.bench.machine import Limits, in_fresh_process, median_ms_each, peak_extra_mb
from scgcnet.scan import BackendError, available_backends, resolve_backend, selective_scan_2d
from scgcnet.scan.reference import K, positions

Size = tuple[int, int, int, int]  # B, L, D, N
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # x, delta, A, B, C, skip

SIZES: tuple[Size, ...] = (
    (1, 1024, 192, 1),  # its maps stay in a core's own cache
    (1, 4096, 192, 1),
    (1, 4096, 192, 16),
    (1, 16384, 192, 16),
    (4, 4096, 384, 1),
    (1, 65536, 192, 1),
)
QUICK_SIZES: tuple[Size, ...] = ((1, 256, 96, 1), (2, 256, 96, 16))
STEPWISE_STATES = 1 << 24  # states times steps above which the loop over steps is left out: minutes, and gigabytes


@dataclass(frozen=True)
class Timing:
    """One way to scan at one size; the fields are the columns of the table.

    Attributes:
        size: (B, L, D, N).
        backend: Name of the scan backend, or stepwise.
        forward_ms: Median time of a forward pass without gradients.
        backward_ms: Median time of a backward pass, for the gradients of all six inputs.
        extra_mb: Peak resident memory of a training step (10^6 bytes), outputs and gradients included, above that
            held before it; None where the system does not tell.
        forward_exp_share: Exponentials of the scan, one a state and step, per second, over the machine's rate.
        backward_exp_share: Likewise in the backward pass, which computes each a second time.
        speedup: Training time, both passes, of the PyTorch reference over this one's.
    """

    size: Size
    backend: str
    forward_ms: float
    backward_ms: float
    extra_mb: float | None
    forward_exp_share: float
    backward_exp_share: float
    speedup: float


def make_inputs(size: Size, device: str = "cpu") -> Inputs:
    """Random x, delta, A, B, C, skip of a square map, with gradients, of the magnitudes of a trained layer.

    As in the network, the step sizes of one direction lie together in memory.
    """
    batch, length, channels, states = size
    side = round(length**0.5)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    return (
        normal(batch, side, side, channels).requires_grad_(),
        F.softplus(normal(K, batch, side, side, channels) - 3).permute(1, 2, 3, 0, 4).requires_grad_(),
        (-torch.exp(normal(K, channels, states))).requires_grad_(),
        normal(batch, side, side, K, states).requires_grad_(),
        normal(batch, side, side, K, states).requires_grad_(),
        normal(K, channels).requires_grad_(),
    )


def stepwise(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """The scan as a loop over the steps of rearranged sequences; arguments and result as `selective_scan_2d`'s."""
    where = positions(x.shape[1], x.shape[2], x.device)  # (K, L)
    k = torch.arange(K, device=x.device).unsqueeze(1)
    x_, delta_ = x.flatten(1, 2)[:, where], delta.flatten(1, 2)[:, where, k]  # (B, K, L, D)
    B_, C_ = (v.flatten(1, 2)[:, where, k] for v in (B, C))  # (B, K, L, N)
    decays = torch.exp(delta_.unsqueeze(-1) * A.unsqueeze(1))  # (B, K, L, D, N)
    inputs = (delta_ * x_).unsqueeze(-1) * B_.unsqueeze(-2)
    h = torch.zeros_like(inputs[:, :, 0])
    out = []
    for a_t, b_t, C_t in zip(decays.unbind(2), inputs.unbind(2), C_.unbind(2), strict=True):
        h = a_t * h + b_t
        out.append((h * C_t.unsqueeze(-2)).sum(-1))
    y = torch.stack(out, dim=2) + skip.unsqueeze(1) * x_
    back = torch.argsort(where, dim=1)
    return y[:, k, back].sum(1).view(x.shape)


def ways(size: Size, device: str) -> list[str]:
    """What is timed at a size: the backends that take this device, fastest expected first, and stepwise."""
    names = [name for name, reason in available_backends().items() if reason is None and _runs(name, device)]
    states = K * size[0] * size[1] * size[2] * size[3]
    return [*names, *(["stepwise"] if states <= STEPWISE_STATES else [])]


def _runs(name: str, device: str) -> bool:
    try:
        return resolve_backend(device, backend=name) == name
    except BackendError:
        return False


def _scan(inputs: Inputs, way: str) -> Tensor:
    return stepwise(*inputs) if way == "stepwise" else selective_scan_2d(*inputs, backend=way)


def _train(inputs: Inputs, dy: Tensor, way: str) -> None:
    torch.autograd.grad(_scan(inputs, way), inputs, dy)


def _peak_extra_mb(size: Size, way: str) -> float | None:
    """Of one training step, on the processor; kernels are compiled and threads started before, on a small map."""
    small = make_inputs((2, 256, 192, 1))
    _train(small, torch.ones_like(small[0]), way)
    del small
    inputs = make_inputs(size)
    dy = torch.ones_like(inputs[0])
    return peak_extra_mb(lambda: _train(inputs, dy, way))


def measure(size: Size, limits: Limits, device: str, repeats: int, budget: float) -> list[Timing]:
    """Times every way to scan at one size.

    Args:
        size: (B, L, D, N), L a square.
        limits: Of this device.
        device: "cpu" or "cuda".
        repeats: Turns that are timed, at most.
        budget: Seconds for the timed turns of one kind, about.
    """
    inputs = make_inputs(size, device)
    dy = torch.ones_like(inputs[0])
    exponentials = K * size[0] * size[1] * size[2] * size[3]
    names = ways(size, device)

    def forward(way: str) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                _scan(inputs, way)

        return run

    def forward_for_training(way: str) -> Callable[[], None]:
        def run() -> None:
            _scan(inputs, way)

        return run

    def backward(way: str) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            y = _scan(inputs, way)
            return lambda: torch.autograd.grad(y, inputs, dy)

        return prepare

    plain, keeping, back = (
        median_ms_each({name: kind(name) for name in names}, repeats, budget, device)
        for kind in (forward, forward_for_training, backward)
    )
    training = {name: keeping[name] + back[name] for name in names}
    timings = []
    for name in names:
        timings.append(
            Timing(
                size=size,
                backend=name,
                forward_ms=plain[name],
                backward_ms=back[name],
                extra_mb=in_fresh_process(_peak_extra_mb, size, name) if device == "cpu" else None,
                forward_exp_share=exponentials / (plain[name] / 1e3) / limits.exponentials,
                backward_exp_share=exponentials / (back[name] / 1e3) / limits.exponentials,
                speedup=training["reference"] / training[name],
            )
        )
    return timings


HEADER = (
    f"{'(B, L, D, N)':<22}{'scan':<11}{'forward ms':>11}{'backward ms':>12}{'extra MB':>10}"
    f"{'speed-up':>10}{'exp, fwd':>10}{'exp, bwd':>10}"
)


def row(t: Timing) -> str:
    """One line below `HEADER`."""
    memory = "-" if t.extra_mb is None else f"{t.extra_mb:.0f}"
    return (
        f"{t.size!s:<22}{t.backend:<11}{t.forward_ms:>11.1f}{t.backward_ms:>12.1f}{memory:>10}"
        f"{t.speedup:>9.1f}x{t.forward_exp_share:>10.0%}{t.backward_exp_share:>10.0%}"
    )
