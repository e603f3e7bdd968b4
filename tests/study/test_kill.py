"""A training that is killed while it writes a checkpoint resumes and ends with the bits of an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from scgcnet import study
from scgcnet.data import write_fake
from scgcnet.study.plan import Plan

CHANGES = {"epochs": 3, "image_size": 32, "batch_size": 4}
PROGRAM = f"""
import os, signal
from pathlib import Path
from scgcnet import study

write, checkpoints = Path.write_bytes, []

def write_or_die(path, data):
    checkpoints.extend([path] * (".ckpt" in path.name))
    if len(checkpoints) == 2:
        write(path, bytes(data)[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, data)

Path.write_bytes = write_or_die
study.run(study.load_plan().make_run("bijie", "scgcnet", "tiny", "smoke", changes={CHANGES}), progress=False)
"""


@pytest.mark.slow
def test_a_killed_training_ends_as_an_unbroken_one(project: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    write_fake("bijie", project / "data", n=12)
    monkeypatch.setenv("SCGCNET_DATA", str(project / "data"))
    root = Path(study.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    killed = subprocess.run([sys.executable, "-c", PROGRAM], cwd=project, env=environment, timeout=600)
    assert killed.returncode == -signal.SIGKILL
    training = project / "build" / "training"
    assert [path.name for path in training.rglob("*.ckpt")] == ["last.ckpt"]
    assert len(list(training.rglob(".last.ckpt.*.part"))) == 1

    spec = plan.make_run("bijie", "scgcnet", "tiny", "smoke", changes=CHANGES)
    weights = project / study.results.WEIGHTS / f"{spec.run_id}.safetensors"
    assert study.results.find(spec.run_id, "synthetic") is None
    resumed = study.run(spec, progress=False)
    bits = load_file(weights)
    assert not list((project / "build").rglob("*.part"))

    unbroken = study.run(spec, force=True, progress=False)
    assert (resumed.metrics, resumed.history) == (unbroken.metrics, unbroken.history)
    again = load_file(weights)
    assert bits.keys() == again.keys() and all(torch.equal(bits[name], again[name]) for name in bits)
