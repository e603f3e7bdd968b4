"""Every number of an image by hand or against the slow way; every rule at its limit and one thing short of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_atlas import fake_sample, fake_small
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from scgcnet.data import Sample
from scgcnet.explain.failures import (
    BAND,
    BINS,
    CAUSES,
    OTHER,
    STEPS,
    ImageFacts,
    Limits,
    Prediction,
    assess_prediction,
    calibration_error,
    curves,
    describe,
    edge_density,
    enlarge,
    find_causes,
    greenness,
    hard_images,
    largest_gap,
    mean_entropy,
    outline_contrast,
    quantise,
    reliability,
)
from scgcnet.metrics import Confusion, boundary_counts


def grey(height: int, width: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def sample_of(mask: np.ndarray, image: np.ndarray | None = None, **fields: object) -> Sample:
    return Sample("one", grey(*mask.shape) if image is None else image, mask.astype(np.uint8), **fields)


def test_probabilities_are_rounded_and_enlarged_as_by_torch() -> None:
    assert quantise(np.array([0, 0.0019, 0.002, 0.5, 1], dtype=np.float32)).tolist() == [0, 0, 1, 128, 255]
    assert enlarge(np.array([[0, 100]], dtype=np.uint8), (1, 4)).tolist() == [[0, 25, 75, 100]]


@given(st.tuples(st.integers(1, 100), st.integers(1, 100)))
def test_enlarge_is_torchs_interpolation(shape: tuple[int, int]) -> None:
    small = fake_small(0, 0)
    wanted = F.interpolate(torch.from_numpy(small)[None, None].double(), shape, mode="bilinear")[0, 0].numpy()
    np.testing.assert_allclose(enlarge(small, shape), wanted, atol=1e-9)


class TestDescribe:
    def test_counts_pixels_and_landslides(self) -> None:
        mask = np.zeros((10, 20))
        mask[0:3, 5:9] = 1  # 12 pixels, at the frame
        mask[6:8, 10:12] = 1
        mask[:, 18:] = 255
        facts = describe(sample_of(mask, resolution=0.5), "set", "here")
        assert (facts.dataset, facts.name, facts.site) == ("set", "one", "here")
        assert (facts.height, facts.width, facts.resolution) == (10, 20, 0.5)
        assert (facts.known, facts.truth, facts.landslides, facts.largest) == (180, 16, 2, 12)
        assert facts.touches and facts.share == 12 / 180

    def test_only_the_largest_can_touch_and_corners_connect(self) -> None:
        mask = np.zeros((10, 10))
        mask[3:6, 3:6] = 1
        mask[9, 9] = 1
        assert not describe(sample_of(mask), "set").touches
        assert describe(sample_of(np.eye(5)), "set").landslides == 1

    def test_without_landslide_or_truth(self) -> None:
        facts = describe(sample_of(np.zeros((10, 10))), "set")
        assert (facts.truth, facts.landslides, facts.largest, facts.share, facts.touches) == (0, 0, 0, 0.0, False)
        assert np.isnan(facts.contrast) and np.isnan(facts.greenness)
        assert describe(sample_of(np.full((5, 5), 255)), "set").share == 0


def test_edge_density_counts_sharp_steps_of_the_background() -> None:
    image, mask = grey(20, 40), np.zeros((20, 40), dtype=np.uint8)
    assert edge_density(image, mask) == 0
    image[:, 20:] = 200
    # The slope of a smoothed step of 0.39 is 0.39 times the normal density: 0.14 half a pixel from it, 0.05 at 1.5.
    assert edge_density(image, mask) == 2 / 40
    mask[:, 15:20], mask[:, 20:25] = 1, 255
    assert edge_density(image, mask) == edge_density(image, np.ones_like(mask)) == 0


def test_outline_contrast_compares_the_bands() -> None:
    mask = np.zeros((40, 40), dtype=np.uint8)
    mask[10:30, 10:30] = 1
    image = np.random.default_rng(0).integers(90, 111, (40, 40, 3))  # variance (21² - 1) / 12
    image[mask == 1] += 30
    assert outline_contrast(image.astype(np.uint8), mask) == pytest.approx(30 / np.sqrt(440 / 12), rel=0.1)
    flat = grey(40, 40)
    flat[mask == 1] = 150
    before = outline_contrast(flat, mask)
    flat[10 + BAND : 30 - BAND, 10 + BAND : 30 - BAND], flat[: 10 - BAND] = 0, 255
    assert outline_contrast(flat, mask) == before == 50
    assert np.isnan([outline_contrast(grey(9, 9), np.full((9, 9), value, np.uint8)) for value in (0, 1)]).all()


def test_greenness_and_entropy() -> None:
    image = np.array([[[0, 200, 0], [100, 100, 100], [150, 100, 50], [0, 0, 0], [255, 0, 0]]], dtype=np.uint8)
    np.testing.assert_allclose(greenness(image), [[2, 0, 0, 0, -1]])
    assert mean_entropy(np.array([127.5, 127.5])) == 1
    assert mean_entropy(np.array([0.0, 255.0])) == mean_entropy(np.array([])) == 0
    assert mean_entropy(np.array([255 / 4, 0.0])) == pytest.approx((0.25 * 2 + 0.75 * np.log2(4 / 3)) / 2)


@pytest.mark.parametrize("number", range(5))
def test_curves_are_those_of_the_slow_way(number: int) -> None:
    sample = fake_sample(number)  # one with unknown ground among them
    mask, values = sample.mask, enlarge(fake_small(number, 0), sample.mask.shape)
    found = curves(mask, values)
    for step in range(1, STEPS + 1, 7):
        called = values > 255 * (step / 100)
        counted = Confusion.of(called, mask)
        assert (found.tp[step - 1], found.fp[step - 1]) == (counted.tp, counted.fp)
        ((hits, union),) = boundary_counts(mask, called, [BAND])
        assert found.band_hits[step - 1] == hits
        assert found.truth_band + found.band[step - 1] - hits == union


def test_a_pixel_at_the_threshold_is_not_called() -> None:
    found = curves(np.ones((1, 1), dtype=np.uint8), np.array([[127.5]]), (0.25, 0.5, 0.75))
    assert found.tp.tolist() == [1, 0, 0]


class TestAssessPrediction:
    def test_by_hand(self) -> None:
        mask = np.zeros((20, 40))
        mask[5:15, 5:15] = 1
        mask[5:7, 30:32] = 1  # a second landslide, of which one pixel of four is found
        mask[19, 39] = 255
        values = np.zeros((20, 40))
        values[5:15, 5:13] = 255  # 80 of 100
        values[5, 30] = 255
        values[0, 39] = 255  # a false alarm 8 pixels from the second landslide
        values[19, 39] = 255  # unknown
        image = grey(20, 40)
        image[0, 39] = (0, 200, 0)
        found = assess_prediction(sample_of(mask, image), values, 0.5)
        assert (found.tp, found.fp, found.fn, found.found) == (81, 1, 23, 1)
        assert (found.iou, found.largest_found, found.near, found.alarm_greenness) == (81 / 105, 0.8, 1.0, 2.0)
        assert found.entropy == 0.0
        ((hits, union),) = boundary_counts(mask.astype(np.uint8), values > 127.5, [BAND])
        assert found.band == (hits, union) and found.boundary_iou == hits / union

    def test_the_frame_is_no_outline_and_far_pixels_are_not_near(self) -> None:
        mask, values = np.zeros((20, 60)), np.zeros((20, 60))
        mask[5:10, 5:10] = 1
        values[5:10, 5:10] = 255
        values[5, [10, 17, 18, 40]] = 255  # 1, 8, 9 and 31 pixels from the landslide
        assert assess_prediction(sample_of(mask), values, 0.5).near == 0.5
        mask = np.ones((40, 40))
        mask[:, 39] = 0
        values = np.full((40, 40), 255.0)
        values[:, :5] = values[:, 39:] = 0  # missed at the frame, far from the one true outline
        assert assess_prediction(sample_of(mask), values, 0.5).near == 0

    def test_both_empty(self) -> None:
        found = assess_prediction(sample_of(np.zeros((9, 9))), np.zeros((9, 9)), 0.5)
        assert (found.iou, found.boundary_iou, found.found) == (1, 1, 0)
        assert np.isnan([found.largest_found, found.near, found.alarm_greenness]).all()


LIMITS = Limits(iou=0.6, share=0.2, small=100.0, edges=0.05, contrast=0.5, greenness=0.1)
NAN = float("nan")
#: An image and a failure that meet no rule.
FACTS = ImageFacts("set", "one", "", 100, 100, None, 10_000, 1000, 1, 1000, False, 0.01, 2.0, 0.05)
FAILURE = Prediction(500, 300, 400, (1, 2), 1, 0.6, 0.2, 0.3, 0.1)
#: Kind: what of the image and of the prediction makes it, at the very limit.
KINDS = {
    "cut": ({"touches": True, "largest": 2000}, {}),
    "built": ({"edge_density": 0.05}, {}),
    "small": ({"largest": 100}, {"largest_found": 0.49}),
    "wide": ({"largest": 100}, {"fp": 401, "near": 0.5}),
    "vague": ({"contrast": 0.5}, {"near": 0.5}),
    "green": ({"greenness": 0.1}, {}),
    "bare": ({}, {"fp": 401, "near": 0.49, "alarm_greenness": 0.1}),
}
SHORT = [
    ("cut", {"touches": False}, {}),
    ("cut", {"largest": 1999}, {}),
    ("cut", {}, {"fp": 400}),
    ("built", {"edge_density": 0.049}, {}),
    ("small", {"largest": 101}, {}),
    ("small", {"largest": 0}, {}),
    ("small", {}, {"largest_found": 0.5}),
    ("small", {}, {"largest_found": NAN}),
    ("wide", {"largest": 101}, {}),
    ("wide", {}, {"fp": 400}),
    ("wide", {}, {"near": 0.49}),
    ("vague", {"contrast": 0.51}, {}),
    ("vague", {"contrast": NAN}, {}),
    ("vague", {}, {"near": 0.49}),
    ("green", {"greenness": 0.09}, {}),
    ("green", {}, {"fp": 400}),
    ("bare", {}, {"fp": 400}),
    ("bare", {}, {"near": 0.5}),
    ("bare", {}, {"alarm_greenness": 0.11}),
    ("bare", {}, {"alarm_greenness": NAN}),
]


class TestCauses:
    @pytest.mark.parametrize("kind", CAUSES)
    def test_at_the_limit(self, kind: str) -> None:
        facts, found = KINDS[kind]
        assert find_causes(replace(FACTS, **facts), replace(FAILURE, **found), LIMITS) == (kind,)

    @pytest.mark.parametrize(("kind", "facts", "found"), SHORT)
    def test_one_thing_short(self, kind: str, facts: dict[str, object], found: dict[str, object]) -> None:
        image, prediction = KINDS[kind]
        made = replace(FACTS, **{**image, **facts}), replace(FAILURE, **{**prediction, **found})
        assert find_causes(*made, LIMITS) == (OTHER,)

    def test_several_at_once_and_none(self) -> None:
        facts = replace(FACTS, largest=100, edge_density=0.2, contrast=0.1)
        many = find_causes(facts, replace(FAILURE, near=0.9, largest_found=0.1), LIMITS)
        assert many == ("built", "small", "vague")
        assert find_causes(FACTS, FAILURE, LIMITS) == (OTHER,)
        at_limit = replace(FAILURE, tp=600, fp=200, fn=200)
        assert at_limit.iou == LIMITS.iou
        assert find_causes(facts, at_limit, LIMITS) == ()

    def test_a_landslide_free_image(self) -> None:
        free = replace(FACTS, truth=0, landslides=0, largest=0, contrast=NAN, greenness=NAN)
        alarm = Prediction(0, 50, 0, (0, 9), 0, NAN, 0.0, 0.05, 0.1)
        assert find_causes(free, alarm, LIMITS) == ("bare",)


def test_limits_are_quartiles_of_images_with_landslides() -> None:
    facts = [
        replace(FACTS, largest=100 * n, edge_density=n / 10, contrast=float(n), greenness=n / 100) for n in range(1, 6)
    ]
    found = [replace(FAILURE, tp=n, fp=0, fn=10 - n) for n in range(1, 6)]
    wanted = Limits(
        iou=0.2, share=pytest.approx(0.04), small=200, edges=0.4, contrast=2.0, greenness=pytest.approx(0.04)
    )
    assert Limits.of(facts, found) == wanted
    free = replace(FACTS, truth=0, largest=0)
    assert Limits.of([*facts, free], [*found, replace(FAILURE, tp=0)]) == wanted
    assert Limits.of([FACTS, replace(FACTS, contrast=NAN)], [FAILURE] * 2).contrast == FACTS.contrast


class TestReliability:
    def test_by_hand(self) -> None:
        def image(probabilities: list[float], truth: list[int]) -> tuple[np.ndarray, np.ndarray]:
            return np.array([truth], dtype=np.uint8), 255 * np.array([probabilities])

        first = image([0.05, 0.15, 0.72, 0.78], [0, 0, 1, 0])
        second = image([0.05, 1.0, 0.5], [1, 1, 255])  # the last is unknown
        bins = reliability([first, second])
        assert bins.pixels.tolist() == [2, 1, 0, 0, 0, 0, 0, 2, 0, 1]
        np.testing.assert_allclose(bins.confidence[[0, 1, 7, 9]], [0.05, 0.15, 0.75, 1.0])
        np.testing.assert_allclose(bins.frequency[[0, 1, 7, 9]], [0.5, 0, 0.5, 1.0])
        assert np.isnan(bins.confidence[2]) and np.isnan(bins.frequency[2])
        assert calibration_error(bins) == pytest.approx((2 * 0.45 + 0.15 + 2 * 0.25 + 0) / 6)
        assert largest_gap(bins) == pytest.approx(0.45)
        assert reliability([image([0.5], [1])]).pixels.tolist() == [0] * 5 + [1] + [0] * 4  # an edge: the upper bin
        unknown = reliability([image([0.5], [255])])
        assert len(unknown) == BINS and not unknown.pixels.any()
        assert np.isnan(calibration_error(unknown)) and np.isnan(largest_gap(unknown))

    def test_a_calibrated_network(self) -> None:
        rng = np.random.default_rng(0)
        probability = rng.random((400, 400))
        mask = (rng.random((400, 400)) < probability).astype(np.uint8)
        assert calibration_error(reliability([(mask, 255 * probability)])) < 0.01
        assert calibration_error(reliability([(mask, 255 * probability**2)])) > 0.1


def test_images_of_the_papers_two_kinds_by_quartiles_of_validation() -> None:
    val = [replace(FACTS, largest=100 * n, edge_density=n / 10) for n in range(1, 6)]  # quartiles 400 px and 0.4
    val.append(replace(FACTS, truth=0, largest=0, edge_density=9.0))  # without a landslide: not counted
    test = [
        replace(FACTS, name="cut", largest=400, touches=True),
        replace(FACTS, name="small", largest=399, touches=True),
        replace(FACTS, name="inside", largest=900),
        replace(FACTS, name="built", edge_density=0.4),
    ]
    found = hard_images(test, val).set_index("name")
    assert found.cut.to_dict() == {"cut": 1, "small": 0, "inside": 0, "built": 0}
    assert found.built.to_dict() == {"cut": 0, "small": 0, "inside": 0, "built": 1}
