"""Images that look alike though their pixels differ: copies that were resampled, recoded, brightened or turned.

Each image becomes a grey thumbnail without its mean; two that correlate as closely as `ALIKE` show the same. Shape does
not count, nor what is outside of the data, since black edges alone make tiles alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.sample import Sample

SIDE, COARSE_SIDE = 64, 16  # pixels of the thumbnails that decide, and of those that choose what to look at
ALIKE = 0.95  # correlation; by chance, pairs of Bijie come to 0.80, of Landslide4Sense to 0.76, of AMU-Net's to 0.85
WORTH_A_LOOK = 0.9  # correlation of the coarse thumbnails
PLAIN = 3.0  # grey levels, standard deviation; open water correlates with open water
ROWS = 512  # thumbnails compared with all at once


@dataclass(frozen=True)
class NearPair:
    """Two images that look alike: their indices, the lower first, and the correlation of their thumbnails."""

    first: int
    second: int
    correlation: float


def thumbnail(sample: Sample) -> NDArray[np.float32]:
    """A grey thumbnail, (64, 64), of mean 0 and length 1; all 0 where there is next to nothing to see."""
    grey = np.asarray(Image.fromarray(sample.image[..., :3]).convert("L"), dtype=np.float32).copy()
    empty = (sample.mask == 255) | ~sample.image.any(axis=2)  # no data: unknown, or black
    if empty.all():
        return np.zeros((SIDE, SIDE), np.float32)
    grey[empty] = grey[~empty].mean()
    small = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BOX))
    return _unit(small[None])[0] if small.std() >= PLAIN else np.zeros_like(small)


def _unit(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pictures (n, H, W) of mean 0 and length 1; plain ones stay 0."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    length = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True))
    return np.asarray(centred / np.where(length > 1e-6, length, np.inf), dtype=np.float32)


def near_pairs(thumbnails: Sequence[NDArray[np.float32]]) -> list[NearPair]:
    """All pairs that look alike under one of the eight flips and turns, the most alike first."""
    fine = np.stack(thumbnails)
    step = SIDE // COARSE_SIDE
    coarse = _unit(fine.reshape(-1, COARSE_SIDE, step, COARSE_SIDE, step).mean(axis=(2, 4)))
    best: dict[tuple[int, int], float] = {}
    for turned, turned_coarse in zip(_turns(fine), _turns(coarse), strict=True):
        others = turned_coarse.reshape(len(coarse), -1).T
        for start in range(0, len(coarse), ROWS):
            likeness = coarse[start : start + ROWS].reshape(-1, others.shape[0]) @ others
            for row, second in np.argwhere(likeness >= WORTH_A_LOOK).tolist():
                first = start + row
                if first < second:
                    correlation = float((fine[first] * turned[second]).sum())
                    best[first, second] = max(correlation, best.get((first, second), -1.0))
    found = [NearPair(*pair, correlation) for pair, correlation in best.items() if correlation >= ALIKE]
    return sorted(found, key=lambda pair: -pair.correlation)


def _turns(pictures: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Pictures (n, S, S) as they are, mirrored, and both turned by quarters."""
    for flipped in (pictures, pictures[:, :, ::-1]):
        for quarters in range(4):
            yield np.rot90(flipped, quarters, axes=(1, 2))
