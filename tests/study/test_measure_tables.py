"""Finer measures, on images whose landslides, edges and alarms are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from table_rows import rows

from scgcnet import zoo
from scgcnet.study import measure_tables
from scgcnet.study.contest import Contestant, gather
from scgcnet.study.details import FreeDetail, find_details
from scgcnet.study.measure_tables import (
    alarm_table,
    alarmed_share,
    boundary_iou,
    by_size,
    edge_table,
    false_alarm_share,
    image_table,
    leading,
    page_contest,
    place_table,
    size_curves,
    size_table,
)
from scgcnet.study.plan import Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import WEIGHTS_FOLDER
from scgcnet.study.store import Record

Make = Callable[..., Record]
Images = Sequence[Mapping[str, object]]
NOBODY = [{"Network": "none was counted by image: scgcnet study details"}]

#: At 10 m a pixel has 100 square metres; at 2 m it has 4.
FIRST: Images = [
    {
        "native": (13, 6, 17, 64), "components": [[20, 10], [6, 3], [4, 0]], "alarms": [4, 2], "resolution": 10.0,
        "boundary": [[5, 20], [10, 20], [15, 20]], "site": "north", "group": "a",
    },
    {
        "native": (100, 50, 100, 750), "components": [[200, 100]], "alarms": [], "resolution": 2.0,
        "boundary": [[15, 80], [20, 80], [45, 80]], "site": "south", "group": "b",
    },
]  # fmt: skip


@pytest.fixture
def runs(project: Path) -> dict[str, Run]:
    plan = load_plan()
    return {model: plan.make_run("bijie", model, "tiny", "cpu") for model in ("scgcnet", "unet", "fcn")}


@pytest.fixture
def contest(runs: dict[str, Run], make_details: Make) -> Callable[..., list[Contestant]]:
    """Contestants by name, with the images of each seed; who is not named takes part without any run."""

    def contest(**seeds: Sequence[Images]) -> list[Contestant]:
        records = [
            make_details(replace(runs[name], seed=seed), images, [FreeDetail("n", 100, 2.0, [3])])
            for name, found in seeds.items()
            for seed, images in enumerate(found)
        ]
        return gather(runs, records)

    return contest


def changed(number: int, **fields: object) -> Images:
    """The first two images, with one of them changed."""
    return [{**image, **fields} if place == number else image for place, image in enumerate(FIRST)]


def test_landslides_by_size_in_square_metres(contest: Callable[..., list[Contestant]]) -> None:
    """Two of 400 and 600 m2 in classes of their own, one of 2000 and one of 800 m2."""
    one, *_ = contest(scgcnet=[FIRST])
    sizes = {size.label: size for size in by_size(one)}
    assert {label: size.landslides for label, size in sizes.items()} == {
        "0 to 500 m²": 1,  # 4 pixels of 100
        "500 to 2,000 m²": 2,  # 6 of 100, 200 of 4
        "2,000 to 5,000 m²": 1,  # 20 of 100
    }
    small, middle, large = sizes.values()
    assert (small.found, small.area) == (0, 0)
    assert (middle.found, middle.area) == (100, 50)  # half of its pixels is enough
    assert (large.found, large.area) == (100, 50)
    # Wilson (1927) for none of 1 and both of 2: z² / (1 + z²), and 2 / (2 + z²).
    assert (small.low, small.high) == (0, pytest.approx(79.35, abs=0.01))
    assert (middle.low, middle.high) == (pytest.approx(34.24, abs=0.01), 100)


def test_sizes_are_pixels_where_a_resolution_is_not_known(contest: Callable[..., list[Contestant]]) -> None:
    one, *_ = contest(scgcnet=[changed(1, resolution=None, native=(300, 0, 20_700, 0), components=[[21_000, 300]])])
    assert [(size.label, size.landslides, size.area) for size in by_size(one)] == [
        ("0 to 500 px", 3, pytest.approx(100 * (0.5 + 0.5 + 0) / 3)),
        ("20,000 px and more", 1, pytest.approx(100 / 70)),
    ]


def test_seeds_are_averaged_and_count_once(contest: Callable[..., list[Contestant]]) -> None:
    missed = changed(1, native=(0, 50, 200, 750), components=[[200, 0]])
    one, *_ = contest(scgcnet=[FIRST, missed])
    middle = by_size(one)[1]
    assert (middle.landslides, middle.found, middle.area) == (2, 75, 37.5)
    (row, *_) = rows(size_table([one]))
    assert row["500 to 2,000 m² (2)"] == "75 found, 38 of area"
    assert [link.href for link in row["Counts"].items] == [details.file for details in one.details]
    assert [details.file for details in one.details] == [find_details(record).file for record in one.records]


def test_curves_are_the_table_for_a_figure(contest: Callable[..., list[Contestant]]) -> None:
    found = contest(scgcnet=[FIRST], unet=[FIRST])
    curves, landslides = size_curves(found, ["unet", "fcn"])  # of FCN there is nothing
    assert (list(curves), landslides) == (["unet"], [1, 2, 1])
    assert curves["unet"][1] == ("500 to 2,000 m²", 100, pytest.approx(34.24, abs=0.01), 100)
    assert size_curves(found, ["fcn"]) == ({}, [])


def test_edges_are_pooled_over_images_and_averaged_over_seeds(contest: Callable[..., list[Contestant]]) -> None:
    other = changed(1, boundary=[[75, 80], [0, 80], [80, 80]])
    one, *_ = contest(scgcnet=[FIRST, other])
    assert boundary_iou(one, 0) == pytest.approx((20 + 80) / 2)
    assert [boundary_iou(one, place) for place in (1, 2)] == pytest.approx([(30 + 10) / 2, (60 + 95) / 2])
    (row,) = rows(edge_table([one]))
    assert {key: row[key] for key in ("Network", "2 px", "4 px", "8 px")} == {
        "Network": "scgcnet", "2 px": "50.0", "4 px": "20.0", "8 px": "77.5"
    }  # fmt: skip
    none = {"native": (0, 0, 0, 100), "resolution": 1.0}
    assert boundary_iou(contest(scgcnet=[[none, none]])[0], 0) == 0  # no edge in truth or prediction


def test_false_alarms_by_hand(contest: Callable[..., list[Contestant]]) -> None:
    one, *_ = contest(scgcnet=[FIRST])
    (row,) = rows(alarm_table([one]))
    assert row["Falsely alarmed, m² an image"] == "400"  # (6 * 100 + 50 * 4) / 2
    assert row["Falsely alarmed, m² per km² of all ground"] == "57,143"  # 800 of 14,000 m²
    assert row["Patches without a landslide, an image"] == "1.00"
    assert row["Landslide-free images with an alarm (of 1)"] == "100.0 %"
    assert row["Falsely alarmed there, m² per km²"] == "30,000"
    assert false_alarm_share(one) == pytest.approx(100 * 56 / (56 + 814))


def test_false_alarms_are_means_over_seeds(runs: dict[str, Run], make_details: Make) -> None:
    quiet = [{**image, "native": (tp, 0, fn, fp + tn), "alarms": []} for image in FIRST
             for tp, fp, fn, tn in [image["native"]]]  # fmt: skip
    free = [FreeDetail("m", 100, 2.0, []), FreeDetail("n", 300, 2.0, [3, 1])]
    records = [
        make_details(runs["scgcnet"], FIRST, free),
        make_details(replace(runs["scgcnet"], seed=1), quiet, [replace(image, alarms=[]) for image in free]),
    ]
    (one,) = gather({"scgcnet": runs["scgcnet"]}, records)
    (row,) = rows(alarm_table([one]))
    assert (row["Falsely alarmed, m² an image"], row["Patches without a landslide, an image"]) == ("200", "0.50")
    assert alarmed_share(one) == 25  # one of two images with one of two seeds
    assert row["Landslide-free images with an alarm (of 2)"] == "25.0 %"
    assert row["Falsely alarmed there, m² per km²"] == "5,000"
    assert false_alarm_share(one) == pytest.approx(50 * 56 / 870)


def test_what_cannot_be_counted_says_so(runs: dict[str, Run], make_details: Make) -> None:
    records = [
        make_details(runs["scgcnet"], changed(0, resolution=None)),
        make_details(runs["unet"], FIRST, [FreeDetail("n", 100, 2.0, [])]),
    ]
    table = alarm_table(gather(runs, records))
    ours, unet = rows(table)
    assert ours["Falsely alarmed, m² an image"] == "unknown: no ground resolution"
    assert ours["Landslide-free images with an alarm"] == "not counted"
    assert unet["Landslide-free images with an alarm (of 1)"] == "0.0 %"
    assert not table.frame.isna().any().any()


def test_scores_by_site_and_ground_resolution(contest: Callable[..., list[Contestant]]) -> None:
    other = changed(0, native=(30, 0, 0, 70), components=[[20, 20], [6, 6], [4, 4]])
    third = {"native": (10, 0, 0, 90), "site": "north", "resolution": None}
    one, *_ = contest(scgcnet=[[*FIRST, third], [*other, third]])
    found = {(row["By"], row["Which"]): (row["Images"], row["IoU"]) for row in rows(place_table([one]))}
    assert found == {
        ("Site", "north"): (2, f"{50 * (23 / 46 + 1):.2f}"),
        ("Site", "south"): (1, "40.00"),
        ("Ground resolution", "10 m"): (1, f"{50 * (13 / 36 + 1):.2f}"),
        ("Ground resolution", "2 m"): (1, "40.00"),
        ("Ground resolution", "unknown"): (1, "100.00"),
    }
    plain, *_ = contest(scgcnet=[[{**image, "site": ""} for image in FIRST]])
    assert rows(place_table([plain]), By="Site")[0]["Which"] == "one place"


def test_scores_with_their_intervals_over_images(contest: Callable[..., list[Contestant]]) -> None:
    pictures = [{"native": (30, 0, 10, 60)}, {"native": (10, 0, 30, 60)}]
    (row,) = rows(image_table(contest(scgcnet=[pictures])[:1]))
    assert row["IoU"] == row["Recall"] == "50.00 [25.00, 75.00]"
    assert row["Precision"] == "100.00 [100.00, 100.00]"
    assert row["Overall accuracy"] == "80.00 [70.00, 90.00]"
    (alone,) = rows(image_table(contest(scgcnet=[[{**image, "group": "one"} for image in pictures]])[:1]))
    assert alone["IoU"] == alone["Overall accuracy"] == "-"  # all of one ground


@pytest.mark.parametrize("table", ["size_table", "edge_table", "alarm_table", "place_table", "image_table"])
def test_only_those_counted_by_image_have_rows(
    contest: Callable[..., list[Contestant]], runs: dict[str, Run], make_record: Make, table: str
) -> None:
    make = getattr(measure_tables, table)
    found = contest(scgcnet=[FIRST], unet=[FIRST])
    shown = make(found)
    assert list(dict.fromkeys(shown.frame["Network"])) == ["scgcnet", "unet"]
    assert not shown.frame.isna().any().any()
    assert "" not in shown.frame.map(str).to_numpy()
    assert rows(make([])) == NOBODY
    uncounted = gather({"fcn": runs["fcn"]}, [make_record(runs["fcn"])])
    assert rows(make(uncounted)) == NOBODY


def test_the_leading_ones_are_those_whose_weights_are_at_hand(
    project: Path, contest: Callable[..., list[Contestant]]
) -> None:
    better = [{"native": (90, 0, 10, 0)}, {"native": (90, 0, 10, 0)}]
    found = contest(scgcnet=[FIRST], unet=[better], fcn=[better[:1] * 2])
    assert leading(found, "scgcnet", 3) == []
    network = zoo.create_model("scgcnet", "tiny")
    for one in found[:2]:
        (record,) = one.records
        stamp = {"run_id": record.run_id, "finished_utc": record.finished_utc}
        zoo.save_model(network, project / WEIGHTS_FOLDER / f"{record.run_id}.safetensors", stamp)
    assert [one.name for one in leading(found, "scgcnet", 3)] == ["scgcnet", "unet"]  # ours first, though it is worse
    assert [one.name for one in leading(found, "nobody", 1)] == ["unet"]


def test_a_page_counts_real_images_where_there_are_any(
    runs: dict[str, Run], make_record: Make, make_details: Make
) -> None:
    """What it trained on made-up images is counted only where no run on real ones was, and then says so."""
    plan = load_plan()
    smoke = plan.select("smoke")[0]
    made = make_details(smoke, FIRST, kind="synthetic")
    real = make_details(runs["scgcnet"], FIRST)
    found, note = page_contest([smoke], [made], "bijie", plan, [real])
    assert ([one.name for one in found], found[0].records, note.kind) == (["scgcnet tiny"], (real,), "note")
    assert "not what this page trained itself" in note.text
    uncounted = make_record(runs["scgcnet"], finished_utc="2027-01-02T03:04:05Z")
    for others in ([], [uncounted]):
        found, note = page_contest([smoke], [made], "bijie", plan, others)
        assert (found[0].records, note.title, note.kind) == ((made,), "Made-up images", "warning")
    assert page_contest([smoke], [made], "cld", plan, [real])[1].kind == "warning"
    found, note = page_contest([runs["scgcnet"]], [real], "bijie", plan, [])
    assert (found[0].records, note.kind) == ((real,), "note")


def test_each_row_says_how_many_seeds_it_is_of(contest: Callable[..., list[Contestant]]) -> None:
    found = contest(scgcnet=[FIRST])
    two = [replace(one, records=(*one.records, replace(one.records[0], seed=1))) for one in found if one.records]
    for show in (image_table, size_table, edge_table, alarm_table, place_table):
        assert {row["Seeds counted"] for row in rows(show(two))} == {"1 of 2 seeds"}
