"""The files of a map: probability and mask as Cloud-Optimized GeoTIFFs, landslides as polygons in a GeoPackage."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Mapping
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

from scgcnet import files
from scgcnet.scene.source import Mask, Scene, writing

PROBABILITY, MASK, POLYGONS, QUICK_LOOK = "probability.tif", "mask.tif", "landslides.gpkg", "quicklook.png"
LAYER = "landslides"
STEPS = 200  # a probability is stored as a multiple of 1/200, with GDAL's scale, so that a GIS shows it from 0 to 1
NO_DATA = 255
BLOCK = 512  # pixels; side of the files' tiles
DELTA = 0.05  # how far the threshold is moved to see how the area depends on it
QUICK_SIDE = 1200  # pixels; longest side of the quick look
VERMILION, WHITE = (213, 94, 0), (255, 255, 255)
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


def write_cogs(folder: Path, scene: Scene, rows: Rows, threshold: float) -> tuple[int, int]:
    """Writes both rasters into a folder, and leaves them in strips beside; returns the valid and the landslide pixels.

    The mask is taken from the stored probabilities, so that the two agree to the last pixel.

    Args:
        folder: an existing one.
        scene: gives size, coordinate reference system and transform.
        rows: gives the probabilities of the rows from one to another (excluded), and the valid pixels.
        threshold: probability above which a pixel is landslide.

    Raises:
        SceneError: a block of the scene is damaged.
        WriteError: the disk is full or the folder cannot be written.
    """
    height, width = scene.shape
    profile = {
        **STRIPS, "width": width, "height": height, "count": 1, "dtype": "uint8", "nodata": NO_DATA,
        "crs": scene.crs, "transform": scene.transform,
    }  # fmt: skip
    plain = {name: folder / f"{PLAIN}{name}" for name in (PROBABILITY, MASK)}
    for path in (*plain.values(), *(folder / name for name in plain)):
        path.unlink(missing_ok=True)  # of an earlier process: GDAL reads what is there before it writes
    limit, known, landslide = quantised(threshold), 0, 0
    with writing(folder):
        with (
            rasterio.open(plain[PROBABILITY], "w", **profile) as probability,
            rasterio.open(plain[MASK], "w", **profile) as mask,
        ):
            probability.scales, probability.descriptions = (1 / STEPS,), ("probability of landslide",)
            mask.descriptions = ("landslide",)
            for window in _strips(height, width):
                found, valid = rows(window.row_off, window.row_off + window.height)
                stored = np.where(valid, np.rint(STEPS * found), NO_DATA).astype(np.uint8)
                above = np.where(valid, stored > limit, NO_DATA).astype(np.uint8)
                probability.write(stored, 1, window=window)
                mask.write(above, 1, window=window)
                known += int(np.count_nonzero(valid))
                landslide += int(np.count_nonzero(above == 1))
        for name, resampling in ((PROBABILITY, "average"), (MASK, "mode")):
            rasterio.shutil.copy(
                plain[name], folder / name, driver="COG", blocksize=BLOCK, compress="deflate", predictor="no",
                overview_resampling=resampling, bigtiff="if_safer",
            )  # fmt: skip
            with rasterio.open(plain[name]) as before, rasterio.open(folder / name) as after:
                if before.checksum(1) != after.checksum(1):  # GDAL does not report every failed write
                    raise files.WriteError(folder / name, OSError("it does not read back as it was written"))
    return known, landslide


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
    with writing(folder), rasterio.open(folder / f"{PLAIN}{PROBABILITY}") as probability:
        patches = _patches(probability, quantised(threshold), folder)
        outlines = np.array([patch for patch in patches if patch.area >= least], object)
        pixels, sums, higher = _sums(probability, outlines, quantised(min(threshold + DELTA, 1)))
        lower = np.zeros(len(outlines), np.int64)
        if len(outlines):
            tree = shapely.STRtree(shapely.point_on_surface(outlines))
            for patch in _patches(probability, quantised(max(threshold - DELTA, 0)), folder):
                lower[tree.query(patch, predicate="contains")] = round(patch.area)
    mean = sums / np.maximum(pixels, 1) / STEPS
    found = pd.DataFrame({"outline": outlines, "pixels": pixels, "mean": mean, "higher": higher, "lower": lower})
    return found.iloc[np.argsort(-pixels, kind="stable")]


def _patches(probability: Any, limit: int, folder: Path) -> Iterator[Any]:
    """Polygons of the pixels with a stored probability above a limit, in columns and rows, in no order."""
    above = folder / f"{PLAIN}above.tif"
    # Without a georeference: GDAL would put the polygons there.
    profile = {"width": probability.width, "height": probability.height, "count": 1, "dtype": "uint8"}
    with rasterio.open(above, "w", **STRIPS, **profile) as file:
        for window in _strips(probability.height, probability.width):
            values = probability.read(1, window=window)
            file.write(((values > limit) & (values <= STEPS)).astype(np.uint8), 1, window=window)
    with rasterio.open(above) as file:
        band = rasterio.band(file, 1)
        for shape, _ in rasterio.features.shapes(band, mask=band, connectivity=4):
            shell, *holes = shape["coordinates"]
            yield shapely.Polygon(shell, holes)
    above.unlink()


def _sums(
    probability: Any, outlines: NDArray[np.object_], stricter: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Pixels of each polygon, the sum of their stored probabilities, and the number above a value; in strips."""
    number = len(outlines)
    counts, sums, higher = np.zeros(number, np.int64), np.zeros(number), np.zeros(number, np.int64)
    tree = shapely.STRtree(outlines)
    for window in _strips(probability.height, probability.width):
        top, bottom = window.row_off, window.row_off + window.height
        inside = np.sort(tree.query(shapely.box(0, top, window.width, bottom)))
        if not len(inside):
            continue
        labels = rasterio.features.rasterize(
            zip(outlines[inside], range(1, len(inside) + 1), strict=True),
            out_shape=(window.height, window.width),
            transform=rasterio.Affine.translation(0, top),
            dtype="int32",
        ).ravel()
        values = probability.read(1, window=window).ravel()
        labels, values = labels[labels > 0], values[labels > 0]
        length = len(inside) + 1
        counts[inside] += np.bincount(labels, minlength=length)[1:]
        sums[inside] += np.bincount(labels, weights=values, minlength=length)[1:]
        higher[inside] += np.bincount(labels[values > stricter], minlength=length)[1:]
    return counts, sums, higher


def placing(transform: Any) -> Any:
    """The transform, and for none that to x = column and y = minus the row, as a GIS shows a picture."""
    return rasterio.Affine.scale(1, -1) if transform.is_identity else transform


def _moved(points: NDArray[np.float64], affine: Any) -> NDArray[np.float64]:
    a, b, c, d, e, f = affine[:6]
    x, y = points.T
    return np.stack([a * x + b * y + c, d * x + e * y + f], axis=1)


class Ground:
    """Areas on the ground of polygons that are given in columns and rows.

    On the ellipsoid, whatever the projection, because some (Web Mercator) stretch areas fourfold; in pixels if `crs`
    (rasterio's) is None.
    """

    def __init__(self, crs: Any, transform: Any) -> None:
        self.transform = transform
        self.crs = None if crs is None else CRS.from_user_input(crs)
        self.unit = "px" if self.crs is None else "m2"

    def place(self, outlines: NDArray[np.object_]) -> NDArray[np.object_]:
        """The polygons in coordinates, see `placing`."""
        affine = placing(self.transform)
        return np.asarray(shapely.transform(outlines, lambda points: _moved(points, affine)))

    def areas(self, outlines: NDArray[np.object_]) -> NDArray[np.float64]:
        """Areas (N,) in `unit`."""
        if self.crs is None:
            return np.asarray(shapely.area(outlines))
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
    image = scene.overview(QUICK_SIDE)
    picture = Image.fromarray(image[..., :3] if image.shape[2] >= 3 else image[..., 0]).convert("RGB")
    pen = ImageDraw.Draw(picture)
    ratio = np.array([picture.width / scene.shape[1], picture.height / scene.shape[0]])
    for points in rings(found["outline"].to_numpy()):
        line = [(float(x), float(y)) for x, y in points * ratio]
        pen.line(line, fill=WHITE, width=3)
        pen.line(line, fill=VERMILION, width=1)
    with files.atomic(path) as temporary:
        picture.save(temporary, "PNG")
