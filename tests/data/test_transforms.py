from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from scgcnet.data import (
    IGNORE_INDEX,
    AugmentConfig,
    EvalTransform,
    LandslideDataset,
    Sample,
    TrainingView,
    TrainTransform,
)
from scgcnet.data.transforms import MEAN, STD, distort, normalise

ALL = AugmentConfig(vflip=0.5, rot90=True)
DRAWS = ((665.03, 477), (2266.596, 502), (-582.138, 399), (387.533, 196))
PLAIN = AugmentConfig(scale=(1, 1), hflip=0, brightness=0, contrast=0, saturation=0, hue=0)


def painted(height: int, width: int, seed: int = 0) -> Sample:
    """A sample whose image shows its mask: white where there is landslide, black elsewhere; edges are straight."""
    rng = np.random.default_rng(seed)
    top, left = int(rng.integers(0, height // 2)), int(rng.integers(0, width // 2))
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[top : top + height // 2, left : left + width // 3 + 1] = 1
    return Sample("painted", np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask)


def pixels(image: torch.Tensor) -> np.ndarray:
    """Undo the normalisation: (3, S, S) from 0 to 1."""
    return image.numpy() * STD[:, None, None] + MEAN[:, None, None]


def no_colour(**geometry: object) -> AugmentConfig:
    return AugmentConfig(**{"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, **geometry})  # type: ignore[arg-type]


def test_eval_resizes_to_a_square_and_averages() -> None:
    image = np.zeros((40, 80, 3), dtype=np.uint8)
    image[:, ::2] = 200  # stripes finer than the output: antialiasing must give their mean, not one of them
    x, y = EvalTransform(10)(Sample("s", image, np.ones((40, 80), np.uint8)))
    np.testing.assert_allclose(pixels(x)[:, :, 1:-1], 100 / 255, atol=0.02)
    assert y.shape == (10, 10)
    assert y.min() == 1


@settings(max_examples=60)
@given(height=st.integers(20, 90), width=st.integers(20, 90), seed=st.integers(0, 10**6))
def test_image_and_mask_stay_aligned(height: int, width: int, seed: int) -> None:
    transform = TrainTransform(32, no_colour(vflip=0.5, rot90=True))
    x, y = transform(painted(height, width, seed), np.random.default_rng(seed))
    seen = y != IGNORE_INDEX
    grey = torch.from_numpy(pixels(x)).mean(0)
    assert set(y[seen].tolist()) <= {0, 1}
    # Only pixels on the rectangle's border may lie on the wrong side of one half, and not far.
    assert bool((((grey > 0.8) & (y == 0)) | ((grey < 0.2) & (y == 1)))[seen].sum() == 0)
    assert float((grey[seen] - y[seen]).abs().mean()) < 0.15
    assert bool((x[:, ~seen] == 0).all())


def test_plain_training_equals_evaluation() -> None:
    sample = painted(50, 33)
    x, y = TrainTransform(24, PLAIN)(sample, np.random.default_rng(0))
    expected_x, expected_y = EvalTransform(24)(sample)
    torch.testing.assert_close(x, expected_x)
    assert torch.equal(y, expected_y)


@pytest.mark.parametrize("scale", [0.5, 0.75])
def test_shrinking_pads_with_ignored_pixels(scale: float) -> None:
    config = no_colour(scale=(scale, scale))
    corners = set()
    for seed in range(20):
        _, y = TrainTransform(32, config)(painted(50, 40), np.random.default_rng(seed))
        rows, columns = torch.nonzero(y != IGNORE_INDEX, as_tuple=True)
        assert len(rows) == round(32 * scale) ** 2
        assert int(rows.max() - rows.min()) + 1 == round(32 * scale)
        corners.add((int(rows.min()), int(columns.min())))
    assert len(corners) > 10


def test_enlarging_crops_a_window() -> None:
    ramp = np.linspace(0, 255, 64, dtype=np.uint8)
    across, down = np.tile(ramp, (64, 1)), np.tile(ramp[:, None], (1, 64))
    sample = Sample("ramps", np.stack([across, down, down], axis=-1), np.zeros((64, 64), np.uint8))
    config = no_colour(scale=(2, 2), hflip=0)
    corners = []
    for seed in range(30):
        x, y = TrainTransform(32, config)(sample, np.random.default_rng(seed))
        row = pixels(x)[0, 16]
        assert row[-1] - row[0] == pytest.approx(0.5, abs=0.03)  # half of the ramp is left
        assert IGNORE_INDEX not in y
        column = pixels(x)[1, :, 16]
        assert column[-1] - column[0] == pytest.approx(0.5, abs=0.03)
        corners.append((row[0], column[0]))
    for starts in np.transpose(corners):
        assert min(starts) < 0.1
        assert max(starts) > 0.4
    assert abs(np.corrcoef(np.transpose(corners))[0, 1]) < 0.5  # the two directions are drawn apart


def frequency(config: AugmentConfig, moved: object, n: int = 400) -> float:
    sample = painted(20, 20, seed=3)
    reference = EvalTransform(20)(sample)[1]
    target = moved(reference)  # type: ignore[operator]
    assert not torch.equal(reference, target)
    return float(
        np.mean(
            [torch.equal(TrainTransform(20, config)(sample, np.random.default_rng(i))[1], target) for i in range(n)]
        )
    )


def test_flips_and_turns_come_as_often_as_asked() -> None:
    one = {"scale": (1, 1)}
    assert frequency(no_colour(**one), lambda m: m.flip(1)) == pytest.approx(0.5, abs=0.08)
    assert frequency(no_colour(**one, hflip=0), lambda m: m.flip(1)) == 0
    assert frequency(no_colour(**one, hflip=1), lambda m: m.flip(1)) == 1
    assert frequency(no_colour(**one, hflip=0, vflip=0.3), lambda m: m.flip(0)) == pytest.approx(0.3, abs=0.08)
    for turns in (1, 2, 3):
        share = frequency(no_colour(**one, hflip=0, rot90=True), lambda m, k=turns: torch.rot90(m, k))
        assert share == pytest.approx(0.25, abs=0.08)


class Draws:
    """Stands in for a generator: the amounts, as fractions of the strengths, and which steps happen."""

    def __init__(self, amounts: list[float]) -> None:
        self.amounts = np.array(amounts)

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        return self.amounts

    def random(self, size: int) -> np.ndarray:
        return np.where(self.amounts == 0, 0.9, 0.1)


def distorted(colours: list[list[float]], amounts: list[float]) -> np.ndarray:
    config = AugmentConfig(brightness=0.1, contrast=0.5, saturation=0.5, hue=0.05)
    return distort(np.array(colours, np.float32).T.copy(), config, Draws(amounts)).T  # type: ignore[arg-type]


def test_brightness_shifts_and_clips() -> None:
    np.testing.assert_allclose(distorted([[10, 100, 250]], [1, 0, 0, 0]), [[35.5, 125.5, 255]], atol=1e-3)
    np.testing.assert_allclose(distorted([[10, 100, 250]], [-1, 0, 0, 0]), [[0, 74.5, 224.5]], atol=1e-3)


def test_contrast_stretches_about_the_mean() -> None:
    np.testing.assert_allclose(distorted([[50] * 3, [150] * 3], [0, 1, 0, 0]), [[25] * 3, [175] * 3], atol=1e-3)
    np.testing.assert_allclose(distorted([[50] * 3, [150] * 3], [0, -1, 0, 0]), [[75] * 3, [125] * 3], atol=1e-3)
    # brightness first: the mean moves with it
    np.testing.assert_allclose(distorted([[50] * 3, [150] * 3], [1, 1, 0, 0]), [[50.5] * 3, [200.5] * 3], atol=1e-3)


def test_saturation_and_hue_keep_luma_and_grey() -> None:
    luma = np.array([0.299, 0.587, 0.114])
    colour = [[120.0, 90.0, 60.0]]
    for amounts in ([0, 0, -1, 0], [0, 0, 0, 1], [0, 0, 0.5, -1]):
        out = distorted(colour, amounts)
        np.testing.assert_allclose(out @ luma, np.array(colour) @ luma, atol=1e-2)
        np.testing.assert_allclose(distorted([[90.0] * 3], amounts), [[90.0] * 3], atol=1e-2)
    grey = float((np.array(colour) @ luma)[0])
    np.testing.assert_allclose(distorted(colour, [0, 0, -1, 0]), (np.array(colour) + grey) / 2, atol=1e-2)
    turned = distorted(colour, [0, 0, 0, 1])[0]
    before, after = colorsys.rgb_to_hsv(*colour[0])[0], colorsys.rgb_to_hsv(*turned)[0]
    assert abs(after - before) == pytest.approx(0.05, abs=0.025)


@pytest.mark.parametrize("wrong", [{"scale": (0, 1)}, {"scale": (2, 1)}, {"hflip": 1.5}, {"hue": -0.1}])
def test_augment_config_refuses_nonsense(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AugmentConfig(**wrong)  # type: ignore[arg-type]


class Few(LandslideDataset):
    dataset, kind = "few", "synthetic"
    names = ("a", "b", "c", "d")

    def __getitem__(self, index: int) -> Sample:
        return painted(30, 40)  # all alike, so that differences come from the draws


def epoch_of(view: TrainingView, epoch: int) -> list[torch.Tensor]:
    return [view[epoch, i][0] for i in range(len(view))]


def test_view_is_a_function_of_seed_epoch_and_index() -> None:
    view = TrainingView(Few(), TrainTransform(16), seed=1)
    first = epoch_of(view, 0)
    second = epoch_of(view, 1)
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not any(torch.equal(first[0], a) for a in first[1:])
    again = TrainingView(Few(), TrainTransform(16), seed=1)
    for i in (3, 1, 0, 2):  # in any order
        assert torch.equal(again[1, i][0], second[i])
    # A sample that is drawn again in an epoch looks different each time.
    assert len({tuple(view[key][0].flatten().tolist()) for key in ((0, 1), (0, 1, 1), (0, 1, 2))}) == 3
    other = epoch_of(TrainingView(Few(), TrainTransform(16), seed=2), 0)
    assert not any(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def noise(height: int, width: int, channels: int, seed: int = 0, mask_values: tuple[int, ...] = (0, 1)) -> Sample:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Sample("noise", image, rng.choice(np.array(mask_values, np.uint8), (height, width)))


def test_random_draws_stay_as_they_are() -> None:
    """Sums of the input and of the landslide pixels, for four seeds; stored runs were trained on these draws."""
    found = []
    for seed in range(4):
        x, y = TrainTransform(32, ALL)(noise(50, 70, 3, seed), np.random.default_rng(seed))
        found.append((float(x.double().sum()), int((y == 1).sum())))
    assert found == [(pytest.approx(total, abs=0.05), count) for total, count in DRAWS]


@pytest.mark.parametrize("channels", [4, 6, 14])
def test_further_bands_leave_the_colours_as_they_are(channels: int) -> None:
    """The first three are those of the image without the others, bit for bit, from the same draws."""
    for seed in range(20):
        many = noise(50, 40, channels, seed)
        three = Sample("three", np.ascontiguousarray(many.image[..., :3]), many.mask)
        x, y = TrainTransform(32, ALL)(many, np.random.default_rng(seed))
        expected_x, expected_y = TrainTransform(32, ALL)(three, np.random.default_rng(seed))
        assert x.shape == (channels, 32, 32)
        assert x.dtype == torch.float32
        assert torch.equal(x[:3], expected_x) and torch.equal(y, expected_y)
        assert torch.equal(EvalTransform(32)(many)[0][:3], EvalTransform(32)(three)[0])


def test_normalisation_of_other_counts() -> None:
    # ImageNet's averages are 0.449 and 0.226: (1 - 0.449) / 0.226, and (1 - 0.5) / 0.25, by hand
    white = np.full((14, 1), 255, np.float32)
    np.testing.assert_allclose(normalise(white[:1].copy())[:, 0], [2.43805], rtol=1e-5)
    np.testing.assert_allclose(normalise(white[:2].copy())[:, 0], [2.43805, 2], rtol=1e-5)
    np.testing.assert_allclose(normalise(white.copy())[:, 0], [2.24891, 2.42857, 2.64, *[2] * 11], rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_grey_images(channels: int) -> None:
    """Grey is distorted as three equal channels would be, which hue and saturation leave grey; a second one is not."""
    for seed in range(20):
        grey = noise(40, 30, channels, seed)
        three = Sample("three", grey.image[..., :1].repeat(3, axis=2), grey.mask)
        x, y = TrainTransform(32, ALL)(grey, np.random.default_rng(seed))
        expected, expected_y = TrainTransform(32, ALL)(three, np.random.default_rng(seed))
        assert x.shape == (channels, 32, 32) and torch.equal(y, expected_y)
        seen = y != IGNORE_INDEX
        brightness = (expected[0] * float(STD[0]) + float(MEAN[0]))[seen]
        np.testing.assert_allclose((x[0] * STD.mean() + MEAN.mean())[seen], brightness, atol=1e-5)
    assert EvalTransform(16)(grey)[0].shape == (channels, 16, 16)


def test_no_data_stays_no_data() -> None:
    """Nearest resizing mixes no 255 with 0 or 1, and the loss leaves it out like padding."""
    sample = noise(64, 48, 3, mask_values=(0, 1, 255))
    _, y = EvalTransform(20)(sample)
    assert set(y.unique().tolist()) == {0, 1, IGNORE_INDEX}
    expected = np.asarray(Image.fromarray(sample.mask).resize((20, 20), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(y.numpy(), expected)
    for seed in range(20):
        _, y = TrainTransform(32, ALL)(sample, np.random.default_rng(seed))
        assert set(y.unique().tolist()) == {0, 1, IGNORE_INDEX}
    same = Sample("same", sample.image, np.full((64, 48), 255, np.uint8))
    assert set(TrainTransform(32, ALL)(same, np.random.default_rng(0))[1].unique().tolist()) == {IGNORE_INDEX}
