"""The steps towards the published weights: which runs they are, and what is made of their maps."""

import pytest

from scgcnet import plots
from scgcnet.chapters import weights
from scgcnet.scene.score import BINS
from scgcnet.study.results import frame

TARGETS = ["bijie", "landslide4sense", "cld", "amunet", "sichuan"]


def counts(landslide, other, quiet=0, alarmed=0):
    """Pixels by bin, given for some bins."""
    filled = [[found.get(place, 0) for place in range(BINS)] for found in (landslide, other)]
    return {"images": 4, "quiet": quiet, "landslide": filled[0], "other": filled[1], "alarmed": [alarmed] * (BINS - 1)}


@pytest.fixture
def mapped(make_record):
    """A run's record whose maps need a threshold of 0.6 on the sources seen, and score `iou` percent at it unseen."""

    def make(run, iou):
        seen = {"val": {"outlines": counts({15: 100}, {11: 50, 1: 50})}}
        quiet = {"val": {"outlines": counts({}, {1: 100}, quiet=4, alarmed=1)}}
        unseen = {
            "outlines": counts({15: iou, 8: 100 - iou}, {11: 100, 1: 10}),
            "0.5": counts({15: 90, 8: 10}, {1: 10}),
        }
        maps = {name: quiet if name in ("bijie_negatives", "landslide_free") else seen for name in run.train}
        return make_record(run, maps=maps | {run.dataset: {"all": unseen}})

    return make


def test_every_step_leaves_each_source_out(plan):
    found = weights.steps(plan, frame([]))
    assert {step: list(rows.target) for step, rows in found.groupby("step", sort=False)} == {
        "Lite0 as trunk, to stride 32": TARGETS,
        "as above, but Bijie's landslide-free images seen": ["bijie"],
        "Lite0 as trunk, to stride 32, no focal loss": ["amunet"],
        "rival: feature pyramid on Lite0": TARGETS,
        "Lite0 as trunk, to stride 8": TARGETS,
        "windows, taught by fpn_lite0": TARGETS,
        "windows": TARGETS,
        "windows, no quiet ground": TARGETS,
        "pictures, whole": TARGETS,
    }
    assert found.iou.isna().all() and plots.step_dots(weights.dots(found)).axes


def test_scores_at_the_threshold_of_the_other_sources(plan, mapped):
    runs = {run.run_id: run for run in plan.select("windows")}
    planned = weights.steps(plan, frame([]))
    ids = planned[planned.step == "Lite0 as trunk, to stride 32"].run_id
    stored = frame([mapped(runs[run_id], 50 + 10 * number) for number, run_id in enumerate(ids)])
    found = weights.steps(plan, stored).dropna(subset="iou")
    assert found.iou.tolist() == [50, 60, 70, 80, 90]
    assert found.threshold.tolist() == [0.6] * 5
    assert (found.best == 100).all() and (found.alarms == 25).all()
    table = weights.steps_table(weights.steps(plan, stored)).frame
    assert [str(value) for value in table.iloc[0]] == [
        "Lite0 as trunk, to stride 32", "50.0", "60.0", "70.0", "80.0", "90.0", "70.0", "100.0", "25",
    ]  # fmt: skip
    assert len(table) == 1  # steps without a run are counted in the caption alone
    assert weights.steps_table(weights.steps(plan, frame([]))).frame.iloc[0, 0] == "not run"
    assert weights.dots(found) == {
        "Lite0 as trunk, to stride 32": {
            "Bijie": 50, "Landslide4Sense": 60, "CLD": 70, "AMU-Net": 80, "Sichuan": 90,
        }
    }  # fmt: skip
    with pytest.raises(ValueError, match="synthetic"):
        weights.steps(plan, frame([mapped(runs[ids.iloc[0]], 50).model_copy(update={"data_kind": "synthetic"})]))


def test_maps_of_the_sources_trained_on(plan, mapped):
    run = next(run for run in plan.select("windows") if run.size == "lite0" and run.dataset == "cld")
    stored = frame([mapped(run, 50)])
    maps = {name: parts for name, parts in stored.maps.iloc[0].items() if "val" in parts}
    stored.at[run.run_id, "maps"] = maps
    table = weights.maps_table(stored, run.run_id, {}).frame.set_index("Source")
    assert table.loc["Bijie"].tolist() == ["val", 4, "100.0", "100.0", "100.0", "-"]
    assert table.loc["AID and NWPU, landslide-free", "False alarms"] == "25 % of images, 0.00 % of the ground"
    assert weights.maps_table(stored, "gone", {}).frame.to_numpy().tolist() == [["not run"]]


def test_windows_of_synthetic_images_where_nothing_else_is(tmp_path, monkeypatch):
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))
    shown = weights.sample_windows(size=64, number=4)
    assert [(image.shape, mask.shape, source) for image, mask, source in shown] == [
        ((64, 64, 3), (64, 64), "synthetic")
    ] * 4
    assert len(plots.window_grid(shown).axes) == 8
