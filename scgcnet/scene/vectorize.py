"""Polygons of landslides from probability and mask, with what a user of a map wants to know of each."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.windows import Window

from scgcnet import files
from scgcnet.scene.cog import BLOCK, PLAIN, PROBABILITY, STEPS, STRIPS, quantised
from scgcnet.scene.source import writing

LAYER = "landslides"
DELTA = 0.05  # how far the threshold is moved to see how the area depends on it
# GeoPackage notes when a layer was changed; a fixed moment keeps equal maps equal to the last byte.
_MOMENT = "2000-01-01T00:00:00Z"


@dataclass(frozen=True)
class Polygons:
    """Landslides of a scene, the largest first; N of them.

    Attributes:
        outlines: shapely polygons (N,) along the edges of pixels, in columns and rows.
        pixels: int64 (N,), pixels of each.
        mean: float64 (N,), mean probability within.
        higher: int64 (N,), pixels of each that stay at a threshold DELTA higher.
        lower: int64 (N,), pixels of the patch that it belongs to at a threshold DELTA lower.
    """

    outlines: NDArray[np.object_]
    pixels: NDArray[np.int64]
    mean: NDArray[np.float64]
    higher: NDArray[np.int64]
    lower: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.outlines)

    def select(self, keep: NDArray[Any]) -> Polygons:
        """Some of them, or all in another order."""
        return Polygons(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


def find_polygons(folder: Path, threshold: float, least: float) -> Polygons:
    """Outlines the landslides of a mapped scene; pixels that touch at a corner alone are two of them.

    Args:
        folder: with the files of `cog.write_cogs`.
        threshold: that of the mask.
        least: fewest pixels of a polygon.
    """
    probabilities = folder / f"{PLAIN}{PROBABILITY}"
    with writing(folder), rasterio.open(probabilities) as probability:
        patches = _patches(probability, quantised(threshold), folder)
        outlines = np.array([patch for patch in patches if patch.area >= least], object)
        pixels, sums, higher = _sums(probability, outlines, quantised(min(threshold + DELTA, 1)))
        lower = np.zeros(len(outlines), np.int64)
        if len(outlines):
            tree = shapely.STRtree(shapely.point_on_surface(outlines))
            for patch in _patches(probability, quantised(max(threshold - DELTA, 0)), folder):
                lower[tree.query(patch, predicate="contains")] = round(patch.area)
    found = Polygons(outlines, pixels, sums / np.maximum(pixels, 1) / STEPS, higher, lower)
    return found.select(np.argsort(-pixels, kind="stable"))


def _patches(probability: Any, limit: int, folder: Path) -> Iterator[Any]:
    """Polygons of the pixels with a stored probability above a limit, in columns and rows, in no order.

    GDAL reads them line by line, so memory is bounded by the number of polygons.
    """
    above = folder / f"{PLAIN}above.tif"
    # Without a place: GDAL would put the polygons there.
    profile = {"width": probability.width, "height": probability.height, "count": 1, "dtype": "uint8"}
    with rasterio.open(above, "w", **STRIPS, **profile) as file:
        for top in range(0, probability.height, BLOCK):
            window = Window(0, top, probability.width, min(BLOCK, probability.height - top))
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
    """Pixels of each polygon, the sum of their stored probabilities, and how many are above a value; in strips."""
    number = len(outlines)
    counts, sums, higher = np.zeros(number, np.int64), np.zeros(number), np.zeros(number, np.int64)
    tree = shapely.STRtree(outlines)
    width, height = probability.width, probability.height
    for top in range(0, height, BLOCK):
        bottom = min(top + BLOCK, height)
        inside = np.sort(tree.query(shapely.box(0, top, width, bottom)))
        if not len(inside):
            continue
        labels = rasterio.features.rasterize(
            zip(outlines[inside], range(1, len(inside) + 1), strict=True),
            out_shape=(bottom - top, width),
            transform=rasterio.Affine.translation(0, top),
            dtype="int32",
        ).ravel()
        values = probability.read(1, window=Window(0, top, width, bottom - top)).ravel()
        labels, values = labels[labels > 0], values[labels > 0]
        length = len(inside) + 1
        counts[inside] += np.bincount(labels, minlength=length)[1:]
        sums[inside] += np.bincount(labels, weights=values, minlength=length)[1:]
        higher[inside] += np.bincount(labels[values > stricter], minlength=length)[1:]
    return counts, sums, higher


def placing(transform: Any) -> Any:
    """What takes columns and rows to coordinates: the scene's transform.

    Where it has none, x is the column and y minus the row, as a GIS shows a picture.
    """
    return rasterio.Affine.scale(1, -1) if transform.is_identity else transform


class Ground:
    """Areas on the ground of polygons that are given in columns and rows.

    On the ellipsoid, whatever the projection, because some (Web Mercator) stretch areas fourfold; in pixels where the
    scene has no coordinate reference system.

    Args:
        crs: rasterio's, or None.
        transform: affine, from column and row to coordinates.
    """

    def __init__(self, crs: Any, transform: Any) -> None:
        self.transform = transform
        self.crs = None if crs is None else CRS.from_user_input(crs)
        self.unit = "px" if self.crs is None else "m2"

    def place(self, outlines: NDArray[np.object_]) -> NDArray[np.object_]:
        """The polygons in coordinates, see `placing`."""
        a, b, c, d, e, f = placing(self.transform)[:6]

        def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
            column, row = points.T
            return np.stack([a * column + b * row + c, d * column + e * row + f], axis=1)

        return np.asarray(shapely.transform(outlines, moved))

    def areas(self, outlines: NDArray[np.object_]) -> NDArray[np.float64]:
        """Areas (N,) in `unit`."""
        if self.crs is None:
            return np.asarray(shapely.area(outlines))
        geod, base = self.crs.get_geod(), self.crs.geodetic_crs
        placed = self.place(outlines)
        if geod is None or base is None:  # a local grid that nobody tied to the earth
            return np.asarray(shapely.area(placed)) * self.crs.axis_info[0].unit_conversion_factor ** 2
        to_degrees = Transformer.from_crs(self.crs, base, always_xy=True)

        def moved(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.stack(to_degrees.transform(*points.T), axis=1)

        turned = shapely.transform(placed, moved)
        return np.array([abs(geod.geometry_area_perimeter(polygon)[0]) for polygon in turned])

    def pixel(self, shape: tuple[int, int]) -> float:
        """Area of a pixel in the middle of a scene of this height and width."""
        row, column = shape[0] // 2, shape[1] // 2
        one = np.array([shapely.box(column, row, column + 1, row + 1)], object)
        return float(self.areas(one)[0])


def write_geopackage(
    path: Path, found: Polygons, ground: Ground, areas: NDArray[np.float64], marks: Sequence[tuple[str, str]]
) -> None:
    """Writes the polygons as one layer, empty where there are none.

    Args:
        path: of the file, which is not there yet.
        found: the polygons.
        ground: where they lie.
        areas: of the polygons, in `ground.unit`.
        marks: names and values of columns that are the same for all, such as the hash of the scene.

    Raises:
        WriteError: the file cannot be written.
    """
    unit = ground.unit
    each = areas / np.maximum(found.pixels, 1)  # of a pixel, there
    columns: dict[str, NDArray[Any]] = {
        "id": np.arange(1, len(found) + 1, dtype=np.int32),
        f"area_{unit}": np.round(areas, 1),
        "mean_probability": np.round(found.mean, 4),
        f"area_{unit}_if_lower": np.round(found.lower * each, 1),
        f"area_{unit}_if_higher": np.round(found.higher * each, 1),
        "sensitivity": np.round((found.lower - found.higher) / np.maximum(found.pixels, 1), 4),
        **{name: np.array([value] * len(found), object) for name, value in marks},
    }
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _MOMENT})
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'crs' was not provided")  # the user was told already
            pyogrio.raw.write(
                path,
                np.asarray(shapely.to_wkb(ground.place(found.outlines)), object),
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
    """Outlines and holes of a GeoPackage of `write_geopackage`, as points (n, 2) of the scene's columns and rows."""
    _, _, shapes, _ = pyogrio.raw.read(path, columns=["id"])
    to_pixels = ~placing(transform)
    found = []
    for polygon in shapely.from_wkb(shapes):
        for ring in itertools.chain([polygon.exterior], polygon.interiors):
            x, y = shapely.get_coordinates(ring).T
            found.append(
                np.stack(
                    [to_pixels.a * x + to_pixels.b * y + to_pixels.c, to_pixels.d * x + to_pixels.e * y + to_pixels.f],
                    axis=1,
                )
            )
    return found


def rings(found: Polygons) -> Iterator[NDArray[np.float64]]:
    """Every outline and hole as points (n, 2) of columns and rows."""
    for polygon in found.outlines:
        for ring in itertools.chain([polygon.exterior], polygon.interiors):
            yield shapely.get_coordinates(ring)
