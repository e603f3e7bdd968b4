"""Whether reading and augmenting images keeps up with training: `scgcnet bench data NAME`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from scgcnet.data import Subset, TrainingView, TrainTransform, open_dataset
from scgcnet.train import TrainConfig, composite_loss, new_network


@dataclass(frozen=True)
class Rates:
    """Images a second, each the median of several rounds over the same images.

    Attributes:
        decode: Reading image and mask from their files, nothing kept.
        augment: Augmentation and normalisation of images that are in memory.
        train: Training steps on batches that are ready.
        images: How many images a round has.
    """

    decode: float
    augment: float
    train: float
    images: int

    @property
    def first_epoch(self) -> float:
        """Images a second of the loader alone while nothing is in memory yet: reading, then augmenting."""
        return 1 / (1 / self.decode + 1 / self.augment)

    @property
    def share(self) -> float:
        """Share of the time of a later epoch, in one process, that goes into the images and not into training."""
        return self.train / (self.train + self.augment)

    @property
    def limit(self) -> str:
        """What limits an epoch, in one process or with loaders beside it."""
        return "training" if self.augment > self.train else "the images"


def _rate(work: Callable[[], None], images: int, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return images / statistics.median(times)


def measure(
    dataset: Subset, model: str, size: str, image_size: int, batch_size: int, images: int, rounds: int
) -> Rates:
    """Times reading, augmentation and training on the first images of a data set.

    Args:
        dataset: A part of a data set.
        model: Name for `create_model`.
        size: Its preset.
        image_size: Side of the network's input, pixels.
        batch_size: Images a training step.
        images: How many images, at most.
        rounds: How often each is timed; the median counts.
    """
    count = min(images, len(dataset)) // batch_size * batch_size or len(dataset)

    def decode() -> None:
        for index in dataset.indices[:count]:
            dataset.whole.read(index)  # nothing is kept

    config = TrainConfig(image_size=image_size, batch_size=batch_size)
    view = TrainingView(dataset, TrainTransform(image_size, config.augment), seed=0)

    def augment() -> None:
        for index in range(count):
            view[0, index]

    augment()  # from here on the images are in memory
    batch = [view[0, index % count] for index in range(batch_size)]
    images_in, masks = (torch.stack(tensors) for tensors in zip(*batch, strict=True))
    network = new_network(model, size, images_in.shape[1], {}, seed=0).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        outputs = network(images_in)
        loss = composite_loss(outputs if isinstance(outputs, torch.Tensor) else outputs[0], masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()  # kernels are compiled, memory is taken
    return Rates(
        decode=_rate(decode, count, rounds),
        augment=_rate(augment, count, rounds),
        train=_rate(step, batch_size, 4 * rounds),
        images=count,
    )


def bench_data(
    name: str, root: Path | None, model: str = "scgcnet", size: str = "tiny", image_size: int = 128
) -> Rates:
    """Prints how fast the images of a data set are read and augmented, beside a training on them.

    Args:
        name: Data set; its training part is taken.
        root: Folder that holds the data set's own folder; None for the usual place.
        model: Name for `create_model`.
        size: Its preset.
        image_size: Side of the network's input, pixels.

    Raises:
        DatasetError: The data set is missing or damaged.
    """
    dataset = open_dataset(name, 0, "train", root)
    pixels = np.mean([dataset[index].mask.size for index in range(min(len(dataset), 64))])
    rates = measure(dataset, model, size, image_size, batch_size=8, images=128, rounds=5)
    print(
        f"{name}: {rates.images} images of {pixels / 1e6:.2f} megapixels on average, to {image_size} px, "
        f"{torch.get_num_threads()} threads"
    )
    for what, rate in (
        ("reading files", rates.decode),
        ("augmenting from memory", rates.augment),
        ("both, the loader in a first epoch", rates.first_epoch),
        (f"training {model} {size}, images ready", rates.train),
    ):
        print(f"{what:<40}{rate:>10.0f} images/s")
    print(f"{rates.limit} limits; in one process the images take {rates.share:.0%} of a later epoch")
    return rates
