"""Every network as an ONNX file, measured: `scgcnet bench export`."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.bench.timings import Network, describe, median_ms, write_json
from scgcnet.export import SIZES, ExportError, OnnxNetwork, compare, export_network

NETWORKS: tuple[Network, ...] = (("scgcnet", "lite0"), *((name, "tiny") for name in zoo.model_names()))
SIDE = 256  # pixels of the image that is timed


def measure_export(network: Network, folder: Path) -> dict[str, Any]:
    """Nodes, bytes, differences and times of one network; a reason instead of them where it cannot be exported.

    The weights are fresh ones with noise, so that the offsets of the calibration units are not 0. `rounding` is how far
    PyTorch's probabilities in float32 are from those in float64: some networks of random weights magnify it.
    """
    torch.manual_seed(0)
    model = zoo.create_model(*network).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    path, start = folder / "network.onnx", time.perf_counter()
    try:
        nodes = export_network(model, path)
        seconds, exported = time.perf_counter() - start, OnnxNetwork(path)
        differences, rounding = compare(model, exported), compare(model, _in_float64(model))
    except Exception as error:  # ONNX Runtime's errors have no common class of their own
        if not isinstance(error, ExportError) and not type(error).__module__.startswith("onnxruntime"):
            raise
        return {"network": network, "reason": str(error).strip().splitlines()[0]}
    image = torch.randn(1, 3, SIDE, SIDE)
    with torch.inference_mode():
        ms = median_ms({"torch": partial(model, image), "onnx": partial(exported, image)}, 15, 20)
    return {
        "network": network, "nodes": nodes, "bytes": path.stat().st_size, "difference": max(differences),
        "rounding": max(rounding),
        "differences": differences, "torch_ms": ms["torch"], "onnx_ms": ms["onnx"], "export_s": seconds,
    }  # fmt: skip


def _in_float64(model: nn.Module) -> Callable[[Tensor], Tensor]:
    double = copy.deepcopy(model).double()
    return lambda images: double(images.double())


def bench_export(json_path: Path | None = None, networks: Sequence[Network] = NETWORKS) -> dict[str, Any]:
    """Exports networks one by one, on one thread, and prints a table; the file is written after each."""
    torch.set_num_threads(1)
    import onnxruntime

    machine = {**describe("cpu"), "onnxruntime": onnxruntime.__version__}
    found: dict[str, Any] = {"machine": machine, "sizes": SIZES, "side": SIDE, "networks": []}
    with TemporaryDirectory() as folder:
        for network in networks:
            found["networks"].append(measure_export(network, Path(folder)))
            print(json.dumps(found["networks"][-1]), flush=True)
            write_json(json_path, found)
    table = pd.DataFrame(found["networks"]).drop(columns="differences", errors="ignore")
    print(table.to_string(index=False, na_rep="-", float_format="{:.3g}".format))
    return found
