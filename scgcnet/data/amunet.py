"""The reservoir mosaics of AMU-Net (Wei et al., Int. J. Appl. Earth Obs. Geoinf. 124, 2023): two airborne scenes.

`AMU-Net-reservoir/{A,B}_{image,mask,valid}.png`: RGB scenes of 2432 x 2304 and 3200 x 2816 px put together again from
published patches of 128 px, their masks, and where patches were. There is no georeference, and the resolution is not
stated. Here the scenes are cut as CLD was, at half overlap: tiles of 256 px every 128 px. So neighbours share pixels,
and how tiles are split decides how much of a test part was seen in training (see `Amunet.split`).
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scgcnet.data.images import Pair, Stamp, faults_of, read_image, read_mask, require_same_size, stamp
from scgcnet.data.sample import DatasetError, DatasetNotFoundError, Sample, Split, WholeDataset, data_root, kind_of
from scgcnet.data.splits import Box, blocked_split, random_split, seeded

FOLDER = "AMU-Net-reservoir"
SCENES = ("A", "B")
TILE, STRIDE = 256, 128  # pixels
BLOCK = 512  # pixels; side of what goes to one part as a whole
LEAST_VALID = 0.5  # share of a tile that patches cover; below it, the tile is left out
SPLITS = ("buffer", "block", "random", "scene")


class Amunet(WholeDataset):
    """The tiles of both scenes, row by row; pixels that no patch covers are 255 in the mask."""

    def __init__(self, pairs: tuple[Pair, ...], _: Stamp) -> None:
        self.pairs = pairs
        self.boxes: list[Box] = []
        for pair in pairs:
            valid = self._scene(pair.site)[2]
            for top in range(0, valid.shape[0] - TILE + 1, STRIDE):
                for left in range(0, valid.shape[1] - TILE + 1, STRIDE):
                    if valid[top : top + TILE, left : left + TILE].mean() >= LEAST_VALID:
                        self.boxes.append(Box(pair.site, top, left, top + TILE, left + TILE))
        names = tuple(f"{box.scene}_{box.top:04d}_{box.left:04d}" for box in self.boxes)
        super().__init__("amunet", kind_of(pairs[0].image.parent), names, tuple(box.scene for box in self.boxes))

    def read(self, index: int) -> Sample:
        """Cut one tile."""
        box = self.boxes[index]
        window = (slice(box.top, box.bottom), slice(box.left, box.right))
        image, mask, valid = (array[window] for array in self._scene(box.scene))
        return Sample(self.names[index], image.copy(), np.where(valid == 1, mask, np.uint8(255)))

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2; "0" means "buffer-0".

        "random-SEED" is over tiles, "block-SEED" over blocks of 512 px, "buffer-SEED" the same without the tiles that
        would share pixels with another part. "scene-0" keeps scene A for the test and draws the other parts from
        B as "buffer" does, 5:3; "scene-1" keeps B.
        """
        kind, seed = seeded(which, SPLITS, self.dataset)
        if kind == "scene":
            return self._scene_split(seed)
        if kind == "random":
            return random_split(self.names, seed)
        return blocked_split(self.names, self.boxes, seed, BLOCK, buffer=kind == "buffer")

    def _scene_split(self, number: int) -> Split:
        if number >= len(SCENES):
            raise DatasetError(f"amunet has no split scene-{number}: name scene-0 or scene-1.")
        other = [i for i, box in enumerate(self.boxes) if box.scene != SCENES[number]]
        names, boxes = [self.names[i] for i in other], [self.boxes[i] for i in other]
        drawn = blocked_split(names, boxes, number, BLOCK, buffer=True, parts=("train", "val"))
        return {name: drawn.get(name, "test") for name in self.names}

    @functools.cached_property
    def _scenes(self) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]]:
        found = {}
        for pair in self.pairs:
            valid_file = _valid_file(pair)
            image, mask, valid = read_image(pair.image), read_mask(pair.mask), read_mask(valid_file)
            require_same_size(pair.image, image, pair.mask, mask)
            require_same_size(pair.image, image, valid_file, valid)
            found[pair.site] = (image, mask, valid)
        return found

    def _scene(self, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Image (H, W, 3), mask and validity (H, W), 0 or 1."""
        return self._scenes[name]


def open_amunet(root: Path | None = None) -> Amunet:
    """Open the tiles of both scenes below `root` (default `data_root()`); the scenes are decoded at once.

    Raises:
        DatasetNotFoundError: the folder is not there.
        DatasetError: a file is missing or damaged, or the sizes differ.
    """
    pairs = _pairs(root)
    return _opened(pairs, (*stamp(pairs), *stamp([Pair("", _valid_file(p), _valid_file(p)) for p in pairs])))


_opened = functools.lru_cache(maxsize=2)(Amunet)


def check_amunet(root: Path | None = None) -> list[str]:
    """Return every fault of the data set below `root`, as messages; an empty list if all is well."""
    try:
        pairs = _pairs(root)
    except DatasetNotFoundError as error:
        return [str(error)]
    faults = [fault for pair in pairs for fault in faults_of(pair)]
    for pair in pairs:
        faults += [fault for fault in faults_of(Pair("", pair.image, _valid_file(pair))) if fault not in faults]
    return faults


def _pairs(root: Path | None) -> tuple[Pair, ...]:
    folder = (data_root() if root is None else Path(root)).absolute() / FOLDER
    if not folder.is_dir():
        raise DatasetNotFoundError(
            "The AMU-Net reservoir mosaics",
            folder,
            source="the patches of https://github.com/virylon/AMU-Net, put together",
            size="two scenes, 15 megapixels",
            licence="none stated; cite Wei et al. 2023",
        )
    return tuple(Pair(s, folder / f"{s}_image.png", folder / f"{s}_mask.png", site=s) for s in SCENES)


def _valid_file(pair: Pair) -> Path:
    return pair.image.with_name(f"{pair.site}_valid.png")
