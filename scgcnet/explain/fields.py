"""Effective receptive fields of the rows of Table III: of the construction alone, and of trained networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from scgcnet import zoo
from scgcnet.explain.receptive_field import Field, effective_field, field_radius, field_side

LAYERS = {"encoder.stage3": "stage 3", "encoder.stage4": "stage 4", "": "logits"}
CUT = 0.9  # of the image's side: a square beyond is as wide as the image, not as the field
IMAGES = 2  # of noise: the side of a fresh network's field moves by a few pixels with more


def construction_fields(overrides: Mapping[str, Any], side: int) -> dict[str, Field]:
    """Fields of a fresh `tiny` by layer: weights from seed 0, normalisation settled on noise.

    Args:
        overrides: fields of the network's configuration, such as its dilations.
        side: of the square input, pixels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = zoo.create_model("scgcnet", "tiny", **overrides)
    noise = torch.randn((4, 3, side, side), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # without statistics of its own, each BatchNorm lets the residual paths alone through
        update_bn([noise], model)
    return fields_of(model.eval(), side)


def fields_of(model: nn.Module, side: int) -> dict[str, Field]:
    """Fields of a network by layer, for a square input of `side` pixels."""
    return {name: effective_field(model, layer, side, images=IMAGES) for layer, name in LAYERS.items()}


def field_frame(fields: Mapping[str, Mapping[str, Field]]) -> pd.DataFrame:
    """Side of the 95 % square and root mean square distance in pixels, a row for each network, columns by layer.

    A square that comes near the edge of the image would be wider on a larger one, and is called cut.
    """
    rows = [
        {"Network": name} | {f"{layer}: 95 % side / distance": _in_words(field) for layer, field in found.items()}
        for name, found in fields.items()
    ]
    return pd.DataFrame(rows or [{"Network": "no trained weights are at hand"}])


def _in_words(field: Field) -> str:
    side = field_side(field)
    return f"{side:.0f} / {field_radius(field):.0f}{' (cut)' * (side > CUT * len(field))}"
