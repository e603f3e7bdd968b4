"""The runs that the atlas shows, its page, and its tables counted again from its entries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_atlas import fake_atlas
from scgcnet.study.ledger import StoreError
from scgcnet.study.looks import read_looks
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import find

from scgcnet import cli, zoo
from scgcnet.chapters import failures
from scgcnet.chapters.failures import (
    PageLink,
    atlas_note,
    calibration_table,
    cause_table,
    free_table,
    limit_table,
    load_atlas,
    paper_note,
    pick_runs,
    rule_table,
    threshold_table,
    write_page,
)
from scgcnet.data import open_dataset, write_fake
from scgcnet.explain.atlas import Atlas
from scgcnet.explain.explorer import PAGE
from scgcnet.explain.failures import CAUSES, TITLES, calibration_error
from scgcnet.study.plan import PlanError, Run
from scgcnet.study.runner import WEIGHTS_FOLDER, run

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return fake_atlas()


def sorted_out(atlas: Atlas, met: list[bool], failed: list[bool]) -> Atlas:
    """The same with images of which these are built-up, by the proxy, and these fail."""
    entries = [
        replace(
            atlas.entries[0],
            facts=replace(atlas.entries[0].facts, edge_density=1.0 if built else 0.0),
            causes=(("built",) if fails and built else ("other",) if fails else (),) * 2,
        )
        for built, fails in zip(met, failed, strict=True)
    ]
    return replace(atlas, entries=tuple(entries))


def test_causes_are_counted(atlas: Atlas) -> None:
    made = sorted_out(atlas, [True] * 6 + [False] * 4, [True] * 3 + [False] * 3 + [True] + [False] * 3)
    frame = cause_table(made).frame.set_index("Kind")
    assert list(frame.index) == list(TITLES.values())
    assert frame.loc[TITLES["built"]].to_list() == [3, "3 of 6 (50 %)", "1 of 4"] * 2
    assert frame.loc[TITLES["other"]].to_list() == [1, "-", "-"] * 2
    assert frame.loc[TITLES["bare"]].to_list() == [0, "-", "-"] * 2
    assert frame.columns[0] == "net 0: of 4 failures"


def test_paper_note(atlas: Atlas) -> None:
    made = sorted_out(atlas, [True] * 6 + [False] * 10, [True] * 6 + [False] * 10)
    text = paper_note(made).text
    assert "Large slide cut by the frame: 0 of 16 images meet the condition, so there is no comparison." in text
    assert "6 of 6 (100 %) fail, of the others 0 of 10 (0 %) (Fisher's exact test: p < 0.01)" in text
    by_chance = sorted_out(atlas, [True] * 6 + [False] * 10, [True] * 3 + [False] * 3 + [True] * 5 + [False] * 5)
    assert (
        "3 of 6 (50 %) fail, of the others 5 of 10 (50 %) (Fisher's exact test: p = 1.00)" in paper_note(by_chance).text
    )
    assert "synthetic images" in paper_note(made).title
    assert "made up, split 0" in paper_note(replace(made, kind="real")).title


def test_every_rule_has_a_row() -> None:
    assert rule_table().frame["Kind"].to_list() == [cause.title for cause in CAUSES.values()]


def test_limits(atlas: Atlas) -> None:
    row = limit_table(atlas).frame.iloc[0].to_list()
    assert row == ["net 0", "made up", "60.0 %", "20.0 %", "150 px", "5.0 %", "0.50", "0.100"]


def test_thresholds(atlas: Atlas) -> None:
    frame = threshold_table(atlas).frame
    model = atlas.models[1]
    assert frame["At 0.50"].to_list() == [f"{100 * one.test_iou[49]:.2f}" for one in atlas.models]
    assert frame["At 0.50, run file"].to_list() == ["50.00"] * 2
    assert frame["Best on validation"][1] == f"{100 * model.test_iou[39]:.2f} at 0.40"
    best = frame["Best on test: not a reportable score"][1]
    assert best == f"{100 * model.test_iou.max():.2f} at {model.best_on_test:.2f}"


def test_calibration(atlas: Atlas) -> None:
    frame = calibration_table(atlas).frame
    assert frame["Calibration error, test"][0] == f"{100 * calibration_error(atlas.models[0].calibration['test']):.2f}"
    fine = [entry.predictions[0].entropy for entry in atlas.entries if not entry.causes[0]]
    failed = [entry.predictions[0].entropy for entry in atlas.entries if entry.causes[0]]
    assert frame["Entropy of failures, bit"][0] == f"{sum(failed) / len(failed):.3f}"
    assert frame["Entropy of the others, bit"][0] == (f"{sum(fine) / len(fine):.3f}" if fine else "-")


def test_alarms_where_there_is_nothing(atlas: Atlas) -> None:
    (entry,) = atlas.free
    row = free_table(atlas).frame.iloc[0]
    assert row["Images with an alarm"] == f"{int(entry.predictions[0].fp > 0)} of 1"
    assert row["Falsely called"] == f"{100 * entry.predictions[0].fp / 48**2:.2f} %"
    none = free_table(replace(atlas, free=())).frame.iloc[0]
    assert none.to_list() == ["net 0", "no such images", "-", "-"]


def test_note(atlas: Atlas) -> None:
    made_up, real = atlas_note(atlas), atlas_note(replace(atlas, kind="real"))
    assert made_up.kind == "warning" and "mean nothing" in made_up.text
    assert real.kind == "note" and "5 test images of made up, split 0; runs: fake-0 and fake-1" in real.text


def test_link() -> None:
    link = PageLink(Path("/some/where/build/explorer/a_b/index.html"))
    assert repr(link) == "Page: build/explorer/a_b/index.html"
    assert 'href="explorer/a_b/index.html"' in link._repr_html_()
    assert "/some/where" not in link._repr_html_()


@pytest.mark.parametrize(("n", "shown"), [(1, 1), (3, 3), (5, 5), (6, 6), (200, 6)])
def test_cases_of_the_page(atlas: Atlas, tmp_path: Path, n: int, shown: int) -> None:
    (tmp_path / PAGE).parent.mkdir()
    (tmp_path / PAGE).symlink_to(REPOSITORY / PAGE)
    text = (write_page(atlas, n, tmp_path).file.parent / "data" / "index.js").read_text()
    cases = json.loads(text.removeprefix("window.ATLAS = ").rstrip(";\n"))["cases"]
    assert len(cases) == shown
    assert sum(case["dataset"] == "made up" for case in cases) == min(n, 5)
    worst = min(atlas.entries, key=lambda entry: entry.predictions[0].iou)
    assert worst.facts.name in {case["name"] for case in cases}


@pytest.mark.parametrize("n", [0, 201])
def test_number_of_cases_out_of_range(atlas: Atlas, n: int) -> None:
    with pytest.raises(ValueError, match=f"n_cases is {n}: the page holds 1 to 200"):
        write_page(atlas, n)


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


@pytest.mark.slow
class TestRunsOfAFreshClone:
    """Trained in seconds on synthetic images."""

    def test_picked_by_default_or_by_name(self, runs: list[Run]) -> None:
        assert [(one.dataset, one.model, one.profile) for one in runs] == [
            ("synthetic", "scgcnet", "smoke"),
            ("synthetic", "unet", "smoke"),
        ]
        assert pick_runs(load_plan(), compare="none") == runs[:1]
        assert pick_runs(load_plan(), runs[1].run_id, runs[0].run_id) == runs[::-1]

    def test_unknown_unstored_and_unlike_runs_are_refused(self, runs: list[Run], project: Path) -> None:
        plan = load_plan()
        with pytest.raises(PlanError, match=r"no run in study\.yml with an id like 'gone'"):
            pick_runs(plan, "gone")
        missing = next(one.run_id for one in plan.runs if one.profile == "cpu")
        with pytest.raises(StoreError, match=f"{missing} is not stored: scgcnet study run {missing}"):
            pick_runs(plan, compare=missing)
        other = next(one for one in plan.runs if one.profile == "smoke" and one.increment is not None)
        run(other, progress=False)
        with pytest.raises(StoreError, match="are not tested on the same images"):
            pick_runs(plan, compare=other.run_id)
        weights = project / WEIGHTS_FOLDER / f"{runs[1].run_id}.safetensors"
        hidden = weights.rename(weights.with_suffix(".hidden"))
        try:
            with pytest.raises(StoreError, match=f"weights of {runs[1].run_id} are missing: .* --force"):
                pick_runs(plan, runs[1].run_id)
        finally:
            hidden.rename(weights)

    def test_their_atlas(self, runs: list[Run], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = read_looks("synthetic", project)
        atlas = load_atlas(load_plan())
        assert read_looks("synthetic", project) == before  # pictures are no look at the test part
        names = list(open_dataset("synthetic", 0, "test").names)
        assert [entry.facts.name for entry in atlas.entries] == names and atlas.free == ()
        for model in atlas.models:
            assert model.test_iou[49] == pytest.approx(model.run.pooled_iou, abs=0.005)
        monkeypatch.setattr("scgcnet.data.data_sha256", lambda name: "f" * 64)
        with pytest.raises(StoreError, match=f"{runs[0].run_id} was scored on other images"):
            load_atlas(load_plan())

    def test_chapter_of_one_run(self, runs: list[Run], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shutil.copytree(REPOSITORY / "book" / "explorer", project / "book" / "explorer")
        shutil.copy(REPOSITORY / "book" / "atlas.ipynb", project / "book")
        run_id = runs[1].run_id
        assert cli.main(["study", "chapter", "atlas", "-p", "run", run_id, "-p", "compare", "none"]) == 0
        executed = Path(capsys.readouterr().out.strip())
        assert f'href=\\"explorer/{run_id}/index.html\\"' in executed.read_text()
        assert (project / "build" / "explorer" / run_id / "data" / "case-000.js").is_file()


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The weights and run files of the repository, and generated images in the place of Bijie's."""
    shutil.copy(REPOSITORY / "study.yml", tmp_path)
    shutil.copytree(REPOSITORY / "results", tmp_path / "results")
    write_fake("bijie", tmp_path / "data", n=20)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "data"))
    return tmp_path


def test_published_weights_come_first_if_the_images_are_theirs(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the best on validation of another network with weights, on the same split."""
    monkeypatch.setattr(
        failures, "_trained_now", lambda plan, model: plan.make_run("synthetic", model, "tiny", "smoke")
    )
    plan = load_plan()
    (first,) = pick_runs(plan, compare="none")
    assert first.dataset == "synthetic"  # the generated images are not taken for real
    run_id = zoo.read_metadata(checkout / "results" / "weights" / "tiny-bijie.safetensors")["run_id"]
    record = find(run_id, "real", checkout)
    monkeypatch.setattr("scgcnet.data.data_sha256", lambda name: record.data_sha256)
    assert [one.run_id for one in pick_runs(plan)] == [run_id]
    assert pick_runs(plan, compare="none", profile="smoke")[0].dataset == "synthetic"
    able = {
        one.run_id: stored
        for one in plan.runs
        if one.dataset == "bijie" and one.model in ("icnet", "hrnet", "pidnet") and one.split == 0
        if (stored := find(one.run_id, "real", checkout))
    }
    best = max(able.values(), key=lambda one: one.val_iou)
    monkeypatch.setattr(failures, "weights_for", lambda record: record.run_id in {*able, run_id} or None)
    assert [one.run_id for one in pick_runs(plan)] == [run_id, best.run_id]
