"""Tiles of the reservoir mosaics, on two scenes of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scgcnet.data import PARTS, DatasetError, check_dataset, open_dataset
from scgcnet.data.amunet import Amunet


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of 1536 x 1280 px; the upper left 256 px of A are not covered."""
    return write_scenes(tmp_path_factory.mktemp("amunet"))


def write_scenes(root: Path) -> Path:
    rng = np.random.default_rng(0)
    (root / Amunet.home).mkdir()
    for scene in "AB":
        image = rng.integers(0, 256, (1536, 1280, 3), dtype=np.uint8)
        mask = (rng.random((1536, 1280)) < 0.1).astype(np.uint8) * 255
        valid = np.full((1536, 1280), 255, np.uint8)
        if scene == "A":
            valid[:256, :256] = 0
        for kind, array in (("image", image), ("mask", mask), ("valid", valid)):
            Image.fromarray(array).save(root / Amunet.home / f"{scene}_{kind}.png", compress_level=1)
    return root


def test_tiles_are_cut_at_half_overlap(root: Path) -> None:
    whole = Amunet.open(root)
    assert len(whole) == 2 * 11 * 9 - 1  # the corner has no valid pixel
    assert "A_0000_0000" not in whole.names
    assert set(whole.sites) == {"A", "B"}
    scene = np.asarray(Image.open(root / Amunet.home / "A_image.png"))
    np.testing.assert_array_equal(whole[whole.names.index("A_0128_0256")].image, scene[128:384, 256:512])
    half = whole[whole.names.index("A_0000_0128")]  # its left half is not covered
    assert (half.mask[:, :128] == 255).all()
    assert set(np.unique(half.mask[:, 128:])) == {0, 1}


@pytest.mark.parametrize(("kind", "leaks"), [("random", True), ("block", True), ("buffer", False), ("scene", False)])
@pytest.mark.parametrize("seed", [0, 1])
def test_only_a_buffer_or_another_scene_keeps_pixels_apart(root: Path, kind: str, leaks: bool, seed: int) -> None:
    whole = Amunet.open(root)
    box = dict(zip(whole.names, whole.boxes, strict=True))
    parts = {part: open_dataset("amunet", f"{kind}-{seed}", part, root).names for part in PARTS}
    for other in ("train", "val"):
        assert any(box[a].overlaps(box[b]) for a in parts[other] for b in parts["test"]) == leaks
    if kind == "scene":
        assert {name[0] for name in parts["test"]} == {"AB"[seed]}
        assert {name[0] for name in (*parts["train"], *parts["val"])} == {"BA"[seed]}
    assert whole.split("1") == whole.split("buffer-1") != whole.split("buffer-0")


@pytest.mark.parametrize("which", ["x-0", "random-", "-1", "scene-2"])
def test_unknown_splits(root: Path, which: str) -> None:
    with pytest.raises(DatasetError, match=f"no split '?{which}"):
        open_dataset("amunet", which, "train", root)


def test_faults(tmp_path: Path) -> None:
    root = write_scenes(tmp_path)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(root / Amunet.home / "A_valid.png")
    (root / Amunet.home / "B_mask.png").unlink()
    first, second = check_dataset("amunet", root)
    assert "A_valid.png: the mask is 8x8 px, but its image A_image.png is 1280x1536 px" in first
    assert "B_mask.png" in second
    with pytest.raises(DatasetError, match=r"B_mask\.png cannot be reached"):
        Amunet.open(root)
