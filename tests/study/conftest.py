"""A project folder with the real study.yml, and records as a finished run leaves them."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scgcnet.study.details import Details, FreeDetail, ImageDetail, save_details
from scgcnet.study.fingerprint import code_sha256
from scgcnet.study.plan import Run, at_home
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record
from scgcnet.train import Confusion

REPOSITORY = Path(__file__).resolve().parents[2]
HASH = "0" * 64


def ours(profile: str) -> list[Run]:
    """The planned runs of our own network as it is, with the profile's own settings, on Bijie's splits over images."""
    plan = load_plan(REPOSITORY / "study.yml")
    usual = ("bijie", "scgcnet", plan.profile(profile).settings, {}, None)
    return [
        run
        for run in plan.select(profile)
        if (run.dataset, run.model, run.settings, run.overrides, run.prediction) == usual
        and at_home(run.config)
        and isinstance(run.split, int)
    ]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of its own as the current folder: study.yml and the paper's tables, nothing run."""
    shutil.copy(REPOSITORY / "study.yml", tmp_path)
    shutil.copytree(REPOSITORY / "results" / "paper", tmp_path / "results" / "paper")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    return tmp_path


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Builds the record of a run with one IoU in all three ways of counting."""

    def make(run: Run | None = None, iou: float = 0.6, kind: str = "real", **fields: object) -> Record:
        run = run or next(r for r in load_plan(REPOSITORY / "study.yml").runs if r.profile == "cpu")
        tp = round(1e6 * iou)
        fp, fn, tn = (10**6 - tp) // 3, 10**6 - tp - (10**6 - tp) // 3, 9 * 10**6
        scores = {
            "precision": tp / (tp + fp) if tp + fp else 0.0,
            "recall": tp / (tp + fn) if tp + fn else 0.0,
            "f1": 2 * iou / (1 + iou),
            "iou": iou,
            "oa": (tp + tn) / 10**7,
        }
        record = Record(
            run_id=run.run_id,
            claims=list(run.claims),
            dataset=run.dataset,
            data_kind=kind,
            train_datasets=run.config["train_datasets"],
            split=run.split,
            split_sha256=HASH,
            data_sha256=HASH,
            code_sha256=code_sha256(
                run.model, {run.dataset, *run.config["train_datasets"]}, views=run.prediction is not None
            ),
            model=run.model,
            size=run.size,
            flags=run.config["overrides"],
            params=1_175_197,
            gmac=0.08,
            profile=run.profile,
            seed=run.seed,
            config=run.config,
            metrics={
                "pooled": scores,
                "resized": scores,
                "per_image": {**scores, "n": 154},
                "confusion": {"tp": tp, "fp": fp, "fn": fn, "tn": tn},
            },
            history=[{"epoch": 0, "loss": 0.5, "val_loss": None, "val_iou": iou}],
            best_epoch=0,
            test_looks=1,
            git_sha=None,
            dirty=None,
            lock_sha256=None,
            device="a processor, 2 cores",
            wall_s=360.0,
            finished_utc="2026-01-02T03:04:05Z",
            versions={"python": "3.11.0"},
        )
        if run.prediction:
            found = {"views": run.prediction["views"], "threshold": 0.5, "val_iou": iou}
            record = replace(record, prediction=found)
        return replace(record, **fields)

    return make


@pytest.fixture
def make_details(project: Path, make_record: Callable[..., Record]) -> Callable[..., Record]:
    """Builds the record that follows from the counts of its test images, and saves these beside it.

    An image is its tp, fp, fn, tn, at native and at input size alike, or what it has of `ImageDetail` by name; what is
    left out follows from the native counts: one landslide, one alarm.
    """

    def image(number: int, given: Sequence[int] | Mapping[str, Any]) -> ImageDetail:
        told = json.loads(json.dumps(given if isinstance(given, Mapping) else {"native": given}))  # tuples as lists
        tp, fp, fn, _ = told["native"]
        name = told.get("name", f"image {number}")
        usual = {"name": name, "group": name, "site": "", "resolution": None, "resized": told["native"]}
        usual |= {"components": [[tp + fn, tp]] if tp + fn else [], "alarms": [fp] if fp else []}
        return ImageDetail(**{**usual, "boundary": [[tp, tp + fp + fn]] * 3, **told})

    def make(
        run: Run,
        images: Sequence[Sequence[int] | Mapping[str, Any]],
        free: Sequence[FreeDetail] = (),
        **fields: object,
    ) -> Record:
        found = [image(number, given) for number, given in enumerate(images)]
        native = sum((Confusion(*one.native) for one in found), Confusion())
        resized = sum((Confusion(*one.resized) for one in found), Confusion())
        metrics = {
            "pooled": native.scores(),
            "resized": resized.scores(),
            "per_image": {**native.scores(), "n": len(found)},
            "confusion": {"tp": native.tp, "fp": native.fp, "fn": native.fn, "tn": native.tn},
        }
        record = make_record(run, metrics=metrics, **fields)
        kept = (record.run_id, record.finished_utc, record.data_kind)
        save_details(Details(*kept, widths=[2, 4, 8], images=tuple(found), free=tuple(free)), record)
        return record

    return make


@pytest.fixture
def tiny(project: Path, make_record: Callable[..., Record]) -> list[Record]:
    """The five planned cpu runs of our network: IoU 60, 62, 64 % by seed on split 0; 66 and 69 % on splits 1 and 2."""
    ious = {(0, 0): 0.60, (0, 1): 0.62, (0, 2): 0.64, (1, 0): 0.66, (2, 0): 0.69}
    return [make_record(run, ious[run.split, run.seed]) for run in ours("cpu")]
