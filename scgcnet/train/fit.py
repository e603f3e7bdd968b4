"""`fit` trains on the training part and picks the epoch on validation; it opens no file of data."""

from __future__ import annotations

from scgcnet import torchvision_ops  # noqa: F401  # before lightning, which imports torchvision

# isort: split
import io
import logging
import os
import pickle
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm

from scgcnet import files, zoo
from scgcnet.data import EvalTransform, LandslideDataset, TrainingView, TrainTransform
from scgcnet.data.windows import Windows, validation_windows
from scgcnet.train.config import TrainConfig, distributed
from scgcnet.train.task import SegmentationTask, TrainingError

VALIDATION_WINDOWS = 40  # of each source, where a network is validated on windows


@dataclass(frozen=True)
class FitResult:
    """What a training returns.

    Attributes:
        model: The network with the weights best on validation, in evaluation mode.
        history: One row per epoch: epoch, lr (after its last step), loss, val_loss, val_iou, val_f1, val_precision,
            val_recall, val_oa.
        best_epoch: The epoch of those weights, from 0.
    """

    model: nn.Module
    history: list[dict[str, float]]
    best_epoch: int


class _EpochSampler(Sampler[tuple[int, ...]]):
    """Keys of `TrainingView` in an order that is a function of seed and epoch alone; every rank takes its share."""

    def __init__(
        self, sizes: Sequence[int], config: TrainConfig, seed: int, epoch: Callable[[], int], rank: int, world: int
    ) -> None:
        self.sizes, self.counts = sizes, epoch_counts(sizes, config)
        self.seed, self.epoch, self.rank, self.world = seed, epoch, rank, world

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        epoch = self.epoch()
        order = epoch_order(self.sizes, self.counts, np.random.default_rng([self.seed, epoch]))
        drawn: Counter[int] = Counter()
        keys = []
        for index in map(int, order):
            keys.append((epoch, index, drawn[index]) if drawn[index] else (epoch, index))
            drawn[index] += 1
        return iter(keys[self.rank :: self.world][: len(self)])

    def __len__(self) -> int:
        return sum(self.counts) // self.world  # equal shares: a rank with one batch more would wait for ever


class _EvalView(Dataset[tuple[Tensor, Tensor, int]]):
    """A data set resized for the network, without chance; the last value is the number of the sample's source."""

    def __init__(self, dataset: LandslideDataset, image_size: int) -> None:
        self.dataset, self.transform = dataset, EvalTransform(image_size)
        self.source = [number for number, (_, size) in enumerate(dataset.sources) for _ in range(size)]

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return (*self.transform(self.dataset[index]), self.source[index])


def epoch_counts(sizes: Sequence[int], config: TrainConfig) -> list[int]:
    """How many images an epoch draws from data sets of these sizes: see `TrainConfig.sampling`."""
    total = config.epoch_images or sum(sizes)
    shares = [1 / len(sizes)] * len(sizes) if config.sampling == "equal" else [size / sum(sizes) for size in sizes]
    ends = [round(total * sum(shares[:end])) for end in range(len(sizes) + 1)]
    return [end - start for start, end in pairwise(ends)]


def epoch_order(sizes: Sequence[int], counts: Sequence[int], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices into data sets that follow one another: `counts` of each, mixed.

    Of no data set is an image drawn twice before every other one of it was drawn once.
    """
    if list(counts) == list(sizes):
        return rng.permutation(sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    drawn = [
        start + np.concatenate([rng.permutation(size) for _ in range(-(-count // size))])[:count]
        for start, size, count in zip(starts, sizes, counts, strict=True)
        if count
    ]
    return rng.permutation(np.concatenate(drawn))


class _KeepBest(Callback):
    """Writes the weights of the best validation epoch as safetensors, at once, so that a stop loses nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SegmentationTask)
        if trainer.is_global_zero and best_epoch(pl_module.history) == trainer.current_epoch:
            zoo.save_model(pl_module.validated, self.path, {"epoch": str(trainer.current_epoch)})


class _Checkpoints(TorchCheckpointIO):
    """Reads and writes the checkpoint from which a stopped training resumes.

    Lightning's own way passes through the system's folder for temporary files; from there to another disk a file is
    copied, which a kill can break off.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        with files.atomic(Path(path)) as temporary:
            temporary.write_bytes(buffer.getbuffer())

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        try:
            checkpoint: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise TrainingError(
                f"{path}: no checkpoint that can be read ({reason}): delete it, and the training starts anew"
            ) from error
        return checkpoint


class _Progress(Callback):
    """One bar over the epochs with the time left, so that the log of a long training stays readable."""

    FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}{postfix}]"

    def __init__(self) -> None:
        self.bar: tqdm[Any] | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            start = trainer.current_epoch
            self.bar = tqdm(total=trainer.max_epochs, initial=start, desc="training", bar_format=self.FORMAT)

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        if self.bar is not None:  # validation is the rest of an epoch
            self.bar.update(1 / (int(trainer.num_training_batches) + 1))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert isinstance(pl_module, SegmentationTask)
        if self.bar is not None:
            row = pl_module.history[-1]
            self.bar.set_postfix(loss=f"{row['loss']:.3f}", val_iou=f"{row['val_iou']:.3f}", refresh=False)
            self.bar.update(trainer.current_epoch + 1 - self.bar.n)

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        if self.bar is not None:
            self.bar.close()


def best_epoch(history: Sequence[dict[str, float]]) -> int:
    """The epoch of the highest validation IoU, the first of equals."""
    return int(max(history, key=lambda row: (row["val_iou"], -row["epoch"]))["epoch"])


def new_network(name: str, size: str, in_channels: int, overrides: Mapping[str, Any], seed: int) -> nn.Module:
    """A network with fresh weights that are a function of the seed.

    Args:
        name: Name for `zoo.create_model`.
        size: Its preset.
        in_channels: Bands of the images.
        overrides: Fields of the network's configuration that replace the preset's.
        seed: Seed of torch's random state.

    Raises:
        ValueError: The name, size or an override is unknown, or a value is out of range.
        MissingPackageError: The network's code needs a package that is not installed.
    """
    torch.manual_seed(seed)
    return zoo.create_model(name, size, in_channels=in_channels, **overrides)


def fit(
    model: nn.Module,
    train: LandslideDataset,
    val: LandslideDataset,
    config: TrainConfig,
    seed: int,
    folder: Path,
    progress: bool = True,
    teacher: nn.Module | None = None,
) -> FitResult:
    """Trains `model` and returns it with the weights best on validation. The test part is never asked for.

    A stopped training resumes from its last whole epoch when called again with the same folder. Every
    random draw is a function of seed, epoch and sample.

    Args:
        model: A network with two classes.
        train: Images that gradients are taken on.
        val: Images that choose the epoch, by IoU at the input size.
        config: The recipe.
        seed: Seed of order and augmentation; the weights are `new_network`'s.
        folder: Where checkpoints go; one folder per run.
        progress: Show a progress bar on standard error.
        teacher: A trained network of two classes whose probabilities are learned beside the masks, also where those are
            unknown.

    One device trains. Under `torchrun` every process takes its share of each batch, and all return the same result.

    Raises:
        TrainingError: A part is empty, the batch is larger than the training part, the loss is no number, or the
            checkpoint is damaged.
        WriteError: A checkpoint cannot be written; the one before it stands.
        KeyboardInterrupt: The user stopped it; the epochs that were finished are kept.
    """
    if not len(train) or not len(val):
        raise TrainingError("the training or the validation part is empty: check the split file")
    sizes = [size for _, size in train.sources]
    if config.batch_size > (images := sum(epoch_counts(sizes, config))):
        raise TrainingError(
            f"batch_size={config.batch_size} is more than the {images} images of an epoch: choose a smaller one"
        )
    _quiet()
    rank, world = distributed()
    trainer = L.Trainer(
        max_epochs=config.epochs,
        accelerator="auto",
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        num_nodes=world // int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        strategy="ddp" if world > 1 else "auto",
        sync_batchnorm=world > 1 and torch.cuda.is_available(),
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        callbacks=[
            _KeepBest(folder / "best.safetensors"),
            ModelCheckpoint(folder, filename="last", save_top_k=1, enable_version_counter=False),
            *([_Progress()] if progress else []),
        ],
        plugins=_Checkpoints(),
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=config.gradient_clip or None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    batch = max(config.batch_size // world, 1)
    view: Any = TrainingView(train, TrainTransform(config.image_size, config.augment), seed)
    val_view: Any = _EvalView(val, config.image_size)
    if config.views == "windows":
        view, sizes = Windows(train, config.image_size, seed, zoom=config.zoom), [config.epoch_images or len(train)]
        number = VALIDATION_WINDOWS * len(val.sources)
        val_view = validation_windows(val, config.image_size, seed, number, config.zoom)
    sampler = _EpochSampler(sizes, config, seed, lambda: trainer.current_epoch, rank, world)
    # The last, smaller batch is left out: batch normalisation over one or two images is noise.
    workers: Any = {"num_workers": config.workers, "persistent_workers": config.workers > 0}
    loader: Any = DataLoader(view, batch, sampler=sampler, drop_last=True, **workers)
    share = list(range(rank, len(val_view), world))
    val_loader: Any = DataLoader(val_view, batch, sampler=share, **workers)
    sources = [name for name, _ in val.sources]
    task = SegmentationTask(model, config, seed, len(loader), sources, teacher)
    last = folder / "last.ckpt"
    try:
        trainer.fit(task, loader, val_loader, ckpt_path=str(last) if last.is_file() else None)
    except SystemExit as stop:  # what Lightning makes of Ctrl-C, after it has told the process to ignore the next one
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from stop
    trainer.strategy.barrier()  # the first rank writes the weights that all of them read
    best, kept = best_epoch(task.history), folder / "best.safetensors"
    if zoo.read_metadata(kept).get("epoch") != str(best):  # such as after a restart with another number of threads
        raise TrainingError(f"{kept}: not the weights of epoch {best}, the best: delete {folder} and train again")
    return FitResult(zoo.load_model(kept), task.history, best)


def _quiet() -> None:
    """Leaves out what Lightning says of every training and nobody can act on."""
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        r".*isinstance\(treespec, LeafSpec\).*",
    ):
        warnings.filterwarnings("ignore", message=message)
