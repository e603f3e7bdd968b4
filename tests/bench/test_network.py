"""What the networks' benchmark runs and leaves out; never how fast it is."""

from __future__ import annotations

import pytest
import torch

from scgcnet.bench import network
from scgcnet.bench.machine import Limits

LIMITS = Limits(exponentials=1e9, copied_bytes=1e9, multiply_accumulates=1e9)


def test_every_network_is_trained_and_the_paper_s_figure_is_run() -> None:
    assert len(network.TRAINED) == 18 and network.TRAINED[0] == ("scgcnet", "tiny")
    assert {name for name, _ in network.RUN} == {"scgcnet", "danet", "convnext", "swin", "vmamba"}


def test_the_first_network_is_the_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "in_fresh_process", lambda function, *arguments: 12.4)
    own, other = network.measure_training([("scgcnet", "tiny"), ("icnet", "tiny")], 64, 2, "cpu", 1, memory=True)
    assert own.ratio == 1
    assert other.ratio == pytest.approx(own.ms_per_image / other.ms_per_image)
    assert network.training_row(own).split()[:4] == ["scgcnet", "tiny", "64", "2"]
    assert network.training_row(own).split()[-2:] == ["12", "1.00x"]


def test_a_step_trains_every_head(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    loss = network.composite_loss

    def spy(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(logits.shape))
        return loss(logits, mask)

    monkeypatch.setattr(network, "composite_loss", spy)
    network.training_step(("convnext", "tiny"), 64, 2, "cpu")()
    assert shapes == [(2, 2, 64, 64)] * 2


def test_what_would_take_too_long_is_counted_and_not_run() -> None:
    first, second, third = network.measure_forward(
        ("scgcnet", "tiny"), (32, 64, 1024), LIMITS, "cpu", 0.5, memory=False
    )
    assert first.ms is not None and second.ms is not None
    assert first.share == pytest.approx(first.gmac * 1e9 / (first.ms / 1e3) / 1e9)
    assert (third.ms, third.share) == (None, None) and third.gmac == pytest.approx(256 * second.gmac)
    assert network.forward_row(third).split() == ["scgcnet", "tiny", "1024", f"{third.gmac:.2f}", "-", "-", "-"]


def test_the_profile_tells_the_kinds_apart() -> None:
    own, other = (network.measure_profile((name, "tiny"), 64, 2) for name in ("scgcnet", "convnext"))
    assert list(own) == [*network.KINDS, network.OTHER]
    assert own["scan"] > 0 == other["scan"]
    assert all(own[kind] > 0 for kind in own)
