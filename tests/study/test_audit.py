"""The paper's numbers held against each other."""

import csv
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scgcnet.study import audit
from scgcnet.study.paper import Interval, Paper, PaperError, Row, read_paper

REPOSITORY = Path(__file__).resolve().parents[2]
DATASETS = ("CLD", "GLDD", "Bijie")


@pytest.fixture(scope="module")
def paper() -> Paper:
    return read_paper(REPOSITORY)


def written(value: Fraction) -> str:
    """As a paper prints a share: percent, two decimals."""
    return f"{float(round(100 * value, 2)):.2f}"


def row_of(tp: int, fp: int, fn: int, tn: int) -> Row:
    """The row that four counts of pixels give."""
    scores = {
        "P": Fraction(tp, tp + fp),
        "R": Fraction(tp, tp + fn),
        "F1": Fraction(2 * tp, 2 * tp + fp + fn),
        "IoU": Fraction(tp, tp + fp + fn),
        "OA": Fraction(tp + tn, tp + fp + fn + tn),
    }
    return Row("I", "any", "any", {score: written(value) for score, value in scores.items()})


def changed(row: Row, **scores: str) -> Row:
    return Row(row.table, row.name, row.dataset, {**row.printed, **scores}, row.reference)


pixels = st.integers(1, 10**7)


class TestRows:
    def test_four_of_66_do_not_fit(self, paper: Paper) -> None:
        checks = audit.check_rows(paper)
        off = {c.row.label: {score: v.percent() for score, v in c.repairs.items()} for c in checks if not c.consistent}
        assert len(checks) == 66
        assert off == {
            "CCNet/CLD": {"P": "92.09 to 92.11", "R": "89.36 to 89.37"},
            "GCNet/CLD": {"F1": "89.99"},
            "A2": {"F1": "91.19", "IoU": "83.82"},
            "A3": {"F1": "89.56 to 89.57"},
        }
        assert all(check.repairs == {} for check in checks if check.consistent)

    def test_an_independent_count_agrees(self, paper: Paper) -> None:
        """consistency.csv was made by other code, with tolerances in the place of intervals."""
        checks = {check.row.label: check for check in audit.check_rows(paper)}
        with (REPOSITORY / "results" / "paper" / "consistency.csv").open() as file:
            theirs = {line["row"]: line for line in csv.DictReader(file)}
        assert set(theirs) == set(checks)
        for label, line in theirs.items():
            check = checks[label]
            fits = all(line[column] == "True" for column in ("F1_ok", "IoU_ok_vs_F1", "IoU_ok_vs_PR"))
            assert check.consistent == fits, label
            assert 100 * float(check.f1.middle) == pytest.approx(float(line["F1_from_PR"]), abs=6e-4)
            assert 100 * float(check.iou.middle) == pytest.approx(float(line["IoU_from_PR"]), abs=6e-4)
            assert 100 * float(check.iou_by_f1.middle) == pytest.approx(float(line["IoU_from_F1"]), abs=6e-4)

    @given(pixels, pixels, pixels, pixels)
    def test_any_true_row_fits(self, tp: int, fp: int, fn: int, tn: int) -> None:
        row = row_of(tp, fp, fn, tn)
        assume(min(map(float, row.printed.values())) > 0)
        check = audit.check_row(row)
        assert check.consistent
        assert check.f1.low <= Fraction(2 * tp, 2 * tp + fp + fn) <= check.f1.high
        assert check.iou.low <= Fraction(tp, tp + fp + fn) <= check.iou.high

    @given(pixels, pixels, pixels, st.sampled_from(["F1", "IoU"]), st.sampled_from([-1, 1]))
    def test_a_slip_of_a_tenth_is_found_and_mended(self, tp: int, fp: int, fn: int, score: str, sign: int) -> None:
        row = row_of(tp, fp, fn, 0)
        assume(min(map(float, row.printed.values())) > 0)
        slip = row.exact(score) + Fraction(sign, 10)
        assume(0 < slip <= 100)
        check = audit.check_row(changed(row, **{score: f"{float(slip):.2f}"}))
        assert not check.consistent
        mended = check.repairs[score]
        assert mended.meet(row.interval(score)) is not None

    @given(st.integers(3000, 9000), st.integers(1000, 3000), st.integers(1000, 3000))
    def test_a_slip_in_precision_is_found_and_mended(self, tp: int, fp: int, fn: int) -> None:
        row = row_of(tp, fp, fn, 0)
        check = audit.check_row(changed(row, P=f"{float(row.exact('P')) + 1:.2f}"))
        assert not check.consistent
        assert check.repairs["P"].low <= Fraction(tp, tp + fp) <= check.repairs["P"].high

    def test_scores_are_functions_of_each_other(self) -> None:
        assert audit.f1_score(Fraction(1, 2), Fraction(1)) == Fraction(2, 3)
        assert audit.iou_of_f1(Fraction(2, 3)) == Fraction(1, 2)
        assert audit.f1_of_iou(Fraction(1, 2)) == Fraction(2, 3)


class TestShares:
    @pytest.mark.parametrize(
        ("dataset", "share", "n_agree"), [("CLD", 14.42, 11), ("GLDD", 10.92, 12), ("Bijie", 8.66, 16)]
    )
    def test_shares_agreed_on(self, paper: Paper, dataset: str, share: float, n_agree: int) -> None:
        check = audit.check_shares(paper, dataset)
        assert 100 * float(check.agreed.middle) == pytest.approx(share, abs=0.015)
        assert 100 * float(check.median) == pytest.approx(share, abs=0.005)
        assert (check.n_agree, check.n) == (n_agree, 17)

    def test_rows_far_off_and_the_oa_they_ought_to_have(self, paper: Paper) -> None:
        found = {
            outlier.row.label: (outlier.row.printed["OA"], round(100 * float(outlier.oa.middle), 2))
            for dataset in DATASETS
            for outlier in audit.check_shares(paper, dataset).outliers("far")
        }
        told = {"FCN/GLDD": 94.20, "FCN/Bijie": 96.08, "PSP-Net/CLD": 96.99, "CCNet/CLD": 97.34, "GCNet/CLD": 97.16}
        assert set(found) == {*told, "A1", "A2", "A3", "A4", "A5", "A7"}
        for label, oa in told.items():
            assert found[label][1] == pytest.approx(oa, abs=0.011)
        assert found["FCN/GLDD"][0] == "91.23"

    def test_rows_just_off(self, paper: Paper) -> None:
        checks = [audit.check_shares(paper, dataset) for dataset in DATASETS]
        just = {found.row.label for check in checks for found in check.outliers("just")}
        assert just == {
            *("FCN/CLD", "SwinTrans/CLD", "ConvNeXt/CLD", "A6"),
            *("VMamba/GLDD", "ST-UNet/GLDD", "ConvNeXt/GLDD", "SwinTrans/GLDD"),
        }
        assert max(abs(found.oa_error) for check in checks for found in check.outliers("just")) < Fraction(9, 100)

    def test_any_limit_between_023_and_060_names_the_same_rows(self, paper: Paper) -> None:
        """What the chapter says of the half point."""
        gaps = sorted(
            100 * float(max(found.share.low - check.agreed.high, check.agreed.low - found.share.high))
            for check in (audit.check_shares(paper, dataset) for dataset in DATASETS)
            for found in check.rows
        )
        low, high = max(pairwise([gap for gap in gaps if 0.1 < gap < 1]), key=lambda pair: pair[1] - pair[0])
        assert low < 0.23 and high > 0.60 and low < 100 * audit.FAR < high

    @given(pixels, st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
    def test_the_true_share_is_in_the_interval(self, tp: int, fp: int, fn: int, tn: int) -> None:
        row = row_of(tp, fp, fn, tn)
        assume(min(map(float, row.printed.values())) > 0)
        share = audit.implied_share(row)
        assert 0 <= share.low <= Fraction(tp + fn, tp + fp + fn + tn) <= share.high <= 1

    def test_without_errors_any_share_is_possible(self) -> None:
        assert audit.implied_share(row_of(5, 0, 0, 5)) == (0, 1)

    def test_agreed_value_is_where_most_intervals_overlap(self) -> None:
        intervals = [Interval(Fraction(a), Fraction(b)) for a, b in ((0, 4), (3, 6), (3, 5), (8, 9), (9, 10))]
        assert audit.agreed_value(intervals) == ((3, 4), 3)

    def test_a_wrong_oa_is_found(self, paper: Paper) -> None:
        rows = {**paper.rows, "Ours/Bijie": changed(paper.row("Ours/Bijie"), OA="97.27")}
        before, after = (audit.check_shares(Paper(r, {}), "Bijie") for r in (paper.rows, rows))
        assert {f.row.label for f in after.rows if f.off} - {f.row.label for f in before.rows if f.off} == {
            "Ours/Bijie"
        }

    def test_an_unknown_data_set(self, paper: Paper) -> None:
        with pytest.raises(PaperError, match="Table I has no data set 'Mars'"):
            audit.check_shares(paper, "Mars")


class TestEquation24:
    @given(pixels, pixels, pixels, pixels)
    def test_it_is_the_printed_ratio(self, tp: int, fp: int, fn: int, tn: int) -> None:
        """From scores without rounding worth speaking of."""
        total = tp + fp + fn + tn
        exact = {"P": Fraction(tp, tp + fp), "R": Fraction(tp, tp + fn), "OA": Fraction(tp + tn, total)}
        row = Row("I", "any", "any", {score: f"{float(100 * value):.14f}" for score, value in exact.items()})
        assume(min(tp, fp, fn, tn) / total > 1e-3)
        assert float(audit.iou_as_printed(row)) == pytest.approx(tp / (tp + tn + fp), rel=1e-6)

    def test_the_tables_do_not_follow_it(self, paper: Paper) -> None:
        for row in (row for row in paper.rows.values() if "OA" in row.printed):
            assert 100 * audit.iou_as_printed(row) < row.exact("IoU") - 40


def test_same_rows(paper: Paper) -> None:
    assert [[row.label for row in group] for group in audit.identical_rows(paper)] == [["Ours/CLD", "A8", "B6", "B7"]]


def test_the_split_does_not_add_up(paper: Paper) -> None:
    split = audit.check_split(paper)
    assert (split.total, split.datasets) == (23389, 23393)
    assert list(split.printed.values()) == [11691, 6949, 4749]
    assert list(split.exact.values()) == [11696, 7018, 4679]
    assert sum(split.exact.values()) == split.datasets


def test_methods_and_best_scores(paper: Paper) -> None:
    assert (len(paper.announced), len({row.name for row in paper.table("I")}) - 1) == (17, 16)
    assert audit.missing_methods(paper) == ["SegNeXt"]
    assert [(row.label, score) for row, score in audit.not_best(paper)] == [("VMamba/Bijie", "R")]


def test_costs(paper: Paper) -> None:
    assert audit.saving(3066, 4600) == pytest.approx(33.35, abs=0.01)
    assert audit.saving(3066, 5700) == pytest.approx(46.21, abs=0.01)
    assert audit.cost_per_pixel({100: 1.0}) == {100: 100.0}
    growth = {}
    for name, cost in paper.peers.items():
        per_pixel = audit.cost_per_pixel(cost)
        growth[name] = per_pixel[2048] / per_pixel[128]
    assert growth["DANet-R50"] == pytest.approx(1.76, abs=0.01)
    assert {name for name, factor in growth.items() if factor > 1.01} == {"DANet-R50", "DANet-R101"}
