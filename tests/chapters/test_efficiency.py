"""The chapter on efficiency: counts, stored timings, IoU by size of the input."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from scgcnet.chapters import efficiency
from scgcnet.chapters.efficiency import LEAN, OURS
from scgcnet.study.networks import Network
from scgcnet.study.runs import Run

TIMINGS: dict[str, Any] = {
    "machine": {"processor": "a processor", "threads": 2, "cores": 2, "torch": "2.13"},
    "limits": {"exponentials": 3e9, "copied_bytes": 2e10, "multiply_accumulates": 1.5e11},
    "scan": [{"size": [1, 1000, 100, 1], "backend": "numba", "forward_ms": 1.0, "backward_ms": 2.0,
              "forward_exp_share": 0.133, "backward_exp_share": 0.067, "speedup": 12.34}],
    "training": [
        {"network": ["scgcnet", "tiny"], "side": 128, "batch": 8, "ms_per_image": 12.0, "extra_mb": 99.6, "ratio": 1.0},
        {"network": ["fcn", "tiny"], "side": 128, "batch": 8, "ms_per_image": 6.0, "extra_mb": None, "ratio": 2.0},
    ],
    "forward": [
        {"network": ["scgcnet", "tiny"], "side": 128, "ms": 9.04, "extra_mb": 12.3},
        {"network": ["scgcnet", "tiny"], "side": 512, "ms": 3430.1, "extra_mb": 540.0},
        {"network": ["scgcnet", "tiny"], "side": 256, "ms": None, "extra_mb": None},
    ],
    "profile": [
        {"network": ["scgcnet", "tiny"], "ms": {"convolution": 40.0, "scan": 6.0, "loss": 10.0, "normalisation": 14.0}},
        {"network": ["convnext", "tiny"], "ms": {"convolution": 39.0, "scan": 0.0, "loss": 24.0, "normalisation": 7.0}},
    ],
}  # fmt: skip
MEASURED: dict[str, Any] = {
    "trained_at": 128,
    "networks": {name: {"file": f"results/runs/{name}.json", "seed": 2} for name in ("ours", "theirs")},
    "places": {
        "bijie": {"images": 7, "iou": {"ours": {"64": 31.04, "128": 70.0}, "theirs": {"64": 70.5, "128": 68.0}}}
    },
}


def rows(table):
    return table.frame.to_dict("records")


@pytest.fixture
def found():
    return {
        OURS: {128: 11.984, 2048: 3067.964},
        LEAN: {128: 4.002, 2048: 1024.458},
        "DANet, ResNet-50": {128: 12.604, 2048: 5691.0},
    }


def test_cost_beside_the_paper(found):
    ours, lean, danet = rows(efficiency.gmac_table(found))
    assert (ours["2048 px"], ours["Paper, 2048 px"]) == ("3068", "3066")
    assert (lean["2048 px"], lean["Paper, 2048 px"]) == ("1024", "-")
    assert (danet["128 px"], danet["2048 px"], danet["Paper, 2048 px"]) == ("12.6", "5691", "4600 to 5700")
    ours, _, danet = rows(efficiency.growth_table(found))
    assert list(ours.values())[1:] == ["256 times", "256 times", "the same"] and danet["Per pixel"] == "1.76 times"
    per = efficiency.per_megapixel(found)[OURS]
    assert per[128] == pytest.approx(per[2048], rel=1e-3) == pytest.approx(3068 / 2.048**2, rel=0.01)
    text = efficiency.cost_note(found).text
    assert "46 to 46 % less" in text and "1024 GMAC, 33 % of base" in text
    for others in ({OURS: {128: 12.0}}, {OURS: {2048: 12.0}}, {}):
        assert efficiency.cost_note(others).title == "No verdict"


def test_costs_are_counted():
    assert efficiency.costs([LEAN], [128]) == {LEAN: {128: pytest.approx(4.0018, rel=1e-4)}}
    with pytest.raises(ValueError, match="models: 'FCN' is not known; there are SCGC-Net, base"):
        efficiency.costs(["FCN"], [128])


def test_timings(project):
    assert efficiency.read_bench("x.json") is None
    (project / "x.json").write_text(json.dumps(TIMINGS))
    note = efficiency.machine_note(efficiency.read_bench("x.json"), "x.json")
    assert "150 GMAC" in note.text and "x.json" in note.text
    (row,) = rows(efficiency.latency_table(TIMINGS))
    assert (row["128 px"], row["256 px"], row["512 px"]) == ("9.04 ms, 12 MB", "not run", "3430 ms, 540 MB")
    fast, slow = rows(efficiency.training_table(TIMINGS))
    assert (fast["Network"], fast["Memory"], fast["Speed beside SCGC-Net"]) == ("FCN tiny", "not run", "2.00")
    assert (slow["ms an image"], slow["Memory"]) == ("12.0", "100 MB")
    (row,) = rows(efficiency.scan_table(TIMINGS))
    assert (row["Scan"], row["Forward"], row["Exponentials, forward"]) == ("numba", "1 ms", "13 %")
    # Forward 4 step sizes, x and y, backward 8 and 3 maps of 100,000 numbers of 4 bytes, of 20 GB a second.
    assert (row["Memory, forward"], row["Memory, backward"]) == ("12 %", "11 %")
    sums = efficiency.profile_table(TIMINGS).frame.set_index("Milliseconds of a step")["SCGC-Net tiny"]
    assert sums.tolist() == ["40.0", "6.0", "10.0", "14.0", "70.0"]
    # One more in the convolutions is less than a twentieth of the other's 70.
    text = "A step of SCGC-Net tiny takes 70 ms; beside ConvNeXt tiny +0 ms (normalisation +7, scan +6, loss -14)."
    assert efficiency.profile_note(TIMINGS).text == text


def test_without_timings():
    assert efficiency.machine_note(None).kind == "warning"
    assert efficiency.profile_note({"profile": TIMINGS["profile"][:1]}).kind == "warning"
    for name in ("latency_table", "training_table", "profile_table", "scan_table"):
        (row,) = rows(getattr(efficiency, name)(None))
        assert "not run" in row.values()


def test_iou_by_side():
    assert efficiency.iou_curves(MEASURED, "bijie")["ours"] == {64: 31.04, 128: 70.0}
    table = efficiency.sides_table(MEASURED, "bijie", "them")
    ours, theirs = rows(table)
    assert (ours["64 px"], ours["128 px"], ours["Best at"]) == ("31.0", "70.0", "128 px")
    assert (theirs["Best at"], theirs["Run"].href) == ("64 px", "results/runs/theirs.json")
    assert "7 images of them" in table.caption and "128 px, the best side for 1 of 2" in table.caption
    assert rows(efficiency.sides_table(None, "bijie", "them")) == [{"Network": "not run"}]


def test_iou_of_networks_trained_anew():
    def network(*ious):
        runs = [
            {"pooled_iou": iou, "file": "", "run_id": "", "model": "", "split": 0, "seed": n}
            for n, iou in enumerate(ious)
        ]
        return Network("", Run("bijie", "scgcnet", "tiny", "cpu", {}), pd.DataFrame(runs))

    table = efficiency.trained_sides_table({128: {"a": network(60, 70), "b": network(50)}, 64: {"a": network(40)}})
    assert table.frame[["Network", "64 px", "128 px"]].to_numpy().tolist() == [
        ["a", "40.0 (1 seed)", "65.0 (2 seeds)"],
        ["b", "not run", "50.0 (1 seed)"],
    ]
    assert rows(efficiency.trained_sides_table({}))[0] == {"Network": "not run"}
