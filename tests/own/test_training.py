"""A training on own data: what it writes, resumes, warns of and refuses."""

from __future__ import annotations

import errno
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from own_data import EAST, pixels, placed, write_scene, write_tiles
from PIL import Image
from raster_files import write_raster
from safetensors.torch import load_file

from scgcnet import zoo
from scgcnet.cli import main
from scgcnet.data import DatasetError
from scgcnet.files import WriteError
from scgcnet.own import training
from scgcnet.own.source import SourceError
from scgcnet.own.training import TrainOptions, train

SMALL: dict[str, Any] = {"epochs": 2, "image_size": 64}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "EPOCH_IMAGES", (16, 16))


def test_a_scene_of_four_bands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_scene(tmp_path / "region", bands=4, kind=np.uint16, scale=10, layer="slides.geojson")
    monkeypatch.setattr("scgcnet.own.source._alpha_note", lambda path: ["band 4 was not read"])
    write_tiles(tmp_path / "tiles", 4, 4)
    out = tmp_path / "out"
    train(tmp_path / "region", out, TrainOptions(**SMALL), progress=True)
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "scores.csv", "weights.safetensors"]
    told = capsys.readouterr().err
    assert all(line in told for line in ("note: band 4 was not read\n", "warning: validation holds", "epochs ["))
    metadata = zoo.read_metadata(out / "weights.safetensors")
    assert (metadata["bands"], metadata["window"], metadata["sources"]) == ("1,2,3,4", "64", "region")
    assert float(metadata["resolutions"]) == pytest.approx(2, rel=1e-3) and metadata["threshold"] == "0.5"
    low, high = map(float, metadata["value_range"].split(","))
    assert 200 < low < 300 and 2000 < high < 2200
    assert json.loads(metadata["config"])["in_channels"] == 4
    images = pd.read_csv(out / "scores.csv")
    assert len(images) and (images[["tp", "fp", "fn", "tn"]].sum(axis=1) == images.height * images.width).all()

    report = (out / "report.html").read_text("utf-8")
    assert re.search(r"Training took \d+\.\d minutes since it was last started, and \d\.\d GB", report)
    assert "image/svg+xml" in report and "image/png" in report and "scgcnet train" in report
    assert not re.search(r'(?:src|href)="(?!data:)', report)  # it opens offline
    before = (out / "weights.safetensors").read_bytes()
    again = train(tmp_path / "region", out, TrainOptions(**SMALL))
    assert not again.fresh and (out / "weights.safetensors").read_bytes() == before
    with pytest.raises(SourceError, match="a training of other data or options"):
        train(tmp_path / "region", out, TrainOptions(**SMALL, seed=1))
    model = str(out / "weights.safetensors")
    assert main(["evaluate", str(tmp_path / "region"), "--model", model, "--quiet"]) == 0
    scene = str(tmp_path / "region" / "scene.tif")
    assert main(["map", scene, "--model", model, "--out", str(tmp_path / "map"), "--quiet"]) == 0
    report = json.loads((tmp_path / "map" / "report.json").read_text())  # bands and range are those of the training
    assert report["scene"]["bands"] == [1, 2, 3, 4] and report["scene"]["value_range"] == pytest.approx([low, high])


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiles(tmp_path / "tiles", 12, free=4)
    write_tiles(tmp_path / "free", 4)
    options = TrainOptions(**SMALL, start="none", landslide_free=tmp_path / "free" / "images")
    train(tmp_path / "tiles", tmp_path / "unbroken", options)
    real = training.score

    def full(*_: object) -> None:
        raise WriteError(tmp_path, OSError(errno.ENOSPC, "No space left on device"))

    monkeypatch.setattr(training, "score", full)
    with pytest.raises(WriteError, match="No space left on device"):
        train(tmp_path / "tiles", tmp_path / "out", options)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".work"]
    with pytest.raises(SourceError, match="other data or options"):
        train(tmp_path / "tiles", tmp_path / "out", TrainOptions(**SMALL, start="none"))
    monkeypatch.setattr(training, "score", real)
    train(tmp_path / "tiles", tmp_path / "out", options)
    one, other = (load_file(tmp_path / name / "weights.safetensors") for name in ("unbroken", "out"))
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert "16 training" not in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert zoo.read_metadata(tmp_path / "out" / "weights.safetensors")["sources"] == "tiles, images"


def test_weights_go_on_to_see_what_they_know(tmp_path: Path) -> None:
    """Scales, and where validation holds few landslides the threshold, are those of the weights begun with."""
    write_scene(tmp_path / "region")  # of 2 m
    known = {"window": "64", "seen_at": "1.6", "threshold": "0.43", "peak": "0.7", "temperature": "0.6"}
    zoo.save_model(zoo.create_model("scgcnet", "tiny"), tmp_path / "start.safetensors", known)
    train(tmp_path / "region", tmp_path / "out", TrainOptions(start=str(tmp_path / "start.safetensors"), epochs=1))
    metadata = zoo.read_metadata(tmp_path / "out" / "weights.safetensors")
    assert {key: metadata[key] for key in known} == known and "resolutions" not in metadata
    assert metadata["share"] == "0.75" and "0.75 of the way" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_weights_go_back_as_far_as_validation_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiles(tmp_path / "tiles", 12)
    source = training.find_source(tmp_path / "tiles")
    options = TrainOptions()
    material = training._material(source, None, None, None, options, training.ZOOM, {}, False)
    monkeypatch.setattr(training, "FEWEST_LANDSLIDES", 1)
    network = zoo.create_model("scgcnet", "tiny")
    zoo.save_model(network, tmp_path / "start.safetensors", {"threshold": "0.5"})
    begun = {key: value.clone() for key, value in network.state_dict().items()}
    scores = iter([0.2, 0.6, 0.4])
    monkeypatch.setattr(training, "mean_iou", lambda *_: next(scores))
    with torch.no_grad():
        for value in network.parameters():
            value += 0.01
    metadata: dict[str, str] = {"window": "64"}
    training._settle(network.eval(), tmp_path / "start.safetensors", material, metadata)
    assert metadata["share"] == "0.5"
    for key, value in network.named_parameters():
        torch.testing.assert_close(value, begun[key] + 0.005)
    plain = tmp_path / "plain.safetensors"
    zoo.save_model(network, plain)
    monkeypatch.setattr(training, "mean_iou", lambda *_: 0.5)
    training._settle(network, plain, material, metadata := {"window": "64"})  # ImageNet's: nothing to go back to
    assert "share" not in metadata
    for key, value in network.named_parameters():
        torch.testing.assert_close(value, begun[key] + 0.005)


def test_zoom_is_about_the_scales_of_a_map(tmp_path: Path) -> None:
    write_scene(tmp_path / "region")  # 2 m, of 160 px
    write_tiles(tmp_path / "tiles", 4)
    region, tiles = (training.find_source(tmp_path / name) for name in ("region", "tiles"))
    assert training._zoom({}, region, 64) == training.ZOOM
    low, high = training._zoom({"seen_at": "2"}, region, 64)  # at 1 to 4 m
    assert (low, high) == pytest.approx((0.35, 2.8), rel=1e-3)
    stamp = 32 / max(tiles.pictures[0].shape)  # half of a window
    assert training._zoom({"seen_at": "2"}, tiles, 64) == (round(max(0.7 * 0.25, min(stamp, 0.7)), 4), 1.4)


def test_a_time_budget_becomes_epochs_that_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiles(tmp_path / "tiles", 12)
    paces = iter([(0.5, 2.0)])
    monkeypatch.setattr(training, "_pace", lambda *_: next(paces))
    monkeypatch.setattr(training, "fit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    options = TrainOptions(image_size=64, minutes=1)
    for _ in range(2):  # the second time, nothing is timed
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "tiles", tmp_path / "out", options)
        config = json.loads((tmp_path / "out" / ".work" / "recipe.json").read_text())["config"]
        assert (config["epochs"], config["epoch_images"]) == (int(54 / (2 * 0.5 + 2)), 16)


def test_a_pace_is_measured(tmp_path: Path) -> None:
    write_tiles(tmp_path / "tiles", 12)
    done = train(tmp_path / "tiles", tmp_path / "out", TrainOptions(image_size=64, minutes=0.001))
    assert done.fresh  # five epochs of a step: fewer would say nothing
    assert "5 epochs" in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_warnings_name_the_number(tmp_path: Path) -> None:
    image, _ = pixels()
    image[..., 2] = 9
    for name, east in (("a", EAST), ("b", EAST + 100)):
        write_scene(tmp_path / name, east=east)
        write_raster(tmp_path / name / "scene.tif", image, **placed(east))
    source, held = (training.find_source(tmp_path / name) for name in "ab")
    options = TrainOptions(val=str(tmp_path / "b"))
    found = training._material(source, None, held, None, options, training.ZOOM, {}, False)
    first, second, third, fourth = found.warnings
    assert first.startswith("0 of 1 training images are free of landslides")
    assert second.startswith("validation holds 5 landslides, too few to choose a threshold (from 10): it stays at 0.5")
    assert third.startswith("band 3 is constant: its standard deviation is 0.00 of 255")
    assert fourth == "1 of 1 validation images show ground of the training: their scores flatter"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 2, "minutes": 3.0}, "--epochs and --time"),
        ({"size": "small", "start": "tiny-bijie"}, "--size small"),
        ({"val": "0.9"}, "--val 0.9"),
        ({"val": "nowhere"}, "nowhere is not there"),
        ({"start": "tiny-bijie"}, "its rasters have 4 bands, but tiny-bijie.safetensors takes 3"),
        ({"start": "no.safetensors"}, "no.safetensors is not there"),
    ],
)
def test_mistakes_leave_nothing_behind(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_scene(tmp_path / "region", bands=4)
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "region", tmp_path / "out", TrainOptions(**options))
    assert not (tmp_path / "out").exists()


def test_a_fault_that_is_found_while_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    Image.new("L", (30, 30)).save(write_tiles(tmp_path / "tiles", 6) / "masks" / "t01.png")
    with pytest.raises(DatasetError, match=r"t01.png: the mask is 30x30 px"):
        train(tmp_path / "tiles", tmp_path / "out", TrainOptions(**SMALL))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    write_scene(tmp_path / "region")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(SourceError, match="holds other files"):
        train(tmp_path / "region", tmp_path / "out", TrainOptions(**SMALL))
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("text", "minutes"), [("90s", 1.5), ("30m", 30), ("2h", 120)])
def test_the_command_reads_times(monkeypatch: pytest.MonkeyPatch, text: str, minutes: float) -> None:
    seen: list[TrainOptions] = []

    def keep(source: Path, out: Path, options: TrainOptions, progress: bool) -> None:
        seen.append(options)
        raise SourceError("enough")

    monkeypatch.setattr(training, "train", keep)
    assert main(["train", "data", "--out", "out", "--time", text, "--val", "0.3"]) == 2
    assert (seen[0].minutes, seen[0].share) == (pytest.approx(minutes), 0.3)
    assert main(["train", "data", "--out", "out", "--time", "soon"]) == 2 and len(seen) == 1
