"""Tables of the chapter "The paper under audit": what scgcnet/study/audit.py found, in print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from scgcnet.study import audit
from scgcnet.study.claims import Entry
from scgcnet.study.paper import Interval, Paper, Row, full_name
from scgcnet.study.self_checks import self_check
from scgcnet.study.show import NONE, Note, Table
from scgcnet.study.tables import run_links


def row_table(paper: Paper, off_only: bool) -> Table:
    """P, R, F1 and IoU of every row held against each other, or of the rows that do not fit.

    Args:
        paper: what was read.
        off_only: leave out the consistent rows, and say what each other could be mended by.
    """
    checks = audit.check_rows(paper)
    off = [check for check in checks if not check.consistent]
    rows = [
        {"Row": name(check.row), "Table": check.row.table}
        | {score: check.row.printed[score] for score in ("P", "R", "F1")}
        | {"F1 by P and R": check.f1.percent(), "IoU": check.row.printed["IoU"]}
        | {"IoU by P and R": check.iou.percent(), "IoU by F1": check.iou_by_f1.percent()}
        | ({"One number mends it": _repairs(check.repairs)} if off_only else {"Fits": _yes(check.consistent)})
        for check in (off if off_only else checks)
    ]
    caption = f"{len(off)} of {len(checks)} rows in which P, R, F1 and IoU do not fit (%)"
    return Table(pd.DataFrame(rows), caption if off_only else f"All {len(checks)} rows of Tables I to III (%)")


def _repairs(repairs: Mapping[str, Interval]) -> str:
    return ", or ".join(f"{score} {value.percent()}" for score, value in repairs.items()) or "none"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def name(row: Row) -> str:
    """A row's label, with the data set's full name."""
    return f"{row.name}, {full_name(row.dataset)}" if row.table == "I" else row.label


def share_checks(paper: Paper) -> list[audit.ShareCheck]:
    """The implied shares of landslide pixels, for each of the three test sets."""
    return [audit.check_shares(paper, dataset) for dataset in audit.datasets(paper.table("I"))]


def share_table(checks: Sequence[audit.ShareCheck]) -> Table:
    """The share of landslide pixels that the rows of each test set agree on."""
    rows = [
        {
            "Test set": check.title,
            "Share agreed on": check.agreed.percent(),
            "Rows of Table I that allow it": f"{check.n_agree} of {check.n}",
            "Median over all rows": f"{100 * float(check.median):.2f}",
            "Far off": len(check.outliers("far")),
            "Just off": len(check.outliers("just")),
        }
        for check in checks
    ]
    return Table(pd.DataFrame(rows), "Share of landslide pixels by P, R and OA (%)")


def outlier_table(checks: Sequence[audit.ShareCheck]) -> Table:
    """The rows whose OA does not fit the agreed share, the worst of each kind first."""
    rows = [
        {
            "Row": name(found.row),
            "Table": found.row.table,
            "How far": off,
            "OA": found.row.printed["OA"],
            "OA by the agreed share": found.oa.percent(),
            "Off by": f"{float(found.oa_error):+.2f}",
            "Share by this row": found.share.percent(),
        }
        for off in ("far", "just")
        for found in sorted((f for c in checks for f in c.outliers(off)), key=lambda f: -abs(f.oa_error))
    ]
    return Table(pd.DataFrame(rows), "Rows whose overall accuracy does not fit (%)")


def equation_24_table(paper: Paper) -> Table:
    """IoU as printed in the tables, by TP / (TP + FP + FN), and by eq. 24 as it stands, for each test set."""
    rows = []
    for dataset in audit.datasets(paper.table("I")):
        found = [row for row in paper.rows.values() if row.dataset == dataset and "OA" in row.printed]
        usual = [audit.check_row(row) for row in found]
        fits = sum(check.iou.meet(check.row.interval("IoU")) is not None for check in usual)
        literal = [100 * float(audit.iou_as_printed(row)) for row in found]
        printed = [float(row.exact("IoU")) for row in found]
        rows.append(
            {
                "Test set": full_name(dataset),
                "Rows": len(found),
                "IoU in the tables": _range(printed),
                "Fit TP / (TP + FP + FN)": fits,
                "IoU by eq. 24 as printed": _range(literal),
                "Least gap to the tables": f"{min(a - b for a, b in zip(printed, literal, strict=True)):.2f}",
            }
        )
    return Table(pd.DataFrame(rows), "Two readings of IoU, rows with an OA (%)")


def _range(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{ordered[0]:.2f} to {ordered[-1]:.2f}"


def split_table(paper: Paper) -> Table:
    """The printed split beside 5:3:2 of the printed data sets."""
    split = audit.check_split(paper)
    parts = {"split_train": "training", "split_val": "validation", "split_test": "test"}
    rows = [{"Part": part, "Printed": split.printed[key], "5:3:2": split.exact[key]} for key, part in parts.items()]
    rows.append({"Part": "all", "Printed": split.total, "5:3:2": split.datasets})
    frame = pd.DataFrame(rows)
    frame["Difference"] = [f"{difference:+d}" for difference in frame["Printed"] - frame["5:3:2"]]
    return Table(frame, "Images by part")


def identical_table(paper: Paper) -> Table:
    """Rows of different experiments that are the same in every digit."""
    rows = [
        {"Rows": ", ".join(f"{name(row)} (Table {row.table})" for row in group), **group[0].printed}
        for group in audit.identical_rows(paper)
    ]
    return Table(pd.DataFrame(rows), "Rows with the same scores (%)")


def methods_note(paper: Paper) -> Note:
    """How many methods are announced, and how many have a row."""
    shown = {row.name for row in paper.table("I")} - {"Ours"}
    missing = ", ".join(audit.missing_methods(paper)) or "none"
    return Note(
        f"{len(paper.announced)} methods announced, {len(shown)} shown",
        f"Section IV-B names {len(paper.announced)} methods to compare with; Table I has {len(shown)} beside the "
        f"paper's own. Missing: {missing}.",
    )


def self_check_table(paper: Paper) -> Table:
    """Every claim that can be computed again from other numbers of the paper; what does not hold comes first."""
    checks = {claim: self_check(claim, paper) for claim in paper.claims.values()}
    rows = [
        {
            "Claim": claim.id,
            "Claimed": f"{claim.value} {claim.unit}".strip() or NONE,
            "Recomputed": check.why,
            "Result": check.outcome,
        }
        for outcome in ("does not hold", "holds")
        for claim, check in checks.items()
        if check.outcome == outcome
    ]
    return Table(pd.DataFrame(rows), "Claims recomputed from the paper's own numbers")


def growth_table(paper: Paper, base: Mapping[int, float]) -> Table:
    """Cost for each pixel by image side, and how it grows; this study counted it, the paper gives none.

    Args:
        paper: whose peers and whose claimed cost are taken.
        base: GMAC of SCGC-Net's `base` for one square image, by its side in pixels.
    """
    claimed = float(paper.claim("fig10_gflops_2048").number)
    rows = []
    for network, cost in {**paper.peers, "SCGC-Net base (fitted)": base}.items():
        per_pixel = audit.cost_per_pixel(cost)
        first, last = min(cost), max(cost)
        saved = NONE if cost is base else f"{audit.saving(claimed, cost[last]):.1f} %"
        rows.append(
            {"Network": network}
            | {f"{side} px": f"{value:.0f}" for side, value in per_pixel.items()}
            | {f"Growth, {first} to {last} px": f"{round(100 * (per_pixel[last] / per_pixel[first] - 1)):+d} %"}
            | {f"GMAC at {last} px": f"{cost[last]:.0f}", f"{claimed:.0f} is less by": saved}
        )
    return Table(pd.DataFrame(rows), "Thousands of multiply-accumulates for each pixel, by side of the image")


def ledger_table(entries: Sequence[Entry], paper: Paper) -> Table:
    """The ledger, with what the paper's own numbers say and where the claim stands."""
    rows = [
        {
            "Claim": entry.claim.id,
            "In the paper": " ".join(filter(None, (entry.claim.quote, f"({entry.claim.location})"))),
            "Verdict": entry.verdict,
            "Condition": entry.condition or NONE,
            "Runs": run_links(entry.records),
            "By the paper's own numbers": str(self_check(entry.claim, paper)),
        }
        for entry in entries
    ]
    return Table(pd.DataFrame(rows), f"The ledger: {len(rows)} claims")


def ledger_note(entries: Sequence[Entry], profile: str) -> Note:
    """How many claims have which verdict, with the runs that a book of that profile finds."""
    counts = pd.Series([entry.verdict for entry in entries]).value_counts()
    told = ", ".join(f"{verdict}: {n}" for verdict, n in counts.items())
    return Note(f"{len(entries)} claims, in a book built with the profile {profile}", f"{told}.")
