"""The atlas in numbers, counted again from its entries."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_atlas import fake_atlas

from scgcnet.explain.atlas import Atlas
from scgcnet.explain.failure_tables import (
    PageLink,
    atlas_note,
    calibration_table,
    cause_table,
    free_table,
    limit_table,
    paper_note,
    rule_table,
    threshold_table,
)
from scgcnet.explain.failures import CAUSES, TITLES


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return fake_atlas()


def sorted_out(atlas: Atlas, met: list[bool], failed: list[bool]) -> Atlas:
    """The same with images of which these are built-up, by the proxy, and these fail."""
    entries = [
        replace(
            atlas.entries[0],
            facts=replace(atlas.entries[0].facts, edge_density=1.0 if built else 0.0),
            causes=(("built",) if fails and built else ("other",) if fails else (),) * 2,
        )
        for built, fails in zip(met, failed, strict=True)
    ]
    return replace(atlas, entries=tuple(entries))


def test_causes_are_counted(atlas: Atlas) -> None:
    made = sorted_out(atlas, [True] * 6 + [False] * 4, [True] * 3 + [False] * 3 + [True] + [False] * 3)
    frame = cause_table(made).frame.set_index("Kind")
    assert list(frame.index) == list(TITLES.values())
    assert frame.loc[TITLES["built"]].to_list() == [3, "3 of 6 (50 %)", "1 of 4"] * 2
    assert frame.loc[TITLES["other"]].to_list() == [1, "-", "-"] * 2
    assert frame.loc[TITLES["bare"]].to_list() == [0, "-", "-"] * 2
    assert frame.columns[0] == "net 0: of 4 failures"


def test_paper_note(atlas: Atlas) -> None:
    made = sorted_out(atlas, [True] * 6 + [False] * 10, [True] * 6 + [False] * 10)
    text = paper_note(made).text
    assert "Large slide cut by the frame: 0 of 16 images meet the condition, so nothing can be told." in text
    assert "6 of 6 (100 %) fail, of the others 0 of 10 (0 %) (Fisher's exact test: p < 0.01)" in text
    by_chance = sorted_out(atlas, [True] * 6 + [False] * 10, [True] * 3 + [False] * 3 + [True] * 5 + [False] * 5)
    assert (
        "3 of 6 (50 %) fail, of the others 5 of 10 (50 %) (Fisher's exact test: p = 1.00)" in paper_note(by_chance).text
    )
    assert "made-up images" in paper_note(made).title
    assert "made up, split 0" in paper_note(replace(made, kind="real")).title


def test_every_rule_is_told() -> None:
    assert rule_table().frame["Kind"].to_list() == [cause.title for cause in CAUSES.values()]


def test_limits(atlas: Atlas) -> None:
    row = limit_table(atlas).frame.iloc[0].to_list()
    assert row == ["net 0", "made up", "60.0 %", "20.0 %", "150 px", "5.0 %", "0.50", "0.100"]


def test_thresholds(atlas: Atlas) -> None:
    frame = threshold_table(atlas).frame
    model = atlas.models[1]
    assert frame["At 0.50"].to_list() == [f"{100 * one.test_iou[49]:.2f}" for one in atlas.models]
    assert frame["At 0.50, run file"].to_list() == ["50.00"] * 2
    assert frame["Best on validation"][1] == f"{100 * model.test_iou[39]:.2f} at 0.40"
    best = frame["Best on test: not a reportable score"][1]
    assert best == f"{100 * model.test_iou.max():.2f} at {model.best_on_test:.2f}"


def test_calibration(atlas: Atlas) -> None:
    frame = calibration_table(atlas).frame
    assert frame["Calibration error, test"][0] == f"{100 * atlas.models[0].calibration['test'].error:.2f}"
    fine = [entry.outcomes[0].entropy for entry in atlas.entries if not entry.causes[0]]
    failed = [entry.outcomes[0].entropy for entry in atlas.entries if entry.causes[0]]
    assert frame["Entropy of failures, bit"][0] == f"{sum(failed) / len(failed):.3f}"
    assert frame["Entropy of the others, bit"][0] == (f"{sum(fine) / len(fine):.3f}" if fine else "-")


def test_alarms_where_there_is_nothing(atlas: Atlas) -> None:
    (entry,) = atlas.free
    row = free_table(atlas).frame.iloc[0]
    assert row["Images with an alarm"] == f"{int(entry.outcomes[0].fp > 0)} of 1"
    assert row["Falsely called"] == f"{100 * entry.outcomes[0].fp / 48**2:.2f} %"
    none = free_table(replace(atlas, free=())).frame.iloc[0]
    assert none.to_list() == ["net 0", "no such images", "-", "-"]


def test_note(atlas: Atlas) -> None:
    made_up, real = atlas_note(atlas), atlas_note(replace(atlas, kind="real"))
    assert made_up.kind == "warning" and "mean nothing" in made_up.text
    assert real.kind == "note" and "5 test images of made up, split 0; runs: fake-0 and fake-1" in real.text


def test_link() -> None:
    link = PageLink(Path("/some/where/build/explorer/a_b/index.html"))
    assert repr(link) == "Page: build/explorer/a_b/index.html"
    assert 'href="explorer/a_b/index.html"' in link._repr_html_()
    assert "/some/where" not in link._repr_html_()
