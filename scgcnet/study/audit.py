"""The paper's numbers held against each other: what follows from its tables by arithmetic alone.

Precision P, recall R, F1, IoU and overall accuracy OA of one test set come from four counts of pixels, so they
constrain each other (eqs. 21-25, with IoU = TP / (TP + FP + FN)). With s for the share of landslide pixels,

    TP = s R        FP = s R (1 - P) / P        FN = s (1 - R)        OA = 1 - FP - FN

as fractions of all pixels. This holds for scores over the pixels of a whole test set, not for means over images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median
from typing import Literal

from scgcnet.study.paper import Interval, Paper, PaperError, Row, full_name, image

#: Widest gap between an implied share of landslide and the agreed one, as a fraction of all pixels, that is not far.
FAR = Fraction(1, 200)
PARTS = {"split_train": 5, "split_val": 3, "split_test": 2}  # Sec. IV-A-1, "5:3:2"
MERGED = ("ds_cld", "ds_gldd", "ds_bijie")


def f1_score(precision: Fraction, recall: Fraction) -> Fraction:
    """Eq. 23, the harmonic mean."""
    return 2 * precision * recall / (precision + recall)


def iou_of_f1(f1: Fraction) -> Fraction:
    """TP / (TP + FP + FN) from 2 TP / (2 TP + FP + FN)."""
    return f1 / (2 - f1)


def f1_of_iou(iou: Fraction) -> Fraction:
    """The inverse of `iou_of_f1`."""
    return 2 * iou / (1 + iou)


@dataclass(frozen=True)
class RowCheck:
    """P, R, F1 and IoU of one row held against each other; intervals are fractions of 1.

    Attributes:
        row: the row.
        f1: what F1 can be by the printed P and R.
        iou: what IoU can be by the printed P and R.
        iou_by_f1: what IoU can be by the printed F1.
        consistent: whether some P and R give all that is printed, after rounding.
        repairs: where they do not, each single number whose change would mend the row, and what it would be.
    """

    row: Row
    f1: Interval
    iou: Interval
    iou_by_f1: Interval
    consistent: bool
    repairs: Mapping[str, Interval]


def check_row(row: Row) -> RowCheck:
    """Tell whether a row's P, R, F1 and IoU can be one network's on one test set, whatever the rounding.

    F1 and IoU are functions of each other, so the question is whether three intervals of F1 have a value in
    common: the one by P and R, the printed one, and the one by the printed IoU.
    """
    by_pr = image(f1_score, row.interval("P"), row.interval("R"))
    by_f1 = row.interval("F1")
    by_iou = image(f1_of_iou, row.interval("IoU"))
    printed = by_f1.meet(by_iou)
    consistent = printed is not None and by_pr.meet(printed) is not None
    repairs: dict[str, Interval] = {}
    if not consistent:
        if f1 := by_pr.meet(by_iou):
            repairs["F1"] = f1
        if f1 := by_pr.meet(by_f1):
            repairs["IoU"] = image(iou_of_f1, f1)
        for score, kept in (("P", "R"), ("R", "P")):
            # 1 / F1 is the mean of 1 / P and 1 / R; a score above 1 mends nothing.
            if printed and (other := _other_of_f1(printed, row.interval(kept))):
                repairs[score] = other
    return RowCheck(row, by_pr, image(iou_of_f1, by_pr), image(iou_of_f1, by_f1), consistent, repairs)


def _other_of_f1(f1: Interval, kept: Interval) -> Interval | None:
    """Precision from F1 and recall, or the other way round."""
    if 2 * kept.low <= f1.high:
        return None
    values = image(lambda f, k: f * k / (2 * k - f), f1, kept)
    return values.meet(Interval(Fraction(0), Fraction(1)))


def check_rows(paper: Paper) -> list[RowCheck]:
    """`check_row` of every row of Tables I to III."""
    return [check_row(row) for row in paper.rows.values()]


def error_per_share(precision: Fraction, recall: Fraction) -> Fraction:
    """Wrong pixels for each landslide pixel, (FP + FN) / s; falls with precision, monotone in recall."""
    return recall * (1 - precision) / precision + 1 - recall


def implied_share(row: Row) -> Interval:
    """The share of landslide pixels in the test set by P, R and OA: s = (1 - OA) / (R (1 - P) / P + 1 - R).

    Args:
        row: one with an OA.

    Returns:
        A fraction of 1, as wide as the rounding leaves it.
    """
    errors = image(error_per_share, row.interval("P"), row.interval("R"))
    oa = row.interval("OA")
    low = (1 - oa.high) / errors.high if errors.high else Fraction(0)
    high = (1 - oa.low) / errors.low if errors.low else Fraction(1)  # P and R may be 100 %: no error, any share
    return Interval(min(low, Fraction(1)), min(high, Fraction(1)))


@dataclass(frozen=True)
class RowShare:
    """The share that one row implies, against the one that its test set's rows agree on.

    Attributes:
        row: the row.
        share: implied by it, a fraction of 1.
        oa: what its OA would be with the agreed share, a fraction of 1.
        off: "" where the agreed share is within the rounding; "far" where even the nearest share allowed is more
            than `FAR` away from it; else "just".
    """

    row: Row
    share: Interval
    oa: Interval
    off: Literal["", "just", "far"]

    @property
    def oa_error(self) -> Fraction:
        """Printed OA minus the middle of the expected, in points."""
        return self.row.exact("OA") - 100 * self.oa.middle


@dataclass(frozen=True)
class ShareCheck:
    """The shares implied by all rows of one test set.

    Attributes:
        dataset: the paper's name of it.
        agreed: the shares that most rows of Table I allow.
        n_agree: how many of them do.
        n: how many there are.
        median: of the middles of all rows of Table I; it takes part in nothing, and shows how firm `agreed` is.
        rows: of Table I and, on the same data set, of Table II.
    """

    dataset: str
    agreed: Interval
    n_agree: int
    n: int
    median: Fraction
    rows: tuple[RowShare, ...]

    @property
    def title(self) -> str:
        """The data set's full name."""
        return full_name(self.dataset)

    def outliers(self, off: Literal["just", "far"]) -> list[RowShare]:
        """The rows that are off by so much, the worst first."""
        return sorted((row for row in self.rows if row.off == off), key=lambda row: -abs(row.oa_error))


def agreed_value(intervals: Sequence[Interval]) -> tuple[Interval, int]:
    """The values that most intervals hold, and how many do; the lowest such where there are several."""
    low = max((i.low for i in intervals), key=lambda x: (sum(i.low <= x <= i.high for i in intervals), -x))
    holding = [i for i in intervals if i.low <= low <= i.high]
    return Interval(low, min(i.high for i in holding)), len(holding)


def check_shares(paper: Paper, dataset: str) -> ShareCheck:
    """The share of landslide pixels by every row on one data set.

    A test set has one share. It is taken from Table I, in which every row is another network; Table II, which
    repeats one of its rows, is held against it.

    Raises:
        PaperError: Table I has no row on that data set.
    """
    table1 = paper.table("I", dataset)
    if not table1:
        raise PaperError(f"Table I has no data set {dataset!r}")
    shares = [implied_share(row) for row in table1]
    agreed, n_agree = agreed_value(shares)
    rows = tuple(_row_share(row, agreed) for row in [*table1, *paper.table("II", dataset)])
    return ShareCheck(dataset, agreed, n_agree, len(table1), median(share.middle for share in shares), rows)


def _row_share(row: Row, agreed: Interval) -> RowShare:
    share = implied_share(row)
    oa = image(lambda s, p, r: 1 - s * error_per_share(p, r), agreed, row.interval("P"), row.interval("R"))
    gap = max(share.low - agreed.high, agreed.low - share.high)
    return RowShare(row, share, oa, "" if gap <= 0 else "far" if gap > FAR else "just")


def iou_as_printed(row: Row) -> Fraction:
    """Eq. 24 as printed, TP / (TP + TN + FP), from P, R and OA, with the share of landslide pixels that they imply."""
    precision, recall, oa = (row.exact(score) / 100 for score in ("P", "R", "OA"))
    true_positive = implied_share(row).middle * recall
    return true_positive / (oa + true_positive * (1 - precision) / precision)


def identical_rows(paper: Paper) -> list[list[Row]]:
    """Groups of rows whose scores are the same digit for digit, as far as both tables give them."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in paper.rows.values():
        groups.setdefault(tuple(row.printed[score] for score in ("P", "R", "F1", "IoU")), []).append(row)
    return [group for group in groups.values() if len(group) > 1]


@dataclass(frozen=True)
class SplitCheck:
    """The split of Sec. IV-A-1: images by part as printed, and as 5:3:2 of the printed data sets would be."""

    printed: Mapping[str, int]
    exact: Mapping[str, int]
    datasets: int

    @property
    def total(self) -> int:
        """Sum of the printed parts."""
        return sum(self.printed.values())


def check_split(paper: Paper) -> SplitCheck:
    """Add up the parts and the data sets, and divide 5:3:2 (what is over goes to the largest remainders)."""
    datasets = sum(int(paper.claim(name).number) for name in MERGED)
    shares = {name: Fraction(datasets * part, sum(PARTS.values())) for name, part in PARTS.items()}
    exact = {name: int(share) for name, share in shares.items()}
    remainders = sorted(PARTS, key=lambda name: exact[name] - shares[name])
    for name in remainders[: datasets - sum(exact.values())]:
        exact[name] += 1
    return SplitCheck({name: int(paper.claim(name).number) for name in PARTS}, exact, datasets)


def not_best(paper: Paper) -> list[tuple[Row, str]]:
    """Rows of Table I that beat the paper's network on a data set, each with the score in which it does."""
    found = []
    for dataset in datasets(paper.table("I")):
        ours, others = ours_and_others(paper, dataset)
        found += [(row, score) for row in others for score in row.printed if row.exact(score) > ours.exact(score)]
    return found


def ours_and_others(paper: Paper, dataset: str) -> tuple[Row, list[Row]]:
    """The paper's own row of Table I on a data set, and all others.

    Raises:
        PaperError: there is no own row.
    """
    ours = paper.row(f"Ours/{dataset}")
    return ours, [row for row in paper.table("I", dataset) if row != ours]


def datasets(rows: Iterable[Row]) -> list[str]:
    """The data sets of some rows, each once, in their order."""
    return list(dict.fromkeys(row.dataset for row in rows))


def missing_methods(paper: Paper) -> list[str]:
    """Announced methods without a row in Table I, told by their reference."""
    shown = {row.reference for row in paper.table("I")}
    return [name for name, reference in paper.announced.items() if reference not in shown]


def saving(ours: float, other: float) -> float:
    """How much less the first costs than the second, in percent of the second."""
    return 100 * (1 - ours / other)


def cost_per_pixel(cost: Mapping[int, float]) -> dict[int, float]:
    """10^3 multiply-accumulates for each pixel, by image side, from 10^9 for each image."""
    return {side: 1e6 * gmac / side**2 for side, gmac in cost.items()}
