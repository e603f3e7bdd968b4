"""Run files as tables, beside the paper's numbers where that is fair.

Three rules hold everywhere: what was not run says "not run"; synthetic runs never stand beside the paper;
every number comes with links to the run files that it was computed from.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from scgcnet.study.paper import read_paper
from scgcnet.study.plan import Plan, Run, at_home
from scgcnet.study.show import NONE, Link, Links, Table
from scgcnet.study.statistics import Condition, Summary, judge, summarize
from scgcnet.study.store import Record, is_stale

NOT_RUN = "not run"
SHARED = "wall time, machine shared with other jobs"  # said wherever the time of a training is shown

#: Our names of data sets and networks, and those in the paper's Table I.
PAPER_DATASETS = {"cld": "CLD", "hrgldd": "GLDD", "bijie": "Bijie"}
#: Images of a test part that is 20 % of the paper's; a run that was scored on far fewer is on other data.
PAPER_TEST_IMAGES = {"cld": 4173, "hrgldd": 352, "bijie": 154}
PAPER_METHODS = {
    "scgcnet": "Ours",
    "fcn": "FCN",
    "unet": "U-Net",
    "resunet": "ResUNet",
    "pspnet": "PSP-Net",
    "deeplabv3plus": "DeepLabv3+",
    "hrnet": "HRNet",
    "icnet": "ICNet",
    "ccnet": "CCNet",
    "danet": "DANet",
    "gcnet": "GCNet",
    "pidnet": "PIDNet",
    "segformer": "SegFormer",
    "swin": "SwinTrans",
    "convnext": "ConvNeXt",
    "stunet": "ST-UNet",
    "vmamba": "VMamba",
}  # SegNeXt is announced in Sec. IV-B and missing in Table I
#: The size of a network that the paper has; the comparison methods' is `paper`.
FULL_SIZES = {"scgcnet": "base"}

#: Score: its name in print and its column in the paper's tables.
SCORES = {
    "precision": ("Precision", "P"),
    "recall": ("Recall", "R"),
    "f1": ("F1", "F1"),
    "iou": ("IoU", "IoU"),
    "oa": ("Overall accuracy", "OA"),
}
#: Traded against each other by the threshold: alone, neither settles anything.
TRADED = ("precision", "recall")
#: Way of counting: what it means.
WAYS = {
    "resized": "pixels of all images at the network's input size (most likely the paper's way)",
    "pooled": "pixels of all images at native size",
    "per_image": "mean over images at native size",
}


def paper_scores(dataset: str, model: str, root: Path | None = None) -> dict[str, float] | None:
    """Table I's five scores in percent for our names of data set and network; None without such a row."""
    if dataset not in PAPER_DATASETS or model not in PAPER_METHODS:
        return None
    row = read_paper(root).row(f"{PAPER_METHODS[model]}/{PAPER_DATASETS[dataset]}")
    return {score: float(row.printed[column]) for score, (_, column) in SCORES.items()}


def comparable_scores(dataset: str, model: str, how: Condition, root: Path | None = None) -> dict[str, float] | None:
    """Those of `paper_scores` that may stand beside a run's: none where its data are not the paper's.

    Args:
        dataset: our name of the data set.
        model: name for `create_model`.
        how: the run's `condition`; of too small a part of the paper's data it is other data.
        root: the project.
    """
    return None if how == "other data" else paper_scores(dataset, model, root)


def condition(run: Run | Record, plan: Plan, images: int | None = None) -> Condition:
    """How a run compares with the paper's: its data, its network at full size, its protocol.

    Args:
        run: planned or stored.
        plan: the study.
        images: of the test part at hand, for a planned run; a stored one knows how many it was scored on.
    """
    if run.dataset not in PAPER_DATASETS or not at_home(run.config):
        return "other data"
    if isinstance(run, Record):
        images = run.metrics["per_image"]["n"]
    if images is not None and images < PAPER_TEST_IMAGES[run.dataset] / 2:
        return "other data"  # such as the one of CLD's sixteen sub-sets that is easily had
    config = run.config
    full = config["size"] == FULL_SIZES.get(config["model"], "paper") and not config["overrides"]
    return "same" if full and config["settings"] == plan.profile("paper").settings else "scaled down"


def comparison(dataset: str, model: str, plan: Plan, records: Sequence[Record]) -> list[Table]:
    """Stored runs of a whole network on a data set of the paper beside its Table I: a table for each configuration.

    Seeds on one split and the spread over splits are different things and get different rows. Planned
    configurations without any run share a last table, as not run. Table I is of the whole network: one with parts or
    rates changed, or that predicts over several views, does not stand beside it.

    Args:
        dataset: our name of the data set.
        model: name for `create_model`.
        plan: the study; its runs say which configurations there are.
        records: stored runs on real data; others than this network's on this data set are left out.

    Raises:
        ValueError: a record is synthetic, so its scores must not stand here.
    """
    refuse_synthetic(records)
    tables, missing = [], []
    for planned in _configurations(
        run
        for run in plan.runs
        if (run.dataset, run.model) == (dataset, model) and at_home(run.config) and run.unaltered
    ):
        stored = [record for record in records if _configuration(record) == _configuration(planned)]
        kind = _kind_of_split(planned)
        what = f"{planned.model} {planned.size}, profile {planned.profile}{changes(planned, plan)}"
        what += f", split over groups ({kind})" if kind else ""
        how = condition(stored[0] if stored else planned, plan)
        paper = comparable_scores(dataset, planned.model, how)
        if not stored:
            missing.append({"Network": what, **_comparison_row("iou", paper, [], "", how)})
            continue
        rows = [
            _comparison_row(score, paper, group, label, how)
            for label, group in repeats(stored).items()
            for score in SCORES
        ]
        beside = ", beside the paper's Table I" if paper and how != "other data" else ""
        tables.append(Table(pd.DataFrame(rows), f"{what}, on {dataset}{beside} (%)"))
    if missing:
        tables.append(Table(pd.DataFrame(missing), f"Planned for {model} on {dataset}, not run"))
    return tables


def changes(run: Run, plan: Plan) -> str:
    """What a run changes in its profile and its network, in words."""
    usual = plan.profile(run.profile).settings
    changed = {key: value for key, value in run.settings.items() if value != usual.get(key)}
    if "augment" in changed:
        changed |= {key: value for key, value in changed.pop("augment").items() if value != usual["augment"].get(key)}
    if run.prediction is not None:
        changed["views"] = run.prediction["views"]
    return "".join(f", {key} {in_words(value)}" for key, value in (changed | dict(run.overrides)).items())


def in_words(value: object) -> str:
    """A setting as it stands in a sentence."""
    if isinstance(value, list) and any(isinstance(stage, list) for stage in value):  # dilation rates by stage and unit
        return "; ".join(" ".join("/".join(map(str, unit)) for unit in stage) for stage in value)
    if isinstance(value, list):
        return " to ".join(map(in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def refuse_synthetic(records: Iterable[Record]) -> None:
    """Raises ValueError for a record on synthetic data."""
    if synthetic := [record.run_id for record in records if record.data_kind != "real"]:
        raise ValueError(f"{synthetic[0]} ran on synthetic data: it cannot stand beside the paper's numbers")


def _comparison_row(
    score: str,
    paper: Mapping[str, float] | None,
    group: Sequence[Record],
    label: str,
    how: Condition,
) -> dict[str, object]:
    measured = summary(group, "resized", score) if group else None
    reference = paper[score] if paper else None
    difference = f"{measured.mean - reference:+.2f}" if measured and reference is not None else NONE
    verdict = judge(reference, measured, how) if reference is not None and score not in TRADED else None
    return {
        "Score": SCORES[score][0],
        "Repeats": label or NOT_RUN,
        "Paper": f"{reference:.2f}" if reference is not None else NONE,
        "Measured, 95 % interval": str(measured) if measured else NOT_RUN,
        "Difference": difference,
        "Condition": how,
        "Verdict": verdict or NONE,
        "Cost": cost(group),
        "Runs": run_links(group),
    }


def summary(group: Sequence[Record], way: str, score: str) -> Summary:
    """Mean and interval in percent; the interval of few repeats is cut where a score cannot be."""
    found = summarize([100 * record.metrics[way][score] for record in group])
    if found.low is None or found.high is None:
        return found
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 100.0))


def cost(group: Sequence[Record]) -> str:
    """Parameters and multiply-accumulates an image of repeats of one configuration, in words.

    Not their time: other jobs shared the machine with most of them.
    """
    if not group:
        return NONE
    record = group[0]
    return f"{record.params / 1e6:.2f} M, {record.gmac:.2f} GMAC"


def run_links(records: Sequence[Record]) -> Links:
    """Links to the run files, named by what differs, network, split or seed; a run of other code is called stale."""
    models, splits = {record.model for record in records}, {record.split for record in records}
    seeds = {record.seed for record in records}

    def name(record: Record) -> str:
        words = [record.model] * (len(models) > 1)
        words += [f"split {record.split}"] * (len(splits) > 1) + [f"seed {record.seed}"] * (len(seeds) > 1)
        return " ".join(words or [f"seed {record.seed}"])

    counts = Counter(map(name, records))
    return Links(
        tuple(
            Link(
                # Runs that differ in their settings or flags alone: by the last characters of their ids.
                name(record)
                + f" {record.run_id.rpartition('-')[2]}" * (counts[name(record)] > 1)
                + " (stale)" * is_stale(record),
                record.file,
            )
            for record in records
        )
    )


def _configuration(run: Run | Record) -> str:
    """What repeats have in common; splits of another kind, such as over groups, are another protocol."""
    common = {k: v for k, v in run.config.items() if k not in ("split", "seed")}
    return json.dumps({**common, "split": _kind_of_split(run)}, sort_keys=True)


def _kind_of_split(run: Run | Record) -> str:
    return str(run.split).rpartition("-")[0]


def _configurations(runs: Iterable[Run]) -> list[Run]:
    """One run for each configuration, whatever its split and seed."""
    return list({_configuration(run): run for run in reversed(list(runs))}.values())[::-1]


def repeats(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Repeats of one configuration that may be averaged: the seeds of one split; one seed over the splits.

    Runs of other code or on other images are no repeats: where there are such, the present code's are taken, or else
    those of which there are most.
    """
    if not records:
        return {}
    made_alike: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        code = record.code_sha256 if is_stale(record) else "present"
        made_alike.setdefault((code, record.data_sha256), []).append(record)
    records = max(made_alike.values(), key=lambda group: (not is_stale(group[0]), len(group)))
    ordered = sorted(records, key=lambda record: (record.split, record.seed))
    by_split = _by(ordered, "split")
    split, seeds = max(by_split.items(), key=lambda item: len(item[1]))  # the first of equals
    images = seeds[0].metrics["per_image"]["n"]
    groups = {f"{many(len(seeds), 'seed')} on split {split}, {images} images": seeds}
    seed, splits = max(_by(ordered, "seed").items(), key=lambda item: len(item[1]))  # the first of equals
    if len(splits) > 1:
        groups[f"{many(len(splits), 'split')}, seed {seed}, {images} images each"] = splits
    return groups


def _by(records: Iterable[Record], key: str) -> dict[int | str, list[Record]]:
    groups: dict[int | str, list[Record]] = {}
    for record in records:
        groups.setdefault(getattr(record, key), []).append(record)
    return groups


def many(n: int, what: str) -> str:
    """The number with its noun: 1 seed, 3 seeds."""
    return f"{n} {what}" + ("s" if n != 1 else "")


def by_configuration(records: Iterable[Record]) -> list[list[Record]]:
    """Records that differ in split and seed alone, together, in the order in which they come."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(_configuration(record), []).append(record)
    return list(groups.values())


def score_table(records: Sequence[Record]) -> Table:
    """The scores of some repeats of one configuration in all three ways of counting, without the paper's.

    Args:
        records: runs that differ in the seed or the split alone; real or synthetic.

    Raises:
        ValueError: there is no record, or their configurations differ.
    """
    if len({_configuration(record) for record in records}) != 1:
        raise ValueError("a score table shows repeats: these runs differ in more than split and seed")
    first = records[0]
    rows = [
        {"Score": name}
        | {meaning: str(summary(records, way, score)) for way, meaning in WAYS.items()}
        | {"Runs": run_links(records)}
        for score, (name, _) in SCORES.items()
    ]
    images = first.metrics["per_image"]["n"]
    data = first.dataset if first.data_kind == "real" else "made-up images, not to be compared with the paper"
    runs = many(len(records), "run")
    caption = f"{first.model} {first.size} on {data}: scores on {images} test images, {runs} (%)"
    return Table(pd.DataFrame(rows), caption)


def cost_table(records: Sequence[Record]) -> Table:
    """What each run cost: parameters, multiply-accumulates, wall time, device."""
    rows = [
        {
            "Run": run_links([record]),
            "Parameters": f"{record.params / 1e6:.2f} M",
            "GMAC an image": f"{record.gmac:.2f} at {record.config['settings']['image_size']} px",
            "Epochs": len(record.history),
            "Best epoch (from 0)": record.best_epoch,
            "Wall time": f"{record.wall_s / 60:.1f} min",
            "Device": record.device,
            "Looks at test": record.test_looks,
        }
        for record in records
    ]
    made_up = any(record.data_kind == "synthetic" for record in records)
    return Table(pd.DataFrame(rows), f"What the runs cost{', on made-up images' * made_up}; {SHARED}")
