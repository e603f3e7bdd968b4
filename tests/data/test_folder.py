"""A folder of one's own images and masks."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from bijie_files import picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from raster_files import write_raster

from scgcnet.cli import main
from scgcnet.data import (
    DatasetError,
    DatasetNotFoundError,
    check_dataset,
    data_root,
    dataset_available,
    dataset_notes,
    open_dataset,
    write_fake,
)
from scgcnet.data.folder import check_folder, open_folder, write_fake_folder
from scgcnet.data.splits import write_split

H, W = 20, 24
UTM: dict[str, Any] = {"crs": "EPSG:32648", "transform": Affine(0.5, 0, 500_000, 0, -0.5, 3_000_000)}


def write(root: Path, names: str = "abc", images: str = "images", masks: str = "masks") -> Path:
    for folder in (images, masks):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(names):
        image, mask = picture(index, H, W)
        Image.fromarray(image).save(root / images / f"{name}.png")
        Image.fromarray(mask * np.uint8(255)).save(root / masks / f"{name}.png")
    return root


def the_error(root: Path) -> str:
    """The one error that reading everything gives; it must be among those that the check lists."""
    with pytest.raises(DatasetError) as caught:
        list(open_folder(root))
    assert str(caught.value).split(" (1 more")[0] in " | ".join(check_folder(root))
    return str(caught.value)


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("image", "mask"), ("img", "mask")])
def test_values_come_back(tmp_path: Path, images: str, masks: str) -> None:
    data = open_folder(write(tmp_path, images=images, masks=masks))
    assert (data.dataset, data.kind, data.names) == ("folder", "real", ("a", "b", "c"))
    for index, sample in enumerate(data):
        image, mask = picture(index, H, W)
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.mask, mask)
        assert sample.image.dtype == sample.mask.dtype == np.uint8 and sample.resolution is None
    assert open_folder(tmp_path)[1] is data[1]
    assert check_dataset("folder", tmp_path) == []


def test_mixed_formats_and_no_data(tmp_path: Path) -> None:
    write(tmp_path, "")
    image, mask = picture(0, H, W)
    image = np.maximum(image, 1)
    valid = np.ones((H, W), bool)
    valid[:3, :9] = False
    cut = np.where(valid[..., None], image, 0)
    truth = np.where(valid, mask, 255)
    write_raster(tmp_path / "images/a.tif", cut, nodata=0, **UTM)
    write_raster(tmp_path / "masks/a.tif", mask, **UTM)
    Image.fromarray(np.dstack([image, valid * np.uint8(255)])).save(tmp_path / "images/b.png")
    Image.fromarray(mask * np.uint8(255)).convert("RGB").save(tmp_path / "masks/b.webp", lossless=True)
    Image.fromarray(image).save(tmp_path / "images/c.jpg")
    unknown = np.where(valid, mask, 255).astype(np.uint8)
    write_raster(tmp_path / "masks/c.tiff", unknown, nodata=255)
    write_raster(tmp_path / "images/d.tif", cut.astype(np.uint16) * 7, nodata=0)
    Image.fromarray(mask > 0).save(tmp_path / "masks/d.png")
    a, b, c, d = open_folder(tmp_path)
    for sample in (a, b, d):
        np.testing.assert_array_equal(sample.mask, truth)
        assert not sample.image[~valid].any() and not sample.mask.flags.writeable
    np.testing.assert_array_equal(a.image, cut)
    np.testing.assert_array_equal(b.image, cut)
    assert a.resolution == 0.5 and b.resolution is None
    np.testing.assert_array_equal(c.mask, truth)
    assert c.image[~valid].any()  # the image is known there
    assert d.image.max() == 255 and d.image.mean() > 100
    assert check_folder(tmp_path) == []


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))
    assert not dataset_available("folder")
    with pytest.raises(DatasetNotFoundError) as caught:
        open_folder()
    assert str(data_root() / "folder" / "images") in str(caught.value)
    assert check_folder() == [str(caught.value)]
    write(tmp_path / "folder")
    assert dataset_available("folder") and len(open_folder()) == 3
    write(tmp_path / "elsewhere", "xy")
    assert open_folder(tmp_path / "elsewhere").names == ("x", "y")


def test_the_command_line_takes_the_folder_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fake", "folder", str(tmp_path), "-n", "3"]) == 0
    assert main(["data", "check", "folder", str(tmp_path)]) == 0
    (tmp_path / "masks/tile_0001.png").unlink()
    assert main(["data", "check", "folder", str(tmp_path)]) == 1
    assert "tile_0001.png has no mask tile_0001.* in masks" in capsys.readouterr().out


def test_splits(tmp_path: Path) -> None:
    data = open_folder(write(tmp_path, "abcdefghij"))
    drawn = data.split("0")
    assert drawn == data.split("random-0") != data.split("1")
    assert [list(drawn.values()).count(part) for part in ("train", "val", "test")] == [5, 3, 2]
    write_split(
        tmp_path / "split.csv",
        {name: "test" if name == "a" else "val" if name == "b" else "train" for name in data.names},
    )
    assert open_dataset("folder", 0, "test", tmp_path).names == ("a",)
    assert data.split("random-0") == drawn
    with pytest.raises(DatasetError, match="folder has no split 'block-1': name random-SEED"):
        data.split("block-1")
    (tmp_path / "split.csv").write_text("name,part\na,train\nb,val\nz,test\n")
    assert "split.csv does not fit the data" in check_folder(tmp_path)[0]
    with pytest.raises(DatasetError, match="does not fit the data"):
        open_dataset("folder", 0, "test", tmp_path)
    (tmp_path / "split.csv").write_text("image,part\n")
    assert "columns must be name,part" in check_folder(tmp_path)[0]
    with pytest.raises(DatasetError, match="columns must be name,part"):
        open_dataset("folder", 0, "test", tmp_path)
    with pytest.raises(DatasetError, match="at least 3 images"):
        open_folder(write(tmp_path / "two", "ab")).split("0")


def test_folders_and_partners_that_are_missing(tmp_path: Path) -> None:
    assert "has no folder images (or image, img)" in the_error(tmp_path)
    assert any("has no folder masks (or mask)" in fault for fault in check_folder(tmp_path))
    write(tmp_path)
    (tmp_path / "img").mkdir()
    assert "has images and img; keep only one of them" in the_error(tmp_path)
    (tmp_path / "img").rmdir()
    (tmp_path / "masks/b.png").unlink()
    assert "images/b.png has no mask b.* in masks" in the_error(tmp_path)
    (tmp_path / "images/b.png").rename(tmp_path / "images/c.tif")
    assert "c.tif: c.png has the same name" in the_error(tmp_path)
    for file in (tmp_path / "masks").iterdir():
        file.unlink()
    (tmp_path / "images/c.tif").unlink()
    assert "masks is empty" in the_error(tmp_path)


def test_pairs_that_do_not_fit(tmp_path: Path) -> None:
    write(tmp_path)
    Image.fromarray(picture(0, H, W + 1)[1]).save(tmp_path / "masks/a.png")
    assert "masks/a.png: the mask is 25x20 px, but its image a.png is 24x20 px" in the_error(tmp_path)
    image, mask = picture(0, H, W)
    (tmp_path / "images/a.png").unlink()
    (tmp_path / "masks/a.png").unlink()
    write_raster(tmp_path / "images/a.tif", image, **UTM)
    write_raster(tmp_path / "masks/a.tif", mask, **{**UTM, "crs": "EPSG:32647"})
    assert "masks/a.tif does not lie where its image a.tif does" in the_error(tmp_path)
    write_raster(tmp_path / "masks/a.tif", mask, **{**UTM, "transform": Affine(0.5, 0, 500_100, 0, -0.5, 3_000_000)})
    assert "does not lie where its image" in the_error(tmp_path)
    write_raster(tmp_path / "masks/a.tif", mask)  # says nothing about where it lies
    np.testing.assert_array_equal(open_folder(tmp_path)[0].mask, mask)
    Image.fromarray(image).save(tmp_path / "images/b.jpg")
    (tmp_path / "images/b.png").unlink()
    Image.fromarray(mask * np.uint8(255)).save(tmp_path / "masks/b.jpg")
    (tmp_path / "masks/b.png").unlink()
    assert "masks/b.jpg: the content is JPEG" in the_error(tmp_path)


def test_check_lists_every_fault(tmp_path: Path) -> None:
    write(tmp_path, "abcdefg")
    (tmp_path / "images/a.png").write_bytes(b"")
    Image.new("L", (W, H), 7).save(tmp_path / "masks/a.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "images/b.png")
    (tmp_path / "masks/c.png").unlink()
    (tmp_path / "images/d.png").unlink()
    write_raster(tmp_path / "images/d.tif", np.full((H, W), np.nan, np.float32))
    Image.new("L", (3, 3)).save(tmp_path / "masks/e.png")
    (tmp_path / "images/f.png").unlink()
    (tmp_path / "images/f.png").symlink_to(tmp_path / "images/f.png")
    (tmp_path / "masks/g.png").unlink()
    os.mkfifo(tmp_path / "masks/g.png")
    expected = ["images/a.png cannot be decoded", "found 7", "b.png has 1x1 px", "c.png has no mask", "no valid pixel"]
    expected += ["mask is 3x3 px", "f.png is not a file", "g.png is not a file"]
    faults = check_folder(tmp_path)
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)
    (tmp_path / "masks/c.png").symlink_to(tmp_path / "masks/e.png")
    with pytest.raises(DatasetError, match=r"f\.png cannot be reached \(Too many levels of symbolic links\)"):
        open_folder(tmp_path)


def test_landslides_that_a_no_data_value_hides(tmp_path: Path) -> None:
    write(tmp_path, "")
    for index, name in enumerate("abc"):
        image, mask = picture(index, H, W)
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
        write_raster(tmp_path / "masks" / f"{name}.tif", mask * np.uint8(255), nodata=255 if name != "b" else None)
    assert check_folder(tmp_path) == []
    (note,) = dataset_notes("folder", tmp_path)
    assert "2 masks have no-data and no landslide, such as a.tif." in note
    for name in "ac":
        write_raster(tmp_path / "masks" / f"{name}.tif", np.zeros((H, W), np.uint8))
    assert dataset_notes("folder", tmp_path) == []  # landslide-free images, to count false alarms
    write_raster(tmp_path / "masks/a.tif", np.eye(H, W, dtype=np.uint8), nodata=1)
    (fault,) = check_folder(tmp_path)
    assert "a.tif: its no-data value is 1, that of landslides" in fault


def test_a_folder_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    folders = [tmp_path / "images", tmp_path / "masks", tmp_path]
    for folder in folders:
        folder.chmod(0o555)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert len(list(open_folder(tmp_path))) == 3 and check_folder(tmp_path) == []
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for folder in folders:
        folder.chmod(0o755)


def test_a_fake_reads_back_and_never_takes_the_place_of_real_data(tmp_path: Path) -> None:
    write_fake("folder", tmp_path / "new", n=6, seed=1)
    data = open_folder(tmp_path / "new")
    assert (data.kind, len(data)) == ("synthetic", 6)
    assert all(0 < sample.mask.mean() < 0.7 for sample in data)
    parts = [open_dataset("folder", 0, part, tmp_path / "new") for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [3, 2, 1] and parts[0].kind == "synthetic"
    with pytest.raises(DatasetError, match="at least 3 images"):
        write_fake_folder(tmp_path / "small", 2, 0)
    write(tmp_path / "mine")
    with pytest.raises(DatasetError, match="is not synthetic"):
        write_fake_folder(tmp_path / "mine", 3, 0)
    assert open_folder(tmp_path / "mine").kind == "real"


def encoded(pixels: np.ndarray, kind: str, path: Path) -> bytes:
    if kind in ("GTiff", "deep PNG"):
        pixels = pixels.astype(np.uint16) * 40 if kind == "deep PNG" else pixels
        profile = {"driver": "PNG"} if kind == "deep PNG" else {**UTM, "nodata": 3, "compress": "deflate"}
        return write_raster(path, pixels, **profile).read_bytes()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow warns of what it can read all the same
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GTiff", "deep PNG"])
@pytest.mark.parametrize("which", ["images", "masks"])
@given(data=st.data())
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_a_sample_or_one_error(
    tmp_path: Path, kind: str, which: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut or with some bits changed: never another exception than ours."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1 << 20)  # a size of many megapixels is only slower
    write(tmp_path, "a")
    image, mask = picture(0, H, W)
    content = bytearray(encoded(image if which == "images" else mask, kind, tmp_path / "made"))
    content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 8)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    (tmp_path / which / "a.png").write_bytes(content)
    try:
        (sample,) = open_folder(tmp_path)
    except DatasetError as error:
        assert str(tmp_path) in str(error)
    else:
        assert sample.image.shape == (H, W, 3) and sample.mask.shape == (H, W)
        assert sample.image.dtype == sample.mask.dtype == np.uint8
        assert set(np.unique(sample.mask)) <= {0, 1, 255}


@pytest.mark.skipif("SCGCNET_DATA" not in os.environ, reason="SCGCNET_DATA does not name the real data")
def test_real_tiles() -> None:
    """A sub-set of CLD, TIFF of 8 bits, is a folder of this layout."""
    folder = data_root() / "CAS-Landslide-Dataset" / "Hokkaido Iburi-Tobu"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    data = open_folder(folder)
    assert len(data) == 36
    for sample in data:
        assert sample.image.shape == (512, 512, 3) and set(np.unique(sample.mask)) <= {0, 1}
