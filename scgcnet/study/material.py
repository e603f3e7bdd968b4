"""What a run is trained and tested on: the parts of its data sets, their hashes, and what else its network is shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scgcnet.study.plan import Run

if TYPE_CHECKING:
    from scgcnet.data import Kind, LandslideDataset, Part, Split, Subset


@dataclass(frozen=True)
class Material:
    """The parts that a training sees; the test part is opened by `open_test`, after it.

    Attributes:
        train: the training parts, merged where there are several data sets, and with the increment of a new domain.
        val: the validation parts of the data sets trained on, merged likewise.
        kind: "synthetic" if the images of all data sets are made up, "real" if none are.
        data_sha256: hash of all images and masks of the data sets trained and tested on.
        split_sha256: hash of how they are split.
    """

    train: LandslideDataset
    val: LandslideDataset
    kind: Kind
    data_sha256: str
    split_sha256: str


def datasets_of(spec: Run) -> list[str]:
    """Names of the data sets trained on, then of the one tested on."""
    return list(dict.fromkeys([*spec.config["train_datasets"], spec.dataset]))


def open_material(spec: Run) -> Material:
    """Open what a run is trained on.

    Raises:
        DatasetNotFoundError: a data set is not there.
        DatasetError: it is damaged, or has no such split; or some data sets are real and others made up.
    """
    from scgcnet.data import DatasetError, Merged, Subset, data_sha256, open_dataset, open_whole, split_sha256
    from scgcnet.data.splits import split_hash

    kinds = {name: open_whole(name).kind for name in datasets_of(spec)}
    if len(set(kinds.values())) > 1:
        made_up = ", ".join(name for name, kind in kinds.items() if kind == "synthetic")
        raise DatasetError(f"{spec.run_id}: of its data sets {made_up} is made up and others are not: get it, too")
    names = spec.config["train_datasets"]
    train, val = ([open_dataset(name, spec.split, part) for name in names] for part in ("train", "val"))
    splits = {name: split_sha256(name, spec.split) for name in datasets_of(spec)}
    if spec.increment is not None:
        whole, split = open_whole(spec.dataset), _increment_split(spec)
        splits[spec.dataset] = split_hash(split)
        if added := [index for index, name in enumerate(whole.names) if split[name] == "train"]:
            train.append(Subset(whole, added))
    data = {name: data_sha256(name) for name in datasets_of(spec)}
    seen, chosen = (parts[0] if len(parts) == 1 else Merged(parts) for parts in (train, val))
    return Material(seen, chosen, kinds[spec.dataset], _joint(data), _joint(splits))


def open_test(spec: Run) -> Subset:
    """Open the part that a run is tested on: of a new domain, what was never in the pool of its increments.

    Raises:
        DatasetError: the data set is damaged or not there.
    """
    from scgcnet.data import Subset, open_dataset, open_whole

    if spec.increment is None:
        return open_dataset(spec.dataset, spec.split, "test")
    whole, split = open_whole(spec.dataset), _increment_split(spec)
    return Subset(whole, [index for index, name in enumerate(whole.names) if split[name] == "test"])


def open_domains(spec: Run) -> Iterator[tuple[str, Part, LandslideDataset]]:
    """What the network is scored on besides, by data set and part; nothing where it was trained on its own data set.

    Of the data sets trained on, validation and test part; of one that was not, all parts.

    Raises:
        DatasetError: a data set is damaged or not there.
    """
    from scgcnet.data import PARTS, open_dataset

    trained = spec.config["train_datasets"]
    if trained == [spec.dataset]:
        return
    for name in datasets_of(spec) if spec.increment is None else trained:
        for part in ("val", "test") if name in trained else PARTS:
            yield name, part, open_dataset(name, spec.split, part)


def data_parts(spec: Run) -> dict[str, LandslideDataset]:
    """The parts train, val and test of a run's data; empty where the data set is not at hand.

    Raises:
        DatasetError: the data set is damaged.
    """
    from scgcnet.data import PARTS, dataset_available, open_dataset

    if not dataset_available(spec.dataset):
        return {}
    return {part: open_dataset(spec.dataset, spec.split, part) for part in PARTS}


def _increment_split(spec: Run) -> Split:
    from scgcnet.data import DatasetError, open_whole
    from scgcnet.data.splits import increment_split

    assert spec.increment is not None
    if not isinstance(spec.split, int):
        raise DatasetError(f"The pool of an increment is drawn by a number: split {spec.split!r} is none.")
    return increment_split(open_whole(spec.dataset), spec.increment.percent, spec.split, spec.increment.by)


def _joint(hashes: dict[str, str]) -> str:
    """One hash for several data sets; of a single one its own."""
    if len(hashes) == 1:
        return next(iter(hashes.values()))
    return hashlib.sha256("".join(f"{name} {hashes[name]}\n" for name in sorted(hashes)).encode()).hexdigest()
