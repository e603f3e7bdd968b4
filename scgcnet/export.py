"""Networks as ONNX files, which carry what QGIS' plugin Deepness reads from them, and back as something to call.

A file takes images (1, C, H, W), normalised as the networks take them, and gives probabilities (1, K, H, W). Deepness
itself makes 0..1 of 8-bit values, subtracts `standardization_mean` and divides by `standardization_std`; it takes files
of one square size alone.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from scgcnet import files, zoo
from scgcnet.data.transforms import normalise
from scgcnet.scan.dispatch import trace_scan_as

TOLERANCE = 1e-4  # of a probability, between ONNX Runtime and PyTorch
SIZES = ((256, 256), (64, 64), (96, 160), (77, 53), (200, 333))  # at which they are compared
TILE, OVERLAP = 512, 25  # what Deepness starts from where nothing is asked for: pixels, percent


class ExportError(ValueError):
    """A network cannot be exported or run: a package is missing, or ONNX has no operators for it."""


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ExportError(f"the package {name} is not installed: pip install 'scgcnet[export]'") from None


class _AdaptivePool(nn.Module):
    """`nn.AdaptiveAvgPool2d` to a fixed number of bins as two products of matrices; ONNX has none for open sizes."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def _means(self, length: int) -> Tensor:
        """(bins, length): row i averages from floor(i length / bins) to ceil((i + 1) length / bins)."""
        bins, position = torch.arange(self.bins)[:, None], torch.arange(length)
        first, end = bins * length // self.bins, ((bins + 1) * length + self.bins - 1) // self.bins
        inside = (position >= first) & (position < end)
        return inside / inside.sum(1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, bins, bins)."""
        return self._means(x.shape[2]) @ x @ self._means(x.shape[3]).T


class _Calibrated(nn.Module):
    """A network whose probabilities are those of a map: logits divided by the temperature of its weights.

    Deepness sets probabilities below its threshold to 0 and takes the larger, so it has no threshold below 0.5. For it
    (`shifted`) the logit of the threshold is taken off, and the threshold becomes 0.5.
    """

    def __init__(self, network: nn.Module, stored: Mapping[str, str], shifted: bool) -> None:
        super().__init__()
        threshold = float(stored.get("threshold", 0.5))
        self.network, self.config = network.eval(), network.config
        self.stride: Any = getattr(network, "stride", 32)
        self.temperature = float(stored.get("temperature", 1))
        self.threshold = 0.5 if shifted else threshold
        self.shift = math.log(threshold / (1 - threshold)) if shifted else 0.0

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images) / self.temperature
        return logits - torch.tensor([0.0, self.shift])[:, None, None] if self.shift else logits


class _Exported(nn.Module):
    """What is traced: the network without branches that depend on the size, and the softmax."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.stride = getattr(network, "stride", 32)
        for parent in list(self.network.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size != 1:
                    setattr(parent, name, _AdaptivePool(int(child.output_size)))  # type: ignore[arg-type]

    def _padded(self, length: int) -> Tensor:
        """Indices that repeat the last one up to a multiple of the stride; the network then has nothing to pad."""
        return torch.arange((length + self.stride - 1) // self.stride * self.stride).clamp(max=length - 1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padded = images[:, :, self._padded(height)][:, :, :, self._padded(width)]
        probabilities: Tensor = self.network(padded)[:, :, :height, :width].softmax(dim=1)
        return probabilities


def export_network(
    network: nn.Module, path: Path, tile: int | None = None, about: Mapping[str, Any] | None = None
) -> int:
    """Writes a network of `zoo.create_model` as one ONNX file, atomically.

    Args:
        network: is not changed.
        path: file to write.
        tile: side of the square images it is to take; None for any height and width.
        about: metadata; text stays as it is, other values are written as JSON.

    Returns:
        The number of its nodes, those inside of loops included.

    Raises:
        ExportError: a package is missing, or the network has parts that cannot be exported.
        WriteError: the file cannot be written.
    """
    _package("onnx")
    _package("onnxscript")
    from scgcnet.scan.onnx_export import scan_2d

    config: Any = network.config
    example = torch.zeros(1, config.in_channels, *((tile, tile) if tile else (160, 224)))
    # Where torchvision is missing, torch names each operator of it that it cannot export; no network here has them.
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    open_sizes = None if tile else ({2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},)
    try:
        with torch.no_grad(), warnings.catch_warnings(), trace_scan_as(scan_2d):
            warnings.simplefilter("ignore")  # torch's own, about its own internals
            # Traced here: where its own tracing fails, `torch.onnx.export` takes another, which does not see the scan.
            traced = torch.export.export(_Exported(network).eval(), (example,), dynamic_shapes=open_sizes, strict=False)
            program = torch.onnx.export(
                traced, dynamo=True, verbose=False, input_names=["images"], output_names=["probabilities"],
                dynamic_shapes=None if tile else ({2: "height", 3: "width"},),
            )  # fmt: skip
    except (torch.onnx.OnnxExporterError, RuntimeError) as error:
        raise ExportError(
            f"{type(network).__name__} cannot be exported: {str(error).strip().splitlines()[0]}"
        ) from error
    assert program is not None
    for node in program.model.graph:  # onnxruntime takes sizes of equal formulas for equal ones and shares their memory
        for value in node.outputs:
            if not value.is_graph_output():
                value.shape = None
    for key, value in (about or {}).items():
        program.model.metadata_props[key] = value if isinstance(value, str) else json.dumps(value)
    with files.atomic(path) as temporary:
        program.save(temporary)
    return _count_nodes(program.model_proto.graph)


def _count_nodes(graph: Any) -> int:
    inner = (attribute.g for node in graph.node for attribute in node.attribute if attribute.HasField("g"))
    return len(graph.node) + sum(map(_count_nodes, inner))


def deepness_metadata(network: nn.Module, threshold: float, metres: float, tile: int | None = None) -> dict[str, str]:
    """What Deepness reads (docs: "Adding metadata to ONNX model"), as JSON.

    Args:
        network: of `zoo.create_model`.
        threshold: probability from which a pixel is landslide.
        metres: per pixel of the images it was trained on.
        tile: side of its images, if it takes one size alone.
    """
    config: Any = network.config
    black, white = (normalise(np.full((config.in_channels, 1, 1), v, np.float32)).ravel() for v in (0, 255))
    names = (
        ["background", "landslide"] if config.num_classes == 2 else [f"class {i}" for i in range(config.num_classes)]
    )
    found = {
        "model_type": "Segmentor",
        "class_names": {str(i): name for i, name in enumerate(names)},
        "resolution": round(100 * metres, 2),  # cm
        "tiles_size": tile or TILE,  # as its documentation has it
        "tile_size": tile or TILE,  # as its code has it
        "tiles_overlap": OVERLAP,
        "standardization_mean": [round(float(v), 6) for v in -black / (white - black)],
        "standardization_std": [round(float(v), 6) for v in 1 / (white - black)],
        "seg_thresh": threshold,
        "seg_small_segment": 0,  # no median filter: the mask is the network's
    }
    return {key: json.dumps(value) for key, value in found.items()}


def export_weights(model: str, path: Path, metres: float, tile: int | None = None) -> tuple[int, float]:
    """Writes weights (a published name, or a file) as ONNX, and compares the file with PyTorch.

    Args:
        model: as for `zoo.find_weights`.
        path: file to write.
        metres: per pixel of the images it was trained on.
        tile: as for `export_network`.

    Returns:
        The number of nodes, and the largest difference of a probability from PyTorch's. Probabilities are those of a
        map; with a tile they are shifted so that the threshold is 0.5, see `_Calibrated`.

    Raises:
        ExportError: as for `export_network`, or the file does not give PyTorch's probabilities; it is not kept then.
        WeightsError: the weights are missing or damaged.
        WriteError: the file cannot be written.
    """
    _package("onnxruntime")
    source = zoo.find_weights(model)
    stored = zoo.read_metadata(source)
    network = _Calibrated(zoo.load_model(source), stored, shifted=tile is not None)
    stored["threshold"] = f"{network.threshold:g}"
    about = {key: value for key, value in stored.items() if key not in ("format", "temperature")}
    about |= deepness_metadata(network, network.threshold, metres, tile)
    nodes = export_network(network, path, tile, about)
    difference = max(compare(network, OnnxNetwork(path), [(tile, tile)] if tile else SIZES[2:4]))
    if not difference <= TOLERANCE:
        path.unlink()
        raise ExportError(f"{path}: differs from PyTorch by {difference:.1e}, more than {TOLERANCE:g}: not kept")
    return nodes, difference


class OnnxNetwork:
    """An exported file on the CPU, called like a network in evaluation mode.

    It gives the logarithms of the probabilities (1, K, H, W), whose softmax are the probabilities.

    Attributes:
        metadata: text stored in the file: Deepness' keys, and those of the weights (`threshold`, `sources`, `run_id`).
        side: of the square images that it takes, pixels; None for any size.

    Raises:
        ExportError: onnxruntime is not installed, or the file is missing or damaged.
    """

    def __init__(self, path: Path | str, threads: int | None = None) -> None:
        runtime = _package("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its errors have no common class of their own
            raise ExportError(f"{path}: cannot be read as ONNX: {str(error).splitlines()[0]}") from error
        side = self._session.get_inputs()[0].shape[2]
        self.side: int | None = side if isinstance(side, int) else None
        self.metadata: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

    def __call__(self, images: Tensor) -> Tensor:
        """Images (1, C, H, W), float32, to (1, K, H, W)."""
        (found,) = self._session.run(None, {"images": images.numpy()})
        return torch.from_numpy(found).log()


def compare(
    network: nn.Module, other: Callable[[Tensor], Tensor], sizes: Iterable[tuple[int, int]] = SIZES
) -> list[float]:
    """The largest difference of a probability at each size, on noise; NaN counts as infinite."""
    generator = torch.Generator().manual_seed(0)
    config: Any = network.config
    found = []
    for size in sizes:
        images = torch.randn(1, config.in_channels, *size, generator=generator)
        with torch.inference_mode():
            difference = float((network(images).softmax(1) - other(images).softmax(1)).abs().max())
        found.append(difference if math.isfinite(difference) else math.inf)
    return found
