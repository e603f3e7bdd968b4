import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from scgcnet import plots


def dots(axis: Axes) -> list[Line2D]:
    return [line for line in axis.lines if line.get_marker() != "None"]


def spans(axis: Axes) -> list[list[float]]:
    """Ends of the horizontal intervals, with the row."""
    lines = [line for line in axis.lines if line.get_marker() == "None" and line.get_linewidth() == 2]
    return [[*line.get_xdata(), line.get_ydata()[0]] for line in lines]


SHARES = {
    "Ours": [("small", 40.0, 30.0, 55.0), ("large", 90.0, 80.0, 100.0)],
    "U-Net": [("small", 20.0, 10.0, 30.0), ("large", 70.0, 60.0, 80.0)],
}


def test_networks_stand_beside_each_other_in_every_bin() -> None:
    figure = plots.component_recall(SHARES, [1200, 7])
    (axis,) = figure.axes
    ours, unet = dots(axis)
    np.testing.assert_allclose(ours.get_xdata(), [-0.2, 0.8])
    np.testing.assert_allclose(unet.get_xdata(), [0.2, 1.2])
    assert (list(ours.get_ydata()), list(unet.get_ydata())) == ([40, 90], [20, 70])
    assert ours.get_marker() != unet.get_marker() and ours.get_color() != unet.get_color()
    labels = [text.get_text() for text in axis.get_xticklabels()]
    assert labels == ["small\n1,200 landslides", "large\n7 landslides"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Ours", "U-Net"]


def test_intervals_stand_at_their_dots() -> None:
    (axis,) = plots.component_recall(SHARES, [1200, 7]).axes
    bars = [line for line in axis.lines if line.get_linewidth() == 1.5 and line.get_marker() == "None"]
    drawn = [(round(bar.get_xdata()[0], 3), *bar.get_ydata()) for bar in bars]
    assert drawn == [(-0.2, 30, 55), (0.8, 80, 100), (0.2, 10, 30), (1.2, 60, 80)]


def test_six_networks_stay_within_their_bin() -> None:
    (axis,) = plots.component_recall({f"n{i}": SHARES["Ours"] for i in range(6)}, [1, 2]).axes
    places = np.array([dot.get_xdata() for dot in dots(axis)])  # (6, 2)
    assert (np.abs(places - [0, 1]) < 0.5).all()
    assert (np.diff(places[:, 0]) > 0.1).all()
    assert len({dot.get_marker() for dot in dots(axis)}) == len({dot.get_color() for dot in dots(axis)}) == 6


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="7 networks: at most 6"):
        plots.component_recall({f"n{i}": SHARES["Ours"] for i in range(7)}, [1, 2])
    with pytest.raises(ValueError, match="3 counts for 2 size bins"):
        plots.component_recall(SHARES, [1, 2, 3])
    with pytest.raises(ValueError, match="differ in their size bins"):
        plots.component_recall({**SHARES, "FCN": [("tiny", 1.0, 0.0, 2.0)]}, [1, 2])


VARIANTS = {"A1": (60.0, 58.0, 62.0), "A2": None, "A3": (63.0, 63.0, 63.0), "A8": (67.0, 66.5, 67.5)}


def test_rows_are_from_top_to_bottom_with_the_references_line() -> None:
    (axis,) = plots.ablation_bars(VARIANTS, "A8").axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["A1", "A2", "A3", "A8"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]  # the first row is on top
    assert [text.get_fontweight() for text in axis.get_yticklabels()] == ["normal", "normal", "normal", "bold"]
    (line,) = (line for line in axis.lines if line.get_linestyle() == "--")
    assert list(line.get_xdata()) == [67, 67]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots(axis)] == [(60, 0), (63, 2), (67, 3)]
    assert spans(axis) == [[58, 62, 0], [63, 63, 2], [66.5, 67.5, 3]]


def test_a_single_run_is_hollow_and_a_missing_one_is_said_to_be() -> None:
    (axis,) = plots.ablation_bars(VARIANTS, "A8").axes
    assert [dot.get_markerfacecolor() for dot in dots(axis)] == [plots.BLUE, "white", plots.VERMILION]
    (text,) = axis.texts
    assert (text.get_text(), text.get_position()[1]) == ("not run", 1)


def test_without_the_references_runs_there_is_no_line() -> None:
    (axis,) = plots.ablation_bars({**VARIANTS, "A8": None}, "A8").axes
    assert [line for line in axis.lines if line.get_linestyle() == "--"] == []
    assert len(axis.texts) == 2


def test_an_unknown_reference_is_refused() -> None:
    with pytest.raises(ValueError, match="B3 is not among A1, A2, A3, A8"):
        plots.ablation_bars(VARIANTS, "B3")


DIFFERENCES = {
    "FCN": (-5.0, -7.0, -3.0, "worse"),
    "Swin": (2.0, 1.0, 3.0, "better"),
    "U-Net": (-1.0, -2.0, 0.5, "unresolved"),
}


def test_the_best_is_on_top_and_every_verdict_has_its_marker() -> None:
    figure = plots.score_differences(DIFFERENCES, "Ours")
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["Swin", "U-Net", "FCN"]
    drawn = [(dot.get_xdata()[0], dot.get_ydata()[0], dot.get_marker()) for dot in dots(axis)]
    assert drawn == [(2, 0, "^"), (-1, 1, "o"), (-5, 2, "v")]
    assert spans(axis) == [[1, 3, 0], [-2, 0.5, 1], [-7, -3, 2]]
    assert len({dot.get_color() for dot in dots(axis)}) == 3
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["better than Ours", "worse than Ours", "unresolved"]
    assert axis.get_xlabel() == "score minus that of Ours, percentage points"


def test_zero_is_marked() -> None:
    (axis,) = plots.score_differences(DIFFERENCES, "Ours").axes
    assert list(axis.lines[0].get_xdata()) == [0, 0]


def test_an_unknown_verdict_is_refused() -> None:
    with pytest.raises(ValueError, match="verdict equal: expected better, worse, unresolved"):
        plots.score_differences({"FCN": (0.0, -1.0, 1.0, "equal")}, "Ours")
