"""Tables of what carries over between data sets, on records made by hand."""

from dataclasses import replace

import pytest
from table_rows import rows

from scgcnet.study.domain_tables import (
    chosen_on_others,
    domain_table,
    increment_table,
    leak_table,
    left_out_runs,
    left_out_table,
    unseen_iou,
)
from scgcnet.study.plan import load_plan


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


def test_increments_stand_in_their_order(plan, make_record):
    planned = [run for run in plan.runs if run.increment]
    base = min(planned, key=lambda run: run.increment.percent)
    assert base.start is None
    assert all(run.start.config == base.config for run in planned if run is not base)
    home = {"bijie": {"test": {"n": 4, "tp": 3, "fp": 1, "fn": 0, "tn": 2}}}
    record = make_record(base, 0.25, domains=home)
    (table,) = increment_table(plan, [record])
    first, *others = rows(table)
    assert [row["Increment"] for row in rows(table)] == ["0 %", "1 %", "5 %", "10 %", "20 %"]
    assert first["IoU (%)"].text == "25.0"
    assert first["IoU on the test part of bijie (%)"] == "75.00"
    assert {row["F1 (%)"] for row in others} == {"not run"}
