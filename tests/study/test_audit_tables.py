"""What the chapter prints of the audit."""

from pathlib import Path

import pytest

from scgcnet.study import audit_tables
from scgcnet.study.claims import ledger
from scgcnet.study.paper import Paper, read_paper
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.show import Table


@pytest.fixture
def paper(project: Path) -> Paper:
    return read_paper()


def rows(table: Table, **where: str) -> list[dict]:
    return [row for row in table.frame.to_dict("records") if all(row[key] == value for key, value in where.items())]


def test_rows_that_do_not_fit_and_all(paper: Paper) -> None:
    off = audit_tables.row_table(paper, off_only=True)
    assert off.frame["Row"].tolist() == ["CCNet, CLD", "GCNet, CLD", "A2", "A3"]
    assert off.frame["One number mends it"].tolist() == [
        "P 92.09 to 92.11, or R 89.36 to 89.37",
        "F1 89.99",
        "F1 91.19, or IoU 83.82",
        "F1 89.56 to 89.57",
    ]
    every = audit_tables.row_table(paper, off_only=False)
    assert every.frame["Fits"].tolist().count("no") == 4
    assert len(every.frame) == 66


def test_shares_and_outliers(paper: Paper) -> None:
    checks = audit_tables.share_checks(paper)
    shares = audit_tables.share_table(checks).frame
    assert shares["Test set"].tolist() == ["CLD", "HR-GLDD", "Bijie"]
    assert shares["Rows of Table I that allow it"].tolist() == ["11 of 17", "12 of 17", "16 of 17"]
    assert (shares["Far off"].tolist(), shares["Just off"].tolist()) == ([9, 1, 1], [4, 4, 0])
    outliers = audit_tables.outlier_table(checks).frame
    assert outliers["Row"].tolist()[:2] == ["FCN, HR-GLDD", "FCN, Bijie"]
    assert outliers["How far"].tolist() == ["far"] * 11 + ["just"] * 8


def test_equation_24(paper: Paper) -> None:
    table = audit_tables.equation_24_table(paper).frame
    assert table["Rows"].tolist() == [25, 17, 17]
    assert table["Fit TP / (TP + FP + FN)"].tolist() == [24, 17, 17]  # CCNet/CLD does not
    assert all(float(gap) > 40 for gap in table["Least gap to the tables"])


def test_split_and_same_rows_and_methods(paper: Paper) -> None:
    assert audit_tables.split_table(paper).frame["Difference"].tolist() == ["-5", "-69", "+70", "-4"]
    (same,) = rows(audit_tables.identical_table(paper))
    assert same["Rows"] == "Ours, CLD (Table I), A8 (Table II), B6 (Table III), B7 (Table III)"
    note = audit_tables.methods_note(paper)
    assert note.title == "17 methods announced, 16 shown"
    assert note.text.endswith("Missing: SegNeXt.")


def test_claims_recomputed_show_what_does_not_hold_first(paper: Paper) -> None:
    results = audit_tables.self_check_table(paper).frame["Result"].tolist()
    assert results == ["does not hold"] * 5 + ["holds"] * 25


def test_growth(paper: Paper) -> None:
    table = audit_tables.growth_table(paper, {128: 12.0, 2048: 3072.0})
    (danet,) = rows(table, Network="DANet-R50")
    assert (danet["128 px"], danet["2048 px"], danet["Growth, 128 to 2048 px"]) == ("769", "1357", "+76 %")
    assert (danet["GMAC at 2048 px"], danet["3066 is less by"]) == ("5691", "46.1 %")
    (ours,) = rows(table, Network="SCGC-Net base (fitted)")
    assert (ours["Growth, 128 to 2048 px"], ours["3066 is less by"]) == ("+0 %", "-")


def test_the_ledger_keeps_both_questions_apart(paper: Paper) -> None:
    entries = ledger(load_plan(), [])
    table = audit_tables.ledger_table(entries, paper)
    (row,) = rows(table, Claim="fig10_saving_lo")
    assert (row["Verdict"], row["Condition"], str(row["Runs"])) == ("unresolved", "fitted", "-")
    assert row["By the paper's own numbers"].startswith("does not hold: 1 - 3066 / 4600")
    assert row["In the paper"] == "30%-46% fewer GFLOPs than other models (Sec IV-E / V-A)"
    assert len(table.frame) == len(entries) == 73
    note = audit_tables.ledger_note(entries, "cpu")
    assert (note.title, note.text) == (
        "73 claims, in a book built with the profile cpu",
        "not run: 66, unresolved: 6, contradicted: 1.",
    )
