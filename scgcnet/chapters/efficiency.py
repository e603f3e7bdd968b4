"""Efficiency, after Fig. 10: cost by image size, timings of one machine, IoU by input size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from scgcnet.cost import cost_table
from scgcnet.study.networks import NOT_RUN, Network, many, run_links, title_of
from scgcnet.study.paper import read_paper
from scgcnet.study.runs import project_root
from scgcnet.study.show import NONE, Link, Note, Table

OURS, LEAN = "SCGC-Net, base", "SCGC-Net, lean"
#: The networks of Fig. 10, at the sizes whose costs are the paper's, and our lean construction.
NETWORKS: dict[str, dict[str, Any]] = {
    OURS: {"name": "scgcnet", "size": "base"},
    LEAN: {"name": "scgcnet", "size": "lean"},
    "UPerNet, VMamba-B": {"name": "vmamba", "size": "paper"},
    "UPerNet, ConvNeXt-B": {"name": "convnext", "size": "paper"},
    "UPerNet, Swin-B": {"name": "swin", "size": "paper"},
    "DANet, ResNet-50": {"name": "danet", "size": "paper"},
}
TIMINGS, SIDES = "results/bench/cpu.json", "results/bench/sides.json"
DIRECTIONS = 4  # of the scan
#: Maps that a pass of the scan reads or writes at least once. Forward: a step size for each direction, x and y;
#: backward: the step sizes, x, the gradient of y, and a gradient for each of the step sizes and x.
MAPS = {"forward": DIRECTIONS + 2, "backward": 2 * DIRECTIONS + 3}
Curves = dict[str, dict[int, float]]  # network -> side in pixels -> value
Bench = Mapping[str, Any] | None


def costs(labels: Sequence[str] | None, sides: Sequence[int]) -> Curves:
    """GMAC of some of `NETWORKS` for one square image by its side in pixels, counted without running them."""
    labels = list(NETWORKS) if labels is None else labels
    if unknown := [label for label in labels if label not in NETWORKS]:
        raise ValueError(f"models: {unknown[0]!r} is not known; there are {', '.join(NETWORKS)}")
    frame = cost_table({label: NETWORKS[label] for label in labels}, sides).set_index("network").filter(like="GMAC")
    return dict(frame.set_axis(list(sides), axis=1).to_dict("index"))


def per_megapixel(found: Curves) -> Curves:
    """GMAC per 10^6 pixels by side."""
    return {label: {side: gmac / (side**2 / 1e6) for side, gmac in by_side.items()} for label, by_side in found.items()}


def gmac_table(found: Curves) -> Table:
    """GMAC by side, beside what the paper reports for 2048 pixels."""
    paper = read_paper()
    printed = dict.fromkeys(NETWORKS, f"{paper.number('fig10_peers_lo')} to {paper.number('fig10_peers_hi')}")
    printed |= {OURS: f"{float(paper.number('fig10_gflops_2048')):g}", LEAN: NONE}
    table = pd.DataFrame(found).T.map("{:.4g}".format).add_suffix(" px")
    if "2048 px" in table:
        table["Paper, 2048 px"] = table.index.map(printed)
    return Table(table.reset_index(names="Network"), "GMAC of one square image, counted")


def growth_table(found: Curves) -> Table:
    """Growth of the cost from the smallest to the largest side, beside that of the number of pixels."""
    costs = pd.DataFrame(found).T
    small, large = costs.columns.min(), costs.columns.max()
    pixels, cost = (large / small) ** 2, costs[large] / costs[small]
    columns = {
        "Network": costs.index,
        f"Pixels, {large} over {small} px": f"{pixels:.0f} times",
        "Cost": cost.map("{:.0f} times".format),
        "Per pixel": (cost / pixels).map("{:.2f} times".format).mask((cost / pixels - 1).abs() < 0.01, "the same"),
    }
    return Table(pd.DataFrame(columns), "Growth of the image and of the cost")


def cost_note(found: Curves) -> Note:
    """What the counts at 2048 pixels say of Fig. 10."""
    at = pd.Series({label: by_side[2048] for label, by_side in found.items() if 2048 in by_side})
    others = at.drop([OURS, LEAN], errors="ignore")
    if OURS not in at or others.empty:
        return Note("No verdict", f"Fig. 10 is about 2048 px: name that side, {OURS} and another network.")
    saved = 100 * (1 - at[OURS] / others)
    text = f"At 2048 px base costs {at[OURS]:.0f} GMAC, {saved.min():.0f} to {saved.max():.0f} % less than the others. "
    text += "All sizes were chosen to meet the paper's costs, so this is no evidence."
    if LEAN in at:
        text += f" The construction lean takes {at[LEAN]:.0f} GMAC, {100 * at[LEAN] / at[OURS]:.0f} % of base."
    return Note("Fitted, so no evidence", text)


def read_bench(path: str) -> dict[str, Any] | None:
    """What `scgcnet bench` stored, by its path relative to the project; None if there is no such file."""
    file = project_root() / path
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else None


def machine_note(found: Bench, path: str = TIMINGS) -> Note:
    """The machine of the timings, and its limits."""
    if found is None:
        return Note("No timings", f"{path} does not exist: `scgcnet bench all --json {path}` makes it.", "warning")
    machine, limits = found["machine"], found["limits"]
    return Note(
        "Measured on",
        f"{machine['processor']}, {machine['threads']} threads of {machine['cores']} cores, torch {machine['torch']}. "
        f"Per second it multiplies large matrices at {limits['multiply_accumulates'] / 1e9:.0f} GMAC, copies "
        f"{limits['copied_bytes'] / 1e9:.0f} GB and computes {limits['exponentials'] / 1e9:.1f} billion exponentials. "
        f"From {path}; `make bench` times this machine.",
    )


def _entries(found: Bench, part: str) -> list[dict[str, Any]]:
    """One part of the timings, networks as text; empty without timings."""
    stored = (found or {}).get(part, [])
    return [
        entry | {"network": " ".join((title_of(name), *size))}
        for entry in stored
        for name, *size in [entry.get("network", [""])]
    ]


def latency_table(found: Bench) -> Table:
    """Inference on one image by size: milliseconds and peak memory."""
    rows: dict[str, dict[str, object]] = {}
    for entry in _entries(found, "forward"):
        memory = "" if entry["extra_mb"] is None else f", {entry['extra_mb']:.0f} MB"
        time = NOT_RUN if entry["ms"] is None else f"{_digits(entry['ms'])} ms{memory}"
        rows.setdefault(entry["network"], {"Network": entry["network"]})[f"{entry['side']} px"] = time
    frame = pd.DataFrame(list(rows.values()) or [{"Network": NOT_RUN}]).fillna(NOT_RUN)
    caption = "One image: milliseconds, and megabytes of memory beside the weights"
    return Table(frame, caption)


def _digits(value: float) -> str:
    """Three digits, or all of a larger whole part."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def training_table(found: Bench, path: str = TIMINGS) -> Table:
    """A training step of every network at equal cost, the fastest first."""
    rows = [
        {
            "Network": entry["network"],
            "Image": f"{entry['side']} px, {entry['batch']} a step",
            "ms an image": f"{entry['ms_per_image']:.1f}",
            "Memory": NOT_RUN if entry["extra_mb"] is None else f"{entry['extra_mb']:.0f} MB",
            "Speed beside SCGC-Net": f"{entry['ratio']:.2f}",
            "File": Link("timings", path),
        }
        for entry in sorted(_entries(found, "training"), key=lambda entry: float(entry["ms_per_image"]))
    ]
    return Table(pd.DataFrame(rows or [{"Network": NOT_RUN}]), "Training steps at equal cost")


def scan_table(found: Bench) -> Table:
    """The scan by size and backend, each pass beside the limits of the machine.

    "Exponentials": share of the rate of torch's exponential, of which every state and step takes one; a kernel with an
    exponential of its own can exceed it. "Memory": share of the copying rate, if each of `MAPS` moves just once.
    """
    rows = []
    for entry in _entries(found, "scan"):
        batch, length, channels, states = entry["size"]
        row: dict[str, object] = {"Images, steps, channels, states": f"{batch}, {length}, {channels}, {states}"}
        row["Scan"] = entry["backend"]
        for way, maps in MAPS.items():
            rate = 4 * batch * length * channels * maps / (entry[f"{way}_ms"] / 1e3)  # bytes per second
            row[way.capitalize()] = f"{_digits(entry[f'{way}_ms'])} ms"
            row[f"Exponentials, {way}"] = f"{100 * entry[f'{way}_exp_share']:.0f} %"
            row[f"Memory, {way}"] = f"{100 * rate / found['limits']['copied_bytes']:.0f} %"  # type: ignore[index]
        rows.append(row | {"Speed beside PyTorch": f"{entry['speedup']:.3g} times"})
    return Table(pd.DataFrame(rows or [{"Scan": NOT_RUN}]), "The scan, and its share of what the machine can do")


def _profiles(found: Bench) -> pd.DataFrame:
    """Milliseconds of a training step by kind of operator, a column for each profiled network."""
    return pd.DataFrame({entry["network"]: entry["ms"] for entry in _entries(found, "profile")})


def profile_table(found: Bench) -> Table:
    """Time of a training step by kind of operator."""
    frame = _profiles(found)
    frame.loc["sum"] = frame.sum()
    shown = frame.map("{:.1f}".format).reset_index(names="Milliseconds of a step")
    return Table(shown if len(frame.columns) else pd.DataFrame([{"Network": NOT_RUN}]), "Time of a training step")


def profile_note(found: Bench) -> Note:
    """Difference of the first network's training step from each other one's, by kinds that make 5 % of the other."""
    frame = _profiles(found)
    if len(frame.columns) < 2:
        return Note("No profiles", "Two networks are needed: `scgcnet bench all` makes them.", "warning")
    ours = frame.iloc[:, 0]
    text = f"A step of {ours.name} takes {ours.sum():.0f} ms"
    for other, theirs in frame.iloc[:, 1:].items():
        more = (ours - theirs).sort_values(ascending=False, kind="stable")
        large = ", ".join(f"{kind} {ms:+.0f}" for kind, ms in more.items() if abs(ms) >= theirs.sum() / 20)
        text += f"; beside {other} {more.sum():+.0f} ms ({large or 'no kind stands out'})"
    return Note("Where the difference comes from", f"{text}.")


def iou_curves(measured: Bench, place: str) -> Curves:
    """IoU in percent by network and side on one data set; empty if nothing is stored."""
    stored = measured["places"][place]["iou"] if measured else {}
    return {title_of(name): {int(side): iou for side, iou in by_side.items()} for name, by_side in stored.items()}


def sides_table(measured: Bench, place: str, where: str) -> Table:
    """IoU by image size on the data set `place`, in words `where`, with the best side of each network."""
    found = iou_curves(measured, place)
    if measured is None or not found:
        return Table(pd.DataFrame([{"Network": NOT_RUN}]), f"IoU on {where}: `scgcnet bench sides --json {SIDES}`")
    home, images = measured["trained_at"], measured["places"][place]["images"]
    ious = pd.DataFrame(found).T
    best = ious.idxmax(axis=1)
    table = ious.map("{:.1f}".format).add_suffix(" px").assign(**{"Best at": best.map("{} px".format)})
    runs = [measured["networks"][name] for name in measured["places"][place]["iou"]]
    table["Run"] = [Link(f"seed {run['seed']}", run["file"]) for run in runs]
    caption = f"IoU in percent at native size by side of the input, on {images} images of {where}; all were trained at "
    caption += f"{home} px, the best side for {(best == home).sum()} of {len(best)}"
    return Table(table.reset_index(names="Network"), caption)


def trained_sides_table(sides: Mapping[int, Mapping[str, Network]]) -> Table:
    """Test IoU of networks that were trained anew at each side (`Evidence.sides`), at native size, mean over seeds."""
    names = dict.fromkeys(name for found in sides.values() for name in found)
    rows = []
    for name in names:
        row: dict[str, object] = {"Network": name}
        for side, found in sorted(sides.items()):
            one = found.get(name)
            row[f"{side} px"] = f"{one.mean(way='pooled'):.1f} ({many(len(one.runs), 'seed')})" if one else NOT_RUN
        runs = pd.concat([found[name].runs for found in sides.values() if name in found])
        rows.append({**row, "Runs": run_links(runs)})
    caption = "Test IoU on Bijie at native size, of networks trained anew at each side of the image (%)"
    return Table(pd.DataFrame(rows or [{"Network": NOT_RUN}]), caption)
