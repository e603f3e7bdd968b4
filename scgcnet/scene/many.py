"""Several scenes, apart from each other: one that fails, or whose process dies, stops no other.

Large scenes have a process each; small ones share one, which imports and loads what a map needs once for many.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from scgcnet.scene.mapping import MapResult, available_cores, map_scene
from scgcnet.scene.models import Models
from scgcnet.scene.options import MapOptions, SceneError
from scgcnet.scene.remote import is_url, name_of

SUFFIXES = (".tif", ".tiff", ".vrt", ".jp2", ".png", ".jpg", ".jpeg", ".webp", ".img")
SMALL, BATCH = 4 << 20, 200  # bytes of a small scene, and how many share a process

Place = Path | str  # a file, or an address


def find_scenes(places: Sequence[Place]) -> list[Place]:
    """The scenes that are named, and in place of a folder the rasters in it, by name; each name must be unique."""
    found: list[Place] = []
    for place in places:
        inside: list[Place] = [place if is_url(place) else Path(place)]
        if not is_url(place) and Path(place).is_dir():
            inside = [*sorted(path for path in Path(place).iterdir() if path.suffix.lower() in SUFFIXES)]
            if not inside:
                raise SceneError(f"{place} holds no raster: nothing that ends with {', '.join(SUFFIXES)}")
        found += inside
    name, number = Counter(map(_stem, found)).most_common(1)[0]
    if number > 1:
        both = " and ".join(str(place) for place in found if _stem(place) == name)
        raise SceneError(f"{both} would both be written to a folder {name}: rename one, or map them one by one")
    return found


def _stem(place: Place) -> str:
    return Path(name_of(place)).stem


def _batches(scenes: Sequence[Place], jobs: int) -> Iterator[list[Place]]:
    """The scenes in their order: runs of small ones, which share a process, and single ones."""
    small = [not is_url(scene) and Path(scene).is_file() and Path(scene).stat().st_size <= SMALL for scene in scenes]
    most = min(BATCH, max(1, -(-sum(small) // jobs)))
    batch: list[Place] = []
    for scene, shares in zip(scenes, small, strict=True):
        if batch and not (shares and len(batch) < most):
            yield batch
            batch = []
        batch.append(scene)
        if not shares:
            yield batch
            batch = []
    if batch:
        yield batch


def map_scenes(
    scenes: Sequence[Place],
    out: Path,
    model: str | Sequence[str],
    options: MapOptions,
    jobs: int | None = None,
    threads: int | None = None,
) -> Iterator[MapResult | str]:
    """Maps scenes into a folder each below `out`, named like the scene.

    At most `jobs` processes at a time, None for one per core; they share the threads, None for one per core. Yields for
    each scene in order its map, or a line that says what failed.
    """
    jobs = jobs or available_cores()
    batches = list(_batches(scenes, jobs))
    each = max(1, (threads or available_cores()) // min(jobs, len(batches)))

    def in_own_process(batch: list[Place]) -> list[MapResult | str]:
        found: list[MapResult | str] = []
        try:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                for scene in batch:
                    one = process.submit(_map_one, scene, out / _stem(scene), model, options, each)
                    found.append(one.result())
        except BrokenExecutor:
            found.append(
                f"{out / _stem(batch[len(found)])}: FAILED: its process was killed, perhaps for lack of memory"
            )
            found += in_own_process(batch[len(found) :]) if batch[len(found) :] else []
        return found

    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(in_own_process, batches):
            yield from found


@functools.cache
def _models(names: str | tuple[str, ...]) -> Models:
    """Loaded once in a process."""
    return Models([names] if isinstance(names, str) else names)


def _map_one(scene: Place, out: Path, model: str | Sequence[str], options: MapOptions, threads: int) -> MapResult | str:
    try:
        return map_scene(
            scene, out, _models(model if isinstance(model, str) else tuple(model)), options, threads=threads
        )
    except Exception as error:  # the other scenes are mapped all the same
        return f"{out}: FAILED: {error if type(error).__module__.startswith('scgcnet.') else repr(error)}"
