"""A training killed with SIGKILL goes on, and ends with the same bits as an unbroken one.

`tests/kill_study.py` does the same to the whole of `make study`, at random moments.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import kill_study
import pytest
import torch
from safetensors.torch import load_file

from scgcnet.data import write_fake
from scgcnet.study.looks import read_looks
from scgcnet.study.plan import Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import WEIGHTS_FOLDER, run
from scgcnet.study.store import find

EPOCHS = 6
PROGRAM = f"""
import sys, time
import scgcnet.train
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import run
evaluate = scgcnet.train.evaluate
def slowly(*arguments):
    time.sleep(float(sys.argv[1]))
    return evaluate(*arguments)
scgcnet.train.evaluate = slowly
changes = {{"epochs": {EPOCHS}, "image_size": 32, "batch_size": 4}}
run(load_plan().make_run("bijie", "scgcnet", "tiny", "smoke", changes=changes), progress=False)
"""


@pytest.fixture
def spec(project: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    write_fake("bijie", project / "data", n=12)
    monkeypatch.setenv("SCGCNET_DATA", str(project / "data"))
    changes = {"epochs": EPOCHS, "image_size": 32, "batch_size": 4}
    return load_plan().make_run("bijie", "scgcnet", "tiny", "smoke", changes=changes)


def killed_when(project: Path, pattern: str, count: int) -> None:
    """Start the run in a process of its own and kill it when `count` files of a pattern were seen below build/.

    A file that is replaced is another one: it has another time. (Inodes are used again.) A temporary one has a name of
    its own, and is seen while it grows.
    """
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "60"], cwd=project)
    try:
        seen: set[tuple[str, int]] = set()
        while len(seen) < count:
            assert process.poll() is None, "the training ended before it could be killed"
            for path in (project / "build").rglob(pattern):
                with suppress(FileNotFoundError):  # renamed meanwhile
                    seen.add((path.name, 0 if path.suffix == ".part" else path.stat().st_mtime_ns))
            time.sleep(0.002)
    finally:
        kill_study.kill(process)


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        (".last.ckpt.*.part", 2),  # in the midst of writing the second checkpoint
        ("last.ckpt", 3),
        ("looks.csv", 1),  # while the test part is scored
    ],
)
def test_killed_and_started_again(
    spec: Run, project: Path, tmp_path_factory: pytest.TempPathFactory, pattern: str, count: int
) -> None:
    killed_when(project, pattern, count)
    assert find(spec.run_id, "synthetic") is None
    kill_study.whole_files(project / "build")
    looks = sum(look.run_id == spec.run_id for look in read_looks("synthetic"))
    assert looks == (pattern == "looks.csv")

    subprocess.run([sys.executable, "-c", PROGRAM, "0"], cwd=project, check=True)
    resumed = find(spec.run_id, "synthetic")
    weights = load_file(project / WEIGHTS_FOLDER / f"{spec.run_id}.safetensors")
    assert resumed is not None and resumed.test_looks == looks + 1
    assert [path.name for path in (project / "build" / "training").iterdir()] == [f"{spec.run_id}.lock"]

    unbroken = run(spec, force=True, progress=False)
    assert (resumed.metrics, resumed.history) == (unbroken.metrics, unbroken.history)
    again = load_file(project / WEIGHTS_FOLDER / f"{spec.run_id}.safetensors")
    assert weights.keys() == again.keys()
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert not list((project / "build").rglob("*.part"))
