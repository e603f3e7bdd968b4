import json

import numpy as np
import pytest
import rasterio
from map_scenes import Bright

from scgcnet.bench import scene
from scgcnet.cli import main
from scgcnet.scene.made_up import CRS, write_made_up_scene
from scgcnet.scene.seams import Mosaic


def test_prints_memory_speed_and_equality(tmp_path, capsys) -> None:
    numbers = tmp_path / "numbers.json"
    assert main(["bench", "scene", "--side", "300", "--window", "128", "--kills", "1", "--json", str(numbers)]) == 0
    out = capsys.readouterr().out
    assert "made-up scene of 300 x 300 px" in out and "megapixels/s, peak" in out
    assert "every file is the same" in out
    told = json.loads(numbers.read_text())
    assert told["scene"]["side"] == 300 and told["scene"]["the_same"] is True
    assert 100 < told["scene"]["peak_mb"] < 1500
    assert told["scene"]["windows"] == 9
    assert len(told["scene"]["killed_at"]) == 1 and 0 < told["scene"]["killed_at"][0] < 9


def test_a_mapping_that_fails_is_told(tmp_path) -> None:
    with pytest.raises(RuntimeError, match="the mapping failed with status 2"):
        scene.bench_scene(64, str(tmp_path / "none.safetensors"))


def test_seams(tmp_path, monkeypatch, capsys) -> None:
    image = np.full((200, 200, 3), 30, np.uint8)
    image[50:90, 50:90] = 230
    mosaic = Mosaic("A", image, (image[..., 0] > 100).astype(np.uint8))
    monkeypatch.setattr(scene, "read_mosaics", lambda: [mosaic])
    monkeypatch.setattr(scene.zoo, "load_model", lambda path: Bright())
    numbers = tmp_path / "numbers.json"
    assert main(["bench", "seams", "--windows", "128", "--scales", "1,0.5", "--json", str(numbers)]) == 0
    assert capsys.readouterr().out.count("IoU") == 6
    ways = json.loads(numbers.read_text())["ways"]
    assert [(way["window"], way["overlap"], way["scale"]) for way in ways[:3]] == [
        (128, 0, 1),
        (128, 0.25, 1),
        (0, 0, 1),
    ]
    assert [way["iou"] for way in ways[:3]] == [1, 1, 1]


def test_seams_without_the_mosaics(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))
    assert main(["bench", "seams"]) == 2
    assert "the mosaics of AMU-Net are not there" in capsys.readouterr().err


def test_the_made_up_scene(tmp_path) -> None:
    path, truth_path = write_made_up_scene(tmp_path / "scene.tif", (300, 530), seed=1, pictures=2)
    with rasterio.open(path) as image, rasterio.open(truth_path) as truth:
        assert image.shape == truth.shape == (300, 530) and image.count == 3
        assert image.crs == truth.crs == CRS and image.transform == truth.transform
        pixels, mask = image.read(), truth.read(1)
    assert set(np.unique(mask)) == {0, 1}
    assert pixels[:, mask == 1].mean() > pixels[:, mask == 0].mean()  # landslides are bare soil
    again, _ = write_made_up_scene(tmp_path / "again.tif", (300, 530), seed=1, pictures=2)
    assert again.read_bytes() == path.read_bytes()
