"""The failure atlas: the runs it shows, its tables and the data of its figures."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import fisher_exact

from scgcnet import zoo
from scgcnet.data import LandslideDataset, Sample, data_sha256, dataset_available, open_dataset
from scgcnet.explain.atlas import Atlas, Entry, Model, RunFacts, Shown, make_atlas
from scgcnet.explain.explorer import MAX_CASES, write_explorer
from scgcnet.explain.failures import CAUSES, OTHER, TITLES, Cause, calibration_error, largest_gap
from scgcnet.study import results
from scgcnet.study.cases import EXAMPLE, SIZE, spread
from scgcnet.study.networks import NOT_RUN, data_set
from scgcnet.study.plan import Plan
from scgcnet.study.publish import picture_threshold
from scgcnet.study.results import ResultError
from scgcnet.study.runner import free_images, load_predictor, open_material, open_test
from scgcnet.study.runs import Run, at_home, project_root
from scgcnet.study.show import NONE, Link, Note, Table

FEW = 5  # images: a share of fewer is not printed in percent


# Runs.


def load_atlas(plan: Plan, shown: str = "auto", compare: str = "auto", profile: str = "auto") -> Atlas:
    """The atlas of one or two runs with weights, tested on the same images.

    Args:
        plan: the study.
        shown: id of a stored run, or its beginning; "auto" for that of the weights `EXAMPLE` if its images are
            available, else the published weights on synthetic images.
        compare: id of a second run on the same test part; "auto" for the run of another network that is best on
            validation among those with weights, if there is one; "none" for no second.
        profile: of study.yml; one on synthetic data rules out the real run of "auto".

    Raises:
        PlanError: study.yml does not plan such a run, or has no such profile.
        ResultError: a named run is not stored, its weights are missing, or the images differ from those it was scored
            on.
    """
    real = profile == "auto" or plan.profile(profile).data == "real"
    first = (_published(plan) if real else None) if shown == "auto" else plan.find(shown)
    if first is None:
        test, val = (open_dataset("synthetic", 0, part) for part in ("test", "val"))
        names = zoo.pretrained_names()[: 1 if compare == "none" else 2]
        return make_atlas([_pretrained(name, val) for name in names], test, "0", [])
    runs = [first]
    if compare != "none":
        second = _rival(plan, first) if compare == "auto" else plan.find(compare)
        runs += [second] if second else []
    if len({_tested_on(one) for one in runs}) > 1:
        raise ResultError(f"{first.run_id} and {compare} are not tested on the same images: choose others")
    networks = [_load(one) for one in runs]
    free = [free_images(one) for one in runs]
    quiet = [images for images in free[:1] if images is not None and None not in free]
    return make_atlas(networks, open_test(first), str(first.split), quiet)


def _tested_on(spec: Run) -> tuple[object, ...]:
    return spec.dataset, spec.split, spec.increment


def _published(plan: Plan) -> Run | None:
    """The run behind the published weights; None where it, its weights or its images are missing."""
    run_id = zoo.read_metadata(zoo.pretrained_file(EXAMPLE))["run_id"]
    spec = next((one for one in plan.runs if one.run_id == run_id), None)
    record = results.find(run_id, "real")
    if spec is None or record is None or results.weights_of(run_id, record.finished_utc) is None:
        return None
    if not dataset_available(spec.dataset):
        return None
    return spec if data_sha256(spec.dataset) == record.data_sha256 else None  # generated ones may stand in their place


def _rival(plan: Plan, first: Run) -> Run | None:
    """The run of another network on the same test part with weights and the highest validation IoU."""
    stored = results.runs()
    able = [
        (stored.val_iou[one.run_id], one.run_id, one)
        for one in plan.runs
        if one.run_id in stored.index
        and _tested_on(one) == _tested_on(first)
        and one.model != first.model
        and at_home(one.config)
        and results.weights_of(one.run_id, stored.finished_utc[one.run_id])
    ]
    return max(able)[2] if able else None


def _load(spec: Run) -> Shown:
    """A run's network and validation part, and its record in plain values."""
    record = next((found for kind in results.ROOTS if (found := results.find(spec.run_id, kind))), None)
    if record is None:
        raise ResultError(f"{spec.run_id} is not stored: scgcnet run {spec.run_id}")
    network = load_predictor(spec.run_id, record.finished_utc, record.prediction)
    if network is None:
        raise ResultError(f"the weights of {spec.run_id} are missing: scgcnet run {spec.run_id} --force")
    material = open_material(spec)
    if material.data_sha256 != record.data_sha256:
        raise ResultError(
            f"{spec.run_id} was scored on other images: their hash is {material.data_sha256}, not {record.data_sha256}"
        )
    assert record.metrics is not None
    size, title = spec.settings["image_size"], f"{record.model} {record.size}, seed {record.seed}"
    iou = record.metrics.pooled["iou"]
    facts = RunFacts(spec.run_id, title, record.file, ", ".join(record.train_datasets), iou)
    return Shown(facts, network, size, picture_threshold(network, material.val, size)[0], material.val)


def _pretrained(name: str, val: LandslideDataset) -> Shown:
    """Published weights on other images than they were scored on."""
    stamp = zoo.read_metadata(zoo.pretrained_file(name))
    record = results.find(stamp["run_id"], "real")
    facts = RunFacts(name, name, record.file if record else "", stamp["sources"], None)
    return Shown(facts, zoo.load_pretrained(name), SIZE, float(stamp["threshold"]), val)


# The page.


@dataclass(frozen=True)
class PageLink:
    """A link from the book to the page of the atlas, and the page's place."""

    file: Path

    def __repr__(self) -> str:
        return f"Page: {self._place}"

    def _repr_html_(self) -> str:
        # The book has the pages at its top, beside the chapters; a notebook elsewhere states the file.
        href, place = html.escape(self._place.removeprefix("build/")), html.escape(self._place)
        return f'<p><a href="{href}">Open the failure atlas</a> (the file <code>{place}</code>)</p>'

    @property
    def _place(self) -> str:
        return "/".join(self.file.parts[-4:])


def write_page(atlas: Atlas, n_cases: int = MAX_CASES, root: Path | None = None) -> PageLink:
    """Write the page of an atlas.

    Args:
        atlas: of `load_atlas`.
        n_cases: images on the page, from 1 to `MAX_CASES`: test images evenly spaced by rank from the worst IoU of the
            first run to its best; if all of them fit, landslide-free ones likewise.
        root: the project.

    Raises:
        ValueError: `n_cases` is out of range.
    """
    if not 1 <= n_cases <= MAX_CASES:
        raise ValueError(f"n_cases is {n_cases}: the page holds 1 to {MAX_CASES} cases")
    chosen: list[Entry] = []
    for entries in (atlas.entries, atlas.free):
        if entries and (room := n_cases - len(chosen)) > 0:
            ious = [entry.predictions[0].iou for entry in entries]
            chosen += [entries[index] for index in sorted(spread(ious, room))]
    return PageLink(write_explorer(atlas, chosen, root or project_root()))


# Tables.


def atlas_note(atlas: Atlas) -> Note:
    """The runs and images of the chapter, for its top."""
    runs = " and ".join(model.run.run_id for model in atlas.models)
    where = f"{len(atlas.entries)} test images of {data_set(atlas.dataset)}, split {atlas.split}; runs: {runs}"
    if atlas.kind == "synthetic":
        return Note(
            "Synthetic data",
            f"Published weights, trained on real images, are shown synthetic images ({where}): this page shows that "
            "everything works. With Bijie's images in place (SCGCNET_DATA) it shows real failures at the profile cpu.",
            "warning",
        )
    return Note("Real data, scaled down", f"{where}. These networks are far smaller than the paper's, at fewer pixels.")


def rule_table() -> Table:
    """The kinds of failure, their origin and their rules."""
    origins = {"paper": "the paper", "here": "this study"}
    rows = [(one.title, origins[one.origin], one.rule) for one in CAUSES.values()]
    return Table(
        pd.DataFrame(rows, columns=["Kind", "From", "Rule"]), "Kinds of failure; the names in quotes are limits"
    )


def paper_note(atlas: Atlas) -> Note:
    """Whether the conditions of the paper's two kinds bring failures on these images."""
    model, told = atlas.models[0], []
    for key in ("cut", "built"):
        cause = CAUSES[key]
        title = cause.title[0].upper() + cause.title[1:]
        (failed, met), (others, rest) = (_failed(atlas.entries, cause, 0, model, met) for met in (True, False))
        if not met or not rest:
            told.append(f"{title}: {met} of {len(atlas.entries)} images meet the condition, so there is no comparison.")
            continue
        p = fisher_exact([[failed, met - failed], [others, rest - others]]).pvalue
        told.append(
            f"{title}: of the images that meet the condition {_share(failed, met)} fail, of the others "
            f"{_share(others, rest)} (Fisher's exact test: {f'p = {p:.2f}' if p >= 0.01 else 'p < 0.01'})."
        )
    where = "synthetic images" if atlas.kind == "synthetic" else f"{data_set(atlas.dataset)}, split {atlas.split}"
    return Note(f"The paper's two kinds, {model.run.title} on {where}", " ".join(told))


def cause_table(atlas: Atlas) -> Table:
    """Failures by kind on the test part, and whether images that meet a kind's condition fail more often."""
    rows = []
    for key in (*CAUSES, OTHER):
        cause = CAUSES.get(key)
        row: dict[str, object] = {"Kind": TITLES[key]}
        for place, model in enumerate(atlas.models):
            failed = [entry for entry in atlas.entries if entry.causes[place]]
            title = model.run.title
            row[f"{title}: of {len(failed)} failures"] = sum(key in entry.causes[place] for entry in failed)
            for met, words in ((True, "condition met, failed"), (False, "not met, failed")):
                row[f"{title}: {words}"] = (
                    _share(*_failed(atlas.entries, cause, place, model, met)) if cause and cause.condition else NONE
                )
        rows.append(row)
    caption = (
        f"Failures among {len(atlas.entries)} test images by kind; how many images fail that meet a kind's condition, "
        "whatever the error, and how many of those that do not"
    )
    return Table(pd.DataFrame(rows), caption)


def _failed(entries: Sequence[Entry], cause: Cause, place: int, model: Model, met: bool) -> tuple[int, int]:
    """Number of failures among the images that meet a kind's condition, or do not, and number of those images."""
    chosen = [entry for entry in entries if cause.condition and cause.condition(entry.facts, model.limits) == met]
    return sum(bool(entry.causes[place]) for entry in chosen), len(chosen)


def _share(failed: int, number: int) -> str:
    return f"{failed} of {number}" + (f" ({100 * failed / number:.0f} %)" if number >= FEW else "")


def limit_table(atlas: Atlas) -> Table:
    """The limits of the rules, all from the validation part."""

    def row(_place: int, model: Model) -> dict[str, object]:
        return {
            "Validation part of": model.run.trained_on,
            "IoU of a failure below": f"{100 * model.limits.iou:.1f} %",
            "share": f"{100 * model.limits.share:.1f} %",
            "small": f"{model.limits.small:,.0f} px",
            "edges": f"{100 * model.limits.edges:.1f} %",
            "contrast": f"{model.limits.contrast:.2f}",
            "greenness": f"{model.limits.greenness:.3f}",
        }

    return _network_table(atlas, row, "Limits of the rules: quartiles of the validation part")


def threshold_table(atlas: Atlas) -> Table:
    """IoU on the test part at three thresholds; the last was chosen on it, and is not a reportable score."""

    def row(_place: int, model: Model) -> dict[str, object]:
        chosen, best = (round(100 * value) - 1 for value in (model.threshold, model.best_on_test))
        return {
            "At 0.50": _percent(model.test_iou[49]),
            "At 0.50, run file": NOT_RUN if model.run.pooled_iou is None else _percent(model.run.pooled_iou),
            "Best on validation": f"{_percent(model.test_iou[chosen])} at {model.threshold:.2f}",
            "Best on test: not a reportable score": f"{_percent(model.test_iou[best])} at {model.best_on_test:.2f}",
            "Run": Link(model.run.run_id, model.run.file),
        }

    return _network_table(
        atlas, row, "IoU over the pixels of the test part at native size, from 8-bit probabilities (%)"
    )


def calibration_table(atlas: Atlas) -> Table:
    """Expected calibration error and the largest gap, and the mean entropy of failures and of the others."""

    def entropy(place: int, failed: bool) -> str:
        found = [one.predictions[place].entropy for one in atlas.entries if bool(one.causes[place]) == failed]
        return f"{np.mean(found):.3f}" if found else NONE

    def row(place: int, model: Model) -> dict[str, object]:
        parts = model.calibration.items()
        return {
            **{f"Calibration error, {part}": _percent(calibration_error(bins)) for part, bins in parts},
            **{f"Largest gap, {part}": _percent(largest_gap(bins)) for part, bins in parts},
            "Entropy of failures, bit": entropy(place, failed=True),
            "Entropy of the others, bit": entropy(place, failed=False),
        }

    caption = "Calibration of the probability of landslide (points), and mean entropy of an image"
    return _network_table(atlas, row, caption)


def free_table(atlas: Atlas) -> Table | Note:
    """False alarms on landslide-free images of the same place."""
    if not atlas.free:
        return Note("No such images", "This data set has no landslide-free images of the same place.")
    known = sum(entry.facts.known for entry in atlas.free)

    def row(place: int, _model: Model) -> dict[str, object]:
        alarms = [entry.predictions[place].fp for entry in atlas.free]
        kinds = Counter(key for entry in atlas.free for key in entry.causes[place])
        return {
            "Images with an alarm": f"{sum(map(bool, alarms))} of {len(alarms)}",
            "Falsely called": f"{100 * sum(alarms) / known:.2f} %" if known else NONE,
            "By kind": ", ".join(f"{TITLES[key]}: {count}" for key, count in kinds.most_common()) or NONE,
        }

    caption = "Images of the same place without landslides, at the threshold best on validation"
    return _network_table(atlas, row, caption)


def _network_table(atlas: Atlas, row: Callable[[int, Model], dict[str, object]], caption: str) -> Table:
    """A table with a row for each network."""
    rows = [{"Network": model.run.title, **row(place, model)} for place, model in enumerate(atlas.models)]
    return Table(pd.DataFrame(rows), caption)


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


# Data of the figures.


def cause_examples(atlas: Atlas) -> list[tuple[str, Sample, NDArray[np.bool_], float]]:
    """One failure of the first network for each kind, for `plots.cause_panels`."""
    threshold = atlas.models[0].threshold
    return [(title, one.sample, one.called(0, threshold), one.predictions[0].iou) for title, one in atlas.examples()]


def threshold_curves(atlas: Atlas) -> dict[str, tuple[NDArray[np.float64], float, float]]:
    """IoU on the test part by threshold, for `plots.threshold_curves`."""
    return {model.run.title: (model.test_iou, model.threshold, model.best_on_test) for model in atlas.models}


def reliability_curves(atlas: Atlas) -> dict[str, dict[str, pd.DataFrame]]:
    """Reliability on validation and test part, for `plots.reliability_diagram`."""
    return {
        model.run.title: {
            f"{part}, error {100 * calibration_error(bins):.1f} points": bins
            for part, bins in model.calibration.items()
        }
        for model in atlas.models
    }
