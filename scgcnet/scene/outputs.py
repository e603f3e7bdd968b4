"""The files of a map: probability and mask as Cloud-Optimized GeoTIFFs, landslides as polygons in a GeoPackage.

Patches are labelled strip by strip and joined across strips, which gives their sums; GDAL only outlines them.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import rasterio
import rasterio.features
import rasterio.shutil
import shapely
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pyproj import CRS, Transformer
from rasterio.windows import Window
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from scgcnet import files
from scgcnet.scene.source import Mask, Scene, writing

PROBABILITY, MASK, POLYGONS, QUICK_LOOK = "probability.tif", "mask.tif", "landslides.gpkg", "quicklook.png"
UNCERTAINTY = "uncertainty.tif"  # of several networks or views: standard deviation of their probabilities
LAYER = "landslides"
STEPS = 200  # a probability is stored as a multiple of 1/200, with GDAL's scale, so that a GIS shows it from 0 to 1
NO_DATA = 255
BLOCK = 512  # pixels; side of the files' tiles
DELTA = 0.05  # how far the threshold is moved to see how the area depends on it
VERMILION, WHITE = (213, 94, 0), (255, 255, 255)
FINE = 2  # the uncertainty, 0 to 0.5, is stored as a multiple of 1/(FINE STEPS)
PLAIN = "plain-"  # prefix of the rasters in strips, which GDAL polygonises a hundred times faster than tiles
STRIPS = {"driver": "GTiff", "blockysize": 16, "compress": "deflate", "zlevel": 1, "bigtiff": "if_safer"}
# GeoPackage notes when a layer was changed; a fixed moment keeps equal maps equal to the last byte.
_MOMENT = "2000-01-01T00:00:00Z"

Rows = Callable[[int, int], tuple[NDArray[np.float32], Mask]]


def quantised(threshold: float) -> int:
    """Largest stored probability that is not above a threshold."""
    return int(np.floor(STEPS * threshold + 1e-6))


def _strips(height: int, width: int) -> Iterator[Window]:
    for top in range(0, height, BLOCK):
        yield Window(0, top, width, min(BLOCK, height - top))


@contextlib.contextmanager
def write_cogs(
    folder: Path, scene: Scene, rows: Rows, threshold: float, layers: int = 1, peak: float | None = None
) -> Iterator[tuple[int, int]]:
    """Writes the rasters into a folder, and leaves them in strips beside; gives the valid and the landslide pixels.

    The mask is taken from the stored probabilities, so that the two agree to the last pixel. While the block of this
    context runs, threads make the Cloud-Optimized GeoTIFFs of the strips; they are done when it ends.

    Args:
        folder: an existing one.
        scene: gives size, coordinate reference system and transform.
        rows: gives the probabilities of the rows from one to another (excluded), (layers, h, w), and the valid pixels.
        threshold: probability above which a pixel is landslide.
        layers: 1, or 2 with the deviation of the probabilities.
        peak: probability that a patch must reach somewhere to be a landslide; None for any.

    Raises:
        SceneError: a block of the scene is damaged.
        WriteError: the disk is full or the folder cannot be written.
    """
    height, width = scene.shape
    profile = {
        **STRIPS, "width": width, "height": height, "count": 1, "dtype": "uint8", "nodata": NO_DATA,
        "crs": scene.crs, "transform": scene.transform,
    }  # fmt: skip
    about = {PROBABILITY: "probability of landslide", MASK: "landslide"}
    if layers > 1:
        about[UNCERTAINTY] = "standard deviation of the probability of landslide"
    for name in about:
        for path in (folder / name, folder / f"{PLAIN}{name}"):
            path.unlink(missing_ok=True)  # of an earlier process: GDAL reads what is there before it writes
    limit, known, landslide = quantised(threshold), 0, 0
    sums = dict.fromkeys(about, 0)  # CRC-32 of what is written
    with writing(folder), contextlib.ExitStack() as stack:
        plain = {name: rasterio.open(folder / f"{PLAIN}{name}", "w", **profile) for name in about}
        for name, file in plain.items():
            stack.enter_context(file)
            file.descriptions = (about[name],)
        plain[PROBABILITY].scales = (1 / STEPS,)
        if layers > 1:
            plain[UNCERTAINTY].scales = (1 / (FINE * STEPS),)
        for window in _strips(height, width):
            found, valid = rows(window.row_off, window.row_off + window.height)
            strips = {PROBABILITY: np.where(valid, np.rint(STEPS * found[0]), NO_DATA).astype(np.uint8)}
            strips[MASK] = np.where(valid, strips[PROBABILITY] > limit, NO_DATA).astype(np.uint8)
            if layers > 1:
                strips[UNCERTAINTY] = np.where(valid, np.rint(FINE * STEPS * found[1]), NO_DATA).astype(np.uint8)
            for name, values in strips.items():
                plain[name].write(values, 1, window=window)
                sums[name] = zlib.crc32(values.tobytes(), sums[name])
            known += int(np.count_nonzero(valid))
            landslide += int(np.count_nonzero(strips[MASK] == 1))
    if peak is not None and peak > threshold:
        with writing(folder):
            landslide, sums[MASK] = _require_peaks(folder, limit, quantised(peak))
    # `writing` changes Python's warnings, which belong to all threads: so around them, not within each.
    with writing(folder), ThreadPoolExecutor(len(about)) as pool:
        written = [pool.submit(_write_cog, folder, name, sums[name]) for name in about]
        yield known, landslide
        for one in written:
            one.result()


def _write_cog(folder: Path, name: str, crc: int) -> None:
    """Writes a raster in strips as a Cloud-Optimized GeoTIFF, and makes sure that it reads back with that CRC-32."""
    rasterio.shutil.copy(
        folder / f"{PLAIN}{name}", folder / name, driver="COG", blocksize=BLOCK, compress="deflate", level=1,
        predictor="no", overview_resampling="mode" if name == MASK else "average", bigtiff="if_safer",
    )  # fmt: skip
    found = 0
    with rasterio.open(folder / name) as file:
        for window in _strips(file.height, file.width):
            found = zlib.crc32(file.read(1, window=window).tobytes(), found)
    if found != crc:  # GDAL does not report every failed write
        raise files.WriteError(folder / name, OSError("it does not read back as it was written"))


class _Patches:
    """Patches of pixels that touch along edges, of a raster that passes strip by strip."""

    def __init__(self) -> None:
        self._number = self._row = 0  # labels and rows so far
        self._edge = np.zeros(0, np.int64)  # labels of the last row
        self._same: list[NDArray[np.int64]] = [np.zeros((2, 0), np.int64)]  # labels that touch across a strip's edge
        self._sums: list[NDArray[np.float64]] = []

    def add(self, above: Mask, *values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The next strip: the pixels of patches, and values (h, w) that are summed over each.

        Returns:
            The labels (h, w) of its patches, -1 elsewhere, and the place of each one's first pixel in the strip.
        """
        labels, number = ndimage.label(above)
        inside = np.flatnonzero(labels)
        flat = labels.ravel()[inside] - 1
        each = [np.bincount(flat, minlength=number)]
        each += [np.bincount(flat, value.ravel()[inside], minlength=number) for value in values]
        self._sums.append(np.stack(each).astype(np.float64))
        first = np.empty(number, np.int64)
        first[flat[::-1]] = inside[::-1]  # the last that is written is the first pixel
        shifted = labels.astype(np.int64) - 1
        shifted[labels > 0] += self._number
        if self._edge.size:
            touch = (self._edge >= 0) & (shifted[0] >= 0)
            self._same.append(np.stack([self._edge[touch], shifted[0][touch]]))
        self._edge = shifted[-1].copy()
        self._number += number
        return shifted, first

    def joined(self) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """The patch of each label; pixels and sums of the values of each patch, (1 + values, patches)."""
        one, two = np.concatenate(self._same, axis=1)
        graph = coo_array((np.ones(one.size, np.int8), (one, two)), shape=(self._number,) * 2)
        number, patch = connected_components(graph, directed=False)
        each = np.concatenate(self._sums, axis=1)
        return patch, np.stack([np.bincount(patch, values, minlength=number) for values in each])


def _require_peaks(folder: Path, limit: int, peak: int) -> tuple[int, int]:
    """Takes the patches above `limit` without a pixel above `peak` out of the mask in strips.

    Returns:
        The pixels that are left, and the CRC-32 of the mask.
    """
    found, landslide, crc = _Patches(), 0, 0
    old, new = folder / f"{PLAIN}{MASK}", folder / f"{PLAIN}peaks.tif"
    with rasterio.open(folder / f"{PLAIN}{PROBABILITY}") as probability, rasterio.open(old) as mask:
        strips = list(_strips(mask.height, mask.width))
        for window in strips:
            values = probability.read(1, window=window)
            found.add((values > limit) & (values <= STEPS), (values > peak) & (values <= STEPS))
        patch, (_, peaks) = found.joined()
        kept, first = peaks[patch] > 0, 0  # by label; labels of a strip begin at `first`
        with rasterio.open(new, "w", **mask.profile) as file:
            file.descriptions = mask.descriptions
            for window in strips:
                values = mask.read(1, window=window)
                labels, number = ndimage.label(values == 1)
                gone = np.concatenate([[False], ~kept[first : first + number]])[labels]
                values[gone] = 0
                first += number
                file.write(values, 1, window=window)
                crc, landslide = zlib.crc32(values.tobytes(), crc), landslide + int(np.count_nonzero(values == 1))
    new.replace(old)
    return landslide, crc


def find_polygons(folder: Path, threshold: float, least: float) -> pd.DataFrame:
    """Outlines the landslides of a mapped scene; pixels that touch only at a corner belong to two of them.

    Args:
        folder: with the files of `write_cogs`.
        threshold: that of the mask.
        least: fewest pixels of a polygon.

    Returns:
        A row each, the largest first: `outline`, a shapely polygon along the edges of pixels, in columns and rows;
        `pixels`; `mean` probability within; `higher`, pixels that stay at a threshold DELTA higher; `lower`, pixels of
        the patch that it belongs to at a threshold DELTA lower.
    """
    stricter, looser = (quantised(min(max(threshold + by, 0), 1)) for by in (DELTA, -DELTA))
    patches, wider = _Patches(), _Patches()
    firsts, around = (
        [],
        [],
    )  # of each label: row and column of its first pixel, and the label there at the lower threshold
    above = folder / f"{PLAIN}above.tif"
    with (
        writing(folder),
        rasterio.open(folder / f"{PLAIN}{PROBABILITY}") as probability,
        rasterio.open(folder / f"{PLAIN}{MASK}") as mask,
    ):
        size = {"width": probability.width, "height": probability.height, "count": 1, "dtype": "uint8"}
        with rasterio.open(above, "w", **STRIPS, **size) as file:  # no georeference: GDAL would put the polygons there
            for window in _strips(probability.height, probability.width):
                values = probability.read(1, window=window)
                inside = mask.read(1, window=window) == 1
                file.write(inside.astype(np.uint8), 1, window=window)
                _, first = patches.add(inside, values, values > stricter)
                labels, _ = wider.add((values > looser) & (values <= STEPS))
                firsts.append(np.stack([first // window.width + window.row_off, first % window.width]))
                around.append(labels.ravel()[first])
        patch, sums = patches.joined()
        wide, (lower,) = wider.joined()
        of_label = {
            place: label for label, place in enumerate(zip(*np.concatenate(firsts, axis=1).tolist(), strict=True))
        }
        of_patch = wide[np.concatenate(around)]
        outlines, labels_of = [], []
        with rasterio.open(above) as file:
            band = rasterio.band(file, 1)
            for shape, _ in rasterio.features.shapes(band, mask=band, connectivity=4):
                shell, *holes = shape["coordinates"]
                row, column = min((y, x) for x, y in shell)  # its first pixel
                label = of_label[int(row), int(column)]
                if sums[0][patch[label]] >= least:
                    outlines.append(shapely.Polygon(shell, holes))
                    labels_of.append(label)
        above.unlink()
    chosen = np.array(labels_of, np.int64)
    pixels, total, higher = sums[:, patch[chosen]]
    found = pd.DataFrame(
        {
            "outline": np.array(outlines, object),
            "pixels": pixels.astype(np.int64),
            "mean": total / np.maximum(pixels, 1) / STEPS,
            "higher": higher.astype(np.int64),
            "lower": lower[of_patch[chosen]].astype(np.int64),
        }
    )
    return found.iloc[np.argsort(-pixels, kind="stable")]


def placing(transform: Any) -> Any:
    """The transform, and for none that to x = column and y = minus the row, as a GIS shows a picture."""
    return rasterio.Affine.scale(1, -1) if transform.is_identity else transform


def _moved(points: NDArray[np.float64], affine: Any) -> NDArray[np.float64]:
    a, b, c, d, e, f = affine[:6]
    x, y = points.T
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


class Ground:
    """Areas on the ground of polygons that are given in columns and rows.

    On the ellipsoid, whatever the projection, because some (Web Mercator) stretch areas fourfold. If `crs` (rasterio's)
    is None: in pixels, or by the side of a pixel in metres.
    """

    def __init__(self, crs: Any, transform: Any, metres: float | None = None) -> None:
        self.transform, self.metres = transform, metres
        self.crs = None if crs is None else CRS.from_user_input(crs)
        self.unit = "px" if self.crs is None and metres is None else "m2"

    def place(self, outlines: NDArray[np.object_]) -> NDArray[np.object_]:
        """The polygons in coordinates, see `placing`."""
        affine = placing(self.transform)
        return np.asarray(shapely.transform(outlines, lambda points: _moved(points, affine)))

    def areas(self, outlines: NDArray[np.object_]) -> NDArray[np.float64]:
        """Areas (N,) in `unit`."""
        if self.crs is None:
            return np.asarray(shapely.area(outlines)) * (self.metres or 1) ** 2
        geod, base = self.crs.get_geod(), self.crs.geodetic_crs
        placed = self.place(outlines)
        if geod is None or base is None:  # a local grid without a tie to the earth
            return np.asarray(shapely.area(placed)) * self.crs.axis_info[0].unit_conversion_factor ** 2
        to_degrees = Transformer.from_crs(self.crs, base, always_xy=True)
        turned = shapely.transform(placed, lambda points: np.stack(to_degrees.transform(*points.T), axis=1))
        return np.array([abs(geod.geometry_area_perimeter(polygon)[0]) for polygon in turned])

    def pixel(self, shape: tuple[int, int]) -> float:
        """Area of a pixel in the middle of a scene of this height and width."""
        row, column = shape[0] // 2, shape[1] // 2
        return float(self.areas(np.array([shapely.box(column, row, column + 1, row + 1)], object))[0])


def write_geopackage(path: Path, found: pd.DataFrame, ground: Ground, marks: Mapping[str, str]) -> None:
    """Writes the polygons as one layer, which may be empty.

    Args:
        path: of a file that does not exist.
        found: from `find_polygons`, with a column `area` in `ground.unit`.
        ground: where they lie.
        marks: columns that are the same for all, such as the hash of the scene.

    Raises:
        WriteError: the file cannot be written.
    """
    unit = ground.unit
    pixels, lower, higher = (found[name].to_numpy() for name in ("pixels", "lower", "higher"))
    each = found["area"].to_numpy() / np.maximum(pixels, 1)  # of a pixel of each polygon
    columns: dict[str, NDArray[Any]] = {
        "id": np.arange(1, len(found) + 1, dtype=np.int32),
        f"area_{unit}": np.round(found["area"].to_numpy(), 1),
        "mean_probability": np.round(found["mean"].to_numpy(), 4),
        f"area_{unit}_if_lower": np.round(lower * each, 1),
        f"area_{unit}_if_higher": np.round(higher * each, 1),
        "sensitivity": np.round((lower - higher) / np.maximum(pixels, 1), 4),
        **{name: np.array([value] * len(found), object) for name, value in marks.items()},
    }
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _MOMENT})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")  # a note of the scene says so
            pyogrio.raw.write(
                path,
                np.asarray(shapely.to_wkb(ground.place(found["outline"].to_numpy())), object),
                list(columns.values()),
                list(columns),
                geometry_type="Polygon",
                crs=None if ground.crs is None else ground.crs.to_wkt(),
                driver="GPKG",
                layer=LAYER,
            )
    except (pyogrio.errors.DataSourceError, RuntimeError) as error:
        raise files.WriteError(path, OSError(str(error))) from error
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def read_outlines(path: Path, transform: Any) -> list[NDArray[np.float64]]:
    """Outlines and holes of a map's GeoPackage, as points (n, 2) of the scene's columns and rows."""
    to_pixels = ~placing(transform)
    polygons = shapely.from_wkb(pyogrio.raw.read(path, columns=["id"])[2])
    return [_moved(points, to_pixels) for points in rings(polygons)]


def rings(polygons: NDArray[np.object_]) -> Iterator[NDArray[np.float64]]:
    """Every outline and hole of shapely polygons, as points (n, 2)."""
    for polygon in polygons:
        for ring in itertools.chain([polygon.exterior], polygon.interiors):
            yield shapely.get_coordinates(ring)


def write_quick_look(path: Path, scene: Scene, found: pd.DataFrame) -> None:
    """Writes a small picture of the scene with the outlines of the landslides."""
    image, _ = scene.quick_look()
    picture = Image.fromarray(image[..., :3] if image.shape[2] >= 3 else image[..., 0]).convert("RGB")
    pen = ImageDraw.Draw(picture)
    ratio = np.array([picture.width / scene.shape[1], picture.height / scene.shape[0]])
    for points in rings(found["outline"].to_numpy()):
        line = (points * ratio).ravel().tolist()
        pen.line(line, fill=WHITE, width=3)
        pen.line(line, fill=VERMILION, width=1)
    with files.atomic(path) as temporary:
        picture.save(temporary, "PNG")
