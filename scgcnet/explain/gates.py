"""The gates of the context-aware modulator (CAM): how much of each range of context it takes at each place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from torch import nn

from scgcnet.explain.features import capture
from scgcnet.model.cam import ContextAwareModulator
from scgcnet.plots.style import WIDTH, finished


def gate_maps(model: nn.Module, images: torch.Tensor) -> dict[str, npt.NDArray[np.float32]]:
    """The gates G^n of eq. 16 for an image (1, C, H, W): float32 (h, w) by level, without bounds and of either sign.

    A level is named by how many pixels of CAM's grid it sees (eq. 15); of several modulators each has its name before
    that. Nothing comes back for a network without CAM.
    """
    found: dict[str, npt.NDArray[np.float32]] = {}
    modulators = {name: m for name, m in model.named_modules() if isinstance(m, ContextAwareModulator)}
    for name, modulator in modulators.items():
        kernels = [conv.kernel_size[0] for conv in modulator.context if isinstance(conv, nn.Conv2d)]
        fields = accumulate((kernel - 1 for kernel in kernels), initial=1)
        labels = [f"{side} x {side}" for side in list(fields)[1:]] + ["the whole"] * modulator.global_level
        gates = capture(model, images, [f"{name}.gates"])[f"{name}.gates"][0].float().cpu().numpy()
        where = f"{name}: " if len(modulators) > 1 else ""
        found |= {f"{where}{label}": gate for label, gate in zip(labels, gates, strict=True)}
    return found


def draw_gates(rows: Sequence[tuple[npt.NDArray[np.uint8], Mapping[str, npt.NDArray[np.float32]]]]) -> Figure:
    """A row for each image (H, W, C) with its gates beside it, all on one scale around 0.

    Raises:
        ValueError: There is no row.
    """
    if not rows:
        raise ValueError("no image to show gates of")
    labels = list(rows[0][1])
    columns = 1 + max(len(labels), 1)
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(WIDTH, 1.9 * len(rows) + 0.3), layout="constrained", squeeze=False
    )
    top = max((float(abs(gate).max()) for _, gates in rows for gate in gates.values()), default=0.0) or 1.0
    for line, (image, gates) in zip(axes, rows, strict=True):
        line[0].imshow(image[..., :3])
        for ax in line:
            ax.set(xticks=[], yticks=[])
        if not labels:
            line[1].axis("off")
            line[1].set_title("this network has no CAM", fontsize=9)
        for ax, label in zip(line[1:], labels, strict=False):
            height, width = image.shape[:2]
            bounds = (-0.5, width - 0.5, height - 0.5, -0.5)
            shown = ax.imshow(gates[label], cmap="PuOr_r", vmin=-top, vmax=top, extent=bounds, interpolation="nearest")
    axes[0, 0].set_title("image", fontsize=9)
    for ax, label in zip(axes[0, 1:], labels, strict=False):
        ax.set_title(f"context of {label}", fontsize=9)
    if labels:
        bar = figure.colorbar(shown, ax=axes, fraction=0.03, pad=0.01)
        bar.set_label("gate", fontsize=8)
        bar.ax.tick_params(labelsize=8)
    return finished(figure)
