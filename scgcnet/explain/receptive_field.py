"""How far a layer sees: the effective receptive field, measured by gradients.

Source: Luo, Li, Urtasun and Zemel 2016, "Understanding the Effective Receptive Field in Deep Convolutional Neural
Networks", NeurIPS: send a gradient back from the middle of a map, and look at what arrives at the image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from scgcnet.explain.features import evaluating, outputs_of

Field = npt.NDArray[np.float32]


def effective_field(
    model: nn.Module, layer: str, side: int, images: int = 4, seed: int = 0, in_channels: int = 3
) -> Field:
    """How much each pixel of the image moves the middle of a layer's map.

    With f the channels in the middle of the map and x the image, the strength at pixel p is the root mean square
    over images of |J_p|, where J_p = df/dx_p and |.| is the root of the sum of squares over all pairs of channels.
    J takes a backward pass for each channel of f; s . f with random signs s takes one, and the square of its gradient
    is |J_p|^2 in the mean, because products of different signs average out. (The gradient of the plain sum of f would
    lose what one channel adds and another takes away.) So each image has signs of its own and is one backward pass.

    The middle of a map of h rows is position h // 2. Padded convolutions of odd size look from there at pixel
    side // 2, which is where the other functions of this module have the centre; a 2 x 2 convolution of stride 2 moves
    the field down and right by half a step. What would lie beyond the image is not seen: take a `side` that holds the
    field, or compare networks at one. In a network that was never trained the BatchNorms have no statistics yet, and
    the field is that of the residual paths alone, nearly without the dilated branches: run
    `torch.optim.swa_utils.update_bn([noise], model)` first.

    Args:
        model: Any network. It runs as in evaluation; its modes, gradients and parameters are left as they are.
        layer: Qualified name of a submodule that gives a map (B, C, h, w), such as `encoder.stage3`; the empty string
            for the network itself, which gives the logits.
        side: Of the square image, pixels.
        images: How many images of standard normal noise, as normalised images are; the same ones for all networks.
        seed: Of the noise and of the signs.
        in_channels: Bands of the image.

    Returns:
        (side, side), 0 or more, with sum 1.

    Raises:
        ValueError: The network has no layer of that name, or it was not reached; its output is no map, or its middle
            is not that of the image; or nothing, or nothing finite, arrives at the image.
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

    Squares of 1, 3, 5, ... pixels have the centre pixel in their middle; between two of them the share is taken to grow
    linearly with the side. No square is larger than the field.

    Raises:
        ValueError: The share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share}: must be in (0, 1]")
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


@torch.enable_grad()  # whatever holds where it is called
def _squared_gradient(
    model: nn.Module, layer: str, image: Tensor, generator: torch.Generator
) -> npt.NDArray[np.float64]:
    """Of one image (1, C, side, side), summed over its bands: (side, side)."""
    with outputs_of(model, [layer]) as outputs:
        model(image)
    features = outputs[layer]
    if features.ndim != 4:
        raise ValueError(f"layer {layer!r} gives {tuple(features.shape)}: name one that gives a map (B, C, h, w)")
    if not features.requires_grad:
        raise ValueError(f"layer {layer!r} does not depend on the image")
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
