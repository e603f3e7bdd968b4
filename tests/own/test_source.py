"""What is read of own data, compared with what was written; and what must be refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from own_data import CRS, EAST, METRES, NORTH, SLIDES, boxes, pixels, placed, write_outlines, write_scene, write_tiles
from PIL import Image
from raster_files import write_raster
from rasterio.rio.main import main_group

from scgcnet.data import DatasetError
from scgcnet.own.source import Pieces, SourceError, cut, find_source
from scgcnet.scene import SceneError


def opened(path: Path, side: int = 4096, free: bool = False) -> Pieces:
    source = find_source(path, free)
    parts = [piece for picture in source.pictures for piece in cut(picture, side)]
    return Pieces("own", parts, source.bands, source.value_range())


@pytest.mark.parametrize("layer", ["landslides.gpkg", "landslides.geojson", "landslides.shp", "scene.gpkg"])
def test_outlines_in_another_crs_are_burnt_onto_the_grid(tmp_path: Path, layer: str) -> None:
    write_scene(tmp_path, layer=layer)
    image, mask = pixels()
    (sample,) = opened(tmp_path)
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.mask, mask)
    assert sample.resolution == pytest.approx(METRES, rel=1e-3)


def test_pieces_join_to_the_whole_and_no_data_is_unknown(tmp_path: Path) -> None:
    image, mask = pixels()
    image[:30, :90] = 0
    write_raster(tmp_path / "scene.tif", image, nodata=0, **placed())
    write_outlines(tmp_path / "all.gpkg", boxes())
    data = opened(tmp_path / "scene.tif", side=100)
    assert len(data) == 2 * 3 and data.names[1] == "scene row 0 column 87"
    joined = np.full(mask.shape, 7, np.uint8)
    for piece, sample in zip(data.pieces, data, strict=True):
        assert max(sample.mask.shape) <= 100
        joined[slice(*piece.rows), slice(*piece.columns)] = sample.mask
    np.testing.assert_array_equal(joined, np.where((image == 0).any(axis=2), 255, mask))


def test_four_bands_of_16_bits_share_one_range(tmp_path: Path) -> None:
    for index in range(2):
        write_scene(tmp_path, f"s{index}", bands=4, seed=index, kind=np.uint16, scale=10, east=EAST + 5000 * index,
                    layer=f"s{index}.gpkg")  # fmt: skip
    source = find_source(tmp_path)
    assert (source.bands, source.eight_bits, len(source.pictures)) == (4, False, 2)
    low, high = source.value_range() or (0, 0)
    assert low == pytest.approx(210, abs=10) and high == pytest.approx(2120, abs=40)
    for index, sample in enumerate(opened(tmp_path)):
        image, mask = pixels(bands=4, seed=index)
        expected = np.clip(np.rint((10.0 * image - low) * 255 / (high - low)), 0, 255)
        assert np.abs(sample.image - expected).max() <= 1
        np.testing.assert_array_equal(sample.mask, mask)


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_a_folder_of_images_and_masks(tmp_path: Path, bands: int) -> None:
    data = opened(write_tiles(tmp_path, 3, bands))
    assert data.names == ("t00", "t01", "t02")
    for sample in data:
        stored = np.asarray(Image.open(tmp_path / "masks" / f"{sample.name}.png")) > 0
        np.testing.assert_array_equal(sample.mask == 1, stored)
        assert sample.image.shape == (64, 80, bands) and sample.resolution is None


def test_landslide_free_images_lie_anywhere_and_have_no_truth(tmp_path: Path) -> None:
    write_tiles(tmp_path, 2)
    data = opened(tmp_path / "images", free=True)
    assert len(data) == 2 and not any(sample.mask.any() for sample in data)


def test_outlines_that_cross_themselves_are_repaired(tmp_path: Path) -> None:
    write_scene(tmp_path, layer="")
    x, y = EAST + 40, NORTH - 40
    bow = shapely.Polygon([(x, y), (x + 40, y - 40), (x + 40, y), (x, y - 40)])
    write_outlines(tmp_path / "a.gpkg", [bow, *boxes(SLIDES[1:2])])
    source = find_source(tmp_path)
    assert source.notes == ("a.gpkg: 1 of 2 outlines cross themselves and were repaired",)
    (sample,) = opened(tmp_path)
    assert 150 < (sample.mask[20:40, 20:40] == 1).sum() < 250  # two triangles, half of the square
    assert (sample.mask == 1).sum() - (sample.mask[20:40, 20:40] == 1).sum() == 30 * 20


def test_one_layer_for_several_rasters(tmp_path: Path) -> None:
    write_scene(tmp_path, "a", layer="")
    write_scene(tmp_path, "b", layer="", east=EAST + 9000)
    write_outlines(tmp_path / "all.gpkg", boxes())
    source = find_source(tmp_path)
    assert "no outline lies on 1 of 2 rasters (b)" in source.notes[0]
    assert [int((sample.mask == 1).sum()) > 0 for sample in opened(tmp_path)] == [True, False]


def test_a_band_that_may_be_no_alpha_is_named(tmp_path: Path) -> None:
    write_scene(tmp_path, bands=4, photometric="rgb", alpha="yes")
    source = find_source(tmp_path)
    assert source.bands == 3 and "band 4 of scene.tif is marked as alpha" in source.notes[0]
    *_, remedy = source.notes[0].split(": ")
    main_group(["edit-info", *remedy.split()[2:-1], str(tmp_path / "scene.tif")], standalone_mode=False)
    assert find_source(tmp_path).bands == 4


def layer_misses(folder: Path) -> None:
    write_scene(folder, layer="")
    write_outlines(folder / "x.gpkg", boxes(east=EAST + 90_000))


def layer_without_crs(folder: Path) -> None:
    write_scene(folder, layer="")
    write_outlines(folder / "x.geojson.gpkg", boxes(), crs=None)


def raster_without_crs(folder: Path) -> None:
    write_raster(folder / "scene.tif", pixels()[0])
    write_outlines(folder / "x.gpkg", boxes())


def empty_layer(folder: Path) -> None:
    write_scene(folder, layer="")
    write_outlines(folder / "x.gpkg", [])


def points(folder: Path) -> None:
    write_scene(folder, layer="")
    write_outlines(folder / "x.gpkg", [shapely.Point(EAST + 50, NORTH - 50)])


def broken_layer(folder: Path) -> None:
    write_scene(folder, layer="")
    (folder / "x.gpkg").write_bytes(b"no layer")


def two_layers(folder: Path) -> None:
    write_scene(folder, layer="x.gpkg")
    write_outlines(folder / "y.gpkg", boxes())


def no_layer(folder: Path) -> None:
    write_scene(folder, layer="")


def mixed_bands(folder: Path) -> None:
    write_scene(folder, "a")
    write_scene(folder, "b", bands=4)


def mixed_types(folder: Path) -> None:
    write_scene(folder, "a")
    write_scene(folder, "b", kind=np.uint16)


def no_mask(folder: Path) -> None:
    (write_tiles(folder, 3) / "masks" / "t01.png").unlink()


def mask_of_another_size(folder: Path) -> None:
    Image.new("L", (30, 30)).save(write_tiles(folder, 3) / "masks" / "t01.png")


def mask_elsewhere(folder: Path) -> None:
    write_tiles(folder, 0)
    image, mask = pixels()
    write_raster(folder / "images" / "a.tif", image, **placed())
    write_raster(folder / "masks" / "a.tif", mask, **placed(EAST + 100))


def one_value(folder: Path) -> None:
    write_raster(folder / "scene.tif", np.full((40, 40, 3), 500, np.uint16), **placed())
    write_outlines(folder / "x.gpkg", boxes())


def broken_raster(folder: Path) -> None:
    write_scene(folder)
    (folder / "scene.tif").write_bytes(b"no raster")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (layer_misses, "x.gpkg: no outline lies on scene.tif. Check the coordinate systems"),
        (layer_without_crs, "x.geojson.gpkg has no coordinate reference system, but scene.tif has"),
        (raster_without_crs, "scene.tif has no coordinate reference system, but x.gpkg has"),
        (empty_layer, "x.gpkg holds no outlines, it is empty"),
        (points, "x.gpkg holds no polygons, only points or lines"),
        (broken_layer, "x.gpkg cannot be read as outlines"),
        (two_layers, "x.gpkg and y.gpkg could be its"),
        (no_layer, "has neither a folder images with masks beside it, nor outlines"),
        (mixed_bands, "a.tif has 3 bands, b.tif has 4"),
        (mixed_types, "one of a.tif and b.tif is of 8 bits, the other is not"),
        (no_mask, "t01.png has no mask"),
        (mask_of_another_size, "t01.png: the mask is 30x30 px, but its image t01.png is 80x64 px"),
        (mask_elsewhere, "masks/a.tif does not lie where its image a.tif does"),
        (one_value, "have no range of values to stretch: all lie at 500"),
        (broken_raster, "scene.tif cannot be read, it is damaged or no raster"),
        (lambda folder: None, "holds no raster"),
        (lambda folder: folder.rmdir(), "is not there"),
    ],
)
def test_one_clear_message(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    with pytest.raises((SourceError, DatasetError, SceneError)) as error:
        list(opened(folder))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_outlines_without_any_crs_take_the_rasters_coordinates(tmp_path: Path) -> None:
    image, mask = pixels()
    write_raster(tmp_path / "scene.tif", image, transform=placed()["transform"])
    write_outlines(tmp_path / "x.gpkg", boxes(), crs=None)
    (sample,) = opened(tmp_path)
    np.testing.assert_array_equal(sample.mask, mask)
    assert sample.resolution is None


def test_a_turned_grid(tmp_path: Path) -> None:
    image, mask = pixels()
    turned = Affine.translation(EAST, NORTH) @ Affine.rotation(-30) @ Affine.scale(METRES, -METRES)
    write_raster(tmp_path / "scene.tif", image, crs=CRS, transform=turned)
    outlines = [shapely.box(left, top, right, bottom) for top, left, bottom, right in SLIDES]
    shapes = [shapely.transform(one, lambda p: np.array([turned @ tuple(xy) for xy in p])) for one in outlines]
    write_outlines(tmp_path / "x.gpkg", shapes)
    (sample,) = opened(tmp_path)
    assert (sample.mask == mask).mean() > 0.9999
