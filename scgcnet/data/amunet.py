"""The reservoir mosaics of AMU-Net (Wei et al., Int. J. Appl. Earth Obs. Geoinf. 124, 2023): two airborne scenes.

`AMU-Net-reservoir/{A,B}_{image,mask,valid}.png`: RGB scenes of 2432 x 2304 and 3200 x 2816 px put together again from
published patches of 128 px, their masks, and where patches were; georeference and resolution are unknown. They are cut
as CLD was, at half overlap: so how tiles are split decides how much of a test part was seen in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from scgcnet.data.pairs import FileDataset, Found, Pair, require_same_size
from scgcnet.data.rasters import Raster, read_mask
from scgcnet.data.sample import DatasetError, Sample, Split
from scgcnet.data.splits import Box, blocked_split, random_split, seeded
from scgcnet.data.synthetic import render

SCENES = ("A", "B")
TILE, STRIDE = 256, 128  # pixels
BLOCK = 512  # pixels; side of what goes to one part as a whole
LEAST_VALID = 0.5  # share of a tile that patches cover; below it, the tile is left out
SPLITS = ("buffer", "block", "random", "scene")


class Amunet(FileDataset):
    """The tiles of both scenes, row by row, decoded at once; pixels that no patch covers are 255 in the mask."""

    dataset = "amunet"
    home = "AMU-Net-reservoir"
    about = (
        "The AMU-Net reservoir mosaics",
        "the patches of https://github.com/virylon/AMU-Net, put together",
        "two scenes, 15 megapixels",
        "none stated; cite Wei et al. 2023",
    )

    def __init__(self, folder: Path, pairs: Sequence[Pair]) -> None:
        super().__init__(folder, pairs)
        self.scenes = {sample.name: sample for sample in map(super().read, range(len(pairs)))}
        self.boxes = [
            Box(name, top, left, top + TILE, left + TILE)
            for name, scene in self.scenes.items()
            for top in range(0, scene.mask.shape[0] - TILE + 1, STRIDE)
            for left in range(0, scene.mask.shape[1] - TILE + 1, STRIDE)
            if (scene.mask[top : top + TILE, left : left + TILE] != 255).mean() >= LEAST_VALID
        ]
        self.names = tuple(f"{box.scene}_{box.top:04d}_{box.left:04d}" for box in self.boxes)
        self.sites = tuple(box.scene for box in self.boxes)

    @classmethod
    def find(cls, folder: Path) -> Found:
        return [Pair(s, folder / f"{s}_image.png", folder / f"{s}_mask.png", s) for s in SCENES], []

    @classmethod
    def files_of(cls, pair: Pair) -> tuple[Path, ...]:
        return (*super().files_of(pair), _valid_file(pair))

    @classmethod
    def read_mask(cls, pair: Pair) -> Raster:
        mask, valid = super().read_mask(pair).pixels, read_mask(_valid_file(pair))
        require_same_size(Pair("", pair.image, _valid_file(pair)), mask.shape, valid.shape)
        return Raster(np.where(valid == 1, mask, np.uint8(255)))

    def read(self, index: int) -> Sample:
        box = self.boxes[index]
        scene, window = self.scenes[box.scene], np.s_[box.top : box.bottom, box.left : box.right]
        return Sample(self.names[index], scene.image[window].copy(), scene.mask[window].copy())

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2; "0" means "buffer-0".

        "random-SEED" is over tiles, "block-SEED" over blocks of 512 px, "buffer-SEED" the same without the tiles that
        would share pixels with another part. "scene-0" keeps scene A for the test and draws the other parts from
        B as "buffer" does, 5:3; "scene-1" keeps B.
        """
        kind, seed = seeded(which, SPLITS, self.dataset)
        if kind == "random":
            return random_split(self.names, seed)
        if kind != "scene":
            return blocked_split(self.names, self.boxes, seed, BLOCK, buffer=kind == "buffer")
        if seed >= len(SCENES):
            raise DatasetError(f"amunet has no split scene-{seed}: name scene-0 or scene-1.")
        other = [i for i, box in enumerate(self.boxes) if box.scene != SCENES[seed]]
        names, boxes = [self.names[i] for i in other], [self.boxes[i] for i in other]
        drawn = blocked_split(names, boxes, seed, BLOCK, buffer=True, parts=("train", "val"))
        return {name: drawn.get(name, "test") for name in self.names}

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        """Write two scenes of at least n tiles and 2 x 2 blocks each; a strip of the second is not covered."""
        for number, name in enumerate(SCENES):
            width = 2 * BLOCK
            height = max(width, STRIDE * (n // 7 + 2))  # 7 tiles a row
            image, mask = (a.repeat(8, 0).repeat(8, 1) for a in render(seed, number, (height // 8, width // 8)))
            valid = np.ones_like(mask)
            valid[:, : 64 * number] = 0
            for kind, pixels in (("image", image), ("mask", mask * np.uint8(255)), ("valid", valid * np.uint8(255))):
                Image.fromarray(pixels).save(folder / f"{name}_{kind}.png", compress_level=1)


def _valid_file(pair: Pair) -> Path:
    return pair.image.with_name(f"{pair.site}_valid.png")
