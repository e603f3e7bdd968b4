"""Times and memory of the selective scan and the networks on this machine: `scgcnet bench all | scan | network`.

Each time is a median; only ratios within one run count.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import platform
import statistics
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

from scgcnet import files, zoo
from scgcnet.cost import count_cost
from scgcnet.scan import BackendError, available_backends, resolve_backend, selective_scan_2d
from scgcnet.scan.reference import K, positions

Row = dict[str, Any]  # of a table, as it is stored
Size = tuple[int, int, int, int]  # of a scan: B, L, D, N; L is a square
Inputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # of a scan: x, delta, A, B, C, skip
Network = tuple[str, str]  # name and size, as `create_model` takes them

PARTS = ("scan", "network")
SCANS: tuple[Size, ...] = (
    (1, 1024, 192, 1),  # its maps stay in a core's own cache
    (1, 4096, 192, 1),
    (1, 4096, 192, 16),
    (1, 16384, 192, 16),
    (4, 4096, 384, 1),
    (1, 65536, 192, 1),
)
QUICK_SCANS: tuple[Size, ...] = ((1, 256, 96, 1), (2, 256, 96, 16))
STEPWISE_STATES = 1 << 24  # states times steps above which the loop over steps takes minutes, and gigabytes
#: Trained at one image size: ours and the comparison methods at equal cost.
TRAINED: tuple[Network, ...] = tuple((name, "tiny") for name in zoo.model_names())
FIG10 = ("scgcnet", "danet", "convnext", "swin", "vmamba")
#: Run at the image sizes of Fig. 10.
RUN: tuple[Network, ...] = (
    *(("scgcnet", size) for size in ("tiny", "lean", "base")),
    *((name, "tiny") for name in FIG10[1:]),
)
IMAGES = (128, 256, 512, 1024, 2048)  # their sides, pixels
PROFILED: tuple[Network, ...] = tuple((name, "tiny") for name in ("scgcnet", "convnext", "swin"))
KINDS = {  # of operators in a profile, by parts of their names; the first match counts
    "convolution": ("conv", "mm", "addmm", "linear"),
    "normalisation": ("norm",),
    "activation": ("gelu", "silu", "relu", "softplus", "sigmoid"),
    "scan": ("selective_scan",),
    "sampling, resizing": ("grid_sample", "upsample", "pool"),
    "loss": ("sort", "softmax", "nll", "index", "nonzero", "cumsum"),
    "optimiser": ("adam",),
}
OTHER = "sums, copies, calls"


class BenchError(ValueError):
    """A measurement cannot be made: no such device, no data or weights, or an unreadable stored run."""


def median_ms(
    functions: Mapping[str, Callable[[], object]], repeats: int, budget: float, device: str = "cpu"
) -> dict[str, float]:
    """Median times of functions that are called in turns, so that a slow spell of the machine affects all.

    After a first turn that warms up come up to `repeats`, at least one, within about `budget` seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in functions}
    start = 0.0
    for turn in range(repeats + 1):
        if turn == 1:
            start = time.perf_counter()
        elif turn > 1 and time.perf_counter() - start > budget:
            break
        for name, function in functions.items():
            if len(functions) > 1:
                function()  # fills the caches again that the others have emptied
            before = time.perf_counter()
            function()
            if device == "cuda":
                torch.cuda.synchronize()
            if turn:
                times[name].append(time.perf_counter() - before)
    return {name: 1e3 * statistics.median(found) for name, found in times.items()}


def peak_extra_mb(function: Callable[[], object]) -> float | None:
    """Peak resident memory of a call above that held before, 10^6 bytes; None if the system does not report it.

    Call it in a fresh process, whose allocator holds no free memory.
    """

    def resident(field: str) -> int:
        status = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(f"{field}:"))

    try:
        ctypes.CDLL(None).malloc_trim(0)  # freed but held memory would hide what is needed
        Path("/proc/self/clear_refs").write_text("5")  # resets the kernel's own peak
        before = resident("VmRSS")
    except (OSError, AttributeError):
        return None
    function()
    return (resident("VmHWM") - before) / 1e6


def in_fresh_process(function: Callable[..., float | None], *arguments: object) -> float | None:
    """Calls a module's function in a process of its own, with this one's number of threads."""
    threads = torch.get_num_threads()
    context = get_context("spawn")
    with ProcessPoolExecutor(1, context, initializer=torch.set_num_threads, initargs=(threads,)) as process:
        return process.submit(function, *arguments).result()


def describe(device: str) -> dict[str, object]:
    """The machine in words, for a file of timings; `load_before` shows whether it was busy."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    names = [line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "device": device,
        **({"graphics_card": torch.cuda.get_device_name()} if device == "cuda" else {}),
    }


def measure_limits(device: str, quick: bool) -> dict[str, float]:
    """Rates of this device in float32, per second; `quick` takes tensors too small to be right."""
    elements, side = (1 << 20, 256) if quick else (1 << 26, 2048)
    x, a = torch.linspace(-8, 0, elements, device=device), torch.randn(side, side, device=device)
    out, product = torch.empty_like(x), torch.empty_like(a)
    work: dict[str, tuple[int, Callable[[], object]]] = {
        "exponentials": (elements, lambda: torch.exp(x, out=out)),
        "copied_bytes": (8 * elements, lambda: out.copy_(x)),  # read and written
        "multiply_accumulates": (side**3, lambda: torch.mm(a, a, out=product)),
    }
    return {what: 1e3 * n / median_ms({"": run}, 15, 4, device)[""] for what, (n, run) in work.items()}


def make_inputs(size: Size, device: str = "cpu") -> Inputs:
    """Random x, delta, A, B, C, skip of a square map, with gradients, of the magnitudes of a trained layer."""
    batch, length, channels, states = size
    side = round(length**0.5)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    x = normal(batch, side, side, channels)
    # As in the network, the step sizes of one direction lie together in memory.
    delta = F.softplus(normal(K, batch, side, side, channels) - 3).permute(1, 2, 3, 0, 4)
    A = -torch.exp(normal(K, channels, states))
    B, C = normal(batch, side, side, K, states), normal(batch, side, side, K, states)
    skip = normal(K, channels)
    for v in (x, delta, A, B, C, skip):
        v.requires_grad_()
    return x, delta, A, B, C, skip


def stepwise(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, skip: Tensor) -> Tensor:
    """The scan as a loop over steps with automatic gradients, as in mamba-ssm's reference."""
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
    return y[:, k, torch.argsort(where, dim=1)].sum(1).view(x.shape)


def backends(size: Size, device: str) -> list[str]:
    """The ways to scan that are timed at a size: the backends that take this device, and stepwise."""
    names = []
    for name, reason in available_backends().items():
        with suppress(BackendError):
            if reason is None and resolve_backend(device, backend=name):
                names.append(name)
    return [*names, *(["stepwise"] if K * math.prod(size) <= STEPWISE_STATES else [])]


def _scan(inputs: Inputs, backend: str) -> Tensor:
    return stepwise(*inputs) if backend == "stepwise" else selective_scan_2d(*inputs, backend=backend)


def _scan_extra_mb(size: Size, backend: str) -> float | None:
    """Of one training step on the CPU, once kernels are compiled and threads started on a small map."""

    def train(inputs: Inputs, dy: Tensor) -> None:
        torch.autograd.grad(_scan(inputs, backend), inputs, dy)

    small, inputs = make_inputs((2, 256, 192, 1)), make_inputs(size)
    train(small, torch.ones_like(small[0]))
    return peak_extra_mb(partial(train, inputs, torch.ones_like(inputs[0])))


def measure_scan(size: Size, limits: Mapping[str, float], device: str, repeats: int, budget: float) -> list[Row]:
    """Times every way to scan at one size; shares are of the device's rate of exponentials, one per state and step."""
    inputs = make_inputs(size, device)
    dy, names = torch.ones_like(inputs[0]), backends(size, device)

    def forward(name: str) -> None:
        with torch.no_grad():
            _scan(inputs, name)

    def backward(y: Tensor) -> None:
        torch.autograd.grad(y, inputs, dy, retain_graph=True)  # of all six inputs

    plain, keeping, back = (
        median_ms(functions, repeats, budget, device)
        for functions in (
            {name: partial(forward, name) for name in names},
            {name: partial(_scan, inputs, name) for name in names},
            {name: partial(backward, _scan(inputs, name)) for name in names},
        )
    )
    training = {name: keeping[name] + back[name] for name in names}
    ideal = K * math.prod(size) / (limits["exponentials"] / 1e3)  # ms that the exponentials alone would take
    return [
        {
            "size": size,
            "backend": name,
            "forward_ms": plain[name],
            "backward_ms": back[name],
            "extra_mb": in_fresh_process(_scan_extra_mb, size, name) if device == "cpu" else None,
            "forward_exp_share": ideal / plain[name],
            "backward_exp_share": ideal / back[name],
            "speedup": training["reference"] / training[name],
        }
        for name in names
    ]


def training_step(network: Network, images: Tensor, masks: Tensor) -> Callable[[], None]:
    """A function that trains fresh weights by one step of the study: the composite loss on every head, AdamW.

    Images are float32 (B, C, H, W), masks int64 (B, H, W).
    """
    from scgcnet.train.losses import composite_loss

    torch.manual_seed(0)
    model = zoo.create_model(*network, in_channels=images.shape[1]).to(images.device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        outputs = model(images)
        heads = [outputs] if isinstance(outputs, Tensor) else [outputs[0], *(head.logits for head in outputs[1])]
        loss = torch.stack([composite_loss(logits, masks) for logits in heads]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _random_step(network: Network, side: int, batch: int, device: str = "cpu") -> Callable[[], None]:
    images = torch.randn(batch, 3, side, side, device=device)
    return training_step(network, images, (torch.rand(batch, side, side, device=device) > 0.9).long())


def _training_extra_mb(network: Network, side: int, batch: int) -> float | None:
    step = _random_step(network, side, batch)
    step()
    return peak_extra_mb(step)


def _forward_extra_mb(network: Network, side: int) -> float | None:
    model, image = zoo.create_model(*network).eval(), torch.randn(1, 3, side, side)
    with torch.no_grad():
        model(image[..., :64, :64])  # compiles kernels
        return peak_extra_mb(lambda: model(image))


def measure_training(
    networks: Sequence[Network], side: int, batch: int, device: str, repeats: int, memory: bool
) -> list[Row]:
    """Times a training step of each network, in turns; `ratio` is the speed over that of the first."""
    steps = {" ".join(network): _random_step(network, side, batch, device) for network in networks}
    found = median_ms(steps, repeats, 60, device)
    first = next(iter(found.values()))
    return [
        {
            "network": network,
            "side": side,
            "batch": batch,
            "ms_per_image": ms / batch,
            "extra_mb": in_fresh_process(_training_extra_mb, network, side, batch) if memory else None,
            "ratio": first / ms,
        }
        for network, ms in zip(networks, found.values(), strict=True)
    ]


def measure_forward(
    network: Network, sides: Sequence[int], limits: Mapping[str, float], device: str, longest: float, memory: bool
) -> list[Row]:
    """Times inference of one network on square images of rising sides, pixels.

    An image that would take more than `longest` seconds, estimated from the one before, is counted and not run.
    `share` is of the multiply-accumulates that the device can do.
    """
    rows: list[Row] = []
    for side in sides:
        with torch.device("meta"):
            gmac = count_cost(zoo.create_model(*network), (1, 3, side, side)).gmac
        ms = extra = share = None
        if not rows or (rows[-1]["ms"] is not None and rows[-1]["ms"] / 1e3 * gmac / rows[-1]["gmac"] <= longest):
            model, image = zoo.create_model(*network).to(device).eval(), torch.randn(1, 3, side, side, device=device)
            with torch.inference_mode():
                ms = median_ms({"": partial(model, image)}, 9, 2 * longest, device)[""]
            extra = in_fresh_process(_forward_extra_mb, network, side) if memory else None
            share = gmac * 1e9 / (ms / 1e3) / limits["multiply_accumulates"]
        rows.append({"network": network, "side": side, "gmac": gmac, "ms": ms, "extra_mb": extra, "share": share})
    return rows


def measure_profile(network: Network, side: int, batch: int, rounds: int = 5) -> dict[str, float]:
    """Milliseconds of a training step on the CPU by kind of operator; their sum is a little above the step."""
    step = _random_step(network, side, batch)
    for _ in range(3):
        step()
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(rounds):
            step()
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        name = event.key.lower()
        kind = next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), OTHER)
        spent[kind] += event.self_cpu_time_total / 1e3 / rounds
    return {kind: spent[kind] for kind in (*KINDS, OTHER)}


def bench(
    parts: Collection[str] = PARTS,
    device: str = "cpu",
    quick: bool = False,
    json_path: Path | None = None,
    against: Path | None = None,
) -> dict[str, Any]:
    """Times the scan and the networks, and prints the tables `scan`, `training`, `forward` and `profile`.

    Args:
        parts: of `PARTS`.
        device: "cpu" or "cuda".
        quick: small sizes and few repeats: shows that it runs, not how fast.
        json_path: file to write the result to.
        against: file of an earlier run to compare with.

    Raises:
        BenchError: `against` cannot be read, or the device is missing; nothing was timed.
    """
    before = None if against is None else _read(against)
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("torch finds no CUDA device here: leave --device out, or install a CUDA build of torch")
    machine, limits = describe(device), measure_limits(device, quick)
    found: dict[str, Any] = {"machine": machine, "limits": limits, "quick": quick}
    print("\n".join(f"{key}: {value}" for key, value in machine.items()))
    print("limits, 10^9 per second: " + ", ".join(f"{key} {value / 1e9:.1f}" for key, value in limits.items()))
    memory = device == "cpu" and not quick
    if "scan" in parts:
        print("\nThe scan: speedup of training over the PyTorch reference, shares of the machine's exponentials")
        found["scan"] = []
        for size in QUICK_SCANS if quick else SCANS:
            found["scan"] += _show(measure_scan(size, limits, device, *((3, 2) if quick else (15, 8))))
    if "network" in parts:
        side, batch, repeats = (64, 2, 2) if quick else (128, 8, 9)
        print("\nTraining: ratio of the speed to that of the first network")
        trained = PROFILED if quick else TRAINED
        found["training"] = _show(measure_training(trained, side, batch, device, repeats, memory))
        print("\nInference on one image: share of the machine's multiply-accumulates")
        found["forward"] = []
        for network in RUN[:1] if quick else RUN:
            found["forward"] += _show(measure_forward(network, (64,) if quick else IMAGES, limits, device, 6, memory))
        if device == "cpu":
            found["profile"] = [
                {"network": one, "side": side, "batch": batch, "ms": measure_profile(one, side, batch)}
                for one in PROFILED
            ]
            print("\nMilliseconds of a training step")
            print(pd.DataFrame({" ".join(row["network"]): row["ms"] for row in found["profile"]}).round(1).to_string())
    found = json.loads(json.dumps(found))  # as it is read back
    write_json(json_path, found)
    if before is not None:
        print(f"\nAgainst {against}\n{compared(found, before)}")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
        return {**found, "machine": dict(found["machine"])}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BenchError(f"{path}: no timings: {error}; write some with scgcnet bench all --json FILE") from None


def _show(rows: list[Row]) -> list[Row]:
    """Prints rows as a table, and gives them back."""
    print(pd.DataFrame(rows).to_string(index=False, na_rep="-", float_format="{:.2f}".format), flush=True)
    return rows


def write_json(path: Path | None, found: Mapping[str, Any]) -> None:
    """Writes a measurement, if there is a file to write it to."""
    if path is not None:
        files.write_text(path, json.dumps(found, indent=1) + "\n")
        print(f"written to {path}")


def _times(found: Mapping[str, Any]) -> pd.Series:
    """Every time of a run in ms, by what was timed."""
    columns = {"scan": ("forward_ms", "backward_ms"), "training": ("ms_per_image",), "forward": ("ms",)}
    times: dict[str, float | None] = {}
    for part, names in columns.items():
        for row in found.get(part, []):
            what = f"{part} {row.get('size') or ' '.join(row['network'])} {row.get('backend') or row['side']}"
            times |= {f"{what} {name}": row[name] for name in names}
    return pd.Series(times, dtype=float)


def compared(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The times of two runs side by side; `speed` is how many times as fast the first is."""
    frame = pd.DataFrame({"now ms": _times(now), "then ms": _times(before)}).dropna()
    if frame.empty:
        return "nothing in common"
    frame["speed"] = frame["then ms"] / frame["now ms"]
    keys = ("processor", "cores", "threads", "device", "graphics_card")
    same = [now["machine"].get(key) for key in keys] == [before["machine"].get(key) for key in keys]
    note = "" if same else "\nanother machine or number of threads: the ratios are as much theirs as the code's"
    return str(frame.round(2).to_string()) + note
