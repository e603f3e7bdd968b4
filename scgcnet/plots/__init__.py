"""Figures of the book, from plain numbers and arrays: each as wide as a page, in colours that suit colour blindness."""

from scgcnet.plots.diagrams import claim_squares, critical_difference, weight_triangle
from scgcnet.plots.figures import (
    component_recall,
    curve_grid,
    image_histograms,
    increment_curves,
    label_curves,
    reliability_diagram,
    score_grid,
    size_curves,
    threshold_curves,
    training_curves,
)
from scgcnet.plots.panels import cause_panels, hero, network_panels, prediction_panels, scene_map, window_grid
from scgcnet.plots.rows import (
    ablation_bars,
    cost_dots,
    implied_shares,
    paper_dots,
    score_differences,
    statement_rows,
    step_dots,
)

__all__ = [
    "ablation_bars",
    "cause_panels",
    "claim_squares",
    "component_recall",
    "cost_dots",
    "critical_difference",
    "curve_grid",
    "hero",
    "image_histograms",
    "implied_shares",
    "increment_curves",
    "label_curves",
    "network_panels",
    "paper_dots",
    "prediction_panels",
    "reliability_diagram",
    "scene_map",
    "score_differences",
    "score_grid",
    "size_curves",
    "statement_rows",
    "step_dots",
    "threshold_curves",
    "training_curves",
    "weight_triangle",
    "window_grid",
]
