"""Tables of what carries over between data sets, on records made by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from table_rows import rows

from scgcnet.study import domain_tables
from scgcnet.study.domain_tables import (
    NO_MEAN,
    at_percent,
    chosen_on_others,
    domain_table,
    images_note,
    increment_note,
    increment_runs,
    increment_scores,
    increment_table,
    leak_table,
    left_out_runs,
    left_out_table,
    rates_note,
    unseen_iou,
)
from scgcnet.study.material import open_material
from scgcnet.study.plan import at_home
from scgcnet.study.plan_reader import load_plan


@pytest.fixture
def plan(project):
    return load_plan()


@pytest.fixture
def unseen(make_record):
    """Builds the record of a run on a domain left out, with an IoU in percent over all its images."""

    def make(run, iou):
        found = {"tp": 10 * iou, "fp": 600 - 5 * iou, "fn": 400 - 5 * iou, "tn": 0}
        parts = {"train": {"n": 3, **found}, "val": {"n": 2, **found}, "test": {"n": 1, **found}}
        home = {name: {"test": {"n": 4, "tp": 1, "fp": 1, "fn": 0, "tn": 2}} for name in run.config["train_datasets"]}
        record = make_record(run)
        return replace(record, domains={**home, run.dataset: parts})

    return make


def test_a_leak_is_one_row_for_each_way_to_split(plan, make_record):
    planned = {str(run.split): run for run in plan.runs if run.dataset == "amunet" and run.profile == "cpu"}
    assert set(planned) == {f"{kind}-{n}" for kind in ("random", "block", "buffer", "scene") for n in (0, 1)}
    made = [make_record(planned["random-0"], 0.7), make_record(planned["random-1"], 0.6)]
    table = leak_table("amunet", plan, [*made, make_record(planned["scene-1"], 0.3)])
    random, block, _, scene = rows(table)
    assert (random["Test IoU, draw 0"].text, random["Test IoU, draw 1"].text) == ("70.0", "60.0")
    assert random["Test IoU, draw 0"].href == made[0].file
    assert (random["Mean"], random["Validation IoU, mean"]) == ("65.0", "65.0")
    assert block["Mean"] == block["Test IoU, draw 0"] == "not run"
    assert (scene["Test IoU, draw 0"], scene["Test IoU, draw 1"].text, scene["Mean"]) == ("not run", "30.0", "30.0")
    with pytest.raises(ValueError, match="synthetic data"):
        leak_table("amunet", plan, [make_record(planned["random-0"], kind="synthetic")])


def test_every_recipe_leaves_every_domain_out_once(plan):
    recipes = left_out_runs(plan, "domains")
    assert list(recipes)[:3] == ["one other alone", "all others", "all others, scale 0.4 to 2"]
    for recipe, runs in recipes.items():
        assert set(runs) == {"bijie", "cld", "amunet", "landslide4sense"}
        for target, run in runs.items():
            assert target not in run.train
            assert recipe == "one other alone" or set(run.train) == set(runs) - {target}


def test_unseen_images_are_counted_over_all_parts(plan, unseen, make_record):
    run = left_out_runs(plan, "domains")["all others"]["cld"]
    assert unseen_iou(unseen(run, 20)) == pytest.approx(20)
    with pytest.raises(ValueError, match="was trained on bijie"):
        unseen_iou(make_record())


def test_the_left_out_table_and_its_nested_choice(plan, unseen):
    recipes = left_out_runs(plan, "domains")
    # The first recipe is best on cld, and only there; the second is best on the sum of any others.
    wide = "all others, scale 0.4 to 2"

    def iou(recipe, target):
        return 50 if (recipe, target) == ("all others", "cld") else 30 if recipe == wide else 10

    made = [unseen(run, iou(recipe, target)) for recipe, runs in recipes.items() for target, run in runs.items()]
    table = left_out_table(plan, made, "domains")
    *shown, last = rows(table)
    assert len(shown) == len(recipes)
    (plain,) = (row for row in shown if row["Trained on"] == "all others")
    assert (plain["cld left out"].text, plain["bijie left out"].text, plain["Mean"]) == ("50.0", "10.0", "20.0")
    merged = {recipe: runs for recipe, runs in recipes.items() if recipe != "one other alone"}
    chosen = chosen_on_others(merged, {record.run_id: record for record in made})
    assert chosen["cld"].run_id == recipes[wide]["cld"].run_id  # cld itself has no say
    assert last["cld left out"].text == "30.0"
    few = left_out_table(plan, made[:1], "domains")
    assert rows(few)[0]["Mean"] == "-"
    assert rows(few)[-1]["Trained on"] != last["Trained on"]


def test_a_stale_run_is_never_averaged_and_no_recipe_chosen(plan, unseen, make_record):
    recipes = left_out_runs(plan, "domains")
    made = [unseen(run, 10) for runs in recipes.values() for run in runs.values()]
    old = recipes["all others"]["cld"].run_id
    made = [replace(one, code_sha256="1" * 64) if one.run_id == old else one for one in made]
    *shown, last = rows(left_out_table(plan, made, "domains"))
    (plain,) = (row for row in shown if row["Trained on"] == "all others")
    assert (plain["cld left out"].text, plain["Mean"]) == ("10.0 (stale)", NO_MEAN)
    assert plain["At home, mean"] == NO_MEAN
    assert {row["Mean"] for row in shown if row is not plain} == {"10.0"}
    assert {value for key, value in last.items() if key not in ("Trained on", "At home, mean")} == {NO_MEAN}
    run = next(run for run in plan.runs if run.dataset == "amunet" and str(run.split) == "random-0")
    (first, *_) = rows(leak_table("amunet", plan, [make_record(run, code_sha256="1" * 64)]))
    assert (first["Mean"], first["Validation IoU, mean"]) == (NO_MEAN, NO_MEAN)


def test_the_rates_of_the_networks_are_told(plan):
    runs = increment_runs(plan, "landslide4sense", "cpu")
    tried = [trial for trial in plan.trials if trial.model in ("scgcnet", "swin", "danet")]
    best = {"scgcnet": 4e-3, "swin": 2e-3, "danet": 4e-3}
    won = [
        SimpleNamespace(run_id=trial.run_id, val_iou=float(trial.settings["lr"] == best[trial.model]))
        for trial in tried
    ]
    text = rates_note(plan, runs, won).text
    assert "scgcnet 0.002 (that of the longer trials by hand, not the winner of its short ones, 0.004)" in text
    assert "swin 0.002 (the winner of its short trials)" in text
    assert "danet 0.004 (the winner of its short trials)" in text
    assert "vmamba 0.004 (no winner of trials is known)" in text
    assert rates_note(plan, {}, []).text == "No runs are planned."


def test_on_how_many_images_a_score_is(plan, make_record):
    runs = increment_runs(plan, "landslide4sense", "cpu")
    alone = make_record(
        next(r for r in plan.select("cpu") if r.dataset == "landslide4sense" and at_home(r.config)), 0.4
    )
    there = make_record(runs["scgcnet"][0], 0.1)
    text = images_note("landslide4sense", runs, [alone, there]).text
    assert text.startswith("All scores of this page are on 154 test images of landslide4sense; a training on")
    assert "comes to 40.0 %, on another choice of 154 of its images." in text
    assert images_note("landslide4sense", runs, []).text == "No run on landslide4sense is stored."


def test_domains_of_a_run(plan, unseen):
    run = left_out_runs(plan, "domains")["all others"]["cld"]
    table = rows(domain_table(unseen(run, 20)))
    assert {row["Data set"]: row["Seen in training"] for row in table} == {
        "cld": "no",
        **dict.fromkeys(run.train, "its training part"),
    }
    bijie = next(row for row in table if row["Data set"] == "bijie")
    assert (bijie["IoU"], bijie["Precision"], bijie["Recall"], bijie["False alarms"]) == (
        "50.00", "50.00", "100.00", "33.33",
    )  # fmt: skip
    record = replace(
        unseen(run, 20), domains={"bijie_negatives": {"test": {"n": 1, "tp": 0, "fp": 1, "fn": 0, "tn": 3}}}
    )
    (empty,) = rows(domain_table(record))
    assert (empty["IoU"], empty["Recall"], empty["False alarms"]) == ("-", "-", "25.00")


@pytest.fixture
def on_new_ground(plan):
    """The planned runs on Landslide4Sense after a training on Bijie, by network and percent."""
    return increment_runs(plan, "landslide4sense", "cpu")


def test_increments_are_planned_alike_for_every_network(plan, on_new_ground):
    assert set(on_new_ground) >= {"scgcnet", "convnext", "vmamba", "danet", "swin"}
    for model, increments in on_new_ground.items():
        assert list(increments) == [0, 1, 5, 10, 20]
        first, *others = increments.values()
        assert (first.model, first.train, first.start) == (model, ("bijie",), None)
        assert all(run.start.config == first.config for run in others)
    few = increment_runs(plan, "landslide4sense", "cpu", ["swin", "scgcnet"], [20, 0])
    assert {model: list(runs) for model, runs in few.items()} == {"swin": [0, 20], "scgcnet": [0, 20]}
    assert increment_runs(plan, "bijie", "cpu") == {} == increment_runs(plan, "landslide4sense", "cpu", ["unet"])


def test_increments_stand_in_their_order(on_new_ground, make_record):
    home = {"bijie": {"test": {"n": 4, "tp": 3, "fp": 1, "fn": 0, "tn": 2}}}
    base, swin = on_new_ground["scgcnet"][0], on_new_ground["swin"][5]
    made = [make_record(base, 0.25, domains=home, wall_s=90.0), make_record(swin, 0.5, domains=home)]
    table = increment_table(on_new_ground, made)
    assert table.caption.startswith("Scores from bijie to landslide4sense, tiny, profile cpu")
    first, *others = rows(table, Network="scgcnet")
    assert [row["Increment"] for row in (first, *others)] == ["0 %", "1 %", "5 %", "10 %", "20 %"]
    assert (first["IoU"].text, first["IoU"].href) == ("25.0", made[0].file)
    assert (first["F1"], first["IoU at home"], first["Training"]) == ("40.0", "75.0", "1.5 min")
    assert {cell for row in others for key, cell in row.items() if key not in ("Network", "Increment")} == {"not run"}
    assert [str(row["IoU"]) for row in rows(table, Network="swin")] == ["not run", "not run", "50.0"] + ["not run"] * 2
    assert not table.frame.isna().any().any()
    with pytest.raises(ValueError, match="synthetic data"):
        increment_table(on_new_ground, [make_record(base, kind="synthetic")])
    assert rows(increment_table({}, made)) == [{"Network": "study.yml plans no such runs"}]


def test_increments_of_a_figure_are_those_stored(on_new_ground, make_record):
    made = [make_record(on_new_ground["scgcnet"][percent], iou) for percent, iou in ((20, 0.6), (0, 0.25))]
    scores = increment_scores(on_new_ground, made)
    assert list(scores["scgcnet"]) == [0, 20]
    assert scores["scgcnet"][0] == {"recall": pytest.approx(100 / 3), "iou": 25.0, "f1": 40.0}
    assert scores["swin"] == {}
    shown = at_percent(on_new_ground, 20, made)
    assert (shown["scgcnet"], shown["swin"]) == (made[:1], [])
    assert set(shown) == set(on_new_ground)
    assert at_percent(on_new_ground, 3, made)["scgcnet"] == []


def test_the_curves_are_told_in_words(on_new_ground, make_record):
    ious = {"scgcnet": (0.05, 0.1, 0.2, 0.3, 0.4), "swin": (0.07, 0.1, 0.2, 0.3, 0.35), "danet": (0.06, 0.1, 0.2)}
    made = [
        make_record(run, iou)
        for model, found in ious.items()
        for run, iou in zip(on_new_ground[model].values(), found, strict=False)
    ]
    text = increment_note(on_new_ground, made, "scgcnet").text
    assert text.startswith("IoU of 2 networks by share of the new data set: 5.0 to 7.0 % at 0 %, 10.0 to 10.0 % at 1 %")
    assert "scgcnet is number 2 at 0 % and number 1 at 20 %, 5.0 points before swin." in text
    assert "Not run with all increments: " in text and "danet" in text
    assert "5.0 points behind scgcnet" in increment_note(on_new_ground, made, "swin").text
    assert increment_note(on_new_ground, made[1:], "scgcnet").title == "No curve yet"


def test_images_of_a_new_domain_are_those_never_in_its_pool(plan, on_new_ground):
    assert domain_tables.tested_part(on_new_ground, 5) is None  # the data are not at hand
    made_up = increment_runs(plan, "synthetic_elsewhere", "smoke")
    assert domain_tables.tested_part(made_up, 3) is None  # nobody is trained on 3 %
    test = domain_tables.tested_part(made_up, 20)
    assert (test.dataset, test.kind) == ("synthetic_elsewhere", "synthetic")
    assert test.names == domain_tables.tested_part(made_up, 0).names
    assert not set(test.indices) & set(open_material(made_up["scgcnet"][20]).train.datasets[-1].indices)
