"""Tables on a page: what is shown, what is folded, and the file to download."""

from pathlib import Path

import pandas as pd
import pytest

from scgcnet.study.show import COLUMNS, ROWS, TABLES, Link, Table


def table(rows: int, columns: int, **options) -> Table:
    frame = pd.DataFrame({f"c{n}": [f"{row}.{n}" for row in range(rows)] for n in range(columns)})
    return Table(frame, "Scores (%)", **options)


def test_a_small_table_is_whole() -> None:
    shown = table(ROWS, COLUMNS)._repr_html_()
    assert shown.count("<tr>") == ROWS + 1 and "<details" not in shown and "download" not in shown


def test_of_a_large_one_the_rest_is_folded() -> None:
    page, _, folded = table(ROWS + 1, COLUMNS + 2)._repr_html_().partition("<details")
    assert page.count("<tr>") == ROWS + 1 and page.count('scope="col"') == COLUMNS
    assert "All numbers: 13 rows, 9 columns" in folded and "12.8" in folded and "12.8" not in page
    chosen = table(2, 9, shown=("c0", "c8"))._repr_html_().partition("<details")[0]
    assert chosen.count('scope="col"') == 2 and "1.8" in chosen


def test_all_of_it_can_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TABLES, str(tmp_path / "bijie"))
    for rows in (2, 20):
        shown = table(rows, 3)._repr_html_()
        assert f'href="tables/bijie/0{rows > 9:d}-scores-.csv"' in shown
        assert len(pd.read_csv(tmp_path / "bijie" / f"0{rows > 9:d}-scores-.csv")) == rows
    linked = Table(pd.DataFrame({"Run": [Link("a & b", "results/runs/a.json")]}), "x")._repr_html_()
    assert '<a href="results/runs/a.json">a &amp; b</a>' in linked
