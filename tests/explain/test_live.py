"""The explorer, driven by its traits as a hand would drive it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from PIL import Image
from subjects import SIDE, Bright, Given, picture

from scgcnet import zoo
from scgcnet.data import Sample
from scgcnet.explain import live
from scgcnet.explain.attribution import integrated_gradients
from scgcnet.explain.live import Explorer, explore
from scgcnet.study.cases import predict_cases

REPOSITORY = Path(__file__).resolve().parents[2]


def explorer_of(network: torch.nn.Module, *samples: Sample, threshold: float = 0.6) -> Explorer:
    cases = predict_cases(network.eval(), Given(*samples), SIDE, threshold)
    return explore(network, cases, SIDE, threshold)


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


@pytest.mark.slow
def test_jupyterlab_opens_the_chapter_and_knows_the_widgets(tmp_path: Path) -> None:
    """The README's command, without a browser; what the user has set up for Jupyter must not matter."""
    command = [str(Path(sys.executable).with_name("jupyter")), "lab", "book/attribution.ipynb"]
    options = ["--no-browser", "--allow-root", "--port=0", "--IdentityProvider.token=word"]
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("CONFIG", "RUNTIME", "DATA")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(tmp_path / name) for name in ("WORKSPACES", "SETTINGS")}
    with subprocess.Popen(
        [*command, *options],
        cwd=REPOSITORY,
        env=os.environ | places,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            port = wait_for_port(server, tmp_path / "RUNTIME")
            assert '"attribution.ipynb"' in get(port, "api/contents/attribution.ipynb?content=0")
            assert "@jupyter-widgets/jupyterlab-manager" in get(port, "lab/tree/attribution.ipynb")
        finally:
            server.terminate()
    with pytest.raises(URLError):
        get(port, "api")


def wait_for_port(server: subprocess.Popen[bytes], folder: Path) -> int:
    """The port of a Jupyter server, as soon as it answers."""
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        for file in folder.glob("jpserver-*.json"):
            with contextlib.suppress(ValueError, URLError):  # half written, or not listening yet
                port: int = json.loads(file.read_text())["port"]
                get(port, "api")
                return port
        time.sleep(0.2)
    raise AssertionError(f"jupyter lab did not start: {server.poll()}")


def get(port: int, path: str) -> str:
    with urlopen(
        Request(f"http://127.0.0.1:{port}/{path}", headers={"Authorization": "token word"}), timeout=60
    ) as page:
        text: str = page.read().decode()
    return text


def test_shows_itself_in_a_notebook(explorer: Explorer) -> None:
    bundle = explorer._repr_mimebundle_()
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.view.model_id
    assert explorer.picture in explorer.view.children
