"""Stored records: written, read back as frames, and refused if they are broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scgcnet import files, zoo
from scgcnet.cli import main
from scgcnet.data import open_dataset
from scgcnet.study import results
from scgcnet.study.results import Record, ResultError
from scgcnet.study.runs import Run

IMAGES = [(8, 1, 1, 90), (5, 0, 5, 90)]


def test_a_record_comes_back_as_a_row_and_its_images(store: Callable[..., Record], ours: list[Run]) -> None:
    record = store(ours[0], IMAGES)
    assert results.find(record.run_id, "real") == record and results.find(record.run_id, "synthetic") is None
    row = results.runs().loc[record.run_id]
    assert (row.dataset, row.split, row.trained_on, row.lr, row.views, row.n_test) == (
        "bijie",
        "0",
        "bijie",
        0.002,
        1,
        2,
    )
    assert row.resized_iou == pytest.approx(65.0) == row.val_iou
    assert row.file == f"results/runs/{record.run_id}.json"
    images = results.images(results.runs())
    assert images[["tp", "fp", "fn", "tn"]].to_numpy().tolist() == [list(one) for one in IMAGES]
    assert images.native_tp.tolist() == [8, 5] and images.group.tolist() == ["image 0", "image 0"]
    assert results.runs("synthetic").empty and results.free_images(results.runs()).empty


def test_nothing_stored_gives_empty_frames_with_columns(project: Path) -> None:
    for frame in (results.runs(), results.trials()):
        assert frame.empty and {"model", "configuration", "resized_iou", "file"} <= set(frame.columns)
    assert results.images(results.runs()).empty and results.looks().empty


def test_counts_of_an_earlier_training_do_not_belong(store: Callable[..., Record], ours: list[Run]) -> None:
    store(ours[0], IMAGES)
    store(ours[0], IMAGES, counted=False, finished_utc="2026-02-02T00:00:00Z")
    assert results.images(results.runs()).empty


def test_a_trial_is_a_record_without_metrics(store: Callable[..., Record], ours: list[Run]) -> None:
    trial = store(ours[0], IMAGES, counted=False, metrics=None)
    assert trial.file.startswith("results/trials/")
    assert results.trials().val_iou.tolist() == pytest.approx([65.0])
    assert results.runs().empty


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "one"}, "seed: Input should be a valid integer"),
        ({"wall_s": -1}, "wall_s"),
        ({"extra": 1}, "extra: Extra inputs"),
        ({"run_id": "bijie-other"}, "its configuration is that of bijie-scgcnet"),
        (None, "Invalid JSON"),
    ],
)
def test_a_broken_record_is_named_with_a_remedy(
    store: Callable[..., Record], ours: list[Run], project: Path, change: dict[str, object] | None, message: str
) -> None:
    path = project / store(ours[0], IMAGES).file
    path.write_text("{" if change is None else json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ResultError, match=message) as error:
        results.find(path.stem, "real")
    assert str(path) in str(error.value) and "take the file back from git" in str(error.value)


def test_looks_are_appended_and_counted(project: Path) -> None:
    assert results.add_look("2026-01-01T00:00:00Z", "bijie", 0, "a", "real") == 1
    assert results.add_look("2026-01-02T00:00:00Z", "bijie", "random-0", "a", "real") == 2
    assert results.add_look("2026-01-02T00:00:00Z", "cld", 0, "a", "real") == 1
    assert results.looks().split.tolist() == ["0", "random-0", "0"] and results.looks("synthetic").empty
    (project / "build" / "looks.csv").mkdir(parents=True)
    with pytest.raises(files.WriteError, match=r"looks\.csv"):
        results.add_look("2026-01-01T00:00:00Z", "bijie", 0, "a", "synthetic")


def test_weights_belong_to_one_training(project: Path) -> None:
    network = zoo.create_model("scgcnet", "tiny")
    stamp = {"run_id": "a-run", "finished_utc": "2026-01-02T03:04:05Z"}
    assert results.weights_of("a-run", stamp["finished_utc"]) is None
    path = project / results.WEIGHTS / "a-run.safetensors"
    zoo.save_model(network, path, stamp)
    assert results.weights_of("a-run", stamp["finished_utc"]) == path
    assert results.weights_of("a-run", "1999-01-01T00:00:00Z") is None


def test_provenance_of_a_foreign_folder_has_no_commit(project: Path) -> None:
    made = results.provenance()
    assert (made["git_sha"], made["dirty"], made["lock_sha256"]) == (None, None, None)
    assert {"python", "torch", "numpy"} <= made["versions"].keys()


def test_facts_of_test_images_are_stored_by_data_set(project, capsys):
    assert results.facts("synthetic") is None
    assert main(["data", "facts", "synthetic"]) == 0
    stored = results.facts("synthetic")
    assert capsys.readouterr().out.strip().endswith("results/facts/synthetic.csv")
    assert list(stored.columns) == ["cut", "built"] and len(stored) == len(open_dataset("synthetic", 0, "test"))
    assert set(stored.to_numpy().ravel()) <= {0, 1} and stored.built.any()
