"""Images of other than three channels, and masks with no data; and that three channels give what they always gave."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from scgcnet.data import IGNORE_INDEX, AugmentConfig, EvalTransform, Sample, TrainTransform
from scgcnet.data.transforms import LUMA, MEAN, OTHER_MEAN, OTHER_STD, STD, normalise

ALL = AugmentConfig(vflip=0.5, rot90=True)


def noise(height: int, width: int, channels: int, seed: int = 0, mask_values: tuple[int, ...] = (0, 1)) -> Sample:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    return Sample("noise", image, rng.choice(np.array(mask_values, np.uint8), (height, width)))


def as_it_was(sample: Sample, size: int, config: AugmentConfig, rng: np.random.Generator | None) -> tuple[bytes, bytes]:
    """What the transforms of three channels did before they took others, word for word; without `rng`, in evaluation.

    Stored results were computed so; whoever changes a number of it makes them stale.
    """
    to_yiq = np.array([LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    height, width = sample.mask.shape
    scale, place_x, place_y = (rng.uniform(*config.scale), *rng.random(2)) if rng else (1.0, 0.0, 0.0)
    window = min(1.0, 1.0 / scale)
    left, top = place_x * (1 - window) * width, place_y * (1 - window) * height
    patch = max(1, round(size * min(1.0, scale)))
    box = (left, top, left + window * width, top + window * height)
    small = np.asarray(Image.fromarray(sample.image).resize((patch, patch), Image.Resampling.BILINEAR, box=box))
    small_mask = np.asarray(Image.fromarray(sample.mask).resize((patch, patch), Image.Resampling.NEAREST, box=box))
    pixels = np.ascontiguousarray(small.reshape(-1, 3).T, dtype=np.float32)

    if rng:
        amount = rng.uniform(-1.0, 1.0, 4) * (rng.random(4) < 0.5)
        brightness = 255 * config.brightness * amount[0]
        contrast = 1 + config.contrast * amount[1]
        saturation = 1 + config.saturation * amount[2]
        angle = 2 * math.pi * config.hue * amount[3]
        cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
        colour = np.linalg.inv(to_yiq) @ np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) @ to_yiq
        mean_luma = float(LUMA @ pixels.mean(axis=1)) + brightness
        shift = contrast * brightness + (1 - contrast) * mean_luma
        pixels = (contrast * colour).astype(np.float32) @ pixels
        pixels += np.float32(shift)
        np.clip(pixels, 0, 255, out=pixels)
    pixels *= (1 / (255 * STD)).reshape(3, 1)
    pixels -= (MEAN / STD).reshape(3, 1)

    image = np.zeros((3, size, size), np.float32)
    mask = np.full((size, size), 255, np.uint8)
    x, y = (int(place * (size - patch + 1)) for place in (place_x, place_y)) if patch < size else (0, 0)
    image[:, y : y + patch, x : x + patch] = pixels.reshape(3, patch, patch)
    mask[y : y + patch, x : x + patch] = small_mask
    if rng:
        flip_h, flip_v = rng.random(2)
        turns = int(rng.integers(4))
        if flip_h < config.hflip:
            image, mask = image[:, :, ::-1], mask[:, ::-1]
        if flip_v < config.vflip:
            image, mask = image[:, ::-1], mask[::-1]
        if config.rot90:
            image, mask = np.rot90(image, turns, axes=(1, 2)), np.rot90(mask, turns)
    return np.ascontiguousarray(image).tobytes(), np.ascontiguousarray(mask, np.int64).tobytes()


@pytest.mark.parametrize("config", [AugmentConfig(), ALL])
def test_three_channels_are_what_they_were_bit_for_bit(config: AugmentConfig) -> None:
    for seed in range(60):
        height, width = np.random.default_rng(seed).integers(20, 150, 2)
        sample = noise(height, width, 3, seed)
        size = (32, 48, 64)[seed % 3]
        x, y = TrainTransform(size, config)(sample, np.random.default_rng(seed))
        assert (x.numpy().tobytes(), y.numpy().tobytes()) == as_it_was(
            sample, size, config, np.random.default_rng(seed)
        )
        x, y = EvalTransform(size)(sample)
        assert (x.numpy().tobytes(), y.numpy().tobytes()) == as_it_was(sample, size, config, None)


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


def test_further_bands_move_with_the_colours_and_keep_their_values() -> None:
    """The fourth band holds the mask: it must stay aligned, and no light changes it."""
    strong = AugmentConfig(brightness=1, contrast=1, saturation=1, hue=1, vflip=0.5, rot90=True)
    for seed in range(20):
        sample = noise(40, 40, 4, seed)
        sample.image[..., 3] = 255 * sample.mask
        x, y = TrainTransform(40, strong)(sample, np.random.default_rng(seed))
        seen = y != IGNORE_INDEX
        assert bool((x[3, ~seen] == 0).all())
        band = x[3, seen] * OTHER_STD + OTHER_MEAN
        assert float(band.min()) >= -1e-6 and float(band.max()) <= 1 + 1e-6
        if bool(seen.all()):  # enlarged: of shrunken noise, the average says nothing about the nearest pixel
            assert np.corrcoef(band, y[seen])[0, 1] > 0.6


def test_a_fourth_band_is_no_transparency() -> None:
    """Pillow resizes RGBA weighted by the last channel; here every band is resized alone."""
    sample = noise(30, 30, 4)
    sample.image[..., 3] = 0
    x, _ = EvalTransform(15)(sample)
    red = Image.fromarray(np.ascontiguousarray(sample.image[..., 0])).resize((15, 15), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(x[0] * STD[0] + MEAN[0], np.asarray(red) / 255, atol=1e-6)
    np.testing.assert_allclose(x[3], -2, atol=1e-6)


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


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 0), (8, 8, 3, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    sample = Sample("odd", np.zeros(shape, np.uint8), np.zeros((8, 8), np.uint8))
    with pytest.raises(ValueError, match=r"odd: transforms take \(H, W, C\), the image has shape"):
        EvalTransform(8)(sample)


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
