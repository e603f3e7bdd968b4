"""Rasters with their truth, in one of three layouts.

- Images and masks: two folders as in `data/folder.py`, pairs of one stem.
- Rasters and outlines: rasters beside a GeoPackage, GeoJSON or Shapefile of landslides. A layer named like a raster is
  that raster's; one that is named otherwise is for all of them.
- Landslide-free images: any folder of rasters; their truth is 0 throughout.

Pixels are read as `scgcnet map` reads them, any number of bands, in pieces that are decoded when asked for.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.enums import TransformDirection
from pyproj.exceptions import ProjError
from rasterio.transform import array_bounds
from rasterio.warp import transform_bounds

from scgcnet.data import DatasetError, Sample, Split, WholeDataset
from scgcnet.data.folder import IMAGE_FOLDERS, Folder
from scgcnet.data.pairs import Pair, require_same_size, stamp
from scgcnet.data.rasters import HUGE, PERCENTILES, Place, read_any_mask
from scgcnet.scene.many import SUFFIXES
from scgcnet.scene.outputs import Ground
from scgcnet.scene.source import Scene, reading

LAYERS = (".gpkg", ".geojson", ".shp")
RANGE_FILES, RANGE_SIDE = 64, 256  # files, and pixels of the longest side of each, whose values give the range
COARSE = 512  # pixels; longest side of a truth that is only counted

Span = tuple[int, int]  # first pixel, and the first one after it
Polygons = NDArray[np.object_]


class SourceError(ValueError):
    """Data or an option cannot be used; the message names the file or the value, and the remedy."""


@dataclass(frozen=True)
class Picture:
    """One raster and where its truth comes from: a mask, outlines, or neither where it has no landslides.

    Attributes:
        name: unique within the source.
        path: of the raster.
        shape: height and width, pixels.
        metres: side of a pixel on the ground; None without a CRS.
        box: west, south, east, north in degrees; None without a CRS.
        mask: file of the mask.
        outlines: polygons in columns and rows of the raster.
    """

    name: str
    path: Path
    shape: tuple[int, int]
    metres: float | None
    box: tuple[float, float, float, float] | None
    mask: Path | None = None
    outlines: Polygons | None = field(default=None, repr=False, compare=False)

    def truth(self, rows: Span, columns: Span, step: int = 1) -> NDArray[np.uint8]:
        """0, 1, and 255 where the mask is unknown, of a part; every `step`-th pixel."""
        shape = (math.ceil((rows[1] - rows[0]) / step), math.ceil((columns[1] - columns[0]) / step))
        if self.mask is not None:
            part = _mask(self.mask, stamp([self.mask])).pixels[slice(*rows, step), slice(*columns, step)]
            return np.asarray(part)
        inside = None if self.outlines is None else _within(self.outlines, rows, columns)
        if inside is None or not len(inside):
            return np.zeros(shape, np.uint8)
        to_part = rasterio.Affine(step, 0, columns[0], 0, step, rows[0])
        burnt: NDArray[np.uint8] = rasterio.features.rasterize(inside, shape, transform=to_part, dtype="uint8")
        return burnt

    def coarse_truth(self) -> tuple[NDArray[np.uint8], int]:
        """The whole truth thinned to at most `COARSE` pixels along the longest side, and the step."""
        step = math.ceil(max(self.shape) / COARSE)
        return self.truth((0, self.shape[0]), (0, self.shape[1]), step), step


@dataclass(frozen=True)
class Source:
    """All pictures that were found.

    Attributes:
        path: what the user named.
        pictures: by name.
        bands: of each raster, without an alpha channel.
        coloured: whether red, green and blue are marked in all of them.
        eight_bits: whether all values are 8 bits; else they are stretched.
        files: rasters, masks and layers.
        notes: what was repaired or left out, a sentence each.
    """

    path: Path
    pictures: tuple[Picture, ...]
    bands: int
    coloured: bool
    eight_bits: bool
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    def value_range(self) -> tuple[float, float] | None:
        """Values that become 0 and 255: percentiles over all rasters and bands; None for 8 bits.

        Raises:
            SourceError: all valid values are equal.
        """
        if self.eight_bits:
            return None
        chosen = np.unique(np.linspace(0, len(self.pictures) - 1, RANGE_FILES).round().astype(int))
        found = []
        for picture in (self.pictures[index] for index in chosen):
            shrink = max(1.0, max(picture.shape) / RANGE_SIDE)
            shape = (self.bands, *(max(1, round(side / shrink)) for side in picture.shape))
            with reading(picture.path), rasterio.open(picture.path) as file:
                values = file.read(list(range(1, self.bands + 1)), out_shape=shape, masked=True).compressed()
            found.append(values[np.abs(values) < HUGE])  # false for NaN
        values = np.concatenate(found)
        low, high = map(float, np.percentile(values, PERCENTILES)) if values.size else (0.0, 0.0)
        if not low < high:
            raise SourceError(
                f"{self.path}: {chosen.size} of its rasters are not of 8 bits and have no range of values to stretch: "
                f"all lie at {low:g}. Check the no-data value, or convert them to 8 bits."
            )
        return low, high


def find_source(path: Path, landslide_free: bool = False) -> Source:
    """Finds the rasters and the truth of a source; no pixels are read.

    Args:
        path: a folder, or one raster.
        landslide_free: its rasters have no landslides, hence no truth on disk.

    Raises:
        SourceError: nothing suits, a raster has no truth, CRSs or bands do not fit, or outlines miss their raster.
        DatasetError: an image has no mask, or a mask no image.
        SceneError: a raster cannot be read.
    """
    if not path.exists():
        raise SourceError(f"{path} is not there. Name a folder of images and masks, or of rasters and outlines.")
    masks: dict[Path, Path] = {}
    layers: dict[Path, Path] = {}
    names: dict[Path, str] = {}
    if not landslide_free and any((path / name).is_dir() for name in IMAGE_FOLDERS):
        pairs, faults = Folder.find(path)
        if faults:
            raise SourceError(faults[0] + (f" ({len(faults) - 1} more such faults)" if len(faults) > 1 else ""))
        masks = {pair.image: pair.mask for pair in pairs if pair.mask}
        rasters = [pair.image for pair in pairs]
    else:
        folder = path if path.is_dir() else path.parent
        pattern = "**/*" if landslide_free else "*"
        rasters = sorted(p for p in folder.glob(pattern) if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        rasters = rasters if path.is_dir() else [path]
        names = {raster: raster.relative_to(folder).with_suffix("").as_posix() for raster in rasters}
        if not landslide_free and rasters:
            layers = _layers(folder, rasters)
    if not rasters:
        raise SourceError(f"{path} holds no raster: nothing that ends with {', '.join(SUFFIXES)}.")
    heads = [_head(raster, names.get(raster, raster.stem)) for raster in rasters]
    _require_alike(rasters, heads)
    notes = _alpha_note(rasters[0])
    pictures = []
    for raster, head in zip(rasters, heads, strict=True):
        outlines = _outlines(layers[raster], raster, head, notes) if layers else None
        pictures.append(Picture(**head["picture"], mask=masks.get(raster), outlines=outlines))
    if layers:
        _require_hits(path, layers, pictures, notes)
    files = tuple(dict.fromkeys([*rasters, *masks.values(), *layers.values()]))
    coloured = all(head["coloured"] for head in heads)
    notes = list(dict.fromkeys(notes))
    return Source(path, tuple(pictures), heads[0]["bands"], coloured, heads[0]["eight_bits"], files, tuple(notes))


def _head(path: Path, name: str) -> dict[str, Any]:
    """Size, place and bands of a raster."""
    with reading(path), rasterio.open(path) as file:
        crs = None if file.transform.is_identity else file.crs
        shape = (file.height, file.width)
        kinds = [kind.name for kind in file.colorinterp]
        metres = None if crs is None else Ground(crs, file.transform).pixel(shape) ** 0.5
        bounds = array_bounds(*shape, file.transform)
        box = None if crs is None else transform_bounds(crs, "EPSG:4326", *bounds)
        return {
            "picture": {"name": name, "path": path, "shape": shape, "metres": metres, "box": box},
            "bands": sum(kind != "alpha" for kind in kinds),
            "coloured": {"red", "green", "blue"} <= set(kinds),
            "eight_bits": set(file.dtypes) == {"uint8"},
            "crs": crs,
            "transform": file.transform,
            "bounds": bounds,
        }


def _alpha_note(path: Path) -> list[str]:
    """GDAL marks the last of four bands as alpha unless told otherwise, also near infrared."""
    with reading(path), rasterio.open(path) as file:
        kinds = [kind.name for kind in file.colorinterp]
        if "alpha" not in kinds:
            return []
        band = kinds.index("alpha") + 1
        shape = tuple(min(side, RANGE_SIDE) for side in file.shape)
        values = np.unique(file.read(band, out_shape=shape))
    if len(values) <= 2:
        return []
    kinds[band - 1] = "undefined"
    return [
        f"band {band} of {path.name} is marked as alpha and was not read, but has {len(values)} values. If it is "
        f"another band, unmark it: rio edit-info --colorinterp {','.join(kinds)} FILE"
    ]


def _require_alike(rasters: Sequence[Path], heads: Sequence[dict[str, Any]]) -> None:
    for what, key in (("bands", "bands"), ("8 bits", "eight_bits")):
        values = [head[key] for head in heads]
        for raster, value in zip(rasters, values, strict=True):
            if value != values[0]:
                pair = f"{rasters[0].name} has {values[0]} bands, {raster.name} has {value}"
                if key == "eight_bits":
                    pair = f"one of {rasters[0].name} and {raster.name} is of {what}, the other is not"
                raise SourceError(f"{raster.parent}: {pair}. All rasters must be alike: convert or remove some.")


# ------------------------------------------------------------------------------------------------------------- outlines


def _layers(folder: Path, rasters: Sequence[Path]) -> dict[Path, Path]:
    """The file of outlines for each raster."""
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in LAYERS and not p.name.startswith("."))
    own = {layer.stem: layer for layer in found}
    shared = [layer for layer in found if layer.stem not in {raster.stem for raster in rasters}]
    missing = [raster for raster in rasters if raster.stem not in own]
    if not found:
        raise SourceError(
            f"{folder} has neither a folder {IMAGE_FOLDERS[0]} with masks beside it, nor outlines of landslides: put a "
            f"file that ends with {', '.join(LAYERS)} beside the rasters."
        )
    if missing and len(shared) != 1:
        several = f"{' and '.join(layer.name for layer in shared[:2])} could be its" if shared else "none is its"
        raise SourceError(
            f"{missing[0]} needs a file of outlines: {several}. Name one {missing[0].stem}{found[0].suffix}, or keep "
            "one file for all rasters."
        )
    return {raster: own.get(raster.stem) or shared[0] for raster in rasters}


@functools.lru_cache(maxsize=8)
def _read_layer(path: Path, _: object) -> tuple[Polygons, str | None, tuple[str, ...]]:
    """Valid polygons of a file, its CRS, and what was repaired or left out."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as about measured coordinates, which are not used
            layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind]
            if len(layers) != 1:
                several = ", ".join(layers) or "none with outlines"
                raise SourceError(f"{path} has these layers: {several}. Export the landslides to a file alone.")
            meta, _, stored, _ = pyogrio.raw.read(path, layer=layers[0], columns=[])
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise SourceError(f"{path} cannot be read as outlines ({error}). Export it again.") from error
    shapes = shapely.from_wkb(stored)
    shapes = shapely.force_2d(shapes[~shapely.is_missing(shapes) & ~shapely.is_empty(shapes)])
    crossing = ~shapely.is_valid(shapes)
    shapes[crossing] = shapely.make_valid(shapes[crossing])
    parts = shapely.get_parts(shapely.get_parts(shapes))  # multi-polygons lie in the collections of `make_valid`
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    if not len(polygons):
        what = "no polygons, only points or lines" if len(parts) else "no outlines, it is empty"
        raise SourceError(f"{path} holds {what}. Name a layer of landslide polygons.")
    notes = []
    if crossing.any():
        notes.append(f"{path.name}: {crossing.sum()} of {len(shapes)} outlines cross themselves and were repaired")
    if len(stored) > len(shapes):
        notes.append(f"{path.name}: {len(stored) - len(shapes)} of {len(stored)} outlines are empty and were left out")
    return polygons, meta["crs"], tuple(notes)


def _outlines(layer: Path, raster: Path, head: dict[str, Any], notes: list[str]) -> Polygons:
    """The polygons that touch a raster, in its columns and rows."""
    polygons, crs, found = _read_layer(layer, stamp([layer]))
    notes += found
    if (crs is None) != (head["crs"] is None):
        without, with_one = (layer, raster) if crs is None else (raster, layer)
        raise SourceError(
            f"{without} has no coordinate reference system, but {with_one.name} has: assign it, for instance with "
            f"{'ogr2ogr -a_srs' if crs is None else 'gdal_edit -a_srs'} EPSG:CODE (a Shapefile needs its .prj file)."
        )
    if crs is not None:
        there = CRS.from_user_input(head["crs"])
        try:
            to_raster = Transformer.from_crs(CRS.from_user_input(crs), there, always_xy=True)
        except ProjError as error:
            raise SourceError(
                f"{layer}: its coordinate system cannot be turned into {raster.name}'s: {error}"
            ) from None
        left, bottom, right, top = head["bounds"]
        to_layer = TransformDirection.INVERSE
        west, south, east, north = to_raster.transform_bounds(left, bottom, right, top, direction=to_layer)
        if np.isfinite([west, south, east, north]).all():  # of a layer of a whole country, only these are turned
            polygons = _within(polygons, (south, north), (west, east))
        polygons = shapely.transform(polygons, lambda p: np.stack(to_raster.transform(*p.T), axis=1))
    a, b, c, d, e, f = (~head["transform"])[:6]
    turn = np.array([[a, d], [b, e]])
    polygons = shapely.transform(polygons, lambda p: p @ turn + (c, f))
    polygons = polygons[np.isfinite(shapely.bounds(polygons)).all(axis=1)]
    height, width = head["picture"]["shape"]
    return np.asarray(_within(polygons, (0, height), (0, width)))


def _within(polygons: Polygons, rows: tuple[float, float], columns: tuple[float, float]) -> Polygons:
    """Those that may touch a part, by their bounds."""
    left, top, right, bottom = shapely.bounds(polygons).T
    touching = (left < columns[1]) & (right > columns[0]) & (top < rows[1]) & (bottom > rows[0])
    return np.asarray(polygons[touching])


def _require_hits(path: Path, layers: dict[Path, Path], pictures: Sequence[Picture], notes: list[str]) -> None:
    shared = len(set(layers.values())) < len(layers)
    missed = [picture for picture in pictures if picture.outlines is not None and not len(picture.outlines)]
    if missed and (not shared or len(missed) == len(pictures)):
        layer = layers[missed[0].path]
        raise SourceError(
            f"{layer}: no outline lies on {missed[0].path.name}. Check the coordinate systems of both: they may be "
            "declared wrongly."
        )
    if missed:
        shown = ", ".join(picture.name for picture in missed[:3])
        notes.append(
            f"no outline lies on {len(missed)} of {len(pictures)} rasters ({shown}): they count as free of landslides; "
            f"take them out of {path} if they were not mapped"
        )


# --------------------------------------------------------------------------------------------------------------- pieces


@dataclass(frozen=True)
class Piece:
    """A part of a picture."""

    picture: Picture
    rows: Span
    columns: Span

    @property
    def name(self) -> str:
        """The picture's, with the first row and column of a part."""
        whole = (self.rows, self.columns) == ((0, self.picture.shape[0]), (0, self.picture.shape[1]))
        return self.picture.name if whole else f"{self.picture.name} row {self.rows[0]} column {self.columns[0]}"


def cut(picture: Picture, side: int, rows: Span | None = None, columns: Span | None = None) -> list[Piece]:
    """A picture, or a part of it, in pieces of about equal size and at most `side` pixels, row by row."""

    def spans(begin: int, end: int) -> list[Span]:
        edges = np.linspace(begin, end, math.ceil((end - begin) / side) + 1).round().astype(int).tolist()
        return list(pairwise(edges))

    down, across = spans(*(rows or (0, picture.shape[0]))), spans(*(columns or (0, picture.shape[1])))
    return [Piece(picture, one, other) for one in down for other in across]


class Pieces(WholeDataset):
    """Pieces as samples, decoded when asked for; no-data is 255 in the mask.

    Args:
        dataset: name by which `data/windows.py` finds weight and zoom.
        pieces: in any order.
        channels: bands of the network.
        value_range: values that become 0 and 255; None for `Scene`'s own choice.
    """

    def __init__(
        self, dataset: str, pieces: Sequence[Piece], channels: int, value_range: tuple[float, float] | None
    ) -> None:
        names, sites = (piece.name for piece in pieces), (piece.picture.name for piece in pieces)
        super().__init__(dataset, "real", tuple(names), tuple(sites))
        self.pieces, self.channels, self.value_range = tuple(pieces), channels, value_range

    def read(self, index: int) -> Sample:
        piece = self.pieces[index]
        picture, rows, columns = piece.picture, piece.rows, piece.columns
        with Scene(picture.path, self.channels, None, self.value_range) as scene:
            if picture.mask is not None:
                _require_fit(picture, scene)
            image, _ = scene.read(rows, columns, scene.shape)
            valid = scene.valid(*rows, *columns)
        truth = np.where(valid, picture.truth(rows, columns), np.uint8(255))
        image, truth = np.ascontiguousarray(image), np.ascontiguousarray(truth)
        return Sample(piece.name, image, truth, picture.metres)

    def split(self, which: str) -> Split:
        raise DatasetError("own data are divided by scgcnet.own.parts")


def _require_fit(picture: Picture, scene: Scene) -> None:
    """The mask has the size of its image and, where both are known, its place."""
    assert picture.mask is not None
    mask = _mask(picture.mask, stamp([picture.mask]))
    require_same_size(Pair(picture.name, picture.path, picture.mask), scene.shape, mask.pixels.shape)
    place = None if scene.transform.is_identity else Place(scene.crs, tuple(scene.transform[:6]), picture.metres)
    if place and mask.place and not place.agrees(mask.place, scene.shape):
        raise SourceError(
            f"{picture.mask} does not lie where its image {picture.path.name} does: coordinate system or transform "
            "differ. Warp the mask onto the image's grid."
        )


@functools.lru_cache(maxsize=4)
def _mask(path: Path, _: object) -> Any:
    return read_any_mask(path)
