"""Images of a finished run and what several networks make of them, with weights that are known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from scgcnet import zoo
from scgcnet.data import EvalTransform, LandslideDataset, open_dataset
from scgcnet.study.cases import load_networks, pick_cases, pick_network_cases
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import WEIGHTS_FOLDER
from scgcnet.study.store import Record
from scgcnet.train import Confusion, predict

SIZE = 32


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


def test_weights_of_an_earlier_network_are_passed_over(project: Path, make: Callable[..., Record]) -> None:
    """They are whole, but the network has other shapes since: nothing that a page should fail for."""
    old = make(0, code_sha256="1" * 64)
    assert load_networks({"ours": [old]}, "synthetic").networks.keys() == {"ours"}  # they still fit
    path = project / WEIGHTS_FOLDER / f"{old.run_id}.safetensors"
    tensors, metadata = load_file(path), zoo.read_metadata(path)
    name = next(iter(tensors))
    save_file({**tensors, name: torch.zeros(1)}, path, metadata)
    assert load_networks({"ours": [old]}, "synthetic").networks == {}


class TestLoadNetworks:
    def test_of_each_the_first_with_weights(self, make: Callable[..., Record]) -> None:
        records = {"A2": [make(0, weights=False), make(1), make(2)], "A5": [make(3, weights=False)], "A8": [make(4)]}
        found = load_networks(records)
        networks = found.networks
        assert (list(networks), found.kind) == (["A2", "A8"], "synthetic")
        assert found.note.kind == "warning" and found.note.text.startswith("A2, A8: trained for seconds on made-up")
        assert "Missing, for want of weights: A5 (`scgcnet study run" in found.note.text
        for name, seed in (("A2", 1), ("A8", 4)):
            assert not networks[name].training
            expected = network(seed).state_dict()
            assert all(torch.equal(value, expected[key]) for key, value in networks[name].state_dict().items())

    def test_two_kinds_of_training_never_stand_side_by_side(self, make: Callable[..., Record]) -> None:
        made_up = {name: make(seed) for seed, name in enumerate(("A2", "A5", "A8"))}
        real = {name: make(seed, data_kind="real") for seed, name in ((3, "A2"), (4, "A8"))}
        both = {name: [*([real[name]] if name in real else []), made_up[name]] for name in made_up}
        found = load_networks(both)
        assert (list(found.networks), found.kind, found.note.kind) == (["A2", "A8"], "real", "note")
        assert "trained on real images" in found.note.text and "weights: A5 (" in found.note.text
        # Real networks say nothing on made-up images, and one alone is no comparison where there is one.
        for one in (load_networks(both, "synthetic"), load_networks({**both, "A2": both["A2"][1:]})):
            assert (list(one.networks), one.kind) == (["A2", "A5", "A8"], "synthetic")
            assert "Missing" not in one.note.text
        alone = load_networks({"A2": [], "A8": [real["A8"]]})
        assert (list(alone.networks), alone.kind) == (["A8"], "real")

    def test_without_any_it_says_how_to_get_them(self, make: Callable[..., Record]) -> None:
        found = load_networks({"A2": [make(0, weights=False)], "A8": []})
        assert found.networks == {}
        assert "No trained weights are at hand" in found.note.text and "scgcnet study run" in found.note.text
