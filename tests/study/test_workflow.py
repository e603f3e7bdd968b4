"""The graph of the study, run as `make` runs it."""

import os
import re
import shutil
from pathlib import Path

import pytest
import yaml
from pages import shell
from scgcnet.study.plan_reader import load_plan
from study_graph import COPIED, REPOSITORY, copy, slurm, snakemake, stand_in
from templates import write_template

from scgcnet.data import write_fake
from scgcnet.data.sample import MARKER
from scgcnet.study.plan import Run

REAL = "data/Bijie-landslide-dataset"


@pytest.fixture
def small(project: Path) -> Path:
    """A study without runs and with three chapters, of which one fails."""
    copy(("workflow", "_config.yml", "book/vendor", "book/style", "book/references.bib"), project)
    tree = yaml.safe_load((project / "study.yml").read_text())
    tree = {
        "profiles": tree["profiles"],
        "runs": [],
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


def test_a_page_that_counts_the_others_waits_for_them(small: Path) -> None:
    """It is executed last, whatever its place and the cores there are; where another page failed it still is."""
    tree = yaml.safe_load((small / "study.yml").read_text())
    tree["chapters"]["a"]["last"] = True
    (small / "study.yml").write_text(yaml.safe_dump(tree))
    pages = small / "build" / "chapters" / "smoke"
    code = f"import os; print('stored', sorted(os.listdir({str(pages)!r})))"
    write_template(small / "book" / "a.ipynb", code, title="# a")
    write_template(small / "book" / "c.ipynb", "import time; time.sleep(2)", title="# c")
    assert snakemake(small, "--", "book", cores="2").returncode != 0  # b fails
    told = (pages / "a.ipynb").read_text()
    assert "c.ipynb" in told and "b.failed.ipynb" in told

    write_template(small / "book" / "b.ipynb", "1 / 1", title="# b")
    done = snakemake(small, "--", "book", cores="2")
    assert done.returncode == 0, done.stdout
    assert "b.ipynb" in (pages / "a.ipynb").read_text()


def test_start_and_report_come_last() -> None:
    chapters = load_plan(REPOSITORY / "study.yml").chapters
    assert [name for name, chapter in chapters.items() if chapter.last] == ["start", "report"]


def test_the_graph_of_the_study(project: Path) -> None:
    copy(COPIED, project)
    for kind in ("runs", "trials"):
        shutil.rmtree(project / "results" / kind, ignore_errors=True)
    write_fake("bijie", project / "data", n=6)
    (project / REAL / MARKER).unlink()  # it passes for the real one
    plan = load_plan()
    runs, trials = (
        [planned for planned in select("cpu") if not {planned.dataset, *planned.train} - {"bijie"}]
        for select in (plan.select, plan.select_trials)
    )
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "study")
    assert done.returncode == 0, done.stdout
    assert all(f"run {run.run_id}" in done.stdout for run in runs)
    assert all(f"trial {trial.run_id}" in done.stdout for trial in trials)
    assert "run synthetic" not in done.stdout and "run landslide4sense" not in done.stdout
    left_out = len(plan.select("cpu")) + len(plan.select_trials("cpu")) - len(runs) - len(trials)
    assert f"left out: {left_out} trainings for want of " in done.stdout

    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "trials")
    assert all(f"trial {trial.run_id}" in done.stdout for trial in trials)
    assert f"run {runs[0].run_id}" not in done.stdout

    # A real result that is there is never computed again, whatever the dates of files say.
    record = project / "results" / "runs" / f"{runs[0].run_id}.json"
    record.parent.mkdir()
    record.write_text("{}")
    os.utime(record, (0, 0))
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "study")
    assert f"run {record.stem}" not in done.stdout and f"run {runs[1].run_id}" in done.stdout

    # A page waits for its runs, but not for those that cannot be had.
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "book")
    assert f"run {runs[1].run_id}" in done.stdout and "chapter bijie" in done.stdout
    shutil.rmtree(project / REAL)
    done = snakemake(project, "--dry-run", "--config", "profile=cpu", "--", "book")
    assert done.returncode == 0, done.stdout
    assert "\nJob" in done.stdout and not re.search(r"run \w+-\w+-", done.stdout)  # no job of a run id

    done = snakemake(project, "--dry-run", "--config", "profile=quick", "--", "study")
    assert done.returncode != 0 and "no profile 'quick'" in done.stdout


@pytest.fixture
def graph(project: Path) -> tuple[Path, list[Run]]:
    """A study of three runs and a chapter at a profile that wants a card, in which nothing is really trained."""
    copy(("workflow", "Makefile", "_config.yml", "_toc.yml", "scgcnet"), project)
    tree = yaml.safe_load((project / "study.yml").read_text())
    tree["profiles"]["gpu"]["data"] = "synthetic"
    run = {"dataset": "synthetic", "model": "scgcnet", "size": "tiny", "profile": "gpu", "splits": [0], "seeds": [0]}
    tree = {
        "profiles": tree["profiles"],
        "runs": [{**run, "priority": 2, "seeds": [1, 2]}, {**run, "priority": 1}],
        "trials": [
            {"dataset": "synthetic", "profile": "gpu", "split": 0, "seed": 5, "lr": [1.0e-3, 2.0e-3], "settings": {}}
        ],
        "exhibits": {},
        "chapters": {"page": {"template": "book/page.ipynb"}},
    }
    (project / "study.yml").write_text(yaml.safe_dump(tree))
    write_template(project / "book" / "page.ipynb", "1")
    stand_in(project)
    return project, load_plan().select("gpu")


def test_the_whole_study_in_its_order(graph: tuple[Path, list[Run]]) -> None:
    project, runs = graph
    done = shell("make study PROFILE=gpu", project)
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "Study: the results of profile gpu are in build/book/_build/html/index.html"
    calls = [line.split() for line in (project / "calls").read_text().splitlines()]
    assert calls[0] == ["run", runs[0].run_id, "1"]
    assert [what for what, *_ in calls] == ["run"] * 3 + ["trials"] * 2 + ["chapter", "book"]

    done = shell("make study PROFILE=gpu", project)
    assert done.returncode == 0 and len((project / "calls").read_text().splitlines()) == len(calls)


def test_a_failed_run_keeps_no_other_from_being_done(graph: tuple[Path, list[Run]]) -> None:
    project, runs = graph
    stand_in(project, fails=runs[0].run_id)
    done = shell("make study PROFILE=gpu", project)
    assert done.returncode != 0
    assert f"study: no result yet for 1 of 5: {runs[0].run_id}\n" in done.stdout
    assert "Study: NOT COMPLETE, see above\n" in done.stdout
    stored = {path.stem for path in (project / "build" / "runs").iterdir()}
    assert stored == {run.run_id for run in runs[1:]}
    assert [line.split()[0] for line in (project / "calls").read_text().splitlines()][-2:] == ["chapter", "book"]


def test_each_run_is_a_job_on_a_cluster(graph: tuple[Path, list[Run]], tmp_path: Path) -> None:
    """With the programs of SLURM played by others: what is asked of the cluster, and that its job does the run."""
    project, runs = graph
    tree = yaml.safe_load((project / "study.yml").read_text())
    tree["runs"], tree["trials"] = tree["runs"][1:], []
    (project / "study.yml").write_text(yaml.safe_dump(tree))
    tools = slurm(tmp_path / "slurm")
    cluster = ("--profile", "workflow/profiles/slurm", "--config", "profile=gpu")
    done = snakemake(project, "--dry-run", *cluster, "--", "study", cores=None)  # without SLURM
    assert done.returncode == 0 and f"run {runs[0].run_id}" in done.stdout, done.stdout

    waits = ("--slurm-init-seconds-before-status-checks", "1")
    done = snakemake(project, *cluster, *waits, "--", "study", cores=None, tools=tools)
    assert done.returncode == 0, done.stdout
    assert (project / "calls").read_text() == f"run {runs[0].run_id} 50\n"
    (options,) = (tools / "submitted").read_text().splitlines()
    for option in ("--cpus-per-task=4", "--mem 16000", "-t 240", "--gpus=1", f"wildcards_build_runs_{runs[0].run_id}"):
        assert option in options, options
