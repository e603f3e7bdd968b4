"""What findings about the paper's claims start from: stored runs, networks of each table, costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property

import pandas as pd

from scgcnet.bench.timings import FIG10
from scgcnet.chapters import ablations, comparison, merged, transfer
from scgcnet.study import results
from scgcnet.study.networks import Network, condition, gather, title_of
from scgcnet.study.paper import Paper, read_paper
from scgcnet.study.plan import Plan

PROFILE = "cpu"  # whose networks are compared
TARGET = "landslide4sense"  # stands in for GVLM
HALF = 64  # pixels, side of the images of which some of them were trained once more
PERCENTS = (0, 1, 5, 10, 20)  # of a new data set, in Fig. 8
MODULES, RATES = [f"A{n}" for n in range(1, 9)], [f"B{n}" for n in range(1, 8)]  # rows of Tables II and III


@dataclass(frozen=True)
class Evidence:
    """All that findings start from; each frame is read once."""

    plan: Plan

    @cached_property
    def paper(self) -> Paper:
        """See `read_paper`."""
        return read_paper()

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Stored runs on real data; `condition` compares each with the paper's, `claims` are as in study.yml now."""
        found, planned = results.runs(), {run.run_id: run.claims for run in self.plan.runs}
        return found.assign(
            condition=[condition(one.config, self.plan, one.n_test) for one in found.itertuples()],
            claims=[planned.get(one.run_id, one.claims) for one in found.itertuples()],
        )

    @cached_property
    def networks(self) -> dict[str, Network]:
        """The compared networks that were run on Bijie, by name."""
        return {one.name: one for one in comparison.networks("bijie", self.plan, PROFILE) if len(one.runs)}

    @cached_property
    def sides(self) -> dict[int, dict[str, Network]]:
        """The networks of Fig. 10 by the side of the images that they were trained on, pixels, and by name."""
        names = [title_of(name) for name in FIG10]
        full = [self.networks[name] for name in names if name in self.networks]
        small = {one.name: replace(one.run, settings={**one.run.settings, "image_size": HALF}) for one in full}
        half = gather(small, self.runs)
        side = int(self.plan.profile(PROFILE).settings["image_size"])
        return {HALF: {one.name: one for one in half if len(one.runs)}, side: {one.name: one for one in full}}

    @cached_property
    def merged(self) -> dict[str, list[Network]]:
        """The networks that were trained on all sources, by the name of the source of which their scores are."""
        return merged.networks(self.plan)

    @cached_property
    def experiments(self) -> dict[str, Network]:
        """The rows of Tables II and III that were run on Bijie, by name."""
        found = [one for rows in (MODULES, RATES) for one in ablations.networks(rows, self.plan, PROFILE)]
        return {one.name: one for one in found if len(one.runs)}

    @cached_property
    def increments(self) -> pd.DataFrame:
        """Runs on a new data set: model, percent, resized_iou, run_id."""
        return transfer.increment_scores(self.plan, TARGET, PROFILE)


@cache
def base_gmac(side: int) -> float:
    """GMAC of SCGC-Net's `base` for one square image: counted on the meta device, nothing is computed."""
    import torch

    from scgcnet import zoo
    from scgcnet.cost import count_cost

    with torch.device("meta"):
        model = zoo.create_model("scgcnet", "base")
    return count_cost(model, (1, 3, side, side)).gmac
