"""One training of the study: its profile, configuration and id.

Nothing here imports torch, so that the command line and the workflow list the study in an instant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from scgcnet.files import PLAN_FILE, find_checkout
from scgcnet.train.config import TrainConfig


class PlanError(ValueError):
    """study.yml, or a run asked for, is not valid; the message names the key and what is allowed."""


def project_root() -> Path:
    """The folder that holds study.yml; paths of the study start here, in whatever folder a notebook runs.

    Raises:
        PlanError: no such folder, for instance when the package was installed without its repository.
    """
    root = find_checkout()
    if root is None:
        raise PlanError(f"no {PLAN_FILE} in {Path.cwd()} or above it: run this inside a checkout of the repository")
    return root


def fault(error: ValidationError) -> str:
    """The first fault of a validation, as "key.key: what is wrong"."""
    first = error.errors()[0]
    given = "" if isinstance(first["input"], Mapping) else f" (got {str(first['input'])[:60]!r})"
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}{given}".removeprefix(": ")


@dataclass(frozen=True)
class Profile:
    """How a run is trained, whatever its network and data.

    `settings` holds the keys of study.yml as they are (image_size in pixels, epochs, ...); they
    become part of each run's configuration.
    """

    name: str
    about: str
    data: Literal["real", "synthetic"]
    settings: Mapping[str, Any]

    def changed(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The settings with some replaced.

        Raises:
            PlanError: a key that no profile has, or a value that study.yml would not accept either.
        """
        settings = {**self.settings, **changes}
        try:
            TrainConfig.from_settings(settings)
        except ValidationError as error:
            raise PlanError(f"profile {self.name}, {fault(error)}") from None
        return dict(plain(settings))


@dataclass(frozen=True)
class Increment:
    """How much of a new domain a run is trained on: `percent` of its samples, drawn by "patch" or by "site"."""

    percent: float
    by: Literal["patch", "site"] = "patch"


@dataclass(frozen=True)
class Run:
    """One training of one network on one split with one seed; two runs with equal `config` share a `run_id`.

    Attributes:
        dataset: tested on, and trained on unless `train` names others, which are merged.
        settings: the profile's, with what this run changes in them.
        split: of all its data sets, a number or a name that they know.
        overrides: fields of the network's configuration that differ from the preset (flags, dilations).
        claims: ids in results/paper/claims.csv that this run speaks to.
        priority: 1 is run first.
        increment: of a run on a new domain, how its data are drawn.
        start: the run whose weights this one starts from.
        teacher: the run whose probabilities this one learns from beside the masks, on the same windows.
        prediction: over how many views, and the thresholds of which the best on validation is taken.
    """

    dataset: str
    model: str
    size: str
    profile: str
    settings: Mapping[str, Any]
    split: int | str = 0
    seed: int = 0
    overrides: Mapping[str, Any] = field(default_factory=dict)
    claims: tuple[str, ...] = ()
    priority: int = 9
    train: tuple[str, ...] = ()
    increment: Increment | None = None
    start: Run | None = None
    teacher: Run | None = None
    prediction: Mapping[str, Any] | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Everything that decides the result, but the code and the data: plain and ready for JSON."""
        protocol: dict[str, Any] = {}  # only where it is not the usual one, so that other runs keep their id
        if self.increment is not None:
            protocol["increment"] = asdict(self.increment)
        if self.start is not None:
            protocol["start"] = self.start.run_id
        if self.teacher is not None:
            protocol["teacher"] = self.teacher.run_id
        if self.prediction is not None:
            protocol["prediction"] = plain(self.prediction)
        return {
            "dataset": self.dataset,
            "train_datasets": list(self.train or [self.dataset]),
            "split": self.split,
            "model": self.model,
            "size": self.size,
            "overrides": plain(self.overrides),
            "profile": self.profile,
            "settings": plain(self.settings),
            "seed": self.seed,
            **protocol,
        }

    @property
    def run_id(self) -> str:
        """Readable prefix and a hash of the configuration, such as bijie-scgcnet-tiny-cpu-s0-1a2b3c4d5e."""
        return config_id(self.config)

    @property
    def unaltered(self) -> bool:
        """Whether this is a network as it is: nothing overridden, one view of each image, the usual threshold."""
        return not self.overrides and self.prediction is None


def at_home(config: Mapping[str, Any]) -> bool:
    """Tell whether a run of this configuration is trained and tested on one and the same data set."""
    return config["train_datasets"] == [config["dataset"]] and "increment" not in config


def config_id(config: Mapping[str, Any]) -> str:
    """The run id that belongs to a configuration: the same in every process and on every machine."""
    canonical = json.dumps(_floats(config), sort_keys=True, separators=(",", ":"), allow_nan=False)
    digest = hashlib.sha256(canonical.encode("ascii")).hexdigest()[:10]
    prefix = "-".join(str(config[key]) for key in ("dataset", "model", "size", "profile"))
    return f"{prefix}-s{config['seed']}-{digest}"


def configuration(config: Mapping[str, Any]) -> str:
    """What runs that differ in split and seed alone have in common, as canonical text."""
    common = {key: value for key, value in config.items() if key not in ("split", "seed")}
    return json.dumps(_floats(common), sort_keys=True)


def plain(value: Any) -> Any:
    """Copy of nested mappings and sequences as dict and list: what JSON gives back, so configs compare."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _floats(value: Any) -> Any:
    """The same with every number as float: 2 and 2.0 are one setting and must hash alike."""
    if isinstance(value, Mapping):
        return {key: _floats(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
