"""How a chapter opens: what it was run with, on which data, and what of it means nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from scgcnet.study.plan import Plan, Run
from scgcnet.study.show import NONE, Link, Note, Table
from scgcnet.study.store import Record, Training, Trial
from scgcnet.study.tables import condition, in_words

if TYPE_CHECKING:
    from scgcnet.data import LandslideDataset


def data_note(run: Run, plan: Plan, parts: Mapping[str, LandslideDataset]) -> Note:
    """What a chapter says on top about its run: synthetic, scaled down, or the paper's own protocol.

    Args:
        run: what the page is run with.
        plan: the study.
        parts: the run's data, which know whether they were made up; empty where they are not at hand.
    """
    settings = run.config["settings"]
    what = f"{run.model} {run.size}, {settings['image_size']} px, {settings['epochs']} epochs"
    kinds = {part.kind for part in parts.values()} or {plan.profile(run.profile).data}
    if "synthetic" in kinds:
        return Note(
            "Synthetic data",
            f"This page was run on made-up images at the profile {run.profile} ({what}). It shows that everything "
            "works; its training, scores and predictions mean nothing. Real images are in the box 'In short', in the "
            "sections 'How the recipe was chosen' and 'Beside the paper', and below a box 'Real images'. With the "
            "data set in place (SCGCNET_DATA) and the profile cpu the same page gives real numbers.",
            "warning",
        )
    how = condition(run, plan, len(parts["test"]) if "test" in parts else None)
    if how == "same":
        return Note("The paper's protocol", f"This page was run on the real {run.dataset} images: {what}.")
    return Note(
        f"Real data, {how}",
        f"This page was run on the real {run.dataset} images at the profile {run.profile}: {what}. "
        "The paper trains networks of full size (its own costs as much as base here) at 512 px for 400 epochs.",
    )


def page_note(plan: Plan, profile: str) -> Note:
    """What a chapter that shows stored runs says on top: what it ran itself, and where its numbers are from."""
    about = plan.profile(profile).about
    if plan.profile(profile).data == "synthetic":
        return Note(
            "Synthetic data",
            f"What this page trained itself saw made-up images at the profile {profile} ({about}): the table below, "
            "which shows that everything runs, and all figures that say so. All other tables and figures are of stored "
            "runs on real images, the same at every profile.",
            "warning",
        )
    return Note("Real data", f"This page shows stored runs on real images, profile {profile}: {about}.")


def made_table(made: Sequence[Record | Trial]) -> Table:
    """What a page trained on synthetic data, one row each; of real runs only how many, for their own tables follow.

    Scores on synthetic images mean nothing, and say so.
    """
    told_apart = _differences([one for one in made if one.data_kind == "synthetic"])
    rows = [
        {
            "Network": f"{one.model} {one.size}",
            "What differs": told_apart[one.run_id] or NONE,
            "Seed": one.seed,
            "Epochs": len(one.history),
            "Validation IoU, which means nothing": f"{100 * one.val_iou:.1f}",
            "Time": f"{one.wall_s:.0f} s",
            "File": Link("run file", one.file),
        }
        for one in made
        if one.data_kind == "synthetic"
    ]
    if rows:
        return Table(pd.DataFrame(rows), "Trained for this page, on made-up images (%)")
    return Table(pd.DataFrame([{"Stored results that this page shows": len(made)}]), "The results of this page")


def _differences(made: Sequence[Training]) -> dict[str, str]:
    """In words, by run id: in what the configurations of some trainings differ, but network and seed."""
    found = {}
    for one in made:
        words = {f"{key} ": in_words(value) for key, value in {**one.flags, **one.config["settings"]}.items()}
        words["loss "] = "/".join(f"{weight:g}" for weight in one.config["settings"]["loss"].values())
        if increment := one.config.get("increment"):
            words["after "] = f"{increment['percent']:g} % of {one.dataset}"
        found[one.run_id] = words
    common = set.intersection(*(set(words.items()) for words in found.values())) if found else set()
    flags = {f"{key} " for one in made for key in one.flags}  # what a network lacks is told even where all lack it
    return {
        run_id: ", ".join(f"{key}{value}" for key, value in words.items() if (key, value) not in common or key in flags)
        for run_id, words in found.items()
    }


def data_table(parts: Mapping[str, LandslideDataset]) -> Table:
    """How many images each part has, how large they are, and how much of them is landslide."""
    rows = []
    for name, part in parts.items():
        shapes = [sample.mask.shape for sample in part]
        masks = [sample.mask[sample.mask != 255] for sample in part]  # the known pixels
        shares = [100 * float(mask.mean()) for mask in masks if mask.size]
        sides = sorted(side for shape in shapes for side in shape)
        rows.append(
            {
                "Part": name,
                "Images": len(part),
                "Sides, px": f"{sides[0]} to {sides[-1]}, median {sides[len(sides) // 2]}",
                "Landslide share, mean over images": f"{sum(shares) / len(shares):.1f} %" if shares else NONE,
            }
        )
    if not rows:
        rows.append({"Part": "all", "Images": "not at hand"})
    made_up = any(part.kind == "synthetic" for part in parts.values())
    return Table(pd.DataFrame(rows), "The data of this page" + ": made-up images" * made_up)
