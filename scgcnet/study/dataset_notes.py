"""What the page of one data set says of its recipe, its way of counting and its test part, where it holds there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from scgcnet.study.looks import Look
from scgcnet.study.plan import Plan, at_home
from scgcnet.study.show import Note
from scgcnet.study.store import Record
from scgcnet.study.tables import many, paper_scores


def recipe_note(dataset: str, plan: Plan) -> Note:
    """How the recipe for a data set was chosen: by trials on it, or taken over from elsewhere."""
    if not any(trial.dataset == dataset for trial in plan.trials):
        text = f"No recipe was tried on {dataset}: its runs take that of the profile, which was chosen on Bijie."
        return Note("Taken over", text)
    text = (
        "By the IoU on the validation images of split 0, at the network's input size, with seed 0. First the "
        "augmentation and the epochs, with SCGC-Net alone: these trials were noted by hand from trainings outside the "
        "run store. Then, for the chapter Comparison, the learning rate, with every network alike: the same rates at "
        "a fraction of the epochs. No trial opened the test part. In so few epochs high rates do well; the list ends "
        "at twice the profile's own rate. What won is taken by the runs of that chapter; the first result, in the box "
        "on top, keeps the profile's own rate, chosen before."
    )
    return Note("Chosen on validation", text)


def counting_note(dataset: str, records: Sequence[Record]) -> Note:
    """Which way of counting comes nearest to the paper's, by the share of landslide pixels that its scores imply.

    Args:
        dataset: our name of the data set.
        records: stored runs on real data.
    """
    text = "Three ways of counting, because the paper does not say which is its own."
    paper = paper_scores(dataset, "scgcnet")
    first = next((r for r in records if (r.dataset, r.model, r.split) == (dataset, "scgcnet", 0) and _whole(r)), None)
    if dataset == "bijie" and paper and first:  # of the others no whole test part is at hand
        printed = implied_share({score: value / 100 for score, value in paper.items()})
        shares = {way: 100 * implied_share(first.metrics[way]) for way in ("resized", "pooled")}
        text += (
            f" The share of landslide pixels that its scores of SCGC-Net imply, {100 * printed:.2f} %, comes nearest "
            f"to the first: the test images of split 0 have {shares['resized']:.2f} % at the network's input size and "
            f"{shares['pooled']:.2f} % at native size. Neither fits it."
        )
    return Note("Ways of counting", f"{text} Several seeds are given as mean and 95 % interval.")


def implied_share(scores: Mapping[str, float]) -> float:
    """The share of landslide pixels that precision, recall and overall accuracy have in common.

    A share s has s (R / P + 1 - 2 R) pixels wrong in all, which is what the accuracy lacks to 1.
    """
    recall = scores["recall"]
    return (1 - scores["oa"]) / (recall / scores["precision"] + 1 - 2 * recall)


def beside_note(dataset: str, plan: Plan, records: Sequence[Record], looks: Sequence[Look]) -> Note:
    """What to know of the runs beside the paper's scores: how the test parts overlap, how often one was opened.

    Args:
        dataset: our name of the data set.
        plan: the study.
        records: stored runs on real data.
        looks: at the test parts of real data.
    """
    words = ["Recipe and thresholds were chosen on the validation images of split 0."]
    if dataset == "bijie":
        words.append("Which of the other networks got more seeds than one was decided by the test IoU of seed 0.")
    if any(
        r.dataset == dataset and _whole(r) and r.split not in (0, "0") and isinstance(r.split, int) for r in records
    ):
        words.append(
            "The recipe was chosen on the validation images of split 0, some of which are test images of splits 1 and "
            "2, and the three test parts overlap: the interval over splits is narrower than over independent images."
        )
    counted = Counter(look.run_id for look in looks)
    over_views = [run for run in plan.runs if run.dataset == dataset and run.prediction is not None]
    if over_views:
        told = ", ".join(f"{run.model} {many(counted[run.run_id], 'look')}" for run in over_views)
        words.append(
            "The last table is how far one network trained here goes: the recipe, and the network, that are best on "
            "validation, predict over several views of each image (flips and quarter turns), at the threshold that is "
            f"best on validation; the test part was opened once for each training ({told})."
        )
    return Note("How to read them", " ".join(words))


def _whole(record: Record) -> bool:
    return record.model == "scgcnet" and at_home(record.config) and not (record.flags or record.prediction)
