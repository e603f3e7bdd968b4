"""A project folder with the real study.yml, and records as a finished run leaves them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scgcnet.study.plan import Run
from scgcnet.study.results import Record

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own as the current folder: study.yml and the paper's tables, nothing run."""
    shutil.copy(REPOSITORY / "study.yml", tmp_path)
    shutil.copytree(REPOSITORY / "results" / "paper", tmp_path / "results" / "paper")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Builds the record of a run with one IoU in all ways of counting; the errors are false alarms to one third."""

    def make(run: Run, iou: float = 0.6, n: int = 154, **fields: object) -> Record:
        tp, fp, fn, tn = round(1e6 * iou), round(1e6 * (1 - iou) / 3), round(2e6 * (1 - iou) / 3), 9 * 10**6
        scores = {
            "precision": tp / (tp + fp),
            "recall": tp / (tp + fn),
            "f1": 2 * iou / (1 + iou),
            "iou": iou,
            "oa": (tp + tn) / 10**7,
        }
        metrics = {
            "pooled": scores,
            "resized": scores,
            "per_image": {**scores, "n": n},
            "confusion": {"tp": tp, "fp": fp, "fn": fn, "tn": tn},
        }
        made = {
            "run_id": run.run_id, "dataset": run.dataset, "data_kind": "real", "protocol": 1, "model": run.model,
            "train_datasets": run.config["train_datasets"], "split": run.split, "size": run.size, "seed": run.seed,
            "split_sha256": "0" * 64, "data_sha256": "0" * 64, "flags": run.config["overrides"], "config": run.config,
            "params": 1_175_197, "gmac": 0.08, "profile": run.profile, "claims": list(run.claims), "metrics": metrics,
            "history": [{"epoch": 0, "val_iou": iou, "val_f1": iou}], "best_epoch": 0, "device": "a processor",
            "git_sha": None, "dirty": None, "lock_sha256": None, "wall_s": 360.0, "versions": {},
            "finished_utc": "2026-01-02T03:04:05Z",
        }  # fmt: skip
        return Record.model_validate({**made, **fields})

    return make
