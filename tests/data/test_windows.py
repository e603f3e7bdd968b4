"""Training windows: deterministic, undistorted, landslides everywhere and at all sizes, sources drawn by weight."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from scgcnet.data import LandslideDataset, Merged, Sample
from scgcnet.data.windows import DRAWN, Windows, false_colour, recolour, validation_windows

SIZE = 64


class Discs(LandslideDataset):
    """A white disc of radius 12 in the middle of pictures of 80 x 100 px, whose ground has a value of its own."""

    kind, sites = "synthetic", ("",) * 4

    def __init__(self, dataset: str, ground: int, landslide: bool = True) -> None:
        self.dataset, self.ground, self.landslide = dataset, ground, landslide
        self.names = tuple(f"{dataset}{i}" for i in range(4))

    def __getitem__(self, index: int) -> Sample:
        y, x = np.mgrid[:80, :100]
        mask = ((y - 40) ** 2 + (x - 50) ** 2 <= 144).astype(np.uint8) * self.landslide
        image = np.full((80, 100, 3), self.ground, np.uint8)
        image[mask == 1] = 255
        return Sample(self.names[index], image, mask)


@pytest.fixture(scope="module")
def windows() -> Windows:
    parts = [Discs("bijie", 60), Discs("cld", 120), Discs("bijie_negatives", 20, landslide=False)]
    return Windows(Merged(parts), SIZE, seed=0, augment=False)


def test_a_window_is_a_function_of_seed_epoch_and_index(windows: Windows) -> None:
    again = Windows(windows.dataset, SIZE, seed=0, augment=False)
    for key in ((0, 0), (3, 17)):
        for one, other in zip(windows[key], again[key], strict=True):
            assert one.equal(other)
    assert not windows[0, 0][0].equal(windows[0, 1][0])
    assert not windows[0, 0][0].equal(windows[1, 0][0])
    assert not windows[0, 0][0].equal(Windows(windows.dataset, SIZE, seed=1, augment=False)[0, 0][0])


def test_tensors_fit_a_network(windows: Windows) -> None:
    image, mask = Windows(windows.dataset, SIZE, seed=0)[0, 0]
    assert (image.shape, str(image.dtype), mask.shape, str(mask.dtype)) == (
        (3, SIZE, SIZE), "torch.float32", (SIZE, SIZE), "torch.int64",
    )  # fmt: skip
    assert set(mask.unique().tolist()) <= {0, 1}


def test_the_mask_follows_the_image_and_nothing_is_left_empty(windows: Windows) -> None:
    for index in range(60):
        image, mask, _ = windows.compose((0, index))
        bright = image[..., 0] > 250
        assert not (mask == 255).any()
        assert (bright != (mask == 1)).mean() < 0.03  # interpolation at the edges alone


def test_sources_are_drawn_by_weight(windows: Windows) -> None:
    drawn = Counter(windows.compose((1, index))[2] for index in range(600))
    weights = [DRAWN[name].weight for name in windows.names]
    for number, weight in enumerate(weights):
        assert drawn[number] / 600 == pytest.approx(weight / sum(weights), abs=0.07)
    quiet = windows.compose((0, 0), source=2)
    assert quiet[2] == 2 and not quiet[1].any()


def test_landslides_lie_anywhere_at_any_size(windows: Windows) -> None:
    masks = [windows.compose((2, index), source=0)[1] == 1 for index in range(300)]
    heat = np.mean(masks, axis=0)
    assert heat.min() > 0 and heat.max() < 5 * heat.mean()
    shares = np.array([mask.mean() for mask in masks])
    assert shares.min() < np.median(shares) / 4 and shares.max() > 2 * np.median(shares)
    assert np.mean([mask[0].any() or mask[:, 0].any() or mask[-1].any() or mask[:, -1].any() for mask in masks]) > 0.2


def test_pieces_keep_their_shape() -> None:
    """Discs that lie whole in a window are as wide as high."""
    from scipy import ndimage

    found = []
    windows = Windows(Discs("cld", 120), 96, seed=0, augment=False)
    for index in range(80):
        labels, _ = ndimage.label(windows.compose((0, index))[1] == 1)
        for rows, columns in ndimage.find_objects(labels):
            inside = rows.start > 1 and columns.start > 1 and rows.stop < 95 and columns.stop < 95
            high, wide = rows.stop - rows.start, columns.stop - columns.start
            if inside:  # neighbours may touch, or be cut where pieces meet: most are whole
                found.append(abs(high - wide) <= 2)
    assert len(found) > 30 and np.mean(found) > 0.6


def test_validation_windows_are_fixed_and_come_from_every_source(windows: Windows) -> None:
    first, again = (validation_windows(windows.dataset, SIZE, 0, 9) for _ in range(2))
    assert [source for _, _, source in first] == [0, 1, 2] * 3
    assert all(a[0].equal(b[0]) and a[1].equal(b[1]) for a, b in zip(first, again, strict=True))


def test_colours_stay_in_range_and_false_colour_shows_vegetation_red() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    for seed in range(30):
        changed = recolour(image, np.random.default_rng(seed))
        assert changed.shape == image.shape and changed.dtype == np.uint8
    grass, soil = np.array([60.0, 120.0, 50.0], np.float32), np.array([150.0, 120.0, 100.0], np.float32)
    infrared, red, green = false_colour(grass)
    assert infrared > 150 > red and green > red
    assert false_colour(soil)[0] < infrared


@pytest.mark.parametrize("bands", [1, 2, 4, 6])
def test_any_number_of_bands(bands: int) -> None:
    class Layers(Discs):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            layers = [(sample.image[..., 0] // (band + 1)).astype(np.uint8) for band in range(bands)]
            return Sample(sample.name, np.dstack(layers), sample.mask)

    plain = Windows(Layers("own", 60), SIZE, seed=0, augment=False)
    image, mask, _ = plain.compose((0, 0))
    assert image.shape == (SIZE, SIZE, bands)
    for band in range(bands):
        assert np.abs(image[..., band].astype(int) - image[..., 0] // (band + 1)).max() <= 2
    assert (image[mask == 1][:, 0] > 150).mean() > 0.9
    changed, same, _ = Windows(plain.dataset, SIZE, seed=0).compose((0, 0))
    assert changed.shape == image.shape and (changed != image).any() and (same == 1).sum() == (mask == 1).sum()
    assert tuple(Windows(plain.dataset, SIZE, seed=0)[0, 0][0].shape) == (bands, SIZE, SIZE)
