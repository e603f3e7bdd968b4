"""Attributions by captum: the contribution of each pixel to a network's answer in a region.

A segmentation has a logit at every pixel and class. One number is explained: the mean over a region of the logit of
landslide minus that of background (`margin`). Source of summing the logits of chosen pixels: Vinogradova, Dibrov and
Myers, "Towards Interpretable Semantic Segmentation via Gradient-Weighted Class Activation Mapping", AAAI 2020.
Positive values speak for landslide in that region, negative ones against it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion
from torch import Tensor, nn

from scgcnet.data import EvalTransform, Sample
from scgcnet.data.transforms import normalise
from scgcnet.explain.features import evaluating, outputs_of

Map = npt.NDArray[np.float32]
Region = npt.NDArray[np.bool_]
Which = Literal["truth", "misses", "false alarms"]
Method = Literal["integrated gradients", "grad-cam", "occlusion"]
REGIONS: tuple[Which, ...] = get_args(Which)
METHODS: tuple[Method, ...] = get_args(Method)

STEPS = 64  # of the path that Integrated Gradients adds up
TOLERANCE = 0.05  # of completeness: Sundararajan et al. 2017 ask for a sum within 5 % of the difference
PATCHES = 8  # the occluding square has this part of the image's side; it moves by half of itself
_AT_ONCE = 8  # images through the network: more need memory and are no faster

#: Layers for Grad-CAM by the paper's name of the part: the last of HMIE's two stages, CAM, and the calibration units.
PARTS = {
    "HMIE, stage 3": "encoder.stage3",
    "HMIE, stage 4": "encoder.stage4",
    "CAM": "cam.3",
    **{f"PSCCS, unit {unit + 1}": f"decoder.units.{unit}" for unit in range(3)},
}


class EmptyRegionError(ValueError):
    """The region has no pixel."""


@dataclass(frozen=True)
class Attribution:
    """Contribution of each pixel to the margin of a region."""

    values: Map  # (H, W), pixels of the network's input; positive speaks for landslide in the region
    margin: float  # of the image, a difference of logits
    start: float | None = None  # margin of the baseline, where the values should add up to the difference of margins

    @property
    def gap(self) -> float | None:
        """Distance of the values' sum from the difference of margins, as a fraction of it; None without a baseline."""
        if self.start is None:
            return None
        wanted = self.margin - self.start
        missing = abs(float(self.values.sum(dtype=np.float64)) - wanted)
        return missing / abs(wanted) if wanted else math.inf if missing else 0.0


@dataclass(frozen=True)
class Question:
    """An image and the region whose margin is explained."""

    sample: Sample
    probability: Map  # of landslide, (H, W) at native size
    iou: float  # of the prediction, a fraction of 1
    pixels: Tensor  # the network's input, (1, C, S, S)
    region: Region  # (S, S)


def ask(
    cases: Sequence[tuple[Sample, Map, float]],
    image_size: int,
    threshold: float,
    which: Which = "truth",
    box: Sequence[int] | None = None,
) -> list[Question]:
    """Questions about a region of each image (see `region_of`); an image where it has no pixel is left out.

    Args:
        cases: sample, probability of landslide (H, W) and IoU of each.
        image_size: side of the square network input, pixels.
        threshold: probability above which a pixel is called landslide.
        which: one of `REGIONS`.
        box: left, top, right, bottom in pixels of the image, instead of `which`.

    Raises:
        EmptyRegionError: the region has no pixel in any image.
        ValueError: there is no such region, or the box has not four numbers.
    """
    if box is not None and len(box) != 4:
        raise ValueError(f"box {list(box)}: needs left, top, right, bottom in pixels of the image")
    asked, last = [], "there is no image"
    for sample, probability, iou in cases:
        chosen = which if box is None else (box[0], box[1], box[2], box[3])
        try:
            region = region_of(sample, chosen, image_size, probability, threshold)
        except EmptyRegionError as error:
            last = str(error)
            continue
        pixels = EvalTransform(image_size)(sample)[0].unsqueeze(0)
        asked.append(Question(sample, probability, iou, pixels, region))
    if not asked:
        raise EmptyRegionError(last)
    return asked


def region_of(
    sample: Sample,
    which: Which | tuple[int, int, int, int],
    image_size: int,
    probability: Map,
    threshold: float = 0.5,
) -> Region:
    """The region of the network's input that a question is about.

    Args:
        sample: at native size.
        which: the true landslides, their missed pixels, the pixels falsely called landslide; or a box (left, top,
            right, bottom) in pixels of the image, right and bottom excluded.
        image_size: side of the square network input, pixels.
        probability: of landslide, (H, W) at native size.
        threshold: probability above which a pixel is called landslide.

    Returns:
        bool (image_size, image_size); the nearest pixel decides, as in `EvalTransform`.

    Raises:
        EmptyRegionError: there is no pixel in it.
        ValueError: there is no such region.
    """
    truth = sample.mask == 1
    if not isinstance(which, str):
        left, top, right, bottom = which
        chosen = np.zeros(truth.shape, dtype=bool)
        chosen[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = True
    elif which == "truth":
        chosen = truth
    elif which == "misses":
        chosen = truth & (probability <= threshold)
    elif which == "false alarms":
        chosen = (sample.mask == 0) & (probability > threshold)
    else:
        raise ValueError(f"no region {which!r}: there are {', '.join(REGIONS)}, and boxes")
    drawn: Region = EvalTransform(image_size)(replace(sample, mask=chosen.astype(np.uint8)))[1].numpy() == 1
    if not drawn.any():
        why = f"vanishes at {image_size} pixels" if chosen.any() else "has no pixel"
        raise EmptyRegionError(f"{sample.name}: the region {which!r} {why}; choose another region or image")
    return drawn


def margin(model: nn.Module, region: Region) -> Callable[[Tensor], Tensor]:
    """A function from images (B, C, H, W) to the mean of landslide's logit minus background's in a region, (B,)."""
    weights = torch.from_numpy(region / region.sum()).float()

    def of(images: Tensor) -> Tensor:
        logits = model(images)
        difference: Tensor = logits[:, 1] - logits[:, 0]
        return (difference * weights.to(difference)).sum(dim=(1, 2))

    return of


def attribute(method: Method, model: nn.Module, image: Tensor, region: Region, layer: str = "") -> Attribution:
    """An attribution by one of `METHODS`, with the settings of this module.

    Args:
        method: its name; ValueError where there is no such method or layer.
        model: any network of the zoo with two classes; it runs as in evaluation, and its mode is left as it is.
        image: (1, C, H, W), normalised as `EvalTransform` does.
        region: (H, W), with one pixel or more.
        layer: for Grad-CAM alone: qualified name of a submodule that gives a map (1, D, h, w).
    """
    if method == "integrated gradients":
        return integrated_gradients(model, image, region)
    if method == "grad-cam":
        return grad_cam(model, image, region, layer)
    if method == "occlusion":
        return occlusion(model, image, region, max(image.shape[-1] // PATCHES, 1))
    raise ValueError(f"no method {method!r}: there are {', '.join(METHODS)}")


def integrated_gradients(model: nn.Module, image: Tensor, region: Region, steps: int = STEPS) -> Attribution:
    """(x - b) times the mean gradient on the straight way in `steps` from b (`black`) to x, summed over bands.

    Source: Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017. By its completeness the
    values add up to the margin of x less that of b, up to the error of a sum in place of an integral: `gap`.
    """
    target, start = margin(model, region), black(image)
    with evaluating(model):
        found = IntegratedGradients(target).attribute(image, start, n_steps=steps, internal_batch_size=_AT_ONCE)
        with torch.no_grad():
            ends = target(torch.cat([image, start]))
    return Attribution(_summed(found), float(ends[0]), float(ends[1]))


def black(image: Tensor) -> Tensor:
    """A black image, normalised, of the shape of `image` (B, C, H, W): the baseline."""
    # The margin of a baseline should be near 0. Over the true landslides of 39 validation images of Bijie, `tiny-bijie`
    # has a mean margin of 0.1 for black, 1.4 for ImageNet's mean colour, 2.7 for each image's own, 2.4 for the image.
    flat = normalise(np.zeros((image.shape[1], 1, 1), dtype=np.float32))
    return torch.from_numpy(flat).to(image).expand_as(image)


def grad_cam(model: nn.Module, image: Tensor, region: Region, layer: str) -> Attribution:
    """A layer's channels, each times the mean of its gradient over the map, summed and stretched to the image.

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV
    2017, who keep the positive values alone. ValueError where the layer gives no map lists those that do.
    """
    target = margin(model, region)
    with evaluating(model):
        module = _map_layer(model, image, layer)
        found = LayerGradCam(target, module).attribute(image)
        with torch.no_grad():
            own = float(target(image))
    wide = F.interpolate(found.detach(), image.shape[2:], mode="bilinear", align_corners=False)
    return Attribution(_summed(wide), own)


def occlusion(model: nn.Module, image: Tensor, region: Region, patch: int) -> Attribution:
    """Fall of the margin when a black square hides a place, the mean over all squares that hide it.

    Source: Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014. A square over the
    region itself hides the landslide, and so stands out. The square's side is `patch` pixels, it moves by half of that.
    """
    target, channels, stride = margin(model, region), image.shape[1], max(patch // 2, 1)
    with evaluating(model), torch.no_grad():
        found = Occlusion(target).attribute(
            image, (channels, patch, patch), (channels, stride, stride), black(image), perturbations_per_eval=_AT_ONCE
        )
        own = float(target(image))
    # Every band has the whole fall, since all are hidden at once: one of them is the map.
    return Attribution(found[0, 0].float().cpu().numpy(), own)


def explain(model: nn.Module, questions: Sequence[Question], method: Method, layer: str) -> list[Attribution]:
    """The answers of one method, in the order of the questions."""
    return [attribute(method, model, one.pixels, one.region, layer) for one in questions]


def methods_of(model: nn.Module) -> dict[str, tuple[Method, str]]:
    """The methods that apply to a network, by their name in print: method and layer."""
    modules = dict(model.named_modules())
    cams: dict[str, tuple[Method, str]] = {
        f"Grad-CAM at {part}": ("grad-cam", layer)
        for part, layer in PARTS.items()
        if layer in modules and not isinstance(modules[layer], nn.Identity)
    }
    return {"Integrated Gradients": ("integrated gradients", ""), "Occlusion": ("occlusion", ""), **cams}


def all_maps(model: nn.Module, question: Question) -> dict[str, Map]:
    """The map of each of `methods_of` for one question."""
    return {
        name: attribute(method, model, question.pixels, question.region, layer).values
        for name, (method, layer) in methods_of(model).items()
    }


def baseline_table(model: nn.Module, questions: Sequence[Question]) -> pd.DataFrame:
    """Margins of each region in images that show nothing; a baseline for "no landslide" should have none."""
    rows = []
    for one in questions:
        target = margin(model, one.region)
        flat = {
            "Image": one.pixels,
            "Black": black(one.pixels),
            "ImageNet's mean colour": torch.zeros_like(one.pixels),
            "Its own mean colour": one.pixels.mean(dim=(2, 3), keepdim=True).expand_as(one.pixels),
        }
        with torch.no_grad():
            found = {f"Margin: {name}": f"{float(target(pixels)):.2f}" for name, pixels in flat.items()}
        rows.append({"Image": one.sample.name, **found})
    return pd.DataFrame(rows)


def completeness_table(model: nn.Module, questions: Sequence[Question]) -> pd.DataFrame:
    """Whether Integrated Gradients add up to the difference that they explain, for each image."""
    rows = []
    for one in questions:
        found = integrated_gradients(model, one.pixels, one.region)
        assert found.start is not None and found.gap is not None
        rows.append(
            {
                "Image": one.sample.name,
                "Margin": f"{found.margin:.3f}",
                "Of a black image": f"{found.start:.3f}",
                "Difference": f"{found.margin - found.start:.3f}",
                "Sum of the values": f"{found.values.sum(dtype=np.float64):.3f}",
                "Gap (%)": f"{100 * found.gap:.2f}",
                f"Within {100 * TOLERANCE:.0f} %": "yes" if found.gap <= TOLERANCE else "NO",
            }
        )
    return pd.DataFrame(rows)


def map_layers(model: nn.Module, image: Tensor) -> list[str]:
    """Names of the layers that give a map (1, D, h, w) of the image (1, C, H, W), down to parts that have parts.

    Where none of these gives a map, deeper ones.
    """
    modules = {name: module for name, module in model.named_modules() if name}
    maps = {name for name, shape in _outputs(model, image, list(modules)).items() if _is_map(shape, image)}

    def depth(name: str) -> int:
        """Levels of parts; a ModuleList is none: decoder.units.0 is a part of the decoder."""
        levels = name.split(".")
        inside = (modules[".".join(levels[: n + 1])] for n in range(len(levels)))
        return sum(not isinstance(module, nn.ModuleList) for module in inside)

    for deepest in range(2, max(map(depth, maps), default=0) + 1):
        found = [
            name
            for name, module in modules.items()
            if name in maps
            and not isinstance(module, nn.Identity)
            and (depth(name) == 1 or (depth(name) <= deepest and any(True for _ in module.children())))
        ]
        if found:
            return found
    return sorted(maps)


def _map_layer(model: nn.Module, image: Tensor, layer: str) -> nn.Module:
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if layer in modules and layer:
        output = _outputs(model, image, [layer]).get(layer)
        if output is not None and _is_map(output, image):
            return modules[layer]
        what = "was not reached, or gave no tensor" if output is None else f"gives {tuple(output)}, which is no map"
        what = f"layer {layer!r} {what}"
    else:
        near = difflib.get_close_matches(layer, modules, n=1)
        what = f"no layer {layer!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
    raise ValueError(f"{what}; maps are given by {', '.join(map_layers(model, image))}")


def _outputs(model: nn.Module, image: Tensor, layers: list[str]) -> dict[str, torch.Size]:
    """Output shapes of the named layers, of those that are reached and give a tensor."""
    with torch.no_grad(), evaluating(model), outputs_of(model, layers, strict=False) as outputs:
        model(image)
    return {name: output.shape for name, output in outputs.items()}


def _is_map(shape: torch.Size, image: Tensor) -> bool:
    """Whether rows and columns are the image's at some stride; those of (B, h, w, C) are not."""
    if len(shape) != 4 or min(shape[2:]) < 2:
        return False
    height, width = image.shape[2:]
    return abs(shape[2] * width - shape[3] * height) <= max(height, width)


def _summed(values: Tensor) -> Map:
    """Over channels: (1, C, H, W) to (H, W)."""
    out: Map = values.detach().sum(dim=1)[0].float().cpu().numpy()
    return out
