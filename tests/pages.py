"""Pages of text whose commands and code are tried: their blocks, and a copy of the project to try them in."""

import os
import re
import subprocess
import sys
from pathlib import Path

from study_graph import COPIED, copy

REPOSITORY = Path(__file__).resolve().parents[1]
MORE = ("Makefile", "pyproject.toml", "requirements.lock", "tests")


def copy_project(folder: Path) -> Path:
    """What the commands of the pages need of the checkout."""
    copy((*COPIED, *MORE), folder)
    return folder


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of the copy would, in the environment of these tests and without any data."""
    # Neither the data of this machine, nor what pytest and the make that runs these tests leave for their children.
    ours = ("SCGCNET_DATA", "PYTEST", "MAKE", "MFLAGS")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = str(folder)  # the package of the copy, not the one that is installed
    environment["XDG_CACHE_HOME"] = str(folder / ".cache")
    environment |= {"VENV": "", "CORES": "1"}  # make takes the environment that is active
    environment |= {"OMP_NUM_THREADS": "1"} | variables  # the other cores have tests of their own
    merged = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, timeout=2700, **merged)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def commands(page: Path) -> list[str]:
    """Every command of a page: the lines of its sh blocks, and what stands in its text as `tool ...`."""
    lines = [re.sub(r"(^|\s+)#.*", "", line) for block in blocks(page, "sh") for line in block.splitlines()]
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    tools = "make|scgcnet|papermill|pip|python|pytest|snakemake|jupyter|conda|source|git|bash"
    return list(dict.fromkeys([*filter(None, lines), *re.findall(rf"`((?:{tools}) [^`]+)`", text)]))
