"""Images to look at and networks with known weights: real with real, synthetic with synthetic."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record, save
from subjects import Given, picture
from torch import nn

from scgcnet import zoo
from scgcnet.data import EvalTransform, LandslideDataset, bijie, open_dataset, write_fake
from scgcnet.data.sample import MARKER
from scgcnet.data.synthetic import open_synthetic
from scgcnet.metrics import Confusion
from scgcnet.study import cases as module
from scgcnet.study.cases import (
    EXAMPLE,
    TrainedNetwork,
    available_kind,
    case_table,
    choose_cases,
    example_network,
    example_sample,
    load_network,
    load_networks,
    pick_cases,
    pick_network_cases,
    predict_cases,
    spread_samples,
    validation_part,
)
from scgcnet.study.plan import PlanError
from scgcnet.study.runner import PUBLISHED_FOLDER, WEIGHTS_FOLDER
from scgcnet.study.show import Note
from scgcnet.train.predict import predict

SIZE = 32


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic images, drawn once."""
    folder = tmp_path_factory.mktemp("drawn")
    open_synthetic(folder)
    return folder


@pytest.fixture
def project(project: Path, drawn: Path) -> Path:
    """Of the study's tests, with the synthetic images in place."""
    shutil.copytree(drawn, project / "build" / "data")
    return project


@pytest.fixture
def test(project: Path) -> LandslideDataset:
    return open_dataset("synthetic", 0, "test")


def network(seed: int) -> nn.Module:
    """A fresh network that calls about half of all pixels landslide."""
    torch.manual_seed(seed)
    model = zoo.create_model("scgcnet", "tiny").eval()
    images = torch.stack([EvalTransform(SIZE)(sample)[0] for sample in open_dataset("synthetic", 0, "test")])
    with torch.no_grad():
        logits = model(images)
        model.head[1].bias[1] -= (logits[:, 1] - logits[:, 0]).median()
    return model


@pytest.fixture
def make(project: Path, make_record: Callable[..., Record]) -> Callable[..., Record]:
    """Builds the record of a seed, with the weights of `network` where they are wanted."""

    def make(seed: int, weights: bool = True, **fields: object) -> Record:
        run = load_plan().make_run("synthetic", "scgcnet", "tiny", "smoke", seed=seed, changes={"image_size": SIZE})
        record = make_record(run, kind="synthetic", **fields)
        if weights:
            stamp = {"run_id": record.run_id, "finished_utc": record.finished_utc}
            zoo.save_model(network(seed), project / WEIGHTS_FOLDER / f"{record.run_id}.safetensors", stamp)
        return record

    return make


def ious(found: list[np.ndarray], test: LandslideDataset) -> list[float]:
    return [
        Confusion.of(probability > 0.5, sample.mask).scores()["iou"]
        for probability, sample in zip(found, test, strict=True)
    ]


def test_cases_are_those_of_the_first_weights_at_hand(make: Callable[..., Record], test: LandslideDataset) -> None:
    cases = pick_cases([make(0, weights=False), make(1), make(2)], test, 3)
    probabilities = predict(network(1), test, range(len(test)), SIZE)
    expected = sorted(ious(probabilities, test))
    assert expected[0] < expected[-1]
    assert [case.iou for case in cases] == [expected[0], expected[round((len(test) - 1) / 2)], expected[-1]]
    for case in cases:
        place = test.names.index(case.sample.name)
        np.testing.assert_allclose(case.probability, probabilities[place], atol=1e-6)


def test_networks_are_shown_on_the_cases_of_the_first(make: Callable[..., Record], test: LandslideDataset) -> None:
    records = {"none": [make(5, weights=False)], "ours": [make(0, weights=False), make(1)], "other": [make(2), make(3)]}
    cases = pick_network_cases(records, test, 3)
    assert [case.sample.name for case in cases] == [case.sample.name for case in pick_cases(records["ours"], test, 3)]
    for case in cases:
        assert list(case.probabilities) == ["ours", "other"]  # in the order of the records
        place = test.names.index(case.sample.name)
        for name, seed in (("ours", 1), ("other", 2)):
            (expected,) = predict(network(seed), test, [place], SIZE)
            assert case.probabilities[name].shape == case.sample.mask.shape
            np.testing.assert_allclose(case.probabilities[name], expected, atol=1e-5)
        assert not np.allclose(case.probabilities["ours"], case.probabilities["other"], atol=1e-3)


def test_without_data_or_weights_there_is_nothing_to_show(make: Callable[..., Record], test: LandslideDataset) -> None:
    assert pick_network_cases({"ours": [make(0)]}, None, 3) == []
    assert pick_network_cases({"ours": [make(1, weights=False)], "other": []}, test, 3) == []
    assert pick_network_cases({}, test, 3) == []
    older = make(2)
    newer = make(2, weights=False, finished_utc="2027-01-02T03:04:05Z")
    assert pick_cases([older], test, 1) != []
    assert pick_cases([newer], test, 1) == []  # the weights are those of an earlier training


def test_at_least_one_case_is_wanted(make: Callable[..., Record], test: LandslideDataset) -> None:
    with pytest.raises(ValueError, match="n_cases is 0"):
        pick_network_cases({"ours": [make(0)]}, test, 0)
    assert len(pick_network_cases({"ours": [make(0)]}, test, 1000)) == len(test)


def test_damaged_weights_are_no_missing_ones(
    project: Path, make: Callable[..., Record], test: LandslideDataset
) -> None:
    record = make(0)
    path = project / WEIGHTS_FOLDER / f"{record.run_id}.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    for ask in (
        lambda: pick_network_cases({"ours": [record]}, test, 1),
        lambda: load_networks({"ours": [record]}, "synthetic"),
    ):
        with pytest.raises(zoo.WeightsError):
            ask()


class TestLoadNetworks:
    def test_of_each_the_first_with_weights(self, make: Callable[..., Record]) -> None:
        records = {"A2": [make(0, weights=False), make(1), make(2)], "A5": [make(3, weights=False)], "A8": [make(4)]}
        found = load_networks(records)
        networks = found.networks
        assert (list(networks), found.kind) == (["A2", "A8"], "synthetic")
        assert found.note.kind == "warning" and found.note.text.startswith("A2, A8: trained for seconds on synthetic")
        assert "Missing because there are no weights: A5 (`scgcnet study run" in found.note.text
        for name, seed in (("A2", 1), ("A8", 4)):
            assert not networks[name].training
            expected = network(seed).state_dict()
            assert all(torch.equal(value, expected[key]) for key, value in networks[name].state_dict().items())

    def test_two_kinds_of_training_never_stand_side_by_side(self, make: Callable[..., Record]) -> None:
        synthetic = {name: make(seed) for seed, name in enumerate(("A2", "A5", "A8"))}
        real = {name: make(seed, data_kind="real") for seed, name in ((3, "A2"), (4, "A8"))}
        both = {name: [*([real[name]] if name in real else []), synthetic[name]] for name in synthetic}
        found = load_networks(both)
        assert (list(found.networks), found.kind, found.note.kind) == (["A2", "A8"], "real", "note")
        assert "trained on real images" in found.note.text and "no weights: A5 (" in found.note.text
        # Real networks say nothing on made-up images, and one alone is no comparison where there is one.
        for one in (load_networks(both, "synthetic"), load_networks({**both, "A2": both["A2"][1:]})):
            assert (list(one.networks), one.kind) == (["A2", "A5", "A8"], "synthetic")
            assert "Missing" not in one.note.text
        alone = load_networks({"A2": [], "A8": [real["A8"]]})
        assert (list(alone.networks), alone.kind) == (["A8"], "real")

    def test_without_any_it_says_how_to_get_them(self, make: Callable[..., Record]) -> None:
        found = load_networks({"A2": [make(0, weights=False)], "A8": []})
        assert found.networks == {}
        assert "No trained weights are available" in found.note.text and "scgcnet study run" in found.note.text


# The network that a page looks into.


@pytest.fixture
def trained(project: Path, make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The run on synthetic images takes no time; returns whether each was forced, and leaves its weights."""
    forced: list[bool] = []

    def run(spec, *, force: bool = False, progress: bool = True) -> Record:
        assert (spec.dataset, spec.profile, spec.model, spec.size) == ("synthetic", "smoke", "scgcnet", "tiny")
        record = make_record(spec, kind="synthetic")
        if force or not forced:
            keep(project / WEIGHTS_FOLDER / f"{record.run_id}.safetensors", record)
        forced.append(force)
        return record

    monkeypatch.setattr(module, "run", run)
    return forced


def keep(path: Path, record: Record, **extra: str) -> torch.nn.Module:
    """Weights of a network that says landslide for about half of all pixels."""
    torch.manual_seed(1)
    model = zoo.create_model("scgcnet", "tiny").eval()
    zoo.save_model(model, path, {"run_id": record.run_id, "finished_utc": record.finished_utc, **extra})
    return model


def fake_bijie(folder: Path, monkeypatch: pytest.MonkeyPatch | None = None) -> None:
    """Synthetic images in Bijie's place; given a `monkeypatch`, they pass for real ones."""
    write_fake("bijie", folder, n=20)
    if monkeypatch:
        own = {which: bijie._split_path(bijie.require_folder(folder), which) for which in ("0", "1", "2")}
        monkeypatch.setattr(bijie, "kind_of", lambda _: "real")
        monkeypatch.setattr(bijie, "committed_split", lambda _, which: own[which])


def published(project: Path, make_record: Callable[..., Record], **extra: str) -> Record:
    plan = load_plan()
    spec = plan.make_run("bijie", "scgcnet", "tiny", "cpu", seed=2, changes={"image_size": SIZE})
    record = make_record(spec)
    save(record, project)
    keep(project / PUBLISHED_FOLDER / "tiny-bijie.safetensors", record, **extra)
    return record


def test_without_data_everything_is_synthetic(trained: list[bool]) -> None:
    found = load_network(load_plan())
    assert (found.title, found.part.kind) == ("smoke", "synthetic")
    assert found.part.names == open_dataset("synthetic", 0, "val").names
    assert (found.image_size, found.note.kind) == (64, "warning")
    assert not found.network.training
    assert load_network(load_plan(), part="test").part.names == open_dataset("synthetic", 0, "test").names


def test_lost_weights_are_made_again(project: Path, trained: list[bool]) -> None:
    load_network(load_plan(), "smoke")
    for path in (project / WEIGHTS_FOLDER).iterdir():
        path.unlink()
    load_network(load_plan(), "smoke")
    assert trained == [False, False, True]


def test_real_weights_see_real_images(
    project: Path, trained: list[bool], make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = published(project, make_record, threshold="0.35")
    fake_bijie(project / "data", monkeypatch)
    found = load_network(load_plan())
    assert (found.title, found.part.dataset, found.part.kind) == ("tiny-bijie", "bijie", "real")
    assert (found.image_size, found.threshold) == (SIZE, 0.35)
    assert "real" in found.note.text and found.note.kind == "note"
    assert load_network(load_plan(), "cpu", record.run_id).network.config == found.network.config
    assert trained == []


@pytest.mark.parametrize(("profile", "fakes"), [("auto", True), ("cpu", True), ("cpu", False)])
def test_real_weights_never_see_fakes(
    project: Path, trained: list[bool], make_record: Callable[..., Record], profile: str, fakes: bool
) -> None:
    published(project, make_record, threshold="0.35")
    if fakes:
        fake_bijie(project / "data")
    found = load_network(load_plan(), profile)
    assert (found.title, found.part.dataset) == ("smoke", "synthetic")


def test_bad_requests_are_answered(project: Path, trained: list[bool], make_record: Callable[..., Record]) -> None:
    with pytest.raises(PlanError, match="part 'train': val or test"):
        load_network(load_plan(), part="train")
    with pytest.raises(PlanError, match="no profile 'quick'"):
        load_network(load_plan(), "quick")
    with pytest.raises(StoreError, match="weights 'large': neither one of none nor the id"):
        load_network(load_plan(), "cpu", "large")
    record = published(project, make_record)
    with pytest.raises(StoreError, match="weights 'large': neither one of tiny-bijie nor the id"):
        load_network(load_plan(), "cpu", "large")
    (project / PUBLISHED_FOLDER / "tiny-bijie.safetensors").unlink()
    with pytest.raises(StoreError, match=f"weights of {record.run_id} are missing: scgcnet study run"):
        load_network(load_plan(), "cpu", record.run_id)


def test_cases_go_from_the_worst_to_the_best(project: Path) -> None:
    part, model = open_dataset("synthetic", 0, "val"), network(1)
    middle = float(np.median(np.concatenate([p.ravel() for p in predict(model, part, range(len(part)), SIZE)])))
    shown = TrainedNetwork("here", model, SIZE, middle, part, Note("x", "y"))
    found = predict_cases(model, part, SIZE, middle)
    for case in found:
        assert case.iou == Confusion.of(case.probability > middle, case.sample.mask).scores()["iou"]
    sorted_ious = sorted(case.iou for case in found if (case.sample.mask == 1).any())
    wanted = [sorted_ious[0], sorted_ious[round((len(sorted_ious) - 1) / 2)], sorted_ious[-1]]
    assert [case.iou for case in choose_cases(shown, 3)] == wanted
    names = [part.names[3], part.names[0]]
    assert [case.sample.name for case in choose_cases(shown, 1, names)] == names
    with pytest.raises(ValueError, match="no image 'x' in this part; names are such as"):
        choose_cases(shown, 1, [names[0], "x"])
    with pytest.raises(ValueError, match="show at least one"):
        choose_cases(shown, 0)
    (row,) = case_table(shown, found[:1]).to_dict("records")
    sample = found[0].sample
    size, share = "{1} x {0}".format(*sample.mask.shape), f"{100 * (sample.mask == 1).mean():.1f}"
    assert list(row.values()) == [sample.name, size, share, f"{100 * found[0].iou:.1f}"]


# Examples.


def test_the_validation_part_is_bijies_if_it_is_available(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (available_kind(), validation_part("synthetic").dataset) == ("synthetic", "synthetic")
    write_fake("bijie", project / "data", n=10)
    part = validation_part("real")
    assert (part.dataset, len(part)) == ("bijie", 3)
    assert available_kind() == "synthetic"  # in the layout of the real ones, but generated
    next((project / "data").rglob(MARKER)).unlink()  # they pass for real ones
    assert available_kind() == "real"


@pytest.mark.parametrize(("n", "expected"), [(-1, "a"), (1, "a"), (2, "ae"), (3, "ace"), (5, "abcde"), (9, "abcde")])
def test_samples_are_spread_over_the_names(n: int, expected: str) -> None:
    part = Given(*(picture(name, (0, 9), (0, 9)) for name in "abcde"))
    assert "".join(sample.name for sample in spread_samples(part, n)) == expected


def test_example_weights_are_the_published_ones_if_they_fit(project: Path) -> None:
    assert "random" in example_network("tiny", {})[1]
    stored = network(5)
    zoo.save_model(stored, project / EXAMPLE)
    model, note = example_network("tiny", {})
    assert "tiny-bijie" in note
    assert torch.equal(model.state_dict()["head.1.weight"], stored.state_dict()["head.1.weight"])
    assert "random" in example_network("tiny", {"cam": False})[1]
    sample, note = example_sample()
    assert "synthetic" in note and sample.name in note
