"""The claims ledger: every claim of results/paper/claims.csv with what the stored runs say about it.

study.yml names the runs that speak to a score, `_RULES` says how settings and costs are judged, and other results are
found as `chapters.statements` tests them here. A finding is one sentence with its numbers and the runs behind it; on
other data than the paper's it is "unresolved". What the paper's own tables say about a claim is another question
(scgcnet/study/consistency.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from operator import getitem
from typing import Any, NamedTuple, get_args

import pandas as pd

from scgcnet.chapters.evidence import Evidence, base_gmac
from scgcnet.chapters.statements import answers
from scgcnet.study import stats
from scgcnet.study.consistency import saving
from scgcnet.study.networks import by_configuration, data_set, many, repeats
from scgcnet.study.paper import PAPER_DATASETS, SCORE_NAMES, full_name
from scgcnet.study.plan import Plan
from scgcnet.study.show import NONE
from scgcnet.study.stats import Condition, Verdict

TRADED = ("precision", "recall")  # the threshold trades them against each other: alone, neither settles anything
RIVALS = ("UPerNet-VMamba-B", "UPerNet-ConvNeXt-B", "UPerNet-Swin-B", "DANet-R50")  # of Fig. 10

#: Settings that the paper states, by the claim's id: their place in a run's settings.
SETTINGS: dict[str, tuple[str | int, ...]] = {
    "input": ("image_size",), "batch": ("batch_size",), "lr": ("lr",), "wd": ("weight_decay",),
    "adam_b1": ("betas", 0), "adam_b2": ("betas", 1), "epochs": ("epochs",), "hflip": ("augment", "hflip"),
    "loss_alpha": ("loss", "dwce"), "loss_beta": ("loss", "focal"), "loss_gamma": ("loss", "lovasz"),
    "focal_gamma": ("focal_exponent",),
}  # fmt: skip


COUNTED: dict[str, Verdict] = {"holds": "supported", "does not hold": "contradicted"}


class Finding(NamedTuple):
    """What was found about a claim: a sentence, how near its runs come to the paper's, their ids, and the verdict."""

    text: str
    condition: Condition
    runs: Sequence[str]
    verdict: Verdict = "unresolved"


Claim = Any  # a row of `Paper.claims`, as a tuple with names
Rule = Callable[[Claim, Evidence], Finding | None]


def ledger(plan: Plan) -> pd.DataFrame:
    """One row per claim, by id, in the order of the file.

    Columns: id, kind, dataset, value, unit, location, quote; exhibit, the name of the table or figure in study.yml;
    finding, condition ("" if not run), runs (ids), verdict, and need, what a claim that was not run would take.
    """
    evidence, asked = Evidence(plan), answers(plan)
    exhibits = {claim: exhibit.name for exhibit in plan.exhibits for claim in exhibit.claims}
    rows = []
    for claim in evidence.paper.claims.itertuples(index=False):
        found = _RULES.get(claim.id, _score)(claim, evidence)
        if found is None and claim.id in asked.index:
            found = _tested(claim, asked.loc[claim.id])
        text, how, runs, verdict = found or ("", "", (), "not run")
        rows.append((exhibits.get(claim.id, ""), verdict, how, text, list(runs), "" if found else claim.needs))
    claims = evidence.paper.claims[["id", "kind", "dataset", "value", "unit", "location", "quote"]]
    columns = ["exhibit", "verdict", "condition", "finding", "runs", "need"]
    return claims.join(pd.DataFrame(rows, claims.index, columns))


def _tested(claim: Claim, asked: pd.Series) -> Finding | None:
    """What the statement that is tested here says of a claim: a verdict only where costs answer it, without a run."""
    if not asked.evidence or not (asked.runs or asked.answer in COUNTED):
        return None
    if not asked.runs:
        return Finding(asked.evidence, "same", (), COUNTED[asked.answer])
    return Finding(asked.evidence, "scaled down" if claim.dataset in ("Bijie", "all") else "other data", asked.runs)


def as_text(found: pd.DataFrame) -> str:
    """The ledger for programs: id, kind, verdict, condition, run ids, and finding or need, with tabs between."""
    rows = found.assign(runs=found.runs.str.join(","), words=found.finding.where(found.finding != "", found.need))
    rows = rows[["id", "kind", "verdict", "condition", "runs", "words"]].replace("", NONE)
    return "\n".join("\t".join(row) for row in rows.itertuples(index=False))


def _whole(runs: pd.DataFrame) -> bool:
    return bool(runs.model.iloc[0] == "scgcnet" and not runs["flags"].iloc[0])


def _nearest(runs: pd.DataFrame, prefer: Callable[[pd.DataFrame], tuple[object, ...]]) -> pd.DataFrame:
    """Seeds of the configuration nearest to the paper's; of several as near, that which `prefer` ranks highest."""
    order = get_args(Condition)  # the nearest first
    nearest = max(by_configuration(runs), key=lambda one: (-order.index(one.condition.iloc[0]), *prefer(one)))
    return next(iter(repeats(nearest).values()))


def _score(claim: Claim, evidence: Evidence) -> Finding | None:
    """The runs that study.yml names for a claim: of several configurations, that nearest to the paper's decides.

    Only the score of the whole network gets a verdict: whether a baseline reaches its score does not settle anything.
    """
    runs = evidence.runs.loc[[claim.id in claims for claims in evidence.runs.claims]]
    own = runs.dataset.map(PAPER_DATASETS).map(full_name, na_action="ignore") == full_name(claim.dataset)
    runs = runs.assign(condition=runs.condition.where(own, "other data"))
    if claim.kind == "protocol":  # a setting is followed or not: a run with other settings says nothing
        runs = runs[runs.condition == "same"]
    if runs.empty:
        return None
    group = _nearest(runs, lambda one: (one.params.iloc[0], one.image_size.iloc[0]))
    first, score = group.iloc[0], claim.id.rpartition("_")[2]
    if score not in SCORE_NAMES:
        return Finding("", first.condition, list(group.run_id))
    measured = stats.summarize(group[f"resized_{score}"], (0, 100))
    text = f"{SCORE_NAMES[score][0]} {measured} %"
    if first.condition == "other data":
        text += f" of {first['size']} on {first.n_test:.0f} test images of {data_set(first.dataset)}"
    judged = _whole(group) and claim.unit == "%" and score not in TRADED
    verdict = stats.judge(float(evidence.paper.number(claim.id)), measured, first.condition) if judged else None
    return Finding(text, first.condition, list(group.run_id), verdict or "unresolved")


def _images(dataset: str, remark: str, claim: Claim, evidence: Evidence) -> Finding:
    """The number of images in the committed split."""
    from scgcnet.data.splits import committed_split, read_split

    images = len(read_split(committed_split(dataset, 0)))
    verdict: Verdict = "unresolved" if images == evidence.paper.number(claim.id) else "contradicted"
    return Finding(f"{images:,} images in the public set; {remark}", "same", (), verdict)


def setting(run: Any, claim: str) -> float:
    """The value of one of `SETTINGS`, or of cam_k0, the first CAM kernel, in a row of `results.runs`, or NaN."""
    if claim in SETTINGS:
        return float(reduce(getitem, SETTINGS[claim], run.config["settings"]))
    if run.model != "scgcnet" or not run["flags"].get("cam", True):
        return math.nan
    from scgcnet.model.config import PRESETS, SCGCNetConfig

    return float(SCGCNetConfig.from_dict({**PRESETS[run["size"]], **run["flags"]}).cam_kernels[0])


def _followed(claim: Claim, evidence: Evidence) -> Finding | None:
    """How many stored runs have a setting as the paper states it, which settles nothing; the nearest are linked."""
    found = {run.run_id: setting(run, claim.id) for _, run in evidence.runs.iterrows()}
    values = pd.Series(found, dtype=float).dropna()
    runs = evidence.runs.loc[values.index[values == float(evidence.paper.number(claim.id))]]
    if runs.empty:
        return None
    group = _nearest(runs, lambda one: (_whole(one) and one.views.iloc[0] == 1, len(one)))
    first = group.iloc[0]
    text = f"{claim.value} in {len(runs)} of the {many(len(values), 'stored run')} that have this setting; linked are "
    text += f"those of {first.model} {first['size']}, profile {first.profile}"
    return Finding(text, first.condition, list(group.run_id))


def _cost(claim: Claim, evidence: Evidence) -> Finding:
    text = f"counted: base costs {base_gmac(2048):.0f} GMAC at 2048 px; its widths were chosen to meet the paper's"
    return Finding(f"{text} {claim.value}", "fitted", ())


def _rivals(claim: Claim, evidence: Evidence) -> Finding:
    """Costs of the rivals at 2048 px, and what SCGC-Net saves."""
    costs, ours = {name: evidence.paper.peers[name][2048] for name in RIVALS}, base_gmac(2048)
    saved = [saving(ours, cost) for cost in costs.values()]
    listed = ", ".join(f"{name} {cost:.0f}" for name, cost in costs.items())
    text = f"counted at 2048 px: {listed}; SCGC-Net base {ours:.0f} saves {min(saved):.0f} to {max(saved):.0f} %"
    return Finding(f"{text}; sizes on both sides were chosen to meet the paper's costs", "fitted", ())


_RULES: dict[str, Rule] = {
    **dict.fromkeys((*SETTINGS, "cam_k0"), _followed),
    "ds_bijie": partial(_images, "bijie", "each shows one date, and the paper speaks of before-and-after images"),
    "fig10_gflops_2048": _cost,
    **dict.fromkeys(("fig10_peers_lo", "fig10_peers_hi", "fig10_saving_lo", "fig10_saving_hi"), _rivals),
}
