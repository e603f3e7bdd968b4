"""Scores against counts by hand, for a network that calls bright pixels landslide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from map_scenes import Bright
from own_data import EAST, SLIDES, boxes, pixels, placed, write_outlines, write_scene, write_tiles
from raster_files import write_raster

from scgcnet import zoo
from scgcnet.cli import main
from scgcnet.own.evaluation import evaluate
from scgcnet.own.source import SourceError
from scgcnet.train.fit import new_network


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgcnet.zoo.load_model", lambda _: Bright().eval())


def weights(path: Path, channels: int = 3, **metadata: str) -> str:
    zoo.save_model(new_network("scgcnet", "tiny", channels, {}, 0), path, metadata)
    return str(path)


def test_scores_and_tables_of_a_scene(tmp_path: Path, bright: None) -> None:
    image, mask = pixels()
    image[20:30, 80:90] = 220  # an alarm of 100 pixels, 400 square metres
    image[20:50, 120:150] = 40  # a landslide that is not seen
    (tmp_path / "data").mkdir()
    write_raster(tmp_path / "data" / "scene.tif", image, **placed())
    write_outlines(tmp_path / "data" / "x.gpkg", boxes())
    model = weights(tmp_path / "w.safetensors", threshold="0.5", resolutions="2")
    found = evaluate(tmp_path / "data", model, tmp_path / "out")
    (row,) = found.images.itertuples()
    tp, fn, fp = int(mask.sum()) - 900, 900, 100
    assert (row.tp, row.fn, row.fp, row.tn) == (tp, fn, fp, mask.size - tp - fn - fp)
    assert (row.landslides, row.found, row.false_alarms, row.false_alarm_pixels) == (len(SLIDES), 4, 1, 100)
    assert found.summary.value["iou, %"] == pytest.approx(100 * tp / (tp + fn + fp))
    assert np.isnan(found.summary.low["iou, %"])  # a single image
    sizes = found.sizes  # 30 x 30, 30 x 40 twice, 30 x 20 and 20 x 30 pixels of 4 square metres
    assert sizes.index.tolist() == ["2,000 to 5,000 m²"] and sizes.n.tolist() == [5]
    assert sizes["found, %"].tolist() == [80] and sizes["area found, %"].tolist() == [80]
    assert pd.read_csv(tmp_path / "out" / "scores.csv").iou[0] == pytest.approx(found.summary.value["iou, %"], abs=1e-3)
    assert pd.read_csv(tmp_path / "out" / "sizes.csv").n.tolist() == [5]
    assert pd.read_csv(tmp_path / "out" / "summary.csv").score[3] == "iou, %"


def test_false_alarms_on_landslide_free_images(tmp_path: Path, bright: None) -> None:
    for index, bright_pixels in enumerate((0, 0, 400, 4)):
        image = np.full((80, 80, 3), 40, np.uint8)
        image[: bright_pixels // 20, :20] = 220
        write_raster(tmp_path / f"{index}.tif", image, **placed(EAST + 9000 * (index + 1)))
    write_scene(tmp_path, "slides", layer="")
    write_outlines(tmp_path / "all.gpkg", boxes())
    summary = evaluate(tmp_path, weights(tmp_path / "w.safetensors", threshold="0.5")).summary
    row = summary.loc["landslide-free images with an alarm, %"]
    assert (row.value, row.n) == (25, 4) and row.low < 25 < row.high
    ground = summary.loc["false alarms on landslide-free images, % of ground"]
    assert ground.value == pytest.approx(100 * 400 / (4 * 6400))
    assert summary.loc["iou, %"].low <= summary.loc["iou, %"].value <= summary.loc["iou, %"].high


def test_weights_of_other_bands_or_values_are_refused(tmp_path: Path) -> None:
    write_scene(tmp_path / "four", bands=4)
    write_scene(tmp_path / "three")
    with pytest.raises(SourceError, match=r"have 4 bands, but w3.safetensors takes 3"):
        evaluate(tmp_path / "four", weights(tmp_path / "w3.safetensors"))
    with pytest.raises(SourceError, match=r"have 3 bands, but w4.safetensors takes 4"):
        evaluate(tmp_path / "three", weights(tmp_path / "w4.safetensors", 4))
    with pytest.raises(SourceError, match=r"of 8 bits, but w.safetensors was trained on values from 10 to 3000"):
        evaluate(tmp_path / "three", weights(tmp_path / "w.safetensors", value_range="10,3000"))


def test_stored_values_are_stretched_by_the_weights_range(tmp_path: Path, bright: None) -> None:
    write_scene(tmp_path, kind=np.uint16, scale=10)
    wide = weights(tmp_path / "w.safetensors", value_range="0,100000")  # all is dark
    assert evaluate(tmp_path, wide).summary.value["recall, %"] == 0
    own = evaluate(tmp_path, weights(tmp_path / "v.safetensors", threshold="0.5"))
    assert own.summary.value["iou, %"] > 99 and "carries no range of values" in own.notes[0]


def test_the_command(tmp_path: Path, bright: None, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiles(tmp_path / "data", 6)
    assert main(["evaluate", str(tmp_path / "data"), "--model", "tiny-bijie", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "iou, %" in told and "landslide size" in told and " px " in told
    assert main(["evaluate", str(tmp_path / "none"), "--model", "tiny-bijie"]) == 2
    assert "none is not there" in capsys.readouterr().err
