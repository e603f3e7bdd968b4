"""Tables of the chapter on efficiency, after Fig. 10: cost by image size, timings of a machine, IoU by input size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from scgcnet.efficiency import cost_table
from scgcnet.study.paper import read_paper
from scgcnet.study.plan import project_root
from scgcnet.study.show import NONE, Link, Note, Table
from scgcnet.study.sides import STORED, curves
from scgcnet.study.store import BENCH_FOLDER
from scgcnet.study.tables import NOT_RUN

OURS = "SCGC-Net, base"
#: What Fig. 10 compares, at the sizes whose costs are the paper's, and our lean construction.
NETWORKS: dict[str, dict[str, Any]] = {
    OURS: {"name": "scgcnet", "size": "base"},
    "SCGC-Net, lean": {"name": "scgcnet", "size": "lean"},
    "UPerNet, VMamba-B": {"name": "vmamba", "size": "paper"},
    "UPerNet, ConvNeXt-B": {"name": "convnext", "size": "paper"},
    "UPerNet, Swin-B": {"name": "swin", "size": "paper"},
    "DANet, ResNet-50": {"name": "danet", "size": "paper"},
}
TIMINGS = f"{BENCH_FOLDER}/cpu.json"
DIRECTIONS = 4  # of the scan


def costs(labels: Sequence[str] | None, sides: Sequence[int]) -> dict[str, dict[int, float]]:
    """GMAC of networks for one square image by its side, counted without running them.

    Args:
        labels: Of `NETWORKS`; None for all.
        sides: Pixels.

    Raises:
        ValueError: A label is unknown.
    """
    labels = list(NETWORKS) if labels is None else labels
    unknown = [label for label in labels if label not in NETWORKS]
    if unknown:
        raise ValueError(f"models: {unknown[0]!r} is not known; there are {', '.join(NETWORKS)}")
    frame = cost_table({label: NETWORKS[label] for label in labels}, sides).set_index("network")
    return {label: {side: float(frame.loc[label, f"GMAC at {side}"]) for side in sides} for label in labels}


def gmac_table(found: Mapping[str, Mapping[int, float]]) -> Table:
    """GMAC by side, and beside the largest side what the paper reports where that is 2048 pixels."""
    paper = read_paper()
    peers = f"{paper.number('fig10_peers_lo')} to {paper.number('fig10_peers_hi')}"
    rows = []
    for label, by_side in found.items():
        row: dict[str, object] = {"Network": label}
        row |= {f"{side} px": f"{gmac:.4g}" for side, gmac in by_side.items()}
        if 2048 in by_side:
            lean = label.endswith("lean")
            row["Paper, 2048 px"] = (
                f"{float(paper.number('fig10_gflops_2048')):g}" if label == OURS else NONE if lean else peers
            )
        rows.append(row)
    return Table(pd.DataFrame(rows), "GMAC of one square image, counted")


def per_megapixel(found: Mapping[str, Mapping[int, float]]) -> dict[str, dict[int, float]]:
    """GMAC per 10^6 pixels by side: constant where the cost grows as the picture does."""
    return {label: {side: gmac / (side**2 / 1e6) for side, gmac in by_side.items()} for label, by_side in found.items()}


def growth_table(found: Mapping[str, Mapping[int, float]]) -> Table:
    """How cost grows from the smallest to the largest side, beside the growth of the picture."""
    rows = []
    for label, by_side in found.items():
        small, large = min(by_side), max(by_side)
        pixels, cost = (large / small) ** 2, by_side[large] / by_side[small]
        rows.append(
            {
                "Network": label,
                f"Pixels, {large} over {small} px": f"{pixels:.0f} times",
                "Cost": f"{cost:.0f} times",
                "Per pixel": "the same" if abs(cost / pixels - 1) < 0.01 else f"{cost / pixels:.2f} times",
            }
        )
    return Table(pd.DataFrame(rows), "Growth of the picture and of the cost")


def cost_note(found: Mapping[str, Mapping[int, float]]) -> Note:
    """What the counts say of the paper's figure, in sentences; without `base` or 2048 pixels, that they are missing."""
    at = {label: by_side[2048] for label, by_side in found.items() if 2048 in by_side}
    others = {label: gmac for label, gmac in at.items() if not label.startswith("SCGC-Net")}
    if OURS not in at or not others:
        return Note("No verdict", "The paper's figure ends at 2048 px, with base and its four rivals: name them all.")
    share = [100 * (1 - at[OURS] / gmac) for gmac in others.values()]
    text = (
        f"Our reading base was chosen among many because it costs what the paper reports ({at[OURS]:.0f} GMAC at 2048 "
        f"px), and the rivals' sizes because theirs do: none of this is evidence. It saves {min(share):.0f} to "
        f"{max(share):.0f} % beside them."
    )
    if (lean := at.get("SCGC-Net, lean")) is not None:
        text += f" The construction lean takes {lean:.0f} GMAC, {100 * lean / at[OURS]:.0f} % of base."
    return Note("Fitted, so no evidence", text)


def read_timings(path: str = TIMINGS) -> dict[str, Any] | None:
    """The stored run of `scgcnet bench all`; None where there is none."""
    file = project_root() / path
    return dict(json.loads(file.read_text())) if file.is_file() else None


def machine_note(found: Mapping[str, Any] | None, path: str = TIMINGS) -> Note:
    """On what the timings were taken, and what bounds them."""
    if found is None:
        return Note("No timings", f"{path} is not there: `scgcnet bench all --json {path}` makes it.", "warning")
    machine, limits = found["machine"], found["limits"]
    return Note(
        "Measured on",
        f"{machine['processor']}, {machine['threads']} threads of {machine['cores']} cores, torch {machine['torch']}. "
        f"It multiplies large matrices at {limits['multiply_accumulates'] / 1e9:.0f} GMAC, copies "
        f"{limits['copied_bytes'] / 1e9:.0f} GB and computes {limits['exponentials'] / 1e9:.1f} billion exponentials a "
        f"second. From {path}; `make bench` times this machine.",
    )


def latency_table(found: Mapping[str, Any] | None, path: str = TIMINGS) -> Table:
    """Inference on one image by size: milliseconds and peak memory."""
    rows: dict[str, dict[str, object]] = {}
    for entry in (found or {}).get("forward", []):
        row = rows.setdefault(" ".join(entry["network"]), {})
        row[f"{entry['side']} px"] = _time_and_memory(entry)
    frame = pd.DataFrame.from_dict(rows, orient="index").reset_index(names="Network")
    if frame.empty:
        frame = pd.DataFrame([{"Network": NOT_RUN}])
    frame["File"] = [Link("timings", path)] * len(frame)
    return Table(frame, "One image: milliseconds, and megabytes of memory beside the weights")


def _time_and_memory(entry: Mapping[str, Any]) -> str:
    if entry["ms"] is None:
        return "not run"
    memory = "" if entry["extra_mb"] is None else f", {entry['extra_mb']:.0f} MB"
    return f"{_digits(entry['ms'])} ms{memory}"


def _digits(value: float) -> str:
    """Three digits, or all of a larger whole part."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def training_table(found: Mapping[str, Any] | None, path: str = TIMINGS) -> Table:
    """A training step of every network at equal cost, the fastest first."""
    rows = [
        {
            "Network": " ".join(entry["network"]),
            "Image": f"{entry['side']} px, {entry['batch']} a step",
            "ms an image": f"{entry['ms_per_image']:.1f}",
            "Memory": NOT_RUN if entry["extra_mb"] is None else f"{entry['extra_mb']:.0f} MB",
            "Speed beside SCGC-Net": f"{entry['ratio']:.2f}",
            "File": Link("timings", path),
        }
        for entry in sorted((found or {}).get("training", []), key=lambda entry: float(entry["ms_per_image"]))
    ]
    return Table(pd.DataFrame(rows or [{"Network": NOT_RUN}]), "Training steps at equal cost")


def scan_table(found: Mapping[str, Any] | None) -> Table:
    """The scan by size and backend, each pass beside what the machine can do at most.

    "Exponentials" is the share of the rate at which the machine computes them, one a state and step. "Memory" is the
    share of the rate at which it copies, where every map is read or written just once: forward the step sizes, x and y;
    backward the step sizes, x and the gradient of y, and a gradient for each. A kernel with an exponential of its own
    can pass the first, none the second.
    """
    rows = []
    for entry in (found or {}).get("scan", []):
        batch, length, channels, states = entry["size"]
        row: dict[str, object] = {"Images, steps, channels, states": f"{batch}, {length}, {channels}, {states}"}
        row["Scan"] = entry["backend"]
        for way, maps in (("forward", (1, 2)), ("backward", (2, 3))):
            moved = 4 * batch * length * channels * (maps[0] * DIRECTIONS + maps[1])
            memory = moved / (entry[f"{way}_ms"] / 1e3) / found["limits"]["copied_bytes"]  # type: ignore[index]
            row[way.capitalize()] = f"{_digits(entry[f'{way}_ms'])} ms"
            row[f"Exponentials, {way}"] = f"{100 * entry[f'{way}_exp_share']:.0f} %"
            row[f"Memory, {way}"] = f"{100 * memory:.0f} %"
        row["Speed beside PyTorch"] = f"{entry['speedup']:.3g} times"
        rows.append(row)
    return Table(pd.DataFrame(rows or [{"Scan": NOT_RUN}]), "The scan, and its share of what the machine can do")


def profile_table(found: Mapping[str, Any] | None) -> Table:
    """Where the time of a training step goes, by kind of operator."""
    columns = {
        " ".join(entry["network"]): {
            f"{kind}": f"{ms:.1f}" for kind, ms in {**entry["ms"], "sum": sum(entry["ms"].values())}.items()
        }
        for entry in (found or {}).get("profile", [])
    }
    frame = pd.DataFrame(columns).reset_index(names="Milliseconds of a step")
    return Table(frame if columns else pd.DataFrame([{"Network": NOT_RUN}]), "Where a training step's time goes")


def profile_note(found: Mapping[str, Any] | None) -> Note:
    """Why a training step of the first network profiled takes longer, or less long, than one of each other.

    The kinds of operators are named, those that cost most more first, as long as each is a twentieth of a step or more.
    """
    profiles = {" ".join(entry["network"]): entry["ms"] for entry in (found or {}).get("profile", [])}
    if len(profiles) < 2:
        return Note("No profiles", "Two networks are needed: `scgcnet bench all` makes them.", "warning")
    (name, ours), *others = profiles.items()
    sentences = []
    for other, theirs in others:
        more = {kind: ms - theirs.get(kind, 0.0) for kind, ms in ours.items()}
        least = sum(theirs.values()) / 20
        told = [f"{kind} {ms:+.0f}" for kind, ms in sorted(more.items(), key=lambda item: -item[1]) if abs(ms) >= least]
        sentences.append(f"beside {other} {sum(more.values()):+.0f} ms ({', '.join(told) or 'nothing stands out'})")
    text = f"A step of {name} takes {sum(ours.values()):.0f} ms, {'; '.join(sentences)}."
    return Note("What the difference is made of", text)


def sides_note(measured: Mapping[str, Any] | None, place: str) -> Note:
    """In sentences, how the networks do at the smallest and the largest side, beside the one they were trained at."""
    found = curves(measured, place)
    if measured is None or not found:
        return Note("Not run", f"`scgcnet bench sides --json {STORED}` tries the trained networks.", "warning")
    home, sides = measured["trained_at"], list(next(iter(found.values())))
    best = sum(max(by_side, key=lambda side: by_side[side]) == home for by_side in found.values())
    told = "; ".join(
        f"at {side} px "
        + ", ".join(f"{name} {found[name][side]:.1f}" for name in sorted(found, key=lambda name: -found[name][side]))
        for side in dict.fromkeys((home, sides[0], sides[-1]))
    )
    return Note(
        f"Trained at {home} px, fed {sides[0]} to {sides[-1]} px: {place}",
        f"{best} of {len(found)} networks are best at the size they were trained at. IoU in percent, the best first: "
        f"{told}. One training each.",
    )


def iou_table(measured: Mapping[str, Any] | None, place: str, where: str) -> Table | Note:
    """IoU by image size on one data set, with the side that is best for each network; a note where there is nothing.

    Args:
        measured: of `sides.read_sides`.
        place: name of the data set.
        where: the same in words.
    """
    found = curves(measured, place)
    if measured is None or not found:
        return Note(f"Not run: {where}", f"`scgcnet bench sides --json {STORED}` tries the trained networks.")
    rows = [
        {
            "Network": label,
            **{f"{side} px": f"{iou:.1f}" for side, iou in by_side.items()},
            "Best at": f"{list(by_side)[int(np.argmax(list(by_side.values())))]} px",
            "Run": Link(f"seed {measured['networks'][label]['seed']}", measured["networks"][label]["file"]),
        }
        for label, by_side in found.items()
    ]
    caption = (
        f"IoU in percent at native size by side of the input, on {measured['places'][place]['images']} images of "
        f"{where}; all were trained at {measured['trained_at']} px"
    )
    return Table(pd.DataFrame(rows), caption)
