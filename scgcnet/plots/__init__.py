"""Figures of the book, from plain numbers and arrays: each as wide as a page, in colours that suit colour blindness."""

from scgcnet.plots.diagrams import claim_squares, critical_difference, weight_triangle
from scgcnet.plots.figures import (
    ablation_bars,
    component_recall,
    cost_dots,
    curve_grid,
    image_histograms,
    implied_shares,
    increment_curves,
    paper_dots,
    reliability_diagram,
    score_differences,
    size_curves,
    statement_rows,
    step_dots,
    threshold_curves,
    training_curves,
)
from scgcnet.plots.panels import cause_panels, hero, network_panels, prediction_panels, scene_map, window_grid

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
    "network_panels",
    "paper_dots",
    "prediction_panels",
    "reliability_diagram",
    "scene_map",
    "score_differences",
    "size_curves",
    "statement_rows",
    "step_dots",
    "threshold_curves",
    "training_curves",
    "weight_triangle",
    "window_grid",
]
