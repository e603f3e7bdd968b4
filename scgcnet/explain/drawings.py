"""Drawings of SCGC-Net and of its attributions: anatomy, feature maps, offsets, gates, receptive fields; cost tables.

Shapes and costs are read off the network itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import nn

from scgcnet.cost import Cost, count_cost
from scgcnet.data import IGNORE_INDEX, Sample
from scgcnet.explain.attribution import Attribution, Map, Question, Region
from scgcnet.explain.features import capture, energy, layer_shapes
from scgcnet.explain.receptive_field import Field, field_side
from scgcnet.model import CHOICES, SCGCNet, SCGCNetConfig
from scgcnet.model.cam import ContextAwareModulator
from scgcnet.plots.panels import row_heights, without_ticks
from scgcnet.plots.style import WIDTH, finished, page_figure

#: Layers whose output is a part's, and the part's name in drawings and tables, in the order of the forward pass.
LAYERS = {
    "encoder.stem": "stem",
    **{f"encoder.stage{i}": f"stage {i}" for i in (1, 2, 3, 4)},
    **{f"laterals.{i}": f"lateral {i + 1}" for i in range(4)},
    **{f"cam.{i}": f"CAM on lateral {i + 1}" for i in range(4)},
    **{f"decoder.smooth.{i}": f"fusion {i + 1}" for i in range(3)},
    "head": "head",
}
_COLUMNS = 4  # of small panels
_DECADES = 4  # of field strength below the strongest that are distinguishable
_COLOURS = {"encoder": "#cfe2f3", "scfe": "#d9ead3", "neck": "#eeeeee", "cam": "#fff2cc", "decoder": "#f4cccc"}

Image = npt.NDArray[np.uint8]


# Shapes and costs.


def choice_table() -> pd.DataFrame:
    """The paper's text on each part, the choice for `base`, and the fields of the configuration that hold it."""
    return pd.DataFrame(
        [(c.part, c.paper, c.chosen, ", ".join(c.fields)) for c in CHOICES],
        columns=["part", "the paper", "chosen here", "fields"],
    )


def part_costs(config: SCGCNetConfig, image_size: int) -> dict[str, float]:
    """GMAC of each part for one square image; the parts add up to the whole network."""
    macs = _cost(config, image_size).by_module
    parts = {
        "stem": ["encoder.stem"],
        **{f"stage {i}": [f"encoder.stage{i}"] for i in (1, 2, 3, 4)},
        "laterals": [name for name in macs if name.startswith("laterals.") and name.count(".") == 1],
        "CAM": [name for name in macs if name.startswith(("cam.", "cam_backbone.")) and name.count(".") == 1],
        "fusion": ["decoder"],
        "head": ["head"],
    }
    return {label: sum(macs.get(name, 0) for name in names) / 1e9 for label, names in parts.items()}


def part_table(config: SCGCNetConfig, image_size: int) -> pd.DataFrame:
    """GMAC and share of the whole, by part."""
    gmac = pd.Series(part_costs(config, image_size), name="GMAC")
    share = (100 * gmac / gmac.sum()).rename("share (%)")
    return pd.concat([gmac.round(3), share.round(1)], axis=1).reset_index(names="part")


def shape_table(config: SCGCNetConfig, image_size: int) -> pd.DataFrame:
    """Output of each part for one square image: channels, rows, columns."""
    present = {LAYERS[name]: shape for name, shape in _shapes(config, image_size, present=True).items()}
    return pd.DataFrame(present, index=["channels", "rows", "columns"]).T.reset_index(names="part")


def _meta(config: SCGCNetConfig) -> SCGCNet:
    with torch.device("meta"):
        return SCGCNet(config)


def _cost(config: SCGCNetConfig, image_size: int) -> Cost:
    return count_cost(_meta(config), (1, config.in_channels, image_size, image_size))


def _shapes(config: SCGCNetConfig, image_size: int, present: bool = False) -> dict[str, tuple[int, ...]]:
    """Channels, rows and columns of each of `LAYERS`, of those that the network has if `present`."""
    model = _meta(config)
    names = [name for name in LAYERS if not present or not isinstance(model.get_submodule(name), nn.Identity)]
    shapes = layer_shapes(model, (1, config.in_channels, image_size, image_size), names)
    return {name: shape[1:] for name, shape in shapes.items()}


# The network and its maps.


def draw_anatomy(config: SCGCNetConfig, image_size: int = 512) -> Figure:
    """Draws the network for a square image of `image_size` pixels, with output shape and GMAC on every box."""
    shapes, macs = _shapes(config, image_size), _cost(config, image_size).by_module

    figure, axes = plt.subplots(figsize=(10.5, 6.0))
    axes.set_xlim(0, 10.6)
    axes.set_ylim(0.4, 5.95)
    axes.axis("off")

    def box(x: float, y: float, name: str, title: str, kind: str, width: float = 2.1) -> None:
        channels, height, _ = shapes[name]
        gmac = macs.get(name, 0) / 1e9
        if name.startswith("decoder.smooth"):
            gmac += macs.get(name.replace("smooth", "units"), 0) / 1e9
        text = f"{title}\n{channels} x {height}$^2$, {gmac:.3g} GMAC"
        axes.add_patch(FancyBboxPatch((x, y), width, 0.62, "round,pad=0.04", fc=_COLOURS[kind], ec="#444444", lw=0.8))
        axes.text(x + width / 2, y + 0.31, text, ha="center", va="center", fontsize=7.5)

    box(0.1, 4.95, "encoder.stem", "stem", "encoder")
    level_y = [3.85, 2.75, 1.65, 0.55]
    scfes = [len(stage) for stage in config.dilations]
    for i, y in enumerate(level_y):
        title, kind = f"stage {i + 1}: {config.depths[i] if i < 2 else ''} bottlenecks", "encoder"
        if i >= 2:
            title = f"stage {i + 1}: {config.resnet_depths[i - 2]} bottlenecks"
            if config.hmie:
                rates = ", ".join("/".join(map(str, r)) for r in config.dilations[i - 2])
                title, kind = f"stage {i + 1}: {scfes[i - 2]} SCFE ({rates})", "scfe"
        box(0.1, y, f"encoder.stage{i + 1}", title, kind)
        _arrow(axes, (1.15, y + 1.06), (1.15, y + 0.68))
        box(2.8, y, f"laterals.{i}", "lateral", "neck", width=1.75)
        _arrow(axes, (2.26, y + 0.31), (2.74, y + 0.31))
        if _has_cam(config, i):
            box(5.1, y, f"cam.{i}", "CAM", "cam", width=1.75)
            _arrow(axes, (4.61, y + 0.31), (5.04, y + 0.31))
    unit = "calibration unit" if config.psccs else "pyramid sum"
    for i, y in enumerate(level_y[2::-1]):
        box(7.4, y, f"decoder.smooth.{i}", f"{unit} {i + 1}", "decoder")
        _arrow(axes, (4.61 if not _has_cam(config, 2 - i) else 6.91, y + 0.31), (7.34, y + 0.31))
        if i:
            _arrow(axes, (8.45, y - 0.42), (8.45, y - 0.06))
    start = 6.91 if _has_cam(config, 3) else 4.61
    axes.plot([start, 8.45], [level_y[3] + 0.31] * 2, color="#444444", lw=0.9)
    _arrow(axes, (8.45, level_y[3] + 0.31), (8.45, level_y[2] - 0.06))
    box(7.4, 4.95, "head", "head, then x4 upsampling", "decoder")
    _arrow(axes, (8.45, level_y[0] + 0.68), (8.45, 4.89))
    title = f"image {config.in_channels} x {image_size}$^2$"
    axes.text(1.15, 5.68, title, ha="center", va="bottom", fontsize=8)
    axes.text(8.45, 5.68, f"logits {config.num_classes} x {image_size}$^2$", ha="center", va="bottom", fontsize=8)
    return _tight(figure)


def draw_features(image: Image, maps: Mapping[str, Map]) -> Figure:
    """Show an image (H, W, 3) and, beside it, maps of any size in [0, 1], each under its name."""
    rows = -(-(len(maps) + 1) // _COLUMNS)
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(2.6 * _COLUMNS, 2.75 * rows), squeeze=False)
    panels: list[tuple[str, npt.NDArray[Any]]] = [("image", image), *maps.items()]
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, panel) in zip(axes.flat, panels, strict=False):
        ax.imshow(panel, cmap="viridis", vmin=0, vmax=None if panel.ndim == 3 else 1, interpolation="nearest")
        ax.set_title(f"{title}\n{panel.shape[0]} x {panel.shape[1]}", fontsize=9)
    return _tight(figure)


def feature_energies(model: nn.Module, images: torch.Tensor) -> dict[str, Map]:
    """Strength of the maps of images (1, C, H, W) from the stages through CAM and the fusion units, by part."""
    names = [n for n in LAYERS if n.startswith(("encoder.stage", "cam.", "decoder."))]
    present = [n for n in names if not isinstance(model.get_submodule(n), nn.Identity)]
    return {LAYERS[name]: energy(features) for name, features in capture(model, images, present).items()}


def draw_offsets(image: Image, offsets: Mapping[str, torch.Tensor]) -> Figure:
    """Show calibration offsets (1, 2, h, w), in pixels of their own grid, as arrows over the image (H, W, 3).

    An arrow starts at a pixel and ends at the place that the unit samples for it, drawn to the image's scale: offset
    channel 0 to the right, channel 1 downwards.
    """
    rows = max(-(-len(offsets) // 2), 1)
    figure, axes = plt.subplots(rows, min(max(len(offsets), 1), 2), figsize=(WIDTH, 4 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    if not offsets:
        axes[0, 0].set_title("this network has no calibration units", fontsize=9)
        return _tight(figure)
    for ax, (title, field) in zip(axes.flat, offsets.items(), strict=False):
        dx, dy = field[0].float().numpy()
        height, width = dx.shape
        step = max(height // 16, 1)
        y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step]
        ax.imshow(image, extent=_extent(dx.shape), alpha=0.55)
        ax.quiver(x, y, dx[y, x], dy[y, x], angles="xy", scale_units="xy", scale=1, color="#d55e00", width=0.004)
        length = float(np.hypot(dx, dy).mean())
        ax.set_title(f"{title}: mean length {length:.2f} px of {height} x {width}", fontsize=9)
    return _tight(figure)


def offset_fields(model: nn.Module, images: torch.Tensor, unit: int = 2) -> dict[str, torch.Tensor]:
    """Offsets (1, 2, h, w) of a calibration unit, by branch; none without PSCCS.

    Args:
        model: any network.
        images: (1, C, H, W), of sides that the network's stride divides, or the grid goes on beyond the image.
        unit: 0 for the deepest, at a stride of 16, to 2 for the finest, at a stride of 4.
    """
    name = f"decoder.units.{unit}.offsets"
    if name not in dict(model.named_modules()):
        return {}
    up, down = capture(model, images, [name])[name].chunk(2, dim=1)
    return {"up": up, "down": down}


def all_offset_fields(model: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Offsets of all calibration units, from the deepest to the finest, by unit and branch; none without PSCCS."""
    return {
        f"unit {unit + 1}, {branch}": field
        for unit in range(3)
        for branch, field in offset_fields(model, images, unit).items()
    }


def gate_maps(model: nn.Module, images: torch.Tensor) -> dict[str, Map]:
    """The gates G^n of eq. 16 for an image (1, C, H, W): float32 (h, w) by level, unbounded and of either sign.

    A level is named by the pixels of CAM's grid that it sees (eq. 15), after the modulator's name where there are
    several. A network without CAM has none.
    """
    found: dict[str, Map] = {}
    modulators = {name: m for name, m in model.named_modules() if isinstance(m, ContextAwareModulator)}
    for name, modulator in modulators.items():
        kernels = [conv.kernel_size[0] for conv in modulator.context if isinstance(conv, nn.Conv2d)]
        fields = accumulate((kernel - 1 for kernel in kernels), initial=1)
        labels = [f"{side} x {side}" for side in list(fields)[1:]] + ["the whole"] * modulator.global_level
        gates = capture(model, images, [f"{name}.gates"])[f"{name}.gates"][0].float().cpu().numpy()
        where = f"{name}: " if len(modulators) > 1 else ""
        found |= {f"{where}{label}": gate for label, gate in zip(labels, gates, strict=True)}
    return found


def draw_gates(rows: Sequence[tuple[Image, Mapping[str, Map]]]) -> Figure:
    """A row for each image (H, W, C), one or more, with its gates beside it, all on one scale around 0."""
    labels = list(rows[0][1])
    figure, axes = page_figure(1.9 * len(rows) + 0.3, len(rows), 1 + max(len(labels), 1), dpi=None)
    top = max((float(abs(gate).max()) for _, gates in rows for gate in gates.values()), default=0.0) or 1.0
    for line, (image, gates) in zip(axes, rows, strict=True):
        line[0].imshow(image[..., :3])
        without_ticks(line)
        if not labels:
            line[1].axis("off")
            line[1].set_title("this network has no CAM", fontsize=9)
        for ax, label in zip(line[1:], labels, strict=False):
            look = {"cmap": "PuOr_r", "vmin": -top, "vmax": top, "interpolation": "nearest"}
            shown = ax.imshow(gates[label], extent=_extent(image.shape), **look)
    _titles(axes[0], ["image", *(f"context of {label}" for label in labels)])
    if labels:
        _colour_bar(figure, shown, axes, "gate", 0.01)
    return finished(figure)


def field_panels(fields: Mapping[str, Field], share: float = 0.95) -> Figure:
    """Show receptive fields (side, side) of sum 1, one or more, on one logarithmic scale.

    A square on each holds `share` of it, in (0, 1]; the titles state the sides of the squares.
    """
    rows = -(-len(fields) // _COLUMNS)
    figure, axes = page_figure(((WIDTH - 0.9) / _COLUMNS + 0.35) * rows, rows, _COLUMNS, dpi=None)
    top = np.log10(max(float(field.max()) for field in fields.values()))
    for ax in axes.flat:
        ax.axis("off")
    for ax, (label, field) in zip(axes.flat, fields.items(), strict=False):
        floor = 10 ** (top - _DECADES)  # zeros have no logarithm
        shown = ax.imshow(np.log10(np.maximum(field, floor)), cmap="viridis", vmin=top - _DECADES, vmax=top)
        side = field_side(field, share)
        left, upper = (n // 2 - side / 2 for n in field.shape[::-1])
        ax.add_patch(Rectangle((left, upper), side, side, fill=False, ec="#d55e00", lw=1.2))
        ax.set_title(f"{label}: {side:.0f} px", fontsize=9)
    _colour_bar(figure, shown, axes, "log$_{10}$ of a pixel's share", 0.02)
    return finished(figure)


def map_panels(rows: Sequence[tuple[Sample, Mapping[str, Map]]]) -> Figure:
    """A row for each image as in the paper's Fig. 7: itself, its truth, and each network's map with the true outline.

    Args:
        rows: one or more: sample, and network -> map (h, w) in [0, 1] of the whole image without padding, such as
            `features.strengths` gives, of the same networks in all rows.
    """
    labels = list(rows[0][1])
    columns = 2 + len(labels)
    heights = row_heights([sample.mask for sample, _ in rows])
    height = (WIDTH - 1.2) / columns * sum(heights) + 0.1 * len(rows) + 0.3
    figure, axes = page_figure(height, len(rows), columns, dpi=None, height_ratios=heights)
    for line, (sample, maps) in zip(axes, rows, strict=True):
        mask = sample.mask
        line[0].imshow(sample.image[..., :3])
        line[1].imshow(np.where(mask == IGNORE_INDEX, 0.5, mask), cmap="gray", vmin=0, vmax=1)
        for ax, values in zip(line[2:], maps.values(), strict=True):
            look = {"cmap": "viridis", "vmin": 0, "vmax": 1, "interpolation": "bilinear"}
            shown = ax.imshow(values, extent=_extent(mask.shape), **look)
            if (mask == 1).any() and (mask != 1).any():
                ax.contour(mask == 1, levels=[0.5], colors="white", linewidths=0.8)
        without_ticks(line)
    _titles(axes[0], ["image", "truth", *labels])
    if labels:
        _colour_bar(figure, shown, axes, "strength, scaled", 0.01)
    return finished(figure)


# Attributions.


def question_panels(questions: Sequence[Question], found: Sequence[Attribution]) -> Figure:
    """A row for each question, one or more: image, probability and attribution, with the outline of the region.

    Orange speaks for landslide in the region and purple against it; each map has its own scale.
    """
    heights = row_heights([one.sample.mask for one in questions])
    height = 0.31 * WIDTH * sum(heights) + 0.25 * len(questions) + 0.3
    figure, axes = page_figure(height, len(questions), 3, dpi=None, height_ratios=heights)
    for line, one, answer in zip(axes, questions, found, strict=True):
        shape = one.sample.mask.shape
        line[0].imshow(one.sample.image[..., :3])
        line[0].set_ylabel(f"{one.sample.name}\nIoU {100 * one.iou:.0f} %", fontsize=8)
        line[1].imshow(one.probability, cmap="cividis", vmin=0, vmax=1)
        draw_map(line[2], answer.values, shape)
        line[2].set_xlabel(f"margin {answer.margin:.2f}", fontsize=8)
        for ax, colour in zip(line, ("white", "white", "black"), strict=True):
            outline(ax, one.region, shape, colour)
        without_ticks(line)
    _titles(axes[0], ["image, region outlined", "probability", "attribution"])
    return finished(figure)


def method_panels(question: Question, maps: Mapping[str, Map]) -> Figure:
    """One image, and the maps of several methods, in the colours and with the outline of `question_panels`."""
    sample = question.sample
    rows = -(-(len(maps) + 1) // _COLUMNS)
    (ratio,) = row_heights([sample.mask])
    figure, axes = page_figure((0.24 * WIDTH * ratio + 0.3) * rows, rows, _COLUMNS, dpi=None)
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
    ax.imshow(values, cmap="PuOr_r", vmin=-top, vmax=top, extent=_extent(shape))


def outline(ax: Axes, region: Region, shape: tuple[int, ...], colour: str) -> None:
    """The region's outline over an image of `shape` (H, W)."""
    if region.all():
        return
    height, width = region.shape
    # Centres of the region's pixels in those of the image.
    x, y = ((np.arange(n) + 0.5) * side / n - 0.5 for n, side in ((width, shape[1]), (height, shape[0])))
    ax.contour(x, y, region.astype(float), levels=[0.5], colors=colour, linewidths=0.9)


def _has_cam(config: SCGCNetConfig, level: int) -> bool:
    return config.cam and (config.cam_where == "laterals" or (config.cam_where == "deepest" and level == 3))


def _extent(shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    """Where a picture stretched over an image of `shape` (H, W, ...) lies: left, right, bottom, top."""
    return -0.5, shape[1] - 0.5, shape[0] - 0.5, -0.5


def _titles(axes: Sequence[Axes], titles: Sequence[str]) -> None:
    for ax, title in zip(axes, titles, strict=False):
        ax.set_title(title, fontsize=9)


def _colour_bar(figure: Figure, shown: AxesImage, axes: npt.NDArray[np.object_], label: str, pad: float) -> None:
    bar = figure.colorbar(shown, ax=axes, fraction=0.03, pad=pad)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=8)


def _tight(figure: Figure) -> Figure:
    figure.tight_layout()
    return finished(figure)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": "#444444", "lw": 0.9})
