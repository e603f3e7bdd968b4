"""The page of one data set, its headline on the start page, and the chapter "The data".

`dataset` and `model` are our names, `stored` is a frame from `results.runs`, `made` one of the page's own runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from scgcnet.chapters.common import SHARED
from scgcnet.study import stats
from scgcnet.study.networks import (
    NOT_RUN,
    Network,
    by_configuration,
    changes,
    condition,
    cost,
    data_set,
    gather,
    kind_of_split,
    many,
    refuse_synthetic,
    repeats,
    run_links,
    title_of,
    whole_runs,
)
from scgcnet.study.paper import SCORE_NAMES, paper_scores
from scgcnet.study.plan import Plan
from scgcnet.study.runs import Run, configuration
from scgcnet.study.show import NONE, Note, Table

PROFILE = "cpu"  # whose runs are the headline; of larger ones the page itself tells
#: Alone, neither settles anything: the threshold trades one against the other.
TRADED = ("precision", "recall")
#: Way of counting: its name in print.
WAYS = {
    "resized": "pixels of all images at the network's input size (most likely the paper's way)",
    "pooled": "pixels of all images at native size",
    "per_image": "mean over images at native size",
}
#: Images that Sec. IV-A-1 says there are; GVLM's are 17 sites, of which it gives no number of tiles.
PAPER_COUNTS = {"cld": 20_865, "hrgldd": 1_758, "bijie": 770}


def headline_table(dataset: str, plan: Plan, stored: pd.DataFrame) -> Table:
    """One row: test IoU of SCGC-Net with the profile's own recipe, over seeds, over splits and over several views."""
    refuse_synthetic(stored)
    groups, best = _own_runs(dataset, plan, stored), _over_views(dataset, plan, stored).query("model == 'scgcnet'")
    first = next(iter(groups.values())).iloc[0] if groups else None
    how = None if first is None else condition(first.config, plan, first.n_test)
    paper = _comparable(dataset, how)
    row = {
        "SCGC-Net on": data_set(dataset),
        "Network": NOT_RUN if first is None else f"{first['size']}, {first.image_size} px",
        **{f"Test IoU, {label}": str(_summary(group)) for label, group in groups.items()},
        "Over views, threshold from validation": f"{best.resized_iou.iloc[0]:.1f}" if len(best) else NOT_RUN,
        "Paper, the whole network at 512 px": f"{paper['iou']:.2f}" if paper else NONE,
        "Condition": how or NONE,
        "Runs": run_links(pd.concat([*groups.values(), best]).drop_duplicates("run_id")),
    }
    caption = f"Test IoU on {data_set(dataset)}, mean and 95 % interval, beside the paper's (%)"
    return Table(pd.DataFrame([row]), caption)


def headline_note(dataset: str, plan: Plan, stored: pd.DataFrame) -> Note:
    """The same in sentences, for the top of a data set's page."""
    refuse_synthetic(stored)
    groups, views = _own_runs(dataset, plan, stored), _over_views(dataset, plan, stored)
    if not groups:
        return Note("In short", f"No run of SCGC-Net on real images of {data_set(dataset)} is stored: not run.")
    label, group = next(iter(groups.items()))
    first = group.iloc[0]
    how = condition(first.config, plan, first.n_test)
    text = f"SCGC-Net {first['size']} at {first.image_size} px: test IoU {_summary(group)} % ({label})."
    if len(views):
        ranked = views.sort_values("resized_iou")
        reached = ", ".join(ranked.model.map(title_of) + ranked.resized_iou.map(" {:.1f} %".format))
        text += f" One training each over {views.views.iloc[0]} views, at the threshold best on validation: {reached}."
    if paper := _comparable(dataset, how):
        text += f" The paper prints {paper['iou']:.2f} % for the whole network at 512 px without mention of views; "
        text += f"these runs are {how}: no verdict."
    elif paper_scores(dataset, "scgcnet"):
        text += " The available part of the data set is too small to compare with the paper's score."
    return Note("In short", text)


def _own_runs(dataset: str, plan: Plan, stored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The stored repeats of the unaltered SCGC-Net with the recipe of the profile, over seeds and over splits."""
    usual = whole_runs(plan, PROFILE, dataset=dataset, model="scgcnet", settings=plan.profile(PROFILE).settings)
    planned = [run.run_id for run in usual if isinstance(run.split, int)]  # splits over groups are another protocol
    return repeats(stored[stored.run_id.isin(planned)])


def _over_views(dataset: str, plan: Plan, stored: pd.DataFrame) -> pd.DataFrame:
    """The stored runs that predict over several views."""
    planned = [run.run_id for run in plan.runs if run.dataset == dataset and run.prediction is not None]
    return stored[stored.run_id.isin(planned)]


def _summary(group: pd.DataFrame, score: str = "iou", way: str = "resized") -> stats.Summary:
    return stats.summarize(list(group[f"{way}_{score}"]), (0, 100))


def _comparable(dataset: str, how: stats.Condition | None, model: str = "scgcnet") -> dict[str, float] | None:
    """The paper's scores, unless the data of the run are not the paper's."""
    return None if how == "other data" else paper_scores(dataset, model)


def comparison(dataset: str, model: str, plan: Plan, stored: pd.DataFrame) -> list[Table]:
    """A whole network beside the paper's Table I: a table for each planned configuration, those not run last.

    Seeds on one split and the spread over splits have rows of their own.
    """
    refuse_synthetic(stored)
    planned = reversed(whole_runs(plan, dataset=dataset, model=model))
    configurations = {(kind_of_split(run.split), configuration(run.config)): run for run in planned}
    tables, missing = [], []
    for (kind, common), run in reversed(configurations.items()):
        alike = stored[(stored.configuration == common) & (stored.split.map(kind_of_split) == kind)]
        what = f"{model} {run.size}, profile {run.profile}{changes(run, plan)}"
        what += f", split over groups ({kind})" if kind else ""
        how = condition(run.config, plan, None if alike.empty else alike.n_test.iloc[0])
        paper = _comparable(dataset, how, model)
        if alike.empty:
            missing.append({"Network": what, **_comparison_row("iou", paper, alike, NOT_RUN, how)})
            continue
        rows = [
            _comparison_row(score, paper, group, label, how)
            for label, group in repeats(alike).items()
            for score in SCORE_NAMES
        ]
        beside = ", beside the paper" * bool(paper)
        tables.append(Table(pd.DataFrame(rows), f"{what}, on {data_set(dataset)}{beside} (%)"))
    if missing:
        tables.append(Table(pd.DataFrame(missing), f"Planned for {model} on {data_set(dataset)}, not run"))
    return tables


def _comparison_row(
    score: str, paper: Mapping[str, float] | None, group: pd.DataFrame, label: str, how: stats.Condition
) -> dict[str, object]:
    measured = None if group.empty else _summary(group, score)
    verdict = stats.judge(paper[score], measured, how) if paper and score not in TRADED else None
    return {
        "Score": SCORE_NAMES[score][0],
        "Repeats": label,
        "Paper": f"{paper[score]:.2f}" if paper else NONE,
        "Measured, 95 % interval": str(measured or NOT_RUN),
        "Difference": f"{measured.mean - paper[score]:+.1f}" if measured and paper else NONE,
        "Condition": how,
        "Verdict": verdict or NONE,
        "Cost": cost(group),
        "Runs": run_links(group),
    }


def tta_table(plan: Plan, stored: pd.DataFrame, dataset: str) -> Table:
    """Runs with test-time augmentation, each of one network, beside the paper's whole network."""
    refuse_synthetic(stored)
    rows = []
    for run in plan.runs:
        if run.dataset != dataset or run.prediction is None:
            continue
        found = stored[stored.run_id == run.run_id]
        one = None if found.empty else found.iloc[0]
        how = condition(run.config, plan, None if one is None else one.n_test)
        paper = _comparable(dataset, how)
        row = {
            "Network": f"{run.model} {run.size}, {run.settings['image_size']} px, seed {run.seed}",
            "Views": run.prediction["views"],
            "Threshold": NOT_RUN if one is None else f"{one.prediction['threshold']:g}",
            "Validation IoU so": NOT_RUN if one is None else f"{100 * one.prediction['val_iou']:.1f}",
            "Test IoU": NOT_RUN if one is None else f"{one.resized_iou:.1f}",
            "SCGC-Net, paper": f"{paper['iou']:.2f}" if paper else NONE,
            "Difference": f"{one.resized_iou - paper['iou']:+.1f}" if paper and one is not None else NONE,
            "Condition": how,
            "Cost": cost(found),
            "Looks at test": NONE if one is None else one.test_looks,
        }
        rows.append({**row, "Run": run_links(found)})
    frame = pd.DataFrame(rows or [{"Network": f"no such runs are planned on {data_set(dataset)}"}])
    return Table(frame, "Over several views, at the threshold that is best on validation (%)")


def counting_note(dataset: str, stored: pd.DataFrame) -> Note | None:
    """The share of landslide pixels that the paper's scores on Bijie imply, beside that of the test images.

    None on other data sets, of which no whole test part is available, and before SCGC-Net was run.
    """
    own = "dataset == trained_on == 'bijie' and model == 'scgcnet' and split == '0'"
    paper, whole = paper_scores(dataset, "scgcnet"), stored.query(own)
    if dataset != "bijie" or paper is None or whole.empty:
        return None
    first = whole.iloc[0]
    resized, pooled = (implied_share({key: first[f"{way}_{key}"] for key in paper}) for way in ("resized", "pooled"))
    text = f"The paper's scores of SCGC-Net imply {implied_share(paper):.2f} % of landslide pixels. The test images of "
    text += f"split 0 have {resized:.1f} % at the network's input size and {pooled:.1f} % at native size: neither "
    return Note("Ways of counting", f"{text}fits, the first is nearer.")


def implied_share(scores: Mapping[str, float]) -> float:
    """Share of landslide pixels, percent, on which precision, recall and overall accuracy (percent) agree.

    A share s has s (R / P + 1 - 2 R) wrong pixels, which is what the accuracy lacks to 1.
    """
    recall = scores["recall"] / 100
    return (100 - scores["oa"]) / (scores["recall"] / scores["precision"] + 1 - 2 * recall)


def score_table(made: pd.DataFrame) -> Table:
    """The scores of repeats of one configuration in all three ways of counting, without the paper's."""
    if len(by_configuration(made)) != 1:
        raise ValueError("a score table shows repeats: these runs differ in more than split and seed")
    first = made.iloc[0]
    frame = pd.DataFrame(
        {"Score": name, **{meaning: str(_summary(made, score, way)) for way, meaning in WAYS.items()}}
        for score, (name, _) in SCORE_NAMES.items()
    ).assign(Runs=run_links(made))
    data = first.dataset if first.data_kind == "real" else "synthetic images, not to be compared with the paper"
    caption = f"{first.model} {first['size']} on {data}: scores on {first.n_test} test images, {many(len(made), 'run')}"
    return Table(frame, f"{caption} (%)")


def cost_table(made: pd.DataFrame) -> Table:
    """Parameters, multiply-accumulates, wall time and device of each run."""
    columns = {
        "Run": [run_links(made.loc[[run_id]]) for run_id in made.run_id],
        "Parameters": (made.params / 1e6).map("{:.2f} M".format),
        "GMAC an image": made.gmac.map("{:.2f}".format) + made.image_size.map(" at {} px".format),
        "Epochs": made.history.map(len),
        "Best epoch (from 0)": made.best_epoch,
        "Wall time": (made.wall_s / 60).map("{:.1f} min".format),
        "Device": made.device,
        "Looks at test": made.test_looks,
    }
    synthetic = ", on synthetic images" * bool((made.data_kind == "synthetic").any())
    return Table(pd.DataFrame(columns), f"Cost of the runs{synthetic}; {SHARED}")


def page_networks(
    runs: Sequence[Run], made: pd.DataFrame, dataset: str, plan: Plan, stored: pd.DataFrame
) -> tuple[list[Network], Note]:
    """The networks of a page whose test images are counted one by one, and which images these are.

    If the page ran `runs` on synthetic images, stored runs on real ones are taken instead, if any were counted.
    """
    own = gather({f"{run.model} {run.size}": run for run in runs}, made)
    if (made.data_kind == "real").all():
        return own, Note("Real images", "These are the runs of this page, counted image by image.")
    planned = {
        f"{run.model} {run.size}": run
        for model in dict.fromkeys(run.model for run in runs)
        for run in reversed(whole_runs(plan, PROFILE, dataset=dataset, model=model, split=0))
        if run.settings == plan.settings(dataset, model, run.size, PROFILE)
    }
    found = gather(planned, stored)
    if any(one.counted for one in found):
        text = f"These are stored runs on real images, profile {PROFILE}, not what this page trained itself."
        return found, Note("Real images", text)
    text = f"No run on real images of {data_set(dataset)} was counted image by image; synthetic ones say nothing."
    return own, Note("Synthetic images", text, "warning")


def count_table() -> Table:
    """Every data set with a loader: the paper's number of images and the available ones."""
    from scgcnet.data import SOURCES, dataset_available, open_whole

    names = [name for name in SOURCES if not name.startswith("synthetic")]
    found = [open_whole(name) if dataset_available(name) else None for name in names]
    columns = {
        "Data set": names,
        "Images, paper": [str(PAPER_COUNTS.get(name, NONE)) for name in names],
        "Images available": [str(len(here)) if here else "not available" for here in found],
        "Kind": [here.kind if here else NONE for here in found],
        "Sites or parts available": [str(len(set(here.sites))) if here and any(here.sites) else NONE for here in found],
    }
    return Table(pd.DataFrame(columns), "Data sets")


def seen_table(dataset: str, splits: Sequence[str]) -> Table:
    """Pixels of the later parts that were in earlier ones, by split, in percent; counted if the data are available."""
    from scgcnet.data import dataset_available
    from scgcnet.data.overlap import audit

    rows = []
    for split in splits if dataset_available(dataset) else []:
        found = audit(dataset, split)
        row = {"Split": split} | {f"Images, {part.part}": str(part.images) for part in found.parts}
        row |= {f"{seen.part} pixels seen in {seen.before} (%)": f"{100 * seen.share:.1f}" for seen in found.seen}
        rows.append(row)
    frame = pd.DataFrame(rows or [{"Split": f"{data_set(dataset)} is not available"}]).fillna(NONE)
    return Table(frame, f"Pixels that parts of {data_set(dataset)} share, by split")
