"""A small atlas of synthetic images and probabilities, with odd names, odd sizes and unknown pixels."""

import numpy as np
from scipy import ndimage
from subjects import Given

from scgcnet.data import Sample
from scgcnet.explain.atlas import Atlas, Entry, Model, RunFacts, iou_curve, make_entries
from scgcnet.explain.failures import Limits, describe, enlarge, reliability

NAMES = ["plain", 'a "quoted", <b>bold</b> & more', "=HYPERLINK(1)", "naïve/ü#%?&=+", "</script><script>", "bare"]
SHAPES = [(40, 61), (64, 64), (33, 90), (120, 97), (64, 50), (48, 48)]
LIMITS = Limits(iou=0.6, share=0.2, small=150.0, edges=0.05, contrast=0.5, greenness=0.1)
THRESHOLDS = (0.55, 0.4)


def fake_sample(number: int, landslide: bool = True) -> Sample:
    """Green ground with two brown landslides; the third has a resolution, the fourth unknown ground."""
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


def fake_atlas(models: int = 2) -> Atlas:
    """Five test images and a landslide-free one."""
    test = Given(*(fake_sample(n) for n in range(5)), dataset="drawn")
    free = Given(fake_sample(5, landslide=False), dataset="no slides")
    smalls = [[fake_small(n, model) for n in range(6)] for model in range(models)]
    made = []
    for number, own in enumerate(smalls):
        pairs = [(s.mask, enlarge(small, s.mask.shape)) for s, small in zip(test, own, strict=False)]
        run = RunFacts(f"fake-{number}", f"net {number}", "x.json", "drawn", 0.5)
        bins = reliability(pairs)
        made.append(Model(run, THRESHOLDS[number], LIMITS, {"validation": bins, "test": bins}, iou_curve(pairs)))

    def entries(part: Given, first: int) -> tuple[Entry, ...]:
        facts = [describe(sample, part.dataset) for sample in part]
        return make_entries(part, facts, made, [own[first : first + len(part)] for own in smalls])

    return Atlas(tuple(made), "drawn", "0", "synthetic", entries(test, 0), entries(free, 5))
