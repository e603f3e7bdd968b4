"""The replication report adds up, and no cell of it is empty."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from table_rows import rows

from scgcnet.study.claims import Entry, ledger
from scgcnet.study.looks import Look
from scgcnet.study.paper import read_claims
from scgcnet.study.plan import Plan
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.report_tables import LEADING, claim_table, deviation_table, findings, summary_note, verdict_table
from scgcnet.study.store import Record

VERDICTS = ("supported", "contradicted", "unresolved", "not run")
KINDS = ("result", "protocol", "fitted", "data")


@pytest.fixture
def plan(project: Path) -> Plan:
    return load_plan()


@pytest.fixture
def entries(plan: Plan, make_record: Callable[..., Record]) -> list[Entry]:
    """Both of Bijie's scores unresolved after runs; its count and the fitted cost told without any."""
    return ledger(
        plan, [make_record(run) for run in plan.select("cpu") if run.model == "scgcnet" and not run.overrides]
    )


def test_the_counts_of_the_note_add_up(entries: list[Entry]) -> None:
    text = summary_note(entries).text
    counts = {verdict: int(re.search(rf"{verdict}[^:]*: (\d+)", text, re.IGNORECASE)[1]) for verdict in VERDICTS}
    settings = [entry for entry in entries if entry.claim.kind == "protocol"]
    others = [entry for entry in entries if entry not in settings]
    assert text.startswith(f"{len(others)} claims") and len(entries) == len(read_claims())
    assert text.endswith(
        f"states {len(settings)} settings of its protocol; stored runs follow 8 of them, none all of them."
    )
    assert counts == {verdict: sum(entry.verdict == verdict for entry in others) for verdict in VERDICTS}
    near = re.findall(r"(\d+) (?:same|scaled down|other data|fitted)", text)
    assert sum(map(int, near)) == counts["unresolved"]
    assert "2 scaled down" in text and "5 fitted" in text


def test_a_change_of_verdict_moves_the_counts(entries: list[Entry]) -> None:
    changed = [replace(entry, verdict="contradicted") if entry.verdict == "unresolved" else entry for entry in entries]
    judged = [entry for entry in entries if entry.claim.kind != "protocol"]
    before = sum(entry.verdict in ("unresolved", "contradicted") for entry in judged)
    assert before > 1
    assert f"Contradicted: {before}." in summary_note(changed).text


def test_verdicts_by_kind_add_up(entries: list[Entry]) -> None:
    table = rows(verdict_table(entries))
    assert {row["Kind"] for row in table} == set(KINDS)
    assert sum(row[verdict] for row in table for verdict in VERDICTS) == len(entries)
    (data,) = (row for row in table if row["Kind"] == "data")
    assert [data[verdict] for verdict in VERDICTS] == [0, 0, 1, sum(e.claim.kind == "data" for e in entries) - 1]
    (fitted,) = (row for row in table if row["Kind"] == "fitted")
    assert [fitted[verdict] for verdict in VERDICTS] == [0, 0, 1, 0]


def test_every_claim_stands_in_one_table_without_an_empty_cell(entries: list[Entry]) -> None:
    found = [row for kind in KINDS for row in rows(claim_table(entries, kind))]
    assert sorted(row["Claim"] for row in found) == sorted(read_claims())
    assert [(row["Claim"], key) for row in found for key, value in row.items() if str(value) in ("", "nan")] == []
    assert {row["Verdict"] for row in found} == {*VERDICTS} - {"supported"}
    assert all(str(row["Runs"]) == "-" for row in found if row["Verdict"] == "not run")
    assert all(len(row["Found, or what it would take"]) > 20 for row in found if row["Verdict"] == "not run")


def test_a_row_has_the_paper_what_was_found_and_its_runs(entries: list[Entry]) -> None:
    (row,) = rows(claim_table(entries, "result"), Claim="bijie_iou", On="Bijie")[:1]
    (entry,) = (entry for entry in entries if entry.claim.id == "bijie_iou")
    assert (row["The paper"], row["Verdict"], row["Condition"]) == ("IoU of 73.53%", "unresolved", "scaled down")
    assert row["Found, or what it would take"] == entry.finding == "IoU 60.00 [60.00, 60.00] %"
    assert [link.href for link in row["Runs"].items] == [record.file for record in entry.records]
    assert len(entry.records) == 3
    (unquoted,) = rows(claim_table(entries, "protocol"), Claim="loss_beta")
    assert unquoted["The paper"] == "0.4"


def test_an_unknown_kind_says_so(entries: list[Entry]) -> None:
    assert rows(claim_table(entries, "rumour")) == [{"Claim": "none of the kind rumour"}]


def test_findings_are_told_in_the_papers_words_and_judged(entries: list[Entry]) -> None:
    (first, *_) = findings(entries).items
    assert first == "“IoU of 73.53%”: IoU 60.00 [60.00, 60.00] %. Unresolved, scaled down."
    assert set(LEADING) <= read_claims().keys()
    nothing = [replace(entry, finding="") for entry in entries]
    assert findings(nothing).items == ("Nothing was found yet: no run on real images is stored.",)


def test_deviations_count_what_is_stored(make_record: Callable[..., Record]) -> None:
    records = [make_record(wall_s=60.0 * minutes) for minutes in (6, 9, 66)]
    looks = [Look("2026-01-01T00:00:00Z", "bijie", 0, run_id, "") for run_id in "aab"]
    looks.append(Look("2026-01-01T00:00:00Z", "bijie", 1, "a", ""))  # of another test part
    table = {row["What"]: row for row in rows(deviation_table(records, looks))}
    assert (
        table["Epochs"]["Why"]
        == "6 to 66 minutes, median 9, a run on one core, wall time, machine shared with other jobs"
    )
    assert table["Test part"]["Here"].endswith("at most 2 looks at one test part by one configuration")


def test_deviations_are_those_of_the_profiles(plan: Plan) -> None:
    table = {row["What"]: row for row in rows(deviation_table([], []))}
    assert all(str(cell).strip() for row in table.values() for cell in row.values())
    paper, here = plan.profile("paper").settings, plan.profile("cpu").settings
    assert table["Image side"]["The paper"] == f"{paper['image_size']} px"
    assert table["Image side"]["Here"] == f"{here['image_size']} px"
    assert (table["Epochs"]["The paper"], table["Epochs"]["Here"]) == (f"{paper['epochs']}", f"{here['epochs']}")
    assert table["Augmentation"]["Here"].split(", ")[1] == "scale {:g} to {:g}".format(*here["augment"]["scale"])
