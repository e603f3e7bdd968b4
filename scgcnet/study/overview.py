"""How far the study is: profiles, runs, the paper's tables and figures, and the looks at test parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from scgcnet.study.claims import Entry
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import Look
from scgcnet.study.plan import Plan, Run
from scgcnet.study.show import Link, Table
from scgcnet.study.store import Record, state
from scgcnet.study.tables import NOT_RUN, run_links


def profile_table(plan: Plan, records: Sequence[Record]) -> Table:
    """The ladder from seconds to the paper's protocol, and how much of each rung is done."""
    done = {record.run_id for record in records}
    rows = []
    for profile in plan.profiles.values():
        runs = plan.select(profile.name)
        settings = profile.settings
        rows.append(
            {
                "Profile": profile.name,
                "What": profile.about,
                "Image": f"{settings['image_size']} px",
                "Epochs": settings["epochs"],
                "Batch": settings["batch_size"],
                "Optimiser": f"{settings['optimizer']}, {settings['lr']:g}",
                "Runs stored": f"{sum(run.run_id in done for run in runs)} of {len(runs)}",
            }
        )
    return Table(pd.DataFrame(rows), "Profiles of study.yml")


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
    """Every run of study.yml and whether it is stored, stale or not run; then stored runs beyond it."""
    stored = {record.run_id: record for record in records}
    planned = {run.run_id: run for run in plan.runs}
    rows: list[dict[str, object]] = []
    everything: dict[str, Run | Record] = {**planned, **stored}
    for run_id, run in everything.items():
        record = stored.get(run_id)
        rows.append(
            {
                "Run": Link(run_id, record.file) if record else run_id,
                "Priority": planned[run_id].priority if run_id in planned else "not in study.yml",
                "Profile": run.profile,
                "Split": run.split,
                "Seed": run.seed,
                "State": state(record),
            }
        )
    rows.sort(key=lambda row: (row["Priority"] if isinstance(row["Priority"], int) else 99, row["Profile"] != "smoke"))
    return Table(pd.DataFrame(rows), "Runs of the study")


def look_table(looks: Sequence[Look], records: Sequence[Record]) -> Table:
    """How often each test part was looked at, by how many configurations, and how many of them are stored.

    The more configurations are scored on one test part, the more the best of them owes to chance.

    Raises:
        StoreError: the ledger has fewer looks of a run than its run file counts.
    """
    stored = {record.run_id for record in records}
    counted = Counter(look.run_id for look in looks)
    for record in records:
        if counted[record.run_id] < record.test_looks:
            raise StoreError(
                f"results/looks.csv: {counted[record.run_id]} looks of {record.run_id}, whose run file counts "
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
