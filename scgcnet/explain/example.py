"""The network and the image that a chapter looks into: trained and real where they are at hand, and it says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from scgcnet import zoo
from scgcnet.checkout import find_checkout
from scgcnet.data import Sample, dataset_available, open_dataset

WEIGHTS = "scgcnet/weights/tiny-bijie.safetensors"


def example_network(size: str, flags: dict[str, Any]) -> tuple[nn.Module, str]:
    """An SCGC-Net in evaluation mode, and one sentence on where its weights are from.

    The committed weights `tiny-bijie` are taken where they are of the network asked for; anything else is random,
    from seed 0.
    """
    torch.manual_seed(0)
    model = zoo.create_model("scgcnet", size, **flags).eval()
    path = (find_checkout() or Path.cwd()) / WEIGHTS
    if path.is_file():
        trained = zoo.load_model(path)
        if trained.config == model.config:
            return trained, f"The weights are {path.stem}, trained on real images of Bijie."
    return model, "The weights are random: no trained ones of this configuration are stored."


def example_sample() -> tuple[Sample, str]:
    """A validation image, and one sentence on where it is from: Bijie where its data are at hand, else synthetic."""
    part = open_dataset("bijie" if dataset_available("bijie") else "synthetic", 0, "val")
    sample = part[0]
    kind = "a real one of Bijie" if part.kind == "real" else "a synthetic one"  # fakes can stand in Bijie's place
    return sample, f"The image is {kind}, {sample.name} of the validation part."
