"""Drawings of SCGC-Net: its anatomy as configured, its feature maps, its calibration offsets.

Shapes and costs are read off the network itself, never written down twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import nn

from scgcnet.cost import Cost, count_cost
from scgcnet.data import IGNORE_INDEX
from scgcnet.explain.features import capture, energy, layer_shapes
from scgcnet.explain.receptive_field import field_side
from scgcnet.model import SCGCNet, SCGCNetConfig

#: Layers whose output is a part's, and the part's name in drawings and tables, in the order of the forward pass.
LAYERS = {
    "encoder.stem": "stem",
    **{f"encoder.stage{i}": f"stage {i}" for i in (1, 2, 3, 4)},
    **{f"laterals.{i}": f"lateral {i + 1}" for i in range(4)},
    **{f"cam.{i}": f"CAM on lateral {i + 1}" for i in range(4)},
    **{f"decoder.smooth.{i}": f"fusion {i + 1}" for i in range(3)},
    "head": "head",
}
_WIDTH = 8.0  # inches, as of the figures in `plots`
_COLUMNS = 4  # of small panels
_DECADES = 4  # of field strength below the strongest that are told apart
_COLOURS = {"encoder": "#cfe2f3", "scfe": "#d9ead3", "neck": "#eeeeee", "cam": "#fff2cc", "decoder": "#f4cccc"}


def part_costs(config: SCGCNetConfig, image_size: int) -> dict[str, float]:
    """GMAC of each part for one square image; the parts add up to the whole network."""
    cost = _cost(config, image_size)
    parts = {"stem": "encoder.stem", **{f"stage {i}": f"encoder.stage{i}" for i in (1, 2, 3, 4)}}
    gmac = {label: cost.by_module.get(name, 0) / 1e9 for label, name in parts.items()}
    for label, prefixes in {"laterals": ("laterals.",), "CAM": ("cam.", "cam_backbone.")}.items():
        names = [n for n in cost.by_module if n.startswith(prefixes) and n.count(".") == 1]
        gmac[label] = sum(cost.by_module[n] for n in names) / 1e9
    gmac["fusion"] = cost.by_module.get("decoder", 0) / 1e9
    gmac["head"] = cost.by_module.get("head", 0) / 1e9
    return gmac


def draw_anatomy(config: SCGCNetConfig, image_size: int = 512) -> Figure:
    """Draws the network for a square image of `image_size` pixels, with output shape and GMAC on every box."""
    with torch.device("meta"):
        model = SCGCNet(config)
    shapes = layer_shapes(model, (1, config.in_channels, image_size, image_size), list(LAYERS))
    macs = _cost(config, image_size).by_module

    figure, axes = plt.subplots(figsize=(10.5, 6.0))
    axes.set_xlim(0, 10.6)
    axes.set_ylim(0.4, 5.95)
    axes.axis("off")

    def box(x: float, y: float, name: str, title: str, kind: str, width: float = 2.1) -> None:
        _, channels, height, _ = shapes[name]
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
        if config.cam and (config.cam_where == "laterals" or (config.cam_where == "deepest" and i == 3)):
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
    return _finished(figure)


def draw_features(image: npt.NDArray[np.uint8], maps: Mapping[str, npt.NDArray[np.float32]]) -> Figure:
    """Shows an image (H, W, 3) and, beside it, maps of any size in [0, 1], each under its name."""
    columns = 4
    rows = -(-(len(maps) + 1) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.75 * rows), squeeze=False)
    panels: list[tuple[str, npt.NDArray[np.generic]]] = [("image", image), *maps.items()]
    for ax in axes.flat:
        ax.axis("off")
    for ax, (title, panel) in zip(axes.flat, panels, strict=False):
        ax.imshow(panel, cmap="viridis", vmin=0, vmax=None if panel.ndim == 3 else 1, interpolation="nearest")
        size = f"{panel.shape[0]} x {panel.shape[1]}"
        ax.set_title(f"{title}\n{size}", fontsize=9)
    return _finished(figure)


def draw_offsets(image: npt.NDArray[np.uint8], offsets: Mapping[str, torch.Tensor]) -> Figure:
    """Shows calibration offsets (1, 2, h, w), in pixels of their own grid, as arrows over the image (H, W, 3).

    An arrow starts at a pixel and ends at the place that the unit samples for it, drawn to the image's scale: offset
    channel 0 to the right, channel 1 downwards.
    """
    rows = max(-(-len(offsets) // 2), 1)
    figure, axes = plt.subplots(rows, min(max(len(offsets), 1), 2), figsize=(_WIDTH, 4 * rows), squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    if not offsets:
        axes[0, 0].set_title("this network has no calibration units", fontsize=9)
        return _finished(figure)
    for ax, (title, field) in zip(axes.flat, offsets.items(), strict=False):
        dx, dy = field[0].float().numpy()
        height, width = dx.shape
        step = max(height // 16, 1)
        y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step]
        ax.imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5), alpha=0.55)
        ax.quiver(x, y, dx[y, x], dy[y, x], angles="xy", scale_units="xy", scale=1, color="#d55e00", width=0.004)
        length = float(np.hypot(dx, dy).mean())
        ax.set_title(f"{title}: mean length {length:.2f} px of {height} x {width}", fontsize=9)
    return _finished(figure)


def feature_energies(model: nn.Module, images: torch.Tensor) -> dict[str, npt.NDArray[np.float32]]:
    """Strength of the maps of images (1, C, H, W) from the stages through CAM and the fusion units, by part."""
    names = [n for n in LAYERS if n.startswith(("encoder.stage", "cam.", "decoder."))]
    present = [n for n in names if not isinstance(model.get_submodule(n), nn.Identity)]
    return {LAYERS[name]: energy(features) for name, features in capture(model, images, present).items()}


def offset_fields(model: nn.Module, images: torch.Tensor, unit: int = 2) -> dict[str, torch.Tensor]:
    """Offsets (1, 2, h, w) of a calibration unit for images (1, C, H, W), by branch; none without PSCCS.

    Args:
        model: a network, with calibration units or without.
        images: one image, of sides that its stride divides, or the grid goes on beyond it.
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


def field_panels(fields: Mapping[str, npt.NDArray[np.float32]], share: float = 0.95) -> Figure:
    """Shows receptive fields (side, side) of sum 1 on one logarithmic scale, with the square that holds `share`.

    Args:
        fields: From `receptive_field.effective_field`, by label.
        share: Of the field, in (0, 1]; what the sides in the titles stand for.

    Raises:
        ValueError: There is no field, or the share is out of range.
    """
    if not fields:
        raise ValueError("no field to show")
    rows = -(-len(fields) // _COLUMNS)
    height = ((_WIDTH - 0.9) / _COLUMNS + 0.35) * rows
    figure, axes = plt.subplots(rows, _COLUMNS, figsize=(_WIDTH, height), layout="constrained", squeeze=False)
    top = np.log10(max(float(field.max()) for field in fields.values()))
    for ax in axes.flat:
        ax.axis("off")
    for ax, (label, field) in zip(axes.flat, fields.items(), strict=False):
        floor = 10 ** (top - _DECADES)  # zeros have no logarithm
        shown = ax.imshow(np.log10(np.maximum(field, floor)), cmap="viridis", vmin=top - _DECADES, vmax=top)
        side = field_side(field, share)
        corner = [n // 2 - side / 2 for n in field.shape[::-1]]
        ax.add_patch(Rectangle((corner[0], corner[1]), side, side, fill=False, ec="#d55e00", lw=1.2))
        ax.set_title(f"{label}: {side:.0f} px", fontsize=9)
    bar = figure.colorbar(shown, ax=axes, fraction=0.03, pad=0.02)
    bar.set_label("log$_{10}$ of a pixel's share", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return _closed(figure)


@dataclass(frozen=True)
class MapRow:
    """One image, and what networks make of it.

    Attributes:
        image: uint8, (H, W, C), 0 to 255; the first three channels are shown.
        mask: uint8, (H, W), 0 background, 1 landslide, 255 unknown.
        maps: float32, (h, w) each, in [0, 1], of the whole image and no padding, such as `features.energy` gives for an
            image whose sides the network's stride divides; by the network's label.
        name: of the image; stands beside the row.
    """

    image: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8]
    maps: Mapping[str, npt.NDArray[np.float32]]
    name: str = ""


def map_panels(rows: Sequence[MapRow]) -> Figure:
    """Shows, as the paper's Fig. 7, a row for each image: itself, its truth, and each network's map with its outline.

    The maps are stretched to the image; the thin line on them is the outline of the true landslides.

    Raises:
        ValueError: There is no row, or the rows are of different networks.
    """
    labels = [list(row.maps) for row in rows]
    if not rows or any(names != labels[0] for names in labels):
        raise ValueError(f"rows of the networks {labels}: needs one row or more, all of the same networks")
    columns = 2 + len(labels[0])
    heights = [min(row.mask.shape[0] / row.mask.shape[1], 1.6) for row in rows]
    height = (_WIDTH - 1.2) / columns * sum(heights) + 0.1 * len(rows) + 0.3
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(_WIDTH, height), height_ratios=heights, layout="constrained", squeeze=False
    )
    for line, row in zip(axes, rows, strict=True):
        bounds = (-0.5, row.mask.shape[1] - 0.5, row.mask.shape[0] - 0.5, -0.5)
        line[0].imshow(row.image[..., :3])
        line[0].set_ylabel(row.name, fontsize=8)
        line[1].imshow(np.where(row.mask == IGNORE_INDEX, 0.5, row.mask), cmap="gray", vmin=0, vmax=1)
        for ax, values in zip(line[2:], row.maps.values(), strict=True):
            shown = ax.imshow(values, cmap="viridis", vmin=0, vmax=1, extent=bounds, interpolation="bilinear")
            if (row.mask == 1).any() and (row.mask != 1).any():
                ax.contour(row.mask == 1, levels=[0.5], colors="white", linewidths=0.8)
        for ax in line:
            ax.set(xticks=[], yticks=[])
    for ax, title in zip(axes[0], ["image", "truth", *labels[0]], strict=True):
        ax.set_title(title, fontsize=9)
    if labels[0]:
        bar = figure.colorbar(shown, ax=axes, fraction=0.03, pad=0.01)
        bar.set_label("strength, scaled", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return _closed(figure)


def _has_cam(config: SCGCNetConfig, level: int) -> bool:
    return config.cam and (config.cam_where == "laterals" or (config.cam_where == "deepest" and level == 3))


def _finished(figure: Figure) -> Figure:
    figure.tight_layout()
    return _closed(figure)


def _closed(figure: Figure) -> Figure:
    """Closes the figure for pyplot: a notebook would show it twice, as the cell's value and as an open figure."""
    plt.close(figure)
    return figure


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": "#444444", "lw": 0.9})


def _cost(config: SCGCNetConfig, image_size: int) -> Cost:
    with torch.device("meta"):
        model = SCGCNet(config)
    return count_cost(model, (1, config.in_channels, image_size, image_size))
