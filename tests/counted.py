"""Stored runs with per-image counts, written as a finished run leaves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from scgcnet.metrics import Confusion
from scgcnet.study import Run, results
from scgcnet.study.results import Details, FreeCounts, ImageCounts, Record

Counts = tuple[int, int, int, int]


def write_counted(
    make_record: Callable[..., Record],
    run: Run,
    images: Sequence[Counts | Mapping[str, Any]],
    free: Sequence[FreeCounts] = (),
    **fields: Any,
) -> Record:
    """Writes the record that follows from its test images, and their counts.

    An image is tp, fp, fn, tn, at native and input size alike, or a mapping with `native` and other fields.
    """
    counted = []
    for number, image in enumerate(images):
        given = dict(image) if isinstance(image, Mapping) else {"native": image}
        tp, fp, fn, _ = given["native"]
        usual = {"name": f"image {number}", "group": f"image {number}", "site": "", "resolution": None}
        usual |= {"components": [(tp + fn, tp)] if tp + fn else [], "alarms": [fp] if fp else []}
        counted.append(
            ImageCounts(**{"resized": given["native"], "boundary": [(tp, tp + fp + fn)] * 3, **usual, **given})
        )
    native, resized = (
        sum((Confusion(*getattr(one, way)) for one in counted), Confusion()) for way in ("native", "resized")
    )
    metrics = {
        "pooled": native.scores(),
        "resized": resized.scores(),
        "per_image": {**native.scores(), "n": len(counted)},
        "confusion": {"tp": native.tp, "fp": native.fp, "fn": native.fn, "tn": native.tn},
    }
    record = make_record(run, metrics=metrics, **fields)
    kept = {key: getattr(record, key) for key in ("run_id", "finished_utc", "data_kind")}
    results.write(record, Details(**kept, widths=[2, 4, 8], images=counted, free=list(free)))
    return record
