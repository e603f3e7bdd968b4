"""Samples and networks whose answers are known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from scgcnet.data import LandslideDataset, Sample

SIDE = 32


class Given(LandslideDataset):
    """Samples from a list."""

    def __init__(self, *samples: Sample, dataset: str = "given") -> None:
        self.dataset, self.kind, self.samples = dataset, "synthetic", samples
        self.names = tuple(sample.name for sample in samples)
        self.sites = ("",) * len(samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


class Bright(nn.Module):
    """Calls landslide what is bright in red: twice its normalised value is the margin."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.mix.weight.zero_()
            self.mix.weight[0, 0], self.mix.weight[1, 0] = -1.0, 1.0
            self.mix.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.mix(x)
        return out


def picture(name: str, true: tuple[int, int], bright: tuple[int, int], side: int = SIDE) -> Sample:
    """Landslides in some rows, bright in others."""
    image, mask = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.uint8)
    mask[slice(*true)] = 1
    image[slice(*bright)] = 255
    return Sample(name, image, mask)


def square_field(side: int, inner: int) -> np.ndarray:
    """A receptive field that is uniform in the middle square, with sum 1."""
    field = np.zeros((side, side), np.float32)
    low = side // 2 - inner // 2
    field[low : low + inner, low : low + inner] = 1 / inner**2
    return field
