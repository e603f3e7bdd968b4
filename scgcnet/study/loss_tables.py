"""The grid of loss weights (Sec. IV-A-4): which the trials on validation prefer, and whether they can tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from scgcnet.study.plan import Plan, PlanError, Run, at_home
from scgcnet.study.show import NONE, Link, Table
from scgcnet.study.store import Record, Training, Trial, is_stale
from scgcnet.study.tables import NOT_RUN

Weights = tuple[float, float, float]
PAPER: Weights = (0.4, 0.4, 0.2)  # of DWCE, focal and Lovasz loss: alpha, beta, gamma of eq. 26


def grid(plan: Plan, profile: str, step: float) -> dict[Weights, Run]:
    """The planned trials of a profile on a grid of this step, by their weights.

    Args:
        plan: the study.
        profile: name in study.yml.
        step: from one weight to the next; a multiple of the planned step.

    Raises:
        PlanError: the step is none that divides 1, or the profile has no trial on it.
    """
    steps = round(1 / step) if step > 0 else 0
    if steps < 1 or abs(steps * step - 1) > 1e-9:
        raise PlanError(f"step {step}: must divide 1, such as 0.1, 0.2 or 0.5")
    found = {}
    for trial in plan.loss_trials:
        loss = trial.settings["loss"]
        weights = (float(loss["dwce"]), float(loss["focal"]), float(loss["lovasz"]))
        if trial.profile == profile and all(abs(round(w * steps) - w * steps) < 1e-9 for w in weights):
            found[weights] = trial
    if not found:
        raise PlanError(f"study.yml plans no loss weights with the profile {profile} at steps of {step:g}")
    return found


def val_f1(trial: Training) -> float:
    """F1 on the validation part in percent, of the epoch that was kept: what the paper chose by."""
    return 100 * next(float(row["val_f1"] or 0.0) for row in trial.history if row["epoch"] == trial.best_epoch)


def grid_scores(trials: Mapping[Weights, Run], stored: Sequence[Trial]) -> dict[Weights, float]:
    """Validation F1 in percent by weights, of what was run."""
    found = {trial.run_id: trial for trial in stored}
    return {weights: val_f1(found[run.run_id]) for weights, run in trials.items() if run.run_id in found}


def grid_table(trials: Mapping[Weights, Run], stored: Sequence[Trial]) -> Table:
    """Every point of a grid, the best on top; those not run come last."""
    found = {trial.run_id: trial for trial in stored}
    ranked = sorted(trials.items(), key=lambda item: -val_f1(found[item[1].run_id]) if item[1].run_id in found else 1.0)
    rows = []
    for weights, run in ranked:
        trial = found.get(run.run_id)
        names = dict(zip(("DWCE", "Focal", "Lovasz"), (f"{weight:g}" for weight in weights), strict=True))
        score = f"{val_f1(trial):.2f}{' (stale)' * is_stale(trial)}" if trial else ""
        rows.append(
            {
                **names,
                "Whose": "the paper's choice" if weights == PAPER else NONE,
                "Validation F1": Link(score, trial.file) if trial else NOT_RUN,
                "Validation IoU": f"{100 * trial.val_iou:.2f}" if trial else NOT_RUN,
            }
        )
    return Table(pd.DataFrame(rows), "Weights of the three losses, by F1 on the validation part (%)")


def verdict(scores: Mapping[Weights, float], points: int, noise: float) -> str:
    """In words: where the paper's weights stand, and how many others chance cannot tell from the best.

    Args:
        scores: from `grid_scores`.
        points: of the grid, run or not.
        noise: how far two trainings that differ in nothing but the seed lie apart, in points; NaN if not known.
    """
    if PAPER not in scores:
        return f"{len(scores)} of the {points} combinations were run, and the paper's 0.4, 0.4, 0.2 is none of them."
    if len(scores) == 1:
        return (
            f"Of the {points} combinations the paper's 0.4, 0.4, 0.2 alone was run, with {scores[PAPER]:.2f} % F1: "
            "there is nothing yet to compare it with, so whether it is the best is not known."
        )
    best = max(scores, key=lambda weights: scores[weights])
    rank = 1 + sum(score > scores[PAPER] for score in scores.values())
    text = (
        f"Of {len(scores)} combinations that were run, of {points}, the paper's 0.4, 0.4, 0.2 is number {rank} with "
        f"{scores[PAPER]:.2f} % F1; the best, {best[0]:g}, {best[1]:g}, {best[2]:g}, has {scores[best]:.2f} %. "
    )
    if noise != noise:
        return f"{text}How far trainings that differ in their seed alone lie apart is not known."
    near = sum(score >= scores[best] - noise for weights, score in scores.items() if weights != best)
    return (
        f"{text}Trainings that differ in their seed alone lie up to {noise:.1f} points apart, so {near} of the others "
        "cannot be told from the best."
    )


def seed_noise(records: Sequence[Record], plan: Plan, profile: str) -> float:
    """How far apart, in points of validation F1, whole trainings lie that differ in their seed alone.

    They are the planned runs of what the grid of the profile was trained on, with the profile's own settings.
    """
    grids = {
        (trial.dataset, trial.model, trial.size, trial.split) for trial in plan.loss_trials if trial.profile == profile
    }
    settings = plan.profile(profile).settings
    planned = {
        run.run_id
        for run in plan.select(profile)
        if (run.dataset, run.model, run.size, run.split) in grids
        and run.settings == settings
        and run.unaltered
        and at_home(run.config)
    }
    scores = [val_f1(record) for record in records if record.run_id in planned]
    return max(scores) - min(scores) if len(scores) > 1 else float("nan")
