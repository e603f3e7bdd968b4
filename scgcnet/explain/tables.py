"""Numbers for the chapters on the network: choices, cost by part and by image size, shapes."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import torch
from torch import nn

from scgcnet.cost import count_cost
from scgcnet.explain.drawings import LAYERS, part_costs
from scgcnet.explain.features import layer_shapes
from scgcnet.model import CHOICES, SCGCNet, SCGCNetConfig


def choice_table() -> pd.DataFrame:
    """What the paper says of each part, what was chosen for `base`, and the fields that hold the choice."""
    return pd.DataFrame(
        [(c.part, c.paper, c.chosen, ", ".join(c.fields)) for c in CHOICES],
        columns=["part", "the paper", "chosen here", "fields"],
    )


def part_table(config: SCGCNetConfig, image_size: int) -> pd.DataFrame:
    """GMAC and share of the whole, by part."""
    gmac = pd.Series(part_costs(config, image_size), name="GMAC")
    share = (100 * gmac / gmac.sum()).rename("share (%)")
    return pd.concat([gmac.round(3), share.round(1)], axis=1).reset_index(names="part")


def shape_table(config: SCGCNetConfig, image_size: int) -> pd.DataFrame:
    """Output of each part for one square image: channels, rows, columns."""
    with torch.device("meta"):
        model = SCGCNet(config)
    present = [name for name in LAYERS if not isinstance(model.get_submodule(name), nn.Identity)]
    shapes = layer_shapes(model, (1, config.in_channels, image_size, image_size), present)
    columns = {LAYERS[name]: shape[1:] for name, shape in shapes.items()}
    return pd.DataFrame(columns, index=["channels", "rows", "columns"]).T.reset_index(names="part")


def base_cost(image_sizes: Iterable[int]) -> dict[int, float]:
    """GMAC of `base` for one square image, by its side in pixels: counted on the meta device, nothing is computed."""
    with torch.device("meta"):
        model = SCGCNet(SCGCNetConfig())
    return {side: count_cost(model, (1, 3, side, side)).gmac for side in image_sizes}
