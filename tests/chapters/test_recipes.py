"""What was chosen on validation: recipes, learning rates, loss weights, constructions."""

import math

import pandas as pd
import pytest

from scgcnet.chapters import recipes
from scgcnet.chapters.recipes import PAPER, grid, grid_note, grid_scores, grid_table
from scgcnet.study import PlanError, ResultError
from scgcnet.study.results import frame


@pytest.fixture
def make_trial(make_record):
    """Builds a trial by F1 and IoU (fractions of 1) of its second epoch, which was kept; others have more F1."""

    def make(run, f1=0.7, iou=0.5, **fields):
        rows = [(0, 0.1, 0.99), (1, iou, f1), (2, 0.2, 0.98)]
        history = [{"epoch": epoch, "val_iou": iou, "val_f1": f1} for epoch, iou, f1 in rows]
        return make_record(run, metrics=None, history=history, best_epoch=1, **fields)

    return make


def test_trials_by_hand(project):
    path = project / "results" / "trials.csv"
    with pytest.raises(ResultError, match=r"trials\.csv: cannot be read.*take it back from git"):
        recipes.trial_table("bijie")
    path.write_text("dataset,profile,trial,change,epochs,val_iou,note\nbijie,cpu,1,scale 0.75 to 1.5,40,0.654,\n")
    (row,) = recipes.trial_table("bijie").frame.to_numpy().tolist()
    assert row == ["cpu", "1", "scale 0.75 to 1.5", "40", "0.654", ""]
    (row,) = recipes.trial_table("cld").frame.to_numpy().tolist()
    assert row == ["none on CLD", *["-"] * 5]
    path.write_text("dataset,trial\nbijie,1\n")
    with pytest.raises(ResultError, match="cannot be read"):
        recipes.trial_table("bijie")


def test_rates_tried_best_and_taken(plan, make_trial):
    """UNet has all four rates, 2e-3 the best of them; FCN lacks one."""
    ious = {5e-4: 0.5, 1e-3: 0.55, 2e-3: 0.6, 4e-3: 0.6}
    made = [
        make_trial(run, iou=ious[run.settings["lr"]])
        for run in plan.trials
        if run.model == "unet" or (run.model == "fcn" and run.settings["lr"] < 4e-3)
    ]
    table = recipes.rate_table(plan, frame(made)).frame.set_index("Network")
    assert list(table.columns[1:5]) == ["Rate 0.0005", "Rate 0.001", "Rate 0.002", "Rate 0.004"]
    assert list(table.loc["unet tiny"].astype(str)) == [
        "bijie, cpu", "50.00", "55.00", "60.00", "60.00", "0.002", "0.002", "0.0005, 0.001, 0.002, 0.004"
    ]  # fmt: skip
    assert list(table.loc["fcn tiny", ["Rate 0.004", "Best"]]) == ["not run", "not run"]
    assert "no trials are planned on CLD" in str(recipes.rate_table(plan, frame(made), "cld"))


def test_other_recipes_stand_below_the_usual_one(plan, make_record, make_trial):
    usual = next(run for run in plan.select("cpu") if run.model == "scgcnet" and run.dataset == "bijie")
    trials = frame([make_trial(plan.recipe_trials[1], iou=0.71, wall_s=600)])
    table = recipes.recipe_table(plan, trials, frame([make_record(usual, 0.7)]), "bijie").frame.astype(str)
    assert set(table.Network) == {"scgcnet tiny, profile cpu, seed 0"}
    assert table.drop(columns="Network").to_numpy().tolist() == [
        ["the profile's own", "70.00", "6.0 min"],
        ["ema_decay 0.995", "not run", "-"],
        ["image_size 192, ema_decay 0.995", "71.00", "10.0 min"],
        ["image_size 256, ema_decay 0.995", "not run", "-"],
    ]
    assert "no other recipes are planned on CLD" in str(recipes.recipe_table(plan, trials, trials, "cld"))


@pytest.mark.parametrize(("step", "points"), [(0.1, 66), (0.2, 21), (0.5, 6), (1, 3)])
def test_the_grid_of_a_step(plan, step, points):
    found = grid(plan, "cpu", step)
    assert len(found) == points and (PAPER in found) == (step in (0.1, 0.2))
    for weights, trial in found.items():
        assert sum(weights) == pytest.approx(1)
        assert all(weight / step == pytest.approx(round(weight / step)) for weight in weights)
        assert tuple(trial.settings["loss"].values()) == weights
        assert (trial.profile, trial.dataset) == ("cpu", "bijie")
    assert tuple(plan.profile("paper").settings["loss"].values()) == PAPER


@pytest.mark.parametrize("step", [0, -0.1, 0.3, 2])
def test_a_step_that_does_not_divide_is_refused(plan, step):
    with pytest.raises(PlanError, match=rf"step {step}: must divide 1"):
        grid(plan, "cpu", step)
    with pytest.raises(PlanError, match=r"plans no loss weights with the profile gpu at steps of 0\.1"):
        grid(plan, "gpu", 0.1)


def test_the_best_weights_come_first_and_those_not_run_last(plan, make_trial):
    planned = grid(plan, "cpu", 0.2)
    f1 = {(1.0, 0.0, 0.0): None, PAPER: 0.71, (0.0, 0.0, 1.0): 0.735}  # undefined: nothing was predicted
    made = frame(
        [make_trial(planned[weights], score, (score or 0) / (2 - (score or 0))) for weights, score in f1.items()]
    )
    scores = grid_scores(planned, made)
    assert len(scores) == 21 and scores.val_f1[PAPER] == pytest.approx(71)
    table = grid_table(scores).frame
    assert table.head(4).astype(str).to_numpy().tolist() == [
        ["0", "0", "1", "-", "73.50", "58.10"],
        ["0.4", "0.4", "0.2", "the paper's choice", "71.00", "55.04"],
        ["1", "0", "0", "-", "0.00", "0.00"],
        ["0", "0.2", "0.8", "-", "not run", "not run"],
    ]
    assert table["Validation F1"][0].href == made.file.iloc[2]


@pytest.mark.parametrize(
    ("found", "noise", "told"),
    [
        ({"a": 72, "paper": 71.25, "b": 73}, 1.0, ["number 3 with 71.25", "0, 0.5, 0.5, has 73.00", ": 1 others"]),
        ({"a": 72, "paper": 71.25, "b": 73, "c": 60}, 1.75, [": 2 others"]),
        ({"a": 73, "paper": 73}, 0.0, ["number 1 with", ": 1 others"]),
        ({"paper": 70, "a": 71}, math.nan, ["number 2 with", "not known"]),
        ({"paper": 70}, 1.0, ["only the paper's", "70.00"]),
        ({"a": 70, "b": 71}, 1.0, ["2 of 5 combinations", "without the paper's"]),
        ({}, 1.0, ["0 of 5 combinations", "without the paper's"]),
    ],
)
def test_the_rank_of_the_papers_weights(found, noise, told):
    points = {"paper": PAPER, "a": (1, 0, 0), "b": (0, 0.5, 0.5), "c": (0, 0, 1), "d": (0, 1, 0)}
    index = pd.MultiIndex.from_tuples(points.values(), names=["dwce", "focal", "lovasz"])
    scores = pd.DataFrame({"val_f1": [found.get(name, math.nan) for name in points]}, index)
    text = grid_note(scores.sort_values("val_f1", ascending=False), noise).text
    assert all(part in text for part in told) and "nan" not in text


def test_the_noise_is_that_of_the_seeds_alone(plan, make_trial):
    """Runs on other data, splits, settings or networks differ in more than the seed, whatever they score."""
    settings = plan.profile("cpu").settings
    key = ("bijie", "scgcnet", 0, settings)
    ours = [r for r in plan.select("cpu") if (r.dataset, r.model, r.split, r.settings) == key and r.unaltered]
    seeds = [make_trial(run, f1) for run, f1 in zip(ours, (0.70, 0.72, 0.715), strict=True)]
    others = [make_trial(run, 0.1) for run in plan.select() if run not in ours]
    assert recipes.seed_noise(frame([*others, *seeds]), plan, "cpu") == pytest.approx(2)
    assert math.isnan(recipes.seed_noise(frame([*others, seeds[0]]), plan, "cpu"))


@pytest.fixture
def built(plan, make_record):
    """Stored runs built as `base` and as `lean`, by their validation IoU, fractions of 1; the test IoU is 60 %."""

    def make(base, lean):
        found = []
        for kind, ious, gmac in (("conv", base, 0.15), ("depthwise", lean, 0.05)):
            runs = [run for run in plan.runs if run.overrides.get("msle") == kind]
            for run, iou in zip(runs, ious, strict=False):
                history = [{"epoch": 0, "val_iou": iou, "val_f1": 0.5}]
                found.append(make_record(run, history=history, gmac=gmac))
        return frame(found)

    return make


def test_cost_stands_beside_accuracy(plan, built, make_trial):
    trials = frame([make_trial(plan.construction_trials[1], iou=0.7)])
    found = recipes.constructions(plan, built((0.69, 0.71), (0.70, 0.72)), trials, "bijie")
    tiny, base, lean, *tried = recipes.construction_table(found).frame.astype(str).to_numpy().tolist()
    assert tiny == ["tiny, as it is", "not run", "not run", "not run", "0", "-", "not run"]
    assert base[0].startswith("as base, msle conv, context nested") and base[2] == "0.1500"
    assert lean[0].startswith("as lean, msle depthwise")
    assert lean[1:] == ["1.18 M", "0.0500", "71.0 [58.3, 83.7]", "2", "seed 0, seed 1", "60.0 [60.0, 60.0]"]
    assert tried[0] == ["as lean, but neck_width 24", "not run", "not run", "not run", "0", "-", "-"]
    assert tried[1][3:] == ["70.0", "1", "seed 0", "-"]
    nothing = recipes.constructions(plan, frame([]), frame([]), "cld")
    assert "none are planned" in str(recipes.construction_table(nothing))
    assert recipes.construction_note(nothing).title == recipes.single_changes_note(nothing).title == "Not run"


@pytest.mark.parametrize(
    ("base", "lean", "told"),
    [
        ((0.69, 0.71), (0.70, 0.72), "the seeds do not resolve the difference; the difference of the means is +1.00"),
        ((0.68, 0.685, 0.69), (0.70, 0.705, 0.71), "it is better; the difference of the means is +2.00 points, over"),
        ((0.70, 0.701), (0.50, 0.501), "it is worse"),
    ],
)  # fmt: skip
def test_the_difference_is_judged_over_seeds(plan, built, base, lean, told):
    text = recipes.construction_note(recipes.constructions(plan, built(base, lean), frame([]), "bijie")).text
    assert told in text and "67 % fewer multiplications" in text


def test_single_changes_beside_one_more_seed(plan, built, make_trial):
    """Three seeds of lean at 70, 70.5 and 71 %; of four more at once with 95 %: t(0.99375, 2) is 8.86."""
    tried = [(0.761, 0.055), (0.69, 0.03), (0.72, 0.051), (0.65, 0.045)]
    planned = plan.construction_trials
    trials = frame([make_trial(run, iou=iou, gmac=gmac) for run, (iou, gmac) in zip(planned, tried, strict=False)])
    found = recipes.constructions(plan, built((), (0.70, 0.705, 0.71)), trials, "bijie")
    text = recipes.single_changes_note(found).text
    assert "4 of 11 changes" in text and "65.4 to 75.6 %" in text
    assert "Above: neck_width 24 76.1 at +10 % cost; below: msle bottleneck, msle_mid 0.25 65.0 at -10 % cost" in text
    assert "within, and cheaper: neck_width 8, cu_width 8 69.0 at -40 % cost" in text
    assert text.endswith("within, and no cheaper: downsample conv3 72.0 at +2 % cost.")
