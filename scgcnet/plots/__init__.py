"""Figures of the book. Each function returns a matplotlib Figure as wide as a page; colours suit colour blindness."""

from scgcnet.plots.audit import implied_shares
from scgcnet.plots.comparison import cost_dots, increment_curves, size_curves
from scgcnet.plots.data import image_histograms
from scgcnet.plots.failures import cause_panels, reliability_diagram, threshold_curves
from scgcnet.plots.intervals import ablation_bars, component_recall, score_differences
from scgcnet.plots.panels import FALSE_ALARM, HIT, MISS, error_overlay, network_panels, prediction_panels
from scgcnet.plots.ranks import critical_difference
from scgcnet.plots.scene import scene_map
from scgcnet.plots.style import (
    BLACK,
    BLUE,
    CYCLE,
    DPI,
    GREEN,
    LINES,
    MARKERS,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WIDTH,
    finished,
    message,
)
from scgcnet.plots.training import curve_grid, training_curves
from scgcnet.plots.weights import weight_triangle

__all__ = [
    "BLACK",
    "BLUE",
    "CYCLE",
    "DPI",
    "FALSE_ALARM",
    "GREEN",
    "HIT",
    "LINES",
    "MARKERS",
    "MISS",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "WIDTH",
    "ablation_bars",
    "cause_panels",
    "component_recall",
    "cost_dots",
    "critical_difference",
    "curve_grid",
    "error_overlay",
    "finished",
    "image_histograms",
    "implied_shares",
    "increment_curves",
    "message",
    "network_panels",
    "prediction_panels",
    "reliability_diagram",
    "scene_map",
    "score_differences",
    "size_curves",
    "threshold_curves",
    "training_curves",
    "weight_triangle",
]
