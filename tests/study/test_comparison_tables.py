from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
from table_rows import rows

from scgcnet.study.comparison_tables import (
    compared,
    compared_curves,
    compared_runs,
    contestants,
    difference_rows,
    difference_table,
    furthest_table,
    order_note,
    paper_order,
    ranking_parts,
    recipe_table,
    standing,
    table_one,
    trial_table,
)
from scgcnet.study.contest import gather, rank_all
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Training, Trial


@pytest.fixture
def plan(project):
    return load_plan()


@pytest.fixture
def planned(plan):
    """The runs that are compared on Bijie as long as no trial is there: by network, with the first seed."""
    return {one.name: one.run for one in contestants("bijie", plan, [], [], "cpu")}


def highest_wins(plan):
    """Trials of which the highest rate wins, 4e-3."""
    return [SimpleNamespace(run_id=trial.run_id, val_iou=trial.settings["lr"]) for trial in plan.trials]


def test_contestants_have_the_seeds_of_the_rate_that_won(plan, planned, tiny, make_record):
    assert len(planned) == 18 and next(iter(planned)) == "scgcnet"
    assert planned["scgcnet"].config == tiny[0].config  # no trial is there: the first
    assert planned == {run.model: run for run in compared("bijie", plan, [], "cpu")}
    winners = {run.model: run for run in compared("bijie", plan, highest_wins(plan), "cpu")}
    assert {winners[name].settings["lr"] for name in ("scgcnet", "fcn")} == {0.004}
    faster = [make_record(replace(winners["scgcnet"], seed=seed), 0.5) for seed in (0, 1)]
    ours, *others = contestants("bijie", plan, [*tiny, *faster], highest_wins(plan), "cpu")
    assert (ours.name, ours.records) == ("scgcnet", tuple(faster))
    assert [one.records for one in others] == [()] * 17
    ours, *_ = contestants("bijie", plan, [*tiny, *faster], [], "cpu")
    assert ours.records == tuple(tiny[:3])  # the three seeds on split 0
    two = contestants("bijie", plan, tiny, [], "cpu", ["unet", "scgcnet"])
    assert [one.name for one in two] == ["scgcnet", "unet"]


def test_without_trials_the_planned_runs_are_compared_as_they_are(plan, planned):
    (ours,) = contestants("cld", plan, [], [], "cpu")
    assert (ours.run.dataset, ours.run.model, ours.run.seed) == ("cld", "scgcnet", 0)
    whole = contestants("cld", plan, [], [], "paper")
    assert sorted(one.name for one in whole) == sorted(planned)
    assert {(one.run.dataset, one.run.split, one.run.seed) for one in whole} == {("cld", 0, 0)}
    assert not any(one.run.overrides or one.run.train for one in whole)
    assert contestants("landslide4sense", plan, [], [], "paper") == []


def test_runs_of_a_comparison_are_all_seeds_that_are_planned(plan, planned):
    runs = compared_runs(["bijie"], plan, [], "cpu", ["unet", "scgcnet"])
    assert [(run.model, run.seed) for run in runs if run.model == "scgcnet"] == [("scgcnet", n) for n in (0, 1, 2)]
    assert {run.run_id for run in runs} <= {run.run_id for run in plan.runs}
    assert {run.split for run in runs} == {0}
    made_up = compared_runs(["bijie", "cld"], plan, [], "smoke")
    assert {run.model for run in made_up} == set(planned)
    assert {(run.dataset, run.profile) for run in made_up} == {("synthetic", "smoke")}
    assert not any(run.overrides or run.train for run in made_up)


def test_table_one_has_the_best_on_top_and_everyone_in_it(plan, planned, tiny, make_record, make_details):
    made = [
        make_details(planned["unet"], [(30, 0, 10, 60), (40, 0, 20, 40)]),
        make_record(planned["segnext"], 0.5),
        make_record(planned["swin"], 0.3),
    ]
    table = table_one("bijie", contestants("bijie", plan, [*tiny, *made], [], "cpu"), plan)
    assert table.caption.startswith("Table I on Bijie: as printed, and as measured")
    assert [row["Network"] for row in rows(table)][:4] == ["unet", "scgcnet", "segnext", "swin"]
    assert sorted(table.frame["Network"]) == sorted(planned)
    unet, ours, segnext, swin = rows(table)[:4]
    assert (unet["IoU, paper"], unet["IoU, measured"], unet["F1, paper"]) == ("-", "70.00", "-")
    columns = list(table.frame)
    assert columns[columns.index("Difference") + 1] == "Condition"
    assert unet["95 % over test images"] == "66.67 to 75.00 (1 of 1 seed)"  # the second image twice, the first twice
    assert (unet["Condition"], unet["Difference"]) == ("other data", "-")  # two images are not the paper's
    assert ours["IoU, measured"] == "62.00 [57.03, 66.97]"  # 60, 62, 64 % on split 0 alone
    assert (ours["Repeats"], ours["95 % over test images"]) == ("3 seeds", "-")
    assert (ours["Condition"], ours["Difference"]) == ("scaled down", "-11.53")
    assert [link.href for link in ours["Runs"].items] == [record.file for record in tiny[:3]]
    assert (segnext["IoU, paper"], segnext["Difference"]) == ("-", "-")  # announced by the paper, not in its table
    assert (swin["IoU, measured"], swin["Difference"]) == ("30.00", f"{30 - 68.69:+.2f}")
    (fcn,) = rows(table, Network="fcn")
    names = ("IoU", "F1", "Precision", "Recall", "Overall accuracy")
    assert {fcn[f"{name}, measured"] for name in names} == {"not run"}
    assert (fcn["IoU, paper"], fcn["Repeats"], fcn["Difference"], str(fcn["Runs"])) == ("60.41", "0 seeds", "-", "-")
    assert {row["Condition"] for row in rows(table)} == {"other data", "scaled down"}
    assert not table.frame.isna().any().any() and "" not in table.frame.map(str).to_numpy()


def test_synthetic_runs_do_not_stand_beside_the_paper(plan, planned, make_record):
    found = contestants("bijie", plan, [make_record(planned["unet"], kind="synthetic")], [], "cpu")
    for show in (lambda: table_one("bijie", found, plan), lambda: paper_order("bijie", found)):
        with pytest.raises(ValueError, match="synthetic data: it cannot stand beside the paper"):
            show()


def test_a_small_part_of_cld_is_other_data(plan, make_record):
    (ours,) = contestants("cld", plan, [], [], "cpu")
    few = make_record(ours.run, 0.8)  # on 154 images
    whole = replace(few, metrics={**few.metrics, "per_image": {**few.metrics["per_image"], "n": 4173}})

    def shown(records):
        (row,) = rows(table_one("cld", contestants("cld", plan, records, [], "cpu"), plan))
        return row["IoU, paper"], row["IoU, measured"], row["Difference"], row["Condition"]

    assert shown([few]) == ("-", "80.00", "-", "other data")
    assert shown([whole]) == ("87.85", "80.00", "-7.85", "scaled down")
    assert shown([]) == ("87.85", "not run", "-", "scaled down")


def test_a_data_set_without_a_comparison_says_so(plan):
    (row,) = rows(table_one("hrgldd", [], plan))
    assert row == {"Network": "study.yml plans no comparison on hrgldd with this profile"}
    (ours,) = rows(table_one("landslide4sense", contestants("landslide4sense", plan, [], [], "cpu"), plan))
    assert (ours["Network"], ours["IoU, paper"], ours["Condition"]) == ("scgcnet", "-", "other data")


def test_differences_and_what_they_are_worth(plan, planned, make_record, make_details):
    """Ten images of 100 pixels, all of them alike: SegNeXt is 20 points ahead in two seeds, U-Net behind in one."""
    hits = {"scgcnet": (50, 51), "segnext": (70, 71), "unet": (40,)}
    records = [
        make_details(replace(planned[name], seed=seed), [(hit, 0, 100 - hit, 0)] * 10)
        for name, found in hits.items()
        for seed, hit in enumerate(found)
    ]
    found = contestants("bijie", plan, [*records, make_record(planned["fcn"])], [], "cpu", [*hits, "fcn"])
    table = difference_table(found, "scgcnet")
    assert [row["Network"] for row in rows(table)] == ["segnext", "unet", "fcn"]
    segnext, unet, fcn = rows(table)
    assert segnext["IoU minus that of scgcnet"] == "+20.00"
    assert segnext["95 % over test images"] == "+20.00 to +20.00"
    assert segnext["Outcome"] == "better"
    low, high = (float(end) for end in segnext["95 % over all seeds, jointly"].split(" to "))
    assert (low, high) == (pytest.approx(16.96, abs=0.01), pytest.approx(23.04, abs=0.01))  # 4.303 * sqrt(1/4 + 1/4)
    assert float(segnext["p, adjusted"]) < 0.01  # 2 of 1024 ways to swap the names, twice
    assert [link.href for link in segnext["Runs"].items] == [record.file for record in records[2:4]]
    assert (segnext["Seeds of these"], unet["Seeds of these"]) == ("0, 1 of both", "0 of both")
    assert (unet["IoU minus that of scgcnet"], unet["95 % over all seeds, jointly"], unet["Outcome"]) == (
        "-10.00",  # 40 and 50 % with the one seed that both have
        "one seed: unknown",
        "unresolved: a single seed",
    )
    assert fcn["IoU minus that of scgcnet"] == "not counted by image"
    unrun = contestants("bijie", plan, records, [], "cpu", [*hits, "fcn"])
    (fcn,) = rows(difference_table(unrun, "scgcnet"), Network="fcn")
    assert fcn["IoU minus that of scgcnet"] == "not run"
    assert not table.frame.isna().any().any()
    assert difference_rows(found, "scgcnet") == {
        "segnext": (pytest.approx(20), pytest.approx(20), pytest.approx(20), "better"),
        "unet": (pytest.approx(-10), pytest.approx(-10), pytest.approx(-10), "unresolved"),
    }
    ranks, critical, cliques = ranking_parts(rank_all(found))
    assert (list(ranks), cliques) == (["segnext", "scgcnet", "unet"], [["segnext", "scgcnet"], ["scgcnet", "unet"]])
    assert 1 < critical < 2
    assert ranking_parts(None) == ({}, 0.0, [])


def test_where_a_network_stands_and_what_its_errors_are(plan, planned, make_record, make_details):
    """Ours misses 50 of 100 landslide pixels and adds 11 or 9 by seed; SegNeXt misses 20 and adds 30."""
    seeds = {"scgcnet": ((50, 11, 50, 89), (50, 9, 50, 91)), "segnext": ((80, 30, 20, 70), (80, 30, 20, 70))}
    records = [
        make_details(replace(planned[name], seed=seed), [counts] * 10)
        for name, found in seeds.items()
        for seed, counts in enumerate(found)
    ]
    records += [make_record(planned["unet"], 0.9), make_record(planned["swin"], 0.1)]  # not counted by image
    found = contestants("bijie", plan, records, [], "cpu")
    note = standing(found, "scgcnet")
    assert note.title == "scgcnet does not lead"
    assert "scgcnet is number 3 of 4 by mean IoU at the network's input size, where unet leads, and number" in note.text
    assert "At input size, of the 1 that were compared with it image by image" in note.text
    assert "1 are better, 0 worse, 0 unresolved." in note.text
    assert "scgcnet misses 50.0 % and falsely adds 10.0 %, segnext misses 20.0 % and falsely adds 30.0 %" in note.text
    assert standing(found, "unet").title == "unet leads"
    assert "misses" not in standing(found, "unet").text
    for others in (found[:1], []):
        assert standing(others, "scgcnet").title == "No standing yet"
    assert standing(found, "fcn").title == "No standing yet"


def test_nobody_to_compare_with_is_said(plan, planned, make_details):
    alone = gather({"unet": planned["unet"]}, [make_details(planned["unet"], [(30, 0, 10, 60), (40, 0, 20, 40)])])
    assert rows(difference_table(alone, "unet")) == [{"Network": "there is nobody to compare with unet"}]


def test_the_order_is_compared_with_the_papers(plan, planned, tiny, make_record):
    """The paper: ours 73.53, SegFormer 64.36, U-Net 50.45; here U-Net 70, ours 62, SegFormer 50: one pair agrees."""
    made = [make_record(planned["unet"], 0.7), make_record(planned["segformer"], 0.5)]
    text = paper_order("bijie", contestants("bijie", plan, [*tiny, *made], [], "cpu"))
    assert text.startswith("Over 3 networks the measured order agrees with that of the paper's Table I")
    assert "tau = -0.33 (p = 1.00;" in text
    segnext = make_record(planned["segnext"], 0.9)  # which is not in the paper's table
    few = paper_order("bijie", contestants("bijie", plan, [*made, segnext], [], "cpu"))
    assert few == "Too few networks were run to compare the order with the paper's."


def test_curves_are_those_of_the_compared_runs(plan, planned, make_record):
    made = [make_record(planned["unet"], 0.7), make_record(planned["segnext"], 0.5)]
    curves = compared_curves("bijie", plan, made, [], "cpu")
    assert list(curves) == ["unet", "segnext"]
    assert curves["segnext"] == made[1].history


def test_what_the_order_is_worth_is_computed(plan, tiny, make_record):
    assert order_note("bijie", plan, tiny, [], "cpu").title == "No order yet"
    trials = highest_wins(plan)
    (first,) = (run for run in compared("bijie", plan, trials, "cpu") if run.model == "scgcnet")
    winner = make_record(first, 0.55)
    text = order_note("bijie", plan, [*tiny, winner], trials, "cpu").text
    assert "1 of 18 networks have a single training" in text
    assert "18 of the 18 winning rates are the highest of the list." in text
    assert "span so many points" not in text  # those of 60, 62, 64 % have another rate
    differing = [make_record(replace(first, seed=seed), 0.5 + seed / 50) for seed in (0, 1, 2)]
    spread = order_note("bijie", plan, [*tiny, *differing], trials, "cpu").text
    assert "span so many points of test IoU at input size: scgcnet 4.0." in spread  # 50, 52, 54 %
    assert "for scgcnet, its validation IoU is 5.0 points higher than that of the winner" in text  # 60 against 55
    three = [make_record(replace(first, seed=seed), 0.5) for seed in (0, 1, 2)]
    assert "a single training" not in order_note("bijie", plan, three, trials, "cpu").text
    alone = order_note("bijie", plan, [winner], trials, "cpu").text
    assert "Where another rate" not in alone and "points of test IoU" not in alone


def test_the_order_is_told_by_both_ways_of_counting(planned, make_record):
    """U-Net leads at input size, ours at native size."""
    ours, unet = make_record(planned["scgcnet"], 0.6), make_record(planned["unet"], 0.7)
    found = gather({name: planned[name] for name in ("scgcnet", "unet")}, [ours, unet])
    assert "the order is the same both ways" in standing(found, "scgcnet").text
    turned = replace(ours, metrics={**ours.metrics, "pooled": {**ours.metrics["pooled"], "iou": 0.9}})
    found = gather({name: planned[name] for name in ("scgcnet", "unet")}, [turned, unet])
    note = standing(found, "scgcnet")
    assert note.title == "scgcnet does not lead"
    assert "number 2 of 2 by mean IoU at the network's input size, where unet leads, and number 1" in note.text
    assert "at native size, where scgcnet leads: the order depends on the way of counting." in note.text


def test_another_recipe_is_no_other_rate(plan, tiny, make_record):
    """A run with larger images or several views says nothing of the learning rate."""
    trials = highest_wins(plan)
    (first,) = (run for run in compared("bijie", plan, trials, "cpu") if run.model == "scgcnet")
    views = replace(first, settings={**first.settings, "lr": 0.002}, prediction={"views": 8, "thresholds": [0.5]})
    larger = replace(first, settings={**first.settings, "lr": 0.002, "image_size": 256})
    more = replace(plan, runs=(*plan.runs, views, larger))
    made = [make_record(first, 0.55), make_record(views, 0.9), make_record(larger, 0.9)]
    assert "Where another rate" not in order_note("bijie", more, made, trials, "cpu").text


def test_other_recipes_are_listed_with_what_they_change(plan, tiny, make_record):
    tried = [trial for trial in plan.recipe_trials if trial.dataset == "bijie"]
    record = make_record(tried[1], 0.5, wall_s=90.0)
    trial = Trial(**{field.name: getattr(record, field.name) for field in fields(Training)})
    table = recipe_table(plan, [trial], tiny, "bijie")
    usual, first, second, *_ = rows(table)
    assert len(rows(table)) == 1 + len(tried)
    assert (usual["Recipe"], usual["Validation IoU"].text) == ("the profile's own", "60.00")
    assert (first["Recipe"], first["Validation IoU"], first["Time"]) == ("ema_decay 0.995", "not run", "-")
    assert second["Recipe"] == "image_size 192, ema_decay 0.995"
    assert (second["Validation IoU"].text, second["Validation IoU"].href) == ("50.00", trial.file)
    assert second["Time"] == "1.5 min"
    assert rows(recipe_table(plan, [], tiny, "cld")) == [{"Network": "no other recipes are planned on cld"}]


def test_how_far_one_network_goes_stands_beside_the_paper(plan, make_record):
    ours, other = (run for run in plan.runs if run.prediction is not None)
    chosen = {"views": 8, "threshold": 0.6, "val_iou": 0.71}
    first, second = rows(furthest_table(plan, [make_record(ours, 0.7, prediction=chosen)], "bijie"))
    told = ("Views", "Threshold", "Validation IoU so", "Test IoU", "SCGC-Net, paper", "Difference", "Condition")
    assert tuple(first[name] for name in told) == (8, "0.6", "71.00", "70.00", "73.53", "-3.53", "scaled down")
    assert second["Network"].startswith(other.model) and second["Test IoU"] == "not run" and second["Difference"] == "-"
    assert rows(furthest_table(plan, [], "cld")) == [{"Network": "no such runs are planned on cld"}]
    with pytest.raises(ValueError, match="synthetic data"):
        furthest_table(plan, [make_record(ours, kind="synthetic")], "bijie")


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
