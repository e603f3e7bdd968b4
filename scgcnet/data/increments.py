"""The new-domain protocol of Sec. IV-D: a pool of a new data set's patches, increments from it, and the rest as test.

The paper draws 20 % of the patches with and 20 % of those without landslides as the pool, adds 0, 1, 5, 10 or 20 % to
the training set, and tests on "the remaining" data. Here the increments are nested, each the beginning of one order,
and the test part is what never was in the pool, the same for all increments, so that their scores compare.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from scgcnet.data.sample import PARTS, DatasetError, Part, Split, WholeDataset

POOL = 20  # percent
PERCENTS = (0, 1, 5, 10, 20)

By = Literal["patch", "site"]


def increment_split(whole: WholeDataset, percent: float, seed: int, by: By = "patch") -> Split:
    """Part of every sample: "train" for the increment, "test" outside the pool, "unused" for the rest of the pool.

    Args:
        whole: the new data set, whatever its own parts are. By "patch", its masks are decoded.
        percent: share of the samples that is trained on, 0 to `POOL`, as percent.
        seed: of the pool and its order, the same for all increments.
        by: "patch" draws samples, with and without landslides alike; "site" takes whole sites into the pool until it
            holds `POOL` percent of the samples, and draws increments from these.

    Raises:
        DatasetError: the percentage is out of range, there are fewer than two sites, or nothing is left to test.
    """
    if not 0 <= percent <= POOL:
        raise DatasetError(f"An increment of {percent} % cannot be drawn from a pool of {POOL} %: take 0 to {POOL}.")
    rng = np.random.default_rng([seed, POOL])
    pools = _pools_by_site(whole, rng) if by == "site" else _pools_by_patch(whole, rng)
    parts: dict[str, Part | Literal["unused"]] = dict.fromkeys(whole.names, "test")
    for pool in pools:
        taken = min(len(pool), round(len(pool) * percent / POOL if by == "patch" else len(whole) * percent / 100))
        for rank, index in enumerate(pool):
            parts[whole.names[index]] = "train" if rank < taken else "unused"
    if "test" not in parts.values():
        raise DatasetError(f"{whole.dataset}: the pool takes all {len(whole)} samples; nothing is left to test.")
    return parts


def _pools_by_patch(whole: WholeDataset, rng: np.random.Generator) -> list[list[int]]:
    """Indices of the pool, in its order: of samples with landslides, and of those without."""
    slides = np.array([bool((sample.mask == 1).any()) for sample in whole])
    pools = []
    for kind in (True, False):
        found = rng.permutation(np.flatnonzero(slides == kind))
        pools.append([int(index) for index in found[: round(len(found) * POOL / 100)]])
    return pools


def _pools_by_site(whole: WholeDataset, rng: np.random.Generator) -> list[list[int]]:
    """Indices of the pool, in its order, from the first sites of a random order that hold enough samples."""
    sites = sorted(set(whole.sites))
    if len(sites) < 2 or set(sites) <= set(PARTS):
        raise DatasetError(f"{whole.dataset} has no sites to choose among; draw the increments by patch.")
    pool: list[int] = []
    for number in rng.permutation(len(sites)):
        if len(pool) >= len(whole) * POOL / 100:
            break
        pool += [index for index, site in enumerate(whole.sites) if site == sites[number]]
    return [[int(index) for index in rng.permutation(pool)]]
