"""The result of a data set in a row: what SCGC-Net came to, how far one network went, what the paper prints."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from scgcnet.study.contest import WAY
from scgcnet.study.plan import Plan, at_home
from scgcnet.study.show import NONE, Note, Table
from scgcnet.study.store import Record
from scgcnet.study.tables import (
    NOT_RUN,
    comparable_scores,
    condition,
    paper_scores,
    refuse_synthetic,
    repeats,
    run_links,
    summary,
)

PROFILE = "cpu"  # whose runs are told; of larger ones the page itself tells


def headline_table(dataset: str, plan: Plan, records: Sequence[Record]) -> Table:
    """One row: test IoU of the whole network with its own recipe, over seeds, over splits and over several views.

    Args:
        dataset: our name of the data set.
        plan: the study.
        records: stored runs on real data.

    Raises:
        ValueError: a record is synthetic, so its scores must not stand here.
    """
    refuse_synthetic(records)
    groups, best = _repeats(dataset, plan, records), _furthest(dataset, plan, records)
    first = next(iter(groups.values()), [])
    how = condition(first[0], plan) if first else None
    paper = comparable_scores(dataset, "scgcnet", how) if how else paper_scores(dataset, "scgcnet")
    row: dict[str, object] = {"SCGC-Net on": dataset}
    row["Network"] = f"{first[0].size}, {first[0].config['settings']['image_size']} px" if first else NOT_RUN
    for label, group in groups.items():
        row[f"Test IoU, {label}"] = f"{summary(group, WAY, 'iou')}"
    row["Over views, threshold from validation"] = f"{_iou(best):.2f}" if best else NOT_RUN
    row["Paper, the whole network at 512 px"] = f"{paper['iou']:.2f}" if paper else NONE
    row["Condition"] = how or NONE
    everything = {record.run_id: record for group in groups.values() for record in group}
    row["Runs"] = run_links([*everything.values(), *([best] if best else [])])
    caption = f"The first result: test IoU on {dataset}, mean and 95 % interval, beside the paper's (%)"
    return Table(pd.DataFrame([row]), caption)


def headline_note(dataset: str, plan: Plan, records: Sequence[Record]) -> Note:
    """The same in sentences, for the top of a data set's page; it tells of the stored runs, whatever the page ran.

    It raises as `headline_table` does.
    """
    refuse_synthetic(records)
    groups, best = _repeats(dataset, plan, records), _furthest(dataset, plan, records)
    if not groups:
        return Note("In short", f"No run of SCGC-Net on real images of {dataset} is stored: its scores are not run.")
    (label, group), *_ = groups.items()
    first = group[0]
    how = condition(first, plan)
    paper = comparable_scores(dataset, "scgcnet", how)
    text = f"SCGC-Net {first.size} at {first.config['settings']['image_size']} px: test IoU "
    text += f"{summary(group, WAY, 'iou')} % ({label})."
    if best:
        text += (
            f" The best that one training of it came to here: {_iou(best):.2f} %, over {best.prediction['views']:g} "
            f"views of each image at the threshold that was best on validation."
        )
        others = [record for record in _over_views(dataset, plan, records) if record is not best]
        text += "".join(f" {one.model} of the same cost, likewise: {_iou(one):.2f} %." for one in others)
    if paper:
        text += f" The paper prints {paper['iou']:.2f} % for the whole network at 512 px; it tells of no views, and "
        text += f"this is {how}: no verdict on it."
    elif paper_scores(dataset, "scgcnet"):
        text += " What is at hand is too small a part of the paper's data to stand beside its score."
    return Note("In short", text)


def _repeats(dataset: str, plan: Plan, records: Sequence[Record]) -> dict[str, list[Record]]:
    """The stored repeats of the whole network with the recipe of the profile, over seeds and over splits."""
    settings = plan.profile(PROFILE).settings
    planned = {
        run.run_id
        for run in plan.select(PROFILE)
        if (run.dataset, run.model, run.settings) == (dataset, "scgcnet", settings)
        and run.unaltered
        and at_home(run.config)
        and isinstance(run.split, int)  # splits over groups are another protocol
    }
    return repeats([record for record in records if record.run_id in planned])


def _over_views(dataset: str, plan: Plan, records: Sequence[Record]) -> list[Record]:
    """The stored runs that predict over several views, each of one network."""
    planned = {run.run_id for run in plan.runs if run.dataset == dataset and run.prediction is not None}
    return [record for record in records if record.run_id in planned]


def _furthest(dataset: str, plan: Plan, records: Sequence[Record]) -> Record | None:
    """That of SCGC-Net."""
    return next((record for record in _over_views(dataset, plan, records) if record.model == "scgcnet"), None)


def _iou(record: Record) -> float:
    return 100 * float(record.metrics[WAY]["iou"])
