"""Curves of trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from scgcnet.plots.style import BLUE, CYCLE, DPI, LINES, WIDTH, finished


def training_curves(histories: Mapping[str, Sequence[Mapping[str, float | None]]]) -> Figure:
    """Loss (left) and validation IoU (right) by epoch, a colour and a line style for each run.

    Args:
        histories: label -> rows of a run file with epoch, loss, val_loss and val_iou.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.0), dpi=DPI, layout="constrained")
    for index, (label, history) in enumerate(histories.items()):
        colour, line = CYCLE[index % len(CYCLE)], LINES[index % len(LINES)]
        epochs = [row["epoch"] for row in history]
        left.plot(epochs, _column(history, "loss"), color=colour, ls=line, label=label)
        left.plot(epochs, _column(history, "val_loss"), color=colour, ls=line, alpha=0.45)
        right.plot(epochs, _column(history, "val_iou", 100), color=colour, ls=line, label=label)
        best = int(np.nanargmax(_column(history, "val_iou")))
        right.plot(epochs[best], _column(history, "val_iou", 100)[best], "o", color=colour, ms=5)
    left.set(xlabel="epoch", ylabel="loss (pale: validation)", ylim=(0, None))
    right.set(xlabel="epoch", ylabel="validation IoU, % (dot: best)", ylim=(0, 100))
    for axis in (left, right):
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    right.legend(frameon=False, fontsize="small")
    return finished(figure)


def curve_grid(histories: Mapping[str, Sequence[Mapping[str, float | None]]], reference: str) -> Figure:
    """Validation IoU by epoch, a small panel for each network, with one network's curve in all of them.

    Args:
        histories: label -> rows of a run file with epoch and val_iou; empty for none.
        reference: the label whose curve is drawn pale behind the others'.
    """
    columns = 6
    rows = -(-max(len(histories), 1) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(WIDTH, 0.4 + 1.2 * rows), dpi=DPI, layout="constrained", sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    for axis in axes.flat[len(histories) :]:
        axis.set_visible(False)
    for axis, (label, history) in zip(axes.flat, histories.items(), strict=False):
        behind = histories.get(reference, [])
        axis.plot([row["epoch"] for row in behind], _column(behind, "val_iou", 100), color="#999999", lw=1)
        axis.plot([row["epoch"] for row in history], _column(history, "val_iou", 100), color=BLUE, lw=1.5)
        axis.set_title(label, fontsize="small")
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("epoch", fontsize="small")
    figure.supylabel("validation IoU, %", fontsize="small")
    return finished(figure)


def _column(history: Sequence[Mapping[str, float | None]], name: str, factor: float = 1) -> npt.NDArray[np.float64]:
    return np.array([np.nan if row[name] is None else row[name] for row in history], dtype=np.float64) * factor
