"""Every network of the study by name: `create_model`, and weights on disk that carry their configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from scgcnet import files, peers
from scgcnet.model import PRESETS, SCGCNet, SCGCNetConfig

FORMAT = "scgcnet-weights-1"
WEIGHTS = Path(__file__).parent / "weights"  # published with the package; a model card lies beside each file
#: Published weights that were trained on all sources: the choice for images from elsewhere.
DEFAULT = "lite0-multisource"


class WeightsError(ValueError):
    """A weights file is missing, damaged, or does not fit the network that it describes."""


class MissingPackageError(ImportError):
    """A network is taken from a package that is not installed; the message names it."""


class Config(Protocol):
    """What every network's configuration offers."""

    @property
    def name(self) -> str:
        """The network's name in the zoo."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, enough to build the network again."""


@dataclass(frozen=True)
class Network:
    """How one network is built: by what differs from its defaults in each size, and from a whole configuration."""

    presets: Mapping[str, Mapping[str, Any]]
    build: Callable[[dict[str, Any]], nn.Module]


def _own() -> Network:
    return Network(PRESETS, lambda values: SCGCNet(SCGCNetConfig.from_dict(values)))


def _peer(file: str, kind: str) -> Network:
    """A class of a module of `peers`, imported when asked for: some take seconds, or packages that few have."""
    module = import_module(f"scgcnet.peers.{file}")
    peer = getattr(module, kind)

    def build(values: dict[str, Any]) -> nn.Module:
        model: nn.Module = peer.from_dict(values)
        return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    return Network(module.PRESETS, build)


#: A new network is one line here; what it builds has a `config` (see `Config`).
NETWORKS: dict[str, Callable[[], Network]] = {
    "scgcnet": _own,
    **{name: partial(_peer, name, kind) for name, kind in peers.NETWORKS.items()},
}
RIVALS: dict[str, Callable[[], Network]] = {name: partial(_peer, "lite0", kind) for name, kind in peers.RIVALS.items()}


def model_names() -> list[str]:
    """The networks of the study: ours, then the comparison methods in the paper's order; `RIVALS` come on top."""
    return list(NETWORKS)


def model_sizes(name: str) -> list[str]:
    """The sizes that a network comes in.

    Raises:
        ValueError: The name is unknown.
        MissingPackageError: The network's code needs a package that is not installed.
    """
    return list(_network(name).presets)


def create_model(
    name: str, size: str = "base", in_channels: int = 3, num_classes: int = 2, **options: Any
) -> nn.Module:
    """Builds a network with fresh weights from torch's random state.

    Args:
        name: One of `model_names()`, or of `RIVALS`.
        size: A preset of that network, see `model_sizes`: for scgcnet tiny, small, lean, base or lite0; for every
            comparison method tiny and paper, for some also sizes that their authors published.
        in_channels: Bands of the input image.
        num_classes: Channels of the logits.
        **options: Fields of the network's configuration that replace the preset's, such as `psccs=False`.

    Returns:
        A module that maps images (B, in_channels, H, W) to logits (B, num_classes, H, W). While it is in training
        mode, one with auxiliary heads gives their logits beside (`peers.base.Auxiliary`).

    Raises:
        ValueError: The name, size or an option is unknown, or a value is out of range.
        MissingPackageError: The network's code needs a package that is not installed.
    """
    network = _network(name)
    if size not in network.presets:
        raise ValueError(f"size {size!r}: {name} comes in {', '.join(network.presets)}")
    options = {"in_channels": in_channels, "num_classes": num_classes, **options}
    return network.build({**network.presets[size], **options})


def _network(name: str) -> Network:
    known = {**NETWORKS, **RIVALS}
    if name not in known:
        raise ValueError(f"unknown network {name!r}: there are {', '.join(known)}")
    try:
        return known[name]()
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("scgcnet"):
            raise
        raise MissingPackageError(
            f"the network {name} needs the package {error.name}: pip install 'scgcnet[peers]'"
        ) from error


def save_model(model: nn.Module, path: Path, extra: Mapping[str, str] | None = None, *, half: bool = False) -> None:
    """Writes weights and configuration as one safetensors file, atomically.

    Args:
        model: A network of `create_model`.
        path: The file to write; its folder is created.
        extra: More text for the file's metadata, such as the run that trained it.
        half: Store numbers in half precision, in half of the space; they are loaded as float32.

    Raises:
        ValueError: A weight is too large for half precision.
        WriteError: The file cannot be written; an older one is left as it was.
    """
    config: Config = model.config  # type: ignore[assignment]
    metadata = {**(extra or {}), "format": FORMAT, "model": config.name}
    metadata["config"] = json.dumps(config.to_dict(), sort_keys=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    if half:
        tensors = {k: v.half() if v.is_floating_point() else v for k, v in tensors.items()}
        if bad := [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]:
            raise ValueError(f"{bad[0]} does not fit into half precision: store the weights as they are")
    with files.atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:  # that is how it reports a full disk
            raise OSError(str(error)) from error


def read_metadata(path: Path) -> dict[str, str]:
    """The text stored beside the weights in `path`.

    Raises:
        WeightsError: The file is missing or no weights file of this study.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read as safetensors ({error}); train again or fetch it anew") from error
    if metadata.get("format") != FORMAT:
        raise WeightsError(f"{path}: not written by scgcnet.zoo.save_model (format {metadata.get('format')!r})")
    return metadata


def load_model(path: Path | str) -> nn.Module:
    """Rebuilds the network of a weights file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or its tensors do not fit its configuration.
        MissingPackageError: The network's code needs a package that is not installed.
    """
    path = Path(path)
    metadata = read_metadata(path)
    try:
        network = _network(metadata["model"])
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
        weights = sum(tensor.numel() for tensor in tensors.values())

        def size(digits: str) -> int:
            """A whole number of the configuration; a network has more weights than any of its widths or depths."""
            if int(digits) > weights:
                raise ValueError(f"its configuration has {digits}, but it holds only {weights} numbers")
            return int(digits)

        config = json.loads(metadata["config"], parse_int=size)
        with torch.device("meta"):  # without memory: a file may describe a network larger than the machine
            _check_tensors(network.build(config), tensors)
        model = network.build(config)
    except (KeyError, TypeError, ValueError, RuntimeError, RecursionError, SafetensorError) as error:
        raise WeightsError(f"{path}: does not fit the network that it describes: {error}") from error
    model.load_state_dict(tensors)
    return model.eval()


def _check_tensors(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    expected = model.state_dict()
    for key in sorted(expected.keys() | tensors.keys()):
        if key not in tensors:
            raise ValueError(f"tensor {key!r} is missing")
        if key not in expected:
            raise ValueError(f"tensor {key!r} is not part of it")
        if tensors[key].shape != expected[key].shape:
            raise ValueError(f"tensor {key!r} has shape {tuple(tensors[key].shape)}, not {tuple(expected[key].shape)}")


def pretrained_names() -> list[str]:
    """Names of the published weights, the default first."""
    found = sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))
    return sorted(found, key=lambda name: name != DEFAULT)


def pretrained_file(name: str = DEFAULT) -> Path:
    """The file of published weights.

    Raises:
        WeightsError: The name is unknown; the message lists the known ones.
    """
    if name not in pretrained_names():
        raise WeightsError(f"no published weights are called {name!r}; the names are {', '.join(pretrained_names())}")
    return WEIGHTS / f"{name}.safetensors"


def load_pretrained(name: str = DEFAULT) -> nn.Module:
    """A trained network in evaluation mode, for images as `scgcnet.data.EvalTransform` makes them.

    Its threshold, its sources and its run are in the file: `read_metadata(pretrained_file(name))`.

    Raises:
        WeightsError: There are no weights of that name, or the file is damaged.
    """
    return load_model(pretrained_file(name))


def find_weights(model: str) -> Path:
    """The file of published weights, by name, or a weights file itself.

    Raises:
        WeightsError: There is neither.
    """
    path = Path(model)
    if not path.suffix and not path.exists():
        return pretrained_file(model)
    if not path.is_file():
        raise WeightsError(
            f"{path} is not there, or is no file: name a weights file, or one of {', '.join(pretrained_names())}"
        )
    return path
