"""Reading results/paper: rounding, and the errors for a damaged file."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.study.paper import Interval, PaperError, bounds, full_name, paper_scores, printed_interval, read_paper


class TestIntervals:
    @pytest.mark.parametrize(
        ("printed", "low", "high"), [("80.90", 80895, 80905), ("80.9", 80850, 80950), ("81", 80500, 81500)]
    )
    def test_are_as_wide_as_the_last_place(self, printed: str, low: int, high: int) -> None:
        assert printed_interval(printed) == (Fraction(low, 100_000), Fraction(high, 100_000))
        assert printed_interval("100.00") == (Fraction(99995, 100_000), 1)

    @given(st.fractions(0, 1))
    def test_hold_every_share_that_prints_so(self, share: Fraction) -> None:
        low, high = printed_interval(f"{float(round(100 * share, 2)):.2f}")
        assert low <= share <= high

    def test_meet(self) -> None:
        first = Interval(Fraction(1), Fraction(3))
        assert first.meet(Interval(Fraction(2), Fraction(4))) == (2, 3)
        assert first.meet(Interval(Fraction(3), Fraction(4))) == (3, 3)
        assert first.meet(Interval(Fraction(4), Fraction(5))) is None

    def test_in_percent_are_one_number_if_both_ends_round_to_it(self) -> None:
        assert Interval(Fraction(1, 10), Fraction(10001, 100000)).percent() == "10.00"
        assert Interval(Fraction(1, 10), Fraction(1002, 10000)).percent() == "10.00 to 10.02"

    def test_of_a_function_are_its_corners(self) -> None:
        box = Interval(Fraction(1), Fraction(2)), Interval(Fraction(3), Fraction(5))
        assert bounds(lambda x, y: x - y, *box) == (-4, -1)


def test_the_repository_s_tables(project: Path) -> None:
    paper = read_paper()
    assert [len(paper.table(number)) for number in ("I", "II", "III")] == [51, 8, 7]
    assert paper.datasets == ["CLD", "GLDD", "Bijie"] and len(paper.rows) == 66
    ours = paper.row("Ours/GLDD")
    assert ours.printed == {"P": "85.18", "R": "82.10", "F1": "83.61", "IoU": "71.84", "OA": "96.49"}
    assert (ours.exact("R"), ours.reference, paper.row("FCN/CLD").reference) == (Fraction("82.1"), "", "12")
    assert "OA" not in paper.row("B5").printed
    assert len(paper.claims) == 73 and paper.claims.kind["lr"] == "protocol"
    assert paper.number("cld_iou") == Fraction("87.85")
    assert paper.peers["UPerNet-VMamba-B"][2048] == 4652.4
    assert (len(paper.announced), paper.announced["SegNeXt"]) == (17, "61")
    assert (full_name("GLDD"), full_name("CLD")) == ("HR-GLDD", "CLD")


def test_scores_by_our_names(project: Path) -> None:
    expected = {"precision": 85.04, "recall": 84.46, "f1": 84.75, "iou": 73.53, "oa": 97.37}
    assert paper_scores("bijie", "scgcnet") == expected
    assert paper_scores("landslide4sense", "scgcnet") is paper_scores("bijie", "segnext") is None


@pytest.fixture
def damage(project: Path) -> Callable[[str, str, str], None]:
    def change(file: str, old: str, new: str) -> None:
        path = project / "results" / "paper" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("table1.csv", "78.85", "78;85", r"table1\.csv, row 3 \(FCN\), column P: .78;85. is not a number"),
        ("table1.csv", "82.45", "82,45", r"table1\.csv, row 2: more cells than columns"),
        ("table1.csv", "78.85", "78,85", r"table1\.csv cannot be read: .*line 3, saw 9"),
        ("table1.csv", "85.43", "", r"results/paper/table1\.csv, row 2 \(FCN\), column F1: '' is not a number"),
        ("table2.csv", "89.77", "1e2", r"results/paper/table2\.csv, row 2 \(A1\), column P: '1e2' is not a number"),
        ("table2.csv", "89.77", "nan", r"column P: 'nan' is not a number"),
        ("table3.csv", "89.01", "-89.01", r"column R: '-89\.01' is not a number"),
        ("table3.csv", "89.01", "890.1", r"row 2 \(B1\), column R: 890\.1 is not between 0 and 100"),
        ("table3.csv", "89.01", "0.00", r"column R: 0\.00 is not between 0 and 100"),
        ("table2.csv", "F1", "f1", r"results/paper/table2\.csv has no column F1: it has exp, HMIE"),
        ("table2.csv", "A2,", "A1,", r"the tables: A1 is listed twice"),
        ("claims.csv", "cld_iou_gain", "cld_iou", r"claims\.csv: cld_iou is listed twice"),
        ("claims.csv", "quote", "quotes", r"claims\.csv has no column quote"),
        ("peer_gmacs.csv", "12.6", "?", r"peer_gmacs\.csv, row 2 \(DANet-R50\), column 128: '\?' is not a number"),
    ],
)
def test_damage_is_one_line_with_place_and_remedy(
    damage: Callable[[str, str, str], None], file: str, old: str, new: str, message: str
) -> None:
    damage(file, old, new)
    with pytest.raises(PaperError, match=message) as caught:
        read_paper()
    assert "git checkout -- results/paper" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["table1.csv", "claims.csv", "methods.csv", "peer_gmacs.csv"])
def test_a_missing_file_is_named(project: Path, file: str) -> None:
    (project / "results" / "paper" / file).unlink()
    with pytest.raises(PaperError, match=f"results/paper/{file} does not exist; `git checkout"):
        read_paper()


def test_a_file_that_is_not_text(project: Path) -> None:
    (project / "results" / "paper" / "table1.csv").write_bytes(b"method,\xff\xfe")
    with pytest.raises(PaperError, match=r"table1\.csv cannot be read"):
        read_paper()


def test_missing_rows_and_claims(project: Path) -> None:
    paper = read_paper()
    with pytest.raises(PaperError, match="the tables: no row A9"):
        paper.row("A9")
    with pytest.raises(PaperError, match=r"claims\.csv: no row nope"):
        paper.number("nope")
    with pytest.raises(PaperError, match=r"row best_all_metrics, column value: '' is not a number"):
        paper.number("best_all_metrics")
