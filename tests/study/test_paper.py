"""Reading results/paper: rounding, and what a damaged file is told."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.study.paper import Interval, PaperError, full_name, image, printed_interval, read_claims, read_paper


def test_a_printed_number_is_an_interval_as_wide_as_its_last_place():
    assert printed_interval("80.90") == (Fraction(80895, 100000), Fraction(80905, 100000))
    assert printed_interval("80.9") == (Fraction(8085, 10000), Fraction(8095, 10000))
    assert printed_interval("81") == (Fraction(805, 1000), Fraction(815, 1000))
    assert printed_interval("100.00") == (Fraction(99995, 100000), 1)
    assert printed_interval("80.90").middle == Fraction(809, 1000)


@given(st.fractions(0, 1))
def test_every_share_lies_in_the_interval_of_what_it_prints_as(share):
    low, high = printed_interval(f"{float(round(100 * share, 2)):.2f}")
    assert low <= share <= high


def test_intervals_meet():
    assert Interval(Fraction(1), Fraction(3)).meet(Interval(Fraction(2), Fraction(4))) == (2, 3)
    assert Interval(Fraction(1), Fraction(2)).meet(Interval(Fraction(2), Fraction(4))) == (2, 2)
    assert Interval(Fraction(1), Fraction(2)).meet(Interval(Fraction(3), Fraction(4))) is None
    assert Interval(Fraction(1, 10), Fraction(10001, 100000)).percent() == "10.00"
    assert Interval(Fraction(1, 10), Fraction(1002, 10000)).percent() == "10.00 to 10.02"


def test_image_takes_the_corners():
    box = Interval(Fraction(1), Fraction(2)), Interval(Fraction(3), Fraction(5))
    assert image(lambda x, y: x - y, *box) == (-4, -1)


def test_the_repositorys_tables(project):
    paper = read_paper()
    assert [len(paper.table(number)) for number in ("I", "II", "III")] == [51, 8, 7]
    assert len(paper.rows) == 66
    ours = paper.row("Ours/GLDD")
    assert ours.printed == {"P": "85.18", "R": "82.10", "F1": "83.61", "IoU": "71.84", "OA": "96.49"}
    assert (ours.exact("R"), ours.reference, paper.row("FCN/CLD").reference) == (Fraction("82.1"), "", "12")
    assert "OA" not in paper.row("B5").printed
    assert len(paper.claims) == len(read_claims()) == 73
    assert paper.claim("cld_iou").number == Fraction("87.85")
    assert paper.peers["UPerNet-VMamba-B"][2048] == 4652.4
    assert (len(paper.announced), paper.announced["SegNeXt"]) == (17, "61")
    assert (full_name("GLDD"), full_name("CLD")) == ("HR-GLDD", "CLD")


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
        ("table1.csv", "78.85", "78;85", r"table1\.csv, row 3 \(FCN\), column P: .78;85. is no number"),
        ("table1.csv", "78.85", "78,85", r"table1\.csv, row 3: more cells than columns"),
        ("table1.csv", "85.43", "", r"results/paper/table1\.csv, row 2 \(FCN\), column F1: '' is no number"),
        ("table2.csv", "89.77", "1e2", r"results/paper/table2\.csv, row 2 \(A1\), column P: '1e2' is no number"),
        ("table2.csv", "89.77", "nan", r"column P: 'nan' is no number"),
        ("table3.csv", "89.01", "-89.01", r"column R: '-89\.01' is no number"),
        ("table3.csv", "89.01", "890.1", r"row 2 \(B1\), column R: 890\.1 is no percentage above 0"),
        ("table3.csv", "89.01", "0.00", r"column R: 0\.00 is no percentage above 0"),
        ("table2.csv", "F1", "f1", r"results/paper/table2\.csv has no column F1: it has exp, HMIE"),
        ("table2.csv", "A2,", "A1,", r"the tables: A1 is listed twice"),
        ("claims.csv", "cld_iou_gain", "cld_iou", r"claims\.csv: cld_iou is listed twice"),
        ("claims.csv", "quote", "quotes", r"claims\.csv has no column quote"),
        ("peer_gmacs.csv", "12.6", "?", r"peer_gmacs\.csv, row 2 \(DANet-R50\), column 128: '\?' is no number"),
    ],
)
def test_damage_is_one_line_with_place_and_remedy(damage, file, old, new, message):
    damage(file, old, new)
    with pytest.raises(PaperError, match=message) as caught:
        read_paper()
    assert "git checkout -- results/paper" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["table1.csv", "table3.csv", "claims.csv", "methods.csv", "peer_gmacs.csv"])
def test_a_missing_file_is_named(project, file):
    (project / "results" / "paper" / file).unlink()
    with pytest.raises(PaperError, match=f"results/paper/{file} does not exist; `git checkout"):
        read_paper()


def test_a_file_that_is_no_text(project):
    (project / "results" / "paper" / "table1.csv").write_bytes(b"method,\xff\xfe")
    with pytest.raises(PaperError, match=r"table1\.csv cannot be read"):
        read_paper()


def test_rows_and_claims_that_are_not_there(project):
    paper = read_paper()
    with pytest.raises(PaperError, match="the tables: no row A9"):
        paper.row("A9")
    with pytest.raises(PaperError, match=r"claims\.csv: no row nope"):
        paper.claim("nope")
    with pytest.raises(PaperError, match=r"row best_all_metrics, column value: '' is no number"):
        _ = paper.claim("best_all_metrics").number
