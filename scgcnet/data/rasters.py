"""Images and masks decoded from files: PNG, JPEG, WebP, BMP, TIFF and GeoTIFF; 8 bits or more; one band or many.

The content of a file decides, not its suffix. Pillow reads pictures of 8 bits; rasterio reads TIFF and PNG of 16 bits
for `read_any_image` and `read_any_mask`, since Pillow keeps only the upper byte of the latter.

uint8 is taken as it is. Other values are stretched linearly, so that the 2nd percentile of the image becomes 0 and the
98th 255. The percentiles are over all valid pixels of all three bands together, so colours keep their relation.

Red, green and blue are the bands that a TIFF marks so (its colour interpretation), else the first three; bands beyond
are not read. One band is grey. `rio edit-info --colorinterp 1=blue,2=green,3=red FILE` marks bands.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from scgcnet.data.sample import DatasetError

#: Suffixes of lossless formats. JPEG changes pixels, so no mask is read from it.
SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp")
AGAIN = "Copy the file again from the download."
PERCENTILES = (2, 98)  # become 0 and 255
LEAST_SIDE = 16  # pixels; a smaller picture is more likely a placeholder
HUGE = 1e30  # floating-point values from here on stand for no data, such as an undeclared -3.4e38
TOLERANCE = 0.01  # pixels by which the corners of an image and its mask may differ on the ground

_LOSSLESS = ("PNG", "WEBP", "TIFF", "BMP")  # Pillow's names
_ORIENTATION = 0x0112  # the Exif tag by which a camera says how it was held
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class Place:
    """Where a picture lies."""

    crs: Any  # rasterio's, None where the file names none
    transform: tuple[float, float, float, float, float, float]  # x = a column + b row + c, y = d column + e row + f
    resolution: float | None  # metres per pixel; None where coordinates are in degrees

    def agrees(self, other: Place, shape: tuple[int, ...]) -> bool:
        """Whether pictures of this shape (height, width) at both places cover the same ground."""
        if self.crs is not None and other.crs is not None and self.crs != other.crs:
            return False
        a, b, _, d, e, _ = self.transform
        pixel = max(math.hypot(a, d), math.hypot(b, e))
        steps = [abs(one - two) for one, two in zip(self.transform, other.transform, strict=True)]
        height, width = shape
        return all(
            width * along + height * down + shift <= TOLERANCE * pixel
            for along, down, shift in (steps[:3], steps[3:])  # x, y
        )


@dataclass(frozen=True)
class Raster:
    """A decoded picture."""

    pixels: NDArray[np.uint8]  # read-only: an image (H, W, C), or a mask (H, W) of 0, 1, and 255 for unknown
    valid: NDArray[np.bool_] | None = None  # (H, W), where all bands of an image are known; None for everywhere
    place: Place | None = None

    def __post_init__(self) -> None:
        self.pixels.setflags(write=False)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Decode an RGB image of 8 bits, lossless: uint8, (H, W, 3), read-only."""
    pixels = _decode(path, _LOSSLESS, ("RGB",), "3 channels of 8 bits (RGB)")
    pixels.setflags(write=False)
    return pixels


def read_mask(path: Path) -> NDArray[np.uint8]:
    """Decode a mask of 0 and 255, or 0 and 1: uint8, (H, W), 0 or 1, read-only; three equal channels count as one."""
    wanted = "1 channel of 8 bits (grey)"
    mask = _decode(path, _LOSSLESS, ("L", "1", "RGB"), wanted)
    if mask.ndim == 3:
        if (mask != mask[..., :1]).any():
            raise DatasetError(f"{path}: a mask must have {wanted}, this one has colours. Save it as grey values.")
        mask = mask[..., 0]
    return binary_mask(mask, path)


def read_any_image(path: Path) -> Raster:
    """Decode an image of any make, as RGB of 8 bits; 0 where a band is unknown.

    Unknown is: the no-data value, a mask band or alpha channel of 0, and values that are not finite.
    """
    driver = _driver(path)
    place = None
    if driver is None:
        modes = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")
        pixels = _decode(path, (*_LOSSLESS, "JPEG"), modes, "grey or RGB", convert="RGBA")
        image, valid = pixels[..., :3].copy(), pixels[..., 3] > 0
    else:
        with decoding(path), _raster(path, driver) as source:
            bands = _rgb(path, source)
            values = source.read(bands)  # (1 or 3, H, W)
            valid = source.read_masks(bands).all(axis=0)
            if values.dtype.kind == "f":
                valid &= (np.abs(values) < HUGE).all(axis=0)  # false for NaN
            image = np.stack(list(_stretch(values, valid)) * (3 // len(bands)), axis=-1)
            place = _place(source)
    height, width = valid.shape
    if min(height, width) < LEAST_SIDE:
        raise DatasetError(f"{path} has {width}x{height} px; the least is {LEAST_SIDE} a side. Remove it and its mask.")
    if not valid.any():
        raise DatasetError(f"{path} has no valid pixel: all of it is no-data. Remove it and its mask.")
    image[~valid] = 0
    return Raster(image, valid, place)


def read_any_mask(path: Path) -> Raster:
    """Decode a mask of 0 and 255, or 0 and 1, of any type; 255 where it is unknown.

    In a TIFF, pixels of no-data or not a number are unknown, except that a no-data value of 0, which many programs
    write by themselves, is taken for "no landslide".
    """
    driver = _driver(path)
    if driver is None:
        return Raster(read_mask(path))
    with decoding(path), _raster(path, driver) as source:
        if source.count != 1:
            raise DatasetError(f"{path}: a mask must have 1 band, this one has {source.count}. Save it as grey values.")
        if source.nodata == 1:
            raise DatasetError(f"{path}: its no-data value is 1, that of landslides: rio edit-info --unset-nodata FILE")
        values = source.read(1)
        known = np.ones(values.shape, bool) if source.nodata == 0 else source.read_masks(1) > 0
        mask = Raster(binary_mask(values, path, known & ~np.isnan(values)), place=_place(source))
    return mask


def read_size(path: Path) -> tuple[int, int]:
    """Height and width from a picture's head."""
    with decoding(path), Image.open(path, formats=_LOSSLESS) as file:
        width, height = file.size
    return height, width


def binary_mask(values: NDArray[Any], name: Path | str, known: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """Turn a mask of 0 and 255, or 0 and 1, of any type into one of 0 and 1, read-only; 255 where it is not `known`."""
    of_known = values if known is None else values[known]
    if values.dtype == np.uint8:  # several times faster
        found = np.flatnonzero(np.bincount(of_known.ravel(), minlength=256))
    else:
        found = np.unique(of_known)
    wrong = found[(found != 0) & (found != 1) & (found != 255)].tolist()
    if wrong or {1, 255} <= set(found.tolist()):
        shown = ", ".join(f"{value:g}" for value in wrong[:5] or (1, 255)) + ", ..." * (len(wrong) > 5)
        raise DatasetError(
            f"{name}: mask values must be 0 and 255 (or 0 and 1), found {shown}. Save the mask without loss and "
            f"without smoothing. {AGAIN}"
        )
    mask: NDArray[np.uint8] = (values != 0).astype(np.uint8)
    if known is not None:
        mask[~known] = 255
    mask.setflags(write=False)
    return mask


def to_8_bits(values: NDArray[Any], white: Sequence[float], bands: Sequence[int], name: str) -> NDArray[np.uint8]:
    """Scale the C named bands of (H, W, B) so that 0 becomes 0 and each band's `white` 255, rounded and clipped.

    Raises DatasetError, which starts with `name`, for NaN or infinite values in any band.
    """
    wrong = np.count_nonzero(~np.isfinite(values))
    if wrong:
        raise DatasetError(f"{name}: {wrong} of {values.size} values are NaN or infinite. {AGAIN}")
    limit = np.array(white)[list(bands)]
    image: NDArray[np.uint8] = np.rint(np.clip(values[..., list(bands)], 0, limit) * (255 / limit)).astype(np.uint8)
    image.setflags(write=False)
    return image


def require_file(path: Path) -> None:
    """Raise DatasetError for what is no file, or a link that leads to none: a pipe would keep a reader waiting."""
    if not path.is_file():
        raise DatasetError(f"{path} is not a file, or leads to none; put the file of the download there.")


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with a file in the block into one DatasetError that names it."""
    require_file(path)
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its limit and twice that; no image of the data sets comes near.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except DatasetError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except UnidentifiedImageError:  # its message names an object in memory
        raise DatasetError(f"{path} cannot be decoded, it is damaged or no picture. {AGAIN}") from None
    except Exception as error:  # damage leads the libraries into errors of any kind, TypeError among them
        if isinstance(error, OSError) and error.strerror:
            raise DatasetError(f"{path} cannot be read ({error.strerror}). {AGAIN}") from error
        raise DatasetError(f"{path} cannot be decoded, it is truncated or damaged ({error}). {AGAIN}") from error


def _decode(
    path: Path, formats: Sequence[str], modes: Sequence[str], wanted: str, convert: str | None = None
) -> NDArray[np.uint8]:
    """Pixels by Pillow, converted to a mode where one is given; `wanted` says in words what `modes` are."""
    with decoding(path):
        content = BytesIO(path.read_bytes())
        if content.getvalue()[: len(_PNG)] == _PNG:  # it has checksums, which Pillow's decoder does not look at
            with Image.open(content, formats=("PNG",)) as file:
                file.verify()
            content.seek(0)
        # Named formats: Pillow would else try all that it knows, and hand PostScript to Ghostscript.
        with Image.open(content, formats=(*_LOSSLESS, "JPEG")) as file:
            if file.format not in formats:
                raise DatasetError(
                    f"{path}: the content is {file.format}, which changes pixels when it is saved; here only "
                    f"{', '.join(formats)} are read. {AGAIN}"
                )
            if min(file.size) < 2:  # a placeholder, which would be stretched to the network's size
                raise DatasetError(f"{path} has {file.width}x{file.height} px, which shows nothing. {AGAIN}")
            if file.getexif().get(_ORIENTATION, 1) != 1:
                raise DatasetError(
                    f"{path}: its Exif data says that it is to be turned when shown, so image and mask may not lie "
                    "alike. Save it as it is shown, without that entry."
                )
            if file.mode not in modes:
                raise DatasetError(f"{path}: it must have {wanted}, not Pillow's mode {file.mode}. Save it anew so.")
            pixels = np.array(file.convert(convert) if convert else file, dtype=np.uint8)
    return pixels


def _driver(path: Path) -> str | None:
    """GDAL's name of the format where rasterio is to read the file, None where Pillow is."""
    with decoding(path), path.open("rb") as file:
        head = file.read(25)
    if head[:4] in _TIFF:
        return "GTiff"
    return "PNG" if head[:8] == _PNG and head[24:] == b"\x10" else None  # the header's bit depth


@contextmanager
def _raster(path: Path, driver: str) -> Iterator[Any]:
    try:
        import rasterio  # heavy, and optional
        from rasterio.errors import NotGeoreferencedWarning
    except ImportError as error:
        raise DatasetError(
            f"{path}: TIFF, and PNG of 16 bits, is read by rasterio, which is missing: pip install rasterio"
        ) from error
    warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `decoding` restores the filters
    # A named driver: others would follow what a file says to further files or to the network.
    with rasterio.open(path, driver=driver) as source:
        if source.width * source.height > (Image.MAX_IMAGE_PIXELS or math.inf):
            raise _too_large(path)
        if any(np.dtype(kind).kind not in "uif" for kind in source.dtypes):
            raise DatasetError(f"{path}: values must be whole or real numbers, not {source.dtypes[0]}.")
        if source.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
            raise DatasetError(f"{path}: 0 stands for white in this TIFF. Save it with 0 for black.")
        yield source


def _rgb(path: Path, source: Any) -> list[int]:
    """Numbers of the bands for red, green and blue, or of the only one, from 1."""
    kinds = [kind.name for kind in source.colorinterp]
    if "palette" in kinds:
        raise DatasetError(f"{path}: colours by a palette are not read from TIFF. Save the image as RGB.")
    if {"red", "green", "blue"} <= set(kinds):
        return [1 + kinds.index(kind) for kind in ("red", "green", "blue")]
    colours = [1 + i for i, kind in enumerate(kinds) if kind != "alpha"]
    if len(colours) in (0, 2):
        raise DatasetError(f"{path}: an image must have 1 band, or 3 and more; this one has {len(colours)}.")
    return colours[:3]


def _stretch(bands: NDArray[Any], valid: NDArray[np.bool_]) -> Iterator[NDArray[np.uint8]]:
    """The bands (K, H, W) as uint8, one after the other, stretched together unless they are uint8."""
    if bands.dtype == np.uint8:
        yield from bands
        return
    low, high = map(float, np.percentile(bands[:, valid], PERCENTILES)) if valid.any() else (0.0, 0.0)
    for band in bands:
        above = np.where(valid, band.astype(np.float64), low) - low
        # Where both percentiles are one value, what lies above it is white, as for a very steep stretch.
        shade = above * (255 / (high - low)) if high > low else 255.0 * (above > 0)
        yield np.clip(np.rint(shade), 0, 255).astype(np.uint8)


def _place(source: Any) -> Place | None:
    if source.driver != "GTiff" or (source.crs is None and source.transform.is_identity):
        return None
    a, b, c, d, e, f = source.transform[:6]
    metres = source.crs.linear_units_factor[1] if source.crs is not None and source.crs.is_projected else None
    resolution = metres * math.sqrt(abs(a * e - b * d)) if metres else None
    return Place(source.crs, (a, b, c, d, e, f), resolution)


def _too_large(path: Path) -> DatasetError:
    return DatasetError(
        f"{path}: the file claims more than {Image.MAX_IMAGE_PIXELS} pixels, which is refused as a decompression bomb. "
        f"{AGAIN}"
    )
