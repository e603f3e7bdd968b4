from pathlib import Path

import numpy as np
import pytest
from map_scenes import UTM, scene_pixels
from PIL import Image
from raster_files import write_raster
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from scgcnet.scene import SceneError, source
from scgcnet.scene.source import FILL, Scene

TURNED = Affine.translation(500_000, 3_000_000) @ Affine.rotation(30) @ Affine.scale(2, -2)
CORNERS = ((0, 0), (0, 230), (150, 0))
POINTS = [GroundControlPoint(row, column, 5e5 + 2 * column, 3e6 - 2 * row) for row, column in CORNERS]


def whole(scene: Scene) -> np.ndarray:
    height, width = scene.shape
    return scene.read((0, height), (0, width), scene.shape)[0]


class TestValues:
    def test_eight_bits_stay(self, scene: Path) -> None:
        with Scene(scene, 3) as opened:
            assert (whole(opened) == scene_pixels()).all()
            assert opened.value_range is None

    def test_sixteen_bits_are_stretched_by_percentiles(self, tmp_path: Path) -> None:
        values = np.linspace(1000, 3000, 100 * 100, dtype=np.uint16).reshape(100, 100)
        values[0, 0] = 65535  # one outlier does no harm
        path = write_raster(tmp_path / "a.tif", np.dstack([values] * 3), **UTM)
        with Scene(path, 3) as opened:
            assert opened.value_range == pytest.approx((1040, 2960), abs=2)
            image = whole(opened)
        assert image[0, 0].tolist() == [255] * 3 and image[0, 1].tolist() == [0] * 3
        assert image[50, 0].tolist() == pytest.approx([128] * 3, abs=1)

    def test_a_given_range(self, tmp_path: Path) -> None:
        path = write_raster(tmp_path / "a.tif", np.full((40, 40, 3), 600, np.uint16), **UTM)
        with Scene(path, 3, value_range=(500, 1000)) as opened:
            assert (whole(opened) == 51).all()

    def test_a_constant_scene_of_floats(self, tmp_path: Path) -> None:
        with Scene(write_raster(tmp_path / "a.tif", np.full((40, 40, 3), 0.25, np.float32), **UTM), 3) as opened:
            assert (whole(opened) == 0).all()

    def test_not_a_number_and_infinity_are_no_data(self, tmp_path: Path) -> None:
        values = np.random.default_rng(0).random((60, 50, 3), np.float32)
        values[10, 20, 1], values[11, 20, 0], values[12, 20, 2], values[13, 20, 0] = np.nan, np.inf, -np.inf, -3.4e38
        with Scene(write_raster(tmp_path / "a.tif", values, **UTM), 3) as opened:
            valid = opened.valid(0, 60)
            image = whole(opened)
        assert np.argwhere(~valid).tolist() == [[10, 20], [11, 20], [12, 20], [13, 20]]
        assert (image[10, 20] == FILL).all()

    def test_declared_no_data_in_any_band(self, tmp_path: Path) -> None:
        pixels = scene_pixels()
        pixels[7, 9, 2] = 0
        with Scene(write_raster(tmp_path / "a.tif", pixels, nodata=0, **UTM), 3) as opened:
            assert np.argwhere(~opened.valid(0, 150)).tolist() == [[7, 9]]

    def test_alpha_is_no_band_and_its_zero_no_data(self, tmp_path: Path) -> None:
        pixels = np.dstack([scene_pixels(), np.full((150, 230), 255, np.uint8)])
        pixels[3, 4, 3] = 0
        bands = ("red", "green", "blue", "alpha")
        with Scene(write_raster(tmp_path / "a.tif", pixels, bands=bands, **UTM), 3) as opened:
            assert opened.bands == (1, 2, 3)
            assert np.argwhere(~opened.valid(0, 150)).tolist() == [[3, 4]]


class TestBands:
    @pytest.mark.parametrize(
        ("count", "marks", "asked", "bands"),
        [
            (4, (), None, (1, 2, 3)),
            (4, ("blue", "green", "red", "undefined"), None, (3, 2, 1)),
            (4, (), (4, 1, 2), (4, 1, 2)),
            (1, (), None, (1, 1, 1)),
            (4, (), (2,), (2, 2, 2)),
        ],
    )
    def test_chosen(self, tmp_path: Path, count: int, marks: tuple[str, ...], asked, bands: tuple[int, ...]) -> None:
        pixels = np.arange(count, dtype=np.uint8) * np.ones((30, 30, 1), np.uint8)
        with Scene(write_raster(tmp_path / "a.tif", pixels, bands=marks, **UTM), 3, asked) as opened:
            assert opened.bands == bands
            assert whole(opened)[0, 0].tolist() == [band - 1 for band in bands]

    @pytest.mark.parametrize(
        ("count", "kind", "asked", "told"),
        [
            (2, np.uint8, None, "takes 3 bands and 2 are given of 2"),
            (4, np.uint8, (1, 2), "takes 3 bands and 2 are given of 4"),
            (3, np.uint8, (1, 2, 9), "has 3 bands; --bands 1,2,9 asks for more"),
            (3, np.complex64, None, "whole or real numbers, not complex64"),
        ],
    )
    def test_refused(self, tmp_path: Path, count: int, kind: type, asked: tuple[int, ...] | None, told: str) -> None:
        path = write_raster(tmp_path / "a.tif", np.zeros((30, 30, count), kind), **UTM)
        with pytest.raises(SceneError, match=told):
            Scene(path, 3, asked)


class TestWorkingGrid:
    @pytest.mark.parametrize("scale", [0.37, 1.6])
    def test_parts_fit_together(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
        """In whatever parts a scene is read, each pixel is what Pillow makes of the whole."""
        pixels = np.random.default_rng(0).integers(0, 255, (150, 230, 3), np.uint8)
        path = write_raster(tmp_path / "a.tif", pixels, **UTM)
        shape = round(150 * scale), round(230 * scale)
        wanted = np.asarray(Image.fromarray(pixels).resize(shape[::-1], Image.Resampling.BILINEAR)).astype(int)
        monkeypatch.setattr(source, "PIECE", 2000)
        with Scene(path, 3) as opened:
            for rows in ((0, 20), (20, shape[0])):
                for columns in ((0, 33), (33, shape[1])):
                    part, known = opened.read(rows, columns, shape)
                    assert known
                    assert np.abs(part - wanted[slice(*rows), slice(*columns)]).max() <= 1

    def test_overview(self, scene: Path) -> None:
        with Scene(scene, 3) as opened:
            assert opened.overview(100).shape == (65, 100, 3)


class TestNotes:
    @pytest.mark.parametrize(
        ("profile", "note"),
        [
            (UTM, None),
            ({}, "no coordinate reference system"),
            ({"crs": UTM["crs"], "transform": TURNED}, "turned by 30.0 degrees"),
            ({"crs": "EPSG:4326", "transform": Affine(2e-5, 0, 105, 0, -2e-5, 27)}, "degrees: areas are computed on"),
            ({"crs": UTM["crs"], "gcps": POINTS}, "ground control points are not used"),
        ],
    )
    def test_place(self, tmp_path: Path, profile: dict, note: str | None) -> None:
        with Scene(write_raster(tmp_path / "a.tif", scene_pixels(), **profile), 3) as opened:
            notes = opened.notes
        assert (notes == []) if note is None else (note in notes[0])

    def test_unmarked_bands(self, tmp_path: Path) -> None:
        pixels = np.repeat(scene_pixels()[..., :1], 4, axis=2).astype(np.uint16)
        path = write_raster(tmp_path / "a.tif", pixels, **UTM)
        with Scene(path, 3) as opened:
            assert ["1, 2, 3 are taken for them, see --bands" in note for note in opened.notes] == [True]
        with Scene(path, 3, (3, 2, 1)) as opened:
            assert opened.notes == []


class TestRefused:
    def test_a_damaged_block_of_jpeg(self, tmp_path: Path) -> None:
        """Its reader goes on with grey, and only warns."""
        noise = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
        path = write_raster(
            tmp_path / "a.tif", noise, compress="jpeg", tiled=True, blockxsize=128, blockysize=128, **UTM
        )
        data = bytearray(path.read_bytes())
        place = len(data) * 9 // 10
        data[place : place + 400] = b"\xff\xd9" * 200  # as if the block ended there
        path.write_bytes(data)
        with (
            Scene(path, 3) as opened,
            pytest.raises(SceneError, match=r"a\.tif cannot be read, it is damaged \(.*JPEGLib"),
        ):
            opened.read((0, 256), (0, 256), (256, 256))

    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            (None, r"a\.tif is not there"),
            (b"hello", r"a\.tif cannot be read, it is damaged or no raster"),
            (np.zeros((1, 5000, 3), np.uint8), "has 5000 x 1 px; a scene needs at least 16 on each side"),
            (np.full((30, 30, 3), np.nan, np.float32), "no valid pixel in a sample of 900"),
        ],
    )
    def test_unusable_files(self, tmp_path: Path, pixels: np.ndarray | bytes | None, message: str) -> None:
        path = tmp_path / "a.tif"
        if isinstance(pixels, bytes):
            path.write_bytes(pixels)
        elif pixels is not None:
            write_raster(path, pixels, **UTM)
        with pytest.raises(SceneError, match=message):
            Scene(path, 3)


def test_the_hash_is_of_the_file_alone(scene: Path) -> None:
    with Scene(scene, 3) as opened:
        before = opened.sha256()
        (scene.parent / "scene.tif.aux.xml").write_text("<PAMDataset/>")
        assert opened.sha256() == before
    scene.write_bytes(scene.read_bytes() + b"\0")
    with Scene(scene, 3) as opened:
        assert opened.sha256() != before
