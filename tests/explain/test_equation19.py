"""Eq. 19, printed and repaired."""

from __future__ import annotations

import pytest
import torch

from scgcnet.explain.equation19 import as_printed, equation_19_table, first_repaired, random_maps, second_repaired
from scgcnet.model.psccs import CalibrationUnit, upsample_to


@pytest.mark.parametrize("seed", [0, 1])
def test_the_repairs_agree_and_the_print_does_not(seed: int) -> None:
    maps = random_maps(seed)
    exchanged = maps._replace(up=maps.down, down=maps.up)
    torch.testing.assert_close(first_repaired(maps), second_repaired(exchanged))
    assert (as_printed(maps) - first_repaired(maps)).abs().max() > 1
    assert (as_printed(maps) - second_repaired(maps)).abs().max() > 1


def test_without_offsets_only_the_print_forgets_the_coarse_map() -> None:
    maps = random_maps()
    maps = maps._replace(up=torch.zeros_like(maps.up), down=torch.zeros_like(maps.down))
    torch.testing.assert_close(first_repaired(maps), 2 * maps.coarse + 2 * maps.fine)
    torch.testing.assert_close(as_printed(maps), maps.coarse + 3 * maps.fine)


def test_the_network_computes_the_first_repair() -> None:
    torch.manual_seed(0)
    unit = CalibrationUnit(4, 4, "literal").eval()
    maps = random_maps()
    coarse = upsample_to(maps.coarse, maps.fine)
    both = torch.cat([coarse, maps.fine], dim=1)
    up, down = unit.offsets(both).chunk(2, dim=1)
    maps = maps._replace(coarse=coarse, up=up, down=down)
    torch.testing.assert_close(unit(maps.coarse, maps.fine), first_repaired(maps))


def test_the_table_says_so() -> None:
    printed, repairs, unmoved, moved = map(float, equation_19_table()["Largest difference"])
    assert printed > 1
    assert repairs < 1e-5
    assert unmoved == 0
    assert moved > 1
