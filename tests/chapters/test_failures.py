"""The runs that the atlas shows, its page, and its tables counted again from its entries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fake_atlas import fake_atlas
from torch import nn

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
    rule_table,
    threshold_table,
    write_page,
)
from scgcnet.data import open_dataset, write_fake
from scgcnet.explain.atlas import Atlas
from scgcnet.explain.explorer import PAGE
from scgcnet.explain.failures import CAUSES, TITLES, calibration_error
from scgcnet.study import results
from scgcnet.study.plan import Plan
from scgcnet.study.results import ResultError
from scgcnet.study.runner import run
from scgcnet.study.runs import PlanError, Run

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
    assert "drawn, split 0" in paper_note(replace(made, kind="real")).title


def test_every_rule_has_a_row() -> None:
    assert rule_table().frame["Kind"].to_list() == [cause.title for cause in CAUSES.values()]


def test_limits(atlas: Atlas) -> None:
    row = limit_table(atlas).frame.iloc[0].to_list()
    assert row == ["net 0", "drawn", "60.0 %", "20.0 %", "150 px", "5.0 %", "0.50", "0.100"]


def test_thresholds(atlas: Atlas) -> None:
    frame = threshold_table(atlas).frame
    model = atlas.models[1]
    assert frame["At 0.50"].to_list() == [f"{100 * one.test_iou[49]:.1f}" for one in atlas.models]
    assert frame["At 0.50, run file"].to_list() == ["50.0"] * 2
    assert frame["Best on validation"][1] == f"{100 * model.test_iou[39]:.1f} at 0.40"
    best = frame["Best on test: not a reportable score"][1]
    assert best == f"{100 * model.test_iou.max():.1f} at {model.best_on_test:.2f}"


def test_calibration(atlas: Atlas) -> None:
    frame = calibration_table(atlas).frame
    assert frame["Calibration error, test"][0] == f"{100 * calibration_error(atlas.models[0].calibration['test']):.1f}"
    fine = [entry.predictions[0].entropy for entry in atlas.entries if not entry.causes[0]]
    failed = [entry.predictions[0].entropy for entry in atlas.entries if entry.causes[0]]
    assert frame["Entropy of failures, bit"][0] == f"{sum(failed) / len(failed):.3f}"
    assert frame["Entropy of the others, bit"][0] == (f"{sum(fine) / len(fine):.3f}" if fine else "-")


def test_alarms_where_there_is_nothing(atlas: Atlas) -> None:
    (entry,) = atlas.free
    row = free_table(atlas).frame.iloc[0]
    assert row["Images with an alarm"] == f"{int(entry.predictions[0].fp > 0)} of 1"
    assert row["Falsely called"] == f"{100 * entry.predictions[0].fp / 48**2:.2f} %"
    assert free_table(replace(atlas, free=())).title == "No such images"


def test_note(atlas: Atlas) -> None:
    made_up, real = atlas_note(atlas), atlas_note(replace(atlas, kind="real"))
    assert made_up.kind == "warning" and "shown synthetic images" in made_up.text
    assert real.kind == "note" and "5 test images of drawn, split 0; runs: fake-0 and fake-1" in real.text


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
    assert sum(case["dataset"] == "drawn" for case in cases) == min(n, 5)
    worst = min(atlas.entries, key=lambda entry: entry.predictions[0].iou)
    assert worst.facts.name in {case["name"] for case in cases}


@pytest.mark.parametrize("n", [0, 201])
def test_number_of_cases_out_of_range(atlas: Atlas, n: int) -> None:
    with pytest.raises(ValueError, match=f"n_cases is {n}: the page holds 1 to 200"):
        write_page(atlas, n)


# Runs.


def test_without_real_images_published_weights_see_synthetic_ones(plan: Plan, project: Path) -> None:
    atlas = load_atlas(plan)
    assert [model.run.run_id for model in atlas.models] == zoo.pretrained_names()[:2]
    assert atlas.kind == "synthetic" and atlas.free == () and atlas.models[0].run.pooled_iou is None
    assert [entry.facts.name for entry in atlas.entries] == list(open_dataset("synthetic", 0, "test").names)
    assert threshold_table(atlas).frame["At 0.50, run file"].to_list() == ["not run"] * 2
    assert not (project / "build" / "weights").exists() and not (project / "build" / "results").exists()
    assert len(load_atlas(plan, compare="none").models) == 1


@pytest.fixture
def stored(project: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The study's records beside generated images in the place of Bijie's; ids of the runs with weights."""
    shutil.copytree(REPOSITORY / "results" / "runs", project / "results" / "runs")
    write_fake("bijie", project / "data", n=20)
    able = [zoo.read_metadata(zoo.pretrained_file("tiny-bijie"))["run_id"]]
    monkeypatch.setattr(results, "weights_of", lambda run_id, _: run_id if run_id in able else None)
    network = nn.Identity()
    monkeypatch.setattr(failures, "load_predictor", lambda run_id, *_: network if run_id in able else None)
    return able


def test_unknown_unstored_and_unlike_runs_are_refused(plan: Plan, stored: list[str]) -> None:
    with pytest.raises(PlanError, match=r"no run in study\.yml with an id like 'gone'"):
        load_atlas(plan, "gone")
    missing = next(one.run_id for one in plan.runs if results.find(one.run_id, "real") is None)
    with pytest.raises(ResultError, match=f"{missing} is not stored: scgcnet run {missing}"):
        load_atlas(plan, missing, "none")
    other = next(one for one in plan.runs if one.dataset == "cld" and results.find(one.run_id, "real"))
    with pytest.raises(ResultError, match=f"weights of {other.run_id} are missing: .* --force"):
        load_atlas(plan, other.run_id)
    with pytest.raises(ResultError, match="are not tested on the same images"):
        load_atlas(plan, stored[0], other.run_id)
    with pytest.raises(ResultError, match=f"{stored[0]} was scored on other images"):
        load_atlas(plan, stored[0], "none")


def test_published_weights_come_first_if_the_images_are_theirs(
    plan: Plan, stored: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the best on validation of another network with weights, on the same split."""
    monkeypatch.setattr(failures, "_load", lambda spec: spec.run_id)
    monkeypatch.setattr(failures, "_pretrained", lambda name, val: name)
    monkeypatch.setattr(failures, "make_atlas", lambda shown, *_: shown)
    (run_id,) = stored
    assert load_atlas(plan, compare="none") == ["lite0-multisource"]  # the generated images are not taken for real
    record = results.find(run_id, "real")
    assert record is not None
    monkeypatch.setattr(failures, "data_sha256", lambda name: record.data_sha256)
    assert load_atlas(plan) == [run_id]
    assert load_atlas(plan, compare="none", profile="smoke") == ["lite0-multisource"]
    made = results.runs()
    rivals = made[(made.dataset == "bijie") & (made.split == "0") & made.model.isin(["icnet", "hrnet", "pidnet"])]
    stored.extend(rivals.index)
    assert load_atlas(plan) == [run_id, rivals.val_iou.idxmax()]


@pytest.mark.slow
class TestTrainedRuns:
    """Two runs of the smoke profile, trained in seconds."""

    @pytest.fixture(scope="class")
    @classmethod
    def runs(cls, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Run]]:
        folder = tmp_path_factory.mktemp("project")
        shutil.copy(REPOSITORY / "study.yml", folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            patch.delenv("SCGCNET_DATA", raising=False)
            smoke = plan.select("smoke")
            chosen = [next(one for one in smoke if one.model == model) for model in ("scgcnet", "danet")]
            for one in chosen:
                run(one, progress=False)
            yield chosen

    def test_their_atlas(self, plan: Plan, runs: list[Run]) -> None:
        before = len(results.looks("synthetic"))
        atlas = load_atlas(plan, runs[0].run_id, runs[1].run_id)
        assert len(results.looks("synthetic")) == before  # pictures are no look at the test part
        assert [model.run.run_id for model in atlas.models] == [one.run_id for one in runs]
        for model in atlas.models:
            assert model.test_iou[49] == pytest.approx(model.run.pooled_iou, abs=0.005)

    def test_chapter_of_one_run(self, runs: list[Run], capsys: pytest.CaptureFixture[str]) -> None:
        shutil.copytree(REPOSITORY / "book" / "explorer", "book/explorer")
        shutil.copy(REPOSITORY / "book" / "atlas.ipynb", "book")
        run_id = runs[1].run_id
        assert cli.main(["chapter", "atlas", "-p", f"run={run_id}", "-p", "compare=none"]) == 0
        executed = Path(capsys.readouterr().out.strip())
        assert f'href=\\"explorer/{run_id}/index.html\\"' in executed.read_text()
        assert Path("build/explorer", run_id, "data", "case-000.js").is_file()
