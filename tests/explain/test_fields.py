"""Fields of Table III's rows: of the construction alone, the same for everyone who asks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scgcnet import zoo
from scgcnet.explain.fields import LAYERS, construction_fields, field_frame, fields_of
from scgcnet.explain.receptive_field import Field, effective_field, field_side
from scgcnet.model import DILATIONS


def square(side: int, inner: int) -> Field:
    field = np.zeros((side, side), np.float32)
    low = side // 2 - inner // 2
    field[low : low + inner, low : low + inner] = 1 / inner**2
    return field


def test_a_field_for_each_layer_of_a_fresh_network() -> None:
    fields = construction_fields({}, 64)
    assert list(fields) == ["stage 3", "stage 4", "logits"] == list(LAYERS.values())
    for field in fields.values():
        assert field.shape == (64, 64)
        assert (field >= 0).all() and field.sum() == pytest.approx(1, abs=1e-5)
    assert not np.array_equal(fields["stage 3"], fields["stage 4"])


def test_the_weights_are_those_of_seed_0_whatever_was_drawn_before() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = construction_fields({}, 64)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = construction_fields({}, 64)
    assert all(np.array_equal(first[name], again[name]) for name in first)


def test_larger_rates_see_farther_at_stage_3() -> None:
    """At 128 px, which neither fills there; beyond stage 3 the scans see all of the image."""
    one, six = (construction_fields({"dilations": DILATIONS[row]}, 128) for row in ("B1", "B6"))
    assert field_side(one["stage 3"]) + 20 < field_side(six["stage 3"]) < 128
    assert (one["stage 4"] > 0).all() and (six["stage 4"] > 0).all()


def test_the_rows_are_the_whole_network_with_other_rates() -> None:
    """B6 is the network as it is."""
    whole, six = construction_fields({}, 64), construction_fields({"dilations": DILATIONS["B6"]}, 64)
    assert all(np.array_equal(whole[name], six[name]) for name in whole)


def test_fields_of_a_network_are_those_of_its_layers() -> None:
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", "tiny").eval()
    fields = fields_of(model, 64)
    np.testing.assert_array_equal(fields["stage 3"], effective_field(model, "encoder.stage3", 64, images=2))
    np.testing.assert_array_equal(fields["logits"], effective_field(model, "", 64, images=2))
    with pytest.raises(ValueError, match=r"no layer 'encoder\.stage3'"):
        fields_of(torch.nn.Sequential(torch.nn.Conv2d(3, 1, 3, padding=1)), 64)


def test_a_frame_has_sides_and_distances_by_layer() -> None:
    """A square of 3 pixels: the ring of 8 around the middle is cut at 95 %; its mean square distance is 12 / 9."""
    corner = np.zeros((9, 9), np.float32)
    corner[1, 0] = 1  # 3 rows and 4 columns from the middle
    frame = field_frame({"B1": {"stage 3": square(9, 3), "logits": corner}, "B2": {"stage 3": square(9, 1)}})
    first, second = frame.to_dict("records")
    assert first == {
        "Network": "B1",
        "stage 3: 95 % side / distance": "3 / 1",
        "logits: 95 % side / distance": "9 / 5 (cut)",  # it reaches the edge: on a larger image it might reach further
    }
    assert second["stage 3: 95 % side / distance"] == "1 / 0"


def test_without_networks_the_frame_says_so() -> None:
    assert field_frame({}).to_dict("records") == [{"Network": "no trained weights are at hand"}]
