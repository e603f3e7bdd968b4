"""PIDNet: both fusions and context modules by plain arithmetic, the wiring, and the published counts."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests, disturb
from torch import Tensor, nn

from scgcnet.peers.pidnet import DAPPM, PAPPM, Bag, LightBag, Pag


class TestPIDNet(PeerTests):
    name = "pidnet"
    auxiliary = ((0.4, "classes"), (1.0, "boundary"))

    def test_training_starts_undecided(self) -> None:
        with torch.no_grad():
            logits, auxiliary = self.build().train()(torch.randn(2, 3, 128, 128))
        for x in (logits, *(head.logits for head in auxiliary)):
            loss = F.cross_entropy(x, torch.ones(2, 128, 128, dtype=torch.int64))
            assert float(loss) == pytest.approx(math.log(2), abs=0.1)


@torch.no_grad()
def test_pag_takes_context_where_both_agree() -> None:
    torch.manual_seed(0)
    pag = disturb(Pag(4, 3))
    p, i = torch.randn(2, 4, 6, 4), torch.randn(2, 4, 3, 2)
    up, query = (F.interpolate(x, size=(6, 4), mode="bilinear") for x in (i, pag.f_i(i)))
    sigma = torch.sigmoid(torch.einsum("bchw,bchw->bhw", pag.f_p(p), query))[:, None]
    torch.testing.assert_close(pag(p, i), sigma * up + (1 - sigma) * p)


@torch.no_grad()
def test_bags_take_details_at_boundaries() -> None:
    torch.manual_seed(0)
    bag, light = disturb(Bag(3)), disturb(LightBag(3))
    p, i, d = torch.randn(3, 2, 3, 5, 4)
    sigma = 1 / (1 + torch.exp(-d))
    torch.testing.assert_close(bag(p, i, d), bag.fuse(sigma * p + (1 - sigma) * i))
    torch.testing.assert_close(light(p, i, d), light.f_p((1 - sigma) * i + p) + light.f_i(i + sigma * p))
    for sign, source in ((1, p), (-1, i)):
        torch.testing.assert_close(bag(p, i, sign * torch.full_like(d, 100.0)), bag.fuse(source))


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (20, 18)])
def test_context_modules(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, *size)
    deep, parallel = disturb(DAPPM(6, 4, 5)), disturb(PAPPM(6, 4, 5))

    def scales(module: nn.Module) -> list[Tensor]:
        """Zeros beyond the border are counted in."""
        pooled = [F.avg_pool2d(x, 2 * reach + 1, reach, reach) for reach in (2, 4, 8)]
        pooled = [x, *pooled, x.mean(dim=(2, 3), keepdim=True)]
        reduced = [reduce(each) for reduce, each in zip(module.reduce, pooled, strict=True)]
        return [F.interpolate(each, size=size, mode="bilinear") for each in reduced]

    done, *others = scales(deep)
    joined = [done]
    for scale, process in zip(others, deep.process, strict=True):
        joined.append(process(scale + joined[-1]))
    torch.testing.assert_close(deep(x), deep.compress(torch.cat(joined, 1)) + deep.shortcut(x), rtol=1e-4, atol=1e-5)

    first, *others = scales(parallel)
    norm, relu, conv = parallel.process  # weight (16, 4, 3, 3): each four see their own scale alone
    shares = relu(norm(torch.cat([scale + first for scale in others], 1))).chunk(4, 1)
    separate = [F.conv2d(share, w, padding=1) for share, w in zip(shares, conv.weight.chunk(4), strict=True)]
    expected = parallel.compress(torch.cat([first, *separate], 1)) + parallel.shortcut(x)
    torch.testing.assert_close(parallel(x), expected, rtol=1e-4, atol=1e-5)
