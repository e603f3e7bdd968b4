"""The runs that a chapter's parameters ask for."""

from __future__ import annotations

from collections.abc import Sequence

from scgcnet.study.plan import Plan, PlanError, Run, at_home
from scgcnet.study.runner import run, run_trial
from scgcnet.study.store import Record, Trial, find, find_trial


def chapter_runs(
    plan: Plan,
    dataset: str,
    models: Sequence[str],
    size: str | None,
    profile: str,
    seeds: Sequence[int] | None,
    split: int,
    *,
    epochs: int | None = None,
    image_size: int | None = None,
    batch_size: int | None = None,
) -> list[Run]:
    """The runs that a chapter's parameters ask for, seeds within networks.

    Args:
        plan: the study.
        dataset: name of the data set.
        models: names for `create_model`.
        size: preset of the networks; None for those that study.yml plans for the profile and the data, else tiny.
        profile: name in study.yml, or "auto": `cpu` where the data set is there, else `smoke`. A profile on
            synthetic data replaces the data set.
        seeds: one run each; None for those that study.yml plans for the same network, data and split, else 0.
        split: number of the committed split.
        epochs: replaces the profile's unless None.
        image_size: likewise, in pixels.
        batch_size: likewise, in images.

    Raises:
        PlanError: no network, no seed, an unknown profile or a value out of range.
        DatasetError: there is no such data set.
    """
    from scgcnet.data import dataset_available

    if not models or (seeds is not None and not seeds):
        raise PlanError("models and seeds must each name at least one")
    profile = resolve_profile(plan, profile, dataset)
    if (
        plan.profile(profile).data == "real"
        and not dataset_available(dataset)
        and not _any_stored(plan, dataset, profile)
    ):
        profile = "smoke"  # nothing to show and nothing to train on
    if plan.profile(profile).data == "synthetic":
        dataset, split = "synthetic", 0
    asked = {"epochs": epochs, "image_size": image_size, "batch_size": batch_size}
    changes = {key: value for key, value in asked.items() if value is not None}
    made = []
    for model in models:
        planned = [
            r
            for r in plan.select(profile)
            if (r.dataset, r.model, r.split) == (dataset, model, split)
            and r.unaltered
            and at_home(r.config)
            and r.settings == plan.settings(dataset, model, r.size, profile)
        ]
        for preset in [size] if size else list(dict.fromkeys(r.size for r in planned)) or ["tiny"]:
            # A recipe changed by hand is somebody's trial, for which one seed does.
            repeats = [] if changes else [r.seed for r in planned if r.size == preset]
            for seed in (repeats or [0]) if seeds is None else seeds:
                made.append(plan.make_run(dataset, model, preset, profile, split=split, seed=seed, changes=changes))
    return made


def _any_stored(plan: Plan, dataset: str, profile: str) -> bool:
    return any(
        find(run.run_id, "real") for run in plan.select(profile) if run.dataset == dataset and at_home(run.config)
    )


def page_profiles(plan: Plan, profile: str, dataset: str) -> tuple[str, str]:
    """The profile that a page runs, and the one whose stored runs on real data it shows: `cpu` if the first has none.

    It raises as `resolve_profile` does.
    """
    own = resolve_profile(plan, profile, dataset)
    return own, own if plan.profile(own).data == "real" else "cpu"


MISSING = ("show", "train")


def resolve_profile(plan: Plan, profile: str, dataset: str) -> str:
    """The profile of a page: that asked for, or for "auto" `cpu` where the data set is at hand, else `smoke`.

    Raises:
        PlanError: there is no such profile.
        DatasetError: there is no such data set, or it does not fit its layout.
    """
    from scgcnet.data import dataset_available

    return plan.profile(("cpu" if dataset_available(dataset) else "smoke") if profile == "auto" else profile).name


def obtain(runs: Sequence[Run], plan: Plan, missing: str = "show") -> list[Record]:
    """The records of a chapter's runs: those on synthetic data are made in seconds, real ones as `missing` says.

    Args:
        runs: planned ones.
        plan: the study.
        missing: "show" leaves out what has no result, for the chapter to call it not run; "train" trains it now.

    Raises:
        PlanError: `missing` is neither.
        DatasetError, StoreError, WriteError, TrainingError: as for `run`.
    """
    return [run(spec) for spec in runs if _wanted(spec, plan, missing) or find(spec.run_id, "real")]


def obtain_trials(trials: Sequence[Run], plan: Plan, missing: str = "show") -> list[Trial]:
    """The same for trials; a stale one is shown as it is stored, unless it is to be trained."""
    found = []
    for spec in trials:
        trial = run_trial(spec) if _wanted(spec, plan, missing) else find_trial(spec.run_id, "real")
        found += [trial] if trial else []
    return found


def _wanted(spec: Run, plan: Plan, missing: str) -> bool:
    if missing not in MISSING:
        raise PlanError(f"missing is {missing!r}: choose one of {', '.join(MISSING)}")
    return missing == "train" or plan.profile(spec.profile).data == "synthetic"
