"""The benchmarks run, print and store what they say, never how fast."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from map_scenes import Bright
from PIL import Image

from scgcnet import zoo
from scgcnet.bench import images, labels, timings
from scgcnet.bench.timings import BenchError, bench, compared, median_ms
from scgcnet.chapters.efficiency import iou_curves
from scgcnet.cli import main
from scgcnet.data import open_dataset, open_whole, write_fake
from scgcnet.metrics import Confusion
from scgcnet.own import training
from scgcnet.own.source import find_source
from scgcnet.scan import selective_scan_2d
from scgcnet.scene.seams import Mosaic
from scgcnet.study.runs import project_root
from scgcnet.train.predict import predict

LIMITS = {"exponentials": 1e9, "copied_bytes": 1e9, "multiply_accumulates": 1e9}
TINY = ("scgcnet", "tiny")


class TestMeasures:
    def test_functions_take_turns_and_the_first_turn_is_not_timed(self) -> None:
        calls: list[str] = []

        def call(name: str) -> None:
            calls.append(name)
            time.sleep(0.05 if calls.count(name) == 1 else 0)

        found = median_ms({name: lambda name=name: call(name) for name in "ab"}, repeats=3, budget=10)
        assert calls == ["a", "a", "b", "b"] * 4  # each once more, untimed, before it is timed
        assert max(found.values()) < 50
        median_ms({"": lambda: calls.append("")}, repeats=9, budget=0)
        assert calls.count("") == 2  # one turn is timed whatever the budget

    def test_the_machine(self) -> None:
        assert min(timings.measure_limits("cpu", quick=True).values()) > 1e6
        assert timings.describe("cpu").keys() == {"processor", "cores", "threads", "load_before", "torch", "device"}

    @pytest.mark.slow
    def test_memory_is_at_least_the_outputs_and_gradients(self) -> None:
        """Those of (2, 1024, 192, 1): y, dx 1.6 MB each, ddelta 6.3 MB; a step may need some more, not ten times."""
        extra = timings.in_fresh_process(timings._scan_extra_mb, (2, 1024, 192, 1), "numba")
        if extra is None:
            pytest.skip("this system does not report a process's peak memory")
        assert 9 < extra < 30


class TestScan:
    def test_stepwise_is_the_same_scan(self) -> None:
        inputs = timings.make_inputs((2, 16, 5, 3))
        y, expected = timings.stepwise(*inputs), selective_scan_2d(*inputs, backend="reference")
        torch.testing.assert_close(y, expected)
        dy = torch.randn_like(y)
        for a, b in zip(torch.autograd.grad(y, inputs, dy), torch.autograd.grad(expected, inputs, dy), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)

    def test_large_sizes_leave_stepwise_out(self) -> None:
        assert timings.backends((1, 64, 8, 1), "cpu") == ["numba", "reference", "stepwise"]
        assert timings.backends((1, 65536, 192, 16), "cpu") == ["numba", "reference"]

    def test_shares_and_speedup_follow_from_the_times(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(timings, "in_fresh_process", lambda function, size, name: {"numba": 1.4}.get(name))
        rows = timings.measure_scan((2, 64, 8, 3), LIMITS, "cpu", repeats=1, budget=1)
        found = [(row["backend"], row["extra_mb"]) for row in rows]
        assert found == [("numba", 1.4), ("reference", None), ("stepwise", None)]
        assert rows[1]["speedup"] == 1
        for row in rows:
            for way in ("forward", "backward"):
                per_second = 4 * 2 * 64 * 8 * 3 / (row[f"{way}_ms"] / 1e3)
                assert row[f"{way}_exp_share"] == pytest.approx(per_second / 1e9)


class TestNetworks:
    def test_speed_is_relative_to_the_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(timings, "in_fresh_process", lambda *_: 12.4)
        own, other = timings.measure_training([TINY, ("icnet", "tiny")], 64, 2, "cpu", 1, memory=True)
        assert (own["ratio"], own["extra_mb"]) == (1, 12.4)
        assert other["ratio"] == pytest.approx(own["ms_per_image"] / other["ms_per_image"])

    def test_a_step_trains_every_head(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shapes: list[tuple[int, ...]] = []

        def loss(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(logits.shape))
            return logits.square().mean()

        monkeypatch.setattr("scgcnet.train.losses.composite_loss", loss)
        timings.training_step(("convnext", "tiny"), torch.randn(2, 3, 64, 64), torch.zeros(2, 64, 64).long())()
        assert shapes == [(2, 2, 64, 64)] * 2

    def test_an_image_that_would_take_too_long_is_counted_and_not_run(self) -> None:
        first, second, third = timings.measure_forward(TINY, (32, 64, 1024), LIMITS, "cpu", 0.5, memory=False)
        assert second["ms"] is not None
        assert first["share"] == pytest.approx(first["gmac"] * 1e9 / (first["ms"] / 1e3) / 1e9)
        assert (third["ms"], third["share"]) == (None, None)
        assert third["gmac"] == pytest.approx(256 * second["gmac"])

    def test_the_profile_distinguishes_kinds_of_operators(self) -> None:
        own, other = (timings.measure_profile((name, "tiny"), 64, 2, rounds=1) for name in ("scgcnet", "convnext"))
        assert list(own) == [*timings.KINDS, timings.OTHER] and all(ms > 0 for ms in own.values())
        assert other["scan"] == 0


class TestBench:
    @pytest.mark.slow
    def test_tables_file_and_comparison(self, tmp_path: Path, monkeypatch, capsys) -> None:
        monkeypatch.setattr(timings, "QUICK_SCANS", ((1, 64, 8, 1),))
        monkeypatch.setattr(timings, "in_fresh_process", lambda *_: None)
        before, after = tmp_path / "before.json", tmp_path / "after.json"
        assert main(["bench", "all", "--quick", "--json", str(before)]) == 0
        printed = capsys.readouterr().out
        for word in ("limits", "(1, 64, 8, 1)", "stepwise", "swin", "gmac", "normalisation"):
            assert word in printed
        found = json.loads(before.read_text())
        assert found.keys() == {"machine", "limits", "quick", "scan", "training", "forward", "profile"}
        assert main(["bench", "scan", "--quick", "--json", str(after), "--against", str(before)]) == 0
        lines = capsys.readouterr().out.splitlines()
        line = next(line for line in lines if line.startswith("scan [1, 64, 8, 1] numba forward_ms"))
        now = json.loads(after.read_text())
        speed = found["scan"][0]["forward_ms"] / now["scan"][0]["forward_ms"]
        assert float(line.split()[-1]) == pytest.approx(speed, abs=0.01)

    def test_runs_of_other_machines_are_named(self) -> None:
        row = {"size": [1, 4, 8, 1], "backend": "numba", "forward_ms": 2.0, "backward_ms": 6.0}
        one = {"machine": {"processor": "a"}, "scan": [row]}
        other = {"machine": {"processor": "b"}, "scan": [{**row, "forward_ms": 1.0}]}
        assert "another machine" in compared(one, other) and "0.5" in compared(one, other)
        assert "another machine" not in compared(one, one)
        assert compared(one, {"machine": {}, "training": []}) == "nothing in common"

    @pytest.mark.parametrize("text", [None, "no json", "[]", json.dumps({"machine": 1, "quick": True}), "{}"])
    def test_a_file_without_timings_is_refused_before_anything_is_timed(self, text: str | None, tmp_path: Path) -> None:
        path = tmp_path / "x.json"
        if text is not None:
            path.write_text(text)
        with pytest.raises(BenchError, match=r"x\.json: no timings"):
            bench(against=path)

    def test_a_missing_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(BenchError, match="no CUDA device"):
            bench(device="cuda")


def test_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_fake("bijie", tmp_path, n=20, seed=0)
    rates = images.bench_data("bijie", tmp_path, image_size=32)
    printed = capsys.readouterr().out
    assert "bijie: 8 images" in printed  # a whole batch of the ten training images
    assert [int(n) for n in re.findall(r"^\w+ +(\d+)$", printed, re.MULTILINE)] == [round(r) for r in rates.values()]
    assert min(rates.values()) > 0
    slower = "training" if rates["augment"] > rates["train"] else "the images"
    assert f"{slower} limits" in printed


class TestScene:
    @pytest.mark.slow
    def test_memory_and_speed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        numbers = tmp_path / "numbers.json"
        arguments = ["--side", "300", "--window", "128", "--scale", "1", "--against", str(project_root())]
        assert main(["bench", "scene", *arguments, "--json", str(numbers)]) == 0
        assert capsys.readouterr().out.count("megapixels/s, peak") == 2
        older, ours = json.loads(numbers.read_text())["rows"]
        assert (ours["side"], ours["window"], ours["windows"], ours["code"], ours["cores"]) == (300, "128", 9, "", 1)
        assert len(older["code"]) >= 7 and older["polygons"] == ours["polygons"]
        assert ours["peak_mb"] > 100  # no upper bound: a child's peak begins at its parent's, which here is pytest

    def test_a_mapping_that_fails(self) -> None:
        with pytest.raises(BenchError, match="the mapping failed with status 2"):
            images.bench_scene(64, "tiny-bijie", {"overlap": 0.9})

    def test_not_a_checkout(self, tmp_path: Path) -> None:
        with pytest.raises(BenchError, match=f"{tmp_path}: not a checkout of this project; make one: git worktree add"):
            images.bench_scene(64, "tiny-bijie", against=tmp_path)


class TestSeams:
    def test_ways(self, tmp_path: Path, monkeypatch, capsys) -> None:
        image = np.full((200, 200, 3), 30, np.uint8)
        image[50:90, 50:90] = 230
        mosaic = Mosaic("A", image, (image[..., 0] > 100).astype(np.uint8))
        monkeypatch.setattr("scgcnet.scene.seams.read_mosaics", lambda: [mosaic])
        monkeypatch.setattr(zoo, "load_model", lambda path: Bright())
        numbers = tmp_path / "numbers.json"
        assert main(["bench", "seams", "--windows", "128", "--scales", "1,0.5", "--json", str(numbers)]) == 0
        assert capsys.readouterr().out.count("IoU") == 6
        ways = json.loads(numbers.read_text())["ways"][:3]
        assert [(way["window"], way["overlap"], way["scale"], way["iou"]) for way in ways] == [
            (128, 0, 1, 1),
            (128, 0.25, 1, 1),
            (0, 0, 1, 1),
        ]

    def test_without_the_mosaics(self, monkeypatch, tmp_path: Path, capsys) -> None:
        monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))
        assert main(["bench", "seams"]) == 2
        assert "the mosaics of AMU-Net are not there" in capsys.readouterr().err


class TestLabels:
    @pytest.fixture(autouse=True)
    def fakes(self, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))

    def test_windows_of_one_mosaic_share_no_pixel_and_the_other_is_scored(self, tmp_path: Path) -> None:
        write_fake("amunet", tmp_path)
        labelled, scored = labels._mosaics()
        for samples, mosaic in ((labelled, "A"), (scored, "B")):
            names = [sample.name.split("_") for sample in samples]
            assert names and {scene for scene, *_ in names} == {mosaic}
            assert all(int(top) % 256 == int(left) % 256 == 0 for _, top, left in names)
            assert all((sample.mask != 255).all() for sample in samples)
        assert all((sample.mask == 1).any() for sample in labelled)

    def test_windows_of_sites_of_which_none_is_scored(self, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.setattr(labels, "TILE", 32)
        write_fake("sichuan", tmp_path)
        labelled, scored = labels._sites()
        test = {name for name, part in open_whole("sichuan").split("0").items() if part == "test"}
        assert {sample.name for sample in scored} == test
        shown = {sample.name.split("_")[0] for sample in labelled}
        assert shown and not shown & test
        assert all(sample.mask.shape == (32, 32) and (sample.mask == 1).any() for sample in labelled)

    def test_written_as_a_user_holds_them(self, tmp_path: Path) -> None:
        sample = open_dataset("synthetic", 0, "val")[0]
        labels._write([sample], tmp_path / "windows")
        assert len(find_source(tmp_path / "windows").pictures) == 1
        mask = np.asarray(Image.open(tmp_path / "windows" / "masks" / f"{sample.name}.png"))
        np.testing.assert_array_equal(mask, 255 * sample.mask)

    @pytest.mark.slow
    def test_a_row_for_each_start_and_number(self, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.setattr(training, "BUDGET_EPOCHS", (1, 1))
        part = [open_dataset("synthetic", 0, "train")[index] for index in range(8)]
        network, start = zoo.create_model("scgcnet", "tiny"), tmp_path / "start.safetensors"
        zoo.save_model(network, start, {"window": "64"})
        rows = labels._measure(start, part[:6], part[6:], [4, 99], 0.01, tmp_path)
        assert [(row["start"], row["windows"]) for row in rows] == [
            ("left out", 0), ("left out", 4), ("nothing", 4), ("U-Net, ImageNet", 4),
        ]  # fmt: skip
        assert all(0 <= row["iou"] <= 100 and row.keys() == {"start", "windows", "iou", "low", "high"} for row in rows)

    def test_without_images_or_a_run_that_left_them_out(self) -> None:
        with pytest.raises(BenchError, match="no run that leaves amunet or sichuan out"):
            labels.bench_labels("bijie-scgcnet-lite0-windows-s0-5f8", [5], 1)


class TestSides:
    @pytest.fixture
    def network(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
        """One network with weights, which calls about half of a synthetic image landslide."""
        torch.manual_seed(0)
        network = zoo.create_model("scgcnet", "tiny").eval()
        with torch.no_grad():
            first = torch.from_numpy(next(iter(predict(network, open_dataset("synthetic", 0, "val"), [0], 64))))
            list(network.parameters())[-1][1] -= torch.logit(first.clamp(1e-6, 1 - 1e-6)).median()
        file = tmp_path / "weights.safetensors"
        zoo.save_model(network, file)
        monkeypatch.setattr(images, "PLACES", ("synthetic",))
        found = (48, {"scgcnet": file}, {"scgcnet": {"file": "results/runs/one.json", "seed": 0, "finished_utc": "x"}})
        monkeypatch.setattr(images, "trained_networks", lambda: found)
        return network

    def test_one_network_at_several_sizes(self, network, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "sides.json"
        assert main(["bench", "sides", "--sides", "32,64", "--json", str(file)]) == 0
        assert "no weights of danet, convnext, swin, vmamba" in capsys.readouterr().out
        part = open_dataset("synthetic", 0, "val")
        total = Confusion()
        for probability, sample in zip(predict(network, part, range(len(part)), 64), part, strict=True):
            total += Confusion.of(probability > 0.5, sample.mask)
        measured = json.loads(file.read_text())
        assert measured["networks"]["scgcnet"]["seed"] == 0 and measured["places"]["synthetic"]["images"] == len(part)
        found = iou_curves(measured, "synthetic")["SCGC-Net"]
        assert list(found) == [32, 48, 64]  # the size of training is added
        assert found[64] == pytest.approx(100 * total.scores()["iou"], abs=1e-4) != found[32]

    def test_without_weights_or_images(self, network, monkeypatch, tmp_path: Path) -> None:
        monkeypatch.setattr(images, "trained_networks", lambda: (48, {}, {}))
        with pytest.raises(BenchError, match="no weights to try"):
            images.bench_sides([32])
        monkeypatch.setenv("SCGCNET_DATA", str(tmp_path))
        monkeypatch.setattr(images, "PLACES", ("bijie",))
        with pytest.raises(BenchError, match="the images of bijie are missing"):
            images.bench_sides([32])
