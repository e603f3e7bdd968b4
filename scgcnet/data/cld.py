"""The CAS Landslide Dataset, CLD (Xu et al., Scientific Data 11, 2024), in the layout of its 16 archives.

`CAS-Landslide-Dataset/ARCHIVE/{img,mask}`: RGB tiles of 512 px, cut every 256 px from satellite and drone images of
nine regions, and masks of 0 and 1 (0 and 255 in some). `label` shows the masks as pictures, landslides in black, and is
not read. Any number of the archives may be there, each in a folder of its name or one level deeper, whatever the
brackets, spaces, hyphens and capitals.

Neighbouring tiles share half of their pixels, or a quarter at a corner: under a random split a network has seen most of
its test pixels in training. The split "grouped" keeps apart what shares pixels. Sub-sets of one place, such as Moxi
town at 0.2 m and at 1 m, show the same ground at two resolutions, which it does not keep apart.
"""

# ruff: noqa: RUF001  (some archives have full-width brackets in their names)

from __future__ import annotations

import contextlib
import functools
import math
import re
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.matching import Overlap, find_overlap, quadrants_of_files
from scgcnet.data.pairs import FileDataset, Found, Pair, match_folders
from scgcnet.data.sample import DatasetError, Split, kind_of
from scgcnet.data.splits import Box, blocked_split, random_split, seeded
from scgcnet.data.synthetic import render

TILE, STRIDE = 512, 256  # pixels
SPLITS = ("grouped", "random")
MOST = 0.2  # share of a sub-set; a larger group of overlapping tiles is cut into blocks
LEAST = 16  # tiles; a smaller group is not cut, because the buffer between the parts would take most of it
BLOCK = 0.05  # share of a sub-set that a block holds, about: 20 blocks can be dealt out near 5:3:2
DEPTH = 3  # folders below the data set's own in which `img` is looked for
ENLARGED = 4  # times; a fake is drawn that much smaller, because drawing at full size takes seconds
FAKE_LEAST = 3  # tiles of a fake sub-set that do not overlap, one for each part


class SubSet(NamedTuple):
    """One archive: its key here, its published name, number of tiles, metres per pixel, and other names of it."""

    key: str
    archive: str
    tiles: int
    resolution: float
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        return {plain(name) for name in (self.key, self.archive, *self.aliases)}


#: Counts and ground resolutions as the data set's own table has them; 20,865 tiles.
SUBSETS = (
    SubSet("palu", "palu", 817, 5),
    SubSet("lombok", "Lombok", 436, 5),
    SubSet("hokkaido", "Hokkaido Iburi-Tobu", 1484, 3),
    SubSet("tiburon-sentinel", "Tiburon Peninsula（Sentinel）", 606, 5),
    SubSet("tiburon-planet", "Tiburon Peninsula（planet）", 325, 4),
    SubSet("mengdong", "Mengdong Township", 1155, 0.5),
    SubSet("moxitaidi-sat", "Moxitaidi (SAT)", 652, 0.6),
    SubSet("moxitaidi-uav-0.6m", "Moxitaidi (UAV-0.6m)", 984, 0.6),
    SubSet("moxitaidi-uav-1m", "Moxitaidi (UAV-1m)", 483, 1),
    SubSet("moxi-town-uav-0.2m", "Moxi town（UAV-0.2m）", 1635, 0.2, ("Moxi town (0.2 m)",)),
    SubSet("moxi-town-uav-1m", "Moxi town（UAV-1m）", 160, 1, ("Moxi town (1 m)",)),
    SubSet("longxi-sat", "Longxi River(SAT)", 1769, 0.5),
    SubSet("longxi-uav", "Longxi River（UAV）", 2504, 0.5),
    SubSet("jiuzhai-uav-0.2m", "Jiuzhai valley (UAV-0.2m)", 5925, 0.2, ("Jiuzhai valley (0.2 m)", "Jiuzhai 0.2 m")),
    SubSet("jiuzhai-uav-0.5m", "Jiuzhai valley (UAV-0.5m)", 1752, 0.5, ("Jiuzhai valley (0.5 m)", "Jiuzhai 0.5 m")),
    SubSet("wenchuan", "Wenchuan", 178, 5),
)


def plain(name: str) -> str:
    """A name's ASCII letters and digits in lower case: the same with any brackets, even from a wrong code page."""
    return re.sub("[^a-z0-9]", "", unicodedata.normalize("NFKC", name).casefold())


_KNOWN = {name: subset for subset in SUBSETS for name in subset.names}


class Cld(FileDataset):
    """All tiles; `sites` holds the key of each one's sub-set."""

    dataset = "cld"
    home = "CAS-Landslide-Dataset"
    about = (
        "The CAS Landslide Dataset",
        "https://zenodo.org/records/10294997, any of the 16 archives",
        "20,865 tiles of 512 x 512 px",
        "CC BY-NC 4.0; cite Xu et al. 2024",
    )
    fewest = FAKE_LEAST * len(SUBSETS)

    @classmethod
    def find(cls, folder: Path) -> Found:
        places, faults = find_subsets(folder)
        pairs: list[Pair] = []
        for subset, place in places.items():
            found, more = match_folders(place / "img", place / "mask", f"{subset.key}/", subset.key, subset.resolution)
            pairs += found
            faults += more
        return sorted(pairs, key=lambda pair: pair.name), faults

    @classmethod
    def common_faults(cls, folder: Path, pairs: Sequence[Pair]) -> list[str]:
        """Name sub-sets whose masks are the pictures of masks."""
        landslide: dict[str, list[float]] = defaultdict(list)
        for pair in pairs:
            with contextlib.suppress(DatasetError):  # reported already
                landslide[pair.site].append(float(cls.read_mask(pair).pixels.mean()))
        return [
            f"{site}: the masks call {np.mean(shares):.0%} of the pixels landslide. The pictures in `label` show "
            "landslides black, so they are no masks; copy the folder `mask` of the archive."
            for site, shares in landslide.items()
            if np.mean(shares) > 0.5
        ]

    @classmethod
    def notes(cls, root: Path | None = None) -> list[str]:
        folder = cls.locate(root)
        counts = Counter(pair.site for pair in cls.find(folder)[0])
        away = [subset.archive for subset in SUBSETS if not counts[subset.key]]
        notes = [f"{len(away)} of {len(SUBSETS)} sub-sets are not there: {', '.join(away)}."] if away else []
        if kind_of(folder) == "real":
            notes += [
                f"{subset.key} has {counts[subset.key]} pairs, its archive {subset.tiles}."
                for subset in SUBSETS
                if counts[subset.key] not in (0, subset.tiles)
            ]
        return notes

    @functools.cached_property
    def overlap(self) -> Overlap:
        """Which tiles share quadrants; on first use all images are decoded, unless the cache has it."""
        return find_overlap(quadrants_of_files([pair.image for pair in self.pairs], self.folder))

    def split(self, which: str) -> Split:
        """Draw a split 5:3:2 of every sub-set; "0" means "grouped-0".

        "random-SEED" is over tiles, as in the paper as far as it says. "grouped-SEED" is over groups of tiles that
        overlap by quadrants. A group that holds more than a fifth of its sub-set is cut into square blocks; tiles that
        would share pixels with another part are then in none.
        """
        if which not in self._splits:
            self._splits[which] = self._draw(*seeded(which, SPLITS, self.dataset))
        return self._splits[which]

    @functools.cached_property
    def _splits(self) -> dict[str, Split]:
        """Those drawn so far: each part asks for its split, and drawing one of all archives takes many seconds."""
        return {}

    def _draw(self, kind: str, seed: int) -> Split:
        if kind == "random":
            homes: Sequence[str] = self.sites
        else:
            # A group belongs to the sub-set of its first tile, in case copies of tiles are in two of them.
            groups = self.overlap.groups
            first = dict(zip(reversed(groups), reversed(self.sites), strict=True))
            homes = [first[group] for group in groups]
        split: dict[str, Any] = {}
        for home in dict.fromkeys(homes):
            indices = [index for index, other in enumerate(homes) if other == home]
            # Each has a seed of its own, so that a sub-set is divided alike whichever others are there.
            own = zlib.crc32(f"{home} {seed}".encode())
            try:
                if kind == "random":
                    split |= random_split([self.names[index] for index in indices], own)
                else:
                    split |= self._grouped_split(indices, own)
            except DatasetError as error:
                raise DatasetError(
                    f"{home} cannot be divided so: {error} Or complete its download, take its folder away, or name a "
                    "CSV file of your own."
                ) from error
        return split

    def _grouped_split(self, indices: Sequence[int], seed: int) -> Split:
        sizes = Counter(self.overlap.groups[index] for index in indices)
        boxes = []
        for index in indices:
            group, box = self.overlap.groups[index], self.overlap.boxes[index]
            cut = sizes[group] > max(MOST * len(indices), LEAST - 1)
            # All tiles of a group that stays whole are put in one place, so that they are in one block.
            if cut and box is None:
                one, other = (self.names[tile] for tile in self.overlap.conflicts[group])
                raise DatasetError(
                    f"{sizes[group]} tiles are connected and contradict each other: {one} and {other} share a quadrant "
                    "that would put one of them in two places. Remove one of the two."
                )
            boxes.append(box if cut and box else Box(f"group {group}", 0, 0, TILE, TILE))
        block = STRIDE * max(2, round(math.sqrt(BLOCK * len(indices))))
        return blocked_split([self.names[index] for index in indices], boxes, seed, block, buffer=True)

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        """Write all 16 sub-sets; each has three tiles that share nothing, others overlap one of these by half."""
        for number, subset in enumerate(SUBSETS):
            count = n // len(SUBSETS) + (number < n % len(SUBSETS))
            for kind in ("img", "label", "mask"):
                (folder / subset.archive / kind).mkdir(parents=True)
            for index, (image, mask) in enumerate(_fake_tiles(count, seed, number)):
                label = np.where(mask[..., None] == 1, np.uint8(0), np.uint8(255)).repeat(3, axis=2)
                for kind, array in (("img", image), ("label", label), ("mask", mask)):
                    file = folder / subset.archive / kind / f"{subset.key.partition('-')[0]}{index + 1:04d}.tif"
                    Image.fromarray(array).save(file, compression="tiff_lzw")


def _fake_tiles(count: int, seed: int, number: int) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    # Cut from pictures that are one or two tiles wide.
    pictures = max(FAKE_LEAST, (count + 1) // 2)
    for picture in range(pictures):
        tiles = 2 if picture < count - pictures else 1
        width = TILE + STRIDE * (tiles - 1)
        drawn = render(seed, 1000 * number + picture, (TILE // ENLARGED, width // ENLARGED))
        size, resampling = (width, TILE), (Image.Resampling.BICUBIC, Image.Resampling.NEAREST)
        image, mask = (np.asarray(Image.fromarray(a).resize(size, r)) for a, r in zip(drawn, resampling, strict=True))
        for left in range(0, STRIDE * tiles, STRIDE):
            yield image[:, left : left + TILE], mask[:, left : left + TILE]


def find_subsets(folder: Path) -> tuple[dict[SubSet, Path], list[str]]:
    """The folder of each sub-set that is there, the one that holds `img`, and the faults found.

    Where folders are nested, the innermost known name counts.
    """
    found: dict[SubSet, Path] = {}
    named: dict[SubSet, Path] = {}
    faults: list[str] = []
    if (folder / "img").is_dir():
        faults.append(
            f"{folder / 'img'}: an archive was unpacked right here, so its name is unknown; move img, label and "
            f"mask into a folder of the archive's name, such as {folder / SUBSETS[0].archive}."
        )
    for place in _folders(folder):
        names = map(plain, reversed(place.relative_to(folder).parts))
        subset = next((_KNOWN[name] for name in names if name in _KNOWN), None)
        if not (place / "img").is_dir():
            if subset:
                named.setdefault(subset, place)
        elif subset is None:
            known = ", ".join(subset.archive for subset in SUBSETS)
            faults.append(f"{place} holds img, but no sub-set has that name; name it as its archive, one of {known}.")
        elif subset in found:
            faults.append(f"{place} and {found[subset]} are both {subset.key}; keep only one of the two.")
        else:
            found[subset] = place
    faults += [f"{named[s]} has no folder img; unpack the archive again." for s in named if s not in found]
    if not found and not faults:
        example = SUBSETS[0].archive
        faults.append(f"{folder} holds no sub-set; unpack each archive into a folder of its name, {example} say.")
    return found, faults


def _folders(folder: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The folders below one in which to look for `img`; below one that holds it there is nothing to look for."""
    for place in sorted(folder.iterdir()) if depth else ():
        # What macOS adds to archives repeats their folders.
        if place.is_dir() and place.name not in ("img", "label", "mask", "__MACOSX") and place.name[0] != ".":
            yield place
            if not (place / "img").is_dir():
                yield from _folders(place, depth - 1)
