"""HRNet: published counts, timm's own features with our settings, and the exchange of a module against a plain one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests
from torch import Tensor, nn

from scgcnet import efficiency, zoo
from scgcnet.peers.base import Peer


def timms(name: str) -> nn.Module:
    """timm's own features of the four branches."""
    import timm  # after scgcnet.peers, which lets it be imported beside a torch without CUDA

    trunk: nn.Module = timm.create_model(
        name, pretrained=False, features_only=True, feature_location="", out_indices=(1, 2, 3, 4)
    )
    return trunk


def exchanged(maps: list[Tensor], module: nn.Module) -> list[Tensor]:
    """Fig. 3 of the paper: every branch receives the sum of all branches, brought to its resolution and width."""
    outputs = []
    for to in range(len(maps)):
        total = torch.zeros_like(maps[to])
        for of, x in enumerate(maps):
            path = list(module.fuse_layers[to][of].modules())  # type: ignore[index, union-attr]
            convs = [m for m in path if isinstance(m, nn.Conv2d)]
            norms = [m for m in path if isinstance(m, nn.BatchNorm2d)]
            assert len(convs) == len(norms) == (0 if of == to else 1 if of > to else to - of)
            for step, (conv, norm) in enumerate(zip(convs, norms, strict=True)):
                down = of < to  # as many strided 3x3 as the map has to be halved; upwards one 1x1
                assert conv.kernel_size == ((3, 3) if down else (1, 1))
                x = F.conv2d(x, conv.weight, stride=2 if down else 1, padding=1 if down else 0)
                x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
                if down and step < len(convs) - 1:
                    x = x.relu()
            factor = maps[to].shape[2] // x.shape[2]
            total = total + x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        outputs.append(total.relu())
    return outputs


class TestHRNet(PeerTests):
    name = "hrnet"

    # mmsegmentation 1.x, fcn_hr18 and fcn_hr48 with 150 classes: no auxiliary head, GMAC at 512.
    @pytest.mark.parametrize(("size", "params", "gmac"), [("paper", 65.95, 95.0), ("w18", 9.68, 19.0)])
    def test_counts_of_the_reference(self, size: str, params: float, gmac: float) -> None:
        with torch.device("meta"):
            model = zoo.create_model("hrnet", size, num_classes=150)
        assert efficiency.count_params(model) / 1e6 == pytest.approx(params, abs=0.005)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(gmac, abs=0.05)

    @torch.no_grad()
    def test_timm_has_the_same_trunk(self) -> None:
        model = zoo.create_model("hrnet", "w18").double().eval()
        assert isinstance(model, Peer)
        oracle = timms("hrnet_w18").double().eval()
        oracle.load_state_dict(model.trunk.state_dict())  # strict: no weight more, none less
        image = torch.randn(1, 3, 64, 64, dtype=torch.float64)
        maps = oracle(image)
        for ours, theirs in zip(model.trunk(image), maps, strict=True):  # type: ignore[operator]
            torch.testing.assert_close(ours, theirs)
        # The head: every map at stride 4, mixed by a 1x1 convolution.
        (mix, norm, _), last = model.head  # type: ignore[misc]
        x = torch.cat([F.interpolate(m, size=(16, 16), mode="bilinear") for m in maps], 1)
        assert x.shape[1] == 18 + 36 + 72 + 144
        x = F.conv2d(x, mix.weight)
        x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias).relu()
        torch.testing.assert_close(model.segment(image)[0], F.conv2d(x, last.weight, last.bias))

    def test_paper_size_is_w48(self) -> None:
        with torch.device("meta"):
            trunk = zoo.create_model("hrnet", "paper").trunk
            oracle = timms("hrnet_w48")
        shapes = {key: value.shape for key, value in oracle.state_dict().items()}
        assert {key: value.shape for key, value in trunk.state_dict().items()} == shapes  # type: ignore[union-attr, operator]

    @torch.no_grad()
    def test_branches_exchange(self) -> None:
        model = self.build(width=3).eval()
        module = model.trunk.stage4[0]  # type: ignore[index, union-attr]
        for m in module.modules():
            if isinstance(m, nn.BatchNorm2d):
                m.weight.uniform_(0.5, 1.5)
                m.bias.normal_()
                m.running_mean.normal_()  # type: ignore[union-attr]
                m.running_var.uniform_(0.5, 1.5)  # type: ignore[union-attr]
        maps = [torch.randn(1, 3 * 2**r, 16 // 2**r, 16 // 2**r) for r in range(4)]
        after_blocks = [branch(x) for branch, x in zip(module.branches, maps, strict=True)]
        for ours, expected in zip(module(list(maps)), exchanged(after_blocks, module), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)

    def test_resolutions(self) -> None:
        model = self.build().eval()
        assert isinstance(model, Peer)
        width = model.config.to_dict()["width"]
        maps = model.trunk(torch.randn(1, 3, 64, 96))  # type: ignore[operator]
        assert [tuple(m.shape[1:]) for m in maps] == [(width * 2**r, 16 // 2**r, 24 // 2**r) for r in range(4)]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"module_depths": [1, 4]}, "three stages of modules"),
            ({"block_depth": 300}, r"block_depth=300: .*1\.\.256"),
            ({"width": 0}, r"width=0: .*1\.\.8192"),
            ({"pretrained": True}, "unknown option 'pretrained': hrnet has .*width"),
        ],
    )
    def test_what_it_refuses(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)
