"""The report of a training: one HTML file with its figures inside, which opens offline."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from scgcnet import files
from scgcnet.data import Sample
from scgcnet.own.evaluation import Evaluation
from scgcnet.plots import prediction_panels, training_curves

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2rem }
table { border-collapse: collapse } th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child { text-align: left; font-weight: normal }
pre { background: #f4f4f4; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere }
.warning { border-left: 4px solid #d55e00; padding: .2rem .8rem; background: #fdf3ec }
figure { margin: 1rem 0 } img { max-width: 100% } figcaption { color: #555 }
"""
LABELS = {
    "scgcnet": "scgcnet version", "sources": "trained on", "bands": "bands", "window": "training window, px",
    "resolution": "ground resolution, m", "value_range": "values shown black and white",
    "threshold": "threshold",
}  # fmt: skip


def write_report(
    path: Path,
    command: str,
    metadata: Mapping[str, str],
    found: Evaluation,
    history: Sequence[dict[str, float]],
    warned: Sequence[str],
    cases: Sequence[tuple[Sample, NDArray[np.float32], float]],
    threshold: float,
) -> None:
    """Writes the report.

    Args:
        path: of the HTML file.
        command: the command line that was run.
        metadata: of the weights.
        found: scores on validation.
        history: a row for each epoch, see `FitResult`.
        warned: warnings, a sentence each.
        cases: validation images with probability and IoU (a fraction).
        threshold: probability above which a pixel is landslide.

    Raises:
        WriteError: the file cannot be written.
    """
    summary, best = found.summary, max(row["val_iou"] for row in history)
    iou = summary.loc["iou, %"]
    interval = "" if np.isnan(iou.low) else f" (95 % interval {iou.low:.1f} to {iou.high:.1f})"
    drawn = []
    for sample, probability, value in cases:
        known = sample.mask != 255
        shown = replace(sample, image=_as_rgb(sample.image), mask=np.where(known, sample.mask, 0).astype(np.uint8))
        drawn.append((shown, probability * known, value))
    curve = f"Training loss and IoU on {len(history)} epochs; the epoch with the highest validation IoU was kept"
    carried = pd.DataFrame({"value": [metadata[k] for k in LABELS if k in metadata]},
                           [label for k, label in LABELS.items() if k in metadata])  # fmt: skip
    parts = [
        f"<h1>Validation IoU {iou.value:.1f} %{interval}</h1>",
        *(f'<p class="warning">Warning: {escape(message)}.</p>' for message in warned),
        "<h2>Command</h2>", f"<pre>{escape(command)}</pre>",
        f"<h2>Scores on {int(iou.n)} validation images</h2>",
        _table(summary.assign(n=summary.n.astype(int))),
        "<p>Value and 95 % interval (bootstrap over rasters, or over images where there are fewer than five rasters; "
        "Wilson's for shares of images). These images chose the epoch and the threshold, so new ground will score "
        "lower.</p>",
        "<h2>Landslides found by size</h2>", _table(found.sizes),
        "<p>A landslide is found if at least half of its pixels are.</p>",
        "<h2>Training</h2>",
        _figure(training_curves({"validation": list(history)}), "svg", curve,
                f"The best validation IoU of windows is {100 * best:.1f} %"),
        "<h2>Predictions beside truth</h2>",
        _figure(prediction_panels(drawn, threshold), "png",
                f"{len(cases)} validation images, evenly spaced by IoU from the lowest to the highest",
                f"IoU of single images from {100 * cases[0][2]:.0f} to {100 * cases[-1][2]:.0f} %"),
        "<h2>What the weights carry</h2>", _table(carried),
        "<h2>Data read and left out</h2>",
        "<ul>" + "".join(f"<li>{escape(note)}</li>" for note in found.notes) + "</ul>",
    ]  # fmt: skip
    head = f'<meta charset="utf-8"><title>scgcnet train</title><style>{STYLE}</style>'
    files.write_text(
        path, f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n' + "\n".join(parts) + "\n</body></html>\n"
    )


def _table(frame: pd.DataFrame) -> str:
    shown = frame.map(lambda value: f"{value:.1f}" if isinstance(value, float) and not np.isnan(value) else value)
    head = "".join(f"<th>{escape(str(name))}</th>" for name in (frame.index.name or "", *frame.columns))
    rows = [
        f"<tr><th>{escape(str(name))}</th>"
        + "".join(f"<td>{'' if isinstance(v, float) else escape(str(v))}</td>" for v in values)
        for name, *values in shown.itertuples()
    ]
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _figure(figure: Figure, kind: str, caption: str, result: str) -> str:
    """A figure inside the page; `result` is what it shows, for those who do not see it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    source = f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return f'<figure><img alt="{escape(result)}" src="{source}"><figcaption>{escape(caption)}.</figcaption></figure>'


def _as_rgb(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)
