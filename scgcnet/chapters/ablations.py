"""Tables II and III: the effect of each part of the network, and of its dilation rates.

Experiments are named as in the paper, A1 to A8 and B1 to B7. Tables raise ValueError for synthetic runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from scgcnet.chapters.effects import Family, of_score
from scgcnet.study import results
from scgcnet.study.networks import (
    NOT_RUN,
    Network,
    condition,
    cost,
    data_set,
    gather,
    in_words,
    many,
    refuse_synthetic,
    run_links,
    whole_runs,
)
from scgcnet.study.paper import SCORE_NAMES, read_paper
from scgcnet.study.plan import Plan
from scgcnet.study.runs import PlanError, Run, plain
from scgcnet.study.show import NONE, Note, Table

#: The steps of Table II that the paper's text discusses.
STEPS = (("A1", "A2"), ("A1", "A3"), ("A1", "A4"), ("A2", "A5"), ("A2", "A6"), ("A3", "A7"), ("A5", "A8"), ("A1", "A8"))
WHOLE = ("A8", "B6")  # the rows of Tables II and III that are the unchanged network


def experiments(names: Sequence[str]) -> dict[str, Mapping[str, object]]:
    """The network's fields that each experiment sets, by its name in the paper; all of one table."""
    from scgcnet.model.config import ABLATIONS, DILATIONS

    known: dict[str, Mapping[str, object]] = {**ABLATIONS, **{row: {"dilations": r} for row, r in DILATIONS.items()}}
    if unknown := [name for name in names if name not in known]:
        raise PlanError(f"experiments: there is no {unknown[0]!r}; the names are {', '.join(known)}")
    if len({name[0] for name in names}) != 1:
        raise PlanError("experiments: name some of one table, A1 to A8 or B1 to B7")
    return {name: known[name] for name in names}


def experiment_runs(names: Sequence[str], plan: Plan, profile: str, seeds: Sequence[int] | None = None) -> list[Run]:
    """The planned runs of some experiments in a profile, seeds within experiments; all seeds for None."""
    return [
        run
        for base in _bases(names, plan, profile).values()
        for run in plan.select(profile)
        if {**run.config, "seed": base.seed} == base.config and (seeds is None or run.seed in seeds)
    ]


def networks(
    names: Sequence[str], plan: Plan, profile: str = "cpu", stored: pd.DataFrame | None = None
) -> list[Network]:
    """Each experiment with its stored seeds, which may be none; `stored` is by default `results.runs()`."""
    return gather(_bases(names, plan, profile), results.runs() if stored is None else stored)


def _bases(names: Sequence[str], plan: Plan, profile: str) -> dict[str, Run]:
    """One run of each experiment, on the data set for which the profile plans the most of them."""
    rows, configs = experiments(names), [run.config for run in plan.select(profile)]
    whole = whole_runs(plan, profile, model="scgcnet", settings=plan.profile(profile).settings)
    if not whole:
        raise PlanError(f"study.yml plans no run of scgcnet with the profile {profile}")
    changes = {name: {} if name in WHOLE else dict(row) for name, row in rows.items()}
    bases = [{name: replace(run, overrides=changed) for name, changed in changes.items()} for run in whole]
    return max(bases, key=lambda base: sum(run.config in configs for run in base.values()))


def experiment_table(found: Sequence[Network], plan: Plan) -> Table:
    """Table II or III: scores as printed, on CLD, and as measured."""
    paper, dataset, rows = read_paper(), found[0].run.dataset, []
    for one in found:
        refuse_synthetic(one.runs)
        row: dict[str, object] = {"Experiment": one.name, "Network": _parts(one.name)}
        for score in ("iou", "f1", "precision", "recall"):
            name, column = SCORE_NAMES[score]
            row[f"{name}, paper, CLD"] = paper.row(one.name).printed[column]
            row[f"{name}, measured, {data_set(dataset)}"] = str(one.summary(score) or NOT_RUN)
            if score == "iou":  # the paper ran every experiment, and all of them on CLD
                images = None if one.runs.empty else one.runs.n_test.iloc[0]
                same_data = condition({**one.run.config, "overrides": {}}, plan, images)
                row["Condition"] = same_data if dataset == "cld" else "other data"
        rows.append(row | {"Repeats": many(len(one.runs), "seed"), "Cost": cost(one.runs), "Runs": run_links(one.runs)})
    number = "II" if found[0].name.startswith("A") else "III"
    here = f"{found[0].run.size} on {data_set(dataset)}"
    caption = f"Table {number}: as printed, on CLD, and {here}, mean and 95 % over seeds (%)"
    return Table(pd.DataFrame(rows), caption)


def _parts(name: str) -> str:
    changes = experiments([name])[name]
    if "dilations" in changes:
        return in_words(plain(changes["dilations"]))
    return " + ".join(part.upper() for part, on in changes.items() if on) or "baseline"


def label(name: str) -> str:
    """An experiment with what it has: A2 HMIE, A8 all; of Table III the name alone."""
    words = {"A1": "no part", "A8": "all"}.get(name, _parts(name)) if name.startswith("A") else ""
    return f"{name} {words}".strip()


def gain_table(found: Sequence[Network], steps: Sequence[tuple[str, str]] = STEPS) -> Table:
    """IoU of the second experiment of each step minus that of the first; intervals are those of `chapters.effects`."""
    family = Family([one for one in found if len(one.runs)])
    paper, by_name, rows = read_paper(), {one.name: one for one in found}, []
    measured = f"Measured, {data_set(found[0].run.dataset)}"
    every = pd.concat([one.runs.assign(experiment=one.name) for one in found])
    refuse_synthetic(every)
    for before, after in steps:
        old, new = experiments([before, after]).values()
        row = {"Step": f"{before} to {after}"}
        row["What is added"] = ", ".join(part.upper() for part in new if new[part] and not old[part])
        row["Paper, CLD"] = f"{float(paper.row(after).exact('IoU') - paper.row(before).exact('IoU')):+.2f}"
        row |= {measured: NOT_RUN, "95 %": NONE, "Outcome": NOT_RUN}
        stored = every[every.experiment.isin((before, after))]
        if stored.experiment.nunique() == 2:
            one, other = by_name[before], by_name[after]
            (effect,) = family.effects(of_score("iou"), [(other, one)]) or (None,)
            low, high = (effect.value - effect.half, effect.value + effect.half) if effect else (0.0, 0.0)
            row[measured] = f"{other.mean() - one.mean():+.1f}"
            row["95 %"] = f"{low:+.1f} to {high:+.1f}" if effect else f"unknown: {seeds_of(one, other)}"
            row["Outcome"] = "better" if low > 0 else "worse" if high < 0 else "unresolved"
        rows.append({**row, "Runs": run_links(stored)})
    frame = pd.DataFrame(rows)
    shown = tuple(name for name in frame if name != "Runs")  # a row would be four lines high
    return Table(frame, "Effect of each step (points of IoU)", shown)


def steps_note(found: Sequence[Network]) -> Note:
    """How the whole network compares with the baseline, and which steps of Table II the seeds resolve."""
    gains = gain_table(found).frame.set_index("Step")
    resolved = gains[gains.Outcome.isin(("better", "worse"))]
    measured = next(name for name in gains.columns if name.startswith("Measured"))
    each = [f"{row['What is added']} ({step}) {row[measured]}" for step, row in resolved.iterrows()]
    text = f"Beyond chance, by intervals paired over seeds and images, are {len(resolved)} of {len(gains)} steps"
    text += f": {'; '.join(each)} points of IoU." if each else "."
    if run := [one for one in found if len(one.runs)]:
        best = max(run, key=lambda one: one.mean())
        text += f" The highest row is {label(best.name)}, {best.mean():.1f} %."
    text += f" From A1 (no part) to A8 (all) the paper gains {gains['Paper, CLD'].iloc[-1]} points on CLD; here it is "
    text += f"{gains[measured].iloc[-1]} on {data_set(found[0].run.dataset)}."
    alone = resolved["What is added"][(resolved.Outcome == "better") & ~resolved["What is added"].str.contains(",")]
    parts = list(dict.fromkeys(alone)) or ["No part"]
    title = f"{' and '.join(parts)} alone help{'s' * (len(parts) == 1)} beyond chance"
    return Note(title, text)


def seeds_of(*found: Network) -> str:
    """The number of seeds of each network: "3 seeds of A1, 1 seed of A2"; "one seed" if that holds for all."""
    if all(len(one.runs) == 1 for one in found):
        return "one seed"
    return ", ".join(f"{many(len(one.runs), 'seed')} of {one.name}" for one in found)


def bars(found: Sequence[Network]) -> dict[str, tuple[float, float, float] | None]:
    """Mean, low and high of the test IoU in percent by `label`, all alike for a single run; None if not run."""
    shown: dict[str, tuple[float, float, float] | None] = {label(one.name): None for one in found}
    for one in found:
        if iou := one.summary():
            low, high = (iou.mean if end is None else end for end in (iou.low, iou.high))
            shown[label(one.name)] = (iou.mean, low, high)
    return shown


def preferred(found: Sequence[Network], made: pd.DataFrame, names: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The runs whose networks to look into, by experiment: first the stored ones, then those of `made`."""
    alike = {one.name: [flags == one.run.config["overrides"] for flags in made["flags"]] for one in found}
    return {
        one.name: pd.concat([one.runs, made[alike[one.name]]]).drop_duplicates("file")
        for one in found
        if one.name in names
    }
