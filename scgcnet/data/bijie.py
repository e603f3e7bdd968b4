"""The Bijie landslide data set (Ji et al., Landslides 17, 2020) in its official layout.

`Bijie-landslide-dataset/landslide/{image,mask}`: RGB images of 61 to 1239 px a side (TripleSat, 0.8 m) and
masks of 0 and 255. The download has PNG files; a lossless copy in another format, such as WebP, is read
alike: image and mask belong together when their stems are equal. The negatives (`non-landslide`) and
elevations (`dem`) are not used: the paper's counts are those of the 770 landslide images alone.
"""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet.data.sample import (
    DatasetError,
    DatasetNotFoundError,
    Kind,
    Sample,
    WholeDataset,
    data_root,
)
from scgcnet.data.splits import committed_split, read_split, split_indices

FOLDER = "Bijie-landslide-dataset"
MARKER = "synthetic.json"  # the generator leaves it, so that its images never pass for real ones
SUFFIXES = {".png", ".webp", ".tif", ".tiff", ".bmp"}  # lossless ones only
# By content, whatever the suffix says: Pillow would else try all that it knows, and hand PostScript to Ghostscript.
FORMATS = ("PNG", "WEBP", "TIFF", "BMP")
AGAIN = "Copy the file again from the download."

Stamp = tuple[tuple[str, str, int, int, int, int], ...]  # image, mask, and their sizes and times


class Bijie(WholeDataset):
    """All pairs of one folder, sorted by name; open it with `open_bijie`, which shares the cache."""

    def __init__(self, folder: Path, stamp: Stamp, dataset: str, kind: Kind) -> None:
        self.dataset, self.kind = dataset, kind
        self.folder = folder
        self.files = [(Path(image), Path(mask)) for image, mask, *_ in stamp]
        self.names = tuple(image.stem for image, _ in self.files)
        self._cache: dict[int, Sample] = {}

    def __getitem__(self, index: int) -> Sample:
        index = range(len(self))[index]
        if index not in self._cache:
            image_path, mask_path = self.files[index]
            image, mask = read_image(image_path), read_mask(mask_path)
            require_same_size(image_path, image, mask_path, mask)
            self._cache[index] = Sample(self.names[index], image, mask)
        return self._cache[index]

    def split_path(self, split: int) -> Path:
        """Return the committed CSV file of a split, for generated images the one beside them."""
        return _split_path(self.folder, split)


def open_bijie(root: Path | None = None, dataset: str = "bijie") -> Bijie:
    """Open the whole data set below `root` (default `data_root()`); nothing is decoded yet.

    Raises:
        DatasetNotFoundError: the folder is not there.
        DatasetError: it is empty, or an image or a mask has no partner.
    """
    folder = _require_folder(root)
    pairs, faults = find_pairs(folder)
    if faults:
        more = f" ({len(faults) - 1} more; `scgcnet data check` lists all)" if len(faults) > 1 else ""
        raise DatasetError(faults[0] + more)
    stamp = []
    for image, mask in pairs:
        a, b = image.stat(), mask.stat()
        stamp.append((str(image), str(mask), a.st_size, a.st_mtime_ns, b.st_size, b.st_mtime_ns))
    return _opened(folder, tuple(stamp), dataset, _kind(folder))


# One object for one state of the files: training, validation and test part, and the hash, share what was
# decoded.
_opened = functools.lru_cache(maxsize=4)(Bijie)


def check_bijie(root: Path | None = None) -> list[str]:
    """Return every fault of the data set below `root`, as messages; an empty list if all is well."""
    try:
        folder = _require_folder(root)
    except DatasetNotFoundError as error:
        return [str(error)]
    pairs, faults = find_pairs(folder)
    for image_path, mask_path in pairs:
        try:
            image: NDArray[np.uint8] | None = read_image(image_path)
        except DatasetError as error:
            image = None
            faults.append(str(error))
        try:
            mask = read_mask(mask_path)
            if image is not None:
                require_same_size(image_path, image, mask_path, mask)
        except DatasetError as error:
            faults.append(str(error))
    if pairs:
        try:
            path = _split_path(folder, 0)
            split_indices([image.stem for image, _ in pairs], read_split(path), path)
        except DatasetError as error:
            faults.append(str(error))
    return faults


def _kind(folder: Path) -> Kind:
    return "synthetic" if (folder / MARKER).is_file() else "real"


def _split_path(folder: Path, split: int) -> Path:
    """Real images have the committed splits; generated ones have their own beside them."""
    if _kind(folder) == "synthetic":
        return folder / "splits" / f"bijie-{split}.csv"
    return committed_split("bijie", split)


def _require_folder(root: Path | None) -> Path:
    folder = (data_root() if root is None else Path(root)).absolute() / FOLDER
    if not folder.is_dir():
        raise DatasetNotFoundError(
            "The Bijie landslide data set",
            folder,
            source="http://gpcv.whu.edu.cn/data/Bijie_pages.html",
            size="770 pairs, 50 megapixels",
            licence="none stated; cite Ji et al. 2020",
        )
    return folder


def find_pairs(folder: Path) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Match images and masks by stem.

    Returns:
        The pairs sorted by name, and the faults found: a missing or empty folder, files without a partner,
        two files of one name.
    """
    faults: list[str] = []
    found: list[dict[str, Path]] = []
    for sub in ("image", "mask"):
        here = folder / "landslide" / sub
        files = sorted(p for p in here.glob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        if not files:
            what = "is empty" if here.is_dir() else "is missing"
            faults.append(f"{here} {what}; unpack the download again, it has landslide/image and landslide/mask.")
        stems: dict[str, Path] = {}
        for file in files:
            if file.stem in stems:
                faults.append(f"{file}: {stems[file.stem].name} has the same name; keep only one of the two.")
            stems.setdefault(file.stem, file)
        found.append(stems)
    images, masks = found
    if images and masks:
        for stem in sorted(images.keys() - masks.keys()):
            faults.append(f"{images[stem]} has no mask {stem}.* in landslide/mask; add the mask or remove the image.")
        for stem in sorted(masks.keys() - images.keys()):
            faults.append(f"{masks[stem]} has no image {stem}.* in landslide/image; add the image or remove the mask.")
    return [(images[stem], masks[stem]) for stem in sorted(images.keys() & masks.keys())], faults


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode an RGB image: uint8, (H, W, 3), read-only.

    Raises:
        DatasetError: damaged, too large for Pillow's limit, or not three channels of 8 bits.
    """
    image, mode = _decode(path)
    if mode != "RGB":
        channels = image.shape[2] if image.ndim == 3 else 1
        raise DatasetError(
            f"{path}: an image must have 3 channels of 8 bits (RGB), this one has {channels} (Pillow mode "
            f"{mode}). Save it as RGB, or copy the file again from the download."
        )
    return image


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Decode a mask: uint8, (H, W), 0 or 1, read-only.

    On disk it has 0 and 255, or 0 and 1, in one grey channel, or in three equal ones (all that WebP knows).

    Raises:
        DatasetError: damaged, too large for Pillow's limit, not a single channel, or with other values.
    """
    mask, mode = _decode(path)
    if mode == "RGB" and (mask == mask[..., :1]).all():
        mask, mode = mask[..., 0], "L"
    if mode not in ("L", "1"):
        channels = mask.shape[2] if mask.ndim == 3 else 1
        raise DatasetError(
            f"{path}: a mask must have 1 channel of 8 bits (grey), this one has {channels} (Pillow mode "
            f"{mode}). Save it as grey values 0 and 255."
        )
    values = np.flatnonzero(np.bincount(mask.ravel(), minlength=256))
    wrong = sorted(set(values.tolist()) - {0, 1, 255})
    if wrong:
        raise DatasetError(
            f"{path}: mask values must be 0 and 255 (or 0 and 1), found {', '.join(map(str, wrong[:5]))}"
            f"{', ...' if len(wrong) > 5 else ''}. Save the mask without loss and without smoothing. {AGAIN}"
        )
    mask = (mask > 0).astype(np.uint8)
    mask.setflags(write=False)
    return mask


def require_same_size(image_path: Path, image: NDArray[np.uint8], mask_path: Path, mask: NDArray[np.uint8]) -> None:
    """Check that a mask covers its image.

    Raises:
        DatasetError: the sizes differ.
    """
    if image.shape[:2] != mask.shape:
        (ih, iw), (mh, mw) = image.shape[:2], mask.shape
        raise DatasetError(
            f"{mask_path}: the mask is {mw}x{mh} px, but its image {image_path.name} is {iw}x{ih} px; "
            "they must have the same size. Copy both again from the download."
        )


def _decode(path: Path) -> tuple[NDArray[np.uint8], str]:
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its limit and twice that; no image of the data set comes near.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                array = np.array(file, dtype=np.uint8)
                mode = file.mode
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(
            f"{path}: the file claims more than {Image.MAX_IMAGE_PIXELS} pixels, which Pillow refuses as a "
            f"decompression bomb. {AGAIN}"
        ) from error
    except Exception as error:  # damage leads Pillow's readers into errors of any kind, TypeError among them
        raise DatasetError(f"{path} cannot be decoded, it is truncated or damaged ({error}). {AGAIN}") from error
    array.setflags(write=False)
    return array, mode
