"""The replication report: what held, what did not, what is open, and what was done otherwise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

import pandas as pd

from scgcnet.study.claims import Entry
from scgcnet.study.looks import Look
from scgcnet.study.show import NONE, Note, Sentences, Table
from scgcnet.study.store import Record
from scgcnet.study.tables import many, run_links

#: What was done otherwise than the paper says, and why; rows of the report.
DEVIATIONS = (
    ("Size", "a network of 3066 GMAC at 2048 px", "`tiny`, 1.2 M parameters", "no graphics card was at hand"),
    ("Image side", "512 px", "128 px", "the same; both are trained and scored at it"),
    ("Epochs", "400", "40", "{minutes} a run on one core, wall time, machine shared with other jobs"),
    ("Optimiser", "Adam, 2e-4, weight decay 1e-4", "AdamW, 2e-3 or the rate that won its trials, 1e-2, cosine decay",
     "chosen on validation for a short training; the same for all networks"),
    ("Augmentation", "random scale and crop, horizontal flips, colour; strengths not given",
     "the same kinds, scale 0.9 to 1.2, vertical flips and quarter turns as well", "chosen on validation"),
    ("Training data", "CLD, HR-GLDD and Bijie merged, or each alone: the text leaves it open", "each data set alone",
     "of CLD 36 tiles are at hand, of HR-GLDD none"),
    ("Splits", "5:3:2, not published", "5:3:2, three drawn and committed; one over groups that share ground",
     "a result must be repeatable"),
    ("Test part", "how often it was looked at is not said",
     "each scoring noted before the score is known; again only after a new training or to count by image: {looks}",
     "recipe and thresholds were chosen on validation; which networks got more seeds was decided by test IoU of seed "
     "0; the recipe of `tiny-multisource` was chosen on all images of each domain left out, its test part too, so its "
     "test scores are not untouched"),
    ("Seeds", "number not given", "one to three, each with its run file", "what lies within the seeds is left open"),
    ("Ablations", "on CLD", "on Bijie", "CLD as a whole is not at hand; no difference from the paper is printed"),
    ("New domain", "GVLM after CLD, HR-GLDD and Bijie", "Landslide4Sense after Bijie",
     "neither GVLM nor all of its sources are at hand"),
    ("Pre-training", "not said", "none", "every network starts from random weights"),
    ("Comparison methods", "17 announced, 16 in Table I; sizes not given", "all 17, narrowed to equal compute",
     "a ranking at unequal cost tells little"),
    ("Parts that the text leaves open", "see the chapter The network", "one documented choice each",
     "every choice is a field of the configuration"),
)  # fmt: skip


#: The claims whose findings sum up the rest, in the order of the paper.
LEADING = (
    "bijie_iou", "bijie_iou_gain", "best_all_metrics", "a8_gain", "hmie_largest_part", "b2_b7_beat_b1", "small_slides",
    "fewer_false", "sharper_edges", "fig8_best_at_0", "fig8_lead_at_20", "fig10_scaling",
)  # fmt: skip


def findings(entries: Sequence[Entry]) -> Sentences:
    """What was found about the claims that matter most, each as the paper's words, the finding and the verdict."""
    told = {entry.claim.id: entry for entry in entries if entry.finding}
    return (
        Sentences(
            tuple(
                f"“{entry.claim.quote}”: {entry.finding}. {entry.verdict.capitalize()}, {entry.condition}."
                for entry in (told[name] for name in LEADING if name in told)
            )
        )
        if told.keys() & set(LEADING)
        else Sentences(("Nothing was found yet: no run on real images is stored.",))
    )


def summary_note(entries: Sequence[Entry]) -> Note:
    """How many claims have each kind of verdict, in a box; settings of the protocol are told apart."""
    settings = [entry for entry in entries if entry.claim.kind == "protocol"]
    entries = [entry for entry in entries if entry.claim.kind != "protocol"]
    counts = Counter(entry.verdict for entry in entries)
    near = Counter(entry.condition for entry in entries if entry.verdict == "unresolved" and entry.condition)
    parts = ", ".join(f"{number} {condition}" for condition, number in near.most_common())
    text = (
        f"{len(entries)} claims. Supported: {counts['supported']}. Contradicted: {counts['contradicted']}. Unresolved, "
    )
    text += (
        f"although something was measured or counted: {counts['unresolved']} ({parts}). Not run: {counts['not run']}."
    )
    followed = sum(entry.verdict != "not run" for entry in settings)
    text += (
        f" Besides, the paper states {len(settings)} settings of its protocol; stored runs follow {followed} of them"
        f"{', none all of them' * (followed < len(settings))}."
    )
    return Note("Where the replication stands", text)


def verdict_table(entries: Sequence[Entry]) -> Table:
    """How many claims of each kind have which verdict."""
    kinds = list(dict.fromkeys(entry.claim.kind for entry in entries))
    verdicts = ("supported", "contradicted", "unresolved", "not run")
    rows = [
        {"Kind": kind}
        | {v: sum(entry.claim.kind == kind and entry.verdict == v for entry in entries) for v in verdicts}
        for kind in kinds
    ]
    return Table(pd.DataFrame(rows), "Claims by kind and verdict")


def claim_table(entries: Sequence[Entry], kind: str) -> Table:
    """Every claim of one kind with its verdict, what was found, the runs behind it, or what it would take."""
    rows = [
        {
            "Claim": entry.claim.id,
            "The paper": entry.claim.quote or f"{entry.claim.value} {entry.claim.unit}".strip(),
            "Verdict": entry.verdict,
            "Condition": entry.condition or NONE,
            "Found, or what it would take": entry.finding or entry.needs or NONE,
            "On": entry.claim.dataset or NONE,
            "Runs": run_links(entry.records),
        }
        for entry in entries
        if entry.claim.kind == kind
    ]
    return Table(pd.DataFrame(rows or [{"Claim": f"none of the kind {kind}"}]), f"Claims of the kind {kind}")


def deviation_table(records: Sequence[Record], looks: Sequence[Look]) -> Table:
    """What was done otherwise than the paper says.

    Args:
        records: stored runs on real data, which tell how long a run takes.
        looks: at the test parts of real data.
    """
    minutes = sorted(record.wall_s / 60 for record in records if (record.profile, record.dataset) == ("cpu", "bijie"))
    took = (
        f"{minutes[0]:.0f} to {minutes[-1]:.0f} minutes, median {median(minutes):.0f}," if minutes else "some minutes"
    )
    most = max(Counter((look.dataset, look.split, look.run_id) for look in looks).values(), default=0)
    told = {"minutes": took, "looks": f"at most {many(most, 'look')} at one test part by one configuration"}
    rows = [[cell.format(**told) for cell in row] for row in DEVIATIONS]
    return Table(pd.DataFrame(rows, columns=["What", "The paper", "Here", "Why"]), "Deviations")
