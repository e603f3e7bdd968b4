"""Figures of the book. Each function returns a matplotlib Figure as wide as a page; colours suit colour blindness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter

if TYPE_CHECKING:
    from scgcnet.study.audit import ShareCheck
    from scgcnet.study.cases import Case

WIDTH = 8.0  # inches; the theme shows it at about 750 pixels
DPI = 120

# Okabe and Ito's palette, told apart with any kind of colour vision.
BLUE, ORANGE, PURPLE, GREEN, SKY, VERMILION, BLACK = (
    "#0072B2",
    "#E69F00",
    "#CC79A7",
    "#009E73",
    "#56B4E9",
    "#D55E00",
    "#000000",
)
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)
LINES = ("-", "--", ":", "-.")
HIT, FALSE_ALARM, MISS = BLUE, ORANGE, BLACK


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
    return _finished(figure)


def image_histograms(sides: Sequence[float], shares: Sequence[float]) -> Figure:
    """How large the images of a data set are (left), and how much of each is landslide (right).

    Args:
        sides: square root of the pixels of each image.
        shares: landslide pixels over known pixels of each image, 0 to 1.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.6), dpi=DPI, layout="constrained")
    low, high = min(sides), max(sides)
    bins = np.geomspace(low, high, 30) if high > 1.01 * low else np.array([0.9 * low, 1.1 * low])
    left.hist(sides, bins=bins.tolist(), color=BLUE)
    left.set(xscale="log", xlabel="side of an image, pixels (square root of its area)", ylabel="images")
    left.xaxis.set_major_formatter("{x:.0f}")
    left.xaxis.set_minor_formatter(NullFormatter())
    right.hist([100 * share for share in shares], bins=30, color=ORANGE)
    right.set(xlabel="landslide, % of an image", ylabel="images")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return _finished(figure)


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
    return _finished(figure)


def cost_dots(rows: Mapping[str, tuple[float, float, float]], highlight: str, sides: Sequence[int]) -> Figure:
    """Parameters (left) and cost per megapixel at two image sizes (right), a row for each network, cheapest on top.

    Args:
        rows: label -> millions of parameters, GMAC per megapixel at the first side, and the same at the second.
        highlight: the label drawn in another colour and in bold.
        sides: of the two square images, pixels.
    """
    ordered = sorted(rows, key=lambda label: rows[label][1], reverse=True)
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 0.9 + 0.24 * len(rows)), dpi=DPI, layout="constrained", sharey=True
    )
    for height, label in enumerate(ordered):
        params, small, large = rows[label]
        colour = VERMILION if label == highlight else BLUE
        left.plot(params, height, "o", color=colour, ms=5)
        right.plot([small, large], [height, height], "-", color=colour, lw=1)
        right.plot(small, height, "o", color=colour, ms=4)
        right.plot(large, height, "D", color=colour, ms=8, mfc="none")  # a frame around the dot where both agree
    left.set_yticks(range(len(ordered)), ordered)
    for text in left.get_yticklabels():
        text.set_fontweight("bold" if text.get_text() == highlight else "normal")
    left.set(xscale="log", xlabel="parameters, millions")
    right.set(xscale="log", xlabel="GMAC per megapixel")
    marks = [
        Line2D([], [], ls="", marker="o", color=BLUE, ms=4, label=f"at {sides[0]} x {sides[0]}"),
        Line2D([], [], ls="", marker="D", color=BLUE, ms=8, mfc="none", label=f"at {sides[1]} x {sides[1]}"),
    ]
    right.legend(handles=marks, frameon=False, fontsize="small", loc="lower left")
    for axis in (left, right):
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    return _finished(figure)


def _finished(figure: Figure) -> Figure:
    """Take the figure from pyplot's list, or a notebook shows it twice: as result of the cell and as left open."""
    plt.close(figure)
    return figure


def _column(history: Sequence[Mapping[str, float | None]], name: str, factor: float = 1) -> npt.NDArray[np.float64]:
    return np.array([np.nan if row[name] is None else row[name] for row in history], dtype=np.float64) * factor


def prediction_panels(cases: Sequence[Case], threshold: float = 0.5) -> Figure:
    """One row for each case: image, truth, probability, and the errors laid over the image in grey.

    Args:
        cases: what to show, from top to bottom.
        threshold: probability above which a pixel counts as landslide.

    Returns:
        The figure; without cases it says why there may be none.
    """
    if not cases:
        return _message(
            "No prediction to show: weights or data are not at hand. `scgcnet study run ID --force` makes weights."
        )
    heights = [min(case.sample.mask.shape[0] / case.sample.mask.shape[1], 1.6) for case in cases]
    figure, axes = plt.subplots(
        len(cases),
        4,
        figsize=(WIDTH, 0.235 * WIDTH * sum(heights) + 0.1 * len(cases) + 0.7),
        height_ratios=heights,
        dpi=DPI,
        layout="constrained",
        squeeze=False,
    )
    for row, case in zip(axes, cases, strict=True):
        _panel_row(row, case, threshold)
    for axis, title in zip(axes[0], ("image", "truth", "probability", "errors"), strict=True):
        axis.set_title(title, fontsize="medium")
    colours = {"found": HIT, "false alarm": FALSE_ALARM, "missed": MISS}
    figure.legend(
        handles=[Patch(color=colour, label=label) for label, colour in colours.items()],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    return _finished(figure)


def _message(text: str) -> Figure:
    figure = plt.figure(figsize=(WIDTH, 0.8))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return _finished(figure)


def _panel_row(row: Sequence[Axes], case: Case, threshold: float) -> None:
    image, mask = case.sample.image, case.sample.mask
    row[0].imshow(image[..., :3])
    row[1].imshow(mask, cmap="gray", vmin=0, vmax=1)
    row[2].imshow(case.probability, cmap="cividis", vmin=0, vmax=1)
    row[3].imshow(error_overlay(image, mask, case.probability > threshold))
    height, width = mask.shape
    row[0].set_ylabel(f"{case.sample.name}, {width}x{height} px\nIoU {100 * case.iou:.0f} %", fontsize="small")
    for axis in row:
        axis.set(xticks=[], yticks=[])


def error_overlay(
    image: npt.NDArray[np.uint8], mask: npt.NDArray[np.uint8], prediction: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """The image in pale grey with found, falsely alarmed and missed pixels in their colours.

    Args:
        image: uint8 (H, W, C).
        mask: truth, uint8 (H, W) in {0, 1}.
        prediction: bool (H, W).

    Returns:
        uint8 (H, W, 3).
    """
    grey = 0.5 * image.mean(axis=2) + 110  # pale, so that blue and black stand out on dark forest
    out = np.repeat(grey[..., None], 3, axis=2)
    truth = mask == 1
    for where, colour in (
        (truth & prediction, HIT),
        (~truth & prediction, FALSE_ALARM),
        (truth & ~prediction, MISS),
    ):
        out[where] = 0.25 * out[where] + 0.75 * 255 * np.array(to_rgb(colour))
    return out.round().astype(np.uint8)


_HOW_FAR = {"": (BLUE, "o"), "just": (ORANGE, "s"), "far": (VERMILION, "D")}


def implied_shares(checks: Sequence[ShareCheck]) -> Figure:
    """A panel for each test set: how far the landslide share that each row implies is from the one agreed on.

    Bars are rounding intervals. The axis is linear up to 0.1 points to each side and logarithmic beyond, since
    rounding allows hundredths and some rows are off by points. Rows that are far off carry their OA, as printed and as
    it would fit.

    Args:
        checks: one for each test set, from `scgcnet.study.audit.check_shares`.
    """
    names = list(dict.fromkeys(found.row.name for check in checks for found in check.rows))
    figure, panels = plt.subplots(
        1,
        len(checks),
        figsize=(WIDTH, 0.22 * len(names) + 1.3),
        dpi=DPI,
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for panel, check in zip(panels[0], checks, strict=True):
        _share_panel(panel, check, names)
        panel.set_yticks(range(len(names)), names)
        panel.set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel("implied minus agreed share of landslide pixels, percentage points", fontsize="medium")
    labels = {"": "fits", "just": "just off", "far": "far off (OA as printed → as it would fit)"}
    handles = [
        Line2D([], [], color=colour, marker=marker, lw=3, ms=5, label=labels[off])
        for off, (colour, marker) in _HOW_FAR.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, frameon=False)
    return _finished(figure)


def _share_panel(panel: Axes, check: ShareCheck, names: Sequence[str]) -> None:
    middle = float(check.agreed.middle)
    panel.axvspan(*(100 * (float(end) - middle) for end in check.agreed), color=BLACK, alpha=0.25, lw=0)
    for found in check.rows:
        y = names.index(found.row.name)
        low, high = (100 * (float(end) - middle) for end in found.share)
        colour, marker = _HOW_FAR[found.off]
        panel.plot([low, high], [y, y], color=colour, lw=3, solid_capstyle="butt")
        panel.plot((low + high) / 2, y, marker, color=colour, ms=5)
        if found.off == "far":
            text = f"{found.row.printed['OA']} → {100 * float(found.oa.middle):.2f}"
            panel.annotate(
                text,
                (low, y),
                (-7, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                bbox={"fc": "white", "ec": "none", "pad": 0.5},
            )
    panel.set_xscale("symlog", linthresh=0.1, linscale=1)
    panel.set_xlim(-1, 12)
    panel.set_xticks([-1, -0.1, 0, 0.1, 1, 10], ["-1", "-0.1", "0", "0.1", "1", "10"], fontsize="small")
    panel.set_title(f"{check.title}: {check.agreed.percent()} %", fontsize="medium")
    panel.grid(alpha=0.3)
    panel.spines[["top", "right"]].set_visible(False)
