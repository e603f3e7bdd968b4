"""GVLM 1.0, global very-high-resolution landslide mapping (Zhang et al., ISPRS J. 197, 2023): 17 sites at 0.59 m.

`GVLM_Object_Extraction/<Site_Country>/{im,ref}.png`, or where that is missing
`GVLM_Change_Detection/<Site_Country>/{im1,im2,ref}.png`, of which im2, the image after the event, is read.

A sample is a window of 512 px (paper, Sec. IV-D); windows do not overlap. Those at the right and lower edge reach
beyond the picture, there the image is 0 and the mask 255: so each pixel of a site counts once in a score.

Sites have up to 80 megapixels. Each is decoded once into a `.npy` file in `cache_folder()`, 2 GB for all, from which
windows are read by memory map.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet import files
from scgcnet.data.pairs import FileDataset, Found, Pair, cache_file, require_same_size
from scgcnet.data.rasters import AGAIN, read_size
from scgcnet.data.sample import Sample, Split, data_root
from scgcnet.data.splits import Box, grouped_split, random_split, seeded
from scgcnet.data.synthetic import render

CHANGE_FOLDER = "GVLM_Change_Detection"
RESOLUTION = 0.59  # metres per pixel
WINDOW = 512  # pixels
SPLITS = ("site", "random")
#: The sites' folders in the download, by the key that names them here.
SITES = {
    "a_luoi": "A Luoi_Vietnam",
    "asakura": "Asakura_Japan",
    "askja": "Askja_Iceland",
    "big_sur": "Big Sur_United States",
    "chimanimani": "Chimanimani_Zimbabwe",
    "jiuzhaigou": "Jiuzhaigou_China",
    "kaikoura": "Kaikoura_New Zealand",
    "kodagu": "Kodagu_India",
    "kupang": "Kupang_Indonesia",
    "kurucasile": "Kurucasile_Turkey",
    "los_lagos": "Los Lagos_Chile",
    "osh": "Osh_Kyrgyzstan",
    "santa_catarina": "Santa Catarina_Brazil",
    "shimen": "Shimen_China",
    "taitung": "Taitung_China",
    "tbilisi": "Tbilisi_Georgia",
    "tenejapa": "Tenejapa_Mexico",
}
FAKE_SITES = ("a_luoi", "big_sur", "kaikoura", "osh", "santa_catarina")


class Gvlm(FileDataset):
    """The windows of all sites, site by site and row by row, as `a_luoi/00_03` (row and column of the window)."""

    dataset = "gvlm"
    home = "GVLM_Object_Extraction"
    about = (
        f"GVLM 1.0 (this, or {CHANGE_FOLDER})",
        "https://github.com/zxk688/GVLM",
        "17 sites of up to 80 megapixels",
        "non-commercial use only; cite Zhang et al. 2023",
    )

    def __init__(self, folder: Path, pairs: Sequence[Pair]) -> None:
        super().__init__(folder, pairs)
        self.by_site = {pair.site: pair for pair in pairs}
        self.boxes = [
            Box(pair.site, top, left, min(top + WINDOW, height), min(left + WINDOW, width))
            for pair in pairs
            for height, width in [_size(pair)]
            for top in range(0, height, WINDOW)
            for left in range(0, width, WINDOW)
        ]
        self.names = tuple(f"{box.scene}/{box.top // WINDOW:02d}_{box.left // WINDOW:02d}" for box in self.boxes)
        self.sites = tuple(box.scene for box in self.boxes)

    @classmethod
    def locate(cls, root: Path | None) -> Path:
        place = (data_root() if root is None else Path(root)).absolute()
        folders = [place / name for name in (cls.home, CHANGE_FOLDER) if (place / name).is_dir()]
        if not folders:
            raise cls.not_found(place / cls.home)
        return next((folder for folder in folders if any(folder.iterdir())), folders[0])

    @classmethod
    def find(cls, folder: Path) -> Found:
        pairs: dict[str, Pair] = {}
        faults: list[str] = []
        found = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))
        for place in found:
            key = site_key(place.name)
            image, mask = place / ("im2.png" if folder.name == CHANGE_FOLDER else "im.png"), place / "ref.png"
            missing = [file.name for file in (image, mask) if not file.is_file()]
            if key is None:
                known = ", ".join(SITES.values())
                faults.append(f"{place} is none of the sites of GVLM; rename or remove it. They are: {known}.")
            elif missing:
                faults.append(f"{place} has no {' and no '.join(missing)}; unpack the download again.")
            elif key in pairs:
                faults.append(f"{place}: {pairs[key].image.parent.name} is the same site; keep only one of the two.")
            else:
                pairs[key] = Pair(key, image, mask, key, RESOLUTION)
        if not found:
            faults.append(f"{folder} is empty: it has no folder of a site; unpack the download again.")
        return [pairs[key] for key in sorted(pairs)], faults

    @classmethod
    def look_at(cls, pair: Pair) -> tuple[list[str], Sample | None]:
        faults, site = super().look_at(pair)
        if site and not site.mask.any():
            faults.append(f"{pair.mask}: the mask is empty, but every site of GVLM has landslides. {AGAIN}")
        return faults, site

    @classmethod
    def notes(cls, root: Path | None = None) -> list[str]:
        there = {pair.site for pair in cls.find(cls.locate(root))[0]}
        missing = [folder for key, folder in SITES.items() if key not in there]
        note = f"gvlm: {len(missing)} of {len(SITES)} sites are not there: {', '.join(missing)}"
        return [note] if missing and there else []

    def __getitem__(self, index: int) -> Sample:
        return self.read(range(len(self))[index])  # not kept: the pixels are on disk already

    def read(self, index: int) -> Sample:
        """Cut one window: image (512, 512, 3), mask (512, 512) with 255 beyond the picture."""
        box = self.boxes[index]
        window = self._decoded(self.by_site[box.scene])[box.top : box.bottom, box.left : box.right]
        height, width = window.shape[:2]
        image, mask = np.zeros((WINDOW, WINDOW, 3), np.uint8), np.full((WINDOW, WINDOW), 255, np.uint8)
        image[:height, :width], mask[:height, :width] = window[..., :3], window[..., 3]
        return Sample(self.names[index], image, mask, RESOLUTION)

    def _decoded(self, pair: Pair) -> NDArray[np.uint8]:
        """A site as a memory map (H, W, 4) of red, green, blue and mask, written on first use."""
        file = cache_file(f"gvlm-{pair.site}", ".npy", pair.image, self.files_of(pair))
        if not file.is_file():
            site = self.join(pair, self.read_image(pair), self.read_mask(pair))
            with files.atomic(file) as temporary, temporary.open("wb") as opened:
                np.save(opened, np.dstack([site.image, site.mask]))
        decoded: NDArray[np.uint8] = np.load(file, mmap_mode="r")
        return decoded

    def split(self, which: str) -> Split:
        """Draw a split near 5:3:2; "0" means "site-0".

        "site-SEED" is over whole sites, so that a part holds places that the others do not; "random-SEED" over windows.
        """
        kind, seed = seeded(which, SPLITS, self.dataset)
        return grouped_split(self.names, self.sites, seed) if kind == "site" else random_split(self.names, seed)

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        """Write up to five sites of n windows in all, as strips whose sides are no multiples of 512 px."""
        for number, key in enumerate(FAKE_SITES[:n]):
            count = len(range(number, n, min(n, len(FAKE_SITES))))
            lengths = [WINDOW // 4] * (count - 1) + [70 + 9 * number]
            pieces = [render(seed, number + 100 * i, (64 + 5 * number, side)) for i, side in enumerate(lengths)]
            image, mask = (
                np.concatenate(arrays, axis=1).repeat(4, axis=0).repeat(4, axis=1)
                for arrays in zip(*pieces, strict=True)
            )
            if number % 2:  # upright
                image, mask = image.swapaxes(0, 1), mask.T
            (folder / SITES[key]).mkdir()
            for name, pixels in (("im.png", image), ("ref.png", mask * np.uint8(255))):
                Image.fromarray(np.ascontiguousarray(pixels)).save(folder / SITES[key] / name, compress_level=1)


def site_key(folder: str) -> str | None:
    """Return the key of a site's folder, None for one that is no site; "A_LUOI_Viet Nam" is `a_luoi`."""
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    starts = set(itertools.accumulate(re.findall("[a-z]+", plain)))
    return next((key for key in SITES if key.replace("_", "") in starts), None)


def _size(pair: Pair) -> tuple[int, int]:
    assert pair.mask
    image, mask = read_size(pair.image), read_size(pair.mask)
    require_same_size(pair, image, mask)
    return image
