"""The committed results: they parse, belong together, and every look at a test part is noted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from scgcnet import zoo
from scgcnet.data.splits import committed_split, read_split, split_hash
from scgcnet.study import results
from scgcnet.study.networks import chosen_runs
from scgcnet.study.plan import load_plan

REPOSITORY = Path(__file__).resolve().parents[1]
PLAN = load_plan(REPOSITORY / "study.yml")
RUNS, TRIALS = results.runs(), results.trials()


# Run while files of `scene` and `export` were edited and not committed yet; nothing that trains was among them.
TO_BE_RUN_AGAIN = {
    "amunet-scgcnet-lite0-windows-s0-3cd751f3c5",
    "bijie-scgcnet-lite0-windows-s0-5f843b26ab",
    "bijie-scgcnet-lite0-windows-s0-ddd2c6fc75",
}


def test_runs_are_real_and_under_their_committed_splits() -> None:
    assert (RUNS.data_kind == "real").all() and (RUNS.protocol >= 1).all()
    bijie = RUNS[(RUNS.trained_on == "bijie") & (RUNS.dataset == "bijie")]
    for split, runs in bijie.groupby("split"):
        assert set(runs.split_sha256) == {split_hash(read_split(committed_split("bijie", str(split))))}
    planned = {run.run_id for run in PLAN.runs}
    dirty = set(RUNS[RUNS.run_id.isin(planned) & RUNS.dirty].run_id)
    assert dirty <= TO_BE_RUN_AGAIN


def test_runs_on_the_same_data_saw_the_same_images() -> None:
    key = RUNS.dataset + "<" + RUNS.trained_on
    assert (RUNS.groupby(key).data_sha256.nunique() == 1).all()


def test_every_look_at_a_test_part_is_noted() -> None:
    looks = results.looks().groupby(["run_id", "dataset"]).size()
    counted = pd.Series({row.run_id: looks.get((row.run_id, row.dataset), 0) for row in RUNS.itertuples()})
    assert (counted >= RUNS.test_looks).all()


def test_counts_by_image_add_up_to_their_run() -> None:
    images = results.images(RUNS)
    sums = images.groupby("run_id")[["native_tp", "native_fp", "native_fn", "native_tn", "tp", "fp", "fn"]].sum()
    assert len(sums) == len(list((REPOSITORY / "results" / "details").glob("*.json")))
    for run_id, row in sums.iterrows():
        metrics = next(record for record in results.records() if record.run_id == run_id).metrics
        assert metrics is not None
        assert tuple(row.iloc[:4]) == tuple(metrics.confusion.model_dump().values()), run_id
        assert abs(row.tp / (row.tp + row.fp + row.fn) - metrics.resized["iou"]) < 1e-9, run_id


def test_every_network_takes_the_rate_that_won_its_trials() -> None:
    chosen = chosen_runs(PLAN, TRIALS, "bijie", "cpu")
    assert len(chosen) == 18
    for model, run in chosen.items():
        tried = TRIALS[(TRIALS.model == model) & TRIALS.run_id.isin([trial.run_id for trial in PLAN.trials])]
        assert len(tried) == 4 and tried.lr[tried.val_iou.idxmax()] == run.settings["lr"], model
        assert run.run_id in RUNS.index


def test_published_weights_belong_to_a_run() -> None:
    for name in zoo.pretrained_names():
        stamp = zoo.read_metadata(zoo.pretrained_file(name))
        assert RUNS.finished_utc[stamp["run_id"]] == stamp["finished_utc"], name
        assert 0 < float(stamp["threshold"]) < 1
