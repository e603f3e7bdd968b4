"""The network chapter's tables."""

from __future__ import annotations

import pytest

from scgcnet.explain.tables import base_cost, choice_table, part_table, shape_table
from scgcnet.model import CHOICES, SCGCNetConfig


def test_every_choice_has_a_row() -> None:
    table = choice_table().set_index("part")
    assert list(table.index) == [c.part for c in CHOICES]
    assert "rb, cu_width, smooth" in table.loc["calibration unit", "fields"]


def test_shares_of_base_add_up() -> None:
    table = part_table(SCGCNetConfig(), 512).set_index("part")
    assert table["GMAC"].sum() == pytest.approx(191.75, abs=0.01)
    assert table["share (%)"].sum() == pytest.approx(100, abs=0.5)
    assert table.loc["fusion", "share (%)"] == pytest.approx(36.1)


def test_shapes_of_base() -> None:
    table = shape_table(SCGCNetConfig(), 512).set_index("part")
    assert table.loc["stage 4"].tolist() == [2048, 16, 16]
    assert table.loc["head"].tolist() == [2, 128, 128]
    assert [part for part in table.index if "CAM" in part] == ["CAM on lateral 4"]  # identities are no parts


def test_cost_of_base_by_image_size() -> None:
    cost = base_cost([512, 2048])
    assert cost[512] == pytest.approx(191.75, abs=0.01)
    assert cost[2048] == pytest.approx(3068, abs=1)
