"""The networks of the paper on the same images: Table I, paired differences, ranks, repeated trainings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scgcnet.chapters.measures import seeds_counted
from scgcnet.study import results
from scgcnet.study.networks import (
    JOINT,
    NOT_RUN,
    Comparison,
    Network,
    best_rate,
    chosen_runs,
    compare_networks,
    condition,
    cost,
    data_set,
    gather,
    many,
    rank_networks,
    rate_trials,
    refuse_synthetic,
    run_links,
    title_of,
    whole_runs,
)
from scgcnet.study.paper import PAPER_DATASETS, SCORE_NAMES, full_name, paper_scores
from scgcnet.study.plan import Plan
from scgcnet.study.runs import Run, project_root
from scgcnet.study.show import NONE, Link, Note, Table

RERUNS = "results/reruns.csv"
NATIVE = "pooled"  # the other way of counting: pixels of all images at native size


def networks(dataset: str, plan: Plan, profile: str = "cpu", models: Sequence[str] | None = None) -> list[Network]:
    """The networks compared on a data set, by `title_of`, with all stored seeds of the rate that won their trials.

    If the profile plans no trials there, planned runs are taken as they are.
    """
    runs = chosen_runs(plan, results.trials(), dataset, profile)
    if not runs:
        for run in whole_runs(plan, profile, dataset=dataset):
            runs.setdefault(run.model, run)
    chosen = {title_of(model): run for model, run in runs.items() if models is None or model in models}
    return gather(chosen, results.runs(plan.profile(profile).data))


def planned_runs(found: Sequence[Network], plan: Plan) -> list[Run]:
    """All planned seeds of some networks."""
    planned = [(one.run, run) for one in found for run in plan.runs if run.model == one.run.model]
    return [run for first, run in planned if {**run.config, "seed": first.seed} == first.config]


def curves(found: Sequence[Network]) -> dict[str, list[dict[str, float | None]]]:
    """History of the first planned seed of each network that has one stored."""
    return {one.name: one.runs.history[one.run.run_id] for one in found if one.run.run_id in one.runs.index}


def table_one(dataset: str, found: Sequence[Network], plan: Plan) -> Table:
    """Table I for one data set: five scores as printed and as measured, the best measured IoU on top."""
    for one in found:
        refuse_synthetic(one.runs)
    images = next((one.runs.n_test.iloc[0] for one in found if len(one.runs)), None)
    rows: list[dict[str, object]] = []
    for one in ranked(found):
        how = condition(one.run.config, plan, images)
        paper = paper_scores(dataset, one.run.model) if how != "other data" else None
        row: dict[str, object] = {"Network": one.name, "Repeats": many(len(one.runs), "seed")}
        for score in ("iou", "f1", "precision", "recall", "oa"):
            name = SCORE_NAMES[score][0]
            row[f"{name}, paper"] = f"{paper[score]:.2f}" if paper else NONE
            row[f"{name}, measured"] = str(one.summary(score) or NOT_RUN)
            if score == "iou":
                inner, column = one.image_interval(), "95 % over test images"
                row[column] = f"{inner.low:.1f} to {inner.high:.1f} ({seeds_counted(one)})" if inner else NONE
                row["Difference"] = f"{one.mean() - paper['iou']:+.1f}" if len(one.runs) and paper else NONE
                row["Condition"] = how
                row["IoU at native size, measured"] = str(one.summary("iou", NATIVE) or NOT_RUN)
        rows.append(row | {"Cost": cost(one.runs), "Runs": run_links(one.runs)})
    name = full_name(PAPER_DATASETS.get(dataset, dataset))
    return Table(
        pd.DataFrame(rows or [{"Network": f"study.yml plans no comparison on {data_set(dataset)} with this profile"}]),
        f"Table I on {name}: as printed, and as measured with mean and 95 % interval over seeds (%); pixels counted at "
        "the network's input size, except where native size is named",
    )


def ranked(found: Sequence[Network], way: str = "resized") -> list[Network]:
    """The best mean IoU first; those that were not run last."""
    return sorted(found, key=lambda one: (one.runs.empty, -one.mean("iou", way)))


def _by_difference(found: Sequence[Network], reference: str) -> dict[str, Comparison]:
    compared = compare_networks(found, reference)
    return dict(sorted(compared.items(), key=lambda item: -item[1].difference.value))


def difference_table(found: Sequence[Network], reference: str) -> Table:
    """IoU of each network minus the reference's on the same test images, with intervals and the paired test."""
    compared, links = _by_difference(found, reference), {one.name: run_links(one.runs) for one in found}
    difference = f"IoU minus that of {reference}"
    rows: list[dict[str, object]] = [
        {
            "Network": name,
            difference: f"{one.difference.value:+.1f}",
            "Outcome": one.text,
            "95 % over test images": f"{one.difference.low:+.1f} to {one.difference.high:+.1f}",
            "p, adjusted": f"{one.p:.3f}" if one.p >= 0.001 else "below 0.001",
            "Seeds of these": _seeds(one),
            JOINT: f"{one.seeds[0]:+.1f} to {one.seeds[1]:+.1f}" if one.seeds else "one seed: unknown",
            "Runs": links[name],
        }
        for name, one in compared.items()
    ]
    others = {one.name: NOT_RUN if one.runs.empty else "not counted by image" for one in found}
    rows += [
        {"Network": name, difference: why, "Runs": links[name]}
        for name, why in others.items()
        if name not in {*compared, reference}
    ]
    caption = f"Paired differences from {reference} on the same test images (points of IoU)"
    if joint := sum(one.seeds is not None for one in compared.values()):
        caption += f"; over seeds: {joint} intervals that all hold at once with 95 % (Bonferroni)"
    return Table(pd.DataFrame(rows or [{"Network": f"no network to compare with {reference}"}]).fillna(NONE), caption)


def _seeds(one: Comparison) -> str:
    ours, others = (", ".join(map(str, seeds)) for seeds in one.counted)
    return f"{ours} of both" if ours == others else f"{ours} against {others}"


def difference_rows(found: Sequence[Network], reference: str) -> dict[str, tuple[float, float, float, str]]:
    """The same for a figure: name -> difference, low and high in points, and the outcome; the best first."""
    return {
        name: (one.difference.value, one.difference.low, one.difference.high, one.outcome)
        for name, one in _by_difference(found, reference).items()
    }


def rank_parts(found: Sequence[Network]) -> tuple[dict[str, float], float, list[list[str]]]:
    """Mean ranks, critical difference and cliques for a figure; empty for fewer than three networks."""
    ranking = rank_networks(found)
    return (ranking.ranks, ranking.critical, ranking.cliques) if ranking else ({}, 0.0, [])


def standing_note(found: Sequence[Network], name: str) -> Note:
    """Where one network stands by IoU, its paired outcomes, and its errors beside those of the best other."""
    order, native = ranked(found), ranked(found, NATIVE)
    run = [one.name for one in order if len(one.runs)]
    if name not in run or len(run) < 2:
        return Note("No ranking yet", f"{name}, or a network to compare it with, was not run.")
    place, elsewhere = run.index(name) + 1, [one.name for one in native].index(name) + 1
    compared = list(compare_networks(found, name).values())
    apart = sum(one.difference.low * one.difference.high > 0 for one in compared)
    settled = sum(one.outcome != "unresolved" for one in compared)
    text = f"{name} is number {place} of {len(run)} by mean IoU at the network's input size (first: {run[0]}) and "
    text += f"number {elsewhere} at native size (first: {native[0].name}). On the same test images {apart} of "
    text += f"{len(compared)} others differ from it; beyond the spread over seeds {settled or 'none'} "
    text += f"do{'es' * (settled < 2)}."
    counted = {one.name: one for one in order if one.counted}
    best = next((other for other in counted if other != name), None)
    if best is not None and name in counted:
        errors = " and ".join(_errors(counted[each]) for each in (name, best))
        text += f" Of the true landslide area {errors}."
    return Note(f"{name} {'leads' if place == 1 else 'does not lead'}", text)


def _errors(one: Network) -> str:
    tp, fp, fn, _ = one.counts().sum(axis=(0, 1))
    return f"{one.name} misses {100 * fn / (tp + fn):.1f} % and falsely adds {100 * fp / (tp + fn):.1f} %"


def order_note(dataset: str, found: Sequence[Network], plan: Plan, profile: str = "cpu") -> Note:
    """How far to trust the order of Table I: the paper's order, the spread over seeds, the learning rates."""
    stored = results.runs(plan.profile(profile).data)
    refuse_synthetic(stored)
    tried = rate_trials(plan, results.trials(), dataset, profile).groupby("model")
    won = {str(model): best_rate(group) == group.lr.max() for model, group in tried if group.val_iou.notna().all()}
    if not won:
        return Note("No order yet", f"The trials on {data_set(dataset)} with the profile {profile} are not complete.")
    spans = ", ".join(f"{one.name} {np.ptp(one.scores()):.1f}" for one in found if len(one.runs) > 1)
    text = paper_order(dataset, found)
    text += f"{sum(len(one.runs) == 1 for one in found)} of {len(found)} networks have a single seed"
    text += f"; the seeds of the others span so many points of test IoU: {spans}. " if spans else ". "
    text += f"{sum(won.values())} of the {len(won)} winning rates are the highest tried"
    for one in found:
        lr = one.run.settings["lr"]
        own = [run for run in plan.select(profile) if run.model == one.run.model]
        alike = [
            run.run_id for run in own if replace(run, settings={**run.settings, "lr": lr}).config == one.run.config
        ]
        reached = stored.val_iou.reindex(alike).dropna()
        if one.run.run_id in reached and len(reached) > 1:
            gain = reached.drop(one.run.run_id).max() - reached[one.run.run_id]
            text += f"; another rate, trained in full for {one.name}, changes validation IoU by {gain:+.1f} points"
    return Note("How far to trust this order", f"{text}.")


def paper_order(dataset: str, found: Sequence[Network]) -> str:
    """A sentence on how far the measured order agrees with the paper's; "" for fewer than three networks."""
    from scipy import stats

    printed = [(one, paper_scores(dataset, one.run.model)) for one in found if len(one.runs)]
    able = [(paper["iou"], one.mean()) for one, paper in printed if paper]
    if len(able) < 3:
        return ""
    tau = stats.kendalltau(*zip(*able, strict=True))
    text = f"Kendall's tau of this order and that of the paper's Table I is {tau.statistic:.2f}"
    return f"{text} ({len(able)} networks, p = {tau.pvalue:.2f}; 1 is the same order, 0 none). "


def leading(found: Sequence[Network], first: str, n: int) -> list[Network]:
    """One network, then the others with the highest mean IoU whose weights are available, `n` in all."""
    able = [one for one in found if any(map(results.weights_of, one.runs.run_id, one.runs.finished_utc))]
    return sorted(able, key=lambda one: (one.name != first, -one.mean()))[:n]


def reruns() -> pd.DataFrame:
    """Stored runs that were made again, a row each time: run_id, `before` and `now`, IoU at native size in percent."""
    earlier = pd.read_csv(project_root() / RERUNS)
    stored = results.runs().rename(columns={"pooled_iou": "now"})[["dataset", "profile", "now", "file"]]
    return earlier.assign(before=100 * earlier.iou).merge(stored, left_on="run_id", right_index=True)


def rerun_note(dataset: str = "bijie", profile: str = "cpu") -> Note:
    """How far scores moved between code versions that differ in rounding, beside the spread over seeds."""
    own = "dataset == @dataset and profile == @profile"
    alike = reruns().query(f"{own} and code_changed")  # unchanged code repeats to the bit
    if len(alike) < 2:
        return Note("Repeated trainings", "Fewer than two runs were repeated with other code.")
    moved = alike.now - alike.before
    seeds = results.runs().query(own).groupby(["configuration", "split"]).pooled_iou
    spread = seeds.agg(["var", "size"]).query("size > 1")
    text = f"{len(alike)} runs of {data_set(dataset)}, profile {profile}, were repeated with code that sums in another "
    text += f"order: IoU at native size moved by {moved.min():+.1f} to {moved.max():+.1f} points "
    text += f"(mean {moved.mean():+.1f}, standard deviation {moved.std():.1f})."
    if len(spread):
        difference = (2 * np.average(spread["var"], weights=spread["size"] - 1)) ** 0.5
        text += f" Between two seeds of one configuration the standard deviation is {difference:.1f} points "
        text += f"({len(spread)} configurations)."
    return Note("Repeated trainings", text)


def rerun_table() -> Table:
    """IoU before and now of every run that was made again."""
    found = reruns()
    columns = {
        "Run": found.run_id,
        "Before": found.before.map("{:.1f}".format),
        "Now": [Link(f"{now:.1f}", file) for now, file in zip(found.now, found.file, strict=True)],
        "Difference": (found.now - found.before).map("{:+.1f}".format),
    }
    return Table(pd.DataFrame(columns), "Repeated trainings: IoU at native size, before and now (%)")
