"""The effective receptive field of a layer, measured by gradients from the middle of its map back to the image.

Source: Luo, Li, Urtasun and Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
NeurIPS 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from scgcnet import zoo
from scgcnet.explain.features import evaluating, outputs_of

Field = npt.NDArray[np.float32]

LAYERS = {"encoder.stage3": "stage 3", "encoder.stage4": "stage 4", "": "logits"}
CUT = 0.9  # of the image's side: a wider square would be wider still on a larger image
IMAGES = 2  # of noise: with more, the side of a fresh network's field moves by a few pixels


def effective_field(
    model: nn.Module, layer: str, side: int, images: int = 4, seed: int = 0, in_channels: int = 3
) -> Field:
    """How much each pixel of the image moves the middle of a layer's map: (side, side), 0 or more, with sum 1.

    The strength at pixel p is the root mean square over images of |J_p|, where J is the gradient at x of f, the
    channels in the middle of the map, and |.| is the root of the sum of squares over all pairs of channels. One
    backward pass of s . f with random signs s has |J_p|^2 as the mean of its square, since products of different signs
    average out; each image has signs of its own. The middle of a map of h rows is position h // 2.

    Pixels beyond the image are not seen: take a `side` that holds the field, or compare networks at one. Untrained
    BatchNorms need statistics first, or the field is that of the residual paths alone (`construction_fields`).

    Args:
        model: any network. It runs as in evaluation; its modes, gradients and parameters are left as they are.
        layer: qualified name of a submodule that gives a map (B, C, h, w); "" is the network itself (logits).
        side: of the square image, pixels.
        images: number of images of standard normal noise, as normalised images are; the same for all networks.
        seed: of the noise and of the signs.
        in_channels: bands of the image.

    Raises:
        ValueError: there is no such layer, the middle of its map is not that of the image, or nothing finite arrives
            at the image.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((images, in_channels, side, side), generator=generator)
    device = next((p.device for p in model.parameters()), noise.device)
    squares = np.zeros((side, side))
    with evaluating(model):
        for one in noise.to(device).split(1):
            squares += _squared_gradient(model, layer, one.requires_grad_(), generator)
    field = np.sqrt(squares)
    total = field.sum()
    if not 0 < total < np.inf:
        raise ValueError(f"layer {layer!r}: the gradients at the image are all zero, or not finite")
    out: Field = (field / total).astype(np.float32)
    return out


def field_side(field: Field, share: float = 0.95) -> float:
    """Side in pixels of the smallest square around the centre that holds `share` of a field (side, side).

    Between squares of 1, 3, 5, ... pixels the share is taken to grow linearly; no square is larger than the field.
    """
    down, right = _offsets(field)
    rings = np.bincount(np.maximum(abs(down), abs(right)).ravel(), weights=field.ravel().astype(np.float64))
    held = np.concatenate([[0.0], rings.cumsum()])  # by squares of side 0, 1, 3, 5, ...
    sides = np.concatenate([[0], np.arange(1, 2 * len(rings), 2)])
    target = share * held[-1]
    last = int(np.searchsorted(held, target))  # the first square that holds enough
    part = (target - held[last - 1]) / (held[last] - held[last - 1])
    return float(min(sides[last - 1] + part * (sides[last] - sides[last - 1]), max(field.shape)))


def field_radius(field: Field) -> float:
    """Root mean square distance in pixels from the centre, weighted by a field (side, side)."""
    down, right = _offsets(field)
    weights = field.astype(np.float64)
    return float(np.sqrt((weights * (down**2 + right**2)).sum() / weights.sum()))


def construction_fields(overrides: Mapping[str, Any], side: int) -> dict[str, Field]:
    """Fields of a fresh `tiny` by layer: weights from seed 0, normalisation settled on noise; `side` in pixels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = zoo.create_model("scgcnet", "tiny", **overrides)
    noise = torch.randn((4, 3, side, side), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():  # without statistics of its own, each BatchNorm lets the residual paths alone through
        update_bn([noise], model)
    return fields_of(model.eval(), side)


def fields_of(model: nn.Module, side: int) -> dict[str, Field]:
    """Fields of a network by layer, for a square input of `side` pixels."""
    return {name: effective_field(model, layer, side, images=IMAGES) for layer, name in LAYERS.items()}


def field_frame(fields: Mapping[str, Mapping[str, Field]]) -> pd.DataFrame:
    """Side of the 95 % square and root mean square distance in pixels, a row for each network, columns by layer."""

    def text(field: Field) -> str:
        side = field_side(field)
        return f"{side:.0f} / {field_radius(field):.0f}{' (cut)' * (side > CUT * len(field))}"

    rows = [
        {"Network": name} | {f"{layer}: 95 % side / distance": text(field) for layer, field in found.items()}
        for name, found in fields.items()
    ]
    return pd.DataFrame(rows or [{"Network": "no trained weights are available"}])


@torch.enable_grad()  # whatever the caller has set
def _squared_gradient(
    model: nn.Module, layer: str, image: Tensor, generator: torch.Generator
) -> npt.NDArray[np.float64]:
    """Of one image (1, C, side, side), summed over its bands: (side, side)."""
    with outputs_of(model, [layer]) as outputs:
        model(image)
    features = outputs[layer]
    _, channels, height, width = features.shape
    side = image.shape[-1]
    if height % 2 and height < side and side % height == 0:  # at a stride, an odd map's middle is not pixel side // 2
        multiple = 2 * side // height
        raise ValueError(f"layer {layer!r} has {height} rows at {side} pixels: take a multiple of {multiple} pixels")
    signs = torch.randint(2, (channels,), generator=generator) * 2 - 1
    middle = features[0, :, height // 2, width // 2]
    # Asked for the image's gradient alone, autograd leaves those of the parameters as they are.
    (gradient,) = torch.autograd.grad(middle @ signs.to(middle), image, materialize_grads=True)
    squares: npt.NDArray[np.float64] = gradient[0].double().square().sum(dim=0).cpu().numpy()
    return squares


def _offsets(field: Field) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows (side, 1) and columns (1, side) counted from the centre, pixel side // 2."""
    height, width = field.shape
    return np.arange(height)[:, None] - height // 2, np.arange(width)[None, :] - width // 2
