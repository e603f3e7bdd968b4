"""How a chapter opens: the data and the profile that it was run with, and what it trained itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scgcnet.study.networks import condition, data_set, in_words
from scgcnet.study.plan import Plan
from scgcnet.study.runs import Run
from scgcnet.study.show import NONE, Link, Note, Table

if TYPE_CHECKING:
    from scgcnet.data import LandslideDataset

SHARED = "wall time, machine shared with other jobs"  # said wherever the time of a training is shown


def page_note(plan: Plan, profile: str) -> Note:
    """For a chapter that shows stored runs: where its numbers come from."""
    chosen = plan.profile(profile)
    if chosen.data == "real":
        return Note("Real data", f"This page shows stored runs on real images, profile {profile}: {chosen.about}.")
    return Note(
        "Synthetic data",
        f"At the profile {profile} ({chosen.about}) this page trains and draws on synthetic images and says so; such "
        "scores mean nothing. All other tables and figures show stored runs on real images, the same at every profile.",
        "warning",
    )


def data_note(run: Run, plan: Plan, parts: Mapping[str, LandslideDataset]) -> Note:
    """For a chapter that trains: synthetic, scaled down, or the paper's own protocol; `parts` may be empty."""
    settings = run.config["settings"]
    what = f"{run.model} {run.size}, {settings['image_size']} px, {settings['epochs']} epochs"
    if "synthetic" in ({part.kind for part in parts.values()} or {plan.profile(run.profile).data}):
        return Note(
            "Synthetic data",
            f"This page was run on synthetic images at the profile {run.profile} ({what}): what it trained and scored "
            "means nothing. Numbers of real images are in the box on top and below 'Beside the paper'. For a page of "
            "real images get the data set (see data/README.md) and take the profile cpu.",
            "warning",
        )
    how = condition(run.config, plan, len(parts["test"]) if "test" in parts else None)
    if how == "same":
        return Note("The paper's protocol", f"This page was run on the real {data_set(run.dataset)} images: {what}.")
    text = f"This page was run on the real {data_set(run.dataset)} images at the profile {run.profile}: {what}. "
    text += "The paper trains networks of full size (its own costs as much as base here) at 512 px for 400 epochs."
    return Note(f"Real data, {how}", text)


def made_table(frame: pd.DataFrame) -> Table:
    """The runs or trials of a page that are on synthetic data, a row each; without any, how many it shows."""
    made = frame[frame.data_kind == "synthetic"]
    if made.empty:
        return Table(pd.DataFrame([{"Stored results that this page shows": len(frame)}]), "The results of this page")
    columns = {
        "Network": made["model"] + " " + made["size"],
        "Changes": [
            ", ".join(f"{key} {in_words(value)}" for key, value in one.items()) or NONE for one in made["flags"]
        ],
        "Seed": made.seed,
        "Epochs": made.history.map(len),
        "Validation IoU, which means nothing": made.val_iou.map("{:.1f}".format),
        "Time": made.wall_s.map("{:.0f} s".format),
        "File": [Link("run file", file) for file in made.file],
    }
    return Table(pd.DataFrame(columns), "Trained for this page, on synthetic images (%)")


def data_table(parts: Mapping[str, LandslideDataset]) -> Table:
    """Number and sizes of the images of each part, and their share of landslide pixels among the known ones."""
    rows: list[dict[str, object]] = []
    for name, part in parts.items():
        masks = [sample.mask for sample in part]
        sides = sorted(side for mask in masks for side in mask.shape)
        shares = [float((mask == 1).sum() / (mask != 255).sum()) for mask in masks if (mask != 255).any()]
        row = {"Part": name, "Images": len(part)}
        row |= {"Sides, px": f"{sides[0]} to {sides[-1]}, median {sides[len(sides) // 2]}"}
        rows.append(row | {"Landslide share, mean over images": f"{100 * np.mean(shares):.1f} %" if shares else NONE})
    synthetic = ": synthetic images" * any(part.kind == "synthetic" for part in parts.values())
    return Table(
        pd.DataFrame(rows or [{"Part": "all", "Images": "not available"}]), f"The data of this page{synthetic}"
    )
