"""The networks side by side: what they are, what they cost, and whether our count is their authors'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import torch

from scgcnet import zoo
from scgcnet.cost import count_cost, count_params
from scgcnet.peers.catalogue import ENTRIES, GMAC_TOLERANCE, PARAMS_TOLERANCE, Entry, Reference, allowed
from scgcnet.study.show import NONE, Table
from scgcnet.study.tables import FULL_SIZES


@dataclass(frozen=True)
class Check:
    """A published count and ours of the same network.

    Attributes:
        name: in the zoo.
        reference: what was published.
        params: ours, in millions.
        gmac: ours, in billions of multiply-accumulates.
    """

    name: str
    reference: Reference
    params: float
    gmac: float

    @property
    def faults(self) -> list[str]:
        """What lies out of tolerance, in words; nothing where all is well."""
        relative = self.reference.tolerance
        pairs = (
            ("parameters", self.reference.params, self.params, relative or PARAMS_TOLERANCE, "M"),
            ("cost", self.reference.gmac, self.gmac, relative or GMAC_TOLERANCE, "GMAC"),
        )
        return [
            f"{what}: {ours:.2f} {unit}, the reference has {printed}"
            for what, printed, ours, tolerance, unit in pairs
            if printed and abs(ours - float(printed)) > allowed(printed, tolerance)
        ]

    @property
    def says(self) -> str:
        """The check in a cell of a table."""
        return "; ".join(self.faults) or "agrees"


def check(name: str, reference: Reference) -> Check:
    """Builds the network as the reference has it, on the meta device, and counts it."""
    with torch.device("meta"):
        model = zoo.create_model(name, reference.size, **reference.options)
    cost = count_cost(model, (1, 3, *reference.shape))
    return Check(name, reference, count_params(model, auxiliary=reference.auxiliary) / 1e6, cost.gmac)


def check_all(names: Sequence[str] = tuple(ENTRIES)) -> list[Check]:
    """Every published count of some networks beside ours."""
    return [check(name, reference) for name in names for reference in ENTRIES[name].references]


def reference_table(checks: Sequence[Check]) -> Table:
    """Published counts and ours, row by row."""
    rows = [
        {
            "Network": ENTRIES[c.name].title,
            "Counted": c.reference.label,
            "Reference": c.reference.source,
            "Parameters, reference (M)": c.reference.params or NONE,
            "Parameters, ours (M)": f"{c.params:.2f}",
            "GMAC, reference": c.reference.gmac or NONE,
            "GMAC, ours": f"{c.gmac:.1f}",
            "Check": c.says,
        }
        for c in checks
    ]
    return Table(pd.DataFrame(rows), "Published counts beside ours")


def cost_frame(sides: Sequence[int] = (512, 2048), size: str | None = None, *, auxiliary: bool = False) -> pd.DataFrame:
    """Parameters and cost of every network as the study trains it.

    Args:
        sides: of square RGB images, pixels.
        size: preset; None for the published size of each, `paper`.
        auxiliary: count the parameters of heads that only training uses.

    Returns:
        One row per network with two classes, by its name in the zoo: `params` in millions, and `GMAC at SIDE` for each
        side.
    """
    rows = {}
    for name in ENTRIES:
        with torch.device("meta"):
            model = zoo.create_model(name, size or FULL_SIZES.get(name, "paper"))
        rows[name] = {"params": count_params(model, auxiliary=auxiliary) / 1e6} | {
            f"GMAC at {side}": count_cost(model, (1, 3, side, side)).gmac for side in sides
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def per_megapixel(gmac: float, side: int) -> float:
    """GMAC for a million pixels of a square image."""
    return gmac / (side * side / 1e6)


def who_is_who(costs: pd.DataFrame, checks: Sequence[Check]) -> Table:
    """One row per network: year, idea, cost as trained here, and the reference count beside ours.

    Args:
        costs: `cost_frame`, at any sides.
        checks: `check_all`; the first of each network stands in its row.
    """
    first = {c.name: c for c in reversed(checks)}
    rows = [_row(name, entry, costs.loc[name], first[name]) for name, entry in ENTRIES.items()]
    return Table(pd.DataFrame(rows), "The networks of the study, at their published sizes with two classes")


def origins() -> Table:
    """Whose code each network is built from, and under which licence that is."""
    rows = [
        {"Network": entry.title, "Built from": entry.taken_from, "Licence of the source": entry.licence}
        for entry in ENTRIES.values()
    ]
    return Table(pd.DataFrame(rows), "Where the networks come from")


def tiny_table() -> Table:
    """Parameters and cost at 128 x 128 of everyone's size `tiny`."""
    costs = cost_frame((128,), "tiny", auxiliary=True).sort_values("GMAC at 128")
    rows = [
        {
            "Network": ENTRIES[str(name)].title,
            "Parameters with the heads of training (M)": f"{cost['params']:.2f}",
            "GMAC at 128": f"{cost['GMAC at 128']:.4f}",
        }
        for name, cost in costs.iterrows()
    ]
    return Table(pd.DataFrame(rows), "The size tiny of every network, two classes")


def _row(name: str, entry: Entry, cost: pd.Series[float], checked: Check) -> dict[str, object]:
    reference = checked.reference
    sides = [int(str(column).rpartition(" ")[2]) for column in cost.index if column != "params"]
    return {
        "Network": entry.title,
        "Check": checked.says,
        "Year": entry.year,
        "Idea": entry.idea,
        "Parameters (M)": f"{cost['params']:.2f}",
        f"GMAC at {sides[0]}": f"{cost[f'GMAC at {sides[0]}']:.1f}",
        **{f"GMAC per megapixel at {side}": f"{per_megapixel(cost[f'GMAC at {side}'], side):.0f}" for side in sides},
        "Reference count": _both(reference.params, reference.gmac),
        "Ours, counted so": _both(f"{checked.params:.2f}", f"{checked.gmac:.1f}"),
        "Counted by": f"{reference.source}; {reference.label}",
    }


def _both(params: str, gmac: str) -> str:
    return ", ".join([f"{params} M"] * bool(params) + [f"{gmac} GMAC"] * bool(gmac))
