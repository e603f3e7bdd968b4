"""GVLM in both of its layouts."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from scgcnet.cli import main
from scgcnet.data import (
    DatasetError,
    DatasetNotFoundError,
    cache,
    check_dataset,
    gvlm,
    open_dataset,
    write_fake,
)
from scgcnet.data.gvlm import (
    CHANGE_FOLDER,
    FILES,
    FOLDER,
    SITES,
    check_gvlm,
    notes_gvlm,
    open_gvlm,
    site_key,
    write_fake_gvlm,
)
from scgcnet.data.sample import MARKER

PLACES = {"A Luoi_Vietnam": (600, 1100), "Big Sur_United States": (512, 512), "Kaikoura_New Zealand": (70, 513)}


@pytest.fixture(autouse=True)
def _a_cache_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCGCNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_held", {})
    monkeypatch.setattr(cache, "_warned", [])


def site(name: str, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """An image of noise, and a mask with a bar that crosses windows; none in Big Sur."""
    shape = shape or PLACES[name]
    rng = np.random.default_rng(len(name))
    mask = np.zeros(shape, np.uint8)
    if "Big Sur" not in name:
        mask[20:30, 40:530] = 1
    return rng.integers(0, 256, (*shape, 3), dtype=np.uint8), mask


EMPTY = "Big Sur_United States/ref.png"  # of the sites below, this one has no landslide


def save(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)


def write(root: Path, layout: str = FOLDER, scale: int = 255) -> Path:
    for name in PLACES:
        folder = root / layout / name
        folder.mkdir(parents=True)
        image, mask = site(name)
        save(image, folder / FILES[layout][0])
        save(mask * np.uint8(scale), folder / FILES[layout][1])
        if layout == CHANGE_FOLDER:
            save(255 - image, folder / "im1.png")
    return root


def the_error(root: Path) -> str:
    """The one error that reading everything gives; it must be among those that the check lists."""
    with pytest.raises(DatasetError) as caught:
        list(open_gvlm(root))
    assert str(caught.value).split(" (1 more")[0] in " | ".join(check_gvlm(root))
    return str(caught.value)


@pytest.mark.parametrize("layout", [FOLDER, CHANGE_FOLDER])
@pytest.mark.parametrize("scale", [1, 255])
def test_windows_make_up_the_sites(tmp_path: Path, layout: str, scale: int) -> None:
    data = open_gvlm(write(tmp_path, layout, scale))
    assert (data.dataset, data.kind) == ("gvlm", "real")
    rows = [f"a_luoi/{row:02d}_{column:02d}" for row in range(2) for column in range(3)]
    assert data.names == (*rows, "big_sur/00_00", "kaikoura/00_00", "kaikoura/00_01")
    assert data.sites == ("a_luoi",) * 6 + ("big_sur",) + ("kaikoura",) * 2
    whole = {key: (np.full((1024, 1536, 3), 7, np.uint8), np.full((1024, 1536), 7, np.uint8)) for key in data.pairs}
    for sample, key in zip(data, data.sites, strict=True):
        assert sample.image.shape == (512, 512, 3) and sample.mask.shape == (512, 512)
        assert sample.image.dtype == sample.mask.dtype == np.uint8 and sample.resolution == 0.59
        row, column = (512 * int(number) for number in sample.name.split("/")[1].split("_"))
        whole[key][0][row : row + 512, column : column + 512] = sample.image
        whole[key][1][row : row + 512, column : column + 512] = sample.mask
    for name, (height, width) in PLACES.items():
        image, mask = site(name)
        found_image, found_mask = whole[site_key(name) or ""]
        np.testing.assert_array_equal(found_image[:height, :width], image)
        np.testing.assert_array_equal(found_mask[:height, :width], mask)
        beyond = np.ones(found_mask.shape, bool)
        beyond[:height, :width] = False
        assert set(found_mask[beyond].tolist()) <= {7, 255}
        assert not found_image[beyond & (found_mask == 255)].any()
    # Every pixel of a site counts once, and nothing else counts.
    counted = sum(int((sample.mask != 255).sum()) for sample in data)
    assert counted == sum(height * width for height, width in PLACES.values())
    (fault,) = check_dataset("gvlm", tmp_path)
    assert fault.startswith(f"{tmp_path / layout / EMPTY}: the mask is empty, but every site of GVLM has landslides")


def test_beyond_the_picture_is_nothing(tmp_path: Path) -> None:
    last = open_gvlm(write(tmp_path))[8]
    image, mask = site("Kaikoura_New Zealand")
    np.testing.assert_array_equal(last.image[:70, 0], image[:, 512])
    np.testing.assert_array_equal(last.mask[:70, 0], mask[:, 512])
    assert last.mask[20:30, 0].all() and not last.mask[:20, 0].any()
    assert (last.mask[70:] == 255).all() and (last.mask[:, 1:] == 255).all()
    assert not last.image[70:].any() and not last.image[:, 1:].any()


def test_object_extraction_is_preferred_and_image_2_is_after_the_event(tmp_path: Path) -> None:
    write(tmp_path, CHANGE_FOLDER)
    assert {pair.image.name for pair in open_gvlm(tmp_path).pairs.values()} == {"im2.png"}
    write(tmp_path, FOLDER)
    data = open_gvlm(tmp_path)
    assert {pair.image.parents[1].name for pair in data.pairs.values()} == {FOLDER}


def test_opening_reads_heads_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path)

    def load(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert len(open_gvlm(tmp_path)) == 9
    assert len(open_dataset("gvlm", "random-0", "train", tmp_path)) == 4
    assert not (tmp_path / "cache").exists()


def test_sites_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = open_gvlm(write(tmp_path))
    assert open_gvlm(tmp_path) is data and data[-1].name == data[8].name
    assert not data._kept  # windows are cut anew, their pixels are held once
    with pytest.raises(IndexError):
        data[9]
    first = data.sha256
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 6
    monkeypatch.setattr(cache, "_held", {})
    monkeypatch.setattr(gvlm, "_rows", lambda *_: pytest.fail("decoded again"))
    gvlm._opened.cache_clear()
    assert open_gvlm(tmp_path).sha256 == first


def test_an_edited_mask_is_seen(tmp_path: Path) -> None:
    write(tmp_path)
    assert not open_gvlm(tmp_path)[6].mask.any()
    save(np.full((512, 512), 255, np.uint8), tmp_path / FOLDER / "Big Sur_United States" / "ref.png")
    assert open_gvlm(tmp_path)[6].mask.all()


def test_a_site_is_never_in_memory_twice(tmp_path: Path) -> None:
    """A large one in a process of its own: what it takes at most, over what it takes for the smallest one."""
    place = tmp_path / FOLDER / "Osh_Kyrgyzstan"
    place.mkdir(parents=True)
    height, width = 4000, 5000  # 60 MB, and 80 in Pillow, which keeps 4 bytes a pixel
    save(
        np.broadcast_to(np.arange(width * 3, dtype=np.uint8).reshape(1, width, 3), (height, width, 3)), place / "im.png"
    )
    save(np.zeros((height, width), np.uint8), place / "ref.png")
    write_fake_gvlm(tmp_path / "small", 3, 0)
    program = (
        "import resource, sys; from pathlib import Path; from scgcnet.data.gvlm import open_gvlm\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "[open_gvlm(Path(sys.argv[1]))[i] for i in range(3)]; before = peak()\n"
        "sample = open_gvlm(Path(sys.argv[2]))[34]; print(peak() - before, sample.image[0, 1, 2])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "small"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, value = map(int, done.stdout.split())
    assert value == (4 * 512 * 3 + 5) % 256  # window 34 is row 3, column 4
    assert peak < 1.2 * 4 * height * width < 2 * 3 * height * width


def test_a_full_disk_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    np.testing.assert_array_equal(open_gvlm(tmp_path)[0].image, site("A Luoi_Vietnam")[0][:512, :512])
    assert [EMPTY in fault for fault in check_gvlm(tmp_path)] == [True]
    assert "kept in memory" in capsys.readouterr().err
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_names_of_sites() -> None:
    assert len(SITES) == 17
    assert [site_key(folder) for folder in SITES.values()] == list(SITES)
    spelt = ("A_LUOI_Viet Nam", "a luoi", "ALuoi_Vietnam", "Big_Sur_USA", "los-lagos chile", "Kurucaşile_Türkiye")
    assert [site_key(name) for name in spelt] == ["a_luoi", "a_luoi", "a_luoi", "big_sur", "los_lagos", "kurucasile"]
    assert [site_key(name) for name in ("Oshima_Japan", "Vietnam", "Big_United States", "", "17", "汶川")] == [None] * 6


def test_a_folder_that_is_no_site_and_one_site_twice(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / FOLDER / ".git").mkdir()
    (tmp_path / FOLDER / "readme.txt").touch()
    (tmp_path / FOLDER / "__MACOSX").mkdir()
    assert [EMPTY in fault for fault in check_gvlm(tmp_path)] == [True]
    (tmp_path / FOLDER / "Wenchuan_China").mkdir()
    assert f"{tmp_path / FOLDER / 'Wenchuan_China'} is none of the sites of GVLM" in the_error(tmp_path)
    (tmp_path / FOLDER / "Wenchuan_China").rmdir()
    (tmp_path / FOLDER / "Big Sur_United States").rename(tmp_path / FOLDER / "A_Luoi")
    assert "A_Luoi: A Luoi_Vietnam is the same site; keep only one of the two" in the_error(tmp_path)


def test_missing_folder_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        open_gvlm(tmp_path)
    for words in (str(tmp_path / FOLDER), CHANGE_FOLDER, "github.com/zxk688/GVLM", "non-commercial", "SCGCNET_DATA"):
        assert words in str(caught.value)
    assert check_gvlm(tmp_path) == [str(caught.value)]
    assert notes_gvlm(tmp_path) == []
    (tmp_path / FOLDER).mkdir()
    assert "is empty: it has no folder of a site" in the_error(tmp_path)
    (tmp_path / FOLDER / "Osh_Kyrgyzstan").mkdir()
    assert "Osh_Kyrgyzstan has no im.png and no ref.png" in the_error(tmp_path)
    (tmp_path / FOLDER / "Osh_Kyrgyzstan" / "im.png").symlink_to("im.png")  # leads in a circle
    (tmp_path / FOLDER / "Osh_Kyrgyzstan" / "ref.png").touch()
    assert "Osh_Kyrgyzstan has no im.png;" in the_error(tmp_path)
    (tmp_path / FOLDER / "Askja").symlink_to("Askja")
    assert any("Askja has no im.png and no ref.png" in fault for fault in check_gvlm(tmp_path))


def test_sites_that_are_not_there_are_told_but_no_fault(tmp_path: Path) -> None:
    (note,) = notes_gvlm(write(tmp_path))
    assert note.startswith("gvlm: 14 of 17 sites are not there: Asakura_Japan, Askja_Iceland, ")
    assert "Kaikoura" not in note and len(check_gvlm(tmp_path)) == 1
    for folder in SITES.values():
        if not (tmp_path / FOLDER / folder).exists():
            (tmp_path / FOLDER / folder).symlink_to(tmp_path / FOLDER / "Big Sur_United States")
    assert notes_gvlm(tmp_path) == []


IMAGE, MASK = "A Luoi_Vietnam/im.png", "A Luoi_Vietnam/ref.png"


@pytest.mark.parametrize(
    ("file", "picture", "words"),
    [
        (IMAGE, Image.new("RGB", (1099, 600)), "ref.png: the mask is 1100x600 px, but its image im.png is 1099x600 px"),
        (
            IMAGE,
            Image.new("L", (1100, 600)),
            "im.png: an image must have 3 channels of 8 bits (RGB), not Pillow mode L",
        ),
        (IMAGE, Image.new("RGBA", (1100, 600)), "not Pillow mode RGBA"),
        (IMAGE, Image.new("RGB", (1, 1)), "im.png has 1x1 px"),
        (MASK, Image.new("L", (1100, 600), 7), "ref.png: mask values must be 0 and 255 (or 0 and 1), found 7"),
        (MASK, Image.new("RGB", (1100, 600), (255, 0, 0)), "ref.png: a mask must be grey, this one has colours"),
        (MASK, Image.new("I;16", (1100, 600)), "ref.png: a mask must have 1 channel of 8 bits"),
    ],
)
def test_pictures_that_are_refused(tmp_path: Path, file: str, picture: Image.Image, words: str) -> None:
    write(tmp_path)
    picture.save(tmp_path / FOLDER / file)
    assert words in the_error(tmp_path)


def test_a_mask_of_1_in_one_place_and_255_in_another(tmp_path: Path) -> None:
    write(tmp_path)
    mask = np.zeros((600, 1100), np.uint8)
    mask[0, 0], mask[-1, -1] = 1, 255  # in different strips of the decoding
    save(mask, tmp_path / FOLDER / MASK)
    assert "found 1, 255" in the_error(tmp_path)


@pytest.mark.parametrize("file", [IMAGE, MASK])
def test_damaged_files(tmp_path: Path, file: str) -> None:
    write(tmp_path)
    path = tmp_path / FOLDER / file
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    assert f"{path} cannot be decoded, it is truncated or damaged" in the_error(tmp_path)
    path.write_bytes(b"")
    assert f"{path} cannot be decoded" in the_error(tmp_path)
    Image.new("RGB", (1100, 600)).save(path, "JPEG")
    assert f"{path}: the content is JPEG, not PNG" in the_error(tmp_path)
    assert not list((tmp_path / "cache").glob("*.part"))


@pytest.mark.parametrize("limit", [500_000, 200_000])  # Pillow warns above the limit and raises above twice the limit
def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    write(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert f"im.png: the file claims more than {limit} pixels" in the_error(tmp_path)


def test_the_largest_site_is_within_the_limit() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None and Image.MAX_IMAGE_PIXELS > 10808 * 7424


def test_check_lists_every_fault(tmp_path: Path) -> None:
    root = write(tmp_path)
    (root / FOLDER / "Nowhere_Atlantis").mkdir()
    (root / FOLDER / "Osh").mkdir()
    (root / FOLDER / IMAGE).write_bytes(b"")
    save(np.full((600, 1100), 3, np.uint8), root / FOLDER / MASK)
    save(np.ones((9, 9), np.uint8), root / FOLDER / "Big Sur_United States" / "ref.png")
    faults = check_gvlm(root)
    expected = ["Nowhere_Atlantis is none", "Osh has no im.png", "im.png cannot be decoded", "found 3", "is 9x9 px"]
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)


def test_splits_over_sites_and_windows(tmp_path: Path) -> None:
    data = open_gvlm(write(tmp_path))
    assert data.split("0") == data.split("site-0") != data.split("random-0")
    for seed in range(3):
        parts = data.split(f"site-{seed}")
        where = {part: {name.split("/")[0] for name in data.names if parts[name] == part} for part in parts.values()}
        assert sum(map(len, where.values())) == 3 and set(where) == {"train", "val", "test"}
    counts = [list(data.split("random-1").values()).count(part) for part in ("train", "val", "test")]
    assert counts == [4, 3, 2]
    with pytest.raises(DatasetError, match="gvlm has no split 'block-0': name site-SEED or random-SEED"):
        data.split("block-0")


def test_a_fake_reads_back(tmp_path: Path) -> None:
    write_fake("gvlm", tmp_path, n=12, seed=3)
    folders = {path.name for path in (tmp_path / FOLDER).iterdir()}
    names = {"A Luoi_Vietnam", "Big Sur_United States", "Kaikoura_New Zealand", "Osh_Kyrgyzstan"}
    assert folders == {*names, "Santa Catarina_Brazil", MARKER}
    data = open_gvlm(tmp_path)
    assert (data.kind, len(data)) == ("synthetic", 12)
    assert all(side % 512 for shape in data.shapes.values() for side in shape)
    assert {height > width for height, width in data.shapes.values()} == {True, False}
    assert all(0.005 < (sample.mask == 1).mean() / (sample.mask != 255).mean() < 0.7 for sample in data)
    assert main(["data", "check", "gvlm", str(tmp_path)]) == 0
    parts = [open_dataset("gvlm", 0, part, tmp_path) for part in ("train", "val", "test")]
    assert sum(map(len, parts)) == 12 and all(parts)
    assert json.loads((tmp_path / FOLDER / MARKER).read_text())["n"] == 12
    write_fake_gvlm(tmp_path / "again", 12, 3)
    assert open_gvlm(tmp_path / "again").sha256 == data.sha256
    write_fake_gvlm(tmp_path / "other", 12, 4)
    assert open_gvlm(tmp_path / "other").sha256 != data.sha256


def test_a_fake_never_takes_the_place_of_real_data(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(DatasetError, match="is not synthetic"):
        write_fake("gvlm", tmp_path, n=3, seed=0)
    assert open_gvlm(tmp_path).kind == "real"
    with pytest.raises(DatasetError, match="at least 3 images"):
        write_fake_gvlm(tmp_path / "small", 2, 0)


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("which", ["im.png", "ref.png"])
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_gives_a_sample_or_one_error(tmp_path: Path, which: str, data: st.DataObject) -> None:
    """Cut or with some bits changed: never another exception than ours."""
    image, mask = site("A Luoi", (34, 40))
    place = tmp_path / FOLDER / "A Luoi_Vietnam"
    place.mkdir(parents=True, exist_ok=True)
    files = {"im.png": encoded(image), "ref.png": encoded(mask * np.uint8(255))}
    content = bytearray(files[which])
    content = content[: data.draw(st.integers(0, len(content)))]
    for _ in range(data.draw(st.integers(0, 6)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for name, whole in files.items():
        (place / name).write_bytes(bytes(content) if name == which else whole)
    try:
        (sample,) = open_gvlm(tmp_path)
    except DatasetError as error:
        assert str(place) in str(error)
    else:
        assert sample.image.shape == (512, 512, 3) and sample.mask.shape == (512, 512)
        assert set(np.unique(sample.mask)) <= {0, 1, 255}


def test_an_empty_layout_does_not_hide_the_other(tmp_path: Path) -> None:
    write(tmp_path, CHANGE_FOLDER)
    (tmp_path / FOLDER).mkdir()
    assert len(open_gvlm(tmp_path)) == 9
