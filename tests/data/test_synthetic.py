from __future__ import annotations

import errno
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from bijie_files import Write
from PIL import Image

from scgcnet.data import DatasetError, check_dataset, open_dataset, synthetic, write_fake
from scgcnet.data.bijie import FOLDER, open_bijie
from scgcnet.data.sample import MARKER
from scgcnet.data.synthetic import open_synthetic, open_synthetic_elsewhere, render, write_synthetic
from scgcnet.files import WriteError


@pytest.fixture(scope="module")
def pictures() -> list[tuple[np.ndarray, np.ndarray]]:
    return [render(0, index) for index in range(40)]


def test_pictures_are_a_function_of_seed_and_index(pictures: list[tuple[np.ndarray, np.ndarray]]) -> None:
    image, mask = render(0, 5)
    np.testing.assert_array_equal(image, pictures[5][0])
    np.testing.assert_array_equal(mask, pictures[5][1])
    assert render(1, 5)[0].shape != image.shape or (render(1, 5)[0] != image).any()


def test_sizes_shares_and_values(pictures: list[tuple[np.ndarray, np.ndarray]]) -> None:
    shares = np.array([mask.mean() for _, mask in pictures])
    assert 0.08 < shares.mean() < 0.13  # Bijie: 0.101
    assert shares.min() > 0
    assert (shares < 0.04).any() and (shares > 0.2).any()
    sides = {side for _, mask in pictures for side in mask.shape}
    assert min(sides) >= 64 and max(sides) <= 200
    assert any(side % 2 for side in sides)
    for image, mask in pictures:
        assert image.dtype == mask.dtype == np.uint8
        assert image.shape == (*mask.shape, 3)
        assert set(np.unique(mask)) == {0, 1}
        assert image.std() > 10


def test_no_colour_threshold_solves_it(pictures: list[tuple[np.ndarray, np.ndarray]]) -> None:
    truth = np.concatenate([mask.ravel() for _, mask in pictures]).astype(bool)
    rgb = np.concatenate([image.reshape(-1, 3) for image, _ in pictures]).astype(float)
    features = {
        "red": rgb[:, 0],
        "luma": rgb @ [0.299, 0.587, 0.114],
        "red - green": rgb[:, 0] - rgb[:, 1],
        "red - blue": rgb[:, 0] - rgb[:, 2],
    }
    best = {}
    for name, values in features.items():
        cuts = np.quantile(values, np.linspace(0.5, 0.99, 40))
        best[name] = max(((values > cut) & truth).sum() / ((values > cut) | truth).sum() for cut in cuts)
    assert max(best.values()) < 0.6, best
    assert best["red"] > 0.15, best  # bare soil does stand out


def test_written_set_reads_back_through_the_real_loader(tmp_path: Path) -> None:
    folder = write_synthetic(tmp_path, n=10, seed=3)
    assert folder == tmp_path / FOLDER
    data = open_bijie(tmp_path)
    assert (data.kind, len(data)) == ("synthetic", 10)
    image, mask = render(3, 7)
    np.testing.assert_array_equal(data[7].image, image)
    np.testing.assert_array_equal(data[7].mask, mask)
    assert check_dataset("bijie", tmp_path) == []
    parts = [open_dataset("bijie", 0, part, tmp_path) for part in ("train", "val", "test")]
    assert [len(part) for part in parts] == [5, 3, 2]
    assert sorted(name for part in parts for name in part.names) == list(data.names)
    assert parts[0].kind == "synthetic"


def test_writing_again_changes_nothing_and_other_settings_are_refused(tmp_path: Path) -> None:
    folder = write_synthetic(tmp_path, n=3, seed=0)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    write_synthetic(tmp_path, n=3, seed=0)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(DatasetError, match="remove it or choose another folder"):
        write_synthetic(tmp_path, n=3, seed=1)
    with pytest.raises(DatasetError, match="at least 3 images"):
        write_synthetic(tmp_path / "b", n=2)


def test_real_data_is_never_overwritten(write_bijie: Write) -> None:
    root = write_bijie(["df003", "hz001", "hz002"])
    with pytest.raises(DatasetError, match="is not synthetic"):
        write_fake("bijie", root, n=3, seed=0)
    assert open_bijie(root).kind == "real"
    with pytest.raises(DatasetError, match="not of 'synthetic'"):
        write_fake("synthetic", root, n=3, seed=0)


def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
        if index == 2:
            raise KeyboardInterrupt
        return render(seed, index)

    monkeypatch.setattr(synthetic, "render", stop)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic(tmp_path, n=4)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    write_synthetic(tmp_path, n=4)
    assert len(open_bijie(tmp_path)) == 4


def test_two_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=write_synthetic, args=(tmp_path, 3, 0)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [FOLDER]
    assert json.loads((tmp_path / FOLDER / MARKER).read_text())["n"] == 3
    assert check_dataset("bijie", tmp_path) == []


def test_a_set_of_an_older_generator_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_synthetic(tmp_path, n=3)
    monkeypatch.setattr(synthetic, "generator_id", lambda: "0" * 8)
    with pytest.raises(DatasetError, match="was written with"):
        write_synthetic(tmp_path, n=3)


def test_a_damaged_marker_is_one_error(tmp_path: Path) -> None:
    marker = write_synthetic(tmp_path, n=3) / MARKER
    for text in (b"{", b"\xff", b"[" * 100_000):
        marker.write_bytes(text)
        with pytest.raises(DatasetError, match=r"synthetic\.json is damaged .*; remove .*, and it is written anew"):
            write_synthetic(tmp_path, n=3)


def test_a_full_disk_leaves_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(WriteError, match=r"Bijie-landslide-dataset: cannot be written: No space left on device"):
        write_synthetic(tmp_path / "a", n=3)
    assert list((tmp_path / "a").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        write_synthetic(tmp_path / "file", n=3)


def test_another_draw_stands_in_for_a_new_domain(tmp_path: Path) -> None:
    home, elsewhere = open_synthetic(tmp_path), open_synthetic_elsewhere(tmp_path)
    assert (elsewhere.dataset, elsewhere.kind, len(elsewhere)) == ("synthetic_elsewhere", "synthetic", len(home))
    pictures = {sample.image.tobytes() for sample in home}
    assert not any(sample.image.tobytes() in pictures for sample in elsewhere)
    assert elsewhere.sha256 != home.sha256
    np.testing.assert_array_equal(elsewhere[3].image, render(1, 3)[0])
    assert check_dataset("synthetic_elsewhere", tmp_path) == []
    parts = [open_dataset("synthetic_elsewhere", 0, part, tmp_path) for part in ("train", "val", "test")]
    assert sorted(name for part in parts for name in part.names) == list(elsewhere.names)


def test_damage_of_the_other_draw_is_found(tmp_path: Path) -> None:
    lost = open_synthetic_elsewhere(tmp_path).pairs[4].image
    lost.write_bytes(b"")
    (fault,) = check_dataset("synthetic_elsewhere", tmp_path)
    assert lost.name in fault
    assert check_dataset("synthetic", tmp_path) == []
