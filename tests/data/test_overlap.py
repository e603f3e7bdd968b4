"""Audits of splits: copies, shared ground, and how much of a test part was seen in training."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scgcnet.cli import main
from scgcnet.data import DatasetError, dataset_available, open_dataset, open_whole, write_fake
from scgcnet.data import amunet as amunet_module
from scgcnet.data.amunet import SCENES, Amunet
from scgcnet.data.bijie import Bijie
from scgcnet.data.overlap import Audit, Copies, Ground, PartCount, Seen, audit, ground_groups, report, shared_ground
from scgcnet.data.splits import grouped_split, write_split
from scgcnet.data.synthetic import render, write_pair

Array = NDArray[np.uint8]


def picture(seed: int, height: int = 80, width: int = 90) -> Array:
    return render(seed, 0, (height, width))[0]


def written(root: Path, images: Mapping[str, tuple[str, Array, Array]]) -> str:
    """Write images of a part, with their masks of 0 and 1, in Bijie's layout, and return the file of their split."""
    folder = root / Bijie.home / "landslide"
    for name, (_, image, mask) in images.items():
        write_pair(folder / "image", folder / "mask", name, image, mask)
    write_split(root / "split.csv", {name: part for name, (part, _, _) in images.items()})  # type: ignore[misc]
    return str(root / "split.csv")


def audited(root: Path, images: Mapping[str, tuple[str, Array, Array]]) -> Audit:
    return audit("bijie", written(root, images), root)


def empty(image: Array) -> Array:
    return np.zeros(image.shape[:2], np.uint8)


def test_images_that_share_nothing(tmp_path: Path) -> None:
    images = {}
    for number, part in enumerate(("train", "train", "val", "test", "unused")):
        mask = np.zeros((80, 90), np.uint8)
        mask[: 8 * number] = 1
        images[f"{number}"] = (part, picture(number), mask)
    found = audited(tmp_path, images)
    assert (found.dataset, found.kind, found.split) == ("bijie", "real", str(tmp_path / "split.csv"))
    assert found.parts == (
        PartCount("train", 2, 14_400, 0.05),
        PartCount("val", 1, 7200, 0.2),
        PartCount("test", 1, 7200, 2160 / 7200),
        PartCount("unused", 1, 7200, 0.4),
    )
    assert (found.copies, found.near, found.ground) == ((), (), ())
    assert (found.quadrants, found.quadrants_across, found.known_places) == (0, 0, False)
    assert [(seen.part, seen.before, seen.images, seen.touched, seen.mostly, seen.share) for seen in found.seen] == [
        ("test", "train", 1, 0, 0, 0),
        ("test", "val", 1, 0, 0, 0),
        ("val", "train", 1, 0, 0, 0),
    ]
    text = report(found)
    assert "Exact copies: none." in text and "at any shift: none." in text and "NOTE" not in text
    assert "test           1         0.0     30.00%" in text


def test_exact_copies_and_masks_that_disagree(tmp_path: Path) -> None:
    image = picture(0)
    one, other = empty(image), empty(image)
    one[:40], other[:20] = 1, 1
    calm = np.full((80, 90, 3), 77, np.uint8)  # too plain to be recognised, and yet a copy
    found = audited(
        tmp_path,
        {
            "a": ("train", image, one),
            "b": ("test", image, other),
            "c": ("val", calm, empty(calm)),
            "d": ("val", calm, empty(calm)),
            "e": ("test", picture(1), one),
        },
    )
    assert found.copies == (
        Copies(("a", "b"), ("train", "test"), 0.25),
        Copies(("c", "d"), ("val", "val"), 0.0),
    )
    assert found.ground == (
        Ground(("a", "b"), ("train", "test"), 7200, 1800),
        Ground(("c", "d"), ("val", "val"), 7200, 0),
    )
    assert found.near == ()  # they are known already
    assert found.seen[0] == Seen("test", "train", 2, 1, 1, 0.5)
    assert (found.quadrants, found.quadrants_across) == (4, 4)
    text = report(found)
    assert "Exact copies: 2 groups of images with the same pixels." in text
    assert "NOTE: copies of one image lie in different parts." in text
    assert "a (train), b (test): masks differ on 25.00% of the pixels" in text
    assert "c (val), d (val): masks agree" in text
    assert "On all that these pairs share, masks differ on 12.50% of the pixels." in text
    assert "test    train            50.00%              1 of 2                   1" in text


def test_many_copies_of_a_plain_image(tmp_path: Path) -> None:
    """The first is in val; those of test are found in train all the same."""
    calm = np.full((40, 40, 3), 77, np.uint8)
    parts = ["val", *["train"] * 20, *["test"] * 20]
    found = audited(tmp_path, {f"{n:02}": (part, calm, empty(calm)) for n, part in enumerate(parts)})
    assert len(found.copies[0].names) == 41
    assert [(seen.touched, seen.share) for seen in found.seen] == [(20, 1.0), (20, 1.0), (1, 1.0)]
    assert len(found.ground) < 41 * 3


def test_crops_of_one_scene(tmp_path: Path) -> None:
    """Two crops of train cover most of one of test between them, and a quarter twice."""
    scene, marked = render(5, 0, (200, 200))
    boxes = {
        "a": ("train", 0, 0, 100, 100),
        "b": ("train", 60, 40, 160, 140),
        "t": ("test", 50, 50, 170, 160),
        "v": ("val", 100, 100, 200, 200),
    }
    images = {}
    for name, (part, top, left, bottom, right) in boxes.items():
        mask = marked[top:bottom, left:right].copy()
        if name == "t":
            mask[:] = 1 - mask
        images[name] = (part, scene[top:bottom, left:right], mask)
    found = audited(tmp_path, images)
    areas = {
        ("a", "b"): (40 * 60, 0),
        ("a", "t"): (50 * 50, 50 * 50),
        ("a", "v"): (0, 0),
        ("b", "t"): (100 * 90, 100 * 90),
        ("b", "v"): (60 * 40, 0),
        ("t", "v"): (70 * 60, 70 * 60),
    }
    assert {pair.names: (pair.pixels, pair.differing) for pair in found.ground} == {
        names: area for names, area in areas.items() if area[0]
    }
    assert found.ground[0].names == ("b", "t")
    assert found.seen == (
        Seen("test", "train", 1, 1, 1, (100 * 90 + 10 * 50) / (120 * 110)),  # a has some of the rows above b
        Seen("test", "val", 1, 1, 0, 70 * 60 / (120 * 110)),
        Seen("val", "train", 1, 1, 0, 0.24),
    )
    assert (found.copies, found.quadrants, found.quadrants_across) == ((), 0, 0)
    text = report(found)
    assert "at any shift: 5 pairs of images, 4 of them across parts." in text
    assert "b (train), t (test): 9000 px, masks differ on 100.00% of the pixels" in text
    assert "a (train), b (train)" not in text


def test_what_looks_alike_but_has_other_pixels(tmp_path: Path) -> None:
    brighter = np.clip(picture(0)[:, ::-1].astype(int) + 9, 0, 255).astype(np.uint8)
    images = {"a": ("train", picture(0)), "b": ("test", brighter), "c": ("val", picture(1))}
    found = audited(tmp_path, {name: (part, image, empty(image)) for name, (part, image) in images.items()})
    (near,) = found.near
    assert (near.names, near.parts) == (("a", "b"), ("train", "test"))
    assert near.correlation > 0.99
    assert (found.copies, found.ground) == ((), ())
    assert "a (train), b (test): correlation 0.99" in report(found) or "correlation 1.000" in report(found)


def write_scenes(root: Path, side: int = 768) -> Path:
    """Two scenes in AMU-Net's layout, with a plain half and an empty corner."""
    (root / Amunet.home).mkdir()
    for number, scene in enumerate(SCENES):
        image = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
        image[: side // 2] = 90
        valid = np.ones((side, side), np.uint8)
        valid[:200, :200] = 0
        image[valid == 0] = 0
        mask = valid.copy()
        mask[: side // 2] = 0
        for kind, array in (("image", image), ("mask", mask), ("valid", valid)):
            Image.fromarray(array).save(root / Amunet.home / f"{scene}_{kind}.png")
    return root


@pytest.mark.parametrize("split", ["random-0", "block-0", "buffer-0"])
def test_known_places_give_the_exact_share(tmp_path: Path, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amunet_module, "BLOCK", 256)
    root = write_scenes(tmp_path)
    found = audit("amunet", split, root)
    data = open_whole("amunet", root)
    assert isinstance(data, Amunet)
    parts = data.split(split)
    covered = {scene: np.zeros((768, 768), bool) for scene in SCENES}
    for name, box in zip(data.names, data.boxes, strict=True):
        if parts[name] == "train":
            covered[box.scene][box.top : box.bottom, box.left : box.right] = True
    shares = [
        covered[box.scene][box.top : box.bottom, box.left : box.right].mean()
        for name, box in zip(data.names, data.boxes, strict=True)
        if parts[name] == "test"
    ]
    assert found.known_places
    assert found.seen[0].share == pytest.approx(np.mean(shares))
    assert (found.seen[0].share > 0.2) == (split != "buffer-0")
    assert found.seen[0].touched == sum(share > 0 for share in shares)
    assert found.seen[0].mostly == sum(share > 0.5 for share in shares)
    assert "by the places of the tiles" in report(found)
    masks = [sample.mask for sample in data if parts[sample.name] == "test"]
    known = sum(int((mask != 255).sum()) for mask in masks)
    assert found.parts[2].landslide == sum(int((mask == 1).sum()) for mask in masks) / known
    assert found.parts[2].pixels == sum(mask.size for mask in masks)
    assert found.copies, "tiles of the plain half are copies, but of other ground"


def test_a_report_lists_the_first_ten() -> None:
    pairs = tuple(Ground((f"a{n}", f"b{n}"), ("train", "test"), 100 - n, 0) for n in range(12))
    text = report(Audit("bijie", "real", "0", (), (), (), 0, 0, pairs, False, ()))
    assert "a9 (train), b9 (test): 91 px, masks agree\n  ... and 2 more\n" in text
    assert "a10" not in text


@pytest.mark.slow
@pytest.mark.skipif("SCGCNET_DATA" not in os.environ, reason="SCGCNET_DATA does not name the real data")
def test_the_committed_groups_of_bijie_are_those_found() -> None:
    if not dataset_available("bijie") or open_whole("bijie").kind != "real":
        pytest.skip("the real Bijie is not in SCGCNET_DATA")
    whole, found = open_whole("bijie"), audit("bijie", "grouped-0")
    assert [seen.share for seen in found.seen] == [0, 0, 0]
    assert len(found.ground) == 158
    assert {part.part: part.images for part in found.parts} == {"train": 385, "val": 231, "test": 154}
    assert whole.split("grouped-0") == grouped_split(whole.names, ground_groups(whole, found), 0)


def test_images_of_one_part_that_share_ground_are_one_group(tmp_path: Path) -> None:
    """Two crops overlap, a third overlaps the second alone; a copy in another part is not looked at."""
    scene = render(5, 0, (200, 240))[0]
    boxes = {
        "a": ("test", 0, 0, 100, 100),
        "b": ("test", 60, 40, 160, 140),
        "c": ("test", 70, 120, 180, 230),
        "d": ("val", 0, 0, 100, 100),
    }
    images = {name: (part, scene[y0:y1, x0:x1]) for name, (part, y0, x0, y1, x1) in boxes.items()}
    images["z"] = ("test", picture(1))
    images["t"] = ("train", picture(2))
    split = written(tmp_path, {name: (part, image, empty(image)) for name, (part, image) in images.items()})
    test = open_dataset("bijie", split, "test", tmp_path)
    assert test.names == ("a", "b", "c", "z")
    assert shared_ground(test) == ["a", "a", "a", "z"]
    assert shared_ground(open_dataset("bijie", split, "val", tmp_path)) == ["d"]


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_fake("bijie", tmp_path, 6)
    assert main(["data", "audit", "bijie", str(tmp_path)]) == 0
    assert capsys.readouterr().out == report(audit("bijie", 0, tmp_path)) + "\n"
    next((tmp_path / Bijie.home / "landslide" / "image").iterdir()).write_bytes(b"damaged")
    with pytest.raises(DatasetError, match="cannot be decoded"):
        audit("bijie", 0, tmp_path)
