"""A copy of the project for `make`'s graph to run in, and the graph."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("workflow", "study.yml", "_config.yml", "_toc.yml", "book", "results", "scgcnet")


def copy(names: Iterable[str], folder: Path) -> None:
    """Files and folders of the checkout, with what numba has compiled: that takes half a minute each time."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        if (REPOSITORY / name).is_dir():
            skipped = shutil.ignore_patterns(".*")
            shutil.copytree(REPOSITORY / name, folder / name, dirs_exist_ok=True, ignore=skipped)
        else:
            shutil.copy(REPOSITORY / name, folder / name)


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on one core, without the data sets that this machine may have."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "SCGCNET_DATA"}
    environment["XDG_CACHE_HOME"] = str(folder / ".cache")
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )
