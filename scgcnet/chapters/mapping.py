"""Chapter "Mapping a scene": the scene it maps, its map to look at, and the tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from scgcnet import files, zoo
from scgcnet.chapters.efficiency import Bench
from scgcnet.data import dataset_available, open_dataset
from scgcnet.data.synthetic import VERSION
from scgcnet.metrics import Confusion
from scgcnet.scene import MapOptions, MapResult, SceneError, map_scene
from scgcnet.scene.mapping import OUTPUTS, REPORT
from scgcnet.scene.outputs import MASK, NO_DATA, POLYGONS, PROBABILITY, QUICK_LOOK, STEPS, read_outlines
from scgcnet.scene.seams import Mosaic, read_mosaics
from scgcnet.scene.source import Scene, gdal
from scgcnet.scene.synthetic import write_synthetic_scene
from scgcnet.study.networks import NOT_RUN
from scgcnet.study.runs import project_root
from scgcnet.study.show import NONE

SYNTHETIC = (512, 768)  # height and width, pixels
MOST = 8  # polygons in a table
PATCH, DOWN = 256, 4  # side of a square of the patchwork, pixels; squares in a column
PATCHES = {"bijie": 3, "bijie_negatives": 1, "landslide_free": 2}  # columns of each data set
PATCHWORK = (
    f"a patchwork of {DOWN * sum(PATCHES.values())} test images that no training saw, georeferenced at 0.8 m per "
    "pixel: landslides of Bijie on the left, ground without landslides on the right"
)
PLACE = {"crs": "EPSG:32648", "transform": Affine(0.8, 0, 520_000, 0, -0.8, 3_010_000)}  # near Bijie
ABOUT = {
    PROBABILITY: "probability of landslide, 0 to 1; Cloud-Optimized GeoTIFF",
    MASK: "1 for landslide, else 0; Cloud-Optimized GeoTIFF",
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
    truth: Path | None = None  # raster on the same grid, 1 for landslide
    quiet_from: int | None = None  # column from which squares of `PATCH` pixels hold no landslide


Compared = tuple[NDArray[np.uint8], NDArray[np.bool_]]  # truth and mask
View = tuple[NDArray[np.uint8], NDArray[np.float32], list[NDArray[np.float64]], float, int, Compared | None]


def example_scene(scene: str, real: bool) -> ExampleScene:
    """The scene of a name: patchwork, of test images; synthetic; A or B, a mosaic of AMU-Net; auto; or a raster file.

    auto is the patchwork if its images are available and `real`, else synthetic.
    """
    build = project_root() / "build" / "scenes"
    mosaics = {one.name: one for one in (read_mosaics() if scene in ("A", "B") else [])}
    if scene == "auto":
        scene = "patchwork" if real and all(map(dataset_available, PATCHES)) else "synthetic"
    if scene == "patchwork":
        path, truth = build / "patchwork.tif", build / "patchwork-truth.tif"
        _write_patchwork(path, truth)
        return ExampleScene(path, PATCHWORK, real=True, truth=truth, quiet_from=PATCH * PATCHES["bijie"])
    if scene == "synthetic":
        height, width = SYNTHETIC
        path = build / f"synthetic-v{VERSION}.tif"
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


def patchwork() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Squares of test images side by side: uint8 (1024, 1536, 3), and the truth (1024, 1536).

    The left half has landslides of Bijie, the right half has none: Bijie's landslide-free images, then those of others.
    """
    columns = []
    for name, across in PATCHES.items():
        part = open_dataset(name, 0, "test")
        large = [sample for sample in part if min(sample.mask.shape) >= PATCH]
        chosen = [large[index] for index in np.linspace(0, len(large) - 1, across * DOWN).round().astype(int)]
        cut = [(middle(sample.image), middle(sample.mask)) for sample in chosen]
        for column in range(across):
            ours = cut[column * DOWN : (column + 1) * DOWN]
            columns.append(tuple(np.concatenate(layers) for layers in zip(*ours, strict=True)))
    image, mask = (np.concatenate(layers, axis=1) for layers in zip(*columns, strict=True))
    return image, mask.astype(np.uint8)


def middle(pixels: NDArray[Any]) -> NDArray[Any]:
    """The square of `PATCH` pixels in the middle."""
    top, left = ((side - PATCH) // 2 for side in pixels.shape[:2])
    return pixels[top : top + PATCH, left : left + PATCH]


def _write_patchwork(path: Path, truth: Path) -> None:
    image, mask = patchwork()
    height, width = mask.shape
    profile = {"driver": "GTiff", "height": height, "width": width, "dtype": "uint8", "tiled": True, **PLACE}
    for target, bands in ((path, np.moveaxis(image, 2, 0)), (truth, mask[None])):
        with (
            files.atomic(target) as temporary,
            gdal(),
            rasterio.open(temporary, "w", count=len(bands), **profile) as file,
        ):
            file.write(bands)


def scored(scene: ExampleScene, result: MapResult) -> dict[str, float]:
    """How well a scene was mapped; nothing without a truth.

    Returns:
        iou: with the truth, as a fraction; and where the scene has a quiet part
        iou_left: of the other part.
        quiet, alarmed: squares of the quiet part, and those with a false alarm.
        share: of its ground that is a false alarm.
    """
    if scene.truth is None:
        return {}
    with gdal(), rasterio.open(scene.truth) as truth, rasterio.open(result.folder / MASK) as mask:
        true, found = truth.read(1), mask.read(1) == 1
    scores = {"iou": Confusion.of(found, true).scores()["iou"]}
    if (left := scene.quiet_from) is not None:
        cells = found[:, left:].reshape(len(found) // PATCH, PATCH, -1, PATCH).any(axis=(1, 3))
        scores |= {"iou_left": Confusion.of(found[:, :left], true[:, :left]).scores()["iou"], "quiet": cells.size}
        scores |= {"alarmed": int(cells.sum()), "share": float(found[:, left:].mean())}
    return scores


def map_example(
    scene: ExampleScene, model: str | None, window: int | None, overlap: float, threshold: float | None
) -> MapResult:
    """Maps it into a folder of `build/maps` that is named by scene, options and weights."""
    model = model or zoo.DEFAULT
    sha256 = hashlib.sha256(zoo.find_weights(model).read_bytes()).hexdigest()
    name = f"{scene.path.stem}-{window or 'auto'}-{overlap:g}-{threshold or 'auto'}-{Path(model).stem}-{sha256[:8]}"
    options = MapOptions(window=window, overlap=overlap, threshold=threshold)
    return map_scene(scene.path, project_root() / "build" / "maps" / name, model, options)


def about(scene: ExampleScene, result: MapResult) -> str:
    """The note below the picture: which scene this is, and how well it was mapped."""
    told, found = f"This is {scene.about}.", scored(scene, result)
    if "iou" in found:
        told += f" The IoU is {100 * found['iou']:.0f} %"
        if "quiet" in found:
            told += (
                f", {100 * found['iou_left']:.0f} % in the part with landslides; {found['alarmed']:.0f} of "
                f"{found['quiet']:.0f} squares without have a false alarm, {100 * found['share']:.2f} % of their ground"
            )
        told += "."
    return told if scene.real else f"{told} Numbers on synthetic scenes mean nothing elsewhere."


def view(scene: ExampleScene, result: MapResult, longest: int = 900) -> View:
    """What `plots.scene_map` draws, with at most so many pixels along the longest side."""
    with Scene(scene.path, 3) as opened, gdal(), rasterio.open(result.folder / PROBABILITY) as file:
        image = opened.overview(longest)
        stored = file.read(1, out_shape=image.shape[:2])
        found = read_outlines(result.folder / POLYGONS, opened.transform)
        ratio = np.array([image.shape[1] / file.width, image.shape[0] / file.height])
    probability = np.where(stored == NO_DATA, np.nan, stored / np.float32(STEPS)).astype(np.float32)
    threshold, polygons = result.report["model"]["threshold"], result.report["landslides"]["polygons"]
    compared = None
    if scene.truth is not None:
        with gdal(), rasterio.open(scene.truth) as truth, rasterio.open(result.folder / MASK) as mask:
            shape = image.shape[:2]
            compared = truth.read(1, out_shape=shape), mask.read(1, out_shape=shape) == 1
    return image, probability, [ring * ratio for ring in found], threshold, polygons, compared


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


def seam_table(measured: Bench, scale: float) -> pd.DataFrame:
    """One row for each way to cut the mosaics, at one scale; both scenes side by side."""
    ways = pd.DataFrame([way for way in (measured or {}).get("ways", []) if way["scale"] == scale])
    if ways.empty:
        return pd.DataFrame([{"Way": NOT_RUN}])
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


def large_table(*measured: Bench) -> pd.DataFrame:
    """Memory and speed on large synthetic scenes, and whether a killed run gave the same, if that was tried."""
    rows = [(one["model"], row) for one in measured if one is not None for row in one["rows"]]
    return pd.DataFrame([_large_row(*row) for row in rows] or [{"Scene": NOT_RUN}]).fillna(NONE)


def _large_row(model: str, one: Mapping[str, Any]) -> dict[str, str]:
    row = {
        "Scene": f"{one['side']} x {one['side']} px",
        "Weights": model,
        "Code": one["code"] or "this",
        "Cores": str(one["cores"]),
        "Peak memory, MB": f"{one['peak_mb']:.0f}",
        "Minutes": f"{one['seconds'] / 60:.1f}",
        "Megapixels a second": f"{one['megapixels_per_second']:.2f}",
    }
    if "killed_at" in one:
        row["Killed at window"] = f"{', '.join(map(str, one['killed_at']))} of {one['windows']}"
        row["Resumed with"] = "the same files" if one["the_same"] else "DIFFERENT files"
    return row
