"""Counts by probability: the scores, alarms and temperature that follow from them, and the scales of an image."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_scenes import Bright

from scgcnet.data import Sample
from scgcnet.metrics import Confusion
from scgcnet.scene.predict import predict_image
from scgcnet.scene.score import (
    BINS,
    MapCounts,
    best_threshold,
    count_maps,
    hysteresis,
    mean_iou,
    scales_of,
    temperature,
)


def blank(height: int, width: int, resolution: float | None = None) -> Sample:
    return Sample("s", np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8), resolution)


@given(st.integers(0, 10_000), st.integers(1, BINS - 1))
def test_scores_at_an_edge_are_those_of_the_pixels(seed: int, edge: int) -> None:
    rng = np.random.default_rng(seed)
    probability = rng.random((20, 30)).astype(np.float32)
    sample = Sample("s", np.zeros((20, 30, 3), np.uint8), rng.choice(np.array([0, 1, 255], np.uint8), (20, 30)))
    counts = MapCounts()
    counts.add(probability, sample)
    assert counts.confusion(edge / BINS) == Confusion.of(np.floor(probability * BINS) >= edge, sample.mask)
    again = MapCounts.from_dict(counts.to_dict())
    assert again.to_dict() == counts.to_dict()


@given(st.integers(0, 10_000))
def test_a_patch_is_kept_whole_if_it_reaches_the_high_one(seed: int) -> None:
    probability = np.random.default_rng(seed).random((12, 15)).astype(np.float32)
    plain = probability > 0.6
    assert (hysteresis(probability, 0.6, 0.6) == plain).all()
    kept = hysteresis(probability, 0.4, 0.6)
    assert (kept >= plain).all() and (kept <= (probability > 0.4)).all()
    assert (hysteresis(probability, 0.4, 0.8) <= kept).all()
    counts = MapCounts()
    counts.add(probability, blank(12, 15), outlined=True)
    assert counts.confusion(0.6).fp == kept.sum()


def test_a_dim_patch_is_dropped_and_a_bright_one_keeps_its_extent() -> None:
    probability = np.array([[0.5, 0.9, 0.5, 0.1, 0.5, 0.5]], np.float32)
    assert hysteresis(probability, 0.4, 0.7).tolist() == [[True, True, True, False, False, False]]


@pytest.mark.parametrize(("resolution", "side", "alarm"), [(None, 6, 1), (None, 5, 0), (2.0, 5, 1), (0.5, 19, 0)])
def test_an_alarm_needs_an_area(resolution: float | None, side: int, alarm: float) -> None:
    probability = np.zeros((64, 64), np.float32)
    probability[10 : 10 + side, 10 : 10 + side] = 0.9
    counts = MapCounts()
    counts.add(probability, blank(64, 64, resolution))
    assert counts.alarms(0.5) == alarm
    assert counts.alarms(0.95) == 0
    assert math.isnan(MapCounts().alarms(0.5))


def test_maps_of_a_bright_patch_agree_at_every_scale() -> None:
    sample = blank(200, 320)
    sample.image[40:120, 60:220] = 255
    sample.mask[40:120, 60:220] = 1
    counts = count_maps(Bright(), [sample], window=128)
    assert list(counts) == ["0.5", "1", "2", "map", "outlines"]
    for way, found in counts.items():
        assert found.confusion(0.5).scores()["iou"] > 0.95, way
    shrunk = predict_image(Bright(), sample.image, 128, 0.25, [0.5])
    assert shrunk.shape == (200, 320) and shrunk[80, 140] > 0.9 > 0.1 > shrunk[10, 10]


def test_no_stamp_and_nothing_blown_up() -> None:
    assert scales_of(blank(1024, 1024)) == [0.25, 0.5, 1]
    assert scales_of(blank(128, 128)) == [1, 2]
    assert scales_of(blank(50, 2000)) == [1]


def filled(landslide: dict[int, int], other: dict[int, int]) -> MapCounts:
    counts = MapCounts(images=1)
    for bins, filled in ((counts.landslide, landslide), (counts.other, other)):
        for place, pixels in filled.items():
            bins[place] = pixels
    return counts


def test_quiet_ground_raises_the_threshold() -> None:
    hills = filled({12: 50, 18: 50}, {2: 900})
    assert best_threshold([hills]) < 12.5 / BINS
    city = filled({}, {2: 500, 13: 500})
    assert best_threshold([hills], [city]) > 13 / BINS
    assert mean_iou([hills], [], 0.5) == 1
    assert mean_iou([hills], [city], 0.5) == pytest.approx(100 / (100 + 0.5 * 1000))


def test_temperature_of_calibrated_probabilities_is_one() -> None:
    middle = (np.arange(BINS) + 0.5) / BINS
    fair = MapCounts(landslide=(1000 * middle).astype(np.int64), other=(1000 * (1 - middle)).astype(np.int64))
    assert temperature([fair]) == pytest.approx(1, abs=0.01)
    bold = filled({18: 600, 1: 400}, {18: 400, 1: 600})
    assert temperature([bold]) > 3
