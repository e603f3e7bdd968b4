"""study.yml read and checked: what stands there in a line becomes every run that it means."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from scgcnet.checkout import PLAN_FILE
from scgcnet.study.plan import (
    CLAIMS_FILE,
    Chapter,
    Exhibit,
    Increment,
    Plan,
    PlanError,
    Profile,
    Run,
    plain,
    project_root,
)
from scgcnet.study.plan_schema import PLAN
from scgcnet.study.schema import first_fault, read_yaml


def load_plan(path: Path | None = None) -> Plan:
    """Read study.yml.

    Args:
        path: the file; by default the one at the project root.

    Raises:
        PlanError: the file is missing, is no YAML, has an unknown key, a value of the wrong type or range, a
            profile or a claim that does not exist, or the same run twice.
    """
    path = path or project_root() / PLAN_FILE
    try:
        tree = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PlanError(f"{path} does not exist") from None
    except ValueError as error:  # also a file that is no UTF-8
        raise PlanError(f"{path} is not valid YAML: {error}") from None
    if fault := first_fault(tree, PLAN):
        raise PlanError(f"{path}: {fault}")

    profiles = {name: _profile(name, block) for name, block in tree["profiles"].items()}
    known_claims = _claim_ids(path.parent / CLAIMS_FILE)
    runs: list[Run] = []
    for index, block in enumerate(tree["runs"]):
        if block["profile"] not in profiles:
            raise PlanError(f"{path}: runs.{index}.profile: no profile {block['profile']!r}")
        _check_claims(block.get("claims", []), known_claims, f"{path}: runs.{index}.claims")
        try:
            for single in _combinations(block):
                runs += _expand(single, profiles[block["profile"]])
        except ValueError as error:
            raise PlanError(f"{path}: runs.{index}.{error}") from None
    trials: list[Run] = []
    for index, block in enumerate(tree.get("trials", [])):
        trials += _trials(block, runs, profiles, f"{path}: trials.{index}")
    loss_trials = _recipes(tree, "loss_weights", profiles, path)
    recipe_trials = _recipes(tree, "recipes", profiles, path)
    construction_trials = _recipes(tree, "constructions", profiles, path)
    # A point of a grid may be the trial of a learning rate as well; anything else that is listed twice is a mistake.
    ids = [run.run_id for run in (*runs, *trials)]
    if twice := sorted({run_id for run_id in ids if ids.count(run_id) > 1}):
        raise PlanError(f"{path}: runs: {twice[0]} is listed twice")

    exhibits = []
    for name, block in tree["exhibits"].items():
        _check_claims(block["claims"], known_claims, f"{path}: exhibits.{name}.claims")
        exhibits.append(Exhibit(name, block["title"], tuple(block["claims"])))
    chapters = {
        name: Chapter(
            name, block["template"], block.get("parameters", {}), block.get("last", False), block.get("title", "")
        )
        for name, block in tree["chapters"].items()
    }
    ordered = tuple(sorted(runs, key=lambda run: run.priority))
    return Plan(
        profiles,
        ordered,
        tuple(trials),
        tuple(loss_trials),
        tuple(recipe_trials),
        tuple(construction_trials),
        chapters,
        tuple(exhibits),
    )


def _profile(name: str, block: Mapping[str, Any]) -> Profile:
    settings = {key: value for key, value in block.items() if key not in ("about", "data")}
    return Profile(name, block["about"], block["data"], plain(settings))


def _combinations(block: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """A block for every combination of what it lists under dataset, model and overrides."""
    listed = [key for key in ("dataset", "model", "overrides") if isinstance(block.get(key), list)]
    for values in product(*(block[key] for key in listed)):
        yield {**block, **dict(zip(listed, values, strict=True))}


def _expand(block: Mapping[str, Any], profile: Profile) -> list[Run]:
    return [
        run
        for split, seed in product(block["splits"], block["seeds"])
        for run in _increments(
            block,
            Run(
                dataset=block["dataset"],
                model=block["model"],
                size=block["size"],
                profile=profile.name,
                settings=profile.changed(block.get("settings", {})),
                split=split,
                seed=seed,
                overrides=block.get("overrides", {}),
                claims=tuple(block.get("claims", ())),
                priority=block["priority"],
                train=tuple(block.get("train", ())),
                prediction=block.get("prediction"),
            ),
            profile,
        )
    ]


def _increments(block: Mapping[str, Any], base: Run, profile: Profile) -> list[Run]:
    """The run itself, or on a new domain one for each increment: all but the first go on from its weights."""
    if "increments" not in block:
        return [base]
    plan = block["increments"]
    if not base.train or base.dataset in base.train:
        raise ValueError(f"train: increments of {base.dataset} need other data sets to start from, and not itself")
    first = replace(base, increment=Increment(0, plan["by"]))
    settings = profile.changed({**block.get("settings", {}), **plan["settings"]})
    return [
        first,
        *(
            replace(base, increment=Increment(percent, plan["by"]), start=first, settings=settings)
            for percent in plan["percents"]
        ),
    ]


def _trials(block: Mapping[str, Any], runs: Iterable[Run], profiles: Mapping[str, Profile], where: str) -> list[Run]:
    """A trial for each learning rate, for each network that the profile trains on the data."""
    profile = profiles.get(block["profile"])
    if profile is None:
        raise PlanError(f"{where}.profile: no profile {block['profile']!r}")
    if "lr" in block["settings"]:
        raise PlanError(f"{where}.settings: lr is what the trials are about: list its values under lr")
    wanted = (block["dataset"], block["profile"])
    networks = dict.fromkeys((run.model, run.size) for run in runs if (run.dataset, run.profile) == wanted)
    if not networks:
        raise PlanError(f"{where}: no run is planned on {block['dataset']!r} with the profile {block['profile']!r}")
    return [
        Run(
            dataset=block["dataset"],
            model=model,
            size=size,
            profile=profile.name,
            settings=profile.changed({**block["settings"], "lr": lr}),
            split=block["split"],
            seed=block["seed"],
        )
        for (model, size), lr in product(networks, block["lr"])
    ]


def loss_grid(steps: int) -> list[tuple[float, float, float]]:
    """All weights of the three losses from 0 to 1 in so many equal steps that add up to 1, in eq. 26's order.

    Ten steps give the 66 points of Sec. IV-A-4.
    """
    return [
        (first / steps, second / steps, (steps - first - second) / steps)
        for first in range(steps + 1)
        for second in range(steps + 1 - first)
    ]


def _recipes(tree: Mapping[str, Any], key: str, profiles: Mapping[str, Profile], path: Path) -> list[Run]:
    """The trials of all blocks under a key: one network with several settings or overrides, or a grid of weights."""
    trials = []
    for index, block in enumerate(tree.get(key, [])):
        if block["profile"] not in profiles:
            raise PlanError(f"{path}: {key}.{index}.profile: no profile {block['profile']!r}")
        profile = profiles[block["profile"]]
        common = {name: block[name] for name in ("dataset", "model", "size", "split", "seed")}
        listed = (
            _on_grid(block["settings"], block["steps"])
            if key == "loss_weights"
            else block["settings"]
            if key == "recipes"
            else [block["settings"]]
        )
        try:
            trials += [
                Run(**common, profile=profile.name, settings=profile.changed(changes), overrides=overrides)
                for changes in listed
                for overrides in block.get("overrides", [{}])
            ]
        except PlanError as error:
            raise PlanError(f"{path}: {key}.{index}.settings: {error}") from None
    return trials


def _on_grid(settings: Mapping[str, Any], steps: int) -> list[dict[str, Any]]:
    """The settings with the loss weights of each point of the grid."""
    names = ("dwce", "focal", "lovasz")
    return [{**settings, "loss": dict(zip(names, weights, strict=True))} for weights in loss_grid(steps)]


def _claim_ids(path: Path) -> set[str] | None:
    if not path.is_file():
        return None
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["id"] for row in csv.DictReader(file, strict=True)}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise PlanError(f"{path}: cannot be read as CSV with a column id ({error}); take it back from git") from None


def _check_claims(claims: list[str], known: set[str] | None, where: str) -> None:
    if known is not None and (unknown := [claim for claim in claims if claim not in known]):
        raise PlanError(f"{where}: {unknown[0]!r} is no id of {CLAIMS_FILE}")
