"""Trained networks fed images at several sizes."""

import dataclasses
import json

import pytest
import torch

from scgcnet import zoo
from scgcnet.cli import main
from scgcnet.data import open_dataset
from scgcnet.study import load_plan, sides
from scgcnet.study.contest import gather
from scgcnet.train import Confusion, predict


@pytest.fixture
def network(project, make_record, monkeypatch):
    """A network with weights, and a second one whose weights are gone, on made-up images."""
    torch.manual_seed(0)
    network = zoo.create_model("scgcnet", "tiny").eval()
    images = open_dataset("synthetic", 0, "val")
    with torch.no_grad():  # about half of the pixels above the threshold
        odds = torch.logit(torch.from_numpy(next(iter(predict(network, images, [0], 64)))).clamp(1e-6, 1 - 1e-6))
        list(network.parameters())[-1][1] -= odds.median()
    run = next(run for run in load_plan().runs if run.dataset == "synthetic")
    record = make_record(run, kind="synthetic")
    weights = project / "build" / "weights" / f"{record.run_id}.safetensors"
    zoo.save_model(network, weights, {"run_id": record.run_id, "finished_utc": record.finished_utc})
    earlier = dataclasses.replace(record, finished_utc="2020-01-01T00:00:00Z")  # of which no weights are left
    found = [
        dataclasses.replace(one, name=name, records=records)
        for name, records in (("scgcnet", [earlier, record]), ("swin", [earlier]))
        for one in gather({"scgcnet": run}, [record])
    ]
    monkeypatch.setattr(sides, "PLACES", ("synthetic",))
    monkeypatch.setattr(sides, "contestants", lambda *_: found)
    return network


def test_one_network_fed_several_sizes(network, project, tmp_path, capsys) -> None:
    file = tmp_path / "sides.json"
    assert main(["bench", "sides", "--sides", "32,64", "--json", str(file)]) == 0
    out = capsys.readouterr().out
    assert "no weights of danet, convnext, swin, vmamba" in out
    measured = json.loads(file.read_text())
    images = open_dataset("synthetic", 0, "val")
    total = Confusion()
    for probability, sample in zip(predict(network, images, range(len(images)), 64), images, strict=True):
        total += Confusion.of(probability > 0.5, sample.mask)
    assert measured["trained_at"] == 128
    assert measured["networks"]["scgcnet"]["file"].startswith("build/runs/synthetic-scgcnet")
    assert measured["places"]["synthetic"]["images"] == len(images)
    found = sides.curves(sides.read_sides(str(file)), "synthetic")
    assert list(found) == ["scgcnet"] and list(found["scgcnet"]) == [32, 64, 128]  # the size of training is added
    assert found["scgcnet"][64] == pytest.approx(100 * total.scores()["iou"], abs=1e-4)
    assert found["scgcnet"][64] != found["scgcnet"][32]
    assert f"scgcnet at 64 px IoU {found['scgcnet'][64]:.2f} %" in out


def test_without_weights_or_images_it_is_one_error(network, project, monkeypatch, capsys) -> None:
    for weights in (project / "build" / "weights").iterdir():
        weights.unlink()
    assert main(["bench", "sides"]) == 2
    assert "no weights to try: make study PROFILE=cpu" in capsys.readouterr().err
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    monkeypatch.setattr(sides, "PLACES", ("bijie",))
    assert main(["bench", "sides"]) == 2
    assert "the images of bijie are not at hand" in capsys.readouterr().err


def test_nothing_is_stored_yet(project) -> None:
    assert sides.read_sides("none.json") is None
    assert sides.curves(None, "bijie") == {}
