"""Images to look at and networks with known weights: real with real, synthetic with synthetic."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from subjects import Given, picture
from torch import nn

from scgcnet import zoo
from scgcnet.data import EvalTransform, LandslideDataset, open_dataset, open_whole, write_fake
from scgcnet.data.sample import MARKER
from scgcnet.metrics import Confusion
from scgcnet.study import cases as module
from scgcnet.study import results
from scgcnet.study.cases import (
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
from scgcnet.study.plan import Plan
from scgcnet.study.results import Record, ResultError
from scgcnet.study.runs import PlanError
from scgcnet.study.show import Note
from scgcnet.train.predict import predict

REPOSITORY = Path(__file__).resolve().parents[2]
SIZE = 32


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The synthetic images, drawn once."""
    folder = tmp_path_factory.mktemp("drawn")
    open_whole("synthetic", folder)
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
def make(plan: Plan, store: Callable[..., Record]) -> Callable[..., pd.DataFrame]:
    """Rows of runs by seed, with the weights of `network` for those of `weights`."""

    def make(*seeds: int, weights: tuple[int, ...] | None = None, **fields: object) -> pd.DataFrame:
        records = []
        for seed in seeds:
            run = plan.make_run("synthetic", "scgcnet", "tiny", "smoke", seed=seed, changes={"image_size": SIZE})
            record = store(run, [(5, 1, 1, 9)], counted=False, **{"data_kind": "synthetic", **fields})
            if weights is None or seed in weights:
                stamp = {"run_id": record.run_id, "finished_utc": record.finished_utc}
                zoo.save_model(network(seed), Path(results.WEIGHTS) / f"{record.run_id}.safetensors", stamp)
            records.append(record)
        return results.frame(records)

    return make


def ious(found: list[np.ndarray], test: LandslideDataset) -> list[float]:
    return [
        Confusion.of(probability > 0.5, sample.mask).scores()["iou"]
        for probability, sample in zip(found, test, strict=True)
    ]


class TestPickCases:
    def test_from_the_worst_to_the_best_of_the_first_with_weights(self, make, test: LandslideDataset) -> None:
        cases = pick_cases(make(0, 1, 2, weights=(1, 2)), test, 3)
        probabilities = predict(network(1), test, range(len(test)), SIZE)
        expected = sorted(ious(probabilities, test))
        assert expected[0] < expected[-1]
        assert [case.iou for case in cases] == [expected[0], expected[round((len(test) - 1) / 2)], expected[-1]]
        for case in cases:
            place = test.names.index(case.sample.name)
            np.testing.assert_allclose(case.probability, probabilities[place], atol=1e-6)

    def test_networks_are_shown_on_the_cases_of_the_first(self, make, test: LandslideDataset) -> None:
        runs = {"none": make(5, weights=()), "ours": make(0, 1, weights=(1,)), "other": make(2, 3)}
        cases = pick_network_cases(runs, test, 3)
        assert [case.sample.name for case in cases] == [case.sample.name for case in pick_cases(runs["ours"], test, 3)]
        for case in cases:
            assert list(case.probabilities) == ["ours", "other"]  # in the order of the networks
            place = test.names.index(case.sample.name)
            for name, seed in (("ours", 1), ("other", 2)):
                (expected,) = predict(network(seed), test, [place], SIZE)
                assert case.probabilities[name].shape == case.sample.mask.shape
                np.testing.assert_allclose(case.probabilities[name], expected, atol=1e-5)

    def test_without_data_or_weights_there_is_nothing_to_show(self, make, test: LandslideDataset) -> None:
        assert pick_network_cases({"ours": make(0)}, None, 3) == []
        assert pick_network_cases({"ours": make(1, weights=()), "other": results.frame([])}, test, 3) == []
        assert pick_cases(make(2), test, 1) != []
        newer = make(2, weights=(), finished_utc="2027-01-02T03:04:05Z")
        assert pick_cases(newer, test, 1) == []  # the weights are those of an earlier training

    def test_at_least_one_case_is_wanted(self, make, test: LandslideDataset) -> None:
        with pytest.raises(ValueError, match="n_cases is 0"):
            pick_network_cases({"ours": make(0)}, test, 0)
        assert len(pick_network_cases({"ours": make(0)}, test, 1000)) == len(test)

    def test_damaged_weights_are_not_missing_ones(self, make, test: LandslideDataset) -> None:
        runs = make(0)
        (path,) = Path(results.WEIGHTS).iterdir()
        path.write_bytes(path.read_bytes()[:-100])
        for ask in (lambda: pick_cases(runs, test, 1), lambda: load_networks({"ours": runs}, "synthetic")):
            with pytest.raises(zoo.WeightsError):
                ask()


class TestLoadNetworks:
    def test_of_each_the_first_with_weights(self, make) -> None:
        found = load_networks({"A2": make(0, 1, 2, weights=(1, 2)), "A5": make(3, weights=()), "A8": make(4)})
        assert (list(found.networks), found.kind) == (["A2", "A8"], "synthetic")
        assert found.note.kind == "warning" and found.note.text.startswith("A2, A8: trained for seconds on synthetic")
        assert "Missing because there are no weights: A5 (`scgcnet run" in found.note.text
        for name, seed in (("A2", 1), ("A8", 4)):
            assert not found.networks[name].training
            expected = network(seed).state_dict()
            assert all(torch.equal(value, expected[key]) for key, value in found.networks[name].state_dict().items())

    def test_two_kinds_of_training_never_stand_side_by_side(self, make) -> None:
        synthetic = {name: make(seed) for seed, name in enumerate(("A2", "A5", "A8"))}
        real = {name: make(seed, data_kind="real") for seed, name in ((3, "A2"), (4, "A8"))}
        both = {name: pd.concat([real[name], one]) if name in real else one for name, one in synthetic.items()}
        found = load_networks(both)
        assert (list(found.networks), found.kind, found.note.kind) == (["A2", "A8"], "real", "note")
        assert "trained on real images" in found.note.text and "no weights: A5 (" in found.note.text
        # Real networks say nothing on synthetic images, and one alone is no comparison where there is one.
        for one in (load_networks(both, "synthetic"), load_networks({**both, "A2": synthetic["A2"]})):
            assert (list(one.networks), one.kind) == (["A2", "A5", "A8"], "synthetic")
            assert "Missing" not in one.note.text
        alone = load_networks({"A2": results.frame([]), "A8": real["A8"]})
        assert (list(alone.networks), alone.kind) == (["A8"], "real")

    def test_without_any_it_says_how_to_get_them(self, make) -> None:
        found = load_networks({"A2": make(0, weights=())})
        assert found.networks == {}
        assert "No trained weights are available" in found.note.text and "scgcnet run ID" in found.note.text


def real_bijie(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated images that pass for Bijie's, and the record of the run behind the published weights."""
    write_fake("bijie", project / "data", n=20)
    monkeypatch.setattr("scgcnet.data.pairs.kind_of", lambda _: "real")
    shutil.copytree(REPOSITORY / "results" / "runs", project / "results" / "runs")


class TestLoadNetwork:
    def test_without_real_images_published_weights_see_synthetic_ones(self, project: Path, plan: Plan) -> None:
        found = load_network(plan)
        assert (found.title, found.part.kind, found.image_size) == ("tiny-bijie", "synthetic", 128)
        assert found.part.names == open_dataset("synthetic", 0, "val").names
        assert found.note.kind == "warning" and not found.network.training
        assert load_network(plan, part="test").part.names == open_dataset("synthetic", 0, "test").names
        assert load_network(plan, weights="tiny-multisource").title == "tiny-multisource"
        assert not (project / "build" / "weights").exists()  # nothing is trained

    def test_with_real_images_they_see_those(self, project: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        real_bijie(project, monkeypatch)
        stamp = zoo.read_metadata(zoo.pretrained_file("tiny-bijie"))
        found = load_network(plan)
        assert (found.title, found.part.dataset, found.part.kind) == ("tiny-bijie", "bijie", "real")
        assert (found.image_size, found.threshold) == (128, float(stamp["threshold"]))
        assert found.note.kind == "note" and "real images of Bijie" in found.note.text
        assert load_network(plan, "cpu", stamp["run_id"]).title == stamp["run_id"]
        assert load_network(plan, "smoke").part.dataset == "synthetic"

    @pytest.mark.parametrize(("profile", "fakes"), [("auto", True), ("cpu", True), ("cpu", False)])
    def test_generated_images_are_not_taken_for_real(
        self, project: Path, plan: Plan, profile: str, fakes: bool
    ) -> None:
        shutil.copytree(REPOSITORY / "results" / "runs", project / "results" / "runs")
        if fakes:
            write_fake("bijie", project / "data", n=20)
        assert load_network(plan, profile).part.dataset == "synthetic"

    def test_bad_requests_are_answered(self, project: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(PlanError, match="part 'train': val or test"):
            load_network(plan, part="train")
        with pytest.raises(PlanError, match="no profile 'quick'"):
            load_network(plan, "quick")
        real_bijie(project, monkeypatch)
        with pytest.raises(
            ResultError, match="weights 'large': neither one of lite0-multisource, tiny-bijie, tiny-multisource"
        ):
            load_network(plan, "cpu", "large")
        other = next(run for run in plan.select("cpu") if run.model == "icnet" and results.find(run.run_id, "real"))
        with pytest.raises(ResultError, match=f"weights of {other.run_id} are missing: scgcnet run {other.run_id}"):
            load_network(plan, "cpu", other.run_id)


def test_chosen_cases_have_landslides_or_the_given_names(project: Path) -> None:
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
    write_fake("bijie", project / "others", n=10)
    next((project / "others").rglob(MARKER)).unlink()  # they pass for real ones
    monkeypatch.setenv("SCGCNET_DATA", "others")
    assert available_kind() == "real"


@pytest.mark.parametrize(("n", "expected"), [(-1, "a"), (1, "a"), (2, "ae"), (3, "ace"), (9, "abcde")])
def test_samples_are_spread_over_the_names(n: int, expected: str) -> None:
    part = Given(*(picture(name, (0, 9), (0, 9)) for name in "abcde"))
    assert "".join(sample.name for sample in spread_samples(part, n)) == expected


def test_example_weights_are_the_published_ones_if_they_fit(project: Path) -> None:
    model, note = example_network("tiny", {})
    assert module.EXAMPLE in note
    published = zoo.load_pretrained(module.EXAMPLE).state_dict()
    assert torch.equal(model.state_dict()["head.1.weight"], published["head.1.weight"])
    assert "random" in example_network("tiny", {"cam": False})[1]
    sample, note = example_sample()
    assert "synthetic" in note and sample.name in note
