"""The graph of the study, run as `make` runs it."""

import os
import shutil
from pathlib import Path

import pytest
import yaml
from study_graph import COPIED, copy, snakemake
from templates import write_template

from scgcnet.study.plan import load_plan


@pytest.fixture
def small(project: Path) -> Path:
    """A study without runs and with three chapters, of which one fails."""
    copy(("workflow", "_config.yml", "book/vendor", "book/style", "book/references.bib"), project)
    tree = yaml.safe_load((project / "study.yml").read_text())
    tree |= {
        "runs": [],
        "trials": [],
        "exhibits": {},
        "chapters": {n: {"template": f"book/{n}.ipynb"} for n in ("a", "b", "c")},
    }
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
    for kind in ("runs", "trials"):
        shutil.rmtree(project / "results" / kind, ignore_errors=True)
    plan = load_plan()
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "study")
    assert done.returncode == 0, done.stdout
    assert all(f"run {run.run_id}" in done.stdout for run in plan.select("cpu"))
    assert "run synthetic" not in done.stdout

    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "trials")
    assert all(f"trial {trial.run_id}" in done.stdout for trial in plan.trials)
    assert f"run {plan.select('cpu')[0].run_id}" not in done.stdout

    # A real result that is there is never computed again, whatever the dates of files say.
    record = project / "results" / "runs" / f"{plan.select('cpu')[0].run_id}.json"
    record.parent.mkdir()
    record.write_text("{}")
    os.utime(record, (0, 0))
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "study")
    assert f"run {record.stem}" not in done.stdout and f"run {plan.select('cpu')[1].run_id}" in done.stdout

    done = snakemake(project, "--dry-run", "--config", "profile=quick", "--", "study")
    assert done.returncode != 0 and "no profile 'quick'" in done.stdout
