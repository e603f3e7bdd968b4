"""What labels of one's own bring: weights that never saw a place, trained on a few windows of it as a user would."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scgcnet import zoo
from scgcnet.bench.timings import BenchError, describe, write_json
from scgcnet.data import LandslideDataset, dataset_available, open_whole
from scgcnet.data.amunet import SCENES, TILE
from scgcnet.own.evaluation import evaluate
from scgcnet.own.training import WEIGHTS, TrainOptions, train
from scgcnet.scene.models import SEEN_AT
from scgcnet.study import load_plan, results
from scgcnet.study.publish import calibrate, left_out_maps

PLACE = "amunet"  # two mosaics: the first is labelled, the second is scored
TESTED = 40  # windows at least that are scored, evenly spread


def bench_labels(run_id: str, counts: Sequence[int], minutes: float, json_path: Path | None = None) -> dict[str, Any]:
    """IoU on one mosaic of AMU-Net by how many windows of the other are labelled, each training with the same time.

    Args:
        run_id: a stored run that leaves AMU-Net out, whose weights are here: the start, scored as they are too.
        counts: numbers of labelled windows, each with the windows of the smaller ones.
        minutes: time of each training.
        json_path: file to write.

    Raises:
        BenchError: the mosaics, the run or its weights are missing.
    """
    if not dataset_available(PLACE):
        raise BenchError("the mosaics of AMU-Net are not there: see data/README.md, and set SCGCNET_DATA")
    spec = load_plan().find(run_id)
    record = results.find(spec.run_id, "real")
    weights = results.weights_of(record.run_id, record.finished_utc) if record else None
    if record is None or weights is None or PLACE in record.train_datasets or not record.maps:
        raise BenchError(f"{spec.run_id}: not stored with its weights, or no run that leaves {PLACE} out")
    others = {source: maps for source, maps in left_out_maps(record).items() if source != PLACE}
    seen = {source: parts for source, parts in record.maps.items() if source != PLACE}
    (threshold, peak), heat, _ = calibrate(seen, others)
    known = {
        "threshold": f"{threshold:.2g}",
        "peak": f"{peak:.2g}",
        "temperature": f"{heat:.3g}",
        "seen_at": f"{SEEN_AT:g}",
        "window": "256",
    }
    whole, rows = open_whole(PLACE), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start = folder / "start.safetensors"
        zoo.save_model(zoo.load_model(weights), start, known)
        labelled, scored = (_tiles(whole, scene) for scene in SCENES)
        scored = scored[:: max(len(scored) // TESTED, 1)]
        order = [int(i) for i in np.random.default_rng(0).permutation(labelled)]
        _write(whole, scored, folder / "test")

        def add(begin: str, windows: int, model: Path) -> None:
            found = evaluate(folder / "test", str(model)).summary.loc["iou"]
            rows.append({"start": begin, "windows": windows, "iou": found.value, "low": found.low, "high": found.high})
            print(f"{windows:4d} windows from {begin}: IoU {found.value:.1f} %", flush=True)

        add("left out", 0, start)
        for count in counts:
            _write(whole, order[:count], folder / f"windows-{count}")
            for begin, where in (("left out", str(start)), ("nothing", "none")):
                out = folder / f"{begin}-{count}"
                train(folder / f"windows-{count}", out, TrainOptions(start=where, minutes=minutes))
                add(begin, count, out / WEIGHTS)
    found = {"machine": describe("cpu"), "run": record.run_id, "minutes": minutes, "tested": len(scored), "rows": rows}
    write_json(json_path, found)
    return found


def _tiles(whole: LandslideDataset, scene: str) -> list[int]:
    """Tiles of a mosaic that share no pixel and are known throughout."""
    places = [name.split("_") for name in whole.names]
    apart = [i for i, (of, top, left) in enumerate(places) if of == scene and int(top) % TILE == int(left) % TILE == 0]
    return [i for i in apart if (whole[i].mask != 255).all()]


def _write(whole: LandslideDataset, tiles: Sequence[int], folder: Path) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for tile in tiles:
        sample = whole[tile]
        Image.fromarray(sample.image).save(folder / "images" / f"{sample.name}.png")
        Image.fromarray(sample.mask * np.uint8(255)).save(folder / "masks" / f"{sample.name}.png")
