"""Tables II and III: what each part of the network, and each choice of its dilation rates, brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from scgcnet.study.contest import Contestant, gather, with_overrides
from scgcnet.study.paper import read_paper
from scgcnet.study.plan import Plan, PlanError, Run, at_home
from scgcnet.study.show import NONE, Table
from scgcnet.study.statistics import Condition
from scgcnet.study.store import Record
from scgcnet.study.tables import NOT_RUN, SCORES, condition, cost, many, refuse_synthetic, run_links

#: The steps of Table II that the paper's text speaks of.
STEPS = (("A1", "A2"), ("A1", "A3"), ("A1", "A4"), ("A2", "A5"), ("A2", "A6"), ("A3", "A7"), ("A5", "A8"), ("A1", "A8"))
WHOLE = {"A": "A8", "B": "B6"}  # the rows of Tables II and III that are the network as it is


def experiments(names: Sequence[str]) -> dict[str, Mapping[str, object]]:
    """What each experiment of Tables II and III changes in the network, by its name in the paper.

    Raises:
        PlanError: there is no such experiment, or experiments of both tables are asked for.
    """
    from scgcnet.model.config import ABLATIONS, DILATIONS

    known: dict[str, Mapping[str, object]] = {**ABLATIONS, **{row: {"dilations": r} for row, r in DILATIONS.items()}}
    if unknown := [name for name in names if name not in known]:
        raise PlanError(f"experiments: there is no {unknown[0]!r}; the names are {', '.join(known)}")
    if len({name[0] for name in names}) != 1:
        raise PlanError("experiments: name some of one table, A1 to A8 or B1 to B7")
    return {name: known[name] for name in names}


def experiment_runs(names: Sequence[str], plan: Plan, profile: str, seeds: Sequence[int] | None = None) -> list[Run]:
    """The planned runs of some experiments in a profile, seeds within experiments.

    Args:
        names: of the experiments; what comes without a planned run is left out.
        plan: the study.
        profile: name in study.yml.
        seeds: only these; None for all that are planned.

    Raises:
        PlanError: see `experiments`.
    """
    runs = []
    for run in _bases(names, plan, profile).values():
        runs += [
            planned
            for planned in plan.select(profile)
            if {**planned.config, "seed": run.seed} == run.config and (seeds is None or planned.seed in seeds)
        ]
    return runs


def experimenters(names: Sequence[str], plan: Plan, records: Sequence[Record], profile: str) -> list[Contestant]:
    """The experiments as contestants, each with its stored seeds; those of which none is stored are there, too.

    Raises:
        PlanError: see `experiments`.
    """
    return gather(_bases(names, plan, profile), records)


def _bases(names: Sequence[str], plan: Plan, profile: str) -> dict[str, Run]:
    """One run of each experiment: like a planned run of the whole network with the profile's own settings.

    Of several such, on other data sets, it is the first of those with the most experiments planned beside.
    """
    rows = experiments(names)
    settings = plan.profile(profile).settings
    whole = [
        run
        for run in plan.select(profile)
        if run.model == "scgcnet" and run.unaltered and run.settings == settings and at_home(run.config)
    ]
    if not whole:
        raise PlanError(f"study.yml plans no run of scgcnet with the profile {profile}")
    planned = [run.config for run in plan.select(profile)]
    bases = [with_overrides(run, rows, WHOLE[next(iter(rows))[0]]) for run in whole]
    return max(bases, key=lambda base: sum(run.config in planned for run in base.values()))


def experiment_table(found: Sequence[Contestant], plan: Plan) -> Table:
    """Table II or III: as printed, on CLD, and as measured on the data set of the runs.

    Args:
        found: from `experimenters`.
        plan: the study.

    Raises:
        ValueError: a record is synthetic, so its scores must not stand here.
    """
    refuse_synthetic([record for one in found for record in one.records])
    paper = read_paper()
    dataset = found[0].run.dataset
    rows = []
    for one in found:
        printed = paper.row(one.name).printed
        row: dict[str, object] = {"Experiment": one.name, "Network": _in_words(one.name)}
        for score in ("iou", "f1", "precision", "recall"):
            name, column = SCORES[score]
            row[f"{name}, paper, CLD"] = printed[column]
            row[f"{name}, measured, {dataset}"] = str(one.summary(score) or NOT_RUN)
            if score == "iou":
                row["Condition"] = _condition(one, plan)
        row["Repeats"] = many(len(one.records), "seed")
        row["Cost"] = cost(one.records)
        rows.append(row | {"Runs": run_links(one.records)})
    number = "II" if found[0].name.startswith("A") else "III"
    caption = f"Table {number}: as printed, on CLD, and {found[0].run.size} on {dataset}, mean and 95 % over seeds (%)"
    return Table(pd.DataFrame(rows), caption)


def _condition(one: Contestant, plan: Plan) -> Condition:
    """How its runs compare with the paper's, which has each of these networks, and all of them on CLD."""
    if one.run.dataset != "cld":
        return "other data"
    if not one.records:
        return condition(replace(one.run, overrides={}), plan)
    return condition(replace(one.records[0], config={**one.records[0].config, "overrides": {}}), plan)


def _in_words(name: str) -> str:
    from scgcnet.model.config import ABLATIONS, DILATIONS

    if name in ABLATIONS:
        return " + ".join(part.upper() for part, on in ABLATIONS[name].items() if on) or "baseline"
    return "; ".join(" ".join("/".join(map(str, rates)) for rates in stage) for stage in DILATIONS[name])


def gain_table(found: Sequence[Contestant], steps: Sequence[tuple[str, str]]) -> Table:
    """What one step from an experiment to another brings: IoU of the second minus that of the first.

    Args:
        found: from `experimenters`.
        steps: names of two experiments each.

    Raises:
        ValueError: a record is synthetic, so its scores must not stand here.
    """
    from scgcnet.study.resampling import seed_difference

    refuse_synthetic([record for one in found for record in one.records])
    paper, by_name = read_paper(), {one.name: one for one in found}
    measured = f"Measured, {found[0].run.dataset}"
    rows = []
    for before, after in steps:
        row: dict[str, object] = {"Step": f"{before} to {after}", "What is added": _added(before, after)}
        row["Paper, CLD"] = f"{float(paper.row(after).exact('IoU') - paper.row(before).exact('IoU')):+.2f}"
        one, other = by_name.get(before), by_name.get(after)
        first, second = one and one.summary("iou"), other and other.summary("iou")
        if one and other and first and second:
            interval = seed_difference(other.scores("iou"), one.scores("iou"))
            row[measured] = f"{second.mean - first.mean:+.2f}"
            row["95 % over seeds"] = (
                f"{interval[0]:+.2f} to {interval[1]:+.2f}" if interval else f"unknown: {seeds_of(one, other)}"
            )
            row["Outcome"] = _outcome(interval)
        else:
            row |= {measured: NOT_RUN, "95 % over seeds": NONE, "Outcome": NOT_RUN}
        records = [record for each in (one, other) if each for record in each.records]
        rows.append(row | {"Runs": run_links(records)})
    return Table(pd.DataFrame(rows), "What each step brings (points of IoU)")


def seeds_of(*found: Contestant) -> str:
    """How many seeds of each are stored, in words; "one seed" where that holds for all."""
    if all(len(one.records) == 1 for one in found):
        return "one seed"
    return ", ".join(f"{many(len(one.records), 'seed')} of {one.name}" for one in found)


def bars(found: Sequence[Contestant]) -> dict[str, tuple[float, float, float] | None]:
    """Test IoU for a figure: name -> mean, low and high in percent (all the same for a single run), None if not run."""
    shown: dict[str, tuple[float, float, float] | None] = {}
    for one in found:
        measured = one.summary("iou")
        if measured is None:
            shown[one.name] = None
        elif measured.low is None or measured.high is None:
            shown[one.name] = (measured.mean,) * 3
        else:
            shown[one.name] = (measured.mean, measured.low, measured.high)
    return shown


def preferred(found: Sequence[Contestant], made: Sequence[Record], names: Sequence[str]) -> dict[str, list[Record]]:
    """The records whose networks to look into, by experiment: those stored on real data, then those a page made."""
    return {
        one.name: [*one.records, *(record for record in made if record.flags == _plain_flags(one))]
        for one in found
        if one.name in names
    }


def _plain_flags(one: Contestant) -> object:
    return one.run.config["overrides"]


def _outcome(interval: tuple[float, float] | None) -> str:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return "unresolved"
    return "better" if interval[0] > 0 else "worse"


def _added(before: str, after: str) -> str:
    from scgcnet.model.config import ABLATIONS

    old, new = ABLATIONS[before], ABLATIONS[after]
    return ", ".join(part.upper() for part in new if new[part] and not old[part])
