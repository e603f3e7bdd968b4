"""A copy of the project for `make`'s graph to run in, the graph, and a cluster with SLURM that is none."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("workflow", "study.yml", "_config.yml", "_toc.yml", "book", "results", "scgcnet")

#: What SLURM's plugin calls. A job is done at once, where it is submitted; `submitted` keeps the options of each.
SLURM = {
    "sbatch": """
        import os, pathlib, subprocess, sys
        options = sys.argv[1:]
        command = next(option for option in options if option.startswith("--wrap=")).removeprefix("--wrap=")
        with pathlib.Path(__file__).with_name("submitted").open("a") as file:
            print(*(option for option in options if not option.startswith("--wrap=")), file=file)
        environment = {**os.environ, "SLURM_JOB_ID": "7"}
        with open(options[options.index("--output") + 1].replace("%j", "7"), "w") as log:
            code = subprocess.run(["sh", "-c", command], env=environment, stdout=log, stderr=log).returncode
        pathlib.Path(__file__).with_name("state").write_text("FAILED" if code else "COMPLETED")
        print(7)
    """,
    "srun": """
        import os, sys
        command = sys.argv[1:]
        while command[0].startswith("-"):
            del command[0]
        os.execvp(command[0], command)
    """,
    "sacct": """
        import pathlib, sys
        if "--name" in sys.argv:
            print("7|" + pathlib.Path(__file__).with_name("state").read_text())
    """,
    "sinfo": 'print("PARTITION\\nmain*")',
    "scontrol": 'print("MinJobAge = 300 sec")',
}


#: In place of the command line: says in `calls` what it was asked for, and does it at once, but for what `fails` names.
STAND_IN = """
    import os, pathlib, sys
    what, name, *_ = [*sys.argv[2:], ""]
    with open("calls", "a") as file:
        print(what, name, os.environ.get("SCGCNET_JOBS"), file=file)
    folder = {"run": "build/runs", "trials": "build/trials", "chapter": f"build/chapters/{sys.argv[-1]}"}.get(what)
    if name in pathlib.Path("fails").read_text().split():
        sys.exit(f"{name} fails")
    if folder:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        pathlib.Path(folder, name + (".ipynb" if what == "chapter" else ".json")).write_text("{}")
"""


def copy(names: Iterable[str], folder: Path) -> None:
    """Files and folders of the checkout, with what numba has compiled: that takes half a minute each time."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        if (REPOSITORY / name).is_dir():
            skipped = shutil.ignore_patterns(".*")
            shutil.copytree(REPOSITORY / name, folder / name, dirs_exist_ok=True, ignore=skipped)
        else:
            shutil.copy(REPOSITORY / name, folder / name)


def snakemake(
    folder: Path, *arguments: str, cores: str | None = "1", tools: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake without the data sets that this machine may have; `tools` is a folder to look for programs in."""
    command = [sys.executable, "-m", "snakemake", *(["--cores", cores] if cores else []), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in ("SCGCNET_DATA", "SCGCNET_JOBS")}
    environment["XDG_CACHE_HOME"] = str(folder / ".cache")
    environment["PATH"] = os.pathsep.join([*([str(tools)] if tools else []), environment["PATH"]])
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )


def slurm(folder: Path) -> Path:
    """Write the programs of `SLURM` into a folder."""
    folder.mkdir()
    for name, program in SLURM.items():
        (folder / name).write_text(f"#!{sys.executable}\n{textwrap.dedent(program)}")
        (folder / name).chmod(0o755)
    return folder


def stand_in(folder: Path, fails: str = "") -> None:
    """Put `STAND_IN` into a copy of the project; `fails` are ids of runs and names of chapters."""
    shutil.rmtree(folder / "scgcnet" / "cli", ignore_errors=True)
    (folder / "scgcnet" / "cli.py").write_text(textwrap.dedent(STAND_IN))
    (folder / "fails").write_text(fails)
