"""The competitors: what the networks are, what they cost, and whether our counts agree with published ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from scgcnet import peers, plots, zoo
from scgcnet.cost import count_cost, count_params
from scgcnet.study.show import NONE, Table

PARAMS_TOLERANCE = 0.005  # relative
GMAC_TOLERANCE = 0.03
AGREES = "agrees"
_FOLDER = Path(peers.__file__).parent


def networks() -> pd.DataFrame:
    """One row per network, by its name in the zoo: title, year, size (the published preset), idea, source, licence."""
    return pd.read_csv(_FOLDER / "networks.csv", index_col="name")


def published_counts() -> pd.DataFrame:
    """One row per published count, each network's main one first.

    Counts (`params_m`, `gmac`) are the printed text, empty where none was printed. Parameters include the heads that
    only training uses where `auxiliary` says so; GMAC never do. `tolerance` replaces both usual ones.
    """
    printed = {"params_m": str, "gmac": str}
    return pd.read_csv(_FOLDER / "counts.csv", dtype=printed, keep_default_na=False, na_values={"tolerance": [""]})


def allowed_difference(printed: str, tolerance: float) -> float:
    """Relative to a printed count; half a unit of its last digit where it has one or two digits."""
    digits = printed.replace(".", "").lstrip("0")
    return 0.5 * 10.0 ** -len(printed.partition(".")[2]) if len(digits) <= 2 else tolerance * float(printed)


def check_counts(published: pd.DataFrame) -> pd.DataFrame:
    """Counts the same networks: adds `counted` (as text), `params_ours`, `gmac_ours` and `check`."""
    rows = []
    for row in published.to_dict("records"):
        options = {key: int(value) for key, value in (pair.split("=") for pair in row["options"].split())}
        size = (row["height"], row["width"])
        params, (gmac,) = _count(row["network"], row["size"], [size], row["auxiliary"], **options)
        faults = [
            f"{what}: {ours:.2f} {unit}, the reference has {printed}"
            for what, ours, printed, unit, usual in (
                ("parameters", params, row["params_m"], "M", PARAMS_TOLERANCE),
                ("cost", gmac, row["gmac"], "GMAC", GMAC_TOLERANCE),
            )
            for limit in [usual if math.isnan(row["tolerance"]) else row["tolerance"]]
            if printed and abs(ours - float(printed)) > allowed_difference(printed, limit)
        ]
        classes = options.pop("num_classes", 2)
        parts = [row["size"], *(f"{key} {value}" for key, value in options.items())]
        parts += [f"{classes} class{'es' * (classes != 1)}", f"{row['height']}x{row['width']}"]
        ours = {"counted": ", ".join(parts), "params_ours": params, "gmac_ours": gmac}
        rows.append({**row, **ours, "check": "; ".join(faults) or AGREES})
    return pd.DataFrame(rows)


def _count(
    name: str, size: str, shapes: Sequence[tuple[int, int]], auxiliary: bool, **options: int
) -> tuple[float, list[float]]:
    """Parameters in millions, and GMAC for one image of each shape."""
    with torch.device("meta"):
        model = zoo.create_model(name, size, **options)
    return count_params(model, auxiliary=auxiliary) / 1e6, [count_cost(model, (1, 3, *shape)).gmac for shape in shapes]


def count_costs(sides: Sequence[int], size: str | None = None, *, auxiliary: bool = False) -> pd.DataFrame:
    """`params` in millions and `GMAC at SIDE` of every network, by name in the zoo, with two classes.

    `size` is by default the one published; `auxiliary` counts the heads that only training uses.
    """
    rows = {}
    for name, published in networks()["size"].items():
        params, costs = _count(str(name), size or published, [(side, side) for side in sides], auxiliary)
        rows[name] = {"params": params} | {f"GMAC at {side}": gmac for side, gmac in zip(sides, costs, strict=True)}
    return pd.DataFrame.from_dict(rows, orient="index")


def per_megapixel(costs: pd.DataFrame) -> dict[int, pd.Series[float]]:
    """GMAC for a million pixels, by image side, of a frame of `count_costs`."""
    sides = [int(column.removeprefix("GMAC at ")) for column in costs if column != "params"]
    return {side: costs[f"GMAC at {side}"] / (side * side / 1e6) for side in sides}


def overview_table(costs: pd.DataFrame, checked: pd.DataFrame) -> Table:
    """One row per network: year, idea, `count_costs` at any sides, and its main count of `check_counts`."""
    main = checked.drop_duplicates("network").set_index("network").loc[costs.index]
    about, density = networks().loc[costs.index], per_megapixel(costs)
    first = next(iter(density))
    ours = zip(main.params_ours, main.gmac_ours, strict=True)
    columns = {
        "Network": about.title,
        "Check": main.check,
        "Year": about.year,
        "Idea": about.idea,
        "Parameters (M)": costs.params.map("{:.2f}".format),
        f"GMAC at {first}": costs[f"GMAC at {first}"].map("{:.1f}".format),
        **{f"GMAC per megapixel at {side}": values.map("{:.0f}".format) for side, values in density.items()},
        "Reference count": [_both(*printed) for printed in zip(main.params_m, main.gmac, strict=True)],
        "Ours, counted so": [_both(f"{params:.2f}", f"{gmac:.1f}") for params, gmac in ours],
        "Counted by": main.source + "; " + main.counted,
    }
    return Table(pd.DataFrame(columns), "The networks of the study, at their published sizes with two classes")


def sources_table() -> Table:
    """The code that each network is built from, and its licence."""
    names = {"title": "Network", "built_from": "Built from", "licence": "Licence of the source"}
    return Table(networks()[list(names)].rename(columns=names), "Where the networks come from")


def tiny_table() -> Table:
    """Parameters and cost at 128 x 128 of every network's size `tiny`."""
    costs = count_costs((128,), "tiny", auxiliary=True).sort_values("GMAC at 128")
    columns = {
        "Network": networks().title.loc[costs.index],
        "Parameters with the heads of training (M)": costs.params.map("{:.2f}".format),
        "GMAC at 128": costs["GMAC at 128"].map("{:.4f}".format),
    }
    return Table(pd.DataFrame(columns), "The size tiny of every network, two classes")


def counts_table(checked: pd.DataFrame) -> Table:
    """Every published count beside ours."""
    columns = {
        "Network": checked.network.map(networks().title),
        "Counted": checked.counted,
        "Reference": checked.source,
        "Parameters, reference (M)": checked.params_m.replace("", NONE),
        "Parameters, ours (M)": checked.params_ours.map("{:.2f}".format),
        "GMAC, reference": checked.gmac.replace("", NONE),
        "GMAC, ours": checked.gmac_ours.map("{:.1f}".format),
        "Check": checked.check,
    }
    return Table(pd.DataFrame(columns), "Published counts beside ours")


def cost_figure(costs: pd.DataFrame, highlighted: str) -> Figure:
    """Parameters and GMAC per megapixel of every network; `highlighted` is a name in the zoo."""
    titles, density = networks().title, per_megapixel(costs)
    rows = {titles[name]: (costs.params[name], *(values[name] for values in density.values())) for name in costs.index}
    return plots.cost_dots(rows, titles[highlighted], list(density))


def _both(params: str, gmac: str) -> str:
    return ", ".join([f"{params} M"] * bool(params) + [f"{gmac} GMAC"] * bool(gmac))
