"""The gates of CAM: values, order, signs, and how they are drawn."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from scgcnet import zoo
from scgcnet.explain.gates import draw_gates, gate_maps


def network(**options: object) -> torch.nn.Module:
    torch.manual_seed(0)
    return zoo.create_model("scgcnet", "tiny", **options).eval()


def test_gates_are_those_of_equation_16() -> None:
    model = network()
    with torch.no_grad():
        model.cam[3].gates.weight.zero_()  # type: ignore[index, union-attr, operator]
        model.cam[3].gates.bias.copy_(torch.tensor([0.5, -2.0, 3.0]))  # type: ignore[index, union-attr, operator]
    maps = gate_maps(model, torch.randn(1, 3, 64, 96))
    assert {name: (gate.shape, float(gate.min()), float(gate.max())) for name, gate in maps.items()} == {
        "5 x 5": ((2, 3), 0.5, 0.5),
        "11 x 11": ((2, 3), -2.0, -2.0),
        "19 x 19": ((2, 3), 3.0, 3.0),
    }


def test_every_modulator_and_level_has_a_name() -> None:
    maps = gate_maps(network(cam_where="laterals", cam_global=True), torch.randn(1, 3, 64, 64))
    assert len(maps) == 16
    assert maps["cam.0: the whole"].shape == (16, 16) and maps["cam.3: 5 x 5"].shape == (2, 2)


def test_a_network_without_cam_has_none() -> None:
    assert gate_maps(network(cam=False), torch.randn(1, 3, 32, 32)) == {}
    figure = draw_gates([(np.zeros((8, 8, 3), np.uint8), {})])
    assert "this network has no CAM" in {ax.get_title() for ax in figure.axes}
    with pytest.raises(ValueError, match="no image"):
        draw_gates([])


def test_all_gates_have_one_scale_around_nothing() -> None:
    maps = {"5 x 5": np.array([[1, -3]], np.float32), "11 x 11": np.array([[0, 0.5]], np.float32)}
    figure = draw_gates([(np.zeros((8, 8, 3), np.uint8), maps)] * 2)
    panels = [ax for ax in figure.axes if ax.images][:6]
    assert [panels[n].get_title() for n in range(3)] == ["image", "context of 5 x 5", "context of 11 x 11"]
    assert [panels[n].images[0].get_clim() for n in (1, 2, 4, 5)] == [(-3, 3)] * 4
    np.testing.assert_array_equal(panels[4].images[0].get_array(), maps["5 x 5"])
    assert not plt.get_fignums()
