"""Validation never lies beside training, and what limits a training is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from own_data import EAST, METRES, boxes, pixels, placed, write_outlines, write_scene, write_tiles
from PIL import Image
from raster_files import write_raster

from scgcnet.own.parts import GAP, common_ground, divide, survey
from scgcnet.own.source import Piece, Pieces, SourceError, cut, find_source


def names(pieces: list[Piece]) -> set[str]:
    return {piece.picture.name for piece in pieces}


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_a_single_scene_gives_a_block_with_a_gap(tmp_path: Path, share: float) -> None:
    write_scene(tmp_path)
    train, val, note = divide(find_source(tmp_path), share, 0, 50)
    assert note == "validation is a block of scene, apart from training by a gap"
    used = np.zeros((2, 160, 260), int)
    for part, pieces in enumerate((train, val)):
        for piece in pieces:
            used[part, slice(*piece.rows), slice(*piece.columns)] += 1
    assert used.max() == 1  # no pixel twice, in neither part
    assert used[1].mean() == pytest.approx(share, abs=0.01)
    axis = 0 if used[1].any(axis=1).sum() < 160 else 1
    ends = [np.flatnonzero(part.any(axis=1 - axis)) for part in used]
    gap = max(ends[0].min() - ends[1].max(), ends[1].min() - ends[0].max()) - 1
    assert gap == np.ceil(GAP * 260)
    _, mask = pixels()
    assert all((mask * part).any() for part in used)


def test_rasters_stay_whole_and_overlapping_ones_together(tmp_path: Path) -> None:
    for index in range(6):  # in pairs that overlap by half
        east = EAST + 20_000 * (index // 2) + (index % 2) * METRES * 130
        write_scene(tmp_path, f"s{index}", f"s{index}.gpkg", east=east)
    train, val, note = divide(find_source(tmp_path), 0.3, 0, 512)
    assert not names(train) & names(val) and len(names(train) | names(val)) == 6
    assert names(val) in ({"s0", "s1"}, {"s2", "s3"}, {"s4", "s5"})
    assert note.startswith("validation is 2 of 6 rasters")
    assert divide(find_source(tmp_path), 0.3, 0, 512) == (train, val, note)


def test_tiles_of_one_scene_leave_out_what_touches_validation(tmp_path: Path) -> None:
    for row in range(4):
        for column in range(5):
            image, _ = pixels((80, 80))
            place = placed(EAST + METRES * 80 * column)
            place["transform"] = place["transform"].translation(0, -METRES * 80 * row) @ place["transform"]
            write_raster(tmp_path / f"t{row}{column}.tif", image, **place)
            shift = [
                (a + 80 * row, b + 80 * column, c + 80 * row, d + 80 * column) for a, b, c, d in ((10, 20, 40, 60),)
            ]
            write_outlines(tmp_path / f"t{row}{column}.gpkg", boxes(tuple(shift)))
    train, val, note = divide(find_source(tmp_path), 0.2, 0, 512)
    assert (len(val), len(train)) in ((4, 12), (5, 10)) and "beside it are left out" in note
    spots = [np.array([[int(digit) for digit in name[1:]] for name in names(part)]) for part in (train, val)]
    apart = np.abs(spots[0][:, None] - spots[1][None]).max(axis=2)
    assert apart.min() == 2


def test_tiles_without_a_place_that_share_pixels_stay_together(tmp_path: Path) -> None:
    write_tiles(tmp_path, 8)
    for folder in ("images", "masks"):
        with Image.open(tmp_path / folder / "t03.png") as file:
            for copy, box in (("x", (0, 0, 60, 64)), ("y", (10, 0, 80, 60))):
                file.crop(box).save(tmp_path / folder / f"{copy}.png")
    for seed in range(5):
        train, val, _ = divide(find_source(tmp_path), 0.3, seed, 512)
        for part in (train, val):
            assert len(names(part) & {"t03", "x", "y"}) in (0, 3)


def test_landslides_are_in_both_parts_or_it_is_refused(tmp_path: Path) -> None:
    write_tiles(tmp_path / "two", 12, free=10)
    train, val, _ = divide(find_source(tmp_path / "two"), 0.2, 0, 512)
    assert [len(names(part) & {"t00", "t01"}) for part in (train, val)] == [1, 1]
    write_tiles(tmp_path / "one", 6, free=5)
    with pytest.raises(SourceError, match=r"too few landslides.*--val DIR"):
        divide(find_source(tmp_path / "one"), 0.2, 0, 512)


def test_a_survey_counts_and_leaves_out_pieces_without_data(tmp_path: Path) -> None:
    image, _ = pixels(bands=4)
    image[..., 3] = 9
    image[:, 200:] = 0
    write_raster(tmp_path / "scene.tif", image, nodata=0, photometric="minisblack", **placed())
    write_outlines(tmp_path / "x.gpkg", boxes())
    (picture,) = find_source(tmp_path).pictures
    data, shown = survey(Pieces("own", cut(picture, 65), 4, None), progress=False)
    assert len(data) == len(shown.known) == 3 * 4 and shown.known.sum() == 160 * 200
    assert shown.landslides == 6  # two are cut in two by a border of pieces, and one lies where nothing is known
    assert shown.free == np.count_nonzero(shown.landslide == 0)
    assert shown.deviation[3] == 0 and shown.deviation[:3].min() > 10


def test_ground_that_both_parts_show_is_counted(tmp_path: Path) -> None:
    write_scene(tmp_path / "a")
    write_scene(tmp_path / "b", east=EAST + METRES * 100)
    write_scene(tmp_path / "c", east=EAST + METRES * 260)  # touches a alone
    parts = []
    for name in "abc":
        (picture,) = find_source(tmp_path / name).pictures
        parts.append(Pieces("own", cut(picture, 512), 3, None))
    assert [common_ground(parts[0], part) for part in parts[1:]] == [1, 0]
