"""Golden values: network outputs at fixed weights, fresh weights, augmented images, and two epochs of training.

A failure means that results would change. If no change was intended, undo it. An intended change raises PROTOCOL in
scgcnet/train/config.py and rewrites the values:

    python tests/test_golden.py --write
"""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.data import AugmentConfig, Subset, TrainingView, TrainTransform, open_dataset, write_fake
from scgcnet.train import config
from scgcnet.train.config import TrainConfig
from scgcnet.train.fit import fit, new_network

FILE = Path(__file__).with_name("golden.json")
PROTOCOL = getattr(config, "PROTOCOL", 1)
NETWORKS = zoo.model_names()
RECIPE = TrainConfig(
    epochs=2,
    batch_size=4,
    image_size=64,
    optimizer="adamw",
    lr=2e-3,
    weight_decay=1e-2,
    augment=AugmentConfig(
        scale=(0.9, 1.2), vflip=0.5, rot90=True, brightness=0.125, contrast=0.3, saturation=0.3, hue=0.02
    ),
)


def uniform(name: str, shape: torch.Size, low: float, high: float) -> Tensor:
    """Values that depend on name and shape alone."""
    values = np.random.default_rng(zlib.crc32(name.encode())).uniform(low, high, tuple(shape))
    return torch.from_numpy(np.asarray(values, np.float32))


@torch.no_grad()
def set_weights(model: nn.Module) -> None:
    """Overwrites parameters and running statistics, so that outputs do not depend on the initialisation."""
    for name, p in model.named_parameters():
        if p.ndim >= 2:
            bound = math.sqrt(3 / max(p[0].numel(), 1))  # keeps the variance of a layer's input
            p.copy_(uniform(name, p.shape, -bound, bound))
        else:  # scales and scalars around 1, biases around 0
            centre = 0.0 if name.endswith("bias") else 1.0
            p.copy_(uniform(name, p.shape, centre - 0.1, centre + 0.1))
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(uniform(name, buffer.shape, -0.1, 0.1))
        elif name.endswith("running_var"):
            buffer.copy_(uniform(name, buffer.shape, 0.5, 1.5))


@torch.no_grad()
def outputs(name: str) -> list[float]:
    """Mean, standard deviation and eight logits of the size `tiny` at fixed weights on an image of 64 x 64."""
    model = zoo.create_model(name, "tiny").eval()
    set_weights(model)
    logits = model(uniform("image", torch.Size((1, 3, 64, 64)), -2, 2)).double()
    sampled = logits.flatten()[torch.linspace(0, logits.numel() - 1, 8).long()]
    return [float(logits.mean()), float(logits.std()), *sampled.tolist()]


def fresh_weights(name: str) -> list[float]:
    """Sums over tensors of the mean, the mean magnitude and the standard deviation of their values."""
    state = new_network(name, "tiny", 3, {}, seed=0).state_dict().values()
    values = [tensor.double() for tensor in state if tensor.is_floating_point()]
    moments = [(v.mean(), v.abs().mean(), v.std(correction=0)) for v in values]
    return torch.tensor(moments, dtype=torch.float64).sum(0).tolist()


def open_parts(folder: Path) -> tuple[Subset, Subset]:
    """Twelve synthetic images to train on and seven to validate."""
    write_fake("bijie", folder, 24, 0)
    return open_dataset("bijie", 0, "train", folder), open_dataset("bijie", 0, "val", folder)


def augmented(train: Subset) -> list[list[float]]:
    """Of each training image in two epochs: its mean, its first moments along rows and columns, those of its mask."""
    view = TrainingView(train, TrainTransform(RECIPE.image_size, RECIPE.augment), seed=0)
    ramp = torch.linspace(-1, 1, RECIPE.image_size)
    rows = []
    for epoch in range(2):
        for index in range(len(view)):
            image, mask = view[epoch, index]
            maps = (image.mean(0), image[0] - image[2], (mask == 1).float())
            rows.append([float(v) for m in maps for v in (m.mean(), (m * ramp[:, None]).mean(), (m * ramp).mean())])
    return rows


def train_twice(folder: Path) -> dict[str, Any]:
    """Augmented images, and the losses of two epochs."""
    train, val = open_parts(folder / "data")
    history = fit(new_network("scgcnet", "tiny", 3, {}, seed=0), train, val, RECIPE, 0, folder / "run", False).history
    losses = {key: [row[key] for row in history] for key in ("loss", "val_loss")}
    return {"augmented": augmented(train), **losses}


def compute(folder: Path) -> dict[str, Any]:
    """All golden values of the present code."""
    return {
        "protocol": PROTOCOL,
        "outputs": {name: outputs(name) for name in NETWORKS},
        "fresh_weights": {name: fresh_weights(name) for name in NETWORKS},
        **train_twice(folder),
    }


@pytest.fixture(scope="module")
def golden() -> Mapping[str, Any]:
    values: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return values


def test_values_are_of_this_protocol(golden: Mapping[str, Any]) -> None:
    assert golden["protocol"] == PROTOCOL, "rewrite the values: python tests/test_golden.py --write"
    assert list(golden["outputs"]) == list(golden["fresh_weights"]) == NETWORKS


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_at_fixed_weights(name: str, golden: Mapping[str, Any]) -> None:
    expected = golden["outputs"][name]
    assert outputs(name) == pytest.approx(expected, rel=1e-4, abs=1e-4 * expected[1])


@pytest.mark.parametrize("name", NETWORKS)
def test_fresh_weights(name: str, golden: Mapping[str, Any]) -> None:
    assert fresh_weights(name) == pytest.approx(golden["fresh_weights"][name], rel=1e-6, abs=1e-6)


def test_augmented_images_and_losses_of_two_epochs(golden: Mapping[str, Any], tmp_path: Path) -> None:
    found = train_twice(tmp_path)
    for row, expected in zip(found["augmented"], golden["augmented"], strict=True):
        assert row == pytest.approx(expected, abs=1e-4)
    assert found["loss"] == pytest.approx(golden["loss"], abs=1e-3)
    assert found["val_loss"] == pytest.approx(golden["val_loss"], abs=1e-3)


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as temporary:
        new = compute(Path(temporary))
    rounded = json.loads(json.dumps(new), parse_float=lambda text: float(f"{float(text):.9g}"))
    text = re.sub(
        r"\[[^\[\]]*\]", lambda found: " ".join(found[0].split()), json.dumps(rounded, indent=1)
    )  # one line a list
    FILE.write_text(text + "\n", encoding="utf-8")
