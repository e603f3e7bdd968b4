"""Whether an attribution is of the network at all: it must change when the network's weights are made random.

Source: Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018: some methods draw the edges of the image
whatever the network has learned. Its parts are made random one after another from the output to the input, and the maps
of the trained network and of what is left of it are held together by their rank correlation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage, stats
from torch import Tensor, nn

from scgcnet.explain.attribution import Map
from scgcnet.explain.features import evaluating

#: A map keeps what it shows if it correlates by this or more, on average, with the maps of random networks: what two
#: unrelated maps of 16 places, the coarsest that are shown, reach once in twenty times, and finer ones hardly ever.
LIMIT = 0.5


@dataclass(frozen=True)
class Step:
    """One step of the cascade: what was made random last, and what became of the map.

    Attributes:
        part: the part of the network made random in this step; those of the steps before are random too.
        signed: Spearman's rank correlation of the two maps, -1 to 1; 0 where one of them is the same everywhere.
        magnitude: likewise of their absolute values: where they look, whichever way they point.
    """

    part: str
    signed: float
    magnitude: float


def parts_from_output(model: nn.Module, image: Tensor) -> list[str]:
    """The network's parts that have parameters, in the order in which they end their work, the last one first.

    Args:
        model: any network.
        image: (1, C, H, W), which is run through it once.
    """
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
    """A copy whose parameters in some parts are shuffled, each tensor within itself.

    So what was learned is gone, while each tensor keeps its mean and spread. Drawn anew as before a training, a network
    with normalisation layers would hardly answer in evaluation, and any map of it would be another; and the many
    networks of the zoo have as many ways to draw.

    Args:
        model: any network; it is left as it is.
        parts: names of submodules; the empty string is the whole network.
        seed: of the shuffling.
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
    """How a map fades while a network is made random from its output to its input.

    Args:
        explain: gives the map of a network, such as a method of `attribution` for one image and region.
        model: the trained network.
        image: (1, C, H, W), to find the order of its parts.
        seed: of the shuffling.

    Returns:
        A step for each part, the output's first; at the last one the whole network is random.

    Raises:
        ValueError: The network has no part with parameters.
    """
    parts = parts_from_output(model, image)
    if not parts:
        raise ValueError("the network has no part with parameters to make random")
    own = explain(model)
    steps = []
    for n, part in enumerate(parts):
        # Parameters outside of all parts are random with the last.
        other = explain(randomised(model, parts[: n + 1] if n + 1 < len(parts) else [""], seed))
        steps.append(Step(part, rank_correlation(own, other), rank_correlation(abs(own), abs(other))))
    return steps


def rank_correlation(first: Map, second: Map) -> float:
    """Spearman's, over the pixels of two maps of one shape, -1 to 1; 0 where one is the same everywhere.

    Raises:
        ValueError: The shapes differ, or a value is not finite.
    """
    if first.shape != second.shape:
        raise ValueError(f"maps of shapes {first.shape} and {second.shape}: only maps of one shape can be compared")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a map has values that are not finite")
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(stats.spearmanr(first, second, axis=None).statistic)


def typical(correlations: Sequence[float]) -> float:
    """Mean of the absolute values: a map that stays the same but for its sign stays, and the signs must not cancel."""
    return float(np.mean(np.abs(correlations)))


def judge(signed: Sequence[float], magnitude: Sequence[float]) -> str:
    """What the correlations of a method's maps with those of random networks say of it.

    Args:
        signed: rank correlations of the maps, one for each random network.
        magnitude: likewise of their absolute values.

    Returns:
        That it fails or passes by `LIMIT`, and how. Failing is decided by the maps themselves.
    """
    if typical(signed) >= LIMIT:
        same = "much the same" if abs(np.mean(signed)) >= LIMIT else "much the same but for its sign"
        return f"FAILS: it stays {same}"
    if typical(magnitude) >= LIMIT:
        return "passes by its signs; where it is strong stays much the same"
    alike = sum(abs(value) >= LIMIT for value in signed)
    return f"passes, though {alike} of {len(signed)} stay much the same" if alike else "passes"


def edge_map(image: Tensor) -> Map:
    """What a method that ignores the network would draw: the edges of an image (1, C, H, W), its Sobel strength (H, W).

    The check must fail it; it stands beside the methods, so that the check itself is checked.
    """
    grey = image[0].mean(dim=0).cpu().numpy().astype(np.float64)
    out: Map = np.hypot(ndimage.sobel(grey, axis=0), ndimage.sobel(grey, axis=1)).astype(np.float32)
    return out
