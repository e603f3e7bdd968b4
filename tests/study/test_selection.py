"""What a chapter shows, what it trains for it, and what it leaves out as not run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from scgcnet.data import DatasetError, write_fake
from scgcnet.study import selection
from scgcnet.study.plan import Plan, PlanError, Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.selection import chapter_runs, obtain, obtain_trials, page_profiles, resolve_profile
from scgcnet.study.store import Record, StoreError, Training, Trial, save

Make = Callable[..., Record]


@pytest.fixture
def plan(project: Path) -> Plan:
    return load_plan()


@pytest.fixture
def bijie(plan: Plan, project: Path) -> Path:
    """Made-up images where the real ones would be."""
    write_fake("bijie", project / "data", n=6)
    return project / "data"


@pytest.fixture
def as_trial(make_record: Make) -> Callable[[Run], Trial]:
    def as_trial(run: Run) -> Trial:
        record = make_record(run)
        return Trial(**{field.name: getattr(record, field.name) for field in dataclasses.fields(Training)})

    return as_trial


def kept(runs: list[Run]) -> list[tuple[str, str, int | str, int]]:
    return [(run.dataset, run.profile, run.split, run.seed) for run in runs]


class TestProfile:
    def test_auto_takes_what_is_at_hand(self, plan: Plan) -> None:
        assert resolve_profile(plan, "auto", "bijie") == "smoke"
        write_fake("bijie", Path("data"), n=6)
        assert resolve_profile(plan, "auto", "bijie") == "cpu"
        assert resolve_profile(plan, "auto", "landslide4sense") == "smoke"

    @pytest.mark.parametrize("name", ["smoke", "cpu", "gpu", "paper"])
    def test_a_name_is_taken_at_its_word(self, plan: Plan, name: str) -> None:
        assert resolve_profile(plan, name, "bijie") == name

    def test_a_page_shows_real_runs_whatever_it_runs(self, plan: Plan) -> None:
        assert page_profiles(plan, "smoke", "bijie") == page_profiles(plan, "auto", "bijie") == ("smoke", "cpu")
        assert page_profiles(plan, "paper", "bijie") == ("paper", "paper")

    def test_unknown_names_are_refused(self, plan: Plan) -> None:
        with pytest.raises(PlanError, match="no profile 'quick': choose one of smoke, cpu"):
            resolve_profile(plan, "quick", "bijie")
        with pytest.raises(DatasetError, match="bijei"):
            resolve_profile(plan, "auto", "bijei")


class TestChapterRuns:
    def test_nothing_to_show_and_nothing_to_train_on_is_synthetic(self, plan: Plan) -> None:
        for profile in ("cpu", "gpu", "paper"):
            assert kept(chapter_runs(plan, "bijie", ["scgcnet"], None, profile, None, 1)) == [
                ("synthetic", "smoke", 0, 0)
            ]

    def test_a_stored_run_is_something_to_show(self, plan: Plan, make_record: Make) -> None:
        planned = [run for run in plan.select("cpu") if (run.dataset, run.model, run.split) == ("bijie", "unet", 0)]
        save(make_record(planned[0]))
        wanted = [("bijie", "cpu", 0, seed) for seed in range(3)]
        assert kept(chapter_runs(plan, "bijie", ["scgcnet"], None, "cpu", None, 0)) == wanted
        # Of another profile or another data set there is nothing.
        assert chapter_runs(plan, "bijie", ["scgcnet"], None, "gpu", None, 0)[0].profile == "smoke"
        assert chapter_runs(plan, "landslide4sense", ["scgcnet"], None, "cpu", None, 0)[0].profile == "smoke"
        # What is chosen for the reader is not moved by what is stored.
        assert chapter_runs(plan, "bijie", ["scgcnet"], None, "auto", None, 0)[0].profile == "smoke"

    def test_a_run_from_elsewhere_is_nothing_to_show(self, plan: Plan, make_record: Make) -> None:
        """A run on Landslide4Sense that was trained on Bijie says nothing of a training there."""
        moved = next(run for run in plan.select("cpu") if run.dataset == "landslide4sense" and run.increment)
        save(make_record(moved))
        assert chapter_runs(plan, "landslide4sense", ["scgcnet"], None, "cpu", None, 0)[0].profile == "smoke"

    def test_data_at_hand_are_something_to_train_on(self, plan: Plan, bijie: Path) -> None:
        assert kept(chapter_runs(plan, "bijie", ["scgcnet"], None, "cpu", None, 2)) == [("bijie", "cpu", 2, 0)]
        assert (
            kept(chapter_runs(plan, "bijie", ["unet", "scgcnet"], None, "cpu", [4], 0)) == [("bijie", "cpu", 0, 4)] * 2
        )
        assert [run.size for run in chapter_runs(plan, "bijie", ["scgcnet"], None, "gpu", None, 0)] == ["small", "base"]

    def test_a_broken_result_is_not_overlooked(self, plan: Plan, project: Path) -> None:
        run = next(run for run in plan.select("cpu") if run.dataset == "bijie")
        path = project / "results" / "runs" / f"{run.run_id}.json"
        path.parent.mkdir(parents=True)
        path.write_text("{")
        with pytest.raises(StoreError, match="cannot be read as JSON"):
            chapter_runs(plan, "bijie", ["scgcnet"], None, "cpu", None, 0)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch, make_record: Make, as_trial: Callable[[Run], Trial]) -> list[str]:
    """What is computed or looked up by the runner; nothing is trained."""
    asked: list[str] = []

    def run(spec: Run) -> Record:
        asked.append(spec.run_id)
        return make_record(spec)

    def run_trial(spec: Run) -> Trial:
        asked.append(spec.run_id)
        return as_trial(spec)

    monkeypatch.setattr(selection, "run", run)
    monkeypatch.setattr(selection, "run_trial", run_trial)
    return asked


class TestObtain:
    def test_what_is_not_stored_is_left_out(self, plan: Plan, make_record: Make, done: list[str]) -> None:
        first, second, *_ = plan.select("cpu")
        save(make_record(second))
        assert [record.run_id for record in obtain([first, second], plan)] == [second.run_id]
        assert done == [second.run_id]  # which looks it up, and gives it the plan's claims

    def test_what_is_made_up_is_made(self, plan: Plan, done: list[str]) -> None:
        runs = [plan.select("smoke")[0], plan.select("cpu")[0]]
        assert [record.run_id for record in obtain(runs, plan)] == [runs[0].run_id] == done

    def test_all_is_trained_for_those_who_want_it(self, plan: Plan, done: list[str]) -> None:
        runs = [plan.select("smoke")[0], plan.select("cpu")[0]]
        assert [record.run_id for record in obtain(runs, plan, "train")] == [run.run_id for run in runs] == done

    def test_a_stored_run_is_read_and_not_trained(self, plan: Plan, make_record: Make) -> None:
        stored = make_record(plan.select("cpu")[0], claims=[])
        save(stored)
        (found,) = obtain([plan.select("cpu")[0]], plan)
        assert found == dataclasses.replace(stored, claims=["bijie_iou", "bijie_f1"])

    @pytest.mark.parametrize("what", ["", "none", "Train"])
    def test_another_word_is_refused(self, plan: Plan, done: list[str], what: str) -> None:
        with pytest.raises(PlanError, match=f"missing is '{what}': choose one of show, train"):
            obtain([plan.select("smoke")[0]], plan, what)
        with pytest.raises(PlanError, match=f"missing is '{what}'"):
            obtain_trials([plan.loss_trials[0]], plan, what)
        assert done == []


class TestObtainTrials:
    def test_a_stale_trial_is_shown_and_not_made_again(
        self, plan: Plan, as_trial: Callable[[Run], Trial], done: list[str]
    ) -> None:
        first, second, *_ = plan.select_trials("cpu")
        stale = dataclasses.replace(as_trial(second), code_sha256="1" * 64)
        save(stale)
        assert obtain_trials([first, second], plan) == [stale]
        assert done == []

    def test_those_on_made_up_images_and_those_wanted_are_made(self, plan: Plan, done: list[str]) -> None:
        made_up, real = plan.select_trials("smoke")[0], plan.select_trials("cpu")[0]
        assert [trial.run_id for trial in obtain_trials([made_up, real], plan)] == [made_up.run_id]
        assert done == [made_up.run_id]
        assert [trial.run_id for trial in obtain_trials([made_up, real], plan, "train")] == done[1:]
        assert done[1:] == [made_up.run_id, real.run_id]
