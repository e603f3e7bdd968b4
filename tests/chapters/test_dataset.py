"""Numbers of the data set page; the eight runs of conftest.py are their source."""

from types import SimpleNamespace

import pytest
from counted import write_counted

from scgcnet import data
from scgcnet.chapters import dataset as page
from scgcnet.data import overlap
from scgcnet.study import results
from scgcnet.study.results import frame

NOTHING = frame([])


def test_headline(plan, stored, expect):
    expect(page.headline_table("bijie", plan, stored), "headline_bijie")
    expect(page.headline_table("cld", plan, stored), "headline_cld")
    expect(page.headline_table("bijie", plan, NOTHING), "headline_not_run")


def test_headline_in_words(plan, stored):
    text = page.headline_note("bijie", plan, stored).text
    for number in ("62.0 [57.0, 67.0] % (3 seeds on split 0, 154", "SCGC-Net 74.0 %, ICNet 75.0 %", "73.53 %"):
        assert number in text
    small = page.headline_note("cld", plan, stored).text
    assert "45.0 %" in small and "87.85" not in small  # eight images do not stand beside the paper
    assert "not run" in page.headline_note("hrgldd", plan, stored).text


def test_beside_the_paper(plan, stored, expect):
    measured, missing = page.comparison("bijie", "scgcnet", plan, stored)
    expect(measured, "comparison_bijie")
    assert set(missing.frame["Measured, 95 % interval"]) == set(missing.frame["Verdict"]) == {"not run"}
    assert missing.frame.set_index("Network").Condition["scgcnet base, profile paper"] == "same"
    (planned,) = page.comparison("bijie", "scgcnet", plan, NOTHING)
    assert len(planned.frame) == len(missing.frame) + 1
    (small, _) = page.comparison("cld", "scgcnet", plan, stored)
    assert set(small.frame.Paper) == {"-"} and set(small.frame.Condition) == {"other data"}


def test_test_time_augmentation(plan, stored, expect):
    expect(page.tta_table(plan, stored, "bijie"), "tta_bijie")
    assert set(page.tta_table(plan, NOTHING, "bijie").frame["Test IoU"]) == {"not run"}
    assert len(page.tta_table(plan, stored, "cld").frame) == 1


def test_synthetic_runs_never_stand_beside_the_paper(plan, make_record):
    made = frame([make_record(plan.select("smoke")[0], kind="synthetic")])
    for show, arguments in (
        (page.headline_table, ("bijie", plan, made)),
        (page.headline_note, ("bijie", plan, made)),
        (page.comparison, ("bijie", "scgcnet", plan, made)),
        (page.tta_table, (plan, made, "bijie")),
    ):
        with pytest.raises(ValueError, match="synthetic"):
            show(*arguments)


def test_scores_and_cost(plan, stored, make_record, expect):
    seeds = stored.iloc[:3]
    expect(page.score_table(seeds), "scores")
    expect(page.cost_table(seeds.iloc[:1]), "cost")
    with pytest.raises(ValueError, match="more than split and seed"):
        page.score_table(stored)
    fake = frame([make_record(plan.select("smoke")[0], kind="synthetic")])
    assert "not to be compared" in page.score_table(fake).caption and "synthetic" in page.cost_table(fake).caption


def test_the_share_that_scores_imply(stored):
    """Of 100 pixels 10 are landslide: 8 found, 2 missed, 4 falsely alarmed."""
    assert page.implied_share({"precision": 100 * 8 / 12, "recall": 80, "oa": 94}) == pytest.approx(10)
    note = page.counting_note("bijie", stored)
    assert note is not None and "8.65 %" in note.text
    assert page.counting_note("cld", stored) is None and page.counting_note("bijie", NOTHING) is None


def test_networks_of_a_page(project, plan, make_record):
    """Those of real runs are its own; for synthetic ones stored real runs are taken, if any were counted."""
    run, smoke = plan.select("cpu")[0], plan.select("smoke")[0]
    write_counted(make_record, run, [(1, 2, 3, 4)])
    stored, made = results.runs(), frame([make_record(smoke, kind="synthetic")])
    for runs, own, dataset, kind, note_kind in (
        ([run], stored, "bijie", "real", "note"),
        ([smoke], made, "bijie", "real", "note"),
        ([smoke], made, "cld", "synthetic", "warning"),
    ):
        (network,), note = page.page_networks(runs, own, dataset, plan, stored)
        assert (list(network.runs.data_kind), note.kind) == ([kind], note_kind)


def test_data_sets_that_are_not_available(project):
    table = page.count_table().frame.set_index("Data set")
    assert table.loc["bijie"].tolist() == ["770", "not available", "-", "-"]
    assert list(table.index) == [name for name in data.SOURCES if not name.startswith("synthetic")]


def test_shared_pixels_by_split(monkeypatch):
    seen = [SimpleNamespace(part="test", before="train", share=0.256)]
    found = {
        split: SimpleNamespace(parts=[SimpleNamespace(part="train", images=images)], seen=before)
        for split, images, before in (("random-0", 3, seen), ("scene-0", 2, []))
    }
    monkeypatch.setattr(data, "dataset_available", lambda name: name == "amunet")
    monkeypatch.setattr(overlap, "audit", lambda name, split: found[split], raising=False)
    shown = page.seen_table("amunet", list(found)).frame
    assert shown.columns.tolist() == ["Split", "Images, train", "test pixels seen in train (%)"]
    assert shown.to_numpy().tolist() == [["random-0", "3", "25.6"], ["scene-0", "2", "-"]]
    assert page.seen_table("cld", ["0"]).frame.to_numpy().tolist() == [["CLD is not available"]]
