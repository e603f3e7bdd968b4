"""Does the cheap construction keep the accuracy? Networks of the same widths that are built as `base` or as `lean`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from scgcnet.study.plan import Plan, Run
from scgcnet.study.resampling import seed_difference
from scgcnet.study.show import NONE, Link, Links, Note, Table
from scgcnet.study.statistics import further, summarize
from scgcnet.study.store import Record, Trial
from scgcnet.study.tables import NOT_RUN, changes

#: The options that make `lean` of `base`; a planned run that sets one of them is a construction.
BUILD = frozenset({"msle", "context"})
CAPTION = (
    "Constructions at the same widths and budget; IoU in percent over the pixels of all images at the network's input "
    "size, mean over seeds; that of validation is of the epoch that was kept"
)


def construction_table(plan: Plan, records: Sequence[Record], trials: Sequence[Trial], dataset: str) -> Table:
    """Constructions of one network at the same widths and budget: cost beside validation and test IoU in percent.

    Both are over the pixels of all images at the network's input size, as on the other pages.

    First the planned runs, with every seed that is stored, then the trials, which change one thing of `lean` and saw
    the validation part alone.

    Args:
        plan: the study.
        records: stored runs on real data.
        trials: stored trials on real data.
        dataset: our name of the data set.
    """
    stored = {record.run_id: record for record in records}
    made = {trial.run_id: trial for trial in trials}
    rows = []
    for label, runs in _constructions(plan, dataset).items():
        found = [stored[run.run_id] for run in runs if run.run_id in stored]
        rows.append({"Construction": label, **_validated(found), "Test IoU": _tested(found)})
    for trial in plan.construction_trials:
        if trial.dataset == dataset:
            one = [made[trial.run_id]] if trial.run_id in made else []
            rows.append({"Construction": _label(trial, plan), **_validated(one), "Test IoU": NONE})
    rows = rows or [{"Construction": f"none are planned on {dataset}"}]
    return Table(pd.DataFrame(rows), CAPTION)


def construction_note(plan: Plan, records: Sequence[Record], dataset: str) -> Note:
    """In a sentence, whether the cheapest construction that was run keeps the validation IoU of the dearest."""
    stored = {record.run_id: record for record in records}
    found = {
        label: [stored[run.run_id] for run in runs if run.run_id in stored]
        for label, runs in _constructions(plan, dataset).items()
    }
    found = {label: group for label, group in found.items() if len(group) > 1}
    if len(found) < 2:
        return Note("Not run", "Two constructions with two seeds each are needed to compare any.", "warning")
    by_cost = sorted(found, key=lambda label: found[label][0].gmac)
    cheap, dear = by_cost[0], by_cost[-1]
    cheaply, dearly = ([100 * one.val_iou for one in found[label]] for label in (cheap, dear))
    ours, theirs, between = summarize(cheaply), summarize(dearly), seed_difference(cheaply, dearly)
    assert between is not None  # two seeds of each
    saved = 100 * (1 - found[cheap][0].gmac / found[dear][0].gmac)
    text = (
        f"{cheap}: {saved:.0f} % fewer multiplications than {dear}. Validation IoU {ours} over {ours.n} seeds, beside "
        f"{theirs} over {theirs.n}: {_verdict(*between)}; the difference of the means is "
        f"{ours.mean - theirs.mean:+.2f} points, over seeds {between[0]:+.2f} to {between[1]:+.2f}."
    )
    return Note("What the cheap construction costs in accuracy", text)


def trials_note(plan: Plan, records: Sequence[Record], trials: Sequence[Trial], dataset: str) -> Note:
    """What single changes of `lean` did to the validation IoU, beside where one more seed of `lean` would fall.

    Each change has one seed. It is told from `lean` where it lies outside the interval of a further run of it
    (Student-t, from the seeds that `lean` has), at which those of all changes hold at once with 95 % (Bonferroni).
    """
    made = {trial.run_id: trial for trial in trials}
    planned = [trial for trial in plan.construction_trials if trial.dataset == dataset]
    tried = {_label(one, plan).removeprefix("as lean, but "): made[one.run_id] for one in planned if one.run_id in made}
    stored = {record.run_id: record for record in records}
    runs = [run for runs in _constructions(plan, dataset).values() for run in runs if run.overrides == _lean(plan)]
    lean = [stored[run.run_id] for run in runs if run.run_id in stored]
    if len(lean) < 2 or not tried:
        return Note("Not run", "Two seeds of `lean` are needed, and a trial of a change.", "warning")
    low, high = further([100 * one.val_iou for one in lean], 1 - 0.05 / len(tried))
    groups: dict[str, list[str]] = {"above": [], "below": [], "within, and cheaper": [], "within, and no cheaper": []}
    for label, one in sorted(tried.items(), key=lambda item: -item[1].val_iou):
        iou, cost = 100 * one.val_iou, 100 * (one.gmac / lean[0].gmac - 1)
        within = "within, and cheaper" if cost < 0 else "within, and no cheaper"
        where = "above" if iou > high else "below" if iou < low else within
        groups[where].append(f"{label} {iou:.1f} at {cost:+.0f} % cost")
    told = "; ".join(f"{where}: {', '.join(found) or 'none'}" for where, found in groups.items())
    return Note(
        "What single changes of lean do",
        f"{len(tried)} of {len(planned)} changes were tried, one seed each. A further seed of lean itself would come "
        f"to {low:.1f} to {high:.1f} % (95 % for all at once). {told[0].upper()}{told[1:]}.",
    )


def _verdict(low: float, high: float) -> str:
    return "it is better" if low > 0 else "it is worse" if high < 0 else "the seeds cannot tell them apart"


def _constructions(plan: Plan, dataset: str) -> dict[str, list[Run]]:
    """The planned runs by construction, the preset as it is first."""
    altered = [run for run in plan.runs if run.dataset == dataset and BUILD & set(run.overrides)]
    groups: dict[str, list[Run]] = {}
    for run in altered:
        for one in (replace(run, overrides={}), run):
            group = groups.setdefault(_label(one, plan), [])
            if one.run_id not in {other.run_id for other in group}:
                group.append(one)
    return groups


def _label(run: Run, plan: Plan) -> str:
    """How a run's network is built: as a preset, or as `lean` with something else."""
    if not run.overrides:
        return f"{run.size}, as it is"
    lean = _lean(plan)
    if run.overrides == lean or not lean.items() & run.overrides.items():
        return f"as {'lean' if run.overrides == lean else 'base'}{changes(run, plan)}"
    others = {key: value for key, value in run.overrides.items() if lean.get(key) != value}
    return f"as lean, but{changes(replace(run, overrides=others), plan).removeprefix(',')}"


def _lean(plan: Plan) -> Mapping[str, Any]:
    """What a planned run changes to be built as `lean`; empty where none is."""
    return next((one.overrides for one in plan.runs if one.overrides.get("msle") == "depthwise"), {})


def _validated(found: Sequence[Record | Trial]) -> dict[str, Any]:
    if not found:
        return {"Parameters": NOT_RUN, "GMAC": NOT_RUN, "Validation IoU": NOT_RUN, "Seeds": 0, "Runs": NONE}
    ious = summarize([100 * one.val_iou for one in found])
    return {
        "Parameters": f"{found[0].params / 1e6:.2f} M",
        "GMAC": f"{found[0].gmac:.4f}",
        "Validation IoU": str(ious),
        "Seeds": len(found),
        "Runs": Links(tuple(Link(f"seed {one.seed}", one.file) for one in found)),
    }


def _tested(found: Sequence[Record]) -> str:
    return str(summarize([100 * one.metrics["resized"]["iou"] for one in found])) if found else NOT_RUN
