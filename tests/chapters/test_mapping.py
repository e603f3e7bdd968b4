from pathlib import Path

import numpy as np
import pytest
import rasterio
from map_scenes import BRIGHT, UTM, Bright, scene_pixels
from raster_files import write_raster

from scgcnet import plots
from scgcnet.chapters import mapping
from scgcnet.chapters.mapping import ExampleScene, example_scene, map_example, view
from scgcnet.data import Sample
from scgcnet.scene import SceneError
from scgcnet.scene.seams import Mosaic


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mapping, "project_root", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgcnet.zoo.load_model", lambda _: Bright())


@pytest.fixture
def mosaics(monkeypatch: pytest.MonkeyPatch) -> Mosaic:
    pixels = scene_pixels()
    mask = (pixels[..., 0] == BRIGHT).astype(np.uint8)
    mask[:30] = 255
    mosaic = Mosaic("A", pixels, mask)
    monkeypatch.setattr(mapping, "read_mosaics", lambda: [mosaic])
    return mosaic


class TestScene:
    def test_synthetic(self, checkout: Path) -> None:
        scene = example_scene("synthetic", real=True)
        assert not scene.real and scene.about == "a synthetic scene of 768 x 512 px"
        with rasterio.open(scene.path) as file:
            assert file.shape == (512, 768)
        written = scene.path.stat().st_mtime_ns
        assert example_scene("synthetic", real=True).path.stat().st_mtime_ns == written

    @pytest.mark.usefixtures("mosaics")
    def test_a_mosaic_keeps_unknown_pixels(self, checkout: Path) -> None:
        scene = example_scene("A", real=True)
        assert scene.real and "the mosaic A" in scene.about
        with rasterio.open(scene.path) as file:
            assert (file.read_masks(1)[:30] == 0).all() and (file.read_masks(1)[30:] == 255).all()

    def test_auto_takes_a_synthetic_one_without_real_data(self, checkout: Path, monkeypatch) -> None:
        monkeypatch.setattr(mapping, "SYNTHETIC", (128, 128))
        monkeypatch.setattr(mapping, "dataset_available", lambda name: name != "landslide_free")
        assert not example_scene("auto", real=True).real
        monkeypatch.setattr(mapping, "read_mosaics", list)
        with pytest.raises(SceneError, match="scene B: the mosaics of AMU-Net are not there"):
            example_scene("B", real=True)

    def test_a_file(self, tmp_path: Path) -> None:
        assert example_scene(str(tmp_path / "mine.tif"), real=True).about == "the file mine.tif"


@pytest.mark.usefixtures("bright")
def test_the_patchwork_is_scored(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def part(name: str, *_: object) -> list[Sample]:
        image, mask = np.zeros((300, 260, 3), np.uint8), np.zeros((300, 260), np.int64)
        image[100:164, 100:164] = BRIGHT
        mask[100:164, 100:132] = name == "bijie"
        small = Sample("small", image[:100], mask[:100])
        return [small, *(Sample(str(index), image if index else image * 0, mask) for index in range(12))]

    monkeypatch.setattr(mapping, "open_dataset", part)
    monkeypatch.setattr(mapping, "dataset_available", lambda _: True)
    scene = example_scene("auto", real=True)
    result = map_example(scene, "tiny-bijie", 64, 0.25, 0.5)
    found = mapping.scored(scene, result)
    assert found["quiet"] == 12 and found["alarmed"] == 10  # the first of each data set is dark
    assert found["share"] == pytest.approx(10 * 64 * 64 / (12 * 256 * 256), rel=0.02)
    assert found["iou_left"] == pytest.approx(11 / 23, rel=0.02) and found["iou"] == pytest.approx(11 / 43, rel=0.02)
    assert "10 of 12 squares without have a false alarm" in mapping.about(scene, result)
    plots.scene_map(*view(scene, result))


@pytest.mark.usefixtures("bright")
@pytest.mark.parametrize("place", [UTM, {}])
def test_view_and_tables(checkout: Path, tmp_path: Path, place: dict) -> None:
    scene = ExampleScene(write_raster(tmp_path / "scene.tif", scene_pixels(), **place), "a test", real=True)
    result = map_example(scene, "tiny-bijie", 64, 0.25, 0.5)
    assert result.folder.parent == checkout / "build" / "maps"
    assert not map_example(scene, "tiny-bijie", 64, 0.25, 0.5).fresh

    image, probability, outlines, *rest = view(scene, result, longest=115)
    assert image.shape == (75, 115, 3) and probability.shape == (75, 115) and rest == [0.5, 2, None]
    assert probability[25, 32] == pytest.approx(BRIGHT / 255, abs=0.003)
    assert [points.min(axis=0).tolist() for points in outlines] == [[25, 20], [90, 50]]

    assert mapping.caption(result) == "The files of the map: 2 polygons, 2.03 % of the scene"
    assert list(mapping.file_table(result)["File"]) == list(mapping.ABOUT)
    frame = mapping.polygon_table(result)
    unit = "m2" if place else "px"
    assert frame["id"].tolist() == [1, 2]
    assert [float(area) for area in frame[f"Area, {unit}"]] == ([2402, 400] if place else [600, 100])


@pytest.mark.usefixtures("bright")
def test_a_map_without_polygons(checkout: Path, tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    scene = ExampleScene(write_raster(tmp_path / "scene.tif", pixels, **UTM), "a test", real=True)
    result = map_example(scene, "tiny-bijie", 64, 0.25, 0.5)
    assert mapping.polygon_table(result).to_dict("records") == [{"id": "none"}]
    plots.scene_map(*view(scene, result))


def test_seam_table() -> None:
    def way(scene: str, polygons: int, **changes: object) -> dict:
        usual = {"scene": scene, "scale": 1.0, "window": 128, "overlap": 0.25, "iou": 0.5, "chance": 0.1, "cut": 0.5}
        usual |= {"polygons": polygons, "cut_elsewhere": 0.25, "step": 0.06, "step_elsewhere": 0.03, "disagree": 0.4}
        return {**usual, "seconds": 2, **changes}

    whole = {"window": 0, "overlap": 0.0, **dict.fromkeys(["cut", "cut_elsewhere", "step", "step_elsewhere"])}
    ways = [way("A", 30), way("B", 10, cut=0.1, seconds=1), way("A", 5, **whole), way("A", 5, scale=0.5)]
    blended, one = mapping.seam_table({"ways": ways}, 1.0).to_dict("records")
    assert blended == {
        "Way": "blended, 128 px", "IoU A, %": "50.0", "IoU B, %": "50.0",
        "by chance, %": "10.0 and 10.0", "Polygons": "40", "Cut by an edge, %": "40",
        "by a line between, %": "25", "Step at an edge : between": "2.0", "Windows disagree, %": "40",
        "s a megapixel": "1.50",
    }  # fmt: skip
    assert (one["Way"], one["Step at an edge : between"], one["Cut by an edge, %"]) == ("one window", "-", "-")
    for measured, scale in ((None, 1.0), ({"ways": ways}, 0.25)):
        assert mapping.seam_table(measured, scale).to_dict("records") == [{"Way": "not run"}]


def test_large_table() -> None:
    assert mapping.large_table(None).to_dict("records") == [{"Scene": "not run"}]
    row = {"side": 20000, "code": "", "cores": 1, "peak_mb": 1021.4, "seconds": 600, "megapixels_per_second": 0.667}
    older = {**row, "code": "22c580f", "cores": 2, "killed_at": [3, 9], "windows": 16, "the_same": True}
    found = mapping.large_table({"model": "a", "rows": [row]}, None, {"model": "b", "rows": [older]})
    assert found.to_numpy().tolist() == [
        ["20000 x 20000 px", "a", "this", "1", "1021", "10.0", "0.67", "-", "-"],
        ["20000 x 20000 px", "b", "22c580f", "2", "1021", "10.0", "0.67", "3, 9 of 16", "the same files"],
    ]
