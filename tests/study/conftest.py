"""A project folder with the real study.yml, and records as a finished run leaves them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scgcnet.metrics import Confusion
from scgcnet.study import results
from scgcnet.study.plan import Plan, load_plan
from scgcnet.study.results import Details, ImageCounts, Record
from scgcnet.study.runs import Run

REPOSITORY = Path(__file__).resolve().parents[2]
HASH = "0" * 64


@pytest.fixture(scope="session")
def plan() -> Plan:
    return load_plan(REPOSITORY / "study.yml")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own as the current folder: study.yml and the paper's tables, nothing run."""
    shutil.copy(REPOSITORY / "study.yml", tmp_path)
    shutil.copytree(REPOSITORY / "results" / "paper", tmp_path / "results" / "paper")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    return tmp_path


@pytest.fixture
def store(project: Path) -> Callable[..., Record]:
    """Stores the record of a run whose test images have the given counts (tp, fp, fn, tn) at both sizes."""

    def make(run: Run, images: Sequence[tuple[int, int, int, int]], counted: bool = True, **fields: Any) -> Record:
        total = sum((Confusion(*counts) for counts in images), Confusion())
        scores = total.scores()
        values: dict[str, Any] = {
            "run_id": run.run_id, "dataset": run.dataset, "data_kind": "real", "model": run.model, "size": run.size,
            "train_datasets": run.config["train_datasets"], "split": run.split, "split_sha256": HASH,
            "data_sha256": HASH, "protocol": 1, "flags": dict(run.overrides), "params": 1_175_197, "gmac": 0.08,
            "profile": run.profile, "seed": run.seed, "config": run.config, "best_epoch": 0,
            "history": [{"epoch": 0, "loss": 0.5, "val_iou": scores["iou"], "val_f1": scores["f1"]}],
            "git_sha": None, "dirty": None, "lock_sha256": None, "device": "a processor", "wall_s": 360.0,
            "finished_utc": "2026-01-02T03:04:05Z", "versions": {"python": "3.11.0"}, "test_looks": 1,
            "metrics": {"pooled": scores, "resized": scores, "per_image": {**scores, "n": len(images)},
                        "confusion": {"tp": total.tp, "fp": total.fp, "fn": total.fn, "tn": total.tn}},
        }  # fmt: skip
        record = Record.model_validate({**values, **fields})
        rows = [
            ImageCounts(name=f"image {n}", group=f"image {n // 2}", site="", resolution=None, native=one, resized=one,
                        components=[(one[0] + one[2], one[0])], alarms=[one[1]], boundary=[(1, 2)] * 3)
            for n, one in enumerate(images)
        ]  # fmt: skip
        kept = {key: getattr(record, key) for key in ("run_id", "finished_utc", "data_kind")}
        results.write(record, Details(**kept, widths=[2, 4, 8], images=rows, free=[]) if counted else None)
        return record

    return make


@pytest.fixture
def ours(plan: Plan) -> list[Run]:
    """The planned cpu runs of our network on Bijie with the profile's own settings: three seeds on split 0 first."""
    settings = plan.profile("cpu").settings
    return [
        run
        for run in plan.select("cpu")
        if (run.dataset, run.model) == ("bijie", "scgcnet")
        and run.unaltered
        and run.settings == settings
        and isinstance(run.split, int)
    ]
