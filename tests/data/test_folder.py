"""A folder of one's own images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from bijie_files import picture
from PIL import Image
from raster_files import write_raster

from scgcnet.cli import main
from scgcnet.data import DatasetError, check_dataset, data_root, dataset_available, dataset_notes, open_dataset
from scgcnet.data.folder import Folder
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


@pytest.mark.parametrize(("images", "masks"), [("images", "masks"), ("image", "mask"), ("img", "mask")])
def test_values_come_back(tmp_path: Path, images: str, masks: str) -> None:
    data = Folder.open(write(tmp_path, images=images, masks=masks))
    assert (data.kind, data.names) == ("real", ("a", "b", "c"))
    for index, sample in enumerate(data):
        np.testing.assert_array_equal(sample.image, picture(index, H, W)[0])
        np.testing.assert_array_equal(sample.mask, picture(index, H, W)[1])
        assert sample.resolution is None


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
    write_raster(tmp_path / "masks/c.tiff", truth.astype(np.uint8), nodata=255)
    write_raster(tmp_path / "images/d.tif", cut.astype(np.uint16) * 7, nodata=0)
    Image.fromarray(mask > 0).save(tmp_path / "masks/d.png")
    a, b, c, d = Folder.open(tmp_path)
    for sample in (a, b, d):
        np.testing.assert_array_equal(sample.mask, truth)
        assert not sample.image[~valid].any() and not sample.mask.flags.writeable
    np.testing.assert_array_equal(a.image, cut)
    np.testing.assert_array_equal(b.image, cut)
    assert a.resolution == 0.5 and b.resolution is None
    np.testing.assert_array_equal(c.mask, truth)
    assert c.image[~valid].any()  # the image is known there
    assert d.image.max() == 255 and d.image.mean() > 100
    assert check_dataset("folder", tmp_path) == []


def test_where_the_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))
    assert not dataset_available("folder")
    assert str(data_root() / "folder" / "images") in check_dataset("folder")[0]
    write(tmp_path / "folder")
    assert len(Folder.open()) == 3
    assert Folder.open(write(tmp_path / "elsewhere", "xy")).names == ("x", "y")


def test_the_command_line_takes_the_folder_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fake", "folder", str(tmp_path), "-n", "3"]) == 0
    assert main(["data", "check", "folder", str(tmp_path)]) == 0
    (tmp_path / "masks/tile_0001.png").unlink()
    assert main(["data", "check", "folder", str(tmp_path)]) == 1
    assert "tile_0001.png has no mask tile_0001.* in masks" in capsys.readouterr().out


def test_splits(tmp_path: Path) -> None:
    data = Folder.open(write(tmp_path, "abcdefghij"))
    drawn = data.split("0")
    assert drawn == data.split("random-0") != data.split("1")
    assert [list(drawn.values()).count(part) for part in ("train", "val", "test")] == [5, 3, 2]
    write_split(tmp_path / "split.csv", {n: "test" if n == "a" else "val" if n == "b" else "train" for n in data.names})
    assert open_dataset("folder", 0, "test", tmp_path).names == ("a",)
    assert data.split("random-0") == drawn
    for text, message in (("a,train\nb,val\nz,test\n", "does not fit the data"), ("a,b,c\n", "part 'b' of 'a' must")):
        (tmp_path / "split.csv").write_text("name,part\n" + text)
        assert message in check_dataset("folder", tmp_path)[0]
        with pytest.raises(DatasetError, match=message):
            open_dataset("folder", 0, "test", tmp_path)


def test_missing_folders(tmp_path: Path) -> None:
    first, second = check_dataset("folder", tmp_path)
    assert "has no folder images (or image, img)" in first and "has no folder masks (or mask)" in second
    write(tmp_path)
    (tmp_path / "img").mkdir()
    assert "has images and img; keep only one of them" in check_dataset("folder", tmp_path)[0]


def test_pairs_that_do_not_lie_alike(tmp_path: Path) -> None:
    write(tmp_path, "")
    image, mask = picture(0, H, W)
    write_raster(tmp_path / "images/a.tif", image, **UTM)
    for wrong in ({"crs": "EPSG:32647"}, {"transform": Affine(0.5, 0, 500_100, 0, -0.5, 3_000_000)}):
        write_raster(tmp_path / "masks/a.tif", mask, **{**UTM, **wrong})
        assert "masks/a.tif does not lie where its image a.tif does" in check_dataset("folder", tmp_path)[0]
    write_raster(tmp_path / "masks/a.tif", mask)  # says nothing about where it lies
    np.testing.assert_array_equal(Folder.open(tmp_path)[0].mask, mask)


def test_check_lists_every_fault(tmp_path: Path) -> None:
    write(tmp_path, "abcdeh")
    (tmp_path / "images/a.png").write_bytes(b"")
    Image.new("L", (W, H), 7).save(tmp_path / "masks/a.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "images/b.png")
    (tmp_path / "masks/c.png").unlink()
    (tmp_path / "images/d.png").unlink()
    write_raster(tmp_path / "images/d.tif", np.full((H, W), np.nan, np.float32))
    Image.new("L", (3, 3)).save(tmp_path / "masks/e.png")
    Image.new("L", (W, H)).save(tmp_path / "masks/h.png", "JPEG")
    expected = ["images/a.png cannot be decoded", "found 7", "b.png has 1x1 px", "c.png has no mask", "no valid pixel"]
    expected += ["mask is 3x3 px", "h.png: the content is JPEG"]
    faults = check_dataset("folder", tmp_path)
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)


def test_landslides_that_a_no_data_value_hides(tmp_path: Path) -> None:
    write(tmp_path, "")
    for index, name in enumerate("abc"):
        image, mask = picture(index, H, W)
        Image.fromarray(image).save(tmp_path / "images" / f"{name}.png")
        write_raster(tmp_path / "masks" / f"{name}.tif", mask * np.uint8(255), nodata=255 if name != "b" else None)
    assert check_dataset("folder", tmp_path) == []
    (note,) = dataset_notes("folder", tmp_path)
    assert "2 masks have no-data and no landslide, such as a.tif." in note
    for name in "ac":
        write_raster(tmp_path / "masks" / f"{name}.tif", np.zeros((H, W), np.uint8))
    assert dataset_notes("folder", tmp_path) == []  # landslide-free images, to count false alarms
