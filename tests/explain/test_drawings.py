"""The drawings say what the network is."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from scgcnet.efficiency import count_cost
from scgcnet.explain.drawings import (
    draw_anatomy,
    draw_features,
    draw_offsets,
    feature_energies,
    offset_fields,
    part_costs,
)
from scgcnet.model import ABLATIONS, DILATIONS, PRESETS, SCGCNet, SCGCNetConfig


def texts(figure: Figure) -> str:
    assert not plt.get_fignums()  # an open figure would be shown twice in a notebook
    return "\n".join(t.get_text() for ax in figure.axes for t in (*ax.texts, ax.title))


def test_anatomy_of_base() -> None:
    text = texts(draw_anatomy(SCGCNetConfig()))
    assert "stage 3: 2 SCFE (2/2/2, 3/3/3)\n1024 x 32$^2$, 50.4 GMAC" in text
    assert "calibration unit 3\n256 x 128$^2$, 52.8 GMAC" in text
    assert text.count("CAM") == 1


def test_anatomy_follows_flags_and_rates() -> None:
    a1 = texts(draw_anatomy(SCGCNetConfig(**PRESETS["tiny"], **ABLATIONS["A1"]), 128))
    assert "stage 3: 6 bottlenecks" in a1
    assert "pyramid sum 1" in a1
    assert "CAM" not in a1
    b2 = texts(draw_anatomy(SCGCNetConfig(**PRESETS["tiny"], dilations=DILATIONS["B2"]), 128))
    assert "stage 4: 1 SCFE (5/5/5)" in b2


@pytest.mark.parametrize("where", ["deepest", "laterals", "backbone"])
def test_parts_add_up(where: str) -> None:
    config = SCGCNetConfig(**PRESETS["tiny"], cam_where=where)  # type: ignore[arg-type]
    with torch.device("meta"):
        whole = count_cost(SCGCNet(config), (1, 3, 128, 128)).gmac
    assert sum(part_costs(config, 128).values()) == pytest.approx(whole, rel=1e-9)


def test_feature_panels() -> None:
    maps = {"stage 1": np.zeros((8, 8), np.float32), "stage 2": np.ones((4, 4), np.float32)}
    text = texts(draw_features(np.zeros((32, 48, 3), np.uint8), maps))
    assert "image\n32 x 48" in text
    assert "stage 2\n4 x 4" in text


def test_offsets_state_their_mean_length() -> None:
    field = torch.zeros(1, 2, 16, 16)
    field[:, 0], field[:, 1] = 3, 4
    assert "up: mean length 5.00 px of 16 x 16" in texts(draw_offsets(np.zeros((64, 64, 3), np.uint8), {"up": field}))


def test_offset_fields_are_those_of_the_finest_unit() -> None:
    torch.manual_seed(0)
    model = SCGCNet(SCGCNetConfig(**PRESETS["tiny"])).eval()
    with torch.no_grad():
        model.decoder.units[2].up[-1].bias.copy_(torch.tensor([1.5, -2.0]))  # type: ignore[index, union-attr]
        fields = offset_fields(model, torch.randn(1, 3, 64, 64))
    assert {k: tuple(v.shape) for k, v in fields.items()} == {"up": (1, 2, 16, 16), "down": (1, 2, 16, 16)}
    torch.testing.assert_close(fields["up"].mean(dim=(0, 2, 3)), torch.tensor([1.5, -2.0]))
    assert not fields["down"].any()


def test_without_calibration_the_figure_says_so() -> None:
    model = SCGCNet(SCGCNetConfig(**PRESETS["tiny"], psccs=False))
    assert offset_fields(model, torch.zeros(1, 3, 32, 32)) == {}
    assert "no calibration units" in texts(draw_offsets(np.zeros((8, 8, 3), np.uint8), {}))


def test_feature_energies_are_those_of_the_parts_that_are_there() -> None:
    image = torch.randn(1, 3, 64, 64)
    whole = feature_energies(SCGCNet(SCGCNetConfig(**PRESETS["tiny"])).eval(), image)
    assert list(whole)[3:] == ["stage 4", "CAM on lateral 4", "fusion 1", "fusion 2", "fusion 3"]
    assert whole["stage 1"].shape == (16, 16) and whole["stage 4"].shape == (2, 2)
    without = feature_energies(SCGCNet(SCGCNetConfig(**PRESETS["tiny"], cam=False)).eval(), image)
    assert set(whole) - set(without) == {"CAM on lateral 4"}
