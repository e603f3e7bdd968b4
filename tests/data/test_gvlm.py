"""GVLM in both of its layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scgcnet.data import DatasetError, check_dataset, open_dataset
from scgcnet.data.gvlm import CHANGE_FOLDER, SITES, Gvlm, site_key

FOLDER = Gvlm.home
PLACES = {"A Luoi_Vietnam": (600, 1100), "Big Sur_United States": (512, 512), "Kaikoura_New Zealand": (70, 513)}
EMPTY = "Big Sur_United States/ref.png"  # this site has no landslide


def site(name: str) -> tuple[np.ndarray, np.ndarray]:
    """An image of noise, and a mask with a bar that crosses windows; none in Big Sur."""
    mask = np.zeros(PLACES[name], np.uint8)
    if "Big Sur" not in name:
        mask[20:30, 40:530] = 1
    return np.random.default_rng(len(name)).integers(0, 256, (*mask.shape, 3), dtype=np.uint8), mask


def save(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)


def write(root: Path, layout: str = FOLDER, scale: int = 255) -> Path:
    for name in PLACES:
        folder = root / layout / name
        folder.mkdir(parents=True)
        image, mask = site(name)
        save(mask * np.uint8(scale), folder / "ref.png")
        if layout == CHANGE_FOLDER:
            save(255 - image, folder / "im1.png")
            save(image, folder / "im2.png")
        else:
            save(image, folder / "im.png")
    return root


def the_error(root: Path) -> str:
    """The one error that reading everything gives; it must be among those that the check lists."""
    with pytest.raises(DatasetError) as caught:
        list(Gvlm.open(root))
    assert str(caught.value).split(" (1 more")[0] in " | ".join(check_dataset("gvlm", root))
    return str(caught.value)


@pytest.mark.parametrize("layout", [FOLDER, CHANGE_FOLDER])
@pytest.mark.parametrize("scale", [1, 255])
def test_windows_make_up_the_sites(tmp_path: Path, layout: str, scale: int) -> None:
    data = Gvlm.open(write(tmp_path, layout, scale))
    rows = [f"a_luoi/{row:02d}_{column:02d}" for row in range(2) for column in range(3)]
    assert data.names == (*rows, "big_sur/00_00", "kaikoura/00_00", "kaikoura/00_01")
    assert data.sites == ("a_luoi",) * 6 + ("big_sur",) + ("kaikoura",) * 2
    whole = {
        key: (np.full((1024, 1536, 3), 7, np.uint8), np.full((1024, 1536), 7, np.uint8)) for key in set(data.sites)
    }
    for sample, key in zip(data, data.sites, strict=True):
        assert sample.image.shape == (512, 512, 3) and sample.mask.shape == (512, 512) and sample.resolution == 0.59
        row, column = (512 * int(number) for number in sample.name.split("/")[1].split("_"))
        whole[key][0][row : row + 512, column : column + 512] = sample.image
        whole[key][1][row : row + 512, column : column + 512] = sample.mask
    for name, (height, width) in PLACES.items():
        image, mask = site(name)
        found_image, found_mask = whole[site_key(name) or ""]
        np.testing.assert_array_equal(found_image[:height, :width], image)
        np.testing.assert_array_equal(found_mask[:height, :width], mask)
        found_mask[:height, :width] = 255
        assert set(found_mask.ravel().tolist()) <= {7, 255}  # beyond the picture nothing counts
    counted = sum(int((sample.mask != 255).sum()) for sample in data)
    assert counted == sum(height * width for height, width in PLACES.values())
    (fault,) = check_dataset("gvlm", tmp_path)
    assert fault.startswith(f"{tmp_path / layout / EMPTY}: the mask is empty")


def test_object_extraction_is_preferred(tmp_path: Path) -> None:
    write(tmp_path, CHANGE_FOLDER)
    (tmp_path / FOLDER).mkdir()  # empty
    assert {pair.image.name for pair in Gvlm.open(tmp_path).pairs} == {"im2.png"}
    write(tmp_path)
    assert {pair.image.name for pair in Gvlm.open(tmp_path).pairs} == {"im.png"}


def test_sites_are_decoded_once_and_when_they_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Gvlm.open(write(tmp_path))
    assert len(open_dataset("gvlm", "random-0", "train", tmp_path)) == 4
    assert not (tmp_path / "cache").exists()  # so far only heads are read
    first = data.sha256
    assert len(list((tmp_path / "cache").iterdir())) == 3
    with monkeypatch.context() as patch:
        patch.setattr(Gvlm, "read_image", lambda *_: pytest.fail("decoded again"))
        assert Gvlm(data.folder, data.pairs).sha256 == first
    save(np.full((512, 512), 255, np.uint8), tmp_path / FOLDER / EMPTY)
    assert Gvlm.open(tmp_path)[6].mask.all()


def test_names_of_sites() -> None:
    assert len(SITES) == 17
    assert [site_key(folder) for folder in SITES.values()] == list(SITES)
    spelt = ("A_LUOI_Viet Nam", "a luoi", "ALuoi_Vietnam", "Big_Sur_USA", "los-lagos chile", "Kurucaşile_Türkiye")
    assert [site_key(name) for name in spelt] == ["a_luoi", "a_luoi", "a_luoi", "big_sur", "los_lagos", "kurucasile"]
    assert [site_key(name) for name in ("Oshima_Japan", "Vietnam", "Big_United States", "", "17", "汶川")] == [None] * 6


def test_faults_of_folders(tmp_path: Path) -> None:
    root = write(tmp_path)
    for name in (".git", "__MACOSX", "Wenchuan_China", "Osh"):
        (root / FOLDER / name).mkdir()
    (root / FOLDER / "readme.txt").touch()
    (root / FOLDER / "Kaikoura_New Zealand").rename(root / FOLDER / "A_Luoi")
    faults = check_dataset("gvlm", root)
    expected = ["Wenchuan_China is none of the sites", "Osh has no im.png and no ref.png", "A_Luoi: A Luoi_Vietnam is"]
    expected += ["the mask is empty"]
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)


IMAGE, MASK = "A Luoi_Vietnam/im.png", "A Luoi_Vietnam/ref.png"


@pytest.mark.parametrize(
    ("file", "picture", "words"),
    [
        (IMAGE, Image.new("RGB", (1099, 600)), "ref.png: the mask is 1100x600 px, but its image im.png is 1099x600 px"),
        (IMAGE, Image.new("L", (1100, 600)), "im.png: it must have 3 channels of 8 bits"),
        (MASK, Image.new("L", (1100, 600), 7), "ref.png: mask values must be 0 and 255 (or 0 and 1), found 7"),
        (MASK, Image.new("RGB", (1100, 600), (255, 0, 0)), "ref.png: a mask must have 1 channel"),
    ],
)
def test_pictures_that_are_refused(tmp_path: Path, file: str, picture: Image.Image, words: str) -> None:
    write(tmp_path)
    picture.save(tmp_path / FOLDER / file)
    assert words in the_error(tmp_path)


def test_splits_over_sites_and_windows(tmp_path: Path) -> None:
    data = Gvlm.open(write(tmp_path))
    assert data.split("0") == data.split("site-0") != data.split("random-0")
    for seed in range(3):
        parts = data.split(f"site-{seed}")
        assert len({(name.split("/")[0], part) for name, part in parts.items()}) == 3
        assert set(parts.values()) == {"train", "val", "test"}
