"""What is planned: profiles, runs, trials, chapters and exhibits, as plan_reader.py reads them from study.yml.

Nothing here imports torch, so that the command line and the workflow can list the study in an instant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from scgcnet.checkout import PLAN_FILE, find_checkout
from scgcnet.study.plan_schema import SETTINGS
from scgcnet.study.schema import first_fault

CLAIMS_FILE = "results/paper/claims.csv"


class PlanError(ValueError):
    """study.yml, or a run asked for, is not valid; the message names the key and what would be."""


def project_root() -> Path:
    """Folder that holds study.yml: the current one, a folder above it, or the checkout of the package.

    papermill and the book build run notebooks elsewhere than at the top; paths of the study start here.

    Raises:
        PlanError: no such folder, for instance when the package was installed without its repository.
    """
    root = find_checkout()
    if root is None:
        raise PlanError(f"no {PLAN_FILE} in {Path.cwd()} or above it: run this inside a checkout of the repository")
    return root


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
        if fault := first_fault(settings, SETTINGS):
            raise PlanError(f"profile {self.name}, {fault}")
        return dict(plain(settings))


@dataclass(frozen=True)
class Increment:
    """How much of a new domain a run is trained on: `percent` of its samples, drawn by "patch" or by "site"."""

    percent: float
    by: Literal["patch", "site"] = "patch"


@dataclass(frozen=True)
class Run:
    """One training of one network on one split with one seed.

    Two runs with equal `config` are the same run and share a `run_id`; claims and priority are no part of it.

    Attributes:
        dataset: name for `open_dataset`; tested on, and trained on unless `train` says otherwise.
        model: name for `create_model`.
        size: preset of the network.
        profile: the profile's name.
        settings: the profile's settings, with what this run changes in them.
        split: of all its data sets, a number or a name that they know.
        seed: seeds the weights, the order of the images and their augmentation.
        overrides: fields of the network's configuration that differ from the preset (flags, dilations).
        claims: ids in results/paper/claims.csv that this run speaks to.
        priority: 1 is run first.
        train: names of the data sets trained on, merged; empty for `dataset` alone.
        increment: of a run on a new domain (scgcnet/data/increments.py), how its data are drawn; None for others.
        start: the run whose weights this one goes on from; None for fresh ones.
        prediction: of a run that does not predict with the network as it is: over how many views, and the thresholds of
            which the best on validation is taken (scgcnet/views.py); None for others.
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
    prediction: Mapping[str, Any] | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Everything that decides the result, but the code and the data: plain and ready for JSON."""
        protocol: dict[str, Any] = {}  # only where it is not the usual one, so that other runs keep their id
        if self.increment is not None:
            protocol["increment"] = asdict(self.increment)
        if self.start is not None:
            protocol["start"] = self.start.run_id
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


@dataclass(frozen=True)
class Chapter:
    """One page of the book: `template` (relative to the project root) run with `parameters`.

    One that is `last` counts what the others store, so it is executed after them. `title` replaces the template's own,
    which several chapters may share; "" keeps it.
    """

    name: str
    template: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    last: bool = False
    title: str = ""


@dataclass(frozen=True)
class Exhibit:
    """A table or figure of the paper and the ids of the claims that rest on it."""

    name: str
    title: str
    claims: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The whole of study.yml; runs are expanded and sorted by priority.

    `trials` are the trainings by which the planned runs got the settings in which they differ from their profile,
    `loss_trials` the grid of loss weights that the paper chose its own from, `recipe_trials` whole trainings with other
    recipes, `construction_trials` with other constructions of the network. They have the form of runs, but are judged
    on validation alone (scgcnet/study/trials.py).
    """

    profiles: Mapping[str, Profile]
    runs: tuple[Run, ...]
    trials: tuple[Run, ...]
    loss_trials: tuple[Run, ...]
    recipe_trials: tuple[Run, ...]
    construction_trials: tuple[Run, ...]
    chapters: Mapping[str, Chapter]
    exhibits: tuple[Exhibit, ...]

    def profile(self, name: str) -> Profile:
        """The profile of that name.

        Raises:
            PlanError: there is none; the message lists those there are.
        """
        if name not in self.profiles:
            raise PlanError(f"no profile {name!r}: choose one of {', '.join(self.profiles)}")
        return self.profiles[name]

    def select(self, profile: str | None = None) -> list[Run]:
        """Runs of one profile, or all, the most urgent first."""
        if profile is not None:
            self.profile(profile)
        return [run for run in self.runs if profile in (None, run.profile)]

    def select_trials(self, profile: str | None = None) -> list[Run]:
        """Trials of one profile, or all, learning rates before loss weights."""
        if profile is not None:
            self.profile(profile)
        return [trial for trial in self._all_trials if profile in (None, trial.profile)]

    @property
    def _all_trials(self) -> list[Run]:
        tried = (*self.trials, *self.loss_trials, *self.recipe_trials, *self.construction_trials)
        return list({trial.run_id: trial for trial in tried}.values())

    def find(self, run_id: str) -> Run:
        """The planned run with this id, or with the one id that starts so.

        Raises:
            PlanError: no run, or more than one, has such an id.
        """
        return _only(self.runs, run_id, "run")

    def find_trial(self, run_id: str) -> Run:
        """The planned trial with this id, or with the one id that starts so; it raises as `find` does."""
        return _only(self._all_trials, run_id, "trial")

    def settings(self, dataset: str, model: str, size: str, profile: str) -> Mapping[str, Any]:
        """What a network without overrides is trained with.

        These are the profile's settings, unless all planned runs of that network have others.

        Raises:
            PlanError: there is no such profile.
        """
        usual = self.profile(profile).settings
        planned = [
            run.settings
            for run in self.runs
            if (run.dataset, run.model, run.size, run.profile) == (dataset, model, size, profile)
            and run.unaltered
            and at_home(run.config)
        ]
        return usual if usual in planned or not planned else planned[0]

    def make_run(
        self,
        dataset: str,
        model: str,
        size: str,
        profile: str,
        *,
        split: int = 0,
        seed: int = 0,
        changes: Mapping[str, Any] | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> Run:
        """A run that need not stand in study.yml; one that does comes back with its claims and priority.

        Args:
            dataset: name for `open_dataset`.
            model: name for `create_model`.
            size: preset of the network.
            profile: name of a profile in study.yml.
            split: number of the committed split.
            seed: seed of weights, order and augmentation.
            changes: settings that replace those of the profile and of the network's planned runs, such as
                {"epochs": 5}.
            overrides: fields of the network's configuration that replace the preset's.

        Raises:
            PlanError: unknown profile, unknown setting, or a value out of range.
        """
        planned_settings = self.settings(dataset, model, size, profile)
        settings = self.profile(profile).changed({**planned_settings, **(changes or {})})
        run = Run(dataset, model, size, profile, settings, split=split, seed=seed, overrides=overrides or {})
        return next((planned for planned in self.runs if planned.config == run.config), run)


def _only(planned: Iterable[Run], run_id: str, what: str) -> Run:
    found = [run for run in planned if run.run_id.startswith(run_id)]
    if len(found) != 1:
        how_many = f"no {what}" if not found else f"{len(found)} {what}s"
        listing = "scgcnet study list" + " --trials" * (what == "trial")
        raise PlanError(f"{how_many} in {PLAN_FILE} with an id like {run_id!r}: see `{listing}`")
    return found[0]


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
