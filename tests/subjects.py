"""Something to look into whose answers are known: made by hand, without a study."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scgcnet.data import LandslideDataset, Sample
from scgcnet.study.show import Note
from scgcnet.study.subject import Subject

SIDE = 32


class Given(LandslideDataset):
    """Samples from a list."""

    def __init__(self, *samples: Sample) -> None:
        self.dataset, self.kind, self.samples = "given", "synthetic", samples
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


def picture(name: str, true: tuple[int, int], bright: tuple[int, int]) -> Sample:
    """Landslides in some rows, bright in others: those of both are found."""
    image, mask = np.zeros((SIDE, SIDE, 3), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    mask[slice(*true)] = 1
    image[slice(*bright)] = 255
    return Sample(name, image, mask)


def subject(*samples: Sample, network: nn.Module | None = None, threshold: float = 0.5, side: int = SIDE) -> Subject:
    """A subject of the network (default `Bright`), with an input of `side` pixels."""
    record: Any = SimpleNamespace(config={"settings": {"image_size": side}})
    return Subject("by hand", (network or Bright()).eval(), record, Given(*samples), threshold, Note("x", "y"))
