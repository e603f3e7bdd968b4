import re

import pytest
from matplotlib.lines import Line2D

from scgcnet import plots

RANKS = {"FCN": 3.5, "Ours": 1.5, "U-Net": 2.0, "HRNet": 4.5, "PIDNet": 3.5}


def bars(lines: list[Line2D]) -> list[Line2D]:
    return [line for line in lines if line.get_linewidth() == 4]


def test_a_network_is_joined_to_its_rank_and_the_best_is_on_the_right() -> None:
    (axis,) = plots.critical_difference(RANKS, 1.25, [], "Ours").axes
    assert axis.get_xlim() == (5, 1)
    dots = [line for line in axis.lines if line.get_marker() in ("o", "D")]
    assert sorted(line.get_xdata()[0] for line in dots) == sorted(RANKS.values())
    (ours,) = (line for line in dots if line.get_marker() == "D")
    assert (ours.get_xdata()[0], ours.get_color()) == (1.5, plots.VERMILION)
    leaders = {tuple(line.get_xydata()[-1]): line for line in axis.lines if len(line.get_xdata()) == 3}
    names = {}
    for text in axis.texts:
        if found := re.fullmatch(r"(.+) \((\d\.\d\d)\)", text.get_text()):
            leader = leaders[text.xy]
            assert leader.get_xydata()[0].tolist() == [RANKS[found[1]], 0]
            assert float(found[2]) == RANKS[found[1]]
            names[found[1]] = (text.xy[0] < 1, text.xy[1], text.get_fontweight())
    assert [name for name in names if names[name][0]] == ["Ours", "U-Net", "FCN"]  # on the right, from the top
    assert [name for name in names if not names[name][0]] == ["HRNet", "PIDNet"]  # the worst on top: no lines cross
    assert names["Ours"][1] < names["U-Net"][1] < names["FCN"][1]
    assert [name for name in names if names[name][2] == "bold"] == ["Ours"]


def test_groups_have_bars_that_do_not_touch() -> None:
    groups = [["Ours", "U-Net"], ["U-Net", "FCN", "PIDNet"], ["FCN", "PIDNet", "HRNet"], ["HRNet"]]
    (axis,) = plots.critical_difference(RANKS, 1.25, groups, "Ours").axes
    spans = [sorted(bar.get_xdata()) for bar in bars(axis.lines)]
    expected = [(1.5, 2.0), (2.0, 3.5), (3.5, 4.5)]  # a single network gets none
    assert [(round(low, 1), round(high, 1)) for low, high in spans] == expected
    heights = [bar.get_ydata()[0] for bar in bars(axis.lines)]
    assert heights[0] == heights[2] != heights[1]


@pytest.mark.parametrize("critical", [1.25, 9.0])
def test_the_critical_difference_is_drawn_to_scale(critical: float) -> None:
    figure = plots.critical_difference(RANKS, critical, [list(RANKS)], "Ours")
    (axis,) = figure.axes
    (length,) = (line for line in axis.lines if line.get_marker() == "|")
    assert list(length.get_xdata()) == [5, 5 - critical]
    assert f"critical difference {critical:.2f}" in [text.get_text() for text in axis.texts]
    assert axis.get_xlim()[1] <= 5 - critical or critical < 4  # a long one is inside too


def test_strange_ranks_and_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="no mean rank for Swin, which a group holds"):
        plots.critical_difference(RANKS, 1, [["Ours", "Swin"]], "Ours")
    with pytest.raises(ValueError, match=r"mean ranks of 2 networks lie between 1 and 2: b 2\.5"):
        plots.critical_difference({"a": 1.0, "b": 2.5}, 1, [], "a")
