"""What the chapter tells of a map and of measurements, as data frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyogrio

from scgcnet.scene.mapping import OUTPUTS, POLYGONS, MapResult

NONE = "-"
MOST = 8  # polygons in a table
ABOUT = {
    "probability.tif": "probability of landslide, 0 to 1; Cloud-Optimized GeoTIFF",
    "mask.tif": "1 where it is above the threshold, else 0; Cloud-Optimized GeoTIFF",
    POLYGONS: "outlines with area, mean probability and sensitivity; GeoPackage",
    "quicklook.png": "the outlines over the scene, for a first look",
    "report.json": "scene, weights and what they were trained on, options, sums",
}


def file_table(result: MapResult) -> pd.DataFrame:
    """The files of a map."""
    return pd.DataFrame(
        [
            {"File": name, "What": ABOUT[name], "kB": f"{(result.folder / name).stat().st_size / 1e3:.0f}"}
            for name in OUTPUTS
        ]
    )


def caption(result: MapResult) -> str:
    """What came of a scene, in a few words."""
    found = result.report["landslides"]
    return f"The files of the map: {found['polygons']} polygons, {100 * found['share']:.2f} % of the scene"


def polygon_table(result: MapResult) -> pd.DataFrame:
    """The largest landslides of a map as its GeoPackage has them; one line that says so where there are none."""
    meta, _, _, columns = pyogrio.raw.read(result.folder / POLYGONS, max_features=MOST)
    fields = dict(zip(meta["fields"], columns, strict=True))
    unit = result.report["scene"]["area_unit"]
    if not len(fields["id"]):
        return pd.DataFrame([{"id": "none"}])
    return pd.DataFrame(
        {
            "id": fields["id"],
            f"Area, {unit}": [f"{area:.0f}" for area in fields[f"area_{unit}"]],
            "Mean probability": [f"{mean:.2f}" for mean in fields["mean_probability"]],
            "Area at a threshold 0.05 lower": [f"{area:.0f}" for area in fields[f"area_{unit}_if_lower"]],
            "0.05 higher": [f"{area:.0f}" for area in fields[f"area_{unit}_if_higher"]],
            "Sensitivity": [f"{share:.2f}" for share in fields["sensitivity"]],
        }
    )


def read_measured(path: Path) -> dict[str, Any] | None:
    """What `scgcnet bench seams --json` or `bench scene --json` wrote; None where there is no such file."""
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else None


def seam_table(measured: Mapping[str, Any] | None, scale: float) -> pd.DataFrame:
    """One row for each way to cut the mosaics, at one scale; both scenes side by side."""
    rows: dict[tuple[int, float], dict[str, dict[str, Any]]] = {}
    for way in (measured or {}).get("ways", []):
        if way["scale"] == scale:
            rows.setdefault((way["window"], way["overlap"]), {})[way["scene"]] = way
    if not rows:
        return pd.DataFrame([{"Way": "not run"}])
    return pd.DataFrame([_seam_row(window, overlap, scenes) for (window, overlap), scenes in rows.items()])


def _seam_row(window: int, overlap: float, scenes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    way = "one window" if not window else f"{'blended' if overlap else 'tiles'}, {window} px"
    row = {"Way": way}
    each = list(scenes.values())
    for name, one in scenes.items():
        row[f"IoU {name}, %"] = f"{100 * one['iou']:.1f}"

    def pooled(key: str, weight: str | None = None) -> float | None:
        if any(one[key] is None for one in each):
            return None
        weights = [1.0 if weight is None else float(one[weight]) for one in each]
        total = sum(w * float(one[key]) for w, one in zip(weights, each, strict=True))
        return total / max(sum(weights), 1e-9)

    row["by chance, %"] = " and ".join(f"{100 * one['chance']:.1f}" for one in each)
    row["Polygons"] = str(sum(one["polygons"] for one in each))
    row["Cut by an edge, %"] = _percent(pooled("cut", "polygons"))
    row["by a line between, %"] = _percent(pooled("cut_elsewhere", "polygons"))
    step, elsewhere = pooled("step"), pooled("step_elsewhere")
    row["Step at an edge : between"] = NONE if step is None or not elsewhere else f"{step / elsewhere:.1f}"
    row["Windows disagree, %"] = _percent(pooled("disagree"))
    row["s a megapixel"] = f"{pooled('seconds'):.2f}"
    return row


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.0f}"


def large_table(measured: Mapping[str, Any] | None) -> pd.DataFrame:
    """The large made-up scene: memory, speed, and whether a run that was killed gave the same."""
    if measured is None:
        return pd.DataFrame([{"Scene": "not run"}])
    one = measured["scene"]
    return pd.DataFrame(
        [
            {
                "Scene": f"{one['side']} x {one['side']} px",
                "Window": f"{one['window']} px",
                "Peak memory, MB": f"{one['peak_mb']:.0f}",
                "Minutes": f"{one['seconds'] / 60:.0f}",
                "Minutes of one core": f"{one['processor_seconds'] / 60:.0f}",
                "Megapixels a second": f"{one['megapixels_per_second']:.2f}",
                "Killed at window": f"{', '.join(map(str, one['killed_at']))} of {one['windows']}",
                "Gone on with": "the same files" if one["the_same"] else "DIFFERENT files",
            }
        ]
    )
