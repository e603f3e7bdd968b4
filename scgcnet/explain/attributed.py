"""Attributions of chosen images: figures of them, and the two checks as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from scgcnet.data import EvalTransform
from scgcnet.explain.attribution import (
    TOLERANCE,
    Attribution,
    EmptyRegionError,
    Map,
    Method,
    Region,
    Which,
    attribute,
    black,
    integrated_gradients,
    margin,
    region_of,
)
from scgcnet.explain.sanity import cascade, edge_map, judge, randomised, rank_correlation, typical
from scgcnet.plots.style import WIDTH, finished
from scgcnet.study.cases import Case
from scgcnet.study.subject import Subject

#: Layers for Grad-CAM by the paper's name of the part: the last of HMIE's two stages, CAM, and the calibration units.
PARTS = {
    "HMIE, stage 3": "encoder.stage3",
    "HMIE, stage 4": "encoder.stage4",
    "CAM": "cam.3",
    **{f"PSCCS, unit {unit + 1}": f"decoder.units.{unit}" for unit in range(3)},
}
EDGES = "Edges of the image (no attribution)"
_COLUMNS = 4


@dataclass(frozen=True)
class Question:
    """What is asked of an image.

    Attributes:
        case: the image, its truth and the network's probability.
        pixels: the network's input, (1, C, S, S).
        region: whose margin is explained, bool (S, S).
    """

    case: Case
    pixels: Tensor
    region: Region


def ask(
    subject: Subject, cases: Sequence[Case], which: Which = "truth", box: Sequence[int] | None = None
) -> list[Question]:
    """Questions to the network about a region of each image; one where the region has no pixel is left out.

    Args:
        subject: the network.
        cases: the images.
        which: see `attribution.region_of`.
        box: left, top, right, bottom in pixels of the image, instead of `which`.

    Raises:
        EmptyRegionError: the region has no pixel in any image.
        ValueError: there is no such region, or the box has not four numbers.
    """
    if box is not None and len(box) != 4:
        raise ValueError(f"box {list(box)}: needs left, top, right, bottom in pixels of the image")
    asked, last = [], "there is no image"
    for case in cases:
        chosen = which if box is None else (box[0], box[1], box[2], box[3])
        try:
            region = region_of(case.sample, chosen, subject.image_size, case.probability, subject.threshold)
        except EmptyRegionError as error:
            last = str(error)
            continue
        pixels = EvalTransform(subject.image_size)(case.sample)[0].unsqueeze(0)
        asked.append(Question(case, pixels, region))
    if not asked:
        raise EmptyRegionError(last)
    return asked


def explain(subject: Subject, questions: Sequence[Question], method: Method, layer: str) -> list[Attribution]:
    """The answers of one method, in the order of the questions; it raises as `attribution.attribute` does."""
    return [attribute(method, subject.network, one.pixels, one.region, layer) for one in questions]


def ways(model: nn.Module) -> dict[str, tuple[Method, str]]:
    """The methods that a network can be asked by, by their name in print: method and layer."""
    modules = dict(model.named_modules())
    cams: dict[str, tuple[Method, str]] = {
        f"Grad-CAM at {part}": ("grad-cam", layer)
        for part, layer in PARTS.items()
        if layer in modules and not isinstance(modules[layer], nn.Identity)
    }
    return {"Integrated Gradients": ("integrated gradients", ""), "Occlusion": ("occlusion", ""), **cams}


def all_maps(model: nn.Module, question: Question) -> dict[str, Map]:
    """The map of each of `ways` for one question."""
    return {
        name: attribute(method, model, question.pixels, question.region, layer).values
        for name, (method, layer) in ways(model).items()
    }


def baseline_table(subject: Subject, questions: Sequence[Question]) -> pd.DataFrame:
    """Margins of each region in images that show nothing: what could stand for "no landslide" should have none."""
    rows = []
    for one in questions:
        target = margin(subject.network, one.region)
        flat = {
            "Image": one.pixels,
            "Black": black(one.pixels),
            "ImageNet's mean colour": torch.zeros_like(one.pixels),
            "Its own mean colour": one.pixels.mean(dim=(2, 3), keepdim=True).expand_as(one.pixels),
        }
        with torch.no_grad():
            found = {f"Margin: {name}": f"{float(target(pixels)):.2f}" for name, pixels in flat.items()}
        rows.append({"Image": one.case.sample.name, **found})
    return pd.DataFrame(rows)


def completeness_table(subject: Subject, questions: Sequence[Question]) -> pd.DataFrame:
    """Whether Integrated Gradients add up to the difference that they explain, for each image."""
    rows = []
    for one in questions:
        found = integrated_gradients(subject.network, one.pixels, one.region)
        assert found.start is not None and found.gap is not None
        rows.append(
            {
                "Image": one.case.sample.name,
                "Margin": f"{found.margin:.3f}",
                "Of a black image": f"{found.start:.3f}",
                "Difference": f"{found.margin - found.start:.3f}",
                "Sum of the values": f"{found.values.sum(dtype=np.float64):.3f}",
                "Gap (%)": f"{100 * found.gap:.2f}",
                f"Within {100 * TOLERANCE:.0f} %": "yes" if found.complete else "NO",
            }
        )
    return pd.DataFrame(rows)


def random_table(subject: Subject, questions: Sequence[Question], draws: int = 1) -> pd.DataFrame:
    """How alike the maps of the trained network and of wholly random ones are, by method, and what follows.

    The last row is `sanity.edge_map`, which never looks at the network: the check must fail it.

    Args:
        subject: the network.
        questions: each gives one comparison for each draw.
        draws: random networks for each question, all different: a coarse map of one may look like anything.

    Raises:
        ValueError: there is no draw.
    """
    if draws < 1:
        raise ValueError(f"draws={draws}: the check takes one random network or more for each image")
    pairs: dict[str, list[tuple[float, float]]] = {}
    for number, one in enumerate(questions):
        own = all_maps(subject.network, one) | {EDGES: edge_map(one.pixels)}
        for draw in range(draws):
            network = randomised(subject.network, [""], seed=number * draws + draw)
            others = all_maps(network, one) | {EDGES: edge_map(one.pixels)}
            for name, values in own.items():
                both = (rank_correlation(values, others[name]), rank_correlation(abs(values), abs(others[name])))
                pairs.setdefault(name, []).append(both)
    rows = []
    for name, found in pairs.items():
        signed, magnitude = zip(*found, strict=True)
        rows.append(
            {
                "Map": name,
                "Rank correlation": _in_words(signed),
                "Mean without signs": f"{typical(signed):.2f}",
                "Of magnitudes": _in_words(magnitude),
                "Their mean without signs": f"{typical(magnitude):.2f}",
                "So it": judge(signed, magnitude),
            }
        )
    return pd.DataFrame(rows)


def cascade_table(subject: Subject, questions: Sequence[Question], method: Method, layer: str) -> pd.DataFrame:
    """How the maps of a method fade while the network is made random from its output on, a row for each step."""

    def maps(one: Question) -> Callable[[nn.Module], Map]:
        return lambda network: attribute(method, network, one.pixels, one.region, layer).values

    columns = [cascade(maps(one), subject.network, one.pixels, seed) for seed, one in enumerate(questions)]
    return pd.DataFrame(
        [
            {
                "Random so far": ", ".join(step.part for step in columns[0][: n + 1]),
                "Rank correlation": _in_words([steps[n].signed for steps in columns]),
                "Of magnitudes": _in_words([steps[n].magnitude for steps in columns]),
            }
            for n in range(len(columns[0]))
        ]
    )


def _in_words(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def question_panels(questions: Sequence[Question], found: Sequence[Attribution]) -> Figure:
    """A row for each question: image, probability and attribution, each with the outline of the region.

    Orange speaks for landslide in the region and purple against it; each map has its own scale.

    Raises:
        ValueError: There is no question, or not an answer to each.
    """
    if not questions or len(questions) != len(found):
        raise ValueError(f"{len(questions)} questions and {len(found)} answers: needs one or more, and as many of each")
    heights = [min(one.case.sample.mask.shape[0] / one.case.sample.mask.shape[1], 1.6) for one in questions]
    figure, axes = plt.subplots(
        len(questions),
        3,
        figsize=(WIDTH, 0.31 * WIDTH * sum(heights) + 0.25 * len(questions) + 0.3),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for line, one, answer in zip(axes, questions, found, strict=True):
        sample = one.case.sample
        line[0].imshow(sample.image[..., :3])
        line[0].set_ylabel(f"{sample.name}\nIoU {100 * one.case.iou:.0f} %", fontsize=8)
        line[1].imshow(one.case.probability, cmap="cividis", vmin=0, vmax=1)
        draw_map(line[2], answer.values, sample.mask.shape)
        line[2].set_xlabel(f"margin {answer.margin:.2f}", fontsize=8)
        for ax, colour in zip(line, ("white", "white", "black"), strict=True):
            outline(ax, one.region, sample.mask.shape, colour)
            ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[0], ("image, region outlined", "probability", "attribution"), strict=True):
        ax.set_title(title, fontsize=9)
    return finished(figure)


def method_panels(question: Question, maps: Mapping[str, Map]) -> Figure:
    """One image, and the maps of several methods, in the colours and with the outline of `question_panels`."""
    sample = question.case.sample
    rows = -(-(len(maps) + 1) // _COLUMNS)
    ratio = min(sample.mask.shape[0] / sample.mask.shape[1], 1.6)
    figure, axes = plt.subplots(
        rows, _COLUMNS, figsize=(WIDTH, (0.24 * WIDTH * ratio + 0.3) * rows), layout="constrained", squeeze=False
    )
    for ax in axes.flat:
        ax.axis("off")
    first, *others = axes.flat
    first.imshow(sample.image[..., :3])
    first.set_title(sample.name, fontsize=9)
    outline(first, question.region, sample.mask.shape, "white")
    for ax, (name, values) in zip(others, maps.items(), strict=False):
        draw_map(ax, values, sample.mask.shape)
        outline(ax, question.region, sample.mask.shape, "black")
        ax.set_title(name.replace(" at ", "\n"), fontsize=9)
    return finished(figure)


def draw_map(ax: Axes, values: Map, shape: tuple[int, ...]) -> None:
    """An attribution over the pixels of an image of `shape` (H, W): orange for, purple against, white for neither.

    The scale ends at the 99th percentile of the magnitudes, so that single pixels do not drown the rest.
    """
    top = float(np.percentile(abs(values), 99)) or float(abs(values).max()) or 1.0
    ax.imshow(values, cmap="PuOr_r", vmin=-top, vmax=top, extent=(-0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5))


def outline(ax: Axes, region: Region, shape: tuple[int, ...], colour: str) -> None:
    """The region's outline over an image of `shape` (H, W)."""
    if region.all():
        return
    height, width = region.shape
    # Centres of the region's pixels in those of the image.
    x, y = ((np.arange(n) + 0.5) * side / n - 0.5 for n, side in ((width, shape[1]), (height, shape[0])))
    ax.contour(x, y, region.astype(float), levels=[0.5], colors=colour, linewidths=0.9)
