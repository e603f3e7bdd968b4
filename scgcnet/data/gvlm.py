"""GVLM 1.0, global very-high-resolution landslide mapping (Zhang et al., ISPRS J. 197, 2023): 17 sites at 0.59 m.

`GVLM_Object_Extraction/<Site_Country>/{im,ref}.png`, or where that is not there
`GVLM_Change_Detection/<Site_Country>/{im1,im2,ref}.png`, of which im2, the image after the event, is read. Sites have
up to 10808 x 7424 px: 80 megapixels, below Pillow's limit of 89 against decompression bombs, which holds here as well.

A sample is a window of 512 px (paper, Sec. IV-D); windows do not overlap. Those at the right and lower edge reach
beyond the picture, there the image is 0 and the mask 255: so each pixel of a site counts once in a score, which windows
moved inward would break, and none is left out. Windows are cut from decoded pictures on disk (`cache.py`); while a site
is decoded, Pillow holds it once.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.cache import decoded
from scgcnet.data.generated import write_folder
from scgcnet.data.images import AGAIN, LOSSLESS, LOSSY, Pair, Stamp, binary_mask, require_no_faults, stamp
from scgcnet.data.rasters import decoding
from scgcnet.data.sample import (
    DatasetError,
    DatasetNotFoundError,
    Kind,
    Sample,
    Split,
    WholeDataset,
    data_root,
    kind_of,
)
from scgcnet.data.splits import Box, grouped_split, random_split, seeded
from scgcnet.data.synthetic import generator_id, render

FOLDER = "GVLM_Object_Extraction"
CHANGE_FOLDER = "GVLM_Change_Detection"
FILES = {FOLDER: ("im.png", "ref.png"), CHANGE_FOLDER: ("im2.png", "ref.png")}  # image and mask; the first is preferred
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

_STRIP = 128  # rows taken out of a decoded picture at a time


class Gvlm(WholeDataset):
    """The windows of all sites, site by site and row by row, as `a_luoi/00_03` (row and column of the window)."""

    def __init__(self, kind: Kind, pairs: tuple[Pair, ...], _: Stamp) -> None:
        self.pairs = {pair.site: pair for pair in pairs}
        self.shapes = {pair.site: _shape_of(pair) for pair in pairs}
        self.boxes = [
            Box(site, top, left, min(top + WINDOW, height), min(left + WINDOW, width))
            for site, (height, width) in self.shapes.items()
            for top in range(0, height, WINDOW)
            for left in range(0, width, WINDOW)
        ]
        names = tuple(f"{box.scene}/{box.top // WINDOW:02d}_{box.left // WINDOW:02d}" for box in self.boxes)
        super().__init__("gvlm", kind, names, tuple(box.scene for box in self.boxes))

    def __getitem__(self, index: int) -> Sample:
        return self.read(range(len(self))[index])  # not kept: the pixels are in the maps already

    def read(self, index: int) -> Sample:
        """Cut one window: image (512, 512, 3), mask (512, 512) with 255 beyond the picture."""
        box = self.boxes[index]
        window = np.s_[box.top : box.bottom, box.left : box.right]
        inside = np.s_[: box.bottom - box.top, : box.right - box.left]
        pair, shape = self.pairs[box.scene], self.shapes[box.scene]
        image, mask = np.zeros((WINDOW, WINDOW, 3), np.uint8), np.full((WINDOW, WINDOW), 255, np.uint8)
        image[inside], mask[inside] = _picture(pair.image, shape)[window], _truth(pair.mask, shape)[window]
        return Sample(self.names[index], image, mask, RESOLUTION)

    def split(self, which: str) -> Split:
        """Draw a split near 5:3:2; "0" means "site-0".

        "site-SEED" is over whole sites, so that a part holds places that the others do not; "random-SEED" over windows.
        """
        kind, seed = seeded(which, SPLITS, self.dataset)
        return grouped_split(self.names, self.sites, seed) if kind == "site" else random_split(self.names, seed)


def open_gvlm(root: Path | None = None) -> Gvlm:
    """Open all sites below `root` (default `data_root()`); only the heads of the files are read yet.

    Raises:
        DatasetNotFoundError: neither folder is there.
        DatasetError: a folder is no site, a site lacks a file, or an image and its mask differ in size.
    """
    folder = _require_folder(root)
    pairs, faults = _find_pairs(folder)
    require_no_faults(faults)
    return _opened(kind_of(folder), pairs, stamp(pairs))


_opened = functools.lru_cache(maxsize=2)(Gvlm)


def check_gvlm(root: Path | None = None) -> list[str]:
    """Return every fault of the sites below `root`, as messages; an empty list if all is well. Decodes everything."""
    try:
        pairs, faults = _find_pairs(_require_folder(root))
    except DatasetNotFoundError as error:
        return [str(error)]
    for pair in pairs:
        shapes = []
        for file, read in ((pair.image, _picture), (pair.mask, _truth)):
            try:
                shapes.append(_shape(file))
                pixels = read(file, shapes[-1])
                if read is _truth and not pixels.any():
                    faults.append(f"{file}: the mask is empty, but every site of GVLM has landslides. {AGAIN}")
            except DatasetError as error:
                faults.append(str(error))
        if len(set(shapes)) == 2:
            faults.append(_size_fault(pair, *shapes))
    return faults


def notes_gvlm(root: Path | None = None) -> list[str]:
    """Return what is no fault but should be known: which of the 17 sites are not there. Empty where no site is."""
    try:
        pairs, _ = _find_pairs(_require_folder(root))
    except DatasetNotFoundError:
        return []
    missing = [folder for key, folder in SITES.items() if key not in {pair.site for pair in pairs}]
    if not missing or not pairs:
        return []
    return [f"gvlm: {len(missing)} of {len(SITES)} sites are not there: {', '.join(missing)}"]


def site_key(folder: str) -> str | None:
    """The key of a site's folder, None for one that is no site.

    Case, accents, and whatever stands between words do not count, nor does the country: "A_LUOI_Viet Nam" is `a_luoi`.
    """
    plain = unicodedata.normalize("NFKD", folder).encode("ascii", "ignore").decode().lower()
    words = re.findall("[a-z]+", plain)
    starts = set(itertools.accumulate(words))
    return next((key for key in SITES if key.replace("_", "") in starts), None)


def write_fake_gvlm(root: Path, n: int, seed: int) -> Path:
    """Write sites of n windows in all below `root`, up to five sites, in the layout of GVLM_Object_Extraction.

    Each is a strip of windows, drawn at a quarter of its size; neither side is a multiple of 512 px.

    Returns:
        The data set's folder, `root/GVLM_Object_Extraction`.

    Raises:
        DatasetError: n is less than 3, or the folder holds something else.
        WriteError: the folder cannot be written or the disk is full; nothing is left of it.
    """

    def fill(folder: Path) -> None:
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
            for name, pixels in zip(FILES[FOLDER], (image, mask * np.uint8(255)), strict=True):
                Image.fromarray(np.ascontiguousarray(pixels)).save(folder / SITES[key] / name, compress_level=1)

    if n < 3:
        raise DatasetError(f"A synthetic data set needs at least 3 images, one for each part; {n} were asked for.")
    place = Path(root).absolute() / FOLDER
    write_folder(place, {"generator": generator_id(), "n": n, "seed": seed}, fill)
    return place


def _require_folder(root: Path | None) -> Path:
    place = (data_root() if root is None else Path(root)).absolute()
    folders = [place / name for name in FILES if (place / name).is_dir()]
    for folder in folders:
        if any(folder.iterdir()):
            return folder
    if folders:
        return folders[0]
    raise DatasetNotFoundError(
        f"GVLM 1.0 (this, or {CHANGE_FOLDER})",
        place / FOLDER,
        source="https://github.com/zxk688/GVLM",
        size="17 sites of up to 80 megapixels",
        licence="non-commercial use only; cite Zhang et al. 2023",
    )


def _find_pairs(folder: Path) -> tuple[tuple[Pair, ...], list[str]]:
    """Image and mask of each site that has both, sorted by key, and the faults found; files beside sites are let be."""
    pairs: dict[str, Pair] = {}
    faults: list[str] = []
    try:
        found = sorted(
            p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")) and (p.is_dir() or p.is_symlink())
        )
    except OSError as error:
        return (), [f"{folder} cannot be read ({error.strerror}); unpack the download again."]
    for place in found:
        key = site_key(place.name)
        files = [place / name for name in FILES[folder.name]]
        missing = [file.name for file in files if not file.is_file()]
        if key is None:
            known = ", ".join(SITES.values())
            faults.append(f"{place} is none of the sites of GVLM; rename or remove it. They are: {known}.")
        elif missing:
            faults.append(f"{place} has no {' and no '.join(missing)}; unpack the download again.")
        elif key in pairs:
            faults.append(f"{place}: {pairs[key].image.parent.name} is the same site; keep only one of the two.")
        else:
            pairs[key] = Pair(key, files[0], files[1], key, RESOLUTION)
    if not found:
        faults.append(f"{folder} is empty: it has no folder of a site; unpack the download again.")
    return tuple(pairs[key] for key in sorted(pairs)), faults


def _picture(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A site's image (H, W, 3), on disk."""
    return decoded(path, (*shape, 3), "gvlmimage1", _image_rows)


def _truth(path: Path, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A site's mask (H, W), 0 or 1, on disk."""
    return decoded(path, shape, "gvlmmask1", _mask_rows)


def _shape_of(pair: Pair) -> tuple[int, int]:
    """Height and width of a site, from the heads of both files."""
    image, mask = _shape(pair.image), _shape(pair.mask)
    if image != mask:
        raise DatasetError(_size_fault(pair, image, mask))
    return image


def _shape(path: Path) -> tuple[int, int]:
    with _opened_png(path) as file:
        return file.height, file.width


def _size_fault(pair: Pair, image: tuple[int, int], mask: tuple[int, int]) -> str:
    return (
        f"{pair.mask}: the mask is {mask[1]}x{mask[0]} px, but its image {pair.image.name} is {image[1]}x{image[0]} "
        "px; they must have the same size. Copy both again from the download."
    )


def _opened_png(path: Path) -> Image.Image:
    """The file with its head read."""
    with decoding(path), ExitStack() as stack:
        file = stack.enter_context(Image.open(path, formats=[*LOSSLESS, *LOSSY]))
        if file.format != "PNG":
            raise DatasetError(f"{path}: the content is {file.format}, not PNG. Copy the file again from the download.")
        if min(file.size) < 2:
            raise DatasetError(f"{path} has {file.width}x{file.height} px. Copy the file again from the download.")
        stack.pop_all()
    return file


def _rows(path: Path, modes: tuple[str, ...], wanted: str) -> Iterator[NDArray[np.uint8]]:
    """The pixels from top to bottom; Pillow holds the whole picture meanwhile, 4 bytes a pixel of RGB."""
    with _opened_png(path) as file, decoding(path):
        file.verify()  # the checksums, which decoding does not look at
    with _opened_png(path) as file:
        with decoding(path):
            if file.mode not in modes:
                raise DatasetError(f"{path}: {wanted}, not Pillow mode {file.mode}. Copy it from the download.")
            file.load()
        for top in range(0, file.height, _STRIP):
            strip = file.crop((0, top, file.width, min(top + _STRIP, file.height)))
            yield np.asarray(strip, dtype=np.uint8)


def _image_rows(path: Path) -> Iterator[NDArray[np.uint8]]:
    return _rows(path, ("RGB",), "an image must have 3 channels of 8 bits (RGB)")


def _mask_rows(path: Path) -> Iterator[NDArray[np.uint8]]:
    """The mask as 0 and 1; one of zeros alone is a site without a landslide."""
    seen = np.zeros(256, bool)
    for strip in _rows(path, ("L", "1", "RGB"), "a mask must have 1 channel of 8 bits (grey)"):
        grey = strip
        if strip.ndim == 3:
            grey = strip[..., 0]
            if (strip != strip[..., :1]).any():
                raise DatasetError(f"{path}: a mask must be grey, this one has colours. Copy it from the download.")
        seen |= np.bincount(grey.ravel(), minlength=256) > 0
        binary_mask(np.flatnonzero(seen).astype(np.uint8), str(path))  # values of the picture so far
        yield (grey > 0).astype(np.uint8)
