"""CCNet: criss-cross attention against a loop over pixels."""

from __future__ import annotations

import pytest
import torch
from networks import PeerTests, on_meta
from torch import Tensor

from scgcnet import cost
from scgcnet.peers.ccnet import CrissCrossAttention


class TestCCNet(PeerTests):
    name = "ccnet"
    auxiliary = ((0.4, "classes"),)

    def test_a_second_pass_costs_its_products_and_no_parameters(self) -> None:
        once, twice = on_meta("ccnet", recurrence=1), on_meta("ccnet", recurrence=2)
        assert cost.count_params(once) == cost.count_params(twice)
        # At 512x512: query, key and value from 512 channels, then scores and sums along a row and a column of 64.
        expected = 64 * 64 * (512 * (64 + 64 + 512) + (64 + 64) * (64 + 512))
        shape = (1, 3, 512, 512)
        assert cost.count_cost(twice, shape).macs - cost.count_cost(once, shape).macs == expected


def attention(channels: int = 6, key_width: int = 4) -> CrissCrossAttention:
    torch.manual_seed(0)
    block = CrissCrossAttention(channels, key_width).double()
    torch.nn.init.constant_(block.gamma, 0.7)
    return block


def by_loop(block: CrissCrossAttention, x: Tensor) -> Tensor:
    """Sec. 3.2 pixel by pixel: the pixels of the row and the column, each of them once."""
    query, key, value = block.query(x), block.key(x), block.value(x)
    out = x.clone()
    _, _, height, width = x.shape
    for image in range(len(x)):
        for i in range(height):
            for j in range(width):
                path = [(k, j) for k in range(height) if k != i] + [(i, k) for k in range(width)]
                scores = torch.stack([query[image, :, i, j] @ key[image, :, k, m] for k, m in path])
                weights = scores.softmax(0)
                context = sum(w * value[image, :, k, m] for w, (k, m) in zip(weights, path, strict=True))
                out[image, :, i, j] += block.gamma * context
    return out


@pytest.mark.parametrize(("height", "width"), [(3, 5), (4, 2), (1, 3), (1, 1)])
def test_criss_cross_attention_against_a_loop(height: int, width: int) -> None:
    block, x = attention(), torch.randn(2, 6, height, width, dtype=torch.double)
    with torch.no_grad():
        torch.testing.assert_close(block(x), by_loop(block, x))


def test_one_pass_reaches_the_cross_and_two_reach_everything() -> None:
    block, x = attention(), torch.randn(1, 6, 5, 7, dtype=torch.double, requires_grad=True)

    def reached(out: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(out[0, :, 1, 2].sum(), x)
        return gradient[0].abs().sum(0) > 0  # (H, W)

    cross = torch.zeros(5, 7, dtype=torch.bool)
    cross[1, :] = cross[:, 2] = True
    assert torch.equal(reached(block(x)), cross)
    assert reached(block(block(x))).all()


def test_attention_starts_as_the_identity() -> None:
    x = torch.randn(1, 6, 4, 4)
    assert torch.equal(CrissCrossAttention(6, 4)(x), x)
