"""The claims ledger: for every claim of results/paper/claims.csv, what the stored runs say about it.

Which runs speak to a claim stands in study.yml. Here stands how they are judged, by the claim's kind, unit and id, so
that runs of other data sets need no change here. What nothing speaks to is "not run". What the paper's own tables
say about a claim is another matter: scgcnet/study/self_checks.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from scgcnet.study.findings import Evidence, find_out
from scgcnet.study.needs import needed
from scgcnet.study.paper import Claim, full_name, read_claims
from scgcnet.study.plan import Plan
from scgcnet.study.show import NONE
from scgcnet.study.statistics import Condition, Verdict, judge
from scgcnet.study.store import Record, Trial, load_trials
from scgcnet.study.tables import PAPER_DATASETS, SCORES, TRADED, by_configuration, condition, repeats, summary

#: Claims on a data set whose images a committed split counts: our name of the data set, and what else the claim says,
#: which no count can support.
COUNTED = {"ds_bijie": ("bijie", "each shows one date, and the paper speaks of before-and-after images")}

_BY_NEARNESS: tuple[Condition, ...] = get_args(Condition)  # same, scaled down, other data, fitted


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    Attributes:
        claim: what the paper says.
        verdict: what this study says to it.
        condition: how near what was done comes to the paper's; None where nothing was.
        records: the runs that the verdict rests on.
        finding: what they say, in a sentence with its numbers; "" where the verdict says it all.
    """

    claim: Claim
    verdict: Verdict
    condition: Condition | None = None
    records: tuple[Record, ...] = ()
    finding: str = ""

    @property
    def needs(self) -> str:
        """What a verdict would take, in words; "" where there is one, or something was found."""
        return needed(self.claim) if self.verdict == "not run" else ""

    @property
    def line(self) -> str:
        """Id, kind, verdict, condition, run ids, what was found or is needed, with tabs between; "-" for nothing."""
        runs = ",".join(record.run_id for record in self.records)
        words = self.finding or self.needs
        fields = (self.claim.id, self.claim.kind, self.verdict, self.condition or NONE, runs or NONE, words or NONE)
        return "\t".join(fields)


def ledger(
    plan: Plan, records: Sequence[Record], root: Path | None = None, trials: Sequence[Trial] | None = None
) -> list[Entry]:
    """One entry for each claim, in the order of the file.

    Args:
        plan: says which runs speak to which claims.
        records: stored runs; those on synthetic data say nothing about the paper and are left out.
        root: the project.
        trials: stored trials on real data, by which the compared runs were chosen; None for those in the store.

    Raises:
        PaperError: the claims cannot be read.
        StoreError: a file of details or a trial is broken.
    """
    real = [record for record in records if record.data_kind == "real"]
    evidence = Evidence(plan, real, load_trials("real", root) if trials is None else trials)
    planned = {run.run_id: run.claims for run in plan.runs}  # the plan's claims may be newer than the record's
    speaking: dict[str, list[Record]] = {}
    for record in records:
        for name in planned.get(record.run_id, record.claims) if record.data_kind == "real" else ():
            speaking.setdefault(name, []).append(record)
    return [_entry(claim, speaking.get(claim.id, []), plan, evidence) for claim in read_claims(root).values()]


def _entry(claim: Claim, records: Sequence[Record], plan: Plan, evidence: Evidence) -> Entry:
    if claim.id in COUNTED:
        dataset, remark = COUNTED[claim.id]
        images = _count_images(dataset)
        text = f"{images:,} images in the public set; {remark}"
        return Entry(claim, "unresolved" if images == claim.number else "contradicted", "same", finding=text)
    if found := find_out(claim, evidence):
        return Entry(claim, found.verdict, found.condition, found.records, found.text)
    if claim.kind == "fitted":
        return Entry(claim, "unresolved", "fitted")  # chosen to meet the paper's number: it can settle nothing
    conditions = {record.run_id: _condition(record, claim, plan) for record in records}
    if claim.kind == "protocol":  # a setting is followed or not; a run with others has no say
        records = [record for record in records if conditions[record.run_id] == "same"]
    if not records:
        return Entry(claim, "not run")

    def nearness(group: Sequence[Record]) -> tuple[int, int, int]:
        first = group[0]
        how = _BY_NEARNESS.index(conditions[first.run_id])
        return -how, first.params, first.config["settings"]["image_size"]

    # The configuration nearest to the paper's decides, and of that the seeds on one split, which come first.
    group, *_ = repeats(max(by_configuration(records), key=nearness)).values()
    how = conditions[group[0].run_id]
    return Entry(claim, _verdict(claim, group, how), how, tuple(group), _measured(claim, group))


def _measured(claim: Claim, group: Sequence[Record]) -> str:
    score = claim.id.rpartition("_")[2]
    return f"{SCORES[score][0]} {summary(group, 'resized', score)} %" if score in SCORES else ""


def _condition(record: Record, claim: Claim, plan: Plan) -> Condition:
    own = full_name(PAPER_DATASETS.get(record.dataset, ""))
    return condition(record, plan) if own == full_name(claim.dataset) else "other data"


def _verdict(claim: Claim, group: Sequence[Record], how: Condition) -> Verdict:
    """What repeats of one configuration say: only a claim that is the whole network's score can be judged by them.

    `judge` asks whether a score is reached, which is no question to ask of a baseline.
    """
    score = claim.id.rpartition("_")[2]
    if group[0].model != "scgcnet" or group[0].flags:
        return "unresolved"
    if claim.unit != "%" or score not in SCORES or score in TRADED:
        return "unresolved"
    return judge(float(claim.number), summary(group, "resized", score), how) or "unresolved"


def _count_images(dataset: str) -> int:
    from scgcnet.data.splits import committed_split, read_split  # brings torch along

    return len(read_split(committed_split(dataset, 0)))
