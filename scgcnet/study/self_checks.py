"""What the paper's own numbers say about its claims: is the number in the text the one that its tables give?

That is another question than whether the claim is true, which only runs can settle (scgcnet/study/claims.py): a
claim may follow from the tables to the last digit and not be reproducible, or be off by a slip and hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Literal

from scgcnet.study import audit
from scgcnet.study.paper import Claim, Paper, Row

Outcome = Literal["holds", "does not hold", "cannot be told"]
_UNIT = Fraction(1, 100)  # last printed place of a score; a gain from unrounded scores may differ by one


@dataclass(frozen=True)
class SelfCheck:
    """Whether a claim follows from the paper's numbers, and how."""

    outcome: Outcome
    why: str = ""

    def __str__(self) -> str:
        return f"{self.outcome}: {self.why}" if self.why else self.outcome


def self_check(claim: Claim, paper: Paper) -> SelfCheck:
    """Hold one claim against the paper's own tables.

    Raises:
        PaperError: a claim or a row that this needs is missing or no number.
    """
    rule = _RULES.get(claim.id)
    return rule(paper, claim) if rule else SelfCheck("cannot be told")


_Rule = Callable[[Paper, Claim], SelfCheck]


def _told(holds: bool, why: str) -> SelfCheck:
    return SelfCheck("holds" if holds else "does not hold", why)


def _cell(label: str, score: str) -> _Rule:
    """The claim is a cell of a table."""

    def rule(paper: Paper, claim: Claim) -> SelfCheck:
        row = paper.row(label)
        check = audit.check_row(row)
        doubt = f"; of that row {_repairs(check)}" if score in check.repairs else ""
        why = f"Table {row.table}, {label}: {score} {row.printed[score]}{doubt}"
        return _told(row.exact(score) == claim.number, why)

    return rule


def _repairs(check: audit.RowCheck) -> str:
    return " or ".join(f"{score} should be {value.percent()}" for score, value in check.repairs.items())


def _lead(dataset: str, score: str) -> _Rule:
    """The claim is the lead of the paper's network over the best other one in Table I."""

    def rule(paper: Paper, claim: Claim) -> SelfCheck:
        ours, others = audit.ours_and_others(paper, dataset)
        return _difference(ours, max(others, key=lambda row: row.exact(score)), score, claim)

    return rule


def _step(after: str, before: str, score: str) -> _Rule:
    """The claim is what one row of a table has more than another."""
    return lambda paper, claim: _difference(paper.row(after), paper.row(before), score, claim)


def _difference(row: Row, other: Row, score: str, claim: Claim) -> SelfCheck:
    gain = row.exact(score) - other.exact(score)
    why = f"{score} {row.printed[score]} - {other.printed[score]} ({other.name}) = {float(gain):.2f}"
    return _told(abs(gain - claim.number) <= _UNIT, why)


def _gains(paper: Paper) -> dict[str, Fraction]:
    """IoU that each module alone adds to the baseline, by Table II."""
    base = paper.row("A1").exact("IoU")
    rows = {"HMIE": "A2", "CAM": "A3", "PSCCS": "A4"}
    return {module: paper.row(row).exact("IoU") - base for module, row in rows.items()}


def _hmie_largest(paper: Paper, claim: Claim) -> SelfCheck:
    gains = _gains(paper)
    listed = ", ".join(f"{module} {float(gain):.2f}" for module, gain in gains.items())
    return _told(max(gains, key=lambda module: gains[module]) == "HMIE", f"IoU over A1: {listed}")


def _psccs_modest(paper: Paper, claim: Claim) -> SelfCheck:
    gains = _gains(paper)
    why = f"IoU over A1: PSCCS {float(gains['PSCCS']):.2f}, HMIE {float(gains['HMIE']):.2f}"
    return _told(gains["PSCCS"] < gains["HMIE"], why + f"; but CAM, {float(gains['CAM']):.2f}, adds less")


def _second_recall(paper: Paper, claim: Claim) -> SelfCheck:
    others = [row for row in paper.table("II") if row.name not in ("A7", "A8")]
    best = max(others, key=lambda row: row.exact("R"))
    cell = _cell("A7", "R")(paper, claim)
    why = f"{cell.why}; the next is {best.name} with {best.printed['R']}"
    return _told(cell.outcome == "holds" and paper.row("A7").exact("R") > best.exact("R"), why)


def _best_everywhere(paper: Paper, claim: Claim) -> SelfCheck:
    better = audit.not_best(paper)
    listed = "; ".join(
        f"{row.label} has {score} {row.printed[score]}, Ours {paper.row(f'Ours/{row.dataset}').printed[score]}"
        for row, score in better
    )
    return _told(not better, f"Table I: {listed or 'Ours is first in every column'}")


def _dilation_beats_b1(paper: Paper, claim: Claim) -> SelfCheck:
    first, *others = paper.table("III")
    worst = min(others, key=lambda row: row.exact("IoU"))
    gain = worst.exact("IoU") - first.exact("IoU")
    listed = f"{worst.printed['IoU']} - {first.printed['IoU']} = {float(gain):.2f}"
    why = f"the least of them, {worst.name}, gains {listed} IoU over B1"
    return _told(gain > 0, why)


def _progressive_best(paper: Paper, claim: Claim) -> SelfCheck:
    best = max(row.exact("IoU") for row in paper.table("III"))
    winners = [row.name for row in paper.table("III") if row.exact("IoU") == best]
    return _told(
        winners == ["B6", "B7"], f"highest IoU in {' and '.join(winners)}, whose rows are the same in every digit"
    )


def _large_rates_hurt(paper: Paper, claim: Claim) -> SelfCheck:
    _, *others = paper.table("III")
    worst = min(others, key=lambda row: row.exact("IoU"))
    return _told(worst.name == "B5", f"of B2 to B7, {worst.name} has the lowest IoU, {worst.printed['IoU']}")


def _saving(paper: Paper, claim: Claim, other: str) -> SelfCheck:
    ours, theirs = (paper.claim(name).number for name in ("fig10_gflops_2048", other))
    percent = audit.saving(float(ours), float(theirs))
    needed = float(ours / (1 - claim.number / 100))
    why = f"1 - {float(ours):.0f} / {float(theirs):.0f} = {percent:.1f} %"
    holds = round(percent) == claim.number
    return _told(holds, why if holds else f"{why}; {claim.value} % would need a network of {needed:.0f}")


def _split(paper: Paper, claim: Claim) -> SelfCheck:
    split = audit.check_split(paper)
    why = f"5:3:2 of {split.datasets:,} gives {split.exact[claim.id]:,}"
    return _told(split.printed[claim.id] == split.exact[claim.id], why)


_RULES: Mapping[str, _Rule] = {
    "cld_iou": _cell("Ours/CLD", "IoU"),
    "bijie_f1": _cell("Ours/Bijie", "F1"),
    "bijie_iou": _cell("Ours/Bijie", "IoU"),
    "bijie_vmamba_recall": _cell("VMamba/Bijie", "R"),
    **{f"a{i}_iou": _cell(f"A{i}", "IoU") for i in (1, 2, 4, 5, 6)},
    "b5_iou": _cell("B5", "IoU"),
    "cld_iou_gain": _lead("CLD", "IoU"),
    "gldd_recall_gain": _lead("GLDD", "R"),
    "gldd_iou_gain": _lead("GLDD", "IoU"),
    "bijie_f1_gain": _lead("Bijie", "F1"),
    "bijie_iou_gain": _lead("Bijie", "IoU"),
    "a2_gain": _step("A2", "A1", "IoU"),
    "a8_gain": _step("A8", "A1", "IoU"),
    "a3_recall_gain": _step("A3", "A1", "R"),
    "a7_recall": _second_recall,
    "best_all_metrics": _best_everywhere,
    "hmie_largest_part": _hmie_largest,
    "psccs_small_alone": _psccs_modest,
    "b2_b7_beat_b1": _dilation_beats_b1,
    "progressive_best": _progressive_best,
    "large_rates_hurt": _large_rates_hurt,
    "fig10_saving_lo": partial(_saving, other="fig10_peers_lo"),
    "fig10_saving_hi": partial(_saving, other="fig10_peers_hi"),
    **dict.fromkeys(audit.PARTS, _split),
}
