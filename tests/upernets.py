"""For the networks under UPerNet: weights that are not a fresh network's, and those of segmentation-models-pytorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def disturb(model: nn.Module) -> nn.Module:
    """Biases, scales and running statistics that are not the neutral ones of a fresh network."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 2)
    return model


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an smp.UPerNet by our names."""
    names = {
        "encoder.model.patch_embed": "encoder.patches",  # Swin
        "encoder.model.layers_": "encoder.stages.",
        "encoder.model.stem_": "encoder.stem.",  # ConvNeXt
        "encoder.model.stages_": "encoder.stages.",
        "segmentation_head.0": "head.1",
    }
    result = {}
    for key, value in state.items():
        for theirs, ours in names.items():
            key = key.replace(theirs, ours)
        result[key] = value
    return result
