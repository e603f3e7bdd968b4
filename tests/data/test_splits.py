from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scgcnet.data import PARTS, DatasetError
from scgcnet.data.splits import (
    committed_split,
    grouped_split,
    random_split,
    read_split,
    split_hash,
    split_indices,
    write_split,
)

OFFICIAL = [f"{site}{i:03d}" for site in ("df", "hz", "js", "nyx", "qx", "qxg", "wn") for i in range(110)]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_committed_splits(number: int) -> None:
    split = read_split(committed_split("bijie", number))
    assert list(split) == [f"ls_{i:04d}" for i in range(770)]
    assert Counter(split.values()) == {"train": 385, "val": 231, "test": 154}


def test_committed_splits_differ() -> None:
    hashes = {split_hash(read_split(committed_split("bijie", number))) for number in range(3)}
    assert len(hashes) == 3
    with pytest.raises(DatasetError, match=r"no committed split bijie-3\.csv; take one of bijie-0\.csv"):
        committed_split("bijie", 3)


def test_match_by_name(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write_split(path, {"c": "test", "a": "train", "b": "val", "d": "train"})
    split = read_split(path)
    assert split_indices(["a", "b", "c", "d"], split, str(path)) == {"train": [0, 3], "val": [1], "test": [2]}


def test_match_by_rank_when_all_770_official_names_are_there() -> None:
    path = committed_split("bijie", 0)
    split = read_split(path)
    by_rank = split_indices(sorted(OFFICIAL), split, str(path))
    assert by_rank == split_indices(list(split), split, str(path))
    assert sorted(i for indices in by_rank.values() for i in indices) == list(range(770))


@pytest.mark.parametrize(
    "names",
    [
        OFFICIAL[:-1],  # one is missing: the ranks after it would shift
        [*OFFICIAL, "zz000"],
        [f"ls_{i:04d}" for i in range(769)],
        [f"ls_{i:04d}" for i in range(1, 771)],  # 770, and most of the names agree: ranks would be off by one
    ],
)
def test_no_guessing_otherwise(names: list[str]) -> None:
    path = committed_split("bijie", 0)
    with pytest.raises(DatasetError, match=r"bijie-0\.csv does not fit the data") as caught:
        split_indices(sorted(names), read_split(path), str(path))
    assert f"the folder holds {len(names)} pairs" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,part\na,train\nb,val\nc,test\na,val\n", "'a' is listed twice"),
        ("name,part\na,train\nb,val\nc,testing\n", "part 'testing' of 'c' must be one of train, val, test"),
        ("name,part\na,train\nb,val\n", "no image is in part 'test'"),
        ("file,part\na,train\n", "columns must be name,part"),
        ("", "columns must be name,part"),
    ],
)
def test_faulty_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_split(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"name,part\n\xff,train\n", b'name,part\n"a,train\n', b"name,part\n" + b"x" * 200_000]
)
def test_crafted_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(b"name,part\n" + content)
    with pytest.raises(DatasetError, match=r"s\.csv cannot be read as CSV"):
        read_split(path)


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_split_or_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(b"name,part\na,train\nb,val\nc,test\n" + content)
    try:
        assert set(read_split(path).values()) == set(PARTS)
    except DatasetError as error:
        assert str(path) in str(error)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such split file"):
        read_split(tmp_path / "none.csv")


@pytest.mark.parametrize(("n", "sizes"), [(3, (1, 1, 1)), (10, (5, 3, 2)), (60, (30, 18, 12)), (770, (385, 231, 154))])
def test_random_split(n: int, sizes: tuple[int, int, int]) -> None:
    names = [f"x{i}" for i in range(n)]
    split = random_split(names, seed=1)
    assert list(split) == names
    counts = Counter(split.values())
    assert tuple(counts[part] for part in PARTS) == sizes
    assert random_split(names, seed=1) == split
    if n >= 10:
        assert random_split(names, seed=2) != split


def test_random_split_needs_three() -> None:
    with pytest.raises(DatasetError, match="at least 3"):
        random_split(["a", "b"], seed=0)


def test_hash_ignores_line_endings_and_order(tmp_path: Path) -> None:
    a, b, c = (tmp_path / f"{name}.csv" for name in "abc")
    write_split(a, {"x": "train", "y": "val", "z": "test"})
    b.write_bytes(b"name,part\r\nz,test\r\ny,val\r\nx,train\r\n")
    write_split(c, {"x": "train", "y": "test", "z": "val"})
    first, second, third = (split_hash(read_split(path)) for path in (a, b, c))
    assert first == second != third


@given(st.lists(st.integers(0, 8), min_size=12, max_size=80), st.integers(0, 5))
def test_a_grouped_split_divides_no_group(numbers: list[int], seed: int) -> None:
    names, groups = [f"x{i}" for i in range(len(numbers))], [f"g{n}" for n in numbers]
    if len(set(groups)) < 3:
        with pytest.raises(DatasetError, match="at least 3 of them"):
            grouped_split(names, groups, seed)
        return
    split = grouped_split(names, groups, seed)
    assert list(split) == names
    assert set(split.values()) == set(PARTS)
    assert len({(group, split[name]) for name, group in zip(names, groups, strict=True)}) == len(set(groups))
    assert grouped_split(names, groups, seed) == split


def test_a_grouped_split_of_small_groups_is_near_5_3_2() -> None:
    names = [f"x{i}" for i in range(400)]
    counts = Counter(grouped_split(names, [f"g{i // 4}" for i in range(400)], 0).values())
    assert [counts[part] for part in PARTS] == pytest.approx([200, 120, 80], abs=4)


def test_an_unused_sample_is_in_no_part(tmp_path: Path) -> None:
    path = tmp_path / "split.csv"
    write_split(path, {"a": "train", "b": "val", "c": "test", "d": "unused"})
    assert split_indices(["a", "b", "c", "d"], read_split(path), str(path)) == {"train": [0], "val": [1], "test": [2]}
