import numpy as np
import pytest

from scgcnet import plots


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


def scores(base: float, percents: tuple[float, ...] = (0, 1, 5, 10, 20)) -> dict[float, dict[str, float]]:
    return {p: {"recall": base + p, "iou": base + p - 10, "f1": base + p - 5} for p in percents}


def test_increments_are_evenly_spaced_and_a_missing_run_is_a_gap() -> None:
    figure = plots.increment_curves({"Ours": scores(50), "U-Net": scores(30, (0, 1, 10))}, "Ours")
    assert [axis.get_title() for axis in figure.axes] == ["recall", "IoU", "F1"]
    for axis, shift in zip(figure.axes, (0, -10, -5), strict=True):
        ours, unet = axis.lines
        assert list(ours.get_xdata()) == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(ours.get_ydata(), np.array([50, 51, 55, 60, 70]) + shift)
        np.testing.assert_array_equal(unet.get_ydata(), np.array([30, 31, np.nan, 40, np.nan]) + shift)
        assert [text.get_text() for text in axis.get_xticklabels()] == ["0", "1", "5", "10", "20"]
        assert ours.get_linewidth() > unet.get_linewidth()
        assert (ours.get_color(), ours.get_zorder()) == (plots.VERMILION, 3)
    assert [(text.get_text(), text.get_fontweight()) for text in figure.legends[0].get_texts()] == [
        ("Ours", "bold"),
        ("U-Net", "normal"),
    ]


def test_a_network_without_a_run_is_not_in_the_legend() -> None:
    figure = plots.increment_curves({"a": {0: {"iou": 40.0}, 1: {"iou": 50.0}}, "b": {}}, "a", percents=(0, 1))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a"]


def test_one_missing_score_leaves_the_others() -> None:
    recall, iou, _ = plots.increment_curves({"a": {5: {"iou": 40.0}}}, "b", percents=(1, 5)).axes
    np.testing.assert_array_equal(recall.lines[0].get_ydata(), [np.nan, np.nan])
    np.testing.assert_array_equal(iou.lines[0].get_ydata(), [np.nan, 40])


def test_eighteen_networks_are_told_apart_without_the_highlighted_colour() -> None:
    axis = plots.increment_curves({f"n{i}": scores(i) for i in range(18)}, "n17").axes[0]
    looks = {(line.get_color(), line.get_marker(), line.get_linestyle()) for line in axis.lines}
    assert len(looks) == 18
    assert [line.get_label() for line in axis.lines if line.get_color() == plots.VERMILION] == ["n17"]


def test_an_increment_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match=r"increments \[2\] are not among \[0, 1, 5, 10, 20\]"):
        plots.increment_curves({"a": scores(50, (0, 2))}, "a")


def test_sizes_are_on_a_logarithmic_axis_and_ours_stands_out() -> None:
    cost = {"ours": {128: 1.0, 256: 4.0}, "other": {128: 2.0, 256: 9.0}}
    per_pixel = {"ours": {128: 60.0, 256: 60.0}}
    left, right = plots.size_curves({"GMAC": cost, "each": per_pixel}, "ours", ["GMAC"]).axes
    ours, other = left.lines
    assert [list(line.get_ydata()) for line in (ours, other)] == [[1, 4], [2, 9]]
    assert (ours.get_color(), ours.get_zorder()) == (plots.VERMILION, 3) and other.get_color() != plots.VERMILION
    assert (left.get_xscale(), left.get_yscale(), right.get_ylabel()) == ("log", "log", "each")
    assert [text.get_text() for text in left.get_xticklabels()] == ["128", "256"]
    assert right.get_yscale() == "linear" and right.get_ylim()[0] == 0
    nothing = plots.size_curves({"x": {}, "y": {"ours": {}}}, "ours")
    assert nothing.texts[0].get_text() == "No values to show."
