"""Chapter "Mapping a scene": the scene it maps, its map to look at, and the tables."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import rasterio
from numpy.typing import NDArray

from scgcnet import files, zoo
from scgcnet.data.synthetic import generator_id
from scgcnet.files import find_checkout
from scgcnet.scene import MapOptions, MapResult, SceneError, map_scene
from scgcnet.scene.mapping import OUTPUTS, REPORT
from scgcnet.scene.outputs import MASK, NO_DATA, POLYGONS, PROBABILITY, QUICK_LOOK, STEPS, read_outlines
from scgcnet.scene.seams import Mosaic, read_mosaics
from scgcnet.scene.source import Scene, gdal
from scgcnet.scene.synthetic import write_synthetic_scene

SYNTHETIC = (512, 768)  # pixels
NONE = "-"
MOST = 8  # polygons in a table
ABOUT = {
    PROBABILITY: "probability of landslide, 0 to 1; Cloud-Optimized GeoTIFF",
    MASK: "1 where it is above the threshold, else 0; Cloud-Optimized GeoTIFF",
    POLYGONS: "outlines with area, mean probability and sensitivity; GeoPackage",
    QUICK_LOOK: "the outlines over the scene, for a first look",
    REPORT: "scene, weights and what they were trained on, options, sums",
}


@dataclass(frozen=True)
class ExampleScene:
    """A scene on disk, and its origin in a few words."""

    path: Path
    about: str
    real: bool

    @property
    def sentence(self) -> str:
        """The note at the top of the page."""
        return f"This page maps {self.about}." + ("" if self.real else " What is found on it means nothing.")


@dataclass(frozen=True)
class MapView:
    """A map, small enough to be drawn.

    Attributes:
        image: uint8 (h, w, 3).
        probability: float32 (h, w), NaN for no-data.
        outlines: of the landslides and of holes in them, points (n, 2) of columns and rows of the image.
        threshold: probability above which a pixel is landslide.
        polygons: number of landslides; one with holes has several outlines.
    """

    image: NDArray[np.uint8]
    probability: NDArray[np.float32]
    outlines: list[NDArray[np.float64]]
    threshold: float
    polygons: int


def example_scene(scene: str, real: bool) -> ExampleScene:
    """The scene of a name.

    Args:
        scene: synthetic; A or B for a mosaic of AMU-Net; auto for A if it is available and `real`, else synthetic; or
            a raster file.
        real: whether auto may take a real one.

    Raises:
        SceneError: there is no such mosaic or file.
        WriteError: the scene cannot be written.
    """
    build = _build("scenes")
    mosaics = {one.name: one for one in (read_mosaics() if scene in ("auto", "A", "B") else [])}
    if scene == "auto":
        scene = "A" if real and mosaics else "synthetic"
    if scene == "synthetic":
        height, width = SYNTHETIC
        path = build / f"synthetic-{generator_id()}.tif"
        if not path.is_file():
            write_synthetic_scene(path, SYNTHETIC)
        return ExampleScene(path, f"a synthetic scene of {width} x {height} px", real=False)
    if scene in ("A", "B"):
        if scene not in mosaics:
            raise SceneError(f"scene {scene}: the mosaics of AMU-Net are not there, see data/README.md")
        path = build / f"amunet-{scene}.tif"
        _write_mosaic(path, mosaics[scene])
        return ExampleScene(path, f"the mosaic {scene} of AMU-Net, airborne, which has no georeference", real=True)
    return ExampleScene(Path(scene), f"the file {Path(scene).name}", real=True)


def _build(name: str) -> Path:
    return (find_checkout() or Path.cwd()) / "build" / name


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
    """Maps it into a folder of `build/maps` that is named by scene, options and weights; raises as `map_scene`."""
    sha256 = hashlib.sha256(zoo.find_weights(model).read_bytes()).hexdigest()
    name = f"{scene.path.stem}-{window}-{overlap:g}-{threshold or 'auto'}-{Path(model).stem}-{sha256[:8]}"
    options = MapOptions(window=window, overlap=overlap, threshold=threshold)
    return map_scene(scene.path, _build("maps") / name, model, options)


def view(scene: ExampleScene, result: MapResult, longest: int = 900) -> MapView:
    """Scene, probability and outlines, with at most so many pixels along the longest side."""
    with Scene(scene.path, 3) as opened, gdal(), rasterio.open(result.folder / PROBABILITY) as file:
        image = opened.overview(longest)
        stored = file.read(1, out_shape=image.shape[:2])
        found = read_outlines(result.folder / POLYGONS, opened.transform)
        ratio = np.array([image.shape[1] / file.width, image.shape[0] / file.height])
    probability = np.where(stored == NO_DATA, np.nan, stored / np.float32(STEPS)).astype(np.float32)
    threshold, polygons = result.report["model"]["threshold"], result.report["landslides"]["polygons"]
    return MapView(image, probability, [ring * ratio for ring in found], threshold, polygons)


def file_table(result: MapResult) -> pd.DataFrame:
    """The files of a map."""
    sizes = [f"{(result.folder / name).stat().st_size / 1e3:.0f}" for name in OUTPUTS]
    return pd.DataFrame({"File": OUTPUTS, "What": [ABOUT[name] for name in OUTPUTS], "kB": sizes})


def caption(result: MapResult) -> str:
    """The caption of the file table, with what was found."""
    found = result.report["landslides"]
    return f"The files of the map: {found['polygons']} polygons, {100 * found['share']:.2f} % of the scene"


def polygon_table(result: MapResult) -> pd.DataFrame:
    """The largest landslides of a map from its GeoPackage; one line that says so if there are none."""
    meta, _, _, columns = pyogrio.raw.read(result.folder / POLYGONS, max_features=MOST)
    fields = dict(zip(meta["fields"], columns, strict=True))
    unit = result.report["scene"]["area_unit"]
    if not len(fields["id"]):
        return pd.DataFrame([{"id": "none"}])
    shown = {
        f"Area, {unit}": (f"area_{unit}", 0),
        "Mean probability": ("mean_probability", 2),
        "Area at a threshold 0.05 lower": (f"area_{unit}_if_lower", 0),
        "0.05 higher": (f"area_{unit}_if_higher", 0),
        "Sensitivity": ("sensitivity", 2),
    }
    rounded = {name: [f"{value:.{digits}f}" for value in fields[field]] for name, (field, digits) in shown.items()}
    return pd.DataFrame({"id": fields["id"], **rounded})


def read_measured(path: Path) -> dict[str, Any] | None:
    """The numbers that `scgcnet bench seams` or `bench scene` wrote; None if there is no such file."""
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else None


def seam_table(measured: Mapping[str, Any] | None, scale: float) -> pd.DataFrame:
    """One row for each way to cut the mosaics, at one scale; both scenes side by side."""
    ways = pd.DataFrame((measured or {}).get("ways", []), columns=None if measured else ["scale"])
    ways = ways[ways["scale"] == scale]
    if ways.empty:
        return pd.DataFrame([{"Way": "not run"}])
    groups = ways.groupby(["window", "overlap"], sort=False)
    return pd.DataFrame([_seam_row(window, overlap, scenes) for (window, overlap), scenes in groups])


def _seam_row(window: int, overlap: float, scenes: pd.DataFrame) -> dict[str, str]:
    def mean(name: str, weight: str | None = None) -> float:
        """NaN if a scene has no such number."""
        weights = scenes[weight].astype(float) if weight else pd.Series(1.0, scenes.index)
        return float((scenes[name].astype(float) * weights).sum(skipna=False) / max(weights.sum(), 1e-9))

    def percent(share: float) -> str:
        return NONE if np.isnan(share) else f"{100 * share:.0f}"

    step, elsewhere = mean("step"), mean("step_elsewhere")
    return {
        "Way": f"{'blended' if overlap else 'tiles'}, {window} px" if window else "one window",
        **{f"IoU {name}, %": f"{100 * iou:.1f}" for name, iou in zip(scenes["scene"], scenes["iou"], strict=True)},
        "by chance, %": " and ".join(f"{100 * chance:.1f}" for chance in scenes["chance"]),
        "Polygons": str(scenes["polygons"].sum()),
        "Cut by an edge, %": percent(mean("cut", "polygons")),
        "by a line between, %": percent(mean("cut_elsewhere", "polygons")),
        "Step at an edge : between": NONE if np.isnan(step) or not elsewhere else f"{step / elsewhere:.1f}",
        "Windows disagree, %": percent(mean("disagree")),
        "s a megapixel": f"{mean('seconds'):.2f}",
    }


def large_table(measured: Mapping[str, Any] | None) -> pd.DataFrame:
    """Memory and speed on the large synthetic scene, and whether a killed run gave the same, if that was tried."""
    if measured is None:
        return pd.DataFrame([{"Scene": "not run"}])
    one = measured["scene"]
    row = {
        "Scene": f"{one['side']} x {one['side']} px",
        "Window": f"{one['window']} px",
        "Peak memory, MB": f"{one['peak_mb']:.0f}",
        "Minutes": f"{one['seconds'] / 60:.0f}",
        "Minutes of one core": f"{one['processor_seconds'] / 60:.0f}",
        "Megapixels a second": f"{one['megapixels_per_second']:.2f}",
    }
    if "killed_at" in one:
        row["Killed at window"] = f"{', '.join(map(str, one['killed_at']))} of {one['windows']}"
        row["Gone on with"] = "the same files" if one["the_same"] else "DIFFERENT files"
    return pd.DataFrame([row])
