"""What a machine can do at most, and how functions are timed and their memory measured on it."""

from __future__ import annotations

import ctypes
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch


@dataclass(frozen=True)
class Limits:
    """Rates of this device that bound what a network can do; each by torch, with memory that exists.

    Attributes:
        exponentials: Of float32 numbers a second (`torch.exp`, out of the caches).
        copied_bytes: Bytes read and written a second by copying a large tensor.
        multiply_accumulates: A second in a product of large float32 matrices (sgemm).
    """

    exponentials: float
    copied_bytes: float
    multiply_accumulates: float


def describe(device: str) -> dict[str, object]:
    """The machine in words, for a file of timings; `load_before` tells whether it was busy."""
    about: dict[str, object] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "device": device,
    }
    if device == "cuda":
        about["graphics_card"] = torch.cuda.get_device_name()
    return about


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def wait(device: str) -> None:
    """Waits for what was asked of a graphics card; the processor is done when it returns."""
    if device == "cuda":
        torch.cuda.synchronize()


def median_ms(function: Callable[[], object], repeats: int, budget: float, device: str = "cpu") -> float:
    """Median time of up to `repeats` calls after a first one, fewer (but one) once `budget` seconds are spent."""
    return median_ms_each({"": function}, repeats, budget, device)[""]


def median_ms_each(
    functions: Mapping[str, Callable[[], object]], repeats: int, budget: float, device: str = "cpu"
) -> dict[str, float]:
    """Likewise for several functions that are to be compared: called in turns, so that a slower spell hits all.

    Args:
        functions: By name. Where one returns a function, such as the backward pass of what it computed, only that is
            timed.
        repeats: Turns that are timed, at most.
        budget: Seconds for the turns, about; one is always timed.
        device: Where they run.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    start = time.perf_counter()
    for turn in range(repeats + 1):
        if turn > 1 and time.perf_counter() - start > budget:
            break
        for name, function in functions.items():
            if len(functions) > 1:
                function()  # what the others left in caches and of memory is not this one's time
            before = time.perf_counter()
            rest = function()
            wait(device)
            if callable(rest):
                before = time.perf_counter()
                rest()
                wait(device)
            times[name].append(time.perf_counter() - before)
        if turn == 0:  # kernels were compiled, memory taken
            times = {name: [] for name in functions}
            start = time.perf_counter()
    return {name: 1e3 * statistics.median(found) for name, found in times.items()}


def measure_limits(device: str, quick: bool) -> Limits:
    """Measures the three rates; `quick` takes tensors that are too small to be right."""
    elements, side = (1 << 20, 256) if quick else (1 << 26, 2048)
    x = torch.linspace(-8, 0, elements, device=device)
    out = torch.empty_like(x)
    a = torch.randn(side, side, device=device)
    product = torch.empty_like(a)

    def seconds(function: Callable[[], object]) -> float:
        return median_ms(function, 15, 4, device) / 1e3

    return Limits(
        exponentials=elements / seconds(lambda: torch.exp(x, out=out)),
        copied_bytes=8 * elements / seconds(lambda: out.copy_(x)),
        multiply_accumulates=side**3 / seconds(lambda: torch.mm(a, a, out=product)),
    )


def _resident(field: str) -> int | None:
    """VmRSS or VmHWM (its peak) of this process in bytes; None where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(field + ":")), None)


def peak_extra_mb(function: Callable[[], object]) -> float | None:
    """Peak resident memory of one call (10^6 bytes) above that held before it; None where the system does not tell.

    The kernel's own peak is read, not samples: Linux resets it on request. To be called in a fresh process, whose
    allocator holds nothing to hide it in, see `in_fresh_process`.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)  # what is free but held would hide what is needed
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    before = _resident("VmRSS")
    function()
    peak = _resident("VmHWM")
    return None if before is None or peak is None else (peak - before) / 1e6


def in_fresh_process(function: Callable[..., float | None], *arguments: object) -> float | None:
    """Calls a module's function in a process of its own, with this one's number of threads."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_with_threads, torch.get_num_threads(), function, arguments).result()


def _with_threads(threads: int, function: Callable[..., float | None], arguments: Sequence[object]) -> float | None:
    torch.set_num_threads(threads)
    return function(*arguments)
