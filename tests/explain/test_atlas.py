"""Which runs the atlas shows, and that what it says of them is what was predicted; on networks trained in seconds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scgcnet import cli, zoo
from scgcnet.data import open_dataset, write_fake
from scgcnet.explain.atlas import Atlas, make_atlas, pick_runs
from scgcnet.explain.calibration import reliability
from scgcnet.explain.case_numbers import describe, judge
from scgcnet.explain.failures import Limits
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import read_looks
from scgcnet.study.plan import PlanError, Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.publish import best_threshold
from scgcnet.study.runner import WEIGHTS_FOLDER, load_predictor, run
from scgcnet.study.store import find
from scgcnet.train import Confusion, predict

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A checkout of its own as the current folder, without data, in which the runs of the smoke page were made."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(REPOSITORY / "study.yml", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("SCGCNET_DATA", raising=False)
        yield folder


@pytest.fixture(scope="module")
def runs(project: Path) -> list[Run]:
    return pick_runs(load_plan())


@pytest.fixture(scope="module")
def atlas(runs: list[Run]) -> Atlas:
    return make_atlas(runs)


class TestPick:
    def test_in_a_fresh_clone(self, runs: list[Run]) -> None:
        assert [(one.dataset, one.model, one.profile) for one in runs] == [
            ("synthetic", "scgcnet", "smoke"),
            ("synthetic", "unet", "smoke"),
        ]

    def test_without_a_second(self, runs: list[Run]) -> None:
        assert pick_runs(load_plan(), compare="none") == runs[:1]

    def test_by_name(self, runs: list[Run]) -> None:
        first, second = runs
        assert pick_runs(load_plan(), second.run_id, first.run_id) == [second, first]

    def test_unknown(self, runs: list[Run]) -> None:
        with pytest.raises(PlanError, match=r"no run in study\.yml with an id like 'gone'"):
            pick_runs(load_plan(), "gone")
        with pytest.raises(PlanError, match="no profile 'gone'"):
            pick_runs(load_plan(), profile="gone")

    def test_not_stored(self, runs: list[Run]) -> None:
        missing = next(one.run_id for one in load_plan().runs if one.profile == "cpu")
        with pytest.raises(StoreError, match=f"{missing} is not stored: scgcnet study run {missing}"):
            pick_runs(load_plan(), missing)
        with pytest.raises(StoreError, match=f"{missing} is not stored"):
            pick_runs(load_plan(), compare=missing)

    def test_without_its_weights(self, runs: list[Run], project: Path) -> None:
        weights = project / WEIGHTS_FOLDER / f"{runs[1].run_id}.safetensors"
        hidden = weights.rename(weights.with_suffix(".hidden"))
        try:
            with pytest.raises(StoreError, match=f"weights of {runs[1].run_id} are not at hand: .* --force"):
                pick_runs(load_plan(), runs[1].run_id)
        finally:
            hidden.rename(weights)

    def test_other_images(self, runs: list[Run]) -> None:
        other = next(one for one in load_plan().runs if one.profile == "smoke" and one.increment is not None)
        run(other, progress=False)
        with pytest.raises(StoreError, match="are not tested on the same images"):
            pick_runs(load_plan(), compare=other.run_id)


class TestPublished:
    """With the weights and run files of the repository, and generated images in the place of Bijie's."""

    @pytest.fixture
    def checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        shutil.copy(REPOSITORY / "study.yml", tmp_path)
        shutil.copytree(REPOSITORY / "results", tmp_path / "results")
        shutil.copytree(REPOSITORY / "scgcnet" / "weights", tmp_path / "scgcnet" / "weights")
        write_fake("bijie", tmp_path / "data", n=20)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "data"))
        return tmp_path

    def stand_for(self, monkeypatch: pytest.MonkeyPatch, checkout: Path) -> str:
        """Say that these are the images that the run was scored on; its id."""
        run_id = zoo.read_metadata(checkout / "scgcnet" / "weights" / "tiny-bijie.safetensors")["run_id"]
        record = find(run_id, "real", checkout)
        monkeypatch.setattr("scgcnet.data.data_sha256", lambda name: record.data_sha256)
        return run_id

    def test_generated_images_are_not_taken_for_real(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scgcnet.explain.atlas.run", lambda spec, **_: pytest.skip.Exception)
        monkeypatch.setattr("scgcnet.explain.atlas.weights_for", lambda record: Path("x"))
        assert [one.dataset for one in pick_runs(load_plan(), compare="none")] == ["synthetic"]

    def test_alone(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        run_id = self.stand_for(monkeypatch, checkout)
        assert [one.run_id for one in pick_runs(load_plan())] == [run_id]
        assert [one.run_id for one in pick_runs(load_plan(), profile="cpu")] == [run_id]

    def test_not_at_a_profile_on_synthetic_data(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stand_for(monkeypatch, checkout)
        monkeypatch.setattr("scgcnet.explain.atlas._trained_now", lambda plan, model: model)
        assert pick_runs(load_plan(), compare="none", profile="smoke") == ["scgcnet"]

    def test_beside_the_best_on_validation(self, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of those whose weights are at hand, of another network, on the same split; never by the test part."""
        run_id = self.stand_for(monkeypatch, checkout)
        plan, able = load_plan(), {}
        for one in plan.runs:
            record = find(one.run_id, "real", checkout)
            if record and one.dataset == "bijie" and one.model in ("icnet", "hrnet", "pidnet") and one.split == 0:
                able[one.run_id] = record
        best = max(able.values(), key=lambda record: record.val_iou)
        monkeypatch.setattr(
            "scgcnet.explain.atlas.weights_for",
            lambda record: record.run_id in {*able, run_id} or None,
        )
        assert [one.run_id for one in pick_runs(plan)] == [run_id, best.run_id]


class TestMake:
    def test_every_test_image_in_its_order(self, atlas: Atlas) -> None:
        assert [entry.facts.name for entry in atlas.entries] == list(open_dataset("synthetic", 0, "test").names)
        assert (atlas.kind, atlas.free) == ("synthetic", ())

    def test_probabilities_are_those_of_the_network(self, atlas: Atlas) -> None:
        for place, model in enumerate(atlas.models):
            network = load_predictor(model.record)
            test = open_dataset("synthetic", 0, "test")
            size = model.record.config["settings"]["image_size"]
            for entry, probability in zip(atlas.entries, predict(network, test, range(len(test)), size), strict=True):
                # Rounded to the nearest of 256 levels before it was enlarged.
                assert np.abs(entry.values(place) / 255 - probability).max() < 0.5 / 255 + 1e-5

    def test_scores_at_one_half_are_those_of_the_run_file(self, atlas: Atlas) -> None:
        for model in atlas.models:
            assert model.test_iou[49] == pytest.approx(model.record.metrics["pooled"]["iou"], abs=0.005)

    def test_choices_are_of_the_validation_part(self, atlas: Atlas) -> None:
        val = open_dataset("synthetic", 0, "val")
        for model in atlas.models:
            network, size = load_predictor(model.record), model.record.config["settings"]["image_size"]
            assert (model.threshold, model.val_iou) == best_threshold(network, val, size)
            values = [255.0 * one.astype(np.float64) for one in predict(network, val, range(len(val)), size)]
            facts = [describe(sample, "synthetic") for sample in val]
            own = Limits.of(
                facts, [judge(sample, one, model.threshold) for sample, one in zip(val, values, strict=True)]
            )
            assert replace(model.limits, iou=own.iou) == own
            assert model.limits.iou == pytest.approx(own.iou, abs=0.02)
            found = reliability((sample.mask, one) for sample, one in zip(val, values, strict=True))
            assert model.calibration["validation"].error == pytest.approx(found.error, abs=0.002)

    def test_best_on_test(self, atlas: Atlas) -> None:
        for place, model in enumerate(atlas.models):

            def pooled(threshold: float, place: int = place) -> float:
                counts = (
                    Confusion.of(entry.values(place) > 255 * threshold, entry.sample.mask) for entry in atlas.entries
                )
                return sum(counts, Confusion()).scores()["iou"]

            best = max(range(1, 100), key=lambda step: pooled(step / 100))
            assert model.best_on_test == best / 100
            assert model.test_iou[best - 1] == pooled(best / 100)

    def test_no_look_is_noted(self, runs: list[Run], project: Path) -> None:
        before = read_looks("synthetic", project)
        make_atlas(runs)
        assert read_looks("synthetic", project) == before

    def test_refuses_other_images(self, runs: list[Run], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("scgcnet.data.data_sha256", lambda name: "f" * 64)
        with pytest.raises(StoreError, match=f"{runs[0].run_id} was scored on other images"):
            make_atlas(runs)


def test_the_chapter_of_a_run_of_ones_own(runs: list[Run], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(REPOSITORY / "book" / "explorer", project / "book" / "explorer")
    shutil.copy(REPOSITORY / "book" / "atlas.ipynb", project / "book")
    run_id = runs[1].run_id
    assert cli.main(["study", "chapter", "atlas", "-p", "run", run_id, "-p", "compare", "none"]) == 0
    executed = Path(capsys.readouterr().out.strip())
    assert executed == project / "build" / "by-hand" / "atlas.ipynb"
    assert f'href=\\"explorer/{run_id}/index.html\\"' in executed.read_text()
    assert (project / "build" / "explorer" / run_id / "data" / "case-000.js").is_file()
