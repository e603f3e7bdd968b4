import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from scgcnet import plots
from scgcnet.data import Sample
from scgcnet.study.audit import check_shares
from scgcnet.study.cases import Case
from scgcnet.study.paper import read_paper

mpl.use("Agg")


def case(height: int, width: int) -> Case:
    image = np.full((height, width, 3), 120, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2] = 1
    probability = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    return Case(Sample("ls_0001", image, mask), probability, 0.25)


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


def test_figures_are_not_left_open():
    """A notebook would show them a second time."""
    plots.training_curves({"a": [{"epoch": 0, "loss": 1.0, "val_loss": 1.0, "val_iou": 0.1}]})
    plots.prediction_panels([case(20, 30)])
    plots.prediction_panels([])
    plots.implied_shares([check_shares(read_paper(), "Bijie")])
    assert plt.get_fignums() == []


def test_panels_have_a_row_for_each_case():
    cases = [case(20, 30), case(90, 20)]
    figure = plots.prediction_panels(cases)
    assert len(figure.axes) == 8
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), cases[0].sample.image)
    np.testing.assert_array_equal(figure.axes[6].images[0].get_array(), cases[1].probability)
    assert figure.axes[4].get_ylabel() == "ls_0001, 20x90 px\nIoU 25 %"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["found", "false alarm", "missed"]


def test_without_cases_the_figure_says_so():
    (text,) = plots.prediction_panels([]).texts
    assert "No prediction to show" in text.get_text()


def test_errors_have_their_colours():
    image = np.full((1, 4, 3), 100, np.uint8)
    mask = np.array([[1, 0, 1, 0]], np.uint8)
    prediction = np.array([[True, True, False, False]])
    out = plots.error_overlay(image, mask, prediction)
    assert out.dtype == np.uint8
    for pixel, colour in zip(out[0], (plots.HIT, plots.FALSE_ALARM, plots.MISS), strict=False):
        np.testing.assert_array_equal(pixel, np.round(0.25 * 160 + 0.75 * 255 * np.array(to_rgb(colour))))
    np.testing.assert_array_equal(out[0, 3], 160)  # right and empty: pale grey


@pytest.mark.parametrize(
    "deficiency",
    [  # protanopia and deuteranopia, Vienot et al. 1999, on linear RGB
        [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    ],
)
def test_error_colours_differ_without_red_or_green_vision(deficiency):
    colours = (plots.HIT, plots.FALSE_ALARM, plots.MISS)
    seen = [np.array(deficiency) @ np.array(to_rgb(colour)) ** 2.2 for colour in colours]
    for i in range(3):
        assert np.linalg.norm(seen[i] - seen[i - 1]) > 0.3


def test_shares_show_every_row_and_name_the_far_ones():
    paper = read_paper()
    checks = [check_shares(paper, dataset) for dataset in ("CLD", "GLDD")]
    cld, gldd = plots.implied_shares(checks).axes
    assert (cld.get_title(), gldd.get_title()) == ("CLD: 14.40 to 14.41 %", "HR-GLDD: 10.92 %")
    names = [label.get_text() for label in cld.get_yticklabels()]
    assert (names[0], names[16], names[-1], len(names)) == ("FCN", "Ours", "A8", 25)
    assert len(cld.lines) == 2 * 25 and len(gldd.lines) == 2 * 17  # a bar and a mark for each row
    far = {names[int(note.xy[1])]: note.get_text() for note in cld.texts}
    assert set(far) == {"PSP-Net", "CCNet", "GCNet", "A1", "A2", "A3", "A4", "A5", "A7"}
    assert far["PSP-Net"] == "96.26 → 96.99"
    bar, mark = gldd.lines[:2]  # FCN: 16.51 to 16.53 % of pixels where 10.92 % are agreed
    np.testing.assert_allclose(bar.get_xdata(), [5.588, 5.612], atol=0.01)
    assert (mark.get_color(), mark.get_marker(), list(mark.get_ydata())) == (plots.VERMILION, "D", [0])
    assert {line.get_marker() for line in cld.lines[1::2]} == {"o", "s", "D"}  # told apart without colour


def test_every_network_has_a_panel_with_ours_behind() -> None:
    histories = {f"n{i}": [{"epoch": 0, "val_iou": 0.1 * i}, {"epoch": 1, "val_iou": None}] for i in range(7)}
    figure = plots.curve_grid(histories, "n3")
    shown = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in shown] == list(histories)
    for i, axis in enumerate(shown):
        np.testing.assert_allclose([line.get_ydata()[0] for line in axis.lines], [30, 10 * i])
    assert plots.curve_grid({}, "n3").axes  # nothing stored yet: an empty figure, no error


def test_costs_are_sorted_and_two_sizes_are_joined() -> None:
    rows = {"dear": (2.0, 50.0, 90.0), "cheap": (30.0, 5.0, 5.0), "ours": (7.0, 20.0, 20.0)}
    figure = plots.cost_dots(rows, "ours", [512, 2048])
    left, right = figure.axes
    labels = [text.get_text() for text in left.get_yticklabels()]
    assert labels == ["dear", "ours", "cheap"]  # from the bottom
    assert [text.get_fontweight() for text in left.get_yticklabels()] == ["normal", "bold", "normal"]
    assert [line.get_xdata()[0] for line in left.lines] == [2.0, 7.0, 30.0]
    joins = [line for line in right.lines if line.get_linestyle() == "-"]
    assert [list(line.get_xdata()) for line in joins] == [[50.0, 90.0], [20.0, 20.0], [5.0, 5.0]]
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["at 512 x 512", "at 2048 x 2048"]
