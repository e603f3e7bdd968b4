"""Reading results/paper: rounding, and the errors for a damaged file."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.study.paper import Interval, PaperError, bounds, full_name, paper_scores, printed_interval, read_paper


@pytest.mark.parametrize(
    ("printed", "low", "high"),
    [("80.90", 80895, 80905), ("80.9", 80850, 80950), ("81", 80500, 81500), ("100.00", 99995, 100_000)],
)
def test_intervals_are_as_wide_as_the_last_place(printed, low, high):
    assert printed_interval(printed) == (Fraction(low, 100_000), Fraction(high, 100_000))


@given(st.fractions(0, 1))
def test_intervals_hold_every_share_that_prints_so(share):
    low, high = printed_interval(f"{float(round(100 * share, 2)):.2f}")
    assert low <= share <= high


def test_intervals_meet_and_are_printed():
    first = Interval(Fraction(1), Fraction(3))
    assert first.meet(Interval(Fraction(2), Fraction(4))) == (2, 3)
    assert first.meet(Interval(Fraction(4), Fraction(5))) is None
    assert Interval(Fraction(1, 10), Fraction(10001, 100000)).percent() == "10.00"
    assert Interval(Fraction(1, 10), Fraction(1002, 10000)).percent() == "10.00 to 10.02"
    assert bounds(lambda x, y: x - y, first, Interval(Fraction(3), Fraction(5))) == (-4, 0)


def test_the_repository_s_tables(project):
    paper = read_paper()
    assert [len(paper.table(number)) for number in ("I", "II", "III")] == [51, 8, 7]
    assert paper.datasets == ["CLD", "GLDD", "Bijie"] and len(paper.rows) == 66
    ours = paper.row("Ours/GLDD")
    assert ours.printed == {"P": "85.18", "R": "82.10", "F1": "83.61", "IoU": "71.84", "OA": "96.49"}
    assert (ours.exact("R"), ours.reference, paper.row("FCN/CLD").reference) == (Fraction("82.1"), "", "12")
    assert "OA" not in paper.row("B5").printed
    assert len(paper.claims) == 73 and paper.number("cld_iou") == Fraction("87.85")
    assert paper.peers["UPerNet-VMamba-B"][2048] == 4652.4
    assert (len(paper.announced), paper.announced["SegNeXt"]) == (17, "61")
    assert (full_name("GLDD"), full_name("CLD")) == ("HR-GLDD", "CLD")
    for label, message in (("A9", "no row A9"), ("nope", "no row nope"), ("best_all_metrics", "'' is not a number")):
        with pytest.raises(PaperError, match=message):
            paper.row(label) if label == "A9" else paper.number(label)


def test_scores_by_our_names(project):
    expected = {"precision": 85.04, "recall": 84.46, "f1": 84.75, "iou": 73.53, "oa": 97.37}
    assert paper_scores("bijie", "scgcnet") == expected
    ious = [paper_scores("bijie", name)["iou"] for name in ("deeplabv3plus", "stunet", "swin", "pspnet")]
    table = read_paper().rows
    assert ious == [
        float(table[f"{name}/Bijie"].printed["IoU"]) for name in ("DeepLabv3+", "ST-UNet", "SwinTrans", "PSP-Net")
    ]
    assert paper_scores("landslide4sense", "scgcnet") is paper_scores("bijie", "segnext") is None


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("table1.csv", "78.85", "78;85", r"table1\.csv, row 3 \(FCN\), column P: .78;85. is not a number"),
        ("table1.csv", "78.85", "78,85", r"table1\.csv cannot be read: .*line 3, saw 9"),
        ("table1.csv", "85.43", "", r"results/paper/table1\.csv, row 2 \(FCN\), column F1: '' is not a number"),
        ("table2.csv", "89.77", "nan", r"column P: 'nan' is not a number"),
        ("table3.csv", "89.01", "890.1", r"row 2 \(B1\), column R: '890\.1' is not a number above 0 and at most 100"),
        ("table3.csv", "89.01", "0.00", r"column R: '0\.00' is not a number above 0"),
        ("table2.csv", "F1", "f1", r"results/paper/table2\.csv has no column F1: it has exp, HMIE"),
        ("table2.csv", "A2,", "A1,", r"the tables: A1 is listed twice"),
        ("claims.csv", "cld_iou_gain", "cld_iou", r"claims\.csv: cld_iou is listed twice"),
        ("peer_gmacs.csv", "12.6", "?", r"peer_gmacs\.csv, row 2 \(DANet-R50\), column 128: '\?' is not a number"),
        ("methods.csv", "", None, r"results/paper/methods\.csv cannot be read: .*No such file"),
    ],
)
def test_damage_is_one_line_with_place_and_remedy(project, file, old, new, message):
    path = project / "results" / "paper" / file
    text = path.read_text()
    assert old in text
    path.unlink() if new is None else path.write_text(text.replace(old, new, 1))
    with pytest.raises(PaperError, match=message) as caught:
        read_paper()
    assert "git checkout -- results/paper" in str(caught.value) and "\n" not in str(caught.value)
