"""What holds for every figure."""

from collections.abc import Callable
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_atlas import fake_atlas
from matplotlib.figure import Figure

from scgcnet import plots
from scgcnet.data import Sample
from scgcnet.scene.example import MapView
from scgcnet.study.consistency import check_shares
from scgcnet.study.cases import Case, NetworkCase
from scgcnet.study.paper import read_paper

HISTORY = [{"epoch": 0, "loss": 1.0, "val_loss": 1.0, "val_iou": 0.1}]
SAMPLE = Sample("a", np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9), np.uint8))
ATLAS = fake_atlas()
PROBABILITY = np.zeros((8, 9), np.float32)

FULL: dict[str, Callable[[], Figure]] = {
    "training_curves": lambda: plots.training_curves({"a": HISTORY}),
    "curve_grid": lambda: plots.curve_grid({"a": HISTORY}, "a"),
    "image_histograms": lambda: plots.image_histograms([64, 128], [0.1, 0.2]),
    "cost_dots": lambda: plots.cost_dots({"a": (1, 2, 3)}, "a", [512, 1024]),
    "implied_shares": lambda: plots.implied_shares([check_shares(read_paper(), "Bijie")]),
    "prediction_panels": lambda: plots.prediction_panels([Case(SAMPLE, PROBABILITY, 1.0)]),
    "network_panels": lambda: plots.network_panels([NetworkCase(SAMPLE, {"a": PROBABILITY})]),
    "critical_difference": lambda: plots.critical_difference({"a": 1, "b": 2}, 0.5, [], "a"),
    "increment_curves": lambda: plots.increment_curves({"a": {0: {"iou": 50.0}}}, "a"),
    "weight_triangle": lambda: plots.weight_triangle({(1, 0, 0): 80.0}, (0.4, 0.4, 0.2)),
    "component_recall": lambda: plots.component_recall({"a": [("small", 50, 40, 60)]}, [9]),
    "ablation_bars": lambda: plots.ablation_bars({"A1": (60, 59, 61)}, "A1"),
    "score_differences": lambda: plots.score_differences({"a": (1, 0, 2, "unresolved")}, "b"),
    "size_curves": lambda: plots.size_curves({"IoU, %": {"a": {128: 50.0, 256: 55.0}}}, "a"),
    "cause_panels": lambda: plots.cause_panels(ATLAS),
    "reliability_diagram": lambda: plots.reliability_diagram(ATLAS),
    "threshold_curves": lambda: plots.threshold_curves(ATLAS),
    "scene_map": lambda: plots.scene_map(MapView(SAMPLE.image, PROBABILITY, [], 0.5, 0)),
}
EMPTY: dict[str, Callable[[], Figure]] = {
    "prediction_panels": lambda: plots.prediction_panels([]),
    "network_panels": lambda: plots.network_panels([]),
    "critical_difference": lambda: plots.critical_difference({}, 1, [], "a"),
    "increment_curves": lambda: plots.increment_curves({"a": {}}, "a"),
    "weight_triangle": lambda: plots.weight_triangle({}, (0.4, 0.4, 0.2)),
    "component_recall": lambda: plots.component_recall({}, []),
    "ablation_bars": lambda: plots.ablation_bars({"A1": None}, "A1"),
    "score_differences": lambda: plots.score_differences({}, "a"),
    "size_curves": lambda: plots.size_curves({"IoU, %": {}}, "a"),
    "cause_panels": lambda: plots.cause_panels(replace(ATLAS, entries=())),
}


def test_every_public_figure_is_here() -> None:
    others = {"error_overlay", "finished", "message"}
    assert set(FULL) == {name for name in plots.__all__ if not name.isupper()} - others


@pytest.mark.parametrize("draw", FULL.values(), ids=FULL)
def test_a_figure_is_as_wide_as_a_page_and_not_left_open(draw: Callable[[], Figure]) -> None:
    """A notebook would show an open figure a second time."""
    figure = draw()
    assert figure.get_figwidth() == plots.WIDTH
    assert plt.get_fignums() == []


@pytest.mark.parametrize("draw", FULL.values(), ids=FULL)
def test_no_text_is_cut_off_or_tiny(draw: Callable[[], Figure]) -> None:
    figure = draw()
    for _ in range(2):  # the layout settles at the second drawing
        figure.draw_without_rendering()
    box = figure.get_tightbbox()  # inches
    assert box.x0 > -0.02 and box.y0 > -0.02
    assert box.x1 < figure.get_figwidth() + 0.02 and box.y1 < figure.get_figheight() + 0.02
    texts = [text for text in figure.findobj(plt.Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 8  # points; the page shows 78 % of it


@pytest.mark.parametrize("draw", EMPTY.values(), ids=EMPTY)
def test_where_nothing_is_stored_a_figure_says_so(draw: Callable[[], Figure]) -> None:
    figure = draw()
    (text,) = figure.texts
    assert text.get_text().startswith("No ") and "to show" in text.get_text()
    assert plt.get_fignums() == []
    (axis,) = figure.axes  # without any, a notebook shows no figure
    assert not axis.axison
