"""Feature maps: the outputs of layers, their strength, and their steepness at true boundaries (the paper's Fig. 7)."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from scgcnet.data import EvalTransform, LandslideDataset, Sample
from scgcnet.train.losses import boundary_mask

BOUNDARY = 4  # pixels of the network's input to each side of a boundary: the stride of the decoder's last map


@contextmanager
def outputs_of(model: nn.Module, layers: Sequence[str], strict: bool = True) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the named layers inside the block, where the network is called once.

    Args:
        model: any network.
        layers: qualified names of submodules, such as `encoder.stage3`; "" is the network itself. ValueError where
            there is none of that name.
        strict: whether each must be reached and give a tensor (else ValueError), or is left out.
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
    if missing and strict:
        raise ValueError(f"layer {missing[0]!r} gave no tensor: name one that does")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and each of its modules back into its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def capture(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """Run `model`, whose mode stays, once on images (B, C, H, W), and detach the outputs; raises as `outputs_of`."""
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
    """Strength of a feature map: root mean square over channels of (1, C, h, w), as (h, w), scaled to [0, 1].

    A map without contrast gives zeros.
    """
    strength = features.float().square().mean(dim=1).sqrt()[0]
    low, high = strength.min(), strength.max()
    scaled = (strength - low) / (high - low) if high > low else torch.zeros_like(strength)
    out: npt.NDArray[np.float32] = scaled.numpy()
    return out


def strengths(
    networks: Mapping[str, nn.Module], sample: Sample, image_size: int, layer: str
) -> dict[str, npt.NDArray[np.float32]]:
    """Strength of a layer's map of one image for each network in evaluation mode, (h, w) in [0, 1].

    The image is resized to `image_size` pixels a side, a multiple of the networks' stride.
    """
    pixels = EvalTransform(image_size)(sample)[0].unsqueeze(0)
    return {name: energy(capture(model, pixels, [layer])[layer]) for name, model in networks.items()}


def edge_contrast(features: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8], width: int) -> float:
    """How much steeper a map is at the truth's boundary than elsewhere: (a - b) / (a + b).

    The map is brought to the mask's size bilinearly, as logits are; its steepness is the length of its gradient; a is
    the mean steepness of the pixels within `width` of the boundary, b that of all other known pixels. Scale, offset
    and sign of the map do not matter: maps of different networks compare on the same images, at equal `width` and
    equal (h, w), since a coarse map has no steep edges.

    Args:
        features: (h, w), such as `energy` gives, of the same ground as the mask, without padding.
        mask: (H, W), 0 background, 1 landslide, 255 unknown.
        width: pixels of the mask, at least the stride H / h of the map; a pixel is near the boundary if both classes
            lie within this many rows and columns of it.

    Returns:
        1: all of the map's change is at the boundary. 1/3: it is twice as steep there. 0: it is no steeper there than
        elsewhere, or has no change at all. -1: it has none at the boundary. NaN: the mask has no boundary, or all
        known pixels are near it.
    """
    # Not the area under the ROC curve of the values near the boundary: along a straight boundary it is 1 for a sharp
    # map and for a blurred one, and 1/2 for a map that marks the boundary with a line.
    near = boundary_mask(torch.tensor(mask[None], dtype=torch.int64), width)[0].numpy()
    at, elsewhere = near == 1, near == 0
    if not at.any() or not elsewhere.any():
        return math.nan
    fine = F.interpolate(torch.tensor(features[None, None], dtype=torch.float64), mask.shape, mode="bilinear")[0, 0]
    steepness = np.hypot(*np.gradient(fine.numpy()))
    a, b = float(steepness[at].mean()), float(steepness[elsewhere].mean())
    return (a - b) / (a + b) if a + b > 0 else 0.0


def contrast_frame(
    networks: Mapping[str, nn.Module], part: LandslideDataset, image_size: int, layer: str
) -> pd.DataFrame:
    """Mean `edge_contrast` of each network over a data set, with the 95 % interval of the mean over its images.

    Each map is compared with the mask at the network's input size; images without a boundary, or with nothing else,
    are left out. The arguments are those of `strengths`.
    """
    values: dict[str, list[float]] = {name: [] for name in networks}
    for sample in part:
        mask = EvalTransform(image_size)(sample)[1].numpy().astype(np.uint8)
        for name, strength in strengths(networks, sample, image_size, layer).items():
            contrast = edge_contrast(strength, mask, BOUNDARY)
            values[name] += [] if math.isnan(contrast) else [contrast]
    rows = []
    for name, found in values.items():
        mean, interval = "unknown", "no image has a boundary"
        if found:
            middle = float(np.mean(found))
            mean, interval = f"{middle:.3f}", "one image: unknown"
            if len(found) > 1:
                half = 1.96 * float(stats.sem(found))
                interval = f"{middle - half:.3f} to {middle + half:.3f}"
        rows.append({"Network": name, "Steepness": mean, "95 % over images": interval, "Images": len(found)})
    return pd.DataFrame(rows or [{"Network": "no trained weights are available"}])
