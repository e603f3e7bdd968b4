"""Pictures of any make, masks of any type, arrays of bands, and files that are damaged."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from raster_files import write_raster

from scgcnet.data import DatasetError
from scgcnet.data.rasters import (
    binary_mask,
    read_any_image,
    read_any_mask,
    read_image,
    read_mask,
    to_8_bits,
)

H, W = 20, 24
UTM: dict[str, Any] = {"crs": "EPSG:32648", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 3_000_000)}


def noise(bands: int = 3, high: int = 256, kind: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, (H, W, bands)).astype(kind)


def bar() -> np.ndarray:
    mask = np.zeros((H, W), np.uint8)
    mask[2:5, 3:12] = 1
    return mask


def image_error(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_any_image(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


def mask_error(path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_any_mask(path)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "a.jpg"])
def test_eight_bits_are_taken_as_they_are(tmp_path: Path, name: str) -> None:
    pixels, path = noise(), tmp_path / name
    if name == "a.tif":
        write_raster(path, pixels)
    else:
        options: dict[str, Any] = {"lossless": True} if name == "a.webp" else {}
        Image.fromarray(pixels).save(path, **options)
    found = read_any_image(path)
    image, valid, place = found.pixels, found.valid, found.place
    assert valid is not None
    expected = np.asarray(Image.open(path)) if name == "a.jpg" else pixels
    np.testing.assert_array_equal(image, expected)
    assert image.dtype == np.uint8 and not image.flags.writeable
    assert valid.all() and valid.dtype == bool and place is None


@pytest.mark.parametrize("suffix", [".tif", ".png"])
@pytest.mark.parametrize("kind", ["L", "1", "P"])
def test_grey_and_palette(tmp_path: Path, suffix: str, kind: str) -> None:
    path = tmp_path / f"a{suffix}"
    picture = Image.fromarray(noise(1)[..., 0])
    if kind == "P":
        picture = Image.fromarray(noise()).quantize(16)
    elif kind == "1":
        picture = picture.convert("1", dither=Image.Dither.NONE)
    picture.save(path)
    if kind in ("P", "1") and suffix == ".tif":  # of one bit too: GDAL has a palette of two for it
        assert "a palette" in image_error(path)
    else:
        np.testing.assert_array_equal(read_any_image(path).pixels, np.asarray(picture.convert("RGB")))


def stretched(pixels: np.ndarray, valid: np.ndarray | None = None) -> np.ndarray:
    """The documented rule, pixel by pixel."""
    valid = np.ones(pixels.shape[:2], bool) if valid is None else valid
    low, high = np.percentile(pixels[valid], (2, 98))
    shade = np.clip(np.rint((pixels.astype(np.float64) - low) * (255 / (high - low))), 0, 255)
    return np.where(valid[..., None], shade, 0).astype(np.uint8)


@pytest.mark.parametrize("driver", ["GTiff", "PNG"])
@pytest.mark.parametrize("bands", [1, 3])
def test_sixteen_bits_are_stretched_between_percentiles_of_all_bands(tmp_path: Path, driver: str, bands: int) -> None:
    """Twelve bits in sixteen, as from many satellites: the upper byte alone would be almost black."""
    pixels = noise(bands, 4096, "uint16")
    pixels[..., 0] //= 2
    pixels[0, 0] = 65535  # a glint does no harm
    image = read_any_image(write_raster(tmp_path / "a.x", pixels, driver=driver)).pixels
    np.testing.assert_array_equal(image, np.broadcast_to(stretched(pixels), (H, W, 3)))
    assert image.min() == 0 and image.max() == 255 and 80 < image.mean() < 170
    if bands == 3:
        assert image[..., 0].mean() < 0.6 * image[..., 1].mean()  # colours keep their relation


@pytest.mark.parametrize("kind", ["int16", "uint32", "float32", "float64"])
def test_other_types_follow_the_same_rule(tmp_path: Path, kind: str) -> None:
    pixels = (noise(3, 1000, kind) - (500 if kind != "uint32" else 0)).astype(kind)
    if kind.startswith("float"):
        pixels /= 1000  # reflectances
    np.testing.assert_array_equal(read_any_image(write_raster(tmp_path / "a.tif", pixels)).pixels, stretched(pixels))


def test_which_bands_are_red_green_and_blue(tmp_path: Path) -> None:
    pixels = noise(5)
    image = read_any_image(write_raster(tmp_path / "a.tif", pixels, photometric="minisblack")).pixels
    np.testing.assert_array_equal(image, pixels[..., :3])
    told = ("blue", "green", "red", "undefined", "undefined")
    image = read_any_image(write_raster(tmp_path / "b.tif", pixels, bands=told, photometric="minisblack")).pixels
    np.testing.assert_array_equal(image, pixels[..., 2::-1])
    assert "1 band, or 3 and more; this one has 2" in image_error(write_raster(tmp_path / "c.tif", noise(2)))


def hole() -> np.ndarray:
    valid = np.ones((H, W), bool)
    valid[:4, :7] = False
    return valid


@pytest.mark.parametrize("how", ["nodata", "mask band", "alpha", "png", "png grey", "png 16", "nan", "-3.4e38"])
def test_no_data(tmp_path: Path, how: str) -> None:
    valid, path = hole(), tmp_path / "a.x"
    eight = np.maximum(noise(), 1)
    alpha = np.where(valid, 255, 0).astype(np.uint8)
    expected = np.where(valid[..., None], eight, 0)
    if how == "nodata":
        eight[~valid] = 0
        eight[10, 10] = (9, 0, 9)  # what lacks one band is no picture
        valid[10, 10], expected[10, 10] = False, 0
        write_raster(path, eight, nodata=0)
    elif how == "mask band":
        write_raster(path, eight, valid=valid)
    elif how == "alpha":
        bands = ("red", "green", "blue", "alpha")
        write_raster(path, np.dstack([eight, alpha]), bands=bands, photometric="rgb")
    elif how == "png":
        Image.fromarray(np.dstack([eight, alpha])).save(path, "PNG")
    elif how == "png grey":
        Image.fromarray(np.dstack([eight[..., 0], alpha])).save(path, "PNG")
        expected = expected[..., :1].repeat(3, axis=-1)
    elif how == "png 16":
        deep = noise(3, 4096, "uint16")
        write_raster(path, np.dstack([deep, np.where(valid, 65535, 0).astype(np.uint16)]), driver="PNG")
        expected = stretched(deep, valid)
    else:
        real = noise(3, 1000, "float32")
        expected = stretched(real, valid)
        real[~valid, 1] = float(how)
        write_raster(path, real)
    found = read_any_image(path)
    np.testing.assert_array_equal(found.valid, valid)
    np.testing.assert_array_equal(found.pixels, expected)


def test_images_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "small.png")
    assert "has 1x1 px" in image_error(tmp_path / "small.png")
    assert "has 24x15 px" in image_error(write_raster(tmp_path / "low.tif", noise()[:15]))
    Image.new("CMYK", (W, H)).save(tmp_path / "cmyk.jpg")
    assert "mode CMYK" in image_error(tmp_path / "cmyk.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(noise()).save(tmp_path / "turned.jpg", exif=turned)
    assert "to be turned when shown" in image_error(tmp_path / "turned.jpg")
    assert "must be whole or real numbers" in image_error(
        write_raster(tmp_path / "complex.tif", noise().astype(np.complex64))
    )
    (tmp_path / "empty.png").touch()
    (tmp_path / "empty.tif").touch()
    (tmp_path / "text.tif").write_text("<VRTDataset rasterXSize='20' rasterYSize='20'></VRTDataset>")
    for name in ("empty.png", "empty.tif", "text.tif"):
        assert "cannot be decoded" in image_error(tmp_path / name)
    (tmp_path / "folder.png").mkdir()
    for name in ("folder.png", "gone.png"):
        assert "is not a file" in image_error(tmp_path / name)
        assert "is not a file" in mask_error(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", H * W - 1)
    Image.fromarray(noise()).save(tmp_path / "large.png")
    for path in (tmp_path / "large.png", write_raster(tmp_path / "large.tif", noise())):
        assert f"claims more than {H * W - 1} pixels" in image_error(path)


def test_without_rasterio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_raster(tmp_path / "a.tif", noise())
    write_raster(tmp_path / "deep.png", noise(3, 4096, "uint16"), driver="PNG")
    Image.fromarray(noise()).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "rasterio", None)
    for name in ("a.tif", "deep.png"):
        assert "pip install rasterio" in image_error(tmp_path / name)
    assert "pip install rasterio" in mask_error(tmp_path / "a.tif")
    assert read_any_image(tmp_path / "a.png").pixels.any()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("scale", [1, 255])
def test_masks(tmp_path: Path, suffix: str, scale: int) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(bar() * np.uint8(scale)).save(path)
    mask, place = read_any_mask(path).pixels, read_any_mask(path).place
    np.testing.assert_array_equal(mask, bar())
    assert mask.dtype == np.uint8 and not mask.flags.writeable and place is None


def test_masks_of_one_bit_and_where_0_is_white(tmp_path: Path) -> None:
    """Shown, the second would be the inverse of its values: which of the two is meant is unknown."""
    for name in ("a.png", "a.tif"):
        Image.fromarray(bar() > 0).save(tmp_path / name)
        np.testing.assert_array_equal(read_any_mask(tmp_path / name).pixels, bar())
    for name, values in (("b.tif", bar() > 0), ("c.tif", bar())):
        Image.fromarray(values).save(tmp_path / name, tiffinfo={262: 0})
        assert "0 stands for white" in mask_error(tmp_path / name)
        assert "0 stands for white" in image_error(tmp_path / name)


@pytest.mark.parametrize("kind", ["int16", "uint16", "float32"])
def test_masks_of_other_types(tmp_path: Path, kind: str) -> None:
    values = bar().astype(kind) * 255
    np.testing.assert_array_equal(read_any_mask(write_raster(tmp_path / "a.tif", values)).pixels, bar())
    if kind != "uint16":
        values[0, 0] = -9999
        mask = read_any_mask(write_raster(tmp_path / "b.tif", values, nodata=-9999)).pixels
        assert mask[0, 0] == 255
        np.testing.assert_array_equal(mask[1:], bar()[1:])
    if kind == "float32":
        values[0, 0] = np.nan
        assert read_any_mask(write_raster(tmp_path / "c.tif", values)).pixels[0, 0] == 255


def test_no_data_of_a_mask(tmp_path: Path) -> None:
    expected = np.where(hole(), bar(), 255)
    np.testing.assert_array_equal(read_any_mask(write_raster(tmp_path / "a.tif", bar(), valid=hole())).pixels, expected)
    np.testing.assert_array_equal(
        read_any_mask(write_raster(tmp_path / "b.tif", expected, nodata=255)).pixels, expected
    )
    # Many programs call 0 no data; in a mask it is "no landslide".
    np.testing.assert_array_equal(read_any_mask(write_raster(tmp_path / "c.tif", bar(), nodata=0)).pixels, bar())
    # What the file says counts, as in every GIS, even where it may be a slip: `check_folder` tells of it.
    both = read_any_mask(write_raster(tmp_path / "d.tif", bar() * np.uint8(255), nodata=255)).pixels
    np.testing.assert_array_equal(both, bar() * np.uint8(255))


def test_masks_that_are_refused(tmp_path: Path) -> None:
    values = bar()
    values[0, :3] = (7, 7, 9)
    assert "(or 0 and 1), found 7, 9." in mask_error(write_raster(tmp_path / "a.tif", values))
    values[0, :3] = 255
    assert "(or 0 and 1), found 1, 255." in mask_error(write_raster(tmp_path / "b.tif", values))
    half = bar().astype(np.float32) / 2
    assert "found 0.5." in mask_error(write_raster(tmp_path / "c.tif", half))
    half[0, 0] = np.inf
    assert "found 0.5, inf." in mask_error(write_raster(tmp_path / "d.tif", half))
    assert "must have 1 band, this one has 3" in mask_error(write_raster(tmp_path / "e.tif", noise()))
    Image.fromarray(noise()).save(tmp_path / "f.png")
    assert "must have 1 channel" in mask_error(tmp_path / "f.png")


def test_where_it_lies(tmp_path: Path) -> None:
    image, mask = write_raster(tmp_path / "a.tif", noise(), **UTM), write_raster(tmp_path / "b.tif", bar(), **UTM)
    place, other = read_any_image(image).place, read_any_mask(mask).place
    assert place is not None and other is not None
    assert place.resolution == 0.5 and place.transform == (0.5, 0.0, 5e5, 0.0, -0.5, 3e6)
    assert place.agrees(other, (H, W))

    def at(crs: str | None, transform: Affine) -> bool:
        moved = read_any_mask(write_raster(tmp_path / "c.tif", bar(), crs=crs, transform=transform)).place
        assert moved is not None and place is not None
        return place.agrees(moved, (H, W))

    same = UTM["transform"]
    assert at(None, same) and not at("EPSG:32647", same)
    assert at("EPSG:32648", Affine(0.5 + 1e-6, 0, 500_000 + 1e-3, 0, -0.5, 3_000_000))  # rounding
    for wrong in (
        Affine(0.5, 0, 500_000.25, 0, -0.5, 3_000_000),  # half a pixel
        Affine(0.5, 0, 500_000, 0, 0.5, 3_000_000),  # upside down
        Affine(0.501, 0, 500_000, 0, -0.5, 3_000_000),  # off by a pixel a thousand
        Affine(0.5, 0.01, 500_000, 0, -0.5, 3_000_000),
    ):
        assert not at("EPSG:32648", wrong), wrong


def test_resolution_is_in_metres_or_unknown(tmp_path: Path) -> None:
    def resolution(**where: Any) -> float | None:
        place = read_any_image(write_raster(tmp_path / "a.tif", noise(), **where)).place
        assert place is not None
        return place.resolution

    assert resolution(crs="EPSG:4326", transform=Affine(1e-5, 0, 100, 0, -1e-5, 30)) is None
    feet = resolution(crs="EPSG:2263", transform=Affine(10, 0, 1e6, 0, -10, 2e5))
    assert feet == pytest.approx(3.048, rel=1e-5)
    turned = Affine(3, 4, 5e5, 4, -3, 3e6)
    assert resolution(crs="EPSG:32648", transform=turned) == pytest.approx(5)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_a_strict_image_is_rgb(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (W, H)).save(tmp_path / "a.png")
    with pytest.raises(DatasetError, match=rf"a\.png: it must have 3 channels of 8 bits .* mode {mode}"):
        read_image(tmp_path / "a.png")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of what it can read all the same
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP", "JPEG", "GTiff", "deep PNG"])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_a_picture_or_one_error(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    path = tmp_path / "a.x"
    path.unlink(missing_ok=True)
    if kind in ("GTiff", "deep PNG"):
        profile: dict[str, Any] = {"driver": "PNG"} if kind == "deep PNG" else {**UTM, "nodata": 3}
        write_raster(path, noise(3, 4096, "uint16"), **profile)
    else:
        Image.fromarray(noise()).save(path, kind, **({"lossless": True} if kind == "WEBP" else {}))
    content = bytearray(path.read_bytes())
    content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    for read in (read_image, read_mask, read_any_image, read_any_mask):
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 20)  # a size of many megapixels is only slower
                found = read(path)
        except DatasetError as error:
            assert str(path) in str(error)
        else:
            assert (found if isinstance(found, np.ndarray) else found.pixels).dtype == np.uint8


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.bool_, np.uint8, np.int64])
def test_masks_of_arrays(dtype: type) -> None:
    mask = binary_mask(np.array([[0, 1], [1, 0]], dtype), "x")
    np.testing.assert_array_equal(mask, [[0, 1], [1, 0]])
    assert mask.dtype == np.uint8 and not mask.flags.writeable
    known = np.array([[True, False], [True, True]])
    np.testing.assert_array_equal(binary_mask(np.array([[0, 7], [255, 0]]), "x", known), [[0, 255], [1, 0]])


def test_scaling_to_8_bits() -> None:
    # 255 / 0.5 = 510 and 255 / 1 to the unit, rounded to nearest, by hand
    values = np.array([[[0.0, 0.0], [0.1, 0.1], [0.25, 0.25], [0.5, 0.5], [0.7, 1.0], [-1e308, 1e308]]], np.float64)
    image = to_8_bits(values, (0.5, 1.0), (1, 0, 1), "x")
    np.testing.assert_array_equal(image[0, :, 1], [0, 51, 128, 255, 255, 0])  # 127.5 goes to the even neighbour
    np.testing.assert_array_equal(image[0, :, 0], [0, 26, 64, 128, 255, 255])
    assert image.dtype == np.uint8 and image.shape == (1, 6, 3) and not image.flags.writeable
    values[0, :3, 0] = np.nan, np.inf, -np.inf
    with pytest.raises(DatasetError, match=r"^here: 3 of 12 values are NaN or infinite\."):
        to_8_bits(values, (1, 1), (1,), "here")  # whatever bands are asked for
