"""Table I as the paper trains (Sec. IV-A-1): one training on all sources merged, each of which is a column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from scgcnet.chapters.effects import Effect, Family, of_score
from scgcnet.metrics import Confusion
from scgcnet.study import results, stats
from scgcnet.study.networks import OURS, Network, data_set, gather, many, run_links, title_of
from scgcnet.study.paper import SCORE_NAMES
from scgcnet.study.plan import Plan
from scgcnet.study.results import SCORES
from scgcnet.study.runs import Run
from scgcnet.study.show import Note, Table

PROFILE = "merged"
SOURCES = {name: data_set(name) for name in ("bijie", "landslide4sense", "cld", "amunet", "sichuan")}
MEAN = "Mean"
ALL = "all sources"  # of an effect

BySource = Mapping[str, Sequence[Network]]  # by the name of `SOURCES`


def networks(plan: Plan, profile: str = PROFILE) -> dict[str, list[Network]]:
    """The networks with stored trainings on all sources, by source, on the images of which their scores are."""
    planned = dict[str, Run]()
    for run in plan.select(profile):
        planned.setdefault(title_of(run.model), run)
    found = [one for one in gather(planned, results.runs()) if len(one.runs)]
    return {
        name: [
            replace(one, runs=_scored_on(one.runs, source), source="" if source == one.run.dataset else source)
            for one in found
        ]
        for source, name in SOURCES.items()
    }


def _scored_on(runs: pd.DataFrame, source: str) -> pd.DataFrame:
    """The same runs with the scores of the test part of a source as their own."""
    counted = [domains[source]["test"] for domains in runs.domains]
    scores = [Confusion(one.tp, one.fp, one.fn, one.tn).scores() for one in counted]
    return runs.assign(**{f"resized_{score}": [100 * one[score] for one in scores] for score in SCORES})


def ious(found: BySource) -> pd.DataFrame:
    """Mean IoU over seeds by network (rows, the best mean first) and source, with the mean over sources as a column."""
    by_source = pd.DataFrame({source: {one.name: one.mean() for one in each} for source, each in found.items()})
    return by_source.assign(**{MEAN: by_source.mean(axis=1)}).sort_values(MEAN, ascending=False)


def effects(found: BySource, reference: str = OURS) -> dict[str, list[Effect]]:
    """IoU of the reference minus that of each other network, by source and over `ALL`.

    Intervals hold jointly for the other networks. Over all sources the score is the mean of theirs: the spread over
    seeds is that of this mean, the errors over images of the sources are independent.
    """
    measure, by_source = of_score("iou"), dict[str, list[Effect]]()
    errors, means = list[dict[str, float]](), dict[str, list[list[float]]]()
    for source, each in found.items():
        family = Family(each)
        own = next((one for one in each if one.name == reference), None)
        pairs = [(own, one) for one in each if one.name != reference] if own else []
        by_source[source] = family.effects(measure, pairs)
        errors.append({other.name: family.image_error(measure, one, other) for one, other in pairs})
        for one in each:
            means.setdefault(one.name, []).append(one.scores())
    over = {name: np.mean(scores, axis=0) for name, scores in means.items()}
    deviation, freedom = stats.pooled_deviation(list(over.values()))
    if reference not in over or not freedom or len(over) < 2:
        return by_source
    others = [name for name in over if name != reference]
    level = stats.student(freedom, 1 - 0.05 / len(others))
    by_source[ALL] = []
    for name in others:
        seeds = deviation * (1 / len(over[reference]) + 1 / len(over[name])) ** 0.5
        images = math.hypot(*(one[name] for one in errors)) / len(errors)
        value = float(over[reference].mean() - over[name].mean())
        by_source[ALL].append(Effect(f"{reference} minus {name}", value, level * math.hypot(seeds, images)))
    return by_source


def grid(found: BySource, reference: str = OURS) -> tuple[pd.DataFrame, dict[tuple[str, str], str]]:
    """`ious`, and for a figure "+" or "-" by network and column, where it is resolved above or below the reference."""
    marks = {}
    for source, each in effects(found, reference).items():
        for effect in each:
            if abs(effect.value) > effect.half:
                name = effect.name.removeprefix(f"{reference} minus ")
                marks[name, MEAN if source == ALL else source] = "-" if effect.value > 0 else "+"
    return ious(found), marks


def standing_note(found: BySource, reference: str = OURS) -> Note:
    """Where a network stands by its mean over sources, and how many differences are resolved."""
    table = ious(found)
    if reference not in table.index or len(table) < 2:
        return Note("Not run", f"`scgcnet run --profile {PROFILE}` trains all networks on the merged sources.")
    place, marks = list(table.index).index(reference) + 1, grid(found, reference)[1]
    images = [len(each[0].images.image.unique()) for each in found.values()]
    seeds = {len(one.runs) for one in next(iter(found.values()))}
    repeats = many(seeds.pop(), "seed") if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)} seeds"
    above, below = ([name for (name, column), mark in marks.items() if (column, mark) == (MEAN, m)] for m in "+-")
    text = f"By its mean IoU over {len(found)} sources ({sum(images)} test images, {repeats}) "
    text += f"{reference} is number {place} of {len(table)}. Resolved in the mean: {len(above)} above it"
    text += f" ({', '.join(above)})" * bool(above) + f", {len(below)} below" + f" ({', '.join(below)})" * bool(below)
    return Note(f"{reference}: {place} of {len(table)}", f"{text}.", "note")


def score_table(found: BySource) -> Table:
    """Four scores of each network by source: means over seeds."""
    rows = []
    for source, each in found.items():
        for one in sorted(each, key=lambda one: -one.mean()):
            scores = {SCORE_NAMES[score][0]: f"{one.mean(score):.1f}" for score in ("iou", "f1", "precision", "recall")}
            rows.append({"Source": source, "Network": one.name, **scores, "Runs": run_links(one.runs)})
    caption = "Trained on all sources: scores on the test part of each, mean over seeds (%)"
    return Table(pd.DataFrame(rows or [{"Source": "no run of this profile is stored"}]), caption)


def spread(found: Sequence[Network]) -> tuple[float, float, int]:
    """Of compared networks: deviation of IoU over seeds, usual error of a difference over images, number of images."""
    family, measure = Family(found), of_score("iou")
    images = next((int(one.runs.n_test.iloc[0]) for one in found if len(one.runs)), 0)
    return family.deviation(measure)[0], family.usual_error(measure), images


def power_table(deviation: float, error: float, images: int) -> Table:
    """Test images that a single difference of IoU needs, by its size and the seeds of both networks.

    Args:
        deviation: of IoU over seeds, points.
        error: standard error of a difference over test images, points.
        images: how many those are.
    """
    rows = []
    for points in (1, 2, 3):
        row: dict[str, object] = {"Difference of IoU": many(points, "point")}
        for seeds in (1, 2, 4, 8):
            left = (points / 1.96) ** 2 - 2 * deviation**2 / seeds
            row[many(seeds, "seed")] = f"{math.ceil(images * error**2 / left):,}" if left > 0 else "not to be seen"
        rows.append(row)
    caption = f"Test images needed, at {deviation:.1f} points over seeds and an error of {error:.1f} on {images} images"
    return Table(pd.DataFrame(rows), caption)
