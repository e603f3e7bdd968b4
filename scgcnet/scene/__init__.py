"""Whole scenes: from a raster of any size to probability, mask and polygons that a GIS opens."""

from scgcnet.scene.mapping import MapResult, map_scene
from scgcnet.scene.options import MapOptions, SceneError

__all__ = ["MapOptions", "MapResult", "SceneError", "map_scene"]
