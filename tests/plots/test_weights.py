import math

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scgcnet import plots

PAPER = (0.4, 0.4, 0.2)
SCORES = {PAPER: 81.0, (1.0, 0.0, 0.0): 70.0, (0.0, 1.0, 0.0): 71.0, (0.0, 0.0, 1.0): 72.0, (0.1, 0.2, 0.7): 82.5}


def triangle(axis: Axes) -> tuple[dict[tuple[float, float], float], list[Line2D], list[list[float]]]:
    """Middle of each hexagon with its score, the rings, and the hollow dots."""
    (hexagons,) = axis.collections
    middles = [tuple(path.vertices[:6].mean(axis=0).round(6)) for path in hexagons.get_paths()]
    rings = [line for line in axis.lines if line.get_markersize() > 10 and line.get_color() != "white"]
    (hollow,) = (line for line in axis.lines if line.get_marker() == "o" and line.get_markersize() == 6)
    return dict(zip(middles, hexagons.get_array(), strict=True)), rings, hollow.get_xydata().tolist()


def test_corners_are_single_losses_and_scores_have_their_colour() -> None:
    figure = plots.weight_triangle(SCORES, PAPER)
    axis = figure.axes[0]
    found, _, hollow = triangle(axis)
    height = math.sqrt(0.75)
    top, left, right = (0.5, round(height, 6)), (0.0, 0.0), (1.0, 0.0)
    assert (found[top], found[left], found[right]) == (70, 71, 72)  # DWCE, focal, Lovasz
    assert found[round(0.5 * 0.4 + 0.2, 6), round(0.4 * height, 6)] == 81
    assert len(found) == 5 and len(hollow) == 66 - 5
    texts = {text.get_text(): text.get_position() for text in axis.texts}
    assert texts["DWCE only"][1] > height
    assert texts["focal only"][0] < 0 and texts["Lovász only"][0] > 1


def test_the_only_point_is_not_the_best_of_anything() -> None:
    figure = plots.weight_triangle({PAPER: 80.0}, PAPER)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["paper: 0.4 / 0.4 / 0.2, 80.00 %", "not run"]


def test_the_papers_point_and_the_best_have_rings() -> None:
    figure = plots.weight_triangle(SCORES, PAPER)
    _, (paper, best), _ = triangle(figure.axes[0])
    height = math.sqrt(0.75)
    np.testing.assert_allclose(paper.get_xydata(), [[0.5 * 0.4 + 0.2, 0.4 * height]])
    np.testing.assert_allclose(best.get_xydata(), [[0.5 * 0.1 + 0.7, 0.1 * height]])
    assert (paper.get_marker(), best.get_marker()) == ("o", "D")
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["paper: 0.4 / 0.4 / 0.2, 81.00 %", "best: 0.1 / 0.2 / 0.7, 82.50 %", "not run"]


def test_the_papers_point_may_not_have_been_run() -> None:
    figure = plots.weight_triangle({(0.5, 0.5, 0.0): 80.0}, PAPER, score="validation IoU, %")
    assert figure.legends[0].get_texts()[0].get_text() == "paper: 0.4 / 0.4 / 0.2, not run"
    assert figure.axes[0].child_axes[0].get_ylabel() == "validation IoU, %"


def test_scales_rise_towards_the_corner_of_their_loss() -> None:
    axis = plots.weight_triangle(SCORES, PAPER).axes[0]
    ticks = [(text.get_text(), text.get_position()) for text in axis.texts if text.get_text() in ("0", "0.4", "1")]
    dwce, focal, lovasz = (dict(ticks[i : i + 3]) for i in (0, 3, 6))
    assert dwce["0"][1] < dwce["0.4"][1] < dwce["1"][1]  # upwards
    assert dwce["0.4"][1] == pytest.approx(0.4 * math.sqrt(0.75))  # level with the points of that weight
    assert focal["0"][0] > focal["0.4"][0] > focal["1"][0]  # along the lower side to the left
    assert lovasz["0"][0] < lovasz["0.4"][0] < lovasz["1"][0] and lovasz["0"][1] > lovasz["1"][1]  # down on the right
    assert {text.get_text() for text in axis.texts if "weight" in text.get_text()} == {
        "weight of DWCE →",
        "← weight of focal",
        "weight of Lovász →",
    }


def test_a_coarser_grid_and_every_point_run() -> None:
    scores = {(i / 2, j / 2, (2 - i - j) / 2): 50.0 + i for i in range(3) for j in range(3 - i)}
    found, _, hollow = triangle(plots.weight_triangle(scores, (0.5, 0.5, 0), step=0.5).axes[0])
    assert len(found) == 6 and hollow == []


@pytest.mark.parametrize("weights", [(0.5, 0.4, 0.2), (0.45, 0.35, 0.2), (1.2, -0.2, 0.0)])
def test_weights_off_the_grid_are_refused(weights: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"are not multiples of 1/10 from 0 to 1 that sum to 1"):
        plots.weight_triangle({weights: 80.0}, PAPER)
    with pytest.raises(ValueError, match="are not multiples"):
        plots.weight_triangle(SCORES, weights)
