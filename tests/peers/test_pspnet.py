"""PSPNet: its pyramid against loops and against Hugging Face's, and its published counts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import efficiency, zoo
from scgcnet.peers.pspnet import BINS, PyramidPooling


def cell_means(x: Tensor, bins: int) -> Tensor:
    """The mean of every cell of a grid of bins x bins; a cell takes in every row and column that it touches."""
    height, width = x.shape[2:]
    means = torch.empty(*x.shape[:2], bins, bins, dtype=x.dtype)
    for i in range(bins):
        for j in range(bins):
            rows = slice(i * height // bins, math.ceil((i + 1) * height / bins))
            columns = slice(j * width // bins, math.ceil((j + 1) * width / bins))
            means[:, :, i, j] = x[:, :, rows, columns].mean(dim=(2, 3))
    return means


def weights_of_a_line(short: int, long: int) -> Tensor:
    """Linear interpolation from `short` to `long` samples as a matrix, pixel centres at halves, ends repeated."""
    matrix = torch.zeros(long, short, dtype=torch.float64)
    for i in range(long):
        position = min(max((i + 0.5) * short / long - 0.5, 0.0), short - 1.0)
        left = int(position)
        matrix[i, left] += 1 - (position - left)
        matrix[i, min(left + 1, short - 1)] += position - left
    return matrix


def randomised(module: nn.Module) -> nn.Module:
    """With statistics in the batch normalisations, in double precision, for evaluation."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return module.double().eval()


class TestPSPNet(PeerTests):
    name = "pspnet"
    stride = 8

    def test_reference_counts(self) -> None:
        with torch.device("meta"):
            model = zoo.create_model("pspnet", "paper", num_classes=150)
        # mmsegmentation 1.x, configs/_base_/models/pspnet_r50-d8.py with 150 classes: 49.08 M with the auxiliary
        # head, 178.6 GMAC at 512 pixels without it.
        assert efficiency.count_params(model) == pytest.approx(49.08e6, rel=0.001)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(178.6, rel=0.001)

    @pytest.mark.parametrize("size", [(12, 18), (16, 16), (7, 5), (3, 4), (1, 1)])
    def test_pyramid_is_what_loops_give(self, size: tuple[int, int]) -> None:
        torch.manual_seed(0)
        pyramid = randomised(PyramidPooling(8, 5))
        x = torch.randn(2, 8, *size, dtype=torch.float64)
        expected = [x]
        for bins, level in zip((1, 2, 3, 6), pyramid.levels, strict=True):
            convolution, norm = level[1][0], level[1][1]
            means = torch.einsum("oc,bchw->bohw", convolution.weight[:, :, 0, 0], cell_means(x, bins))
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            means = ((means - norm.running_mean[:, None, None]) * scale[:, None, None]) + norm.bias[:, None, None]
            rows, columns = (weights_of_a_line(bins, side) for side in size)
            expected.append(torch.einsum("hi,wj,bcij->bchw", rows, columns, means.clamp(min=0)))
        torch.testing.assert_close(pyramid(x), torch.cat(expected, dim=1))
        assert pyramid.out_channels == 8 + 4 * 5

    def test_hugging_face_has_the_same_pyramid(self) -> None:
        upernet = pytest.importorskip("transformers.models.upernet.modeling_upernet")
        torch.manual_seed(0)
        pyramid = randomised(PyramidPooling(8, 5))
        oracle = upernet.UperNetPyramidPoolingModule(BINS, 8, 5, align_corners=False).double().eval()
        oracle.load_state_dict(dict(zip(oracle.state_dict(), pyramid.levels.state_dict().values(), strict=True)))
        x = torch.randn(2, 8, 10, 14, dtype=torch.float64)
        torch.testing.assert_close(pyramid(x), torch.cat([x, *oracle(x)], dim=1))

    def test_every_pixel_sees_the_whole_image(self) -> None:
        """By the pyramid alone: without it, the far corner of the image does not matter to a pixel."""
        model = self.build().eval()
        for norm in model.modules():
            if hasattr(norm, "zero_init_last"):
                nn.init.ones_(norm.bn3.weight)  # a fresh bottleneck is an identity

        def far_corner() -> float:
            images = torch.ones(1, 3, 256, 256, requires_grad=True)
            model(images)[0, :, 0, 0].sum().backward()
            assert images.grad is not None
            return float(images.grad[0, :, 248:, 248:].abs().max())

        assert far_corner() > 0
        for level in model.pyramid.levels:
            nn.init.zeros_(level[1][0].weight)
        assert far_corner() == 0

    def test_auxiliary_head(self) -> None:
        logits, auxiliary = self.build().train()(torch.randn(2, 3, 64, 64))
        assert [(head.weight, head.target) for head in auxiliary] == [(0.4, "classes")]
        assert logits.shape == auxiliary[0].logits.shape

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"depths": (1, 1, 1)}, r"depths=\(1, 1, 1\).*four"),
            ({"widths": (16, 16, 16, 16, 16)}, r"widths=.*four"),
            ({"head_width": 0}, r"head_width=0.*1\.\."),
            ({"bins": (1, 2)}, "unknown option 'bins': pspnet has"),
        ],
    )
    def test_bad_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)
