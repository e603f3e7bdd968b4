"""The first page: what the weights see, where the networks stand, and the findings in a line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from scgcnet import zoo
from scgcnet.chapters.comparison import ranked
from scgcnet.data import Sample, dataset_available, open_dataset
from scgcnet.metrics import Confusion
from scgcnet.scene.score import hills_and_quiet, hysteresis, of_way
from scgcnet.study import results
from scgcnet.study.networks import NOT_RUN, Network, compare_networks, condition, many
from scgcnet.study.paper import paper_scores
from scgcnet.study.plan import Plan
from scgcnet.study.publish import left_out_maps, raw_threshold
from scgcnet.study.show import Cards, Chips

#: Of each exhibit of the paper, the label of its chip and the page that shows it.
PAGES = {
    "table1": ("Table I", "comparison"),
    "table2": ("Table II", "ablations"),
    "table3": ("Table III", "ablations"),
    "fig5_6": ("Figs. 5, 6", "comparison"),
    "fig7": ("Fig. 7", "ablations"),
    "fig8_9": ("Figs. 8, 9", "places"),
    "fig10": ("Fig. 10", "efficiency"),
    "fig11": ("Fig. 11", "atlas"),
}
DOMAINS = ("bijie", "cld", "sichuan")
LOOKED_AT = 12  # images of each domain, of which one is shown
Probability = npt.NDArray[np.float32]


def hero_cases(real: bool) -> list[tuple[str, Sample, Probability, npt.NDArray[np.bool_], float]]:
    """Three test images from good to bad, mapped with the default weights: origin, sample, probability, called, IoU.

    Of each of `DOMAINS` that is available (`real`), else of synthetic images, the first `LOOKED_AT` with landslides
    are ranked by IoU, and the shown ones are at the upper quartile, the middle and the lower quartile. Of synthetic
    images, on which a score means nothing, the best three are shown.
    """
    from scgcnet.scene.models import map_image
    from scgcnet.scene.predict import folded

    path = zoo.pretrained_file()
    network, known = folded(zoo.load_model(path)), zoo.read_metadata(path)
    threshold = float(known["threshold"])
    there = [name for name in DOMAINS if real and dataset_available(name)] or ["synthetic"]
    found = []
    shares = (1.0, 0.9, 0.8) if there == ["synthetic"] else (0.75, 0.5, 0.25)
    for place, share in enumerate(shares):
        name = there[place % len(there)]
        part = open_dataset(name, 0, "test")
        samples = [sample for sample in part if (sample.mask == 1).any()][:LOOKED_AT]
        cases = []
        for sample in samples:
            probability = map_image(network, sample.image, sample.resolution, known)
            called = hysteresis(probability, threshold, float(known.get("peak", threshold)))
            cases.append((sample, probability, called, Confusion.of(called, sample.mask).scores()["iou"]))
        cases.sort(key=lambda case: case[3])
        sample, probability, called, iou = cases[round(share * (len(cases) - 1))]
        found.append((name, sample, probability, called, iou))
    return found


def dot_rows(dataset: str, found: Sequence[Network], plan: Plan) -> dict[str, Any]:
    """What `plots.paper_dots` draws, the best measured network on top."""
    rows = {}
    for one in (each for each in ranked(found) if len(each.runs)):
        summary, inner = one.summary(), one.image_interval()
        assert summary is not None
        how = condition(one.run.config, plan, one.runs.n_test.iloc[0])
        paper = paper_scores(dataset, one.run.model) if how != "other data" else None
        seeds = (summary.mean, summary.low, summary.high) if len(one.runs) > 1 else None
        images = (inner.value, inner.low, inner.high) if inner else None
        rows[one.name] = (paper["iou"] if paper else None, summary.mean, seeds, images)
    return rows


def finding(rows: dict[str, Any]) -> str:
    """The title of the dots."""
    measured = [row[1] for row in rows.values()]
    printed = [row[0] for row in rows.values() if row[0] is not None]
    if len(measured) < 3 or len(printed) < 3:
        return "No comparison yet"
    closest = np.ptp(sorted(measured)[1:])
    return (
        f"{len(measured) - 1} of {len(measured)} networks lie within {closest:.1f} points; the paper spreads them over "
        f"{np.ptp(printed):.0f}"
    )


def headlines(claims: pd.DataFrame, found: Sequence[Network], ours: str) -> Cards:
    """Three findings with their numbers: verdicts, rank, and false alarms on landslide-free ground."""
    items = []
    results = claims[claims.kind != "protocol"]
    counts = results.verdict.value_counts()
    parts = [f"{counts.get(verdict, 0)} {verdict}" for verdict in ("contradicted", "unresolved", NOT_RUN)]
    items.append(
        (
            f"{counts.get('supported', 0)} of {len(results)} claims supported",
            f"{', '.join(parts)}. The networks here are small and see 128 px, so most claims stay open.",
            "report",
        )
    )
    order = [one for one in ranked(found) if len(one.runs)]
    names = [one.name for one in order]
    if ours in names and len(names) > 2:
        best, own = order[0], order[names.index(ours)]
        outcomes = [one.outcome for one in compare_networks(found, ours).values()]
        lead = f"{best.name} leads by {best.mean() - own.mean():.1f} points" if best is not own else "It leads"
        resolved = len(outcomes) - outcomes.count("unresolved")
        text = f"At equal compute. {lead}; of {many(len(outcomes), 'rival')} compared image by image, "
        text += f"{resolved or 'none'} differ{'s' * (resolved < 2)} beyond the spread over seeds."
        items.append((f"Number {names.index(ours) + 1} of {len(names)}", text, "comparison"))
    shares = [100 * one.free.alarms.map(sum).sum() / one.free.pixels.sum() for one in found if len(one.free)]
    if shares:
        text = (
            f"of the ground without landslides, for {many(len(shares), 'network')} trained on landslide images alone."
        )
        title = f"{min(shares):.0f} to {max(shares):.0f} % false alarms"
        items.append((title, f"{text} {_quiet_weights()}", "comparison"))
    return Cards(tuple(items))


def _quiet_weights() -> str:
    """How much quiet ground the default weights call landslide: of the test parts of the run that made them."""
    known = zoo.read_metadata(zoo.pretrained_file())
    record = results.find(known.get("run_id", ""), "real")
    if record is None or not record.maps:
        return "The published weights are trained on quiet ground too."
    tests = [of_way(parts["test"]) for parts in record.maps.values() if "test" in parts]
    threshold, quiet = raw_threshold(record.maps, left_out_maps(record)), hills_and_quiet(tests)[1]
    shares = [100 * one.confusion(threshold).fp / max(1, one.other.sum()) for one in quiet]
    return f"The published weights, trained on quiet ground too: {min(shares):.1f} to {max(shares):.1f} %."


def chips(plan: Plan, answers: pd.DataFrame) -> Chips:
    """A chip for each exhibit of the paper: statements that hold or do not, of how many."""
    items = []
    for exhibit in plan.exhibits:
        label, page = PAGES.get(exhibit.name, (exhibit.title.partition(",")[0], "report"))
        found = answers[answers.index.isin(exhibit.claims)]
        if len(found):
            items.append((label, int(found.answer.isin(("holds", "does not hold")).sum()), len(found), page))
    return Chips(tuple(items))
