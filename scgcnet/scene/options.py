"""The options of `scgcnet map`, checked once."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_WINDOW = 64  # pixels; the network's deepest map is a 32nd of it
VIEWS = (1, 2, 4, 8)
MOST_OVERLAP = 0.5


class SceneError(ValueError):
    """A scene or an option cannot be used; the message names the file or the value, and the remedy."""


@dataclass(frozen=True)
class MapOptions:
    """How a scene is mapped; a value out of range is a SceneError.

    Attributes:
        window: side of the square that the network sees at once, pixels of the working grid, from 64; None for that of
            the weights file.
        overlap: share of a window's side that the next window covers too, 0 to 0.5.
        threshold: probability above which a pixel is landslide, between 0 and 1; None for that of the weights file,
            with its peak: what the probability of each landslide must reach somewhere.
        min_area: smallest polygon that is kept, square metres; pixels where the scene has no georeference.
        bands: numbers of the scene's bands, from 1, in the order of the network's channels; None to find them.
        value_range: values that become 0 and 255; None for percentiles of a sample (8 bits: unchanged).
        scale: pixels of the working grid per pixel of the scene, 0.01 to 10; None for `models.choose_scales`.
        views: of each window, whose probabilities are averaged: 1, 2 (mirrored too), 4 (all flips) or 8 (and quarter
            turns).
        metres: ground resolution of a scene without a georeference, metres per pixel.
        bounds: left, bottom, right and top of the part of the scene that is mapped, in its coordinates; None for all.
        asset: of a STAC item, by name; None for the one to look at.
    """

    window: int | None = None
    overlap: float = 0.25
    threshold: float | None = None
    min_area: float = 100.0
    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    scale: float | None = None
    views: int = 1
    metres: float | None = None
    bounds: tuple[float, float, float, float] | None = None
    asset: str | None = None

    def __post_init__(self) -> None:
        if self.window is not None and self.window < LEAST_WINDOW:
            raise SceneError(f"--window {self.window}: at least {LEAST_WINDOW} pixels are needed")
        if not 0 <= self.overlap <= MOST_OVERLAP:
            raise SceneError(f"--overlap {self.overlap:g}: must lie in 0 to {MOST_OVERLAP:g}, a share of the window")
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise SceneError(f"--threshold {self.threshold:g}: must lie between 0 and 1, or be auto")
        if not self.min_area >= 0:
            raise SceneError(f"--min-area {self.min_area:g}: must be 0 or more, in square metres")
        if self.bands is not None and (not self.bands or min(self.bands) < 1):
            raise SceneError(f"--bands {','.join(map(str, self.bands))}: bands are counted from 1")
        if self.value_range is not None and not self.value_range[0] < self.value_range[1]:
            low, high = self.value_range
            raise SceneError(f"--range {low:g},{high:g}: the first value must be below the second")
        if self.scale is not None and not 0.01 <= self.scale <= 10:
            raise SceneError(f"--scale {self.scale:g}: must lie in 0.01 to 10, or be auto")
        if self.views not in VIEWS:
            raise SceneError(f"--views {self.views}: must be {', '.join(map(str, VIEWS))}")
        if self.metres is not None and not 0 < self.metres < float("inf"):
            raise SceneError(f"--metres {self.metres:g}: must be above 0, metres per pixel")
        if self.bounds is not None and not (self.bounds[0] < self.bounds[2] and self.bounds[1] < self.bounds[3]):
            edges = ",".join(f"{edge:.10g}" for edge in self.bounds)
            raise SceneError(f"--bounds {edges}: left must be below right, and bottom below top")
