"""The failure atlas in numbers: causes with their counts, thresholds, calibration, alarms where there is nothing."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from scgcnet.explain.atlas import Atlas, Entry, Model
from scgcnet.explain.failures import CAUSES, OTHER, TITLES, Cause
from scgcnet.study.show import NONE, Link, Note, Table

FEW = 5  # images: a share of fewer is not printed in percent


@dataclass(frozen=True)
class PageLink:
    """A link to the page of the atlas, from the book's top, and where the page lies."""

    file: Path

    def __repr__(self) -> str:
        return f"Page: {self._place}"

    def _repr_html_(self) -> str:
        # The book has the pages at its top, beside the chapters; a notebook elsewhere says where the page lies.
        href, place = html.escape(self._place.removeprefix("build/")), html.escape(self._place)
        return f'<p><a href="{href}">Open the failure atlas</a> (the file <code>{place}</code>)</p>'

    @property
    def _place(self) -> str:
        return "/".join(self.file.parts[-4:])


def atlas_note(atlas: Atlas) -> Note:
    """What the chapter says on top: whose failures are shown, on what."""
    first = atlas.models[0].record
    runs = " and ".join(model.record.run_id for model in atlas.models)
    where = f"{len(atlas.entries)} test images of {first.dataset}, split {first.split}; runs: {runs}"
    if atlas.kind == "synthetic":
        return Note(
            "Synthetic data",
            f"This page was run on made-up images with networks trained for seconds ({where}). It shows that "
            "everything works; its failures, causes and probabilities mean nothing. With Bijie in place "
            "(SCGCNET_DATA) and the profile cpu the same page shows the published weights.",
            "warning",
        )
    return Note("Real data, scaled down", f"{where}. These networks are far smaller than the paper's, at fewer pixels.")


def rule_table() -> Table:
    """The kinds of failure, where they are from, and how they are told."""
    rows = [{"Kind": cause.title, "From": _origin(cause), "Rule": cause.rule} for cause in CAUSES.values()]
    return Table(pd.DataFrame(rows), "Kinds of failure; the names in quotes are limits")


def paper_note(atlas: Atlas) -> Note:
    """What these images say of the two kinds of the paper: whether their conditions bring failures."""
    model, told = atlas.models[0], []
    for key in ("cut", "built"):
        cause = CAUSES[key]
        title = cause.title[0].upper() + cause.title[1:]
        counts = [_met(atlas.entries, cause, 0, model, met) for met in (True, False)]
        (failed, met), (others, rest) = counts
        if not met or not rest:
            told.append(f"{title}: {met} of {len(atlas.entries)} images meet the condition, so nothing can be told.")
            continue
        chance = fisher_exact([[failed, met - failed], [others, rest - others]]).pvalue
        told.append(
            f"{title}: of the images that meet the condition {_share(failed, met)} fail, of the others "
            f"{_share(others, rest)} (Fisher's exact test: {_chance(chance)})."
        )
    where = "made-up images" if atlas.kind == "synthetic" else f"{model.record.dataset}, split {model.record.split}"
    return Note(f"The paper's two kinds, {model.title} on {where}", " ".join(told))


def cause_table(atlas: Atlas) -> Table:
    """Failures by kind on the test part, and whether images that meet a kind's condition fail more often."""
    rows = []
    for key in (*CAUSES, OTHER):
        cause = CAUSES.get(key)
        row: dict[str, object] = {"Kind": TITLES[key]}
        for place, model in enumerate(atlas.models):
            failed = [entry for entry in atlas.entries if entry.causes[place]]
            kind = sum(key in entry.causes[place] for entry in failed)
            row[f"{model.title}: of {len(failed)} failures"] = kind
            for met, words in ((True, "condition met, failed"), (False, "not met, failed")):
                row[f"{model.title}: {words}"] = (
                    _share(*_met(atlas.entries, cause, place, model, met)) if cause and cause.condition else NONE
                )
        rows.append(row)
    caption = (
        f"Failures among {len(atlas.entries)} test images by kind; how many images fail that meet a kind's condition, "
        "whatever the error, and how many of those that do not"
    )
    return Table(pd.DataFrame(rows), caption)


def _origin(cause: Cause) -> str:
    return "the paper" if cause.origin == "paper" else "this study"


def _met(entries: Sequence[Entry], cause: Cause, place: int, model: Model, met: bool) -> tuple[int, int]:
    """How many of the images fail that meet a kind's condition, or do not, and how many those are."""
    chosen = [entry for entry in entries if cause.condition and cause.condition(entry.facts, model.limits) == met]
    return sum(bool(entry.causes[place]) for entry in chosen), len(chosen)


def _share(failed: int, number: int) -> str:
    return f"{failed} of {number}" + (f" ({100 * failed / number:.0f} %)" if number >= FEW else "")


def _chance(p: float) -> str:
    return f"p = {p:.2f}" if p >= 0.01 else "p < 0.01"


def limit_table(atlas: Atlas) -> Table:
    """The limits of the rules, all from the validation part."""
    rows = [
        {
            "Network": model.title,
            "Validation part of": ", ".join(model.record.train_datasets),
            "IoU of a failure below": f"{100 * model.limits.iou:.1f} %",
            "share": f"{100 * model.limits.share:.1f} %",
            "small": f"{model.limits.small:,.0f} px",
            "edges": f"{100 * model.limits.edges:.1f} %",
            "contrast": f"{model.limits.contrast:.2f}",
            "greenness": f"{model.limits.greenness:.3f}",
        }
        for model in atlas.models
    ]
    return Table(pd.DataFrame(rows), "Limits of the rules: quartiles of the validation part")


def threshold_table(atlas: Atlas) -> Table:
    """IoU on the test part at three thresholds, of which the last was chosen on it and is no score."""
    rows = []
    for model in atlas.models:
        chosen, best = (round(100 * value) - 1 for value in (model.threshold, model.best_on_test))
        rows.append(
            {
                "Network": model.title,
                "At 0.50": _percent(model.test_iou[49]),
                "At 0.50, run file": _percent(model.record.metrics["pooled"]["iou"]),
                "Best on validation": f"{_percent(model.test_iou[chosen])} at {model.threshold:.2f}",
                "Best on test: not a reportable score": f"{_percent(model.test_iou[best])} at {model.best_on_test:.2f}",
                "Run": Link(model.record.run_id, model.record.file),
            }
        )
    return Table(
        pd.DataFrame(rows), "IoU over the pixels of the test part at native size, from 8-bit probabilities (%)"
    )


def _percent(value: float) -> str:
    return f"{100 * value:.2f}"


def calibration_table(atlas: Atlas) -> Table:
    """Expected calibration error and the largest gap, and the mean entropy of failures and of the others."""
    rows = []
    for place, model in enumerate(atlas.models):
        failed, fine = (
            [entry.outcomes[place].entropy for entry in atlas.entries if bool(entry.causes[place]) == wanted]
            for wanted in (True, False)
        )
        rows.append(
            {
                "Network": model.title,
                **{f"Calibration error, {part}": _percent(one.error) for part, one in model.calibration.items()},
                **{f"Largest gap, {part}": _percent(one.worst) for part, one in model.calibration.items()},
                "Entropy of failures, bit": f"{np.mean(failed):.3f}" if failed else NONE,
                "Entropy of the others, bit": f"{np.mean(fine):.3f}" if fine else NONE,
            }
        )
    return Table(
        pd.DataFrame(rows), "Calibration of the probability of landslide (points), and mean entropy of an image"
    )


def free_table(atlas: Atlas) -> Table:
    """False alarms on landslide-free images of the same place."""
    rows = []
    for place, model in enumerate(atlas.models):
        alarms = [entry.outcomes[place].fp for entry in atlas.free]
        known = sum(entry.facts.known for entry in atlas.free)
        kinds = Counter(key for entry in atlas.free for key in entry.causes[place])
        told = ", ".join(f"{TITLES[key]}: {count}" for key, count in kinds.most_common())
        rows.append(
            {
                "Network": model.title,
                "Images with an alarm": f"{sum(map(bool, alarms))} of {len(alarms)}" if alarms else "no such images",
                "Falsely called": f"{100 * sum(alarms) / known:.2f} %" if known else NONE,
                "By kind": told or NONE,
            }
        )
    return Table(pd.DataFrame(rows), "Images of the same place without landslides, at the threshold best on validation")
