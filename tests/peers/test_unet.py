"""U-Net: the whole network against its layers called one by one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests, disturb
from torch import Tensor, nn

from scgcnet.peers.unet import Up


def block(x: Tensor, layers: nn.Module) -> Tensor:
    """Convolution, batch normalisation and ReLU in evaluation."""
    conv, norm, _ = layers  # type: ignore[misc]
    x = F.conv2d(x, conv.weight, padding=conv.weight.shape[-1] // 2)
    return F.relu(F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias))


class TestUNet(PeerTests):
    name = "unet"
    auxiliary = ((0.4, "classes"),)

    @torch.no_grad()
    def test_layer_by_layer(self) -> None:
        model = disturb(self.build(widths=[4, 6, 8, 10, 12]))
        image = torch.randn(2, 3, 32, 48)
        maps, x = [], image
        for level, convs in enumerate(model.down):  # type: ignore[arg-type]
            if level:  # the largest of every 2x2
                x = torch.stack([x[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0)
            for convolution in convs:
                x = block(x, convolution)
            maps.append(x)
        assert [tuple(m.shape[1:]) for m in maps] == [(4, 32, 48), (6, 16, 24), (8, 8, 12), (10, 4, 6), (12, 2, 3)]
        for up, skip in zip(model.up, maps[-2::-1], strict=True):  # type: ignore[arg-type]
            x = block(F.interpolate(x, size=skip.shape[2:], mode="bilinear"), up.enlarge)
            x = torch.cat([skip, x], 1)
            for convolution in up.convs:
                x = block(x, convolution)
        first, _, last = model.head  # type: ignore[misc]
        expected = F.conv2d(block(x, first), last.weight, last.bias)
        torch.testing.assert_close(model.segment(image)[0], expected, rtol=1e-4, atol=1e-4)

    def test_auxiliary_head_reads_stride_2(self) -> None:
        model = self.build()
        _, (head,) = model.segment(torch.randn(2, 3, 32, 48))  # type: ignore[operator]
        assert head.logits.shape == (2, 2, 16, 24)

    def test_enlarging_comes_before_joining(self) -> None:
        """A constant deep map reaches the convolutions as a constant map: without cropping, shifting or zeros."""
        up = Up(3, 2).eval()
        seen: list[Tensor] = []
        up.convs.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        skip = torch.randn(1, 2, 8, 8)
        with torch.no_grad():
            up(torch.ones(1, 3, 4, 4), skip)
        joined = seen[0]
        assert torch.equal(joined[:, :2], skip)
        torch.testing.assert_close(joined[:, 2:], joined[:, 2:, :1, :1].expand(-1, -1, 8, 8))

    def test_initial_weights(self) -> None:
        """Sec. 3 of the paper: for a 3x3 convolution of 64 channels a standard deviation of sqrt(2 / 576)."""
        weight = self.build(widths=[4, 64, 4, 4, 4]).down[1][1][0].weight  # type: ignore[index]
        assert weight.shape == (64, 64, 3, 3)
        assert weight.std().item() == pytest.approx((2 / 576) ** 0.5, rel=0.02)
