"""Eq. 19 printed and repaired, and the shares of landslide pixels that the paper's rows imply."""

from __future__ import annotations

import pytest

from scgcnet.chapters.paper_audit import equation_19_table, share_panels
from scgcnet.study.audit import check_shares
from scgcnet.study.paper import read_paper


@pytest.mark.parametrize("seed", [0, 1])
def test_the_repairs_of_equation_19_agree_and_the_print_does_not(seed: int) -> None:
    printed, repairs, unmoved, moved = map(float, equation_19_table(seed)["Largest difference"])
    assert printed > 1 and moved > 1
    assert repairs < 1e-5
    assert unmoved == 0


def test_shares_are_of_every_row() -> None:
    paper = read_paper()
    panels, agreed = share_panels([check_shares(paper, dataset) for dataset in ("CLD", "GLDD")])
    assert list(panels) == list(agreed) == ["CLD: 14.40 to 14.41 %", "HR-GLDD: 10.92 %"]
    cld, gldd = (rows.set_index("name") for rows in panels.values())
    assert (len(cld), len(gldd)) == (25, 17)
    far = cld[cld.off == "far"]
    assert set(far.index) == {"PSP-Net", "CCNet", "GCNet", "A1", "A2", "A3", "A4", "A5", "A7"}
    assert far.text["PSP-Net"] == "96.26 → 96.99"
    assert gldd.loc["FCN", ["low", "high"]].tolist() == pytest.approx([5.588, 5.612], abs=0.01)  # 10.92 % are agreed
