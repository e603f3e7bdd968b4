"""Several scenes, each in a process of its own, by the study's scheduler: one that fails stops no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scgcnet.checkout import find_checkout
from scgcnet.scene.mapping import REPORT
from scgcnet.scene.options import MapOptions, SceneError

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".webp", ".img")
SNAKEFILE = "workflow/scenes.smk"


def find_scenes(places: Sequence[Path]) -> list[Path]:
    """The scenes that are named, and in place of a folder the rasters in it, by name.

    Raises:
        SceneError: a folder holds none, or two have the same name and would be written to one place.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            inside = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise SceneError(f"{place} holds no raster: nothing that ends with {', '.join(SUFFIXES)}")
            found += inside
        else:
            found.append(place)
    twice = [name for name, number in Counter(path.stem for path in found).items() if number > 1]
    if twice:
        both = " and ".join(str(path) for path in found if path.stem == twice[0])
        raise SceneError(f"{both} would both be written to a folder {twice[0]}: rename one, or map them one by one")
    return found


def map_scenes(scenes: Sequence[Path], out: Path, model: str, options: MapOptions, jobs: int | None = None) -> int:
    """Maps scenes into a folder each, as many at a time as there are cores, and prints a line for each at the end.

    Args:
        scenes: see `find_scenes`.
        out: folder for theirs, which are named like the scenes.
        model: as for `map_scene`.
        options: likewise.
        jobs: how many at a time.

    Returns:
        0, or 1 where a scene failed.

    Raises:
        SceneError: the scheduler is not installed, or there is no checkout of the repository.
    """
    root = find_checkout()
    if root is None or not (root / SNAKEFILE).is_file():
        raise SceneError(f"several scenes need {SNAKEFILE} of a checkout of the repository; or map them one by one")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scgcnet-scenes-") as place:
        folder = Path(place)
        tasks: dict[str, dict[str, Any]] = {  # numbered: a scene's name may hold what the scheduler makes something of
            f"{number}": {
                "scene": str(scene.absolute()),
                "out": str((out / scene.stem).absolute()),
                "arguments": arguments(model, options),
            }
            for number, scene in enumerate(scenes, 1)
        }
        (folder / "tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
        _schedule(root, folder, jobs or os.cpu_count() or 1)
        return _tell(tasks, folder)


def _schedule(root: Path, folder: Path, jobs: int) -> None:
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(root / SNAKEFILE), "--cores", str(jobs),
        "--directory", str(folder), "--quiet", "all",
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # the other cores have scenes of their own
    done = subprocess.run(command, check=False, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if done.returncode and b"No module named" in done.stderr:
        raise SceneError("several scenes need Snakemake: pip install 'scgcnet[book]'; or map them one by one")
    (folder / "snakemake.log").write_bytes(done.stderr)


def _tell(tasks: dict[str, dict[str, Any]], folder: Path) -> int:
    failed = 0
    for name, task in tasks.items():
        if (folder / f"{name}.done").is_file():
            print((folder / f"{name}.done").read_text("utf-8").strip())
            for note in json.loads((Path(task["out"]) / REPORT).read_text("utf-8"))["scene"]["notes"]:
                print(f"  note: {note}")
            continue
        failed += 1
        log = folder / f"{name}.log"
        lines = log.read_text("utf-8", errors="replace").strip().splitlines() if log.is_file() else []
        print(f"{task['out']}: FAILED: {lines[-1] if lines else 'it was not started'}")
    print(f"{len(tasks)} scene{'s' * (len(tasks) != 1)}, {failed or 'none'} failed", file=sys.stderr)
    return int(failed > 0)


def arguments(model: str, options: MapOptions) -> list[str]:
    """The options of `scgcnet map` that say the same as these."""
    model = str(Path(model).absolute()) if Path(model).is_file() else model
    words = ["--model", model, "--window", str(options.window), "--overlap", repr(options.overlap)]
    words += ["--min-area", repr(options.min_area), "--quiet"]
    if options.threshold is not None:
        words += ["--threshold", repr(options.threshold)]
    if options.scale is not None:
        words += ["--scale", repr(options.scale)]
    if options.bands is not None:
        words += ["--bands", ",".join(map(str, options.bands))]
    if options.value_range is not None:
        words.append(f"--range={','.join(map(repr, options.value_range))}")
    return words
