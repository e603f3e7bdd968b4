"""The chapter "The paper under audit": the paper's numbers against each other, eq. 19, and the ledger of claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import pandas as pd
import torch

from scgcnet.model.psccs import warp
from scgcnet.study.consistency import (
    RowCheck,
    ShareCheck,
    check_claims,
    check_row,
    check_shares,
    check_split,
    iou_as_printed,
    saving,
)
from scgcnet.study.paper import Interval, Paper, Row, full_name
from scgcnet.study.show import NONE, Note, Table


def row_table(paper: Paper, off_only: bool) -> Table:
    """P, R, F1 and IoU of every row against each other, or of the inconsistent rows with what would repair each."""
    checks = [check_row(row) for row in paper.rows.values()]
    off = [check for check in checks if not check.consistent]
    rows = [
        {"Row": name(check.row), "Table": check.row.table}
        | {score: check.row.printed[score] for score in ("P", "R", "F1")}
        | {"F1 by P and R": check.f1.percent(), "IoU": check.row.printed["IoU"]}
        | {"IoU by P and R": check.iou.percent(), "IoU by F1": check.iou_by_f1.percent()}
        | ({"One number mends it": _repairs(check)} if off_only else {"Fits": "yes" if check.consistent else "no"})
        for check in (off if off_only else checks)
    ]
    caption = f"{len(off)} of {len(checks)} rows in which P, R, F1 and IoU do not fit (%)"
    return Table(pd.DataFrame(rows), caption if off_only else f"All {len(checks)} rows of Tables I to III (%)")


def _repairs(check: RowCheck) -> str:
    return ", or ".join(f"{score} {value.percent()}" for score, value in check.repairs.items()) or "none"


def name(row: Row) -> str:
    """A row's label, with the data set's full name."""
    return f"{row.name}, {full_name(row.dataset)}" if row.table == "I" else row.label


def share_checks(paper: Paper) -> list[ShareCheck]:
    """The implied shares of landslide pixels, for each of the three test sets."""
    return [check_shares(paper, dataset) for dataset in paper.datasets]


def share_table(checks: Sequence[ShareCheck]) -> Table:
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


def share_panels(checks: Sequence[ShareCheck]) -> tuple[dict[str, pd.DataFrame], dict[str, tuple[float, float]]]:
    """Implied shares of each test set, for `plots.implied_shares`; the text of a row is its OA, printed and fitting."""
    panels, agreed = {}, {}
    for check in checks:
        title = f"{check.title}: {check.agreed.percent()} %"
        agreed[title] = _points(check.agreed, check.agreed.middle)
        rows = [
            (
                one.row.name,
                *_points(one.share, check.agreed.middle),
                one.off,
                f"{one.row.printed['OA']} → {100 * float(one.oa.middle):.2f}",
            )
            for one in check.rows
        ]
        panels[title] = pd.DataFrame(rows, columns=["name", "low", "high", "off", "text"])
    return panels, agreed


def _points(share: Interval, origin: Fraction) -> tuple[float, float]:
    return float(100 * (share.low - origin)), float(100 * (share.high - origin))


def outlier_table(checks: Sequence[ShareCheck]) -> Table:
    """The rows whose OA does not fit the agreed share, the worst of each kind first."""
    rows = [
        {
            "Row": name(found.row),
            "Table": found.row.table,
            "How far": found.off,
            "OA": found.row.printed["OA"],
            "OA by the agreed share": found.oa.percent(),
            "Off by": f"{float(found.oa_error):+.2f}",
            "Share by this row": found.share.percent(),
        }
        for found in sorted(
            (found for check in checks for found in check.rows if found.off),
            key=lambda found: (found.off != "far", -abs(found.oa_error)),
        )
    ]
    return Table(pd.DataFrame(rows), "Rows whose overall accuracy does not fit (%)")


def equation_24_table(paper: Paper) -> Table:
    """IoU as printed in the tables, by TP / (TP + FP + FN), and by eq. 24 as it stands, for each test set."""
    rows = [row for row in paper.rows.values() if "OA" in row.printed]
    columns = {
        "Test set": [full_name(row.dataset) for row in rows],
        "printed": [float(row.exact("IoU")) for row in rows],
        "literal": [100 * float(iou_as_printed(row)) for row in rows],
        "fits": [check_row(row).iou.meet(row.interval("IoU")) is not None for row in rows],
    }
    found = pd.DataFrame(columns)
    by = found.assign(gap=found.printed - found.literal).groupby("Test set", sort=False)
    table = {
        "Rows": by.size(),
        "IoU in the tables": by.printed.agg(_range),
        "Fit TP / (TP + FP + FN)": by.fits.sum(),
        "IoU by eq. 24 as printed": by.literal.agg(_range),
        "Least gap to the tables": by.gap.min().map("{:.2f}".format),
    }
    return Table(pd.DataFrame(table).reset_index(), "Two readings of IoU, rows with an OA (%)")


def _range(values: pd.Series) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"


def equation_19_table(seed: int = 0) -> Table:
    """Largest differences between eq. 19 as printed and its two repairs, on random maps of variance 1.

    The offsets are about two pixels. Both branches are built alike (eq. 18), so that a network with one repair computes
    what one with the other does whose branches are exchanged.
    """
    generator = torch.Generator().manual_seed(seed)
    coarse, fine = torch.randn(2, 1, 4, 12, 16, generator=generator)  # F_i, upsampled, and F_{i+1}: (B, C, H, W)
    up, down = 2 * torch.randn(2, 1, 2, 12, 16, generator=generator)  # offsets: (B, 2, H, W)
    none, still = torch.zeros_like(fine), torch.zeros_like(up)
    printed = warp(fine, up) + coarse + (warp(fine, down) + fine)
    first = warp(coarse, up) + coarse + (warp(fine, down) + fine)  # F_i for F_{i+1} in the first line; the network's
    second = warp(fine, down) + coarse + (warp(coarse, up) + fine)  # in the second line, with the branches exchanged
    rows = {
        "As printed, against the first repair": printed - first,
        "First repair, against the second with its branches exchanged": first - second,
        "As printed, with a fine map of zeros: moved by the offsets": warp(none, up) - warp(none, still),
        "First repair, with a fine map of zeros: moved by the offsets": warp(coarse, up) - warp(coarse, still),
    }
    largest = [f"{float(difference.abs().max()):.2g}" for difference in rows.values()]
    frame = pd.DataFrame({"What": list(rows), "Largest difference": largest})
    return Table(frame, "Eq. 19 as printed and repaired, on random maps")


def split_table(paper: Paper) -> Table:
    """The printed split beside 5:3:2 of the printed data sets."""
    split = check_split(paper)
    split.loc["all"] = split.sum()
    split.insert(0, "Part", ["training", "validation", "test", "all"])
    split["Difference"] = (split.printed - split.exact).map("{:+d}".format)
    return Table(split.rename(columns={"printed": "Printed", "exact": "5:3:2"}), "Images by part")


def identical_table(paper: Paper) -> Table:
    """Rows of different experiments that are the same in every digit, as far as both tables give them."""
    scores = pd.DataFrame([{**row.printed, "Rows": f"{name(row)} (Table {row.table})"} for row in paper.rows.values()])
    same = scores[scores.duplicated(["P", "R", "F1", "IoU"], keep=False)].groupby(["P", "R", "F1", "IoU"], sort=False)
    table = same.agg({"Rows": ", ".join, "OA": "first"}).reset_index()
    return Table(table[["Rows", "P", "R", "F1", "IoU", "OA"]], "Rows with the same scores (%)")


def methods_note(paper: Paper) -> Note:
    """How many methods are announced, and how many have a row; matched by their reference."""
    shown = {row.reference for row in paper.table("I")} - {""}
    missing = ", ".join(name for name, reference in paper.announced.items() if reference not in shown) or "none"
    text = f"Section IV-B names {len(paper.announced)} methods to compare with; Table I has {len(shown)} beside the "
    text += f"paper's own. Missing: {missing}."
    return Note(f"{len(paper.announced)} methods announced, {len(shown)} shown", text)


def claim_check_table(paper: Paper) -> Table:
    """Every claim that can be computed again from other numbers of the paper; those that do not hold come first."""
    found = check_claims(paper).join(paper.claims)
    found = found[found.result != "cannot be told"].sort_values("result", kind="stable")
    table = {
        "Claim": found.id,
        "Claimed": (found.value + " " + found.unit).str.strip().replace("", NONE),
        "Recomputed": found.why,
        "Result": found.result,
    }
    return Table(pd.DataFrame(table), "Claims recomputed from the paper's own numbers")


def growth_table(paper: Paper, base: Mapping[int, float]) -> Table:
    """Counted cost per pixel by image side, and its growth; `base` is the GMAC of SCGC-Net by side in pixels."""
    costs = pd.DataFrame({**paper.peers, "SCGC-Net base (fitted)": base}).T
    per_pixel = 1e6 * costs / costs.columns.to_numpy() ** 2
    first, last, claimed = costs.columns.min(), costs.columns.max(), float(paper.number("fig10_gflops_2048"))
    table = per_pixel.map("{:.0f}".format).add_suffix(" px")
    growth = 100 * (per_pixel[last] / per_pixel[first] - 1)
    table[f"Growth, {first} to {last} px"] = growth.round().astype(int).map("{:+d} %".format)
    table[f"GMAC at {last} px"] = costs[last].map("{:.0f}".format)
    table[f"{claimed:.0f} is less by"] = [f"{saving(claimed, cost):.1f} %" for cost in costs[last][:-1]] + [NONE]
    caption = "Thousands of multiply-accumulates per pixel, by side of the image"
    return Table(table.reset_index(names="Network"), caption)
