"""Prediction over several views of an image, and at another threshold than one half; any network, nothing trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class ManyViews(nn.Module):
    """A network's mean probability over flips and quarter turns of an image, shifted so that a threshold lies at 0.5.

    Nadir images have no up: each of the eight views is as likely, and their errors are not the same.

    Args:
        network: gives logits (B, 2, H, W) for images (B, C, H, W).
        views: 1 for the image as it is, 2 with its mirror image, 8 with all quarter turns of both.
        threshold: probability above which a pixel is called landslide, between 0 and 1.

    Raises:
        ValueError: another number of views, or a threshold outside (0, 1).
    """

    def __init__(self, network: nn.Module, views: int, threshold: float = 0.5) -> None:
        super().__init__()
        if views not in (1, 2, 8):
            raise ValueError(f"{views} views: 1, 2 (mirror) or 8 (quarter turns of both)")
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold}: must lie between 0 and 1")
        self.network, self.views, self.threshold = network, views, threshold

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 2, H, W) whose softmax is above 0.5 where the mean probability is above the threshold."""
        mean = torch.stack([self._landslide(images, view) for view in range(self.views)]).mean(dim=0)
        tiny = torch.finfo(mean.dtype).eps
        odds = torch.logit(mean, eps=tiny) - math.log(self.threshold / (1 - self.threshold))
        return torch.stack([torch.zeros_like(odds), odds], dim=1)

    def _landslide(self, images: Tensor, view: int) -> Tensor:
        """Probability (B, H, W) of one view: odd ones are mirrored, each pair has a quarter turn more."""
        turns = view // 2
        seen = torch.rot90(images, turns, (2, 3))
        seen = seen.flip(3) if view % 2 else seen
        found: Tensor = self.network(seen).float().softmax(dim=1)[:, 1]
        found = found.flip(2) if view % 2 else found
        return torch.rot90(found, -turns, (1, 2))
