"""DANet: the reference's counts, the curve of the paper's Fig. 10, and both attentions against loops."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import PeerTests

from scgcnet import efficiency, zoo
from scgcnet.peers.danet import ChannelAttention, PositionAttention


class TestDANet(PeerTests):
    name = "danet"
    stride = 8

    def test_counts_as_its_reference(self) -> None:
        # mmsegmentation 1.x, danet_r50-d8 for ADE20K: 150 classes, 512x512, parameters with its auxiliary head.
        # Its count has the two branches' classifiers, which we run in training only: 0.6 of its 211.7.
        with torch.device("meta"):
            model = zoo.create_model("danet", "paper", num_classes=150)
        assert efficiency.count_params(model) == pytest.approx(50.08e6, rel=0.005)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(211.7, rel=0.03)

    def test_costs_what_figure_10_says_at_all_six_sizes(self) -> None:
        # GMAC of DANet-R50 with two classes at the image sides of the paper's Fig. 10, the attentions' products counted
        # and, unlike here, the branches' classifiers too (0.1 of the last).
        expected = {128: 12.6, 256: 50.9, 512: 210.7, 768: 501.3, 1024: 958.9, 2048: 5690.9}
        with torch.device("meta"):
            model = zoo.create_model("danet", "paper")
        counts = {side: efficiency.count_cost(model, (1, 3, side, side)).gmac for side in expected}
        assert counts == pytest.approx(expected, rel=0.001)

    def test_both_branches_and_the_trunk_are_supervised(self) -> None:
        _, auxiliary = self.build().train()(torch.randn(2, 3, 64, 64))
        assert [(head.weight, head.target) for head in auxiliary] == [(1, "classes"), (1, "classes"), (0.4, "classes")]

    @pytest.mark.parametrize("options", [{"key_width": 0}, {"widths": (16, 32, 64)}, {"channels": 32}])
    def test_options_that_make_no_network_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            self.build(**options)


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
