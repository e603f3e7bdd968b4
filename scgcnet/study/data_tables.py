"""What the chapter "The data" shows: the paper's counts beside those at hand, and what a split gives away."""

from __future__ import annotations

import pandas as pd

from scgcnet.study.show import NONE, Note, Table

#: Images that Sec. IV-A-1 says there are; GVLM's are 17 sites, of which it gives no number of tiles.
PAPER_COUNTS = {"cld": 20_865, "hrgldd": 1_758, "bijie": 770}
#: Images of the merged training, validation and test parts, Sec. IV-A-1.
PAPER_PARTS = {"train": 11_691, "val": 6_949, "test": 4_749}
SHARES = {"train": 0.5, "val": 0.3, "test": 0.2}
NOT_AT_HAND = "not at hand"


def count_table() -> Table:
    """Every data set that there is a loader for: the paper's count and the images at hand."""
    from scgcnet.data import SOURCES, dataset_available, open_whole

    rows = []
    for name in SOURCES:
        if name.startswith("synthetic"):
            continue
        here = open_whole(name) if dataset_available(name) else None
        rows.append(
            {
                "Data set": name,
                "Images, paper": f"{PAPER_COUNTS[name]}" if name in PAPER_COUNTS else NONE,
                "Images at hand": f"{len(here)}" if here else NOT_AT_HAND,
                "Kind": here.kind if here else NONE,
                "Sites or parts at hand": f"{len(set(here.sites))}" if here and any(here.sites) else NONE,
            }
        )
    return Table(pd.DataFrame(rows), "Data sets")


def parts_table() -> Table:
    """The paper's merged parts beside 5:3:2 of its own counts."""
    total = sum(PAPER_COUNTS.values())
    rows = [
        {
            "Part": part,
            "Paper": count,
            "5:3:2 of the paper's counts": round(total * SHARES[part]),
            "Difference": f"{count - round(total * SHARES[part]):+d}",
        }
        for part, count in PAPER_PARTS.items()
    ]
    stated = sum(PAPER_PARTS.values())
    rows.append(
        {
            "Part": "all",
            "Paper": stated,
            "5:3:2 of the paper's counts": total,
            "Difference": f"{stated - total:+d}",
        }
    )
    return Table(pd.DataFrame(rows), "The merged training set of Sec. IV-A-1, images")


def seen_table(dataset: str, splits: list[str]) -> Table:
    """How many pixels of the test part were in training or validation, by split; counted if the data are at hand."""
    from scgcnet.data import dataset_available
    from scgcnet.data.overlap import audit

    rows: list[dict[str, object]] = []
    for split in splits if dataset_available(dataset) else []:
        found = audit(dataset, split)
        row: dict[str, object] = {"Split": split}
        row |= {f"Images, {part.part}": f"{part.images}" for part in found.parts}
        row |= {f"{seen.part} pixels seen in {seen.before} (%)": f"{100 * seen.share:.1f}" for seen in found.seen}
        rows.append(row)
    frame = pd.DataFrame(rows or [{"Split": f"{dataset} is {NOT_AT_HAND}"}]).fillna(NONE)
    return Table(frame, f"What splits of {dataset} give away")


def shown_note(dataset: str, shown: str) -> Note:
    """What a page says on top where generated images stand in for a data set that is not at hand."""
    if dataset == shown:
        return Note("Real data", f"The images of this page are those of {dataset}.")
    return Note(
        "Synthetic data",
        f"{dataset} is {NOT_AT_HAND}: made-up images stand in for it. What this page says of them means nothing; only "
        "the tables of stored runs and of the paper's numbers speak of real images.",
        "warning",
    )
