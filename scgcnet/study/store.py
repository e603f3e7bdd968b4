"""The run store: one JSON file for each finished run or trial, checked when written and when read.

A trial is a training that was judged on the validation part alone, to choose a recipe; no test part was opened. What
was done on real data lies in results/ and is committed; what was done on synthetic data proves that the machinery
works, lies in build/ and is not. A file is written whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from scgcnet import files
from scgcnet.study.fingerprint import PACKAGE, code_sha256
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import config_id, project_root
from scgcnet.study.replays import read_replays
from scgcnet.study.schema import closed, first_fault

Kind = Literal["real", "synthetic"]
FOLDERS: Mapping[Kind, str] = {"real": "results/runs", "synthetic": "build/runs"}
TRIAL_FOLDERS: Mapping[Kind, str] = {"real": "results/trials", "synthetic": "build/trials"}
BENCH_FOLDER = "results/bench"  # what `scgcnet bench` has measured
SCORES = ("precision", "recall", "f1", "iou", "oa")
SEAL = "content_sha256"  # of everything else in a run file
LARGEST = 2**24  # bytes; a run file has some ten thousand, and one that claims to be huge is not worth reading


@dataclass(frozen=True)
class Training:
    """What a finished run and a trial have in common, field by field as in their files.

    Attributes:
        run_id: readable prefix and hash of `config`.
        dataset: the one trained for.
        data_kind: "real" | "synthetic".
        train_datasets: the ones trained on.
        split: number or name of the split.
        split_sha256: hash of the split's content.
        data_sha256: hash of the decoded images and masks.
        code_sha256: hash of what the code does that decides the result (scgcnet/study/fingerprint.py).
        model: name for `create_model`.
        size: preset.
        flags: what the run changes in the preset; empty for the network as it is.
        params: trainable parameters, auxiliary heads included.
        gmac: 10^9 multiply-accumulates for one image at the network's input size.
        profile: name in study.yml.
        seed: of weights, order and augmentation.
        config: everything that decided the result, but code and data.
        history: one row of numbers for each epoch, null where undefined.
        best_epoch: the epoch, counted from 0, whose weights were kept: the best on validation.
        git_sha: commit of the checkout, null outside git.
        dirty: whether code, plan or lock differed from that commit, null outside git.
        lock_sha256: hash of requirements.lock, null where there is none.
        device: processor or graphics card.
        wall_s: seconds of training and scoring; of a training that was resumed, since the last start.
        finished_utc: ISO 8601.
        versions: of python and the packages that compute.
    """

    run_id: str
    dataset: str
    data_kind: Kind
    train_datasets: list[str]
    split: int | str
    split_sha256: str
    data_sha256: str
    code_sha256: str
    model: str
    size: str
    flags: dict[str, Any]
    params: int
    gmac: float
    profile: str
    seed: int
    config: dict[str, Any]
    history: list[dict[str, float | None]]
    best_epoch: int
    git_sha: str | None
    dirty: bool | None
    lock_sha256: str | None
    device: str
    wall_s: float
    finished_utc: str
    versions: dict[str, str]

    @property
    def val_iou(self) -> float:
        """The validation IoU of the epoch that was kept, at the network's input size, as a fraction of 1."""
        return next(float(row["val_iou"] or 0.0) for row in self.history if row["epoch"] == self.best_epoch)


@dataclass(frozen=True)
class Trial(Training):
    """One training that chose among recipes by its validation scores; it has no others."""

    @property
    def file(self) -> str:
        """Path of its file relative to the project root, with forward slashes."""
        return f"{TRIAL_FOLDERS[self.data_kind]}/{self.run_id}.json"


@dataclass(frozen=True)
class Record(Training):
    """One finished run.

    Attributes:
        claims: ids in results/paper/claims.csv.
        metrics: {pooled, resized, per_image, confusion} on the test part; scores are fractions of 1.
        test_looks: how often this configuration has been scored on the test part.
        domains: of a run trained on other data sets than the one tested on, or on several, pixel counts at the
            network's input size by data set and part: {dataset: {part: {n, tp, fp, fn, tn}}}, n being images. Of a data
            set that was not trained on, all parts. Empty for other runs.
        prediction: of a run that predicts over several views: how many, the threshold that was best on validation, and
            the IoU there. Empty for other runs.
    """

    claims: list[str]
    metrics: dict[str, dict[str, Any]]
    test_looks: int
    domains: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    prediction: dict[str, float] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Path of the run file relative to the project root, with forward slashes."""
        return f"{FOLDERS[self.data_kind]}/{self.run_id}.json"


def save(record: Record | Trial, root: Path | None = None) -> Path:
    """Write the file of a run or a trial, replacing an older one of the same.

    Raises:
        StoreError: the record breaks the schema or contradicts itself.
        WriteError: the folder cannot be written or the disk is full; an older file is left as it was.
    """
    path = (root or project_root()) / record.file
    tree = asdict(record)
    for key in ("domains", "prediction"):  # newer than many stored runs, which have neither
        if not tree.get(key):
            tree.pop(key, None)
    tree[SEAL] = seal(tree)
    _check(tree, path, _RUN_FILE if isinstance(record, Record) else _TRIAL_FILE)
    files.write_text(path, json.dumps(tree, indent=1, allow_nan=False) + "\n")
    return path


def load(path: Path) -> Record:
    """Read one run file.

    Raises:
        StoreError: it is missing, is no JSON, has a missing, unknown or impossible field, contradicts itself, or
            was edited: then its content has not the hash that was stored with it.
    """
    return Record(**_read(path, _RUN_FILE))


def load_trial(path: Path) -> Trial:
    """Read the file of one trial; it raises as `load` does."""
    return Trial(**_read(path, _TRIAL_FILE))


def _read(path: Path, schema: Mapping[str, Any]) -> dict[str, Any]:
    try:
        if (size := path.stat().st_size) > LARGEST:
            raise ValueError(f"{size} bytes are too many for a run file")
        tree: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except FileNotFoundError:
        raise StoreError(f"{path}: no such run file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read as JSON: {error}; delete it and run again") from None
    _check(tree, path, schema)
    del tree[SEAL]
    return tree


def find(run_id: str, kind: Kind, root: Path | None = None) -> Record | None:
    """The stored run of this id on real or on synthetic data, or None where it has not been run.

    Raises:
        StoreError: its file is broken.
    """
    path = (root or project_root()) / FOLDERS[kind] / f"{run_id}.json"
    return load(path) if path.exists() else None


def load_all(kind: Kind, root: Path | None = None) -> list[Record]:
    """All stored runs of one kind, sorted by run id.

    Raises:
        StoreError: a file is broken; nothing is skipped silently.
    """
    return [load(path) for path in sorted(((root or project_root()) / FOLDERS[kind]).glob("*.json"))]


def find_trial(run_id: str, kind: Kind, root: Path | None = None) -> Trial | None:
    """The stored trial of this id, or None; it raises as `find` does."""
    path = (root or project_root()) / TRIAL_FOLDERS[kind] / f"{run_id}.json"
    return load_trial(path) if path.exists() else None


def load_trials(kind: Kind, root: Path | None = None) -> list[Trial]:
    """All stored trials of one kind, sorted by run id; it raises as `load_all` does."""
    return [load_trial(path) for path in sorted(((root or project_root()) / TRIAL_FOLDERS[kind]).glob("*.json"))]


def is_stale(record: Training) -> bool:
    """Tell whether the run was made by other code than the present one (see `code_sha256`), or from other weights.

    Code that was seen to begin it alike counts as the same (see replays.py). A run that goes on from another is of
    weights that are no more where that other has been made again since, and came to anything else.
    """
    if (start := record.config.get("start")) is not None:
        begun = find(start, record.data_kind)
        if begun is not None and begun.finished_utc > record.finished_utc and not _came_to_the_same(begun, record):
            return True
    views = isinstance(record, Record) and bool(record.prediction)
    now = code_sha256(record.model, {record.dataset, *record.train_datasets}, views=views)
    return record.code_sha256 != now and not any(
        (replay.run_id, replay.code_sha256) == (record.run_id, now) and replay.utc > record.finished_utc
        for replay in read_replays(project_root())
    )


def _came_to_the_same(begun: Record, record: Training) -> bool:
    """Whether a start is as it was when a run went on from it: made again by the same code, to the same last digit."""
    from scgcnet.study.replaced import read_replaced  # which needs Record from here

    before = [line for line in read_replaced() if line.run_id == begun.run_id and line.utc <= record.finished_utc]
    used = max(before, key=lambda line: line.utc, default=None)
    pooled = begun.metrics["pooled"]["iou"]
    return used is not None and (used.code_sha256, used.iou) == (begun.code_sha256, pooled)


def state(record: Training | None) -> str:
    """In a word, how a planned run stands: not run, stale or stored."""
    return "not run" if record is None else "stale" if is_stale(record) else "stored"


#: Those that compute; the last four are needed by comparison methods only.
_PACKAGES = ("torch", "numpy", "numba", "lightning", "pillow", "torchvision", "timm", "segmentation-models-pytorch",
             "transformers")  # fmt: skip


def provenance(root: Path | None = None) -> dict[str, Any]:
    """The fields of a record that say where it was made: git_sha, dirty, lock_sha256, versions.

    The commit is null where it would be another's: outside git, inside somebody else's repository, or where the
    package that runs is not that of the project.
    """
    root = root or project_root()
    top = _git(root, "rev-parse", "--show-toplevel")
    own = top is not None and Path(top).resolve() == root.resolve() == PACKAGE.parent
    sha = _git(root, "rev-parse", "HEAD") if own else None
    # Results are written while a study runs, so only what a result depends on counts as a change.
    changes = _git(root, "status", "--porcelain", "--", "scgcnet", "study.yml", "requirements.lock")
    lock = root / "requirements.lock"
    return {
        "git_sha": sha,
        "dirty": None if sha is None else bool(changes),
        "lock_sha256": hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else None,
        "versions": {
            "python": platform.python_version(),
            **{name: version for name in _PACKAGES if (version := _version(name))},
        },
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # those of the comparison methods are an extra
        return None


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def without_nan(value: Any) -> Any:
    """Copy with NaN and infinities as None: strict JSON has neither, and null says "undefined" as well."""
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check(tree: Any, path: Path, schema: Mapping[str, Any]) -> None:
    if fault := first_fault(tree, schema):
        raise StoreError(f"{path}: {fault}; take the file back from git, or delete it and run again")
    try:
        expected = config_id(tree["config"])
    except (KeyError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: config: {error}") from None
    if tree["run_id"] != expected:
        raise StoreError(f"{path}: config: belongs to {expected}, not to {tree['run_id']}: was the file edited?")
    if path.stem != expected:
        raise StoreError(f"{path}: run_id: is {expected}, so the file must be called {expected}.json")
    for key in _CONFIGURED:
        if tree[key] != (wanted := tree["config"][key]):
            raise StoreError(f"{path}: {key}: {tree[key]!r} is not the configuration's {wanted!r}")
    if contradiction := _contradiction_of_scores(tree.get("metrics")) or _contradiction_of_history(tree):
        raise StoreError(f"{path}: {contradiction}")
    try:
        sealed = seal(tree)
    except ValueError:  # JSON has a way to write numbers that no float holds, such as 1e999
        raise StoreError(f"{path}: a number in it is too large; take the file back from git") from None
    if tree[SEAL] != sealed:
        raise StoreError(
            f"{path}: {SEAL}: does not fit the content, so the file was edited after the run. Take it back from git, "
            f"or delete it and run again: scgcnet study {'run' if schema is _RUN_FILE else 'trials'} {expected}"
        )


def seal(tree: Mapping[str, Any]) -> str:
    """Hash of a run file's content but the hash itself; layout and order of the keys do not count.

    It finds what was changed by hand or by an accident, not who forges the hash as well.
    """
    content = {key: value for key, value in tree.items() if key != SEAL}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def _contradiction_of_scores(metrics: Mapping[str, Any] | None) -> str | None:
    """Where the scores of a run file cannot all be true, whatever its hash says; a trial has none."""
    if metrics is None:
        return None
    tp, fp, fn, tn = (metrics["confusion"][key] for key in ("tp", "fp", "fn", "tn"))
    pooled = metrics["pooled"]
    ratios = {
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
        "f1": (2 * tp, 2 * tp + fp + fn),
        "iou": (tp, tp + fp + fn),
        "oa": (tp + tn, tp + fp + fn + tn),
    }
    for score, (part, whole) in ratios.items():
        if abs(pooled[score] * whole - part) > 1e-9 * max(whole, 1):
            return f"metrics.pooled.{score}: {pooled[score]} does not follow from the confusion counts"
    resized = metrics["resized"]
    if abs(resized["iou"] - resized["f1"] / (2 - resized["f1"])) > 1e-9:
        return f"metrics.resized.iou: {resized['iou']} does not follow from f1"
    return None


def _contradiction_of_history(tree: Mapping[str, Any]) -> str | None:
    validation = {row.get("epoch"): row.get("val_iou") for row in tree["history"]}
    best = validation.get(tree["best_epoch"])
    if best is None or best < max(value for value in validation.values() if value is not None):
        return f"best_epoch: epoch {tree['best_epoch']} is not the best of the history on validation"
    return None


def _nullable(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(schema), {"type": "null"}]}


_CONFIGURED = ("dataset", "train_datasets", "split", "model", "size", "profile", "seed")
_TEXT = {"type": "string", "minLength": 1}
_HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_WHOLE = {"type": "integer", "minimum": 0}
_COUNT = {"type": "integer", "minimum": 1}
_SHARE = {"type": "number", "minimum": 0, "maximum": 1}
_FIVE = dict.fromkeys(SCORES, _SHARE)
_COUNTS = dict.fromkeys(("tp", "fp", "fn", "tn"), _WHOLE)
_FIELDS: dict[str, Any] = {
    "run_id": {"type": "string", "pattern": "^[a-z0-9_-]+$"},
    "dataset": _TEXT,
    "data_kind": {"enum": list(FOLDERS)},
    "train_datasets": {"type": "array", "items": _TEXT, "minItems": 1},
    "split": {"type": ["integer", "string"], "minimum": 0, "minLength": 1},
    "split_sha256": _HASH,
    "data_sha256": _HASH,
    "code_sha256": _HASH,
    "model": _TEXT,
    "size": _TEXT,
    "flags": {"type": "object"},
    "params": _COUNT,
    "gmac": {"type": "number", "minimum": 0},
    "profile": _TEXT,
    "seed": _WHOLE,
    "config": {"type": "object", "required": [*_CONFIGURED, "settings", "overrides"]},
    "history": {
        "type": "array",
        "items": {"type": "object", "additionalProperties": {"type": ["number", "null"]}},
    },
    "best_epoch": _WHOLE,
    "git_sha": _nullable({"type": "string", "pattern": "^[0-9a-f]{40,64}$"}),
    "dirty": {"type": ["boolean", "null"]},
    "lock_sha256": _nullable(_HASH),
    "device": _TEXT,
    "wall_s": {"type": "number", "minimum": 0},
    "finished_utc": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"},
    "versions": {"type": "object", "additionalProperties": _TEXT},
    SEAL: _HASH,
}
_TRIAL_FILE = closed(_FIELDS)
_RUN_FILE = closed(
    {
        **_FIELDS,
        "claims": {"type": "array", "items": _TEXT},
        "metrics": closed(
            {
                "pooled": closed(_FIVE),
                "resized": closed(_FIVE),
                "per_image": closed({**_FIVE, "n": _COUNT}),
                "confusion": closed(_COUNTS),
            }
        ),
        "test_looks": _COUNT,
        "prediction": closed({"views": _COUNT, "threshold": _SHARE, "val_iou": _SHARE}),
        "domains": {
            "type": "object",
            "additionalProperties": {"type": "object", "additionalProperties": closed({"n": _COUNT, **_COUNTS})},
        },
    },
    optional=("domains", "prediction"),
)


def describe_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Model of the processor and number of cores that this process may use, without the machine's name."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{model or platform.machine()}, {cores} cores"
