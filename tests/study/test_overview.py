"""How far the study says that it is."""

import dataclasses
import re

import pytest
from table_rows import rows

from scgcnet.cli import main
from scgcnet.study.claims import ledger
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import Look
from scgcnet.study.overview import exhibit_table, look_table, plan_table, profile_table
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import save


@pytest.fixture
def plan(project):
    return load_plan()


def test_states_of_runs(plan, tiny):
    tiny[0] = dataclasses.replace(tiny[0], code_sha256="1" * 64)
    table = plan_table(plan, tiny)
    (ours,) = rows(table, Network="scgcnet tiny", Profile="cpu", Data="bijie", Changes="-")[:1]
    assert (ours["Stored"], ours["Stale"], ours["Not run"]) == (4, 1, 0)  # three seeds, two more splits
    assert sorted(link.href for link in ours["Runs"].items) == sorted(record.file for record in tiny)
    (grouped,) = rows(table, Network="scgcnet tiny", Profile="cpu", Data="bijie, grouped split")
    assert (grouped["Stored"], grouped["Stale"], grouped["Not run"], str(grouped["Runs"])) == (0, 0, 1, "-")
    counts = table.frame[["Stored", "Stale", "Not run"]].sum()
    assert counts.tolist() == [4, 1, len(plan.runs) - 5]
    assert not table.frame.isna().any().any()


def test_exhibits_count_the_claims_measured(plan, tiny):
    (table1,) = rows(exhibit_table(plan, ledger(plan, tiny)), **{"In the paper": "Table I,"})
    assert (table1["Status"], table1["Claims measured"]) == ("partly measured, scaled down", "2 of 10")
    (table2,) = rows(exhibit_table(plan, ledger(plan, tiny)), **{"In the paper": "Table II,"})
    assert (table2["Status"], table2["Claims measured"]) == ("not run", "0 of 11")
    assert [link.href for link in table1["Runs"].items] == [record.file for record in tiny[:3]]  # those that decide


def test_a_cost_that_was_fitted_is_counted_not_measured(plan):
    (figure,) = rows(exhibit_table(plan, ledger(plan, [])), **{"In the paper": "Fig. 10"})
    assert (figure["Status"], figure["Claims measured"], str(figure["Runs"])) == (
        "partly counted, fitted and same",
        "6 of 10",
        "-",
    )


def test_profiles_count_their_runs(plan, tiny):
    counts = {row["Profile"]: row["Runs stored"] for row in rows(profile_table(plan, tiny[:2]))}
    planned = {name: len(plan.select(name)) for name in ("smoke", "cpu", "domains", "gpu", "paper")}
    assert counts == {name: f"{2 * (name == 'cpu')} of {number}" for name, number in planned.items()}
    assert planned["paper"] == 18 * 3 * 3 + (7 + 6) * 3 + 5 * 5  # Table I, Tables II and III, Fig. 8


def test_profiles_tell_how_long_their_runs_took(plan, make_record):
    runs = plan.select("cpu")
    made = [make_record(run, wall_s=1800.0) for run in runs[:3]]
    table = {row["Profile"]: row for row in rows(profile_table(plan, made))}
    assert table["cpu"]["They took"] == "1 h 30 min"
    assert table["cpu"]["The others, about"] not in ("-", "not known")
    assert (table["paper"]["They took"], table["paper"]["The others, about"]) == ("-", "not known")
    whole = {row["Profile"]: row for row in rows(profile_table(plan, [make_record(run) for run in runs]))}
    assert whole["cpu"]["The others, about"] == "-"


def test_runs_beyond_the_plan_are_listed(plan, make_record):
    trial = plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 1})
    record = make_record(trial)
    (row,) = rows(plan_table(plan, [record]), Priority="not in study.yml")
    assert (row["Network"], row["Changes"], row["Stored"]) == ("scgcnet tiny", "epochs 1", 1)
    assert [link.href for link in row["Runs"].items] == [record.file]


def test_increments_of_one_network_share_a_row(plan, make_record):
    runs = [run for run in plan.select("cpu") if run.model == "swin" and run.increment]
    first, *others = runs
    made = [make_record(first), *map(make_record, others[:2])]
    where = {"Network": "swin tiny", "Profile": "cpu", "Data": "landslide4sense, trained on bijie, by increments"}
    alone, after = rows(plan_table(plan, made), **where)
    assert (alone["Changes"], alone["Stored"], alone["Not run"]) == ("-", 1, 0)
    assert after["Changes"].startswith("epochs 10, lr 0.001")
    assert (after["Stored"], after["Not run"], after["Priority"]) == (2, 2, 5)
    links = after["Runs"].items
    assert [link.href for link in links] == [record.file for record in made[1:]]
    assert len({link.text for link in links}) == 2


def test_configurations_are_told_apart(plan, tiny):
    table = plan_table(plan, tiny)
    shown = [tuple(row[key] for key in ("Network", "Data", "Profile", "Changes")) for row in rows(table)]
    assert len(shown) == len(set(shown)) < len(plan.runs) / 2
    data = {row["Data"] for row in rows(table)}
    assert {"amunet, block split", "bijie, trained on landslide4sense + cld + amunet", "cld"} <= data
    priorities = table.frame["Priority"].tolist()
    assert priorities == sorted(priorities)
    (ours, *_) = rows(table, Network="scgcnet tiny", Profile="cpu", Data="bijie", Changes="-")
    assert ours["Priority"] == 1  # of its seeds; the other splits have 2


def test_runs_beyond_the_plan_are_whatever_they_are(plan, make_record):
    after = next(run for run in plan.select("cpu") if run.start)
    further = dataclasses.replace(after, seed=8, start=dataclasses.replace(after.start, seed=8))
    gone = dataclasses.replace(plan.select("cpu")[0], profile="gone", prediction={"views": 2, "thresholds": [0.5]})
    made = [make_record(further), make_record(gone, kind="synthetic")]
    first, second = rows(plan_table(plan, made), Priority="not in study.yml")
    assert (first["Data"], first["Stored"]) == ("landslide4sense, trained on bijie, by increments", 1)
    assert (second["Profile"], second["Changes"], second["Stored"]) == ("gone", "-", 1)  # nobody knows from what
    assert [row["Runs"].items[0].href for row in (first, second)] == [record.file for record in made]


def test_a_ledger_that_has_lost_lines_is_refused(tiny):
    look = Look("2026-01-01T00:00:00Z", "bijie", 0, tiny[0].run_id, "")
    elsewhere = dataclasses.replace(look, dataset="cld")  # a look of the same run, at another test part
    told = f"1 looks of {tiny[0].run_id} at bijie, whose run file counts 2: lines were lost"
    with pytest.raises(StoreError, match=told):
        look_table([look, elsewhere], [dataclasses.replace(tiny[0], test_looks=2)])


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


def test_what_is_stored_beyond_the_plan_is_listed(plan, capsys, make_record):
    trial = plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 1})
    record = make_record(trial)
    save(record)
    for profile, told in (("cpu", True), ("gpu", False)):
        assert main(["study", "list", "--profile", profile]) == 0
        assert (f"{record.run_id} " in capsys.readouterr().out) is told
    assert main(["study", "list"]) == 0
    assert re.search(rf"^{record.run_id} +\w+ +not in study.yml", capsys.readouterr().out, re.MULTILINE)
