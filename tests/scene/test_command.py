"""`scgcnet map` as a user calls it: one scene, several, killed, refused."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from map_scenes import UTM, scene_pixels
from raster_files import write_raster

from scgcnet.cli import main
from scgcnet.scene import MapOptions, SceneError, many
from scgcnet.scene.many import find_scenes, map_scenes
from scgcnet.scene.synthetic import CRS, write_synthetic_scene

OUTPUTS = ["landslides.gpkg", "mask.tif", "probability.tif", "quicklook.png", "report.json"]
HOW = ["--model", "tiny-bijie", "--window", "64", "--threshold", "0.3"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestOne:
    def test_every_option(self, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        arguments = ["map", str(scene), "--out", str(out), *HOW, "--overlap", "0.5", "--min-area", "0"]
        arguments += ["--bands", "3,2,1", "--range", "0,255", "--scale", "0.8", "--quiet"]
        arguments += ["--views", "2", "--model", "tiny-multisource", "--threads", "2"]
        arguments += ["--bounds", "500000,2999700,500460,3000000"]
        assert main(arguments) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith(f"{out}: ") and "at the threshold 0.3" in captured.out
        assert captured.err == ""
        assert names(out) == sorted([*OUTPUTS, "uncertainty.tif"])
        assert main(arguments) == 0
        assert capsys.readouterr().out.endswith("(it was there already)\n")

    @pytest.mark.usefixtures("scene", "bright")
    def test_as_the_readme_has_it(self, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
        """With the weights for images from elsewhere and all options as they are."""
        monkeypatch.chdir(tmp_path)
        assert main(shlex.split("map scene.tif --out map")) == 0
        assert capsys.readouterr().out.startswith("map: ")
        report = json.loads((tmp_path / "map" / "report.json").read_text())
        assert report["model"]["file"] == "lite0-multisource.safetensors"
        assert {"bijie", "landslide4sense", "cld"} <= set(report["model"]["trained_on"])
        assert report["made_of"]["options"]["window"] == 256

    def test_the_bar_says_how_long(self, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["map", str(scene), "--out", str(tmp_path / "out"), *HOW, "--threshold", "auto"]) == 0
        captured = capsys.readouterr()
        assert "15/15" in captured.err and "window/s" in captured.err
        assert "threshold 0.55" in captured.out

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["none.tif"], r"none\.tif is not there"),
            (["empty"], "empty holds no raster"),
            (["scene.tif", "--window", "3"], "--window 3: at least 64"),
            (["scene.tif", "--model", "scene.tif"], r"scene\.tif: cannot be read as safetensors"),
            (["scene.tif", "--model", "tiny-mars"], "the names are"),
        ],
    )
    @pytest.mark.usefixtures("scene")
    def test_one_line_says_what_is_wrong(
        self, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "empty").mkdir()
        assert main(["map", *HOW, *arguments, "--out", "out"]) == 2
        err = capsys.readouterr().err
        assert err.startswith("scgcnet: ") and err.count("\n") == 1
        assert re.search(told, err)
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_killed_map_resumes_and_is_the_same(tmp_path: Path) -> None:
    scene, _ = write_synthetic_scene(tmp_path / "scene.tif", (256, 384), pictures=2)
    arguments = ["map", str(scene), *HOW, "--scale", "1", "--quiet", "--out"]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert main([*arguments, str(whole)]) == 0
    process = subprocess.Popen([sys.executable, "-m", "scgcnet.cli", *arguments, broken], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    done = broken / ".work" / "scale-1"  # 40 windows: 11 are in the second row
    while process.poll() is None and len(list(done.glob("window-*.npy"))) < 11:
        assert time.monotonic() < until
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert names(broken) == [".work"]
    assert main([*arguments, str(broken)]) == 0
    assert {path.name: path.read_bytes() for path in broken.iterdir()} == {
        path.name: path.read_bytes() for path in whole.iterdir()
    }


@pytest.mark.slow
def test_a_scene_that_fails_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes, out = tmp_path / "my scenes", tmp_path / "maps"
    scenes.mkdir()
    for name in ("a", "b b"):
        write_raster(scenes / f"{name}.tif", scene_pixels(), **UTM)
    (scenes / "bad.tif").write_bytes(b"II*\0" + bytes(100))
    (scenes / "notes.txt").write_text("no scene")
    assert main(["map", str(scenes), "--out", str(out), *HOW, "--jobs", "2"]) == 1
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{out / 'a'}: ") and second.startswith(f"{out / 'b b'}: ")
    assert re.match(rf"{re.escape(str(out / 'bad'))}: FAILED: .*bad\.tif cannot be read", third)
    assert names(out) == ["a", "b b"] and names(out / "b b") == OUTPUTS


@pytest.mark.parametrize(
    ("sizes", "jobs", "shared"),
    [
        ([1, 1, 1], 1, [3]),
        ([1, 1, 1], 2, [2, 1]),
        ([1, 9, 1, 1], 1, [1, 1, 2]),
        ([9, 9], 2, [1, 1]),
        ([1] * 7, 1, [5, 2]),
    ],
)
def test_small_scenes_share_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: list[int], jobs: int, shared: list[int]
) -> None:
    monkeypatch.setattr(many, "SMALL", 5)
    monkeypatch.setattr(many, "BATCH", 5)
    scenes = [tmp_path / f"{number}.tif" for number in range(len(sizes))]
    for scene, size in zip(scenes, sizes, strict=True):
        scene.write_bytes(bytes(size))
    batches = list(many._batches(scenes, jobs))
    assert [len(batch) for batch in batches] == shared and [one for batch in batches for one in batch] == scenes


@pytest.mark.slow
def test_one_process_maps_a_folder_and_one_that_dies_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second dies in the middle of the first three; what follows it has a process of its own."""
    scenes = [write_raster(tmp_path / f"{name}.tif", scene_pixels(), **UTM) for name in "abc"]
    found = list(map_scenes(scenes[:2], tmp_path / "fine", "tiny-bijie", MapOptions(window=64, threshold=0.3), jobs=1))
    assert [one.fresh for one in found] == [True, True]
    monkeypatch.setattr(many, "_map_one", _die_at_b)
    found = list(map_scenes(scenes, tmp_path / "dies", "tiny-bijie", MapOptions(), jobs=1))
    assert found[0] != found[2] and found[0].isdigit() and found[2].isdigit()
    assert "b: FAILED: its process was killed" in found[1]


def _die_at_b(scene: Path, *_: object) -> str:
    if scene.stem == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return str(os.getpid())


def test_scenes_of_folders(tmp_path: Path) -> None:
    for name in ("one/b.TIF", "one/a.png", "one/c.txt", "two/d.jp2", "e.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_scenes([tmp_path / "e.tif", tmp_path / "one", tmp_path / "two"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["e.tif", "one/a.png", "one/b.TIF", "two/d.jp2"]
    assert find_scenes(["https://a.org/x/f.tif?b=1", str(tmp_path / "e.tif")])[0] == "https://a.org/x/f.tif?b=1"
    with pytest.raises(SceneError, match="would both be written to a folder e"):
        find_scenes(["s3://a/e.tif", tmp_path / "e.tif"])
    (tmp_path / "two" / "a.tif").touch()
    with pytest.raises(SceneError, match=r"a\.png and .*a\.tif would both be written to a folder a: rename one"):
        find_scenes([tmp_path / "one", tmp_path / "two"])


def test_synthetic_scene(tmp_path: Path) -> None:
    path, truth_path = write_synthetic_scene(tmp_path / "scene.tif", (300, 530), seed=1, pictures=2)
    with rasterio.open(path) as image, rasterio.open(truth_path) as truth:
        assert image.shape == truth.shape == (300, 530) and image.count == 3
        assert image.crs == truth.crs == CRS and image.transform == truth.transform
        pixels, mask = image.read(), truth.read(1)
    assert set(np.unique(mask)) == {0, 1}
    assert pixels[:, mask == 1].mean() > pixels[:, mask == 0].mean()  # landslides are bare soil
    again, _ = write_synthetic_scene(tmp_path / "again.tif", (300, 530), seed=1, pictures=2)
    assert again.read_bytes() == path.read_bytes()
