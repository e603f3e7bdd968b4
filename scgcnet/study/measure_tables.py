"""Finer than a pixel score: landslides found by size, edges, false alarms, scores by place and ground resolution."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import pandas as pd

from scgcnet.study.contest import Contestant, gather, image_interval
from scgcnet.study.details import Details, ImageDetail
from scgcnet.study.plan import Plan, Run, at_home
from scgcnet.study.runner import weights_for
from scgcnet.study.show import NONE, Link, Links, Note, Table
from scgcnet.study.store import Record
from scgcnet.study.tables import SCORES, many

#: Upper ends of the size classes: square metres where the ground resolution is known, else pixels.
SIZES = (500, 2_000, 5_000, 20_000)
FOUND = 0.5  # a landslide counts as found if at least this share of its pixels is


@dataclass(frozen=True)
class SizeClass:
    """Landslides of one size: how many there are, and in percent how many were found and how much of them."""

    label: str
    landslides: int
    found: float
    low: float
    high: float
    area: float


def by_size(one: Contestant) -> list[SizeClass]:
    """Landslides of the test images by size: mean over seeds, Wilson's interval of the share that is found."""
    metric = all(image.resolution for image in one.details[0].images)
    unit = "m²" if metric else "px"
    ends = [0, *SIZES, float("inf")]
    classes = []
    for low, high in itertools.pairwise(ends):
        hits = [
            (pixels, found)
            for details in one.details
            for image in details.images
            for pixels, found in image.components
            if low <= pixels * ((image.resolution or 1.0) ** 2 if metric else 1.0) < high
        ]
        label = f"{low:,} to {high:,} {unit}" if high < float("inf") else f"{low:,} {unit} and more"
        if not hits:
            continue
        pixels, parts = np.array(hits, dtype=float).T
        number = len(hits) // len(one.details)
        share = float((parts >= FOUND * pixels).mean())
        edges = _wilson(share, number)
        classes.append(SizeClass(label, number, 100 * share, *edges, 100 * float((parts / pixels).mean())))
    return classes


def _wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval of a share of n cases, percent (Wilson 1927)."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return 100 * max(0.0, float(middle - half)), 100 * min(1.0, float(middle + half))


def size_table(found: Sequence[Contestant]) -> Table:
    """Landslides found by size, a row for each network."""
    rows = []
    for one in counted(found):
        row: dict[str, object] = {"Network": one.name, "Seeds counted": counted_of(one)}
        for size in by_size(one):
            row[f"{size.label} ({size.landslides})"] = f"{size.found:.0f} found, {size.area:.0f} of area"
        rows.append(row | {"Counts": details_links(one.details)})
    return _table(
        rows, "Landslides of the test images by size (number): found by at least half, and mean share (%)", found
    )


def size_curves(
    found: Sequence[Contestant], names: Sequence[str]
) -> tuple[dict[str, list[tuple[str, float, float, float]]], list[int]]:
    """The same for a figure: name -> label, share found, low and high in percent; and how many of each size."""
    shown = [one for one in counted(found) if one.name in names]
    curves = {one.name: [(c.label, c.found, c.low, c.high) for c in by_size(one)] for one in shown}
    return curves, [size.landslides for size in by_size(shown[0])] if shown else []


def leading(found: Sequence[Contestant], first: str, n: int) -> list[Contestant]:
    """One network, then those of the others with the highest mean IoU whose weights are at hand, `n` in all."""
    able = [one for one in found if any(weights_for(record) for record in one.records)]
    ranked = sorted(able, key=lambda one: (one.name != first, -fmean(one.scores("iou"))))
    return ranked[:n]


def edge_table(found: Sequence[Contestant]) -> Table:
    """Boundary IoU by width of the band, a row for each network."""
    rows = []
    for one in counted(found):
        row: dict[str, object] = {"Network": one.name, "Seeds counted": counted_of(one)}
        for place, width in enumerate(one.details[0].widths):
            row[f"{width} px"] = f"{boundary_iou(one, place):.1f}"
        rows.append(row | {"Counts": details_links(one.details)})
    caption = "Boundary IoU by width of the band, at native size, pixels of all test images, mean over seeds (%)"
    return _table(rows, caption, found)


def boundary_iou(one: Contestant, place: int) -> float:
    """Boundary IoU in percent over all test images, mean over seeds; `place` is that of the width in the details."""
    values = []
    for details in one.details:
        both, either = np.sum([image.boundary[place] for image in details.images], axis=0)
        values.append(100 * both / max(either, 1))
    return float(np.mean(values))


def alarm_table(found: Sequence[Contestant]) -> Table:
    """False alarms on the test images and on landslide-free images of the same place, a row for each network."""
    rows = []
    for one in counted(found):
        row: dict[str, object] = {
            "Network": one.name,
            "Seeds counted": counted_of(one),
            "Falsely alarmed, m² an image": _mean(one, lambda d: fmean(_false_area(i) for i in d.images)),
            "Falsely alarmed, m² per km² of all ground": _mean(one, lambda d: 1e6 * _false_share(d)),
            "Patches without a landslide, an image": _mean(one, lambda d: fmean(len(i.alarms) for i in d.images), 2),
        }
        if all(details.free for details in one.details):
            row[f"Landslide-free images with an alarm (of {len(one.details[0].free)})"] = f"{alarmed_share(one):.1f} %"
            row["Falsely alarmed there, m² per km²"] = _mean(
                one, lambda d: 1e6 * sum(sum(f.alarms) for f in d.free) / sum(f.pixels for f in d.free)
            )
        else:
            row["Landslide-free images with an alarm"] = "not counted"
        rows.append(row | {"Counts": details_links(one.details)})
    return _table(rows, "False alarms at a threshold of 0.5, mean over seeds", found)


def alarmed_share(one: Contestant) -> float:
    """Share of the landslide-free images with any alarm, percent, mean over seeds."""
    return float(np.mean([100 * np.mean([bool(free.alarms) for free in details.free]) for details in one.details]))


def false_alarm_share(one: Contestant) -> float:
    """Falsely alarmed pixels of the landslide-free ground of the test images, percent, mean over seeds."""
    _, fp, _, tn = one.counts("native").sum(axis=1).T
    return float(np.mean(100 * fp / np.maximum(fp + tn, 1)))


def _false_area(image: ImageDetail) -> float:
    return float("nan") if image.resolution is None else image.native[1] * image.resolution**2


def _false_share(details: Details) -> float:
    """Falsely alarmed ground over all ground of the test images; pixels where a ground resolution is not known."""
    metric = all(image.resolution for image in details.images)
    areas = [(image.resolution or 1.0) ** 2 if metric else 1.0 for image in details.images]
    counts = details.counts("native") * np.array(areas)[:, None]
    return float(counts[:, 1].sum() / counts.sum())


def _mean(one: Contestant, value: Callable[[Details], float], digits: int = 0) -> str:
    mean = float(np.mean([value(details) for details in one.details]))
    return f"{mean:,.{digits}f}" if np.isfinite(mean) else "unknown: no ground resolution"


def place_table(found: Sequence[Contestant]) -> Table:
    """IoU by site and by ground resolution, a row for each that the test images have."""
    rows: list[dict[str, object]] = []
    for one in counted(found):
        images = one.details[0].images
        places = {
            ("Site", image.site or "one place"): [other.site == image.site for other in images] for image in images
        } | {
            ("Ground resolution", _resolution(image.resolution, one.records[0].data_kind == "real")): [
                other.resolution == image.resolution for other in images
            ]
            for image in images
        }
        for (kind, label), chosen in places.items():
            tp, fp, fn, _ = one.counts()[:, chosen].sum(axis=1).T
            iou = 100 * np.mean(tp / np.maximum(tp + fp + fn, 1))
            rows.append(
                {
                    "Network": one.name,
                    "Seeds counted": counted_of(one),
                    "By": kind,
                    "Which": label,
                    "Images": sum(chosen),
                    "IoU": f"{iou:.2f}",
                }
                | {"Counts": details_links(one.details)}
            )
    return _table(rows, "Scores by site and ground resolution, mean over seeds (%)", found)


def _resolution(metres: float | None, real: bool) -> str:
    return "unknown" if not metres else f"{metres:g} m" + ", made up" * (not real)


def image_table(found: Sequence[Contestant]) -> Table:
    """Each score with its interval over test images, a row for each network."""
    rows = []
    for one in counted(found):
        row: dict[str, object] = {"Network": one.name, "Seeds counted": counted_of(one)}
        for score in ("iou", "f1", "precision", "recall", "oa"):
            found_in = image_interval(one, score)
            shown = f"{found_in.value:.2f} [{found_in.low:.2f}, {found_in.high:.2f}]" if found_in else NONE
            row[SCORES[score][0]] = shown
        rows.append(row | {"Counts": details_links(one.details)})
    return _table(rows, "Scores with the 95 % interval over other test images (bootstrap over ground; %)", found)


def page_contest(
    runs: Sequence[Run], records: Sequence[Record], dataset: str, plan: Plan, stored: Sequence[Record]
) -> tuple[list[Contestant], Note]:
    """The networks of a page on one data set, to be counted image by image, and what they were trained on, in a box.

    A page that ran on made-up images shows the stored runs on real ones instead, where some were counted: numbers that
    mean nothing are shown only where there are no others.

    Args:
        runs: what the page is run with.
        records: their records.
        dataset: our name of the data set that the page is on.
        plan: the study.
        stored: runs on real data.
    """
    made = gather({f"{run.model} {run.size}": run for run in runs}, records)
    if all(record.data_kind == "real" for record in records):
        return made, Note("Real images", "These are the runs of this page, counted image by image.")
    planned = {
        f"{run.model} {run.size}": run
        for run in reversed(plan.select("cpu"))
        if (run.dataset, run.split) == (dataset, 0)
        and run.model in {other.model for other in runs}
        and at_home(run.config)
        and run.unaltered
        and run.settings == plan.settings(run.dataset, run.model, run.size, run.profile)
    }
    found = gather(planned, stored)
    if counted(found):
        text = "The stored runs on real images, profile cpu, counted image by image; not what this page trained itself."
        return found, Note("Real images", text)
    text = f"No run on real images of {dataset} was counted image by image. These are of the made-up images that this "
    return made, Note("Made-up images", f"{text}page was run on: they show that it works, and mean nothing.", "warning")


def counted(found: Sequence[Contestant]) -> list[Contestant]:
    """Those whose test images were counted one by one."""
    return [one for one in found if one.details]


def counted_of(one: Contestant) -> str:
    """Of how many of its seeds the test images were counted one by one, in words."""
    return f"{len(one.details)} of {many(len(one.records), 'seed')}"


def details_links(details: Sequence[Details]) -> Links:
    """Links to the files of counts, by number."""
    return Links(tuple(Link(f"counts {number}", one.file) for number, one in enumerate(details, start=1)))


def _table(rows: list[dict[str, object]], caption: str, found: Sequence[Contestant]) -> Table:
    if any(record.data_kind == "synthetic" for one in counted(found) for record in one.records):
        caption = f"Made-up images, a network of seconds: {caption[0].lower()}{caption[1:]}"
    rows = rows or [{"Network": "none was counted by image: scgcnet study details"}]
    return Table(pd.DataFrame(rows).fillna(NONE), caption)
