"""Several scenes, each in a process of its own: one that fails, or dies, stops no other."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from scgcnet.scene.mapping import MapResult, map_scene
from scgcnet.scene.options import MapOptions, SceneError

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".webp", ".img")


def find_scenes(places: Sequence[Path]) -> list[Path]:
    """The scenes that are named, and in place of a folder the rasters in it, by name; each name must be unique."""
    found: list[Path] = []
    for place in places:
        inside = [place]
        if place.is_dir():
            inside = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise SceneError(f"{place} holds no raster: nothing that ends with {', '.join(SUFFIXES)}")
        found += inside
    name, number = Counter(path.stem for path in found).most_common(1)[0]
    if number > 1:
        both = " and ".join(str(path) for path in found if path.stem == name)
        raise SceneError(f"{both} would both be written to a folder {name}: rename one, or map them one by one")
    return found


def map_scenes(
    scenes: Sequence[Path], out: Path, model: str, options: MapOptions, jobs: int | None = None
) -> Iterator[MapResult | str]:
    """Maps scenes into a folder each below `out`, named like the scene, with one thread per scene.

    At most `jobs` at a time; None for one per core. Yields for each in order its map, or a line that says what failed.
    """

    def in_own_process(scene: Path) -> MapResult | str:
        try:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                return process.submit(_map_one, scene, out / scene.stem, model, options).result()
        except BrokenExecutor:
            return f"{out / scene.stem}: FAILED: its process was killed, perhaps for lack of memory"

    with ThreadPoolExecutor(jobs or os.cpu_count()) as threads:
        yield from threads.map(in_own_process, scenes)


def _map_one(scene: Path, out: Path, model: str, options: MapOptions) -> MapResult | str:
    import torch

    torch.set_num_threads(1)  # the other cores have scenes of their own
    try:
        return map_scene(scene, out, model, options)
    except Exception as error:  # the other scenes are mapped all the same
        return f"{out}: FAILED: {error if type(error).__module__.startswith('scgcnet.') else repr(error)}"
