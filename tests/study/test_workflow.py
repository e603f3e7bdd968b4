"""The graph of the study, run as `make` runs it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
import pytest
import yaml
from templates import write_template

from scgcnet.study.plan import load_plan

REPOSITORY = Path(__file__).resolve().parents[2]
COPIED = ("workflow", "study.yml", "_config.yml", "_toc.yml", "book", "results", "scgcnet")


def copy(names: Iterable[str], folder: Path) -> None:
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        if (REPOSITORY / name).is_dir():
            skipped = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
            shutil.copytree(REPOSITORY / name, folder / name, dirs_exist_ok=True, ignore=skipped)
        else:
            shutil.copy(REPOSITORY / name, folder / name)


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / ".cache")}
    return subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600
    )


@pytest.fixture
def small(project: Path) -> Path:
    """A study without runs and with three chapters, of which one fails."""
    copy(("workflow", "_config.yml", "book/vendor", "book/style", "book/references.bib"), project)
    tree = yaml.safe_load((project / "study.yml").read_text())
    tree |= {"runs": [], "exhibits": {}, "chapters": {n: {"template": f"book/{n}.ipynb"} for n in ("a", "b", "c")}}
    (project / "study.yml").write_text(yaml.safe_dump(tree))
    (project / "_toc.yml").write_text("format: jb-book\nroot: a\nchapters:\n- file: b\n- file: c\n")
    for name, code in (("a", "1"), ("b", "1 / 0"), ("c", "3")):
        write_template(project / "book" / f"{name}.ipynb", code, title=f"# {name}")
    return project


def test_a_failed_chapter_is_shown_and_tried_again(small: Path) -> None:
    html = small / "build" / "book" / "_build" / "html"
    done = snakemake(small, "--", "book")
    assert done.returncode != 0
    assert "chapter b failed: ZeroDivisionError: division by zero" in done.stdout
    assert "This chapter failed" in (html / "b.html").read_text()
    assert "This chapter failed" not in (html / "c.html").read_text()

    write_template(small / "book" / "b.ipynb", "1 / 1", title="# b")
    done = snakemake(small, "--dry-run", "--", "book")
    assert "chapter b" in done.stdout and "chapter c" not in done.stdout and "the book" in done.stdout


def test_the_graph_of_the_study(project: Path) -> None:
    copy(COPIED, project)
    shutil.rmtree(project / "results" / "runs", ignore_errors=True)
    plan = load_plan()
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "study")
    assert done.returncode == 0, done.stdout
    assert all(f"run {run.run_id}" in done.stdout for run in plan.select("cpu"))
    assert "run synthetic" not in done.stdout

    # A real result that is there is never computed again, whatever the dates of files say.
    record = project / "results" / "runs" / f"{plan.select('cpu')[0].run_id}.json"
    record.parent.mkdir()
    record.write_text("{}")
    os.utime(record, (0, 0))
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "study")
    assert f"run {record.stem}" not in done.stdout and f"run {plan.select('cpu')[1].run_id}" in done.stdout

    done = snakemake(project, "--dry-run", "--config", "profile=quick", "--", "study")
    assert done.returncode != 0 and "no profile 'quick'" in done.stdout


def test_the_smoke_book(project: Path) -> None:
    """`make book` from nothing: synthetic data, one training, every chapter, a strict build and the gate."""
    copy(COPIED, project)
    done = snakemake(project, "--", "book")
    assert done.returncode == 0, done.stdout[-8000:]
    assert (project / "build" / "book" / "_build" / "html" / "index.html").is_file()
    executed = {path.stem for path in (project / "build" / "chapters" / "smoke").glob("*.ipynb")}
    assert executed == set(load_plan().chapters)

    # A chapter by hand, as the README says; papermill leaves the stored run alone.
    command = [
        sys.executable,
        "-m",
        "papermill",
        "book/dataset.ipynb",
        "out.ipynb",
        "-p",
        "dataset",
        "bijie",
        "-p",
        "epochs",
        "1",
    ]
    subprocess.run(command, cwd=project, check=True, capture_output=True, timeout=600)
    assert any("epochs = 1" in cell.source for cell in nbformat.read(project / "out.ipynb", as_version=4).cells)
