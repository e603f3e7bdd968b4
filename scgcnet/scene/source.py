"""A scene on disk, read piece by piece on the grid that the network works on.

What is read is turned into 8 bits as `scgcnet.data.rasters` does with images, the percentiles being those of a sample
of the whole scene, and is resized by Pillow's antialiased bilinear filter, as in training. Pieces that touch fit: each
is resized with the pixels around it.
"""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio._err import CPLE_BaseError  # GDAL's own errors, which rasterio lets through here and there
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from scgcnet import files
from scgcnet.data.rasters import HUGE, LEAST_SIDE, PERCENTILES
from scgcnet.data.transforms import MEAN
from scgcnet.scene.options import SceneError

CACHE_MB = 64  # of decoded blocks; GDAL's own default is a share of the machine's memory
SAMPLE = 1000  # pixels; longest side of the sample whose percentiles stretch the values
PIECE = 1 << 22  # pixels of the scene that are read and resized at once
FILL = np.rint(255 * MEAN).astype(np.uint8)  # of no-data: 0 once normalised, like the canvas around training images


class _Heard(logging.Handler):
    """What GDAL's JPEG reader only warns of: that a block is damaged, which it then fills as it likes."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "JPEGLib" in (told := record.getMessage()):
            self.faults.append(told)


_heard = _Heard()
logging.getLogger("rasterio").addHandler(_heard)  # nothing is printed: what goes wrong is raised, and told once


@contextmanager
def gdal() -> Iterator[None]:
    """GDAL with little memory, and without a warning about each file that has no place."""
    with warnings.catch_warnings(), rasterio.Env(GDAL_CACHEMAX=CACHE_MB):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever rasterio finds wrong with a scene in the block becomes one SceneError that names it."""
    _heard.faults.clear()
    try:
        with gdal():
            yield
    except (RasterioError, CPLE_BaseError) as error:
        reason = str(error.__cause__ or error).replace(str(path), path.name)
        raise SceneError(f"{path} cannot be read, it is damaged or no raster ({reason}). Copy it again.") from error
    if _heard.faults:
        raise SceneError(f"{path} cannot be read, it is damaged ({_heard.faults[0]}). Copy it again.")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Likewise for what is written: a WriteError, for GDAL tells of a full disk in its own words."""
    try:
        with gdal():
            yield
    except (RasterioError, CPLE_BaseError) as error:
        raise files.WriteError(path, OSError(str(error.__cause__ or error))) from error


class Scene:
    """An open raster and how it is shown to a network.

    Args:
        path: any raster that rasterio reads.
        channels: bands that the network takes.
        bands: which ones, from 1; None for those marked red, green and blue, else the first; a single one is grey.
        value_range: values that become 0 and 255, None for percentiles of a sample (8 bits: as they are).

    Attributes:
        shape: height and width, pixels.
        notes: what the user should know about the scene, a sentence each.

    Raises:
        SceneError: no such file, no raster, bands that do not fit, too narrow, or without any valid pixel.
    """

    def __init__(
        self,
        path: Path,
        channels: int,
        bands: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        if not path.is_file():
            raise SceneError(f"{path} is not there, or is no file. Name a raster, such as a GeoTIFF.")
        self.path = path
        with reading(path):
            self._file = rasterio.open(path)
        self.shape: tuple[int, int] = self._file.shape
        self._guessed = False  # whether the order of the bands was
        try:
            height, width = self.shape
            if min(self.shape) < LEAST_SIDE:
                raise SceneError(f"{path} has {width} x {height} px; a scene needs at least {LEAST_SIDE} on each side.")
            self.bands = self._choose(channels, bands)
            self.value_range = value_range or self._percentiles()
        except SceneError:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def crs(self) -> Any:
        """The coordinate reference system as rasterio has it; None where the file names none or has no transform."""
        return None if self._file.transform.is_identity else self._file.crs

    @property
    def transform(self) -> Any:
        """The affine transform from column and row to coordinates; the identity where there is none."""
        return self._file.transform

    @property
    def notes(self) -> list[str]:
        found = []
        if self._guessed:
            taken = ", ".join(map(str, self.bands))
            found.append(f"no bands are marked red, green and blue: {taken} are taken for them, see --bands")
        if self._file.gcps[0]:
            found.append("its ground control points are not used: warp it first, as with gdalwarp")
        if self.crs is None:
            found.append("it has no coordinate reference system: areas and --min-area are in pixels, not square metres")
        a, b, _, d = self.transform[:4]
        if b or d:
            turned = math.degrees(math.atan2(d, a))
            found.append(f"its grid is turned by {turned:.1f} degrees or sheared; the outputs keep its transform")
        if self.crs is not None and self.crs.is_geographic:
            found.append("its coordinates are degrees: areas are computed on the ellipsoid")
        return found

    def sha256(self) -> str:
        """Hash of the scene's files; statistics that GDAL leaves beside them do not count."""
        digest = hashlib.sha256()
        for name in self._file.files:
            if not name.endswith(".aux.xml"):
                with Path(name).open("rb") as file:
                    while piece := file.read(1 << 20):
                        digest.update(piece)
        return digest.hexdigest()

    def _choose(self, channels: int, bands: tuple[int, ...] | None) -> tuple[int, ...]:
        count = self._file.count
        if bands is None:
            kinds = [kind.name for kind in self._file.colorinterp]
            marked = channels == 3 and {"red", "green", "blue"} <= set(kinds)
            rgb = tuple(1 + kinds.index(kind) for kind in ("red", "green", "blue")) if marked else ()
            opaque = [1 + index for index, kind in enumerate(kinds) if kind != "alpha"]
            bands = rgb or tuple(opaque[:1] if len(opaque) == 1 else opaque[:channels])
            self._guessed = channels == 3 and not rgb and len(opaque) > 1
            if "palette" in kinds:
                raise SceneError(f"{self.path}: colours by a palette are not read. Save the scene as RGB.")
        if max(bands, default=0) > count:
            raise SceneError(f"{self.path} has {count} bands; --bands {','.join(map(str, bands))} asks for more.")
        if len(bands) not in (1, channels):
            raise SceneError(
                f"{self.path}: the network takes {channels} bands and {len(bands)} are given of {count}. Name "
                f"{channels} with --bands, or one for a grey picture."
            )
        if any(np.dtype(self._file.dtypes[band - 1]).kind not in "uif" for band in bands):
            raise SceneError(f"{self.path}: values must be whole or real numbers, not {self._file.dtypes[0]}.")
        return bands if len(bands) == channels else bands * channels

    def _percentiles(self) -> tuple[float, float] | None:
        if {self._file.dtypes[band - 1] for band in self.bands} == {"uint8"}:
            return None
        shrink = max(1.0, max(self.shape) / SAMPLE)
        shape = tuple(max(1, round(side / shrink)) for side in self.shape)
        with reading(self.path):
            values, valid = self._decoded(None, shape)
        if not valid.any():
            raise SceneError(
                f"{self.path} shows no valid pixel in a sample of {valid.size}: all is no-data or not a number. "
                "Take another scene, or give its values with --range LOW,HIGH."
            )
        low, high = map(float, np.percentile(values[:, valid], PERCENTILES))
        return low, high if high > low else low + 1

    def _decoded(
        self, window: Window | None, shape: tuple[int, ...] | None = None
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Values (C, h, w) as stored, and whether all of a pixel's are known."""
        bands = list(dict.fromkeys(self.bands))
        out = None if shape is None else (len(bands), *shape)
        values = self._file.read(bands, window=window, out_shape=out, resampling=Resampling.nearest)
        valid = np.ones(values.shape[1:], bool)
        flags = [self._file.mask_flag_enums[band - 1] for band in bands]
        if any(MaskFlags.all_valid not in flag for flag in flags):
            masks = self._file.read_masks(bands, window=window, out_shape=out, resampling=Resampling.nearest)
            valid &= (masks > 0).all(axis=0)
        if values.dtype.kind == "f":
            valid &= (np.abs(values) < HUGE).all(axis=0)  # false for what is not a number
        return values, valid

    def valid(self, top: int, bottom: int) -> NDArray[np.bool_]:
        """Which pixels are known in the rows from top to bottom (excluded): bool (bottom - top, W).

        Raises:
            SceneError: a block is damaged.
        """
        with reading(self.path):
            return self._decoded(Window(0, top, self.shape[1], bottom - top))[1]

    def _eight_bits(self, window: Window, shape: tuple[int, ...] | None = None) -> tuple[NDArray[np.uint8], bool]:
        """The bands as uint8 (h, w, C), no-data filled, and whether any pixel is known."""
        values, valid = self._decoded(window, shape)
        if self.value_range is not None:
            low, high = self.value_range
            values = np.where(valid, values, low).astype(np.float32)
            values = (values - np.float32(low)) * np.float32(255 / (high - low))
            values = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        image = np.moveaxis(values, 0, -1)
        if image.shape[2] != len(self.bands):
            image = np.repeat(image, len(self.bands), axis=2)
        if not valid.all():
            image = image.copy()
            fill = FILL if image.shape[2] == 3 else np.full(image.shape[2], FILL.mean().astype(np.uint8))
            image[~valid] = fill
        return image, bool(valid.any())

    def overview(self, longest: int) -> NDArray[np.uint8]:
        """The whole scene in 8 bits, decimated so that its longest side has at most so many pixels: (h, w, C)."""
        shrink = max(1.0, max(self.shape) / longest)
        height, width = self.shape
        with reading(self.path):
            return self._eight_bits(
                Window(0, 0, width, height), (max(1, round(height / shrink)), max(1, round(width / shrink)))
            )[0]

    def read(
        self, rows: tuple[int, int], columns: tuple[int, int], shape: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], bool]:
        """A part of the scene on a working grid.

        Args:
            rows: first row of the part and the first behind it, on the working grid.
            columns: likewise.
            shape: height and width of the working grid, which covers the scene.

        Returns:
            uint8 (h, w, C), and whether any pixel of it is known.

        Raises:
            SceneError: a block is damaged.
        """
        down, across = self.shape[0] / shape[0], self.shape[1] / shape[1]  # pixels of the scene for one
        with reading(self.path):
            if shape == self.shape:
                return self._eight_bits(Window(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0]))
            step = max(1, int(PIECE / (down * across * (columns[1] - columns[0]))))
            pieces = [
                self._resized((top, min(top + step, rows[1])), columns, down, across)
                for top in range(rows[0], rows[1], step)
            ]
        return np.concatenate([image for image, _ in pieces]), any(known for _, known in pieces)

    def _resized(
        self, rows: tuple[int, int], columns: tuple[int, int], down: float, across: float
    ) -> tuple[NDArray[np.uint8], bool]:
        top, bottom, box_rows = with_margin(rows, down, self.shape[0])
        left, right, box_columns = with_margin(columns, across, self.shape[1])
        image, known = self._eight_bits(Window(left, top, right - left, bottom - top))
        box = (box_columns[0], box_rows[0], box_columns[1], box_rows[1])
        size = (columns[1] - columns[0], rows[1] - rows[0])
        bands = [Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(image, 2, 0)]
        resized = [np.asarray(band.resize(size, Image.Resampling.BILINEAR, box=box)) for band in bands]
        return np.stack(resized, axis=2), known


def with_margin(span: tuple[int, int], factor: float, length: int) -> tuple[int, int, tuple[float, float]]:
    """What a resizing filter looks at.

    Args:
        span: first pixel wanted and the first behind, on the grid that is resized to.
        factor: pixels of the grid that is resized from, for one of these.
        length: of the grid that is resized from.

    Returns:
        The first pixel to read and the first behind, and where the span begins and ends within these.
    """
    begin, end = span[0] * factor, min(span[1] * factor, length)
    margin = math.ceil(max(1.0, factor)) + 1
    first, last = max(0, math.floor(begin) - margin), min(length, math.ceil(end) + margin)
    return first, last, (begin - first, end - first)
