"""Networks gathered from stored runs, their repeats, and their comparison."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from scgcnet.study import results
from scgcnet.study.networks import (
    by_configuration,
    changes,
    compare_networks,
    condition,
    gather,
    refuse_synthetic,
    repeats,
    run_links,
)
from scgcnet.study.plan import Plan
from scgcnet.study.results import Record
from scgcnet.study.runs import Run

GOOD, FAIR, POOR = (90, 5, 10, 900), (80, 10, 20, 900), (40, 20, 60, 900)


def test_gather_takes_the_seeds_of_a_configuration(store: Callable[..., Record], ours: list[Run]) -> None:
    for run, image in zip(ours[:3], (GOOD, FAIR, POOR), strict=True):
        store(run, [image] * 4)
    store(ours[3], [GOOD] * 4)  # another split
    store(replace(ours[0], overrides={"psccs": False}), [GOOD] * 4)
    one, other = gather({"ours": ours[0], "none": replace(ours[0], size="small")}, results.runs())
    assert one.scores() == pytest.approx([100 * 90 / 105, 100 * 80 / 110, 100 * 40 / 120])
    assert one.counts().shape == (3, 4, 4) and one.counts(seeds=[1])[0, 0].tolist() == list(FAIR)
    assert (one.counted, one.groups) == ([0, 1, 2], ["image 0", "image 0", "image 1", "image 1"])
    assert [link.text for link in run_links(one.runs).items] == ["seed 0", "seed 1", "seed 2"]
    assert (other.summary(), other.counted, len(other.runs)) == (None, [], 0) and np.isnan(other.mean())


def test_repeats_never_mix_protocols_or_images(store: Callable[..., Record], ours: list[Run]) -> None:
    for run in ours[:2]:
        store(run, [FAIR])
    store(ours[2], [POOR], protocol=2)
    assert [len(group) for group in repeats(results.runs()).values()] == [1]
    assert next(iter(repeats(results.runs()).values())).protocol.tolist() == [2]
    store(ours[2], [POOR], data_sha256="1" * 64)
    assert repeats(results.runs()).keys() == {"2 seeds on split 0, 1 images"}
    store(ours[3], [FAIR])
    assert list(repeats(results.runs())) == ["2 seeds on split 0, 1 images", "2 splits, seed 0, 1 images each"]
    assert len(by_configuration(results.runs())) == 1


def test_comparison_on_the_same_images(store: Callable[..., Record], ours: list[Run]) -> None:
    rivals = [replace(run, overrides={"psccs": False}) for run in ours[:3]]
    rng = np.random.default_rng(0)
    for seed, (run, rival) in enumerate(zip(ours[:3], rivals, strict=True)):
        shift = rng.integers(0, 5, 40)
        store(run, [(90 - s, 5 + seed, 10 + s, 900) for s in shift])
        store(rival, [(60 - s, 9 + seed, 40 + s, 900) for s in shift])
    networks = gather({"ours": ours[0], "rival": rivals[0]}, results.runs())
    found = compare_networks(networks, "ours")
    assert found.keys() == {"rival"}
    one = found["rival"]
    assert (one.outcome, one.text, one.counted) == ("worse", "worse", ([0, 1, 2], [0, 1, 2]))
    assert one.difference.value == pytest.approx(networks[1].mean() - networks[0].mean())
    assert compare_networks(networks, "another") == {}


def test_networks_on_other_images_are_refused(store: Callable[..., Record], ours: list[Run]) -> None:
    rival = replace(ours[0], overrides={"psccs": False})
    store(ours[0], [FAIR])
    store(rival, [FAIR, GOOD])
    with pytest.raises(ValueError, match="different test images"):
        gather({"ours": ours[0], "rival": rival}, results.runs())


def test_conditions(plan: Plan, ours: list[Run]) -> None:
    paper = next(run for run in plan.select("paper") if (run.dataset, run.model) == ("bijie", "scgcnet"))
    assert condition(paper.config, plan) == "same"
    assert condition(paper.config, plan, images=20) == "other data"
    assert condition(ours[0].config, plan) == "scaled down"
    assert condition({**ours[0].config, "dataset": "amunet"}, plan) == "other data"


def test_changes_are_named(plan: Plan, ours: list[Run]) -> None:
    assert changes(ours[0], plan) == ""
    changed = replace(ours[0], settings={**ours[0].settings, "lr": 4e-3}, overrides={"psccs": False})
    assert changes(changed, plan) == ", lr 0.004, psccs False"


def test_synthetic_runs_are_refused(store: Callable[..., Record], ours: list[Run]) -> None:
    store(ours[0], [FAIR], data_kind="synthetic")
    with pytest.raises(ValueError, match="ran on synthetic data"):
        refuse_synthetic(results.runs("synthetic"))
