"""GCNet: the reference's counts, and the global context block against timm's and against its equation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from networks import PeerTests

from scgcnet import efficiency, zoo
from scgcnet.peers.gcnet import GlobalContext


class TestGCNet(PeerTests):
    name = "gcnet"
    stride = 8

    def test_counts_as_its_reference(self) -> None:
        # mmsegmentation 1.x, gcnet_r50-d8 for ADE20K: 150 classes, 512x512, parameters with its auxiliary head.
        with torch.device("meta"):
            model = zoo.create_model("gcnet", "paper", num_classes=150)
        assert efficiency.count_params(model) == pytest.approx(49.73e6, rel=0.005)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(197.9, rel=0.03)

    @pytest.mark.parametrize("options", [{"context_width": 0}, {"depths": (1, 1, 1)}, {"ratio": 4}])
    def test_options_that_make_no_network_are_refused(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(options))):
            self.build(**options)

    def test_auxiliary_head(self) -> None:
        _, auxiliary = self.build().train()(torch.randn(2, 3, 64, 64))
        assert [(head.weight, head.target) for head in auxiliary] == [(0.4, "classes")]


def context_block() -> GlobalContext:
    """One with an effect: the block itself starts as the identity."""
    torch.manual_seed(0)
    block = GlobalContext(8, 4)
    with torch.no_grad():
        for p in block.parameters():
            p.add_(0.5 * torch.randn_like(p))
    return block


def test_block_gives_what_timm_s_gives() -> None:
    import timm.layers  # not at the top: scgcnet.peers must be imported before it, see scgcnet.torchvision_ops

    block = context_block()
    oracle = timm.layers.GlobalContext(8, fuse_add=True, fuse_scale=False, rd_channels=4)
    first, norm, _, last = block.transform
    oracle.load_state_dict(
        {
            "conv_attn.weight": block.score.weight,
            "conv_attn.bias": torch.tensor([3.0]),  # any: the softmax cancels it
            "mlp_add.fc1.weight": first.weight[:, :, None, None],
            "mlp_add.fc1.bias": first.bias,
            "mlp_add.norm.weight": norm.weight,
            "mlp_add.norm.bias": norm.bias,
            "mlp_add.fc2.weight": last.weight[:, :, None, None],
            "mlp_add.fc2.bias": last.bias,
        }
    )
    oracle.mlp_add.norm.eps = norm.eps  # the authors' 1e-5, where timm has 1e-6
    x = torch.randn(2, 8, 5, 3)
    with torch.no_grad():
        torch.testing.assert_close(block(x), oracle(x))


def test_block_against_its_equation() -> None:
    block, x = context_block().double(), torch.randn(2, 8, 5, 3, dtype=torch.double)
    first, norm, _, last = block.transform
    with torch.no_grad():
        expected = x.clone()
        for image in range(2):
            pixels = [x[image, :, i, j] for i in range(5) for j in range(3)]
            weights = [(block.score.weight.flatten() @ pixel).exp() for pixel in pixels]
            context = sum(w * pixel for w, pixel in zip(weights, pixels, strict=True)) / sum(weights)
            hidden = first.weight @ context + first.bias
            hidden = (hidden - hidden.mean()) / (hidden.var(correction=0) + 1e-5).sqrt() * norm.weight + norm.bias
            expected[image] += (last.weight @ hidden.relu() + last.bias)[:, None, None]
        torch.testing.assert_close(block(x), expected)


def test_block_starts_as_the_identity() -> None:
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(GlobalContext(8, 4)(x), x)
