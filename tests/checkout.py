"""A copy of the checkout, commands run in it as a user would run them, and the blocks of a page."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
NEEDED = ("workflow", "study.yml", "_config.yml", "_toc.yml", "Makefile", "pyproject.toml", "requirements.lock",
          "book", "results", "scgcnet", "tests")  # fmt: skip


def copy_checkout(folder: Path, names: tuple[str, ...] = NEEDED) -> Path:
    """Copy files and folders of the checkout, with what numba has compiled (half a minute), without hidden files."""
    for name in names:
        source, target = REPOSITORY / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        else:
            shutil.copy(source, target)
    return folder


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy with the environment of these tests, one core, and no data unless `variables` say so."""
    # Neither the data of this machine, nor what pytest and the make that runs these tests leave for their children.
    ours = ("SCGCNET_DATA", "PYTEST", "MAKE", "MFLAGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "PYTHONPATH": str(folder),  # the package of the copy, not the installed one
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "OMP_NUM_THREADS": "1",
        "VENV": "",  # make uses the environment that is active
        "CORES": "1",
        **variables,
    }
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        timeout=2700,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def commands(page: Path) -> list[str]:
    """The lines of a page's sh blocks without their comments, each once."""
    lines = [re.sub(r"(^|\s+)#.*", "", line) for block in blocks(page, "sh") for line in block.splitlines()]
    return list(dict.fromkeys(filter(None, lines)))
