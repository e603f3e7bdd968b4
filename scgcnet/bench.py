"""How fast the scan is: `scgcnet bench scan`.

For each size, the numba kernel and plain PyTorch (`scan/reference.py`: chunks that step together in place, a
backward pass written out, working sets that fit the cache; no faster PyTorch variant was found) are timed forward
and in training, and compared with the rate at which this machine computes exponentials, which bounds any scan.
"""

import ctypes
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from scgcnet.files import write_text
from scgcnet.scan import selective_scan_2d

Size = tuple[int, int, int, int]  # B, L, D, N
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # x, delta, A, B, C, skip

SIZES: tuple[Size, ...] = ((1, 4096, 192, 1), (1, 4096, 192, 16), (1, 16384, 192, 16), (4, 4096, 384, 1))
QUICK_SIZES: tuple[Size, ...] = ((1, 256, 96, 1), (2, 256, 96, 16))
BACKENDS = ("numba", "reference")
K = 4


@dataclass(frozen=True)
class Timing:
    """One backend at one size; the fields are the columns of the table.

    Attributes:
        size: (B, L, D, N).
        backend: Name of the scan backend.
        forward_ms: Median time of a forward pass without gradients.
        training_ms: Median time of a forward and a backward pass, for the gradients of all six inputs.
        extra_mb: Peak resident memory of a training step (10^6 bytes), outputs and gradients included, above that
            held before it; None where the system does not tell.
        forward_exp_share: Exponentials of the scan, one a state and step, per second, over torch.exp's.
        training_exp_share: Likewise in training, where the backward pass computes each a second time.
        speedup: Training time of the PyTorch reference over this one's.
    """

    size: Size
    backend: str
    forward_ms: float
    training_ms: float
    extra_mb: float | None
    forward_exp_share: float
    training_exp_share: float
    speedup: float


def make_inputs(size: Size) -> Inputs:
    """Random x, delta, A, B, C, skip of a square map, with gradients, of the magnitudes of a trained layer."""
    batch, length, channels, states = size
    side = round(length**0.5)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    return (
        normal(batch, side, side, channels).requires_grad_(),
        F.softplus(normal(batch, side, side, K, channels) - 3).requires_grad_(),
        (-torch.exp(normal(K, channels, states))).requires_grad_(),
        normal(batch, side, side, K, states).requires_grad_(),
        normal(batch, side, side, K, states).requires_grad_(),
        normal(K, channels).requires_grad_(),
    )


def _train(inputs: Inputs, dy: Tensor, backend: str) -> None:
    torch.autograd.grad(selective_scan_2d(*inputs, backend=backend), inputs, dy)


def _median_ms(function: Callable[[], None], repeats: int, budget: float) -> float:
    """Median time of up to `repeats` calls after a first one, fewer (but one) once `budget` seconds are spent."""
    function()
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < repeats and (not times or time.perf_counter() - start < budget):
        before = time.perf_counter()
        function()
        times.append(time.perf_counter() - before)
    return 1e3 * statistics.median(times)


def exp_rate(elements: int) -> float:
    """Exponentials a second of torch.exp on a large float32 tensor, into memory that exists."""
    x = torch.linspace(-8, 0, elements)
    out = torch.empty_like(x)

    def run() -> None:
        torch.exp(x, out=out)

    return elements / (_median_ms(run, 15, 5) / 1e3)


def _resident(field: str) -> int | None:
    """VmRSS or VmHWM (its peak) of this process in bytes; None where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":")), None)


def _peak_extra_mb(size: Size, backend: str, threads: int) -> float | None:
    """Peak memory of one training step; run in a fresh process, whose allocator holds nothing to hide it in.

    The kernel's own peak is read, not samples: Linux resets it on request. Kernels are compiled and threads started
    before, on a map that is small but not too small for threads.
    """
    torch.set_num_threads(threads)
    small = make_inputs((2, 256, 192, 1))
    _train(small, torch.ones_like(small[0]), backend)
    del small
    inputs = make_inputs(size)
    dy = torch.ones_like(inputs[0])
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is free but held would hide what is needed
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    before = _resident("VmRSS")
    _train(inputs, dy, backend)
    peak = _resident("VmHWM")
    return None if before is None or peak is None else (peak - before) / 1e6


def _measure_memory(size: Size, backend: str) -> float | None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak_extra_mb, size, backend, torch.get_num_threads()).result()


def measure(size: Size, rate: float, repeats: int, budget: float) -> list[Timing]:
    """Times every backend at one size, numba first.

    Args:
        size: (B, L, D, N), L a square.
        rate: Exponentials a second, from `exp_rate`.
        repeats: Calls that are timed, at most.
        budget: Seconds for the timed calls of one kind, about.
    """
    inputs = make_inputs(size)
    dy = torch.ones_like(inputs[0])
    exponentials = K * size[0] * size[1] * size[2] * size[3]
    forward: dict[str, float] = {}
    training: dict[str, float] = {}
    for backend in BACKENDS:

        def run_forward(backend: str = backend) -> None:
            with torch.no_grad():
                selective_scan_2d(*inputs, backend=backend)

        def run_training(backend: str = backend) -> None:
            _train(inputs, dy, backend)

        forward[backend] = _median_ms(run_forward, repeats, budget)
        training[backend] = _median_ms(run_training, repeats, budget)
    return [
        Timing(
            size=size,
            backend=backend,
            forward_ms=forward[backend],
            training_ms=training[backend],
            extra_mb=_measure_memory(size, backend),
            forward_exp_share=exponentials / (forward[backend] / 1e3) / rate,
            training_exp_share=2 * exponentials / (training[backend] / 1e3) / rate,
            speedup=training["reference"] / training[backend],
        )
        for backend in BACKENDS
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _row(t: Timing) -> str:
    memory = "-" if t.extra_mb is None else f"{t.extra_mb:.0f}"
    return (
        f"{t.size!s:<22}{t.backend:<11}{t.forward_ms:>11.1f}{t.training_ms:>12.1f}{memory:>10}"
        f"{t.speedup:>9.1f}x{t.forward_exp_share:>11.0%}{t.training_exp_share:>11.0%}"
    )


def bench_scan(quick: bool = False, json_path: Path | None = None) -> None:
    """Prints times, memory and the share of torch.exp's rate of the scan's CPU backends.

    Args:
        quick: Small sizes, a few repeats: shows that it runs, not how fast.
        json_path: Where to write the numbers and a description of the machine; its folder must exist.

    Raises:
        BackendError: if numba cannot be used.
    """
    rate = exp_rate(1 << (20 if quick else 26))
    machine = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "exponentials_per_second": rate,
    }
    print(
        f"{machine['processor']}, {machine['threads']} threads of {machine['cores']} cores, torch {torch.__version__}"
    )
    print(f"torch.exp: {rate / 1e9:.2f} billion a second. Extra memory is that of training, gradients included.")
    print(
        f"\n{'(B, L, D, N)':<22}{'backend':<11}{'forward ms':>11}{'training ms':>12}{'extra MB':>10}"
        f"{'speed-up':>10}{'exp, fwd':>11}{'exp, train':>11}"
    )
    timings: list[Timing] = []
    for size in QUICK_SIZES if quick else SIZES:
        for timing in measure(size, rate, repeats=3 if quick else 15, budget=2 if quick else 8):
            print(_row(timing), flush=True)
            timings.append(timing)
    if json_path is not None:
        text = json.dumps({"machine": machine, "quick": quick, "timings": [asdict(t) for t in timings]}, indent=2)
        write_text(json_path, text + "\n")
        print(f"\nwritten to {json_path}")
