"""Run cards: links of the book lead to them, and they say what the record says."""

import shutil
from collections.abc import Callable
from pathlib import Path

from scgcnet.study.cards import card, write_cards
from scgcnet.study.results import Record
from scgcnet.study.runs import Run


def test_a_card_says_what_the_record_says(store: Callable[..., Record], ours: list[Run]) -> None:
    history = [{"epoch": 0, "val_iou": None}, {"epoch": 1, "val_iou": 0.5}]
    shown = card(store(ours[0], [(50, 25, 25, 900)], history=history, best_epoch=1, git_sha="ab" * 20, dirty=True))
    assert f"<h1>{ours[0].run_id}</h1>" in shown
    assert "Validation IoU by epoch, best 50.0 %" in shown and 'points="40.0,140.0 640.0,20.0"' in shown
    assert "<td>66.7</td><td>66.7</td><td>66.7</td><td>50.0</td><td>95.0</td>" in shown
    assert "2026-01-02, commit ababababab, with changes, protocol 1" in shown and "lr 0.002" in shown


def test_links_lead_to_cards_of_records_that_are_there(
    store: Callable[..., Record], ours: list[Run], tmp_path: Path
) -> None:
    record, pages = store(ours[0], [(50, 25, 25, 900)]), tmp_path / "html"
    shutil.copytree("results", pages / "results")
    kept = 'href="results/runs/gone.json" href="results/bench/cpu.json"'
    (pages / "a.html").write_text(f'<a href="{record.file}">seed 0</a> {kept}')
    assert write_cards(pages) == 1
    led = record.file.removesuffix(".json") + ".html"
    assert (pages / "a.html").read_text() == f'<a href="{led}">seed 0</a> {kept}'
    assert record.run_id in (pages / led).read_text() and (pages / record.file).is_file()
