"""Mapping a large scene: peak memory, speed, and whether a run that is killed and gone on with gives the same map."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from scgcnet import files, zoo
from scgcnet.bench.machine import describe
from scgcnet.scene.made_up import write_made_up_scene
from scgcnet.scene.mapping import OUTPUTS, REPORT, WORK, code_sha256, find_weights
from scgcnet.scene.options import SceneError
from scgcnet.scene.seams import Seams, measure, read_mosaics


@dataclass(frozen=True)
class SceneTimes:
    """What one scene took.

    Attributes:
        side: of the square scene, pixels.
        window: side of a window, pixels.
        seconds: from the start of the command to its end.
        processor_seconds: that all its threads worked; what is missing went to other processes, or to the disk.
        megapixels_per_second: of the scene.
        peak_mb: most resident memory of the process, 10^6 bytes.
        windows: how many the scene has.
        killed_at: windows that were done when the other run was killed, once for each.
        the_same: whether every file of that run is equal to the unbroken one's, byte by byte.
    """

    side: int
    window: int
    seconds: float
    processor_seconds: float
    megapixels_per_second: float
    peak_mb: float
    windows: int
    killed_at: list[int]
    the_same: bool


def bench_scene(side: int, model: str, window: int = 1024, kills: int = 2, json_file: Path | None = None) -> SceneTimes:
    """Maps a made-up scene twice, the second time with SIGKILL at random moments, and prints what came of it.

    Args:
        side: of the square scene, pixels.
        model: name of weights, or a file.
        window: as for `scgcnet map`.
        kills: how often the second run is killed.
        json_file: where to write the numbers.

    Raises:
        WriteError: there is no room for the scene or its maps in the folder for temporary files.
    """
    with tempfile.TemporaryDirectory(prefix="scgcnet-bench-") as place:
        folder = Path(place)
        scene, _ = write_made_up_scene(folder / "scene.tif", (side, side))
        print(f"made-up scene of {side} x {side} px, {side * side / 1e6:.0f} megapixels", flush=True)
        command = [
            sys.executable, "-m", "scgcnet.cli", "map", str(scene), "--model", model, "--window", str(window),
            "--quiet", "--out",
        ]  # fmt: skip
        seconds, busy, peak = _timed([*command, str(folder / "whole")])
        print(
            f"unbroken: {seconds:.0f} s ({busy:.0f} s of processor time), {side * side / 1e6 / seconds:.2f} "
            f"megapixels/s, peak {peak:.0f} MB",
            flush=True,
        )
        windows = json.loads((folder / "whole" / REPORT).read_text("utf-8"))["windows"]["number"]
        moments = _killed([*command, str(folder / "broken")], folder / "broken", kills, windows)
        same = [_sha256(folder / "whole" / name) == _sha256(folder / "broken" / name) for name in OUTPUTS]
        print(f"killed at window {', '.join(map(str, moments))} of {windows} and gone on with: "
              f"{'every file is the same' if all(same) else 'DIFFERENT'}", flush=True)  # fmt: skip
    speed = side * side / 1e6 / seconds
    times = SceneTimes(side, window, seconds, busy, speed, peak, windows, moments, all(same))
    if json_file is not None:
        about = {"machine": describe("cpu"), "code_sha256": code_sha256(), "model": model, "scene": asdict(times)}
        files.write_text(json_file, json.dumps(about, indent=1) + "\n")
    return times


def _timed(command: list[str]) -> tuple[float, float, float]:
    """Seconds, those of the processor, and peak memory in 10^6 bytes of a process."""
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the mapping failed with status {process.returncode}, see above")
    return time.perf_counter() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def _killed(command: list[str], out: Path, kills: int, windows: int) -> list[int]:
    """Runs a command to its end in so many pieces; gives how many windows it had begun to write at each kill."""
    rng = random.Random(0)  # noqa: S311  # nothing secret
    moments: list[int] = []
    seen: set[str] = set()
    for kill in range(kills):
        wanted = int(windows * (kill + rng.uniform(0.1, 0.9)) / kills)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while process.poll() is None and len(seen) <= wanted:
            seen.update(path.name for path in (out / WORK).glob("window-*.npy"))
            time.sleep(0.001)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            moments.append(len(seen))
        process.wait()
    _timed(command)
    return moments


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bench_seams(
    model: str, windows: Sequence[int], scales: Sequence[float], json_file: Path | None = None
) -> list[Seams]:
    """Maps the real mosaics as tiles, as blended windows and as a whole, and prints what the cutting did to them.

    Args:
        model: name of weights, or a file; the threshold is theirs.
        windows: sides of windows, pixels.
        scales: pixels of the working grid for one of the scene.
        json_file: where to write the numbers.

    Raises:
        SceneError: the mosaics are not there.
    """
    mosaics = read_mosaics()
    if not mosaics:
        raise SceneError("the mosaics of AMU-Net are not there: see data/README.md, and set SCGCNET_DATA")
    weights = find_weights(model)
    network, threshold = zoo.load_model(weights), float(zoo.read_metadata(weights)["threshold"])
    ways = [(window, overlap) for window in windows for overlap in (0.0, 0.25)] + [(0, 0.0)]
    found = []
    for scale, (window, overlap), mosaic in itertools.product(scales, ways, mosaics):
        one = measure(network, mosaic, threshold, window, overlap, scale)
        found.append(one)
        print(
            f"{one.scene} scale {scale:g} window {window or 'whole':>5} overlap {overlap:<4g} IoU {one.iou:.4f} "
            f"{one.polygons} polygons, {one.seconds:.2f} s/megapixel",
            flush=True,
        )
    if json_file is not None:
        about = {
            "machine": describe("cpu"), "code_sha256": code_sha256(), "model": weights.name, "threshold": threshold,
            "ways": [asdict(one) for one in found],
        }  # fmt: skip
        files.write_text(json_file, json.dumps(about, indent=1) + "\n")
    return found
