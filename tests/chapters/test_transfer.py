"""Tables of what carries over between data sets."""

import pytest

from scgcnet.chapters import transfer
from scgcnet.study.networks import title_of
from scgcnet.study.results import frame

TARGETS = ["landslide4sense", "cld", "amunet", "bijie"]
WIDE = "all others, scale 0.4 to 2"


@pytest.fixture
def unseen(make_record):
    """The record of a run on a data set left out, with an IoU in percent over all its images."""

    def make(run, iou):
        counts = {"tp": 10 * iou, "fp": 600 - 5 * iou, "fn": 400 - 5 * iou, "tn": 0}
        parts = {part: {"n": n, **counts} for n, part in enumerate(("train", "val", "test"), start=1)}
        counted = {"val": (0, 9, 9, 0), "test": (1, 1, 0, 2)}
        home = {part: dict(zip(transfer.COUNTS, four, strict=True), n=4) for part, four in counted.items()}
        return make_record(run, domains=dict.fromkeys(run.train, home) | {run.dataset: parts})

    return make


@pytest.fixture
def recipes(plan):
    """The planned runs with a data set left out, by recipe and that data set."""
    found, planned = transfer.left_out(plan, frame([]), "domains"), {run.run_id: run for run in plan.select("domains")}
    return {
        recipe: {row.target: planned[row.run_id] for row in rows.itertuples()}
        for recipe, rows in found.groupby("recipe", sort=False)
    }


@pytest.fixture
def increments(plan):
    return transfer.increments(plan, "landslide4sense", "cpu")


@pytest.fixture
def ask(plan):
    """`increment_scores` of some stored runs."""
    return lambda stored, target="landslide4sense": transfer.increment_scores(plan, target, stored=stored)


def test_a_leak_is_one_row_for_each_way_to_split(plan, make_record):
    runs = {str(run.split): run for run in plan.runs if run.dataset == "amunet" and run.profile == "cpu"}
    made = [make_record(runs[split], iou) for split, iou in {"random-0": 0.7, "random-1": 0.6, "scene-1": 0.3}.items()]
    table = transfer.leak_table("amunet", plan, frame(made)).frame.set_index("Test part").drop(columns="What it is")
    wanted = [["70.0", "60.0", "65.0", "65.0"], ["not run"] * 4, ["not run"] * 4, ["not run", "30.0", "30.0", "30.0"]]
    assert table.astype(str).to_numpy().tolist() == wanted
    assert table.loc["random", "Test IoU, draw 0"].href == made[0].file
    with pytest.raises(ValueError, match="synthetic"):
        transfer.leak_table("amunet", plan, frame([make_record(runs["random-0"], kind="synthetic")]))


def test_the_last_row_has_the_recipe_that_is_best_elsewhere(plan, unseen, recipes):
    """ "all others" is best on CLD, and only there; WIDE is best on the sum of any three."""
    made = [
        unseen(run, 50 if (recipe, target) == ("all others", "cld") else 30 if recipe == WIDE else 10)
        for recipe, runs in recipes.items()
        for target, run in runs.items()
    ]
    table = transfer.left_out_table(plan, frame(made), "domains").frame.astype(str).set_index("Trained on")
    assert list(table.columns) == [*(f"{target} left out" for target in TARGETS), "Mean", "At home, mean"]
    assert list(table.loc["all others"]) == ["10.0", "50.0", "10.0", "10.0", "20.0", "60.0"]
    assert list(table.iloc[-1]) == ["30.0"] * 5 + ["-"]
    assert len(table) == len(recipes) + 1
    few = transfer.left_out_table(plan, frame(made[:1]), "domains").frame.astype(str)
    assert len(few) == len(recipes)
    assert list(few.iloc[0, 1:]) == ["10.0", "not run", "not run", "not run", "-", "-"]


def test_a_row_for_each_increment(increments, make_record, ask):
    home = {"bijie": {"test": {"n": 154, "tp": 70, "fp": 20, "fn": 10, "tn": 0}}}
    made = frame([make_record(increments["swin"][5], 0.25, domains=home, n=1584)])
    table = transfer.increment_table(ask(made), made)
    row = table.frame.astype(str).query("Network == 'Swin Transformer' and Increment == '5 %'").iloc[0]
    assert list(row[2:]) == ["25.0", "30.0", "35.0", "40.0", "70.0", "6.0 min"]
    assert (table.frame.astype(str) == "not run").to_numpy().sum() == 6 * 24
    assert "from bijie to landslide4sense, tiny, profile cpu, on 1,584 test images" in table.caption
    assert "plans no such runs" in str(transfer.increment_table(ask(made, "cld"), made))
    with pytest.raises(ValueError, match="synthetic"):
        ask(frame([make_record(increments["swin"][5], kind="synthetic")]))


def test_curves_are_of_stored_increments(increments, make_record, ask):
    made = frame([make_record(increments["scgcnet"][percent], iou) for percent, iou in ((20, 0.6), (0, 0.25))])
    scores = ask(made)
    curves = transfer.curves(scores)
    assert (list(curves["SCGC-Net"]), curves["Swin Transformer"]) == ([0, 20], {})
    assert curves["SCGC-Net"][0] == pytest.approx({"recall": 40, "iou": 25, "f1": 30})
    shown = {model: list(runs.run_id) for model, runs in transfer.at_percent(scores, 20, made).items()}
    assert shown == {title_of(model): [runs[20].run_id] * (model == "scgcnet") for model, runs in increments.items()}
    assert transfer.at_percent(scores, 3, made) == {}


def test_ranks_of_complete_curves(increments, make_record, ask):
    ious = {"scgcnet": (0.05, 0.1, 0.2, 0.3, 0.4), "swin": (0.07, 0.1, 0.2, 0.3, 0.35), "danet": (0.06, 0.1, 0.2)}
    made = [
        make_record(run, iou)
        for model, found in ious.items()
        for run, iou in zip(increments[model].values(), found, strict=False)
    ]
    scores = ask(frame(made))
    ours, theirs = (
        transfer.increment_note(scores, name, frame(made)).text for name in ("SCGC-Net", "Swin Transformer")
    )
    assert "IoU of SCGC-Net: 5 % with 0 %, 10 % with 1 %" in ours and "Of 2 networks" in ours
    assert "number 2 at 0 % and number 1 at 20 %, 5.0 points before Swin Transformer" in ours
    assert "DANet" in ours.rpartition("Not run")[2]
    assert "5.0 points behind SCGC-Net" in theirs
    assert transfer.increment_note(ask(frame(made[1:])), "SCGC-Net", frame(made)).title == "No curve yet"


def test_rates_at_home_and_the_winners_of_trials(plan, increments, make_record):
    best = {"scgcnet": 4e-3, "swin": 2e-3, "danet": 4e-3}
    tried = [run for run in plan.trials if run.model in best]
    trials = frame([make_record(run, 0.6 if run.settings["lr"] == best[run.model] else 0.5) for run in tried])
    text = transfer.rates_note(plan, increments, trials).text
    assert "SCGC-Net 0.002 (not the winner of its short trials, 0.004)" in text
    assert "Swin Transformer 0.002 (the winner of its short trials)" in text
    assert "VMamba 0.004 (no winner" in text
