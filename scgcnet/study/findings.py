"""What the stored runs say about claims that are no single score: gains, orders, settings, sentences under figures.

A finding is a sentence with its numbers and the runs behind it. On the paper's own data and metric it may carry a
verdict; on other data it stands beside "unresolved", for it settles nothing that the paper says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, get_args

import numpy as np

from scgcnet.study import ablation_tables, comparison_tables, contest, domain_tables, measure_tables, resampling
from scgcnet.study.contest import Contestant
from scgcnet.study.paper import Claim, read_paper
from scgcnet.study.plan import Plan, Run, at_home
from scgcnet.study.statistics import Condition, Verdict
from scgcnet.study.store import Record, Trial
from scgcnet.study.tables import SCORES, by_configuration, condition, many, repeats, summary

PROFILE = "cpu"  # whose runs are looked at
TARGET = "landslide4sense"  # stands in for GVLM
SMALL = measure_tables.SIZES[1]  # square metres under which a landslide counts as small

#: Settings that the paper states, by the claim's id: where a run's settings have them.
SETTINGS: dict[str, tuple[str | int, ...]] = {
    "input": ("image_size",),
    "batch": ("batch_size",),
    "lr": ("lr",),
    "wd": ("weight_decay",),
    "adam_b1": ("betas", 0),
    "adam_b2": ("betas", 1),
    "epochs": ("epochs",),
    "hflip": ("augment", "hflip"),
    "loss_alpha": ("loss", "dwce"),
    "loss_beta": ("loss", "focal"),
    "loss_gamma": ("loss", "lovasz"),
    "focal_gamma": ("focal_exponent",),
}


@dataclass(frozen=True)
class Finding:
    """What was found about a claim.

    Attributes:
        text: a sentence with its numbers.
        condition: how near the runs come to the paper's.
        records: the runs behind it.
        verdict: "unresolved" unless the runs can settle it.
    """

    text: str
    condition: Condition
    records: tuple[Record, ...]
    verdict: Verdict = "unresolved"


@dataclass(frozen=True)
class Evidence:
    """All that findings start from; what is computed from it is computed once.

    Attributes:
        plan: the study.
        records: stored runs on real data.
        trials: stored trials on real data.
    """

    plan: Plan
    records: Sequence[Record]
    trials: Sequence[Trial]

    @cached_property
    def networks(self) -> dict[str, Contestant]:
        """The compared networks on Bijie, by name; of those that are stored."""
        found = comparison_tables.contestants("bijie", self.plan, self.records, self.trials, PROFILE)
        return {one.name: one for one in found if one.records}

    @cached_property
    def experiments(self) -> dict[str, Contestant]:
        """The rows of Tables II and III on Bijie, by name; of those that are stored."""
        rows: dict[str, Contestant] = {}
        for names in ([f"A{n}" for n in range(1, 9)], [f"B{n}" for n in range(1, 8)]):
            found = ablation_tables.experimenters(names, self.plan, self.records, PROFILE)
            rows |= {one.name: one for one in found if one.records}
        return rows

    @cached_property
    def increments(self) -> dict[str, dict[float, Record]]:
        """What is stored of the new domain, by network and percent."""
        stored = {record.run_id: record for record in self.records}
        planned: dict[str, dict[float, Run]] = domain_tables.increment_runs(self.plan, TARGET, PROFILE)
        return {
            model: {percent: stored[run.run_id] for percent, run in runs.items() if run.run_id in stored}
            for model, runs in planned.items()
        }


def find_out(claim: Claim, evidence: Evidence) -> Finding | None:
    """What the stored runs say about a claim; None where no rule speaks to it, or its runs are not stored."""
    rule = _RULES.get(claim.id)
    return rule(claim, evidence) if rule else None


Curves = dict[str, dict[float, float]]  # IoU in percent by network and increment
Rule = Callable[[Claim, Evidence], Finding | None]


def _mean(one: Contestant, score: str = "iou") -> float:
    return float(np.mean(one.scores(score)))


def _records(*some: Contestant) -> tuple[Record, ...]:
    return tuple({record.run_id: record for one in some for record in one.records}.values())


def _lead(score: str, claim: Claim, evidence: Evidence) -> Finding | None:
    """SCGC-Net's lead over the best other network on Bijie."""
    networks = dict(evidence.networks)
    ours = networks.pop("scgcnet", None)
    if ours is None or not networks:
        return None
    best = max(networks.values(), key=lambda one: _mean(one, score))
    lead = _mean(ours, score) - _mean(best, score)
    level = contest.joint_confidence(ours, list(networks.values()))  # the best was picked out of several
    seeds = resampling.seed_difference(ours.scores(score), best.scores(score), level)
    interval = (
        f" (95 % over seeds, jointly for all others, {seeds[0]:+.1f} to {seeds[1]:+.1f})"
        if seeds
        else " (a single seed)"
    )
    text = f"{SCORES[score][0]} {_mean(ours, score):.1f}; best of {len(networks)} others, {best.name}, "
    text += f"{_mean(best, score):.1f}: {lead:+.1f}{interval}; all tiny, at equal compute"
    reached = seeds is not None and seeds[0] >= float(claim.number)
    return Finding(text, "scaled down", _records(ours, best), "supported" if reached else "unresolved")


def _all_metrics(claim: Claim, evidence: Evidence) -> Finding | None:
    ours = evidence.networks.get("scgcnet")
    if ours is None or len(evidence.networks) < 2:
        return None
    others = [one for one in evidence.networks.values() if one is not ours]
    led = [name for score, (name, _) in SCORES.items() if _mean(ours, score) > max(_mean(o, score) for o in others)]
    return Finding(
        f"on Bijie, tiny at equal compute, it leads {len(others)} others in {len(led)} of 5 scores"
        f"{' (' + ', '.join(led) + ')' if led else ''}; by the paper's own Table I VMamba's recall on Bijie is higher",
        "scaled down",
        _records(*evidence.networks.values()),
    )


def _vmamba_recall(claim: Claim, evidence: Evidence) -> Finding | None:
    ours, other = evidence.networks.get("scgcnet"), evidence.networks.get("vmamba")
    if ours is None or other is None:
        return None
    text = f"recall {_mean(other, 'recall'):.1f} against {_mean(ours, 'recall'):.1f}; precision "
    text += f"{_mean(other, 'precision'):.1f} against {_mean(ours, 'precision'):.1f}: the threshold trades the two"
    return Finding(text, "scaled down", _records(ours, other))


def _row(name: str, score: str, claim: Claim, evidence: Evidence) -> Finding | None:
    """One row of Table II or III."""
    one = evidence.experiments.get(name)
    if one is None:
        return None
    return Finding(f"{SCORES[score][0]} of {name} on Bijie: {one.summary(score)}", "other data", _records(one))


def _step(before: str, after: str, score: str, claim: Claim, evidence: Evidence) -> Finding | None:
    """The gain from one row to another."""
    one, other = evidence.experiments.get(before), evidence.experiments.get(after)
    if one is None or other is None:
        return None
    seeds = resampling.seed_difference(other.scores(score), one.scores(score))
    interval = (
        f", 95 % over seeds {seeds[0]:+.1f} to {seeds[1]:+.1f}"
        if seeds
        else f", {ablation_tables.seeds_of(one, other)}"
    )
    text = f"{after} minus {before} on Bijie: {_mean(other, score) - _mean(one, score):+.1f} points of "
    return Finding(text + SCORES[score][0] + interval, "other data", _records(one, other))


def _order(names: Sequence[str], claim: Claim, evidence: Evidence) -> Finding | None:
    """IoU of several rows, the best first, and which of them were not run; None where there are not two to compare."""
    found = [evidence.experiments[name] for name in names if name in evidence.experiments]
    if len(found) < 2:
        return None
    ranked = sorted(found, key=_mean, reverse=True)
    listed = ", ".join(f"{one.name} {_mean(one):.1f}" for one in ranked)
    seeds = min(len(one.records) for one in found)
    text = f"IoU on Bijie, the best first: {listed} ({many(seeds, 'seed')} or more each)"
    if missing := [name for name in names if name not in evidence.experiments]:
        text += f"; not run: {', '.join(missing)}"
    return Finding(text, "other data", _records(*found))


def _part_of(dataset: str, claim: Claim, evidence: Evidence) -> Finding | None:
    """The score of the whole network on what is at hand of a data set, where that is too little to be the paper's."""
    runs = [
        record
        for record in evidence.records
        if (record.dataset, record.model) == (dataset, "scgcnet")
        and at_home(record.config)
        and not (record.flags or record.prediction)
        and condition(record, evidence.plan) == "other data"
    ]
    if not runs:
        return None
    group = max(by_configuration(runs), key=len)
    score, images = claim.id.rpartition("_")[2], group[0].metrics["per_image"]["n"]
    text = f"{SCORES[score][0]} {summary(group, contest.WAY, score)} % of {group[0].size} on {images} test images of "
    return Finding(f"{text}the one part of {claim.dataset} at hand", "other data", tuple(group))


def _against_best(
    value: Callable[[Contestant], float], what: str, how: Condition, higher: bool, claim: Claim, evidence: Evidence
) -> Finding | None:
    """A finer measure of SCGC-Net on Bijie beside the best and the median of the other networks."""
    counted = {name: value(one) for name, one in evidence.networks.items() if one.details}
    ours = counted.pop("scgcnet", None)
    if ours is None or not counted or math.isnan(ours):
        return None
    best = (max if higher else min)(counted, key=lambda name: counted[name])
    text = f"{what} on Bijie: {ours:.1f}; of {len(counted)} others the best, {best}, {counted[best]:.1f}, the median "
    text += f"{float(np.median(list(counted.values()))):.1f}; all tiny, at equal compute, "
    seeds = sorted({len(one.details) for one in evidence.networks.values() if one.details})
    text += f"{' to '.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))} of their seeds counted by image"
    return Finding(text, how, _records(*(one for one in evidence.networks.values() if one.details)))


def _small(one: Contestant) -> float:
    """Share of the small landslides that is found by half, percent; NaN where none is known to be small."""
    found = [
        hit >= measure_tables.FOUND * pixels
        for details in one.details
        for image in details.images
        for pixels, hit in image.components
        if image.resolution and pixels * image.resolution**2 < SMALL
    ]
    return 100 * float(np.mean(found)) if found else float("nan")


def _travel(say: Callable[[Curves], str], claim: Claim, evidence: Evidence) -> Finding | None:
    """Something about the curves of test IoU by increment."""
    curves = {
        model: {percent: 100 * record.metrics[contest.WAY]["iou"] for percent, record in found.items()}
        for model, found in evidence.increments.items()
    }
    complete = {model: curve for model, curve in curves.items() if len(curve) == len(_PERCENTS)}
    if "scgcnet" not in complete or len(complete) < 2:
        return None
    records = tuple(record for model in complete for record in evidence.increments[model].values())
    return Finding(f"from Bijie to Landslide4Sense, tiny, one seed: {say(complete)}", "other data", records)


_PERCENTS = (0, 1, 5, 10, 20)


def _at(percent: float, curves: Curves) -> str:
    ranked = sorted(curves, key=lambda model: -curves[model][percent])
    return f"IoU at {percent:g} %: " + ", ".join(f"{model} {curves[model][percent]:.1f}" for model in ranked)


def _stable(curves: Curves) -> str:
    """For each network the first increment from which on its IoU stays within a tenth of that at 20 %."""
    words = []
    for model, curve in curves.items():
        first = next(p for p in _PERCENTS if all(curve[q] >= 0.9 * curve[20] for q in _PERCENTS if q >= p))
        words.append(f"{model} {first:g} %")
    return "IoU stays above nine tenths of that at 20 % from " + ", ".join(words) + " on"


def _plateau(curves: Curves) -> str:
    return "from 10 to 20 % the IoU changes by " + ", ".join(f"{m} {c[20] - c[10]:+.1f}" for m, c in curves.items())


def setting(record: Record, claim_id: str) -> float | None:
    """What a run has for a setting that the paper states; None for a setting that it has not.

    Raises:
        KeyError: the claim is none of `SETTINGS` and not `cam_k0`.
    """
    if claim_id == "cam_k0":  # a matter of the network, not of its training
        if record.model != "scgcnet" or not record.flags.get("cam", True):
            return None
        from scgcnet.model.config import PRESETS, SCGCNetConfig

        return float(SCGCNetConfig.from_dict({**PRESETS[record.size], **record.flags}).cam_kernels[0])
    value: Any = record.config["settings"]
    for key in SETTINGS[claim_id]:
        value = value[key]
    return float(value)


def _followed(claim: Claim, evidence: Evidence) -> Finding | None:
    """How many stored runs have a setting as the paper states it, which settles nothing; the nearest stand for them."""
    able = {record.run_id: value for record in evidence.records if (value := setting(record, claim.id)) is not None}
    found = [record for record in evidence.records if able.get(record.run_id) == float(claim.number)]
    if not found:
        return None
    nearness: tuple[Condition, ...] = get_args(Condition)

    def near(group: Sequence[Record]) -> tuple[int, bool, int]:
        whole = group[0].model == "scgcnet" and not (group[0].flags or group[0].prediction)
        return -nearness.index(condition(group[0], evidence.plan)), whole, len(group)

    group, *_ = repeats(max(by_configuration(found), key=near)).values()
    text = f"{claim.value} in {len(found)} of the {many(len(able), 'stored run')} that have this setting; linked are "
    text += f"those of {group[0].model} {group[0].size}, profile {group[0].profile}"
    return Finding(text, condition(group[0], evidence.plan), tuple(group))


_RIVALS = ("UPerNet-VMamba-B", "UPerNet-ConvNeXt-B", "UPerNet-Swin-B", "DANet-R50")  # those of Fig. 10


def _rivals(claim: Claim, evidence: Evidence) -> Finding:
    """The rivals' costs at 2048 px, and what ours saves beside them; their sizes were chosen to meet the paper's."""
    costs = {name: read_paper().peers[name][2048] for name in _RIVALS}
    ours = _base_gmac(2048)
    saved = [100 * (1 - ours / cost) for cost in costs.values()]
    words = ", ".join(f"{name} {cost:.0f}" for name, cost in costs.items())
    text = f"counted at 2048 px: {words}; SCGC-Net base {ours:.0f} saves {min(saved):.0f} to {max(saved):.0f} %"
    return Finding(f"{text}; sizes on both sides were chosen to meet the paper's costs", "fitted", ())


def _growth(claim: Claim, evidence: Evidence) -> Finding:
    """How the costs grow with the image: a matter of construction, whatever the widths, so it is no fitted claim."""
    peers = {name: read_paper().peers[name] for name in _RIVALS}
    grown = ", ".join(f"{name} {cost[2048] / cost[128]:.0f}" for name, cost in peers.items())
    ours = _base_gmac(2048) / _base_gmac(128)
    text = f"counted: from 128 to 2048 px, 256 times the pixels, SCGC-Net base costs {ours:.0f} times as much, {grown}"
    text += "; per pixel the cost is constant at any width, so that it does not matter that sizes were fitted"
    return Finding(text, "same", (), "contradicted" if ours > 0.9 * 256 else "supported")


@cache
def _base_gmac(side: int) -> float:
    import torch

    from scgcnet import zoo
    from scgcnet.cost import count_cost

    with torch.device("meta"):
        model = zoo.create_model("scgcnet", "base")
    return count_cost(model, (1, 3, side, side)).gmac


def _cost(claim: Claim, evidence: Evidence) -> Finding:
    text = f"counted: base costs {_base_gmac(2048):.0f} GMAC at 2048 px; its widths were chosen to meet the paper's"
    return Finding(f"{text} {claim.value}", "fitted", ())


_RULES: dict[str, Rule] = {
    **dict.fromkeys((*SETTINGS, "cam_k0"), _followed),
    "fig10_gflops_2048": _cost,
    **dict.fromkeys(("fig10_peers_lo", "fig10_peers_hi", "fig10_saving_lo", "fig10_saving_hi"), _rivals),
    "fig10_scaling": _growth,
    "cld_iou": partial(_part_of, "cld"),
    "bijie_iou_gain": partial(_lead, "iou"),
    "bijie_f1_gain": partial(_lead, "f1"),
    "bijie_vmamba_recall": _vmamba_recall,
    "best_all_metrics": _all_metrics,
    "a1_iou": partial(_row, "A1", "iou"),
    "a2_iou": partial(_row, "A2", "iou"),
    "a2_gain": partial(_step, "A1", "A2", "iou"),
    "a5_iou": partial(_row, "A5", "iou"),
    "a6_iou": partial(_row, "A6", "iou"),
    "a3_recall_gain": partial(_step, "A1", "A3", "recall"),
    "a7_recall": partial(_row, "A7", "recall"),
    "a4_iou": partial(_row, "A4", "iou"),
    "a8_gain": partial(_step, "A1", "A8", "iou"),
    "hmie_largest_part": partial(_order, ("A1", "A2", "A3", "A4")),
    "psccs_small_alone": partial(_step, "A1", "A4", "iou"),
    "b5_iou": partial(_row, "B5", "iou"),
    "b2_b7_beat_b1": partial(_order, tuple(f"B{n}" for n in range(1, 8))),
    "progressive_best": partial(_order, tuple(f"B{n}" for n in range(1, 8))),
    "large_rates_hurt": partial(_step, "B6", "B5", "iou"),
    "small_slides": partial(_against_best, _small, f"landslides under {SMALL:,} m² found (%)", "other data", True),
    "fewer_false": partial(
        _against_best,
        measure_tables.false_alarm_share,
        "falsely alarmed share of the landslide-free ground (%)",
        "other data",
        False,
    ),
    "sharper_edges": partial(
        _against_best, partial(measure_tables.boundary_iou, place=1), "boundary IoU at 4 px (%)", "scaled down", True
    ),
    "fig8_best_at_0": partial(_travel, partial(_at, 0)),
    "fig8_ours_stable_at": partial(_travel, _stable),
    "fig8_others_need": partial(_travel, _stable),
    "fig8_lead_at_20": partial(_travel, partial(_at, 20)),
    "fig8_plateau_20": partial(_travel, _plateau),
}
