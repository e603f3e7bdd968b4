"""Tables II and III: experiments of the paper found among the planned runs, and beside its numbers."""

import pytest

from scgcnet.chapters import ablations
from scgcnet.chapters.ablations import WHOLE, experiment_runs, experiment_table, experiments, gain_table, networks
from scgcnet.study import PlanError
from scgcnet.study.results import frame
from scgcnet.study.runs import plain

MODULES = [f"A{n}" for n in range(1, 9)]
RATES = [f"B{n}" for n in range(1, 8)]


@pytest.fixture
def made(plan, make_record):
    """On Bijie: A1 with 50, 52 and 54 %, A2 with 60 % once, A8 with 70 and 72 %."""
    ious = {"A1": (0.50, 0.52, 0.54), "A2": (0.60,), "A8": (0.70, 0.72)}
    pairs = [
        pair for name, iou in ious.items() for pair in zip(experiment_runs([name], plan, "cpu"), iou, strict=False)
    ]
    return frame(make_record(run, iou) for run, iou in pairs)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["A9"], "there is no 'A9'; the names are A1, A2"),
        (["A1", "C3"], "there is no 'C3'"),
        (["A1", "B1"], "some of one table, A1 to A8 or B1 to B7"),
        ([], "some of one table"),
    ],
)
def test_unknown_or_mixed_experiments_are_refused(plan, names, message):
    with pytest.raises(PlanError, match=f"experiments: .*{message}"):
        networks(names, plan)


@pytest.mark.parametrize(("profile", "dataset", "size"), [("cpu", "bijie", "tiny"), ("paper", "cld", "base")])
@pytest.mark.parametrize("names", [MODULES, RATES])
def test_every_experiment_is_planned_with_two_seeds(plan, profile, dataset, size, names):
    planned = experiment_runs(names, plan, profile)
    for name in names:
        expected = {} if name in WHOLE else plain(dict(experiments([name])[name]))
        runs = [run for run in planned if run.config["overrides"] == expected]
        assert [run.seed for run in runs] == list(range(len(runs))) and len(runs) >= 2
        assert {(run.dataset, run.size, run.split, run.model) for run in runs} == {(dataset, size, 0, "scgcnet")}
        assert all(run.settings == plan.profile(profile).settings for run in runs)


def test_table_two_as_printed_and_as_measured(plan, made):
    table = experiment_table(networks(["A1", "A2", "A3", "A8"], plan, stored=made), plan).frame
    columns = ["Network", "IoU, paper, CLD", "IoU, measured, Bijie", "Recall, measured, Bijie", "Repeats", "Condition"]
    expected = [
        ["baseline", "79.16", "52.0 [47.0, 57.0]", "67.0 [62.0, 72.0]", "3 seeds", "other data"],
        ["HMIE", "83.80", "60.0", "75.0", "1 seed", "other data"],
        ["CAM", "81.10", "not run", "not run", "0 seeds", "other data"],
        ["HMIE + CAM + PSCCS", "87.85", "71.0 [58.3, 83.7]", "86.0 [73.3, 98.7]", "2 seeds", "other data"],
    ]
    assert table[columns].to_numpy().tolist() == expected
    assert [link.href for link in table.Runs[0].items] == list(made.file[:3])
    assert (table.Cost[2], str(table.Runs[2])) == ("-", "-")


def test_table_three_tells_the_rates(plan, made):
    table = experiment_table(networks(["B1", "B6"], plan, stored=made), plan)
    assert table.caption.startswith("Table III")
    assert list(table.frame.Network) == ["1/1/1; 1/1/1", "2/2/2 3/3/3; 3/3/3 5/5/5"]
    assert list(table.frame["IoU, measured, Bijie"]) == ["not run", "71.0 [58.3, 83.7]"]


@pytest.mark.parametrize(("n", "condition"), [(None, "same"), (154, "other data"), (4173, "same")])
def test_on_the_papers_data_its_networks_are_the_same(plan, make_record, n, condition):
    runs = experiment_runs(["A1", "A8"], plan, "paper", seeds=[0])
    stored = frame([make_record(run, n=n) for run in runs] if n else [])
    table = experiment_table(networks(["A1", "A8"], plan, "paper", stored), plan)
    assert list(table.frame.Condition) == [condition] * 2


def test_synthetic_runs_are_refused(plan, make_record):
    stored = frame([make_record(run, kind="synthetic") for run in experiment_runs(["A8"], plan, "cpu", seeds=[0])])
    found = networks(["A1", "A8"], plan, stored=stored)
    for table in (lambda: experiment_table(found, plan), lambda: gain_table(found, [("A1", "A8")])):
        with pytest.raises(ValueError, match="synthetic"):
            table()


def test_the_effect_of_each_step(plan, made):
    """Pooled over A1 and A8: variance 10 / 3 with 3 degrees of freedom, half = 3.182 * 1.826 * (1/3 + 1/2)**0.5."""
    steps = [("A1", "A2"), ("A1", "A8"), ("A8", "A1"), ("A5", "A8")]
    table = gain_table(networks(MODULES, plan, stored=made), steps).frame
    expected = [
        ["A1 to A2", "HMIE", "+4.64", "+8.0", "+1.3 to +14.7", "better"],
        ["A1 to A8", "HMIE, CAM, PSCCS", "+8.69", "+19.0", "+13.7 to +24.3", "better"],
        ["A8 to A1", "", "-8.69", "-19.0", "-24.3 to -13.7", "worse"],
        ["A5 to A8", "PSCCS", "+1.84", "not run", "-", "not run"],
    ]
    assert table.drop(columns="Runs").to_numpy().tolist() == expected
    assert [link.href for link in table.Runs[0].items] == list(made.file[:4])
    (row,) = gain_table(networks(["A1"], plan, stored=made), [("A1", "A8")]).frame.to_dict("records")
    assert row["Outcome"] == "not run"


def test_bars_and_the_networks_to_look_into(plan, made, make_record):
    found = networks(["A1", "A2", "A3", "A8"], plan, stored=made)
    shown = ablations.bars(found)
    assert shown["A1 no part"] == pytest.approx((52, 47.03, 56.97), abs=0.01)
    assert (shown["A2 HMIE"], shown["A3 CAM"]) == (pytest.approx((60, 60, 60)), None)
    own = frame([make_record(run, kind="synthetic") for run in experiment_runs(["A3", "A8"], plan, "cpu", seeds=[0])])
    preferred = {name: list(runs.file) for name, runs in ablations.preferred(found, own, ["A3", "A8"]).items()}
    assert preferred == {"A3": [own.file.iloc[0]], "A8": [*made.file[-2:], own.file.iloc[1]]}
    assert ablations.seeds_of(found[1]) == "one seed"


def test_the_parts_that_help(plan, made):
    found = networks(MODULES, plan, stored=made)
    note = ablations.steps_note(found)
    assert note.title == "HMIE alone helps beyond chance" and note.text.startswith(
        "Beyond chance, by intervals paired over seeds and"
    )
    assert "HMIE (A1 to A2) +8.0; HMIE, CAM, PSCCS (A1 to A8) +19.0 points of IoU." in note.text
    assert ablations.steps_note(networks(["A8"], plan, stored=made)).title == "No part alone helps beyond chance"
