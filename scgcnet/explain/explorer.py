"""The atlas as a page that opens from its folder, offline and without a server.

A browser lets a page from a folder load scripts beside it alone: the data are scripts too. The index holds the numbers
of filters and list; each case has a file of its own, loaded when it is shown, with the photograph as WebP and truth and
probabilities as zlib data (a canvas does not promise to give back every pixel).
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import shutil
import zlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scgcnet import files
from scgcnet.explain.atlas import Atlas, Entry, Model
from scgcnet.explain.failures import CAUSES, TITLES, curves

PAGE = "book/explorer"  # files that all pages share
FOLDER = "build/explorer"  # never committed: real images may not be redistributed
MAX_CASES = 200
MAX_BYTES = 50_000  # of a case: its file and its entry in the index
_PHOTOS = ((512, 80), (512, 60), (384, 60), (256, 50), (128, 40))  # longest side in pixels and quality, the best first
_THUMB = 40  # pixels
_FACTS = ("dataset", "name", "site", "height", "width", "resolution", "known", "truth", "landslides", "largest",
          "touches")  # fmt: skip


def write_explorer(atlas: Atlas, shown: Sequence[Entry], root: Path) -> Path:
    """Write the page of some of an atlas's entries, 1 to `MAX_CASES`, into the project at `root`.

    Returns:
        The page, `build/explorer/RUN/index.html`, or `RUN_RUN` of two runs.

    Raises:
        WriteError: the folder cannot be written.
    """
    folder = root / FOLDER / "_".join(model.run.run_id for model in atlas.models)
    making = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        shutil.rmtree(making, ignore_errors=True)
        (making / "data").mkdir(parents=True)
        for path in sorted((root / PAGE).iterdir()):
            if path.suffix in (".css", ".js"):
                shutil.copyfile(path, making / path.name)
        template = (root / PAGE / "index.html").read_text(encoding="utf-8")
        items = []
        for number, entry in enumerate(shown):
            item, text = case_data(entry, f"{number:03d}")
            items.append(item)
            (making / "data" / f"case-{number:03d}.js").write_text(text, encoding="utf-8")
        models = [
            {
                "title": model.run.title,
                "run": model.run.run_id,
                "threshold": round(100 * model.threshold),
                "best": round(100 * model.best_on_test),
                "fails": model.limits.iou,
            }
            for model in atlas.models
        ]
        index = {"kind": atlas.kind, "causes": TITLES, "models": models, "cases": items}
        (making / "data" / "index.js").write_text(f"window.ATLAS = {_json(index)};\n", encoding="utf-8")
        (making / "index.html").write_text(page(template, atlas, shown), encoding="utf-8")
        files.remove_folder(folder)
        making.rename(folder)
    except OSError as error:
        raise files.WriteError(folder, error) from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return folder / "index.html"


def case_data(entry: Entry, number: str) -> tuple[dict[str, Any], str]:
    """The index's item of an entry, and the text of its own file, which is named by `number`.

    Together they take at most `MAX_BYTES`: the photograph is reduced. (A network whose output is noise from pixel to
    pixel could exceed it.)
    """
    mask, facts = entry.sample.mask, entry.facts
    counted = [curves(mask, entry.values(place)) for place in range(len(entry.small))]
    item = {
        "file": number,
        **{key: getattr(facts, key) for key in _FACTS},
        "edges": _short(facts.edge_density),
        "contrast": _short(facts.contrast),
        "band": counted[0].truth_band,
        "thumb": _webp(entry.sample.image, _THUMB, 50),
        "models": [
            {
                "entropy": _short(found.entropy),
                "causes": why,
                "tp": one.tp.tolist(),
                "fp": one.fp.tolist(),
                "band": one.band.tolist(),
                "hits": one.band_hits.tolist(),
            }
            for found, why, one in zip(entry.predictions, entry.causes, counted, strict=True)
        ],
    }
    small = [{"rows": one.shape[0], "columns": one.shape[1], "data": _packed(one)} for one in entry.small]
    text = ""
    for side, quality in _PHOTOS:
        photo = _webp(entry.sample.image, side, quality)
        text = f"atlasCase({_json(number)}, {_json({'photo': photo, 'mask': _packed(mask), 'small': small})});\n"
        if len(text) + len(_json(item)) <= MAX_BYTES:
            break
    return item, text


def _webp(image: NDArray[np.uint8], side: int, quality: int) -> str:
    """A photograph of at most so many pixels on its longest side, as a data URI."""
    photo = Image.fromarray(np.ascontiguousarray(image[..., :3]))
    photo.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = BytesIO()
    photo.save(out, "WEBP", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


def _packed(values: NDArray[np.uint8]) -> str:
    """Differences along both axes, which are small where a map is smooth, as zlib data."""
    zero = np.uint8(0)
    values = np.diff(np.diff(values, axis=0, prepend=zero), axis=1, prepend=zero)  # wraps at 256
    return base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()


def _short(value: float) -> float | None:
    """A number for the page; null for NaN, which JSON lacks."""
    return None if math.isnan(value) else float(f"{value:.5g}")


def _json(value: Any) -> str:
    """JSON that is a JavaScript literal too: no name can end a script or a line."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page(template: str, atlas: Atlas, shown: Sequence[Entry]) -> str:
    """The HTML of book/explorer/index.html (`template`) with the table for readers without JavaScript."""
    names = " and ".join(model.run.title for model in atlas.models)
    of_test = set(map(id, atlas.entries))
    tested = sum(id(entry) in of_test for entry in shown)
    about = f"{names} on {atlas.dataset}, split {atlas.split}: {tested} of {len(atlas.entries)} test images"
    if free := len(shown) - tested:
        about += f", and {free} of {len(atlas.free)} images of the same place without landslides"
    warning = (
        "Synthetic images, and networks trained for seconds: this page shows that everything works, its numbers mean "
        "nothing."
        if atlas.kind == "synthetic"
        else "Built on this machine from images that may not be redistributed: keep it here, or ask their owners."
    )
    parts = {
        "title": html.escape(names),
        "about": html.escape(about + "."),
        "warning": f'<p class="warning">{html.escape(warning)}</p>',
        "table": plain_table(atlas.models, shown),
        "rules": _rules(atlas.models[0]),
    }
    for name, part in parts.items():
        template = template.replace("{{" + name + "}}", part)
    return template


def _rules(model: Model) -> str:
    limits = model.limits
    items = "".join(
        f"<dt>{html.escape(cause.title)}</dt><dd>{html.escape(cause.rule)} "
        f"(from {'the paper' if cause.origin == 'paper' else 'this study'})</dd>"
        for cause in CAUSES.values()
    )
    values = (
        f"share {100 * limits.share:.1f} %, small {limits.small:,.0f} px, edges {100 * limits.edges:.1f} %, contrast "
        f"{limits.contrast:.2f}, greenness {limits.greenness:.3f}"
    )
    return (
        f"<p>An image is a failure of a network if its IoU at the network's threshold is below the lower quartile of "
        f"the validation part ({100 * limits.iou:.1f} % for {html.escape(model.run.title)}). The limits of the rules "
        f"are quartiles of the validation part as well: {values}. Several causes may hold at once, and that one holds "
        "does not prove that it was the reason. Causes do not move with the sliders.</p>"
        f"<dl>{items}</dl>"
    )


def plain_table(models: Sequence[Model], shown: Sequence[Entry]) -> str:
    """The cases as an HTML table, at each model's threshold."""
    heads = ["Data set", "Image", "Landslide, px", "Landslide, m²", "At the frame", "Edge density, %"]
    for model in models:
        own = f"{model.run.title} at {model.threshold:.2f}"
        heads += [f"{own}: IoU, %", "missed, px", "false alarm, px", "boundary IoU, %", "entropy, bit", "causes"]
    rows = []
    for entry in shown:
        facts = entry.facts
        metres = f"{facts.truth * facts.resolution**2:,.0f}" if facts.resolution else "-"
        cells = [f"{facts.truth:,}", metres, "yes" if facts.touches else "no", f"{100 * facts.edge_density:.1f}"]
        for found, why in zip(entry.predictions, entry.causes, strict=True):
            cells += [f"{100 * found.iou:.1f}", f"{found.fn:,}", f"{found.fp:,}"]
            cells += [f"{100 * found.boundary_iou:.1f}", f"{found.entropy:.3f}"]
            cells += ["; ".join(TITLES[key] for key in why) or "-"]
        body = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
        head = f'<td>{html.escape(facts.dataset)}</td><th scope="row">{html.escape(facts.name)}</th>'
        rows.append(f"<tr>{head}{body}</tr>")
    columns = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in heads)
    return (
        f"<table><caption>{len(shown)} cases</caption><thead><tr>{columns}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
    )
