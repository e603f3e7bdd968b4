"""Overlapping windows of a scene, and the smooth weights by which their predictions are blended.

Each axis is cut on its own. Along an axis the weights of all windows sum to 1 at every pixel, so their products do too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MULTIPLE = 32  # a scene shorter than a window is mirrored up to a multiple of the network's deepest stride, ...
LEAST_SIDE = 128  # ... and to at least the side of the images that the published weights were trained on, pixels


@dataclass(frozen=True)
class Axis:
    """One side of a scene, cut into windows; lengths are pixels of the working grid."""

    length: int  # of the scene
    window: int  # side of a window
    overlap: float  # share of the side that a window has in common with the next, 0 to 0.5

    @cached_property
    def size(self) -> int:
        """Pixels that the network sees along this axis; some are mirrored where the scene is shorter."""
        if self.length >= self.window:
            return self.window
        return min(self.window, max(LEAST_SIDE, MULTIPLE * math.ceil(self.length / MULTIPLE)))

    @cached_property
    def shared(self) -> int:
        """Pixels that two neighbouring windows have in common."""
        return round(self.overlap * self.size)

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """First pixel of each window; the last window is moved inward to end with the scene."""
        last = max(0, self.length - self.size)
        return (*range(0, last, self.size - self.shared), last)

    def span(self, index: int) -> tuple[int, int]:
        """First pixel of a window on the scene, and the first one after it."""
        start = self.starts[index]
        return start, min(start + self.size, self.length)

    @property
    def padding(self) -> tuple[int, int]:
        """Mirrored pixels before and after a scene that is shorter than a window."""
        missing = max(0, self.size - self.length)
        return missing // 2, missing - missing // 2

    @cached_property
    def final(self) -> tuple[int, ...]:
        """For each window, the pixel up to which no later window contributes."""
        return (*self.starts[1:], self.length)

    def weights(self, index: int) -> NDArray[np.float32]:
        """Share of a window in each pixel of its span, above 0; the shares of all windows sum to 1."""
        begin, end = self.span(index)
        return (self._raw / self._total[begin:end]).astype(np.float32)

    @cached_property
    def _raw(self) -> NDArray[np.float64]:
        """A raised cosine over the shared pixels at both ends, 1 between them."""
        length = min(self.size, self.length)
        ends = np.minimum(np.arange(length), np.arange(length)[::-1]) + 0.5
        ramp = np.clip(ends / max(self.shared, 0.5), 0, 1)
        return np.asarray(np.sin(np.pi / 2 * ramp) ** 2)

    @cached_property
    def _total(self) -> NDArray[np.float64]:
        total = np.zeros(self.length)
        for index in range(len(self.starts)):
            total[slice(*self.span(index))] += self._raw
        return total


@dataclass(frozen=True)
class Grid:
    """The windows of a scene, row by row."""

    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, shape: tuple[int, int], window: int, overlap: float) -> Grid:
        """The windows of a scene of this height and width, pixels of the working grid."""
        return cls(*(Axis(length, window, overlap) for length in shape))

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    def padded(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The part of a scene under a window, (h, w, C), mirrored to the size that the network sees."""
        return np.pad(image, (self.rows.padding, self.columns.padding, (0, 0)), mode="symmetric")

    def unpadded(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The part of a network's output (..., h, w) that lies on the scene."""
        (top, _), (left, _) = self.rows.padding, self.columns.padding
        height, width = (min(axis.size, axis.length) for axis in (self.rows, self.columns))
        return values[..., top : top + height, left : left + width]
