"""The atlas holds what was predicted; limits and thresholds come from the validation part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_atlas import fake_atlas
from subjects import Bright, Given, picture

from scgcnet.explain.atlas import GRID, Atlas, RunFacts, Shown, make_atlas
from scgcnet.explain.failures import Limits, assess_prediction, describe, reliability
from scgcnet.metrics import Confusion
from scgcnet.train.predict import predict

SIDE, THRESHOLD = 32, 0.6
VAL = Given(picture("v1", (0, 8), (0, 12)), picture("v2", (4, 20), (8, 16)), picture("v3", (0, 0), (0, 4)))
TEST = Given(picture("t1", (0, 8), (4, 8)), picture("t2", (8, 24), (0, 16)), picture("t3", (0, 0), (0, 0)))
FREE = Given(picture("f1", (0, 0), (0, 9)), dataset="free")


def shown(run_id: str, side: int = SIDE) -> Shown:
    run = RunFacts(run_id, f"net {run_id}", "x.json", "given", 0.5)
    return Shown(run, Bright().eval(), side, THRESHOLD, VAL)


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return make_atlas([shown("a"), shown("b")], TEST, "0", [FREE])


def test_every_test_image_in_its_order(atlas: Atlas) -> None:
    assert [entry.facts.name for entry in atlas.entries] == ["t1", "t2", "t3"]
    assert [(entry.facts.name, entry.facts.dataset) for entry in atlas.free] == [("f1", "free")]
    assert (atlas.kind, atlas.dataset, atlas.split) == ("synthetic", "given", "0")
    assert make_atlas([shown("a")], TEST, "0", []).free == ()


def test_probabilities_are_those_of_the_network(atlas: Atlas) -> None:
    wanted = predict(Bright().eval(), TEST, range(3), SIDE)
    for entry, probability in zip(atlas.entries, wanted, strict=True):
        for model in range(2):
            # Rounded to the nearest of 256 levels before it was enlarged.
            assert np.abs(entry.values(model) / 255 - probability).max() < 0.5 / 255 + 1e-5
            called = entry.called(model, THRESHOLD)
            assert entry.predictions[model].tp == Confusion.of(called, entry.sample.mask).tp


def test_a_large_output_is_averaged_down() -> None:
    made = make_atlas([shown("a", side=2 * GRID)], Given(TEST[0]), "0", [])
    assert made.entries[0].small[0].shape == (GRID, GRID)


def test_limits_are_of_the_validation_part(atlas: Atlas) -> None:
    values = [255.0 * one.astype(np.float64) for one in predict(Bright().eval(), VAL, range(3), SIDE)]
    judged = [assess_prediction(sample, one, THRESHOLD) for sample, one in zip(VAL, values, strict=True)]
    for model in atlas.models:
        assert model.limits == Limits.of([describe(sample, "given") for sample in VAL], judged)
        found = reliability((sample.mask, one) for sample, one in zip(VAL, values, strict=True))
        assert model.calibration["validation"].pixels.tolist() == found.pixels.tolist()


def test_best_threshold_on_test() -> None:
    atlas = fake_atlas()
    for place, model in enumerate(atlas.models):

        def pooled(threshold: float, place: int = place) -> float:
            counts = (Confusion.of(one.values(place) > 255 * threshold, one.sample.mask) for one in atlas.entries)
            return sum(counts, Confusion()).scores()["iou"]

        best = max(range(1, 100), key=lambda step: pooled(step / 100))
        assert model.best_on_test == best / 100
        assert model.test_iou[best - 1] == pooled(best / 100)


def test_examples_are_the_worst_of_each_kind_once() -> None:
    atlas = fake_atlas()
    kinds = (("built",), ("built", "vague"), ("vague",), (), ("other",))
    entries = tuple(replace(entry, causes=(why, why)) for entry, why in zip(atlas.entries, kinds, strict=True))
    shown = replace(atlas, entries=entries).examples()
    first = min(entries[:2], key=lambda entry: entry.predictions[0].iou)
    second = min((e for e in entries[1:3] if e is not first), key=lambda entry: entry.predictions[0].iou)
    assert [entry for _, entry in shown] == [first, second, entries[4]]
    assert shown[-1][0] == "no rule explains it"
    assert replace(atlas, entries=()).examples() == []
