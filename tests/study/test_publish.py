"""Weights and their card, of a tiny training on fakes."""

from dataclasses import replace

import pytest
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import find

from scgcnet import zoo
from scgcnet.data import write_fake
from scgcnet.study import publish as module
from scgcnet.study.publish import card, publish
from scgcnet.study.runner import run


def test_weights_are_published_with_their_threshold_and_card(project, tmp_path, monkeypatch):
    write_fake("bijie", tmp_path / "fakes", n=12, seed=0)
    write_fake("landslide4sense", tmp_path / "fakes", n=15, seed=1)
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "fakes"))
    changes = {"epochs": 1, "image_size": 32, "batch_size": 4}
    spec = replace(
        load_plan().make_run("bijie", "scgcnet", "tiny", "cpu", changes=changes), train=("bijie", "landslide4sense")
    )
    record = run(spec, progress=False)
    plan = replace(load_plan(), runs=(spec,))
    monkeypatch.setattr(module, "load_plan", lambda: plan)
    with pytest.raises(StoreError, match="is not stored: run it first"):
        publish(spec.run_id, "tiny-two")  # a run on generated images is none on real ones
    monkeypatch.setattr(module, "find", lambda run_id, kind, root: find(run_id, "synthetic", root))
    path = publish(spec.run_id, "tiny-two")
    assert path == project / "scgcnet" / "weights" / "tiny-two.safetensors"
    metadata = zoo.read_metadata(path)
    assert (metadata["run_id"], metadata["finished_utc"]) == (record.run_id, record.finished_utc)
    assert metadata["sources"] == "bijie, landslide4sense"
    assert float(metadata["threshold"]) in module.THRESHOLDS
    text = path.with_suffix(".md").read_text("utf-8")
    assert f"](../../results/runs/{record.run_id}.json)" in text
    assert "- Landslide4Sense as RGB pictures" in text
    assert text.count("\n| ") == 1 + 2 + 3  # head, two ways of counting, three other parts
    write_fake("bijie", tmp_path / "others", n=12, seed=5)
    write_fake("landslide4sense", tmp_path / "others", n=15, seed=1)
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "others"))
    with pytest.raises(StoreError, match="the images at hand, or their split, are not those that it was trained with"):
        publish(spec.run_id, "tiny-two")
    (project / "build" / "weights" / f"{spec.run_id}.safetensors").unlink()
    path.unlink()
    with pytest.raises(StoreError, match="are not at hand: run it again with --force"):
        publish(spec.run_id, "tiny-two")


def test_a_card_tells_what_was_never_seen(make_record):
    record = make_record(domains={"cld": {"test": {"n": 3, "tp": 1, "fp": 1, "fn": 2, "tn": 0}}})
    record.domains["empty"] = {"val": {"n": 2, "tp": 0, "fp": 1, "fn": 0, "tn": 3}}
    text = card("tiny-x", record, 0.45, 0.7)
    assert "\nThe val part of empty (never trained on) has no landslides; 25.00 % of its pixels are called so." in text
    assert "| val part of empty" not in text
    assert "| test part of cld (never trained on) | 50.00 | 33.33 | 40.00 | 25.00 |" in text
    assert "**Threshold best on validation:** 0.45" in text
    assert "it has seen one district and one sensor" in text
