"""The paper's numbers against each other."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scgcnet.study import consistency
from scgcnet.study.consistency import check_claims, check_row, check_shares, check_split, implied_share, iou_as_printed
from scgcnet.study.paper import Interval, Row, read_paper

REPOSITORY = Path(__file__).resolve().parents[2]
pixels = st.integers(1, 10**7)


@pytest.fixture(scope="module")
def paper():
    return read_paper()


def row_of(tp, fp, fn, tn):
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


def changed(row, **scores):
    return replace(row, printed={**row.printed, **scores})


def altered(paper, label, **scores):
    return replace(paper, rows={**paper.rows, label: changed(paper.row(label), **scores)})


class TestRows:
    def test_four_of_66_do_not_fit(self, paper):
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

    def test_agree_with_an_independent_computation(self, paper):
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
    def test_of_real_counts_fit(self, tp, fp, fn, tn):
        check = check_row(row_of(tp, fp, fn, tn))
        assert check.consistent
        assert check.f1.low <= Fraction(2 * tp, 2 * tp + fp + fn) <= check.f1.high
        assert check.iou.low <= Fraction(tp, tp + fp + fn) <= check.iou.high

    @given(pixels, pixels, pixels, st.sampled_from(["F1", "IoU"]), st.sampled_from([-1, 1]))
    def test_with_a_slip_of_a_tenth_are_found_and_repaired(self, tp, fp, fn, score, sign):
        row = row_of(tp, fp, fn, 0)
        slip = row.exact(score) + Fraction(sign, 10)
        assume(0 < slip <= 100)
        check = check_row(changed(row, **{score: f"{float(slip):.2f}"}))
        assert not check.consistent
        assert check.repairs[score].meet(row.interval(score)) is not None


class TestShares:
    @pytest.mark.parametrize(
        ("dataset", "share", "n_agree"), [("CLD", 14.42, 11), ("GLDD", 10.92, 12), ("Bijie", 8.66, 16)]
    )
    def test_agreed(self, paper, dataset, share, n_agree):
        check = check_shares(paper, dataset)
        assert 100 * float(check.agreed.middle) == pytest.approx(share, abs=0.015)
        assert 100 * float(check.median) == pytest.approx(share, abs=0.005)
        assert (check.n_agree, check.n) == (n_agree, 17)

    def test_rows_off_and_their_expected_oa(self, paper):
        checks = [check_shares(paper, dataset) for dataset in paper.datasets]
        far = {row.row.label: 100 * float(row.oa.middle) for check in checks for row in check.outliers("far")}
        expected = {"FCN/GLDD": 94.2, "FCN/Bijie": 96.08, "PSP-Net/CLD": 96.99, "CCNet/CLD": 97.34, "GCNet/CLD": 97.16}
        assert set(far) == {*expected, "A1", "A2", "A3", "A4", "A5", "A7"}
        assert {label: far[label] for label in expected} == pytest.approx(expected, abs=0.011)
        just = [row for check in checks for row in check.outliers("just")]
        assert len(just) == 8 and max(abs(row.oa_error) for row in just) < Fraction(9, 100)

    @given(pixels, st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
    def test_hold_the_true_share(self, tp, fp, fn, tn):
        share = implied_share(row_of(tp, fp, fn, tn))
        assert 0 <= share.low <= Fraction(tp + fn, tp + fp + fn + tn) <= share.high <= 1

    def test_are_agreed_where_most_intervals_overlap(self):
        intervals = [Interval(Fraction(a), Fraction(b)) for a, b in ((0, 4), (3, 6), (3, 5), (8, 9), (9, 10))]
        assert consistency.agreed_value(intervals) == ((3, 4), 3)
        assert implied_share(Row("I", "any", "any", dict.fromkeys(("P", "R", "OA"), "100.00"))) == (0, 1)

    def test_find_a_wrong_oa(self, paper):
        check = check_shares(altered(paper, "Ours/Bijie", OA="97.27"), "Bijie")
        before = {found.row.label for found in check_shares(paper, "Bijie").rows if found.off}
        assert {found.row.label for found in check.rows if found.off} - before == {"Ours/Bijie"}


@given(pixels, pixels, pixels, pixels)
def test_eq_24_is_the_printed_ratio(tp, fp, fn, tn):
    total = tp + fp + fn + tn
    assume(min(tp, fp, fn, tn) / total > 1e-3)
    exact = {"P": Fraction(tp, tp + fp), "R": Fraction(tp, tp + fn), "OA": Fraction(tp + tn, total)}
    row = Row("I", "any", "any", {score: f"{float(100 * value):.14f}" for score, value in exact.items()})
    assert float(iou_as_printed(row)) == pytest.approx(tp / (tp + tn + fp), rel=1e-6)


def test_the_split_does_not_add_up(paper):
    split = check_split(paper)
    assert split.printed.tolist() == [11691, 6949, 4749] and split.exact.tolist() == [11696, 7018, 4679]


class TestClaims:
    def test_that_do_not_follow(self, paper):
        found = check_claims(paper)
        off = {"fig10_saving_lo", "best_all_metrics", "split_train", "split_val", "split_test"}
        assert set(found.index[found.result == "does not hold"]) == off
        assert found.result.value_counts().to_dict() == {"cannot be told": 43, "holds": 25, "does not hold": 5}
        whys = {
            "cld_iou_gain": "IoU 87.85 - 85.55 (SwinTrans) = 2.30",
            "a8_gain": "IoU 87.85 - 79.16 (A1) = 8.69",
            "a2_iou": "Table II, A2: IoU 83.80; of that row F1 should be 91.19 or IoU should be 83.82",
            "a7_recall": "Table II, A7: R 92.17; the next is A5 with 91.86",
            "fig10_saving_lo": "1 - 3066 / 4600 = 33.3 %; 30 % would need a network of 4380",
            "fig10_saving_hi": "1 - 3066 / 5700 = 46.2 %",
            "best_all_metrics": "Table I: VMamba/Bijie has R 85.70, Ours 84.46",
            "split_test": "5:3:2 of 23,393 gives 4,679",
            "hmie_largest_part": "IoU over A1: HMIE 4.64, CAM 1.94, PSCCS 2.10",
            "silu_best": "",
        }
        assert found.why[list(whys)].to_dict() == whys

    @pytest.mark.parametrize(
        ("name", "label", "scores", "result"),
        [
            ("cld_iou", "Ours/CLD", {"IoU": "87.86"}, "does not hold"),
            ("cld_iou_gain", "SwinTrans/CLD", {"IoU": "85.57"}, "does not hold"),
            ("cld_iou_gain", "VMamba/CLD", {"IoU": "86.00"}, "does not hold"),
            ("a2_gain", "A1", {"IoU": "79.10"}, "does not hold"),
            ("a7_recall", "A5", {"R": "92.18"}, "does not hold"),
            ("b2_b7_beat_b1", "B5", {"IoU": "83.23"}, "does not hold"),
            ("progressive_best", "B7", {"IoU": "87.84"}, "does not hold"),
            ("large_rates_hurt", "B2", {"IoU": "83.25"}, "does not hold"),
            ("hmie_largest_part", "A4", {"IoU": "84.00"}, "does not hold"),
            ("psccs_small_alone", "A4", {"IoU": "84.00"}, "does not hold"),
            ("cld_iou_gain", "SwinTrans/CLD", {"IoU": "85.56"}, "holds"),  # a gain may come from unrounded scores
            ("best_all_metrics", "VMamba/Bijie", {"R": "84.46"}, "holds"),
        ],
    )
    def test_follow_the_tables(self, paper, name, label, scores, result):
        assert check_claims(altered(paper, label, **scores)).result[name] == result
