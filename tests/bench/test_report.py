"""The whole run of timings: printed, written, compared with an earlier one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scgcnet import cli
from scgcnet.bench import report, scan
from scgcnet.bench.report import BenchError, bench, compared, read


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "QUICK_SIZES", ((1, 64, 8, 1),))
    monkeypatch.setattr(scan, "in_fresh_process", lambda function, *arguments: None)


def test_tables_file_and_comparison(small: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    assert cli.main(["bench", "all", "--quick", "--json", str(before)]) == 0
    printed = capsys.readouterr().out
    for word in ("limits:", "(1, 64, 8, 1)", "stepwise", "scgcnet tiny", "swin tiny", "of sgemm", "normalisation"):
        assert word in printed
    found = read(before)
    assert {"machine", "limits", "quick", "scan", "training", "forward", "profile"} == found.keys()
    assert cli.main(["bench", "scan", "--quick", "--json", str(after), "--against", str(before)]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("scan (1, 64, 8, 1) numba, forward"))
    assert float(line.split()[-1][:-1]) == pytest.approx(
        found["scan"][0]["forward_ms"] / read(after)["scan"][0]["forward_ms"], abs=0.01
    )
    assert {path.name for path in tmp_path.iterdir()} == {"before.json", "after.json"}


def test_runs_of_other_machines_are_told_apart() -> None:
    rows = [{"size": [1, 4, 8, 1], "backend": "numba", "forward_ms": 2.0, "backward_ms": 6.0}]
    one = {"machine": {"processor": "a"}, "scan": rows}
    other = {"machine": {"processor": "b"}, "scan": [{**rows[0], "forward_ms": 1.0}]}
    assert "another machine" in compared(one, other, "x") and "0.50x" in compared(one, other, "x")
    assert "another machine" not in compared(one, one, "x")
    assert "nothing in common" in compared(one, {"machine": {}, "training": []}, "x")


@pytest.mark.parametrize("text", ["no json", "[]", json.dumps({"machine": 1, "quick": True}), "{}"])
def test_what_is_no_file_of_timings_is_refused_before_anything_is_timed(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BenchError, match=r"x\.json: no timings"):
        bench(against=path)
    with pytest.raises(BenchError, match=r"cannot be read: .*; write one with"):
        read(tmp_path / "missing.json")


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchError, match="no CUDA device"):
        bench(device="cuda")
