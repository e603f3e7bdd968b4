# ruff: noqa: RUF001  (some archives have full-width brackets in their names)
from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scgcnet.cli import main
from scgcnet.data import (
    DatasetError,
    DatasetNotFoundError,
    check_dataset,
    dataset_available,
    dataset_notes,
    open_dataset,
    open_whole,
    write_fake,
)
from scgcnet.data import cld_fake as fake_module
from scgcnet.data.cld import FOLDER, STRIDE, SUBSETS, Cld, check_cld, find_subsets, notes_cld, open_cld, plain
from scgcnet.data.cld_fake import write_fake_cld
from scgcnet.data.images import Pair
from scgcnet.data.overlap import CORNERS, Quadrants, find_overlap

SIDE = 16  # of the tiles that these tests write; the loader takes any


@pytest.fixture(autouse=True)
def _checkout(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout of its own, for the cache."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "study.yml").touch()
    monkeypatch.chdir(folder)


def tile(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rng = np.random.default_rng(number)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[: 1 + number % SIDE] = 1
    return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), mask


def write_tiles(place: Path, stems: Sequence[str], scale: int = 1, first: int = 0) -> Path:
    """An unpacked archive; its labels are no pictures, for nobody must read them."""
    for kind in ("img", "label", "mask"):
        (place / kind).mkdir(parents=True)
    for number, stem in enumerate(stems, start=first):
        image, mask = tile(number)
        Image.fromarray(image).save(place / "img" / f"{stem}.tif")
        Image.fromarray(mask * np.uint8(scale)).save(place / "mask" / f"{stem}.tif")
        (place / "label" / f"{stem}.tif").write_bytes(b"not to be read")
    return place


def the_fault(root: Path) -> str:
    """The one fault; opening tells it too."""
    (fault,) = check_cld(root)
    with pytest.raises(DatasetError) as caught:
        list(open_cld(root))
    assert str(caught.value) == fault
    return fault


def test_the_table_of_sub_sets() -> None:
    assert len(SUBSETS) == 16
    assert sum(subset.count for subset in SUBSETS) == 20_865
    assert len({subset.key for subset in SUBSETS}) == 16
    assert all(subset.key.isascii() and subset.key == subset.key.lower() for subset in SUBSETS)
    names = [name for subset in SUBSETS for name in subset.names]
    assert len(names) == len(set(names)), "two sub-sets share a name"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((subset.archive, subset.key) for subset in SUBSETS),
        *((subset.key, subset.key) for subset in SUBSETS),
        ("Palu", "palu"),
        ("LOMBOK", "lombok"),
        ("hokkaido_iburi_tobu", "hokkaido"),
        ("Tiburon Peninsula (Sentinel)", "tiburon-sentinel"),
        ("Tiburon Peninsula(Planet)", "tiburon-planet"),
        ("Mengdong", "mengdong"),
        ("Moxitaidi（SAT）", "moxitaidi-sat"),
        ("Moxitaidi (UAV-0.6 m)", "moxitaidi-uav-0.6m"),
        ("Moxi town(UAV-0.2m)", "moxi-town-uav-0.2m"),
        ("Moxi town (0.2 m)", "moxi-town-uav-0.2m"),
        ("Moxi  Town （UAV - 1m）", "moxi-town-uav-1m"),
        ("Moxi townú¿UAV-1mú⌐", "moxi-town-uav-1m"),  # GBK brackets, unpacked as code page 437
        ("Longxi River（SAT）", "longxi-sat"),
        ("longxi-river-uav", "longxi-uav"),
        ("Jiuzhai valley (0.2 m)", "jiuzhai-uav-0.2m"),
        ("Jiuzhai 0.5 m", "jiuzhai-uav-0.5m"),
        ("Ｗenchuan", "wenchuan"),
    ],
)
def test_every_spelling_is_known(tmp_path: Path, name: str, key: str) -> None:
    write_tiles(tmp_path / FOLDER / name, ["a1"])
    data = open_cld(tmp_path)
    assert data.names == (f"{key}/a1",)
    assert data.sites == (key,)


def test_plain_names() -> None:
    assert plain("Moxi town（UAV-0.2m）") == "moxitownuav02m"
    assert plain("（）") == ""


def test_values_come_back(tmp_path: Path) -> None:
    write_tiles(tmp_path / FOLDER / "palu", ["Palu0002", "Palu0001"])
    write_tiles(tmp_path / FOLDER / "Longxi River(SAT)", ["LongxiheSAT0500"], scale=255, first=2)
    data = open_whole("cld", tmp_path)
    assert (data.dataset, data.kind) == ("cld", "real")
    assert data.names == ("longxi-sat/LongxiheSAT0500", "palu/Palu0001", "palu/Palu0002")
    assert data.sites == ("longxi-sat", "palu", "palu")
    assert [sample.resolution for sample in data] == [0.5, 5, 5]
    for sample, number in zip(data, (2, 1, 0), strict=True):
        image, mask = tile(number)
        np.testing.assert_array_equal(sample.image, image)
        np.testing.assert_array_equal(sample.mask, mask)
    assert check_dataset("cld", tmp_path) == []
    assert open_whole("cld", tmp_path) is data
    assert dataset_available("cld", tmp_path)


@pytest.mark.parametrize(
    "place",
    [
        "palu/palu",
        "palu/Palu0817",
        "CAS Landslide Dataset/Palu",
        "10294997/palu/palu",
        "unpacked/（palu）",
        "Lombok/palu",  # the innermost name counts
    ],
)
def test_nested_folders(tmp_path: Path, place: str) -> None:
    write_tiles(tmp_path / FOLDER / place, ["a"])
    (tmp_path / FOLDER / "study areas shp").mkdir()
    (tmp_path / FOLDER / "__MACOSX" / place / "img").mkdir(parents=True)
    (tmp_path / FOLDER / ".hidden" / "img").mkdir(parents=True)
    (tmp_path / FOLDER / "palu.zip").write_bytes(b"an archive that was left")
    faults = check_cld(tmp_path)
    assert faults == (
        [f"{tmp_path / FOLDER / 'Lombok'} has no folder img; unpack the archive again."] * ("Lom" in place)
    )
    places, _ = find_subsets(tmp_path / FOLDER)
    assert {subset.key: found for subset, found in places.items()} == {"palu": tmp_path / FOLDER / place}


def test_a_linked_folder(tmp_path: Path) -> None:
    write_tiles(tmp_path / "elsewhere" / "x", ["a"])
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "Wenchuan").symlink_to(tmp_path / "elsewhere" / "x")
    (tmp_path / FOLDER / "circle").symlink_to(tmp_path / FOLDER)
    assert check_cld(tmp_path) == []  # nobody is told to remove a "copy" that is the only one
    assert open_cld(tmp_path).names == ("wenchuan/a",)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError) as caught:
        open_cld(tmp_path)
    for part in (str(tmp_path / FOLDER), "zenodo.org/records/10294997", "20,865", "CC BY-NC 4.0"):
        assert part in str(caught.value)
    assert check_cld(tmp_path) == [str(caught.value)]
    assert notes_cld(tmp_path) == []
    assert not dataset_available("cld", tmp_path)
    (tmp_path / FOLDER).mkdir()
    assert the_fault(tmp_path) == (
        f"{tmp_path / FOLDER} holds no sub-set; unpack each archive into a folder of its name, palu say."
    )


def test_an_unknown_folder_of_tiles(tmp_path: Path) -> None:
    write_tiles(tmp_path / FOLDER / "palu", ["a"])
    place = write_tiles(tmp_path / FOLDER / "Moxi town", ["a"])  # which of the two?
    fault = the_fault(tmp_path)
    assert fault.startswith(f"{place} holds img, but no sub-set has that name; name it as its archive, one of palu, ")
    assert all(subset.archive in fault for subset in SUBSETS)


def test_an_archive_unpacked_beside_the_others(tmp_path: Path) -> None:
    write_tiles(tmp_path / FOLDER, ["a"])
    assert f"{tmp_path / FOLDER / 'img'}: an archive was unpacked right here" in the_fault(tmp_path)
    write_tiles(tmp_path / FOLDER / "palu", ["a"])
    assert "move img, label and mask into a folder of the archive's name" in the_fault(tmp_path)


def test_one_sub_set_twice(tmp_path: Path) -> None:
    for name in ("palu", "Palu "):
        write_tiles(tmp_path / FOLDER / name, ["a"])
    assert the_fault(tmp_path).endswith("are both palu; keep only one of the two.")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of the truncated file, which is an error too
def test_check_lists_every_fault(tmp_path: Path) -> None:
    palu = write_tiles(tmp_path / FOLDER / "palu", ["a", "b", "c", "d"])
    (palu / "mask" / "a.tif").unlink()
    (palu / "img" / "b.tif").unlink()
    Image.new("L", (SIDE, SIDE), 7).save(palu / "mask" / "c.tif")
    (palu / "img" / "d.tif").write_bytes((palu / "img" / "d.tif").read_bytes()[:100])
    lombok = write_tiles(tmp_path / FOLDER / "Lombok", ["a"])
    Image.new("L", (3, 3)).save(lombok / "mask" / "a.tif")
    (tmp_path / FOLDER / "Wenchuan" / "label").mkdir(parents=True)
    (tmp_path / FOLDER / "Mengdong" / "img").mkdir(parents=True)
    faults = check_dataset("cld", tmp_path)
    expected = [
        f"{palu / 'img' / 'a.tif'} has no mask a.* in mask",
        f"{palu / 'mask' / 'b.tif'} has no image b.* in img",
        f"{palu / 'mask' / 'c.tif'}: mask values must be 0 and 255 (or 0 and 1), found 7",
        f"{palu / 'img' / 'd.tif'} cannot be decoded",
        "the mask is 3x3 px, but its image a.tif is 16x16",
        f"{tmp_path / FOLDER / 'Wenchuan'} has no folder img",
        f"{tmp_path / FOLDER / 'Mengdong' / 'img'} is empty",
        f"{tmp_path / FOLDER / 'Mengdong' / 'mask'} is missing",
    ]
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)
    with pytest.raises(DatasetError, match=r"\(4 more; `scgcnet data check` lists all\)"):
        open_cld(tmp_path)


def test_notes_are_no_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_tiles(tmp_path / FOLDER / "palu", ["a", "b"])
    away, fewer = dataset_notes("cld", tmp_path)
    assert away.startswith(
        "15 of 16 sub-sets are not there: Lombok, Hokkaido Iburi-Tobu, Tiburon Peninsula（Sentinel）"
    )
    assert fewer == "palu has 2 pairs, its archive 817."
    assert main(["data", "check", "cld", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[:2] == [f"note: {away}", f"note: {fewer}"]
    assert captured.out.splitlines()[2].startswith("note: the split 0 cannot be made: palu cannot be divided so")
    assert captured.err.endswith("cld: no faults\n")
    assert dataset_notes("bijie", tmp_path) == []


# Splits


def parts_of(split: Mapping[str, str]) -> dict[str, Counter[str]]:
    """Counts of the parts in each sub-set."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, part in split.items():
        counts[name.partition("/")[0]][part] += 1
    return dict(counts)


def gridded(places: Mapping[str, Sequence[tuple[int, int]]]) -> Cld:
    """CLD of tiles at these rows and columns, in half tiles; each sub-set is a grid of its own. Nothing is on disk."""
    pairs, tiles = [], []
    for key in sorted(places):
        for row, column in places[key]:
            pairs.append(Pair(f"{key}/{row:03}_{column:03}", Path(FOLDER) / key, Path(key), key, 1.0))
            tiles.append(Quadrants((256, 256), tuple(f"{key} {row + y} {column + x}" for y, x in CORNERS)))
    data = Cld("cld", "real", tuple(pairs), ())
    data.__dict__["overlap"] = find_overlap(tiles)
    return data


def overlapping_across(split: Mapping[str, str]) -> int:
    """How often a tile of `gridded` overlaps one of another part, both ways."""
    sites = [(*name.split("/"), part) for name, part in split.items() if part != "unused"]
    tiles = [(key, np.array(place.split("_"), int), part) for key, place, part in sites]
    return sum(
        one[0] == other[0] and one[2] != other[2] and bool((abs(one[1] - other[1]) <= 1).all())
        for one in tiles
        for other in tiles
    )


def test_random_split_divides_every_sub_set() -> None:
    grids = {"palu": [(0, 2 * n) for n in range(100)], "wenchuan": [(n, 0) for n in range(10)]}
    data = gridded(grids)
    split = data.split("random-1")
    assert parts_of(split) == {
        "palu": {"train": 50, "val": 30, "test": 20},
        "wenchuan": {"train": 5, "val": 3, "test": 2},
    }
    assert data.split("random-2") != split
    assert gridded({"wenchuan": grids["wenchuan"]}).split("random-1").items() <= split.items()
    assert overlapping_across(split) > 0


def test_grouped_split_never_divides_a_group() -> None:
    """Forty groups of three tiles in a row, of which each overlaps the next, and sixty single tiles."""
    grids = {
        "palu": [(4 * n, m) for n in range(40) for m in range(3)],
        "lombok": [(4 * n, 0) for n in range(60)],
    }
    data = gridded(grids)
    split = data.split("grouped-0")
    assert split == data.split("0") == gridded(grids).split("0")
    assert split is data.split("grouped-0")
    assert overlapping_across(split) == 0
    assert parts_of(split) == {
        "palu": {"train": 60, "val": 36, "test": 24},
        "lombok": {"train": 30, "val": 18, "test": 12},
    }
    assert data.split("grouped-1") != split
    assert gridded({"lombok": grids["lombok"]}).split("0").items() <= split.items()


def test_a_large_group_is_cut_with_a_buffer() -> None:
    data = gridded({"jiuzhai-uav-0.5m": [(row, column) for row in range(30) for column in range(30)]})
    assert set(data.overlap.groups) == {0}
    split = data.split("grouped-0")
    counts = parts_of(split)["jiuzhai-uav-0.5m"]
    assert overlapping_across(split) == 0
    assert 0 < counts["unused"] < 0.3 * 900
    used = 900 - counts["unused"]
    for part, share in (("train", 0.5), ("val", 0.3), ("test", 0.2)):
        assert abs(counts[part] / used - share) < 0.08, counts


def test_a_large_group_that_contradicts_itself_is_one_error() -> None:
    data = gridded({"palu": [(0, n) for n in range(20)] + [(2, 2 * n) for n in range(20)]})
    assert max(Counter(data.overlap.groups).values()) > 0.2 * 40
    boxes = tuple(
        None if group == 0 else box for group, box in zip(data.overlap.groups, data.overlap.boxes, strict=True)
    )
    object.__setattr__(data.overlap, "boxes", boxes)
    object.__setattr__(data.overlap, "conflicts", {0: (3, 17)})
    one, other = data.names[3], data.names[17]
    with pytest.raises(DatasetError, match=rf"20 tiles hang together.*: {one} and {other} have .* Remove one of"):
        data.split("0")
    assert set(data.split("random-0").values()) == {"train", "val", "test"}


def test_copies_in_two_sub_sets_stay_together(tmp_path: Path) -> None:
    stems = [f"{n:02}" for n in range(6)]
    write_tiles(tmp_path / FOLDER / "Lombok", stems)
    write_tiles(tmp_path / FOLDER / "palu", [*stems, *"abc"])
    split = open_cld(tmp_path).split("0")
    assert len(split) == 15
    for stem in stems:
        assert split[f"palu/{stem}"] == split[f"lombok/{stem}"]


def test_what_cannot_be_divided(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"^palu cannot be divided so: A split needs at least 3 images.* Or complete its"
    ):
        gridded({"palu": [(0, 0), (0, 2)]}).split("random-0")
    with pytest.raises(DatasetError, match=r"^palu cannot be divided so: A split over groups needs at least 3"):
        gridded({"palu": [(0, 0), (0, 1), (0, 2), (0, 3)]}).split("0")
    with pytest.raises(DatasetError, match="cld has no split 'spatial-0': name grouped-SEED or random-SEED"):
        gridded({"palu": [(0, 0)]}).split("spatial-0")


# The fake


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fake")
    write_fake("cld", root, n=52)
    return root


def test_the_fake_has_all_sub_sets_under_their_archives_names(fake: Path) -> None:
    assert {place.name for place in (fake / FOLDER).iterdir() if place.is_dir()} == {s.archive for s in SUBSETS}
    data = open_whole("cld", fake)
    assert isinstance(data, Cld)
    assert (data.kind, len(data)) == ("synthetic", 52)
    counts = Counter(data.sites)
    assert counts == {subset.key: 3 + (number < 4) for number, subset in enumerate(SUBSETS)}
    assert check_dataset("cld", fake) == []
    assert dataset_notes("cld", fake) == []
    sample = data[0]
    assert (sample.image.shape, sample.mask.shape) == ((512, 512, 3), (512, 512))
    assert sum(0 < sample.mask.mean() < 0.9 for sample in data) > 40
    label = np.asarray(Image.open(next((fake / FOLDER / "palu" / "label").iterdir())))
    mask = np.asarray(Image.open(next((fake / FOLDER / "palu" / "mask").iterdir())))
    np.testing.assert_array_equal(label, np.repeat(255 * (1 - mask)[..., None], 3, axis=2))


def test_the_tiles_of_the_fake_overlap_as_real_ones_do(fake: Path) -> None:
    data = open_cld(fake)
    assert Counter(Counter(data.overlap.groups).values()) == {1: 44, 2: 4}
    first, second = (data.names.index(f"palu/palu000{n}") for n in (1, 2))
    np.testing.assert_array_equal(data[first].image[:, STRIDE:], data[second].image[:, :STRIDE])
    np.testing.assert_array_equal(data[first].mask[:, STRIDE:], data[second].mask[:, :STRIDE])
    box = data.overlap.boxes[second]
    assert box is not None
    assert (box.top, box.left, box.bottom, box.right) == (0, 256, 512, 768)


@pytest.mark.parametrize("split", ["0", "grouped-1", "random-0"])
def test_the_fake_can_be_split(fake: Path, split: str) -> None:
    parts = [open_dataset("cld", split, part, fake) for part in ("train", "val", "test")]
    assert sorted(name for part in parts for name in part.names) == list(open_cld(fake).names)
    assert all(set(part.sites) == {subset.key for subset in SUBSETS} for part in parts)


def test_the_fake_replaces_nothing(tmp_path: Path, fake: Path) -> None:
    with pytest.raises(DatasetError, match=r"ask for 48, not 47"):
        write_fake("cld", tmp_path, n=47)
    before = {path: path.stat().st_mtime_ns for path in fake.rglob("*")}
    assert write_fake_cld(fake, n=52) == fake / FOLDER
    assert before == {path: path.stat().st_mtime_ns for path in fake.rglob("*")}
    with pytest.raises(DatasetError, match="remove it or choose another folder"):
        write_fake("cld", fake, n=52, seed=1)
    write_tiles(tmp_path / FOLDER / "palu", ["a"])
    with pytest.raises(DatasetError, match="is not synthetic"):
        write_fake("cld", tmp_path, n=48)
    assert open_cld(tmp_path).kind == "real"


def test_an_interrupted_fake_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fake_module, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        write_fake("cld", tmp_path, n=48)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif("SCGCNET_DATA" not in os.environ, reason="SCGCNET_DATA does not name the real data")
def test_real_cld() -> None:
    if not dataset_available("cld"):
        pytest.skip(f"no {FOLDER} in SCGCNET_DATA")
    data = open_whole("cld")
    assert data.kind == "real"
    assert (data[0].image.shape, data[0].resolution) == ((512, 512, 3), 3.0)
    assert {sample.image.shape for sample in open_dataset("cld", 0, "test")} == {(512, 512, 3)}


def test_pictures_of_the_masks_are_no_masks(tmp_path: Path) -> None:
    write_tiles(tmp_path / FOLDER / "palu", ["a", "b"])
    assert check_cld(tmp_path) == []
    for name in "ab":
        mask = np.ones((SIDE, SIDE, 3), np.uint8) * 255  # landslides black
        mask[:5, :5] = 0
        Image.fromarray(mask).save(next((tmp_path / FOLDER / "palu" / "mask").glob(f"{name}.*")))
    (fault,) = check_cld(tmp_path)
    assert fault.startswith("palu: the masks call ") and "copy the folder `mask` of the archive" in fault
