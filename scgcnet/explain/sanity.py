"""Sanity check of attributions: a map must change when the network's weights are randomised.

Source: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018: some methods draw the edges of the image
for any weights. Parts of the network are randomised one after another from the output to the input, and each map is
compared with that of the trained network by rank correlation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import ndimage, stats
from torch import Tensor, nn

from scgcnet.explain.attribution import Map, Method, Question, all_maps, attribute
from scgcnet.explain.features import evaluating

#: A map counts as unchanged if it correlates by this or more, on average, with the maps of random networks. Two
#: unrelated maps of 16 places, the coarsest that are shown, reach it once in twenty times, finer ones hardly ever.
LIMIT = 0.5
EDGES = "Edges of the image (no attribution)"


class Step(NamedTuple):
    """One step of the cascade."""

    part: str  # randomised in this step; those of the steps before are random too
    signed: float  # Spearman's rank correlation with the map before, -1 to 1; 0 where one map is constant
    magnitude: float  # likewise of the absolute values


def parts_from_output(model: nn.Module, image: Tensor) -> list[str]:
    """The network's parts that have parameters, the last to finish first; `image` (1, C, H, W) is run through once."""
    parts = [name for name, child in model.named_children() if any(True for _ in child.parameters())]
    ended: list[str] = []
    handles = []

    def hook(part: str) -> Callable[[nn.Module, object, object], None]:
        def note(_module: nn.Module, _inputs: object, _output: object) -> None:
            if part in ended:  # the last time counts
                ended.remove(part)
            ended.append(part)

        return note

    for part in parts:
        # Hung on everything inside: a list of modules is never called itself.
        handles += [module.register_forward_hook(hook(part)) for module in model.get_submodule(part).modules()]
    try:
        with torch.no_grad(), evaluating(model):
            model(image)
    finally:
        for handle in handles:
            handle.remove()
    return ended[::-1]


def randomised(model: nn.Module, parts: Collection[str], seed: int = 0) -> nn.Module:
    """A copy whose parameters in some submodules are shuffled, each tensor within itself; "" is the whole network.

    Each tensor keeps its mean and spread: with newly drawn weights a network with normalisation layers would hardly
    respond in evaluation, and any map of it would differ.
    """
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in sorted(parts):
            for parameter in other.get_submodule(part).parameters():
                order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
                parameter.copy_(parameter.flatten()[order].view(parameter.shape))
    return other


def cascade(explain: Callable[[nn.Module], Map], model: nn.Module, image: Tensor, seed: int = 0) -> list[Step]:
    """Correlation of a map with its former self while a network is randomised from its output to its input.

    Args:
        explain: gives the map of a network, such as a method of `attribution` for one image and region.
        model: the trained network.
        image: (1, C, H, W), to find the order of its parts.
        seed: of the shuffling.

    Returns:
        A step for each part, the output's first; at the last one the whole network is random.
    """
    parts = parts_from_output(model, image)
    own = explain(model)
    steps = []
    for n, part in enumerate(parts):
        # Parameters outside of all parts are random with the last.
        other = explain(randomised(model, parts[: n + 1] if n + 1 < len(parts) else [""], seed))
        steps.append(Step(part, rank_correlation(own, other), rank_correlation(abs(own), abs(other))))
    return steps


def rank_correlation(first: Map, second: Map) -> float:
    """Spearman's, over the pixels of two maps of one shape, -1 to 1; 0 where one is the same everywhere."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(stats.spearmanr(first, second, axis=None).statistic)


def typical(correlations: Sequence[float]) -> float:
    """Mean of the absolute values: a map that changes its sign alone has not changed, and signs must not cancel."""
    return float(np.mean(np.abs(correlations)))


def judge(signed: Sequence[float], magnitude: Sequence[float]) -> str:
    """Verdict on a method by `LIMIT`, from rank correlations with the maps of random networks.

    The maps themselves decide on failing, not their magnitudes.
    """
    if typical(signed) >= LIMIT:
        same = "much the same" if abs(np.mean(signed)) >= LIMIT else "much the same but for its sign"
        return f"FAILS: it stays {same}"
    if typical(magnitude) >= LIMIT:
        return "passes by its signs; where it is strong stays much the same"
    alike = sum(abs(value) >= LIMIT for value in signed)
    return f"passes, though {alike} of {len(signed)} stay much the same" if alike else "passes"


def edge_map(image: Tensor) -> Map:
    """Sobel strength (H, W) of an image (1, C, H, W): a method that ignores the network, which the check must fail."""
    grey = image[0].mean(dim=0).cpu().numpy().astype(np.float64)
    out: Map = np.hypot(ndimage.sobel(grey, axis=0), ndimage.sobel(grey, axis=1)).astype(np.float32)
    return out


def random_table(model: nn.Module, questions: Sequence[Question], draws: int = 1) -> pd.DataFrame:
    """Rank correlation of the maps of the trained network and of random ones, by method, with the verdict.

    The last row is `edge_map`, which ignores the network: the check must fail it. Each question is compared with
    `draws` random networks, all different: a coarse map of one may look like anything. ValueError without a draw.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}: the check takes one random network or more for each image")
    pairs: dict[str, list[tuple[float, float]]] = {}
    for number, one in enumerate(questions):
        edges = {EDGES: edge_map(one.pixels)}
        own = all_maps(model, one) | edges
        for draw in range(draws):
            others = all_maps(randomised(model, [""], seed=number * draws + draw), one) | edges
            for name, values in own.items():
                both = (rank_correlation(values, others[name]), rank_correlation(abs(values), abs(others[name])))
                pairs.setdefault(name, []).append(both)
    rows = []
    for name, found in pairs.items():
        signed, magnitude = zip(*found, strict=True)
        rows.append(
            {
                "Map": name,
                "Rank correlation": _range(signed),
                "Mean without signs": f"{typical(signed):.2f}",
                "Of magnitudes": _range(magnitude),
                "Their mean without signs": f"{typical(magnitude):.2f}",
                "So it": judge(signed, magnitude),
            }
        )
    return pd.DataFrame(rows)


def cascade_table(model: nn.Module, questions: Sequence[Question], method: Method, layer: str) -> pd.DataFrame:
    """The cascade of a method's maps over all questions, a row for each step."""

    def maps(one: Question) -> Callable[[nn.Module], Map]:
        return lambda network: attribute(method, network, one.pixels, one.region, layer).values

    columns = [cascade(maps(one), model, one.pixels, seed) for seed, one in enumerate(questions)]
    return pd.DataFrame(
        [
            {
                "Random so far": ", ".join(step.part for step in columns[0][: n + 1]),
                "Rank correlation": _range([steps[n].signed for steps in columns]),
                "Of magnitudes": _range([steps[n].magnitude for steps in columns]),
            }
            for n in range(len(columns[0]))
        ]
    )


def _range(values: Sequence[float]) -> str:
    """Mean, and the lowest and highest of several values."""
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"
