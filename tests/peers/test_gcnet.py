"""GCNet: the global context block against timm's and against its equation."""

from __future__ import annotations

import torch
from networks import PeerTests, disturb

from scgcnet.peers.gcnet import GlobalContext


class TestGCNet(PeerTests):
    name = "gcnet"
    auxiliary = ((0.4, "classes"),)


def context_block() -> GlobalContext:
    """One with an effect: the block itself starts as the identity."""
    torch.manual_seed(0)
    return disturb(disturb(GlobalContext(8, 4)))


def test_block_gives_what_timm_s_gives() -> None:
    import timm.layers  # after scgcnet: see scgcnet.torchvision_ops

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


def test_block_starts_as_the_identity() -> None:
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(GlobalContext(8, 4)(x), x)
