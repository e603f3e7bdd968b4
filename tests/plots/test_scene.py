import numpy as np

from scgcnet import plots
from scgcnet.chapters.mapping import MapView


def shown(outlines: list[np.ndarray], polygons: int) -> MapView:
    return MapView(np.zeros((60, 90, 3), np.uint8), np.full((60, 90), 0.3, np.float32), outlines, 0.55, polygons)


def test_outlines_lie_on_the_edges_of_pixels() -> None:
    figure = plots.scene_map(shown([np.array([[10, 20], [30, 20], [30, 40], [10, 20]], float)], 1))
    left, right, bar = figure.axes
    assert left.get_title() == "1 polygon" and right.get_title() == "probability"
    assert left.lines[0].get_xydata().tolist()[0] == [9.5, 19.5]  # a pixel's centre is its whole number
    assert bar.lines[-1].get_ydata()[0] == 0.55


def test_nothing_found() -> None:
    assert plots.scene_map(shown([], 0)).axes[0].get_title() == "no landslide found"


def test_a_hole_is_no_polygon() -> None:
    outer = np.array([[5, 5], [50, 5], [50, 50], [5, 5]], float)
    hole = np.array([[10, 10], [20, 10], [20, 20], [10, 10]], float)
    axis = plots.scene_map(shown([outer, hole, outer + 5], 2)).axes[0]
    assert axis.get_title() == "2 polygons" and len(axis.lines) == 6
