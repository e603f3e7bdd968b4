from types import SimpleNamespace

import numpy as np
import pytest
from table_rows import rows

from scgcnet.study.opening import data_note, data_table, made_table, page_note
from scgcnet.study.plan import PlanError
from scgcnet.study.plan_reader import load_plan


@pytest.fixture
def plan(project):
    return load_plan()


def test_notes_say_what_a_page_was_run_on(plan):
    assert data_note(plan.select("smoke")[0], plan, {}).kind == "warning"
    assert data_note(plan.select("cpu")[0], plan, {}).title == "Real data, scaled down"
    assert data_note(plan.select("paper")[0], plan, {}).title == "The paper's protocol"
    fakes = {"train": SimpleNamespace(kind="synthetic")}  # made-up images in the place of the real ones
    assert data_note(plan.select("cpu")[0], plan, fakes).title == "Synthetic data"


def test_data_that_is_not_at_hand_says_so():
    assert rows(data_table({})) == [{"Part": "all", "Images": "not at hand"}]


def test_the_share_of_landslide_is_of_the_known_pixels():
    mask = np.array([[1, 0, 0, 255], [255, 255, 255, 255]], np.uint8)
    unknown = np.full((2, 4), 255, np.uint8)

    class Part(list[SimpleNamespace]):
        kind = "real"

    part = Part([SimpleNamespace(mask=mask), SimpleNamespace(mask=unknown)])
    (row,) = rows(data_table({"test": part}))
    assert row["Landslide share, mean over images"] == "33.3 %"


def test_a_page_says_which_of_its_numbers_mean_nothing(plan):
    note = page_note(plan, "smoke")
    assert (note.kind, note.title) == ("warning", "Synthetic data")
    assert plan.profile("smoke").about in note.text and "stored runs on real images" in note.text
    real = page_note(plan, "cpu")
    assert (real.kind, real.title) == ("note", "Real data")
    assert plan.profile("cpu").about in real.text and "made-up" not in real.text
    with pytest.raises(PlanError, match="no profile 'quick'"):
        page_note(plan, "quick")


def test_what_a_page_trained_for_itself_has_rows_and_links(plan, make_record):
    run = next(run for run in plan.select("smoke") if "dilations" in run.overrides)
    made = make_record(run, 0.25, kind="synthetic", wall_s=2.4)
    table = made_table([made, make_record(plan.select("cpu")[0], 0.9)])
    (row,) = rows(table)  # of a real run its own tables tell
    assert (row["Network"], row["What differs"], row["Seed"]) == ("scgcnet tiny", "dilations 1/1/1; 1/1/1", 0)
    assert (row["Epochs"], row["Time"], row["File"].href) == (1, "2 s", made.file)
    (score,) = (key for key in row if "Validation IoU" in key)
    assert "means nothing" in score and row[score] == "25.0"
    (plain,) = rows(made_table([make_record(plan.select("smoke")[0], kind="synthetic")]))
    assert plain["What differs"] == "-"


def test_rows_of_one_network_are_told_apart(plan, make_record):
    """By how much of a new place was trained on, and by the weights of the losses."""
    places = [run for run in plan.select("smoke") if run.increment and run.model == "convnext"]
    weights = [trial for trial in plan.loss_trials if trial.profile == "smoke"]
    for runs in (places, weights):
        shown = [row["What differs"] for row in rows(made_table([make_record(run, kind="synthetic") for run in runs]))]
        assert len(runs) > 2 and len(set(shown)) == len(runs)
    assert "loss 0.5/0.5/0" in shown


def test_a_page_that_trained_nothing_counts_what_it_shows(plan, make_record):
    for count in (0, 2):
        stored = [make_record(run) for run in plan.select("cpu")[:count]]
        assert list(made_table(stored).frame.iloc[0]) == [count]
