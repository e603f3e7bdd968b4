"""A small atlas of made-up images and probabilities, with odd names, odd sizes and unknown pixels."""

from types import SimpleNamespace

import numpy as np
from scipy import ndimage

from scgcnet.data import Sample
from scgcnet.explain.atlas import Atlas, Entry, Model, _entries
from scgcnet.explain.calibration import reliability
from scgcnet.explain.case_numbers import STEPS, curves, describe, enlarge
from scgcnet.explain.failures import Limits

NAMES = ["plain", 'a "quoted", <b>bold</b> & more', "=HYPERLINK(1)", "naïve/ü#%?&=+", "</script><script>", "bare"]
SHAPES = [(40, 61), (64, 64), (33, 90), (120, 97), (64, 50), (48, 48)]
LIMITS = Limits(iou=0.6, share=0.2, small=150.0, edges=0.05, contrast=0.5, greenness=0.1)
THRESHOLDS = (0.55, 0.4)


class Part(list):
    """Samples that know their data set, as a `LandslideDataset` does."""

    def __init__(self, dataset: str, samples: list[Sample]) -> None:
        super().__init__(samples)
        self.dataset, self.sites = dataset, [""] * len(samples)


def fake_sample(number: int, landslide: bool = True) -> Sample:
    """Green ground with two brown landslides; the third has a resolution, the fourth ground that nobody knows."""
    rng = np.random.default_rng(number)
    height, width = SHAPES[number % len(SHAPES)]
    image = np.array([90, 130, 80]) + ndimage.gaussian_filter(rng.normal(0, 40, (height, width, 3)), (1.5, 1.5, 0))
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), dtype=np.uint8)
    if landslide:
        mask[((y - 0.5 * height) / (0.3 * height)) ** 2 + ((x - 0.4 * width) / (0.25 * width)) ** 2 < 1] = 1
        mask[:4, -7:] = 1  # a second one, at the corner
        image[mask == 1] += (60, -20, 0)
    if number == 3:
        mask[-12:] = 255
    return Sample(NAMES[number], image.clip(0, 255).astype(np.uint8), mask, 0.8 if number == 2 else None)


def fake_small(number: int, model: int, side: int = 32) -> np.ndarray:
    """A smooth blob of probability that is near to the landslide."""
    rng = np.random.default_rng(100 * model + number)
    y, x = np.mgrid[:side, :side] / side
    blob = 1.4 - ((y - 0.5 - 0.08 * model) / 0.35) ** 2 - ((x - 0.4) / 0.3) ** 2
    noisy = blob + ndimage.gaussian_filter(rng.normal(0, 1.2, (side, side)), 2)
    return np.rint(255 / (1 + np.exp(-4 * noisy))).astype(np.uint8)


def fake_model(number: int, pairs: list[tuple[np.ndarray, np.ndarray]]) -> Model:
    counted = [curves(mask, values) for mask, values in pairs]
    tp, fp = (sum(getattr(one, key) for one in counted) for key in ("tp", "fp"))
    truth = sum(int((mask == 1).sum()) for mask, _ in pairs)
    record = SimpleNamespace(
        run_id=f"fake-{number}",
        dataset="made up",
        train_datasets=["made up"],
        split=0,
        file="x.json",
        metrics={"pooled": {"iou": 0.5}},
    )
    threshold = THRESHOLDS[number]
    found = reliability(pairs)
    calibration = {"validation": found, "test": found}
    return Model(f"net {number}", record, threshold, 0.5, LIMITS, calibration, tp / np.maximum(truth + fp, 1))


def fake_atlas(models: int = 2) -> Atlas:
    """Five test images and a landslide-free one."""
    test, free = Part("made up", [fake_sample(n) for n in range(5)]), Part("no slides", [fake_sample(5, False)])
    smalls = [[fake_small(n, model) for n in range(6)] for model in range(models)]
    made = [
        fake_model(
            place, [(sample.mask, enlarge(small, sample.mask.shape)) for sample, small in zip(test, own, strict=False)]
        )
        for place, own in enumerate(smalls)
    ]
    assert made[0].test_iou.shape == (STEPS,)

    def entries(part: Part, first: int) -> tuple[Entry, ...]:
        facts = [describe(sample, part.dataset) for sample in part]
        return _entries(part, facts, made, [own[first : first + len(part)] for own in smalls])

    return Atlas(tuple(made), "synthetic", entries(test, 0), entries(free, 5))
