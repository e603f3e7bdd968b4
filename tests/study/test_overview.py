"""How far the study says that it is."""

import dataclasses

import pytest
from table_rows import rows

from scgcnet.study.claims import ledger
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import Look
from scgcnet.study.overview import exhibit_table, look_table, plan_table, profile_table
from scgcnet.study.plan import load_plan


@pytest.fixture
def plan(project):
    return load_plan()


def test_states_of_runs(plan, tiny):
    tiny[0] = dataclasses.replace(tiny[0], code_sha256="1" * 64)
    states = {str(row["Run"]): row["State"] for row in rows(plan_table(plan, tiny))}
    assert states[tiny[0].run_id] == "stale"
    assert states[tiny[1].run_id] == "stored"
    assert states[plan.select("paper")[0].run_id] == "not run"


def test_exhibits_count_the_claims_measured(plan, tiny):
    (table1,) = rows(exhibit_table(plan, ledger(plan, tiny)), **{"In the paper": "Table I,"})
    assert (table1["Status"], table1["Claims measured"]) == ("partly measured, scaled down", "2 of 10")
    (table2,) = rows(exhibit_table(plan, ledger(plan, tiny)), **{"In the paper": "Table II,"})
    assert (table2["Status"], table2["Claims measured"]) == ("not run", "0 of 11")
    assert [link.href for link in table1["Runs"].items] == [record.file for record in tiny[:3]]  # those that decide


def test_a_cost_that_was_fitted_is_counted_not_measured(plan):
    (figure,) = rows(exhibit_table(plan, ledger(plan, [])), **{"In the paper": "Fig. 10"})
    assert (figure["Status"], figure["Claims measured"], str(figure["Runs"])) == (
        "partly counted, fitted",
        "1 of 10",
        "-",
    )


def test_profiles_count_their_runs(plan, tiny):
    counts = {row["Profile"]: row["Runs stored"] for row in rows(profile_table(plan, tiny[:2]))}
    planned = {name: len(plan.select(name)) for name in ("smoke", "cpu", "domains", "gpu", "paper")}
    assert counts == {name: f"{2 * (name == 'cpu')} of {number}" for name, number in planned.items()}
    assert planned["paper"] == 3


def test_runs_beyond_the_plan_are_listed(plan, make_record):
    trial = plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 1})
    (row,) = rows(plan_table(plan, [make_record(trial)]), Run=trial.run_id)
    assert (row["Priority"], row["State"]) == ("not in study.yml", "stored")


def test_a_ledger_that_has_lost_lines_is_refused(tiny):
    look = Look("2026-01-01T00:00:00Z", "bijie", 0, tiny[0].run_id, "")
    with pytest.raises(StoreError, match=f"1 looks of {tiny[0].run_id}, whose run file counts 2: lines were lost"):
        look_table([look], [dataclasses.replace(tiny[0], test_looks=2)])


def test_looks_are_counted_by_test_part_also_those_without_a_result(tiny):
    first, second = (record.run_id for record in tiny[:2])
    looks = [Look(f"2026-01-0{day}T00:00:00Z", "bijie", 0, run, "") for day, run in enumerate([first, first, "x"], 1)]
    looks.append(Look("2026-02-01T00:00:00Z", "bijie", 1, second, ""))
    assert rows(look_table(looks, tiny[:2])) == [
        {"Test part": "bijie, split 0", "Looks": 3, "Configurations and seeds": 2, "Most looks at one": 2,
         "Without a stored result": 1, "Last": "2026-01-03"},
        {"Test part": "bijie, split 1", "Looks": 1, "Configurations and seeds": 1, "Most looks at one": 1,
         "Without a stored result": 0, "Last": "2026-02-01"},
    ]  # fmt: skip
    assert rows(look_table([], [])) == [{"Test part": "none", "Looks": 0}]
