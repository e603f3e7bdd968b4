"""Training, scoring and mapping on a handful of small images."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.data import AugmentConfig, LandslideDataset, Merged, Sample
from scgcnet.files import WriteError
from scgcnet.peers.base import Auxiliary
from scgcnet.train.config import TrainConfig
from scgcnet.train.fit import _EpochSampler, best_epoch, epoch_counts, epoch_order, fit, new_network
from scgcnet.train.losses import boundary_mask, composite_loss
from scgcnet.train.predict import count, predict, score_images, total_scores
from scgcnet.train.task import SegmentationTask, TrainingError

CONFIG = TrainConfig(
    epochs=3,
    batch_size=2,
    image_size=32,
    optimizer="adamw",
    lr=2e-3,
    warmup_epochs=1,
    ema_decay=0.9,
    augment=AugmentConfig(scale=(0.8, 1.2)),
)


class Blobs(LandslideDataset):
    """Bright rectangles on dark ground, of several sizes and shapes."""

    dataset, kind = "blobs", "synthetic"

    def __init__(self, n: int, fail_after: int | None = None) -> None:
        self.names = tuple(f"b{i}" for i in range(n))
        self.sites = ("",) * n
        self.fail_after, self.reads = fail_after, 0

    def __getitem__(self, index: int) -> Sample:
        self.reads += 1
        if self.fail_after is not None and self.reads > self.fail_after:
            raise RuntimeError("power cut")
        rng = np.random.default_rng(index)
        height, width = 30 + 4 * index, 50 - 3 * index
        mask = np.zeros((height, width), np.uint8)
        mask[5:20, 8:24] = 1
        image = rng.integers(0, 90, (height, width, 3)) + 120 * mask[..., None]
        return Sample(self.names[index], image.astype(np.uint8), mask)


def tiny(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return zoo.create_model("scgcnet", "tiny", widths=(8, 8, 16, 16), neck_width=8, cu_width=4, stem_width=8)


class TwoHeads(nn.Module):
    """A head of one weight, and in training two auxiliary ones."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: Tensor) -> Any:
        logits = torch.stack([-images[:, 0], images[:, 0]], dim=1) * self.weight
        heads = [Auxiliary(2 * logits, 0.4), Auxiliary(-logits, 0.3, "boundary")]
        return (logits, heads) if self.training else logits


def test_auxiliary_heads_learn_under_the_same_loss_with_their_weight() -> None:
    task = SegmentationTask(TwoHeads(), CONFIG, seed=0, steps_per_epoch=1)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    mask = (images[:, 1] > 0.5).long()
    logits = torch.stack([-images[:, 0], images[:, 0]], dim=1) * 0.5
    expected = composite_loss(logits, mask) + 0.4 * composite_loss(2 * logits, mask)
    expected = expected + 0.3 * composite_loss(-logits, boundary_mask(mask))
    torch.testing.assert_close(task.training_step((images, mask), 0), expected)
    task.eval()
    task.on_validation_epoch_start()
    task.validation_step((images, mask, torch.zeros(len(images), dtype=torch.int64)), 0)
    torch.testing.assert_close(task._val_losses[0], composite_loss(logits, mask))


def test_the_weights_of_a_new_network_are_a_function_of_its_seed() -> None:
    first, again, other = (new_network("scgcnet", "tiny", 3, {"psccs": False}, seed) for seed in (3, 3, 4))
    values = [torch.cat([p.flatten() for p in model.parameters()]) for model in (first, again, other)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_learns_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 6, "lr": 1e-2})
    result = fit(tiny(), Blobs(6), Blobs(3), config, seed=0, folder=tmp_path, progress=False)
    assert [row["epoch"] for row in result.history] == list(range(6))
    assert result.history[-1]["loss"] < 0.75 * result.history[0]["loss"]
    assert result.best_epoch == best_epoch(result.history)
    # The returned weights are those of the best epoch: scored again, they give its scores.
    again = total_scores(score_images(result.model, Blobs(3), config.image_size))
    assert again["resized"]["iou"] == pytest.approx(result.history[result.best_epoch]["val_iou"], abs=1e-6)


def test_a_teacher_is_learned_from_and_not_kept(tmp_path: Path) -> None:
    alone = fit(tiny(), Blobs(6), Blobs(3), CONFIG, 3, tmp_path / "a", progress=False)
    taught = fit(tiny(), Blobs(6), Blobs(3), CONFIG, 3, tmp_path / "b", progress=False, teacher=tiny(1))
    assert taught.history[0]["loss"] > alone.history[0]["loss"] + 0.1  # two losses are added
    assert taught.history[0]["val_loss"] < taught.history[0]["loss"]  # validation knows masks alone
    sizes = [(tmp_path / folder / "last.ckpt").stat().st_size for folder in "ab"]
    assert abs(sizes[0] - sizes[1]) < 2000


def test_learning_rate_warms_up_and_falls_to_zero(tmp_path: Path) -> None:
    rates = [row["lr"] for row in fit(tiny(), Blobs(4), Blobs(1), CONFIG, 0, tmp_path, False).history]
    # After each of three epochs of two steps: the end of the warm-up, half of the cosine, zero.
    assert rates == pytest.approx([2e-3, 1e-3, 0.0], abs=1e-9)


def test_a_broken_training_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = fit(tiny(), Blobs(5), Blobs(2), CONFIG, 7, tmp_path / "whole", False)
    # Four images of five are read per epoch: the third batch of the second epoch fails.
    with pytest.raises(RuntimeError, match="power cut"):
        fit(tiny(), Blobs(5, fail_after=6), Blobs(2), CONFIG, 7, tmp_path / "broken", False)
    # Fresh weights from another seed: all that counts must come from the checkpoint.
    resumed = fit(tiny(seed=99), Blobs(5), Blobs(2), CONFIG, 7, tmp_path / "broken", False)
    assert resumed.history == whole.history
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


def test_a_damaged_checkpoint_is_one_error(tmp_path: Path) -> None:
    fit(tiny(), Blobs(4), Blobs(2), CONFIG, 0, tmp_path, False)
    last = tmp_path / "last.ckpt"
    whole = last.read_bytes()
    for damaged in (b"", whole[:1000], whole[:-100], pickle.dumps({"epoch": 1}, protocol=2)):
        last.write_bytes(damaged)
        with pytest.raises(TrainingError, match=r"last\.ckpt: no checkpoint that can be read \(.*delete it"):
            fit(tiny(), Blobs(4), Blobs(2), CONFIG, 0, tmp_path, False)
    last.write_bytes(whole)
    zoo.save_model(tiny(), tmp_path / "best.safetensors", {"epoch": "77"})
    with pytest.raises(TrainingError, match=r"best\.safetensors: not the weights of epoch \d"):
        fit(tiny(), Blobs(4), Blobs(2), CONFIG, 0, tmp_path, False)


class Exploit:
    """What a pickle can do: call anything."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploited",)


def test_a_checkpoint_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Exploit()}, tmp_path / "last.ckpt")
    with pytest.raises(TrainingError, match=r"last\.ckpt: no checkpoint that can be read"):
        fit(tiny(), Blobs(4), Blobs(2), CONFIG, 0, tmp_path, False)
    assert not Path("exploited").exists()


def test_a_full_disk_keeps_the_checkpoint_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fit(tiny(), Blobs(5), Blobs(2), CONFIG, 7, tmp_path / "whole", False)
    fsync, left = os.fsync, 3  # the first epoch's weights and checkpoint, the second's weights

    def full(descriptor: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r": cannot be written: No space left on device\. Nothing that was finished"):
        fit(tiny(), Blobs(5), Blobs(2), CONFIG, 7, tmp_path / "full", False)
    monkeypatch.undo()
    assert not list((tmp_path / "full").glob(".*"))
    assert len(torch.load(tmp_path / "full" / "last.ckpt", weights_only=True)["history"]) in (1, 2)
    assert fit(tiny(9), Blobs(5), Blobs(2), CONFIG, 7, tmp_path / "full", False).history == whole.history


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WriteError, match=r"best\.safetensors: cannot be written: (Not a directory|File exists)"):
        fit(tiny(), Blobs(4), Blobs(2), CONFIG, 0, tmp_path / "file" / "training", False)


def test_an_interrupt_is_one_and_the_training_goes_on(tmp_path: Path) -> None:
    class Interrupted(Blobs):
        def __getitem__(self, index: int) -> Sample:
            if self.reads == 6:
                raise KeyboardInterrupt
            return super().__getitem__(index)

    handler = signal.getsignal(signal.SIGINT)  # a test runner's worker has one of its own
    try:
        with pytest.raises(KeyboardInterrupt):
            fit(tiny(), Interrupted(5), Blobs(2), CONFIG, 7, tmp_path, False)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # Lightning leaves it ignored
    finally:
        signal.signal(signal.SIGINT, handler)
    assert len(fit(tiny(), Blobs(5), Blobs(2), CONFIG, 7, tmp_path, False).history) == CONFIG.epochs


def test_a_loss_that_is_no_number_stops_at_once_and_is_not_kept(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"optimizer": "adam", "lr": 1e30, "warmup_epochs": 0.0, "ema_decay": 0.0})
    with pytest.raises(TrainingError, match=r"loss of epoch 0 is no number: lower the learning rate"):
        fit(tiny(), Blobs(6), Blobs(2), config, 0, tmp_path, False)
    assert not (tmp_path / "last.ckpt").exists()


def test_a_finished_training_is_not_trained_again(tmp_path: Path) -> None:
    first = fit(tiny(), Blobs(4), Blobs(2), CONFIG, 0, tmp_path, False)
    train = Blobs(4, fail_after=0)
    assert fit(tiny(seed=9), train, Blobs(2), CONFIG, 0, tmp_path, False).history == first.history


@pytest.mark.parametrize(
    "change", [{"precision": "bf16"}, {"workers": 1}, {"gradient_clip": 0.5}, {"optimizer": "adam"}]
)
def test_other_ways_to_train(change: dict[str, Any], tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"epochs": 2, **change})
    history = fit(tiny(), Blobs(4), Blobs(2), config, 0, tmp_path, False).history
    assert len(history) == 2
    if change == {"workers": 1}:  # loader processes change no number
        alone = fit(
            tiny(), Blobs(4), Blobs(2), config.model_copy(update={"workers": 0}), 0, tmp_path / "alone", False
        ).history
        assert history == alone


@pytest.mark.slow
def test_two_processes_share_the_work_and_agree(tmp_path: Path) -> None:
    """Under torchrun, on two CPU processes: both return the same, and the scores are those of the whole part."""
    script = tmp_path / "two.py"
    script.write_text(
        "import json, sys; from pathlib import Path\n"
        "from test_fit import Blobs, CONFIG, tiny\n"
        "from scgcnet.train.config import distributed\n"
        "from scgcnet.train.fit import fit\n"
        "from scgcnet.train.predict import score_images, total_scores\n"
        "folder, config = Path(sys.argv[1]), CONFIG.model_copy(update={'batch_size': 4})\n"
        "result = fit(tiny(), Blobs(8), Blobs(3), config, 3, folder / 'training', False)\n"
        "iou = total_scores(score_images(result.model, Blobs(3), CONFIG.image_size))['resized']['iou']\n"
        "(folder / f'{distributed()[0]}.json').write_text(json.dumps([result.history, result.best_epoch, iou]))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path)], env=environment, check=True, capture_output=True, timeout=300)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    history, best, iou = first
    assert len(history) == CONFIG.epochs
    assert iou == pytest.approx(history[best]["val_iou"], abs=1e-6)


def test_seed_and_epoch_decide_the_order() -> None:
    epoch = 0

    def order(seed: int, rank: int = 0, world: int = 1) -> list[tuple[int, int]]:
        return list(_EpochSampler([10], CONFIG, seed, lambda: epoch, rank, world))

    first = order(1)
    assert sorted(first) == [(0, i) for i in range(10)]
    assert order(1) == first
    assert order(2) != first
    epoch = 1
    assert {e for e, _ in order(1)} == {1}
    assert [i for _, i in order(1)] != [i for _, i in first]
    shares = [order(1, rank, 3) for rank in range(3)]
    assert [len(s) for s in shares] == [3, 3, 3]
    assert len({pair for share in shares for pair in share}) == 9


@pytest.mark.parametrize(
    ("sizes", "change", "counts"),
    [
        ([10], {}, [10]),
        ([10, 30], {}, [10, 30]),
        ([10, 30], {"sampling": "equal"}, [20, 20]),
        ([10, 30], {"epoch_images": 8}, [2, 6]),
        ([3, 30, 7], {"sampling": "equal", "epoch_images": 20}, [7, 6, 7]),
        ([5, 0], {}, [5, 0]),
    ],
)
def test_what_an_epoch_draws_from_several_data_sets(
    sizes: list[int], change: dict[str, Any], counts: list[int]
) -> None:
    config = CONFIG.model_copy(update={**change})
    assert epoch_counts(sizes, config) == counts
    order = epoch_order(sizes, counts, np.random.default_rng(3))
    assert len(order) == sum(counts)
    starts = np.cumsum([0, *sizes])
    for start, end, size, wanted in zip(starts, starts[1:], sizes, counts, strict=False):
        drawn = Counter(int(i) for i in order if start <= i < end)
        assert drawn.total() == wanted
        if wanted:
            assert len(drawn) == min(size, wanted)  # none twice before every other once
            assert max(drawn.values()) - min(drawn.values()) <= 1
    assert (np.diff(order) != 1).any()  # mixed
    np.testing.assert_array_equal(order, epoch_order(sizes, counts, np.random.default_rng(3)))


def test_a_sample_that_is_drawn_again_is_seen_otherwise(tmp_path: Path) -> None:
    class Noted(Blobs):
        def __getitem__(self, index: int) -> Sample:
            drawn.append(index)
            return super().__getitem__(index)

    drawn: list[int] = []
    config = CONFIG.model_copy(update={"epochs": 1, "epoch_images": 8})
    sampler = _EpochSampler([3], config, 0, lambda: 0, 0, 1)
    keys = list(sampler)
    assert len(keys) == len(set(keys)) == 8
    assert Counter(len(key) for key in keys) == {2: 3, 3: 5}
    assert {key[2:] for key in keys} == {(), (1,), (2,)}
    fit(tiny(), Noted(3), Blobs(2), config, 0, tmp_path, False)
    assert drawn == [key[1] for key in keys]


def test_validation_of_several_data_sets_is_their_mean(tmp_path: Path) -> None:
    first, second = Blobs(4), Blobs(2)
    second.dataset = "few"
    result = fit(tiny(), Merged([first, second]), Merged([first, second]), CONFIG, 0, tmp_path / "both", False)
    for row in result.history:
        assert row["val_iou"] == pytest.approx((row["val_iou_blobs"] + row["val_iou_few"]) / 2)
    best = result.history[result.best_epoch]
    for name, part in (("blobs", first), ("few", second)):
        (counted,) = count(result.model, part, 32)
        assert counted.scores()["iou"] == pytest.approx(best[f"val_iou_{name}"], abs=1e-6)


@pytest.mark.parametrize(
    ("train", "val", "message"), [(0, 2, "is empty"), (2, 0, "is empty"), (1, 2, "batch_size=2 is more than the 1")]
)
def test_parts_that_cannot_train(train: int, val: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=message):
        fit(tiny(), Blobs(train), Blobs(val), CONFIG, 0, tmp_path, False)


def test_an_epoch_smaller_than_a_batch_cannot_train(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="batch_size=2 is more than the 1 images of an epoch"):
        fit(tiny(), Blobs(6), Blobs(2), CONFIG.model_copy(update={"epoch_images": 1}), 0, tmp_path, False)


class ByBrightness(nn.Module):
    """Calls a pixel landslide where its first band is bright; needs no training."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(50.0))

    def forward(self, images: Tensor) -> Tensor:
        logit = self.gain * (images[:, 0] - (105 / 255 - 0.485) / 0.229)
        return torch.stack([-logit, logit], dim=1)


class Exact(LandslideDataset):
    """One 8x8 image at the network's size, half landslide, of which one pixel is dark, and one empty image."""

    dataset, kind, names = "exact", "synthetic", ("half", "empty")
    brightness: ClassVar[tuple[int, int]] = (20, 200)

    def __getitem__(self, index: int) -> Sample:
        mask = np.zeros((8, 8), np.uint8)
        if index == 0:
            mask[:4] = 1
        image = np.where(mask[..., None] == 1, self.brightness[1], self.brightness[0]).repeat(3, axis=2)
        if index == 0:
            image[0, 0] = self.brightness[0]
        return Sample(self.names[index], image.astype(np.uint8), mask)


def test_scores_by_hand() -> None:
    scores = total_scores(score_images(ByBrightness(), Exact(), image_size=8, batch_size=1))
    assert scores["confusion"] == {"tp": 31, "fp": 0, "fn": 1, "tn": 96}
    assert scores["pooled"]["iou"] == scores["resized"]["iou"] == pytest.approx(31 / 32)
    assert scores["per_image"]["iou"] == pytest.approx((31 / 32 + 1) / 2)
    assert scores["per_image"]["n"] == 2


def test_unknown_pixels_are_not_scored() -> None:
    class Unknown(Exact):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            mask = sample.mask.copy()
            mask[:, :2] = 255
            return replace(sample, mask=mask)

    known = total_scores(score_images(ByBrightness(), Unknown(), 8))
    assert sum(known["confusion"].values()) == 2 * 8 * 6
    (counted,) = count(ByBrightness(), Unknown(), 8)
    assert (counted.tp, counted.fp, counted.fn, counted.tn) == tuple(known["confusion"].values())
    assert counted.scores() == known["resized"]


def test_predictions_have_the_native_size() -> None:
    maps = predict(ByBrightness(), Blobs(4), [3, 1], image_size=64)
    assert [m.shape for m in maps] == [(42, 41), (34, 47)]
    for index, probability in zip([3, 1], maps, strict=True):
        assert probability.dtype == np.float32
        truth = Blobs(4)[index].mask == 1
        agreement = np.mean((probability > 0.5) == truth)
        assert agreement > 0.97


def test_scoring_leaves_the_mode_as_it_was() -> None:
    model = ByBrightness().train()
    score_images(model, Exact(), 8)
    assert model.training


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs\n.*greater than or equal to 1"),
        ({"lr": 0.0}, "lr\n.*greater than 0"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"optimizer": "sgd"}, "sgd"),
    ],
)
def test_bad_recipes_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**values)  # type: ignore[arg-type]


def test_counts_at_several_thresholds() -> None:
    none, half, every = count(ByBrightness(), Exact(), 8, (1.0, 0.5, -0.1))
    assert (none.tp, none.fp) == (0, 0)
    assert half.scores() == total_scores(score_images(ByBrightness(), Exact(), 8))["resized"]
    assert (every.tp, every.fp, every.fn, every.tn) == (32, 96, 0, 0)
