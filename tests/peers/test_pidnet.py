"""PIDNet: both fusions and context modules by plain arithmetic, the wiring, and the published counts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import efficiency, zoo
from scgcnet.peers.pidnet import DAPPM, PAPPM, Bag, LightBag, Pag


def random_statistics(module: nn.Module) -> nn.Module:
    """In evaluation, with running statistics and affine weights that do something."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = 0.3 * torch.randn(layer.num_features)
            layer.running_var = 0.5 + torch.rand(layer.num_features)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
    return module.eval()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class TestPIDNet(PeerTests):
    name = "pidnet"
    stride = 64

    # The authors' code (github.com/XuJiacong/PIDNet, models/pidnet.py with augment=False, 19 classes) counted at
    # 1024x2048: S, M and L.
    @pytest.mark.parametrize(
        ("size", "params", "gmac"), [("paper", 7.63, 47.2), ("m", 28.54, 177.3), ("l", 36.94, 274.9)]
    )
    def test_counts_are_the_references(self, size: str, params: float, gmac: float) -> None:
        with torch.device("meta"):
            model = zoo.create_model("pidnet", size, num_classes=19)
        assert efficiency.count_params(model, auxiliary=False) / 1e6 == pytest.approx(params, rel=0.005)
        assert efficiency.count_cost(model, (1, 3, 1024, 2048)).gmac == pytest.approx(gmac, rel=0.03)

    def test_heads_of_training(self) -> None:
        """Details at the main head's classes with a weight of 0.4; boundaries; nothing in evaluation."""
        model = self.build(num_classes=3).train()
        _, (p, d) = model(torch.randn(2, 3, 64, 64))
        assert (p.weight, p.target, p.logits.shape) == (0.4, "classes", (2, 3, 64, 64))
        assert (d.weight, d.target, d.logits.shape) == (1.0, "boundary", (2, 3, 64, 64))
        assert isinstance(model.eval()(torch.randn(1, 3, 64, 64)), Tensor)

    def test_training_starts_undecided(self) -> None:
        with torch.no_grad():
            logits, auxiliary = self.build().train()(torch.randn(2, 3, 128, 128))
        for x in (logits, *(head.logits for head in auxiliary)):
            loss = F.cross_entropy(x, torch.ones(2, 128, 128, dtype=torch.int64))
            assert float(loss) == pytest.approx(math.log(2), abs=0.1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"width": 0}, "width=0"),
            ({"deep_depth": 257}, "deep_depth=257"),
            ({"augment": True}, "unknown option 'augment'"),
        ],
    )
    def test_bad_options_are_refused(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)


def test_pag_pixel_by_pixel() -> None:
    torch.manual_seed(0)
    pag = random_statistics(Pag(4, 3))
    assert isinstance(pag, Pag)
    p, i = torch.randn(2, 4, 6, 4), torch.randn(2, 4, 3, 2)
    up = F.interpolate(i, size=(6, 4), mode="bilinear", align_corners=False)
    query = F.interpolate(pag.f_i(i), size=(6, 4), mode="bilinear", align_corners=False)
    with torch.no_grad():
        key, fused = pag.f_p(p), pag(p, i)
        for b in range(2):
            for y in range(6):
                for x in range(4):
                    sigma = sigmoid(sum(float(key[b, c, y, x]) * float(query[b, c, y, x]) for c in range(3)))
                    for c in range(4):
                        expected = sigma * float(up[b, c, y, x]) + (1 - sigma) * float(p[b, c, y, x])
                        assert float(fused[b, c, y, x]) == pytest.approx(expected, abs=1e-5)


def norm(layer: nn.Module, x: Tensor) -> Tensor:
    """Batch normalisation in evaluation, written out."""
    assert isinstance(layer, nn.BatchNorm2d)
    mean, var, weight, bias = (
        t[None, :, None, None] for t in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / (var + layer.eps).sqrt() * weight + bias


def pointwise(layer: nn.Module, x: Tensor) -> Tensor:
    """A 1x1 convolution as a sum over channels."""
    return torch.einsum("oc,bchw->bohw", layer.weight[:, :, 0, 0], x)


def test_bag_believes_details_at_boundaries() -> None:
    torch.manual_seed(0)
    bag = random_statistics(Bag(3))
    p, i, d = torch.randn(3, 2, 3, 5, 4)
    sigma = 1 / (1 + torch.exp(-d))
    x = norm(bag.fuse[0], sigma * p + (1 - sigma) * i).clamp(min=0)
    padded = torch.zeros(2, 3, 7, 6)
    padded[:, :, 1:-1, 1:-1] = x
    expected = sum(
        torch.einsum("oc,bchw->bohw", bag.fuse[2].weight[:, :, u, v], padded[:, :, u : u + 5, v : v + 4])
        for u in range(3)
        for v in range(3)
    )
    torch.testing.assert_close(bag(p, i, d), expected)
    far = torch.full_like(d, 100.0)
    torch.testing.assert_close(bag(p, i, far), bag.fuse(p))
    torch.testing.assert_close(bag(p, i, -far), bag.fuse(i))


def test_light_bag() -> None:
    torch.manual_seed(0)
    bag = random_statistics(LightBag(3))
    p, i, d = torch.randn(3, 2, 3, 5, 4)
    sigma = 1 / (1 + torch.exp(-d))
    expected = norm(bag.f_p[1], pointwise(bag.f_p[0], (1 - sigma) * i + p))
    expected = expected + norm(bag.f_i[1], pointwise(bag.f_i[0], i + sigma * p))
    torch.testing.assert_close(bag(p, i, d), expected)


def window_means(x: Tensor, reach: int) -> Tensor:
    """Means over windows of 2 reach + 1 pixels a side, every `reach` pixels; outside the map there are zeros."""
    (height, width), side = x.shape[2:], 2 * reach + 1
    rows = []
    for y in range(0, height, reach):
        row = [
            x[:, :, max(y - reach, 0) : y + reach + 1, max(c - reach, 0) : c + reach + 1].sum(dim=(2, 3)) / side**2
            for c in range(0, width, reach)
        ]
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2)


def plain_scales(module: DAPPM | PAPPM, x: Tensor) -> list[Tensor]:
    pooled = [x, *(window_means(x, reach) for reach in (2, 4, 8)), x.mean(dim=(2, 3), keepdim=True)]
    reduced = [pointwise(r[2], norm(r[0], q).clamp(min=0)) for r, q in zip(module.reduce, pooled, strict=True)]
    return [F.interpolate(r, size=x.shape[2:], mode="bilinear", align_corners=False) for r in reduced]


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (20, 18)])
def test_context_modules(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 6, *size)
    deep, parallel = random_statistics(DAPPM(6, 4, 5)), random_statistics(PAPPM(6, 4, 5))
    assert isinstance(deep, DAPPM)
    assert isinstance(parallel, PAPPM)

    a, b, c, d, e = plain_scales(deep, x)
    done = [a]
    for scale, process in zip((b, c, d, e), deep.process, strict=True):
        done.append(process(scale + done[-1]))
    torch.testing.assert_close(deep(x), deep.compress(torch.cat(done, 1)) + deep.shortcut(x), rtol=1e-4, atol=1e-5)

    a, b, c, d, e = plain_scales(parallel, x)
    weight = parallel.process[2].weight  # (16, 4, 3, 3): each four see their own scale alone
    shares = norm(parallel.process[0], torch.cat([b + a, c + a, d + a, e + a], 1)).clamp(min=0).chunk(4, 1)
    separate = [F.conv2d(share, w, padding=1) for share, w in zip(shares, weight.chunk(4), strict=True)]
    expected = parallel.compress(torch.cat([a, *separate], 1)) + parallel.shortcut(x)
    torch.testing.assert_close(parallel(x), expected, rtol=1e-4, atol=1e-5)
