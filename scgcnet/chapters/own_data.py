"""Chapter "Train on your data": a region with outlines as analysts hold them, and weights trained on it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio.raw
import rasterio
import shapely
from matplotlib.figure import Figure
from rasterio.features import shapes

from scgcnet import files, plots
from scgcnet.bench.labels import IMAGENET, LEFT_OUT
from scgcnet.chapters.efficiency import Bench, read_bench
from scgcnet.chapters.mapping import ExampleScene
from scgcnet.own.evaluation import Evaluation, evaluate
from scgcnet.own.source import SourceError
from scgcnet.own.training import WEIGHTS, Trained, TrainOptions, train
from scgcnet.scene.source import gdal
from scgcnet.scene.synthetic import write_synthetic_scene
from scgcnet.study.networks import NOT_RUN, title_of
from scgcnet.study.paper import SCORE_NAMES
from scgcnet.study.runs import project_root
from scgcnet.study.show import NONE, Note

SIDE = 768  # pixels, of a synthetic scene
LAYER = "landslides.gpkg"
NEVER_SAW = "weights that never saw it"
PLACES = {"amunet": "AMU-Net, the other mosaic", "sichuan": "Sichuan, other sites"}  # of `scgcnet bench labels`
MINUTES = (4, 10, 30)  # of each training, by file


def example_region(seed: int) -> Path:
    """A folder of build/scenes with a synthetic scene and a GeoPackage of its landslides; one seed, one region."""
    folder = project_root() / "build" / "scenes" / f"region-{seed}"
    if not (folder / LAYER).is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _, truth = write_synthetic_scene(folder / "scene.tif", (SIDE, SIDE), seed)
        with gdal(), rasterio.open(truth) as file:
            mask, transform, crs = file.read(1), file.transform, file.crs
        outlines = [shapely.geometry.shape(one) for one, _ in shapes(mask, mask == 1, transform=transform)]
        with files.atomic(folder / LAYER) as temporary, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the name of the unfinished file
            pyogrio.raw.write(
                temporary, shapely.to_wkb(np.array(outlines)), [], [], driver="GPKG", layer="landslides",
                geometry_type="Polygon", crs=crs.to_string(),
            )  # fmt: skip
        truth.replace(folder.with_name(f"{folder.name}-truth.tif"))  # a second raster would be a second scene
    return folder


def train_example(region: Path, start: str, epochs: int, image_size: int) -> Trained:
    """Weights trained on a region, in a folder of build/own."""
    out = project_root() / "build" / "own" / f"{region.name}-{start}-{epochs}-{image_size}"
    out.parent.mkdir(parents=True, exist_ok=True)
    options = TrainOptions(start=start, epochs=epochs, image_size=image_size)
    try:
        return train(region, out, options)
    except SourceError:  # the folder is this page's own, and holds what other published weights became
        files.remove_folder(out)
    return train(region, out, options)


def elsewhere(region: Path) -> ExampleScene:
    """The scene of another region, with its truth."""
    truth = region.with_name(f"{region.name}-truth.tif")
    return ExampleScene(region / "scene.tif", "another synthetic scene, not seen in training", real=False, truth=truth)


def scores(trained: Trained, region: Path) -> Evaluation:
    """`scgcnet evaluate` of trained weights on another region."""
    return evaluate(region, str(trained.folder / WEIGHTS))


def score_table(found: Evaluation) -> pd.DataFrame:
    """Percent, with the 95 % interval where there is one."""
    rows = []
    for name, row in found.summary.iterrows():
        between = NONE if np.isnan(row.low) else f"{row.low:.1f} to {row.high:.1f}"
        score, comma, per = str(name).partition(", ")
        shown = SCORE_NAMES.get(score, (score,))[0] + comma + per
        rows.append({"Score": shown, "Value": f"{row.value:.1f}", "95 % interval": between, "n": f"{row.n:.0f}"})
    return pd.DataFrame(rows)


def label_results() -> list[dict[str, Any]]:
    """What `scgcnet bench labels` stored, by place and minutes of training."""
    found = (read_bench(f"results/bench/labels-{place}-{minutes}.json") for place in PLACES for minutes in MINUTES)
    return [one for one in found if one is not None]


def label_figure(measured: Sequence[Mapping[str, Any]]) -> Figure:
    """IoU by the number of labelled windows after the shortest training, a panel for each place."""
    panels = dict[str, dict[str, dict[int, tuple[float, float, float]]]]()
    for one in (one for one in measured if one["minutes"] == MINUTES[0]):
        curves = panels.setdefault(PLACES[one["place"]], {})
        for row in one["rows"]:
            start = NEVER_SAW if row["start"] == LEFT_OUT else row["start"]
            curves.setdefault(start, {})[row["windows"]] = row["iou"], row["low"], row["high"]
    return plots.label_curves(panels, NEVER_SAW)


def labels_note(measured: Sequence[Mapping[str, Any]]) -> Note:
    """By place: IoU without labels and with the most, by start and minutes, and how far the intervals reach."""
    told = dict[str, str]()
    for one in measured:
        place, rows = PLACES[one["place"]], pd.DataFrame(one["rows"])
        none, most = rows[rows.windows == 0].iloc[0], rows[rows.windows == rows.windows.max()]
        starts = most.start.replace({LEFT_OUT: "those weights", IMAGENET: "a U-Net with ImageNet weights"})
        each = ", ".join(f"{iou:.0f} % from {start}" for iou, start in zip(most.iou, starts, strict=True))
        told.setdefault(
            place,
            f"{place}: IoU {none.iou:.0f} % without labels, by {NEVER_SAW}. {one['tested']} images are scored, which "
            f"leave intervals of up to {(rows.high - rows.low).max():.0f} points.",
        )
        told[place] += f" With {most.windows.iloc[0]} windows and {one['minutes']:g} minutes of a core: {each}."
    return Note("What labels bring", "\n\n".join(told.values()) or "Not run.")


def labels_table(measured: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each place, number of labelled windows and time of training."""
    rows = dict[tuple[str, int, float], dict[str, object]]()
    for one in measured:
        for row in one["rows"]:
            key = PLACES[one["place"]], row["windows"], one["minutes"] if row["windows"] else 0.0
            cells = rows.setdefault(key, dict(zip(("Place", "Windows", "Minutes"), key, strict=True)))
            cells[f"Start: {row['start']}"] = f"{row['iou']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"
    return pd.DataFrame(rows.values() or [{"Place": NOT_RUN}]).fillna(NONE)


def export_table(measured: Bench) -> pd.DataFrame:
    """One row for each network as an ONNX file: `scgcnet bench export`."""
    if measured is None:
        return pd.DataFrame([{"Network": NOT_RUN}])
    rows = []
    for one in measured["networks"]:
        name, size = one["network"]
        row = {"Network": f"{title_of(name)} {size}"}
        if "reason" in one:
            rows.append({**row, "Nodes": one["reason"]})
            continue
        row |= {
            "Nodes": one["nodes"],
            "MB": f"{one['bytes'] / 1e6:.1f}",
            "Largest difference": f"{one['difference']:.0e}",
        }
        rows.append({**row, "PyTorch, ms": f"{one['torch_ms']:.0f}", "ONNX Runtime, ms": f"{one['onnx_ms']:.0f}"})
    return pd.DataFrame(rows).fillna(NONE)
