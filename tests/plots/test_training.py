import numpy as np

from scgcnet import plots


def test_curves_show_every_run_and_the_best_epoch():
    history = [
        {"epoch": 0, "loss": 1.0, "val_loss": None, "val_iou": 0.2},
        {"epoch": 1, "loss": 0.5, "val_loss": 0.6, "val_iou": 0.6},
        {"epoch": 2, "loss": 0.4, "val_loss": 0.7, "val_iou": 0.5},
    ]
    figure = plots.training_curves({"seed 0": history, "seed 1": history[:2]})
    left, right = figure.axes
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [1.0, 0.5, 0.4])
    np.testing.assert_array_equal(left.lines[1].get_ydata(), [np.nan, 0.6, 0.7])
    np.testing.assert_array_equal(right.lines[0].get_ydata(), [20, 60, 50])
    dot = right.lines[1]
    assert (list(dot.get_xdata()), list(dot.get_ydata())) == ([1], [60])
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["seed 0", "seed 1"]


def test_every_network_has_a_panel_with_ours_behind() -> None:
    histories = {f"n{i}": [{"epoch": 0, "val_iou": 0.1 * i}, {"epoch": 1, "val_iou": None}] for i in range(7)}
    figure = plots.curve_grid(histories, "n3")
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == list(histories)
    for i, axis in enumerate(shown):
        np.testing.assert_allclose([line.get_ydata()[0] for line in axis.lines], [30, 10 * i])
    assert plots.curve_grid({}, "n3").axes  # nothing stored yet: an empty figure, no error
