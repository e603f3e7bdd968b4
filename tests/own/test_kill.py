"""`scgcnet train` killed while it works, and run again by the same command: the weights of an unbroken one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from own_data import write_scene
from safetensors.torch import load_file

import scgcnet


@pytest.mark.slow
def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    write_scene(tmp_path / "region")
    root = Path(scgcnet.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(out: str) -> subprocess.Popen[bytes]:
        words = ["train", "region", "--out", out, "--epochs", "3", "--image-size", "64", "--from", "none", "--quiet"]
        return subprocess.Popen([sys.executable, "-m", "scgcnet.cli", *words], cwd=tmp_path, env=environment)

    killed = start("out")
    checkpoint = tmp_path / "out" / ".work" / "last.ckpt"
    deadline = time.monotonic() + 300
    while not checkpoint.is_file() and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL and checkpoint.is_file()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".work"]

    for name in ("out", "unbroken"):
        assert start(name).wait(timeout=600) == 0
    one, other = (load_file(tmp_path / name / "weights.safetensors") for name in ("unbroken", "out"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert not list((tmp_path / "out").glob(".*"))
