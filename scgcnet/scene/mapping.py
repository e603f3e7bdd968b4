"""A scene mapped: `scgcnet map`.

While it works, everything lies in a hidden folder within the output folder; the finished files are put in place at the
end, the report last. So an output folder has a whole map, or none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import scgcnet
from scgcnet import files
from scgcnet.scene import outputs
from scgcnet.scene.models import Models, choose_scales
from scgcnet.scene.options import MapOptions, SceneError
from scgcnet.scene.outputs import MASK, POLYGONS, PROBABILITY, QUICK_LOOK, UNCERTAINTY
from scgcnet.scene.predict import Stream, combined, grids_of, on_scene
from scgcnet.scene.remote import RemoteError
from scgcnet.scene.source import Scene
from scgcnet.scene.windows import Grid

Span = tuple[int, int]  # first, and first not included

WORK = ".work"
CLAIM = "made_of.json"  # in it: what the unfinished map is made of
REPORT = "report.json"
OUTPUTS = (PROBABILITY, MASK, POLYGONS, QUICK_LOOK, REPORT)  # in the order in which they are put in place


@dataclass(frozen=True)
class MapResult:
    """A finished map: the folder with its files, and the content of its report."""

    folder: Path
    report: Mapping[str, Any]
    fresh: bool  # False if the same map was there

    @property
    def summary(self) -> str:
        """One line."""
        found, threshold = self.report["landslides"], self.report["model"]["threshold"]
        number = f"{found['polygons']} polygon{'s' * (found['polygons'] != 1)}"
        area = f"{found['area']:.0f} {self.report['scene']['area_unit'].replace('2', '²')}"
        share = f"{100 * found['share']:.2f} % of the scene is landslide at the threshold {threshold:g}"
        return f"{self.folder}: {number}, {area} in all; {share}"


def map_scene(
    scene_file: Path | str,
    out: Path,
    model: str | Sequence[str] | Models,
    options: MapOptions | None = None,
    *,
    threads: int | None = None,
    progress: bool = False,
) -> MapResult:
    """Maps one scene into a folder, which then holds `OUTPUTS`, and UNCERTAINTY if there are several models or views.

    A finished map of the same scene, weights and options is kept; an unfinished one is resumed.

    Args:
        scene_file: any raster that rasterio reads, or an address: of a raster or of a STAC item.
        out: folder; it is made.
        model: name of published weights, or a weights file, or `Models`; of several, the mean probability counts.
        options: see there.
        threads: windows that are predicted at the same time; None for one for each core. The map is the same.
        progress: show notes and a bar with the time left on standard error.

    Raises:
        SceneError: the scene cannot be read or does not suit the network, or the folder holds something else.
        WeightsError: there are no such weights, or the file is damaged.
        WriteError: the disk is full or the folder cannot be written; started again, it resumes.
    """
    options = options or MapOptions()
    models = model if isinstance(model, Models) else Models([model] if isinstance(model, str) else model)
    window, threshold = options.window or models.window, options.threshold or models.threshold
    peak = None if options.threshold else models.peak
    bands, value_range = options.bands or models.bands, options.value_range or models.value_range
    with Scene(scene_file, models.channels, bands, value_range, options.bounds, options.asset) as scene:
        if options.metres and scene.crs is not None:
            raise SceneError(f"{scene.path} has a georeference: leave out --metres, or give --scale")
        own = {**asdict(options), "bands": scene.bands, "value_range": scene.value_range, "window": window}
        made_of = {
            "scene_sha256": scene.sha256(),
            "model_sha256": models.sha256,
            "options": json.loads(json.dumps(own)),  # as they are read back
        }
        names = [
            name for name in (*OUTPUTS[:-1], UNCERTAINTY, REPORT) if name in OUTPUTS or _layers(models, options) > 1
        ]
        if (earlier := _earlier(out, made_of, names)) is not None:
            return MapResult(out, earlier, fresh=False)
        new = not out.exists()
        work = out / WORK
        _claim(work, made_of)
        with files.lock(work / "lock"):
            if (earlier := _earlier(out, made_of, names)) is not None:  # by another process, which this one waited for
                files.remove_folder(work)
                return MapResult(out, earlier, fresh=False)
            try:
                scene.keep_in(work)
                report = _write_map(scene, work, models, window, threshold, peak, options, made_of, threads, progress)
            except RemoteError:
                raise
            except SceneError:  # none of it can be used
                files.remove_folder(work)
                if new:
                    out.rmdir()
                raise
            for name in names:
                (work / name).replace(out / name)
    files.remove_folder(work)
    return MapResult(out, report, fresh=True)


def _layers(models: Models, options: MapOptions) -> int:
    """2 with the uncertainty, which one network and one view do not have."""
    return 1 if len(models.files) * options.views == 1 else 2


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _write_map(
    scene: Scene,
    work: Path,
    models: Models,
    window: int,
    threshold: float,
    peak: float | None,
    options: MapOptions,
    made_of: Mapping[str, Any],
    threads: int | None,
    progress: bool,
) -> dict[str, Any]:
    """Writes all files of the map into the work folder; returns the report."""
    ground = outputs.Ground(scene.crs, scene.transform, options.metres)
    pixel = ground.pixel(scene.shape)
    metres = options.metres if scene.crs is None else pixel**0.5
    engines = models.engines
    scales = (options.scale,) if options.scale else choose_scales(metres, models.spans, models.seen_at)
    grids = grids_of(scene.shape, scales, window, options.overlap)
    notes = [*scene.notes, *_grid_notes(grids, metres, models.trained_side)]
    if progress:
        for note in notes:
            print(f"note: {scene.name}: {note}", file=sys.stderr)
    layers = _layers(models, options)
    streams = [Stream(work / f"scale-{scale:g}", grid, layers) for scale, grid in grids.items()]
    for stream in streams:
        if stream.rows_done < stream.grid.rows.length:
            shape = (stream.grid.rows.length, stream.grid.columns.length)
            predict, read = combined(engines, options.views), partial(_read, scene, shape)
            stream.run(predict, read, progress, threads or available_cores())
    if progress:
        print("windows done; writing the rasters and outlining the landslides", file=sys.stderr)
    with outputs.write_cogs(
        work, scene, lambda top, bottom: on_scene(streams, scene, top, bottom), threshold, layers, peak
    ) as (known, landslide):
        if not known:
            raise SceneError(f"{scene.path} has no valid pixel: all is no-data or not a number. Take another scene.")
        found = outputs.find_polygons(work, threshold, least=0.5 * options.min_area / pixel)
        found = found.assign(area=ground.areas(found["outline"].to_numpy()))
        found = found[found["area"] >= options.min_area]
        marks = {name: made_of[name] for name in ("scene_sha256", "model_sha256")}
        (work / POLYGONS).unlink(missing_ok=True)  # of an earlier process
        outputs.write_geopackage(work / POLYGONS, found, ground, marks)
        outputs.write_quick_look(work / QUICK_LOOK, scene, found)
    resemblance = models.resemblance(
        None if metres is None else metres / list(grids)[len(grids) // 2], *scene.quick_look()
    )
    if progress and resemblance:
        print(f"note: {scene.name}: {resemblance}", file=sys.stderr)
    finest = next(iter(grids.values()))
    report = {
        "scgcnet": scgcnet.__version__,
        "scene": {
            "file": scene.name,
            "sha256": made_of["scene_sha256"],
            "width": scene.shape[1],
            "height": scene.shape[0],
            "crs": None if scene.crs is None else scene.crs.to_string(),
            "transform": list(scene.transform[:6]),
            "metres_per_pixel": metres,
            "bands": list(scene.bands),
            "value_range": made_of["options"]["value_range"],
            "share_with_data": known / (scene.shape[0] * scene.shape[1]),
            "area_unit": ground.unit,
            "notes": notes,
            "resemblance": resemblance,
        },
        "model": models.describe(threshold, peak),
        "landslides": {
            "polygons": len(found),
            "area": float(np.round(found["area"].to_numpy().sum(), 1)),
            "share": landslide / known,
            "threshold_moved_by": outputs.DELTA,
        },
        "windows": {
            "number": sum(map(len, grids.values())),
            "side": [finest.rows.size, finest.columns.size],
            "overlap": [finest.rows.shared, finest.columns.shared],
            "scales": list(grids),
        },
        "made_of": made_of,
    }
    files.write_text(work / REPORT, json.dumps(report, indent=1, sort_keys=True) + "\n")
    return report


def _read(scene: Scene, shape: tuple[int, int], rows: Span, columns: Span) -> tuple[NDArray[np.uint8], bool]:
    return scene.read(rows, columns, shape)


def _grid_notes(grids: Mapping[float, Grid], metres: float | None, trained: int) -> list[str]:
    """How the network sees the scene, where that differs from what the user or the weights expect."""
    notes, scales = [], ", ".join(f"{scale:.3g}" for scale in grids)
    if metres is None:
        notes.append(f"its ground resolution is not known: the network sees it at the scale {scales}, see --metres")
    elif list(grids) != [1]:
        seen = ", ".join(f"{metres / scale:.3g}" for scale in grids)
        notes.append(f"the network sees it at {seen} m per pixel, at the scale {scales}")
    if (side := max(max(grid.rows.size, grid.columns.size) for grid in grids.values())) >= 2 * trained:
        seen = f"the weights were trained on images of {trained} px and see {side} px at once"
        notes.append(f"{seen}: try --window {trained}")
    return notes


def _earlier(out: Path, made_of: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """The report of the same map if it is finished; anything else in the folder is refused."""
    if not out.exists():
        return None
    if not out.is_dir():
        raise SceneError(f"{out} is no folder: name another one with --out")
    present = {path.name for path in out.iterdir()} - {WORK}
    if not present:
        return None
    if REPORT not in present:  # files named like ours are only ours if a kill came while they were put in place
        begun = (out / WORK / CLAIM).is_file()
        if foreign := sorted(present - set(names) if begun else present):
            raise SceneError(f"{out} holds other files, such as {foreign[0]}: name an empty or a new folder with --out")
        return None
    try:
        report: dict[str, Any] = json.loads((out / REPORT).read_text("utf-8"))
        other = report["made_of"]
    except (ValueError, KeyError, TypeError) as error:
        raise SceneError(f"{out / REPORT} is no report of a map: name another folder with --out") from error
    _refuse_other(out, other, made_of, "the map")
    return report if present >= set(names) else None


def _claim(work: Path, made_of: Mapping[str, Any]) -> None:
    """Notes what the map is made of, or makes sure that an unfinished one is made of the same."""
    note = work / CLAIM
    if note.is_file():
        _refuse_other(work.parent, json.loads(note.read_text("utf-8")), made_of, "the unfinished map")
    else:
        files.write_text(note, json.dumps(made_of, indent=1, sort_keys=True))


def _refuse_other(folder: Path, other: Mapping[str, Any], made_of: Mapping[str, Any], what: str) -> None:
    names = {"scene_sha256": "scene", "model_sha256": "weights", "options": "options"}
    if different := [word for name, word in names.items() if other.get(name) != made_of[name]]:
        raise SceneError(
            f"{folder} holds {what} of other {' and '.join(different)}: remove that folder, or name another with --out"
        )
