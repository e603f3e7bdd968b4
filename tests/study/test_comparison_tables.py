from types import SimpleNamespace

import pytest
from table_rows import rows

from scgcnet.study.comparison_tables import compared, compared_curves, order_note, scoreboard, trial_table
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import load_plan


@pytest.fixture
def plan(project):
    return load_plan()


def test_all_networks_stand_in_one_table_the_best_on_top(plan, tiny, make_record):
    planned = {run.model: run for run in reversed(plan.select("cpu")) if run.dataset == "bijie" and run.seed == 0}
    made = [make_record(planned["unet"], 0.7), make_record(planned["segnext"], 0.5)]
    chosen = {run.model: run for run in compared("bijie", plan, [], "cpu")}
    assert len(chosen) == 18 and chosen["scgcnet"].config == tiny[0].config  # no trial is there: the first
    table = scoreboard("bijie", plan, [*tiny, *made], [], "cpu")
    assert [row["Network"] for row in rows(table)][:3] == ["unet", "scgcnet", "segnext"]
    unet, ours, segnext = rows(table)[:3]
    assert (unet["IoU, paper"], unet["IoU, measured"], unet["F1, paper"]) == ("50.45", "70.00", "67.07")
    assert ours["IoU, measured"] == "60.00"  # of seed 0 on split 0 alone, as the others
    assert [link.href for link in ours["Run"].items] == [tiny[0].file]
    assert segnext["IoU, paper"] == "-"  # announced by the paper, not in its table
    assert {row["Condition"] for row in rows(table)} == {"equal compute, tiny"}
    (fcn,) = rows(table, Network="fcn")
    assert fcn["IoU, measured"] == fcn["F1, measured"] == "not run"
    assert len(rows(table)) == 18
    with pytest.raises(ValueError, match="synthetic data"):
        scoreboard("bijie", plan, [make_record(planned["unet"], kind="synthetic")], [], "cpu")
    (row,) = rows(scoreboard("synthetic", plan, [], [], "cpu"))
    assert row["Network"] == "study.yml plans no comparison on synthetic with the profile cpu"
    assert list(compared_curves("bijie", plan, made, [], "cpu")) == ["unet", "segnext"]


def test_what_the_order_is_worth_is_computed(plan, tiny, make_record):
    assert order_note("bijie", plan, tiny, [], "cpu").title == "No order yet"
    trials = [SimpleNamespace(run_id=trial.run_id, val_iou=trial.settings["lr"]) for trial in plan.trials]  # 4e-3 wins
    ours = {
        run.settings["lr"]: run for run in plan.select("cpu") if (run.model, run.seed, run.split) == ("scgcnet", 0, 0)
    }
    winner = make_record(ours[0.004], 0.55)
    text = order_note("bijie", plan, [*tiny, winner], trials, "cpu").text
    assert "18 of the 18 winning rates are the highest of the list." in text
    assert "3 seeds of scgcnet differ by 4.0 points of test IoU." in text  # 60, 62, 64 %
    assert "for scgcnet, its validation IoU is 5.0 points higher than that of the winner" in text  # 60 against 55


def test_trials_are_those_of_the_data_set(project):
    (project / "results").mkdir(exist_ok=True)
    (project / "results" / "trials.csv").write_text(
        "dataset,profile,trial,change,epochs,val_iou,note\n"
        "bijie,cpu,1,first,40,0.5,\nbijie,cpu,2,second,40,0.6,chosen\nother,cpu,1,third,40,0.7,\n"
    )
    table = trial_table("bijie")
    assert table.frame["Recipe"].tolist() == ["first", "second"]
    assert table.frame["Validation IoU, best epoch"].tolist() == ["0.5", "0.6"]
    assert "none on cld" in str(trial_table("cld"))
    for damaged in (b"", b"dataset,profile\nbijie,cpu\n", b"\xff\xfe\xff", b'dataset,"profile\n'):
        (project / "results" / "trials.csv").write_bytes(damaged)
        with pytest.raises(StoreError, match=r"trials\.csv: cannot be read: .*; take it back from git"):
            trial_table("bijie")
