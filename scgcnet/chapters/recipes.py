"""Choices made on validation: recipes, learning rates, loss weights, constructions of the network.

`stored` and `trials` are frames from `results.runs` and `results.trials`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from scgcnet.chapters.common import SHARED
from scgcnet.study.networks import (
    NOT_RUN,
    best_rate,
    cell,
    changes,
    chosen_runs,
    data_set,
    rate_trials,
    whole_runs,
)
from scgcnet.study.plan import Plan
from scgcnet.study.results import ResultError
from scgcnet.study.runs import PlanError, Run, project_root
from scgcnet.study.show import NONE, Link, Links, Note, Table
from scgcnet.study.stats import prediction_interval, seed_interval, summarize

Weights = tuple[float, float, float]
PAPER: Weights = (0.4, 0.4, 0.2)  # of DWCE, focal and Lovasz loss: alpha, beta, gamma of eq. 26
LOSSES = {"dwce": "DWCE", "focal": "Focal", "lovasz": "Lovasz"}
TRIALS = "results/trials.csv"
#: The options that make `lean` of `base`; a planned run that sets one of them is a construction.
BUILD = frozenset({"msle", "context"})


def trial_table(dataset: str) -> Table:
    """The trials by hand from which the recipe of a data set was chosen; none of them saw the test part."""
    path = project_root() / TRIALS
    names = {"profile": "Profile", "trial": "Trial", "change": "Recipe", "epochs": "Epochs"}
    names |= {"val_iou": "Validation IoU, best epoch", "note": "Remark"}
    try:
        trials = pd.read_csv(path, dtype=str, keep_default_na=False).set_index("dataset")[list(names)]
    except (OSError, ValueError, KeyError) as error:
        raise ResultError(f"{path}: cannot be read: {error}; take it back from git") from None
    trials = trials[trials.index == dataset]
    if trials.empty:
        trials.loc[dataset] = [f"none on {data_set(dataset)}"] + [NONE] * (len(names) - 1)
    return Table(trials.rename(columns=names), "Trials on the validation part, one seed each")


def rate_table(plan: Plan, trials: pd.DataFrame, dataset: str | None = None) -> Table:
    """The learning rates that every network was tried with, their validation IoU, and the rate that its run takes."""
    rows: list[dict[str, object]] = []
    for data, profile in dict.fromkeys((run.dataset, run.profile) for run in plan.trials):
        if dataset not in (None, data):
            continue
        chosen = chosen_runs(plan, trials, data, profile)
        for model, tried in rate_trials(plan, trials, data, profile).groupby("model", sort=False):
            made, best, run = tried.dropna(), best_rate(tried), chosen[str(model)]
            row: dict[str, object] = {"Network": f"{model} {run.size}", "Data and profile": f"{data}, {profile}"}
            row |= {f"Rate {lr:g}": cell(iou) for lr, iou in zip(tried.lr, tried.val_iou, strict=True)}
            row |= {"Best": NOT_RUN if pd.isna(best) else f"{best:g}", "Taken": f"{run.settings['lr']:g}"}
            links = tuple(Link(f"{lr:g}", file) for lr, file in zip(made.lr, made.file, strict=True))
            rows.append({**row, "Trials": Links(links)})
    rows = rows or [{"Network": f"no trials are planned on {data_set(dataset or 'any data set')}"}]
    return Table(pd.DataFrame(rows), "Learning rates tried: validation IoU of the best epoch (%)")


def recipe_table(plan: Plan, trials: pd.DataFrame, stored: pd.DataFrame, dataset: str) -> Table:
    """Whole trainings with other recipes on a data set, by validation IoU, below the run with the profile's own."""
    tried = [run for run in plan.recipe_trials if run.dataset == dataset]
    usual = [replace(run, settings=plan.profile(run.profile).settings) for run in tried[:1]]
    found = pd.concat([stored, trials])  # a recipe may also be a planned run
    found = found[~found.index.duplicated()].reindex([run.run_id for run in (*usual, *tried)])
    rows = [
        {
            "Network": f"{run.model} {run.size}, profile {run.profile}, seed {run.seed}",
            "Recipe": changes(run, plan).removeprefix(", ") or "the profile's own",
            "Validation IoU": cell(one.val_iou, file=one.file),
            "Time": NONE if pd.isna(one.wall_s) else f"{one.wall_s / 60:.1f} min",
        }
        for run, one in zip((*usual, *tried), found.itertuples(), strict=True)
    ]
    rows = rows or [{"Network": f"no other recipes are planned on {data_set(dataset)}"}]
    return Table(pd.DataFrame(rows), f"Other recipes, whole trainings: validation IoU of the best epoch (%); {SHARED}")


def grid(plan: Plan, profile: str, step: float) -> dict[Weights, Run]:
    """The planned trials of loss weights of a profile on a grid of this step, which must divide 1."""
    steps = round(1 / step) if step > 0 else 0
    if steps < 1 or abs(steps * step - 1) > 1e-9:
        raise PlanError(f"step {step}: must divide 1, such as 0.1, 0.2 or 0.5")
    found: dict[Weights, Run] = {}
    for trial in plan.loss_trials:
        dwce, focal, lovasz = (float(trial.settings["loss"][name]) for name in LOSSES)
        if trial.profile == profile and all(abs(round(w * steps) - w * steps) < 1e-9 for w in (dwce, focal, lovasz)):
            found[dwce, focal, lovasz] = trial
    if not found:
        raise PlanError(f"study.yml plans no loss weights with the profile {profile} at steps of {step:g}")
    return found


def grid_scores(planned: Mapping[Weights, Run], trials: pd.DataFrame) -> pd.DataFrame:
    """val_f1 and val_iou (percent) and file by weights of a `grid`, the best F1 first; NaN where it was not run."""
    points = pd.MultiIndex.from_tuples(planned, names=list(LOSSES))
    found = trials.reindex(index=[run.run_id for run in planned.values()], columns=["val_f1", "val_iou", "file"])
    return found.set_axis(points).sort_values("val_f1", ascending=False, kind="stable")


def grid_table(scores: pd.DataFrame) -> Table:
    """Every point of `grid_scores`."""
    weights = scores.index.to_frame(index=False).map("{:g}".format).rename(columns=LOSSES)
    table = weights.assign(Whose=["the paper's choice" if index == PAPER else NONE for index in scores.index])
    table["Validation F1"] = [cell(row.val_f1, file=row.file) for row in scores.itertuples()]
    table["Validation IoU"] = scores.val_iou.map(cell).to_numpy()
    return Table(table, "Weights of the three losses, by F1 on the validation part (%)")


def grid_note(scores: pd.DataFrame, noise: float) -> Note:
    """Rank of the paper's weights in `grid_scores`, and how many lie within the noise (`seed_noise`) of the best."""
    title, made = "Rank of the paper's weights", scores.val_f1.dropna()
    text = f"{len(made)} of {len(scores)} combinations were run"
    if PAPER not in made:
        return Note(title, f"{text}, without the paper's 0.4, 0.4, 0.2.")
    if len(made) == 1:
        return Note(title, f"{text}, only the paper's 0.4, 0.4, 0.2 ({made[PAPER]:.2f} % F1).")
    text += f"; the paper's 0.4, 0.4, 0.2 is number {1 + (made > made[PAPER]).sum()} with {made[PAPER]:.2f} % F1. "
    text += f"The best, {', '.join(f'{weight:g}' for weight in made.index[0])}, has {made.iloc[0]:.2f} %. "
    if pd.isna(noise):
        return Note(title, f"{text}The spread over seeds is not known.")
    near = (made.iloc[1:] >= made.iloc[0] - noise).sum()
    text += f"Seeds alone move F1 by up to {noise:.1f} points: {near} others are within that of the best."
    return Note(title, text)


def seed_noise(stored: pd.DataFrame, plan: Plan, profile: str) -> float:
    """Range over seeds of the validation F1, in points, of the grid's network at the profile's own settings, or NaN."""
    grids = {(run.dataset, run.model, run.size, run.split) for run in plan.loss_trials if run.profile == profile}
    usual = whole_runs(plan, profile, settings=plan.profile(profile).settings)
    seeds = [run.run_id for run in usual if (run.dataset, run.model, run.size, run.split) in grids]
    f1 = stored.val_f1[stored.run_id.isin(seeds)]
    return float(f1.max() - f1.min()) if len(f1) > 1 else float("nan")


def constructions(plan: Plan, stored: pd.DataFrame, trials: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The planned networks of the same widths that are built differently, one row per run, then per trial.

    Columns: construction (label), kind ("lean" for runs built as `lean` is, "run" for others, "trial"), run_id, and of
    what is stored seed, params, gmac, val_iou, resized_iou (percent; NaN for a trial), file.
    """
    altered = [run for run in plan.runs if run.dataset == dataset and BUILD & set(run.overrides)]
    lean = next((run.overrides for run in altered if run.overrides.get("msle") == "depthwise"), {})
    runs = {one.run_id: one for run in altered for one in (replace(run, overrides={}), run)}
    rows = [(_label(run, plan, lean), "lean" if run.overrides == lean else "run", run.run_id) for run in runs.values()]
    tried = [run for run in plan.construction_trials if run.dataset == dataset]
    rows += [(_label(run, plan, lean), "trial", run.run_id) for run in tried]
    planned = pd.DataFrame(rows, columns=["construction", "kind", "run_id"])
    columns = ["seed", "params", "gmac", "val_iou", "resized_iou", "file"]
    found = pd.concat([stored, trials]).reindex(columns=columns)
    return planned.join(found[~found.index.duplicated()], on="run_id")


def _label(run: Run, plan: Plan, lean: Mapping[str, Any]) -> str:
    if not run.overrides:
        return f"{run.size}, as it is"
    if run.overrides == lean or not lean.items() & run.overrides.items():
        return f"as {'lean' if run.overrides == lean else 'base'}{changes(run, plan)}"
    others = {key: value for key, value in run.overrides.items() if lean.get(key) != value}
    return f"as lean, but{changes(replace(run, overrides=others), plan).removeprefix(',')}"


def construction_table(found: pd.DataFrame) -> Table:
    """Cost, validation and test IoU of each of the `constructions`; a trial has no test score."""
    rows = []
    for name, group in found.groupby("construction", sort=False):
        made = group.dropna(subset="val_iou")
        row: dict[str, object] = {"Construction": name}
        row |= dict.fromkeys(("Parameters", "GMAC", "Validation IoU"), NOT_RUN) | {"Seeds": len(made), "Runs": NONE}
        row["Test IoU"] = NONE if (group.kind == "trial").all() else NOT_RUN
        if len(made):
            row |= {"Parameters": f"{made.params.iloc[0] / 1e6:.2f} M", "GMAC": f"{made.gmac.iloc[0]:.4f}"}
            row |= {"Validation IoU": str(summarize(made.val_iou))}
            row |= {"Runs": Links(tuple(Link(f"seed {one.seed:.0f}", one.file) for one in made.itertuples()))}
            row |= {"Test IoU": str(summarize(made.resized_iou))} if row["Test IoU"] == NOT_RUN else {}
        rows.append(row)
    caption = "Constructions at the same widths and budget; IoU in percent over the pixels of all images at the "
    caption += "network's input size, mean over seeds; validation IoU is that of the epoch that was kept"
    return Table(pd.DataFrame(rows or [{"Construction": "none are planned on this data set"}]), caption)


def construction_note(found: pd.DataFrame) -> Note:
    """Whether the cheapest of the `constructions` with two seeds keeps the validation IoU of the most expensive."""
    runs = found[found.kind != "trial"].dropna(subset="val_iou")
    groups = [group for _, group in runs.groupby("construction", sort=False) if len(group) > 1]
    if len(groups) < 2:
        return Note("Not run", "A comparison needs two constructions with two seeds each.", "warning")
    groups.sort(key=lambda group: group.gmac.iloc[0])
    cheap, dear = groups[0], groups[-1]
    ours, theirs = summarize(cheap.val_iou), summarize(dear.val_iou)
    low, high = seed_interval(cheap.val_iou, dear.val_iou) or (float("nan"), float("nan"))
    result = "it is better" if low > 0 else "it is worse" if high < 0 else "the seeds do not resolve the difference"
    text = f"{cheap.construction.iloc[0]}: {100 * (1 - cheap.gmac.iloc[0] / dear.gmac.iloc[0]):.0f} % fewer "
    text += f"multiplications than {dear.construction.iloc[0]}. Validation IoU {ours} over {ours.n} seeds, beside "
    text += f"{theirs} over {theirs.n}: {result}; the difference of the means is {ours.mean - theirs.mean:+.2f} "
    text += f"points, over seeds {low:+.2f} to {high:+.2f}."
    return Note("Accuracy of the cheap construction", text)


def single_changes_note(found: pd.DataFrame) -> Note:
    """Validation IoU of each trial of the `constructions`, a single change of `lean`, beside that of one more `lean`.

    The Student-t interval of one more run holds for all trials at once with 95 % (Bonferroni).
    """
    lean = found[found.kind == "lean"].dropna(subset="val_iou")
    planned = found[found.kind == "trial"]
    tried = planned.dropna(subset="val_iou").sort_values("val_iou", ascending=False, kind="stable")
    if len(lean) < 2 or tried.empty:
        return Note("Not run", "Two seeds of `lean` and a trial of a change are needed.", "warning")
    low, high = prediction_interval(list(lean.val_iou), 1 - 0.05 / len(tried))
    cost = 100 * (tried.gmac / lean.gmac.iloc[0] - 1)
    where = pd.Series("within, and no cheaper", tried.index).mask(cost < 0, "within, and cheaper")
    where = where.mask(tried.val_iou > high, "above").mask(tried.val_iou < low, "below")
    names = tried.construction.str.removeprefix("as lean, but ")
    words = names + tried.val_iou.map(" {:.1f} at".format) + cost.map(" {:+.0f} % cost".format)
    places = ("above", "below", "within, and cheaper", "within, and no cheaper")
    listed = "; ".join(f"{place}: {', '.join(words[where == place]) or 'none'}" for place in places)
    text = f"{len(tried)} of {len(planned)} changes were tried, one seed each; one more seed of lean would reach "
    text += f"{low:.1f} to {high:.1f} % (95 % for all at once). A{listed[1:]}."
    return Note("Single changes of lean", text)
