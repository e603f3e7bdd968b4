"""What labels of one's own bring: weights that never saw a place, trained on a few windows of it as a user would."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scgcnet import zoo
from scgcnet.bench.timings import BenchError, describe, write_json
from scgcnet.data import Sample, dataset_available, open_dataset, open_whole
from scgcnet.data.amunet import SCENES, TILE
from scgcnet.own.evaluation import evaluate
from scgcnet.own.training import WEIGHTS, TrainOptions, train
from scgcnet.scene.models import SEEN_AT
from scgcnet.study import load_plan, results
from scgcnet.study.publish import calibrate, left_out_maps
from scgcnet.train.fit import new_network

TESTED = 40  # windows of a mosaic at least that are scored, evenly spread
RIVAL = ("unet_lite0", "lite0")  # what a user would train instead: name and size
LEFT_OUT, NOTHING, IMAGENET = "left out", "nothing", "U-Net, ImageNet"


def bench_labels(run_id: str, counts: Sequence[int], minutes: float, json_path: Path | None = None) -> dict[str, Any]:
    """IoU on ground of a place by how many windows of other ground of it are labelled, all trained for the same time.

    Three networks start: weights that never saw the place, `scgcnet train --from none`, and a U-Net on Lite0 with
    ImageNet weights; the first is scored without labels too.

    Args:
        run_id: a stored run that leaves AMU-Net or Sichuan out, whose weights are here.
        counts: numbers of labelled windows, each with the windows of the smaller ones.
        minutes: time of each training.
        json_path: file to write.

    Raises:
        BenchError: the images, the run or its weights are missing.
        ImportError: the package of ImageNet weights is not installed.
    """
    spec = load_plan().find(run_id)
    place = spec.dataset
    record = results.find(spec.run_id, "real")
    weights = results.weights_of(record.run_id, record.finished_utc) if record else None
    if record is None or weights is None or place not in _GROUND or place in record.train_datasets or not record.maps:
        raise BenchError(
            f"{spec.run_id}: not stored with its weights, or no run that leaves {' or '.join(_GROUND)} out"
        )
    if not dataset_available(place):
        raise BenchError(f"the images of {place} are not there: see data/README.md, and set SCGCNET_DATA")
    others = {source: maps for source, maps in left_out_maps(record).items() if source != place}
    seen = {source: parts for source, parts in record.maps.items() if source != place}
    (threshold, peak), heat, _ = calibrate(seen, others)
    known = {
        "threshold": f"{threshold:.2g}",
        "peak": f"{peak:.2g}",
        "temperature": f"{heat:.3g}",
        "seen_at": f"{SEEN_AT:g}",
        "window": "256",
    }
    labelled, scored = _GROUND[place]()
    with tempfile.TemporaryDirectory() as name:
        start = Path(name) / "start.safetensors"
        zoo.save_model(zoo.load_model(weights), start, known)
        rows = _measure(start, labelled, scored, counts, minutes, Path(name))
    found = {
        "machine": describe("cpu"), "run": record.run_id, "place": place, "minutes": minutes, "tested": len(scored),
        "rows": rows,
    }  # fmt: skip
    write_json(json_path, found)
    return found


def _measure(
    start: Path,
    labelled: Sequence[Sample],
    scored: Sequence[Sample],
    counts: Sequence[int],
    minutes: float,
    folder: Path,
) -> list[dict[str, Any]]:
    """A row for each start and number of labelled samples: start, windows, and iou with its low and high in percent."""
    rival, imagenet = new_network(*RIVAL, 3, {}, 0), folder / "imagenet.safetensors"
    rival.load_imagenet()  # type: ignore[operator]
    zoo.save_model(rival, imagenet, {"window": "256", "seen_at": f"{SEEN_AT:g}"})  # as the left-out weights are trained
    _write(scored, folder / "test")
    rows: list[dict[str, Any]] = []

    def add(begin: str, windows: int, model: Path) -> None:
        found = evaluate(folder / "test", str(model)).summary.loc["iou, %"]
        rows.append({"start": begin, "windows": windows, **found[["value", "low", "high"]].rename({"value": "iou"})})
        print(f"{windows:4d} windows from {begin}: IoU {found.value:.1f} %", flush=True)

    add(LEFT_OUT, 0, start)
    for count in (count for count in counts if count <= len(labelled)):
        _write(labelled[:count], folder / f"windows-{count}")
        for begin, where in ((LEFT_OUT, str(start)), (NOTHING, "none"), (IMAGENET, str(imagenet))):
            out = folder / f"{begin}-{count}"
            train(folder / f"windows-{count}", out, TrainOptions(start=where, minutes=minutes))
            add(begin, count, out / WEIGHTS)
    return rows


def _mosaics() -> tuple[list[Sample], list[Sample]]:
    """Windows of AMU-Net's first mosaic, and of its second; those of one mosaic share no pixel."""
    whole = open_whole("amunet")
    places = [name.split("_") for name in whole.names]
    apart = [i for i, (_, top, left) in enumerate(places) if int(top) % TILE == int(left) % TILE == 0]
    first, second = ([whole[i] for i in apart if places[i][0] == scene] for scene in SCENES)
    known = [sample for sample in second if (sample.mask != 255).all()]
    return _labelled(first), known[:: max(len(known) // TESTED, 1)]


def _sites() -> tuple[list[Sample], list[Sample]]:
    """Windows of Sichuan's training and validation sites, and the whole images of its test sites."""
    windows = []
    for sample in (*open_dataset("sichuan", 0, "train"), *open_dataset("sichuan", 0, "val")):
        for top in range(0, sample.mask.shape[0] - TILE + 1, TILE):
            for left in range(0, sample.mask.shape[1] - TILE + 1, TILE):
                part = np.s_[top : top + TILE, left : left + TILE]
                windows.append(Sample(f"{sample.name}_{top:04d}_{left:04d}", sample.image[part], sample.mask[part]))
    return _labelled(windows), list(open_dataset("sichuan", 0, "test"))


#: By place: windows to label, in a random order, and what is scored.
_GROUND: dict[str, Callable[[], tuple[list[Sample], list[Sample]]]] = {"amunet": _mosaics, "sichuan": _sites}


def _labelled(windows: Sequence[Sample]) -> list[Sample]:
    """Those that are known throughout and show a landslide, which are the ones that get outlined, in a random order."""
    shown = [sample for sample in windows if (sample.mask == 1).any() and (sample.mask != 255).all()]
    return [shown[i] for i in np.random.default_rng(0).permutation(len(shown))]


def _write(samples: Sequence[Sample], folder: Path) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for sample in samples:
        Image.fromarray(sample.image).save(folder / "images" / f"{sample.name}.png")
        Image.fromarray(sample.mask * np.uint8(255)).save(folder / "masks" / f"{sample.name}.png")
