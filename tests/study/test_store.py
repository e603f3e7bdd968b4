import json
import os
import stat
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scgcnet.files import WriteError
from scgcnet.study import store
from scgcnet.study.store import (
    Record,
    StoreError,
    Trial,
    describe_processor,
    find,
    is_stale,
    load,
    load_all,
    provenance,
    save,
    without_nan,
)


def edit(path: Path, change) -> None:
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


def test_a_record_comes_back_as_it_was_written(project, make_record):
    record = make_record()
    path = save(record)
    assert path == project / "results" / "runs" / f"{record.run_id}.json"
    assert load(path) == record == find(record.run_id, "real")
    assert load_all("real") == [record]
    assert find(record.run_id, "synthetic") is None


def test_synthetic_runs_lie_apart(project, make_record):
    path = save(make_record(kind="synthetic"))
    assert path.parent == project / "build" / "runs"
    assert load_all("real") == []


def test_schema_and_record_have_the_same_fields():
    for schema, kind in ((store._RUN_FILE, Record), (store._TRIAL_FILE, Trial)):
        assert set(schema["properties"]) == {*(field.name for field in fields(kind)), store.SEAL}


def test_layout_and_order_of_keys_are_no_edit(project, make_record):
    path = save(make_record())
    tree = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(tree.items())), indent=7))
    assert load(path) == make_record()


def test_a_run_file_of_absurd_size_is_not_read(project):
    path = project / "x.json"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse: takes no room
    with pytest.raises(StoreError, match=r"x\.json: .* bytes are too many"):
        load(path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
    st.data(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
def test_a_field_of_any_other_content_is_refused(project, make_record, content, data):
    path = save(make_record())
    tree = json.loads(path.read_text())
    field = data.draw(st.sampled_from(sorted(tree)))
    if content == tree[field]:
        return
    path.write_text(json.dumps({**tree, field: content}))
    with pytest.raises(StoreError):
        load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["metrics"]["resized"].update(iou=1.7), r"metrics\.resized\.iou: 1\.7 is greater"),
        (lambda t: t["metrics"]["pooled"].pop("f1"), r"metrics\.pooled: 'f1' is a required"),
        (lambda t: t["metrics"]["confusion"].update(tp="many"), r"metrics\.confusion\.tp: 'many'"),
        (lambda t: t.update(sead=1), r"unknown key sead"),
        (lambda t: t.pop("code_sha256"), r"'code_sha256' is a required"),
        (lambda t: t.update(test_looks=0), r"test_looks: 0 is less"),
        (lambda t: t.update(data_kind="fake"), r"data_kind: 'fake' is not one of"),
        (lambda t: t["config"].update(seed=5), r"config: belongs to .*-s5-.*was the file edited"),
        (lambda t: t["config"].pop("dataset"), r"config: 'dataset' is a required"),
        (lambda t: t["config"].pop("split"), r"config: 'split' is a required"),
        (lambda t: t["config"].pop("settings"), r"config: 'settings' is a required"),
        (lambda t: t.update(seed=5), r"seed: 5 is not the configuration's 0"),
        (lambda t: t.update(size="base"), r"size: 'base' is not the configuration's 'tiny'"),
        # Whoever edits a number by hand: the counts, the other scores, or at last the hash give it away.
        (lambda t: t["metrics"]["pooled"].update(iou=0.99), r"pooled\.iou: 0\.99 does not follow from the confusion"),
        (lambda t: t["metrics"]["confusion"].update(fp=0), r"pooled\.precision: .* does not follow"),
        (lambda t: t["metrics"]["resized"].update(iou=0.99), r"resized\.iou: 0\.99 does not follow from f1"),
        (lambda t: t["history"].append({"epoch": 1, "val_iou": 0.9}), r"best_epoch: epoch 0 is not the best"),
        (lambda t: t.update(best_epoch=7), r"best_epoch: epoch 7 is not the best"),
        (lambda t: t["metrics"]["resized"].update(iou=0.75, f1=6 / 7), r"content_sha256: .* was edited after the run"),
        (lambda t: t["metrics"]["per_image"].update(iou=0.99), r"content_sha256: .* was edited after the run"),
        (lambda t: t.update(test_looks=2), r"content_sha256: .*scgcnet study run bijie-"),
        (lambda t: t.update(code_sha256="1" * 64), r"content_sha256: "),
        (lambda t: t["history"][0].update(val_iou=0.61), r"content_sha256: "),
        (lambda t: t.update(content_sha256="1" * 64), r"content_sha256: "),
        (lambda t: t.pop("content_sha256"), r"'content_sha256' is a required"),
    ],
)
def test_a_broken_file_gives_one_error_naming_file_and_field(project, make_record, change, message):
    path = save(make_record())
    edit(path, change)
    with pytest.raises(StoreError, match=message) as error:
        load(path)
    assert path.name in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(StoreError):
        load_all("real")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"wall_s": NaN}', "\x00", "[" * 100_000])
def test_what_is_no_run_file_is_refused(project, text):
    path = project / "x.json"
    path.write_text(text)
    with pytest.raises(StoreError, match=r"x\.json"):
        load(path)


def test_a_file_under_another_name_is_refused(project, make_record):
    path = save(make_record())
    path = path.rename(path.with_name("other.json"))
    with pytest.raises(StoreError, match="must be called"):
        load(path)


def test_a_record_that_breaks_the_schema_is_not_written(project, make_record):
    with pytest.raises(StoreError, match="wall_s: -1 is less"):
        save(make_record(wall_s=-1))
    assert not (project / "results" / "runs").exists()


def test_a_write_that_fails_leaves_the_old_file_whole(project, make_record, monkeypatch):
    path = save(make_record())
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"cannot be written: No space left on device") as error:
        save(make_record(iou=0.1))
    assert str(path) in str(error.value)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_run_files_can_be_read_by_others(project, make_record):
    assert stat.S_IMODE(save(make_record()).stat().st_mode) == 0o644


def test_stale_is_what_other_code_made(project, make_record):  # in which nothing was replayed
    assert not is_stale(make_record())
    assert is_stale(make_record(code_sha256="1" * 64))


def test_provenance_of_what_is_no_checkout(project):
    made_at = provenance()
    assert (made_at["git_sha"], made_at["dirty"], made_at["lock_sha256"]) == (None, None, None)
    assert {"python", "torch", "numpy", "numba", "lightning", "pillow"} <= set(made_at["versions"])
    (project / "requirements.lock").write_text("torch==2\n")
    assert provenance()["lock_sha256"] == "c49345c98c684410a2c0b2cb96c5408c3593ef84b18d67055b373ea4a37d557d"


@pytest.fixture
def commit(project, monkeypatch):
    """A repository with the project in it, and the package as its own."""

    def git(*arguments: str) -> None:
        settings = ("user.name=t", "user.email=t@t", "commit.gpgsign=false", "core.hooksPath=/dev/null")
        options = [option for setting in settings for option in ("-c", setting)]
        assert store._git(project, *options, *arguments) is not None

    monkeypatch.setattr(store, "PACKAGE", project / "scgcnet")
    git("init")
    git("add", "study.yml")
    git("commit", "-m", "x")


def test_dirty_means_code_plan_or_lock(project, commit, make_record):
    save(make_record())
    assert provenance()["dirty"] is False
    (project / "study.yml").write_text("")
    assert provenance()["dirty"] is True
    assert len(provenance()["git_sha"]) == 40


def test_a_commit_of_another_repository_is_not_ours(project, commit, monkeypatch):
    """As when the package is installed from another checkout, or unpacked inside a foreign repository."""
    monkeypatch.setattr(store, "PACKAGE", project.parent / "elsewhere" / "scgcnet")
    assert (provenance()["git_sha"], provenance()["dirty"]) == (None, None)
    inside = project / "unpacked"
    inside.mkdir()
    monkeypatch.setattr(store, "PACKAGE", inside / "scgcnet")
    assert (provenance(inside)["git_sha"], provenance(inside)["dirty"]) == (None, None)


def test_device_names_the_processor(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name\t: Fast CPU @ 3 GHz\n")
    assert describe_processor(cpuinfo).startswith("Fast CPU @ 3 GHz, ")
    assert describe_processor(tmp_path / "none").endswith("cores")


def test_nan_becomes_null():
    nan, inf = float("nan"), float("inf")
    assert without_nan([{"a": nan, "b": 1}, (inf, -inf, 0.5, "nan")]) == [
        {"a": None, "b": 1},
        [None, None, 0.5, "nan"],
    ]


def test_a_run_of_the_same_configuration_replaces_the_file(project, make_record):
    record = make_record()
    save(record)
    save(replace(record, test_looks=2))
    assert [r.test_looks for r in load_all("real")] == [2]
