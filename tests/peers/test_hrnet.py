"""HRNet: timm's own features with our settings, and the exchange of a module against a plain one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from networks import PeerTests, on_meta
from torch import nn

from scgcnet import zoo


def timms(name: str) -> nn.Module:
    """timm's own features of the four branches."""
    import timm  # after scgcnet: see scgcnet.torchvision_ops

    options = {"features_only": True, "feature_location": "", "out_indices": (1, 2, 3, 4)}
    return timm.create_model(name, pretrained=False, **options)


class TestHRNet(PeerTests):
    name = "hrnet"

    @torch.no_grad()
    def test_timm_has_the_same_trunk(self) -> None:
        model = zoo.create_model("hrnet", "w18").double().eval()
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
            oracle = timms("hrnet_w48")
        shapes = {key: value.shape for key, value in oracle.state_dict().items()}
        assert {key: value.shape for key, value in on_meta("hrnet").trunk.state_dict().items()} == shapes

    def test_resolutions(self) -> None:
        model = self.build().eval()
        width = model.config.width
        maps = model.trunk(torch.randn(1, 3, 64, 96))  # type: ignore[operator]
        assert [tuple(m.shape[1:]) for m in maps] == [(width * 2**r, 16 // 2**r, 24 // 2**r) for r in range(4)]
