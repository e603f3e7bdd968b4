"""Run cards: a page for each stored run that the book links to, with its recipe, curve, scores and origin."""

from __future__ import annotations

import html
import re
from pathlib import Path

from scgcnet import files
from scgcnet.study.paper import SCORE_NAMES
from scgcnet.study.results import Record

_LINK = re.compile(r'href="((?:results|build)/(?:runs|trials)/[\w-]+)\.json"')
_STYLE = """:root{color-scheme:light dark} body{font:1rem/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;
padding:0 1rem} table{border-collapse:collapse;margin:1rem 0} th,td{text-align:left;padding:.2rem .8rem .2rem 0;
vertical-align:top} h1{font-size:1.3rem;overflow-wrap:anywhere} svg{max-width:100%;height:auto}
td{overflow-wrap:anywhere}"""
_WAYS = {"resized": "pixels, at the input size", "pooled": "pixels, at native size", "per_image": "mean over images"}


def write_cards(pages: Path) -> int:
    """Write a card beside each record that the pages link to, and lead the links there.

    Args:
        pages: folder of the built book, with the records in it.

    Returns:
        How many cards were written.

    Raises:
        WriteError: a page cannot be written.
    """
    linked: set[str] = set()
    for page in pages.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        there = {name for name in _LINK.findall(text) if (pages / f"{name}.json").is_file()}
        for name in there:
            text = text.replace(f'href="{name}.json"', f'href="{name}.html"')
        if there:
            files.write_text(page, text)
        linked |= there
    for name in linked:
        record = Record.model_validate_json((pages / f"{name}.json").read_bytes())
        files.write_text(pages / f"{name}.html", card(record))
    return len(linked)


def card(record: Record) -> str:
    """One record as a page that needs nothing else."""
    best, changed = record.best, ", ".join(f"{key} = {value}" for key, value in record.flags.items())
    facts = {
        "Data": f"{record.dataset} ({record.data_kind}), split {record.split}",
        "Trained on": ", ".join(record.train_datasets),
        "Network": f"{record.model} {record.size}" + (f", {changed}" if changed else ""),
        "Cost": f"{record.params / 1e6:.2f} M parameters, {record.gmac:.3g} GMAC an image",
        "Profile": f"{record.profile}, seed {record.seed}",
        "Epoch kept": f"{record.best_epoch} of {len(record.history)}, from 0",
        "Time": f"{record.wall_s / 60:.1f} min on {record.device}",
        "Made": f"{record.finished_utc[:10]}, commit {(record.git_sha or 'unknown')[:10]}"
        + ", with changes" * bool(record.dirty)
        + f", protocol {record.protocol}",
        "Settings": "; ".join(f"{key} {value}" for key, value in sorted(record.config["settings"].items())),
    }
    rows = "".join(f'<tr><th scope="row">{key}</th><td>{html.escape(value)}</td></tr>' for key, value in facts.items())
    scores = ""
    if record.metrics:
        names = {key: name for key, (name, _) in SCORE_NAMES.items()}
        head = "".join(f'<th scope="col">{name}</th>' for name in names.values())
        for way, words in _WAYS.items():
            values = getattr(record.metrics, way)
            cells = "".join(f"<td>{100 * values[key]:.1f}</td>" for key in names)
            scores += f'<tr><th scope="row">{words}</th>{cells}</tr>'
        head = f"<tr><th scope='col'>%, {record.metrics.per_image['n']:.0f} test images</th>{head}</tr>"
        scores = f"<h2>Test part</h2><table>{head}{scores}</table>"
    title = html.escape(record.run_id)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><main><h1>{title}</h1><table>{rows}</table>{scores}"
        f"<h2>Validation IoU by epoch, best {100 * (best['val_iou'] or 0):.1f} %</h2>{_curve(record)}"
        f'<p><a href="{title}.json">The record as JSON</a></p></main></html>'
    )


def _curve(record: Record) -> str:
    ious = [100 * (row["val_iou"] or 0) for row in record.history]
    top, step = max([*ious, 1.0]), 600 / max(len(ious) - 1, 1)
    points = " ".join(f"{40 + place * step:.1f},{140 - 120 * iou / top:.1f}" for place, iou in enumerate(ious))
    label = f"Validation IoU from {ious[0]:.1f} % at epoch 0 to {ious[-1]:.1f} % at epoch {len(ious) - 1}"
    return (
        f'<svg viewBox="0 0 660 160" width="660" role="img" aria-label="{label}">'
        f'<text x="0" y="24" font-size="12" fill="currentColor">{top:.0f} %</text>'
        '<text x="0" y="144" font-size="12" fill="currentColor">0</text>'
        f'<polyline points="{points}" fill="none" stroke="#0072b2" stroke-width="2"/></svg>'
    )
