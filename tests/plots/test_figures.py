"""Every figure once with content and once without; what axes, colours and marks mean."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from scgcnet import plots
from scgcnet.data import Sample
from scgcnet.plots.panels import FALSE_ALARM, HIT, MISS, error_overlay
from scgcnet.plots.style import BLUE, VERMILION, WIDTH

HISTORY = [
    {"epoch": 0, "loss": 1.0, "val_loss": None, "val_iou": 0.2},
    {"epoch": 1, "loss": 0.5, "val_loss": 0.6, "val_iou": 0.6},
]
SAMPLE = Sample("a", np.zeros((8, 9, 3), np.uint8), np.zeros((8, 9), np.uint8))
PROBABILITY = np.zeros((8, 9), np.float32)
BINS = pd.DataFrame({"pixels": [3, 0, 1], "confidence": [0.1, np.nan, 0.8], "frequency": [0.3, np.nan, 1.0]})
SHARES = pd.DataFrame({"name": ["FCN"], "low": [5.5], "high": [5.6], "off": ["far"], "text": ["96.26 → 96.99"]})
PAPER = (0.4, 0.4, 0.2)

FULL: dict[str, Callable[[], Figure]] = {
    "training_curves": lambda: plots.training_curves({"a": HISTORY}),
    "curve_grid": lambda: plots.curve_grid({f"n{i}": HISTORY for i in range(7)}, "n3"),
    "image_histograms": lambda: plots.image_histograms([64, 128], [0.1, 0.2]),
    "cost_dots": lambda: plots.cost_dots({"a": (1, 2, 3)}, "a", [512, 1024]),
    "implied_shares": lambda: plots.implied_shares({"Bijie": SHARES}, {"Bijie": (-0.01, 0.01)}),
    "prediction_panels": lambda: plots.prediction_panels([(SAMPLE, PROBABILITY, 1.0)]),
    "network_panels": lambda: plots.network_panels([(SAMPLE, {"a": PROBABILITY})]),
    "critical_difference": lambda: plots.critical_difference({"a": 1, "b": 2}, 0.5, [["a", "b"]], "a"),
    "increment_curves": lambda: plots.increment_curves({"a": {0: {"iou": 50.0}}, "b": {}}, "a"),
    "label_curves": lambda: plots.label_curves({"Here": {"nothing": {5: (20.0, 10.0, 30.0)}}}, "nothing"),
    "score_grid": lambda: plots.score_grid(pd.DataFrame({"Bijie": [60.0]}, ["a"]), {("a", "Bijie"): "+"}, "a"),
    "weight_triangle": lambda: plots.weight_triangle({(1, 0, 0): 80.0}, PAPER),
    "component_recall": lambda: plots.component_recall({"a": [("small", 50, 40, 60)]}, [9]),
    "ablation_bars": lambda: plots.ablation_bars({"A1": (60, 59, 61), "A2": None}, "A1"),
    "score_differences": lambda: plots.score_differences({"a": (1, 0, 2, "unresolved")}, "b"),
    "claim_squares": lambda: plots.claim_squares(
        {
            "paper": {"Table I": ["not run", "supported", "unresolved", "contradicted"]},
            "here": {"Table I": ["holds", "does not hold", "not resolved", "not tested"]},
        }
    ),
    "hero": lambda: plots.hero([("cld", SAMPLE, PROBABILITY, PROBABILITY > 0.5, 0.7)] * 3),
    "paper_dots": lambda: plots.paper_dots(
        {"a": (60, 55, (55, 54, 56), (55, 50, 60)), "b": (1, 2, None, None)}, "a", "t"
    ),
    "step_dots": lambda: plots.step_dots({"a": {"bijie": 50.0, "cld": math.nan}}),
    "statement_rows": lambda: plots.statement_rows({"a": (-17, -20, -14, "does not hold"), "b": (1, 0.5, 2, "holds")}),
    "window_grid": lambda: plots.window_grid([(SAMPLE.image, SAMPLE.mask, "a")]),
    "size_curves": lambda: plots.size_curves({"IoU, %": {"a": {128: 50.0, 256: 55.0}}}, "a"),
    "cause_panels": lambda: plots.cause_panels([("cut; small", SAMPLE, PROBABILITY > 0, 0.1)] * 5),
    "reliability_diagram": lambda: plots.reliability_diagram({"a": {"test": BINS}}),
    "threshold_curves": lambda: plots.threshold_curves({"a": (np.linspace(0, 1, 99), 0.3, 0.5)}),
    "scene_map": lambda: plots.scene_map(SAMPLE.image, PROBABILITY, [np.eye(2)], 0.5, 2),
}
EMPTY: dict[str, Callable[[], Figure]] = {
    "claim_squares": lambda: plots.claim_squares({"paper": {"Table I": []}}),
    "hero": lambda: plots.hero([]),
    "prediction_panels": lambda: plots.prediction_panels([]),
    "network_panels": lambda: plots.network_panels([]),
    "critical_difference": lambda: plots.critical_difference({}, 1, [], "a"),
    "increment_curves": lambda: plots.increment_curves({"a": {}}, "a"),
    "weight_triangle": lambda: plots.weight_triangle({}, PAPER),
    "component_recall": lambda: plots.component_recall({}, []),
    "ablation_bars": lambda: plots.ablation_bars({"A1": None}, "A1"),
    "score_differences": lambda: plots.score_differences({}, "a"),
    "step_dots": lambda: plots.step_dots({"a": {"bijie": math.nan}}),
    "label_curves": lambda: plots.label_curves({}, "a"),
    "score_grid": lambda: plots.score_grid(pd.DataFrame(), {}, "a"),
    "statement_rows": lambda: plots.statement_rows({}),
    "size_curves": lambda: plots.size_curves({"IoU, %": {}}, "a"),
    "cause_panels": lambda: plots.cause_panels([]),
}


@pytest.mark.parametrize("name", plots.__all__)
def test_figure_is_as_wide_as_a_page_closed_and_legible(name: str) -> None:
    figure = FULL[name]()
    assert figure.get_figwidth() == WIDTH
    assert plt.get_fignums() == []  # a notebook would show an open figure a second time
    for _ in range(2):  # the layout settles at the second drawing
        figure.draw_without_rendering()
    box = figure.get_tightbbox()  # inches
    assert box.x0 > -0.02 and box.y0 > -0.02
    assert box.x1 < figure.get_figwidth() + 0.02 and box.y1 < figure.get_figheight() + 0.02
    texts = [text for text in figure.findobj(plt.Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) >= 8  # points; the page shows 78 % of it


@pytest.mark.parametrize("draw", EMPTY.values(), ids=EMPTY)
def test_figure_without_content_says_so(draw: Callable[[], Figure]) -> None:
    figure = draw()
    assert figure.texts[0].get_text().startswith("No ") and plt.get_fignums() == []
    (axis,) = figure.axes  # without axes a notebook shows no figure
    assert not axis.axison


def test_intervals_stand_at_their_rows() -> None:
    differences = {
        "FCN": (-5.0, -7.0, -3.0, "worse"),
        "Swin": (2.0, 1.0, 3.0, "better"),
        "U-Net": (-1, -2, 0.5, "unresolved"),
    }
    figure = plots.score_differences(differences, "Ours")
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["Swin", "U-Net", "FCN"]
    dots = [(*line.get_xydata()[0], line.get_marker()) for line in axis.lines if line.get_marker() != "None"]
    assert dots == [(2, 0, "^"), (-1, 1, "o"), (-5, 2, "v")]
    bars = [
        [*line.get_xdata(), line.get_ydata()[0]]
        for line in axis.lines
        if line.get_linewidth() == 2 and len(line.get_xdata()) == 2
    ]
    assert bars == [[1, 3, 0], [-2, 0.5, 1], [-7, -3, 2]]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["better than Ours", "worse than Ours", "unresolved"]
    variants = {"A1": (60.0, 58.0, 62.0), "A2": None, "A3": (63.0, 63.0, 63.0), "A8": (67.0, 66.5, 67.5)}
    (axis,) = plots.ablation_bars(variants, "A8").axes
    faces = [line.get_markerfacecolor() for line in axis.lines if line.get_marker() != "None"]
    assert faces == [BLUE, "white", VERMILION]  # a single run is hollow
    assert [(text.get_text(), text.get_position()[1]) for text in axis.texts] == [("not run", 1)]
    far = plots.implied_shares({"Bijie": SHARES}, {"Bijie": (0, 0)}).axes[0].lines[1]
    assert (far.get_color(), far.get_marker(), far.get_xdata()[0]) == (VERMILION, "D", 5.55)


def test_curves_leave_a_gap_at_a_missing_value() -> None:
    scores = {p: {"recall": 50 + p, "iou": 40.0 + p, "f1": 45.0} for p in (0, 1, 10)}
    axes = plots.increment_curves({"Ours": scores, "U-Net": {5: {"iou": 40.0}}}, "Ours").axes
    assert [axis.get_title() for axis in axes] == ["recall", "IoU", "F1"]
    ours, unet = axes[1].lines
    np.testing.assert_array_equal(ours.get_xydata(), [[0, 40], [1, 41], [2, np.nan], [3, 50], [4, np.nan]])
    assert ours.get_color() == VERMILION != unet.get_color() and ours.get_linewidth() > unet.get_linewidth()
    left, right = plots.training_curves({"seed 0": HISTORY}).axes
    np.testing.assert_array_equal(left.lines[1].get_ydata(), [np.nan, 0.6])
    assert right.lines[1].get_xydata().tolist() == [[1, 60]]  # the best epoch


def test_reliability_and_thresholds_show_their_numbers() -> None:
    upper, lower = plots.reliability_diagram({"net": {"test, error 5": BINS}}).axes
    np.testing.assert_array_equal(upper.lines[1].get_xydata(), BINS[["confidence", "frequency"]])
    np.testing.assert_allclose(lower.lines[0].get_ydata(), [75, 0, 25])
    curve, chosen, best = plots.threshold_curves({"net": (np.arange(99) / 100, 0.3, 0.99)}).axes[0].lines
    assert (curve.get_xdata()[0], curve.get_ydata()[-1]) == (0.01, pytest.approx(98))
    assert chosen.get_xydata().tolist() == [[0.3, pytest.approx(29)]] and chosen.get_markerfacecolor() != "white"
    assert best.get_xdata() == [0.99] and best.get_markerfacecolor() == "white"


def test_ranks_and_weights_stand_at_their_places() -> None:
    ranks = {"FCN": 3.5, "Ours": 1.5, "U-Net": 2.0, "HRNet": 4.5, "PIDNet": 3.5}
    groups = [["Ours", "U-Net"], ["U-Net", "FCN", "PIDNet"], ["FCN", "PIDNet", "HRNet"], ["HRNet"]]
    (axis,) = plots.critical_difference(ranks, 1.25, groups, "Ours").axes
    dots = {line.get_xdata()[0]: line.get_marker() for line in axis.lines if line.get_marker() in ("o", "D")}
    assert sorted(dots) == sorted(set(ranks.values())) and dots[1.5] == "D"
    names = [found[1] for text in axis.texts if (found := re.fullmatch(r"(.+) \(\d\.\d\d\)", text.get_text()))]
    assert names == ["Ours", "U-Net", "FCN", "HRNet", "PIDNet"]  # right side from the top, then the left
    bars = [line for line in axis.lines if line.get_linewidth() == 4]
    assert [(round(min(bar.get_xdata()), 1), round(max(bar.get_xdata()), 1)) for bar in bars] == [
        (1.5, 2),
        (2, 3.5),
        (3.5, 4.5),
    ]
    assert bars[0].get_ydata()[0] == bars[2].get_ydata()[0] != bars[1].get_ydata()[0]  # neighbours do not touch
    figure = plots.weight_triangle({PAPER: 81.0, (1, 0, 0): 70.0, (0, 0, 1): 82.5}, PAPER)
    (hexagons,) = figure.axes[0].collections
    middles = [tuple(path.vertices[:6].mean(axis=0).round(6)) for path in hexagons.get_paths()]
    height = math.sqrt(0.75)
    assert middles == [(0.4, round(0.4 * height, 6)), (0.5, round(height, 6)), (1, 0)]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["paper: 0.4 / 0.4 / 0.2, 81.00 %", "best: 0 / 0 / 1, 82.50 %", "not run"]


def test_errors_have_their_colours_and_unknown_pixels_none() -> None:
    mask = np.array([[1, 0, 1, 0, 255]], np.uint8)
    found = np.array([[0.9, 0.9, 0.1, 0.1, 0.9]], np.float32)
    sample = Sample("a", np.full((1, 5, 3), 100, np.uint8), mask)
    _, truth, errors = plots.network_panels([(sample, {"Ours": found})]).axes
    overlay = errors.images[0].get_array()
    for pixel, colour in zip(overlay[0], (HIT, FALSE_ALARM, MISS), strict=False):
        np.testing.assert_array_equal(pixel, np.round(0.25 * 160 + 0.75 * 255 * np.array(to_rgb(colour))))
    np.testing.assert_array_equal(overlay[0, 3:], 160)  # pale grey
    assert truth.images[0].get_array()[0, 4] == 0.5 and errors.get_xlabel() == "IoU 33 %"
    assert error_overlay(sample.image, mask, found > 0.5).dtype == np.uint8
    assert plots.network_panels([(SAMPLE, {"Ours": PROBABILITY})]).axes[2].get_xlabel() == "IoU 100 %"


@pytest.mark.parametrize(
    "deficiency",
    [  # protanopia and deuteranopia, Vienot et al. 1999, on linear RGB
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ],
)
def test_error_colours_differ_without_red_or_green_vision(deficiency: list[list[float]]) -> None:
    seen = [np.array(deficiency) @ np.array(to_rgb(colour)) ** 2.2 for colour in (HIT, FALSE_ALARM, MISS)]
    assert min(np.linalg.norm(seen[i] - seen[i - 1]) for i in range(3)) > 0.3


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.component_recall({f"n{i}": [("s", 1, 0, 2)] for i in range(7)}, [1]), "7 networks: at most 6"),
        (lambda: plots.weight_triangle({(0.45, 0.35, 0.2): 80.0}, PAPER), "are not multiples of 1/10"),
        (lambda: plots.weight_triangle({(1, 0, 0): 80.0}, (1.2, -0.2, 0.0)), "are not multiples of 1/10"),
        (lambda: plots.network_panels([(SAMPLE, dict.fromkeys("abcdefg", PROBABILITY))]), "7 networks in a row"),
    ],
)
def test_inconsistent_input_is_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
