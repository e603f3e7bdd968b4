"""How the published weights were chosen: each step of the recipe, mapped on every source while it was left out.

A map is scored at the threshold that is best on the *other* sources, each while it was left out
(`scgcnet.scene.score.left_out_scores`). `stored` is a frame from `results.runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scgcnet.scene.score import Maps, left_out_scores, of_way
from scgcnet.study.networks import NOT_RUN, cell, data_set, refuse_synthetic
from scgcnet.study.paper import SCORE_NAMES
from scgcnet.study.plan import Plan
from scgcnet.study.publish import raw_threshold
from scgcnet.study.runs import Run
from scgcnet.study.show import NONE, Table


def steps(plan: Plan, stored: pd.DataFrame) -> pd.DataFrame:
    """One row per planned run that leaves one of several sources out and is scored as a map.

    Columns: step, target, seed, run_id, file, and those of `left_out_scores`, which are NaN where not run.
    """
    refuse_synthetic(stored)
    rows = []
    for run in plan.runs:
        if len(run.train) < 2 or run.dataset in run.train or "sichuan" not in {run.dataset, *run.train}:
            continue
        row: dict[str, Any] = {"step": step_of(run), "target": run.dataset, "seed": run.seed, "run_id": run.run_id}
        if run.run_id in stored.index and stored.loc[run.run_id, "maps"]:
            row["file"] = stored.loc[run.run_id, "file"]
        rows.append(row)
    found = pd.DataFrame(rows, columns=["step", "target", "seed", "run_id", "file"])
    scores: dict[Any, dict[str, float]] = {}
    for _, runs in found.dropna(subset="file").groupby(["step", "seed"]):
        each = left_out_scores({row.target: stored.loc[row.run_id, "maps"] for row in runs.itertuples()})
        scores |= {row.Index: each[row.target] for row in runs.itertuples()}
    return found.join(pd.DataFrame.from_dict(scores, orient="index", columns=["threshold", "iou", "best", "alarms"]))


def step_of(run: Run) -> str:
    """What a run does, in a few words."""
    if run.settings.get("views", "picture") == "picture":
        return "pictures, whole"
    if run.dataset == "bijie" and "bijie_negatives" in run.train:
        return "as above, but Bijie's landslide-free images seen"
    words = {"fpn_lite0": "rival: feature pyramid on Lite0", "unet_lite0": "rival: U-Net on Lite0"}.get(run.model)
    if words is None:
        words = {"lite0": "Lite0 as trunk, to stride 32"}.get(run.size, run.size)
        words = "Lite0 as trunk, to stride 8" if run.overrides.get("trunk") == "lite0" else words
        words = "windows" if words == "tiny" else words
    if not run.settings["loss"]["focal"]:
        words += ", no focal loss"
    if run.teacher is not None:
        words += f", taught by {run.teacher.model}"
    return words + ", no quiet ground" * ("landslide_free" not in run.train)


def steps_table(found: pd.DataFrame) -> Table:
    """IoU of each step on every source while it was left out, one column each; seeds are averaged."""
    targets, rows = found.target.unique(), []
    planned = found.step.nunique()
    found = found[found.step.isin(found.step[found.iou.notna()])]
    for step, runs in found.groupby("step", sort=False):
        means = runs.groupby("target")[["iou", "best", "alarms"]].mean().reindex(targets)
        files = runs.groupby("target").file.first().reindex(targets)
        row = {f"{data_set(target)} left out": cell(means.iou[target], 1, _file(files[target])) for target in targets}
        whole = means.mean(skipna=False)
        rows.append(
            {
                "Step": step,
                **row,
                "Mean": cell(whole.iou, 1, missing=NONE),
                "Mean at the best scale and threshold": cell(whole.best, 1, missing=NONE),
                "Quiet images with an alarm": cell(means.alarms.mean(), 0, missing=NONE),
            }
        )
    caption = "IoU of maps of a source never seen, and false alarms on quiet ground (%)"
    if planned > len(rows):
        caption += f"; {planned - len(rows)} further steps of study.yml are not run"
    return Table(pd.DataFrame(rows or [{"Step": NOT_RUN}]), caption)


def maps_table(stored: pd.DataFrame, run_id: str, left_out: Mapping[str, Maps]) -> Table:
    """Scores of maps by a run of each source that it was trained on, and false alarms where there are no landslides.

    The threshold is that of the published weights, chosen on the maps of `publish.left_out_maps`.
    """
    if run_id not in stored.index or not stored.loc[run_id, "maps"]:
        return Table(pd.DataFrame([{"Source": NOT_RUN}]), "Maps by the published weights")
    maps = stored.loc[run_id, "maps"]
    threshold = raw_threshold(maps, left_out)
    rows = []
    for source, parts in maps.items():
        for part, ways_of_part in parts.items():
            counts = of_way(ways_of_part)
            scores, hills = counts.confusion(threshold).scores(), bool(counts.landslide.any())
            row = {"Source": data_set(source), "Part": part, "Images": counts.images}
            for key in ("iou", "precision", "recall"):
                row[SCORE_NAMES[key][0]] = f"{100 * scores[key]:.1f}" if hills else NONE
            quiet = f"{100 * counts.alarms(threshold):.0f} % of images, {100 * (1 - scores['oa']):.2f} % of the ground"
            rows.append({**row, "False alarms": NONE if hills else quiet})
    caption = f"Maps of sources that the weights were trained on (%); a landslide reaches {threshold:g} somewhere"
    return Table(pd.DataFrame(rows), caption)


def dots(found: pd.DataFrame) -> dict[str, dict[str, float]]:
    """What `plots.step_dots` draws: steps of which at least one run is stored."""
    means = found.pivot_table(index="step", columns="target", values="iou", sort=False)
    means = means.reindex(columns=[target for target in found.target.unique() if target in means])
    return {str(step): {data_set(str(k)): float(v) for k, v in row.items()} for step, row in means.iterrows()}


def sample_windows(size: int = 256, number: int = 16, seed: int = 1) -> list[tuple[Any, Any, str]]:
    """Training windows of the sources that are here, of synthetic images if none is: image, mask and source."""
    from scgcnet.data import SOURCES, Merged, dataset_available, open_dataset
    from scgcnet.data.windows import DRAWN, Windows

    names = [name for name in DRAWN if name in SOURCES and dataset_available(name)] or ["synthetic"]
    windows = Windows(Merged([open_dataset(name, 0, "train") for name in names]), size, seed)
    made = [windows.compose((0, index)) for index in range(number)]
    return [(image, mask, names[source]) for image, mask, source in made]


def _file(value: object) -> str | None:
    return value if isinstance(value, str) else None
