"""The paper's numbers against each other: what follows from its tables by arithmetic alone.

Precision P, recall R, F1, IoU and overall accuracy OA of one test set come from four counts of pixels, so they
constrain each other (eqs. 21-25, with IoU = TP / (TP + FP + FN)). With s for the share of landslide pixels,

    TP = s R        FP = s R (1 - P) / P        FN = s (1 - R)        OA = 1 - FP - FN

as fractions of all pixels. This holds for scores over the pixels of a whole test set, not for means over images.
Intervals are fractions of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Literal

import pandas as pd

from scgcnet.study.paper import Interval, Paper, Row, bounds, full_name

#: Widest gap between an implied share of landslide pixels and the agreed one that is not far.
FAR = Fraction(1, 200)
PARTS = {"split_train": 5, "split_val": 3, "split_test": 2}  # Sec. IV-A-1, "5:3:2"
_UNIT = Fraction(1, 100)  # last printed place of a score; a gain of unrounded scores may differ by one

Off = Literal["", "just", "far"]


def f1_score(precision: Fraction, recall: Fraction) -> Fraction:
    """Eq. 23, the harmonic mean."""
    return 2 * precision * recall / (precision + recall)


def iou_of_f1(f1: Fraction) -> Fraction:
    """TP / (TP + FP + FN) from 2 TP / (2 TP + FP + FN)."""
    return f1 / (2 - f1)


def f1_of_iou(iou: Fraction) -> Fraction:
    """The inverse of `iou_of_f1`."""
    return 2 * iou / (1 + iou)


def saving(ours: float, other: float) -> float:
    """How much less the first costs than the second, in percent of the second."""
    return 100 * (1 - ours / other)


@dataclass(frozen=True)
class RowCheck:
    """P, R, F1 and IoU of one row against each other."""

    row: Row
    f1: Interval  # by the printed P and R
    iou: Interval  # likewise
    iou_by_f1: Interval
    consistent: bool  # some P and R give all that is printed, after rounding
    repairs: Mapping[str, Interval]  # of an inconsistent row: each single number that would repair it


def check_row(row: Row) -> RowCheck:
    """Check whether P, R, F1 and IoU can be one network's on one test set.

    The F1 by P and R, the printed one and the one by the printed IoU must have a value in common.
    """
    by_pr = bounds(f1_score, row.interval("P"), row.interval("R"))
    by_f1, by_iou = row.interval("F1"), bounds(f1_of_iou, row.interval("IoU"))
    printed = by_f1.meet(by_iou)
    consistent = printed is not None and by_pr.meet(printed) is not None
    repairs: dict[str, Interval] = {}
    if not consistent:
        if f1 := by_pr.meet(by_iou):
            repairs["F1"] = f1
        if f1 := by_pr.meet(by_f1):
            repairs["IoU"] = bounds(iou_of_f1, f1)
        for score, kept in (("P", "R"), ("R", "P")):
            if printed and (other := _other_of_f1(printed, row.interval(kept))):
                repairs[score] = other
    return RowCheck(row, by_pr, bounds(iou_of_f1, by_pr), bounds(iou_of_f1, by_f1), consistent, repairs)


def _other_of_f1(f1: Interval, kept: Interval) -> Interval | None:
    """Precision from F1 and recall, or the other way round: 1 / F1 is the mean of 1 / P and 1 / R."""
    if 2 * kept.low <= f1.high:
        return None
    return bounds(lambda f, k: f * k / (2 * k - f), f1, kept).meet(Interval(Fraction(0), Fraction(1)))


def error_per_share(precision: Fraction, recall: Fraction) -> Fraction:
    """Wrong pixels per landslide pixel, (FP + FN) / s; falls with precision, monotone in recall."""
    return recall * (1 - precision) / precision + 1 - recall


def implied_share(row: Row) -> Interval:
    """Share of landslide pixels in the test set by P, R and OA: s = (1 - OA) / (R (1 - P) / P + 1 - R)."""
    errors, oa = bounds(error_per_share, row.interval("P"), row.interval("R")), row.interval("OA")
    low = (1 - oa.high) / errors.high if errors.high else Fraction(0)
    high = (1 - oa.low) / errors.low if errors.low else Fraction(1)  # P and R may be 100 %: no error, any share
    return Interval(min(low, Fraction(1)), min(high, Fraction(1)))


@dataclass(frozen=True)
class RowShare:
    """The share that one row implies, against the share that the rows of its test set agree on."""

    row: Row
    share: Interval
    oa: Interval  # if the agreed share were right
    off: Off  # "" if the agreed share is within the rounding, "far" if more than `FAR` away, else "just"

    @property
    def oa_error(self) -> Fraction:
        """Printed OA minus the middle of the expected, in points."""
        return self.row.exact("OA") - 100 * self.oa.middle


@dataclass(frozen=True)
class ShareCheck:
    """The shares implied by all rows of one test set."""

    title: str  # the data set's full name
    agreed: Interval  # what most rows of Table I allow
    n_agree: int  # how many of them do
    n: int  # of how many
    median: Fraction  # of the middles of all rows of Table I, as a check of `agreed`
    rows: tuple[RowShare, ...]  # of Table I and, on the same data set, of Table II

    def outliers(self, off: Off) -> list[RowShare]:
        """The rows that are off by so much."""
        return [row for row in self.rows if row.off == off]


def agreed_value(intervals: Sequence[Interval]) -> tuple[Interval, int]:
    """The values that most intervals hold (the lowest of several such), and how many do."""
    low = max((i.low for i in intervals), key=lambda x: (sum(i.low <= x <= i.high for i in intervals), -x))
    holding = [i for i in intervals if i.low <= low <= i.high]
    return Interval(low, min(i.high for i in holding)), len(holding)


def check_shares(paper: Paper, dataset: str) -> ShareCheck:
    """The share of landslide pixels by every row on one data set of Table I, and whether Table II agrees."""
    table1 = paper.table("I", dataset)
    shares = [implied_share(row) for row in table1]
    agreed, n_agree = agreed_value(shares)
    rows = tuple(_row_share(row, agreed) for row in [*table1, *paper.table("II", dataset)])
    middle = median(share.middle for share in shares)
    return ShareCheck(full_name(dataset), agreed, n_agree, len(table1), middle, rows)


def _row_share(row: Row, agreed: Interval) -> RowShare:
    share = implied_share(row)
    oa = bounds(lambda s, p, r: 1 - s * error_per_share(p, r), agreed, row.interval("P"), row.interval("R"))
    gap = max(share.low - agreed.high, agreed.low - share.high)
    return RowShare(row, share, oa, "" if gap <= 0 else "far" if gap > FAR else "just")


def iou_as_printed(row: Row) -> Fraction:
    """Eq. 24 as printed, TP / (TP + TN + FP), from P, R and OA and the share of landslide pixels that they imply."""
    precision, recall, oa = (row.exact(score) / 100 for score in ("P", "R", "OA"))
    true_positive = implied_share(row).middle * recall
    return true_positive / (oa + true_positive * (1 - precision) / precision)


def check_split(paper: Paper) -> pd.DataFrame:
    """Images by part (rows `PARTS`): as `printed`, and `exact` 5:3:2 of the printed data sets (largest remainders)."""
    images = sum(int(paper.number(name)) for name in ("ds_cld", "ds_gldd", "ds_bijie"))
    shares = {name: Fraction(images * part, sum(PARTS.values())) for name, part in PARTS.items()}
    exact = {name: int(share) for name, share in shares.items()}
    for name in sorted(PARTS, key=lambda name: exact[name] - shares[name])[: images - sum(exact.values())]:
        exact[name] += 1
    return pd.DataFrame({"printed": {name: int(paper.number(name)) for name in PARTS}, "exact": exact})


def check_claims(paper: Paper) -> pd.DataFrame:
    """Whether each claim, by id, follows from the paper's own tables, which does not make it true.

    Columns: `result` ("holds" | "does not hold" | "cannot be told") and `why`, the computation.
    """
    words = {True: "holds", False: "does not hold", None: "cannot be told"}
    found = [_RULES[name](paper, name) if name in _RULES else (None, "") for name in paper.claims.index]
    rows = [(words[holds], why) for holds, why in found]
    return pd.DataFrame(rows, index=paper.claims.index, columns=["result", "why"])


def _computed(paper: Paper, claim: str) -> tuple[bool, str]:
    """The claim is a cell of a table, or the difference of two."""
    score, label, *minus = _CELLS[claim]
    row = paper.row(label)
    if not minus:
        repairs = check_row(row).repairs
        why = f"Table {row.table}, {label}: {score} {row.printed[score]}"
        if score in repairs:
            doubt = " or ".join(f"{name} should be {value.percent()}" for name, value in repairs.items())
            why += f"; of that row {doubt}"
        return row.exact(score) == paper.number(claim), why
    others = [one for one in paper.table("I", row.dataset) if one != row] if minus == [_BEST] else map(paper.row, minus)
    other = max(others, key=lambda one: one.exact(score))
    gain = row.exact(score) - other.exact(score)
    why = f"{score} {row.printed[score]} - {other.printed[score]} ({other.name}) = {float(gain):.2f}"
    return abs(gain - paper.number(claim)) <= _UNIT, why


def _second_recall(paper: Paper, claim: str) -> tuple[bool, str]:
    best = max((row for row in paper.table("II") if row.name not in ("A7", "A8")), key=lambda row: row.exact("R"))
    holds, why = _computed(paper, claim)
    holds = holds and paper.row("A7").exact("R") > best.exact("R")
    return holds, f"{why}; the next is {best.name} with {best.printed['R']}"


def _best_everywhere(paper: Paper, claim: str) -> tuple[bool, str]:
    better = [
        f"{row.label} has {score} {row.printed[score]}, Ours {ours.printed[score]}"
        for row in paper.table("I")
        for ours in [paper.row(f"Ours/{row.dataset}")]
        for score in row.printed
        if row.exact(score) > ours.exact(score)
    ]
    return not better, f"Table I: {'; '.join(better) or 'Ours is first in every column'}"


def _modules(paper: Paper, claim: str) -> tuple[bool, str]:
    """Sentences on the gain of each module alone over the baseline, in Table II."""
    base, *alone = (paper.row(name).exact("IoU") for name in ("A1", "A2", "A3", "A4"))
    hmie, cam, psccs = (float(iou - base) for iou in alone)
    if claim == "psccs_small_alone":
        return psccs < hmie, f"IoU over A1: PSCCS {psccs:.2f}, HMIE {hmie:.2f}; but CAM, {cam:.2f}, adds less"
    return hmie > max(cam, psccs), f"IoU over A1: HMIE {hmie:.2f}, CAM {cam:.2f}, PSCCS {psccs:.2f}"


def _dilations(paper: Paper, claim: str) -> tuple[bool, str]:
    """Sentences on the dilation rates of Table III."""
    first, *others = paper.table("III")
    worst = min(others, key=lambda row: row.exact("IoU"))
    if claim == "large_rates_hurt":
        return worst.name == "B5", f"of B2 to B7, {worst.name} has the lowest IoU, {worst.printed['IoU']}"
    if claim == "b2_b7_beat_b1":
        gain = worst.exact("IoU") - first.exact("IoU")
        listed = f"{worst.printed['IoU']} - {first.printed['IoU']} = {float(gain):.2f}"
        return gain > 0, f"the smallest gain in IoU over B1 is that of {worst.name}: {listed}"
    best = max(row.exact("IoU") for row in (first, *others))
    winners = [row.name for row in (first, *others) if row.exact("IoU") == best]
    return winners == ["B6", "B7"], f"highest IoU in {' and '.join(winners)}, whose rows are the same in every digit"


def _saving(paper: Paper, claim: str) -> tuple[bool, str]:
    peers = claim.replace("saving", "peers")
    ours, theirs, claimed = (float(paper.number(name)) for name in ("fig10_gflops_2048", peers, claim))
    percent = saving(ours, theirs)
    holds, why = round(percent) == claimed, f"1 - {ours:.0f} / {theirs:.0f} = {percent:.1f} %"
    needed = f"; {claimed:g} % would need a network of {ours / (1 - claimed / 100):.0f}"
    return holds, why + needed * (not holds)


def _split(paper: Paper, claim: str) -> tuple[bool, str]:
    split = check_split(paper)
    why = f"5:3:2 of {split.exact.sum():,} gives {split.exact[claim]:,}"
    return bool(split.printed[claim] == split.exact[claim]), why


_BEST = "the best other network"
#: Claims that are a score of a row, or the difference of two rows.
_CELLS = {
    "cld_iou": ("IoU", "Ours/CLD"), "cld_iou_gain": ("IoU", "Ours/CLD", _BEST),
    "gldd_recall_gain": ("R", "Ours/GLDD", _BEST), "gldd_iou_gain": ("IoU", "Ours/GLDD", _BEST),
    "bijie_f1": ("F1", "Ours/Bijie"), "bijie_f1_gain": ("F1", "Ours/Bijie", _BEST),
    "bijie_iou": ("IoU", "Ours/Bijie"), "bijie_iou_gain": ("IoU", "Ours/Bijie", _BEST),
    "bijie_vmamba_recall": ("R", "VMamba/Bijie"), "a7_recall": ("R", "A7"), "a3_recall_gain": ("R", "A3", "A1"),
    "a1_iou": ("IoU", "A1"), "a2_iou": ("IoU", "A2"), "a4_iou": ("IoU", "A4"), "a5_iou": ("IoU", "A5"),
    "a6_iou": ("IoU", "A6"), "b5_iou": ("IoU", "B5"), "a2_gain": ("IoU", "A2", "A1"), "a8_gain": ("IoU", "A8", "A1"),
}  # fmt: skip
_RULES: Mapping[str, Callable[[Paper, str], tuple[bool, str]]] = {
    **dict.fromkeys(_CELLS, _computed),
    "a7_recall": _second_recall,
    "best_all_metrics": _best_everywhere,
    **dict.fromkeys(("hmie_largest_part", "psccs_small_alone"), _modules),
    **dict.fromkeys(("b2_b7_beat_b1", "progressive_best", "large_rates_hurt"), _dilations),
    **dict.fromkeys(("fig10_saving_lo", "fig10_saving_hi"), _saving),
    **dict.fromkeys(PARTS, _split),
}
