"""Kills the first run of the profile smoke at random moments and starts it again: nothing may be lost or different.

    python tests/kill_study.py [--rounds 10] [--seed 0]

Works on a copy of the checkout in a temporary folder. Each round starts from nothing, kills every process with SIGKILL
(every other time at any moment, else while it trains), looks at each file that has its final name, starts again and
compares run file and weights with those of an unbroken run, bit for bit. A round takes about one and a half such runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from PIL import Image
from safetensors.torch import load_file
from study_graph import COPIED, copy

from scgcnet.study import store
from scgcnet.study.chapters import record_file
from scgcnet.study.plan_reader import load_plan

#: What may differ between two runs of one configuration: when, how long, and how often the test part was seen.
VARYING = ("finished_utc", "wall_s", "test_looks")


def kill(process: subprocess.Popen[Any]) -> None:
    """SIGKILL for a process and all that it started, at once."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=30)
    process.wait()


def whole_files(folder: Path) -> list[Path]:
    """Open every file below `folder` that has its final name; one that is half-written raises its reader's error."""
    checked = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not _is_temporary(p.relative_to(folder))):
        if path.suffix == ".json" and path.parent.name == "runs":
            store.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".safetensors":
            load_file(path)
        elif path.suffix == ".ckpt":
            torch.load(path, weights_only=True)
        elif path.suffix == ".png":
            Image.open(path).load()
        elif path.suffix == ".csv":
            assert path.read_text().endswith("\n"), path
        else:
            continue
        checked.append(path)
    return checked


def _is_temporary(path: Path) -> bool:
    """A file or folder that only its writer knows: hidden, or a generator's folder that has not been named yet."""
    return any(part.startswith(".") or ".partial" in part for part in path.parts)


def outcome(project: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Run file, without what may vary, and weights of the one smoke run."""
    (file,) = (project / "build" / "runs").glob("*.json")
    (weights,) = (project / "build" / "weights").glob("*.safetensors")
    tree = json.loads(file.read_text())
    return {key: tree[key] for key in tree if key not in (*VARYING, store.SEAL)}, load_file(weights)


def same(first: tuple[dict[str, Any], dict[str, torch.Tensor]], second: tuple[Any, Any]) -> bool:
    """Equal numbers and equal bits."""
    return bool(
        first[0] == second[0]
        and first[1].keys() == second[1].keys()
        and all(torch.equal(first[1][key], second[1][key]) for key in first[1])
    )


def start(project: Path) -> subprocess.Popen[Any]:
    """The run as a job of the workflow, with the interpreter that runs this."""
    environment = {**os.environ, "PYTHONPATH": str(project), "XDG_CACHE_HOME": str(project / ".cache")}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment.pop("SCGCNET_DATA", None)
    plan = load_plan(project / "study.yml")
    result = record_file(plan, plan.select("smoke")[0])
    command = ["snakemake", "--cores", "1", "--config", "profile=smoke", "--", result]
    with (project / "log").open("w") as log:
        return subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True)


TRAINS, STORED = "training/*/*", "runs/*.json"  # below build/: the training has begun, its result is there


def wait_for(pattern: str, project: Path, process: subprocess.Popen[Any]) -> float:
    """Wait until a file is there, or all is over; returns the time."""
    while process.poll() is None and not list((project / "build").glob(pattern)):
        time.sleep(0.01)
    return time.monotonic()


def finish(project: Path) -> tuple[float, float]:
    """Run the study to its end; returns the seconds that it took, and those of training and scoring."""
    began = time.monotonic()
    process = start(project)
    trains = wait_for(TRAINS, project, process)
    trained = wait_for(STORED, project, process) - trains
    if process.wait() != 0:
        raise SystemExit(f"make study failed:\n{(project / 'log').read_text()[-3000:]}")
    return time.monotonic() - began, trained


def reached(project: Path) -> str:
    """How far a run came, from what it left."""
    if list((project / "build" / "runs").glob("*.json")):
        return "run stored"
    for checkpoint in (project / "build" / "training").rglob("last.ckpt"):
        return f"{len(torch.load(checkpoint, weights_only=True)['history'])} epochs"
    return "images drawn" if list((project / "build" / "data").glob("*")) else "starting"


def main() -> int:
    """Returns 0 when every round ended like the unbroken run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        copy((*COPIED, "Makefile"), project)
        seconds, training = finish(project)
        unbroken = outcome(project)
        iou = unbroken[0]["metrics"]["resized"]["iou"]
        print(f"unbroken: {seconds:.1f} s, {training:.1f} of them training; IoU {iou:.6f}", flush=True)
        bad = 0
        for number in range(1, options.rounds + 1):
            for folder in ("build", ".snakemake"):
                shutil.rmtree(project / folder, ignore_errors=True)
            process, began = start(project), time.monotonic()
            if number % 2:
                wait_for(TRAINS, project, process)
                time.sleep(chance.uniform(0, training))
            else:
                time.sleep(chance.uniform(0, seconds))
            moment = time.monotonic() - began
            kill(process)
            state = reached(project)
            files = len(whole_files(project / "build")) + len(whole_files(project / "results"))
            finish(project)
            good = same(unbroken, outcome(project))
            bad += not good
            print(
                f"round {number}: killed after {moment:5.1f} s ({state}); {files} files, all whole; "
                f"started again: {'the same, bit for bit' if good else 'DIFFERENT'}",
                flush=True,
            )
    print(f"{options.rounds - bad} of {options.rounds} rounds ended like the unbroken run")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
