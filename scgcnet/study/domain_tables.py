"""Tables of what carries over between data: leaks between parts, a domain left out, increments of a new one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scgcnet.study.plan import Plan, Run, at_home
from scgcnet.study.show import NONE, Link, Note, Table
from scgcnet.study.store import Record, Trial, is_stale
from scgcnet.study.tables import NOT_RUN, SCORES, SHARED, changes, refuse_synthetic
from scgcnet.study.trials import choices

if TYPE_CHECKING:
    from scgcnet.data import LandslideDataset

#: How a tile belongs to a part, by the kind of split: scgcnet/data/amunet.py.
LEAKS = {
    "random": "tiles at random: neighbours share pixels across the parts",
    "block": "blocks of tiles at random: tiles on both sides of an edge share pixels",
    "buffer": "blocks, and no tile that shares pixels with another part",
    "scene": "the other scene",
}

NO_MEAN = "a run is stale: no mean"


def leak_table(dataset: str, plan: Plan, records: Sequence[Record]) -> Table:
    """The same training under four ways of splitting overlapping tiles, one row each.

    Args:
        dataset: name of the data set that is split so.
        plan: the study; splits without a run are listed as not run.
        records: stored runs on real data.

    Raises:
        ValueError: a record is synthetic.
    """
    refuse_synthetic(records)
    stored = {record.run_id: record for record in records}
    rows = []
    for kind, meaning in LEAKS.items():
        planned = [run for run in plan.runs if run.dataset == dataset and str(run.split).startswith(f"{kind}-")]
        found = [stored[run.run_id] for run in planned if run.run_id in stored]
        row: dict[str, object] = {"Test part": kind, "What it is": meaning}
        for number, run in enumerate(planned):
            row[f"Test IoU, draw {number}"] = _score(stored.get(run.run_id))
        row["Mean"] = _mean(_iou, found) if found else NOT_RUN
        row["Validation IoU, mean"] = _mean(lambda record: 100 * record.val_iou, found) if found else NOT_RUN
        rows.append(row)
    return Table(pd.DataFrame(rows), f"One recipe on {dataset}, four ways of splitting it (%)")


def left_out_table(plan: Plan, records: Sequence[Record], profile: str) -> Table:
    """IoU on data sets that a training never saw, one column each, one row for each recipe.

    Where a run is stale its row has no mean, and no recipe is chosen.
    All images of the data set left out are counted, at the network's input size.

    Args:
        plan: the study; recipes without a run are listed as not run.
        records: stored runs on real data.
        profile: name in study.yml of the runs to show.

    Raises:
        ValueError: a record is synthetic.
    """
    refuse_synthetic(records)
    stored = {record.run_id: record for record in records}
    recipes = left_out_runs(plan, profile)
    targets = list(dict.fromkeys(target for runs in recipes.values() for target in runs))
    rows: list[dict[str, object]] = []
    for recipe, runs in recipes.items():
        row: dict[str, object] = {"Trained on": recipe}
        found = {target: stored[run.run_id] for target, run in runs.items() if run.run_id in stored}
        for target in targets:
            row[f"{target} left out"] = _unseen(found[target]) if target in found else NOT_RUN
        complete = len(found) == len(targets)
        row["Mean"] = _mean(unseen_iou, found.values()) if complete else NONE
        row["At home, mean"] = _mean(lambda record: 100 * record.val_iou, found.values()) if complete else NONE
        rows.append(row)
    merged = {recipe: runs for recipe, runs in recipes.items() if not recipe.endswith("alone")}
    last: dict[str, object] = {"Trained on": "all others, with the recipe that the other three columns choose"}
    if chosen := chosen_on_others(merged, stored):
        last |= {f"{target} left out": _unseen(record) for target, record in chosen.items()}
        rows.append(last | {"Mean": _mean(unseen_iou, chosen.values()), "At home, mean": NONE})
    elif _all_stored(merged, stored):
        rows.append(last | dict.fromkeys((*(f"{target} left out" for target in targets), "Mean"), NO_MEAN))
        rows[-1]["At home, mean"] = NONE
    caption = "IoU on a data set never seen, all its images; at home: the validation parts of those trained on (%)"
    return Table(pd.DataFrame(rows), caption)


def left_out_runs(plan: Plan, profile: str) -> dict[str, dict[str, Run]]:
    """The planned runs of a profile that are tested on another data set than those trained on, by recipe and target."""
    recipes: dict[str, dict[str, Run]] = {}
    for run in plan.select(profile):
        if run.dataset not in run.config["train_datasets"] and run.increment is None:
            what = "one other alone" if len(run.train) == 1 else f"all others{changes(run, plan)}"
            what += f", seed {run.seed}" * (run.seed != 0)
            recipes.setdefault(what, {})[run.dataset] = run
    return recipes


def chosen_on_others(
    recipes: Mapping[str, Mapping[str, Run]], stored: Mapping[str, Record]
) -> dict[str, Record] | None:
    """For each data set left out, the run of the recipe that does best on the others left out.

    None where a run lacks or is stale: runs of different code are not weighed against each other.
    So what a data set scores when it is left out has no say in the recipe that it is reported with.
    """
    planned = [run.run_id for runs in recipes.values() for run in runs.values()]
    if not _all_stored(recipes, stored) or any(is_stale(stored[run_id]) for run_id in planned):
        return None
    scores = {
        recipe: {target: unseen_iou(stored[run.run_id]) for target, run in runs.items()}
        for recipe, runs in recipes.items()
    }
    chosen = {}
    for target in next(iter(scores.values())):
        best = max(scores, key=lambda recipe: sum(iou for other, iou in scores[recipe].items() if other != target))
        chosen[target] = stored[recipes[best][target].run_id]
    return chosen


def domain_table(record: Record) -> Table:
    """Scores of a run on several data sets, by data set and part; without landslides, false alarms are all there is."""
    from scgcnet.train import Confusion

    rows = []
    for name, parts in record.domains.items():
        for part, counts in parts.items():
            scores = Confusion(*(counts[key] for key in ("tp", "fp", "fn", "tn"))).scores()
            shown = counts["tp"] + counts["fn"] > 0
            rows.append(
                {
                    "Data set": name,
                    "Part": part,
                    "Images": counts["n"],
                    "Seen in training": "its training part" if name in record.train_datasets else "no",
                    **{
                        SCORES[score][0]: f"{100 * scores[score]:.2f}" if shown else NONE
                        for score in ("iou", "precision", "recall")
                    },
                    "False alarms": f"{100 * counts['fp'] / max(counts['fp'] + counts['tn'], 1):.2f}",
                }
            )
    caption = f"{record.model} {record.size}, trained on {', '.join(record.train_datasets)}: scores, and the share of "
    return Table(pd.DataFrame(rows), caption + "landslide-free pixels that it calls landslide (%)")


def increment_runs(
    plan: Plan,
    target: str,
    profile: str,
    models: Sequence[str] | None = None,
    increments: Sequence[float] | None = None,
) -> dict[str, dict[float, Run]]:
    """The planned runs on a new domain, by network and by how much of it is trained on, in percent.

    Args:
        plan: the study.
        target: name of the new data set.
        profile: name in study.yml.
        models: only these networks; None for all.
        increments: only these percentages; None for all.
    """
    found: dict[str, dict[float, Run]] = {}
    for run in plan.select(profile):
        if run.increment is None or run.dataset != target or (models is not None and run.model not in models):
            continue
        if increments is None or run.increment.percent in increments:
            found.setdefault(run.model, {}).setdefault(run.increment.percent, run)
    return {model: dict(sorted(runs.items())) for model, runs in found.items()}


def increment_table(runs: Mapping[str, Mapping[float, Run]], records: Sequence[Record]) -> Table:
    """Scores on a new domain by network and by how much of it was trained on.

    Args:
        runs: from `increment_runs`.
        records: stored runs on real data; increments without one are listed as not run.

    Raises:
        ValueError: a record is synthetic.
    """
    refuse_synthetic(records)
    stored = {record.run_id: record for record in records}
    rows: list[dict[str, object]] = []
    where = ""
    images: set[int] = set()
    for model, increments in runs.items():
        for percent, run in increments.items():
            record = stored.get(run.run_id)
            images |= {_images(record)} if record else set()
            where = f"from {' + '.join(run.train)} to {run.dataset}, {run.size}, profile {run.profile}"
            row: dict[str, object] = {"Network": model, "Increment": f"{percent:g} %", "IoU": _score(record)}
            for score in ("f1", "precision", "recall"):
                row[SCORES[score][0]] = f"{100 * record.metrics['resized'][score]:.1f}" if record else NOT_RUN
            home = [parts["test"] for parts in record.domains.values()] if record else []
            row["IoU at home"] = ", ".join(f"{counts_iou(counts):.1f}" for counts in home) if home else NOT_RUN
            row["Training"] = f"{record.wall_s / 60:.1f} min" if record else NOT_RUN
            rows.append(row)
    if not rows:
        rows.append({"Network": "study.yml plans no such runs"})
    where += f", on {' or '.join(f'{n:,}' for n in sorted(images))} test images" if images else ""
    caption = (
        f"Scores {where} (%); at home: the test part of what it was trained on first; training: {SHARED}"
        if where
        else "Increments"
    )
    return Table(pd.DataFrame(rows), caption)


def rates_note(plan: Plan, runs: Mapping[str, Mapping[float, Run]], trials: Sequence[Trial]) -> Note:
    """The learning rate that each network has at home beside the one that won its short trials there, in a box.

    Args:
        plan: the study.
        runs: from `increment_runs`.
        trials: stored trials on real data.
    """
    won = {(choice.dataset, choice.model, choice.size, choice.profile): choice.best for choice in choices(plan, trials)}
    words = []
    for model, found in runs.items():
        run = next(iter(found.values()))
        best = won.get((run.train[0], model, run.size, run.profile)) if run.train else None
        rate = float(run.settings["lr"])
        how = "no winner of trials is known" if best is None else "the winner of its short trials"
        if best is not None and best != rate:
            how = f"that of the longer trials by hand, not the winner of its short ones, {best:g}"
            how = how if model == "scgcnet" else f"not the winner of its short trials, {best:g}"
        words.append(f"{model} {rate:g} ({how})")
    text = f"Rates at home: {'; '.join(words)}." if words else "No runs are planned."
    return Note("Not all had their rate chosen alike", text)


def images_note(target: str, runs: Mapping[str, Mapping[float, Run]], records: Sequence[Record]) -> Note:
    """Which test images the scores of a new domain are on, and that those of a training there are on others.

    Args:
        target: name of the new data set.
        runs: from `increment_runs`.
        records: stored runs on real data.
    """
    stored = {record.run_id: record for record in records}
    here = [stored[run.run_id] for found in runs.values() for run in found.values() if run.run_id in stored]
    there = [r for r in records if (r.dataset, r.model) == (target, "scgcnet") and at_home(r.config) and not r.flags]
    words = [f"All scores of this page are on {n:,} test images of {target}" for n in sorted({*map(_images, here)})]
    words += [
        f"a training on {target} alone comes to {_iou(r):.1f} %, on another choice of {_images(r):,} of its images"
        for r in there
    ]
    text = "; ".join(words) + "." if words else f"No run on {target} is stored."
    return Note("On which images", text + " Scores on different images are not to be subtracted." * (len(words) > 1))


def increment_scores(
    runs: Mapping[str, Mapping[float, Run]], records: Sequence[Record]
) -> dict[str, dict[float, dict[str, float]]]:
    """The same for a figure: network -> percent -> recall, iou and f1 in percent; of what is stored."""
    stored = {record.run_id: record for record in records}
    return {
        model: {
            percent: {score: 100 * stored[run.run_id].metrics["resized"][score] for score in ("recall", "iou", "f1")}
            for percent, run in increments.items()
            if run.run_id in stored
        }
        for model, increments in runs.items()
    }


def increment_note(runs: Mapping[str, Mapping[float, Run]], records: Sequence[Record], ours: str) -> Note:
    """What the curves of `increment_scores` say, in a box: where they begin and end, and where one network stands.

    Args:
        runs: from `increment_runs`.
        records: stored runs on real data; networks without all increments are called not run.
        ours: name of the network whose place is told.
    """
    scores = increment_scores(runs, records)
    whole = {model: found for model, found in scores.items() if found and len(found) == len(runs[model])}
    if len(whole) < 2 or ours not in whole:
        return Note("No curve yet", f"{ours}, or another network to compare it with, was not run with all increments.")
    percents = sorted(whole[ours])
    told = []
    for percent in percents:
        ious = [found[percent]["iou"] for found in whole.values()]
        told.append(f"{min(ious):.1f} to {max(ious):.1f} % at {percent:g} %")
    last = percents[-1]
    ranks = [1 + sum(found[p]["iou"] > whole[ours][p]["iou"] for found in whole.values()) for p in (percents[0], last)]
    rival = max((name for name in whole if name != ours), key=lambda name: whole[name][last]["iou"])
    lead = whole[ours][last]["iou"] - whole[rival][last]["iou"]
    text = (
        f"IoU of {len(whole)} networks by share of the new data set: {', '.join(told)}. {ours} is number {ranks[0]} at "
        f"{percents[0]:g} % and number {ranks[1]} at {last:g} %, {abs(lead):.1f} points "
        f"{'before' if lead >= 0 else 'behind'} {rival}. One training each: what another seed would change is not "
        "known, so no place is settled."
    )
    if missing := [model for model in runs if model not in whole]:
        text += f" Not run with all increments: {', '.join(missing)}."
    return Note("What the curves say", text)


def at_percent(
    runs: Mapping[str, Mapping[float, Run]], percent: float, records: Sequence[Record]
) -> dict[str, list[Record]]:
    """What is stored of one increment, by network; empty lists for what is not."""
    return {
        model: [record for record in records if percent in found and record.run_id == found[percent].run_id]
        for model, found in runs.items()
    }


def tested_part(runs: Mapping[str, Mapping[float, Run]], percent: float) -> LandslideDataset | None:
    """The test part of one increment's runs; None where there is no such run or the data are not at hand."""
    from scgcnet.data import dataset_available
    from scgcnet.study.material import open_test

    run = next((found[percent] for found in runs.values() if percent in found), None)
    return open_test(run) if run is not None and dataset_available(run.dataset) else None


def unseen_iou(record: Record) -> float:
    """IoU in percent over all images of the data set that a run is tested on and was not trained on.

    Raises:
        ValueError: it was trained on it.
    """
    if at_home(record.config) or record.dataset in record.train_datasets:
        raise ValueError(f"{record.run_id} was trained on {record.dataset}")
    parts = record.domains[record.dataset].values()
    return counts_iou({key: sum(counts[key] for counts in parts) for key in ("tp", "fp", "fn")})


def counts_iou(counts: Mapping[str, int]) -> float:
    """IoU in percent from pixel counts."""
    return 100 * counts["tp"] / max(counts["tp"] + counts["fp"] + counts["fn"], 1)


def _all_stored(recipes: Mapping[str, Mapping[str, Run]], stored: Mapping[str, Record]) -> bool:
    return bool(recipes) and all(run.run_id in stored for runs in recipes.values() for run in runs.values())


def _mean(value: Callable[[Record], float], records: Collection[Record]) -> str:
    """The mean, in words; none where a run is stale, for runs of different code are not averaged."""
    if any(map(is_stale, records)):
        return NO_MEAN
    return f"{sum(map(value, records)) / len(records):.1f}"


def _images(record: Record) -> int:
    return int(record.metrics["per_image"]["n"])


def _iou(record: Record) -> float:
    return 100 * float(record.metrics["resized"]["iou"])


def _score(record: Record | None) -> object:
    return Link(f"{_iou(record):.1f}{_mark(record)}", record.file) if record else NOT_RUN


def _unseen(record: Record) -> Link:
    return Link(f"{unseen_iou(record):.1f}{_mark(record)}", record.file)


def _mark(record: Record) -> str:
    return " (stale)" * is_stale(record)
