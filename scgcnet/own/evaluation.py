"""Scores of weights on own data, predicted as `scgcnet map` predicts: `scgcnet evaluate`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from scgcnet import files, zoo
from scgcnet.data import LandslideDataset, Sample
from scgcnet.metrics import Confusion, component_hits, false_alarms
from scgcnet.own.parts import survey
from scgcnet.own.source import Pieces, Source, SourceError, cut, find_source
from scgcnet.scene.models import map_image
from scgcnet.scene.predict import folded
from scgcnet.scene.score import ALARM, hysteresis
from scgcnet.study import stats

PIECE = 1024  # pixels; largest side of what a scene is cut into
SIZES = (
    500,
    2_000,
    5_000,
    20_000,
)  # upper ends of the classes: square metres if every resolution is known, else pixels
FOUND = 0.5  # a landslide counts as found if at least this share of its pixels is
FEWEST_GROUPS = 5  # rasters that an interval is drawn over; else it is drawn over pieces


@dataclass(frozen=True)
class Evaluation:
    """Scores of weights on a data set, in percent.

    Attributes:
        images: a row for each image or piece of a scene, with its counts.
        summary: rows precision, recall, f1, iou, oa, and false alarms: value, low, high (95 %), n.
        sizes: a row for each class of landslide sizes: n, found (%), low, high, area (% found).
        notes: what limits these numbers, a sentence each.
    """

    images: pd.DataFrame
    summary: pd.DataFrame
    sizes: pd.DataFrame
    notes: tuple[str, ...]

    def __str__(self) -> str:
        tables = [self.summary.round(1).to_string(na_rep="")]
        if len(self.sizes):
            tables.append(self.sizes.round(1).to_string(na_rep=""))
        return "\n\n".join([*tables, *(f"note: {note}" for note in self.notes)])


def evaluate(path: Path, model: str, out: Path | None = None, *, progress: bool = False) -> Evaluation:
    """Scores weights on a source.

    Args:
        path: a folder or a raster, see `source`.
        model: name of published weights, or a weights file.
        out: folder for `scores.csv` (images), `summary.csv` and `sizes.csv`; None to write nothing.
        progress: show bars on standard error.

    Raises:
        SourceError: the source cannot be read, or does not suit the weights.
        DatasetError, SceneError: a file is damaged, or a mask does not fit its image.
        WeightsError: there are no such weights.
        WriteError: a file cannot be written.
    """
    weights = zoo.find_weights(model)
    metadata = zoo.read_metadata(weights)
    source = find_source(path)
    channels = json.loads(metadata["config"])["in_channels"]
    require_bands(source, channels, weights.name)
    value_range = stored_range(metadata)
    if value_range and source.eight_bits:
        low, high = value_range
        raise SourceError(
            f"{path} is of 8 bits, but {weights.name} was trained on values from {low:g} to {high:g}: name rasters of "
            "the same kind, or other weights."
        )
    data = Pieces("own", [p for picture in source.pictures for p in cut(picture, PIECE)], channels, value_range)
    data, _ = survey(data, progress)
    notes = list(source.notes)
    if not value_range and not source.eight_bits:
        notes.append(f"{weights.name} carries no range of values: each raster is stretched by its own percentiles")
    network = folded(zoo.load_model(weights))
    threshold = float(metadata.get("threshold", 0.5))
    found = score(network, data, threshold, metadata, notes, progress)
    if out is not None:
        write_tables(found, out, {"scores.csv": "images", "summary.csv": "summary", "sizes.csv": "sizes"})
    return found


def write_tables(found: Evaluation, out: Path, names: dict[str, str]) -> None:
    """Writes tables of an evaluation as CSV, by file name."""
    for name, table in names.items():
        frame: pd.DataFrame = getattr(found, table)
        files.write_text(out / name, frame.round(4).to_csv(index=table != "images", lineterminator="\n"))


def require_bands(source: Source, channels: int, weights: str) -> None:
    """Raises SourceError where a source does not suit weights of so many bands."""
    if source.bands not in (1, channels) and not (channels == 3 and source.coloured):
        raise SourceError(
            f"{source.path}: its rasters have {source.bands} bands, but {weights} takes {channels}. Name rasters of "
            f"{channels} bands, or other weights."
        )


def stored_range(metadata: dict[str, str]) -> tuple[float, float] | None:
    """Values that became 0 and 255 when the weights were trained; None for 8 bits, or if they carry none."""
    text = metadata.get("value_range")
    if not text:
        return None
    low, high = map(float, text.split(","))
    return low, high


def predict(network: nn.Module, sample: Sample, metadata: dict[str, str]) -> NDArray[np.float32]:
    """Probability of landslide (H, W) as a map has it, by weights with this metadata."""
    return map_image(network, sample.image, sample.resolution, metadata)


def score(
    network: nn.Module,
    data: LandslideDataset,
    threshold: float,
    metadata: dict[str, str],
    notes: Sequence[str] = (),
    progress: bool = False,
) -> Evaluation:
    """Predicts every image once, and counts.

    Args:
        network: gives logits (1, 2, h, w), in evaluation mode.
        data: images and masks; `sites` are the rasters.
        threshold: probability above which a pixel is landslide.
        metadata: of the weights, for the scale and for what a landslide must reach.
        notes: to go with the scores.
        progress: show a bar.
    """
    rows, patches = [], []
    for index, sample in enumerate(tqdm(data, desc="scoring", unit="image", disable=not progress, leave=False)):
        probability = predict(network, sample, metadata)
        found = (
            hysteresis(probability, threshold, float(metadata["peak"]))
            if "peak" in metadata
            else probability > threshold
        )
        counts = Confusion.of(found, sample.mask)
        hits, alarms = component_hits(sample.mask, found), false_alarms(sample.mask, found)
        area = math.nan if sample.resolution is None else sample.resolution**2
        patches += [(pixels, pixels * area, part / pixels) for pixels, part in hits]
        least = ALARM[1] if sample.resolution is None else ALARM[0] / area
        rows.append({
            "image": sample.name, "raster": data.sites[index], "height": sample.mask.shape[0],
            "width": sample.mask.shape[1], "metres_per_pixel": sample.resolution,
            **{name: getattr(counts, name) for name in ("tp", "fp", "fn", "tn")},
            **{name: 100 * value for name, value in counts.scores().items()},
            "landslides": len(hits), "found": sum(part >= FOUND * pixels for pixels, part in hits),
            "false_alarms": sum(pixels >= least for pixels in alarms), "false_alarm_pixels": sum(alarms),
        })  # fmt: skip
    images = pd.DataFrame(rows)
    notes, groups = list(notes), images["raster"]
    if groups.nunique() < FEWEST_GROUPS:
        groups = images["image"]
        if groups.nunique() > 1:
            notes.append("intervals are over pieces of few rasters, which resemble each other: they are too narrow")
    return Evaluation(images, _summary(images, list(groups)), _sizes(patches), tuple(notes))


def _summary(images: pd.DataFrame, groups: list[str]) -> pd.DataFrame:
    counts = images[["tp", "fp", "fn", "tn"]].to_numpy()[None]  # (1, images, 4)
    rows: dict[str, tuple[float, float, float, int]] = {}
    for name in stats.SCORES:
        drawn = stats.bootstrap(counts, name, groups, draws=2000)
        value = float(stats.score(counts.sum(axis=1), name)[0])
        low, high = (drawn.low, drawn.high) if drawn else (math.nan, math.nan)
        rows[f"{name}, %"] = (value, low, high, len(images))
    rows["iou, mean of images, %"] = (float(images["iou"].mean()), math.nan, math.nan, len(images))
    quiet = images[images.tp + images.fn == 0]
    if len(quiet):
        alarmed = float((quiet.false_alarms > 0).mean())
        rows["landslide-free images with an alarm, %"] = (100 * alarmed, *stats.wilson(alarmed, len(quiet)), len(quiet))
        share = float(100 * quiet.fp.sum() / max(1, (quiet.fp + quiet.tn).sum()))
        rows["false alarms on landslide-free images, % of ground"] = (share, math.nan, math.nan, len(quiet))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "n"]).rename_axis("score")


def _sizes(patches: list[tuple[int, float, float]]) -> pd.DataFrame:
    """Landslides found by size; a landslide that is cut by the border of a piece counts in each."""
    found = pd.DataFrame(patches, columns=["pixels", "area", "share"])
    size, unit = (found.area, "m²") if found.area.notna().all() else (found.pixels, "px")
    labels = [f"{low:,} to {high:,} {unit}" for low, high in pairwise((0, *SIZES))] + [f"{SIZES[-1]:,} {unit} and more"]
    classes = pd.cut(size, [0, *SIZES, np.inf], right=False, labels=labels).rename("landslide size")
    found["hit"] = found.share >= FOUND
    table = found.groupby(classes, observed=True).agg(n=("hit", "size"), found=("hit", "mean"), area=("share", "mean"))
    bounds = [stats.wilson(one.found, one.n) for one in table.itertuples()]
    table[["low", "high"]] = np.reshape(bounds, (-1, 2))
    table[["found", "area"]] *= 100
    names = {"found": "found, %", "low": "low", "high": "high", "area": "area found, %"}
    return table[["n", *names]].rename(columns=names)
