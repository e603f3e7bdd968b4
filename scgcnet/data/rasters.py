"""Pictures of any make: PNG, JPEG, WebP, TIFF and GeoTIFF; 8 bits or more; one band, three or many; with no-data.

Pillow reads what has 8 bits. TIFF is read by rasterio, and so is PNG of 16 bits, of which Pillow keeps the upper half
of each value and says nothing. What counts is the content of a file, not its suffix.

How values become 8 bits: uint8 is taken as it is. Everything else is stretched linearly, so that the 2nd percentile of
the image becomes 0 and the 98th 255, rounded and clipped. The percentiles are over all valid pixels of all three bands
together, so colours keep their relation, and each image is stretched by itself, so brightness does not compare between
images. A few pixels of cloud or shadow, or values stored as 12 bits in 16, then do no harm.

Which bands are red, green and blue: those that a TIFF marks so (its colour interpretation), else the first three; bands
beyond are not read. One band is taken as grey. `rio edit-info --colorinterp 1=blue,2=green,3=red FILE` marks bands.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from scgcnet.data.images import ORIENTATION, PNG, read_mask, require_file, verified
from scgcnet.data.sample import DatasetError

PERCENTILES = (2, 98)  # become 0 and 255
LEAST_SIDE = 16  # pixels; a smaller picture shows nothing to map, and is more likely a placeholder
HUGE = 1e30  # floating-point values from here on stand for no data, such as an undeclared -3.4e38
TOLERANCE = 0.01  # pixels by which the corners of an image and its mask may differ on the ground

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA")


@dataclass(frozen=True)
class Place:
    """Where a picture lies.

    Attributes:
        crs: rasterio's coordinate reference system, None where the file names none.
        transform: a, b, c, d, e, f with x = a column + b row + c, y = d column + e row + f.
        resolution: ground sampling distance, metres per pixel; None where coordinates are no lengths, as in degrees.
    """

    crs: Any
    transform: tuple[float, float, float, float, float, float]
    resolution: float | None

    def agrees(self, other: Place, shape: tuple[int, int]) -> bool:
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


@contextmanager
def decoding(path: Path) -> Iterator[None]:
    """Whatever goes wrong with a file in the block becomes one DatasetError that names it."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns between its limit and twice that; no image of the data sets comes near.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except DatasetError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path) from error
    except UnidentifiedImageError:  # whose message names an object in memory
        raise DatasetError(f"{path} cannot be decoded, it is damaged or no picture. Copy it again.") from None
    except Exception as error:  # damage leads the libraries into errors of any kind, TypeError among them
        raise DatasetError(f"{path} cannot be decoded, it is truncated or damaged ({error}). Copy it again.") from error


def read_any_image(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Place | None]:
    """Decode an image.

    Returns:
        The image, uint8 (H, W, 3), 0 where a band is unknown; where all are known, bool (H, W), from the no-data value,
        the mask band or the alpha channel (0 is unknown), and from values that are finite; and where it lies. The first
        is read-only.

    Raises:
        DatasetError: damaged, too large for Pillow's limit, smaller than 16 px, without a valid pixel, two bands,
            a palette in a TIFF, turned by Exif, or rasterio is needed and not there.
    """
    driver = _driver(path)
    if driver is None:
        image, valid = _by_pillow(path)
        place = None
    else:
        with decoding(path), _raster(path, driver) as source:
            bands = _rgb(path, source)
            values = source.read(bands)  # (1 or 3, H, W)
            valid = source.read_masks(bands).all(axis=0) & _finite(values).all(axis=0)
            image = np.stack(list(_to_8_bits(values, valid)) * (3 // len(bands)), axis=-1)
            place = _place(source)
    height, width = valid.shape
    if min(height, width) < LEAST_SIDE:
        raise DatasetError(f"{path} has {width}x{height} px; an image needs at least {LEAST_SIDE} on each side.")
    if not valid.any():
        raise DatasetError(f"{path} has no valid pixel: all is no-data. Remove the image and its mask.")
    image[~valid] = 0
    image.setflags(write=False)
    return image, valid, place


def read_any_mask(path: Path) -> tuple[NDArray[np.uint8], Place | None]:
    """Decode a mask: uint8, (H, W), 0, 1, or 255 where nobody knows, read-only; and where it lies.

    On disk it has 0 and 255 or 0 and 1. In a TIFF, pixels of no-data or not a number are unknown, except that a no-data
    value of 0, which many programs write by themselves, is taken for "no landslide".

    Raises:
        DatasetError: as `images.read_mask`; the no-data value is 1; or rasterio is needed and not there.
    """
    driver = _driver(path)
    if driver is None:
        return read_mask(path), None
    with decoding(path), _raster(path, driver) as source:
        if source.count != 1:
            raise DatasetError(f"{path}: a mask must have 1 band, this one has {source.count}. Save it as grey values.")
        values = source.read(1)
        known = np.ones(values.shape, bool) if source.nodata == 0 else source.read_masks(1) > 0
        known &= ~np.isnan(values)
        if source.nodata == 1:
            raise DatasetError(f"{path}: its no-data value is 1, that of landslides: rio edit-info --unset-nodata FILE")
        mask = _binary(path, values, known)
        place = _place(source)
    mask.setflags(write=False)
    return mask, place


def _binary(path: Path, values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """0, 1 and 255 from a mask of 0 and 255, or 0 and 1, of any type."""
    landslide = [value for value in (1, 255) if (values[known] == value).any()]
    wrong = values[known & (values != 0) & (values != 1) & (values != 255)]
    if wrong.size or len(landslide) == 2:
        found = sorted(set(wrong[:1000].tolist()))[:5] or landslide
        raise DatasetError(
            f"{path}: mask values must be 0 and 255 (or 0 and 1), found {', '.join(f'{value:g}' for value in found)}. "
            "Save the mask without loss and without smoothing."
        )
    return np.where(known, values != 0, 255).astype(np.uint8)


def _driver(path: Path) -> str | None:
    """GDAL's name of the format where rasterio is to read the file, None where Pillow is."""
    require_file(path)
    try:
        with path.open("rb") as file:
            head = file.read(25)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}). Copy it again.") from error
    if head[:4] in _TIFF:
        return "GTiff"
    return "PNG" if head[:8] == PNG and head[24:] == b"\x10" else None  # the header's bit depth


def _by_pillow(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    with decoding(path), Image.open(verified(path), formats=("PNG", "JPEG", "WEBP")) as file:
        if file.mode not in _MODES:
            raise DatasetError(f"{path}: an image must be grey or RGB, this one is {file.mode}. Save it as RGB.")
        if file.getexif().get(ORIENTATION, 1) != 1:
            raise DatasetError(
                f"{path}: its Exif data says that it is to be turned when shown, so nobody can tell which way its mask "
                "lies. Save the image as it is shown, without that entry."
            )
        pixels = np.asarray(file.convert("RGBA"))
    return pixels[..., :3].copy(), pixels[..., 3] > 0


@contextmanager
def _raster(path: Path, driver: str) -> Iterator[Any]:
    try:
        import rasterio  # heavy, and only this room needs it
        from rasterio.errors import NotGeoreferencedWarning
    except ImportError as error:
        raise DatasetError(
            f"{path}: TIFF, and PNG of 16 bits, is read by rasterio, which is missing: pip install rasterio"
        ) from error
    warnings.simplefilter("ignore", NotGeoreferencedWarning)  # `decoding` takes it back
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


def _finite(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind != "f":
        return np.ones(values.shape, bool)
    return np.asarray(np.abs(values) < HUGE)  # false for what is not a number


def _to_8_bits(bands: NDArray[Any], valid: NDArray[np.bool_]) -> Iterator[NDArray[np.uint8]]:
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
        "Copy it again, or cut it into tiles."
    )
