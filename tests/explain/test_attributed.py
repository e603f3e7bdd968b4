"""Tables and figures of attributions, on networks whose answer is known."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from subjects import SIDE, picture, subject
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.data import Sample
from scgcnet.explain.attributed import (
    EDGES,
    all_maps,
    ask,
    baseline_table,
    cascade_table,
    completeness_table,
    draw_map,
    explain,
    method_panels,
    outline,
    question_panels,
    random_table,
    ways,
)
from scgcnet.explain.attribution import EmptyRegionError, grad_cam
from scgcnet.study.subject import predicted

WHITE, BLACK = (1 - 0.485) / 0.229, -0.485 / 0.229  # of red, normalised


def test_a_question_is_asked_of_every_image_that_has_the_region() -> None:
    missed, found = picture("missed", (0, 8), (16, 24)), picture("found", (0, 8), (0, 8))
    looked_at = subject(missed, found)
    cases = predicted(looked_at, [0, 1])
    (one,) = ask(looked_at, cases, "misses")
    assert one.case.sample is missed and one.pixels.shape == (1, 3, SIDE, SIDE)
    assert one.region[:8].all() and not one.region[8:].any()
    assert [len(ask(looked_at, cases)), len(ask(looked_at, cases, box=[0, 0, 4, 4]))] == [2, 2]
    with pytest.raises(EmptyRegionError, match="found: the region 'false alarms' has no pixel"):
        ask(looked_at, cases[1:], "false alarms")
    with pytest.raises(ValueError, match=r"box \[1, 2\]: needs left, top, right, bottom"):
        ask(looked_at, cases, box=[1, 2])


def test_the_margins_of_images_that_show_nothing() -> None:
    looked_at = subject(picture("a", (0, 8), (0, 16)))
    (row,) = baseline_table(looked_at, ask(looked_at, predicted(looked_at, [0]))).to_dict("records")
    mean = WHITE + BLACK  # twice the mean of half white, half black
    assert list(row.values()) == ["a", f"{2 * WHITE:.2f}", f"{2 * BLACK:.2f}", "0.00", f"{mean:.2f}"]


def test_completeness_is_told_truly() -> None:
    class Step(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logit = torch.sigmoid(3000 * (x[:, :1] - 0.1234))
            return torch.cat([torch.zeros_like(logit), logit], dim=1)

    linear = subject(picture("a", (0, 8), (0, 16)))
    (row,) = completeness_table(linear, ask(linear, predicted(linear, [0]))).to_dict("records")
    difference = f"{2 * (WHITE - BLACK):.3f}"
    assert [row["Difference"], row["Sum of the values"], row["Gap (%)"], row["Within 5 %"]] == [
        difference,
        difference,
        "0.00",
        "yes",
    ]
    steep = subject(picture("a", (0, 8), (0, 16)), network=Step())
    steep.network.register_parameter("unused", nn.Parameter(torch.zeros(())))  # `predict` asks for the device
    (row,) = completeness_table(steep, ask(steep, predicted(steep, [0]))).to_dict("records")
    assert (row["Difference"], row["Within 5 %"]) == ("1.000", "NO")
    assert float(row["Gap (%)"]) > 5


@pytest.fixture(scope="module")
def own() -> nn.Module:
    torch.manual_seed(0)
    return zoo.create_model("scgcnet", "tiny").eval()


def noise(name: str, seed: int) -> Sample:
    made = np.random.default_rng(seed)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4:12, 8:20] = 1
    return Sample(name, made.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8), mask)


def test_the_ways_are_those_that_a_network_has(own: nn.Module) -> None:
    assert ways(own)["Grad-CAM at PSCCS, unit 1"] == ("grad-cam", "decoder.units.0")
    assert len(ways(own)) == 8
    assert "Grad-CAM at CAM" not in ways(zoo.create_model("scgcnet", "tiny", cam=False))
    assert list(ways(zoo.create_model("unet", "tiny"))) == ["Integrated Gradients", "Occlusion"]


def test_the_check_fails_the_edges_and_not_the_maps(own: nn.Module) -> None:
    looked_at = subject(noise("a", 0), network=own, side=64)
    questions = ask(looked_at, predicted(looked_at, [0]))
    maps = all_maps(own, questions[0])
    assert list(maps) == list(ways(own))
    np.testing.assert_array_equal(
        maps["Grad-CAM at CAM"], grad_cam(own, questions[0].pixels, questions[0].region, "cam.3").values
    )
    table = random_table(looked_at, questions, draws=2).set_index("Map")
    assert list(table.index) == [*ways(own), EDGES]
    assert table.loc[EDGES].tolist() == [
        "1.00 (1.00 to 1.00)",
        "1.00",
        "1.00 (1.00 to 1.00)",
        "1.00",
        "FAILS: it stays much the same",
    ]
    signed = float(table.loc["Integrated Gradients", "Rank correlation"].split()[0])
    assert abs(signed) < 0.3
    with pytest.raises(ValueError, match="draws=0: the check takes one"):
        random_table(looked_at, questions, draws=0)
    steps = cascade_table(looked_at, questions, "integrated gradients", "")
    assert "(" not in steps["Rank correlation"].iloc[0]  # of one image there is no range
    assert steps["Random so far"].tolist()[0] == "head"
    assert steps["Random so far"].tolist()[-1] == "head, decoder, cam, laterals, encoder"
    assert abs(float(steps["Rank correlation"].iloc[-1].split()[0])) < 0.3


def titles(figure: Figure) -> list[str]:
    return [ax.get_title() for ax in figure.axes]


def test_panels_of_questions() -> None:
    looked_at = subject(picture("first", (0, 8), (0, 16)), picture("second", (8, 24), (0, 16)))
    questions = ask(looked_at, predicted(looked_at, [0, 1]))
    answers = explain(looked_at, questions, "integrated gradients", "")
    figure = question_panels(questions, answers)
    assert not plt.get_fignums()
    assert titles(figure)[:3] == ["image, region outlined", "probability", "attribution"]
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["first\nIoU 50 %", "second\nIoU 33 %"]
    np.testing.assert_array_equal(figure.axes[4].images[0].get_array(), questions[1].case.probability)
    np.testing.assert_array_equal(figure.axes[5].images[0].get_array(), answers[1].values)
    assert figure.axes[2].get_xlabel() == f"margin {2 * WHITE:.2f}"
    assert all(len(ax.collections) == 1 for ax in figure.axes)  # the outlines
    with pytest.raises(ValueError, match="2 questions and 1 answers"):
        question_panels(questions, answers[:1])
    with pytest.raises(ValueError, match="0 questions"):
        question_panels([], [])


def test_panels_of_methods() -> None:
    looked_at = subject(picture("first", (0, 8), (0, 16)))
    (one,) = ask(looked_at, predicted(looked_at, [0]))
    maps = {f"Way at {n}": np.full((SIDE, SIDE), n, np.float32) for n in range(1, 6)}
    figure = method_panels(one, maps)
    assert titles(figure) == ["first", *(f"Way\n{n}" for n in range(1, 6)), "", ""]
    assert [float(ax.images[0].get_array().max()) for ax in figure.axes[1:6]] == [1, 2, 3, 4, 5]


def test_a_map_is_drawn_around_zero_over_the_image() -> None:
    figure, ax = plt.subplots()
    values = np.zeros((10, 10), np.float32)
    values[:5], values[0, 0] = -0.5, 80.0  # one pixel must not drown the rest
    draw_map(ax, values, (20, 40))
    (shown,) = ax.images
    low, high = shown.get_clim()
    assert low == -high and 0.4 < high < 80
    assert shown.get_extent() == [-0.5, 39.5, 19.5, -0.5]
    red, _, blue, _ = shown.cmap(shown.norm(high))
    assert red > blue  # orange speaks for landslide
    plt.close(figure)


def test_the_outline_lies_on_the_image() -> None:
    figure, ax = plt.subplots()
    region = np.zeros((8, 8), bool)
    region[2:4, 4:8] = True  # of an image twice as high and five times as wide: rows 4 to 8, columns 20 to 40
    outline(ax, region, (16, 40), "black")
    (drawn,) = ax.collections
    vertices = np.concatenate([path.vertices for path in drawn.get_paths()])
    assert (vertices[:, 1].min(), vertices[:, 1].max()) == pytest.approx((3.5, 7.5))
    assert vertices[:, 0].min() == pytest.approx(19.5)
    outline(ax, np.ones((8, 8), bool), (16, 40), "black")  # has none
    assert len(ax.collections) == 1
    plt.close(figure)
