"""What can be computed here, and the line that says how much is left."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from templates import write_template

from scgcnet import cli
from scgcnet.data import write_fake
from scgcnet.data.sample import MARKER
from scgcnet.study.book import stage
from scgcnet.study.chapters import executed_file
from scgcnet.study.forecast import JOBS, progress, runnable, seconds_left
from scgcnet.study.plan import Plan, Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record, save

REAL = "data/Bijie-landslide-dataset"


@pytest.fixture
def plan(project: Path) -> Plan:
    """Of the profile cpu a run on Bijie, one that needs Landslide4Sense as well, and two trials; one run of smoke."""
    settings = {"epochs": 10, "image_size": 64}
    bijie = {"dataset": "bijie", "model": "unet", "size": "tiny", "profile": "cpu", "splits": [0], "seeds": [0]}
    tree = {
        "profiles": yaml.safe_load((project / "study.yml").read_text())["profiles"],
        "runs": [
            {**bijie, "settings": settings, "priority": 1},
            {**bijie, "settings": settings, "priority": 2, "dataset": "landslide4sense", "train": ["bijie"]},
            {**bijie, "settings": settings, "priority": 3, "dataset": "synthetic", "profile": "smoke"},
        ],
        "trials": [
            {"dataset": "bijie", "profile": "cpu", "split": 0, "seed": 0, "lr": [1.0e-3, 4.0e-3]}
            | {"settings": {**settings, "epochs": 1}}
        ],
        "chapters": {"page": {"template": "book/page.ipynb"}},
        "exhibits": {},
    }
    (project / "study.yml").write_text(yaml.safe_dump(tree))
    return load_plan()


def write(file: str, seconds: object = 100.0) -> None:
    """A stored result, as far as it is read here."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(json.dumps({"wall_s": seconds}))


class TestRunnable:
    def test_made_up_data_are_always_there(self, plan: Plan) -> None:
        here = runnable(plan, "smoke")
        assert [(file.startswith("build/runs/synthetic-"), run) for file, run in here.runs.items()] == [
            (True, plan.runs[2])
        ]
        assert (here.trials, here.left_out, here.lacking, here.note) == ({}, (), {}, "")

    def test_without_data_only_what_is_stored(self, plan: Plan) -> None:
        bijie, both, _ = plan.runs
        here = runnable(plan, "cpu")
        assert (here.runs, here.trials) == ({}, {})
        assert here.left_out == (bijie, both, *plan.trials)
        assert here.note == (
            "left out: 4 trainings for want of bijie, landslide4sense: `scgcnet data check NAME` says how to get them"
        )
        write(f"results/runs/{both.run_id}.json")
        assert list(runnable(plan, "cpu").runs.values()) == [both]

    def test_a_run_needs_all_its_data(self, plan: Plan, project: Path) -> None:
        write_fake("bijie", project / "data", n=6)
        assert "bijie (made up), landslide4sense:" in runnable(plan, "cpu").note
        (project / REAL / MARKER).unlink()
        here = runnable(plan, "cpu")
        assert list(here.runs.values()) == [plan.runs[0]] and list(here.trials.values()) == list(plan.trials)
        assert here.note.startswith("left out: 1 training for want of landslide4sense:")
        next((project / REAL).rglob("mask/*.png")).unlink()
        assert runnable(plan, "cpu").lacking["bijie"] == "incomplete or damaged"

    def test_torch_is_not_imported_for_what_is_stored(self, project: Path) -> None:
        program = "import sys; from scgcnet.study import forecast, load_plan; forecast.progress(load_plan(), 'smoke');"
        subprocess.run([sys.executable, "-c", f"{program} assert 'torch' not in sys.modules"], cwd=project, check=True)


class TestSecondsLeft:
    RUN = Run("bijie", "unet", "tiny", "cpu", {"epochs": 10, "image_size": 64})

    def expected(self, *measured: tuple[Run, float]) -> float | None:
        return seconds_left([self.RUN], measured)

    def test_goes_by_epochs_and_pixels(self) -> None:
        assert self.expected((self.RUN, 50.0)) == 50
        assert self.expected((replace(self.RUN, settings={"epochs": 5, "image_size": 64}), 50.0)) == 100
        assert self.expected((replace(self.RUN, settings={"epochs": 10, "image_size": 128}), 100.0)) == 25

    def test_of_the_most_alike_the_median(self) -> None:
        others = [(replace(self.RUN, seed=seed), seconds) for seed, seconds in ((1, 10.0), (2, 30.0), (3, 80.0))]
        fewer_images = (replace(self.RUN, settings={**self.RUN.settings, "epoch_images": 8}), 2.0)
        other_network = (replace(self.RUN, model="fcn"), 7.0)
        assert self.expected(other_network) == 7
        assert self.expected(other_network, fewer_images) == 2
        assert self.expected(other_network, fewer_images, *others) == 30

    def test_several_at_a_time(self) -> None:
        measured = [(self.RUN, 60.0)]
        assert seconds_left([self.RUN] * 6, measured, jobs=3) == 120
        assert seconds_left([self.RUN] * 2, measured, jobs=50) == 60  # none is done sooner than it takes

    def test_nothing_to_go_by(self) -> None:
        assert self.expected() is None


class TestProgress:
    @pytest.fixture(autouse=True)
    def at_hand(self, plan: Plan, project: Path) -> None:
        write_fake("bijie", project / "data", n=6)
        (project / REAL / MARKER).unlink()

    @pytest.mark.parametrize(
        ("seconds", "told"),
        [
            (20, "about a minute left, 1 at a time"),
            (25 * 60, "about 25 min left, 1 at a time"),
            (110 * 60, "about 1 h 50 min left, 1 at a time"),
            (76 * 3600, "about 3 d 4 h left, 1 at a time"),
            ("broken", "how long the rest takes is not known before the first is"),
        ],
    )
    def test_how_long(self, plan: Plan, monkeypatch: pytest.MonkeyPatch, seconds: object, told: str) -> None:
        monkeypatch.delenv(JOBS, raising=False)
        for trial in plan.trials:  # of a tenth of the epochs that are left
            write(f"results/trials/{trial.run_id}.json", seconds if isinstance(seconds, str) else seconds / 10)
        assert progress(plan, "cpu") == f"study: 0 of 1 run and 2 of 2 trials of profile cpu are stored; {told}"

    def test_what_is_stored_without_data_counts(self, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(JOBS, "4")
        write(f"results/runs/{plan.runs[1].run_id}.json")
        expected = "study: 1 of 2 runs and 0 of 2 trials of profile cpu are stored; about 2 min left, 4 at a time"
        assert progress(plan, "cpu") == expected

    def test_all_is_there(self, plan: Plan) -> None:
        write(f"build/runs/{plan.runs[2].run_id}.json")
        assert progress(plan, "smoke") == "study: 1 of 1 run of profile smoke are stored"


def test_it_is_told_after_a_result_was_computed(
    plan: Plan,
    project: Path,
    make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    planned = plan.runs[2]
    record = make_record(planned, kind="synthetic")

    def compute(spec: Run, **options: bool) -> Record:
        if not (project / record.file).exists():
            save(record, project)
        return record

    monkeypatch.setattr("scgcnet.study.runner.run", compute)
    monkeypatch.setenv("RANK", "0")
    assert cli.main(["study", "run", planned.run_id]) == 0
    assert capsys.readouterr().err.startswith("study: 1 of 1 run")
    time.sleep(0.05)  # the clock of files may be some milliseconds behind
    assert cli.main(["study", "run", planned.run_id]) == 0
    assert capsys.readouterr().err == ""


def test_the_book_waits_for_nothing_that_is_left_out(plan: Plan, project: Path) -> None:
    parameters = 'profile = "smoke"  # which runs\ndataset = "bijie"  # on what\nmodels = ["unet"]  # of what'
    template = write_template(project / "book" / "page.ipynb", "1", parameters=parameters)
    for name in ("_config.yml", "_toc.yml"):
        (project / name).write_text("format: jb-book\nroot: page\n")
    executed = project / executed_file("page", "cpu")
    executed.parent.mkdir(parents=True)
    shutil.copy(template, executed)
    write_fake("bijie", project / "data", n=6)
    assert stage(plan, "cpu", project, project / "build" / "src") == {}
    (project / REAL / MARKER).unlink()
    told = stage(plan, "cpu", project, project / "build" / "src")["page"]
    assert told.endswith(f"results that are not there: results/runs/{plan.runs[0].run_id}.json")
