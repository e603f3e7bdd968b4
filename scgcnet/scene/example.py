"""The scene that the chapter maps: a made-up one, or a real mosaic where it is at hand; and its map to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from scgcnet import files
from scgcnet.checkout import find_checkout
from scgcnet.data.synthetic import VERSION
from scgcnet.scene import cog, vectorize
from scgcnet.scene.made_up import write_made_up_scene
from scgcnet.scene.mapping import POLYGONS, MapResult, code_sha256, map_scene
from scgcnet.scene.options import MapOptions, SceneError
from scgcnet.scene.seams import Mosaic, read_mosaics
from scgcnet.scene.source import Scene, gdal

MADE_UP = (512, 768)  # pixels


@dataclass(frozen=True)
class ExampleScene:
    """A scene on disk, and one sentence on where it is from."""

    path: Path
    about: str
    real: bool

    @property
    def sentence(self) -> str:
        """What the page says on top."""
        return f"This page maps {self.about}." + ("" if self.real else " What is found on it means nothing.")


@dataclass(frozen=True)
class MapView:
    """A map, small enough to be drawn.

    Attributes:
        image: uint8 (h, w, 3).
        probability: float32 (h, w), not a number where there is no data.
        outlines: of the landslides and of holes in them, points (n, 2) of columns and rows of the image.
        threshold: above it, a pixel is landslide.
        polygons: how many landslides there are; one with holes has several outlines.
    """

    image: NDArray[np.uint8]
    probability: NDArray[np.float32]
    outlines: list[NDArray[np.float64]]
    threshold: float
    polygons: int


def example_scene(scene: str, real: bool) -> ExampleScene:
    """The scene of a name.

    Args:
        scene: synthetic; A or B for a mosaic of AMU-Net; auto for A where it is at hand and `real`, else synthetic; or
            a raster file.
        real: whether auto may take a real one.

    Raises:
        SceneError: there is no such mosaic or file.
        WriteError: the made-up scene cannot be written.
    """
    build = (find_checkout() or Path.cwd()) / "build" / "scenes"
    mosaics = {one.name: one for one in (read_mosaics() if scene in ("auto", "A", "B") else [])}
    if scene == "auto":
        scene = "A" if real and mosaics else "synthetic"
    if scene == "synthetic":
        path = build / f"made-up-v{VERSION}.tif"
        if not path.is_file():
            write_made_up_scene(path, MADE_UP)
        return ExampleScene(path, f"a made-up scene of {MADE_UP[1]} x {MADE_UP[0]} px with a made-up place", real=False)
    if scene in ("A", "B"):
        if scene not in mosaics:
            raise SceneError(f"scene {scene}: the mosaics of AMU-Net are not there, see data/README.md")
        path = build / f"amunet-{scene}.tif"
        _write_mosaic(path, mosaics[scene])
        return ExampleScene(path, f"the mosaic {scene} of AMU-Net, airborne, which has no georeference", real=True)
    return ExampleScene(Path(scene), f"the file {Path(scene).name}", real=True)


def _write_mosaic(path: Path, mosaic: Mosaic) -> None:
    height, width = mosaic.mask.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "count": 3, "dtype": "uint8", "tiled": True}
    with (
        files.atomic(path) as temporary,
        gdal(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(temporary, "w", photometric="rgb", **profile) as file,
    ):
        file.write(np.moveaxis(mosaic.image, 2, 0))
        file.write_mask(mosaic.mask != 255)


def map_example(scene: ExampleScene, model: str, window: int, overlap: float, threshold: float | None) -> MapResult:
    """Maps it into a folder of `build/maps` that is named by scene, options and code; see `map_scene` for errors."""
    options = MapOptions(window=window, overlap=overlap, threshold=threshold)
    name = f"{scene.path.stem}-{window}-{overlap:g}-{threshold or 'auto'}-{Path(model).stem}-{code_sha256()[:8]}"
    return map_scene(scene.path, (find_checkout() or Path.cwd()) / "build" / "maps" / name, model, options)


def view(scene: ExampleScene, result: MapResult, longest: int = 900) -> MapView:
    """Scene, probability and outlines at no more than so many pixels."""
    with Scene(scene.path, 3) as opened, gdal(), rasterio.open(result.folder / cog.PROBABILITY) as file:
        image = opened.overview(longest)
        stored = file.read(1, out_shape=image.shape[:2])
        found = vectorize.read_outlines(result.folder / POLYGONS, opened.transform)
        ratio = np.array([image.shape[1] / file.width, image.shape[0] / file.height])
    probability = np.where(stored == cog.NO_DATA, np.nan, stored / np.float32(cog.STEPS)).astype(np.float32)
    outlines = [ring * ratio for ring in found]
    report = result.report
    return MapView(image, probability, outlines, report["model"]["threshold"], report["landslides"]["polygons"])
