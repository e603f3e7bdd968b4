"""Own data in their real layouts: scenes with outlines in another CRS, and folders of images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import shapely
from bijie_files import picture
from PIL import Image
from pyproj import Transformer
from raster_files import write_raster
from rasterio.transform import from_origin

CRS = "EPSG:32648"
METRES = 2.0
EAST, NORTH = 500_000.0, 3_000_000.0
#: top, left, bottom, right of the landslides of `write_scene`, pixels
SLIDES = ((10, 20, 40, 60), (100, 30, 130, 50), (60, 200, 90, 240), (120, 150, 140, 180), (20, 120, 50, 150))


def placed(east: float = EAST) -> dict[str, Any]:
    return {"crs": CRS, "transform": from_origin(east, NORTH, METRES, METRES)}


def pixels(shape: tuple[int, int] = (160, 260), bands: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image uint8 (H, W, bands), dark with noise and bright where the mask (H, W) is 1."""
    mask = np.zeros(shape, np.uint8)
    for top, left, bottom, right in SLIDES:
        mask[top:bottom, left:right] = 1
    image = np.random.default_rng(seed).integers(20, 70, (*shape, bands)).astype(np.uint8)
    image[mask == 1] += 150
    return image, mask


def boxes(slides: tuple[tuple[int, ...], ...] = SLIDES, east: float = EAST) -> list[Any]:
    """Outlines of landslides in `CRS`."""
    return [
        shapely.box(east + METRES * left, NORTH - METRES * bottom, east + METRES * right, NORTH - METRES * top)
        for top, left, bottom, right in slides
    ]


def write_outlines(path: Path, shapes: list[Any], crs: str | None = "EPSG:4326") -> Path:
    """Write shapes that are given in `CRS`, in another one."""
    array = np.array(shapes, object)
    if crs and len(array):
        to_crs = Transformer.from_crs(CRS, crs, always_xy=True)
        array = shapely.transform(array, lambda points: np.stack(to_crs.transform(*points.T), axis=1))
    kind = shapes[0].geom_type if shapes else "Polygon"
    number = [np.arange(len(array))]
    pyogrio.raw.write(path, shapely.to_wkb(array), number, ["id"], geometry_type=kind, crs=crs)
    return path


def write_scene(folder: Path, name: str = "scene", layer: str = "landslides.gpkg", **options: Any) -> Path:
    """Write a GeoTIFF of `pixels` and its outlines in degrees; `options` of `pixels`, or profile of the raster."""
    folder.mkdir(parents=True, exist_ok=True)
    own = {key: options.pop(key) for key in ("shape", "bands", "seed") if key in options}
    place = placed(options.pop("east", EAST))
    scale, kind = options.pop("scale", 1), options.pop("kind", np.uint8)
    image, _ = pixels(**own)  # GDAL would mark the last of four bands as alpha
    path = write_raster(
        folder / f"{name}.tif", image.astype(kind) * kind(scale), **{**place, "photometric": "minisblack", **options}
    )
    if layer:
        write_outlines(folder / layer, boxes(east=place["transform"].c))
    return path


def write_tiles(folder: Path, number: int = 8, bands: int = 3, free: int = 0) -> Path:
    """Write a folder of images and masks; the last `free` have no landslide."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for index in range(number):
        image, mask = picture(index, 64, 80)
        if index >= number - free:
            mask = np.zeros_like(mask)
        if bands == 3:
            Image.fromarray(image).save(folder / "images" / f"t{index:02d}.png")
        else:
            write_raster(folder / "images" / f"t{index:02d}.tif", np.dstack([image] * 2)[..., :bands],
                         photometric="minisblack")  # fmt: skip
        Image.fromarray(mask * np.uint8(255)).save(folder / "masks" / f"t{index:02d}.png")
    return folder
