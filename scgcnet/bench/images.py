"""Images and scenes on this machine: `scgcnet bench data | scene | seams | sides`."""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scgcnet import zoo
from scgcnet.bench.timings import FIG10, BenchError, Row, describe, median_ms, training_step, write_json

PROFILE = "cpu"
PLACES = ("bijie", "amunet")  # trained on the first; the validation parts of split 0 trained none


def bench_data(name: str, root: Path | None = None, image_size: int = 128) -> dict[str, float]:
    """Times reading and augmenting the first training images of a data set, and the tiny network's training on them.

    `root` holds the data set's own folder; None for the usual place. `image_size` is the side of the network's input.

    Returns:
        Images per second: `decode` when reading files, `augment` from memory, `train` on ready batches.
    """
    from scgcnet.data import TrainingView, TrainTransform, open_dataset
    from scgcnet.train.config import TrainConfig

    part = open_dataset(name, 0, "train", root)
    batch, rounds = 8, 5
    count = min(128, len(part)) // batch * batch or len(part)
    view = TrainingView(part, TrainTransform(image_size, TrainConfig(image_size=image_size).augment), seed=0)
    pixels = np.mean([part[index].mask.size for index in range(min(len(part), 64))])
    pairs = [view[0, index] for index in range(count)]  # from here on the images are in memory
    ready = (pairs * batch)[:batch]
    images, masks = (torch.stack(tensors) for tensors in zip(*ready, strict=True))
    step = training_step(("scgcnet", "tiny"), images, masks)
    for _ in range(2):
        step()  # compiles kernels

    def rate(work: Callable[[], object], images: int, repeats: int) -> float:
        return 1e3 * images / median_ms({"": work}, repeats, float("inf"))[""]

    rates = {
        "decode": rate(lambda: [part.whole.read(index) for index in part.indices[:count]], count, rounds),
        "augment": rate(lambda: [view[0, index] for index in range(count)], count, rounds),
        "train": rate(step, batch, 4 * rounds),
    }
    print(f"{name}: {count} images of {pixels / 1e6:.2f} megapixels on average, to {image_size} px; images per second:")
    print("\n".join(f"{what:<10}{speed:>8.0f}" for what, speed in rates.items()))
    slower = "training" if rates["augment"] > rates["train"] else "the images"
    share = rates["train"] / (rates["train"] + rates["augment"])
    print(f"{slower} limits; in one process the images take {share:.0%} of a later epoch")
    return rates


def bench_scene(
    side: int,
    model: str,
    options: Mapping[str, object] | None = None,
    cores: Sequence[int] = (1,),
    repeats: int = 1,
    against: Path | None = None,
    json_path: Path | None = None,
) -> list[Row]:
    """Maps a square synthetic scene of this side, pixels, in processes of their own: speed and peak memory.

    Args:
        side: pixels.
        model: weights, by name or file.
        options: of `scgcnet map`, such as {"window": 1024}.
        cores: that a process may use; one row each.
        repeats: the median of so many counts.
        against: another checkout, such as an older commit; the two take turns.
        json_path: file to write the rows to.

    Returns:
        A row for each number of cores, the other checkout's first; `code` is empty or its commit.
    """
    from scgcnet.scene.synthetic import write_synthetic_scene

    commits = {"": None} if against is None else {_commit(against): against, "": None}
    extra = [str(word) for name, value in (options or {}).items() for word in (f"--{name}", value)]
    with tempfile.TemporaryDirectory(prefix="scgcnet-bench-") as place:
        scene, _ = write_synthetic_scene(Path(place, "scene.tif"), (side, side))
        print(f"synthetic scene of {side} x {side} px, {side * side / 1e6:.0f} megapixels", flush=True)
        command = ["map", str(scene), "--model", str(zoo.find_weights(model).resolve()), "--quiet", *extra]
        rows = []
        for count in cores:
            times: dict[str, list[Row]] = {commit: [] for commit in commits}
            for turn, (commit, folder) in itertools.product(range(repeats), commits.items()):
                out = Path(place, f"map-{count}-{turn}-{commit}")
                one = _timed([*command, "--out", str(out)], count, folder)
                found = json.loads((out / "report.json").read_text("utf-8"))
                one |= {"windows": found["windows"]["number"], "polygons": found["landslides"]["polygons"]}
                one["megapixels_per_second"] = side * side / 1e6 / one["seconds"]
                times[commit].append(one)
                print(
                    f"{commit or 'this code'}, {count} cores: {one['seconds']:.0f} s "
                    f"({one['processor_seconds']:.0f} s of processor time), "
                    f"{one['megapixels_per_second']:.2f} megapixels/s, peak {one['peak_mb']:.0f} MB",
                    flush=True,
                )
            for commit, found in times.items():
                middle = {key: statistics.median(one[key] for one in found) for key in found[0]}
                rows.append({"side": side, **(options or {}), "code": commit, "cores": count, **middle})
    write_json(json_path, {"machine": describe("cpu"), "model": model, "repeats": repeats, "rows": rows})
    return rows


def _commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "rev-parse", "--short=7", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not (folder / "scgcnet").is_dir():
        raise BenchError(f"{folder}: not a checkout of this project; make one: git worktree add {folder} COMMIT")
    return done.stdout.strip()


def _timed(arguments: Sequence[str], cores: int, folder: Path | None) -> Row:
    """Seconds and peak memory of the command line, of the code in `folder` if that is given, on so many cores."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(cores), "NUMBA_NUM_THREADS": str(cores)}
    if folder is not None:
        environment["PYTHONPATH"] = str(folder.resolve())
    # A process started by this one takes over the cores that it may use.
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else set()
    if len(allowed) > cores:
        os.sched_setaffinity(0, set(sorted(allowed)[:cores]))
    try:
        before = time.perf_counter()
        command = [sys.executable, "-m", "scgcnet.cli", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
    finally:
        if allowed:
            os.sched_setaffinity(0, allowed)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchError(f"the mapping failed with status {process.returncode}, see above")
    processor_seconds = usage.ru_utime + usage.ru_stime  # of all threads
    return {
        "seconds": seconds,
        "processor_seconds": processor_seconds,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
    }


def bench_seams(
    model: str, windows: Sequence[int], scales: Sequence[float], json_path: Path | None = None
) -> list[Row]:
    """Maps the real mosaics as tiles, as blended windows and as a whole: the effect of cutting, see `seams.measure`."""
    from scgcnet.scene.seams import measure, read_mosaics

    mosaics = read_mosaics()
    if not mosaics:
        raise BenchError("the mosaics of AMU-Net are not there: see data/README.md, and set SCGCNET_DATA")
    weights = zoo.find_weights(model)
    network, threshold = zoo.load_model(weights), float(zoo.read_metadata(weights)["threshold"])
    ways = [*itertools.product(windows, (0.0, 0.25)), (0, 0.0)]
    rows = []
    for scale, (window, overlap), mosaic in itertools.product(scales, ways, mosaics):
        one = measure(network, mosaic, threshold, window, overlap, scale)
        rows.append(one)
        print(
            f"{mosaic.name} scale {scale:g} window {window or 'whole':>5} overlap {overlap:<4g} IoU {one['iou']:.4f} "
            f"{one['polygons']} polygons, {one['seconds']:.2f} s/megapixel",
            flush=True,
        )
    write_json(json_path, {"machine": describe("cpu"), "model": weights.name, "threshold": threshold, "ways": rows})
    return rows


def bench_sides(sides: Sequence[int], json_path: Path | None = None) -> dict[str, Any]:
    """Scores trained networks of Fig. 10 at several sides of the input, pixels, on the validation parts of `PLACES`.

    The first run of the comparison with stored weights counts for a network; one without any is left out. The side of
    the training is added.

    Returns:
        {trained_at: pixels, networks: {name: {file, seed, finished_utc}},
        places: {data set: {images, iou: {name: {side: percent}}}}}
    """
    from scgcnet.data import dataset_available, open_dataset
    from scgcnet.train.predict import score_images, total_scores

    if missing := [place for place in PLACES if not dataset_available(place)]:
        raise BenchError(f"the images of {missing[0]} are missing: see scgcnet data check {missing[0]}")
    trained_at, weights, runs = trained_networks()
    if absent := [name for name in FIG10 if name not in weights]:
        print(f"no weights of {', '.join(absent)}: scgcnet run ID --force makes those of one run")
    if not weights:
        raise BenchError("no weights to try: make study PROFILE=cpu, or scgcnet run ID --force, makes them")
    measured: dict[str, Any] = {"trained_at": trained_at, "networks": runs, "places": {}}
    for place in PLACES:
        images = open_dataset(place, 0, "val")
        iou: dict[str, dict[str, float]] = {name: {} for name in weights}
        for (name, file), side in itertools.product(weights.items(), sorted({*sides, trained_at})):
            percent = 100 * total_scores(score_images(zoo.load_model(file), images, side))["pooled"]["iou"]
            iou[name][str(side)] = round(percent, 4)
            print(f"{place}, {len(images)} validation images: {name} at {side} px IoU {percent:.2f} %", flush=True)
        measured["places"][place] = {"images": len(images), "iou": iou}
    write_json(json_path, measured)
    return measured


def trained_networks() -> tuple[int, dict[str, Path], dict[str, dict[str, Any]]]:
    """The image size of the training, and by network the weights and the run that they are of."""
    from scgcnet.study import load_plan, results
    from scgcnet.study.networks import chosen_runs, gather

    plan = load_plan()
    chosen = chosen_runs(plan, results.trials(), PLACES[0], PROFILE)
    weights, runs = {}, {}
    for network in gather({name: run for name, run in chosen.items() if name in FIG10}, results.runs()):
        for row in network.runs.itertuples():
            if network.name not in runs and (file := results.weights_of(row.run_id, row.finished_utc)) is not None:
                weights[network.name] = file
                runs[network.name] = {key: getattr(row, key) for key in ("file", "seed", "finished_utc")}
    return int(plan.profile(PROFILE).settings["image_size"]), weights, runs
