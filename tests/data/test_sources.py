"""What every data set of the registry promises; a new one is tested here as soon as it is registered."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from scgcnet.data import (
    PARTS,
    SOURCES,
    DatasetError,
    DatasetNotFoundError,
    check_dataset,
    data_root,
    data_sha256,
    dataset_available,
    dataset_notes,
    open_dataset,
    open_whole,
    split_sha256,
    write_fake,
)
from scgcnet.data.overlap import audit, report
from scgcnet.data.pairs import FileDataset
from scgcnet.files import find_checkout

LAYOUTS = [name for name in SOURCES if not name.startswith("synthetic")]
clock = itertools.count(1)

WITHOUT_LANDSLIDES = {"bijie_negatives", "landslide_free", "cld_unlabelled"}


class Fake(NamedTuple):
    name: str
    root: Path

    @property
    def source(self) -> type[FileDataset]:
        return SOURCES[self.name]

    @property
    def count(self) -> int:
        return max(8, self.source.fewest)


@pytest.fixture(scope="module", params=SOURCES)
def fake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fake:
    """A fake of a data set; the synthetic ones write themselves."""
    found = Fake(request.param, tmp_path_factory.mktemp(request.param))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scgcnet.data.bijie.DEFAULT_COUNT", found.count)
        for name, pixels in (("TILE", 64), ("STRIDE", 32), ("ENLARGED", 1)):
            patch.setattr(f"scgcnet.data.cld.{name}", pixels)
        if found.name in LAYOUTS:
            write_fake(found.name, found.root, found.count, seed=3)
        open_whole(found.name, found.root)
        yield found


@pytest.fixture
def copy(fake: Fake, tmp_path: Path) -> Fake:
    """A copy that may be damaged."""
    shutil.copytree(fake.root, tmp_path, dirs_exist_ok=True)
    return Fake(fake.name, tmp_path)


class TestSource:
    def test_a_fake_has_no_faults(self, fake: Fake) -> None:
        assert check_dataset(fake.name, fake.root) == []
        assert all(isinstance(note, str) for note in dataset_notes(fake.name, fake.root))
        assert dataset_available(fake.name, fake.root)

    def test_samples(self, fake: Fake) -> None:
        whole = open_whole(fake.name, fake.root)
        assert (whole.dataset, whole.kind) == (fake.name, "synthetic")
        assert len(whole) == len(whole.sites) == len(set(whole.names)) >= fake.count - 1
        for name, sample in zip(whole.names, whole, strict=True):
            assert sample.name == name
            assert sample.image.dtype == sample.mask.dtype == np.uint8
            assert sample.image.shape == (*sample.mask.shape, 3)
            assert set(np.unique(sample.mask)) <= {0, 1, 255}
            assert sample.resolution is None or sample.resolution > 0
        masks = [sample.mask for sample in whole]
        assert any((mask == 1).any() for mask in masks) == (fake.name not in WITHOUT_LANDSLIDES)
        assert whole[-1].name == whole.names[-1]
        with pytest.raises(IndexError):
            whole[len(whole)]

    def test_parts_are_disjoint_and_deterministic(self, fake: Fake, copy: Fake) -> None:
        names = open_whole(fake.name, fake.root).names
        parts = [open_dataset(fake.name, 0, part, fake.root).names for part in PARTS]
        assert all(parts) and sum(map(len, parts)) == len(set().union(*parts)) and set().union(*parts) <= set(names)
        assert [open_dataset(copy.name, "0", part, copy.root).names for part in PARTS] == parts
        assert split_sha256(copy.name, 0, copy.root) == split_sha256(fake.name, 0, fake.root)
        with pytest.raises(DatasetError, match="nonsense"):
            open_dataset(fake.name, "nonsense", "train", fake.root)

    def test_the_hash_is_of_the_pixels(self, fake: Fake, copy: Fake) -> None:
        assert open_whole(fake.name, fake.root) is open_whole(fake.name, fake.root)
        assert data_sha256(copy.name, copy.root) == data_sha256(fake.name, fake.root)

    @pytest.mark.parametrize("which", ["image", "mask"])
    def test_a_truncated_file_is_named(self, copy: Fake, which: str) -> None:
        whole = open_whole(copy.name, copy.root)
        assert isinstance(whole, FileDataset)
        file: Path | None = getattr(whole.pairs[1], which)
        if file is None:
            return
        file.write_bytes(file.read_bytes()[:-100])
        with pytest.raises(DatasetError, match=file.name):
            list(open_whole(copy.name, copy.root))
        (fault,) = check_dataset(copy.name, copy.root)
        assert str(file) in fault

    def test_a_changed_file_is_read_anew(self, copy: Fake) -> None:
        before = open_whole(copy.name, copy.root)
        assert isinstance(before, FileDataset)
        for file in before.files_of(before.pairs[0]):
            os.utime(file, ns=(0, next(clock) * 10**9))
        assert open_whole(copy.name, copy.root) is not before

    def test_audit(self, fake: Fake) -> None:
        found = audit(fake.name, 0, fake.root)
        counts = {part.part: part.images for part in found.parts}
        assert {part: counts[part] for part in PARTS} == {
            part: len(open_dataset(fake.name, 0, part, fake.root)) for part in PARTS
        }
        assert report(found).startswith(f"{fake.name}, split 0: {sum(counts.values())} synthetic images\n")
        assert all(0 <= seen.share <= 1 for seen in found.seen)


@pytest.mark.parametrize("name", LAYOUTS)
class TestLayout:
    def test_a_missing_folder_says_how_to_get_it(self, tmp_path: Path, name: str) -> None:
        root = tmp_path / "none"
        with pytest.raises(DatasetNotFoundError) as caught:
            open_whole(name, root)
        assert str(root / SOURCES[name].home) in str(caught.value)
        assert check_dataset(name, root) == [str(caught.value)]
        assert dataset_notes(name, root) == []
        assert not dataset_available(name, root)
        if name != "folder":
            assert all(text in str(caught.value) for text in (*SOURCES[name].about, "SCGCNET_DATA"))

    def test_an_empty_folder_is_no_data_set(self, tmp_path: Path, name: str) -> None:
        (tmp_path / SOURCES[name].home).mkdir(exist_ok=True)
        assert check_dataset(name, tmp_path)
        with pytest.raises(DatasetError, match=str(tmp_path)):
            open_whole(name, tmp_path)

    def test_real_data_is_never_overwritten(self, tmp_path: Path, name: str) -> None:
        folder = tmp_path / SOURCES[name].home
        folder.mkdir(exist_ok=True)
        (folder / "mine.txt").touch()
        with pytest.raises(DatasetError, match="is not synthetic"):
            write_fake(name, tmp_path)
        assert [path.name for path in folder.iterdir()] == ["mine.txt"]
        with pytest.raises(DatasetError, match="needs at least"):
            write_fake(name, tmp_path / "new", 2)
        assert not (tmp_path / "new").exists()


def test_the_root_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / "book" / "pages"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    assert data_root() == find_checkout() / "data"  # type: ignore[operator]  # not in a checkout: the package's
    (tmp_path / "study.yml").touch()
    assert data_root() == tmp_path / "data"
    monkeypatch.setenv("SCGCNET_DATA", "../shared/data")
    assert data_root() == tmp_path / "../shared/data"
    assert not dataset_available("bijie")
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "elsewhere"))
    write_fake("bijie", tmp_path / "elsewhere", 3)
    assert dataset_available("bijie") and data_sha256("bijie") == data_sha256("bijie", tmp_path / "elsewhere")


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data set 'bije'; the names are bijie, "):
        open_dataset("bije", 0, "train", tmp_path)
    write_fake("bijie", tmp_path, 3)
    with pytest.raises(DatasetError, match="'testing' must be one of train, val, test"):
        open_dataset("bijie", 0, "testing", tmp_path)  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match="drawn on first use"):
        write_fake("synthetic", tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("SCGCNET_DATA" not in os.environ, reason="SCGCNET_DATA does not name the real data")
@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("bijie", "5807c4667aa2b10fe7a582adc706f036c84d33d0fefb004f70c52c1177cef0f7"),
        ("bijie_negatives", "3732a0ec9022782f7dc7ebad4fe28c3064096fa6e8d73e54ea3ddfd78f777274"),
        ("cld", "7ed9b157c923b0e1327a33308f8264d50dcef0c9421e77d622d192b5355569f4"),
        ("landslide4sense", "70376c12d75e219f4fbf7c3024069486a687d0881763eabfce5aeb579ff89e03"),
        ("amunet", "4294062ed0e647831ba1ccaed29ef515942292019044a7a1cfb2019d2fcae8e7"),
    ],
)
def test_the_real_data_that_our_numbers_are_made_with(name: str, digest: str) -> None:
    if not dataset_available(name):
        pytest.skip(f"no {name} in SCGCNET_DATA")
    assert check_dataset(name) == []
    assert data_sha256(name) == digest
