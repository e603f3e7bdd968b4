"""Tiles of the reservoir mosaics, on two scenes of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scgcnet.data import DatasetError, DatasetNotFoundError, check_dataset, open_dataset, open_whole
from scgcnet.data.amunet import FOLDER, Amunet


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two scenes of 1536 x 1280 px; the upper left 256 px of A are not covered."""
    rng = np.random.default_rng(0)
    folder = tmp_path / FOLDER
    folder.mkdir()
    for scene in "AB":
        image = rng.integers(0, 256, (1536, 1280, 3), dtype=np.uint8)
        mask = (rng.random((1536, 1280)) < 0.1).astype(np.uint8) * 255
        valid = np.full((1536, 1280), 255, np.uint8)
        if scene == "A":
            valid[:256, :256] = 0
        for kind, array in (("image", image), ("mask", mask), ("valid", valid)):
            Image.fromarray(array).save(folder / f"{scene}_{kind}.png", compress_level=1)
    return tmp_path


def test_tiles_are_cut_at_half_overlap(root: Path) -> None:
    whole = open_whole("amunet", root)
    assert isinstance(whole, Amunet)
    assert len(whole) == 2 * 11 * 9 - 1  # the corner has no valid pixel
    assert "A_0000_0000" not in whole.names
    assert set(whole.sites) == {"A", "B"}
    index = whole.names.index("A_0128_0256")
    scene = np.asarray(Image.open(root / FOLDER / "A_image.png"))
    np.testing.assert_array_equal(whole[index].image, scene[128:384, 256:512])
    half = whole[whole.names.index("A_0000_0128")]  # its left half is not covered
    assert (half.mask[:, :128] == 255).all()
    assert set(np.unique(half.mask[:, 128:])) == {0, 1}
    assert check_dataset("amunet", root) == []


def shared_pixels(whole: Amunet, names: tuple[str, ...], others: tuple[str, ...]) -> bool:
    box = dict(zip(whole.names, whole.boxes, strict=True))
    return any(box[a].overlaps(box[b]) for a in names for b in others)


@pytest.mark.parametrize(("kind", "leaks"), [("random", True), ("block", True), ("buffer", False), ("scene", False)])
@pytest.mark.parametrize("seed", [0, 1])
def test_only_a_buffer_or_another_scene_keeps_pixels_apart(root: Path, kind: str, leaks: bool, seed: int) -> None:
    whole = open_whole("amunet", root)
    assert isinstance(whole, Amunet)
    parts = {part: open_dataset("amunet", f"{kind}-{seed}", part, root).names for part in ("train", "val", "test")}
    assert shared_pixels(whole, parts["train"], parts["test"]) == leaks
    assert shared_pixels(whole, parts["val"], parts["test"]) == leaks
    assert not set(parts["train"]) & set(parts["test"])
    if kind == "scene":
        assert {name[0] for name in parts["test"]} == {"AB"[seed]}
        assert {name[0] for name in (*parts["train"], *parts["val"])} == {"BA"[seed]}


def test_a_number_means_the_buffer(root: Path) -> None:
    whole = open_whole("amunet", root)
    assert whole.split("1") == whole.split("buffer-1") != whole.split("buffer-0")


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("x-0", "amunet has no split 'x-0': name buffer-SEED or block-SEED or random-SEED or scene-SEED"),
        ("random-", "no split 'random-'"),
        ("-1", "no split '-1'"),
        ("scene-2", "no split scene-2: name scene-0 or scene-1"),
    ],
)
def test_splits_that_are_none(root: Path, which: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        open_dataset("amunet", which, "train", root)


def test_faults(root: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / FOLDER / "A_valid.png")
    (root / FOLDER / "B_mask.png").unlink()
    faults = check_dataset("amunet", root)
    assert len(faults) == 2
    assert "A_valid.png: the mask is 8x8 px, but its image A_image.png is 1280x1536 px" in " ".join(faults)
    assert "B_mask.png" in " ".join(faults)
    with pytest.raises(DatasetError, match=r"B_mask\.png cannot be reached"):
        open_whole("amunet", root)
    with pytest.raises(DatasetNotFoundError, match="AMU-Net reservoir mosaics not found"):
        open_whole("amunet", tmp_path / "none")
