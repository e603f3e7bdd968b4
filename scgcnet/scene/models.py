"""The networks of a map, and what their files say of the images that they were trained on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from scgcnet import zoo
from scgcnet.export import OnnxNetwork
from scgcnet.scene.options import MapOptions, SceneError
from scgcnet.scene.predict import Engine, Prob, folded, predict_image, torch_engine

#: Metres per pixel of the network's input in training: median over a source's images once resized to 128 px. For
#: weights that do not say it themselves, as is true of the two numbers below.
TRAINED_AT = {"bijie": 1.4, "landslide4sense": 10.0, "cld": 12.0}
WINDOW = 1024  # pixels; side of the windows of a map
TRAINED_SIDE = 128  # pixels; side of the images in training

SAME = 0.02  # a scale so near to 1 is 1
SEEN_AT = 1.6  # metres per pixel, of networks trained on windows
UNKNOWN = (1.0, 0.5, 0.25)  # scales of a scene of unknown ground resolution
LARGEST = 2.0  # scale; more adds time and no detail
APART = 1.4  # least ratio of two scales

Span = tuple[float, float]  # lowest and highest


class Models:
    """One network or several, whose probabilities are averaged.

    Args:
        names: of published weights, or weights files, or ONNX files of `scgcnet export`, which ONNX Runtime runs; none
            for the weights for images from elsewhere.

    Raises:
        ExportError: an ONNX file cannot be read, or onnxruntime is not installed.
        WeightsError: there are no such weights, a file is damaged, or a network has other than two classes.
        SceneError: they take different numbers of bands.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.files = [zoo.find_weights(name) for name in names or [zoo.DEFAULT]]
        self._exported = {file: _exported(file) for file in self.files if file.suffix == ".onnx"}
        self.metadata = [
            self._exported[file].metadata if file in self._exported else zoo.read_metadata(file) for file in self.files
        ]
        configs = [json.loads(one["config"]) for one in self.metadata]
        self.channels: int = configs[0]["in_channels"]
        if other := [
            file for file, one in zip(self.files, configs, strict=True) if one["in_channels"] != self.channels
        ]:
            raise SceneError(f"{self.files[0]} takes {self.channels} bands, {other[0]} does not: map with one of them")
        if wrong := [file for file, one in zip(self.files, configs, strict=True) if one.get("num_classes", 2) != 2]:
            raise zoo.WeightsError(f"{wrong[0]}: a map needs a network of two classes")

    def _read(self, key: str, read: Callable[[str], Any], default: str | None = None) -> list[Any]:
        """What the files say under a key; those that have no such key are left out, or have the default."""
        found = []
        for file, metadata in zip(self.files, self.metadata, strict=True):
            text = metadata.get(key, default)
            try:
                found += [] if text is None else [read(text)]
            except (ValueError, TypeError, IndexError) as error:
                raise zoo.WeightsError(
                    f"{file}: its {key} cannot be read ({error}); train again or fetch it anew"
                ) from error
        return found

    @cached_property
    def sha256(self) -> str:
        """Hash of the file; of several, of their hashes."""
        each = [hashlib.sha256(file.read_bytes()).hexdigest() for file in self.files]
        return each[0] if len(each) == 1 else hashlib.sha256("".join(each).encode()).hexdigest()

    @property
    def threshold(self) -> float:
        """Mean over the files."""
        found = self._read("threshold", float)
        if len(found) < len(self.files):
            file = next(file for file, one in zip(self.files, self.metadata, strict=True) if "threshold" not in one)
            raise SceneError(f"{file} has no threshold of its own: give one, such as --threshold 0.5")
        return float(np.mean(found))

    @property
    def peak(self) -> float | None:
        """What the probability of a landslide reaches somewhere: mean over the files; None if not all say."""
        found = self._read("peak", float)
        return float(np.mean(found)) if len(found) == len(self.files) else None

    @property
    def window(self) -> int:
        """Side of the windows that suit the networks, pixels."""
        return max(self._read("window", int), default=WINDOW)

    @property
    def trained_side(self) -> int:
        """Side of the images that the networks were trained on, pixels."""
        return max(self._read("window", int), default=TRAINED_SIDE)

    @property
    def sources(self) -> list[str]:
        """The data sets that they were trained on."""
        lists = self._read("sources", lambda text: [name.strip() for name in text.split(",") if name.strip()])
        return list(dict.fromkeys(name for names in lists for name in names))

    @property
    def spans(self) -> list[Span]:
        """See `spans_of`; those of all networks."""
        found = []
        for file, metadata in zip(self.files, self.metadata, strict=True):
            try:
                found += spans_of(metadata)
            except ValueError as error:
                raise zoo.WeightsError(
                    f"{file}: its resolutions cannot be read ({error}); train again or fetch it anew"
                ) from error
        return found

    @property
    def seen_at(self) -> float | None:
        """Ground resolution at which the networks see best, metres per pixel (geometric mean); None if not all say."""
        found = self._read("seen_at", lambda text: _numbers(text)[0])
        return float(np.exp(np.mean(np.log(found)))) if len(found) == len(self.files) else None

    @property
    def bands(self) -> tuple[int, ...] | None:
        """Bands of the rasters that they were trained on, where they say so and agree; three are found by colour."""
        found = self._read("bands", lambda text: tuple(map(int, text.split(","))))
        return found[0] if len(set(found)) == 1 and self.channels != 3 else None

    @property
    def value_range(self) -> tuple[float, float] | None:
        """Values that became 0 and 255 in training, where they say so and agree."""
        found = self._read("value_range", _pair)
        return found[0] if len(set(found)) == 1 else None

    def _colours(self, text: str) -> list[Span]:
        found = [(float(low), float(high)) for low, high in json.loads(text)]
        if len(found) != self.channels:
            raise ValueError(f"{len(found)} bands, not {self.channels}")
        return found

    @cached_property
    def engines(self) -> list[Engine]:
        """The networks, ready to predict; logits are divided by the `temperature` of a file."""
        temperatures = self._read("temperature", lambda text: _numbers(text)[0], default="1")
        return [
            torch_engine(self._exported.get(file) or folded(zoo.load_model(file)), temperature)
            for file, temperature in zip(self.files, temperatures, strict=True)
        ]

    def describe(self, threshold: float, peak: float | None) -> dict[str, Any]:
        """What the report says of them."""
        return {
            "file": ", ".join(file.name for file in self.files),
            "sha256": self.sha256,
            "trained_on": self.sources,
            "run_id": ", ".join(self._read("run_id", str)) or None,
            "threshold": threshold,
            "peak": peak,
        }

    def resemblance(self, metres: float | None, picture: NDArray[np.uint8], valid: NDArray[np.bool_]) -> str | None:
        """One line on how the scene resembles the images in training; None if nothing is known of these.

        Their colours are those of the metadata `colour`: JSON, [lowest, highest] mean of an image for each band, 0 to
        255.

        Args:
            metres: ground resolution at which the networks see the scene, metres per pixel; None if unknown.
            picture: the scene in 8 bits, (h, w, C).
            valid: its pixels with data, (h, w).
        """
        told = []
        if metres is not None and (spans := self.spans):
            low, high = min(low for low, _ in spans), max(high for _, high in spans)
            place = _place(0.99 * low <= metres <= 1.01 * high)
            told.append(f"seen at {metres:.3g} m per pixel, {place} {low:.3g} to {high:.3g} m of the training images")
        if ranges := self._read("colour", self._colours):
            pixels = picture[valid].astype(np.float64)
            means, deviations = pixels.mean(axis=0), pixels.std(axis=0)
            inside = all(
                low <= mean <= high for found in ranges for mean, (low, high) in zip(means, found, strict=False)
            )
            each = ", ".join(f"{mean:.0f} ±{deviation:.0f}" for mean, deviation in zip(means, deviations, strict=True))
            lows, highs = np.array(ranges).min(axis=(0, 2)), np.array(ranges).max(axis=(0, 2))
            known = ", ".join(f"{low:.0f} to {high:.0f}" for low, high in zip(lows, highs, strict=True))
            told.append(
                f"its bands (mean ± deviation, 0 to 255) are {each}, {_place(inside)} the means in training, {known}"
            )
        return "; ".join(told) or None


def _exported(file: Path) -> OnnxNetwork:
    network = OnnxNetwork(file, threads=1)
    if network.side is not None:
        raise SceneError(f"{file} takes images of {network.side} px alone: export the weights without --tile")
    if "config" not in network.metadata:
        raise zoo.WeightsError(f"{file}: not written by scgcnet export")
    return network


def _place(inside: bool) -> str:
    return "within" if inside else "OUTSIDE"


def _numbers(text: str) -> list[float]:
    found = [float(part) for part in text.split(",") if part.strip()]
    if not all(0 < one < math.inf for one in found):
        raise ValueError(f"{text} is not above 0")
    return found


def _ranges(text: str) -> list[Span]:
    parts = [_numbers(part.replace("-", ",")) for part in text.split(",") if part.strip()]
    return [(min(part), max(part)) for part in parts]


def spans_of(metadata: Mapping[str, str]) -> list[Span]:
    """Ground resolutions of a network's input in training, metres per pixel, one span for each source.

    From `resolutions` (metres per pixel of the sources' images, with commas between) and `zooms` (for each the lowest
    and highest pixels of the input per pixel of the image, such as 0.35-1.6,1-4; 1 if there are none); else by the
    names of the sources. Empty if unknown.

    Raises:
        ValueError: a number cannot be read, or there are not as many zooms as resolutions.
    """
    if "resolutions" not in metadata:
        sources = [name.strip() for name in metadata.get("sources", "").split(",")]
        return [(TRAINED_AT[name],) * 2 for name in sources if name in TRAINED_AT]
    metres = _numbers(metadata["resolutions"])
    zooms = _ranges(metadata["zooms"]) if "zooms" in metadata else [(1.0, 1.0)] * len(metres)
    if len(zooms) != len(metres):
        raise ValueError(f"{len(metres)} resolutions and {len(zooms)} zooms")
    return [(metre / high, metre / low) for metre, (low, high) in zip(metres, zooms, strict=True)]


def choose_scales(metres: float | None, spans: Sequence[Span], seen_at: float | None = None) -> tuple[float, ...]:
    """Pixels of each working grid per pixel of the scene, finest first; the probabilities of all grids are averaged.

    Weights with `seen_at` see a scene at that resolution, at twice and at half of it, but never enlarged more than
    twice; one of unknown resolution at the scales `UNKNOWN`. Both were chosen on sources that were left out of training
    (book, "How the weights got there"). Other weights see it once, shrunk to the nearest of their spans (by ratio),
    never enlarged.

    Args:
        metres: ground resolution of the scene, metres per pixel; None if unknown.
        spans: see `spans_of`.
        seen_at: of the weights' metadata, metres per pixel; None if they have none.
    """
    if seen_at is not None:
        if metres is None:
            return UNKNOWN
        middle = min(metres / seen_at, LARGEST)
        finest = 2 * middle if 2 * middle <= LARGEST else LARGEST if middle < LARGEST / APART else None
        found = [scale for scale in (finest, middle, middle / 2) if scale is not None]
        return tuple(1.0 if abs(scale - 1) < SAME else scale for scale in found)
    if metres is None or not spans:
        return (1.0,)
    nearest = [min(max(metres, finest), coarsest) for finest, coarsest in spans]
    scale = metres / min(nearest, key=lambda one: abs(math.log(one / metres)))
    return (1.0,) if scale > 1 - SAME else (scale,)


def map_image(
    network: nn.Module,
    image: NDArray[np.uint8],
    metres: float | None,
    metadata: Mapping[str, str],
) -> Prob:
    """Probability of landslide of an image in memory, float32 (H, W), as `scgcnet map` has it.

    Args:
        network: of the weights, in evaluation mode.
        image: uint8 (H, W, C).
        metres: its ground resolution, metres per pixel; None if unknown.
        metadata: of the weights: window, scales and temperature are theirs.
    """
    seen_at = float(metadata["seen_at"]) if "seen_at" in metadata else None
    scales = choose_scales(metres, spans_of(metadata), seen_at)
    window, temperature = int(metadata.get("window", WINDOW)), float(metadata.get("temperature", 1))
    return predict_image(network, image, window, MapOptions.overlap, scales, temperature)


def _pair(text: str) -> Span:
    low, high = map(float, text.split(","))
    return low, high
