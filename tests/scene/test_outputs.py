"""Cases that `test_mapping` does not reach: sums over strips, corners, and areas on local grids."""

import zlib

import numpy as np
import pytest
import rasterio
import shapely
from pyproj import CRS
from raster_files import write_raster
from rasterio.transform import Affine
from scipy import ndimage

from scgcnet.scene import outputs
from scgcnet.scene.outputs import Ground, find_polygons, rings
from scgcnet.scene.score import hysteresis


def test_a_polygon_over_many_strips(tmp_path, monkeypatch) -> None:
    """A snake that crosses each strip several times is one polygon, and its sums are those of its pixels."""
    monkeypatch.setattr(outputs, "BLOCK", 16)
    stored = np.zeros((100, 80), np.uint8)
    for column in range(5, 75, 10):
        stored[5:95, column : column + 3] = 150
    stored[5:8, 5:78:1] = 190
    stored[90:95, 40:42] = 255  # no data beside it
    write_raster(tmp_path / "plain-probability.tif", stored, nodata=255)
    write_raster(tmp_path / "plain-mask.tif", ((stored > 140) & (stored < 255)).astype(np.uint8))
    found = find_polygons(tmp_path, threshold=0.7, least=0)
    inside = (stored > 140) & (stored < 255)
    assert found["pixels"].tolist() == [inside.sum()]
    assert found["mean"][0] == pytest.approx(stored[inside].mean() / 200)
    assert found["higher"].tolist() == [((stored > 150) & inside).sum()]
    assert found["lower"].tolist() == [inside.sum()]
    assert {path.name for path in tmp_path.iterdir()} == {"plain-probability.tif", "plain-mask.tif"}


def test_pixels_that_touch_at_a_corner_are_two(tmp_path) -> None:
    stored = np.zeros((20, 20), np.uint8)
    stored[5:10, 5:10] = stored[10:15, 10:15] = 180
    write_raster(tmp_path / "plain-probability.tif", stored)
    write_raster(tmp_path / "plain-mask.tif", (stored > 100).astype(np.uint8))
    found = find_polygons(tmp_path, threshold=0.5, least=0)
    assert found["pixels"].tolist() == [25, 25]
    assert all(shapely.is_valid(found["outline"]))
    assert [len(points) for points in rings(found["outline"])] == [5, 5]


@pytest.mark.parametrize("seed", range(3))
def test_peaks_over_many_strips_are_those_of_the_whole(seed: int, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(outputs, "BLOCK", 16)
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).random((100, 80)), 3)
    stored = np.rint(200 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    stored[40:44, 10:70] = 255  # no data
    write_raster(tmp_path / "plain-probability.tif", stored, nodata=255)
    mask = np.where(stored == 255, 255, stored > 110).astype(np.uint8)
    write_raster(tmp_path / "plain-mask.tif", mask, nodata=255)
    pixels, crc = outputs._require_peaks(tmp_path, 110, 150)
    with rasterio.open(tmp_path / "plain-mask.tif") as file:
        found = file.read(1)
    wanted = hysteresis(np.where(stored == 255, 0, stored / 200).astype(np.float32), 0.5524, 0.7524)
    assert ((found == 1) == wanted).all() and 0 < pixels == wanted.sum() < (mask == 1).sum()
    assert ((found == 255) == (stored == 255)).all()
    assert crc == zlib.crc32(found.tobytes())


def test_a_local_grid_in_feet() -> None:
    local = CRS('LOCAL_CS["mine",UNIT["foot",0.3048]]')
    ground = Ground(local, Affine.scale(10, -10))
    assert ground.areas(np.array([shapely.box(0, 0, 2, 3)], object)) == pytest.approx(600 * 0.3048**2)
