"""Capturing feature maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from scgcnet import zoo
from scgcnet.explain.features import capture, energy, layer_shapes


def test_capture_gives_what_the_layers_gave() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    image = torch.randn(1, 3, 5, 6)
    maps = capture(model, image, ["0", "1"])
    torch.testing.assert_close(maps["0"], model[0](image))
    torch.testing.assert_close(maps["1"], model[0](image).relu())
    assert not any(m._forward_hooks for m in model.modules())


def test_capture_is_from_before_what_works_in_place() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    image = torch.randn(1, 3, 5, 6)
    torch.testing.assert_close(capture(model, image, ["0"])["0"], model[0](image))


def test_the_network_itself_is_the_empty_name() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1))
    image = torch.randn(1, 3, 5, 6)
    assert not capture(model, image, [""])[""].requires_grad
    torch.testing.assert_close(capture(model, image, [""])[""], model(image))


def test_unknown_layer_names_the_parts() -> None:
    model = zoo.create_model("scgcnet", "tiny")
    with pytest.raises(ValueError, match=r"no layer 'neck': .*encoder.*decoder.*head"):
        capture(model, torch.zeros(1, 3, 32, 32), ["neck"])
    assert not any(m._forward_hooks for m in model.modules())


def test_a_layer_without_a_map() -> None:
    model = zoo.create_model("scgcnet", "tiny").eval()
    with pytest.raises(ValueError, match="'encoder' gave no tensor"):
        capture(model, torch.zeros(1, 3, 32, 32), ["encoder"])


def test_shapes_without_computing() -> None:
    shapes = layer_shapes(zoo.create_model("scgcnet", "tiny"), (1, 3, 512, 512), ["encoder.stage3", "decoder.units.2"])
    assert shapes == {"encoder.stage3": (1, 96, 32, 32), "decoder.units.2": (1, 32, 128, 128)}


def test_energy_is_the_scaled_root_mean_square() -> None:
    features = torch.zeros(1, 2, 1, 3)
    features[0, :, 0, 1] = torch.tensor([3.0, 4.0])
    features[0, :, 0, 2] = torch.tensor([6.0, 8.0])
    np.testing.assert_allclose(energy(features), [[0, 0.5, 1]], rtol=1e-6)
    assert not energy(torch.ones(1, 2, 3, 3)).any()
    with pytest.raises(ValueError, match="one image at a time"):
        energy(torch.zeros(2, 1, 3, 3))
