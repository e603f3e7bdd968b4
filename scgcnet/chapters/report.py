"""The start page and the replication report: progress of the study, verdicts on the claims, deviations.

`claims` is the frame of `chapters.claims.ledger`, a row per claim: id, kind, dataset, value, unit, location, quote,
verdict, condition ("" if not run), finding, runs (list of run ids), need. `answers` is `chapters.statements.answers`,
by claim. `stored` is from `results.runs`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from statistics import median
from typing import Any, get_args

import numpy as np
import pandas as pd

from scgcnet.chapters.statements import NOT_TESTED, deciding
from scgcnet.study.networks import NOT_RUN, changes, data_set, kind_of_split, many, run_links, title_of
from scgcnet.study.paper import FOLDER, read_table
from scgcnet.study.plan import Plan
from scgcnet.study.results import ResultError
from scgcnet.study.runs import Increment, Run, project_root
from scgcnet.study.show import NONE, Note, Sentences, Table
from scgcnet.study.stats import Verdict

#: The claims whose findings sum up the rest, in the order of the paper.
LEADING = (
    "bijie_iou", "bijie_iou_gain", "best_all_metrics", "a8_gain", "hmie_largest_part", "b2_b7_beat_b1", "small_slides",
    "fewer_false", "sharper_edges", "fig8_best_at_0", "fig8_lead_at_20", "fig10_scaling",
)  # fmt: skip


def profile_table(plan: Plan, stored: pd.DataFrame) -> Table:
    """The profiles, from seconds to the paper's protocol: their settings, and the runs and hours done and left."""
    seconds = stored.wall_s.to_dict()
    rows = []
    for profile in plan.profiles.values():
        runs, settings = plan.select(profile.name), profile.settings
        measured = [(run, seconds[run.run_id]) for run in runs if run.run_id in seconds]
        missing = [run for run in runs if run.run_id not in seconds]
        left = duration(sum(_expected(run, measured) for run in missing)) if measured else "not known"
        row = {"Profile": profile.name, "What": profile.about, "Image": f"{settings['image_size']} px"}
        row |= {"Epochs": settings["epochs"], "Batch": settings["batch_size"]}
        row |= {"Optimiser": f"{settings['optimizer']}, {settings['lr']:g}"}
        row |= {"Runs stored": f"{len(measured)} of {len(runs)}"}
        row |= {"They took": duration(sum(took for _, took in measured)) if measured else NONE}
        rows.append({**row, "The others, about": left if missing else NONE})
    return Table(pd.DataFrame(rows), "Profiles of study.yml; times one after the other")


#: What makes two trainings of one profile alike, the closest likeness first.
_LIKENESS: tuple[Callable[[Run], object], ...] = (
    lambda run: (run.model, run.size, run.train or (run.dataset,), run.increment, run.settings.get("epoch_images")),
    lambda run: (run.model, run.size),
    lambda run: None,
)


def _expected(run: Run, measured: Collection[tuple[Run, float]]) -> float:
    """Seconds of a training, from the median time per pixel and epoch of those most like it."""
    alike = ([took / _work(other) for other, took in measured if like(other) == like(run)] for like in _LIKENESS)
    return median(next(filter(None, alike))) * _work(run)


def _work(run: Run) -> float:
    return float(run.settings["epochs"] * run.settings["image_size"] ** 2)


def duration(seconds: float) -> str:
    """In the two largest units, such as 1 h 50 min."""
    minutes = round(seconds / 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {rest} min" if hours else f"{rest} min" if rest else "a minute"


def exhibit_table(plan: Plan, claims: pd.DataFrame, stored: pd.DataFrame) -> Table:
    """Status of every table and figure of the paper that shows results."""
    rows = []
    for exhibit in plan.exhibits:
        found = claims[claims.id.isin(exhibit.claims)]
        done = found[found.condition != ""]
        runs = list(dict.fromkeys(done.runs.sum() or []))
        what = "measured" if runs else "counted"  # a cost takes no run
        status = f"{'partly ' * (len(done) < len(found))}{what}, {' and '.join(sorted(set(done.condition)))}"
        row = {"In the paper": exhibit.title, "Status": NOT_RUN if done.empty else status}
        row |= {"Claims measured": f"{len(done)} of {len(found)}"}
        rows.append({**row, "Runs": run_links(stored.loc[runs])})
    return Table(pd.DataFrame(rows), "The paper's tables and figures in this study")


def plan_table(plan: Plan, stored: pd.DataFrame) -> Table:
    """Each configuration of study.yml with how many of its runs are stored; then the stored ones beyond it.

    Runs that differ in the number of their split, in their seed or in how much of a new domain they train on are one.
    """
    runs = {run.run_id: (run, run.priority) for run in plan.runs}
    beyond = [one for one in stored.itertuples() if one.run_id not in runs]
    runs |= {one.run_id: (_run_of(one.config), 99) for one in beyond}
    every = pd.DataFrame(
        {
            "Network": f"{title_of(run.model)} {run.size}",
            "Data": _data(run),
            "Profile": run.profile,
            "Changes": (changes(run, plan).removeprefix(", ") if run.profile in plan.profiles else "") or NONE,
            "planned": priority < 99,
            "Priority": priority,
            "run_id": run_id,
        }
        for run_id, (run, priority) in runs.items()
    )
    found = stored[["run_id", "model", "split", "seed", "file"]]
    keys = ["Network", "Data", "Profile", "Changes"]
    rows: list[dict[str, Any]] = []
    for (*cells, _), group in every.groupby([*keys, "planned"], sort=False):
        done = found.loc[[run_id for run_id in group.run_id if run_id in found.index]]
        counts = {"Priority": group.Priority.min(), "Stored": len(done), "Not run": len(group) - len(done)}
        rows.append({**dict(zip(keys, cells, strict=True)), **counts, "Runs": run_links(done)})
    rows.sort(key=lambda row: (row["Priority"], row["Profile"] != "smoke"))
    return Table(pd.DataFrame(rows).replace({"Priority": {99: "not in study.yml"}}), "Runs of the study")


def _run_of(config: Mapping[str, Any]) -> Run:
    """A stored configuration as a run, without the one that it went on from."""
    keys = ("dataset", "model", "size", "profile", "settings", "split", "seed", "overrides")
    train = () if config["train_datasets"] == [config["dataset"]] else tuple(config["train_datasets"])
    increment = Increment(**config["increment"]) if "increment" in config else None
    given = {key: config[key] for key in keys}
    return Run(**given, train=train, increment=increment, prediction=config.get("prediction"))


def _data(run: Run) -> str:
    """The data set tested on, and those trained on if they are others."""
    words = data_set(run.dataset)
    if kind := kind_of_split(run.split):
        words += f", {kind} split"
    if run.train and run.train != (run.dataset,):
        words += f", trained on {', '.join(map(data_set, run.train))}"
    return f"{words}, by increments" if run.increment else words


def look_table(looks: pd.DataFrame, stored: pd.DataFrame) -> Table:
    """Number of `results.looks` at each test part, of configurations that looked, and of those without a result."""
    counted = Counter(zip(looks.run_id, looks.dataset, strict=True))
    for one in stored.itertuples():
        if (found := counted[one.run_id, one.dataset]) < one.test_looks:
            raise ResultError(
                f"results/looks.csv: {found} looks of {one.run_id} at {one.dataset}, whose run file counts "
                f"{one.test_looks}: lines were lost, take the file back from git"
            )
    caption = "Looks at the test parts, from results/looks.csv"
    if looks.empty:
        return Table(pd.DataFrame([{"Test part": "none", "Looks": 0}]), caption)
    parts = looks.groupby(["dataset", "split"])
    columns = {
        "Test part": parts.dataset.first() + ", split " + parts.split.first(),
        "Looks": parts.size(),
        "Configurations and seeds": parts.run_id.nunique(),
        "Most looks at one": parts.run_id.agg(lambda ids: ids.value_counts().max()),
        "Without a stored result": parts.run_id.agg(lambda ids: ids[~ids.isin(stored.run_id)].nunique()),
        "Last": parts.utc.max().str[:10],
    }
    return Table(pd.DataFrame(columns), caption)


def findings(claims: pd.DataFrame) -> Sentences:
    """The paper's words, the finding and the verdict of the claims that matter most."""
    found = claims.set_index("id").reindex(LEADING).dropna(subset="finding").query("finding != ''")
    sentences = [
        f"“{claim.quote}”: {claim.finding}. {claim.verdict.capitalize()}, {claim.condition}."
        for claim in found.itertuples()
    ]
    return Sentences(tuple(sentences or ["Nothing was found yet: no run on real images is stored."]))


def verdicts(plan: Plan, claims: pd.DataFrame, answers: pd.DataFrame) -> dict[str, dict[str, list[str]]]:
    """What `plots.claim_squares` draws, by exhibit: verdicts on all claims but the protocol's, and the answers here."""
    found = claims.set_index("id")
    found = found.assign(here=answers.answer)[found.kind != "protocol"]
    rows = {exhibit.title.partition(",")[0]: found.index.isin(exhibit.claims) for exhibit in plan.exhibits}
    rows["Text"] = ~np.logical_or.reduce(list(rows.values()))
    panels = {"The claim, at the paper's scale": "verdict", "The same statement, tested here": "here"}
    return {
        title: {name: list(found[column][inside].dropna()) for name, inside in rows.items()}
        for title, column in panels.items()
    }


def statement_rows(answers: pd.DataFrame) -> dict[str, tuple[float, float, float, str]]:
    """What `plots.statement_rows` draws: of each statement with differences, the one that decides."""
    rows = {}
    for one in answers[(answers.effects.str.len() > 0) & (answers.answer != NOT_TESTED)].itertuples():
        worst = deciding(one.effects, one.answer)
        rows[one.statement] = (worst.value, worst.value - worst.half, worst.value + worst.half, one.answer)
    return rows


def answers_note(answers: pd.DataFrame) -> Note:
    """How many statements have each answer."""
    counts = Counter(answers.answer)
    text = f"Of {len(answers)} results, asked as statements of what was run here, {counts['holds']} hold"
    for answer, then in (("holds", f"; {counts['does not hold']} do not"), ("does not hold", "")):
        named = Counter(answers.statement[answers.answer == answer])
        words = (name + f" ({n} claims)" * (n > 1) for name, n in named.items())
        text += f": {', '.join(words)}" * bool(named) + then
    text += f"; {counts['not resolved']} could not be resolved, and {counts[NOT_TESTED]} were not tested."
    return Note("What holds here", text)


def statement_table(answers: pd.DataFrame, stored: pd.DataFrame) -> Table:
    """Every statement with its answer, the difference that decides and its runs."""
    rows = [
        {
            "Statement": one.statement,
            "Here": one.answer,
            "Evidence: difference that should be above 0, with its joint 95 % interval": one.evidence or NONE,
            "Claim": one.Index,
            "Runs": run_links(stored.loc[one.runs]),
        }
        for one in answers.itertuples()
    ]
    return Table(pd.DataFrame(rows), "The paper's results as statements, tested here")


def summary_note(claims: pd.DataFrame) -> Note:
    """How many claims have each verdict; settings of the protocol apart."""
    settings, others = (claims[(claims.kind == "protocol") == apart] for apart in (True, False))
    counts = Counter(others.verdict)
    against = [f"“{claim.quote}”" for claim in others[others.verdict == "contradicted"].itertuples()]
    followed = int((settings.verdict != NOT_RUN).sum())
    text = f"{len(others)} claims: {counts['supported']} supported, {counts['contradicted']} contradicted"
    text += f" ({'; '.join(against)})" * bool(against)
    text += f", {counts['unresolved']} open, because networks, images or data are not the paper's, {counts[NOT_RUN]} "
    text += "not run. "
    text += f"Of the {len(settings)} settings of the protocol that the paper states, stored runs follow {followed}"
    return Note("At the paper's scale", f"{text}{', none all of them' * (followed < len(settings))}.")


def verdict_table(claims: pd.DataFrame) -> Table:
    """How many claims of each kind have which verdict."""
    counts = pd.crosstab(claims.kind, claims.verdict).rename_axis(columns=None)
    counts = counts.reindex(index=claims.kind.unique(), columns=list(get_args(Verdict)), fill_value=0)
    return Table(counts.reset_index(names="Kind"), "Claims by kind and verdict")


def claim_table(claims: pd.DataFrame, kind: str, stored: pd.DataFrame) -> Table:
    """Every claim of one kind with its verdict, and the finding and its runs, or what a verdict would take."""
    rows = [
        {
            "Claim": claim.id,
            "The paper": claim.quote or f"{claim.value} {claim.unit}".strip(),
            "Verdict": claim.verdict,
            "Condition": claim.condition or NONE,
            "Found, or what it would take": claim.finding or claim.need or NONE,
            "On": claim.dataset or NONE,
            "Runs": run_links(stored.loc[claim.runs]),
        }
        for claim in claims[claims.kind == kind].itertuples()
    ]
    return Table(pd.DataFrame(rows or [{"Claim": f"none of the kind {kind}"}]), f"Claims of the kind {kind}")


def deviation_table(stored: pd.DataFrame, looks: pd.DataFrame) -> Table:
    """What was done otherwise than the paper says; the times and looks of runs on real data are filled in."""
    minutes = stored.wall_s[(stored.profile == "cpu") & (stored.dataset == "bijie")] / 60
    took = f"{minutes.min():.0f} to {minutes.max():.0f} minutes, median {minutes.median():.0f}," if len(minutes) else ""
    most = int(looks.value_counts(["dataset", "split", "run_id"]).max()) if len(looks) else 0
    given = {"minutes": took or "some minutes"}
    given["looks"] = f"at most {many(most, 'look')} at one test part by one configuration"
    return Table(
        read_table(project_root() / FOLDER / "deviations.csv").map(lambda cell: cell.format(**given)), "Deviations"
    )
