"""Feature maps of several networks on the same images (Fig. 7), and how clear they are at true boundaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats
from torch import nn

from scgcnet.data import EvalTransform, Kind, LandslideDataset, Sample, dataset_available, open_dataset, open_whole
from scgcnet.explain.drawings import MapRow
from scgcnet.explain.edges import edge_contrast
from scgcnet.explain.features import capture, energy

WIDTH = 4  # pixels of the network's input to each side of a boundary: the stride of the decoder's last map


def images_at_hand() -> Kind:
    """Whether there are real images of Bijie to show networks, or made-up ones alone."""
    return open_whole("bijie").kind if dataset_available("bijie") else "synthetic"


def validation_part(kind: Kind) -> LandslideDataset:
    """The validation images of Bijie, or made-up ones for networks that were trained on such."""
    return open_dataset("bijie" if kind == "real" else "synthetic", 0, "val")


def spread_samples(part: LandslideDataset, n: int) -> list[Sample]:
    """Different samples evenly spaced in the order of their names, at least one and at most all."""
    return [part[int(index)] for index in np.linspace(0, len(part) - 1, min(max(n, 1), len(part)))]


def map_rows(networks: Mapping[str, nn.Module], samples: Sequence[Sample], image_size: int, layer: str) -> list[MapRow]:
    """The strength of a layer's map for each image and network, for `drawings.map_panels`.

    Args:
        networks: in evaluation mode, by label.
        samples: images at native size.
        image_size: side of the square network input in pixels, a multiple of the networks' stride.
        layer: name of a submodule that all networks have.

    Raises:
        ValueError: A network has no such layer.
    """
    return [
        MapRow(
            sample.image,
            sample.mask,
            {name: _map(model, sample, image_size, layer) for name, model in networks.items()},
        )
        for sample in samples
    ]


def contrast_frame(
    networks: Mapping[str, nn.Module], part: LandslideDataset, image_size: int, layer: str
) -> pd.DataFrame:
    """Mean `edge_contrast` of each network over a data set, with the 95 % interval of the mean over its images.

    Each map is held against the mask at the network's input size; images on which there is no boundary, or nothing but
    boundary, are left out.
    """
    rows = []
    for name, model in networks.items():
        values = []
        for sample in part:
            mask = EvalTransform(image_size)(sample)[1].numpy().astype(np.uint8)
            strength = _map(model, sample, image_size, layer)
            try:
                values.append(edge_contrast(strength, mask, WIDTH))
            except ValueError:  # no boundary, or nothing else
                continue
        mean, interval = _mean(values)
        rows.append({"Network": name, "Steepness": mean, "95 % over images": interval, "Images": len(values)})
    return pd.DataFrame(rows or [{"Network": "no trained weights are at hand"}])


def _mean(values: Sequence[float]) -> tuple[str, str]:
    """The mean and its 95 % interval, in words."""
    if not values:
        return "unknown", "no image has a boundary"
    mean = float(np.mean(values))
    if len(values) == 1:
        return f"{mean:.3f}", "one image: unknown"
    half = 1.96 * float(stats.sem(values))
    return f"{mean:.3f}", f"{mean - half:.3f} to {mean + half:.3f}"


def _map(model: nn.Module, sample: Sample, image_size: int, layer: str) -> np.ndarray:
    pixels = EvalTransform(image_size)(sample)[0].unsqueeze(0)
    return energy(capture(model, pixels, [layer])[layer])
