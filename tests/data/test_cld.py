# ruff: noqa: RUF001  (some archives have full-width brackets in their names)
"""CLD: the archives' names and nesting, faults, and splits that keep overlapping tiles together."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data import DatasetError, check_dataset, open_dataset, write_fake
from scgcnet.data.cld import STRIDE, SUBSETS, Cld, find_subsets, plain
from scgcnet.data.matching import CORNERS, Quadrants, find_overlap
from scgcnet.data.pairs import Pair

FOLDER = Cld.home
SIDE = 16  # of the tiles that these tests write; the loader takes any


def tile(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[: 1 + number % SIDE] = 1
    return np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), mask


def write_tiles(place: Path, stems: Sequence[str], scale: int = 1, first: int = 0) -> Path:
    """An unpacked archive; its labels are no pictures, because they must not be read."""
    for kind in ("img", "label", "mask"):
        (place / kind).mkdir(parents=True)
    for number, stem in enumerate(stems, start=first):
        image, mask = tile(number)
        Image.fromarray(image).save(place / "img" / f"{stem}.tif")
        Image.fromarray(mask * np.uint8(scale)).save(place / "mask" / f"{stem}.tif")
        (place / "label" / f"{stem}.tif").write_bytes(b"not to be read")
    return place


def the_fault(root: Path) -> str:
    """The one fault; opening raises it too."""
    (fault,) = check_dataset("cld", root)
    with pytest.raises(DatasetError) as caught:
        Cld.open(root)
    assert str(caught.value) == fault
    return fault


def test_the_table_of_sub_sets() -> None:
    assert len(SUBSETS) == len({subset.key for subset in SUBSETS}) == 16
    assert sum(subset.tiles for subset in SUBSETS) == 20_865
    names = [name for subset in SUBSETS for name in subset.names]
    assert len(names) == len(set(names)), "two sub-sets share a name"
    assert plain("Moxi town（UAV-0.2m）") == "moxitownuav02m" and plain("（）") == ""


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((subset.archive, subset.key) for subset in SUBSETS),
        ("hokkaido_iburi_tobu", "hokkaido"),
        ("Tiburon Peninsula(Planet)", "tiburon-planet"),
        ("Mengdong", "mengdong"),
        ("Moxitaidi (UAV-0.6 m)", "moxitaidi-uav-0.6m"),
        ("Moxi town (0.2 m)", "moxi-town-uav-0.2m"),
        ("Moxi townú¿UAV-1mú⌐", "moxi-town-uav-1m"),  # GBK brackets, unpacked as code page 437
        ("longxi-river-uav", "longxi-uav"),
        ("Jiuzhai 0.5 m", "jiuzhai-uav-0.5m"),
        ("Ｗenchuan", "wenchuan"),
    ],
)
def test_every_spelling_is_known(tmp_path: Path, name: str, key: str) -> None:
    write_tiles(tmp_path / FOLDER / name, ["a1"])
    data = Cld.open(tmp_path)
    assert (data.names, data.sites) == ((f"{key}/a1",), (key,))


@pytest.mark.parametrize(
    "place", ["palu/palu", "palu/Palu0817", "10294997/palu/palu", "unpacked/（palu）", "Lombok/palu"]
)
def test_nested_folders(tmp_path: Path, place: str) -> None:
    write_tiles(tmp_path / FOLDER / place, ["a"])
    (tmp_path / FOLDER / "study areas shp").mkdir()
    (tmp_path / FOLDER / "__MACOSX" / place / "img").mkdir(parents=True)
    (tmp_path / FOLDER / ".hidden" / "img").mkdir(parents=True)
    lombok = [f"{tmp_path / FOLDER / 'Lombok'} has no folder img; unpack the archive again."]
    assert check_dataset("cld", tmp_path) == lombok * ("Lombok" in place)
    places, _ = find_subsets(tmp_path / FOLDER)
    assert {subset.key: found for subset, found in places.items()} == {"palu": tmp_path / FOLDER / place}


def test_faults_of_folders(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    assert "holds no sub-set; unpack each archive into a folder of its name" in the_fault(tmp_path)
    write_tiles(tmp_path / FOLDER, ["a"])
    assert f"{tmp_path / FOLDER / 'img'}: an archive was unpacked right here" in the_fault(tmp_path)
    twice = tmp_path / "twice"
    for name in ("palu", "Palu "):
        write_tiles(twice / FOLDER / name, ["a"])
    assert the_fault(twice).endswith("are both palu; keep only one of the two.")
    which = tmp_path / "which"
    place = write_tiles(which / FOLDER / "Moxi town", ["a"])  # two archives begin so
    assert the_fault(which).startswith(f"{place} holds img, but no sub-set has that name")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of the truncated file, which is an error too
def test_check_lists_every_fault(tmp_path: Path) -> None:
    palu = write_tiles(tmp_path / FOLDER / "palu", ["a", "c", "d"])
    (palu / "mask" / "a.tif").unlink()
    Image.new("L", (SIDE, SIDE), 7).save(palu / "mask" / "c.tif")
    (palu / "img" / "d.tif").write_bytes((palu / "img" / "d.tif").read_bytes()[:100])
    (tmp_path / FOLDER / "Wenchuan" / "label").mkdir(parents=True)
    (tmp_path / FOLDER / "Mengdong" / "img").mkdir(parents=True)
    lombok = write_tiles(tmp_path / FOLDER / "Lombok", ["b"])
    label = np.full((SIDE, SIDE, 3), 255, np.uint8)  # landslides black
    label[:5, :5] = 0
    Image.fromarray(label).save(lombok / "mask" / "b.tif")
    faults = check_dataset("cld", tmp_path)
    expected = ["a.tif has no mask a.*", "c.tif: mask values", "d.tif cannot be decoded", "Wenchuan has no folder img"]
    expected += ["img is empty", "mask is missing", "lombok: the masks call 90% of the pixels landslide"]
    for words in expected:
        assert sum(words in fault for fault in faults) == 1, words
    assert len(faults) == len(expected)


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
            pairs.append(Pair(f"{key}/{row:03}_{column:03}", Path(key), Path(key), key, 1.0))
            tiles.append(Quadrants((256, 256), tuple(f"{key} {row + y} {column + x}" for y, x in CORNERS)))
    data = Cld(Path(FOLDER), pairs)
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
    split = gridded(grids).split("random-1")
    assert parts_of(split) == {
        "palu": {"train": 50, "val": 30, "test": 20},
        "wenchuan": {"train": 5, "val": 3, "test": 2},
    }
    assert gridded(grids).split("random-2") != split
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
    assert split == data.split("0") == gridded(grids).split("0") != data.split("grouped-1")
    assert split is data.split("grouped-0")
    assert overlapping_across(split) == 0
    assert parts_of(split) == {
        "palu": {"train": 60, "val": 36, "test": 24},
        "lombok": {"train": 30, "val": 18, "test": 12},
    }
    assert gridded({"lombok": grids["lombok"]}).split("0").items() <= split.items()


def test_a_large_group_is_cut_with_a_buffer() -> None:
    data = gridded({"jiuzhai-uav-0.5m": [(row, column) for row in range(30) for column in range(30)]})
    split = data.split("grouped-0")
    counts = parts_of(split)["jiuzhai-uav-0.5m"]
    assert overlapping_across(split) == 0
    assert 0 < counts["unused"] < 0.3 * 900
    used = 900 - counts["unused"]
    for part, share in (("train", 0.5), ("val", 0.3), ("test", 0.2)):
        assert abs(counts[part] / used - share) < 0.08, counts


def test_a_large_group_that_contradicts_itself_is_one_error() -> None:
    data = gridded({"palu": [(0, n) for n in range(20)] + [(2, 2 * n) for n in range(20)]})
    boxes = tuple(None if g == 0 else box for g, box in zip(data.overlap.groups, data.overlap.boxes, strict=True))
    data.__dict__["overlap"] = data.overlap._replace(boxes=boxes, conflicts={0: (3, 17)})
    with pytest.raises(DatasetError, match=rf"20 tiles are connected .*: {data.names[3]} and {data.names[17]} share"):
        data.split("0")
    assert set(data.split("random-0").values()) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("places", "which", "message"),
    [
        (
            [(0, 0), (0, 2)],
            "random-0",
            r"^palu cannot be divided so: A split needs at least 3 images.* Or complete its",
        ),
        ([(0, n) for n in range(4)], "0", r"^palu cannot be divided so: A split over groups needs at least 3"),
        ([(0, 0)], "spatial-0", "cld has no split 'spatial-0': name grouped-SEED or random-SEED"),
    ],
)
def test_what_cannot_be_divided(places: list[tuple[int, int]], which: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        gridded({"palu": places}).split(which)


@pytest.mark.slow
def test_the_tiles_of_the_fake_overlap_as_real_ones_do(tmp_path: Path) -> None:
    write_fake("cld", tmp_path, n=52)
    data = Cld.open(tmp_path)
    assert Counter(data.sites) == {subset.key: 3 + (number < 4) for number, subset in enumerate(SUBSETS)}
    assert Counter(Counter(data.overlap.groups).values()) == {1: 44, 2: 4}
    first, second = (data.names.index(f"palu/palu000{n}") for n in (1, 2))
    np.testing.assert_array_equal(data[first].image[:, STRIDE:], data[second].image[:, :STRIDE])
    np.testing.assert_array_equal(data[first].mask[:, STRIDE:], data[second].mask[:, :STRIDE])
    label = np.asarray(Image.open(next((tmp_path / FOLDER / "palu" / "label").iterdir())))
    mask = np.asarray(Image.open(next((tmp_path / FOLDER / "palu" / "mask").iterdir())))
    np.testing.assert_array_equal(label, np.repeat(255 * (1 - mask)[..., None], 3, axis=2))
    parts = [open_dataset("cld", "random-0", part, tmp_path) for part in ("train", "val", "test")]
    assert all(set(part.sites) == {subset.key for subset in SUBSETS} for part in parts)
