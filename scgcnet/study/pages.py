"""The runs that a page of the book shows: chosen by its parameters, read from the store, trained if asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import pandas as pd

from scgcnet.study import results
from scgcnet.study.plan import Plan
from scgcnet.study.results import Record
from scgcnet.study.runner import run, run_trial
from scgcnet.study.runs import PlanError, Run, at_home


def chapter_runs(
    plan: Plan,
    dataset: str,
    models: Sequence[str],
    size: str | None,
    profile: str,
    seeds: Sequence[int] | None,
    split: int,
    **changes: Any,
) -> list[Run]:
    """The runs that the parameters of a data set's page ask for, seeds within networks.

    Args:
        plan: the study.
        dataset: name of the data set.
        models: names for `create_model`.
        size: preset of the networks; None for those that study.yml plans, else tiny.
        profile: name in study.yml, or "auto": `cpu` if the data set is there, else `smoke`. A profile on synthetic data
            replaces the data set.
        seeds: one run each; None for those that study.yml plans for the same network, data and split, else 0.
        split: number of the committed split.
        changes: settings that replace the profile's; None leaves one as it is.

    Raises:
        PlanError: no network, no seed, an unknown profile or a value out of range.
        DatasetError: there is no such data set.
    """
    from scgcnet.data import dataset_available

    if not models or (seeds is not None and not seeds):
        raise PlanError("models and seeds must each name at least one")
    profile = page_profile(plan, profile, dataset)
    home = [run for run in plan.select(profile) if run.dataset == dataset and run.unaltered and at_home(run.config)]
    if (
        plan.profile(profile).data == "real"
        and not dataset_available(dataset)
        and not any(results.find(run.run_id, "real") for run in home)
    ):
        profile = "smoke"  # nothing to show and nothing to train on
    if plan.profile(profile).data == "synthetic":
        dataset, split = "synthetic", 0
    changes = {key: value for key, value in changes.items() if value is not None}
    made = []
    for model in models:
        planned = [
            run
            for run in plan.select(profile)
            if (run.dataset, run.model, run.split) == (dataset, model, split)
            and run.unaltered
            and at_home(run.config)
            and run.settings == plan.settings(dataset, model, run.size, profile)
        ]
        for preset in [size] if size else list(dict.fromkeys(r.size for r in planned)) or ["tiny"]:
            # A recipe changed by hand is a trial, for which one seed does.
            repeats = [] if changes else [r.seed for r in planned if r.size == preset]
            for seed in (repeats or [0]) if seeds is None else seeds:
                made.append(plan.make_run(dataset, model, preset, profile, split=split, seed=seed, changes=changes))
    return made


def page_profile(plan: Plan, profile: str, dataset: str) -> str:
    """The profile that a page runs with: `profile`, or for "auto" `cpu` if the data set is there, else `smoke`.

    Raises:
        PlanError: there is no such profile.
    """
    from scgcnet.data import dataset_available

    return plan.profile(("cpu" if dataset_available(dataset) else "smoke") if profile == "auto" else profile).name


def real_profile(plan: Plan, profile: str, dataset: str) -> str:
    """The profile whose stored runs on real data a page shows: `profile`, or `cpu` for one on synthetic data or "auto".

    Raises:
        PlanError: there is no such profile.
    """
    own = page_profile(plan, profile, dataset)
    return own if plan.profile(own).data == "real" else "cpu"


def obtain(runs: Sequence[Run], plan: Plan, missing: str = "show") -> pd.DataFrame:
    """The stored records of planned runs as one `results.frame`.

    Args:
        runs: planned ones; those on synthetic data are trained if they are not stored.
        plan: the study.
        missing: for real runs without a result: "show" leaves them out, to be called not run; "train" trains them now.

    Raises:
        PlanError: `missing` is neither.
        DatasetError, ResultError, WriteError, TrainingError: as for `run`.
    """
    return results.frame(_records(runs, plan, missing, run, "runs"))


def obtain_trials(trials: Sequence[Run], plan: Plan, missing: str = "show") -> pd.DataFrame:
    """The same for trials."""
    return results.frame(_records(trials, plan, missing, run_trial, "trials"))


def _records(
    planned: Sequence[Run], plan: Plan, missing: str, train: Any, folder: Literal["runs", "trials"]
) -> Iterator[Record]:
    if missing not in ("show", "train"):
        raise PlanError(f"missing is {missing!r}: choose show or train")
    for spec in planned:
        wanted = missing == "train" or plan.profile(spec.profile).data == "synthetic"
        record = train(spec) if wanted else results.find(spec.run_id, "real", folder)
        if record is not None:
            yield record
