"""The plan of the study: study.yml, checked and expanded into every run, trial, chapter and exhibit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scgcnet.files import PLAN_FILE
from scgcnet.study.runs import Increment, PlanError, Profile, Run, at_home, fault, plain, project_root
from scgcnet.train.config import TrainConfig

CLAIMS_FILE = "results/paper/claims.csv"
Name = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Names = Annotated[list[Name], Field(min_length=1)]
Count = Annotated[int, Field(ge=0, strict=True)]
Split = Count | Annotated[str, Field(pattern="^[a-z]+-[0-9]+$")]
Settings = dict[str, Any]
#: Optional in a profile: added when runs were stored already, whose ids must not change.
_LATER = {"sampling", "epoch_images", "workers", "views", "zoom", "pretrained"}


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Chapter(_Block):
    """One page of the book: a template (relative to the project root) run with `parameters`.

    `quick` parameters hold on a profile of synthetic data, which shows that a page works. A `last` chapter is executed
    after the others, for it counts their results. `title` replaces the template's own.
    """

    name: str = ""
    template: str = Field(pattern=r"^[\w/-]+\.ipynb$")
    parameters: dict[Name, Any] = {}
    quick: dict[Name, Any] = {}
    last: bool = False
    title: str = ""


class Exhibit(_Block):
    """A table or figure of the paper and the ids of the claims that rest on it."""

    name: str = ""
    title: str
    claims: list[Name]


@dataclass(frozen=True)
class Plan:
    """The whole of study.yml: runs by priority, and trials, which have the form of runs but are judged on validation.

    `trials` chose learning rates; `loss_trials` are the grid of loss weights of Sec. IV-A-4, `recipe_trials` whole
    trainings with other recipes, `construction_trials` with other constructions of the network.
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
        """The profile of that name, or PlanError with those there are."""
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
        """The planned run with this id, or whose id alone starts so, or PlanError."""
        return _only(self.runs, run_id, "run")

    def find_trial(self, run_id: str) -> Run:
        """The planned trial with this id, or whose id alone starts so, or PlanError."""
        return _only(self._all_trials, run_id, "trial")

    def settings(self, dataset: str, model: str, size: str, profile: str) -> Mapping[str, Any]:
        """The settings of a network without overrides: the profile's, unless all its planned runs have others."""
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
            profile: name of a profile.
            split: number of the committed split.
            seed: of weights, order and augmentation.
            changes: settings that replace the profile's, such as {"epochs": 5}.
            overrides: fields of the network's configuration that replace the preset's.

        Raises:
            PlanError: unknown profile or setting, or a value out of range.
        """
        planned_settings = self.settings(dataset, model, size, profile)
        settings = self.profile(profile).changed({**planned_settings, **(changes or {})})
        run = Run(dataset, model, size, profile, settings, split=split, seed=seed, overrides=overrides or {})
        return next((planned for planned in self.runs if planned.config == run.config), run)


def _only(planned: Iterable[Run], run_id: str, what: str) -> Run:
    found = [run for run in planned if run.run_id.startswith(run_id)]
    if len(found) != 1:
        how_many = f"no {what}" if not found else f"{len(found)} {what}s"
        listing = "scgcnet list" + " --trials" * (what == "trial")
        raise PlanError(f"{how_many} in {PLAN_FILE} with an id like {run_id!r}: see `{listing}`")
    return found[0]


# ------------------------------------------------------------------------------------------------ study.yml as models


class _Increments(_Block):
    by: Literal["patch", "site"]
    percents: list[Annotated[int | float, Field(gt=0, le=20)]] = Field(min_length=1)
    settings: Settings


class _Prediction(_Block):
    views: Literal[1, 2, 8]
    thresholds: list[Annotated[float, Field(gt=0, lt=1)]] = Field(min_length=1)


class _Teacher(_Block):
    """A network that is trained on the same parts first, perhaps from the weights of `start`, and then teaches."""

    model: Name
    size: Name
    settings: Settings = {}
    overrides: Settings = {}
    start: _Runs | None = None


class _Runs(_Block):
    """One entry under `runs`: every combination of its data sets, networks, overrides, splits and seeds.

    All of them start from the weights of the (first) run of `start`, another entry of the same profile.
    """

    dataset: Name | Names
    model: Name | Names
    size: Name
    profile: Name
    splits: list[Split] = Field(min_length=1)
    seeds: list[Count] = Field(min_length=1)
    priority: int = Field(ge=1)
    train: list[Name] = []
    increments: _Increments | None = None
    claims: list[Name] = []
    settings: Settings = {}
    prediction: _Prediction | None = None
    teacher: _Teacher | None = None
    start: _Runs | None = None
    overrides: Settings | list[Settings] = {}

    def expand(self, profile: Profile) -> Iterable[Run]:
        """All runs of the entry."""
        datasets, models = (value if isinstance(value, list) else [value] for value in (self.dataset, self.model))
        listed = self.overrides if isinstance(self.overrides, list) else [self.overrides]
        for dataset, model, overrides, split, seed in product(datasets, models, listed, self.splits, self.seeds):
            run = Run(
                dataset, model, self.size, profile.name, profile.changed(self.settings), split, seed, overrides,
                tuple(self.claims), self.priority, tuple(self.train),
                prediction=self.prediction.model_dump() if self.prediction else None,
            )  # fmt: skip
            if (taught := self.teacher) is not None:
                start = next(iter(taught.start.expand(profile))) if taught.start else None
                teacher = replace(run, model=taught.model, size=taught.size, overrides=taught.overrides, start=start)
                run = replace(run, teacher=replace(teacher, settings=profile.changed(taught.settings)))
            if self.start is not None:
                run = replace(run, start=next(iter(self.start.expand(profile))))
            yield from self._increments(run, profile) if self.increments else [run]

    def _increments(self, base: Run, profile: Profile) -> Iterable[Run]:
        """A run on a new domain for each increment; all but the first start from the first one's weights."""
        plan = self.increments
        assert plan is not None
        if not base.train or base.dataset in base.train:
            raise PlanError(f"train: increments of {base.dataset} need other data sets to start from, and not itself")
        yield (first := replace(base, increment=Increment(0, plan.by)))
        settings = profile.changed({**self.settings, **plan.settings})
        for percent in plan.percents:
            yield replace(base, increment=Increment(percent, plan.by), start=first, settings=settings)


class _Trials(_Block):
    """Learning rates: each is tried for every network that the profile trains on the data set."""

    dataset: Name
    profile: Name
    split: Count
    seed: Count
    lr: list[Annotated[float, Field(gt=0)]] = Field(min_length=2)
    settings: Settings

    def expand(self, profile: Profile, runs: Sequence[Run]) -> Iterable[Run]:
        """A trial for each rate and network."""
        wanted = (self.dataset, self.profile)
        networks = dict.fromkeys((run.model, run.size) for run in runs if (run.dataset, run.profile) == wanted)
        if not networks or "lr" in self.settings:
            raise PlanError(
                "no run is planned with this data set and profile" if not networks else "settings: has an lr"
            )
        for (model, size), lr in product(networks, self.lr):
            settings = profile.changed({**self.settings, "lr": lr})
            yield Run(self.dataset, model, size, profile.name, settings, split=self.split, seed=self.seed)


class _Recipes(_Block):
    """Other settings, loss weights or constructions of one network."""

    dataset: Name
    model: Name
    size: Name
    profile: Name
    split: Count
    seed: Count
    settings: Settings | list[Settings]
    overrides: list[Settings] = [{}]
    steps: int | None = Field(default=None, ge=1, le=100)

    def expand(self, profile: Profile) -> Iterable[Run]:
        """A trial for each of the settings (or points of the grid of loss weights) and overrides."""
        listed = self.settings if isinstance(self.settings, list) else [self.settings]
        if self.steps is not None:
            names = ("dwce", "focal", "lovasz")
            listed = [{**listed[0], "loss": dict(zip(names, w, strict=True))} for w in loss_grid(self.steps)]
        for changes, overrides in product(listed, self.overrides):
            settings = profile.changed(changes)
            yield Run(self.dataset, self.model, self.size, profile.name, settings, self.split, self.seed, overrides)


class _Plan(_Block):
    profiles: dict[Name, dict[str, Any]]
    runs: list[_Runs]
    trials: list[_Trials] = []
    loss_weights: list[_Recipes] = []
    recipes: list[_Recipes] = []
    constructions: list[_Recipes] = []
    chapters: dict[Name, Chapter]
    exhibits: dict[Name, Exhibit]


def load_plan(path: Path | None = None) -> Plan:
    """Read study.yml.

    Args:
        path: the file; by default the one at the project root.

    Raises:
        PlanError: the file is missing or no YAML, has an unknown key, profile or claim, a value of the wrong type or
            range, or a run twice.
    """
    path = path or project_root() / PLAN_FILE
    try:
        tree = _Plan.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PlanError(f"{path} does not exist") from None
    except ValidationError as error:
        raise PlanError(f"{path}: {fault(error)}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise PlanError(f"{path} is not valid YAML: {error}") from None
    profiles = {name: _profile(name, block, path) for name, block in tree.profiles.items()}

    def expand(key: str, *more: Any) -> tuple[Run, ...]:
        found: list[Run] = []
        for index, block in enumerate(getattr(tree, key)):
            try:
                if block.profile not in profiles:
                    raise PlanError(f"profile: there is no {block.profile!r}")
                found += block.expand(profiles[block.profile], *more)
            except PlanError as error:
                raise PlanError(f"{path}: {key}.{index}.{error}") from None
        return tuple(found)

    runs = expand("runs")
    trials = expand("trials", runs)
    # A point of a grid may be the trial of a learning rate as well; anything else that is listed twice is a mistake.
    ids = pd.Series([run.run_id for run in (*runs, *trials)], dtype=str)
    if ids.duplicated().any():
        raise PlanError(f"{path}: runs: {ids[ids.duplicated()].iloc[0]} is listed twice")
    exhibits = tuple(block.model_copy(update={"name": name}) for name, block in tree.exhibits.items())
    _check_claims([*(c for run in runs for c in run.claims), *(c for one in exhibits for c in one.claims)], path)
    return Plan(
        profiles,
        tuple(sorted(runs, key=lambda run: run.priority)),
        trials,
        expand("loss_weights"),
        expand("recipes"),
        expand("constructions"),
        {name: block.model_copy(update={"name": name}) for name, block in tree.chapters.items()},
        exhibits,
    )


def _profile(name: str, block: Mapping[str, Any], path: Path) -> Profile:
    settings = {key: value for key, value in block.items() if key not in ("about", "data")}
    missing = ({"about", "data"} | set(TrainConfig.model_fields) - _LATER) - set(block)
    if missing:
        raise PlanError(f"{path}: profiles.{name}: {min(missing)} is missing")
    if block["data"] not in ("real", "synthetic"):
        raise PlanError(f"{path}: profiles.{name}.data: {block['data']!r} is neither real nor synthetic")
    profile = Profile(name, block["about"], block["data"], plain(settings))
    try:
        profile.changed({})
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from None
    return profile


def _check_claims(claims: Sequence[str], path: Path) -> None:
    file = path.parent / CLAIMS_FILE
    if file.is_file() and (unknown := set(claims) - set(pd.read_csv(file, usecols=["id"]).id)):
        raise PlanError(f"{path}: claims: {min(unknown)!r} is no id of {CLAIMS_FILE}")


def loss_grid(steps: int) -> list[tuple[float, float, float]]:
    """All weights of the three losses in so many equal steps from 0 to 1 that add up to 1; 10 give Sec. IV-A-4's 66."""
    return [
        (first / steps, second / steps, (steps - first - second) / steps)
        for first in range(steps + 1)
        for second in range(steps + 1 - first)
    ]
