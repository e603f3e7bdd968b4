"""IoU by image size: networks that were trained at one size are fed validation images at several.

The numbers are stored, so that the chapter has them where the weights are not at hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scgcnet import files
from scgcnet.study.comparison_tables import contestants
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import Plan, project_root
from scgcnet.study.runner import weights_for
from scgcnet.study.store import BENCH_FOLDER, Record, load_all, load_trials

STORED = f"{BENCH_FOLDER}/sides.json"
HOME = "bijie"  # where they were trained
PROFILE = "cpu"
PLACES = (HOME, "amunet")
SPLIT = 0  # its validation part trained none of them
NETWORKS = ("scgcnet", "danet", "convnext", "swin", "vmamba")  # those of Fig. 10


def measure_sides(plan: Plan, sides: Sequence[int], file: Path | None = None) -> dict[str, Any]:
    """Scores the networks of Fig. 10 on the validation parts of `PLACES`, prints what comes, and stores it.

    A network's first run of the comparison counts whose weights are at hand; without any it is left out, and said so.

    Args:
        plan: the study.
        sides: of the square input, pixels; the one they were trained at is added.
        file: where to write the numbers.

    Returns:
        {trained_at: pixels, networks: {name: {file, seed, finished_utc}},
        places: {data set: {images, iou: {name: {side: percent}}}}}

    Raises:
        StoreError: the images or all weights are missing.
        DatasetError: the images are damaged.
        WriteError: the file cannot be written.
    """
    from scgcnet.data import dataset_available, open_dataset

    if missing := [place for place in PLACES if not dataset_available(place)]:
        raise StoreError(f"the images of {missing[0]} are not at hand: see scgcnet data check {missing[0]}")
    trained_at = int(plan.profile(PROFILE).settings["image_size"])
    sides = sorted({*sides, trained_at})
    found = contestants(HOME, plan, load_all("real"), load_trials("real"), PROFILE, NETWORKS)
    chosen = {one.name: next(filter(weights_for, one.records), None) for one in found}
    runs = {name: record for name, record in chosen.items() if record is not None}
    if absent := [name for name in NETWORKS if name not in runs]:
        print(f"no weights of {', '.join(absent)}: scgcnet study run ID --force makes those of one run")
    if not runs:
        raise StoreError("no weights to try: make study PROFILE=cpu, or scgcnet study run ID --force, makes them")
    places = {}
    for place in PLACES:
        images = open_dataset(place, SPLIT, "val")
        iou: dict[str, dict[str, float]] = {name: {} for name in runs}
        for name, record in runs.items():
            for side, percent in iou_by_side(record, images, sides).items():
                iou[name][str(side)] = round(percent, 4)
                print(f"{place}, {len(images)} validation images: {name} at {side} px IoU {percent:.2f} %", flush=True)
        places[place] = {"images": len(images), "iou": iou}
    measured = {
        "trained_at": trained_at,
        "networks": {
            name: {"file": record.file, "seed": record.seed, "finished_utc": record.finished_utc}
            for name, record in runs.items()
        },
        "places": places,
    }
    if file is not None:
        files.write_text(file, json.dumps(measured, indent=1) + "\n")
    return measured


def iou_by_side(record: Record, images: Any, sides: Sequence[int]) -> dict[int, float]:
    """Pooled IoU in percent at native size of one trained network by the side of its input.

    Args:
        record: a run whose weights are at hand.
        images: a `LandslideDataset`; a part that no number of the comparison comes from, such as validation.
        sides: of the square input, pixels.

    Raises:
        WeightsError: the weights are damaged.
    """
    from scgcnet import zoo
    from scgcnet.train import Confusion, predict

    weights = weights_for(record)
    assert weights is not None
    network = zoo.load_model(weights)
    found = {}
    for side in sides:
        total = Confusion()
        for probability, sample in zip(predict(network, images, range(len(images)), side), images, strict=True):
            total += Confusion.of(probability > 0.5, sample.mask)
        found[side] = 100 * total.scores()["iou"]
    return found


def read_sides(path: str = STORED) -> dict[str, Any] | None:
    """What `measure_sides` stored, relative to the project; None where there is no such file."""
    file = project_root() / path
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else None


def curves(measured: Mapping[str, Any] | None, place: str) -> dict[str, dict[int, float]]:
    """IoU in percent by network and side on one data set; empty where nothing is stored."""
    if measured is None:
        return {}
    return {
        name: {int(side): percent for side, percent in by_side.items()}
        for name, by_side in measured["places"][place]["iou"].items()
    }
