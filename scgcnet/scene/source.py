"""A scene, on disk or on a server, read piece by piece on the grid that the network works on.

Values become 8 bits as in `scgcnet.data.rasters`, with the percentiles of a sample of the whole scene, and are resized
by Pillow's antialiased bilinear filter, as in training. Each piece is resized with the pixels around it, so pieces fit.
The quick look and the no-data pixels are kept while the windows are read: nothing is read twice.
"""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from PIL import Image
from rasterio._err import CPLE_BaseError  # GDAL's own errors, some of which rasterio lets through
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from scgcnet import files
from scgcnet.data.rasters import HUGE, LEAST_SIDE, PERCENTILES
from scgcnet.data.transforms import MEAN
from scgcnet.scene import remote
from scgcnet.scene.options import SceneError

CACHE = 64 << 20  # bytes of decoded blocks; GDAL's own default is a share of the machine's memory
#: GDAL's drivers that decode a file from its start to reach a row, and the size in bytes from which it matters.
SEQUENTIAL, LARGE = {"PNG", "JPEG", "GIF", "WEBP", "JPEGXL", "HEIF", "AVIF"}, 16 << 20
FULL, EMPTY = 1, 2  # states of a pixel of the quick look; 0 until it is read
TILES, INVALID = "tiles.tif", "invalid.u8"  # files of the work folder
QUICK_SIDE = 1200  # pixels; longest side of the quick look
SAMPLE = 1000  # pixels; longest side of the sample whose percentiles stretch the values
PIECE = 1 << 22  # pixels of the scene that are read and resized at once
FILL = np.rint(255 * MEAN).astype(np.uint8)  # of no-data: 0 once normalised, like the canvas around training images
Mask = NDArray[np.bool_]


class _Faults(logging.Handler, threading.local):
    """Collects damaged blocks, of each thread apart: GDAL's JPEG reader only warns of them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "JPEGLib" in (message := record.getMessage()):
            self.found.append(message)


_faults = _Faults()
logging.getLogger("rasterio").addHandler(_faults)  # keeps its warnings off the terminal


@contextmanager
def gdal(**options: str) -> Iterator[None]:
    """GDAL with little memory, and without a warning about each file that has no georeference."""
    with warnings.catch_warnings(), rasterio.Env(GDAL_CACHEMAX=CACHE, **options):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns any fault that rasterio finds in a scene into one SceneError that names it."""
    _faults.found.clear()
    far = remote.is_url(path)
    try:
        with gdal(**(remote.gdal_options() if far else {})):
            yield
    except (RasterioError, CPLE_BaseError, SystemError) as error:  # the last: rasterio's for a fault without a name
        reason = str(error.__cause__ or error).replace(str(path), remote.name_of(path))
        if far:
            raise remote.RemoteError(f"{path} cannot be read, or not to its end ({reason}). {remote.REMEDY}") from error
        raise SceneError(f"{path} cannot be read, it is damaged or no raster ({reason}). Copy it again.") from error
    if _faults.found:
        raise SceneError(f"{path} cannot be read, it is damaged ({_faults.found[0]}). Copy it again.")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns GDAL's errors while writing, such as a full disk, into a WriteError."""
    try:
        with gdal():
            yield
    except (RasterioError, CPLE_BaseError) as error:
        raise files.WriteError(path, OSError(str(error.__cause__ or error))) from error


class Scene:
    """An open raster as a network sees it.

    Args:
        path: any raster that rasterio reads, or an address: see `remote`.
        channels: number of bands that the network takes.
        bands: which ones, from 1; None for those marked red, green and blue, else the first; a single one is grey.
        value_range: values that become 0 and 255; None for percentiles of a sample (8 bits: unchanged).
        bounds: left, bottom, right and top of the part that is the scene, in its coordinates; None for all of it.
        asset: of a STAC item.

    Raises:
        SceneError: no such file, no raster, bands that do not fit, too narrow, or no valid pixel.
    """

    def __init__(
        self,
        path: Path | str,
        channels: int,
        bands: tuple[int, ...] | None = None,
        value_range: tuple[float, float] | None = None,
        bounds: tuple[float, float, float, float] | None = None,
        asset: str | None = None,
    ) -> None:
        self._remote = remote.find_raster(str(path), asset) if remote.is_url(path) else None
        if self._remote is None and not Path(path).is_file():
            raise SceneError(f"{path} is not there, or is no file. Name a raster, such as a GeoTIFF.")
        self.path = self._remote.url if self._remote else path
        self.name = remote.name_of(self.path)
        with reading(self.path):
            self._file = rasterio.open(self._remote.gdal if self._remote else path)
        self._guessed = False  # the order of the bands
        self._invalid: Path | None = None  # a byte for each pixel, 1 for no data, as far as it was read
        try:
            self._part = self._find_part(bounds)
            self.shape: tuple[int, int] = (self._part.height, self._part.width)
            if min(self.shape) < LEAST_SIDE:
                size = f"{self.shape[1]} x {self.shape[0]} px"
                raise SceneError(f"{path} has {size}; a scene needs at least {LEAST_SIDE} on each side.")
            self._quick = [self._spread(side) for side in self.shape]  # rows and columns of the quick look
            sides = tuple(map(len, self._quick))
            self._picture, self._state = np.zeros((*sides, channels), np.uint8), np.zeros(sides, np.uint8)
            self.bands = self._choose(channels, bands)
            self.value_range = value_range or self._percentiles()
        except SceneError:
            self._file.close()
            raise

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _find_part(self, bounds: tuple[float, float, float, float] | None) -> Window:
        """The pixels within bounds, whole ones."""
        height, width = self._file.shape
        if bounds is None:
            return Window(0, 0, width, height)
        left, bottom, right, top = bounds
        to_pixels, lengths = ~self._file.transform, np.array([width, height])
        corners = np.array(
            [to_pixels @ corner for corner in ((left, top), (right, top), (left, bottom), (right, bottom))]
        )
        begin = np.clip(np.floor(corners.min(axis=0) + 1e-6), 0, lengths).astype(int)
        end = np.clip(np.ceil(corners.max(axis=0) - 1e-6), 0, lengths).astype(int)
        if (end <= begin).any():
            edges = ",".join(f"{edge:.10g}" for edge in self._file.bounds)
            raise SceneError(
                f"{self.path}: --bounds {','.join(f'{b:.10g}' for b in bounds)} lie outside of it: {edges}"
            )
        return Window(*map(int, begin), *map(int, end - begin))

    def _spread(self, side: int) -> NDArray[np.int64]:
        """Pixels of a side of the scene that a side of the quick look shows."""
        number = max(1, round(side / max(1.0, max(self.shape) / QUICK_SIDE)))
        return ((np.arange(number) + 0.5) * side / number).astype(np.int64)

    def keep_in(self, folder: Path) -> None:
        """Keeps in a folder which pixels are no data, and a copy in tiles if the format has no random access.

        Raises:
            SceneError: the scene is damaged.
            WriteError: the disk is full or the folder cannot be written.
        """
        size = math.prod(self._file.shape) * sum(np.dtype(kind).itemsize for kind in self._file.dtypes)
        if self._file.driver in SEQUENTIAL and size > LARGE:
            if not (tiles := folder / TILES).is_file():
                if shutil.disk_usage(folder).free < size:
                    raise files.WriteError(tiles, OSError(f"a copy in tiles needs {size / 1e6:.0f} MB"))
                with files.atomic(tiles) as temporary, reading(self.path):
                    how = {"tiled": True, "blockxsize": 256, "blockysize": 256, "bigtiff": "if_safer"}
                    rasterio.shutil.copy(self._file, temporary, driver="GTiff", **how)
            self._file.close()
            with reading(tiles):
                self._file = rasterio.open(tiles)
        self._invalid = folder / INVALID

    @property
    def crs(self) -> Any:
        """The coordinate reference system of rasterio; None if the file has none, or no transform."""
        return None if self._file.transform.is_identity else self._file.crs

    @property
    def transform(self) -> Any:
        """Affine, from column and row to coordinates; the identity if there is none."""
        whole = self._file.transform
        moved = whole @ rasterio.Affine.translation(self._part.col_off, self._part.row_off)
        return moved

    @property
    def notes(self) -> list[str]:
        """What the user should know about the scene, a sentence each."""
        found = []
        if self._guessed:
            taken = ", ".join(map(str, self.bands))
            found.append(f"no bands are marked red, green and blue: {taken} are taken for them, see --bands")
        if self._file.gcps[0]:
            found.append("its ground control points are not used: warp it first, as with gdalwarp")
        if self.crs is None:
            found.append("it has no coordinate reference system: areas and --min-area are in pixels without --metres")
        a, b, _, d, _ = self.transform[:5]
        if b or d:
            turned = math.degrees(math.atan2(d, a))
            found.append(f"its grid is turned by {turned:.1f} degrees or sheared; the outputs keep its transform")
        if self.crs is not None and self.crs.is_geographic:
            found.append("its coordinates are degrees: areas are computed on the ellipsoid")
        return found

    def sha256(self) -> str:
        """Hash of the scene's files, without the statistics that GDAL leaves beside them.

        Of a scene on a server: of its address and what the server says of its content.
        """
        if self._remote:
            return self._remote.sha256
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
            if "palette" in kinds:
                raise SceneError(f"{self.path}: colours by a palette are not read. Save the scene as RGB.")
            opaque = [1 + index for index, kind in enumerate(kinds) if kind != "alpha"]
            if channels == 3 and {"red", "green", "blue"} <= set(kinds):
                bands = tuple(1 + kinds.index(kind) for kind in ("red", "green", "blue"))
            else:
                bands = tuple(opaque[:channels])
                self._guessed = channels == 3 and len(opaque) > 1
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
        with reading(self.path):
            values, valid = self._decoded(None, self._at_most(SAMPLE))
        if not valid.any():
            raise SceneError(
                f"{self.path} shows no valid pixel in a sample of {valid.size}: all is no-data or not a number. "
                "Take another scene, or give its values with --range LOW,HIGH."
            )
        low, high = map(float, np.percentile(values[:, valid], PERCENTILES))
        return low, high if high > low else low + 1

    def _at_most(self, longest: int) -> tuple[int, ...]:
        """Height and width of the scene shrunk to at most so many pixels along its longest side."""
        shrink = max(1.0, max(self.shape) / longest)
        return tuple(max(1, round(side / shrink)) for side in self.shape)

    def _decoded(self, window: Window | None, shape: tuple[int, ...] | None = None) -> tuple[NDArray[Any], Mask]:
        """Values (C, h, w) as stored, and the pixels (h, w) that are valid in all bands; None for the whole scene."""
        part = self._part
        if window is None:
            window = part
        else:
            window = Window(part.col_off + window.col_off, part.row_off + window.row_off, window.width, window.height)
        bands = list(dict.fromkeys(self.bands))
        out_shape = None if shape is None else (len(bands), *shape)
        how = {"window": window, "out_shape": out_shape, "resampling": Resampling.nearest}
        values = self._file.read(bands, **how)
        valid = np.ones(values.shape[1:], bool)
        flags = [self._file.mask_flag_enums[band - 1] for band in bands]
        if any(MaskFlags.all_valid not in flag for flag in flags):
            valid &= (self._file.read_masks(bands, **how) > 0).all(axis=0)
        if values.dtype.kind == "f":
            valid &= (np.abs(values) < HUGE).all(axis=0)  # false for NaN
        return values, valid

    def valid(self, top: int, bottom: int, left: int = 0, right: int | None = None) -> Mask:
        """Valid pixels of the rows from top to bottom, columns from left to right (both excluded): bool (h, w).

        After `keep_in`, they are those of the windows that were read.
        """
        width = self.shape[1]
        if self._invalid is None:
            with reading(self.path):
                return self._decoded(Window(left, top, (right or width) - left, bottom - top))[1]
        found = np.zeros((bottom - top) * width, np.uint8)
        if self._invalid.exists():
            with self._invalid.open("rb") as file:
                file.seek(top * width)
                known = np.fromfile(file, np.uint8, found.size)  # shorter where all that follows is valid
                found[: known.size] = known
        return np.asarray(found.reshape(-1, width)[:, left:right] == 0)

    def _keep(self, window: Window, image: NDArray[np.uint8], valid: Mask) -> None:
        """Keeps what the quick look shows of a window, and its pixels without data."""
        (up, down), (left, right) = (
            np.searchsorted(spread, (first, first + length))
            for spread, first, length in zip(
                self._quick, (window.row_off, window.col_off), (window.height, window.width), strict=True
            )
        )
        rows = self._quick[0][up:down, None] - window.row_off
        columns = self._quick[1][left:right] - window.col_off
        self._picture[up:down, left:right] = image[rows, columns]
        self._state[up:down, left:right] = np.where(valid[rows, columns], FULL, EMPTY)
        if self._invalid is None or valid.all():
            return
        try:
            with self._invalid.open("r+b" if self._invalid.exists() else "w+b") as file:
                for row, pixels in enumerate((~valid).astype(np.uint8), start=window.row_off):
                    file.seek(row * self.shape[1] + window.col_off)
                    file.write(pixels.tobytes())
        except OSError as error:
            raise files.WriteError(self._invalid, error) from error

    def quick_look(self) -> tuple[NDArray[np.uint8], Mask]:
        """The scene in 8 bits with at most QUICK_SIDE pixels a side, (h, w, C), and its valid pixels (h, w).

        It is made of the windows that were read; the others are read now.
        """
        height, width = self.shape
        missing = self._quick[0][(self._state == 0).any(axis=1)]
        step = max(1, PIECE // width)
        with reading(self.path):
            for top in np.unique(missing // step * step):
                self._eight_bits(Window(0, int(top), width, min(step, height - int(top))))
        return self._picture, self._state == FULL

    def _eight_bits(self, window: Window, shape: tuple[int, ...] | None = None) -> tuple[NDArray[np.uint8], bool]:
        """The bands as uint8 (h, w, C), no-data filled, and whether any pixel is valid."""
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
            image[~valid] = FILL if image.shape[2] == 3 else FILL.mean().astype(np.uint8)
        if shape is None:
            self._keep(window, image, valid)
        return image, bool(valid.any())

    def overview(self, longest: int) -> NDArray[np.uint8]:
        """The whole scene in 8 bits, decimated to at most so many pixels along its longest side: (h, w, C)."""
        with reading(self.path):
            return self._eight_bits(Window(0, 0, self.shape[1], self.shape[0]), self._at_most(longest))[0]

    def read(
        self, rows: tuple[int, int], columns: tuple[int, int], shape: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], bool]:
        """A part of the scene on a working grid: uint8 (h, w, C), and whether any pixel of it is valid.

        Args:
            rows: first row of the part on the working grid, and the first one after it.
            columns: likewise.
            shape: height and width of the working grid, which covers the scene.

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
        top, bottom, (upper, lower) = with_margin(rows, down, self.shape[0])
        left, right, (begin, end) = with_margin(columns, across, self.shape[1])
        image, known = self._eight_bits(Window(left, top, right - left, bottom - top))
        size, box = (columns[1] - columns[0], rows[1] - rows[0]), (begin, upper, end, lower)
        bands = [Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(image, 2, 0)]
        resized = [np.asarray(band.resize(size, Image.Resampling.BILINEAR, box=box)) for band in bands]
        return np.stack(resized, axis=2), known


def with_margin(span: tuple[int, int], factor: float, length: int) -> tuple[int, int, tuple[float, float]]:
    """The pixels that a resizing filter needs for a span of the grid that is resized to.

    Args:
        span: first pixel and the first one after it.
        factor: pixels of the grid that is resized from for one of these.
        length: of the grid that is resized from.

    Returns:
        The first pixel to read and the first one after, and where the span begins and ends within these.
    """
    begin, end = span[0] * factor, min(span[1] * factor, length)
    margin = math.ceil(max(1.0, factor)) + 1
    first, last = max(0, math.floor(begin) - margin), min(length, math.ceil(end) + margin)
    return first, last, (begin - first, end - first)
