import json
from pathlib import Path

import pytest

from scgcnet import bench


def test_table_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "QUICK_SIZES", ((2, 64, 8, 3),))
    monkeypatch.setattr(bench, "_measure_memory", lambda size, backend: {"numba": 1.4, "reference": None}[backend])
    bench.bench_scan(quick=True, json_path=tmp_path / "scan.json")
    printed = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in printed if line.startswith("(2, 64, 8, 3)")]
    assert [row[4] for row in rows] == ["numba", "reference"]
    assert [row[7] for row in rows] == ["1", "-"] and rows[1][8] == "1.0x"
    stored = json.loads((tmp_path / "scan.json").read_text())
    assert set(stored) == {"machine", "quick", "timings"} and stored["quick"] is True
    fast, slow = stored["timings"]
    assert fast["speedup"] == pytest.approx(slow["training_ms"] / fast["training_ms"])
    rate = stored["machine"]["exponentials_per_second"]
    assert fast["forward_exp_share"] == pytest.approx(4 * 2 * 64 * 8 * 3 / (fast["forward_ms"] / 1e3) / rate)
    assert [path.name for path in tmp_path.iterdir()] == ["scan.json"]


def test_memory_is_at_least_the_outputs_and_gradients() -> None:
    """Those of (2, 1024, 192, 1): y, dx 1.6 MB each, ddelta 6.3 MB; a step may need some more, not ten times more."""
    extra = bench._measure_memory((2, 1024, 192, 1), "numba")
    if extra is None:
        pytest.skip("this system does not tell a process its peak memory")
    assert 9 < extra < 30
