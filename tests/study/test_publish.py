"""Published weights: their threshold, model card, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scgcnet import zoo
from scgcnet.data import write_fake
from scgcnet.scene.score import BINS
from scgcnet.study import publish as module
from scgcnet.study import results
from scgcnet.study.plan import Plan
from scgcnet.study.publish import card, publish
from scgcnet.study.results import PartCounts, Record, ResultError
from scgcnet.study.runner import run
from scgcnet.study.runs import Run


@pytest.mark.slow
def test_weights_are_published_with_their_threshold_and_card(
    project: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_fake("bijie", tmp_path / "fakes", n=12, seed=0)
    write_fake("landslide4sense", tmp_path / "fakes", n=15, seed=1)
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "fakes"))
    changes = {"epochs": 1, "image_size": 32, "batch_size": 4, "views": "windows", "epoch_images": 8}
    spec = replace(
        plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes=changes), train=("bijie", "landslide4sense")
    )
    record, find = run(spec, progress=False), results.find
    monkeypatch.setattr(module, "load_plan", lambda: replace(plan, runs=(spec,)))
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    with pytest.raises(ResultError, match="not stored"):
        publish(spec.run_id, "tiny-two")  # a run on synthetic images is none on real ones
    monkeypatch.setattr(results, "find", lambda run_id, kind: find(run_id, "synthetic"))
    path = publish(spec.run_id, "tiny-two")
    assert path == tmp_path / "weights" / "tiny-two.safetensors"
    metadata = zoo.read_metadata(path)
    assert (metadata["run_id"], metadata["finished_utc"]) == (record.run_id, record.finished_utc)
    assert metadata["sources"] == "bijie, landslide4sense"
    assert 0 < float(metadata["threshold"]) < 1 and float(metadata["temperature"]) > 0
    text = path.with_suffix(".md").read_text("utf-8")
    assert record.run_id in text and text.count("\n| ") == 1 + 2 * 2  # head; maps of two parts of two sources

    write_fake("bijie", tmp_path / "others", n=12, seed=5)
    write_fake("landslide4sense", tmp_path / "others", n=15, seed=1)
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "others"))
    with pytest.raises(ResultError, match=rf"{spec.run_id}: these images"):
        publish(spec.run_id, "tiny-two")


def test_a_card_names_parts_never_trained_on(store: Callable[..., Record], ours: list[Run]) -> None:
    domains = {
        "cld": {"test": PartCounts(n=3, tp=1, fp=1, fn=2, tn=0)},
        "empty": {"val": PartCounts(n=2, tp=0, fp=1, fn=0, tn=3)},
    }
    record = store(ours[0], [(8, 1, 1, 90)]).model_copy(update={"domains": domains})
    text = card("tiny-x", record, {"threshold": "0.45"}, 0.7)
    assert "\nThe val part of empty (never trained on) has no landslides; 25.00 %" in text
    assert "| val part of empty" not in text
    assert "| test part of cld (never trained on) | 50.00 | 33.33 | 40.00 | 25.00 |" in text
    assert "0.45" in text


def counts(landslide: dict[int, int], other: dict[int, int], quiet: int = 0) -> dict[str, dict[str, object]]:
    """Of maps and of outlined landslides alike."""
    filled = [[found.get(place, 0) for place in range(BINS)] for found in (landslide, other)]
    made = {"images": 4, "quiet": quiet, "landslide": filled[0], "other": filled[1], "alarmed": [1] * (BINS - 1)}
    return {"map": made, "outlines": made}


def test_weights_that_map_are_calibrated_on_all_sources(store: Callable[..., Record], plan: Plan) -> None:
    hills = counts({18: 90, 9: 10}, {1: 90, 11: 20})
    maps = {"cld": {"val": hills, "test": hills}, "landslide_free": {"val": counts({}, {1: 100}, quiet=4)}}
    (threshold, peak), heat, iou = module.calibrate(maps, {})
    assert iou == pytest.approx(0.9) and heat > 0
    assert peak == pytest.approx(1 / (1 + math.exp(-math.log(0.6 / 0.4) / heat)))
    assert threshold == pytest.approx(1 / (1 + math.exp(-math.log(0.4 / 0.6) / heat)))
    softer = counts({8: 100}, {1: 90, 6: 20})  # where a network has not been
    unseen = {name: {**maps, name: {"all": softer}} for name in ("cld", "sichuan")}
    assert module.raw_threshold(maps, {}) == pytest.approx(0.6) and module.raw_threshold(maps, unseen) < 0.45
    left_out = next(run for run in plan.select("windows") if run.dataset == "cld" and run.size == "lite0")
    store(left_out, [(8, 1, 1, 90)], maps=maps | {"cld": {"all": hills}, "amunet": {"val": hills}})
    run = next(run for run in plan.select("windows") if run.dataset in run.train)
    text = card("lite0", store(run, [(8, 1, 1, 90)], maps=maps), {"threshold": "0.4", "peak": "0.6"}, iou)
    assert "a landslide reaches 0.6 somewhere and is outlined at 0.4" in text
    assert "| maps of 4 images, test part of cld | 100.0 | 90.0 | 94.7 | 90.0 |" in text
    assert (
        "Of the val part of landslide_free, which has no landslides, 0.00 % of the pixels and 25 % of 4 images" in text
    )
    assert "each left out in turn, a shorter training): 90 on cld; mean IoU 90 %" in text
