from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.near import near_pairs, thumbnail
from scgcnet.data.sample import Sample
from scgcnet.data.synthetic import render

IMAGE = render(0, 0, (120, 150))[0]


def small(image: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
    return thumbnail(Sample("x", image, np.zeros(image.shape[:2], np.uint8) if mask is None else mask))


def jpeg(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=70)
    return np.asarray(Image.open(buffer))


def test_a_thumbnail_is_of_mean_0_and_length_1() -> None:
    found = small(IMAGE)
    assert found.shape == (64, 64)
    assert found.dtype == np.float32
    assert float(found.mean()) == pytest.approx(0, abs=1e-6)
    assert float((found**2).sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        jpeg,
        lambda image: np.asarray(Image.fromarray(image).resize((300, 400))),
        lambda image: (image * 0.6 + 40).astype(np.uint8),
        lambda image: image[:, ::-1],
        *(lambda image, quarters=quarters: np.rot90(image, quarters) for quarters in (1, 2, 3)),
        *(lambda image, quarters=quarters: np.rot90(image[::-1], quarters) for quarters in (0, 1, 3)),
    ],
)
def test_copies_are_found(change) -> None:  # type: ignore[no-untyped-def]
    others = [render(0, index, (120, 150))[0] for index in range(1, 6)]
    pairs = near_pairs([small(image) for image in (others[0], IMAGE, *others[1:], np.ascontiguousarray(change(IMAGE)))])
    assert [(pair.first, pair.second) for pair in pairs] == [(1, 6)]
    assert 0.97 < pairs[0].correlation <= 1.0001


def test_the_most_alike_come_first_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgcnet.data.near.ROWS", 2)
    noisy = np.clip(IMAGE + np.random.default_rng(0).normal(0, 12, IMAGE.shape), 0, 255).astype(np.uint8)
    pairs = near_pairs([small(noisy), small(render(0, 1, (120, 150))[0]), small(IMAGE), small(IMAGE)])
    assert [(pair.first, pair.second) for pair in pairs] == [(2, 3), (0, 2), (0, 3)]
    assert pairs[0].correlation == pytest.approx(1, abs=1e-4)


def test_other_images_are_not_alike() -> None:
    images = [render(seed, index, (100, 100))[0] for seed in range(2) for index in range(8)]
    assert near_pairs([small(image) for image in images]) == []
    assert near_pairs([small(IMAGE)]) == []


def test_plain_images_are_alike_to_none() -> None:
    rng = np.random.default_rng(0)
    ramp = np.linspace(100, 108, 90).astype(np.uint8)
    water = [np.tile(ramp[None, :, None], (90, 1, 3)) + rng.integers(0, 2, (90, 90, 3), dtype=np.uint8) for _ in "ab"]
    assert not small(water[0]).any()
    assert near_pairs([small(image) for image in water]) == []


def test_what_is_outside_of_the_data_does_not_count() -> None:
    """Both are black in the upper half, in one of them the mask says so."""
    images = [render(3, index, (120, 120))[0] for index in range(2)]
    mask = np.zeros((120, 120), np.uint8)
    mask[:60] = 255
    images[0][:60] = 0
    images[1][:60] = 30
    assert near_pairs([small(images[0]), small(images[1], mask)]) == []
    np.testing.assert_allclose(small(images[0], mask), small(images[0]), atol=1e-6)
    assert not small(IMAGE, np.full(IMAGE.shape[:2], 255, np.uint8)).any()
    assert not small(np.zeros((90, 90, 3), np.uint8)).any()
