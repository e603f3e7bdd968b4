"""Drawings of SCGC-Net: its anatomy as configured, its feature maps, its calibration offsets.

Shapes and costs are read off the network itself, never written down twice.
"""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from torch import nn

from scgcnet.efficiency import Cost, count_cost
from scgcnet.explain.features import capture, energy, layer_shapes
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


def draw_features(
    image: npt.NDArray[np.uint8], maps: Mapping[str, npt.NDArray[np.float32]], columns: int = 4
) -> Figure:
    """Shows an image (H, W, 3) and, beside it, maps of any size in [0, 1], each under its name."""
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
    """Shows calibration offsets (1, 2, h, w), in pixels of their own grid, as arrows over the image (H, W, 3)."""
    figure, axes = plt.subplots(1, max(len(offsets), 1), figsize=(4.4 * max(len(offsets), 1), 4.4), squeeze=False)
    if not offsets:
        axes[0, 0].set_title("this network has no calibration units", fontsize=9)
        axes[0, 0].axis("off")
        return _finished(figure)
    for ax, (title, field) in zip(axes.flat, offsets.items(), strict=True):
        dx, dy = field[0].float().numpy()
        height, width = dx.shape
        step = max(height // 16, 1)
        y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step]
        ax.imshow(image, extent=(-0.5, width - 0.5, height - 0.5, -0.5), alpha=0.55)
        ax.quiver(x, y, dx[y, x], dy[y, x], angles="xy", scale_units="xy", scale=1, color="#d55e00", width=0.004)
        length = float(np.hypot(dx, dy).mean())
        ax.set_title(f"{title}: mean length {length:.2f} px of {height} x {width}", fontsize=9)
        ax.axis("off")
    return _finished(figure)


def feature_energies(model: nn.Module, images: torch.Tensor) -> dict[str, npt.NDArray[np.float32]]:
    """Strength of the maps of images (1, C, H, W) from the stages through CAM and the fusion units, by part."""
    names = [n for n in LAYERS if n.startswith(("encoder.stage", "cam.", "decoder."))]
    present = [n for n in names if not isinstance(model.get_submodule(n), nn.Identity)]
    return {LAYERS[name]: energy(features) for name, features in capture(model, images, present).items()}


def offset_fields(model: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Offsets (1, 2, h, w) of the finest calibration unit for images (1, C, H, W), by branch; none without PSCCS."""
    if "decoder.units.2.up" not in dict(model.named_modules()):
        return {}
    layers = {"up": "decoder.units.2.up", "down": "decoder.units.2.down"}
    fields = capture(model, images, list(layers.values()))
    return {label: fields[name] for label, name in layers.items()}


def _has_cam(config: SCGCNetConfig, level: int) -> bool:
    return config.cam and (config.cam_where == "laterals" or (config.cam_where == "deepest" and level == 3))


def _finished(figure: Figure) -> Figure:
    """Closes the figure for pyplot: a notebook would show it twice, as the cell's value and as an open figure."""
    figure.tight_layout()
    plt.close(figure)
    return figure


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "-|>", "color": "#444444", "lw": 0.9})


def _cost(config: SCGCNetConfig, image_size: int) -> Cost:
    with torch.device("meta"):
        model = SCGCNet(config)
    return count_cost(model, (1, config.in_channels, image_size, image_size))
