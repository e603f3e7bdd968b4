"""Finer measures, on images whose landslides, edges and alarms are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from counted import write_counted

from scgcnet.chapters import measures
from scgcnet.study import results
from scgcnet.study.networks import gather
from scgcnet.study.results import FreeCounts

Images = Sequence[Mapping[str, Any]]

#: At 10 m a pixel has 100 square metres; at 2 m it has 4.
FIRST: Images = [
    {
        "native": (13, 6, 17, 64), "components": [(20, 10), (6, 3), (4, 0)], "alarms": [4, 2], "resolution": 10.0,
        "boundary": [(5, 20), (10, 20), (15, 20)], "site": "north", "group": "a",
    },
    {
        "native": (100, 50, 100, 750), "components": [(200, 100)], "alarms": [], "resolution": 2.0,
        "boundary": [(15, 80), (20, 80), (45, 80)], "site": "south", "group": "b",
    },
]  # fmt: skip
FREE = [FreeCounts(name="m", pixels=100, resolution=2.0, alarms=[]),
        FreeCounts(name="n", pixels=300, resolution=2.0, alarms=[3, 1])]  # fmt: skip


def changed(number, **fields):
    """The images, one of them changed."""
    return [{**image, **fields} if place == number else image for place, image in enumerate(FIRST)]


def rows(table):
    return table.frame.to_dict("records")


@pytest.fixture
def make(project, plan, make_record):
    """Networks by model, with the images of each seed."""

    def build(free=FREE, **seeds):
        runs = {model: plan.make_run("bijie", model, "tiny", "cpu") for model in seeds}
        for model, found in seeds.items():
            for seed, images in enumerate(found):
                write_counted(make_record, replace(runs[model], seed=seed), images, free)
        return gather(runs, results.runs())

    return build


def test_landslides_by_size_in_square_metres(make):
    (one,) = make(scgcnet=[FIRST])
    found = measures.by_size(one)
    assert found.n.to_dict() == {
        "0 to 500 m²": 1,  # 4 pixels of 100
        "500 to 2,000 m²": 2,  # 6 of 100, 200 of 4
        "2,000 to 5,000 m²": 1,  # 20 of 100
    }
    assert found.found.tolist() == [0, 100, 100]  # half of the pixels is enough
    assert found.area.tolist() == [0, 50, 50]
    # Wilson (1927) for none of 1 and both of 2: z² / (1 + z²), and 2 / (2 + z²).
    assert found.high.tolist()[:2] == [pytest.approx(79.35, abs=0.01), 100]
    assert found.low.tolist()[:2] == [0, pytest.approx(34.24, abs=0.01)]
    bands, landslides = measures.size_curves([one], ["scgcnet", "fcn"])
    assert landslides == [1, 2, 1]
    assert bands["scgcnet"][1] == ("500 to 2,000 m²", 100, pytest.approx(34.24, abs=0.01), 100)
    assert measures.size_curves([one], ["fcn"]) == ({}, [])


def test_images_without_a_landslide(make):
    (one,) = make(scgcnet=[[{"native": (0, 0, 0, 100), "resolution": 1.0}] * 2])
    assert measures.by_size(one).empty
    assert measures.boundary_iou(one, 0) == 0
    assert "Counts" in rows(measures.size_table([one]))[0]


def test_seeds_are_averaged(make):
    missed = changed(1, native=(0, 50, 200, 750), components=[(200, 0)], boundary=[(75, 80), (0, 80), (80, 80)])
    (one,) = make(scgcnet=[FIRST, missed])
    (row,) = rows(measures.size_table([one]))
    assert (row["500 to 2,000 m² (2)"], row["Seeds counted"]) == ("75 found, 38 of area", "2 of 2 seeds")
    assert [link.href for link in row["Counts"].items] == [f"results/details/{run}.json" for run in one.runs.run_id]
    assert measures.boundary_iou(one, 0) == pytest.approx((20 + 80) / 2)
    (row,) = rows(measures.edge_table([one]))
    assert [row[f"{width} px"] for width in (2, 4, 8)] == ["50.0", "20.0", "77.5"]


def test_false_alarms(make):
    quiet = [{**image, "native": (tp, 0, fn, fp + tn), "alarms": []} for image in FIRST
             for tp, fp, fn, tn in [image["native"]]]  # fmt: skip
    one, other = make(scgcnet=[FIRST, quiet], unet=[FIRST])
    ours, unet = rows(measures.alarm_table([one, other]))
    names = ["Falsely alarmed, m² an image", "Falsely alarmed, m² per km² of all ground",
             "Patches without a landslide, an image", "Landslide-free images with an alarm (of 2)",
             "Falsely alarmed there, m² per km²"]  # fmt: skip
    assert [unet[name] for name in names] == [
        "400",  # (6 * 100 + 50 * 4) / 2
        "57,143",  # 800 of 14,000 m²
        "1.00",
        "50.0 %",
        "10,000",
    ]
    assert [ours[name] for name in names[:3]] == ["200", "28,571", "0.50"]


def test_scores_by_site_and_ground_resolution(make):
    other = changed(0, native=(30, 0, 0, 70), components=[(20, 20), (6, 6), (4, 4)])
    third = {"native": (10, 0, 0, 90), "site": "", "resolution": None}
    found = rows(measures.place_table(make(scgcnet=[[*FIRST, third], [*other, third]])))
    assert [(row["By"], row["Which"], row["Images"], row["IoU"]) for row in found] == [
        ("Site", "north", 1, f"{50 * (13 / 36 + 1):.1f}"),
        ("Site", "south", 1, "40.0"),
        ("Site", "one place", 1, "100.0"),
        ("Ground resolution", "10 m", 1, f"{50 * (13 / 36 + 1):.1f}"),
        ("Ground resolution", "2 m", 1, "40.0"),
        ("Ground resolution", "unknown", 1, "100.0"),
    ]


def test_intervals_over_images(make):
    pictures = [{"native": (30, 0, 10, 60)}, {"native": (10, 0, 30, 60)}]
    one, other = make(scgcnet=[pictures], unet=[[{**image, "group": "one"} for image in pictures]])
    row, alone = rows(measures.image_table([one, other]))
    assert row["IoU"] == row["Recall"] == "50.0 [25.0, 75.0]"
    assert row["Overall accuracy"] == "80.0 [70.0, 90.0]"
    assert alone["IoU"] == "-"  # all images show the same ground


@pytest.mark.parametrize("table", ["size_table", "edge_table", "alarm_table", "place_table", "image_table"])
def test_only_networks_with_counts_have_rows(make, make_record, table):
    show = getattr(measures, table)
    (one,) = make(scgcnet=[FIRST])
    uncounted = replace(one, runs=one.runs.assign(finished_utc="2027-01-02T03:04:05Z"))
    assert set(show([one, uncounted]).frame["Network"]) == {"scgcnet"}
    assert not show([one]).frame.isna().any().any()
    assert rows(show([uncounted])) == rows(show([])) == [{"Network": "none has per-image counts"}]


def test_synthetic_images_are_named(project, plan, make_record):
    smoke = next(run for run in plan.select("smoke") if run.model == "scgcnet" and run.unaltered)
    write_counted(make_record, smoke, FIRST, kind="synthetic")
    found = gather({"scgcnet": smoke}, results.runs("synthetic"))
    assert measures.size_table(found).caption.startswith("Synthetic images")
    assert "10 m, synthetic" in set(measures.place_table(found).frame["Which"])
