"""What a run had come to before it was made again stays in a ledger."""

from dataclasses import replace

import pytest
from table_rows import rows

from scgcnet.data import write_fake
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.replaced import REPLACED, Replaced, note_replaced, read_replaced, replaced_note, replaced_table
from scgcnet.study.runner import run

SMALL = {"epochs": 1, "image_size": 32, "batch_size": 4}


def test_a_run_made_again_notes_what_it_replaces(project, tmp_path, monkeypatch):
    write_fake("bijie", tmp_path / "fakes", n=12, seed=0)
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "fakes"))
    spec = load_plan().make_run("bijie", "unet", "tiny", "cpu", changes=SMALL)
    first = run(spec, progress=False)
    told = []
    monkeypatch.setattr("scgcnet.study.runner.note_replaced", lambda record, root: told.append(record))
    run(spec, progress=False)  # read from the store: nothing is replaced
    assert told == []
    run(spec, force=True, progress=False)
    assert told == [first]


def test_a_line_has_the_score_and_the_code(project, make_record):
    record = make_record(iou=0.6)
    note_replaced(record, project)
    (line,) = read_replaced(project)
    assert (line.run_id, line.utc, line.code_sha256) == (record.run_id, record.finished_utc, record.code_sha256)
    assert line.iou == record.metrics["pooled"]["iou"]


def test_none_and_synthetic_results_leave_no_line(project, make_record):
    note_replaced(None, project)
    note_replaced(make_record(kind="synthetic"), project)
    assert not (project / REPLACED).exists()


def test_before_and_now_stand_side_by_side(tiny):
    lines = [
        Replaced("x", tiny[0].run_id, "a", 0.58),
        Replaced("x", tiny[1].run_id, "a", 0.66),
        Replaced("x", "gone", "a", 0.9),
    ]
    first, second = rows(replaced_table(lines, tiny))
    assert (first["Before"], str(first["Now"]), first["Difference"]) == ("58.00", "60.00", "+2.00")
    assert second["Difference"] == "-4.00"
    assert "2 runs of bijie with the profile cpu were made again" in (text := replaced_note(lines, tiny).text)
    assert "IoU at native size moved by -4.0 to +2.0 points (mean -1.0, standard deviation 4.2)" in text
    # 60, 62 and 64 % on split 0: a variance of 4 for one run, of 8 for the difference of two
    assert "has a standard deviation of 2.8 (configurations with more than one seed: 1)" in text
    elsewhere = [replace(record, dataset="landslide4sense") for record in tiny]
    assert replaced_note(lines, elsewhere).text.startswith("Fewer than two")
    assert "Between two seeds" not in replaced_note([lines[0]] * 2, tiny[:1]).text
    assert replaced_note(lines[:1], tiny).text.startswith("Fewer than two")
    assert rows(replaced_table([], tiny)) == [{"Run": "none was made again"}]


def test_a_damaged_ledger_is_one_error(project):
    (project / REPLACED).write_text("utc,run_id,code_sha256,iou\nx,y,z,good\n", encoding="utf-8")
    with pytest.raises(StoreError, match=r"replaced\.csv: line 2: could not convert.*; take it back from git"):
        read_replaced(project)
