"""A study of eight stored runs, as frames, and tables compared with the CSV files in expected/."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from scgcnet.study import load_plan
from scgcnet.study.results import Record, frame

REPOSITORY = Path(__file__).resolve().parents[2]
EXPECTED = Path(__file__).parent / "expected"


@pytest.fixture(scope="session")
def plan():
    """The study's own."""
    return load_plan(REPOSITORY / "study.yml")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A checkout without results as the current folder."""
    shutil.copy(REPOSITORY / "study.yml", tmp_path)
    shutil.copytree(REPOSITORY / "results" / "paper", tmp_path / "results" / "paper")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    return tmp_path


def make_record(run, score=0.6, kind="real", n=154, **fields):
    """The record of a finished run: `score` is its IoU at input size; every other score lies above or below it."""
    names = ("iou", "f1", "precision", "recall", "oa")
    scores, pooled, per_image = (
        {name: score - shift + place / 20 for place, name in enumerate(names)} for shift in (0, 0.1, 0.2)
    )
    given = {
        **{
            key: getattr(run, key)
            for key in ("run_id", "dataset", "split", "model", "size", "profile", "seed", "config")
        },
        "data_kind": kind,
        "train_datasets": run.config["train_datasets"],
        "split_sha256": "0" * 64,
        "data_sha256": "0" * 64,
        "protocol": 1,
        "flags": dict(run.overrides),
        "params": 1_175_197,
        "gmac": 0.08,
        "history": [{"epoch": 0, "loss": 0.5, "val_iou": score, "val_f1": score}],
        "best_epoch": 0,
        **dict.fromkeys(("git_sha", "dirty", "lock_sha256")),
        "device": "a processor, 2 cores",
        "wall_s": 360.0,
        "finished_utc": "2026-01-02T03:04:05Z",
        "versions": {"python": "3.11.0"},
        "metrics": {
            "resized": scores,
            "pooled": pooled,
            "per_image": {**per_image, "n": n},
            "confusion": {"tp": 1, "fp": 1, "fn": 1, "tn": 1},
        },
        "test_looks": 1,
        "prediction": {"views": 8, "threshold": 0.4, "val_iou": score} if run.prediction else {},
    }
    return Record.model_validate({**given, **fields})


@pytest.fixture(name="make_record")
def _make_record():
    return make_record


@pytest.fixture(scope="session")
def stored(plan):
    """SCGC-Net on Bijie: 60, 62, 64 % by seed on split 0, 66 and 69 % on splits 1 and 2; 74 and 75 % over views
    (SCGC-Net, ICNet); 45 % on 8 images of CLD."""
    usual = plan.profile("cpu").settings
    ious = {(0, 0): 0.60, (0, 1): 0.62, (0, 2): 0.64, (1, 0): 0.66, (2, 0): 0.69}
    own = [
        make_record(run, ious[run.split, run.seed])
        for run in plan.select("cpu")
        if (run.dataset, run.model, run.settings, run.unaltered) == ("bijie", "scgcnet", usual, True)
        and (run.split, run.seed) in ious
    ]
    views = [make_record(run, 0.74 if run.model == "scgcnet" else 0.75) for run in plan.runs if run.prediction]
    cld = next(run for run in plan.select("cpu") if run.dataset == "cld")
    return frame([*own, *views, make_record(cld, 0.45, n=8)])


@pytest.fixture
def expect():
    """Compares a table with expected/NAME.csv, cell by cell as text."""

    def check(table, name):
        wanted = pd.read_csv(EXPECTED / f"{name}.csv", dtype=str, keep_default_na=False)
        pd.testing.assert_frame_equal(table.frame.astype(str).reset_index(drop=True), wanted, check_dtype=False)

    return check
