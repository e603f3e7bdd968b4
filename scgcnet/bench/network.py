"""How fast the networks are: `scgcnet bench network`.

A training step is that of the study: the composite loss on every head, gradients, a fused AdamW step. All networks of
one table are called in turns, so that their ratios are of one run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from scgcnet import zoo
from scgcnet.bench.machine import Limits, in_fresh_process, median_ms, median_ms_each, peak_extra_mb
from scgcnet.cost import count_cost
from scgcnet.peers.base import Auxiliary
from scgcnet.train import composite_loss

Named = tuple[str, str]  # name and size, as `create_model` takes them

#: What is trained in turns at one image size: ours and the comparison methods at equal cost.
TRAINED: tuple[Named, ...] = tuple((name, "tiny") for name in zoo.model_names())
#: What is run at the sizes of Fig. 10: ours, and the tiny ones of the methods that the figure compares.
RUN: tuple[Named, ...] = (
    ("scgcnet", "tiny"),
    ("scgcnet", "lean"),
    ("scgcnet", "base"),
    *((name, "tiny") for name in ("danet", "convnext", "swin", "vmamba")),
)
SIDES = (128, 256, 512, 1024, 2048)
KINDS = {  # of operators, for the profile, by parts of their names; the first that fits
    "convolution": ("conv", "mm", "addmm", "linear"),
    "normalisation": ("norm",),
    "activation": ("gelu", "silu", "relu", "softplus", "sigmoid"),
    "scan": ("selective_scan",),
    "sampling, resizing": ("grid_sample", "upsample", "pool"),
    "loss": ("sort", "softmax", "nll", "index", "nonzero", "cumsum"),
    "optimiser": ("adam",),
}
OTHER = "sums, copies, calls"


@dataclass(frozen=True)
class Training:
    """A training step of one network.

    Attributes:
        network: Name and size.
        side: Of the square images, pixels.
        batch: Images a step.
        ms_per_image: Median time of a step over its images.
        extra_mb: Peak memory of a step above weights and gradients, 10^6 bytes; None where the system does not tell.
        ratio: Time of scgcnet tiny over this one's; above 1 this one is faster.
    """

    network: Named
    side: int
    batch: int
    ms_per_image: float
    extra_mb: float | None
    ratio: float


@dataclass(frozen=True)
class Forward:
    """Inference on one image.

    Attributes:
        network: Name and size.
        side: Of the square image, pixels.
        gmac: Multiply-accumulates, 10^9.
        ms: Median time; None where it was left out, as too long or too large for this machine.
        extra_mb: Peak memory above the weights, 10^6 bytes; None where it was not measured.
        share: Multiply-accumulates a second over the machine's rate for large matrices.
    """

    network: Named
    side: int
    gmac: float
    ms: float | None
    extra_mb: float | None
    share: float | None


def _heads(outputs: object) -> list[Tensor]:
    """All logits of a network in training mode: its own, then the auxiliary heads'."""
    if isinstance(outputs, Tensor):
        return [outputs]
    logits, auxiliary = cast(tuple[Tensor, list[Auxiliary]], outputs)
    return [logits, *(head.logits for head in auxiliary)]


def training_step(network: Named, side: int, batch: int, device: str) -> Callable[[], None]:
    """A function that trains fresh weights by one step on random images."""
    torch.manual_seed(0)
    name, size = network
    model = zoo.create_model(name, size).to(device).train()
    images = torch.randn(batch, 3, side, side, device=device)
    masks = (torch.rand(batch, side, side, device=device) > 0.9).long()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        loss = torch.stack([composite_loss(logits, masks) for logits in _heads(model(images))]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def _training_extra_mb(network: Named, side: int, batch: int) -> float | None:
    step = training_step(network, side, batch, "cpu")
    step()
    return peak_extra_mb(step)


def _forward_extra_mb(network: Named, side: int) -> float | None:
    model, image = _inference(network, side, "cpu")
    with torch.no_grad():
        model(image[..., :64, :64])  # kernels are compiled
        return peak_extra_mb(lambda: model(image))


def _inference(network: Named, side: int, device: str) -> tuple[nn.Module, Tensor]:
    name, size = network
    model = zoo.create_model(name, size).to(device).eval()
    return model, torch.randn(1, 3, side, side, device=device)


def _run(model: nn.Module, image: Tensor) -> None:
    model(image)


def measure_training(
    networks: Sequence[Named], side: int, batch: int, device: str, repeats: int, memory: bool
) -> list[Training]:
    """Times a training step of each network, in turns; the first is what the others are compared with."""
    steps = {" ".join(network): training_step(network, side, batch, device) for network in networks}
    for step in steps.values():
        step()  # the first steps compile kernels and take memory
    found = median_ms_each(steps, repeats, 60, device)
    first = next(iter(found.values()))
    return [
        Training(
            network=network,
            side=side,
            batch=batch,
            ms_per_image=found[" ".join(network)] / batch,
            extra_mb=in_fresh_process(_training_extra_mb, network, side, batch) if memory else None,
            ratio=first / found[" ".join(network)],
        )
        for network in networks
    ]


def measure_forward(
    network: Named, sides: Sequence[int], limits: Limits, device: str, longest: float, memory: bool
) -> list[Forward]:
    """Times inference of one network at rising sizes, up to the first that would take too long.

    Args:
        network: Name and size.
        sides: Of the square image, pixels, rising.
        limits: Of this device.
        device: "cpu" or "cuda".
        longest: Seconds that one image may take, reckoned from the size before.
        memory: Whether to measure it too (on the processor).
    """
    results: list[Forward] = []
    before: Forward | None = None
    for side in sides:
        with torch.device("meta"):
            gmac = count_cost(zoo.create_model(*network), (1, 3, side, side)).gmac
        if before is not None and (before.ms is None or before.ms / 1e3 * gmac / before.gmac > longest):
            before = Forward(network, side, gmac, None, None, None)
        else:
            model, image = _inference(network, side, device)
            with torch.inference_mode():
                ms = median_ms(partial(_run, model, image), 9, 2 * longest, device)
            extra = in_fresh_process(_forward_extra_mb, network, side) if memory else None
            share = gmac * 1e9 / (ms / 1e3) / limits.multiply_accumulates
            before = Forward(network, side, gmac, ms, extra, share)
        results.append(before)
    return results


def measure_profile(network: Named, side: int, batch: int) -> dict[str, float]:
    """Milliseconds of a training step by kind of operator, on the processor; their sum is a little above the step."""
    step = training_step(network, side, batch, "cpu")
    for _ in range(3):
        step()
    rounds = 5
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(rounds):
            step()
    spent: Counter[str] = Counter()
    for event in profiler.key_averages():
        name = event.key.lower()
        kind = next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), OTHER)
        spent[kind] += event.self_cpu_time_total / 1e3 / rounds
    return {kind: spent[kind] for kind in (*KINDS, OTHER)}


TRAINING_HEADER = f"{'training':<24}{'px':>6}{'batch':>7}{'ms/image':>10}{'images/s':>10}{'extra MB':>10}{'speed':>8}"
FORWARD_HEADER = f"{'one image':<24}{'px':>6}{'GMAC':>10}{'ms':>10}{'extra MB':>10}{'of sgemm':>10}"


def training_row(t: Training) -> str:
    """One line below `TRAINING_HEADER`; the last column is the speed beside the first network's."""
    memory = "-" if t.extra_mb is None else f"{t.extra_mb:.0f}"
    return (
        f"{' '.join(t.network):<24}{t.side:>6}{t.batch:>7}{t.ms_per_image:>10.1f}{1e3 / t.ms_per_image:>10.1f}"
        f"{memory:>10}{t.ratio:>7.2f}x"
    )


def forward_row(t: Forward) -> str:
    """One line below `FORWARD_HEADER`."""
    ms = "-" if t.ms is None else f"{t.ms:.1f}"
    memory = "-" if t.extra_mb is None else f"{t.extra_mb:.0f}"
    share = "-" if t.share is None else f"{t.share:.0%}"
    return f"{' '.join(t.network):<24}{t.side:>6}{t.gmac:>10.2f}{ms:>10}{memory:>10}{share:>10}"
