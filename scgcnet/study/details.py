"""What a run did on each test image, beside its run file: the counts that statistics and finer measures start from.

A file of details belongs to one run file, `results/details/RUN_ID.json`. It holds no score, only counts: of pixels, of
each landslide's found pixels, of alarms where there is none, of pixels in boundary bands (scgcnet/measures.py). Its
sums must be those of the run file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scgcnet import files
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import Run, project_root
from scgcnet.study.schema import closed, first_fault
from scgcnet.study.store import SEAL, Kind, Record, seal

if TYPE_CHECKING:
    from torch import Tensor, nn

    from scgcnet.data import LandslideDataset, Sample

FOLDERS: Mapping[Kind, str] = {"real": "results/details", "synthetic": "build/details"}
#: Landslide-free images of the same place and sensor, on which every alarm is false.
FREE = {"bijie": "bijie_negatives"}
CHUNK = 64  # images predicted at a time, whole batches
THRESHOLD = 0.5  # probability above which a pixel is called landslide, as in every score of the study


@dataclass(frozen=True)
class ImageDetail:
    """Counts of one test image.

    Attributes:
        name: the sample's.
        group: the same for images that show some of the same ground.
        site: sub-set, event or place; "" where the data set has none.
        resolution: metres per pixel, None where it is not known.
        native: tp, fp, fn, tn at native size.
        resized: the same at the network's input size.
        components: pixels of each landslide and how many of them were found, at native size, the largest first.
        alarms: pixels of each predicted patch that touches no landslide, likewise.
        boundary: pixels in the intersection and the union of the boundary bands, for each width of the file.
    """

    name: str
    group: str
    site: str
    resolution: float | None
    native: list[int]
    resized: list[int]
    components: list[list[int]]
    alarms: list[int]
    boundary: list[list[int]]


@dataclass(frozen=True)
class FreeDetail:
    """Counts of one landslide-free image: its pixels, metres per pixel, and the pixels of each alarm."""

    name: str
    pixels: int
    resolution: float | None
    alarms: list[int]


@dataclass(frozen=True)
class Details:
    """The details of one run.

    Attributes:
        run_id: of the run.
        finished_utc: of the run file that they belong to.
        data_kind: "real" | "synthetic".
        widths: of the boundary bands, pixels.
        images: the test part, in its order.
        free: landslide-free images of the same place that the run was not trained on; empty where there are none.
    """

    run_id: str
    finished_utc: str
    data_kind: Kind
    widths: list[int]
    images: tuple[ImageDetail, ...]
    free: tuple[FreeDetail, ...]

    @property
    def file(self) -> str:
        """Path relative to the project root, with forward slashes."""
        return details_file(self.run_id, self.data_kind)

    def counts(self, way: str) -> NDArray[np.int64]:
        """tp, fp, fn, tn of each test image, (n, 4); `way` is "native" or "resized"."""
        return np.array([getattr(image, way) for image in self.images], dtype=np.int64)


def details_file(run_id: str, kind: Kind) -> str:
    """Path of a run's details relative to the project root, with forward slashes."""
    return f"{FOLDERS[kind]}/{run_id}.json"


def take_details(spec: Run, network: nn.Module, record: Record) -> Details:
    """Predict a run's test images once more, and count.

    Args:
        spec: the run.
        network: trained, on the device to use.
        record: its run file.

    Raises:
        DatasetError: a data set is damaged or not there.
    """
    from scgcnet.data.overlap import shared_ground
    from scgcnet.measures import WIDTHS, boundary_counts, component_hits, false_alarms
    from scgcnet.study.material import open_test

    test, size = open_test(spec), spec.settings["image_size"]
    groups = shared_ground(test)
    images = [
        ImageDetail(
            name=sample.name,
            group=groups[index],
            site=test.sites[index],
            resolution=sample.resolution,
            native=_counts(found, sample.mask),
            resized=_counts(small, _resized_mask(sample, size)),
            components=[list(pair) for pair in component_hits(sample.mask, found)],
            alarms=false_alarms(sample.mask, found),
            boundary=[list(pair) for pair in boundary_counts(sample.mask, found, WIDTHS)],
        )
        for index, (sample, found, small) in enumerate(_found(network, test, size))
    ]
    free = [
        FreeDetail(sample.name, sample.mask.size, sample.resolution, false_alarms(sample.mask, found))
        for whole in free_images(spec)
        for sample, found, _ in _found(network, whole, size)
    ]
    return Details(spec.run_id, record.finished_utc, record.data_kind, list(WIDTHS), tuple(images), tuple(free))


def free_images(spec: Run) -> list[LandslideDataset]:
    """Data sets without landslides of the place that a run is tested at, and that it was not trained on."""
    from scgcnet.data import DatasetError, open_whole

    name = FREE.get(spec.dataset)
    if name is None or name in spec.config["train_datasets"]:
        return []
    try:
        return [open_whole(name)]
    except DatasetError:  # they are an extra that a download of the landslides alone does not have
        return []


def _found(
    network: nn.Module, images: LandslideDataset, image_size: int
) -> Iterator[tuple[Sample, NDArray[np.bool_], NDArray[np.bool_]]]:
    """Each sample with what is called landslide in it, at native size and at the network's input size."""
    from scgcnet.train import predict

    logits: list[Tensor] = []
    # The logits behind `predict`, in the very batches in which the run was scored: no pixel may differ.
    hook = network.register_forward_hook(lambda module, inputs, output: logits.extend(output.float().cpu()))
    try:
        for start in range(0, len(images), CHUNK):
            indices = range(start, min(start + CHUNK, len(images)))
            probabilities = predict(network, images, indices, image_size)
            for index, probability, at_input in zip(indices, probabilities, logits, strict=True):
                small = at_input.softmax(dim=0)[1].numpy() > THRESHOLD
                yield images[index], probability > THRESHOLD, small
            logits.clear()
    finally:
        hook.remove()


def _resized_mask(sample: Sample, image_size: int) -> NDArray[np.int64]:
    from scgcnet.data import EvalTransform

    mask: NDArray[np.int64] = EvalTransform(image_size)(sample)[1].numpy()
    return mask


def _counts(found: NDArray[np.bool_], mask: NDArray[np.integer[Any]]) -> list[int]:
    from scgcnet.train import Confusion

    counted = Confusion.of(found, mask)
    return [counted.tp, counted.fp, counted.fn, counted.tn]


def save_details(details: Details, record: Record, root: Path | None = None) -> Path:
    """Write a file of details, replacing an older one of the same run.

    Raises:
        StoreError: they are not those of the record.
        WriteError: the folder cannot be written or the disk is full.
    """
    path = (root or project_root()) / details.file
    tree = asdict(details)
    tree["images"], tree["free"] = list(tree["images"]), list(tree["free"])
    tree[SEAL] = seal(tree)
    _check(tree, record, path)
    files.write_text(path, _dump(tree))
    return path


def find_details(record: Record, root: Path | None = None) -> Details | None:
    """The details of a run; None where they were not taken, or were taken of an earlier training of the same id.

    Raises:
        StoreError: the file is broken, was edited, or contradicts the run file.
    """
    path = (root or project_root()) / details_file(record.run_id, record.data_kind)
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        if tree["finished_utc"] != record.finished_utc:
            return None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read as details: {error!r}; {_REMEDY}") from None
    _check(tree, record, path)
    del tree[SEAL]
    images = tuple(ImageDetail(**row) for row in tree.pop("images"))
    free = tuple(FreeDetail(**row) for row in tree.pop("free"))
    return Details(images=images, free=free, **tree)


def _dump(tree: Mapping[str, Any]) -> str:
    """JSON with a line for each image, so that the file is short and its differences are readable."""
    rows = {key: ",\n".join(json.dumps(row, separators=(",", ":")) for row in tree[key]) for key in ("images", "free")}
    fields = [
        f' "{key}": ' + (f"[\n{rows[key]}\n ]" if rows.get(key) else json.dumps(value)) for key, value in tree.items()
    ]
    return "{\n" + ",\n".join(fields) + "\n}\n"


_REMEDY = "take it back from git, or take it again: scgcnet study details"


def _check(tree: Mapping[str, Any], record: Record, path: Path) -> None:
    if fault := first_fault(tree, _FILE):
        raise StoreError(f"{path}: {fault}; {_REMEDY}")
    try:
        sealed = seal(tree)
    except ValueError as error:  # an infinite resolution, or one that is no number
        raise StoreError(f"{path}: {error}; {_REMEDY}") from None
    if tree[SEAL] != sealed:
        raise StoreError(f"{path}: {SEAL}: does not fit the content, so the file was edited; {_REMEDY}")
    if (tree["run_id"], tree["finished_utc"]) != (record.run_id, record.finished_utc):
        raise StoreError(f"{path}: belongs to {tree['run_id']} of {tree['finished_utc']}; {_REMEDY}")
    native = [sum(image["native"][place] for image in tree["images"]) for place in range(4)]
    if dict(zip(("tp", "fp", "fn", "tn"), native, strict=True)) != record.metrics["confusion"]:
        raise StoreError(f"{path}: the counts of its images do not add up to the run file's; {_REMEDY}")
    tp, fp, fn, _ = (sum(image["resized"][place] for image in tree["images"]) for place in range(4))
    if abs(record.metrics["resized"]["iou"] * (tp + fp + fn) - tp) > 1e-9 * max(tp, 1):
        raise StoreError(f"{path}: the resized counts do not give the run file's IoU; {_REMEDY}")
    for image in tree["images"]:
        hits = [sum(pair[place] for pair in image["components"]) for place in range(2)]
        if hits != [image["native"][0] + image["native"][2], image["native"][0]]:
            raise StoreError(f"{path}: {image['name']}: its landslides do not add up to its pixels; {_REMEDY}")
        if len(image["boundary"]) != len(tree["widths"]):
            raise StoreError(f"{path}: {image['name']}: {len(image['boundary'])} bands for {tree['widths']}; {_REMEDY}")


_WHOLE = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_LIST = {"type": "array", "items": _WHOLE}
_FOUR = {**_LIST, "minItems": 4, "maxItems": 4}
_PAIRS = {"type": "array", "items": {**_LIST, "minItems": 2, "maxItems": 2}}
_METRES = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]}
_IMAGE = closed(
    {
        "name": {**_TEXT, "minLength": 1},
        "group": _TEXT,
        "site": _TEXT,
        "resolution": _METRES,
        "native": _FOUR,
        "resized": _FOUR,
        "components": _PAIRS,
        "alarms": _LIST,
        "boundary": _PAIRS,
    }
)
_FREE = closed({"name": _TEXT, "pixels": _WHOLE, "resolution": _METRES, "alarms": _LIST})
_FILE = closed(
    {
        "run_id": _TEXT,
        "finished_utc": _TEXT,
        "data_kind": {"enum": list(FOLDERS)},
        "widths": {**_LIST, "minItems": 1},
        "images": {"type": "array", "items": _IMAGE, "minItems": 1},
        "free": {"type": "array", "items": _FREE},
        SEAL: _TEXT,
    }
)
