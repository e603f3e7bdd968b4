"""Finer than a pixel score: landslides found by size, edges, false alarms, scores by place and over test images.

Every function counts image by image, so networks without per-image counts have no row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from scgcnet.metrics import WIDTHS
from scgcnet.study import stats
from scgcnet.study.networks import Network, many
from scgcnet.study.paper import SCORE_NAMES
from scgcnet.study.show import NONE, Link, Links, Table

#: Upper ends of the size classes: square metres if every ground resolution is known, else pixels.
SIZES = (500, 2_000, 5_000, 20_000)
SMALL = SIZES[1]  # square metres under which a landslide counts as small
FOUND = 0.5  # a landslide counts as found if at least this share of its pixels is


def _table(networks: Sequence[Network], caption: str, cells: Callable[[Network], list[dict[str, object]]]) -> Table:
    """The rows of each network that has per-image counts."""
    counted = [one for one in networks if one.counted]
    if any((one.runs.data_kind == "synthetic").any() for one in counted):
        caption = f"Synthetic images, a network trained for seconds: {caption[0].lower()}{caption[1:]}"
    rows = []
    for one in counted:
        files = one.runs.file[one.images.run_id.unique()].str.replace("/runs/", "/details/")
        links = Links(tuple(Link(f"counts {number}", file) for number, file in enumerate(files, start=1)))
        head = {"Network": one.name, "Seeds counted": seeds_counted(one)}
        rows += [{**head, **row, "Counts": links} for row in cells(one)]
    return Table(pd.DataFrame(rows or [{"Network": "none has per-image counts"}]).fillna(NONE), caption)


def seeds_counted(network: Network) -> str:
    """How many of its seeds have per-image counts."""
    return f"{len(network.counted)} of {many(len(network.runs), 'seed')}"


def size_table(networks: Sequence[Network]) -> Table:
    """Landslides found by size, a row for each network."""

    def cells(one: Network) -> list[dict[str, object]]:
        sizes = by_size(one).itertuples()
        return [{f"{size.Index} ({size.n})": f"{size.found:.0f} found, {size.area:.0f} of area" for size in sizes}]

    caption = "Landslides of the test images by size (number): found by at least half, and mean share (%)"
    return _table(networks, caption, cells)


def size_curves(
    networks: Sequence[Network], names: Sequence[str]
) -> tuple[dict[str, list[tuple[str, float, float, float]]], list[int]]:
    """The same for a figure: name -> class, percent found, low and high; and the number of landslides in each class."""
    tables = {one.name: by_size(one) for one in networks if one.counted and one.name in names}
    bands = {name: list(table[["found", "low", "high"]].itertuples(name=None)) for name, table in tables.items()}
    return bands, next((table.n.tolist() for table in tables.values()), [])


def by_size(network: Network) -> pd.DataFrame:
    """Landslides of the test images by size class, without empty ones, mean over seeds.

    Columns: n landslides, `found` percent of them with Wilson's interval low, high, and mean percent of their `area`.
    """
    hits = _landslides(network)
    size, unit = (hits.area, "m²") if hits.area.notna().all() else (hits.pixels, "px")
    labels = [f"{low:,} to {high:,} {unit}" for low, high in pairwise((0, *SIZES))] + [f"{SIZES[-1]:,} {unit} and more"]
    classes = pd.cut(size, [0, *SIZES, np.inf], right=False, labels=labels)
    shares = hits.assign(share=hits.found / hits.pixels, hit=hits.found >= FOUND * hits.pixels)
    table = shares.groupby(classes, observed=True).agg(n=("hit", "size"), found=("hit", "mean"), area=("share", "mean"))
    table["n"] //= len(network.counted)
    bounds = [stats.wilson(one.found, one.n) for one in table.itertuples()]
    table[["found", "area"]] *= 100
    return table.join(pd.DataFrame(bounds, table.index, ["low", "high"]))


def _landslides(network: Network) -> pd.DataFrame:
    """One row per landslide, test image and seed: pixels, those found, area in square metres (NaN if unknown)."""
    rows = network.images[["resolution", "components"]].explode("components").dropna(subset="components")
    hits = pd.DataFrame(rows.components.tolist(), columns=["pixels", "found"], dtype=float)
    return hits.assign(area=hits.pixels * rows.resolution.to_numpy(float) ** 2)


def edge_table(networks: Sequence[Network]) -> Table:
    """Boundary IoU by width of the band, a row for each network."""
    caption = "Boundary IoU by width of the band, at native size, pixels of all test images, mean over seeds (%)"
    widths = {f"{width} px": place for place, width in enumerate(WIDTHS)}
    return _table(
        networks, caption, lambda one: [{name: f"{boundary_iou(one, place):.1f}" for name, place in widths.items()}]
    )


def boundary_iou(network: Network, place: int) -> float:
    """Boundary IoU in percent over all test images, mean over seeds, for the band `WIDTHS[place]`."""
    bands = pd.DataFrame(network.images.boundary.str[place].tolist(), columns=["both", "either"])
    sums = bands.groupby(network.images.run_id).sum()
    return float((100 * sums.both / sums.either.clip(lower=1)).mean())


def alarm_table(networks: Sequence[Network]) -> Table:
    """False alarms on the test images and on landslide-free images of the same place, a row for each network."""
    return _table(networks, "False alarms at a threshold of 0.5, mean over seeds", _alarms)


def _alarms(network: Network) -> list[dict[str, object]]:
    images, free = network.images, network.free
    metric = bool((images.resolution.astype(float) > 0).all())
    area = images.resolution.astype(float) ** 2 if metric else 1  # of a pixel
    alarmed, ground = images.native_fp * area, images.filter(regex="^native_").sum(axis=1) * area
    cells: dict[str, object] = {
        "Falsely alarmed, m² an image": f"{alarmed.mean():,.0f}" if metric else "unknown: no ground resolution",
        "Falsely alarmed, m² per km² of all ground": f"{1e6 * alarmed.sum() / ground.sum():,.0f}",
        "Patches without a landslide, an image": f"{images.alarms.str.len().mean():,.2f}",
    }
    column = "Landslide-free images with an alarm"
    if set(free.run_id) != set(images.run_id):
        return [cells | {column: "not counted"}]
    there = 1e6 * free.alarms.map(sum).sum() / free.pixels.sum()
    cells[f"{column} (of {free.image.nunique()})"] = f"{100 * (free.alarms.str.len() > 0).mean():.1f} %"
    return [cells | {"Falsely alarmed there, m² per km²": f"{there:,.0f}"}]


def place_table(networks: Sequence[Network]) -> Table:
    """IoU by site and by ground resolution, a row for each that the test images have."""
    return _table(networks, "Scores by site and ground resolution, mean over seeds (%)", _places)


def _places(network: Network) -> list[dict[str, object]]:
    images, rows = network.images, list[dict[str, object]]()
    synthetic = ", synthetic" * bool((network.runs.data_kind == "synthetic").any())
    metres = images.resolution.map(lambda side: f"{side:g} m{synthetic}" if side > 0 else "unknown")
    for kind, label in (("Site", images.site.replace("", "one place")), ("Ground resolution", metres)):
        pixels = images.groupby([label, "run_id"], sort=False)[["tp", "fp", "fn"]].sum()
        iou = 100 * pixels.tp / pixels.sum(axis=1).clip(lower=1)
        n = label.value_counts() // len(network.counted)
        means = iou.groupby(level=0, sort=False).mean()
        rows += [
            {"By": kind, "Which": which, "Images": n[which], "IoU": f"{mean:.1f}"} for which, mean in means.items()
        ]
    return rows


def image_table(networks: Sequence[Network]) -> Table:
    """Each score with its interval over test images, a row for each network."""

    def cells(one: Network) -> list[dict[str, object]]:
        found = {
            SCORE_NAMES[score][0]: one.image_interval(score) for score in ("iou", "f1", "precision", "recall", "oa")
        }
        return [{name: f"{at.value:.1f} [{at.low:.1f}, {at.high:.1f}]" if at else NONE for name, at in found.items()}]

    return _table(networks, "Scores with the 95 % interval over other test images (bootstrap over ground; %)", cells)
