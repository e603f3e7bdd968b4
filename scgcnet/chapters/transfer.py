"""Transfer between data: overlapping parts of one data set, a data set left out, increments of a new one.

`stored` is a frame from `results.runs`; tables raise ValueError for synthetic runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd

from scgcnet.chapters.common import SHARED
from scgcnet.study import results, stats
from scgcnet.study.networks import NOT_RUN, best_rate, cell, changes, data_set, rate_trials, refuse_synthetic, title_of
from scgcnet.study.paper import SCORE_NAMES
from scgcnet.study.plan import Plan
from scgcnet.study.runs import Run
from scgcnet.study.show import NONE, Note, Table

#: How a tile belongs to a part, by the kind of split: scgcnet/data/amunet.py.
LEAKS = {
    "random": "tiles at random: neighbours share pixels across the parts",
    "block": "blocks of tiles at random: tiles on both sides of an edge share pixels",
    "buffer": "blocks, and no tile that shares pixels with another part",
    "scene": "the other scene",
}
COUNTS = ["tp", "fp", "fn", "tn"]
ALONE = "one other alone"


def leak_table(dataset: str, plan: Plan, stored: pd.DataFrame) -> Table:
    """The same training under four ways of splitting overlapping tiles, one row each."""
    refuse_synthetic(stored)
    rows = []
    for kind, meaning in LEAKS.items():
        ids = [run.run_id for run in plan.runs if run.dataset == dataset and str(run.split).startswith(f"{kind}-")]
        found = stored.reindex(index=ids, columns=["resized_iou", "val_iou", "file"])
        draws = {
            f"Test IoU, draw {draw}": cell(row.resized_iou, 1, row.file) for draw, row in enumerate(found.itertuples())
        }
        means = {"Mean": cell(found.resized_iou.mean(), 1), "Validation IoU, mean": cell(found.val_iou.mean(), 1)}
        rows.append({"Test part": kind, "What it is": meaning, **draws, **means})
    return Table(pd.DataFrame(rows), f"One recipe on {data_set(dataset)}, four ways of splitting it (%)")


def domain_scores(stored: pd.DataFrame) -> pd.DataFrame:
    """One row per run, data set and part, of runs that were trained on other data sets or on several.

    Columns: run_id, domain, part, trained (whether on its training part), n (images), tp, fp, fn, tn (pixels at the
    input size), and iou, precision, recall in percent.
    """
    rows = [
        (row.run_id, name, part, name in row.train_datasets, *(getattr(counts, key) for key in ("n", *COUNTS)))
        for row in stored.itertuples()
        for name, parts in row.domains.items()
        for part, counts in parts.items()
    ]
    found = pd.DataFrame(rows, columns=["run_id", "domain", "part", "trained", "n", *COUNTS]).astype({"trained": bool})
    pixels = found[COUNTS].to_numpy(np.int64)
    return found.assign(**{name: stats.score(pixels, name) for name in ("iou", "precision", "recall")})


def left_out(plan: Plan, stored: pd.DataFrame, profile: str) -> pd.DataFrame:
    """The planned runs of a profile that are tested on a data set that they were not trained on.

    Columns: recipe, target, run_id, and of what is stored file, val_iou and iou (percent, all images of the target at
    the network's input size), else NaN.
    """
    rows = []
    for run in plan.select(profile):
        if run.dataset not in run.config["train_datasets"] and run.increment is None:
            recipe = ALONE if len(run.train) == 1 else f"all others{changes(run, plan)}"
            rows.append((recipe + f", seed {run.seed}" * (run.seed != 0), run.dataset, run.run_id))
    planned = pd.DataFrame(rows, columns=["recipe", "target", "run_id"])
    parts = domain_scores(stored[stored.run_id.isin(planned.run_id)])
    unseen = parts[~parts.trained].groupby("run_id")[COUNTS].sum()
    iou = pd.Series(stats.score(unseen.to_numpy(np.int64)), unseen.index, name="iou")
    return planned.join(stored.reindex(columns=["val_iou", "file"]), on="run_id").join(iou, on="run_id")


def left_out_table(plan: Plan, stored: pd.DataFrame, profile: str) -> Table:
    """IoU on data sets that a training never saw, one column each, one row for each recipe.

    In the last row each column has the recipe that does best on the other data sets left out.
    """
    refuse_synthetic(stored)
    found = left_out(plan, stored, profile)
    targets, rows = found.target.unique(), []
    merged = found[found.recipe != ALONE]
    if len(merged) and merged.iou.notna().all():
        what = "all others, with the recipe that the other three columns choose"
        scores = merged.pivot(index="recipe", columns="target", values="iou").loc[merged.recipe.unique()]
        best = {target: scores.drop(columns=target).sum(axis=1).idxmax() for target in scores}
        chosen = merged[merged.recipe == merged.target.map(best)]
        found = pd.concat([found, chosen.assign(recipe=what, val_iou=np.nan)])
    for recipe, runs in found.groupby("recipe", sort=False):
        runs = runs.set_index("target").reindex(targets)
        row = {f"{run.Index} left out": cell(run.iou, 1, run.file) for run in runs.itertuples()}
        mean, home = (cell(value, 1, missing=NONE) for value in runs[["iou", "val_iou"]].mean(skipna=False))
        rows.append({"Trained on": recipe, **row, "Mean": mean, "At home, mean": home})
    caption = "IoU on a data set never seen, all its images; at home: the validation parts of those trained on (%)"
    return Table(pd.DataFrame(rows), caption)


def increments(
    plan: Plan, target: str, profile: str, models: Sequence[str] | None = None, percents: Sequence[float] | None = None
) -> dict[str, dict[float, Run]]:
    """The planned runs on a new data set, by network and by the percentage of it that is trained on."""
    found: dict[str, dict[float, Run]] = {}
    for run in plan.select(profile):
        if run.increment is None or run.dataset != target or run.model not in (models or [run.model]):
            continue
        if run.increment.percent in (percents or [run.increment.percent]):
            found.setdefault(run.model, {}).setdefault(run.increment.percent, run)
    return {model: dict(sorted(runs.items())) for model, runs in found.items()}


def increment_scores(
    plan: Plan,
    target: str,
    profile: str = "cpu",
    models: Sequence[str] | None = None,
    percents: Sequence[float] | None = None,
    stored: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row per run of `increments`; `stored` is by default `results.runs()`.

    Columns: dataset, profile, train ("bijie"), model (its title), size, percent, run_id, and resized_iou, _f1,
    _precision, _recall (percent), n_test (images), wall_s, file, which are NaN where it was not run.
    """
    stored = results.runs() if stored is None else stored
    refuse_synthetic(stored)
    rows = [
        (run.dataset, run.profile, " + ".join(run.train), title_of(run.model), run.size, percent, run.run_id)
        for found in increments(plan, target, profile, models, percents).values()
        for percent, run in found.items()
    ]
    columns = [*(f"resized_{score}" for score in ("iou", "f1", "precision", "recall")), "n_test", "wall_s", "file"]
    planned = pd.DataFrame(rows, columns=["dataset", "profile", "train", "model", "size", "percent", "run_id"])
    return planned.join(stored.reindex(columns=columns), on="run_id")


def increment_table(scores: pd.DataFrame, stored: pd.DataFrame) -> Table:
    """Scores on a new data set by network and by how much of it was trained on; `scores` from `increment_scores`."""
    if scores.empty:
        return Table(pd.DataFrame([{"Network": "study.yml plans no such runs"}]), "Increments")
    parts = domain_scores(stored[stored.run_id.isin(scores.run_id)])
    home = parts[parts.part == "test"].groupby("run_id").iou.agg(lambda iou: ", ".join(map("{:.1f}".format, iou)))
    table = {
        "Network": scores.model,
        "Increment": scores.percent.map("{:g} %".format),
        "IoU": [cell(row.resized_iou, 1, row.file) for row in scores.itertuples()],
        **{
            SCORE_NAMES[key][0]: scores[f"resized_{key}"].map(partial(cell, digits=1))
            for key in ("f1", "precision", "recall")
        },
        "IoU at home": scores.run_id.map(home).fillna(NOT_RUN),
        "Training": (scores.wall_s / 60).map("{:.1f} min".format).where(scores.wall_s.notna(), NOT_RUN),
    }
    one, sizes, images = scores.iloc[0], " or ".join(scores["size"].unique()), _test_images(scores)
    where = f"from {one.train} to {one.dataset}, {sizes}, profile {one.profile}"
    where += f", on {images} test images" * bool(images)
    caption = f"Scores {where} (%); at home: the test part of what it was trained on first; "
    return Table(pd.DataFrame(table), f"{caption}training: {SHARED}")


def _test_images(scores: pd.DataFrame) -> str:
    return " or ".join(f"{n:,.0f}" for n in sorted(scores.n_test.dropna().unique()))


def curves(scores: pd.DataFrame) -> dict[str, dict[float, dict[str, float]]]:
    """The stored `increment_scores` for `plots.increment_curves`: network, percent, and recall, iou and f1."""
    names = {f"resized_{score}": score for score in ("recall", "iou", "f1")}
    return {
        str(model): found.dropna().set_index("percent")[list(names)].rename(columns=names).to_dict("index")
        for model, found in scores.groupby("model", sort=False)
    }


def increment_note(scores: pd.DataFrame, ours: str, stored: pd.DataFrame) -> Note:
    """IoU of one network at home and by increment, and its rank among those that have all increments."""
    iou = scores.pivot(index="percent", columns="model", values="resized_iou")[list(scores.model.unique())]
    whole = iou.dropna(axis="columns")
    if whole.shape[1] < 2 or ours not in whole:
        return Note("No curve yet", f"{ours}, or another network to compare it with, was not run with all increments.")
    ranks = whole.rank(axis="columns", ascending=False, method="min")[ours].astype(int)
    first, last = whole.index[0], whole.index[-1]
    others = whole.drop(columns=ours).loc[last]
    lead = whole.at[last, ours] - others.max()
    start = scores.run_id[(scores.model == ours) & (scores.percent == first)].iloc[0]
    parts = domain_scores(stored[stored.run_id == start])
    home = parts.iou[(parts.part == "test") & parts.trained]
    text = f"IoU of {ours}: {home.iloc[0]:.0f} % at home, " if len(home) else f"IoU of {ours}: "
    text += ", ".join(f"{iou:.0f} % with {percent:g} %" for percent, iou in whole[ours].items())
    text += f" of the new data. Of {whole.shape[1]} networks it is number "
    text += f"{ranks[first]} at {first:g} % and number {ranks[last]} at {last:g} %, {abs(lead):.1f} points "
    text += f"{'before' if lead >= 0 else 'behind'} {others.idxmax()}; with one training each, no rank is settled."
    if missing := ", ".join(model for model in iou if model not in whole):
        text += f" Not run with all increments: {missing}."
    return Note("How far it falls", text)


def rates_note(plan: Plan, runs: Mapping[str, Mapping[float, Run]], trials: pd.DataFrame) -> Note:
    """The learning rate of each network of `increments` at home, and the one that won its short trials there."""
    words = []
    for model, found in runs.items():
        run = next(iter(found.values()))
        rate, tried = float(run.settings["lr"]), rate_trials(plan, trials, run.train[0], run.profile)
        won = best_rate(tried[(tried["model"] == model) & (tried["size"] == run.size)])
        how = "the winner of its short trials" if rate == won else f"not the winner of its short trials, {won:g}"
        words.append(f"{title_of(model)} {rate:g} ({'no winner of trials is known' if pd.isna(won) else how})")
    return Note("Learning rates at home", f"{'; '.join(words)}." if words else "No runs are planned.")


def images_note(target: str, scores: pd.DataFrame, stored: pd.DataFrame) -> Note:
    """The number of test images of `increment_scores`, and the IoU of our network trained on the new data set alone."""
    ours = stored[(stored.dataset == target) & (stored.trained_on == target) & (stored.model == "scgcnet")]
    words = [f"Scores on {target} are on {images} test images." for images in [_test_images(scores)] if images]
    words += [
        f"A training on {target} alone reaches {run.resized_iou:.1f} % on another choice of {run.n_test:,} images."
        for run in ours[~ours["flags"].astype(bool)].itertuples()
    ]
    return Note("Test images", " ".join(words) or f"No run on {target} is stored.")


def at_percent(scores: pd.DataFrame, percent: float, stored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The stored runs of one increment of `increment_scores`, by network; empty if not run."""
    chosen = scores[scores.percent == percent].groupby("model", sort=False)
    return {str(model): stored[stored.run_id.isin(found.run_id)] for model, found in chosen}
