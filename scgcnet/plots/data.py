"""What is in a data set."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from scgcnet.plots.style import BLUE, DPI, ORANGE, WIDTH, finished


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
    return finished(figure)
