import numpy as np
import pytest
from matplotlib.colors import to_rgb

from scgcnet import plots
from scgcnet.data import Sample
from scgcnet.study.cases import Case, NetworkCase
from scgcnet.train import Confusion


def case(height: int, width: int) -> Case:
    image = np.full((height, width, 3), 120, np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2] = 1
    probability = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    return Case(Sample("ls_0001", image, mask), probability, 0.25)


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


def network_case(name: str, *networks: str) -> NetworkCase:
    """Left half landslide, of which every network finds the upper half; the last column is unknown."""
    mask = np.zeros((4, 8), np.uint8)
    mask[:, :4] = 1
    mask[:, -1] = 255
    probability = np.zeros((4, 8), np.float32)
    probability[:2, :4] = 0.8
    probability[:, -1] = 0.9
    return NetworkCase(Sample(name, np.full((4, 8, 3), 100, np.uint8), mask), dict.fromkeys(networks, probability))


def test_networks_stand_beside_image_and_truth_with_their_iou() -> None:
    cases = [network_case("one", "U-Net", "Ours"), network_case("two", "Ours")]
    figure = plots.network_panels(cases)
    first, second = figure.axes[:4], figure.axes[4:]
    assert [axis.get_title() for axis in first] == ["image", "truth", "U-Net", "Ours"]
    assert [axis.get_xlabel() for axis in first] == ["one\n8x4 px", "", "IoU 50 %", "IoU 50 %"]
    np.testing.assert_array_equal(first[0].images[0].get_array(), cases[0].sample.image)
    assert not second[2].images and not second[2].axison  # this case has no prediction of U-Net
    assert second[3].get_xlabel() == "IoU 50 %"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["found", "false alarm", "missed"]


def test_what_nobody_knows_is_grey_and_no_error() -> None:
    case = network_case("one", "Ours")
    _, truth, errors = plots.network_panels([case]).axes
    np.testing.assert_array_equal(np.unique(truth.images[0].get_array()), [0, 0.5, 1])
    overlay = errors.images[0].get_array()
    np.testing.assert_array_equal(overlay[:, -1], 160)  # pale grey, though the network calls it landslide
    np.testing.assert_array_equal(overlay[0, 0], np.round(0.25 * 160 + 0.75 * 255 * np.array(to_rgb(plots.HIT))))


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.85])
def test_iou_is_that_of_the_tables(threshold: float) -> None:
    rng = np.random.default_rng(0)
    mask = rng.choice(np.array([0, 1, 255], np.uint8), (16, 16))
    probability = rng.random((16, 16), np.float32)
    case = NetworkCase(Sample("a", np.zeros((16, 16, 3), np.uint8), mask), {"Ours": probability})
    iou = Confusion.of(probability > threshold, mask).scores()["iou"]
    assert plots.network_panels([case], threshold).axes[2].get_xlabel() == f"IoU {100 * iou:.0f} %"


def test_nothing_found_where_nothing_is_is_right() -> None:
    empty = Sample("a", np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.uint8))
    case = NetworkCase(empty, {"Ours": np.zeros((8, 8), np.float32)})
    assert plots.network_panels([case]).axes[2].get_xlabel() == "IoU 100 %"


def test_more_than_six_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="7 networks in a row: at most 6"):
        plots.network_panels([network_case("one", *(f"n{i}" for i in range(7)))])


def test_long_names_are_wrapped_and_stay_within_the_figure() -> None:
    networks = ["Swin Transformer", *(f"n{i}" for i in range(5))]
    sample = Sample("GVLM_Lombok_1_0231_of_2018", np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8))
    case = NetworkCase(sample, dict.fromkeys(networks, np.zeros((64, 64), np.float32)))
    figure = plots.network_panels([case] * 4)
    assert figure.axes[2].get_title() == "Swin\nTransformer"
    assert figure.axes[0].get_xlabel() == "GVLM_Lombok_\n1_0231_of_20\n18\n64x64 px"
    figure.draw_without_rendering()
    box = figure.get_tightbbox()  # inches
    assert box.x0 > 0 and box.x1 < plots.WIDTH and box.y0 > 0 and box.y1 < figure.get_figheight()
