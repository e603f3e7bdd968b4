"""Networks to compare: each by its stored trainings with different seeds, as frames of runs and of test images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from scgcnet.study import results, stats
from scgcnet.study.paper import PAPER_DATASETS, PAPER_TEST_IMAGES
from scgcnet.study.plan import Plan
from scgcnet.study.runs import Run, at_home, configuration
from scgcnet.study.show import NONE, Link, Links

NOT_RUN = "not run"
OURS = "SCGC-Net"
JOINT = "95 % over all seeds, jointly"


@cache
def _titles() -> dict[str, str]:
    file = resources.files("scgcnet.peers") / "networks.csv"
    return dict(pd.read_csv(str(file), index_col="name").title)


#: Data sets as their authors write them.
DATA_SETS = {
    "bijie": "Bijie", "landslide4sense": "Landslide4Sense", "cld": "CLD", "amunet": "AMU-Net", "sichuan": "Sichuan",
    "hrgldd": "HR-GLDD", "gvlm": "GVLM", "bijie_negatives": "Bijie, landslide-free",
    "landslide_free": "AID and NWPU, landslide-free",
}  # fmt: skip


def data_set(name: str) -> str:
    """The name of a data set in a sentence."""
    return DATA_SETS.get(name, name)


def title_of(model: str) -> str:
    """The name of a network of the zoo as its paper writes it."""
    return _titles().get(model, model)


@dataclass(frozen=True)
class Network:
    """One network and its stored trainings with different seeds on one split."""

    name: str
    run: Run  # one of those planned
    runs: pd.DataFrame  # `results.frame` of those stored, a row per seed
    source: str = ""  # the data set that its images are of, where it is not the one of `run`

    @cached_property
    def images(self) -> pd.DataFrame:
        """Its per-image counts (`results.images`); empty if none were taken."""
        return results.images(self.runs, self.source)

    @cached_property
    def free(self) -> pd.DataFrame:
        """Its counts on landslide-free images (`results.free_images`)."""
        return results.free_images(self.runs)

    @property
    def counted(self) -> list[int]:
        """The seeds that have per-image counts."""
        return [] if self.images.empty else list(dict.fromkeys(self.images.seed))

    @property
    def groups(self) -> list[str]:
        """Of each test image, the label shared by images that show some of the same ground."""
        return list(self.images[self.images.run_id == self.images.run_id.iloc[0]].group)

    def scores(self, score: str = "iou", way: str = "resized") -> list[float]:
        """A score of each seed, percent."""
        return [float(value) for value in self.runs.get(f"{way}_{score}", [])]

    def mean(self, score: str = "iou", way: str = "resized") -> float:
        """Mean over seeds, percent; NaN if not run."""
        return float(np.mean(self.scores(score, way))) if len(self.runs) else float("nan")

    def summary(self, score: str = "iou", way: str = "resized") -> stats.Summary | None:
        """Mean and interval over seeds, percent; None if not run."""
        return stats.summarize(self.scores(score, way), (0, 100)) if len(self.runs) else None

    def counts(self, way: str = "resized", seeds: Sequence[int] | None = None) -> stats.Array:
        """tp, fp, fn, tn by seed and test image, (seeds, n, 4), at the input size or at "native" size."""
        names = [f"{'native_' * (way == 'native')}{key}" for key in ("tp", "fp", "fn", "tn")]
        chosen = self.images if seeds is None else self.images[self.images.seed.isin(seeds)]
        found: stats.Array = chosen[names].to_numpy(np.int64).reshape(chosen.run_id.nunique(), -1, 4)
        return found

    def image_interval(self, score: str = "iou") -> stats.Interval | None:
        """A score with its interval over test images; None without counts, or if all images share one ground."""
        return stats.bootstrap(self.counts(), score, self.groups) if self.counted else None


def gather(planned: Mapping[str, Run], stored: pd.DataFrame) -> list[Network]:
    """The stored trainings of each planned run (by the network's name) that differ from it in the seed alone.

    Raises:
        ValueError: two networks were scored on different test images.
    """
    found = []
    for name, run in planned.items():
        alike = stored[(stored.configuration == configuration(run.config)) & (stored.split == str(run.split))]
        found.append(Network(name, run, next(iter(repeats(alike).values()), alike)))
    tested = {tuple(image.image) for one in found for _, image in one.images.groupby("run_id")} if found else set()
    if len(tested) > 1:
        raise ValueError("these networks were scored on different test images: they cannot be compared by image")
    return found


def whole_runs(plan: Plan, profile: str | None = None, **fields: object) -> list[Run]:
    """The planned runs of unaltered networks, trained and tested on one data set, with these fields of `Run`."""
    return [
        run
        for run in plan.select(profile)
        if all(getattr(run, key) == value for key, value in fields.items()) and run.unaltered and at_home(run.config)
    ]


def rate_trials(plan: Plan, trials: pd.DataFrame, dataset: str, profile: str) -> pd.DataFrame:
    """The planned trials of learning rates on a data set, in the order of study.yml, indexed by run id.

    Columns: model, size, split, seed, lr and, if stored (`results.trials`), val_iou in percent and file; else NaN.
    """
    planned = [run for run in plan.trials if (run.dataset, run.profile) == (dataset, profile)]
    rows = [(run.model, run.size, run.split, run.seed, float(run.settings["lr"])) for run in planned]
    names = ["model", "size", "split", "seed", "lr"]
    return pd.DataFrame(rows, [run.run_id for run in planned], names).join(trials[["val_iou", "file"]])


def chosen_runs(plan: Plan, trials: pd.DataFrame, dataset: str, profile: str) -> dict[str, Run]:
    """The run by which each network with trials is compared: the rate that won them, the split and seed of the trials.

    If a trial is missing, or no run is planned with that rate, it is the network's first planned run.
    """
    chosen = {}
    for model, tried in rate_trials(plan, trials, dataset, profile).groupby("model", sort=False):
        alike = tried[["model", "size", "split", "seed"]].iloc[0].to_dict()
        candidates = whole_runs(plan, profile, dataset=dataset, **alike)
        best = best_rate(tried)
        chosen[str(model)] = next((run for run in candidates if run.settings["lr"] == best), candidates[0])
    return chosen


def best_rate(tried: pd.DataFrame) -> float:
    """The rate that won the `rate_trials` of one network, the first of equals; NaN if one is missing."""
    return float(tried.lr[tried.val_iou.idxmax()]) if len(tried) and tried.val_iou.notna().all() else float("nan")


def repeats(stored: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Repeats of one configuration, by a label such as "3 seeds on split 0, 154 images": over seeds, and over splits.

    Runs of another protocol or on other images are no repeats: the newest protocol counts, then the largest group.
    """
    if stored.empty:
        return {}
    alike = [group for _, group in stored.groupby(["protocol", "data_sha256"])]
    chosen = max(alike, key=lambda group: (group.protocol.iloc[0], len(group))).sort_values(["split", "seed"])
    split, seeds = max(chosen.groupby("split"), key=lambda item: len(item[1]))  # the first of equals
    images = int(seeds.n_test.iloc[0])
    groups = {f"{many(len(seeds), 'seed')} on split {split}, {images} images": seeds}
    seed, splits = max(chosen.groupby("seed"), key=lambda item: len(item[1]))
    if len(splits) > 1:
        groups[f"{many(len(splits), 'split')}, seed {seed}, {images} images each"] = splits
    return groups


def by_configuration(stored: pd.DataFrame) -> list[pd.DataFrame]:
    """Runs that differ in split and seed alone, together; splits of another kind are another configuration."""
    kind = stored.split.map(kind_of_split)
    return [group for _, group in stored.groupby([stored.configuration, kind], sort=False)]


def kind_of_split(split: int | str) -> str:
    """What a split keeps apart, such as "grouped" of grouped-0; "" of a number."""
    return str(split).rpartition("-")[0]


def condition(config: Mapping[str, Any], plan: Plan, images: float | None = None) -> stats.Condition:
    """How a run compares with the paper's: its data, its network at full size, its protocol.

    With far fewer test `images` than the paper's, as of CLD, of which one of sixteen sub-sets is public, it is on other
    data.
    """
    dataset = config["dataset"]
    few = images is not None and dataset in PAPER_DATASETS and images < PAPER_TEST_IMAGES[dataset] / 2
    if few or dataset not in PAPER_DATASETS or not at_home(config):
        return "other data"
    full = config["size"] == ("base" if config["model"] == "scgcnet" else "paper") and not config["overrides"]
    return "same" if full and config["settings"] == plan.profile("paper").settings else "scaled down"


def refuse_synthetic(stored: pd.DataFrame) -> None:
    """Raise ValueError for a run on synthetic data: it cannot stand beside the paper's numbers."""
    if (stored.data_kind == "synthetic").any():
        run = stored.run_id[stored.data_kind == "synthetic"].iloc[0]
        raise ValueError(f"{run} ran on synthetic data: it cannot stand beside the paper's numbers")


@dataclass(frozen=True)
class Comparison:
    """One network against a reference."""

    difference: stats.Difference  # of their IoU in points, over test images
    p: float  # adjusted for the number of comparisons (Holm)
    seeds: tuple[float, float] | None  # of the difference over seeds, at the `joint_level`; None for a single seed
    outcome: stats.Outcome
    counted: tuple[list[int], list[int]]  # seeds behind `difference`, the reference's last: the same if any are shared

    @property
    def text(self) -> str:
        """The outcome, and what leaves it open."""
        if self.outcome != "unresolved":
            return self.outcome
        if self.seeds is None:
            return "unresolved: a single seed"
        return f"unresolved: {'seeds' if self.seeds[0] <= 0 <= self.seeds[1] else 'test images'}"


def compare_networks(networks: Sequence[Network], reference: str) -> dict[str, Comparison]:
    """IoU of each network with per-image counts against the reference's, by name; empty if the reference has none."""
    able = {one.name: one for one in networks if one.counted}
    if reference not in able:
        return {}
    base = able.pop(reference)
    level = joint_level(base, list(able.values()))
    found = {}
    for name, one in able.items():
        common = sorted(set(one.counted) & set(base.counted))
        counted = (common, common) if common else (one.counted, base.counted)
        difference = stats.compare(one.counts(seeds=counted[0]), base.counts(seeds=counted[1]), base.groups)
        seeds = stats.seed_interval(one.scores(), base.scores(), level)
        found[name] = Comparison(difference, difference.p, seeds, "unresolved", counted)
    adjusted = dict(zip(found, stats.holm([one.difference.p for one in found.values()]), strict=True))
    return {
        name: replace(one, p=adjusted[name], outcome=stats.resolve(one.difference, adjusted[name], one.seeds))
        for name, one in found.items()
    }


def joint_level(base: Network, others: Sequence[Network]) -> float:
    """Level of each interval over seeds at which those of all others hold at once with 95 % (Bonferroni)."""
    repeated = sum(min(len(one.runs), len(base.runs)) > 1 for one in others)
    return 1 - 0.05 / max(repeated, 1)


def rank_networks(networks: Sequence[Network]) -> stats.Ranking | None:
    """Ranks by the IoU of each image, averaged over seeds and over images that share ground; of three or more."""
    able = [one for one in networks if one.counted]
    if len(able) < 3:
        return None
    groups = np.unique(able[0].groups, return_inverse=True)[1]
    ious = {one.name: stats.score(one.counts()).mean(axis=0) for one in able}
    return stats.rank_networks({name: np.bincount(groups, iou) / np.bincount(groups) for name, iou in ious.items()})


def changes(run: Run, plan: Plan) -> str:
    """The settings and overrides in which a run differs from its profile and network, as ", key value" each."""
    usual = plan.profile(run.profile).settings
    changed = {key: value for key, value in run.settings.items() if value != usual.get(key)}
    if "augment" in changed:
        changed |= {key: value for key, value in changed.pop("augment").items() if value != usual["augment"].get(key)}
    if run.prediction is not None:
        changed["views"] = run.prediction["views"]
    return "".join(f", {key} {in_words(value)}" for key, value in (changed | dict(run.overrides)).items())


def in_words(value: object) -> str:
    """A setting as text."""
    if isinstance(value, list) and any(isinstance(stage, list) for stage in value):  # dilation rates by stage and unit
        return "; ".join(" ".join("/".join(map(str, unit)) for unit in stage) for stage in value)
    if isinstance(value, list):
        return " to ".join(map(in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def cost(stored: pd.DataFrame) -> str:
    """Parameters and multiply-accumulates per image of repeats of one configuration."""
    if stored.empty:
        return NONE
    return f"{stored.params.iloc[0] / 1e6:.2f} M, {stored.gmac.iloc[0]:.2f} GMAC"


def cell(value: float, digits: int = 2, file: str | None = None, missing: str = NOT_RUN) -> str | Link:
    """A number of a frame as text, with a link to its run file if one is given; `missing` stands for NaN."""
    if pd.isna(value):
        return missing
    text = f"{value:.{digits}f}"
    return Link(text, file) if file else text


def run_links(stored: pd.DataFrame) -> Links:
    """Links to run files, named by what differs: network, split or seed."""
    varying = [key for key in ("model", "split", "seed") if stored.empty or stored[key].nunique() > 1] or ["seed"]

    def name(row: Any) -> str:
        words = {"model": row.model, "split": f"split {row.split}", "seed": f"seed {row.seed}"}
        return " ".join(words[key] for key in varying)

    rows = list(stored[["model", "split", "seed", "run_id", "file"]].itertuples())  # few of its 50 columns: faster
    counts = Counter(map(name, rows))  # runs that differ in settings alone: by the last characters of their ids
    texts = [name(row) + f" {row.run_id.rpartition('-')[2]}" * (counts[name(row)] > 1) for row in rows]
    return Links(tuple(Link(text, row.file) for text, row in zip(texts, rows, strict=True)))


def many(n: int, what: str) -> str:
    """The number with its noun: 1 seed, 3 seeds."""
    return f"{n} {what}" + ("s" if n != 1 else "")
