import json
import shutil
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
import torch
from map_scenes import BRIGHT, DARK, UTM, Bright, hectares, mapped, scene_pixels
from PIL import Image
from pyproj import CRS
from raster_files import write_raster
from rasterio.transform import Affine
from rio_cogeo.cogeo import cog_validate

from scgcnet import files, zoo
from scgcnet.scene import MapOptions, SceneError, map_scene, outputs
from scgcnet.scene.predict import predict_image
from scgcnet.scene.source import Scene
from scgcnet.zoo import WeightsError

OUTPUTS = {"probability.tif", "mask.tif", "landslides.gpkg", "quicklook.png", "report.json"}
LARGE = shapely.box(500_100, 2_999_880, 500_160, 2_999_920).normalize()  # the larger landslide of `scene_pixels`
SMALL = shapely.box(500_360, 2_999_780, 500_380, 2_999_800).normalize()
pytestmark = pytest.mark.usefixtures("bright")


def layer(out: Path) -> tuple[dict, np.ndarray, dict[str, np.ndarray]]:
    meta, _, shapes, columns = pyogrio.raw.read(out / "landslides.gpkg")
    return meta, shapely.from_wkb(shapes), dict(zip(meta["fields"], columns, strict=True))


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def names(out: Path) -> set[str]:
    return {path.name for path in out.iterdir()}


class TestFiles:
    def test_report(self, scene: Path, tmp_path: Path) -> None:
        done = mapped(scene, tmp_path / "out", threshold=None)
        assert names(tmp_path / "out") == OUTPUTS
        assert done.fresh and "2 polygons, 2802 m² in all; 2.03 % of the scene" in done.summary
        report = json.loads((tmp_path / "out" / "report.json").read_text())
        assert report["model"]["trained_on"] == ["bijie"] and report["model"]["run_id"].startswith("bijie-scgcnet-tiny")
        assert report["model"]["threshold"] == 0.55  # that of the weights
        assert report["scene"]["metres_per_pixel"] == pytest.approx(2, rel=1e-3)
        assert report["windows"] == {"number": 15, "side": [64, 64], "overlap": [16, 16], "scales": [1]}

    def test_rasters(self, scene: Path, tmp_path: Path) -> None:
        mapped(scene, tmp_path / "out")
        found = {}
        for name in ("probability.tif", "mask.tif"):
            valid, errors, warnings = cog_validate(tmp_path / "out" / name)
            assert valid and not errors and not warnings
            with rasterio.open(tmp_path / "out" / name) as file:
                assert file.crs == UTM["crs"] and file.transform == UTM["transform"]
                assert file.shape == (150, 230) and file.nodata == 255 and file.dtypes == ("uint8",)
                found[name] = file.read(1) * file.scales[0]
        assert np.abs(found["probability.tif"] - scene_pixels()[..., 0] / 255).max() <= 0.0026
        assert (found["mask.tif"] == (scene_pixels()[..., 0] == BRIGHT)).all()
        with Image.open(tmp_path / "out" / "quicklook.png") as picture:
            assert picture.size == (230, 150)
            assert picture.getpixel((20, 100)) == (DARK,) * 3 and picture.getpixel((65, 50)) == (BRIGHT,) * 3
            assert picture.getpixel((65, 40)) == outputs.VERMILION

    def test_polygons(self, scene: Path, tmp_path: Path) -> None:
        done = mapped(scene, tmp_path / "out")
        meta, shapes, columns = layer(tmp_path / "out")
        assert CRS.from_user_input(meta["crs"]) == CRS("EPSG:32648")
        assert [shape.normalize() for shape in shapes] == [LARGE, SMALL]
        assert columns["id"].tolist() == [1, 2]
        assert columns["area_m2"] == pytest.approx([hectares(600), hectares(100)], rel=1e-3)
        assert columns["mean_probability"] == pytest.approx([BRIGHT / 255] * 2, abs=0.003)
        assert columns["sensitivity"].tolist() == [0, 0]
        assert set(columns["scene_sha256"]) == {done.report["scene"]["sha256"]}
        assert set(columns["model_sha256"]) == {done.report["model"]["sha256"]}

    def test_a_lower_threshold_joins_and_a_higher_one_shrinks(self, tmp_path: Path) -> None:
        pixels = np.full((100, 100, 3), DARK, np.uint8)
        pixels[40:50, 10:90] = 122  # 0.478: a band that joins both at 0.45
        pixels[40:50, 20:40] = 135  # 0.529: gone at 0.55
        pixels[40:50, 25:35] = 200
        pixels[40:50, 60:80] = 200
        mapped(write_raster(tmp_path / "a.tif", pixels, **UTM), tmp_path / "out")
        _, _, columns = layer(tmp_path / "out")
        pixel = columns["area_m2"][0] / 200
        assert columns["area_m2_if_lower"] / pixel == pytest.approx([800, 800], rel=1e-3)
        assert sorted(columns["area_m2_if_higher"] / pixel) == pytest.approx([100, 200], rel=1e-3)
        assert sorted(columns["sensitivity"]) == pytest.approx([3, 3.5])

    def test_holes_stay_open(self, tmp_path: Path) -> None:
        pixels = scene_pixels()
        pixels[48:52, 60:70] = DARK
        mapped(write_raster(tmp_path / "a.tif", pixels, **UTM), tmp_path / "out")
        _, shapes, columns = layer(tmp_path / "out")
        assert len(shapes[0].interiors) == 1
        assert columns["area_m2"][0] == pytest.approx(hectares(560), rel=1e-3)
        assert columns["mean_probability"][0] == pytest.approx(BRIGHT / 255, abs=0.003)  # the hole does not count

    @pytest.mark.parametrize(("least", "number"), [(3000, 0), (1000, 1), (0, 3)])
    def test_the_smallest_polygon(self, scene: Path, tmp_path: Path, least: float, number: int) -> None:
        assert mapped(scene, tmp_path / "out", min_area=least).report["landslides"]["polygons"] == number

    def test_an_empty_layer_has_its_columns_and_its_place(self, tmp_path: Path) -> None:
        path = write_raster(tmp_path / "a.tif", np.full((90, 90, 3), DARK, np.uint8), **UTM)
        done = mapped(path, tmp_path / "out")
        meta, shapes, columns = layer(tmp_path / "out")
        assert len(shapes) == 0 and {"area_m2", "mean_probability", "scene_sha256"} <= set(columns)
        assert CRS.from_user_input(meta["crs"]) == CRS("EPSG:32648")
        assert done.report["landslides"] == {"polygons": 0, "area": 0, "share": 0, "threshold_moved_by": 0.05}


class TestPlace:
    def test_no_coordinates(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = write_raster(tmp_path / "a.tif", scene_pixels())
        done = map_scene(path, tmp_path / "out", "tiny-bijie", MapOptions(window=64, threshold=0.5), progress=True)
        meta, shapes, columns = layer(tmp_path / "out")
        assert meta["crs"] is None
        assert columns["area_px"].tolist() == [600, 100]
        assert shapes[0].normalize() == shapely.box(50, -60, 80, -40).normalize()  # as a GIS shows it
        assert "in pixels" in done.report["scene"]["notes"][0]
        assert "note: a.tif: it has no coordinate reference system" in capsys.readouterr().err

    def test_a_transform_without_coordinates(self, tmp_path: Path) -> None:
        mapped(write_raster(tmp_path / "a.tif", scene_pixels(), transform=UTM["transform"]), tmp_path / "out")
        _, shapes, columns = layer(tmp_path / "out")
        assert columns["area_px"].tolist() == [600, 100] and shapes[0].normalize() == LARGE

    def test_a_turned_grid(self, tmp_path: Path) -> None:
        turned = Affine.translation(500_000, 3_000_000) @ Affine.rotation(30) @ Affine.scale(2, -2)
        path = write_raster(tmp_path / "a.tif", scene_pixels(), crs=UTM["crs"], transform=turned)
        mapped(path, tmp_path / "out")
        _, shapes, columns = layer(tmp_path / "out")
        assert columns["area_m2"] == pytest.approx([hectares(600), hectares(100)], rel=1e-3)
        corners = [turned @ corner for corner in ((50, 40), (80, 40), (80, 60), (50, 60))]
        assert shapely.hausdorff_distance(shapes[0], shapely.Polygon(corners)) < 1e-6
        with rasterio.open(tmp_path / "out" / "mask.tif") as file:
            assert file.transform.almost_equals(turned, 1e-6)

    @pytest.mark.parametrize(
        ("crs", "step", "origin", "pixel"),
        [
            ("EPSG:4326", 2e-5, (10, 60), 111_412 * 2e-5 * 55_800 * 2e-5),  # a degree of longitude is half as wide
            ("EPSG:3857", 4.0, (1_113_194.9, 8_399_737.9), 4.0),  # Web Mercator draws areas four times as large
        ],
    )
    def test_areas_at_60_degrees_north(self, tmp_path: Path, crs: str, step: float, origin, pixel: float) -> None:
        place = {"crs": crs, "transform": Affine(step, 0, origin[0], 0, -step, origin[1])}
        mapped(write_raster(tmp_path / "a.tif", scene_pixels(), **place), tmp_path / "out", min_area=0)
        assert layer(tmp_path / "out")[2]["area_m2"][0] == pytest.approx(600 * pixel, rel=0.01)


class TestNoData:
    def test_it_never_becomes_landslide(self, tmp_path: Path) -> None:
        pixels = scene_pixels()
        pixels[40:50, 50:80] = 255  # the upper half of the large one: the brightest of all, but no data
        done = mapped(write_raster(tmp_path / "a.tif", pixels, nodata=255, **UTM), tmp_path / "out")
        with rasterio.open(tmp_path / "out" / "mask.tif") as mask, rasterio.open(tmp_path / "out/probability.tif") as p:
            assert (mask.read(1)[40:50, 50:80] == 255).all() and (p.read(1)[40:50, 50:80] == 255).all()
            assert (mask.read(1)[50:60, 50:80] == 1).all()
        assert layer(tmp_path / "out")[2]["area_m2"][0] == pytest.approx(hectares(300), rel=1e-3)
        assert done.report["scene"]["share_with_data"] == pytest.approx(1 - 300 / 34500)

    def test_nothing_but_no_data(self, tmp_path: Path) -> None:
        path = write_raster(tmp_path / "a.tif", np.zeros((150, 230, 3), np.uint8), nodata=0, **UTM)
        with pytest.raises(SceneError, match=r"a\.tif has no valid pixel: all is no-data"):
            mapped(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_not_a_number(self, tmp_path: Path) -> None:
        values = scene_pixels().astype(np.float32)
        values[40:50, 50:80], values[100, 180] = np.nan, np.inf
        mapped(write_raster(tmp_path / "a.tif", values, **UTM), tmp_path / "out", value_range=(0.0, 255.0))
        assert layer(tmp_path / "out")[2]["area_m2"] == pytest.approx([hectares(300), hectares(99)], rel=1e-3)


class TestSizes:
    @pytest.mark.parametrize("shape", [(16, 16), (17, 300), (63, 64)])
    def test_smaller_than_a_window(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        pixels = np.full((*shape, 3), DARK, np.uint8)
        pixels[4:12, 4:12] = BRIGHT
        mapped(write_raster(tmp_path / "a.tif", pixels, **UTM), tmp_path / "out", window=1024)
        assert layer(tmp_path / "out")[2]["area_m2"] == pytest.approx([hectares(64)], rel=1e-3)

    def test_at_a_smaller_scale_outlines_stay_in_place(self, scene: Path, tmp_path: Path) -> None:
        mapped(scene, tmp_path / "out", scale=0.5)
        _, shapes, _ = layer(tmp_path / "out")
        assert shapes[0].intersection(LARGE).area / shapes[0].union(LARGE).area > 0.9


class TestFolder:
    def test_the_same_again_is_kept(self, scene: Path, tmp_path: Path) -> None:
        mapped(scene, tmp_path / "out")
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
        assert not mapped(scene, tmp_path / "out").fresh
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == before
        shutil.copytree(tmp_path / "out", tmp_path / "copy")
        assert not mapped(scene, tmp_path / "copy").fresh

    def test_another_scene_or_other_options(self, scene: Path, tmp_path: Path) -> None:
        mapped(scene, tmp_path / "out")
        before = contents(tmp_path / "out")
        with pytest.raises(SceneError, match=r"out holds the map of other options: remove that folder, or name"):
            mapped(scene, tmp_path / "out", threshold=0.6)
        other = write_raster(tmp_path / "b.tif", scene_pixels() + 1, **UTM)
        with pytest.raises(SceneError, match=r"out holds the map of other scene: "):
            mapped(other, tmp_path / "out")
        assert contents(tmp_path / "out") == before

    @pytest.mark.parametrize("name", ["thesis.txt", "mask.tif"])
    def test_files_of_the_user_stay(self, scene: Path, tmp_path: Path, name: str) -> None:
        (tmp_path / "out").mkdir()
        mine = scene.rename(tmp_path / "out" / name)  # even the scene itself
        before = contents(tmp_path / "out")
        with pytest.raises(SceneError, match=f"out holds other files, such as {name}: name an empty or a new"):
            mapped(mine, tmp_path / "out")
        assert contents(tmp_path / "out") == before
        with pytest.raises(SceneError, match=f"{name} is no folder: name another one with --out"):
            mapped(mine, mine)

    def test_a_missing_file_is_made_again_and_is_equal(self, scene: Path, tmp_path: Path) -> None:
        mapped(scene, tmp_path / "out")
        before = contents(tmp_path / "out")
        (tmp_path / "out" / "mask.tif").unlink()
        assert mapped(scene, tmp_path / "out").fresh
        assert contents(tmp_path / "out") == before

    def test_unfinished_work_of_other_options(self, scene: Path, tmp_path: Path, monkeypatch) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("scgcnet.scene.predict.np.save", full)
            with pytest.raises(files.WriteError, match="No space left on device"):
                mapped(scene, tmp_path / "out")
        assert names(tmp_path / "out") == {".work"}  # no half of a map
        with pytest.raises(SceneError, match="holds the unfinished map of other options"):
            mapped(scene, tmp_path / "out", threshold=0.6)
        assert mapped(scene, tmp_path / "out").fresh  # there is room again

    def test_what_does_not_read_back_is_no_map(self, scene: Path, tmp_path: Path, monkeypatch) -> None:
        real = rasterio.shutil.copy

        def damaged(source: Path, target: Path, **options: object) -> None:
            real(source, target, **options)
            with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
                file.write(np.full((150, 230), 7, np.uint8), 1)

        monkeypatch.setattr("scgcnet.scene.outputs.rasterio.shutil.copy", damaged)
        with pytest.raises(files.WriteError, match=r"probability\.tif: cannot be written: it does not read back"):
            mapped(scene, tmp_path / "out")
        assert not OUTPUTS & names(tmp_path / "out")

    def test_rasters_that_a_full_disk_cut_short_are_written_anew(
        self, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        out = tmp_path / "out"

        def cut_short(*_: object) -> tuple[int, int]:
            for name in ("plain-probability.tif", "plain-mask.tif", "probability.tif", "mask.tif"):
                (out / ".work" / name).write_bytes(b"II*\0\xff\xff\0\0half of it")
            raise files.WriteError(out, OSError("No space left on device"))

        with monkeypatch.context() as patch, pytest.raises(files.WriteError):
            patch.setattr("scgcnet.scene.outputs.write_cogs", cut_short)
            mapped(scene, out)
        mapped(scene, out)
        mapped(scene, tmp_path / "unbroken")
        assert contents(out) == contents(tmp_path / "unbroken")


class TestDamage:
    def test_a_block_in_the_middle(self, tmp_path: Path) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (400, 400, 3), np.uint8)
        path = write_raster(
            tmp_path / "a.tif", pixels, tiled=True, blockxsize=64, blockysize=64, compress="deflate", **UTM
        )
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 2000] = b"\xff" * 2000
        path.write_bytes(content)
        with pytest.raises(SceneError, match=r"a\.tif cannot be read, it is damaged or no raster .* Copy it again"):
            mapped(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_no_such_weights(self, scene: Path, tmp_path: Path) -> None:
        with pytest.raises(WeightsError, match="is not there, or is no file"):
            map_scene(scene, tmp_path / "out", str(tmp_path / "none.safetensors"))
        assert not (tmp_path / "out").exists()

    def test_weights_without_a_threshold(self, scene: Path, tmp_path: Path, monkeypatch) -> None:
        known = dict(zoo.read_metadata(zoo.pretrained_file("tiny-bijie")))
        del known["threshold"]
        monkeypatch.setattr("scgcnet.zoo.read_metadata", lambda _: known)
        with pytest.raises(SceneError, match=r"no threshold of its own: give one, such as --threshold 0\.5"):
            mapped(scene, tmp_path / "out", threshold=None)
        assert mapped(scene, tmp_path / "out").fresh


class TestSeveral:
    """Views and networks: their mean, their deviation, their threshold."""

    def test_views_of_a_network_without_a_sense_of_direction_agree(self, scene: Path, tmp_path: Path) -> None:
        mapped(scene, tmp_path / "one")
        mapped(scene, tmp_path / "eight", views=8)
        assert names(tmp_path / "eight") == OUTPUTS | {"uncertainty.tif"}
        assert (tmp_path / "one" / "mask.tif").read_bytes() == (tmp_path / "eight" / "mask.tif").read_bytes()
        with rasterio.open(tmp_path / "eight" / "uncertainty.tif") as file:
            assert file.scales == (1 / 400,) and file.crs == UTM["crs"] and (file.read(1) == 0).all()
        valid, errors, warnings = cog_validate(tmp_path / "eight" / "uncertainty.tif")
        assert valid and not errors and not warnings

    def test_two_networks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """One sees the first band, the other half of it: mean three quarters of it, deviation one quarter."""

        class Half(Bright):
            def forward(self, images: torch.Tensor) -> torch.Tensor:
                return torch.stack([torch.zeros(1), torch.ones(1)])[None, :, None].expand(1, 2, *images.shape[2:]) * 0

        networks = iter([Bright(), Half()])
        monkeypatch.setattr("scgcnet.zoo.load_model", lambda _: next(networks))
        pixels = scene_pixels()
        pixels[:30, :30] = 7
        path = write_raster(tmp_path / "a.tif", pixels, nodata=7, **UTM)
        options = MapOptions(window=64, scale=1.0)
        done = map_scene(path, tmp_path / "out", ["tiny-bijie", "tiny-multisource"], options, threads=2)
        with (
            rasterio.open(tmp_path / "out" / "probability.tif") as p,
            rasterio.open(tmp_path / "out/uncertainty.tif") as u,
        ):
            mean, deviation = p.read(1) / 200, u.read(1) / 400
        shade = pixels[..., 0] / 255
        known = pixels[..., 0] != 7
        assert np.abs(mean - (shade + 0.5) / 2)[known].max() <= 0.0026
        assert np.abs(deviation - np.abs(shade - 0.5) / 2)[known].max() <= 0.0014
        assert (deviation[~known] == 255 / 400).all()
        assert done.report["model"]["threshold"] == pytest.approx((0.55 + 0.5) / 2)
        assert done.report["model"]["file"] == "tiny-bijie.safetensors, tiny-multisource.safetensors"

    def test_a_missing_uncertainty_is_made_again(self, scene: Path, tmp_path: Path) -> None:
        mapped(scene, tmp_path / "out", views=2)
        before = contents(tmp_path / "out")
        (tmp_path / "out" / "uncertainty.tif").unlink()
        assert mapped(scene, tmp_path / "out", views=2).fresh
        assert contents(tmp_path / "out") == before


class TestRead:
    def test_nothing_is_read_twice(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Windows that do not overlap read each pixel once, with no-data pixels and all."""
        read: list[int] = []
        real = Scene._decoded
        monkeypatch.setattr(
            Scene,
            "_decoded",
            lambda self, window, *more: (read.append(window.width * window.height), real(self, window))[1],
        )
        pixels = scene_pixels(192, 256)
        pixels[3:9, 100:120] = 255
        mapped(write_raster(tmp_path / "a.tif", pixels, nodata=255, **UTM), tmp_path / "out", overlap=0)
        assert sum(read) == 192 * 256
        with rasterio.open(tmp_path / "out" / "mask.tif") as mask:
            assert ((mask.read(1) == 255) == (pixels[..., 0] == 255)).all()

    def test_a_png_is_decoded_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        copied = []
        real = rasterio.shutil.copy
        monkeypatch.setattr("scgcnet.scene.source.LARGE", 1000)
        monkeypatch.setattr(
            "scgcnet.scene.source.rasterio.shutil.copy",
            lambda one, two, **how: (copied.append(how["driver"]), real(one, two, **how))[1],
        )
        pixels = np.dstack([scene_pixels(), np.full((150, 230), 255, np.uint8)])
        pixels[10:20, 10:20, 3] = 0
        path = write_raster(tmp_path / "a.png", pixels, driver="PNG")
        done = mapped(path, tmp_path / "png", min_area=0)
        assert copied == ["GTiff", "COG", "COG"]
        mapped(
            write_raster(tmp_path / "a.tif", pixels, bands=("red", "green", "blue", "alpha")),
            tmp_path / "tif",
            min_area=0,
        )
        for name in OUTPUTS - {"report.json", "landslides.gpkg"}:
            assert (tmp_path / "png" / name).read_bytes() == (tmp_path / "tif" / name).read_bytes()
        assert names(tmp_path / "png") == OUTPUTS and done.report["scene"]["file"] == "a.png"

    def test_a_damaged_png_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scgcnet.scene.source.LARGE", 1000)
        noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
        path = write_raster(tmp_path / "a.png", noise, driver="PNG")
        path.write_bytes(path.read_bytes()[:50_000])
        with pytest.raises(SceneError, match=r"a\.png cannot be read"):
            mapped(path, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_the_quick_look_of_a_resumed_map_is_the_same(self, scene: Path, tmp_path: Path) -> None:
        with Scene(scene, 3) as opened:
            fresh, valid = opened.quick_look()
            assert valid.all() and (fresh == scene_pixels()).all()
        with Scene(scene, 3) as opened:
            opened.read((0, 40), (20, 90), opened.shape)
            assert (opened.quick_look()[0] == fresh).all()


class TestPart:
    def test_bounds(self, scene: Path, tmp_path: Path) -> None:
        bounds = (500_090.5, 2_999_850.0, 500_199.0, 2_999_950.0)  # columns 45 to 100, rows 25 to 75
        done = mapped(scene, tmp_path / "out", bounds=bounds)
        _, shapes, _ = layer(tmp_path / "out")
        assert [shape.normalize() for shape in shapes] == [LARGE]
        with rasterio.open(tmp_path / "out" / "mask.tif") as mask:
            assert mask.shape == (50, 55) and tuple(mask.bounds) == (500_090, 2_999_850, 500_200, 2_999_950)
            assert (mask.read(1) == (scene_pixels()[25:75, 45:100, 0] == BRIGHT)).all()
        assert done.report["made_of"]["options"]["bounds"] == list(bounds)

    @pytest.mark.parametrize(
        ("bounds", "told"),
        [
            ((0.0, 0.0, 10.0, 10.0), r"--bounds 0,0,10,10 lie outside of it: 500000,2999700,500460,3000000"),
            ((500_000.0, 2_999_990.0, 500_010.0, 3_000_000.0), "has 5 x 5 px; a scene needs at least 16"),
        ],
    )
    def test_bounds_refused(self, scene: Path, tmp_path: Path, bounds: tuple, told: str) -> None:
        with pytest.raises(SceneError, match=told):
            mapped(scene, tmp_path / "out", bounds=bounds)
        assert not (tmp_path / "out").exists()


class TestMetres:
    def test_areas_and_the_scale_follow(self, tmp_path: Path) -> None:
        path = write_raster(tmp_path / "a.tif", scene_pixels())
        done = mapped(path, tmp_path / "out", scale=None, metres=0.7)
        assert done.report["windows"]["scales"] == pytest.approx([0.5])  # tiny-bijie saw 1.4 m
        assert done.report["scene"]["metres_per_pixel"] == 0.7 and done.report["scene"]["area_unit"] == "m2"
        assert layer(tmp_path / "out")[2]["area_m2"][0] == pytest.approx(600 * 0.49, rel=0.1)
        assert "seen at 1.4 m per pixel, within" in done.report["scene"]["resemblance"]

    def test_a_georeference_is_not_replaced(self, scene: Path, tmp_path: Path) -> None:
        with pytest.raises(SceneError, match="has a georeference: leave out --metres"):
            mapped(scene, tmp_path / "out", metres=0.3)


def test_the_window_of_the_weights(scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**zoo.read_metadata(zoo.pretrained_file("tiny-bijie")), "window": "96"}
    monkeypatch.setattr("scgcnet.zoo.read_metadata", lambda _: known)
    done = mapped(scene, tmp_path / "out", window=None)
    assert done.report["windows"]["side"] == [96, 96] and done.report["scene"]["notes"] == []
    assert done.report["made_of"]["options"]["window"] == 96


def test_a_landslide_reaches_the_peak_of_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**zoo.read_metadata(zoo.pretrained_file("tiny-bijie")), "threshold": "0.4", "peak": "0.7"}
    monkeypatch.setattr("scgcnet.zoo.read_metadata", lambda _: known)
    pixels = scene_pixels()
    pixels[100:110, 180:190] = pixels[40:60, 80:90] = 130  # the small one, and a rim of the large one
    scene = write_raster(tmp_path / "a.tif", pixels, **UTM)
    done = mapped(scene, tmp_path / "peak", threshold=None)
    assert (done.report["model"]["threshold"], done.report["model"]["peak"]) == (0.4, 0.7)
    assert done.report["landslides"]["polygons"] == 1
    with rasterio.open(tmp_path / "peak" / "mask.tif") as file:
        mask = file.read(1)
    assert mask.sum() == 20 * 40 + 1  # and the single bright pixel, which is below the least area
    assert mapped(scene, tmp_path / "plain", threshold=0.4).report["landslides"]["polygons"] == 2


def test_several_scales_are_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**zoo.read_metadata(zoo.pretrained_file("tiny-bijie")), "seen_at": "1.4"}
    monkeypatch.setattr("scgcnet.zoo.read_metadata", lambda _: known)
    path = write_raster(tmp_path / "a.tif", scene_pixels())
    done = mapped(path, tmp_path / "out", scale=None, metres=0.7)
    assert done.report["windows"]["scales"] == [1, 0.5]  # at 0.25 it would be a stamp
    assert "sees it at 0.7, 1.4 m per pixel, at the scale 1, 0.5" in done.report["scene"]["notes"][-1]
    expected = predict_image(Bright(), scene_pixels(), 64, 0.25, (1, 0.5, 0.25))
    with rasterio.open(tmp_path / "out" / "probability.tif") as file:
        assert np.abs(file.read(1) * file.scales[0] - expected).max() < 0.01


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"window": 10}, "--window 10: at least 64"),
        ({"overlap": 0.7}, "--overlap 0.7: must lie in 0 to 0.5"),
        ({"threshold": 1.0}, "--threshold 1: must lie between 0 and 1"),
        ({"min_area": -1}, "--min-area -1: must be 0 or more"),
        ({"min_area": float("nan")}, "--min-area nan: must be 0 or more"),
        ({"bands": (0, 1, 2)}, "--bands 0,1,2: bands are counted from 1"),
        ({"value_range": (5, 5)}, "--range 5,5: the first value must be below"),
        ({"scale": 0.0}, "--scale 0: must lie in 0.01 to 10"),
        ({"views": 3}, "--views 3: must be 1, 2, 4, 8"),
        ({"metres": 0.0}, "--metres 0: must be above 0"),
        ({"bounds": (5.0, 1.0, 4.0, 2.0)}, "--bounds 5,1,4,2: left must be below right"),
    ],
)
def test_options_out_of_range(options: dict, told: str) -> None:
    with pytest.raises(SceneError, match=told):
        MapOptions(**options)
