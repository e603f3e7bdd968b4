"""The graph of the study, run as `make` runs it; chapters and runs are replaced by stand-ins that write empty files."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from checkout import copy_checkout, shell
from templates import write_template

from scgcnet.study.plan import Plan, load_plan
from scgcnet.study.runs import Run

pytestmark = pytest.mark.slow
#: In place of the command line: appends its arguments to `calls`, fails for what `fails` names, else writes the output.
STAND_IN = """
    import pathlib, sys
    what, name = [*sys.argv[1:], ""][:2]
    with open("calls", "a") as file:
        print(what, name, file=file)
    if name in pathlib.Path("fails").read_text().split():
        sys.exit(f"{name} fails")
    folder = {"run": "build/runs", "trials": "build/trials", "chapter": f"build/chapters/{sys.argv[-1]}"}.get(what)
    if folder:
        pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        pathlib.Path(folder, name + (".ipynb" if what == "chapter" else ".json")).write_text("{}")
"""
#: What Snakemake's plugin for SLURM calls. A job is done at once, and its options are kept in `submitted`.
SLURM = {
    "sbatch": """
        import os, pathlib, subprocess, sys
        options = sys.argv[1:]
        command = next(option for option in options if option.startswith("--wrap=")).removeprefix("--wrap=")
        pathlib.Path(__file__).with_name("submitted").write_text(" ".join(o for o in options if "--wrap=" not in o))
        with open(options[options.index("--output") + 1].replace("%j", "7"), "w") as log:
            environment = {**os.environ, "SLURM_JOB_ID": "7"}
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


def calls(project: Path) -> list[list[str]]:
    return [line.split() for line in (project / "calls").read_text().splitlines()]


@pytest.fixture
def graph(project: Path) -> tuple[Path, list[Run]]:
    """Three runs, two trials and two chapters, one of them last, at a profile that asks for a graphics card."""
    copy_checkout(project, ("workflow", "Makefile", "_config.yml", "_toc.yml", "scgcnet"))
    tree = yaml.safe_load((project / "study.yml").read_text())
    tree["profiles"]["gpu"]["data"] = "synthetic"
    run = {"dataset": "synthetic", "model": "scgcnet", "size": "tiny", "profile": "gpu", "splits": [0]}
    trial = {"dataset": "synthetic", "profile": "gpu", "split": 0, "seed": 5, "lr": [1.0e-3, 2.0e-3], "settings": {}}
    tree = {
        "profiles": tree["profiles"],
        "runs": [{**run, "priority": 2, "seeds": [1, 2]}, {**run, "priority": 1, "seeds": [0]}],
        "trials": [trial],
        "exhibits": {},
        "chapters": {
            "first": {"template": "book/first.ipynb", "last": True},
            "second": {"template": "book/second.ipynb"},
        },
    }
    (project / "study.yml").write_text(yaml.safe_dump(tree))
    for name in tree["chapters"]:
        write_template(project / "book" / f"{name}.ipynb", "1")
    (project / "scgcnet" / "cli.py").write_text(textwrap.dedent(STAND_IN))
    (project / "fails").write_text("")
    return project, load_plan().select("gpu")


def test_the_study_in_its_order_and_once(graph: tuple[Path, list[Run]]) -> None:
    project, runs = graph
    done = shell("make study PROFILE=gpu", project)
    assert done.returncode == 0, done.stdout
    made = calls(project)
    assert made[0] == ["run", runs[0].run_id]  # the most urgent first
    assert [what for what, *_ in made] == ["run"] * 3 + ["trials"] * 2 + ["chapter"] * 2 + ["book"]
    assert [name for what, name in made if what == "chapter"] == ["second", "first"]
    assert shell("make study PROFILE=gpu", project).returncode == 0 and calls(project) == made


def test_what_fails_keeps_nothing_else_from_being_made(graph: tuple[Path, list[Run]]) -> None:
    project, runs = graph
    (project / "fails").write_text(f"{runs[0].run_id} second")
    done = shell("make study PROFILE=gpu", project)
    assert done.returncode != 0 and "Study: NOT COMPLETE" in done.stdout
    assert {path.stem for path in (project / "build" / "runs").iterdir()} == {run.run_id for run in runs[1:]}
    (project / "fails").write_text("second")
    assert shell("make book PROFILE=gpu", project).returncode != 0
    assert [path.stem for path in (project / "build" / "chapters" / "gpu").iterdir()] == ["first"]
    assert calls(project)[-1][0] == "book"  # which shows what failed


def test_each_run_is_a_job_on_a_cluster(graph: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """What is asked of SLURM, and that its job does the run."""
    project, runs = graph
    tools = tmp_path / "slurm"
    tools.mkdir()
    for name, program in SLURM.items():
        (tools / name).write_text(f"#!{sys.executable}\n{textwrap.dedent(program)}")
        (tools / name).chmod(0o755)
    options = "--profile workflow/profiles/slurm --config profile=gpu --slurm-init-seconds-before-status-checks 1"
    done = shell(f"PATH={tools}:$PATH snakemake {options} -- build/runs/{runs[0].run_id}.json", project)
    assert done.returncode == 0, done.stdout
    assert calls(project) == [["run", runs[0].run_id]]
    submitted = (tools / "submitted").read_text()
    for option in ("--cpus-per-task=4", "--mem 16000", "-t 240", "--gpus=1"):
        assert option in submitted, submitted


def test_real_runs_without_data_are_left_out(project: Path, plan: Plan) -> None:
    copy_checkout(project, ("workflow", "_config.yml", "_toc.yml", "book", "results", "scgcnet"))
    done = shell("snakemake --cores 1 --dry-run --config profile=cpu -- study book", project)
    assert done.returncode == 0, done.stdout
    assert "left out: " in done.stdout and "chapter bijie" in done.stdout
    assert not re.search(r"^Job \d+: (run|trial) ", done.stdout, re.MULTILINE)
    done = shell("snakemake --cores 1 --dry-run --config profile=quick -- study", project)
    assert done.returncode != 0 and "quick" in done.stdout
