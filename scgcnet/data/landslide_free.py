"""Imagery without outlines: ground without landslides (NWPU-RESISC45, AID), and tiles of CLD that came without masks.

`landslide-free/{nwpu,aid}/CLASS/*.jpg`: RGB scenes by class; no landslide was seen in them, and their masks are 0
throughout. `CAS-unlabelled/*`: RGB tiles of 512 px whose masks are unknown (255): never for a score.
"""

from __future__ import annotations

from pathlib import Path

from scgcnet.data.pairs import FileDataset, Found, Pair, list_files
from scgcnet.data.rasters import SUFFIXES, Raster, read_any_image
from scgcnet.data.synthetic import render, write_pair


class LandslideFree(FileDataset):
    """All scenes; `sites` holds COLLECTION/CLASS."""

    dataset = "landslide_free"
    home = "landslide-free"
    about = (
        "The landslide-free scenes of NWPU-RESISC45 and AID",
        "https://doi.org/10.1109/JPROC.2017.2675998 and https://doi.org/10.1109/TGRS.2017.2685945",
        "1,210 JPEG files, 30 MB",
        "none stated",
    )

    @classmethod
    def find(cls, folder: Path) -> Found:
        pairs, faults = [], []
        for place in sorted(path for path in folder.glob("*/*") if path.is_dir()):
            files, more = list_files(place, (*SUFFIXES, ".jpg"))
            site = f"{place.parent.name}/{place.name}"
            pairs += [Pair(f"{site}/{stem}", file, None, site) for stem, file in files.items()]
            faults += more
        if not pairs and not faults:
            faults.append(f"{folder} holds no folder COLLECTION/CLASS of images; unpack the download again.")
        return sorted(pairs, key=lambda pair: pair.name), faults

    @classmethod
    def read_image(cls, pair: Pair) -> Raster:
        return read_any_image(pair.image)  # JPEG, as it is published

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        for index in range(n):
            place = ("nwpu/river", "nwpu/desert", "aid/BareLand")[index % 3]
            write_pair(folder / place, None, f"scene_{index:03d}", *render(seed, index))


class CldUnlabelled(FileDataset):
    """The tiles of CLD without masks."""

    dataset = "cld_unlabelled"
    home = "CAS-unlabelled"
    about = ("CLD tiles without masks", "https://zenodo.org/records/10294997", "25 tiles of 512 px", "CC BY-NC 4.0")
    without_mask = 255

    @classmethod
    def find(cls, folder: Path) -> Found:
        files, faults = list_files(folder)
        return [Pair(stem, file, None) for stem, file in files.items()], faults

    @classmethod
    def fill(cls, folder: Path, n: int, seed: int) -> None:
        for index in range(n):
            write_pair(folder, None, f"tile_{index:03d}", *render(seed, index))
