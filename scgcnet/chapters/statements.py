"""The paper's results as statements that can be tested here: directions and orders on the data and sizes of this study.

A verdict of the ledger (`chapters.claims`) needs the paper's data, size and protocol. Here the same statement is asked
of what was run: does A2 beat A1, does SCGC-Net lead? Each is one or several differences that must be above 0.

Intervals are those of `chapters.effects`, jointly over the differences of one statement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from scgcnet.bench.timings import FIG10
from scgcnet.chapters import comparison, merged
from scgcnet.chapters.effects import Effect, Family, Measure, of_images, of_score
from scgcnet.chapters.evidence import MODULES, PERCENTS, PROFILE, RATES, Evidence, base_gmac
from scgcnet.chapters.measures import FOUND, SMALL
from scgcnet.metrics import WIDTHS
from scgcnet.study import results, stats
from scgcnet.study.networks import OURS, Network, data_set, many
from scgcnet.study.paper import PAPER_DATASETS, SCORE_NAMES, full_name
from scgcnet.study.plan import Plan

Answer = Literal["holds", "does not hold", "not resolved", "not tested"]
NOT_TESTED: Answer = "not tested"


class Tester:
    """The stored runs of an `Evidence`, by table."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.networks = Family(list(evidence.networks.values()))
        known = evidence.experiments
        self.rows = {table: Family([one for name, one in known.items() if name[0] == table]) for table in "AB"}


class Tested(NamedTuple):
    """The answer to a statement, its differences, a sentence, and the runs behind it."""

    answer: Answer
    effects: Sequence[Effect] = ()
    text: str = ""
    runs: Sequence[str] = ()


def _small(images: pd.DataFrame) -> pd.DataFrame:
    def hits(row: pd.Series) -> tuple[int, int]:
        area = float(row.resolution or math.nan) ** 2
        small = [found >= FOUND * pixels for pixels, found in row.components if pixels * area < SMALL]
        return sum(small), len(small) - sum(small)

    return pd.DataFrame(images.apply(hits, axis=1).tolist())


def _edges(images: pd.DataFrame, place: int = 1) -> pd.DataFrame:
    bands = pd.DataFrame(images.boundary.str[place].tolist(), columns=["both", "either"])
    return pd.DataFrame({"both": bands.both, "apart": bands.either - bands.both})


SMALL_FOUND = of_images(f"landslides under {SMALL:,} m² found", "precision", _small)
QUIET = of_images("landslide-free ground without alarm", "precision", lambda images: images[["native_tn", "native_fp"]])
NATIVE_IOU = Measure(
    "IoU at native size", lambda one: one.scores("iou", "pooled"), lambda one: (one.counts("native"), "iou")
)
EDGES = of_images(f"boundary IoU at {WIDTHS[1]} px", "precision", _edges)


def judge(effects: Iterable[Effect]) -> Answer:
    """All must be above 0 to hold; one below 0 is enough not to."""
    found = list(effects)
    if not found:
        return NOT_TESTED
    if any(one.value + one.half < 0 for one in found):
        return "does not hold"
    return "holds" if all(one.value - one.half > 0 for one in found) else "not resolved"


def deciding(effects: Iterable[Effect], answer: Answer) -> Effect:
    """Of a statement's differences the one that refutes it, else the one that is nearest to doing so."""
    return min(effects, key=lambda one: one.value + one.half * (1 if answer == "does not hold" else -1))


def _tested(effects: Sequence[Effect], what: str, networks: Iterable[Network], missing: Sequence[str] = ()) -> Tested:
    if not effects:
        return Tested(NOT_TESTED, (), f"not run: {', '.join(missing)}" if missing else "no repeated runs")
    answer = judge(effects)
    text = f"{what}: {deciding(effects, answer)} points"
    if len(effects) > 1:
        above = sum(one.value - one.half > 0 for one in effects)
        below = sum(one.value + one.half < 0 for one in effects)
        text = f"{what}: of {len(effects)} differences {above} resolved above 0, {below} below; the weakest: "
        text += f"{deciding(effects, answer)} points"
    if missing:
        text += f"; not run: {', '.join(missing)}"
        answer = answer if answer == "does not hold" else NOT_TESTED
    runs = list(dict.fromkeys(run_id for one in networks for run_id in one.runs.run_id))
    return Tested(answer, effects, text, runs)


Pair = tuple[Network, Network]
Rule = Callable[[Tester], Tested]


def _rows(measure: Measure, pairs: Sequence[tuple[str, str]], tester: Tester) -> Tested:
    """Rows of Tables II and III, each of the first above its second."""
    known = tester.evidence.experiments
    missing = [name for name in dict.fromkeys(name for pair in pairs for name in pair) if name not in known]
    there = [(known[a], known[b]) for a, b in pairs if a in known and b in known]
    usable = [pair for pair in there if all(len(measure.seeds(one)) for one in pair)]
    missing += [one.name for pair in there for one in pair if not len(measure.seeds(one))]
    effects = tester.rows[pairs[0][0][0]].effects(measure, usable)
    return _tested(effects, f"{measure.name} on Bijie", [one for pair in usable for one in pair], missing)


def _lead(measures: Sequence[Measure], tester: Tester) -> Tested:
    """SCGC-Net above every other network, by every measure."""
    others = dict(tester.evidence.networks)
    ours = others.pop(OURS, None)
    if ours is None:
        return Tested(NOT_TESTED)
    effects, used = list[Effect](), [ours]
    for measure in measures:
        rivals = [one for one in others.values() if len(measure.seeds(one))] if len(measure.seeds(ours)) else []
        found = tester.networks.effects(measure, [(ours, one) for one in rivals], measures=len(measures))
        effects += [one._replace(name=f"{one.name}, {measure.name}") for one in found] if len(measures) > 1 else found
        used += rivals
    words = measures[0].name if len(measures) == 1 else "all five scores"
    return _tested(effects, f"{words} on Bijie", used)


def _against(rival: str, measure: Measure, tester: Tester) -> Tested:
    """One other network above SCGC-Net."""
    known = tester.evidence.networks
    if OURS not in known or rival not in known:
        return Tested(NOT_TESTED)
    pair = known[rival], known[OURS]
    return _tested(tester.networks.effects(measure, [pair]), f"{measure.name} on Bijie", pair)


def _lead_merged(source: str, tester: Tester) -> Tested:
    """SCGC-Net above every other network on one source, after a training on all sources."""
    name, found = merged.SOURCES[source], tester.evidence.merged
    networks, effects = found[name], merged.effects(found)[name]
    images = len(networks[0].images.image.unique()) if networks and networks[0].counted else 0
    return _tested(effects, f"IoU on {name}, {many(images, 'test image')}, trained on all sources", networks)


def _by_side(ask: Callable[[Mapping[int, Mapping[str, Network]]], list[Pair]], tester: Tester) -> Tested:
    """Networks trained on images of two sides, each pair's first above its second, at the images' own size."""
    sides = {
        side: {name: replace(one, name=f"{name} at {side} px") for name, one in found.items()}
        for side, found in tester.evidence.sides.items()
    }
    if any(len(found) < len(FIG10) for found in sides.values()):
        return Tested(NOT_TESTED, (), "needs trainings at two image sizes")
    pairs = ask(sides)
    effects = tester.networks.effects(NATIVE_IOU, pairs)
    return _tested(effects, "IoU on Bijie at native size", [one for pair in pairs for one in pair])


def _rises(name: str, sides: Mapping[int, Mapping[str, Network]]) -> list[Pair]:
    small, large = sorted(sides)
    return [(sides[large][name], sides[small][name])]


def _falls(name: str, sides: Mapping[int, Mapping[str, Network]]) -> list[Pair]:
    return [(small, large) for large, small in _rises(name, sides)]


def _leads(sides: Mapping[int, Mapping[str, Network]]) -> list[Pair]:
    return [(found[OURS], one) for found in sides.values() for name, one in found.items() if name != OURS]


def _worse_where(kind: str, score: str, dataset: str, tester: Tester) -> Tested:
    """A score of SCGC-Net on images that are not of a kind above that on those that are, at native size."""
    evidence, facts = tester.evidence, results.facts(dataset)
    networks = evidence.networks.values() if dataset == "bijie" else evidence.merged[merged.SOURCES[dataset]]
    counted = [one for one in networks if one.counted]
    ours = next((one for one in counted if one.name == OURS), None)
    if facts is None or ours is None:
        return Tested(NOT_TESTED, (), f"not run, or not known of which kind images are: scgcnet data facts {dataset}")

    def there(one: Network) -> stats.Array:
        first = one.images[one.images.run_id == one.images.run_id.iloc[0]]
        found: stats.Array = facts[kind].reindex(first.image, fill_value=0).to_numpy(np.int64)
        return found

    def parts(one: Network) -> tuple[stats.Array, stats.Array]:  # each without the counts of the other
        these = there(one)[:, None]
        return one.counts("native") * (1 - these), one.counts("native") * these

    def gaps(one: Network) -> list[float]:
        others, these = (stats.score(counts.sum(axis=1), score) for counts in parts(one))
        return list(others - these)

    deviation, freedom = stats.pooled_deviation([gaps(one) for one in counted])
    if not freedom:
        return Tested(NOT_TESTED, (), "no repeated runs")
    error = stats.image_error(*parts(ours), ours.groups, score)
    half = stats.student(freedom) * math.hypot(deviation / len(ours.counted) ** 0.5, error)
    number, these = len(there(ours)), int(there(ours).sum())
    effect = Effect(f"{many(number - these, 'image')} without minus {these} with", float(np.mean(gaps(ours))), half)
    return _tested([effect], f"{SCORE_NAMES[score][0]} on {data_set(dataset)}", [ours])


def _whole(dataset: str, evidence: Evidence) -> Network | None:
    """The whole network under the usual recipe, if it was run on a data set."""
    if dataset == "bijie":
        return evidence.experiments.get("A8")
    found = comparison.networks(dataset, evidence.plan, PROFILE, ["scgcnet"])
    return next((one for one in found if len(one.runs)), None)


def _reaches(dataset: str, claim: str, score: str, tester: Tester) -> Tested:
    """The whole network at the score printed in the paper."""
    measure, whole = of_score(score), _whole(dataset, tester.evidence)
    deviation, freedom = tester.rows["A"].deviation(measure)
    if whole is None or not freedom:
        return Tested(NOT_TESTED)
    printed, images = float(tester.evidence.paper.number(claim)), whole.image_interval(score)
    error = (images.high - images.low) / 2 / 1.96 if images else 0.0
    half = stats.student(freedom) * math.hypot(deviation / len(whole.runs) ** 0.5, error)
    effect = Effect(f"measured minus the paper's {printed:g}:", whole.mean(score) - printed, half)
    where = full_name(PAPER_DATASETS[dataset])
    return _tested(
        [effect], f"{measure.name} on {where}, {many(int(whole.runs.n_test.iloc[0]), 'test image')}", [whole]
    )


def _travel(say: Callable[[pd.DataFrame], Mapping[str, float]], what: str, tester: Tester) -> Tested:
    """Differences of IoU between networks or increments on a new data set, of one training each."""
    found = tester.evidence.increments
    curves = found.pivot(index="model", columns="percent", values="resized_iou").reindex(columns=PERCENTS).dropna()
    deviation, freedom = tester.networks.deviation(of_score("iou"))
    if OURS not in curves.index or len(curves) < 2 or not freedom:
        return Tested(NOT_TESTED)
    values = say(curves)
    half = stats.student(freedom, 1 - 0.05 / len(values)) * deviation * 2**0.5
    effects = [Effect(name, value, half) for name, value in values.items()]
    done = _tested(effects, f"{what}, from Bijie to Landslide4Sense", [])
    return done._replace(runs=list(found.run_id[found.model.isin(curves.index)]))


def _lead_at(percent: int, curves: pd.DataFrame) -> dict[str, float]:
    ours = curves.loc[OURS, percent]
    return {f"{OURS} minus {name}": ours - iou for name, iou in curves[percent].drop(OURS).items()}


def _stable(curves: pd.DataFrame) -> dict[str, float]:
    ours = curves.loc[OURS]
    return {f"{OURS} at 1 % minus nine tenths of that at 20 %": ours[1] - 0.9 * ours[20]}


def _others_need(curves: pd.DataFrame) -> dict[str, float]:
    others = curves.drop(OURS)
    short = 0.9 * others[20] - others[1]
    return {f"nine tenths of {name} at 20 % minus that at 1 %": value for name, value in short.items()}


def _plateau(curves: pd.DataFrame) -> dict[str, float]:
    late = (curves[5] - curves[1]) - (curves[20] - curves[10])
    return {f"{name}, gain from 1 to 5 % minus that from 10 to 20 %": value for name, value in late.items()}


def _linear(tester: Tester) -> Tested:
    grown = base_gmac(2048) / base_gmac(128)
    return Tested("holds", (), f"counted: 256 times the pixels cost {grown:.0f} times the multiplications")


def _grows_less(tester: Tester) -> Tested:
    peers = tester.evidence.paper.peers
    grown = {name: cost[2048] / cost[128] for name, cost in peers.items()}
    ours, least = base_gmac(2048) / base_gmac(128), min(grown, key=lambda name: grown[name])
    text = f"counted: 256 times the pixels cost SCGC-Net {ours:.0f} times as much, {least} {grown[least]:.0f} times"
    return Tested("holds" if ours < 0.9 * min(grown.values()) else "does not hold", (), text)


def _not(why: str, tester: Tester) -> Tested:
    return Tested(NOT_TESTED, (), why)


_IOU, _F1, _RECALL = of_score("iou"), of_score("f1"), of_score("recall")
_ALL = [of_score(name) for name in SCORE_NAMES]
_FITTED = partial(_not, "the sizes were chosen to meet it")
_RISES = partial(_by_side, partial(_rises, OURS))
_NO_DATA = partial(_not, "HR-GLDD is not available here")

#: By claim: what is asked here, and how. Values that the paper gives for rows of its tables become their order.
STATEMENTS: dict[str, tuple[str, Rule]] = {
    "cld_iou": ("reaches the paper's IoU on CLD", partial(_reaches, "cld", "cld_iou", "iou")),
    "cld_iou_gain": ("leads on CLD", partial(_lead_merged, "cld")),
    "gldd_recall_gain": ("leads in recall on HR-GLDD", _NO_DATA),
    "gldd_iou_gain": ("leads on HR-GLDD", _NO_DATA),
    "bijie_f1": ("reaches the paper's F1 on Bijie", partial(_reaches, "bijie", "bijie_f1", "f1")),
    "bijie_iou": ("reaches the paper's IoU on Bijie", partial(_reaches, "bijie", "bijie_iou", "iou")),
    "bijie_f1_gain": ("leads 17 others in F1", partial(_lead, [_F1])),
    "bijie_iou_gain": ("leads 17 others in IoU", partial(_lead, [_IOU])),
    "bijie_vmamba_recall": ("VMamba's recall is higher", partial(_against, "VMamba", _RECALL)),
    "best_all_metrics": ("leads in all five scores", partial(_lead, _ALL)),
    "a1_iou": ("A1 is the lowest row", partial(_rows, _IOU, [(row, "A1") for row in MODULES[1:]])),
    **dict.fromkeys(("a2_iou", "a2_gain"), ("HMIE alone helps (A2 above A1)", partial(_rows, _IOU, [("A2", "A1")]))),
    "a3_recall_gain": ("CAM alone raises recall (A3 above A1)", partial(_rows, _RECALL, [("A3", "A1")])),
    "a4_iou": ("PSCCS alone helps (A4 above A1)", partial(_rows, _IOU, [("A4", "A1")])),
    "a5_iou": ("CAM adds to HMIE (A5 above A2)", partial(_rows, _IOU, [("A5", "A2")])),
    "a6_iou": ("PSCCS adds to HMIE (A6 above A2)", partial(_rows, _IOU, [("A6", "A2")])),
    "a7_recall": (
        "A7 has the highest recall but for A8", partial(_rows, _RECALL, [("A7", row) for row in MODULES[:6]])
    ),
    "a8_gain": ("all parts together help (A8 above A1)", partial(_rows, _IOU, [("A8", "A1")])),
    "hmie_largest_part": (
        "HMIE alone helps more than CAM or PSCCS alone", partial(_rows, _IOU, [("A2", "A3"), ("A2", "A4")])
    ),
    "psccs_small_alone": ("PSCCS alone helps less than HMIE alone", partial(_rows, _IOU, [("A2", "A4")])),
    "b5_iou": ("B5 is below B6", partial(_rows, _IOU, [("B6", "B5")])),
    "large_rates_hurt": ("large dilation rates hurt (B5 below B6)", partial(_rows, _IOU, [("B6", "B5")])),
    "b2_b7_beat_b1": ("B2 to B7 beat B1", partial(_rows, _IOU, [(row, "B1") for row in RATES[1:]])),
    "progressive_best": (
        "B6 and B7 are the best", partial(_rows, _IOU, [(best, row) for best in RATES[5:] for row in RATES[:5]])
    ),
    "fig7_refine": ("edges sharpen from A2 to A5 to A8", partial(_rows, EDGES, [("A5", "A2"), ("A8", "A5")])),
    "silu_best": ("SiLU is the best activation", partial(_not, "no runs with other activations")),
    "small_slides": ("finds more small landslides than the others", partial(_lead, [SMALL_FOUND])),
    "fewer_false": ("raises fewer false alarms than the others", partial(_lead, [QUIET])),
    "sharper_edges": ("has sharper edges than the others", partial(_lead, [EDGES])),
    "fig8_best_at_0": ("leads on a new place without labels", partial(_travel, partial(_lead_at, 0), "IoU at 0 %")),
    "fig8_lead_at_20": ("leads with 20 % of the labels", partial(_travel, partial(_lead_at, 20), "IoU at 20 %")),
    "fig8_ours_stable_at": ("is stable from 1 % of the labels on", partial(_travel, _stable, "IoU")),
    "fig8_others_need": ("the others need 5 % or more", partial(_travel, _others_need, "IoU")),
    "fig8_plateau_20": ("gains shrink towards 20 %", partial(_travel, _plateau, "IoU")),
    **dict.fromkeys(("fig10_peers_lo", "fig10_peers_hi"), ("the others cost 4,600 to 5,700 GMAC at 2,048 px", _FITTED)),
    **dict.fromkeys(("fig10_saving_lo", "fig10_saving_hi"), ("costs 30 to 46 % less", _FITTED)),
    **dict.fromkeys(("fig10_iou_128", "fig10_iou_2048"), ("IoU rises with the image size", _RISES)),
    "fig10_best_all_sizes": ("leads at every image size", partial(_by_side, _leads)),
    "fig10_danet_declines": ("DANet declines with the image size", partial(_by_side, partial(_falls, "DANet"))),
    "fig10_scaling": ("its cost grows more slowly with the image than that of others", _grows_less),
    "mamba_linear": ("its cost is linear in the pixels", _linear),
    "fig11_large": ("landslides cut by the image's edge are missed", partial(_worse_where, "cut", "recall", "amunet")),
    "fig11_urban": ("dense settlements cause errors", partial(_worse_where, "built", "iou", "bijie")),
}  # fmt: skip


def answers(plan: Plan) -> pd.DataFrame:
    """One row per claim of the kind "result", indexed by id: statement, answer, evidence (text), effects, runs."""
    tester = Tester(Evidence(plan))
    found = {}
    for claim, (statement, rule) in STATEMENTS.items():
        tested = rule(tester)
        found[claim] = (statement, tested.answer, tested.text, list(tested.effects), list(tested.runs))
    return pd.DataFrame.from_dict(found, orient="index", columns=["statement", "answer", "evidence", "effects", "runs"])
