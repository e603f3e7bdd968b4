"""The paper's numbers against each other."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scgcnet.study import consistency
from scgcnet.study.consistency import check_claims, check_row, check_shares, check_split, implied_share, iou_as_printed
from scgcnet.study.paper import Interval, Paper, PaperError, Row, read_paper

REPOSITORY = Path(__file__).resolve().parents[2]
pixels = st.integers(1, 10**7)


@pytest.fixture(scope="module")
def paper() -> Paper:
    return read_paper()


def row_of(tp: int, fp: int, fn: int, tn: int) -> Row:
    """The row that four counts of pixels give, in percent with two decimals."""
    scores = {
        "P": Fraction(tp, tp + fp),
        "R": Fraction(tp, tp + fn),
        "F1": Fraction(2 * tp, 2 * tp + fp + fn),
        "IoU": Fraction(tp, tp + fp + fn),
        "OA": Fraction(tp + tn, tp + fp + fn + tn),
    }
    row = Row("I", "any", "any", {score: f"{float(round(100 * value, 2)):.2f}" for score, value in scores.items()})
    assume(min(map(float, row.printed.values())) > 0)
    return row


def changed(row: Row, **scores: str) -> Row:
    return replace(row, printed={**row.printed, **scores})


def altered(paper: Paper, label: str, **scores: str) -> Paper:
    return replace(paper, rows={**paper.rows, label: changed(paper.row(label), **scores)})


class TestRows:
    def test_four_of_66_do_not_fit(self, paper: Paper) -> None:
        checks = [check_row(row) for row in paper.rows.values()]
        off = {c.row.label: {score: v.percent() for score, v in c.repairs.items()} for c in checks if not c.consistent}
        assert len(checks) == 66
        assert off == {
            "CCNet/CLD": {"P": "92.09 to 92.11", "R": "89.36 to 89.37"},
            "GCNet/CLD": {"F1": "89.99"},
            "A2": {"F1": "91.19", "IoU": "83.82"},
            "A3": {"F1": "89.56 to 89.57"},
        }
        assert all(check.repairs == {} for check in checks if check.consistent)

    def test_agree_with_an_independent_computation(self, paper: Paper) -> None:
        """consistency.csv was made by other code, with tolerances instead of intervals."""
        theirs = pd.read_csv(REPOSITORY / "results/paper/consistency.csv", index_col="row")
        assert list(theirs.index) == list(paper.rows)
        checks = [check_row(row) for row in paper.rows.values()]
        fits = theirs[["F1_ok", "IoU_ok_vs_F1", "IoU_ok_vs_PR"]].all(axis=1)
        assert [check.consistent for check in checks] == fits.tolist()
        for column, name in (("F1_from_PR", "f1"), ("IoU_from_PR", "iou"), ("IoU_from_F1", "iou_by_f1")):
            ours = [100 * float(getattr(check, name).middle) for check in checks]
            assert ours == pytest.approx(theirs[column].tolist(), abs=6e-4)

    @given(pixels, pixels, pixels, pixels)
    def test_of_real_counts_fit(self, tp: int, fp: int, fn: int, tn: int) -> None:
        check = check_row(row_of(tp, fp, fn, tn))
        assert check.consistent
        assert check.f1.low <= Fraction(2 * tp, 2 * tp + fp + fn) <= check.f1.high
        assert check.iou.low <= Fraction(tp, tp + fp + fn) <= check.iou.high

    @given(pixels, pixels, pixels, st.sampled_from(["F1", "IoU"]), st.sampled_from([-1, 1]))
    def test_with_a_slip_of_a_tenth_are_found_and_repaired(
        self, tp: int, fp: int, fn: int, score: str, sign: int
    ) -> None:
        row = row_of(tp, fp, fn, 0)
        slip = row.exact(score) + Fraction(sign, 10)
        assume(0 < slip <= 100)
        check = check_row(changed(row, **{score: f"{float(slip):.2f}"}))
        assert not check.consistent
        assert check.repairs[score].meet(row.interval(score)) is not None

    @given(st.integers(3000, 9000), st.integers(1000, 3000), st.integers(1000, 3000))
    def test_with_a_slip_in_precision_are_found_and_repaired(self, tp: int, fp: int, fn: int) -> None:
        row = row_of(tp, fp, fn, 0)
        check = check_row(changed(row, P=f"{float(row.exact('P')) + 1:.2f}"))
        assert not check.consistent
        assert check.repairs["P"].low <= Fraction(tp, tp + fp) <= check.repairs["P"].high


class TestShares:
    @pytest.mark.parametrize(
        ("dataset", "share", "n_agree"), [("CLD", 14.42, 11), ("GLDD", 10.92, 12), ("Bijie", 8.66, 16)]
    )
    def test_agreed(self, paper: Paper, dataset: str, share: float, n_agree: int) -> None:
        check = check_shares(paper, dataset)
        assert 100 * float(check.agreed.middle) == pytest.approx(share, abs=0.015)
        assert 100 * float(check.median) == pytest.approx(share, abs=0.005)
        assert (check.n_agree, check.n) == (n_agree, 17)

    def test_rows_off_and_their_expected_oa(self, paper: Paper) -> None:
        checks = [check_shares(paper, dataset) for dataset in paper.datasets]
        far = {row.row.label: 100 * float(row.oa.middle) for check in checks for row in check.outliers("far")}
        expected = {"FCN/GLDD": 94.2, "FCN/Bijie": 96.08, "PSP-Net/CLD": 96.99, "CCNet/CLD": 97.34, "GCNet/CLD": 97.16}
        assert set(far) == {*expected, "A1", "A2", "A3", "A4", "A5", "A7"}
        assert {label: far[label] for label in expected} == pytest.approx(expected, abs=0.011)
        just = [row for check in checks for row in check.outliers("just")]
        assert {row.row.label for row in just} == {
            *("FCN/CLD", "SwinTrans/CLD", "ConvNeXt/CLD", "A6"),
            *("VMamba/GLDD", "ST-UNet/GLDD", "ConvNeXt/GLDD", "SwinTrans/GLDD"),
        }
        assert max(abs(row.oa_error) for row in just) < Fraction(9, 100)

    def test_any_limit_between_023_and_060_gives_the_same_rows(self, paper: Paper) -> None:
        """As the chapter says of the half point."""
        gaps = sorted(
            100 * float(max(found.share.low - check.agreed.high, check.agreed.low - found.share.high))
            for check in (check_shares(paper, dataset) for dataset in paper.datasets)
            for found in check.rows
        )
        low, high = max(pairwise([gap for gap in gaps if 0.1 < gap < 1]), key=lambda pair: pair[1] - pair[0])
        assert low < 0.23 and high > 0.60 and low < 100 * consistency.FAR < high

    @given(pixels, st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
    def test_hold_the_true_share(self, tp: int, fp: int, fn: int, tn: int) -> None:
        share = implied_share(row_of(tp, fp, fn, tn))
        assert 0 <= share.low <= Fraction(tp + fn, tp + fp + fn + tn) <= share.high <= 1

    def test_without_errors_are_unknown(self) -> None:
        assert implied_share(Row("I", "any", "any", dict.fromkeys(("P", "R", "OA"), "100.00"))) == (0, 1)

    def test_are_agreed_where_most_intervals_overlap(self) -> None:
        intervals = [Interval(Fraction(a), Fraction(b)) for a, b in ((0, 4), (3, 6), (3, 5), (8, 9), (9, 10))]
        assert consistency.agreed_value(intervals) == ((3, 4), 3)

    def test_find_a_wrong_oa(self, paper: Paper) -> None:
        check = check_shares(altered(paper, "Ours/Bijie", OA="97.27"), "Bijie")
        before = {found.row.label for found in check_shares(paper, "Bijie").rows if found.off}
        assert {found.row.label for found in check.rows if found.off} - before == {"Ours/Bijie"}

    def test_of_an_unknown_data_set(self, paper: Paper) -> None:
        with pytest.raises(PaperError, match="Table I has no data set 'Mars'"):
            check_shares(paper, "Mars")


@given(pixels, pixels, pixels, pixels)
def test_eq_24_is_the_printed_ratio(tp: int, fp: int, fn: int, tn: int) -> None:
    total = tp + fp + fn + tn
    assume(min(tp, fp, fn, tn) / total > 1e-3)
    exact = {"P": Fraction(tp, tp + fp), "R": Fraction(tp, tp + fn), "OA": Fraction(tp + tn, total)}
    row = Row("I", "any", "any", {score: f"{float(100 * value):.14f}" for score, value in exact.items()})
    assert float(iou_as_printed(row)) == pytest.approx(tp / (tp + tn + fp), rel=1e-6)


def test_the_split_does_not_add_up(paper: Paper) -> None:
    split = check_split(paper)
    assert split.printed.tolist() == [11691, 6949, 4749] and split.exact.tolist() == [11696, 7018, 4679]
    assert split.sum().tolist() == [23389, 23393]


class TestClaims:
    def test_that_do_not_follow(self, paper: Paper) -> None:
        found = check_claims(paper)
        assert list(found.index) == list(paper.claims.index)
        assert set(found.index[found.result == "does not hold"]) == {
            *("fig10_saving_lo", "best_all_metrics", "split_train", "split_val", "split_test")
        }
        assert found.result.value_counts().to_dict() == {"cannot be told": 43, "holds": 25, "does not hold": 5}
        assert found.loc["silu_best"].tolist() == ["cannot be told", ""]

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("cld_iou_gain", "IoU 87.85 - 85.55 (SwinTrans) = 2.30"),
            ("a8_gain", "IoU 87.85 - 79.16 (A1) = 8.69"),
            ("a2_iou", "Table II, A2: IoU 83.80; of that row F1 should be 91.19 or IoU should be 83.82"),
            ("a7_recall", "Table II, A7: R 92.17; the next is A5 with 91.86"),
            ("fig10_saving_lo", "1 - 3066 / 4600 = 33.3 %; 30 % would need a network of 4380"),
            ("fig10_saving_hi", "1 - 3066 / 5700 = 46.2 %"),
            ("best_all_metrics", "Table I: VMamba/Bijie has R 85.70, Ours 84.46"),
            ("split_test", "5:3:2 of 23,393 gives 4,679"),
            ("hmie_largest_part", "IoU over A1: HMIE 4.64, CAM 1.94, PSCCS 2.10"),
        ],
    )
    def test_are_shown_with_the_computation(self, paper: Paper, name: str, why: str) -> None:
        assert check_claims(paper).why[name] == why

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
            ("progressive_best", "B1", {"IoU": "87.90"}),
            ("large_rates_hurt", "B2", {"IoU": "83.25"}),
            ("hmie_largest_part", "A4", {"IoU": "84.00"}),
            ("psccs_small_alone", "A4", {"IoU": "84.00"}),
        ],
    )
    def test_would_not_hold_with_other_tables(
        self, paper: Paper, name: str, label: str, scores: Mapping[str, str]
    ) -> None:
        assert check_claims(paper).result[name] == "holds"
        assert check_claims(altered(paper, label, **scores)).result[name] == "does not hold"

    @pytest.mark.parametrize(
        ("name", "label", "scores"),
        [
            ("cld_iou_gain", "SwinTrans/CLD", {"IoU": "85.56"}),  # a gain may come from scores before rounding
            ("best_all_metrics", "VMamba/Bijie", {"R": "84.46"}),
        ],
    )
    def test_would_hold_with_other_tables(self, paper: Paper, name: str, label: str, scores: Mapping[str, str]) -> None:
        assert check_claims(altered(paper, label, **scores)).result[name] == "holds"

    def test_need_their_rows(self, paper: Paper) -> None:
        rows = {label: row for label, row in paper.rows.items() if label != "A1"}
        with pytest.raises(PaperError, match="no row A1"):
            check_claims(replace(paper, rows=rows))
