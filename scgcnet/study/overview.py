"""How far the study is: profiles, runs, the paper's tables and figures, and the looks at test parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from scgcnet.study.claims import Entry
from scgcnet.study.forecast import duration, seconds_left
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import Look
from scgcnet.study.plan import Increment, Plan, Run
from scgcnet.study.show import NONE, Table
from scgcnet.study.store import Record, state
from scgcnet.study.tables import NOT_RUN, changes, run_links


def profile_table(plan: Plan, records: Sequence[Record]) -> Table:
    """The ladder from seconds to the paper's protocol, and how much of each rung is done, in runs and in hours."""
    done = {record.run_id: record for record in records}
    rows = []
    for profile in plan.profiles.values():
        runs = plan.select(profile.name)
        measured = [(run, done[run.run_id].wall_s) for run in runs if run.run_id in done]
        missing = [run for run in runs if run.run_id not in done]
        left = seconds_left(missing, measured)
        settings = profile.settings
        rows.append(
            {
                "Profile": profile.name,
                "What": profile.about,
                "Image": f"{settings['image_size']} px",
                "Epochs": settings["epochs"],
                "Batch": settings["batch_size"],
                "Optimiser": f"{settings['optimizer']}, {settings['lr']:g}",
                "Runs stored": f"{len(measured)} of {len(runs)}",
                "They took": duration(sum(seconds for _, seconds in measured)) if measured else NONE,
                "The others, about": NONE if not missing else "not known" if left is None else duration(left),
            }
        )
    return Table(pd.DataFrame(rows), "Profiles of study.yml; times one after the other")


def exhibit_table(plan: Plan, entries: Sequence[Entry]) -> Table:
    """Status of every table and figure of the paper that shows results, by the claims ledger."""
    rows = []
    for exhibit in plan.exhibits:
        claims = [entry for entry in entries if entry.claim.id in exhibit.claims]
        done = [entry for entry in claims if entry.condition is not None]
        runs = {record.run_id: record for entry in done for record in entry.records}
        rows.append(
            {
                "In the paper": exhibit.title,
                "Status": _status(done, len(claims)) if done else NOT_RUN,
                "Claims measured": f"{len(done)} of {len(claims)}",
                "Runs": run_links(list(runs.values())),
            }
        )
    return Table(pd.DataFrame(rows), "The paper's tables and figures in this study")


def _status(done: Sequence[Entry], claims: int) -> str:
    """How much was done, and how near to the paper: what no run was needed for, such as a cost, was counted."""
    what = "measured" if any(entry.records for entry in done) else "counted"
    how = " and ".join(sorted({entry.condition for entry in done if entry.condition}))
    return f"{what if len(done) == claims else f'partly {what}'}, {how}"


def plan_table(plan: Plan, records: Sequence[Record]) -> Table:
    """Each configuration of study.yml with how many of its runs are stored, stale and not run; then those beyond it.

    Runs that differ in the number of their split, in their seed or in how much of a new domain they train on are one.
    """
    stored = {record.run_id: record for record in records}
    planned = {run.run_id for run in plan.runs}
    everything = [(run, stored.get(run.run_id), True) for run in plan.runs]
    everything += [(_run_of(record), record, False) for record in records if record.run_id not in planned]
    groups: dict[tuple[object, ...], list[tuple[Run, Record | None]]] = {}
    for run, record, listed in everything:
        words = changes(run, plan).removeprefix(", ") if run.profile in plan.profiles else ""
        key = (f"{run.model} {run.size}", _data(run), run.profile, words or NONE, listed)
        groups.setdefault(key, []).append((run, record))
    rows: list[dict[str, object]] = []
    for (*cells, is_planned), group in groups.items():
        states = Counter(state(record) for _, record in group)
        row: dict[str, object] = dict(zip(("Network", "Data", "Profile", "Changes"), cells, strict=True))
        row["Priority"] = min(run.priority for run, _ in group) if is_planned else "not in study.yml"
        row |= {"Stored": states["stored"], "Stale": states["stale"], "Not run": states["not run"]}
        rows.append(row | {"Runs": run_links([record for _, record in group if record])})
    rows.sort(key=lambda row: (row["Priority"] if isinstance(row["Priority"], int) else 99, row["Profile"] != "smoke"))
    return Table(pd.DataFrame(rows), "Runs of the study")


def _run_of(record: Record) -> Run:
    """What a record that study.yml does not have was planned as, but for the run that it went on from."""
    config = record.config
    keys = ("dataset", "model", "size", "profile", "settings", "split", "seed", "overrides")
    given = {key: config[key] for key in keys}
    increment = Increment(**config["increment"]) if "increment" in config else None
    train = () if config["train_datasets"] == [record.dataset] else tuple(config["train_datasets"])
    prediction = config.get("prediction")
    return Run(**given, train=train, increment=increment, prediction=prediction)


def _data(run: Run) -> str:
    """What a run is tested on, and what it is trained on if that is anything else."""
    kind = str(run.split).rpartition("-")[0]  # such as over groups
    words = f"{run.dataset}, {kind} split" if kind else run.dataset
    if run.train and run.train != (run.dataset,):
        words += f", trained on {' + '.join(run.train)}"
    return f"{words}, by increments" if run.increment else words


def look_table(looks: Sequence[Look], records: Sequence[Record]) -> Table:
    """How often each test part was looked at, by how many configurations, and how many of them are stored.

    The more configurations are scored on one test part, the more the best of them owes to chance.

    Raises:
        StoreError: the ledger has fewer looks of a run than its run file counts.
    """
    stored = {record.run_id for record in records}
    counted = Counter((look.run_id, look.dataset) for look in looks)
    for record in records:
        if (found := counted[record.run_id, record.dataset]) < record.test_looks:
            raise StoreError(
                f"results/looks.csv: {found} looks of {record.run_id} at {record.dataset}, whose run file counts "
                f"{record.test_looks}: lines were lost, take the file back from git"
            )
    parts: dict[tuple[str, str], list[Look]] = {}
    for look in looks:
        parts.setdefault((look.dataset, str(look.split)), []).append(look)
    rows = []
    for (dataset, split), group in sorted(parts.items()):
        times = Counter(look.run_id for look in group)
        rows.append(
            {
                "Test part": f"{dataset}, split {split}",
                "Looks": len(group),
                "Configurations and seeds": len(times),
                "Most looks at one": max(times.values()),
                "Without a stored result": len(times.keys() - stored),
                "Last": max(look.utc for look in group)[:10],
            }
        )
    if not rows:
        rows.append({"Test part": "none", "Looks": 0})
    return Table(pd.DataFrame(rows), "Looks at the test parts, from results/looks.csv")
