"""Tables that set the networks beside one another: their trials, and the runs that the trials chose."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import Plan, Run, at_home, project_root
from scgcnet.study.show import NONE, Link, Links, Note, Table
from scgcnet.study.store import Record, Trial, is_stale
from scgcnet.study.tables import NOT_RUN, SCORES, condition, paper_scores, refuse_synthetic, run_links
from scgcnet.study.trials import choices

TRIALS = "results/trials.csv"


def compared(dataset: str, plan: Plan, trials: Sequence[Trial], profile: str) -> list[Run]:
    """The runs by which the networks of a profile are compared on a data set, one for each.

    Every network had the same trials; its run has the rate that won them, and the split and seed of the trials.
    """
    return [choice.run for choice in choices(plan, trials) if (choice.dataset, choice.profile) == (dataset, profile)]


def compared_curves(
    dataset: str, plan: Plan, records: Sequence[Record], trials: Sequence[Trial], profile: str
) -> dict[str, list[dict[str, float | None]]]:
    """The histories of those of these runs that are stored, by the network's name, in the order of study.yml."""
    stored = {record.run_id: record for record in records}
    planned = compared(dataset, plan, trials, profile)
    return {run.model: stored[run.run_id].history for run in planned if run.run_id in stored}


def scoreboard(dataset: str, plan: Plan, records: Sequence[Record], trials: Sequence[Trial], profile: str) -> Table:
    """Every network that a profile compares on a data set beside the paper's Table I, the best IoU on top.

    One training each, so that nobody is judged by more than the others, see `compared`.

    Args:
        dataset: our name of the data set.
        plan: the study; networks without a run are listed as not run.
        records: stored runs on real data.
        trials: stored trials on real data.
        profile: name in study.yml.

    Raises:
        ValueError: a record is synthetic, so its scores must not stand here.
    """
    refuse_synthetic(records)
    stored = {record.run_id: record for record in records}
    planned = compared(dataset, plan, trials, profile)
    ranked = sorted(planned, key=lambda r: -stored[r.run_id].metrics["resized"]["iou"] if r.run_id in stored else 1.0)
    rows: list[dict[str, object]] = []
    for run in ranked:
        record = stored.get(run.run_id)
        paper = paper_scores(dataset, run.model) or {}
        row: dict[str, object] = {
            "Network": run.model,
            "Condition": "equal compute, tiny" if run.size == "tiny" else condition(run, plan),
        }
        for score in ("iou", "f1"):
            name = SCORES[score][0]
            row[f"{name}, paper"] = f"{paper[score]:.2f}" if paper else NONE
            row[f"{name}, measured"] = f"{100 * record.metrics['resized'][score]:.2f}" if record else NOT_RUN
        row["Rate"] = f"{run.settings['lr']:g}"
        rows.append(row | {"Run": run_links([record] if record else [])})
    if not rows:
        rows.append({"Network": f"study.yml plans no comparison on {dataset} with the profile {profile}"})
    caption = f"All networks on {dataset}, profile {profile}, one training each, beside the paper's Table I (%)"
    return Table(pd.DataFrame(rows), caption)


def order_note(dataset: str, plan: Plan, records: Sequence[Record], trials: Sequence[Trial], profile: str) -> Note:
    """How far the order of `scoreboard` can be trusted, from the stored trials and runs.

    Args:
        dataset: our name of the data set.
        plan: the study.
        records: stored runs on real data.
        trials: stored trials on real data.
        profile: name in study.yml.
    """
    of_page = [choice for choice in choices(plan, trials) if (choice.dataset, choice.profile) == (dataset, profile)]
    found = [choice for choice in of_page if choice.best is not None]
    if not found:
        return Note("No order yet", f"The trials on {dataset} with the profile {profile} are not complete.")
    at_end = sum(choice.best == max(choice.found) for choice in found)
    sentences = [
        "The order is provisional: it is one training each.",
        f"{at_end} of the {len(found)} winning rates are the highest of the list.",
    ]
    stored = {record.run_id: record for record in records}
    for choice in found:
        first = choice.run
        same = [
            stored[run.run_id]
            for run in plan.select(profile)
            if (run.dataset, run.model, run.size, run.overrides) == (dataset, first.model, first.size, {})
            and at_home(run.config)
            and run.run_id in stored
        ]
        own = [record for record in same if record.config["settings"] == plan.profile(profile).settings]
        seeds = [100 * record.metrics["resized"]["iou"] for record in own if record.split == first.split]
        if len(seeds) > 1:
            spread = max(seeds) - min(seeds)
            sentences.append(f"{len(seeds)} seeds of {first.model} differ by {spread:.1f} points of test IoU.")
        others = [r for r in same if (r.split, r.seed) == (first.split, first.seed) and r.run_id != first.run_id]
        if others and first.run_id in stored:
            gain = 100 * (max(record.val_iou for record in others) - stored[first.run_id].val_iou)
            sentences.append(
                f"Where another rate was tried in full, for {first.model}, its validation IoU is {abs(gain):.1f} "
                f"points {'higher' if gain > 0 else 'lower'} than that of the winner of the short trials."
            )
    return Note("How far to trust this order", " ".join(sentences))


def rate_table(plan: Plan, trials: Sequence[Trial], dataset: str | None = None) -> Table:
    """The learning rates that every network was tried with, their validation IoU, and the one that its run takes.

    Args:
        plan: the study.
        trials: stored trials on real data.
        dataset: show those on this one alone.
    """
    rows: list[dict[str, object]] = []
    for choice in choices(plan, trials):
        if dataset not in (None, choice.dataset):
            continue
        row: dict[str, object] = {
            "Network": f"{choice.model} {choice.size}",
            "Data and profile": f"{choice.dataset}, {choice.profile}",
        }
        for lr, trial in choice.found.items():
            row[f"Rate {lr:g}"] = f"{100 * trial.val_iou:.2f}" + " (stale)" * is_stale(trial) if trial else NOT_RUN
        row["Best"] = NOT_RUN if choice.best is None else f"{choice.best:g}"
        row["Taken"] = f"{choice.taken:g}"
        row["Trials"] = Links(tuple(Link(f"{lr:g}", trial.file) for lr, trial in choice.found.items() if trial))
        rows.append(row)
    if not rows:
        rows.append({"Network": f"no trials are planned on {dataset}"})
    return Table(pd.DataFrame(rows), "Learning rates tried: validation IoU of the best epoch (%)")


def trial_table(dataset: str, root: Path | None = None) -> Table:
    """The trials that the recipe for a data set was chosen from, by validation IoU; none of them saw the test part.

    Raises:
        StoreError: the file is missing or damaged.
    """
    path = (root or project_root()) / TRIALS
    names = {"profile": "Profile", "trial": "Trial", "change": "Recipe", "epochs": "Epochs"}
    names |= {"val_iou": "Validation IoU, best epoch", "note": "Remark"}
    try:
        trials = pd.read_csv(path, dtype=str, keep_default_na=False).set_index("dataset")[list(names)]
    except (OSError, ValueError, KeyError) as error:
        raise StoreError(f"{path}: cannot be read: {error}; take it back from git") from None
    trials = trials[trials.index == dataset]
    if trials.empty:
        trials.loc[dataset] = [f"none on {dataset}"] + [NONE] * (len(names) - 1)
    return Table(trials.rename(columns=names), "Trials on the validation part, one seed each")
