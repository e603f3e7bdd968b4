"""Stored results: one JSON record per run, read into tidy pandas frames.

A record on real data lies in `results/runs` (or `results/trials`, judged on validation alone) and is committed; one on
synthetic data lies in `build/` and is not. Per-image counts lie beside it in `details/`. Frames hold scores in percent.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from scgcnet import files
from scgcnet.study.runs import config_id, configuration, project_root

Kind = Literal["real", "synthetic"]
ROOTS: dict[Kind, str] = {"real": "results", "synthetic": "build"}
SCORES = ("precision", "recall", "f1", "iou", "oa")
WEIGHTS = "build/weights"  # of every run trained here; the published ones travel in the package
_DERIVED = ("trained_on", "configuration", "lr", "image_size", "increment", "views", "val_iou", "val_f1", "n_test",
            *(f"{way}_{score}" for way in ("resized", "pooled", "per_image") for score in SCORES), "file")  # fmt: skip
_COUNTS = ("tp", "fp", "fn", "tn")
_LISTED = ("images", "free")
FACTS = "results/facts"  # of test images, by data set
LOOKS = ("utc", "dataset", "split", "run_id")

M = TypeVar("M", bound=BaseModel)


class ResultError(ValueError):
    """A stored result is broken or missing; the message names the file and the remedy."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Counts(_Model):
    """Pixels of a prediction against its truth."""

    tp: int = Field(ge=0)
    fp: int = Field(ge=0)
    fn: int = Field(ge=0)
    tn: int = Field(ge=0)


class PartCounts(Counts):
    """The same for one part of a data set of `n` images."""

    n: int = Field(ge=1)


class Metrics(_Model):
    """Scores of the test part as fractions of 1.

    `pooled`: over all pixels at native size; `resized`: at the network's input size, most likely the paper's way;
    `per_image`: averaged over the `n` images, at native size; `confusion`: the counts behind `pooled`.
    """

    pooled: dict[str, float]
    resized: dict[str, float]
    per_image: dict[str, float]
    confusion: Counts


class Record(_Model):
    """One finished training: a run, or (without `metrics`) a trial, which chose a recipe on validation.

    Attributes:
        run_id: readable prefix and hash of `config`, which holds all that decided the result but code and data.
        data_kind: "real" | "synthetic".
        train_datasets: the data sets trained on.
        protocol: `scgcnet.train.config.PROTOCOL` of the code that trained; tables never mix protocols.
        split_sha256, data_sha256: hashes of the split and of the decoded images and masks.
        flags: changes to the network's preset.
        params: trainable parameters, auxiliary heads included.
        gmac: 10^9 multiply-accumulates for one image at the network's input size.
        history: one row of numbers per epoch, null where undefined.
        best_epoch: epoch, from 0, whose weights were kept: the best on validation.
        git_sha, dirty, lock_sha256, device, versions: where it was made; null where unknown.
        wall_s: seconds of training and scoring since the last start.
        domains: pixel counts at the input size by data set and part, of a run trained on other data sets or on several.
        maps: of a run trained on windows, how it maps: by data set, part ("all" of one left out) and scale, the fields
            of a `scgcnet.scene.score.MapCounts`.
        prediction: views, threshold and validation IoU of a run that predicts over several views.
        test_looks: how often this configuration has been scored on the test part.
    """

    run_id: str = Field(pattern="^[a-z0-9_-]+$")
    dataset: str
    data_kind: Kind
    train_datasets: list[str] = Field(min_length=1)
    split: int | str
    split_sha256: str
    data_sha256: str
    protocol: int = Field(ge=1)
    model: str
    size: str
    flags: dict[str, Any]
    params: int = Field(ge=1)
    gmac: float = Field(ge=0)
    profile: str
    seed: int = Field(ge=0)
    config: dict[str, Any]
    history: list[dict[str, float | None]]
    best_epoch: int = Field(ge=0)
    git_sha: str | None
    dirty: bool | None
    lock_sha256: str | None
    device: str
    wall_s: float = Field(ge=0)
    finished_utc: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    versions: dict[str, str]
    claims: list[str] = []
    metrics: Metrics | None = None
    test_looks: int = 0
    domains: dict[str, dict[str, PartCounts]] = {}
    maps: dict[str, dict[str, dict[str, dict[str, Any]]]] = {}
    prediction: dict[str, float] = {}

    @model_validator(mode="after")
    def _belongs_to_its_configuration(self) -> Record:
        if self.run_id != (expected := config_id(self.config)):
            raise ValueError(f"run_id is {self.run_id}, but its configuration is that of {expected}")
        return self

    @property
    def file(self) -> str:
        """Path relative to the project root, with forward slashes."""
        return f"{ROOTS[self.data_kind]}/{'runs' if self.metrics else 'trials'}/{self.run_id}.json"

    @property
    def best(self) -> dict[str, float | None]:
        """The history row of the epoch that was kept."""
        return next(row for row in self.history if row["epoch"] == self.best_epoch)


class ImageCounts(_Model):
    """Counts of one test image.

    Attributes:
        group: label shared by images that show some of the same ground.
        site: sub-set, event or place; "" where the data set has none.
        resolution: metres per pixel, None if unknown.
        native, resized: tp, fp, fn, tn at native size and at the network's input size.
        components: (pixels, found pixels) of each landslide at native size, the largest first.
        alarms: pixels of each predicted patch that touches no landslide, likewise.
        boundary: pixels in intersection and union of the boundary bands, for each width of the file.
        source: data set that it is of, where that is not the run's own.
    """

    name: str
    group: str
    site: str
    resolution: float | None
    native: tuple[int, int, int, int]
    resized: tuple[int, int, int, int]
    components: list[tuple[int, int]]
    alarms: list[int]
    boundary: list[tuple[int, int]]
    source: str = ""


class FreeCounts(_Model):
    """Counts of one landslide-free image: its pixels, metres per pixel, and the pixels of each alarm."""

    name: str
    pixels: int
    resolution: float | None
    alarms: list[int]


class Details(_Model):
    """Per-image counts of one run: of its test part, and of landslide-free images of the same place if there are any.

    A run trained on several data sets at home on one of them has the test images of the others too.
    """

    run_id: str
    finished_utc: str
    data_kind: Kind
    widths: list[int]
    images: list[ImageCounts] = Field(min_length=1)
    free: list[FreeCounts]

    @property
    def file(self) -> str:
        """Path relative to the project root."""
        return f"{ROOTS[self.data_kind]}/details/{self.run_id}.json"


def _read(path: Path, model: type[M]) -> M:
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise ResultError(f"{path}: no such result") from None
    except (OSError, ValidationError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}" if first else str(error)
        raise ResultError(f"{path}: {what}; take the file back from git, or delete it and run again") from None


def find(run_id: str, kind: Kind, folder: Literal["runs", "trials"] = "runs") -> Record | None:
    """The stored record of a run or trial, None if there is none.

    Raises:
        ResultError: its file is broken.
    """
    path = project_root() / ROOTS[kind] / folder / f"{run_id}.json"
    return _read(path, Record) if path.exists() else None


@functools.lru_cache(maxsize=256)
def _counted(folder: Path, run_id: str, finished_utc: str) -> Details | None:
    path = folder / f"{run_id}.json"
    details = _read(path, Details) if path.exists() else None
    return details if details and details.finished_utc == finished_utc else None


def write(record: Record, details: Details | None = None) -> None:
    """Write a record and its per-image counts, replacing older ones.

    Raises:
        WriteError: the folder cannot be written or the disk is full; older files are left as they were.
    """
    root = project_root()
    empty = {key for key in ("domains", "maps", "prediction") if not getattr(record, key)}
    if record.metrics is None:
        empty |= {"metrics", "claims", "test_looks"}
    files.write_text(root / record.file, record.model_dump_json(indent=1, exclude=empty) + "\n")
    if details is not None:  # a line for each image, so that files are short and differences readable
        lines = []
        for key, value in details.model_dump(mode="json", exclude_defaults=True).items():
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value) if key in _LISTED else ""
            lines.append(f' "{key}": ' + (f"[\n{rows}\n ]" if rows else json.dumps(value)))
        files.write_text(root / details.file, "{\n" + ",\n".join(lines) + "\n}\n")
    _read_all.cache_clear()
    _counted.cache_clear()


@functools.lru_cache(maxsize=8)
def _read_all(root: Path, folder: str, newest: float) -> tuple[Record, ...]:
    return tuple(_read(path, Record) for path in sorted((root / folder).glob("*.json")))


def records(kind: Kind = "real", folder: Literal["runs", "trials"] = "runs") -> tuple[Record, ...]:
    """All stored records of one kind, by run id.

    Raises:
        ResultError: a file is broken; none is skipped silently.
    """
    place = project_root() / ROOTS[kind] / folder
    newest = max((path.stat().st_mtime for path in [place, *place.glob("*.json")] if path.exists()), default=0.0)
    return _read_all(project_root(), f"{ROOTS[kind]}/{folder}", newest)


def _row(record: Record) -> dict[str, Any]:
    config, metrics = record.config, record.metrics
    scores = {} if metrics is None else {way: getattr(metrics, way) for way in ("resized", "pooled", "per_image")}
    return {
        **{key: value for key, value in record if key not in ("metrics", "split")},
        "split": str(record.split),
        "trained_on": "+".join(record.train_datasets),
        "configuration": configuration(config),
        "lr": config["settings"]["lr"],
        "image_size": config["settings"]["image_size"],
        "increment": config.get("increment", {}).get("percent"),
        "views": config.get("prediction", {}).get("views", 1),
        "val_iou": 100 * (record.best["val_iou"] or 0.0),
        "val_f1": 100 * (record.best["val_f1"] or 0.0),
        "n_test": None if metrics is None else int(metrics.per_image["n"]),
        **{f"{way}_{score}": 100 * found[score] for way, found in scores.items() for score in SCORES},
        "file": record.file,
    }


def frame(found: Iterable[Record]) -> pd.DataFrame:
    """One row per record, indexed by run id; scores in percent as `WAY_SCORE` (`resized_iou`), `val_iou`, `val_f1`.

    Beside the record's own fields: `split` as text, `trained_on` ("bijie+cld"), `configuration` (all but split and
    seed), `lr`, `image_size`, `increment` (percent of a new domain, else NaN), `views`, `n_test`, `file`.
    """
    columns = [name for name in Record.model_fields if name != "metrics"] + list(_DERIVED)
    return pd.DataFrame(map(_row, found), columns=columns).set_index("run_id", drop=False).rename_axis(None)


def runs(kind: Kind = "real") -> pd.DataFrame:
    """All runs as one `frame`."""
    return frame(records(kind))


def trials(kind: Kind = "real") -> pd.DataFrame:
    """All trials as one `frame`, without test scores."""
    return frame(records(kind, "trials"))


def images(found: pd.DataFrame, source: str = "") -> pd.DataFrame:
    """One row per test image of some runs, or per image of a further `source`; runs without counts have no rows.

    Columns: run_id, seed, image, group, site, resolution, tp, fp, fn, tn (at the network's input size), native_tp ...
    native_tn, components, alarms, boundary.
    """
    columns = ["run_id", "seed", "image", "group", "site", "resolution", *_COUNTS, *(f"native_{k}" for k in _COUNTS),
               "components", "alarms", "boundary"]  # fmt: skip
    rows = []
    for details, seed in _details(found):
        for one in details.images:
            if one.source != source:
                continue
            own = (details.run_id, seed, one.name, one.group, one.site, one.resolution)
            rows.append((*own, *one.resized, *one.native, one.components, one.alarms, one.boundary))
    return pd.DataFrame(rows, columns=columns)


def free_images(found: pd.DataFrame) -> pd.DataFrame:
    """One row per landslide-free image of some runs: run_id, image, pixels, resolution, alarms."""
    rows = [
        {"run_id": details.run_id, "image": one.name, **one.model_dump(exclude={"name"})}
        for details, _ in _details(found)
        for one in details.free
    ]
    return pd.DataFrame(rows, columns=["run_id", "image", "pixels", "resolution", "alarms"])


def facts(dataset: str) -> pd.DataFrame | None:
    """What `scgcnet data facts` stored of the test images of a data set, indexed by name; None if nothing."""
    path = project_root() / FACTS / f"{dataset}.csv"
    return pd.read_csv(path, index_col="name") if path.is_file() else None


def write_facts(dataset: str, found: pd.DataFrame) -> Path:
    """Stores what `facts` reads."""
    path = project_root() / FACTS / f"{dataset}.csv"
    files.write_text(path, found.to_csv(index=False))
    return path


def _details(found: pd.DataFrame) -> list[tuple[Details, int]]:
    root = project_root()
    rows = found[["data_kind", "run_id", "finished_utc", "seed"]].itertuples(index=False)
    read = [(_counted(root / ROOTS[kind] / "details", run_id, utc), seed) for kind, run_id, utc, seed in rows]
    return [(details, seed) for details, seed in read if details is not None]


def looks(kind: Kind = "real") -> pd.DataFrame:
    """Every scoring of a network on a test part: utc, dataset, split, run_id, in order of time."""
    path = project_root() / ROOTS[kind] / "looks.csv"
    return pd.read_csv(path, dtype=str) if path.exists() else pd.DataFrame(columns=list(LOOKS))


def add_look(utc: str, dataset: str, split: int | str, run_id: str, kind: Kind) -> int:
    """Note a look at a test part before its score is known.

    Returns:
        How many looks at this data set this configuration has had.

    Raises:
        WriteError: it cannot be written; then nothing may be scored.
    """
    path = project_root() / ROOTS[kind] / "looks.csv"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("a", newline="") as file:  # one short write: lines of two processes do not mix
            csv.writer(file, lineterminator="\n").writerows([LOOKS] * new + [(utc, dataset, split, run_id)])
    except OSError as error:
        raise files.WriteError(path, error) from error
    found = looks(kind)
    return int(((found.run_id == run_id) & (found.dataset == dataset)).sum())


def weights_of(run_id: str, finished_utc: str) -> Path | None:
    """The weights of a run: trained here, or published with the package; None where neither is there.

    A run made again has other weights under the same id, so the time it was finished must agree too.

    Raises:
        WeightsError: a file is damaged.
    """
    from scgcnet import zoo

    own = project_root() / WEIGHTS / f"{run_id}.safetensors"
    for path in [*([own] if own.is_file() else []), *map(zoo.pretrained_file, zoo.pretrained_names())]:
        found = zoo.read_metadata(path)
        if (found.get("run_id"), found.get("finished_utc")) == (run_id, finished_utc):
            return path
    return None


_PACKAGES = ("torch", "numpy", "numba", "lightning", "pillow", "torchvision", "timm", "segmentation-models-pytorch",
             "transformers")  # fmt: skip


def provenance() -> dict[str, Any]:
    """Commit, whether the tree differs from it, hash of the lock file, library versions; null where unknown."""
    root = project_root()
    lock = root / "requirements.lock"
    own = Path(__file__).resolve().is_relative_to(root.resolve())  # the package of another place has another commit
    sha = _git(root, "rev-parse", "HEAD") if own else None
    # Results are written while a study runs, so only what a result depends on counts as a change.
    changes = _git(root, "status", "--porcelain", "--", "scgcnet", "study.yml", "requirements.lock")
    versions = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # those of the comparison methods are an extra
            continue
    return {
        "git_sha": sha,
        "dirty": None if sha is None else bool(changes),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        "versions": versions,
    }


def _git(root: Path, *arguments: str) -> str | None:
    command: Sequence[str] = ["git", *arguments]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def processor() -> str:
    """Model of the processor and number of cores that this process may use, without the machine's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{model or platform.machine()}, {cores} cores"
