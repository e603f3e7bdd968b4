"""What of the study can be computed here, and how long the rest of it will take.

Nothing here imports torch, unless a result on real data is missing: what data are at hand is for the data room to say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from scgcnet.study.material import datasets_of
from scgcnet.study.plan import Plan, Run, project_root
from scgcnet.study.store import FOLDERS, TRIAL_FOLDERS

JOBS = "SCGCNET_JOBS"  # environment variable: how many trainings are done at a time; the workflow sets it


@dataclass(frozen=True)
class Runnable:
    """The planned runs and trials of a profile that are stored, or can be computed with the data at hand.

    Attributes:
        runs: by the file that the result is stored in, relative to the project root; the most urgent first.
        trials: likewise, in the order of study.yml.
        left_out: the other runs and trials.
        lacking: the data sets for want of which they are, and what is wrong with each; "" where one is not there.
    """

    runs: Mapping[str, Run]
    trials: Mapping[str, Run]
    left_out: tuple[Run, ...]
    lacking: Mapping[str, str]

    @property
    def note(self) -> str:
        """One line about what is left out; empty where nothing is."""
        if not self.left_out:
            return ""
        names = ", ".join(f"{name} ({state})" if state else name for name, state in sorted(self.lacking.items()))
        count = len(self.left_out)
        return (
            f"left out: {count} training{'s' * (count != 1)} for want of {names}: "
            "`scgcnet data check NAME` says how to get them"
        )


def runnable(plan: Plan, profile: str, root: Path | None = None) -> Runnable:
    """Sort out what of a profile can be had on this machine.

    A result that is stored counts whether or not its data are there. Made-up data in the layout of a real set count as
    not there: what is trained on them is no result of a profile of real data, and is stored elsewhere.

    Args:
        plan: study.yml.
        profile: name of a profile.
        root: the project; by default the one at hand.

    Raises:
        PlanError: no such profile.
    """
    root = root or project_root()
    kind = plan.profile(profile).data
    runs = {f"{FOLDERS[kind]}/{run.run_id}.json": run for run in plan.select(profile)}
    trials = {f"{TRIAL_FOLDERS[kind]}/{trial.run_id}.json": trial for trial in plan.select_trials(profile)}
    if kind == "synthetic":  # its data are made on the spot
        return Runnable(runs, trials, (), {})
    missing = {file: run for file, run in {**runs, **trials}.items() if not (root / file).is_file()}
    states = {name: _state(name) for name in {name for run in missing.values() for name in datasets_of(run)}}
    lacking = {name: state for name, state in states.items() if state is not None}
    left_out = {file: run for file, run in missing.items() if not lacking.keys().isdisjoint(datasets_of(run))}
    return Runnable(
        {file: run for file, run in runs.items() if file not in left_out},
        {file: trial for file, trial in trials.items() if file not in left_out},
        tuple(left_out.values()),
        lacking,
    )


def _state(name: str) -> str | None:
    """What is wrong with a data set of real images, "" for one that is not there, and None where nothing is."""
    from scgcnet.data import DatasetError, DatasetNotFoundError, open_whole

    try:
        return None if open_whole(name).kind == "real" else "made up"
    except DatasetNotFoundError:
        return ""
    except DatasetError:
        return "incomplete or damaged"


def progress(plan: Plan, profile: str, root: Path | None = None) -> str:
    """One line: how many results of a profile are stored, and how long the missing ones will take.

    So many trainings are done at a time as the environment variable `SCGCNET_JOBS` says, by default one.

    Args:
        plan: study.yml.
        profile: name of a profile.
        root: the project; by default the one at hand.

    Raises:
        PlanError: no such profile.
    """
    root = root or project_root()
    here = runnable(plan, profile, root)
    stored = {file: root / file for file in (*here.runs, *here.trials) if (root / file).is_file()}
    told = _counted(here.runs, stored, "run")
    if here.trials:
        told += f" and {_counted(here.trials, stored, 'trial')}"
    told = f"study: {told} of profile {profile} are stored"
    everything = {**here.runs, **here.trials}
    missing = [run for file, run in everything.items() if file not in stored]
    if not missing:
        return told
    measured = [(everything[file], seconds) for file, path in stored.items() if (seconds := _wall_s(path))]
    jobs = int(text) if (text := os.environ.get(JOBS, "")).isdecimal() and text != "0" else 1
    left = seconds_left(missing, measured, jobs)
    if left is None:
        return f"{told}; how long the rest takes is not known before the first is"
    return f"{told}; about {duration(left)} left, {jobs} at a time"


def seconds_left(missing: Collection[Run], measured: Collection[tuple[Run, float]], jobs: int = 1) -> float | None:
    """How long some trainings will take, from what others took.

    A training is expected to take as long for each pixel and epoch as the median of those that are most like it: of the
    same network on the same data, else of the same network, else of all. An epoch of fewer or more images and another
    processor are not told apart where none is most like it, so this is no more than a rough figure.

    Args:
        missing: the trainings.
        measured: others of the same profile, and the seconds that each took.
        jobs: how many are done at a time, from 1.

    Returns:
        Seconds, not less than the longest one takes; None where nothing was measured.
    """
    if not measured:
        return None
    expected = [_expected(run, measured) for run in missing]
    return max(sum(expected) / jobs, max(expected, default=0.0))


#: What makes two trainings of one profile alike, the closest likeness first.
_LIKENESS: tuple[Callable[[Run], object], ...] = (
    lambda run: (run.model, run.size, run.train or (run.dataset,), run.increment, run.settings.get("epoch_images")),
    lambda run: (run.model, run.size),
    lambda run: None,
)


def _expected(run: Run, measured: Collection[tuple[Run, float]]) -> float:
    speeds: list[float] = []
    for likeness in _LIKENESS:
        speeds = speeds or [seconds / _work(other) for other, seconds in measured if likeness(other) == likeness(run)]
    return median(speeds) * _work(run)


def _work(run: Run) -> float:
    """Epochs times pixels of an image."""
    return float(run.settings["epochs"] * run.settings["image_size"] ** 2)


def _wall_s(path: Path) -> float | None:
    """Seconds that a stored training took. Not the place to check its file: a broken one only does not count."""
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["wall_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _counted(wanted: Collection[str], stored: Collection[str], what: str) -> str:
    count = sum(file in stored for file in wanted)
    return f"{count} of {len(wanted)} {what}{'s' * (len(wanted) != 1)}"


def duration(seconds: float) -> str:
    """In the two largest units, such as 1 h 50 min."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "a minute"
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min"
