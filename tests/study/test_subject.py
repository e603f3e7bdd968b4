"""What is looked into: real with real, made up with made up, and the page says which."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from scgcnet import zoo
from scgcnet.data import bijie, open_dataset, write_fake
from scgcnet.data.bijie import Synthetic
from scgcnet.study import subject as subjects
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import PlanError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import PUBLISHED_FOLDER, WEIGHTS_FOLDER
from scgcnet.study.show import Note
from scgcnet.study.store import Record, save
from scgcnet.study.subject import Subject, case_table, find_subject, pick_cases, predicted
from scgcnet.train import Confusion, count, predict

SIZE = 32


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic images, drawn once."""
    folder = tmp_path_factory.mktemp("drawn")
    Synthetic.open(folder)
    return folder


@pytest.fixture
def project(project: Path, drawn: Path) -> Path:
    """Of the study's tests, with the synthetic images in place."""
    shutil.copytree(drawn, project / "build" / "data")
    return project


@pytest.fixture
def made_up(project: Path, make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The run on synthetic images takes no time; returns whether each was forced, and leaves its weights."""
    forced: list[bool] = []

    def run(spec, *, force: bool = False, progress: bool = True) -> Record:
        assert (spec.dataset, spec.profile, spec.model, spec.size) == ("synthetic", "smoke", "scgcnet", "tiny")
        record = make_record(spec, kind="synthetic")
        if force or not forced:
            keep(project / WEIGHTS_FOLDER / f"{record.run_id}.safetensors", record)
        forced.append(force)
        return record

    monkeypatch.setattr(subjects, "run", run)
    return forced


def keep(path: Path, record: Record, **extra: str) -> torch.nn.Module:
    """Weights of a network that says landslide for about half of all pixels."""
    torch.manual_seed(1)
    model = zoo.create_model("scgcnet", "tiny").eval()
    zoo.save_model(model, path, {"run_id": record.run_id, "finished_utc": record.finished_utc, **extra})
    return model


def fake_bijie(folder: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Made-up images in Bijie's place; given a `monkeypatch`, they pass for real ones."""
    write_fake("bijie", folder, n=20)
    if monkeypatch:
        own = {which: bijie._split_path(bijie.Bijie.locate(folder), which) for which in ("0", "1", "2")}
        for module in ("bijie", "pairs"):
            monkeypatch.setattr(f"scgcnet.data.{module}.kind_of", lambda _: "real")
        monkeypatch.setattr(bijie, "committed_split", lambda _, which: own[which])


@pytest.fixture(autouse=True)
def own_weights(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scgcnet.zoo.WEIGHTS", project / PUBLISHED_FOLDER)


def published(project: Path, make_record: Callable[..., Record], **extra: str) -> Record:
    plan = load_plan()
    spec = plan.make_run("bijie", "scgcnet", "tiny", "cpu", seed=2, changes={"image_size": SIZE})
    record = make_record(spec)
    save(record, project)
    keep(project / PUBLISHED_FOLDER / "tiny-bijie.safetensors", record, **extra)
    return record


def test_without_data_everything_is_made_up(made_up: list[bool]) -> None:
    found = find_subject(load_plan())
    assert (found.title, found.part.kind, found.record.data_kind) == ("smoke", "synthetic", "synthetic")
    assert found.part.names == open_dataset("synthetic", 0, "val").names
    assert (found.image_size, found.note.kind) == (64, "warning")
    assert not found.network.training
    assert find_subject(load_plan(), part="test").part.names == open_dataset("synthetic", 0, "test").names


def test_lost_weights_are_made_again(project: Path, made_up: list[bool]) -> None:
    find_subject(load_plan(), "smoke")
    for path in (project / WEIGHTS_FOLDER).iterdir():
        path.unlink()
    find_subject(load_plan(), "smoke")
    assert made_up == [False, False, True]


def test_real_weights_see_real_images(
    project: Path, made_up: list[bool], make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = published(project, make_record, threshold="0.35")
    fake_bijie(project / "data", monkeypatch)
    found = find_subject(load_plan())
    assert (found.title, found.part.dataset, found.part.kind) == ("tiny-bijie", "bijie", "real")
    assert (found.record.run_id, found.image_size, found.threshold) == (record.run_id, SIZE, 0.35)
    assert "real" in found.note.text and found.note.kind == "note"
    assert find_subject(load_plan(), "cpu", record.run_id).network.config == found.network.config
    assert made_up == []


@pytest.mark.parametrize(("profile", "fakes"), [("auto", True), ("cpu", True), ("cpu", False)])
def test_real_weights_never_see_fakes(
    project: Path, made_up: list[bool], make_record: Callable[..., Record], profile: str, fakes: bool
) -> None:
    published(project, make_record, threshold="0.35")
    if fakes:
        fake_bijie(project / "data")
    found = find_subject(load_plan(), profile)
    assert (found.title, found.part.dataset, found.record.data_kind) == ("smoke", "synthetic", "synthetic")


def test_a_threshold_that_is_not_stored_is_the_best_on_validation(
    project: Path, make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    published(project, make_record)
    fake_bijie(project / "data", monkeypatch)
    found = find_subject(load_plan(), part="test")
    val = open_dataset("bijie", 0, "val")
    thresholds = [n / 20 for n in range(2, 19)]
    ious = [one.scores()["iou"] for one in count(found.network, val, SIZE, thresholds)]
    assert found.threshold == pytest.approx(thresholds[int(np.argmax(ious))])


def test_bad_requests_are_answered(project: Path, made_up: list[bool], make_record: Callable[..., Record]) -> None:
    with pytest.raises(PlanError, match="part 'train': val or test"):
        find_subject(load_plan(), part="train")
    with pytest.raises(PlanError, match="no profile 'quick'"):
        find_subject(load_plan(), "quick")
    with pytest.raises(StoreError, match="weights 'large': neither one of none nor the id"):
        find_subject(load_plan(), "cpu", "large")
    record = published(project, make_record)
    with pytest.raises(StoreError, match="weights 'large': neither one of tiny-bijie nor the id"):
        find_subject(load_plan(), "cpu", "large")
    (project / PUBLISHED_FOLDER / "tiny-bijie.safetensors").unlink()
    with pytest.raises(StoreError, match=f"weights of {record.run_id} are not at hand: scgcnet study run"):
        find_subject(load_plan(), "cpu", record.run_id)


@pytest.fixture
def looked_at(project: Path, make_record: Callable[..., Record]) -> Subject:
    spec = load_plan().make_run("synthetic", "scgcnet", "tiny", "smoke", changes={"image_size": SIZE})
    record = make_record(spec, kind="synthetic")
    model = keep(project / WEIGHTS_FOLDER / f"{record.run_id}.safetensors", record)
    part = open_dataset("synthetic", 0, "val")
    middle = float(np.median(np.concatenate([p.ravel() for p in predict(model, part, range(len(part)), SIZE)])))
    return Subject("here", model, record, part, middle, Note("x", "y"))


def test_cases_go_from_the_worst_to_the_best(looked_at: Subject) -> None:
    everything = [case for case in predicted(looked_at, range(len(looked_at.part))) if (case.sample.mask == 1).any()]
    for case in everything:
        assert case.iou == Confusion.of(case.probability > looked_at.threshold, case.sample.mask).scores()["iou"]
    ious = sorted(case.iou for case in everything)
    assert [case.iou for case in pick_cases(looked_at, 3)] == [ious[0], ious[round((len(ious) - 1) / 2)], ious[-1]]
    names = [looked_at.part.names[3], looked_at.part.names[0]]
    assert [case.sample.name for case in pick_cases(looked_at, 1, names)] == names
    with pytest.raises(ValueError, match="no image 'x' in this part; names are such as"):
        pick_cases(looked_at, 1, [names[0], "x"])
    with pytest.raises(ValueError, match="show at least one"):
        pick_cases(looked_at, 0)


def test_the_table_of_cases(looked_at: Subject) -> None:
    (case,) = pick_cases(looked_at, 1, [looked_at.part.names[0]])
    (row,) = case_table(looked_at, [case]).to_dict("records")
    height, width = case.sample.mask.shape
    assert list(row.values()) == [
        case.sample.name,
        f"{width} x {height}",
        f"{100 * (case.sample.mask == 1).mean():.1f}",
        f"{100 * case.iou:.1f}",
    ]
