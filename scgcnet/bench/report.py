"""All timings in one run: printed as tables, written as JSON, compared with a stored run."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from scgcnet.bench import network, scan
from scgcnet.bench.machine import Limits, describe, measure_limits
from scgcnet.files import write_text

PARTS = ("scan", "network")
PROFILED: tuple[network.Named, ...] = tuple((name, "tiny") for name in ("scgcnet", "convnext", "swin"))


class BenchError(ValueError):
    """Timings that cannot be had: no such device, or a stored run that cannot be read."""


def bench(
    parts: Collection[str] = PARTS,
    device: str = "cpu",
    quick: bool = False,
    json_path: Path | None = None,
    against: Path | None = None,
) -> dict[str, Any]:
    """Times what is asked for and prints it.

    Args:
        parts: Of `PARTS`.
        device: "cpu" or "cuda".
        quick: Small sizes, a few repeats: shows that it runs, not how fast.
        json_path: Where to write the numbers and a description of the machine; its folder must exist.
        against: A file written so before, to compare with.

    Returns:
        What is written: the machine, its limits, and by part the rows of the tables.

    Raises:
        BenchError: `against` cannot be read, or the device is not there; nothing was timed.
    """
    before = None if against is None else read(against)
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchError("torch finds no CUDA device here: leave --device out, or install a CUDA build of torch")
    machine = describe(device)
    limits = measure_limits(device, quick)
    print(
        f"{machine.get('graphics_card') or machine['processor']}, {machine['threads']} threads of {machine['cores']} "
        f"cores, torch {machine['torch']}\n"
        f"limits: {limits.exponentials / 1e9:.2f} billion exponentials, {limits.copied_bytes / 1e9:.1f} GB copied "
        f"(read and written), {limits.multiply_accumulates / 1e9:.0f} GMAC of sgemm, a second"
    )
    found: dict[str, Any] = {"machine": machine, "limits": asdict(limits), "quick": quick}
    if "scan" in parts:
        found["scan"] = _bench_scan(limits, device, quick)
    if "network" in parts:
        found |= _bench_network(limits, device, quick)
    found = json.loads(json.dumps(found))  # as it will be read
    if json_path is not None:
        write_text(json_path, json.dumps(found, indent=1) + "\n")
        print(f"\nwritten to {json_path}")
    if before is not None:
        print(f"\n{compared(found, before, str(against))}")
    return found


def _bench_scan(limits: Limits, device: str, quick: bool) -> list[dict[str, Any]]:
    print(f"\nSpeed-up: of training, over the best PyTorch. Extra memory is that of training.\n{scan.HEADER}")
    rows = []
    for size in scan.QUICK_SIZES if quick else scan.SIZES:
        for timing in scan.measure(size, limits, device, repeats=3 if quick else 15, budget=2 if quick else 8):
            print(scan.row(timing), flush=True)
            rows.append(asdict(timing))
    return rows


def _bench_network(limits: Limits, device: str, quick: bool) -> dict[str, Any]:
    memory = device == "cpu" and not quick
    trained = PROFILED if quick else network.TRAINED
    side, batch, repeats = (64, 2, 2) if quick else (128, 8, 9)
    print(f"\nSpeed: images a second, over those of the first.\n{network.TRAINING_HEADER}")
    training = network.measure_training(trained, side, batch, device, repeats, memory)
    for step in training:
        print(network.training_row(step), flush=True)
    print(f"\n{network.FORWARD_HEADER}")
    forward = []
    for which in network.RUN[:1] if quick else network.RUN:
        sides = (64,) if quick else network.SIDES
        for image in network.measure_forward(which, sides, limits, device, 6, memory):
            print(network.forward_row(image), flush=True)
            forward.append(asdict(image))
    found: dict[str, Any] = {"training": [asdict(step) for step in training], "forward": forward}
    if device == "cpu":
        found["profile"] = _bench_profile(side, batch)
    return found


def _bench_profile(side: int, batch: int) -> list[dict[str, Any]]:
    """Where a training step's time goes, printed with a column for each network."""
    spent = {which: network.measure_profile(which, side, batch) for which in PROFILED}
    print("\n" + f"{'ms of a training step':<24}" + "".join(f"{' '.join(which):>16}" for which in spent))
    for kind in (*network.KINDS, network.OTHER):
        print(f"{kind:<24}" + "".join(f"{ms[kind]:>16.1f}" for ms in spent.values()))
    print(f"{'sum':<24}" + "".join(f"{sum(ms.values()):>16.1f}" for ms in spent.values()))
    return [{"network": which, "side": side, "batch": batch, "ms": ms} for which, ms in spent.items()]


def read(path: Path) -> dict[str, Any]:
    """A file of timings that `bench` wrote.

    Raises:
        BenchError: It is missing or no such file.
    """
    try:
        found = json.loads(path.read_text())
        machine, quick = found["machine"], found["quick"]
    except OSError as error:
        raise BenchError(
            f"{path}: cannot be read: {error.strerror}; write one with scgcnet bench --json FILE"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path}: no timings of scgcnet bench ({error!r})") from None
    if not isinstance(machine, dict) or not isinstance(quick, bool):
        raise BenchError(f"{path}: no timings of scgcnet bench")
    return dict(found)


def _times(found: Mapping[str, Any]) -> dict[str, float]:
    """Every time of a run by what it is of, in ms."""
    times: dict[str, float] = {}
    for row in found.get("scan", []):
        for kind in ("forward", "backward"):
            times[f"scan {tuple(row['size'])} {row['backend']}, {kind}"] = row[f"{kind}_ms"]
    for row in found.get("training", []):
        times[f"training {' '.join(row['network'])} at {row['side']} px"] = row["ms_per_image"]
    for row in found.get("forward", []):
        if row["ms"] is not None:
            times[f"one image {' '.join(row['network'])} at {row['side']} px"] = row["ms"]
    return times


def compared(now: Mapping[str, Any], before: Mapping[str, Any], name: str) -> str:
    """The times of two runs side by side, with how many times as fast the first is."""
    new, old = _times(now), _times(before)
    both = [what for what in new if what in old]
    lines = [f"{f'against {name}':<56}{'now ms':>10}{'then ms':>10}{'speed':>8}"]
    lines += [f"{what:<56}{new[what]:>10.1f}{old[what]:>10.1f}{old[what] / new[what]:>7.2f}x" for what in both]
    keys = ("processor", "cores", "threads", "device", "graphics_card")
    if not both:
        lines.append("nothing in common")
    elif [now["machine"].get(key) for key in keys] != [before["machine"].get(key) for key in keys]:
        lines.append("another machine or number of threads: the ratios are as much theirs as the code's")
    return "\n".join(lines)
