"""Effective receptive fields: where theory knows them, of fresh and of given networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subjects import square_field
from torch import nn

from scgcnet import zoo
from scgcnet.explain.receptive_field import (
    LAYERS,
    construction_fields,
    effective_field,
    field_frame,
    field_radius,
    field_side,
)
from scgcnet.model import DILATIONS
from scgcnet.scan import use_backend


def stack(*dilations: int, channels: int = 4) -> nn.Sequential:
    """3x3 convolutions, as large inside as outside."""
    torch.manual_seed(0)
    widths = [1, *[channels] * len(dilations)]
    return nn.Sequential(*(nn.Conv2d(widths[i], channels, 3, padding=d, dilation=d) for i, d in enumerate(dilations)))


@pytest.mark.parametrize("side", [8, 9])  # even and odd
def test_one_convolution_of_ones_is_its_kernel(side: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1))
    nn.init.ones_(model[0].weight)
    field = effective_field(model, "0", side)
    np.testing.assert_allclose(field, square_field(side, 3), rtol=1e-6)
    assert field_side(field, 1) == 3
    assert field_radius(field) == pytest.approx((12 / 9) ** 0.5)


@pytest.mark.parametrize(("dilations", "reach"), [((1, 2), 3), ((2, 2), 4), ((1, 2, 3), 6)])
def test_support_of_dilated_convolutions_is_the_theoretical_one(dilations: tuple[int, ...], reach: int) -> None:
    taps = {0}
    for d in dilations:
        taps = {t + step for t in taps for step in (-d, 0, d)}
    seen = np.isin(np.arange(-10, 11), list(taps))
    assert max(taps) == reach
    field = effective_field(stack(*dilations), "", 21, in_channels=1)
    np.testing.assert_array_equal(field > 0, np.outer(seen, seen))
    assert field_side(field, 1) == 2 * reach + 1
    assert field.sum() == pytest.approx(1, abs=1e-6)


def test_channels_that_cancel_are_seen() -> None:
    """A plain sum of the channels would have no gradient at all; the mean over signs is the root of the squares."""
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1))
    weight = torch.arange(9.0).view(1, 3, 3)
    with torch.no_grad():
        model[0].weight.copy_(torch.stack([weight, -weight]))
    field = effective_field(model, "0", 9, images=64, in_channels=1)
    np.testing.assert_allclose(field[3:6, 3:6], weight[0] / 36, atol=1e-6)


def test_strided_layers_look_at_the_middle_pixel() -> None:
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, stride=2, padding=1) for _ in range(2)))
    for conv in model:
        nn.init.ones_(conv.weight)
    rows, columns = np.nonzero(effective_field(model, "", 16, in_channels=1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 11, 5, 11)
    with pytest.raises(ValueError, match="3 rows at 12 pixels: take a multiple of 8"):
        effective_field(model, "", 12, in_channels=1)


def test_backward_through_the_compiled_scan_is_that_of_the_reference() -> None:
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", "tiny").eval()
    fields = []
    for backend in ("numba", "reference"):
        with use_backend(backend):
            fields.append(effective_field(model, "encoder.stage4", 64, images=1))
    np.testing.assert_allclose(fields[0], fields[1], rtol=1e-3, atol=1e-9)
    assert (fields[0] > 0).all()  # rows and columns of the scans, twice: all of the image


def test_a_seed_repeats_and_another_does_not() -> None:
    model = stack(1, 1)
    first = effective_field(model, "", 9, images=2, in_channels=1)
    torch.manual_seed(5)  # the global state plays no part
    assert np.array_equal(first, effective_field(model, "", 9, images=2, in_channels=1))
    assert not np.array_equal(first, effective_field(model, "", 9, images=2, seed=1, in_channels=1))


def test_the_network_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout(0.5))
    model.train()
    model[1].eval()
    model[0].bias.requires_grad_(False)
    model[0].weight.grad = torch.ones_like(model[0].weight)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    before = torch.get_rng_state()
    with torch.no_grad():  # as a notebook might
        effective_field(model, "3", 9)
    assert [m.training for m in model.modules()] == [True, True, False, True, True]
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True]
    assert (model[0].weight.grad == 1).all()
    assert all(p.grad is None for p in list(model.parameters())[1:])
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.parametrize("weight", [0.0, float("inf")])
def test_a_network_without_a_field(weight: float) -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1))
    nn.init.constant_(model[0].weight, weight)
    with pytest.raises(ValueError, match="'0': the gradients at the image are all zero, or not finite"):
        effective_field(model, "0", 9, in_channels=1)


def test_sides_between_whole_squares() -> None:
    field = square_field(9, 5)
    assert field_side(field, 9 / 25) == pytest.approx(3)
    assert field_side(field, 17 / 25) == pytest.approx(4)  # half of the outer ring's 16
    assert field_side(field, 0.5 / 25) == pytest.approx(0.5)
    assert field_side(np.full((8, 8), 1 / 64, np.float32), 1) == 8  # never larger than the field


def test_radius_of_single_pixels() -> None:
    field = np.zeros((9, 9), np.float32)
    field[4, 4] = 1
    assert (field_radius(field), field_side(field, 1)) == (0, 1)
    field[4, 4], field[1, 0] = 0, 1
    assert field_radius(field) == 5
    assert field_side(field, 1) == 9


def test_construction_fields_depend_on_the_configuration_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = construction_fields({}, 64)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = construction_fields({"dilations": DILATIONS["B6"]}, 64)  # B6 is the network as it is
    assert list(first) == ["stage 3", "stage 4", "logits"] == list(LAYERS.values())
    for name, field in first.items():
        assert np.array_equal(field, again[name]) and field.shape == (64, 64)
        assert (field >= 0).all() and field.sum() == pytest.approx(1, abs=1e-5)


def test_larger_rates_see_farther_at_stage_3() -> None:
    """At 128 px, which neither fills there; beyond stage 3 the scans see all of the image."""
    one, six = (construction_fields({"dilations": DILATIONS[row]}, 128) for row in ("B1", "B6"))
    assert field_side(one["stage 3"]) + 20 < field_side(six["stage 3"]) < 128
    assert (one["stage 4"] > 0).all() and (six["stage 4"] > 0).all()


def test_a_frame_has_sides_and_distances_by_layer() -> None:
    """A square of 3 pixels: the ring of 8 around the middle is cut at 95 %; its mean square distance is 12 / 9."""
    corner = np.zeros((9, 9), np.float32)
    corner[1, 0] = 1  # 3 rows and 4 columns from the middle
    frame = field_frame(
        {"B1": {"stage 3": square_field(9, 3), "logits": corner}, "B2": {"stage 3": square_field(9, 1)}}
    )
    first, second = frame.to_dict("records")
    assert first == {
        "Network": "B1",
        "stage 3: 95 % side / distance": "3 / 1",
        "logits: 95 % side / distance": "9 / 5 (cut)",  # it reaches the edge: on a larger image it might reach further
    }
    assert second["stage 3: 95 % side / distance"] == "1 / 0"
    assert field_frame({}).shape == (1, 1)
