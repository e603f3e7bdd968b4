"""The chapter "Train on your data": its region, the weights and the tables."""

import json

import pytest

from scgcnet import plots, zoo
from scgcnet.chapters import mapping, own_data
from scgcnet.own.source import find_source


@pytest.fixture
def region(tmp_path, monkeypatch):
    for module in (own_data, mapping):
        monkeypatch.setattr(module, "project_root", lambda: tmp_path)
    monkeypatch.setattr(own_data, "SIDE", 512)
    return own_data.example_region(1)


def test_a_region_is_read_as_a_users(region):
    (picture,) = find_source(region).pictures
    assert picture.path.name == "scene.tif" and picture.metres == pytest.approx(1.4, rel=1e-3)
    written = (region / own_data.LAYER).stat().st_mtime_ns
    assert own_data.example_region(1) == region and (region / own_data.LAYER).stat().st_mtime_ns == written


def test_trained_mapped_and_scored(region):
    trained = own_data.train_example(region, "none", 1, 64)
    assert trained.fresh and not own_data.train_example(region, "none", 1, 64).fresh
    weights = trained.folder / "weights.safetensors"  # as of an earlier release: trained anew
    zoo.save_model(zoo.load_model(weights), weights, {**zoo.read_metadata(weights), "made_of": "others"})
    assert own_data.train_example(region, "none", 1, 64).fresh
    other = own_data.example_region(2)
    shown = own_data.elsewhere(other)
    result = mapping.map_example(shown, str(trained.folder / "weights.safetensors"), None, 0.25, None)
    assert set(mapping.scored(shown, result)) == {"iou"} and "The IoU is" in mapping.about(shown, result)
    plots.scene_map(*mapping.view(shown, result))
    table = own_data.score_table(own_data.scores(trained, other))
    assert {"IoU, %", "Recall, %"} <= set(table["Score"])


def test_exports_and_reasons():
    good = {"nodes": 900, "bytes": 2.1e6, "difference": 1e-7, "torch_ms": 20.4, "onnx_ms": 10.2}
    measured = {
        "networks": [{"network": ["unet", "tiny"], **good}, {"network": ["x", "tiny"], "reason": "no operator"}]
    }
    first, second = own_data.export_table(json.loads(json.dumps(measured))).to_dict("records")
    assert first["Network"] == "U-Net tiny" and (first["MB"], first["ONNX Runtime, ms"]) == ("2.1", "10")
    assert second["Nodes"] == "no operator" and second["MB"] == "-"
    assert own_data.export_table(None).to_numpy().tolist() == [["not run"]]


def test_labels_by_place_number_and_start():
    rows = [
        {"start": "left out", "windows": 0, "iou": 20.04, "low": 15.0, "high": 25.0},
        {"start": "left out", "windows": 5, "iou": 30.0, "low": 25.0, "high": 35.0},
        {"start": "nothing", "windows": 5, "iou": 10.0, "low": 5.0, "high": 15.0},
    ]
    longer = [{"start": "left out", "windows": 0, "iou": 20.04, "low": 15.0, "high": 25.0},
              {"start": "left out", "windows": 9, "iou": 41.0, "low": 35.0, "high": 45.0}]  # fmt: skip
    measured = [{"place": "sichuan", "minutes": minutes, "tested": 5, "rows": each}
                for minutes, each in ((4.0, rows), (30.0, longer))]  # fmt: skip
    place = "Sichuan, other sites"
    assert own_data.labels_table(measured).to_numpy().tolist() == [
        [place, 0, 0, "20.0 [15.0, 25.0]", "-"],
        [place, 5, 4, "30.0 [25.0, 35.0]", "10.0 [5.0, 15.0]"],
        [place, 9, 30, "41.0 [35.0, 45.0]", "-"],
    ]
    assert own_data.labels_note(measured).text == (
        "Sichuan, other sites: IoU 20 % without labels, by weights that never saw it. 5 images are scored, which leave "
        "intervals of up to 10 points. With 5 windows and 4 minutes of a core: 30 % from those weights, 10 % from "
        "nothing. With 9 windows and 30 minutes of a core: 41 % from those weights."
    )
    (axis,) = own_data.label_figure(measured).axes
    assert axis.get_title() == place and [list(line.get_ydata()) for line in axis.lines] == [[20.04, 30], [10]]
    assert own_data.labels_note([]).text == "Not run."
    assert own_data.labels_table([]).to_numpy().tolist() == [["not run"]]
