"""Networks trained on all sources: scores by source, joint intervals and marks, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scgcnet.chapters import merged
from scgcnet.study import results
from scgcnet.study.networks import Network


def counts(iou):
    """Pixels of which the IoU is so many percent."""
    return {"n": 2, "tp": iou, "fp": 100 - iou, "fn": 0, "tn": 900}


@pytest.fixture
def found(plan, project, make_record):
    """Two seeds of three networks: SCGC-Net scores 60 and 62 % everywhere, fcn 40 lower, unet as high."""
    planned = {run.model: run for run in plan.select("merged") if run.seed == 0}
    for model, below in {"scgcnet": 0, "fcn": 40, "unet": 0}.items():
        for seed in (0, 1):
            run = replace(planned[model], seed=seed)
            iou = 60 + 2 * seed - below
            domains = {source: {"test": counts(iou + 5 * (source == "cld"))} for source in merged.SOURCES}
            results.write(make_record(run, score=iou / 100, domains=domains))
    return merged.networks(plan)


def test_scores_are_those_of_the_source(found):
    table = merged.ious(found)
    assert list(table.columns) == [*merged.SOURCES.values(), "Mean"] and len(table) == 3
    assert table.Bijie.to_dict() == pytest.approx({"SCGC-Net": 61, "U-Net": 61, "FCN": 21})
    assert table.CLD["SCGC-Net"] == pytest.approx(66) and table.Mean["FCN"] == pytest.approx(22)
    assert table.index[-1] == "FCN"


def test_differences_are_marked_where_they_are_resolved(found):
    _, marks = merged.grid(found)
    assert marks == {("FCN", column): "-" for column in [*merged.SOURCES.values(), "Mean"]}
    against_fcn, against_unet = merged.effects(found)[merged.ALL]
    # Deviation over two seeds 2**0.5, pooled over three networks; no counts by image; two others.
    assert against_fcn.value == pytest.approx(40) and against_unet.value == pytest.approx(0)
    assert against_fcn.half == pytest.approx(4.177 * 2**0.5, rel=1e-3)


def test_words_and_numbers(found):
    note = merged.standing_note(found)
    assert "number 1 of 3" in note.text and "0 above it, 1 below (FCN)" in note.text
    assert len(merged.score_table(found).frame) == 3 * len(merged.SOURCES)


def test_nothing_run(plan, project):
    found = merged.networks(plan)
    assert merged.ious(found).empty and merged.grid(found)[1] == {}
    assert merged.standing_note(found).title == "Not run"
    assert "no run" in merged.score_table(found).frame.iloc[0, 0]


def test_counts_of_images_of_another_source(plan, project, make_record):
    run = plan.select("merged")[0]
    record = make_record(run, domains={source: {"test": counts(60)} for source in merged.SOURCES})
    one = {"name": "one", "group": "one", "site": "", "resolution": None, "native": [1, 0, 0, 9]}
    one |= {"resized": [6, 4, 0, 9], "components": [], "alarms": [], "boundary": []}
    kept = {key: getattr(record, key) for key in ("run_id", "finished_utc", "data_kind")}
    images = [one, {**one, "name": "other", "resized": [3, 7, 0, 9], "source": "cld"}]
    details = results.Details.model_validate({**kept, "widths": [2], "images": images, "free": []})
    results.write(record, details)
    network = Network("a", run, results.runs())
    assert network.images.image.tolist() == ["one"] and network.counts().tolist() == [[[6, 4, 0, 9]]]
    assert replace(network, source="cld").images.image.tolist() == ["other"]


def test_images_that_a_difference_needs():
    frame = merged.power_table(deviation=1.0, error=0.5, images=100).frame
    # Two points with four seeds: variance (2/1.96)**2 = 1.04, of which 0.5 is the seeds'; 100 images have 0.25.
    assert frame.iloc[1].to_dict() == {
        "Difference of IoU": "2 points", "1 seed": "not to be seen", "2 seeds": "607", "4 seeds": "47", "8 seeds": "32",
    }  # fmt: skip
