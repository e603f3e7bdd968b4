"""Many views and thresholds: against a network whose answer is known, and the shift of the logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from scgcnet.train.predict import ManyViews


class Pointwise(nn.Module):
    """Landslide where the first band is high, whatever is beside it: turning the image must change nothing."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([torch.zeros_like(images[:, 0]), images[:, 0]], dim=1)


class LeftHalf(nn.Module):
    """Sure of a landslide in the left half of whatever it is shown."""

    def forward(self, images: Tensor) -> Tensor:
        odds = torch.full_like(images[:, 0], -30.0)
        odds[..., : images.shape[3] // 2] = 30.0
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


@pytest.mark.parametrize("views", [1, 2, 8])
def test_views_are_turned_back(views: int) -> None:
    images = torch.randn(2, 3, 6, 10, generator=torch.Generator().manual_seed(0))
    found = ManyViews(Pointwise(), views)(images)
    assert found.shape == (2, 2, 6, 10)
    torch.testing.assert_close(found.softmax(1)[:, 1], images[:, 0].sigmoid())


def test_the_mean_over_eight_views_knows_no_side() -> None:
    images = torch.zeros(1, 3, 8, 8)
    assert ManyViews(LeftHalf(), 2)(images).softmax(1)[0, 1].unique().tolist() == [0.5]
    eight = ManyViews(LeftHalf(), 8)(images).softmax(1)[0, 1]
    torch.testing.assert_close(eight, torch.full((8, 8), 0.5))
    assert ManyViews(LeftHalf(), 1)(images)[0, 1, 0, 0] > 10


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.7])
def test_the_threshold_lies_at_one_half(threshold: float) -> None:
    probability = torch.linspace(0.001, 0.999, 200)
    images = torch.logit(probability).reshape(1, 1, 1, 200)
    found = ManyViews(Pointwise(), 1, threshold)(images).softmax(1)[0, 1, 0]
    assert torch.equal(found > 0.5, probability > threshold)


def test_certain_networks_give_finite_logits() -> None:
    assert ManyViews(LeftHalf(), 1, 0.6)(torch.zeros(1, 3, 4, 4)).isfinite().all()


@pytest.mark.parametrize(("views", "threshold", "message"), [(4, 0.5, "4 views"), (8, 0.0, "threshold 0.0")])
def test_errors(views: int, threshold: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ManyViews(Pointwise(), views, threshold)
