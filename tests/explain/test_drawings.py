"""Drawings and tables state what the network is; maps are drawn where they belong."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from subjects import square_field

from scgcnet import zoo
from scgcnet.cost import count_cost
from scgcnet.data import Sample
from scgcnet.explain.attribution import Attribution, Question
from scgcnet.explain.drawings import (
    all_offset_fields,
    choice_table,
    draw_anatomy,
    draw_features,
    draw_gates,
    draw_map,
    draw_offsets,
    feature_energies,
    field_panels,
    gate_maps,
    map_panels,
    method_panels,
    offset_fields,
    outline,
    part_costs,
    part_table,
    question_panels,
    shape_table,
)
from scgcnet.model import ABLATIONS, CHOICES, DILATIONS, PRESETS, SCGCNet, SCGCNetConfig
from scgcnet.model.psccs import warp
from scgcnet.plots.style import WIDTH


def texts(figure: Figure) -> str:
    assert not plt.get_fignums()  # an open figure would be shown twice in a notebook
    return "\n".join(t.get_text() for ax in figure.axes for t in (*ax.texts, ax.title))


def test_anatomy_of_base() -> None:
    text = texts(draw_anatomy(SCGCNetConfig()))
    assert "stage 3: 2 SCFE (2/2/2, 3/3/3)\n1024 x 32$^2$, 50.4 GMAC" in text
    assert "calibration unit 3\n256 x 128$^2$, 52.8 GMAC" in text
    assert text.count("CAM") == 1


def test_anatomy_follows_flags_and_rates() -> None:
    a1 = texts(draw_anatomy(SCGCNetConfig(**PRESETS["tiny"], **ABLATIONS["A1"]), 128))
    assert "stage 3: 6 bottlenecks" in a1
    assert "pyramid sum 1" in a1
    assert "CAM" not in a1
    b2 = texts(draw_anatomy(SCGCNetConfig(**PRESETS["tiny"], dilations=DILATIONS["B2"]), 128))
    assert "stage 4: 1 SCFE (5/5/5)" in b2


@pytest.mark.parametrize("where", ["deepest", "laterals", "backbone"])
def test_parts_add_up(where: str) -> None:
    config = SCGCNetConfig(**PRESETS["tiny"], cam_where=where)  # type: ignore[arg-type]
    with torch.device("meta"):
        whole = count_cost(SCGCNet(config), (1, 3, 128, 128)).gmac
    assert sum(part_costs(config, 128).values()) == pytest.approx(whole, rel=1e-9)


def test_feature_panels() -> None:
    maps = {"stage 1": np.zeros((8, 8), np.float32), "stage 2": np.ones((4, 4), np.float32)}
    text = texts(draw_features(np.zeros((32, 48, 3), np.uint8), maps))
    assert "image\n32 x 48" in text
    assert "stage 2\n4 x 4" in text


def test_offsets_state_their_mean_length() -> None:
    field = torch.zeros(1, 2, 16, 16)
    field[:, 0], field[:, 1] = 3, 4
    assert "up: mean length 5.00 px of 16 x 16" in texts(draw_offsets(np.zeros((64, 64, 3), np.uint8), {"up": field}))


def test_offsets_of_all_units() -> None:
    torch.manual_seed(0)
    model = SCGCNet(SCGCNetConfig(**PRESETS["tiny"])).eval()
    with torch.no_grad():
        for unit in range(3):
            model.decoder.units[unit].offsets[-1].bias.copy_(torch.tensor([unit, 10 + unit, 20 + unit, 30 + unit]))  # type: ignore[index, union-attr]
    found = all_offset_fields(model, torch.randn(1, 3, 64, 96))
    means = {name: field.mean(dim=(0, 2, 3)).tolist() for name, field in found.items()}
    assert means == {
        name: pytest.approx(values)
        for unit in range(3)
        for name, values in (
            (f"unit {unit + 1}, up", [unit, 10 + unit]),
            (f"unit {unit + 1}, down", [20 + unit, 30 + unit]),
        )
    }
    assert [tuple(field.shape[2:]) for field in found.values()] == [(4, 6)] * 2 + [(8, 12)] * 2 + [(16, 24)] * 2
    axes = [ax for ax in draw_offsets(np.zeros((64, 96, 3), np.uint8), found).axes if ax.collections]
    assert [ax.get_title().split(":")[0] for ax in axes] == list(found)


@pytest.mark.parametrize(("dx", "dy"), [(5, 0), (-5, 0), (0, 5), (0, -5), (3, -4)])
def test_an_arrow_points_to_the_place_that_is_sampled(dx: int, dy: int) -> None:
    """From the pixel it belongs to, right for positive x and down for positive y, in pixels of the grid, as drawn."""
    field = torch.zeros(1, 2, 16, 16)
    field[0, :, 8, 8] = torch.tensor([dx, dy])
    # What the network does with it: the value at (8 + dy, 8 + dx) arrives at (8, 8).
    source = torch.zeros(1, 1, 16, 16)
    source[0, 0, 8 + dy, 8 + dx] = 1
    assert warp(source, field)[0, 0, 8, 8] == pytest.approx(1, abs=1e-5)

    blank = np.full((64, 64, 3), 255, np.uint8)
    pictures = []
    for shown in (field, torch.zeros_like(field)):
        figure = draw_offsets(blank, {"up": shown})
        for ax in figure.axes:
            ax.set_title("")  # it states the mean length
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba()))
    rows, columns = np.nonzero((pictures[0] != pictures[1]).any(axis=2))
    (axes,) = [ax for ax in figure.axes if ax.collections]
    # From pixels of the picture, which count from the top, to those of the grid.
    x, y = axes.transData.inverted().transform(np.stack([columns, len(pictures[0]) - 1 - rows], axis=1)).T
    tip = np.argmax(np.hypot(x - 8, y - 8))
    assert (x[tip], y[tip]) == pytest.approx((8 + dx, 8 + dy), abs=0.3)


def test_without_calibration_the_figure_says_so() -> None:
    model = SCGCNet(SCGCNetConfig(**PRESETS["tiny"], psccs=False))
    assert offset_fields(model, torch.zeros(1, 3, 32, 32)) == {}
    assert "no calibration units" in texts(draw_offsets(np.zeros((8, 8, 3), np.uint8), {}))


def test_feature_energies_are_those_of_the_parts_that_are_there() -> None:
    image = torch.randn(1, 3, 64, 64)
    whole = feature_energies(SCGCNet(SCGCNetConfig(**PRESETS["tiny"])).eval(), image)
    assert list(whole)[3:] == ["stage 4", "CAM on lateral 4", "fusion 1", "fusion 2", "fusion 3"]
    assert whole["stage 1"].shape == (16, 16) and whole["stage 4"].shape == (2, 2)
    without = feature_energies(SCGCNet(SCGCNetConfig(**PRESETS["tiny"], cam=False)).eval(), image)
    assert set(whole) - set(without) == {"CAM on lateral 4"}


def test_field_panels_have_one_scale_and_the_square_of_the_title() -> None:
    figure = field_panels({"B1": square_field(32, 3), "B2": square_field(32, 11)}, share=1)
    assert figure.get_figwidth() == WIDTH
    text = texts(figure)
    assert "B1: 3 px" in text and "B2: 11 px" in text
    first, second, *_, bar = figure.axes
    assert first.images[0].get_clim() == second.images[0].get_clim() == pytest.approx((-4 - np.log10(9), -np.log10(9)))
    assert second.images[0].get_array().max() == pytest.approx(-np.log10(121))
    (patch,) = second.patches
    assert (patch.get_xy(), patch.get_width(), patch.get_height()) == ((10.5, 10.5), 11, 11)
    assert "log" in bar.get_ylabel()


@pytest.mark.parametrize(("count", "axes"), [(1, 5), (7, 9)])
def test_field_panels_for_any_number(count: int, axes: int) -> None:
    figure = field_panels({f"B{i}": square_field(9, 3) for i in range(count)})
    assert len(figure.axes) == axes  # a full grid and the colour bar
    assert sum(bool(ax.images) for ax in figure.axes[:-1]) == count


def map_row(height: int, width: int, *labels: str) -> tuple[Sample, dict[str, np.ndarray]]:
    mask = np.zeros((height, width), np.uint8)
    mask[: height // 2] = 1
    mask[:, -2:] = 255
    image = np.full((height, width, 4), 90, np.uint8)
    return Sample(f"{height}x{width}", image, mask), {label: np.eye(4, dtype=np.float32) for label in labels}


def test_map_panels_have_a_row_for_each_image() -> None:
    figure = map_panels([map_row(16, 24, "A2", "A8"), map_row(40, 20, "A2", "A8")])
    assert figure.get_figwidth() == WIDTH and not plt.get_fignums()
    panels = figure.axes[:8]
    assert [ax.get_title() for ax in panels[:4]] == ["image", "truth", "A2", "A8"]
    assert np.unique(panels[1].images[0].get_array()).tolist() == [0, 0.5, 1]  # unknown pixels are grey
    assert panels[6].images[0].get_extent() == [-0.5, 19.5, 39.5, -0.5]  # stretched to the image
    vertices = panels[6].collections[0].get_paths()[0].vertices
    assert vertices[:, 1].max() == 19.5  # between the last row of the landslide and the next
    sample, maps = map_row(16, 24, "A2")
    empty = Sample("empty", sample.image, np.zeros((16, 24), np.uint8))
    assert not map_panels([(empty, maps)]).axes[2].collections


def test_gates_are_those_of_equation_16() -> None:
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", "tiny").eval()
    with torch.no_grad():
        model.cam[3].gates.weight.zero_()
        model.cam[3].gates.bias.copy_(torch.tensor([0.5, -2.0, 3.0]))
    maps = gate_maps(model, torch.randn(1, 3, 64, 96))
    assert {name: (gate.shape, float(gate.min()), float(gate.max())) for name, gate in maps.items()} == {
        "5 x 5": ((2, 3), 0.5, 0.5),
        "11 x 11": ((2, 3), -2.0, -2.0),
        "19 x 19": ((2, 3), 3.0, 3.0),
    }
    many = gate_maps(
        zoo.create_model("scgcnet", "tiny", cam_where="laterals", cam_global=True).eval(), torch.randn(1, 3, 64, 64)
    )
    assert len(many) == 16
    assert many["cam.0: the whole"].shape == (16, 16) and many["cam.3: 5 x 5"].shape == (2, 2)
    figure = draw_gates([(np.zeros((8, 8, 3), np.uint8), maps)] * 2)
    panels = [ax for ax in figure.axes if ax.images][:8]
    assert [panels[n].get_title() for n in range(3)] == ["image", "context of 5 x 5", "context of 11 x 11"]
    assert [panels[n].images[0].get_clim() for n in (1, 2, 5, 6)] == [(-3, 3)] * 4  # one scale around 0


def test_a_network_without_cam_has_no_gates() -> None:
    assert gate_maps(zoo.create_model("scgcnet", "tiny", cam=False), torch.randn(1, 3, 32, 32)) == {}
    figure = draw_gates([(np.zeros((8, 8, 3), np.uint8), {})])
    assert "this network has no CAM" in {ax.get_title() for ax in figure.axes}


def question(name: str) -> Question:
    region = np.zeros((8, 8), bool)
    region[2:4, 4:8] = True
    sample = Sample(name, np.zeros((16, 40, 3), np.uint8), np.zeros((16, 40), np.uint8))
    return Question(sample, np.full((16, 40), 0.5, np.float32), 0.33, torch.zeros(1, 3, 8, 8), region)


def test_attributions_are_drawn_beside_their_images() -> None:
    questions = [question("first"), question("second")]
    answers = [Attribution(np.full((8, 8), n, np.float32), margin=n) for n in (1.0, 2.0)]
    figure = question_panels(questions, answers)
    assert not plt.get_fignums()
    assert [ax.get_title() for ax in figure.axes[:3]] == ["image, region outlined", "probability", "attribution"]
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["first\nIoU 33 %", "second\nIoU 33 %"]
    np.testing.assert_array_equal(figure.axes[5].images[0].get_array(), answers[1].values)
    assert figure.axes[5].get_xlabel() == "margin 2.00"
    assert all(len(ax.collections) == 1 for ax in figure.axes)  # the outlines
    figure = method_panels(questions[0], {f"Way at {n}": answers[0].values for n in range(1, 6)})
    assert [ax.get_title() for ax in figure.axes] == ["first", *(f"Way\n{n}" for n in range(1, 6)), "", ""]


def test_a_map_is_drawn_around_zero_and_the_outline_on_the_image() -> None:
    figure, ax = plt.subplots()
    values = np.zeros((10, 10), np.float32)
    values[:5], values[0, 0] = -0.5, 80.0  # one pixel must not drown the rest
    draw_map(ax, values, (16, 40))
    (shown,) = ax.images
    low, high = shown.get_clim()
    assert low == -high and 0.4 < high < 80 and shown.get_extent() == [-0.5, 39.5, 15.5, -0.5]
    red, _, blue, _ = shown.cmap(shown.norm(high))
    assert red > blue  # orange speaks for landslide
    outline(ax, question("x").region, (16, 40), "black")  # rows 4 to 8 of the image, columns 20 to 40
    outline(ax, np.ones((8, 8), bool), (16, 40), "black")  # the whole image has none
    (drawn,) = ax.collections
    vertices = np.concatenate([path.vertices for path in drawn.get_paths()])
    assert (vertices[:, 1].min(), vertices[:, 1].max(), vertices[:, 0].min()) == pytest.approx((3.5, 7.5, 19.5))
    plt.close(figure)


def test_tables_of_base() -> None:
    choices = choice_table().set_index("part")
    assert list(choices.index) == [c.part for c in CHOICES]
    assert "rb, cu_width, smooth" in choices.loc["calibration unit", "fields"]
    parts = part_table(SCGCNetConfig(), 512).set_index("part")
    assert parts["GMAC"].sum() == pytest.approx(191.75, abs=0.01)
    assert parts.loc["fusion", "share (%)"] == pytest.approx(36.1)
    shapes = shape_table(SCGCNetConfig(), 512).set_index("part")
    assert (shapes.loc["stage 4"].tolist(), shapes.loc["head"].tolist()) == ([2048, 16, 16], [2, 128, 128])
    assert [part for part in shapes.index if "CAM" in part] == ["CAM on lateral 4"]  # identities are no parts
