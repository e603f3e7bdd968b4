"""Every number of a case, by hand on tiny images or against the slow way."""

import numpy as np
import pytest
import torch
from fake_atlas import fake_sample, fake_small
from torch.nn import functional as F

from scgcnet.data import Sample
from scgcnet.explain.case_numbers import (
    STEPS,
    WIDTH,
    curves,
    describe,
    edge_density,
    enlarge,
    greenness,
    judge,
    mean_entropy,
    outline_contrast,
    quantise,
)
from scgcnet.measures import boundary_counts
from scgcnet.train import Confusion


def grey(height: int, width: int, value: int = 100) -> np.ndarray:
    return np.full((height, width, 3), value, dtype=np.uint8)


def sample_of(mask: np.ndarray, image: np.ndarray | None = None, **fields: object) -> Sample:
    return Sample("one", grey(*mask.shape) if image is None else image, mask.astype(np.uint8), **fields)


def test_quantise_rounds_to_the_nearest() -> None:
    assert quantise(np.array([0, 0.0019, 0.002, 0.5, 1], dtype=np.float32)).tolist() == [0, 0, 1, 128, 255]


class TestEnlarge:
    @pytest.mark.parametrize("shape", [(32, 32), (40, 61), (7, 100), (1, 1), (65, 33)])
    def test_as_torch(self, shape: tuple[int, int]) -> None:
        small = fake_small(0, 0)
        wanted = F.interpolate(torch.from_numpy(small)[None, None].double(), shape, mode="bilinear")[0, 0].numpy()
        np.testing.assert_allclose(enlarge(small, shape), wanted, atol=1e-9)

    def test_by_hand(self) -> None:
        assert enlarge(np.array([[0, 100]], dtype=np.uint8), (1, 4)).tolist() == [[0, 25, 75, 100]]


class TestDescribe:
    def test_by_hand(self) -> None:
        mask = np.zeros((10, 20))
        mask[0:3, 5:9] = 1  # 12 pixels, at the frame
        mask[6:8, 10:12] = 1
        mask[:, 18:] = 255
        facts = describe(sample_of(mask, resolution=0.5), "set", "here")
        assert (facts.dataset, facts.name, facts.site) == ("set", "one", "here")
        assert (facts.height, facts.width, facts.resolution) == (10, 20, 0.5)
        assert (facts.known, facts.truth, facts.landslides, facts.largest) == (180, 16, 2, 12)
        assert facts.touches and facts.share == 12 / 180

    def test_only_the_largest_can_touch_the_frame(self) -> None:
        mask = np.zeros((10, 10))
        mask[3:6, 3:6] = 1
        mask[9, 9] = 1
        assert not describe(sample_of(mask), "set").touches

    def test_corners_hold_a_landslide_together(self) -> None:
        assert describe(sample_of(np.eye(5)), "set").landslides == 1

    def test_without_landslide(self) -> None:
        facts = describe(sample_of(np.zeros((10, 10))), "set")
        assert (facts.truth, facts.landslides, facts.largest, facts.share, facts.touches) == (0, 0, 0, 0.0, False)
        assert np.isnan(facts.contrast) and np.isnan(facts.greenness)

    def test_nothing_known(self) -> None:
        assert describe(sample_of(np.full((5, 5), 255)), "set").share == 0


class TestEdgeDensity:
    def test_flat_ground_has_none(self) -> None:
        assert edge_density(grey(20, 20), np.zeros((20, 20), dtype=np.uint8)) == 0

    def test_a_sharp_step(self) -> None:
        image = grey(20, 40)
        image[:, 20:] = 200
        density = edge_density(image, np.zeros((20, 40), dtype=np.uint8))
        # The slope of a smoothed step of 0.39 is 0.39 times the normal density: 0.14 half a pixel from it, 0.05 at 1.5.
        assert density == 2 / 40

    def test_of_landslide_and_unknown_ground_nothing_counts(self) -> None:
        image = grey(20, 40)
        image[:, 20:] = 200
        mask = np.zeros((20, 40), dtype=np.uint8)
        mask[:, 15:20], mask[:, 20:25] = 1, 255
        assert edge_density(image, mask) == 0
        assert edge_density(image, np.ones((20, 40), dtype=np.uint8)) == 0


class TestOutlineContrast:
    def mask(self) -> np.ndarray:
        mask = np.zeros((40, 40), dtype=np.uint8)
        mask[10:30, 10:30] = 1
        return mask

    def test_by_hand(self) -> None:
        rng = np.random.default_rng(0)
        image = rng.integers(90, 111, (40, 40, 3))  # variance (21² - 1) / 12
        image[self.mask() == 1] += 30
        found = outline_contrast(image.astype(np.uint8), self.mask())
        assert found == pytest.approx(30 / np.sqrt(440 / 12), rel=0.1)

    def test_only_the_bands_count(self) -> None:
        image = grey(40, 40)
        image[self.mask() == 1] = 150
        before = outline_contrast(image, self.mask())
        image[10 + WIDTH : 30 - WIDTH, 10 + WIDTH : 30 - WIDTH] = 0
        image[: 10 - WIDTH] = 255
        assert outline_contrast(image, self.mask()) == before == 50

    def test_not_a_number_without_two_sides(self) -> None:
        assert np.isnan(outline_contrast(grey(9, 9), np.ones((9, 9), dtype=np.uint8)))
        assert np.isnan(outline_contrast(grey(9, 9), np.zeros((9, 9), dtype=np.uint8)))


def test_greenness() -> None:
    image = np.array([[[0, 200, 0], [100, 100, 100], [150, 100, 50], [0, 0, 0], [255, 0, 0]]], dtype=np.uint8)
    np.testing.assert_allclose(greenness(image), [[2, 0, 0, 0, -1]])


def test_mean_entropy() -> None:
    assert mean_entropy(np.array([127.5, 127.5])) == 1
    assert mean_entropy(np.array([0.0, 255.0])) == mean_entropy(np.array([])) == 0
    assert mean_entropy(np.array([255 / 4, 0.0])) == pytest.approx((0.25 * 2 + 0.75 * np.log2(4 / 3)) / 2)


class TestCurves:
    @pytest.mark.parametrize("number", range(5))
    def test_as_the_slow_way(self, number: int) -> None:
        sample = fake_sample(number)  # one with unknown ground among them
        mask, values = sample.mask, enlarge(fake_small(number, 0), sample.mask.shape)
        found = curves(mask, values)
        for step in range(1, STEPS + 1, 7):
            called = values > 255 * (step / 100)
            counted = Confusion.of(called, mask)
            assert (found.tp[step - 1], found.fp[step - 1]) == (counted.tp, counted.fp)
            ((hits, union),) = boundary_counts(mask, called, [WIDTH])
            band = found.band[step - 1]
            assert found.band_hits[step - 1] == hits
            assert found.truth_band + band - found.band_hits[step - 1] == union

    def test_a_value_at_the_threshold_is_below(self) -> None:
        found = curves(np.ones((1, 1), dtype=np.uint8), np.array([[127.5]]), (0.25, 0.5, 0.75))
        assert found.tp.tolist() == [1, 0, 0]

    def test_refuses_other_shapes(self) -> None:
        with pytest.raises(ValueError, match=r"mask \(2, 2\) and probability \(3, 2\) differ"):
            curves(np.zeros((2, 2), dtype=np.uint8), np.zeros((3, 2)))


class TestJudge:
    def test_by_hand(self) -> None:
        mask = np.zeros((20, 40))
        mask[5:15, 5:15] = 1
        mask[5:7, 30:32] = 1  # a second landslide, of which one pixel of four is found
        mask[19, 39] = 255
        values = np.zeros((20, 40))
        values[5:15, 5:13] = 255  # 80 of 100
        values[5, 30] = 255
        values[0, 39] = 255  # a false alarm 8 pixels from the second landslide
        values[19, 39] = 255  # where nobody knows
        image = grey(20, 40)
        image[0, 39] = (0, 200, 0)
        found = judge(sample_of(mask, image), values, 0.5)
        assert (found.tp, found.fp, found.fn, found.found) == (81, 1, 23, 1)
        assert found.iou == 81 / 105
        assert found.largest_found == 0.8
        assert found.near == 1.0
        assert found.alarm_greenness == 2.0
        assert found.entropy == 0.0
        ((hits, union),) = boundary_counts(mask.astype(np.uint8), values > 127.5, [WIDTH])
        assert found.band == (hits, union) and found.boundary_iou == hits / union

    def test_wrong_pixels_far_from_the_outline(self) -> None:
        mask, values = np.zeros((20, 60)), np.zeros((20, 60))
        mask[5:10, 5:10] = 1
        values[5:10, 5:10] = 255
        values[5, [10, 17, 18, 40]] = 255  # 1, 8, 9 and 31 pixels from the landslide
        assert judge(sample_of(mask), values, 0.5).near == 0.5

    def test_the_frame_is_no_outline(self) -> None:
        mask = np.ones((40, 40))
        mask[:, 39] = 0
        values = np.full((40, 40), 255.0)
        values[:, :5] = 0  # missed at the frame, far from the one true outline
        values[:, 39] = 0
        assert judge(sample_of(mask), values, 0.5).near == 0

    def test_both_empty(self) -> None:
        found = judge(sample_of(np.zeros((9, 9))), np.zeros((9, 9)), 0.5)
        assert (found.iou, found.boundary_iou, found.found) == (1, 1, 0)
        assert np.isnan([found.largest_found, found.near, found.alarm_greenness]).all()
