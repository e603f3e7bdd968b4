"""Counts of each test image: against pictures whose counts are known, kept with their run, and refused when damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bijie_files import picture
from PIL import Image
from torch import Tensor, nn

from scgcnet.cli import main
from scgcnet.data import DatasetError, Sample, Subset, WholeDataset
from scgcnet.data.bijie import FOLDER
from scgcnet.data.synthetic import render
from scgcnet.study import details, material
from scgcnet.study.details import Details, FreeDetail, details_file, find_details, save_details, take_details
from scgcnet.study.ledger import StoreError
from scgcnet.study.plan import Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.store import SEAL, Record, seal
from scgcnet.train import evaluate

Make = Callable[..., Record]
REMEDY = "take it back from git, or take it again: scgcnet study details"
COUNTS = [(60, 10, 20, 910), (0, 0, 40, 960), {"native": (30, 5, 0, 65), "resized": (120, 20, 0, 260)}]


class Drawn(WholeDataset):
    """Samples made by hand."""

    def __init__(self, samples: list[Sample], sites: tuple[str, ...] = ()) -> None:
        super().__init__("bijie", "real", tuple(sample.name for sample in samples), sites)
        self.samples = samples

    def read(self, index: int) -> Sample:
        return self.samples[index]

    def split(self, which: str) -> Any:
        raise DatasetError("drawn by hand: there is no split")


class Red(nn.Module):
    """Calls landslide what is red."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(50.0))

    def forward(self, images: Tensor) -> Tensor:
        odds = self.gain * images[:, 0]
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


@pytest.fixture
def spec(project: Path) -> Run:
    return load_plan().make_run("bijie", "scgcnet", "tiny", "cpu", changes={"image_size": 64})


@pytest.fixture
def taken(spec: Run, make_record: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Details]:
    """Takes the details of a run of `Red` on samples made by hand."""

    def take(samples: list[Sample], sites: tuple[str, ...] = (), run: Run = spec) -> Details:
        test = Subset(Drawn(samples, sites), list(range(len(samples))))
        monkeypatch.setattr(material, "open_test", lambda asked: test)
        network = Red()
        record = make_record(run, metrics=evaluate(network, test, 64))
        found = take_details(run, network, record)
        assert not network._forward_hooks
        save_details(found, record)  # which holds them to the sums of the scores
        assert find_details(record) == found
        return found

    return take


def drawn(name: str, side: int, truth: list[tuple[slice, slice]], red: list[tuple[slice, slice]]) -> Sample:
    image, mask = np.zeros((side, side, 3), np.uint8), np.zeros((side, side), np.uint8)
    for place in truth:
        mask[place] = 1
    for place in red:
        image[place] = (255, 0, 0)
    return Sample(name, image, mask, None)


def box(top: int, left: int, height: int, width: int) -> tuple[slice, slice]:
    return slice(top, top + height), slice(left, left + width)


def test_counts_of_pictures_made_by_hand(taken: Callable[..., Details], spec: Run) -> None:
    """The first: a landslide found by half, one not found, an alarm. The second: twice the size, its top unknown."""
    half = drawn("half", 64, [box(8, 8, 8, 8), box(30, 40, 2, 3)], [box(8, 8, 8, 4), box(50, 50, 4, 5)])
    large = replace(drawn("large", 128, [box(60, 60, 20, 20)], [box(60, 60, 20, 20)]), resolution=2.0)
    large.mask[:10] = 255
    empty = drawn("empty", 64, [], [])
    found = taken([half, large, empty], ("north", "south", "south"))
    assert (found.run_id, found.data_kind, found.widths, found.free) == (spec.run_id, "real", [2, 4, 8], ())
    first, second, third = found.images
    assert [image.name for image in found.images] == ["half", "large", "empty"]
    assert [(image.site, image.resolution) for image in found.images] == [
        ("north", None), ("south", 2.0), ("south", None)
    ]  # fmt: skip
    assert first.native == first.resized == [32, 20, 38, 4096 - 90]
    assert (first.components, first.alarms) == ([[64, 32], [6, 0]], [20])
    # Of the 8 x 8 landslide 48 pixels lie at most 2 from its edge, 24 of them found; else whole patches are edge.
    assert first.boundary == [[24, 54 + 52 - 24], [32, 90], [32, 90]]
    assert second.native == [400, 0, 0, 128 * 128 - 400 - 1280]
    assert second.resized == [100, 0, 0, 64 * 64 - 100 - 320]
    assert (second.components, second.alarms) == ([[400, 400]], [])
    assert second.boundary == [[144, 144], [256, 256], [384, 384]]  # 400 less the 16, 12 and 4 px squares within
    assert (third.native, third.components, third.boundary) == ([0, 0, 0, 4096], [], [[0, 0]] * 3)
    assert found.counts("resized").tolist() == [image.resized for image in found.images]


def test_images_that_share_ground_are_one_group(taken: Callable[..., Details]) -> None:
    scene = render(5, 0, (160, 160))[0]
    crops = {"a": scene[:100, :100], "b": scene[40:140, 30:130], "c": render(6, 0, (100, 100))[0]}
    found = taken([Sample(name, crop.copy(), np.zeros((100, 100), np.uint8)) for name, crop in crops.items()])
    assert [image.group for image in found.images] == ["a", "a", "c"]


def test_many_images_are_counted_in_chunks(taken: Callable[..., Details], monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [drawn(f"{n:02}", 64, [box(0, 0, 2, n + 1)], [box(0, 0, 1, n + 1)]) for n in range(19)]
    whole = taken(samples)
    assert [image.native[0] for image in whole.images] == list(range(1, 20))
    monkeypatch.setattr(details, "CHUNK", 8)
    assert taken(samples) == whole


def test_a_failure_leaves_the_network_as_it_was(spec: Run, make_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Red):
        def forward(self, images: Tensor) -> Tensor:
            raise RuntimeError("out of memory")

    monkeypatch.setattr(material, "open_test", lambda asked: Subset(Drawn([drawn("a", 64, [], [])]), [0]))
    network = Stuck()
    with pytest.raises(RuntimeError, match="out of memory"):
        take_details(spec, network, make_record(spec))
    assert not network._forward_hooks


@pytest.fixture
def negatives(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three landslide-free images of Bijie: with two red patches, with a red line, without any red."""
    folder = project / "images" / FOLDER / "non-landslide" / "image"
    folder.mkdir(parents=True)
    red = {"n1": [box(2, 2, 3, 3), box(20, 20, 2, 2)], "n2": [box(5, 0, 1, 64)], "n3": []}
    for name, places in red.items():
        Image.fromarray(drawn(name, 64, [], places).image).save(folder / f"{name}.png")
    monkeypatch.setenv("SCGCNET_DATA", str(project / "images"))
    return folder


def test_alarms_on_landslide_free_images_are_counted(taken: Callable[..., Details], negatives: Path) -> None:
    found = taken([drawn("a", 64, [box(0, 0, 4, 4)], [])])
    assert found.free == (
        FreeDetail("n1", 4096, 0.8, [9, 4]),
        FreeDetail("n2", 4096, 0.8, [64]),
        FreeDetail("n3", 4096, 0.8, []),
    )


def test_landslide_free_images_that_were_trained_on_are_not(
    taken: Callable[..., Details], spec: Run, negatives: Path
) -> None:
    samples = [drawn("a", 64, [box(0, 0, 4, 4)], [])]
    assert taken(samples, run=replace(spec, train=("bijie", "bijie_negatives"))).free == ()
    assert taken(samples, run=replace(spec, dataset="cld")).free == ()  # another place
    assert len(taken(samples, run=replace(spec, train=("cld",))).free) == 3
    (negatives / "n2.png").write_bytes(picture(0)[0].tobytes())
    with pytest.raises(DatasetError, match=r"n2\.png cannot be decoded"):
        taken(samples)
    for file in negatives.iterdir():
        file.unlink()
    assert taken(samples).free == ()  # a download without them


@pytest.fixture
def record(spec: Run, make_details: Make) -> Record:
    return make_details(spec, COUNTS, [FreeDetail("n1", 4096, 0.8, [9, 4])])


def test_details_come_back_as_they_were_written(project: Path, record: Record) -> None:
    path = project / "results" / "details" / f"{record.run_id}.json"
    found = find_details(record)
    assert found is not None and path == project / found.file
    assert [image.native for image in found.images] == [[60, 10, 20, 910], [0, 0, 40, 960], [30, 5, 0, 65]]
    assert found.counts("resized").tolist()[2] == [120, 20, 0, 260]
    assert found.free == (FreeDetail("n1", 4096, 0.8, [9, 4]),)
    before = path.read_bytes()
    save_details(found, record)
    assert path.read_bytes() == before
    assert sum("image " in line for line in before.decode().splitlines()) == 3  # a line for each


def test_synthetic_ones_lie_apart(project: Path, spec: Run, make_details: Make) -> None:
    made = make_details(spec, COUNTS, kind="synthetic")
    assert details_file(made.run_id, "synthetic") == f"build/details/{made.run_id}.json"
    assert (project / "build" / "details" / f"{made.run_id}.json").is_file()
    assert find_details(made) is not None
    assert find_details(replace(made, data_kind="real")) is None
    assert not (project / "results" / "details").exists()


def test_details_of_an_older_training_are_not_taken(record: Record) -> None:
    assert find_details(record) is not None
    assert find_details(replace(record, finished_utc="2027-01-01T00:00:00Z")) is None


def test_there_may_be_none(project: Path, make_record: Make) -> None:
    assert find_details(make_record()) is None


def forged(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A change after which the hash fits."""

    def forge(tree: dict[str, Any]) -> dict[str, Any]:
        change(tree)
        return {**tree, SEAL: seal(tree)}

    return forge


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def edit(tree: dict[str, Any]) -> dict[str, Any]:
        change(tree)
        return tree

    return edit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (edited(lambda t: t["images"][0].update(alarms=[])), r"content_sha256: does not fit .*edited"),
        (edited(lambda t: t["free"].clear()), r"content_sha256: does not fit .*edited"),
        (edited(lambda t: t.update(content_sha256="1" * 64)), r"content_sha256: does not fit"),
        (edited(lambda t: t.pop("content_sha256")), r"'content_sha256' is a required"),
        (edited(lambda t: t.update(images=[])), r"images: \[\] "),
        (edited(lambda t: t.update(score=1)), r"unknown key score"),
        (edited(lambda t: t["images"][1].update(iou=1)), r"images\.1: unknown key iou"),
        (edited(lambda t: t["images"][1].pop("group")), r"images\.1: 'group' is a required"),
        (edited(lambda t: t["images"][2].update(native=[1, 2, 3])), r"images\.2\.native: "),
        (edited(lambda t: t["images"][2].update(native=[1, 2, 3, -4])), r"images\.2\.native\.3: -4 is less"),
        (edited(lambda t: t["images"][2].update(native=[1, 2, 3, 4.5])), r"images\.2\.native\.3: 4\.5 is not"),
        (edited(lambda t: t["images"][0].update(resolution=0)), r"images\.0\.resolution: "),
        (edited(lambda t: t["images"][0].update(resolution=float("inf"))), r"Out of range float"),
        (edited(lambda t: t["images"][0].update(resolution=float("nan"))), r"Out of range float"),
        (edited(lambda t: t.update(data_kind="fake")), r"data_kind: 'fake' is not one of"),
        # Whoever forges the hash as well: the sums give it away.
        (forged(lambda t: t["images"].pop()), r"counts of its images do not add up to the run file's"),
        (forged(lambda t: t["images"][0].update(native=[61, 10, 19, 910])), r"do not add up to the run file's"),
        (forged(lambda t: t["images"][0].update(resized=[61, 10, 19, 910])), r"resized counts do not give .* IoU"),
        (forged(lambda t: t["images"][0].update(components=[[80, 61]])), r"image 0: its landslides do not add up"),
        (forged(lambda t: t["images"][1].update(components=[])), r"image 1: its landslides do not add up"),
        (forged(lambda t: t["images"][1]["boundary"].pop()), r"image 1: 2 bands for \[2, 4, 8\]"),
        (forged(lambda t: t["widths"].append(16)), r"image 0: 3 bands for \[2, 4, 8, 16\]"),
        (forged(lambda t: t.update(run_id="another")), r"belongs to another of 2026-01-02T03:04:05Z"),
    ],
)
def test_what_was_changed_is_refused_with_a_remedy(
    project: Path, record: Record, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    path = project / details_file(record.run_id, "real")
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(StoreError, match=message) as error:
        find_details(record)
    assert str(error.value).startswith(f"{path}: ") and str(error.value).endswith(REMEDY)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '"text"', "{}", "\udcff", "[" * 100_000, "7" * 10_000])
def test_what_is_no_file_of_details_is_refused(project: Path, record: Record, text: str) -> None:
    path = project / details_file(record.run_id, "real")
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError, match=rf"{path.name}: cannot be read as details: .*; take it back from git"):
        find_details(record)


def test_a_truncated_file_is_refused(project: Path, record: Record) -> None:
    path = project / details_file(record.run_id, "real")
    whole = path.read_bytes()
    for end in range(0, len(whole) - 3, 97):
        path.write_bytes(whole[:end])
        with pytest.raises(StoreError, match="cannot be read as details"):
            find_details(record)


def test_a_folder_in_its_place_is_refused(project: Path, make_record: Make) -> None:
    made = make_record()
    (project / details_file(made.run_id, "real")).mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot be read as details: IsADirectoryError"):
        find_details(made)


def test_details_of_another_run_are_not_written(project: Path, spec: Run, record: Record, make_record: Make) -> None:
    found = find_details(record)
    assert found is not None
    path = project / found.file
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"do not add up to the run file's"):
        save_details(found, make_record(spec))
    with pytest.raises(StoreError, match=rf"belongs to {record.run_id} of 2026"):
        save_details(found, make_record(replace(spec, seed=1), metrics=record.metrics))
    with pytest.raises(StoreError, match=rf"belongs to {record.run_id} of 2026-01-02"):
        save_details(found, replace(record, finished_utc="2027-01-01T00:00:00Z"))
    assert path.read_bytes() == before


def test_layout_and_order_of_keys_are_no_edit(project: Path, record: Record) -> None:
    path, found = project / details_file(record.run_id, "real"), find_details(record)
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=7))
    assert find_details(record) == found


def test_the_command_counts_what_is_missing(project: Path, spec: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "details"]) == 0  # nothing is stored
    assert capsys.readouterr().out == ""
    planned = load_plan().select("cpu")[0]
    assert main(["study", "details", planned.run_id]) == 2
    told = f"scgcnet: {planned.run_id} is not stored: scgcnet study run {planned.run_id}\n"
    assert capsys.readouterr().err.endswith(told)
    assert main(["study", "details", "nope"]) == 2
    assert "no run in study.yml with an id like 'nope'" in capsys.readouterr().err
