from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import efficiency, zoo
from scgcnet.peers.segnext import AttentionLayers, ChannelNorm, Factorisation, MultiScaleAttention, SegNeXt


class TestSegNeXt(PeerTests):
    name = "segnext"
    options: ClassVar[dict[str, Any]] = {"drop_path": 0.0}  # a block that both images skip would not learn

    def test_others_in_the_batch_do_not_matter(self, model: nn.Module) -> None:
        image, bright = torch.randn(1, 3, 64, 64), 10 + torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            beside = model(torch.cat([image, bright]))[:1]
            torch.testing.assert_close(beside, model(image), rtol=1e-4, atol=1e-5)

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


# mmsegmentation's configs/segnext (150 classes; its b and l inherit the rank 16 of its t), and in the last row the
# README of Visual-Attention-Network/SegNeXt, rank 64, where the GMAC, counted by torchprofile, include normalisations.
@pytest.mark.parametrize(
    ("size", "options", "params", "gmac"),
    [
        ("t", {}, 4.26, 6.4),
        ("s", {}, 13.93, 15.6),
        ("paper", {"rank": 16}, 27.64, 32.7),
        ("l", {"rank": 16}, 48.93, 66.0),
        ("paper", {}, 28, 35),
    ],
)
def test_counts_as_the_reference(size: str, options: dict[str, Any], params: float, gmac: float) -> None:
    with torch.device("meta"):
        model = zoo.create_model("segnext", size, num_classes=150, **options)
    whole = params == round(params)  # rounded to a million
    cost = efficiency.count_cost(model, (1, 3, 512, 512))
    assert efficiency.count_params(model, auxiliary=True) / 1e6 == pytest.approx(
        params, rel=0 if whole else 0.005, abs=0.5 if whole else 0
    )
    assert cost.gmac == pytest.approx(gmac, rel=0.01)
    assert efficiency.count_params(model, auxiliary=False) == cost.params


def strip_by_hand(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """A depthwise convolution of a (C, H, W) map, pixel by pixel; what lies outside counts nothing."""
    assert conv.bias is not None
    channels, height, width = x.shape
    rows, columns = conv.weight.shape[2:]
    y = torch.zeros_like(x)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                y[c, i, j] = conv.bias[c]
                for di in range(rows):
                    for dj in range(columns):
                        ii, jj = i + di - rows // 2, j + dj - columns // 2
                        if 0 <= ii < height and 0 <= jj < width:
                            y[c, i, j] += conv.weight[c, 0, di, dj] * x[c, ii, jj]
    return y


def test_attention_is_the_papers_sum_over_scales() -> None:
    torch.manual_seed(0)
    attention = MultiScaleAttention(2)
    x = torch.randn(1, 2, 4, 5)
    with torch.no_grad():
        local = strip_by_hand(x[0], attention.local)
        total = local.clone()  # eq. 1: the identity is one of the branches
        for strip in attention.strips:
            across, along = strip
            assert across.weight.shape[2:] == (1, along.weight.shape[2])
            total += strip_by_hand(strip_by_hand(local, across), along)
        weights = torch.einsum("oc,chw->ohw", attention.mix.weight[:, :, 0, 0], total)
        expected = (weights + attention.mix.bias[:, None, None]) * x[0]  # eq. 2
        torch.testing.assert_close(attention(x)[0], expected)
    assert [strip[0].weight.shape[3] for strip in attention.strips] == [7, 11, 21]


def test_a_shortcut_goes_around_the_attentions_layers() -> None:
    torch.manual_seed(0)
    layers = AttentionLayers(4)
    widen, gelu, attention, narrow = layers
    x = torch.randn(1, 4, 5, 6)
    torch.testing.assert_close(layers(x), x + narrow(attention(gelu(widen(x)))))


def factorise_by_hand(x: Tensor, bases: Tensor, steps: int) -> tuple[Tensor, list[float]]:
    """Lee and Seung's updates of one matrix (channels, pixels), entry by entry; the product and each step's error."""
    d = bases / bases.square().sum(0).sqrt()  # (channels, R)
    e = (x.T @ d).exp()
    c = e / e.sum(1, keepdim=True)  # (pixels, R)
    errors = []
    for step in range(steps + 1):
        up, down = x.T @ d, c @ d.T @ d
        c = torch.tensor(
            [[c[n, r] * up[n, r] / (down[n, r] + 1e-6) for r in range(c.shape[1])] for n in range(c.shape[0])],
            dtype=x.dtype,
        )
        if step < steps:  # the last update is of the coefficients alone
            up, down = x @ c, d @ c.T @ c
            d = torch.tensor(
                [[d[k, r] * up[k, r] / (down[k, r] + 1e-6) for r in range(d.shape[1])] for k in range(d.shape[0])],
                dtype=x.dtype,
            )
        errors.append(float((x - d @ c.T).square().sum()))
    return d @ c.T, errors


class TestFactorisation:
    def test_is_that_of_each_image_by_itself(self) -> None:
        ham = Factorisation(5, 3).double().eval()
        x = torch.rand(2, 5, 3, 4, dtype=torch.float64)
        y = ham(x)
        for image, result in zip(x, y, strict=True):
            expected, errors = factorise_by_hand(image.reshape(5, 12), ham.bases, steps=7)
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


def test_the_decoder_sees_stages_two_to_four_at_stride_8() -> None:
    model = zoo.create_model("segnext", "tiny").eval()
    assert isinstance(model, SegNeXt)
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps = model.encoder(image)
        assert [tuple(x.shape[1:]) for x in maps] == [(24, 16, 24), (48, 8, 12), (96, 4, 6), (144, 2, 3)]
        joined = [F.interpolate(x, (8, 12), mode="bilinear", align_corners=False) for x in maps[1:]]
        logits = model.classifier(model.decoder(torch.cat(joined, dim=1)))
        torch.testing.assert_close(model.segment(image)[0], logits)


def test_stochastic_depth_grows_linearly() -> None:
    model = zoo.create_model("segnext", "tiny", drop_path=0.4)
    rates = [m.drop_prob for m in model.modules() if type(m).__name__ == "DropPath"]
    assert rates == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3, 0.4, 0.4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (24, 48, 96)}, "widths=.*four stages"),
        ({"depths": (1, 1, 1, 1, 1)}, "depths=.*four stages"),
        ({"widths": (25, 48, 96, 144)}, "must be even"),
        ({"groups": 7}, "must divide decoder_width=96"),
        ({"drop_path": 1.0}, r"drop_path=1.0.*\[0, 1\)"),
        ({"rank": 0}, "rank=0"),
        ({"seed": 1}, "unknown option 'seed'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zoo.create_model("segnext", "tiny", **options)


def test_training_starts_undecided() -> None:
    torch.manual_seed(0)
    logits, _ = zoo.create_model("segnext", "tiny").train().segment(torch.randn(4, 3, 64, 64))
    assert logits.std() < 0.5
