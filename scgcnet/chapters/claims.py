"""The claims ledger: every claim of results/paper/claims.csv with what the stored runs say about it.

study.yml names the runs that speak to a score; `_RULES` says how other claims are judged. A finding is one sentence
with its numbers and the runs behind it; on other data than the paper's it is "unresolved". What the paper's own tables
say about a claim is another question (scgcnet/study/consistency.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial, reduce
from operator import getitem
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd

from scgcnet.chapters import ablations, comparison, measures, transfer
from scgcnet.study import results, stats
from scgcnet.study.consistency import saving
from scgcnet.study.networks import Network, by_configuration, condition, joint_level, many, repeats
from scgcnet.study.paper import PAPER_DATASETS, SCORE_NAMES, Paper, full_name, read_paper
from scgcnet.study.plan import Plan
from scgcnet.study.show import NONE
from scgcnet.study.stats import Condition, Verdict

PROFILE = "cpu"  # whose networks are compared
TARGET = "landslide4sense"  # stands in for GVLM
PERCENTS = (0, 1, 5, 10, 20)  # of a new data set, in Fig. 8
TRADED = ("precision", "recall")  # the threshold trades them against each other: alone, neither settles anything
MODULES, RATES = [f"A{n}" for n in range(1, 9)], [f"B{n}" for n in range(1, 8)]  # rows of Tables II and III
RIVALS = ("UPerNet-VMamba-B", "UPerNet-ConvNeXt-B", "UPerNet-Swin-B", "DANet-R50")  # of Fig. 10

#: Settings that the paper states, by the claim's id: their place in a run's settings.
SETTINGS: dict[str, tuple[str | int, ...]] = {
    "input": ("image_size",), "batch": ("batch_size",), "lr": ("lr",), "wd": ("weight_decay",),
    "adam_b1": ("betas", 0), "adam_b2": ("betas", 1), "epochs": ("epochs",), "hflip": ("augment", "hflip"),
    "loss_alpha": ("loss", "dwce"), "loss_beta": ("loss", "focal"), "loss_gamma": ("loss", "lovasz"),
    "focal_gamma": ("focal_exponent",),
}  # fmt: skip


class Finding(NamedTuple):
    """What was found about a claim: a sentence, how near its runs come to the paper's, their ids, and the verdict."""

    text: str
    condition: Condition
    runs: Sequence[str]
    verdict: Verdict = "unresolved"


@dataclass(frozen=True)
class Evidence:
    """All that findings start from; each frame is read once."""

    plan: Plan

    @cached_property
    def paper(self) -> Paper:
        """See `read_paper`."""
        return read_paper()

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Stored runs on real data; `condition` compares each with the paper's, `claims` are as in study.yml now."""
        found, planned = results.runs(), {run.run_id: run.claims for run in self.plan.runs}
        return found.assign(
            condition=[condition(one.config, self.plan, one.n_test) for one in found.itertuples()],
            claims=[planned.get(one.run_id, one.claims) for one in found.itertuples()],
        )

    @cached_property
    def networks(self) -> dict[str, Network]:
        """The compared networks that were run on Bijie, by name."""
        return {one.name: one for one in comparison.networks("bijie", self.plan, PROFILE) if len(one.runs)}

    @cached_property
    def experiments(self) -> dict[str, Network]:
        """The rows of Tables II and III that were run on Bijie, by name."""
        found = [one for rows in (MODULES, RATES) for one in ablations.networks(rows, self.plan, PROFILE)]
        return {one.name: one for one in found if len(one.runs)}

    @cached_property
    def increments(self) -> pd.DataFrame:
        """Runs on a new data set: model, percent, resized_iou, run_id."""
        return transfer.increment_scores(self.plan, TARGET, PROFILE)


Claim = Any  # a row of `Paper.claims`, as a tuple with names
Measure = Callable[[Network], float]
Rule = Callable[[Claim, Evidence], Finding | None]


def ledger(plan: Plan) -> pd.DataFrame:
    """One row per claim, by id, in the order of the file.

    Columns: id, kind, dataset, value, unit, location, quote; exhibit, the name of the table or figure in study.yml;
    finding, condition ("" if not run), runs (ids), verdict, and need, what a claim that was not run would take.
    """
    evidence = Evidence(plan)
    exhibits = {claim: exhibit.name for exhibit in plan.exhibits for claim in exhibit.claims}
    rows = []
    for claim in evidence.paper.claims.itertuples(index=False):
        found = _RULES.get(claim.id, _score)(claim, evidence) or _score(claim, evidence)
        text, how, runs, verdict = found or ("", "", (), "not run")
        rows.append((exhibits.get(claim.id, ""), verdict, how, text, list(runs), "" if found else claim.needs))
    claims = evidence.paper.claims[["id", "kind", "dataset", "value", "unit", "location", "quote"]]
    columns = ["exhibit", "verdict", "condition", "finding", "runs", "need"]
    return claims.join(pd.DataFrame(rows, claims.index, columns))


def as_text(found: pd.DataFrame) -> str:
    """The ledger for programs: id, kind, verdict, condition, run ids, and finding or need, with tabs between."""
    rows = found.assign(runs=found.runs.str.join(","), words=found.finding.where(found.finding != "", found.need))
    rows = rows[["id", "kind", "verdict", "condition", "runs", "words"]].replace("", NONE)
    return "\n".join("\t".join(row) for row in rows.itertuples(index=False))


def _ids(*networks: Network) -> list[str]:
    return list(dict.fromkeys(run_id for one in networks for run_id in one.runs.run_id))


def _whole(runs: pd.DataFrame) -> bool:
    return bool(runs.model.iloc[0] == "scgcnet" and not runs["flags"].iloc[0])


def _over_seeds(seeds: tuple[float, float] | None, how: str = "") -> str:
    return f"95 % over seeds{how} {seeds[0]:+.1f} to {seeds[1]:+.1f}" if seeds else ""


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
        text += f" of {first['size']} on {first.n_test:.0f} test images of {first.dataset}"
    judged = _whole(group) and claim.unit == "%" and score not in TRADED
    verdict = stats.judge(float(evidence.paper.number(claim.id)), measured, first.condition) if judged else None
    return Finding(text, first.condition, list(group.run_id), verdict or "unresolved")


def _images(dataset: str, remark: str, claim: Claim, evidence: Evidence) -> Finding:
    """The number of images in the committed split."""
    from scgcnet.data.splits import committed_split, read_split

    images = len(read_split(committed_split(dataset, 0)))
    verdict: Verdict = "unresolved" if images == evidence.paper.number(claim.id) else "contradicted"
    return Finding(f"{images:,} images in the public set; {remark}", "same", (), verdict)


def _lead(score: str, claim: Claim, evidence: Evidence) -> Finding | None:
    """SCGC-Net's lead over the best other network on Bijie."""
    others = dict(evidence.networks)
    ours = others.pop("scgcnet", None)
    if ours is None or not others:
        return None
    best = max(others.values(), key=lambda one: one.mean(score))
    level = joint_level(ours, list(others.values()))  # the best was picked out of several
    seeds = stats.seed_interval(ours.scores(score), best.scores(score), level)
    text = f"{SCORE_NAMES[score][0]} {ours.mean(score):.1f}; best of {len(others)} others, {best.name}, "
    text += f"{best.mean(score):.1f}: {ours.mean(score) - best.mean(score):+.1f} "
    text += f"({_over_seeds(seeds, ', jointly for all others,') or 'a single seed'}); all tiny, at equal compute"
    reached = seeds is not None and seeds[0] >= float(evidence.paper.number(claim.id))
    return Finding(text, "scaled down", _ids(ours, best), "supported" if reached else "unresolved")


def _all_metrics(claim: Claim, evidence: Evidence) -> Finding | None:
    scores = pd.DataFrame({one.name: {s: one.mean(s) for s in SCORE_NAMES} for one in evidence.networks.values()})
    if "scgcnet" not in scores or len(scores.columns) < 2:
        return None
    led = scores.scgcnet > scores.drop(columns="scgcnet").max(axis=1)
    names = ", ".join(SCORE_NAMES[score][0] for score in scores.index[led])
    text = f"on Bijie, tiny at equal compute, it leads {len(scores.columns) - 1} others in {led.sum()} of 5 scores"
    text += f" ({names})" * bool(names) + "; by the paper's own Table I VMamba's recall on Bijie is higher"
    return Finding(text, "scaled down", _ids(*evidence.networks.values()))


def _vmamba_recall(claim: Claim, evidence: Evidence) -> Finding | None:
    ours, other = evidence.networks.get("scgcnet"), evidence.networks.get("vmamba")
    if ours is None or other is None:
        return None
    pairs = [f"{score} {other.mean(score):.1f} against {ours.mean(score):.1f}" for score in ("recall", "precision")]
    return Finding(f"{'; '.join(pairs)}: the threshold trades the two", "scaled down", _ids(ours, other))


def _row(name: str, score: str, claim: Claim, evidence: Evidence) -> Finding | None:
    """One row of Table II or III."""
    one = evidence.experiments.get(name)
    if one is None:
        return None
    return Finding(f"{SCORE_NAMES[score][0]} of {name} on Bijie: {one.summary(score)}", "other data", _ids(one))


def _step(before: str, after: str, score: str, claim: Claim, evidence: Evidence) -> Finding | None:
    """The gain from one row to another."""
    one, other = evidence.experiments.get(before), evidence.experiments.get(after)
    if one is None or other is None:
        return None
    seeds = _over_seeds(stats.seed_interval(other.scores(score), one.scores(score))) or ablations.seeds_of(one, other)
    gain = f"{other.mean(score) - one.mean(score):+.1f} points of {SCORE_NAMES[score][0]}"
    return Finding(f"{after} minus {before} on Bijie: {gain}, {seeds}", "other data", _ids(one, other))


def _order(names: Sequence[str], claim: Claim, evidence: Evidence) -> Finding | None:
    """IoU of several rows, the best first, and those that were not run; None if there are not two to compare."""
    found = [evidence.experiments[name] for name in names if name in evidence.experiments]
    if len(found) < 2:
        return None
    listed = ", ".join(f"{one.name} {one.mean():.1f}" for one in sorted(found, key=lambda one: -one.mean()))
    seeds = min(len(one.runs) for one in found)
    text = f"IoU on Bijie, the best first: {listed} ({many(seeds, 'seed')} or more each)"
    if missing := ", ".join(name for name in names if name not in evidence.experiments):
        text += f"; not run: {missing}"
    return Finding(text, "other data", _ids(*found))


def _against_best(
    measure: Measure, what: str, best: Callable[..., str], claim: Claim, evidence: Evidence
) -> Finding | None:
    """A finer measure of SCGC-Net on Bijie beside the best and the median of the other networks."""
    counted = {name: one for name, one in evidence.networks.items() if one.counted}
    values = {name: measure(one) for name, one in counted.items()}
    ours = values.pop("scgcnet", math.nan)
    if math.isnan(ours) or not values:
        return None
    first = best(values, key=lambda name: values[name])
    text = f"{what} on Bijie: {ours:.1f}; of {len(values)} others the best, {first}, {values[first]:.1f}, the median "
    text += f"{np.median(list(values.values())):.1f}; all tiny, at equal compute, "
    seeds = [len(one.counted) for one in counted.values()]
    text += f"{' to '.join(map(str, sorted({min(seeds), max(seeds)})))} of their seeds counted by image"
    how: Condition = "other data" if claim.dataset == "CLD" else "scaled down"
    return Finding(text, how, _ids(*counted.values()))


def _travel(say: Callable[[pd.DataFrame], str], claim: Claim, evidence: Evidence) -> Finding | None:
    """Something about IoU by increment, one row per network with all increments, columns `PERCENTS`."""
    found = evidence.increments
    curves = found.pivot(index="model", columns="percent", values="resized_iou").reindex(columns=PERCENTS)
    curves = curves.reindex(found.model.unique()).dropna()
    if "scgcnet" not in curves.index or len(curves) < 2:
        return None
    text = f"from Bijie to Landslide4Sense, tiny, one seed: {say(curves)}"
    return Finding(text, "other data", list(found.run_id[found.model.isin(curves.index)]))


def _at(percent: int, curves: pd.DataFrame) -> str:
    ranked = curves[percent].sort_values(ascending=False, kind="stable")
    return f"IoU at {percent} %: " + ", ".join(f"{model} {iou:.1f}" for model, iou in ranked.items())


def _stable(curves: pd.DataFrame) -> str:
    """For each network the first increment from which on its IoU stays within a tenth of that at 20 %."""
    near = curves.ge(0.9 * curves[20], axis=0)
    first = near.iloc[:, ::-1].cumprod(axis=1).sum(axis=1).map(lambda n: PERCENTS[-n])
    listed = ", ".join(f"{model} {percent} %" for model, percent in first.items())
    return f"IoU stays above nine tenths of that at 20 % from {listed} on"


def _plateau(curves: pd.DataFrame) -> str:
    change = curves[20] - curves[10]
    return "from 10 to 20 % the IoU changes by " + ", ".join(f"{model} {iou:+.1f}" for model, iou in change.items())


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


@cache
def base_gmac(side: int) -> float:
    """GMAC of SCGC-Net's `base` for one square image: counted on the meta device, nothing is computed."""
    import torch

    from scgcnet import zoo
    from scgcnet.cost import count_cost

    with torch.device("meta"):
        model = zoo.create_model("scgcnet", "base")
    return count_cost(model, (1, 3, side, side)).gmac


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


def _growth(claim: Claim, evidence: Evidence) -> Finding:
    """How costs grow with the image, which follows from the construction whatever the widths."""
    peers = {name: evidence.paper.peers[name] for name in RIVALS}
    listed = ", ".join(f"{name} {cost[2048] / cost[128]:.0f}" for name, cost in peers.items())
    ours = base_gmac(2048) / base_gmac(128)
    text = f"counted: from 128 to 2048 px, 256 times the pixels, SCGC-Net base costs {ours:.0f} times as much, {listed}"
    text += "; per pixel the cost is constant at any width, so fitted sizes do not matter"
    return Finding(text, "same", (), "contradicted" if ours > 0.9 * 256 else "supported")


_RULES: dict[str, Rule] = {
    **dict.fromkeys((*SETTINGS, "cam_k0"), _followed),
    "ds_bijie": partial(_images, "bijie", "each shows one date, and the paper speaks of before-and-after images"),
    "fig10_gflops_2048": _cost,
    **dict.fromkeys(("fig10_peers_lo", "fig10_peers_hi", "fig10_saving_lo", "fig10_saving_hi"), _rivals),
    "fig10_scaling": _growth,
    "bijie_iou_gain": partial(_lead, "iou"),
    "bijie_f1_gain": partial(_lead, "f1"),
    "bijie_vmamba_recall": _vmamba_recall,
    "best_all_metrics": _all_metrics,
    **{f"{row.lower()}_iou": partial(_row, row, "iou") for row in ("A1", "A2", "A4", "A5", "A6", "B5")},
    "a7_recall": partial(_row, "A7", "recall"),
    "a2_gain": partial(_step, "A1", "A2", "iou"),
    "a8_gain": partial(_step, "A1", "A8", "iou"),
    "a3_recall_gain": partial(_step, "A1", "A3", "recall"),
    "psccs_small_alone": partial(_step, "A1", "A4", "iou"),
    "large_rates_hurt": partial(_step, "B6", "B5", "iou"),
    "hmie_largest_part": partial(_order, MODULES[:4]),
    **dict.fromkeys(("b2_b7_beat_b1", "progressive_best"), partial(_order, RATES)),
    "small_slides": partial(_against_best, measures.small_found, "landslides under 2,000 m² found (%)", max),
    "fewer_false": partial(_against_best, measures.false_alarm_share, "false alarms on landslide-free ground (%)", min),
    "sharper_edges": partial(_against_best, partial(measures.boundary_iou, place=1), "boundary IoU at 4 px (%)", max),
    "fig8_best_at_0": partial(_travel, partial(_at, 0)),
    "fig8_lead_at_20": partial(_travel, partial(_at, 20)),
    **dict.fromkeys(("fig8_ours_stable_at", "fig8_others_need"), partial(_travel, _stable)),
    "fig8_plateau_20": partial(_travel, _plateau),
}  # fmt: skip
