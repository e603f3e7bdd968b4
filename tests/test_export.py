"""Networks as ONNX files: what ONNX Runtime gives is what PyTorch gives, and Deepness finds what it reads."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scgcnet import export, zoo
from scgcnet.bench.onnx import NETWORKS
from scgcnet.cli import main
from scgcnet.data.transforms import normalise
from scgcnet.scan.reference import forward
from scgcnet.scene import SceneError
from scgcnet.scene.models import Models

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

SMALL: dict[str, Any] = {"depths": (1, 1), "dilations": (((2, 2, 2),), ((5, 5, 5),)), "widths": (8, 16, 24, 32)}


def in_a_process(*arguments: str) -> str:
    """What Python prints. Pytest has torch's tracer write down all that it does, which takes minutes."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """One SCFE a stage, offsets that are not 0, and a mean probability near the threshold."""
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", "tiny", **SMALL).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        background, landslide = model(torch.randn(1, 3, 128, 128)).mean((0, 2, 3))
        model.head[-1].bias += torch.stack([landslide, background])  # both have one mean then
    return model


@pytest.fixture(scope="module")
def weights(network: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    zoo.save_model(network, path, {"threshold": "0.45", "temperature": "0.8", "sources": "bijie", "run_id": "r1"})
    return path


@pytest.fixture(scope="module")
def exported_file(weights: Path) -> Path:
    path = weights.with_suffix(".onnx")
    told = in_a_process("-m", "scgcnet.cli", "export", "--model", str(weights), "--out", str(path))
    assert told.startswith(f"{path}: ") and int(told.removeprefix(f"{path}: ").split()[0]) < 2000
    return path


@pytest.mark.slow
def test_any_size(network: nn.Module, exported_file: Path) -> None:
    exported = export.OnnxNetwork(exported_file)
    calibrated = export._Calibrated(network, {"temperature": "0.8"}, shifted=False)
    assert max(export.compare(calibrated, exported, (*export.SIZES, (1, 1)))) < 1e-4
    assert json.loads(exported.metadata["resolution"]) == 140  # that of its source
    image = torch.randn(1, 3, 40, 70)
    with torch.inference_mode():
        logits = network(image) / 0.8
    assert logits.std() > 0.1  # else little is compared
    torch.testing.assert_close(exported(image), logits.log_softmax(1), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_map_by_onnx_runtime_is_the_same(weights: Path, exported_file: Path) -> None:
    path = exported_file
    assert Models([str(path)]).metadata[0]["sources"] == "bijie" and Models([str(path)]).threshold == 0.45
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    ((other,), (one,)) = (Models([str(file)]).engines for file in (path, weights))
    np.testing.assert_allclose(other(image), one(image), atol=1e-4)


DEEPNESS = (
    "model_type", "class_names", "resolution", "tiles_size", "tile_size", "tiles_overlap", "standardization_mean",
    "standardization_std", "seg_thresh", "seg_small_segment",
)  # fmt: skip


SIDE, HEIGHT, WIDTH = 64, 100, 130


def joined(image: np.ndarray, segment: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Classes (HEIGHT, WIDTH) of an image, uint8, by overlapping tiles (SIDE, SIDE, 3); beyond the image are zeros."""
    padded = np.pad(image, ((0, SIDE), (0, SIDE), (0, 0)))
    found = np.zeros(padded.shape[:2], int)
    for top, left in itertools.product(range(0, HEIGHT, 48), range(0, WIDTH, 48)):
        place = np.s_[top : top + SIDE, left : left + SIDE]
        found[place] = segment(padded[place])
    return found[:HEIGHT, :WIDTH]


def as_deepness_does(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What the plugin makes of a tile with nothing but the file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    stored = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items() if k in DEEPNESS}
    (entry,), (output,) = session.get_inputs(), session.get_outputs()
    assert stored["model_type"] == "Segmentor" and stored["class_names"] == {"0": "background", "1": "landslide"}
    assert entry.shape == [1, 3, SIDE, SIDE] and output.shape == [1, 2, SIDE, SIDE] and stored["tile_size"] == SIDE
    mean, std = (np.float32(stored[f"standardization_{key}"]) for key in ("mean", "std"))

    def segment(tile: np.ndarray) -> np.ndarray:
        batch = (np.float32(tile[None] * 1.0 / 255.0) - mean) / std
        (result,) = session.run(None, {entry.name: batch.transpose(0, 3, 1, 2)})
        np.testing.assert_allclose(result.sum(1), 1, atol=1e-5)
        result[result < stored["seg_thresh"]] = 0
        return result.argmax(1)[0]

    return segment


@pytest.mark.slow
def test_deepness_makes_the_mask_that_pytorch_makes(network: nn.Module, weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiles.onnx"
    where = ("--model", str(weights), "--out", str(path), "--tile", str(SIDE), "--metres", "2")
    assert "differs from PyTorch by" in in_a_process("-m", "scgcnet.cli", "export", *where)
    stored = export.OnnxNetwork(path).metadata
    assert stored.keys() >= {*DEEPNESS, "run_id", "threshold", "sources", "model", "config"}
    with pytest.raises(SceneError, match=f"takes images of {SIDE} px alone: export the weights without --tile"):
        Models([str(path)])
    assert json.loads(stored["resolution"]) == 200 and stored["threshold"] == stored["seg_thresh"] == "0.5"

    def segment(tile: np.ndarray) -> np.ndarray:
        pixels = normalise(tile.transpose(2, 0, 1).astype(np.float32))
        with torch.inference_mode():
            return ((network(torch.from_numpy(pixels)[None]) / 0.8).softmax(1)[0, 1] > 0.45).numpy()

    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    found, wanted = joined(image, as_deepness_does(path)), joined(image, segment)
    assert 0.01 < wanted.mean() < 0.99
    assert (found != wanted).mean() < 1e-3  # a probability may lie on the threshold


@pytest.mark.parametrize("shape", [(1, 9, 50, 24, 1), (2, 13, 7, 8, 4)])
def test_the_chunked_scan_is_the_scan(shape: tuple[int, ...]) -> None:
    from scgcnet.scan.onnx_export import scan_2d

    batch, height, width, channels, size = shape
    inputs: tuple[Tensor, ...] = (
        torch.randn(batch, height, width, channels),
        torch.randn(batch, height, width, 4, channels).abs(),
        -torch.randn(4, channels, size).abs() - 0.1,
        torch.randn(batch, height, width, 4, size),
        torch.randn(batch, height, width, 4, size),
        torch.randn(4, channels),
    )
    torch.testing.assert_close(scan_2d(*inputs), forward(*inputs, keep=False)[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("length", "bins"), [(7, 3), (4, 6), (12, 6)])
def test_adaptive_pooling_as_products(length: int, bins: int) -> None:
    x = torch.randn(2, 3, length, length + 5)
    torch.testing.assert_close(export._AdaptivePool(bins)(x), nn.functional.adaptive_avg_pool2d(x, bins))


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_named_with_the_remedy(
    package: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", "--model", str(weights), "--out", str(tmp_path / "o.onnx")]) == 2
    assert capsys.readouterr().err == (
        "tracing, converting and comparing with PyTorch: a minute or more\n"
        f"scgcnet: the package {package} is not installed: pip install 'scgcnet[export]'\n"
    )
    assert not list(tmp_path.iterdir())


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "o.onnx").write_text("no model")
    with pytest.raises(export.ExportError, match=r"o\.onnx: cannot be read as ONNX"):
        export.OnnxNetwork(tmp_path / "o.onnx")


#: One of each kind: the published weights', branches, attention, a large kernel. `scgcnet bench export` has all; each
#: takes minutes, and the scan of a small network stands above.
KINDS = {("scgcnet", "lite0"), ("icnet", "tiny"), ("danet", "tiny"), ("segnext", "tiny")}


@pytest.mark.slow
@pytest.mark.parametrize("network", [one for one in NETWORKS if one in KINDS], ids=" ".join)
def test_networks(network: tuple[str, str], tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    code = f"from pathlib import Path; from scgcnet.bench.onnx import *; bench_export(Path({str(path)!r}), [{network}])"
    in_a_process("-c", code)
    (row,) = json.loads(path.read_text())["networks"]
    assert row["nodes"] < 2000 and row["difference"] < 1e-4 + 2 * row["rounding"]
