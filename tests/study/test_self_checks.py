"""Claims against the paper's own tables."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from scgcnet.study import self_checks
from scgcnet.study.paper import Paper, PaperError, read_paper
from scgcnet.study.self_checks import SelfCheck, self_check

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def paper() -> Paper:
    return read_paper(REPOSITORY)


def check(paper: Paper, name: str) -> SelfCheck:
    return self_check(paper.claim(name), paper)


def altered(paper: Paper, label: str, scores: Mapping[str, str]) -> Paper:
    row = paper.row(label)
    return replace(paper, rows={**paper.rows, label: replace(row, printed={**row.printed, **scores})})


def test_which_claims_do_not_follow(paper: Paper) -> None:
    outcomes = {name: self_check(claim, paper).outcome for name, claim in paper.claims.items()}
    assert {name for name, outcome in outcomes.items() if outcome == "does not hold"} == {
        *("fig10_saving_lo", "best_all_metrics", "split_train", "split_val", "split_test")
    }
    assert sum(outcome == "holds" for outcome in outcomes.values()) == 25
    assert set(self_checks._RULES) == {name for name, outcome in outcomes.items() if outcome != "cannot be told"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("cld_iou_gain", "IoU 87.85 - 85.55 (SwinTrans) = 2.30"),
        ("gldd_recall_gain", "R 82.10 - 80.22 (VMamba) = 1.88"),
        ("bijie_f1_gain", "F1 84.75 - 82.67 (ConvNeXt) = 2.08"),
        ("a8_gain", "IoU 87.85 - 79.16 (A1) = 8.69"),
        ("a2_iou", "Table II, A2: IoU 83.80; of that row F1 should be 91.19 or IoU should be 83.82"),
        ("a7_recall", "Table II, A7: R 92.17; the next is A5 with 91.86"),
        ("fig10_saving_lo", "1 - 3066 / 4600 = 33.3 %; 30 % would need a network of 4380"),
        ("fig10_saving_hi", "1 - 3066 / 5700 = 46.2 %"),
        ("best_all_metrics", "Table I: VMamba/Bijie has R 85.70, Ours 84.46"),
        ("split_test", "5:3:2 of 23,393 gives 4,679"),
        ("b2_b7_beat_b1", "the least of them, B5, gains 83.30 - 83.23 = 0.07 IoU over B1"),
        ("hmie_largest_part", "IoU over A1: HMIE 4.64, CAM 1.94, PSCCS 2.10"),
    ],
)
def test_why(paper: Paper, name: str, why: str) -> None:
    assert check(paper, name).why == why


@pytest.mark.parametrize(
    ("name", "label", "scores"),
    [
        ("cld_iou", "Ours/CLD", {"IoU": "87.86"}),
        ("cld_iou_gain", "SwinTrans/CLD", {"IoU": "85.57"}),
        ("cld_iou_gain", "VMamba/CLD", {"IoU": "86.00"}),
        ("a2_gain", "A1", {"IoU": "79.10"}),
        ("a7_recall", "A5", {"R": "92.18"}),
        ("b2_b7_beat_b1", "B5", {"IoU": "83.23"}),
        ("progressive_best", "B7", {"IoU": "87.84"}),
        ("large_rates_hurt", "B2", {"IoU": "83.25"}),
        ("hmie_largest_part", "A4", {"IoU": "84.00"}),
        ("psccs_small_alone", "A4", {"IoU": "84.00"}),
    ],
)
def test_other_tables_would_be_told(paper: Paper, name: str, label: str, scores: Mapping[str, str]) -> None:
    assert check(paper, name).outcome == "holds"
    assert check(altered(paper, label, scores), name).outcome == "does not hold"


def test_a_gain_may_come_from_scores_before_rounding(paper: Paper) -> None:
    assert check(altered(paper, "SwinTrans/CLD", {"IoU": "85.56"}), "cld_iou_gain").outcome == "holds"


def test_best_everywhere_can_hold(paper: Paper) -> None:
    found = check(altered(paper, "VMamba/Bijie", {"R": "84.46"}), "best_all_metrics")
    assert str(found) == "holds: Table I: Ours is first in every column"


def test_what_no_table_tells(paper: Paper) -> None:
    assert str(check(paper, "fig10_gflops_2048")) == "cannot be told"
    assert check(paper, "silu_best") == SelfCheck("cannot be told")


def test_a_row_that_is_gone_is_named(paper: Paper) -> None:
    rows = {label: row for label, row in paper.rows.items() if label != "A1"}
    with pytest.raises(PaperError, match="no row A1"):
        check(replace(paper, rows=rows), "a8_gain")
