"""Counting, on layers whose cost is known by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scgcnet.cost import cost_table, count_cost, count_params
from scgcnet.scan import selective_scan_2d


class Warp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        grid = torch.zeros(*x.shape[2:], 2, device=x.device).expand(x.shape[0], -1, -1, -1)
        return F.grid_sample(x, grid, align_corners=True)


class Scan(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        batch, height, width, channels = x.shape
        ones = torch.ones(batch, height, width, 4, 5, device=x.device)
        delta = torch.ones(batch, height, width, 4, channels, device=x.device)
        A = -torch.ones(4, channels, 5, device=x.device)
        return selective_scan_2d(x, delta, A, ones, ones, torch.ones(4, channels, device=x.device))


def test_a_convolution() -> None:
    cost = count_cost(nn.Conv2d(3, 8, 3, padding=1), (2, 3, 10, 12))
    assert cost.macs == 2 * 10 * 12 * 8 * 3 * 9
    assert cost.params == 8 * 3 * 9 + 8


def test_bilinear_sampling_counts_four_per_output() -> None:
    assert count_cost(Warp(), (2, 3, 10, 12)).macs == 4 * 2 * 3 * 10 * 12


def test_the_scan_counts_nine_per_state_and_one_for_the_skip() -> None:
    length = 6 * 7
    assert count_cost(Scan(), (2, 3, 6, 7)).macs == 4 * (9 * 2 * length * 3 * 5 + 2 * length * 3)


def test_parts_and_the_model_left_alone() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2)).train()
    cost = count_cost(model, (1, 1, 5, 4))
    assert cost.by_module == {"0": 5 * 24, "1": 5 * 12}
    assert cost.gmac == pytest.approx(5 * 36e-9)
    assert model.training
    assert next(model.parameters()).device.type == "cpu"


def test_frozen_parameters_are_not_counted() -> None:
    model = nn.Linear(4, 6)
    model.bias.requires_grad_(False)
    assert count_params(model) == 24


def test_table() -> None:
    networks = {
        "tiny": {"name": "scgcnet", "size": "tiny"},
        "one band": {"name": "scgcnet", "size": "tiny", "in_channels": 1},
    }
    table = cost_table(networks, [128, 256]).set_index("network")
    assert list(table.columns) == ["parameters (M)", "GMAC at 128", "GMAC at 256"]
    assert table.loc["tiny", "GMAC at 256"] == pytest.approx(4 * table.loc["tiny", "GMAC at 128"])
    assert table.loc["one band", "parameters (M)"] < table.loc["tiny", "parameters (M)"]
