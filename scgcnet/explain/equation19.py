"""Eq. 19 as printed and as it can be repaired, computed on small random maps with the network's own sampling."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from scgcnet.model.psccs import warp


class Maps(NamedTuple):
    """What eq. 19 takes: F_i (coarse, upsampled) and F_{i+1} (fine), (B, C, H, W); two offset fields, (B, 2, H, W)."""

    coarse: Tensor
    fine: Tensor
    up: Tensor
    down: Tensor


def random_maps(seed: int = 0) -> Maps:
    """One image's maps of 4 channels and 12 x 16 pixels, with offsets of about two pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse, fine = torch.randn(2, 1, 4, 12, 16, generator=generator)
    up, down = 2 * torch.randn(2, 1, 2, 12, 16, generator=generator)
    return Maps(coarse, fine, up, down)


def as_printed(maps: Maps) -> Tensor:
    """The sum of the two lines of eq. 19 as they stand: both sample the fine map."""
    coarse, fine, up, down = maps
    return (warp(fine, up) + coarse) + (warp(fine, down) + fine)


def first_repaired(maps: Maps) -> Tensor:
    """The same with F_i for F_{i+1} in the first line's sampling; this is what the network here computes."""
    coarse, fine, up, down = maps
    return (warp(coarse, up) + coarse) + (warp(fine, down) + fine)


def second_repaired(maps: Maps) -> Tensor:
    """The same with F_i for F_{i+1} in the second line's sampling."""
    coarse, fine, up, down = maps
    return (warp(fine, up) + coarse) + (warp(coarse, down) + fine)


def equation_19_table(seed: int = 0) -> pd.DataFrame:
    """Largest differences between the three forms, and what the offsets do to the upsampled map alone.

    The maps' values are normally distributed with variance 1.

    The two repairs differ in which branch moves which map. Both branches are built alike (eq. 18), so a network that
    has one repair computes what a network with the other does whose branches are exchanged.
    """
    maps = random_maps(seed)
    exchanged = maps._replace(up=maps.down, down=maps.up)
    alone = maps._replace(fine=torch.zeros_like(maps.fine))  # with nothing but the upsampled map in it
    still = alone._replace(up=torch.zeros_like(maps.up), down=torch.zeros_like(maps.down))
    rows = {
        "As printed, against the first repair": as_printed(maps) - first_repaired(maps),
        "First repair, against the second with its branches exchanged": first_repaired(maps)
        - second_repaired(exchanged),
        "As printed, with a fine map of zeros: moved by the offsets": as_printed(alone) - as_printed(still),
        "First repair, with a fine map of zeros: moved by the offsets": first_repaired(alone) - first_repaired(still),
    }
    largest = [f"{float(difference.abs().max()):.2g}" for difference in rows.values()]
    return pd.DataFrame({"What": list(rows), "Largest difference": largest})
