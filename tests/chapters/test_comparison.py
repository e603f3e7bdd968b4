"""The comparison of networks: who takes part, Table I, paired differences, the order, repeated trainings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from counted import write_counted

from scgcnet.chapters import comparison
from scgcnet.study import results
from scgcnet.study.networks import chosen_runs, rate_trials
from scgcnet.study.show import Table

GOOD, FAIR, POOR = (80, 30, 20, 870), (50, 10, 50, 890), (30, 0, 70, 900)


def rows(table):
    return table.frame.to_dict("records")


@pytest.fixture
def planned(project, plan):
    """The compared runs on Bijie before any trial, by network, with the first seed."""
    return {one.name: one.run for one in comparison.networks("bijie", plan)}


@pytest.fixture
def highest_wins(project, plan, make_record):
    """Trials of which the highest rate wins, 4e-3."""
    for trial in plan.trials:
        results.write(make_record(trial, 100 * trial.settings["lr"], metrics=None))


@pytest.fixture
def store(planned, make_record):
    """Stores ten images of a network for each seed; without images a score alone."""

    def write(model, *seeds):
        for seed, given in enumerate(seeds):
            run = replace(planned[model], seed=seed)
            if isinstance(given, float):
                results.write(make_record(run, given, n=10))
            else:
                write_counted(make_record, run, [given] * 10)

    return write


def test_without_trials_the_first_planned_run_is_taken(plan, planned):
    assert len(planned) == 18 and next(iter(planned)) == "SCGC-Net"
    assert {run.seed for run in planned.values()} == {0}
    found = comparison.networks("bijie", plan, models=["unet", "scgcnet"])
    assert [one.name for one in found] == ["SCGC-Net", "U-Net"]
    assert [run.seed for run in comparison.planned_runs(found[:1], plan)] == [0, 1, 2]
    (ours,) = comparison.networks("cld", plan)
    assert (ours.run.dataset, ours.run.model, len(ours.runs)) == ("cld", "scgcnet", 0)
    assert comparison.networks("landslide4sense", plan, "paper") == []


def test_the_rate_of_the_highest_validation_iou_is_chosen(plan, highest_wins):
    winners = chosen_runs(plan, results.trials(), "bijie", "cpu")
    assert {winners[name].settings["lr"] for name in ("scgcnet", "fcn")} == {0.004}
    tried = rate_trials(plan, results.trials(), "bijie", "cpu")
    assert tried.val_iou.notna().all() and tried.model.nunique() == 18
    assert chosen_runs(plan, results.trials(), "cld", "cpu") == {}


class TestTableOne:
    def test_the_best_is_on_top_and_no_network_is_missing(self, plan, planned, make_record, expect):
        write_counted(make_record, planned["U-Net"], [(30, 0, 10, 60), (40, 0, 20, 40)] * 77)
        for seed, score in enumerate((0.60, 0.62, 0.64)):
            results.write(make_record(replace(planned["SCGC-Net"], seed=seed), score))
        results.write(make_record(planned["SegNeXt"], 0.5))  # announced by the paper, not in its Table I
        table = comparison.table_one("bijie", comparison.networks("bijie", plan), plan)
        assert sorted(table.frame["Network"]) == sorted(planned)
        expect(Table(table.frame[:5], ""), "table_one")

    def test_few_images_are_other_data(self, plan, project, make_record):
        (ours,) = comparison.networks("cld", plan)
        columns = ["IoU, paper", "IoU, measured", "Difference", "Condition"]
        for n, wanted in ((154, ["-", "80.0", "-", "other data"]), (4173, ["87.85", "80.0", "-7.8", "scaled down"])):
            results.write(make_record(ours.run, 0.8, n=n))
            (row,) = rows(comparison.table_one("cld", comparison.networks("cld", plan), plan))
            assert [row[name] for name in columns] == wanted

    def test_synthetic_runs_are_refused(self, plan, project, make_record):
        smoke = next(run for run in plan.select("smoke") if run.unaltered)
        results.write(make_record(smoke, kind="synthetic"))
        found = comparison.networks("synthetic", plan, "smoke")
        assert sum(len(one.runs) for one in found) == 1
        with pytest.raises(ValueError, match="synthetic data"):
            comparison.table_one("bijie", found, plan)
        with pytest.raises(ValueError, match="synthetic data"):
            comparison.order_note("synthetic", found, plan, "smoke")


class TestDifferences:
    def test_differences(self, plan, store, expect):
        store("SCGC-Net", (50, 0, 50, 0), (51, 0, 49, 0))
        store("SegNeXt", (70, 0, 30, 0), (71, 0, 29, 0))
        store("U-Net", (40, 0, 60, 0))
        store("FCN", 0.5)
        found = comparison.networks("bijie", plan, models=["scgcnet", "segnext", "unet", "fcn", "swin"])
        expect(comparison.difference_table(found, "SCGC-Net"), "differences")
        assert comparison.difference_rows(found, "SCGC-Net") == {
            "SegNeXt": (*[pytest.approx(20)] * 3, "better"),
            "U-Net": (*[pytest.approx(-10)] * 3, "unresolved"),
        }
        ranks, critical, cliques = comparison.rank_parts(found)
        assert (list(ranks), cliques) == (
            ["SegNeXt", "SCGC-Net", "U-Net"],
            [["SegNeXt", "SCGC-Net"], ["SCGC-Net", "U-Net"]],
        )
        assert 1 < critical < 2
        assert comparison.rank_parts(found[:1]) == ({}, 0.0, [])
        assert len(rows(comparison.difference_table(found[:1], "SCGC-Net"))) == 1

    def test_where_a_network_stands(self, plan, store):
        """Ours misses 50 of 100 landslide pixels and adds 10; SegNeXt misses 20 and adds 30."""
        store("SCGC-Net", FAIR, FAIR)
        store("SegNeXt", GOOD, GOOD)
        store("U-Net", 0.9)
        found = comparison.networks("bijie", plan)
        note = comparison.standing_note(found, "SCGC-Net")
        assert note.title == "SCGC-Net does not lead"
        assert "number 3 of 3 by mean IoU at the network's input size (first: U-Net)" in note.text
        assert "On the same test images 1 of 1 others differ from it; beyond the spread over seeds 1 does" in note.text
        assert "SCGC-Net misses 50.0 % and falsely adds 10.0 %" in note.text
        assert "SegNeXt misses 20.0 % and falsely adds 30.0 %" in note.text
        assert comparison.standing_note(found, "U-Net").title == "U-Net leads"
        for others, name in ((found[:1], "SCGC-Net"), ([], "SCGC-Net"), (found, "FCN")):
            assert comparison.standing_note(others, name).title == "No ranking yet"


class TestOrder:
    def test_agreement_with_the_paper(self, plan, store):
        """Paper: ours 73.53, SegFormer 64.36, U-Net 50.45; here U-Net 70, ours 62, SegFormer 50: one pair agrees."""
        store("U-Net", 0.7)
        store("SCGC-Net", 0.62)
        store("SegNeXt", 0.9)  # not in the paper's table
        assert comparison.paper_order("bijie", comparison.networks("bijie", plan)) == ""
        store("SegFormer", 0.5)
        assert "is -0.33 (3 networks" in comparison.paper_order("bijie", comparison.networks("bijie", plan))

    def test_seeds_and_rates(self, plan, highest_wins, make_record):
        def text():
            return comparison.order_note("bijie", comparison.networks("bijie", plan), plan).text

        first = chosen_runs(plan, results.trials(), "bijie", "cpu")["scgcnet"]
        results.write(make_record(first, 0.55))
        assert "1 of 18 networks have a single seed. 18 of the 18 winning rates" in text()
        slower = {**first.settings, "lr": 0.002}
        results.write(make_record(replace(first, settings=slower), 0.6))
        assert "SCGC-Net, changes validation IoU by +5.0 points." in text()
        for seed in (1, 2):
            results.write(make_record(replace(first, seed=seed), 0.55 + seed / 50))
        assert "0 of 18 networks have a single seed; " in text() and "test IoU: SCGC-Net 4.0. " in text()


def test_curves_and_leading_networks(plan, store, monkeypatch):
    store("SCGC-Net", 0.6)
    store("U-Net", 0.7)
    store("SegNeXt", 0.8)
    found = comparison.networks("bijie", plan)
    assert {name: history[0]["val_iou"] for name, history in comparison.curves(found).items()} == {
        "SCGC-Net": 0.6, "U-Net": 0.7, "SegNeXt": 0.8
    }  # fmt: skip
    monkeypatch.setattr(results, "weights_of", lambda run_id, utc: Path("x") if "segnext" not in run_id else None)
    assert [one.name for one in comparison.leading(found, "SCGC-Net", 2)] == ["SCGC-Net", "U-Net"]


def test_repeated_trainings(plan, store, project):
    store("SCGC-Net", 0.70, 0.72, 0.74)  # at native size 60, 62, 64 %
    ids = results.runs().run_id.tolist()
    lines = [f"2026,{ids[0]},0.58,true", f"2026,{ids[1]},0.66,true", f"2026,{ids[1]},0.62,false", "2026,gone,0.9,true"]
    (project / comparison.RERUNS).write_text("\n".join(["utc,run_id,iou,code_changed", *lines]) + "\n")
    found = rows(comparison.rerun_table())
    changes = [(row["Before"], str(row["Now"]), row["Difference"]) for row in found]
    assert changes == [("58.0", "60.0", "+2.0"), ("66.0", "62.0", "-4.0"), ("62.0", "62.0", "+0.0")]
    text = comparison.rerun_note().text
    assert "2 runs of Bijie" in text and "-4.0 to +2.0 points (mean -1.0, standard deviation 4.2)" in text
    assert "is 2.8 points (1 configurations)" in text  # a variance of 4 for one run, of 8 for the difference of two
    assert "Fewer than two" in comparison.rerun_note("cld").text
