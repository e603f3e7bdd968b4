"""Networks on the same test images: values by hand, groups that are kept together, and what is left open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scgcnet.study import resampling
from scgcnet.study.contest import Comparison, compare_all, gather, image_interval, image_ious, rank_all, with_overrides
from scgcnet.study.details import find_details
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import Record

Make = Callable[..., Record]


@pytest.fixture
def runs(project: Path) -> dict[str, Run]:
    plan = load_plan()
    return {model: plan.make_run("bijie", model, "tiny", "cpu") for model in ("scgcnet", "unet", "fcn", "segnext")}


def images(*hits: int, groups: str = "") -> list[dict[str, object]]:
    """Images of 100 landslide pixels of which so many are found, without an alarm: their IoU in percent."""
    names = groups or "abcdefghijklmnopqrstuvwxyz"
    return [{"native": (hit, 0, 100 - hit, 900), "group": name} for hit, name in zip(hits, names, strict=False)]


def test_everyone_is_gathered_with_the_seeds_of_one_split(
    runs: dict[str, Run], make_record: Make, make_details: Make
) -> None:
    ours = runs["scgcnet"]
    records = [
        make_details(replace(ours, seed=1), images(70, 50)),
        make_details(ours, images(60, 40)),
        make_record(replace(ours, split=1)),
        make_record(replace(ours, split="grouped-0")),
        make_record(replace(ours, settings={**ours.settings, "lr": 0.5})),
        make_record(replace(ours, overrides={"cam": False})),
        make_record(replace(ours, prediction={"views": 2, "thresholds": [0.5]})),
        make_details(runs["unet"], images(30, 10)),
        make_record(replace(runs["unet"], seed=1), 0.4),
    ]
    chosen = {"U-Net": runs["unet"], "Ours": ours, "FCN": runs["fcn"]}
    found = gather(chosen, records)
    assert [one.name for one in found] == ["U-Net", "Ours", "FCN"]
    unet, own, fcn = found
    assert [record.seed for record in own.records] == [0, 1]
    assert own.scores("iou") == pytest.approx([50, 60])
    assert own.summary("iou").mean == pytest.approx(55)
    assert own.summary("iou").low == pytest.approx(0)  # 5 points times 12.7, cut where scores end
    assert own.counts().tolist() == [[[60, 0, 40, 900], [40, 0, 60, 900]], [[70, 0, 30, 900], [50, 0, 50, 900]]]
    assert own.groups == ["a", "b"]
    assert (unet.summary("iou").n, len(unet.details)) == (2, 1)  # the second seed was not counted by image
    assert (fcn.records, fcn.details, fcn.summary("iou")) == ((), (), None)


def test_networks_on_other_images_are_refused(runs: dict[str, Run], make_details: Make) -> None:
    first = make_details(runs["scgcnet"], images(60, 40))
    chosen = {name: runs[name] for name in ("scgcnet", "unet")}
    for others in (images(60, 40, 50), [{**image, "name": f"other {n}"} for n, image in enumerate(images(60, 40))]):
        with pytest.raises(ValueError, match="scored on different test images"):
            gather(chosen, [first, make_details(runs["unet"], others)])
    assert len(gather(chosen, [first, make_details(runs["unet"], images(10, 20))])) == 2


def test_a_broken_file_of_counts_is_no_missing_one(project: Path, runs: dict[str, Run], make_details: Make) -> None:
    record = make_details(runs["scgcnet"], images(60, 40))
    path = project / find_details(record).file
    path.write_text(path.read_text().replace("image 1", "image 2"))
    with pytest.raises(StoreError, match="content_sha256"):
        gather({"Ours": runs["scgcnet"]}, [record])


def test_differences_by_hand_and_what_they_say(runs: dict[str, Run], make_details: Make) -> None:
    """Ours finds 60 and 61 % of each image; U-Net 30 and 31 %, FCN 90 % with one seed, SegNeXt as much as ours."""
    hits = {"scgcnet": (60, 61), "unet": (30, 31), "fcn": (90,), "segnext": (61, 60)}
    records = [
        make_details(replace(runs[name], seed=seed), images(*[hit] * 12))
        for name, found in hits.items()
        for seed, hit in enumerate(found)
    ]
    compared = compare_all(gather(runs, records), "scgcnet")
    assert list(compared) == ["unet", "fcn", "segnext"]
    unet, fcn, segnext = compared.values()
    assert (unet.difference.value, fcn.difference.value) == (pytest.approx(-30), pytest.approx(30))
    assert (unet.difference.low, unet.difference.high) == (pytest.approx(-30), pytest.approx(-30))
    # Two means of two values, each of variance 1/2: half = t(2 degrees) * sqrt(1/2) = 6.2053 * 0.7071; the t is that of
    # 98.75 %, since two of the three have an interval over seeds.
    assert unet.seeds == (pytest.approx(-34.3878, abs=1e-3), pytest.approx(-25.6122, abs=1e-3))
    few = compare_all(gather({name: runs[name] for name in ("scgcnet", "unet", "fcn")}, records), "scgcnet")
    assert few["unet"].seeds == (pytest.approx(-33.0424, abs=1e-3), pytest.approx(-26.9576, abs=1e-3))  # alone: 97.5 %
    assert fcn.seeds is None
    assert unet.difference.p < 0.005
    adjusted = resampling.holm([one.difference.p for one in compared.values()])
    assert [one.p for one in compared.values()] == adjusted
    assert adjusted[0] > unet.difference.p
    assert [one.counted for one in (unet, fcn)] == [([0, 1], [0, 1]), ([0], [0])]  # ours with the very seeds
    told = ["worse", "unresolved: a single seed", "unresolved: seeds"]
    assert [one.in_words for one in compared.values()] == told
    assert [one.outcome for one in compared.values()] == ["worse", "unresolved", "unresolved"]
    assert (segnext.difference.value, segnext.p) == (pytest.approx(0), 1)
    back = compare_all(gather(runs, records), "unet")
    assert (back["scgcnet"].outcome, back["scgcnet"].difference.value) == ("better", pytest.approx(30))


def test_images_that_share_ground_are_swapped_together(runs: dict[str, Run], make_details: Make) -> None:
    """Twelve images of two grounds are two cases, of which nothing can be said."""

    def compared(groups: str) -> Comparison:
        records = [
            make_details(replace(runs[name], seed=seed), images(*[hit + seed] * 12, groups=groups))
            for name, hit in (("scgcnet", 60), ("unet", 30))
            for seed in (0, 1)
        ]
        return compare_all(gather({name: runs[name] for name in ("scgcnet", "unet")}, records), "scgcnet")["unet"]

    assert compared("abcdefghijkl").outcome == "worse"
    assert (compared("aaaaaabbbbbb").outcome, compared("aaaaaabbbbbb").p > 0.4) == ("unresolved", True)


def test_without_counts_of_the_reference_nobody_is_compared(
    runs: dict[str, Run], make_record: Make, make_details: Make
) -> None:
    records = [make_record(runs["scgcnet"]), make_details(runs["unet"], images(30, 20))]
    found = gather({name: runs[name] for name in ("scgcnet", "unet")}, records)
    assert compare_all(found, "scgcnet") == {} == compare_all(found, "nobody")
    assert compare_all(found, "unet") == {}  # there it is, and alone


def test_ranks_by_hand(runs: dict[str, Run], make_details: Make) -> None:
    """Images a and b are one ground: their means rank ours first there, where U-Net is ahead on b alone."""
    records = [
        make_details(runs["scgcnet"], images(90, 40, 50, 60, groups="xxcd")),
        make_details(runs["unet"], images(20, 60, 50, 50, groups="xxcd")),
        make_details(runs["fcn"], images(10, 10, 10, 70, groups="xxcd")),
    ]
    ranking = rank_all(gather(runs, records))  # SegNeXt has none
    # x: 65, 40, 10; c: 50, 50, 10; d: 60, 50, 70.
    assert ranking.ranks == {
        "scgcnet": pytest.approx((1 + 1.5 + 2) / 3),
        "unet": pytest.approx((2 + 1.5 + 3) / 3),
        "fcn": pytest.approx((3 + 3 + 1) / 3),
    }
    assert list(ranking.ranks) == ["scgcnet", "unet", "fcn"]
    assert ranking.groups == 3
    assert ranking.critical == pytest.approx(2.343 * (3 * 4 / (6 * 3)) ** 0.5, abs=1e-3)  # Demsar 2006, table 5
    assert ranking.cliques == [["scgcnet", "unet", "fcn"]]
    assert ranking.p == pytest.approx(resampling.friedman([[65, 40, 10], [50, 50, 10], [60, 50, 70]]))
    assert rank_all(gather(runs, records[:2])) is None


def test_ranks_of_many_images_part_the_best_from_the_worst(runs: dict[str, Run], make_details: Make) -> None:
    hits = {"scgcnet": 60, "unet": 20, "fcn": 40}
    ranking = rank_all(gather(runs, [make_details(runs[name], images(*[hit] * 20)) for name, hit in hits.items()]))
    assert ranking.ranks == {"scgcnet": 1, "fcn": 2, "unet": 3}
    assert (ranking.cliques, ranking.p < 1e-8) == ([], True)


def test_the_iou_of_an_image_without_anything_is_one(runs: dict[str, Run], make_details: Make) -> None:
    pictures = [(0, 0, 0, 50), (0, 10, 0, 40), (0, 0, 10, 40), {"native": (30, 5, 15, 0), "resized": (10, 5, 5, 0)}]
    records = [make_details(runs["unet"], pictures), make_details(replace(runs["unet"], seed=1), [(0, 2, 0, 48)] * 4)]
    (one,) = gather({"U-Net": runs["unet"]}, records)
    assert image_ious(one) == pytest.approx([0.5, 0, 0, 0.25])
    assert image_ious(one, "native") == pytest.approx([0.5, 0, 0, 0.3])


def test_an_interval_over_images_needs_two_grounds(runs: dict[str, Run], make_record: Make, make_details: Make) -> None:
    def interval(record: Record, score: str = "iou") -> resampling.Interval | None:
        return image_interval(gather({"Ours": runs["scgcnet"]}, [record])[0], score)

    found = interval(make_details(runs["scgcnet"], images(20, 60, 70, groups="xxc")))
    assert (found.images, found.groups, found.value) == (3, 2, pytest.approx(50))
    assert (found.low, found.high) == (pytest.approx(40), pytest.approx(70))  # one ground or the other, drawn twice
    recall = interval(make_details(runs["scgcnet"], [(10, 90, 30, 0), (30, 0, 10, 0)]), "recall")
    assert (recall.value, recall.low, recall.high) == (pytest.approx(50), pytest.approx(25), pytest.approx(75))
    assert interval(make_details(runs["scgcnet"], images(20, 60, groups="xx"))) is None
    assert interval(make_record(replace(runs["scgcnet"], seed=1))) is None


def test_runs_that_differ_in_their_network_alone(runs: dict[str, Run]) -> None:
    rows = {"without": {"cam": False}, "whole": {"cam": True}}
    made = with_overrides(runs["scgcnet"], rows, "whole")
    assert made["whole"].run_id == runs["scgcnet"].run_id
    assert made["without"].config == {**runs["scgcnet"].config, "overrides": {"cam": False}}
