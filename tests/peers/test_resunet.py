"""ResUNet: the paper's count, and its residual unit against a plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests, disturb, on_meta
from torch import Tensor, nn

from scgcnet import cost
from scgcnet.peers.resunet import ResidualUnit, identity

# Table I of the paper: input and output channels of its 3x3 convolutions, side and stride of each output at 224.
UNITS = [
    *((3, 64, 224), (64, 128, 112), (128, 256, 56), (256, 512, 28)),
    *((512 + 256, 256, 56), (256 + 128, 128, 112), (128 + 64, 64, 224)),
]
TABLE = [conv for before, after, side in UNITS for conv in ((before, after, side), (after, after, side))]


def plain_unit(x: Tensor, unit: ResidualUnit) -> Tensor:
    """F(x) + h(x), one value at a time for h."""
    first, norm, _, second = unit.body
    y = unit.before[0](x).relu() if isinstance(unit.before, nn.Sequential) else x
    y = F.conv2d(y, first.weight, stride=unit.stride, padding=1)
    y = F.conv2d(norm(y).relu(), second.weight, padding=1)
    for c in range(min(x.shape[1], y.shape[1])):
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                y[:, c, i, j] += x[:, c, i * unit.stride, j * unit.stride]
    return y


class TestResUNet(PeerTests):
    name = "resunet"

    def test_counts_of_the_reference(self) -> None:
        # Zhang et al. 2018: "7.8M" parameters, for one class (roads).
        model = on_meta("resunet", num_classes=1)
        params = cost.count_params(model)
        # Table I, the two normalisations of every unit (the first unit has but one), and the 1x1 convolution.
        weights = sum(9 * before * after for before, after, _ in TABLE)
        norms = sum(2 * before for before, _, _ in TABLE[1:])
        assert params == weights + norms + 64 + 1
        # Projections on the shortcuts would not fit the paper's count.
        projections = sum(TABLE[i][0] * TABLE[i][1] for i in range(0, 14, 2))
        assert (params + projections) / 1e6 == pytest.approx(8.2, abs=0.05)
        macs = sum(9 * before * after * side**2 for before, after, side in TABLE) + 64 * 224**2
        assert cost.count_cost(model, (1, 3, 224, 224)).macs == macs

    @torch.no_grad()
    @pytest.mark.parametrize(
        ("before", "after", "stride", "preactivate"),
        [(3, 5, 1, False), (3, 5, 2, True), (5, 5, 1, True), (9, 4, 1, True)],
    )
    def test_unit_against_loops(self, before: int, after: int, stride: int, preactivate: bool) -> None:
        torch.manual_seed(0)
        unit = disturb(ResidualUnit(before, after, stride=stride, preactivate=preactivate))
        x = torch.randn(2, before, 8, 6)
        torch.testing.assert_close(unit(x), plain_unit(x, unit), rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_layer_by_layer(self) -> None:
        model = disturb(self.build(widths=[4, 6, 8, 10]))
        image = torch.randn(2, 3, 16, 24)
        one, two, three = model.encoder  # type: ignore[misc]
        five, six, seven = model.decoder  # type: ignore[misc]
        e1 = plain_unit(image, one)
        e2 = plain_unit(e1, two)
        e3 = plain_unit(e2, three)
        x = plain_unit(e3, model.bridge)  # type: ignore[arg-type]
        assert x.shape == (2, 10, 2, 3)
        for unit, skip in ((five, e3), (six, e2), (seven, e1)):
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = plain_unit(torch.cat([skip, x], 1), unit)
        expected = F.conv2d(x, model.head.weight, model.head.bias)  # type: ignore[arg-type, union-attr]
        torch.testing.assert_close(model(image), expected, rtol=1e-4, atol=1e-4)

    def test_identity(self) -> None:
        x = torch.arange(32.0).view(1, 2, 4, 4)
        wider = identity(x, 3, 2)
        assert wider.tolist() == [[[[0, 2], [8, 10]], [[16, 18], [24, 26]], [[0, 0], [0, 0]]]]
        assert torch.equal(identity(x, 1, 1), x[:, :1])
        assert torch.equal(identity(x, 2, 1), x)
