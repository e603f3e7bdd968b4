"""`scgcnet map` as a user calls it: one scene, several, killed, refused."""

import json
import re
import resource
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
from scgcnet.scene import SceneError
from scgcnet.scene.many import find_scenes
from scgcnet.scene.synthetic import CRS, write_synthetic_scene

OUTPUTS = ["landslides.gpkg", "mask.tif", "probability.tif", "quicklook.png", "report.json"]
COMMAND = [sys.executable, "-m", "scgcnet.cli", "map"]
HOW = ["--model", "tiny-bijie", "--window", "64", "--threshold", "0.3"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestOne:
    def test_every_option(self, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        arguments = ["map", str(scene), "--out", str(out), *HOW, "--overlap", "0.5", "--min-area", "0"]
        arguments += ["--bands", "3,2,1", "--range", "0,255", "--scale", "0.8", "--quiet"]
        assert main(arguments) == 0
        captured = capsys.readouterr()
        assert captured.out.startswith(f"{out}: ") and "at the threshold 0.3" in captured.out
        assert captured.err == ""
        assert names(out) == OUTPUTS
        assert main(arguments) == 0
        assert capsys.readouterr().out.endswith("(it was there already)\n")

    @pytest.mark.usefixtures("scene", "bright")
    def test_as_the_readme_has_it(self, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
        """With the weights for images from elsewhere and all options as they are."""
        monkeypatch.chdir(tmp_path)
        assert main(shlex.split("map scene.tif --out map")) == 0
        assert capsys.readouterr().out.startswith("map: ")
        report = json.loads((tmp_path / "map" / "report.json").read_text())
        assert report["model"]["file"] == "tiny-multisource.safetensors"
        assert {"bijie", "landslide4sense", "cld"} <= set(report["model"]["trained_on"])
        assert report["made_of"]["options"]["window"] == 1024

    def test_help_lists_the_options(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["map", "--help"]) == 0
        told = capsys.readouterr().out
        assert "--scale" in told and "LOW,HIGH" in told

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
            (["scene.tif", "scene.tif"], "would both be written to a folder scene"),
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


class TestKilled:
    @pytest.mark.slow
    def test_resumes_and_gives_the_same(self, tmp_path: Path) -> None:
        scene, _ = write_synthetic_scene(tmp_path / "scene.tif", (256, 384), pictures=2)
        command = [*COMMAND, str(scene), *HOW, "--scale", "1", "--quiet", "--out"]
        assert main([*command[3:], str(tmp_path / "whole")]) == 0
        work = tmp_path / "broken" / ".work"
        process = subprocess.Popen([*command, tmp_path / "broken"], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while process.poll() is None and len(list(work.glob("window-*.npy"))) < 11:  # of 40: in the second row
            assert time.monotonic() < until
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert names(tmp_path / "broken") == [".work"]
        assert main([*command[3:], str(tmp_path / "broken")]) == 0
        assert names(tmp_path / "broken") == OUTPUTS
        for name in OUTPUTS:
            assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name

    @pytest.mark.slow
    def test_no_room(self, tmp_path: Path) -> None:
        """A limit on the size of a file acts as a full disk does; 30 kB are enough for windows, not for the rest."""
        scene = write_raster(tmp_path / "scene.tif", scene_pixels(), **UTM)
        command = [*COMMAND, str(scene), *HOW, "--quiet", "--out", str(tmp_path / "out")]

        def small_files() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=small_files)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert re.match(r"scgcnet: .* cannot be written: .* make room", line)
        assert names(tmp_path / "out") == [".work"]
        assert main(command[3:]) == 0
        assert names(tmp_path / "out") == OUTPUTS


class TestSeveral:
    @pytest.mark.slow
    def test_one_that_fails_stops_no_other(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        scenes = tmp_path / "my scenes"
        scenes.mkdir()
        for name in ("a", "b b"):
            write_raster(scenes / f"{name}.tif", scene_pixels(), **UTM)
        (scenes / "bad.tif").write_bytes(b"II*\0" + bytes(100))
        (scenes / "notes.txt").write_text("no scene")
        out = tmp_path / "maps"
        assert main(["map", str(scenes), "--out", str(out), *HOW, "--jobs", "2"]) == 1
        captured = capsys.readouterr()
        assert captured.err == "3 scenes, 1 failed\n"
        lines = captured.out.splitlines()
        assert lines[0].startswith(f"{out / 'a'}: ") and lines[1].startswith(f"{out / 'b b'}: ")
        assert re.match(rf"{re.escape(str(out / 'bad'))}: FAILED: .*bad\.tif cannot be read", lines[2])
        assert names(out) == ["a", "b b"] and names(out / "b b") == OUTPUTS


def test_scenes_of_folders(tmp_path: Path) -> None:
    for name in ("one/b.TIF", "one/a.png", "one/c.txt", "two/d.jp2", "e.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_scenes([tmp_path / "e.tif", tmp_path / "one", tmp_path / "two"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["e.tif", "one/a.png", "one/b.TIF", "two/d.jp2"]
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
