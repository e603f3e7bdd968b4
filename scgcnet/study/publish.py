"""Weights published with the package: their threshold, temperature and model card."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scgcnet import files, zoo
from scgcnet.metrics import Confusion, mean_over_sources
from scgcnet.scene.models import SEEN_AT
from scgcnet.scene.score import (
    DROP,
    MEAN,
    Maps,
    best_threshold,
    hills_and_quiet,
    left_out_scores,
    mean_iou,
    of_way,
    temperature,
    unseen_threshold,
)
from scgcnet.study import results
from scgcnet.study.plan import load_plan
from scgcnet.study.results import Record, ResultError
from scgcnet.study.runner import open_material

if TYPE_CHECKING:
    from torch import nn

    from scgcnet.data import LandslideDataset

#: What was read, with its sensor, ground resolution and licence; data/README.md has the references.
LICENCES = {
    "bijie": "Bijie (TripleSat, 0.8 m): no licence stated",
    "bijie_negatives": "the landslide-free images of Bijie (TripleSat, 0.8 m): no licence stated",
    "landslide4sense": "Landslide4Sense as RGB pictures (Sentinel-2, 10 m): no licence stated",
    "cld": "tiles of the CAS Landslide Dataset: CC BY-NC 4.0",
    "amunet": "the reservoir mosaics of AMU-Net (airborne): no licence stated",
    "sichuan": "Sichuan-landslide (orthophotos, 0.2 to 1 m): CC BY 4.0",
    "landslide_free": "landslide-free scenes of NWPU-RESISC45 and AID (0.2 to 32 m): no licence stated",
}
THRESHOLDS = tuple(float(t) for t in np.round(np.arange(0.1, 0.95, 0.05), 2))


def publish(run_id: str, name: str) -> Path:
    """Write a stored run's weights, with their threshold, and their card; no test part is opened.

    The threshold is that of `calibrate`, or of `picture_threshold` for a run that is not scored as maps.

    Args:
        run_id: of a planned run on real data.
        name: of the two files.

    Returns:
        The file of weights, which also holds the run, the sources and the threshold.

    Raises:
        PlanError: study.yml does not plan the run.
        ResultError: it is not stored, its weights are missing, or it was trained on other images.
        DatasetError: its data are missing.
        WriteError: a file cannot be written.
    """
    spec = load_plan().find(run_id)
    record = results.find(spec.run_id, "real")
    weights = results.weights_of(record.run_id, record.finished_utc) if record else None
    if record is None or weights is None:
        raise ResultError(f"{spec.run_id}: not stored, or its weights are missing: scgcnet run {spec.run_id} --force")
    network, material = zoo.load_model(weights), open_material(spec)
    if (material.data_sha256, material.split_sha256) != (record.data_sha256, record.split_sha256):
        raise ResultError(f"{spec.run_id}: these images, or their split, are not those that it was trained with")
    size = spec.settings["image_size"]
    metadata = {
        "run_id": record.run_id,
        "finished_utc": record.finished_utc,
        "sources": ", ".join(record.train_datasets),
    }
    if record.maps:
        (threshold, peak), heat, val_iou = calibrate(record.maps, left_out_maps(record))
        metadata |= {"peak": f"{peak:.2g}"}
        metadata |= {"temperature": f"{heat:.3g}", "window": str(size), "seen_at": f"{SEEN_AT:g}"}
        metadata |= {"colour": json.dumps(colours(material.train))}
        metadata |= ground(material.train)
    else:
        threshold, val_iou = picture_threshold(network, material.val, size)
    metadata["threshold"] = f"{threshold:.2g}"
    path = zoo.WEIGHTS / f"{name}.safetensors"
    zoo.save_model(network, path, metadata, half=bool(record.maps))
    files.write_text(path.with_suffix(".md"), card(name, record, metadata, val_iou))
    return path


def calibrate(maps: Maps, left_out: Mapping[str, Maps]) -> tuple[tuple[float, float], float, float]:
    """Threshold of outlines and what a landslide must reach, temperature, and the mean validation IoU with these.

    The temperature is best on the validation parts of all sources; the threshold on the sources that the runs of
    `left_out_maps` never saw, or on the validation parts where there are fewer than two. Both are of probabilities
    after logits were divided by the temperature.
    """
    heat = temperature([of_way(parts["val"], MEAN) for parts in maps.values()])
    reached = raw_threshold(maps, left_out)

    def divided(probability: float) -> float:
        return 1 / (1 + math.exp(-math.log(probability / (1 - probability)) / heat))

    val_iou = mean_iou(*hills_and_quiet(of_way(parts["val"]) for parts in maps.values()), reached)
    return (divided(max(reached - DROP, 0.05)), divided(reached)), heat, val_iou


def raw_threshold(maps: Maps, left_out: Mapping[str, Maps]) -> float:
    """What a landslide must reach, of probabilities as the network gives them."""
    if len(left_out) > 1:
        return unseen_threshold(left_out)
    return best_threshold(*hills_and_quiet(of_way(parts["val"]) for parts in maps.values()))


def ground(dataset: LandslideDataset) -> dict[str, str]:
    """Metres per pixel of each source that knows its own, and its zooms in training, as `scgcnet map` reads them."""
    from scgcnet.data import Merged
    from scgcnet.data.windows import DRAWN, Drawn

    metres, zooms = [], []
    for part in dataset.datasets if isinstance(dataset, Merged) else (dataset,):
        known = [sample.resolution for sample in part if sample.resolution]
        if known:
            metres.append(f"{np.median(known):g}")
            zooms.append("{:g}-{:g}".format(*DRAWN.get(part.dataset, Drawn()).zoom))
    return {"resolutions": ",".join(metres), "zooms": ",".join(zooms)} if metres else {}


def colours(dataset: LandslideDataset) -> list[tuple[float, float]]:
    """The range of each band's mean over images, 0 to 255, from the 2nd to the 98th percentile."""
    means = np.array([sample.image.mean(axis=(0, 1)) for sample in dataset])
    low, high = np.percentile(means, (2, 98), axis=0).round(1)
    return [(float(one), float(other)) for one, other in zip(low, high, strict=True)]


def picture_threshold(network: nn.Module, val: LandslideDataset, image_size: int) -> tuple[float, float]:
    """The one of `THRESHOLDS` with the highest validation IoU at the network's input size, and that IoU.

    Of several data sets the mean counts.

    Args:
        network: trained.
        val: the validation part, merged where there are several data sets.
        image_size: side of the network's input, pixels.
    """
    from scgcnet.data import Merged
    from scgcnet.train.predict import count

    parts = val.datasets if isinstance(val, Merged) else (val,)
    by_source = [count(network, part, image_size, THRESHOLDS) for part in parts]
    ious = np.array([mean_over_sources(counts)["iou"] for counts in zip(*by_source, strict=True)])
    return THRESHOLDS[int(ious.argmax())], float(ious.max())


def card(name: str, record: Record, metadata: Mapping[str, str], val_iou: float) -> str:
    """The model card, in Markdown.

    Args:
        name: of the weights.
        record: the run that made them.
        metadata: of the file: its threshold, and what a landslide must reach.
        val_iou: the validation IoU with that threshold, as a fraction of 1.
    """
    size = record.config["settings"]["image_size"]
    cost = f"{record.params / 1e6:.2f} M parameters, {record.gmac:.2f} GMAC for an image of {size} x {size}"
    sources = "\n".join(f"  - {LICENCES.get(source, source)}" for source in record.train_datasets)
    shown, counted = (
        ("windows of", "native size")
        if record.maps
        else ("images resized to", f"{size} x {size} unless it says otherwise")
    )
    chosen_on = "sources that were left out" if record.maps and len(left_out_maps(record)) > 1 else "validation"
    begun = f"\n  It went on from run `{record.config['start']}`." if "start" in record.config else ""
    if "teacher" in record.config:
        begun += f"\n  Beside the masks it learned from the probabilities of run `{record.config['teacher']}`."
    rule = metadata["threshold"]
    if "peak" in metadata:
        rule = f"a landslide reaches {metadata['peak']} somewhere and is outlined at {rule}"
    where = "one district and one sensor" if len(record.train_datasets) == 1 else "few places and sensors"
    return f"""# {name}

{record.model}, size `{record.size}` ({cost}).
`scgcnet.load_pretrained("{name}")` loads it.

- **For:** showing what the study's networks learn, a first map of a scene, a start for fine-tuning. Not for decisions
  about hazard: it has seen {where}.
- **Trained on** the training parts (split {record.split}) of
{sources}
- **Licence:** as these; so use the weights for non-commercial research alone.
- **Training:** run `{record.run_id}`, profile `{record.profile}` of `study.yml`,
  seed {record.seed}, {len(record.history)} epochs in {record.wall_s / 60:.0f} minutes ({record.device}).
  Epoch {record.best_epoch}, counted from 0, was the best on the validation parts; the test parts had no say in
  it.{begun}
- **Input:** RGB, 8 bits, normalised as `scgcnet.data.EvalTransform` does. It was trained on {shown}
  {size} x {size}.
- **Threshold:** {rule} (also in the file's metadata),
  best on {chosen_on}; its validation IoU is {100 * val_iou:.2f} %; the scores below are at
  {"it" if record.maps else "0.5"}.

Scores in percent, over pixels at {counted}:

| counted over | precision | recall | F1 | IoU |
|---|---|---|---|---|
{_map_rows(record.maps, raw_threshold(record.maps, left_out_maps(record))) if record.maps else _score_rows(record)}
{_left_out_sentence(record)}
"""


def _map_rows(maps: Maps, threshold: float) -> str:
    """Scores of maps of the validation and test parts at the threshold of `calibrate`, and alarms on quiet ground."""
    rows, without = [], []
    for source, parts in maps.items():
        for part, ways in parts.items():
            counts = of_way(ways)
            scores = counts.confusion(threshold).scores()
            if counts.landslide.any():
                shown = " | ".join(f"{100 * scores[key]:.1f}" for key in ("precision", "recall", "f1", "iou"))
                rows.append(f"| maps of {counts.images} images, {part} part of {source} | {shown} |")
            else:
                share, images = 100 * (1 - scores["oa"]), 100 * counts.alarms(threshold)
                without.append(
                    f"\nOf the {part} part of {source}, which has no landslides, {share:.2f} % of the pixels and "
                    f"{images:.0f} % of {counts.images} images are false alarms."
                )
    return "\n".join([*rows, *without])


def _left_out_sentence(record: Record) -> str:
    if not (runs := left_out_maps(record)):
        return ""
    found = {source: scores["iou"] for source, scores in left_out_scores(runs).items()}
    each = ", ".join(f"{iou:.0f} on {source}" for source, iou in sorted(found.items()))
    mean = sum(found.values()) / len(found)
    return f"\nOn a source never seen (each left out in turn, a shorter training): {each}; mean IoU {mean:.0f} %.\n"


def left_out_maps(record: Record) -> dict[str, Maps]:
    """Maps of stored runs of the same network, trained alike but shorter, by the source that each never saw."""

    def recipe(one: Record) -> tuple[Any, ...]:
        settings = {k: v for k, v in one.config["settings"].items() if k not in ("epochs", "epoch_images", "lr")}
        return one.model, one.size, one.flags, one.profile, one.seed, settings, "teacher" in one.config

    found: dict[str, Maps] = {}
    for other in results.records("real"):
        whole = not (other.dataset == "bijie" and "bijie_negatives" in other.train_datasets)
        if recipe(other) == recipe(record) and other.maps and whole and other.dataset not in other.train_datasets:
            found[other.dataset] = other.maps
    return found


def _score_rows(record: Record) -> str:
    assert record.metrics is not None
    found = {
        f"test part of {record.dataset}": record.metrics.resized,
        f"test part of {record.dataset}, native size": record.metrics.pooled,
    }
    without = []
    for source, parts in record.domains.items():
        never = "" if source in record.train_datasets else " (never trained on)"
        for part, counts in parts.items():
            what = f"{part} part of {source}{never}"
            if counts.tp + counts.fn:
                found.setdefault(what, Confusion(counts.tp, counts.fp, counts.fn, counts.tn).scores())
            else:
                share = counts.fp / (counts.fp + counts.tn)
                without.append(f"\nThe {what} has no landslides; {100 * share:.2f} % of its pixels are false alarms.")
    rows = [
        f"| {what} | {' | '.join(f'{100 * scores[key]:.2f}' for key in ('precision', 'recall', 'f1', 'iou'))} |"
        for what, scores in found.items()
    ]
    return "\n".join([*rows, *without])
