"""The explorer, driven by its traits as a hand would drive it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from subjects import SIDE, Bright, Given, picture

from scgcnet import zoo
from scgcnet.data import Sample
from scgcnet.explain import live
from scgcnet.explain.attribution import integrated_gradients
from scgcnet.explain.live import Explorer
from scgcnet.study.cases import predict_cases


def explorer_of(network: torch.nn.Module, *samples: Sample, threshold: float = 0.6) -> Explorer:
    cases = predict_cases(network.eval(), Given(*samples), SIDE, threshold)
    return Explorer(network, cases, SIDE, threshold)


@pytest.fixture
def explorer() -> Explorer:
    return explorer_of(Bright(), picture("good", (0, 8), (0, 8)), picture("bad", (0, 8), (16, 32)))


def size(explorer: Explorer) -> tuple[int, int]:
    return Image.open(io.BytesIO(explorer.picture.value)).size


def test_opens_with_the_worst_case_at_the_threshold_of_validation(explorer: Explorer) -> None:
    assert [label for label, _ in explorer.case.options] == ["bad (IoU 0 %)", "good (IoU 100 %)"]
    assert explorer.shown[0].name == "bad"
    assert explorer.threshold.value == 0.6
    assert "best on validation: 0.6" in explorer.view.children[1].children[1].value
    assert explorer.scores.value == (
        f"IoU 0.0 %, precision 0.0 %, recall 0.0 %; 0 pixels found, {8 * SIDE} missed, {16 * SIDE} falsely alarmed"
    )
    assert explorer.attribution is None and explorer.problem.value == ""
    assert explorer.picture.tooltip.startswith("bad: image, truth")


def test_the_case_and_the_threshold_decide_the_prediction(explorer: Explorer) -> None:
    before = explorer.picture.value
    explorer.case.value = 1
    assert explorer.shown[0].name == "good"
    np.testing.assert_array_equal(explorer.prediction, explorer.shown[0].mask == 1)
    assert explorer.scores.value.startswith(
        "IoU 100.0 %, precision 100.0 %, recall 100.0 %; 256 pixels found, 0 missed"
    )
    assert explorer.picture.value != before and size(explorer) == (1200, 288)
    black = float(explorer.shown[1].min())
    explorer.threshold.value = 0.01
    assert explorer.prediction.all() == (black > 0.01)
    found = explorer.prediction
    assert f"{int((found & (explorer.shown[0].mask == 0)).sum())} falsely alarmed" in explorer.scores.value


def test_explains_when_it_is_asked_to(explorer: Explorer) -> None:
    before = explorer.picture.value
    explorer.button.click()
    assert explorer.attribution is not None and explorer.problem.value == ""
    sample = explorer.shown[0]
    region = sample.mask == 1
    pixels = live.EvalTransform(SIDE)(sample)[0].unsqueeze(0)
    expected = integrated_gradients(explorer.network, pixels, region)
    np.testing.assert_allclose(explorer.attribution.values, expected.values, atol=1e-6)
    assert explorer.attribution.margin == pytest.approx(expected.margin)
    assert explorer.picture.value != before
    assert not explorer.button.disabled and explorer.button.description == "explain"


def test_what_is_asked_follows_the_choices(explorer: Explorer) -> None:
    explorer.region.value, explorer.method.value = "false alarms", "occlusion"
    explorer.button.click()
    assert explorer.attribution is not None
    assert explorer.attribution.margin == pytest.approx(2 * (1 - 0.485) / 0.229, rel=1e-4)  # of the bright rows
    explorer.region.value = "misses"
    assert explorer.attribution is None  # it was of something else
    explorer.button.click()
    assert explorer.attribution.margin == pytest.approx(-2 * 0.485 / 0.229, rel=1e-4)
    explorer.threshold.value = 0.7  # there may be other misses now
    assert explorer.attribution is None


def test_misses_are_those_at_the_threshold_of_the_slider(explorer: Explorer) -> None:
    explorer.case.value, explorer.region.value = 1, "misses"
    explorer.button.click()
    assert "good: the region &#x27;misses&#x27; has no pixel; choose another region or image" in explorer.problem.value
    assert explorer.attribution is None
    explorer.threshold.value = 0.99  # red at full brightness has 0.989
    assert explorer.problem.value == ""
    explorer.button.click()
    assert explorer.attribution is not None and explorer.problem.value == ""


def test_whatever_goes_wrong_is_one_line(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no memory <left>,\n  ask for less")

    monkeypatch.setattr(live, "attribute", broken)
    explorer.button.click()
    assert explorer.problem.value == '<span style="color: #b00020">no memory &lt;left&gt;, ask for less</span>'
    assert not explorer.button.disabled
    monkeypatch.undo()
    explorer.button.click()
    assert explorer.problem.value == "" and explorer.attribution is not None


def test_layers_are_for_grad_cam_alone() -> None:
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", "tiny")
    explorer = explorer_of(model, picture("a", (0, 8), (0, 8)))
    names = dict(explorer.layer.options)
    # At this size the deepest stage has one place, which is no map.
    assert list(names)[:3] == ["HMIE, stage 3", "PSCCS, unit 1", "PSCCS, unit 2"]
    assert names["head"] == "head" and "HMIE, stage 4" not in names and "encoder.stage3" not in names
    assert explorer.layer.disabled
    explorer.method.value = "grad-cam"
    assert not explorer.layer.disabled
    explorer.layer.value = "decoder.units.2"
    explorer.button.click()
    assert explorer.attribution is not None and explorer.problem.value == ""


def test_jupyterlab_knows_the_widgets() -> None:
    assert (Path(sys.prefix) / "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager").is_dir()


def test_shows_itself_in_a_notebook(explorer: Explorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.view.model_id
    assert explorer.picture in explorer.view.children
