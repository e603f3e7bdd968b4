"""Feature maps: what the layers of a network put out for an image."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


@contextmanager
def outputs_of(model: nn.Module, layers: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Collects what the named layers put out inside the block, by name, each as it was before later layers.

    Args:
        model: Any network, to be called once inside the block.
        layers: Qualified names of submodules, such as `encoder.stage3`; the empty string is the network itself.

    Raises:
        ValueError: The network has no layer of that name, or at the block's end a layer was not reached or gave no
            tensor.
    """
    modules = dict(model.named_modules())
    outputs: dict[str, Tensor] = {}
    handles = []
    try:
        for name in layers:
            if name not in modules:
                parts = ", ".join(n for n, _ in model.named_children())
                raise ValueError(f"no layer {name!r}: the network's parts are {parts}")

            def keep(_module: nn.Module, _inputs: object, output: object, name: str = name) -> None:
                if isinstance(output, Tensor):
                    outputs[name] = output.clone()  # an activation that works in place would overwrite it

            handles.append(modules[name].register_forward_hook(keep))
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
    missing = [name for name in layers if name not in outputs]
    if missing:
        raise ValueError(f"layer {missing[0]!r} gave no tensor: name one that does")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a network in evaluation mode, and each of its modules back into its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def capture(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Runs `model` once and returns what the named layers gave.

    Args:
        model: Any network; its mode is left as it is.
        images: (B, C, H, W).
        layers: Qualified names of submodules, such as `encoder.stage3` or `decoder.units.0`.

    Returns:
        The outputs by name, detached.

    Raises:
        ValueError: The network has no layer of that name, or the layer was not reached or gave no tensor.
    """
    with torch.no_grad(), outputs_of(model, layers) as outputs:
        model(images)
    return {name: output.detach() for name, output in outputs.items()}


def layer_shapes(
    model: nn.Module, shape: tuple[int, int, int, int], layers: Sequence[str]
) -> dict[str, tuple[int, ...]]:
    """Output shapes of the named layers for an input of `shape` (B, C, H, W), without computing anything."""
    meta = copy.deepcopy(model).to("meta").eval()
    return {k: tuple(v.shape) for k, v in capture(meta, torch.empty(shape, device="meta"), layers).items()}


def energy(features: Tensor) -> npt.NDArray[np.float32]:
    """The strength of a feature map: root mean square over channels of (1, C, h, w), as (h, w), scaled to [0, 1].

    A map without contrast gives zeros.

    Raises:
        ValueError: There is more than one image.
    """
    if features.ndim != 4 or features.shape[0] != 1:
        raise ValueError(f"features of shape {tuple(features.shape)}: one image at a time, (1, C, h, w)")
    strength = features.float().square().mean(dim=1).sqrt()[0]
    low, high = strength.min(), strength.max()
    scaled = (strength - low) / (high - low) if high > low else torch.zeros_like(strength)
    out: npt.NDArray[np.float32] = scaled.numpy()
    return out
