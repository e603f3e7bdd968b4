"""The chapter on efficiency: counts, stored timings, and one network fed several sizes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from table_rows import rows

from scgcnet.study import efficiency_tables
from scgcnet.study.efficiency_tables import OURS
from scgcnet.study.show import Note, Table

TIMINGS = {
    "machine": {"processor": "a processor", "threads": 2, "cores": 2, "torch": "2.13"},
    "limits": {"exponentials": 3e9, "copied_bytes": 2e10, "multiply_accumulates": 1.5e11},
    "scan": [
        {
            "size": [1, 1000, 100, 1],
            "backend": "numba",
            "forward_ms": 1.0,
            "backward_ms": 2.0,
            "forward_exp_share": 0.133,
            "backward_exp_share": 0.067,
            "speedup": 12.34,
        }
    ],
    "training": [
        {"network": ["scgcnet", "tiny"], "side": 128, "batch": 8, "ms_per_image": 12.0, "extra_mb": 99.6, "ratio": 1.0},
        {"network": ["fcn", "tiny"], "side": 128, "batch": 8, "ms_per_image": 6.0, "extra_mb": None, "ratio": 2.0},
    ],
    "forward": [
        {"network": ["scgcnet", "tiny"], "side": 128, "gmac": 0.08, "ms": 9.04, "extra_mb": 12.3, "share": 0.1},
        {"network": ["scgcnet", "tiny"], "side": 512, "gmac": 1.3, "ms": 3430.1, "extra_mb": 540.0, "share": 0.4},
        {"network": ["scgcnet", "tiny"], "side": 256, "gmac": 0.32, "ms": None, "extra_mb": None, "share": None},
    ],
    "profile": [{"network": ["scgcnet", "tiny"], "side": 128, "batch": 8, "ms": {"scan": 5.25, "loss": 9.5}}],
}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[int, float]]:
    return efficiency_tables.costs(["SCGC-Net, base", "SCGC-Net, lean", "DANet, ResNet-50"], [128, 2048])


def test_counts_beside_the_papers(found: dict[str, dict[int, float]]) -> None:
    ours, lean, danet = rows(efficiency_tables.gmac_table(found))
    assert (ours["2048 px"], ours["Paper, 2048 px"]) == ("3068", "3066")
    assert (lean["2048 px"], lean["Paper, 2048 px"]) == ("1024", "-")
    assert (danet["128 px"], danet["2048 px"], danet["Paper, 2048 px"]) == ("12.6", "5691", "4600 to 5700")


def test_growth_is_that_of_the_picture_but_for_attention(found: dict[str, dict[int, float]]) -> None:
    ours, _, danet = rows(efficiency_tables.growth_table(found))
    assert list(ours.values())[1:] == ["256 times", "256 times", "the same"]
    assert danet["Per pixel"] == "1.76 times"
    per = efficiency_tables.per_megapixel(found)[OURS]
    assert per[128] == pytest.approx(per[2048], rel=1e-3) == pytest.approx(3068 / 2.048**2 * 1, rel=0.01)


def test_what_was_fitted_is_called_so(found: dict[str, dict[int, float]]) -> None:
    note = efficiency_tables.cost_note(found)
    assert note.title == "Fitted, so no evidence"
    assert "saves 46 to 46 %" in note.text and "1024 GMAC, 33 % of base" in note.text
    assert efficiency_tables.cost_note({OURS: {128: 12.0}}).title == "No verdict"


def test_a_network_that_is_not_in_the_figure() -> None:
    with pytest.raises(ValueError, match="models: 'FCN' is not known; there are SCGC-Net, base"):
        efficiency_tables.costs(["FCN"], [128])


def test_stored_timings(project: Path) -> None:
    assert efficiency_tables.read_timings("x.json") is None
    (project / "x.json").write_text(json.dumps(TIMINGS))
    timings = efficiency_tables.read_timings("x.json")
    assert "150 GMAC" in efficiency_tables.machine_note(timings, "x.json").text
    (row,) = rows(efficiency_tables.latency_table(timings, "x.json"))
    assert row["512 px"] == "3430 ms, 540 MB"
    assert (row["128 px"], row["256 px"]) == ("9.04 ms, 12 MB", "not run") and row["File"].href == "x.json"
    fast, slow = rows(efficiency_tables.training_table(timings, "x.json"))
    assert (fast["Network"], fast["Memory"], fast["Speed beside SCGC-Net"]) == ("fcn tiny", "not run", "2.00")
    assert (slow["ms an image"], slow["Memory"]) == ("12.0", "100 MB")
    profile = rows(efficiency_tables.profile_table(timings))
    assert [(row["Milliseconds of a step"], row["scgcnet tiny"]) for row in profile] == [
        ("scan", "5.2"),
        ("loss", "9.5"),
        ("sum", "14.8"),
    ]


def test_without_timings_every_table_says_so() -> None:
    assert efficiency_tables.machine_note(None).kind == "warning"
    assert efficiency_tables.profile_note(None).title == "No profiles"
    for table in (efficiency_tables.latency_table, efficiency_tables.training_table, efficiency_tables.profile_table):
        assert rows(table(None))[0]["Network"] == "not run"


def test_iou_by_size_stands_with_its_runs() -> None:
    measured = {
        "trained_at": 128,
        "networks": {"ours": {"file": "results/runs/a.json", "seed": 2}},
        "places": {"bijie": {"images": 7, "iou": {"ours": {"64": 60.04, "96": 71.0}}}},
    }
    table = efficiency_tables.iou_table(measured, "bijie", "them")
    assert isinstance(table, Table) and "7 images of them; all were trained at 128 px" in table.caption
    (row,) = rows(table)
    assert (row["64 px"], row["96 px"], row["Best at"]) == ("60.0", "71.0", "96 px")
    assert (str(row["Run"]), row["Run"].href) == ("seed 2", "results/runs/a.json")
    ious = {"ours": {"64": 31.0, "128": 70.0, "256": 8.0}, "theirs": {"64": 2.0, "128": 68.0, "256": 68.5}}
    measured["places"]["bijie"]["iou"] = ious
    told = efficiency_tables.sides_note(measured, "bijie")
    assert told.title == "Trained at 128 px, fed 64 to 256 px: bijie"
    assert told.text.startswith("1 of 2 networks are best at the size")
    assert "at 128 px ours 70.0, theirs 68.0; at 64 px ours 31.0, theirs 2.0; at 256 px theirs 68.5, ours" in told.text
    assert efficiency_tables.sides_note(None, "bijie").title == "Not run"
    note = efficiency_tables.iou_table(None, "bijie", "them")
    assert isinstance(note, Note) and note.title == "Not run: them" and "scgcnet bench sides" in note.text


def test_the_scan_stands_beside_what_the_machine_can_do() -> None:
    (row,) = rows(efficiency_tables.scan_table(TIMINGS))
    assert (row["Scan"], row["Forward"], row["Exponentials, forward"]) == ("numba", "1 ms", "13 %")
    # Forward 4 step sizes, x and y, backward 8 and 3 maps of 100,000 numbers of 4 bytes, of 20 GB a second.
    assert row["Memory, forward"] == "12 %" and row["Memory, backward"] == "11 %"
    assert row["Speed beside PyTorch"] == "12.3 times"
    assert rows(efficiency_tables.scan_table(None)) == [{"Scan": "not run"}]


def test_a_note_says_what_two_steps_differ_in() -> None:
    ours = {"convolution": 40.0, "scan": 6.0, "loss": 10.0, "normalisation": 14.0}
    theirs = {"convolution": 39.0, "scan": 0.0, "loss": 24.0, "normalisation": 7.0}
    entries = [{"network": ["scgcnet", "tiny"], "ms": ours}, {"network": ["convnext", "tiny"], "ms": theirs}]
    note = efficiency_tables.profile_note({"profile": entries})
    assert note.text == (  # one more in the convolutions is less than a twentieth of the other's 70
        "A step of scgcnet tiny takes 70 ms, beside convnext tiny +0 ms (normalisation +7, scan +6, loss -14)."
    )
    assert efficiency_tables.profile_note(TIMINGS).kind == "warning"  # one network alone
