"""Images and masks on disk: reading one, reading a mask, and finding the pairs of two folders."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from scgcnet.data.sample import DatasetError, Kind, Sample, WholeDataset

#: File formats by the suffixes they go by. JPEG changes pixels, so no mask is read from it.
LOSSLESS = {"PNG": (".png",), "WEBP": (".webp",), "TIFF": (".tif", ".tiff"), "BMP": (".bmp",)}
LOSSY = {"JPEG": (".jpg", ".jpeg")}
AGAIN = "Copy the file again from the download."
ORIENTATION = 0x0112  # the tag by which a camera says how it was held
PNG = b"\x89PNG\r\n\x1a\n"  # how such a file begins


@dataclass(frozen=True)
class Pair:
    """One image and its mask on disk.

    Attributes:
        name: unique within the data set.
        image: file.
        mask: file.
        site: the sub-set, event or place it belongs to; empty where the data set has none.
        resolution: metres per pixel, None where it is not known.
    """

    name: str
    image: Path
    mask: Path
    site: str = ""
    resolution: float | None = None


Stamp = tuple[tuple[int, int], ...]  # size and time of change of every file


class PairDataset(WholeDataset):
    """Images and masks in files of their own, decoded when asked for.

    Opened anew only when a file has changed (see `stamp`), so that parts, hash and checks share what was decoded.
    """

    def __init__(self, dataset: str, kind: Kind, pairs: tuple[Pair, ...], stamp: Stamp) -> None:
        super().__init__(dataset, kind, tuple(pair.name for pair in pairs), tuple(pair.site for pair in pairs))
        self.pairs = pairs

    def read(self, index: int) -> Sample:
        """Decode one pair; it raises as `read_pair` does."""
        return read_pair(self.pairs[index])


def stamp(pairs: Sequence[Pair]) -> Stamp:
    """Size and time of change of all files.

    Raises:
        DatasetError: a file cannot be reached, for instance a link that leads in a circle.
    """
    found = []
    for file in (file for pair in pairs for file in (pair.image, pair.mask)):
        try:
            state = file.stat()
        except OSError as error:
            raise DatasetError(f"{file} cannot be reached ({error.strerror}). {AGAIN}") from error
        found.append((state.st_size, state.st_mtime_ns))
    return tuple(found)


def require_no_faults(faults: Sequence[str]) -> None:
    """Raises DatasetError with the first of some faults, and how many more there are."""
    if faults:
        more = f" ({len(faults) - 1} more; `scgcnet data check` lists all)" if len(faults) > 1 else ""
        raise DatasetError(faults[0] + more)


def list_files(folder: Path, suffixes: Collection[str]) -> tuple[dict[str, Path], list[str]]:
    """The files of a folder with one of some suffixes, by stem and sorted, and the faults found.

    Hidden files do not count. A fault is a folder that is missing or empty, or two files of one stem.
    """
    faults: list[str] = []
    try:
        files = sorted(p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith("."))
    except FileNotFoundError:
        return {}, [f"{folder} is missing; unpack the download again."]
    except OSError as error:
        return {}, [f"{folder} cannot be read ({error.strerror}); unpack the download again."]
    if not files:
        known = ", ".join(sorted(suffixes))
        faults.append(f"{folder} is empty: it has no file with {known}; unpack the download again.")
    stems: dict[str, Path] = {}
    for file in files:
        if file.stem in stems:
            faults.append(f"{file}: {stems[file.stem].name} has the same name; keep only one of the two.")
        stems.setdefault(file.stem, file)
    return stems, faults


def match_stems(images: dict[str, Path], masks: dict[str, Path]) -> tuple[list[tuple[Path, Path]], list[str]]:
    """Images and masks of equal stems, sorted, and a fault for each file without a partner."""
    faults: list[str] = []
    if images and masks:
        folders = [f"{next(iter(files.values())).parent.name}" for files in (images, masks)]
        for stem in sorted(images.keys() - masks.keys()):
            faults.append(f"{images[stem]} has no mask {stem}.* in {folders[1]}; add the mask or remove the image.")
        for stem in sorted(masks.keys() - images.keys()):
            faults.append(f"{masks[stem]} has no image {stem}.* in {folders[0]}; add the image or remove the mask.")
    return [(images[stem], masks[stem]) for stem in sorted(images.keys() & masks.keys())], faults


def read_pair(pair: Pair) -> Sample:
    """Decode an image and its mask.

    Raises:
        DatasetError: either is damaged, or they differ in size.
    """
    image, mask = read_image(pair.image), read_mask(pair.mask)
    require_same_size(pair.image, image, pair.mask, mask)
    return Sample(pair.name, image, mask, pair.resolution)


def faults_of(pair: Pair) -> list[str]:
    """What is wrong with an image and its mask: both are looked at, whatever the first one says."""
    return look_at(pair)[0]


def look_at(pair: Pair) -> tuple[list[str], NDArray[np.uint8] | None]:
    """The same, and the mask where it can be read."""
    faults: list[str] = []
    found: dict[Path, NDArray[np.uint8]] = {}
    for read, file in ((read_image, pair.image), (read_mask, pair.mask)):
        try:
            found[file] = read(file)
        except DatasetError as error:
            faults.append(str(error))
    if len(found) == 2 and found[pair.image].shape[:2] != found[pair.mask].shape:
        faults.append(_size_fault(pair.image, found[pair.image].shape, pair.mask, found[pair.mask].shape))
    return faults, found.get(pair.mask)


def read_image(path: Path, formats: Collection[str] = tuple(LOSSLESS)) -> NDArray[np.uint8]:
    """Decode an RGB image: uint8, (H, W, 3), read-only.

    Args:
        path: the file.
        formats: those of `LOSSLESS` and `LOSSY` that may be in it. Content counts, not the suffix.

    Raises:
        DatasetError: damaged, of another format, too large for Pillow's limit, or not three channels of 8 bits.
    """
    image, mode = _decode(path, formats)
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
    mask, mode = _decode(path, tuple(LOSSLESS))
    if mode == "RGB" and (mask == mask[..., :1]).all():
        mask, mode = mask[..., 0], "L"
    if mode not in ("L", "1"):
        channels = mask.shape[2] if mask.ndim == 3 else 1
        raise DatasetError(
            f"{path}: a mask must have 1 channel of 8 bits (grey), this one has {channels} (Pillow mode "
            f"{mode}). Save it as grey values 0 and 255."
        )
    return binary_mask(mask, str(path))


def binary_mask(mask: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    """A mask of 0 and 1, read-only, from one of 0 and 255 or 0 and 1.

    Args:
        mask: uint8, any shape.
        name: file or sample that the message is to name.

    Raises:
        DatasetError: it has other values, or both 1 and 255.
    """
    values = set(np.flatnonzero(np.bincount(mask.ravel(), minlength=256)).tolist())
    wrong = sorted(values - {0, 1, 255})
    if wrong or {1, 255} <= values:
        found = wrong or [1, 255]
        raise DatasetError(
            f"{name}: mask values must be 0 and 255 (or 0 and 1), found {', '.join(map(str, found[:5]))}"
            f"{', ...' if len(found) > 5 else ''}. Save the mask without loss and without smoothing. {AGAIN}"
        )
    binary = (mask > 0).astype(np.uint8)
    binary.setflags(write=False)
    return binary


def require_same_size(image_path: Path, image: NDArray[np.uint8], mask_path: Path, mask: NDArray[np.uint8]) -> None:
    """Check that a mask covers its image.

    Raises:
        DatasetError: the sizes differ.
    """
    if image.shape[:2] != mask.shape:
        raise DatasetError(_size_fault(image_path, image.shape, mask_path, mask.shape))


def _size_fault(image_path: Path, image: tuple[int, ...], mask_path: Path, mask: tuple[int, ...]) -> str:
    return (
        f"{mask_path}: the mask is {mask[1]}x{mask[0]} px, but its image {image_path.name} is {image[1]}x{image[0]} "
        "px; they must have the same size. Copy both again from the download."
    )


def require_file(path: Path) -> None:
    """Raises DatasetError for what is no file, or a link that leads to none: a pipe would keep a reader waiting."""
    if not path.is_file():
        raise DatasetError(f"{path} is not a file, or leads to none; put the file of the download there.")


def verified(path: Path) -> BytesIO:
    """A file's bytes. A PNG's are held against its checksums, which Pillow's decoder does not look at.

    TIFF, WebP and BMP have none: a flipped bit in them may go unnoticed.

    Raises:
        DatasetError: it is no file, or cannot be read.
        SyntaxError: a checksum is wrong; and whatever else Pillow makes of damage.
    """
    require_file(path)
    try:
        content = BytesIO(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}). {AGAIN}") from error
    if content.getvalue()[: len(PNG)] == PNG:
        with Image.open(content, formats=("PNG",)) as file:
            file.verify()
        content.seek(0)
    return content


def _decode(path: Path, formats: Collection[str]) -> tuple[NDArray[np.uint8], str]:
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its limit and twice that; no image of the data sets comes near.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            # Named formats: Pillow would else try all that it knows, and hand PostScript to Ghostscript.
            with Image.open(verified(path), formats=[*LOSSLESS, *LOSSY]) as file:
                if file.format not in formats:
                    raise DatasetError(
                        f"{path}: the content is {file.format}, whatever the name says, which changes pixels when "
                        f"it is saved; here only {', '.join(formats)} are read. {AGAIN}"
                    )
                if min(file.size) < 2:  # a placeholder, which would be stretched to the network's size
                    raise DatasetError(f"{path} has {file.width}x{file.height} px, which shows nothing. {AGAIN}")
                if file.getexif().get(ORIENTATION, 1) != 1:
                    raise DatasetError(
                        f"{path}: the file says that it is to be turned when shown, so nobody can tell which way its "
                        f"partner lies. {AGAIN}"
                    )
                array = np.array(file, dtype=np.uint8)
                mode = file.mode
    except DatasetError:
        raise
    except UnidentifiedImageError:  # whose message names an object in memory
        raise DatasetError(f"{path} cannot be decoded, it is damaged or no picture. {AGAIN}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DatasetError(
            f"{path}: the file claims more than {Image.MAX_IMAGE_PIXELS} pixels, which Pillow refuses as a "
            f"decompression bomb. {AGAIN}"
        ) from error
    except Exception as error:  # damage leads Pillow's readers into errors of any kind, TypeError among them
        raise DatasetError(f"{path} cannot be decoded, it is truncated or damaged ({error}). {AGAIN}") from error
    array.setflags(write=False)
    return array, mode
