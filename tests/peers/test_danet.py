"""DANet: both attentions against loops."""

from __future__ import annotations

import torch
from networks import PeerTests

from scgcnet.peers.danet import ChannelAttention, PositionAttention


class TestDANet(PeerTests):
    name = "danet"
    auxiliary = ((1.0, "classes"), (1.0, "classes"), (0.4, "classes"))


def test_position_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    block, x = PositionAttention(6, 4).double(), torch.randn(2, 6, 3, 5, dtype=torch.double)
    torch.nn.init.constant_(block.alpha, 0.7)
    with torch.no_grad():
        query, key, value = (layer(x).flatten(2) for layer in (block.query, block.key, block.value))
        expected = x.flatten(2).clone()
        for image in range(2):
            for j in range(15):  # Eq. 1 and 2
                scores = torch.stack([query[image, :, j] @ key[image, :, i] for i in range(15)])
                weights = scores.exp() / scores.exp().sum()
                expected[image, :, j] += 0.7 * sum(weights[i] * value[image, :, i] for i in range(15))
        torch.testing.assert_close(block(x).flatten(2), expected)


def test_channel_attention_against_a_loop() -> None:
    torch.manual_seed(0)
    block, x = ChannelAttention().double(), torch.randn(2, 6, 3, 5, dtype=torch.double)
    torch.nn.init.constant_(block.beta, 0.7)
    with torch.no_grad():
        a = x.flatten(2)
        expected = a.clone()
        for image in range(2):
            for j in range(6):  # the largest score minus the scores, as the authors' code has it
                scores = torch.stack([a[image, j] @ a[image, i] for i in range(6)])
                unlike = (scores.max() - scores).exp()
                expected[image, j] += 0.7 * sum(unlike[i] / unlike.sum() * a[image, i] for i in range(6))
        torch.testing.assert_close(block(x).flatten(2), expected)


def test_attentions_start_as_the_identity() -> None:
    x = torch.randn(1, 6, 4, 4)
    assert torch.equal(PositionAttention(6, 4)(x), x)
    assert torch.equal(ChannelAttention()(x), x)
