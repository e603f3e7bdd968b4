"""Tables that set the networks beside one another: their trials, and the runs that the trials chose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from scipy import stats

from scgcnet.study.contest import WAY, Comparison, Contestant, Ranking, compare_all, gather, image_interval
from scgcnet.study.ledger import StoreError
from scgcnet.study.measure_tables import counted_of
from scgcnet.study.paper import full_name
from scgcnet.study.plan import Plan, Run, at_home, project_root
from scgcnet.study.show import NONE, Link, Links, Note, Table
from scgcnet.study.store import Record, Trial, is_stale
from scgcnet.study.tables import (
    NOT_RUN,
    PAPER_DATASETS,
    SCORES,
    SHARED,
    changes,
    comparable_scores,
    condition,
    cost,
    many,
    paper_scores,
    refuse_synthetic,
    run_links,
)
from scgcnet.study.trials import choices

TRIALS = "results/trials.csv"
NATIVE = "pooled"  # the other way of counting: pixels of all images at native size
JOINT = "95 % over all seeds, jointly"


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


def contestants(
    dataset: str,
    plan: Plan,
    records: Sequence[Record],
    trials: Sequence[Trial],
    profile: str,
    models: Sequence[str] | None = None,
) -> list[Contestant]:
    """The networks of `compared` with all their seeds on the split of the trials.

    Args:
        dataset: our name of the data set.
        plan: the study.
        records: stored runs of one kind.
        trials: stored trials; of a profile that has none, the planned runs of the data set are taken as they are.
        profile: name in study.yml.
        models: only these; None for all.
    """
    runs = compared(dataset, plan, trials, profile) or [
        run for run in plan.select(profile) if run.dataset == dataset and at_home(run.config) and run.unaltered
    ]
    first = {run.model: run for run in reversed(runs) if models is None or run.model in models}
    return gather(dict(reversed(first.items())), records)


def compared_runs(
    datasets: Sequence[str], plan: Plan, trials: Sequence[Trial], profile: str, models: Sequence[str] | None = None
) -> list[Run]:
    """The runs of `contestants` that a profile plans, all seeds; of one on synthetic data, what stands in for them."""
    places = datasets if plan.profile(profile).data == "real" else ["synthetic"]
    runs = []
    for dataset in places:
        for one in contestants(dataset, plan, [], trials, profile, models):
            runs += [run for run in plan.select(profile) if {**run.config, "seed": one.run.seed} == one.run.config]
    return runs


def table_one(dataset: str, found: Sequence[Contestant], plan: Plan) -> Table:
    """Table I for one data set: each network's five scores as printed and as measured, the best measured on top.

    Args:
        dataset: our name of the data set.
        found: from `contestants`; those without a run are listed as not run.
        plan: the study.

    Raises:
        ValueError: a record is synthetic, so its scores must not stand here.
    """
    records = [record for one in found for record in one.records]
    refuse_synthetic(records)
    tested = records[0].metrics["per_image"]["n"] if records else None
    rows: list[dict[str, object]] = []
    for one in sorted(found, key=_by_iou):
        how = condition(one.records[0] if one.records else one.run, plan, tested)
        paper, images = comparable_scores(dataset, one.run.model, how), image_interval(one)
        row: dict[str, object] = {"Network": one.name, "Repeats": many(len(one.records), "seed")}
        for score in ("iou", "f1", "precision", "recall", "oa"):
            name, measured = SCORES[score][0], one.summary(score)
            row[f"{name}, paper"] = f"{paper[score]:.2f}" if paper else NONE
            row[f"{name}, measured"] = str(measured) if measured else NOT_RUN
            if score == "iou":
                row["95 % over test images"] = (
                    f"{images.low:.2f} to {images.high:.2f} ({counted_of(one)})" if images else NONE
                )
                row["Difference"] = f"{measured.mean - paper['iou']:+.2f}" if measured and paper else NONE
                row["Condition"] = how
                row["IoU at native size, measured"] = str(one.summary("iou", NATIVE) or NOT_RUN)
        row["Cost"] = cost(one.records)
        rows.append(row | {"Runs": run_links(one.records)})
    name = full_name(PAPER_DATASETS.get(dataset, dataset))
    if not rows:
        rows.append({"Network": f"study.yml plans no comparison on {dataset} with this profile"})
    caption = f"Table I on {name}: as printed, and as measured with the mean and 95 % interval over seeds (%)"
    caption += "; pixels counted at the network's input size, but where native size is said"
    return Table(pd.DataFrame(rows), caption)


def _by_iou(one: Contestant, way: str = WAY) -> float:
    measured = one.summary("iou", way)
    return -measured.mean if measured else 1.0


def difference_table(found: Sequence[Contestant], reference: str) -> Table:
    """Everyone with image counts against one network: how far apart, and whether that is more than chance.

    Args:
        found: from `contestants`.
        reference: name of the network that the others are compared with.
    """
    compared_with = compare_all(found, reference)
    links = {one.name: run_links(one.records) for one in found}
    rows: list[dict[str, object]] = [
        {
            "Network": name,
            f"IoU minus that of {reference}": f"{one.difference.value:+.2f}",
            "Outcome": one.in_words,
            "95 % over test images": f"{one.difference.low:+.2f} to {one.difference.high:+.2f}",
            "p, adjusted": f"{one.p:.3f}" if one.p >= 0.001 else "below 0.001",
            "Seeds of these": _seeds(one),
            JOINT: f"{one.seeds[0]:+.2f} to {one.seeds[1]:+.2f}" if one.seeds else "one seed: unknown",
            "Runs": links[name],
        }
        for name, one in sorted(compared_with.items(), key=lambda item: -item[1].difference.value)
    ]
    rows += [
        {
            "Network": one.name,
            f"IoU minus that of {reference}": "not counted by image" if one.records else NOT_RUN,
            **dict.fromkeys(("95 % over test images", "p, adjusted", "Seeds of these", JOINT), NONE),
            "Outcome": NONE,
            "Runs": links[one.name],
        }
        for one in found
        if one.name not in {*compared_with, reference}
    ]
    if not rows:
        rows.append({"Network": f"there is nobody to compare with {reference}"})
    caption = f"Paired differences from {reference} on the same test images (points of IoU)"
    if joint := sum(one.seeds is not None for one in compared_with.values()):
        caption += f"; over seeds: {joint} intervals that all hold at once with 95 % (Bonferroni)"
    return Table(pd.DataFrame(rows), caption)


def _seeds(one: Comparison) -> str:
    ours, others = (", ".join(map(str, seeds)) for seeds in one.counted)
    return f"{ours} of both" if ours == others else f"{ours} against {others}"


def difference_rows(found: Sequence[Contestant], reference: str) -> dict[str, tuple[float, float, float, str]]:
    """The same for a figure: name -> difference, low and high in points, and the outcome; the best first."""
    ordered = sorted(compare_all(found, reference).items(), key=lambda item: -item[1].difference.value)
    return {name: (one.difference.value, one.difference.low, one.difference.high, one.outcome) for name, one in ordered}


def ranking_parts(ranking: Ranking | None) -> tuple[dict[str, float], float, list[list[str]]]:
    """Ranks, critical difference and cliques for a figure; nothing where there is no ranking."""
    return (ranking.ranks, ranking.critical, ranking.cliques) if ranking else ({}, 0.0, [])


def standing(found: Sequence[Contestant], name: str) -> Note:
    """Where one network stands among the others, and by which kind of error it differs from the first of them.

    Errors are counted on the test images at the network's input size, in percent of the true landslide pixels.
    """
    ranked = sorted((one for one in found if one.records), key=_by_iou)
    place = next((number for number, one in enumerate(ranked, start=1) if one.name == name), None)
    if place is None or len(ranked) < 2:
        return Note("No standing yet", f"{name}, or whom to compare it with, was not run.")
    outcomes = [one.outcome for one in compare_all(found, name).values()]
    native = sorted(ranked, key=lambda one: _by_iou(one, NATIVE))
    elsewhere = next(number for number, one in enumerate(native, start=1) if one.name == name)
    text = f"{name} is number {place} of {len(ranked)} by mean IoU at the network's input size, where {ranked[0].name} "
    text += f"leads, and number {elsewhere} at native size, where {native[0].name} leads: "
    text += "the order depends on the way of counting. " if ranked != native else "the order is the same both ways. "
    text += f"At input size, of the {len(outcomes)} that were compared with it "
    text += f"image by image {outcomes.count('better')} are better, {outcomes.count('worse')} worse, "
    text += f"{outcomes.count('unresolved')} unresolved."
    counted = {one.name: one for one in ranked if one.details}
    first = next((one for one in counted.values() if one.name != name), None)
    if first is not None and name in counted:
        shares = {one.name: _error_shares(one) for one in (counted[name], first)}
        told = [
            f"{who} misses {missed:.1f} % and falsely adds {added:.1f} %" for who, (missed, added) in shares.items()
        ]
        text += f" Of the true landslide area {told[0]}, {told[1]}."
    title = f"{name} leads" if place == 1 else f"{name} does not lead"
    return Note(title, text)


def _error_shares(one: Contestant) -> tuple[float, float]:
    """Missed and falsely added pixels in percent of the true ones, mean over seeds."""
    tp, fp, fn, _ = one.counts().sum(axis=(0, 1))
    return 100 * float(fn / (tp + fn)), 100 * float(fp / (tp + fn))


def paper_order(dataset: str, found: Sequence[Contestant]) -> str:
    """In words, how far the measured order agrees with that of the paper's Table I (Kendall's tau).

    Raises:
        ValueError: a record is synthetic, so its scores must not be set beside the paper's.
    """
    refuse_synthetic([record for one in found for record in one.records])
    pairs = [
        (paper["iou"], measured.mean)
        for one in found
        if (paper := paper_scores(dataset, one.run.model)) and (measured := one.summary("iou"))
    ]
    if len(pairs) < 3:
        return "Too few networks were run to compare the order with the paper's."
    tau = stats.kendalltau(*zip(*pairs, strict=True))
    return (
        f"Over {len(pairs)} networks the measured order agrees with that of the paper's Table I at Kendall's tau = "
        f"{tau.statistic:.2f} (p = {tau.pvalue:.2f}; 1 is the same order, 0 none, -1 the reverse)."
    )


def order_note(dataset: str, plan: Plan, records: Sequence[Record], trials: Sequence[Trial], profile: str) -> Note:
    """How far the order of `table_one` can be trusted, from the stored trials and runs.

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
    stored = {record.run_id: record for record in records}
    networks = contestants(dataset, plan, records, trials, profile)
    single = [one.name for one in networks if len(one.records) == 1]
    spans = {one.name: max(one.scores("iou")) - min(one.scores("iou")) for one in networks if len(one.records) > 1}
    sentences = [f"{at_end} of the {len(found)} winning rates are the highest of the list."]
    if single:
        sentences.insert(
            0,
            f"{len(single)} of {len(found)} networks have a single training, with one seed: their places are "
            "provisional. For want of time more seeds went to SCGC-Net and the five with the best test IoU of seed 0 "
            "alone: that choice was made on the test images.",
        )
    if spans:
        told = ", ".join(f"{name} {span:.1f}" for name, span in spans.items())
        sentences.append(
            f"The seeds of one network in Table I, all of the same recipe, span so many points of test IoU at input "
            f"size: {told}."
        )
    for choice in found:
        first = choice.run
        same = [
            stored[run.run_id]
            for run in plan.select(profile)
            if (run.dataset, run.model, run.size) == (dataset, first.model, first.size)
            and run.unaltered
            and at_home(run.config)
            and run.prediction is None
            and {**run.settings, "lr": None} == {**first.settings, "lr": None}  # not another recipe altogether
            and run.run_id in stored
        ]
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


def trial_table(dataset: str) -> Table:
    """The trials that the recipe for a data set was chosen from, by validation IoU; none of them saw the test part.

    Raises:
        StoreError: the file is missing or damaged.
    """
    path = project_root() / TRIALS
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


def recipe_table(plan: Plan, trials: Sequence[Trial], records: Sequence[Record], dataset: str) -> Table:
    """Whole trainings with other recipes on a data set, by validation IoU, below that of the profile's own.

    Args:
        plan: the study.
        trials: stored trials on real data.
        records: stored runs on real data; the one with the profile's own recipe is the first row.
        dataset: our name of the data set.
    """
    stored: dict[str, Record | Trial] = {trial.run_id: trial for trial in trials}
    stored |= {record.run_id: record for record in records}
    rows: list[dict[str, object]] = []
    for planned in plan.recipe_trials:
        if planned.dataset != dataset:
            continue
        usual = replace(planned, settings=plan.profile(planned.profile).settings)
        for run in [planned] if rows else [usual, planned]:
            one = stored.get(run.run_id)
            rows.append(
                {
                    "Network": f"{run.model} {run.size}, profile {run.profile}, seed {run.seed}",
                    "Recipe": changes(run, plan).removeprefix(", ") or "the profile's own",
                    "Validation IoU": Link(f"{100 * one.val_iou:.2f}", one.file) if one else NOT_RUN,
                    "Time": f"{one.wall_s / 60:.1f} min" if one else NONE,
                }
            )
    rows = rows or [{"Network": f"no other recipes are planned on {dataset}"}]
    caption = f"Other recipes, whole trainings: validation IoU of the best epoch (%); {SHARED}"
    return Table(pd.DataFrame(rows), caption)


def furthest_table(plan: Plan, records: Sequence[Record], dataset: str) -> Table:
    """How far a network trained here goes: runs that predict over several views, beside the paper's whole network.

    Args:
        plan: the study.
        records: stored runs on real data.
        dataset: our name of the data set.

    Raises:
        ValueError: a record is synthetic, so its scores must not stand here.
    """
    refuse_synthetic(records)
    stored = {record.run_id: record for record in records}
    rows: list[dict[str, object]] = []
    for run in plan.runs:
        if run.dataset != dataset or run.prediction is None:
            continue
        record = stored.get(run.run_id)
        iou = 100 * record.metrics["resized"]["iou"] if record else None
        how = condition(record or run, plan)
        paper = comparable_scores(dataset, "scgcnet", how)
        rows.append(
            {
                "Network": f"{run.model} {run.size}, {run.settings['image_size']} px, seed {run.seed}",
                "Views": run.prediction["views"],
                "Threshold": f"{record.prediction['threshold']:g}" if record else NOT_RUN,
                "Validation IoU so": f"{100 * record.prediction['val_iou']:.2f}" if record else NOT_RUN,
                "Test IoU": f"{iou:.2f}" if iou is not None else NOT_RUN,
                "SCGC-Net, paper": f"{paper['iou']:.2f}" if paper else NONE,
                "Difference": f"{iou - paper['iou']:+.2f}" if iou is not None and paper else NONE,
                "Condition": how,
                "Cost": cost([record] if record else []),
                "Run": run_links([record] if record else []),
            }
        )
    rows = rows or [{"Network": f"no such runs are planned on {dataset}"}]
    return Table(pd.DataFrame(rows), "Over several views, at the threshold that is best on validation (%)")
