from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.peers.segnext import ChannelNorm, Factorisation, MultiScaleAttention


class TestSegNeXt(PeerTests):
    name = "segnext"
    options: ClassVar[dict[str, Any]] = {"drop_path": 0.0}  # a block that both images skip would not learn
    refused = (
        ({"widths": (25, 48, 96, 144)}, "must be even"),
        ({"groups": 7}, "must divide decoder_width=96"),
    )

    def test_evaluation_leaves_the_random_state(self, model: nn.Module) -> None:
        state = torch.get_rng_state()
        with torch.no_grad():
            model(torch.ones(1, 3, 64, 64))
        assert torch.equal(torch.get_rng_state(), state)

    def test_mixed_precision_stays_finite(self) -> None:
        model = self.build().train()
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(torch.randn(2, 3, 64, 64)).square().mean()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@torch.no_grad()
def test_attention_is_the_papers_sum_over_scales() -> None:
    torch.manual_seed(0)
    attention = MultiScaleAttention(2)
    x = torch.randn(1, 2, 4, 5)
    local = attention.local(x)
    total = local.clone()  # eq. 1: the identity is one of the branches
    for length, (across, along) in zip((7, 11, 21), attention.strips, strict=True):
        assert (across.weight.shape[2:], along.weight.shape[2:]) == ((1, length), (length, 1))
        total += along(across(local))
    torch.testing.assert_close(attention(x), attention.mix(total) * x)  # eq. 2


@torch.no_grad()
def factorise(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, list[float]]:
    """Lee and Seung's updates of one matrix (channels, pixels); the product and the error of each step."""
    d = bases / bases.square().sum(0).sqrt()  # (channels, R)
    c = (x.T @ d).softmax(1)  # (pixels, R)
    errors = []
    for step in range(steps + 1):
        c = c * (x.T @ d) / (c @ d.T @ d + 1e-6)
        if step < steps:  # the last update is of the coefficients alone
            d = d * (x @ c) / (d @ c.T @ c + 1e-6)
        errors.append(float((x - d @ c.T).square().sum()))
    return d @ c.T, errors


class TestFactorisation:
    def test_is_that_of_each_image_by_itself(self) -> None:
        ham = Factorisation(5, 3).double().eval()
        x = torch.rand(2, 5, 3, 4, dtype=torch.float64)
        for image, result in zip(x, ham(x), strict=True):
            expected, errors = factorise(image.reshape(5, 12), ham.bases, steps=7)
            torch.testing.assert_close(result.reshape(5, 12), expected)
            assert errors == sorted(errors, reverse=True)

    def test_finds_what_is_of_its_rank(self) -> None:
        torch.manual_seed(0)
        ham = Factorisation(8, 2).eval()
        one = (torch.rand(8, 1) @ torch.rand(1, 36)).reshape(1, 8, 6, 6)
        torch.testing.assert_close(ham(one), one, rtol=1e-3, atol=1e-3)
        noise = torch.rand(1, 8, 6, 6)
        assert (ham(noise) - noise).square().mean() > 0.01  # of rank 8

    def test_evaluation_begins_with_the_same_bases_whatever_the_seed(self) -> None:
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = Factorisation(6, 4).bases
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(2)
        assert torch.equal(Factorisation(6, 4).bases, first)
        assert first.std() > 0.1  # patterns that start alike would stay alike
        assert (first >= 0).all()
        with torch.device("meta"):
            assert Factorisation(6, 4).bases.is_meta

    def test_training_draws_bases_for_every_image(self) -> None:
        ham = Factorisation(6, 2).train()
        x = torch.rand(1, 6, 4, 4).expand(2, -1, -1, -1)
        torch.manual_seed(0)
        y = ham(x)
        assert not torch.allclose(y[0], y[1])
        torch.manual_seed(0)
        assert torch.equal(ham(x), y)

    def test_gradients_pass_through_the_updates(self) -> None:
        ham = Factorisation(3, 2).double().eval()
        x = torch.rand(1, 3, 2, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(ham, (x,))


def test_channel_norm_is_by_pixel() -> None:
    x = torch.randn(2, 6, 3, 4)
    expected = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(ChannelNorm(6)(x), expected)


def test_stochastic_depth_grows_linearly() -> None:
    model = zoo.create_model("segnext", "tiny", drop_path=0.4)
    rates = [m.drop_prob for m in model.modules() if type(m).__name__ == "DropPath"]
    assert rates == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4])


def test_training_starts_undecided() -> None:
    torch.manual_seed(0)
    logits, _ = zoo.create_model("segnext", "tiny").train().segment(torch.randn(4, 3, 64, 64))
    assert logits.std() < 0.5
