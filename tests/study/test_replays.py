"""Stored trainings begun again: what was the same is not stale, what differs is told."""

from dataclasses import replace

import pytest

from scgcnet.cli import main
from scgcnet.data import write_fake
from scgcnet.study import store
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import PlanError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.replays import REPLAYS, Replay, read_replays
from scgcnet.study.runner import replay, run

SMALL = {"epochs": 2, "image_size": 32, "batch_size": 4}


@pytest.fixture
def stored(project, tmp_path, monkeypatch):
    """A finished run on a few fakes, as if it were planned and of older code."""
    write_fake("bijie", tmp_path / "fakes", n=12, seed=0)
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "fakes"))
    spec = load_plan().make_run("bijie", "scgcnet", "tiny", "cpu", changes=SMALL)
    plan = replace(load_plan(), runs=(spec,))
    monkeypatch.setattr("scgcnet.study.runner.load_plan", lambda: plan)
    return replace(run(spec, progress=False), code_sha256="1" * 64)


def test_the_same_numbers_make_a_record_current(project, stored):
    assert store.is_stale(stored)
    assert replay(stored, 1, progress=False) is None
    (line,) = read_replays(project)
    assert (line.run_id, line.epochs, line.moved) == (stored.run_id, 1, 0.0)
    assert not store.is_stale(replace(stored, finished_utc="2026-01-02T03:04:05Z"))
    # A replay speaks of the record that was there, not of one that was made after it.
    assert store.is_stale(replace(stored, finished_utc="2999-01-02T03:04:05Z"))
    assert not (project / "build" / "training" / f"{stored.run_id}.replay").exists()


def test_other_numbers_are_told_and_nothing_is_noted(project, stored):
    first, *others = stored.history
    other = replace(stored, history=[{**first, "loss": first["loss"] + 1e-9}, *others])
    assert replay(other, 1, progress=False).startswith(f"epoch 0, loss: {first['loss']} for ")
    # An epoch that is not trained is not compared.
    assert replay(replace(stored, history=[first, {**others[0], "loss": 0.0}]), 1, progress=False) is None
    with pytest.raises(PlanError, match="-1 epochs cannot be replayed"):
        replay(stored, -1, progress=False)
    assert replay(replace(stored, data_sha256="2" * 64), 1, progress=False) == "the images or their split are others"
    assert len(read_replays(project)) == 1


def test_the_order_of_sums_may_be_let_differ_but_no_more(project, stored):
    """Where only rounding differs the losses stay together; scores of a young network do not, and are not asked."""
    first, *others = stored.history
    rounded = replace(stored, history=[{**first, "loss": first["loss"] / 1.0004, "val_iou": 0.5}, *others])
    assert replay(rounded, 1, progress=False) is not None
    assert replay(rounded, 1, rounding=True, progress=False) is None
    (line,) = read_replays(project)
    assert line.moved == pytest.approx(4e-4)
    other = replace(stored, history=[{**first, "loss": first["loss"] * 0.998}, *others])
    assert (
        replay(other, 1, rounding=True, progress=False) == f"epoch 0, loss: {first['loss']} for {0.998 * first['loss']}"
    )
    assert len(read_replays(project)) == 1


def test_the_command_replays_what_is_stale(project, stored, monkeypatch, capsys):
    assert main(["study", "replay"]) == 0  # nothing real is stored
    assert "0 to replay, none different" in capsys.readouterr().err
    assert main(["study", "replay", "mars"]) == 2
    assert "nothing is stored under 'mars'" in capsys.readouterr().err
    monkeypatch.setattr(store, "load_all", lambda kind: [stored])
    assert main(["study", "replay"]) == 0
    captured = capsys.readouterr()
    assert f"{stored.run_id}: the same" in captured.out + captured.err
    assert "1 to replay, none different" in captured.err
    other = replace(stored, history=[{**stored.history[0], "loss": 0.0}, *stored.history[1:]])
    monkeypatch.setattr(store, "load_all", lambda kind: [other])
    assert main(["study", "replay", stored.run_id]) == 1
    assert "1 to replay, 1 different or not replayed" in capsys.readouterr().err


def test_a_damaged_ledger_is_one_error(project):
    path = project / REPLAYS
    path.write_text("utc,run_id,code_sha256,epochs,moved\nx,y,z,many,0\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"replays\.csv: line 2: invalid literal.*; take it back from git"):
        read_replays(project)
    path.write_text("utc,run_id,code_sha256,epochs,moved\nx,y,z,3,0.0004\n", encoding="utf-8")
    assert read_replays(project) == [Replay("x", "y", "z", 3, 0.0004)]


def test_a_record_that_cannot_be_replayed_keeps_none_from_it(project, stored, monkeypatch, capsys):
    """Such as one of a chapter that was run by hand, which study.yml does not plan."""
    unplanned = replace(stored, run_id="bijie-scgcnet-tiny-cpu-s0-0000000000")
    monkeypatch.setattr(store, "load_all", lambda kind: [unplanned, stored])
    assert main(["study", "replay"]) == 1
    captured = capsys.readouterr()
    told = captured.out + captured.err
    assert f"{unplanned.run_id}: not replayed: no run in study.yml" in told
    assert f"{stored.run_id}: the same" in told
