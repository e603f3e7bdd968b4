"""What a network costs: parameters and multiply-accumulates, counted exactly without running it.

The field's "GFLOPs" are multiply-accumulates (MAC). torch's `FlopCounterMode` counts two per MAC, so every count
is halved here. On the meta device no memory is taken: the 2048x2048 count of `base` takes a second on a laptop.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scgcnet import zoo


@dataclass(frozen=True)
class Cost:
    """Cost of one forward pass.

    Attributes:
        params: Trainable parameters, auxiliary heads included.
        macs: Multiply-accumulates of the whole network.
        by_module: MACs by the qualified name of a submodule, children included.
    """

    params: int
    macs: int
    by_module: dict[str, int]

    @property
    def gmac(self) -> float:
        """Billions of multiply-accumulates."""
        return self.macs / 1e9


def count_params(model: nn.Module, *, auxiliary: bool = True) -> int:
    """Trainable parameters; without `auxiliary` those of the heads that inference drops (`aux`) are left out."""
    parameters = (p for name, p in model.named_parameters() if auxiliary or not name.startswith("aux."))
    return sum(p.numel() for p in parameters if p.requires_grad)


def _grid_sampler_flops(*args: Any, out_shape: Any, **kwargs: Any) -> int:
    """Bilinear sampling: four multiply-accumulates per output value."""
    return 2 * 4 * int(torch.Size(out_shape).numel())


def count_cost(model: nn.Module, shape: tuple[int, int, int, int]) -> Cost:
    """Counts one forward pass of `model` on an input of `shape` (B, C, H, W); the model is left as it is."""
    meta = _without_norms(copy.deepcopy(model).to("meta")).eval()
    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.grid_sampler_2d: _grid_sampler_flops})
    with torch.no_grad(), counter:
        meta(torch.empty(shape, device="meta"))
    root = type(meta).__name__
    by_module = {
        name.removeprefix(f"{root}."): sum(counts.values()) // 2
        for name, counts in counter.get_flop_counts().items()
        if name.startswith(f"{root}.")
    }
    return Cost(count_params(model), counter.get_total_flops() // 2, by_module)


def _without_norms(model: nn.Module) -> nn.Module:
    """Takes normalisations out: they multiply nothing that is counted, and are a third of the time of a count."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) in (nn.BatchNorm2d, nn.LayerNorm):
                setattr(parent, name, nn.Identity())
    return model


def cost_table(networks: Mapping[str, Mapping[str, Any]], image_sizes: Sequence[int]) -> pd.DataFrame:
    """Parameters in millions and GMAC at each image size, one row per network.

    Args:
        networks: By row label, the arguments of `zoo.create_model`.
        image_sizes: Sides of square images, pixels.
    """
    rows = {}
    for label, arguments in networks.items():
        with torch.device("meta"):
            model = zoo.create_model(**arguments)
        channels = int(arguments.get("in_channels", 3))
        gmac = {f"GMAC at {side}": count_cost(model, (1, channels, side, side)).gmac for side in image_sizes}
        rows[label] = {"parameters (M)": count_params(model) / 1e6, **gmac}
    return pd.DataFrame.from_dict(rows, orient="index").reset_index(names="network")
