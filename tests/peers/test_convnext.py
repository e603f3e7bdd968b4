"""ConvNeXt under UPerNet: published counts, the library's network with the same weights, its block step by step."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests  # before smp: it makes torchvision importable
from segmentation_models_pytorch import UPerNet
from upernets import disturb, renamed

from scgcnet import efficiency, zoo
from scgcnet.peers.upernet import AUXILIARY_WEIGHT


class TestConvNeXt(PeerTests):
    name = "convnext"

    def test_multiply_accumulates_by_size_of_the_image(self) -> None:
        """Behind Fig. 10 of the study's paper: UPerNet-ConvNeXt-B, 2 classes, in results/paper/peer_gmacs.csv."""
        with torch.device("meta"):
            model = zoo.create_model("convnext", "paper")
        counted = [efficiency.count_cost(model, (1, 3, side, side)).gmac for side in (128, 256, 512, 768, 1024, 2048)]
        expected = [18.2, 72.8, 291.1, 655.0, 1164.4, 4657.4]
        assert counted == pytest.approx(expected, rel=0.03)
        assert counted == pytest.approx(expected, abs=0.051)  # in fact to the printed digit

    # Liu et al. 2022 (ConvNeXt), Table 4: 150 classes, 512x2048 pixels, with both heads.
    @pytest.mark.parametrize(("size", "params", "gmac"), [("paper", 122, 1170), ("t", 60, 939)])
    def test_counts_of_the_authors(self, size: str, params: int, gmac: int) -> None:
        with torch.device("meta"):
            model = zoo.create_model("convnext", size, num_classes=150)
        assert efficiency.count_params(model) / 1e6 == pytest.approx(params, abs=0.5)
        assert efficiency.count_cost(model, (1, 3, 512, 2048)).gmac == pytest.approx(gmac, rel=0.03)

    def test_counts_of_the_library(self) -> None:
        with torch.device("meta"):
            model = zoo.create_model("convnext", "t", num_classes=150)
        # smp 0.6: UPerNet("tu-convnext_tiny", decoder_channels=512, classes=150)
        assert efficiency.count_params(model, auxiliary=False) / 1e6 == pytest.approx(59.32, rel=0.005)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(234.6, rel=0.03)

    def test_equals_the_library(self) -> None:
        torch.manual_seed(0)
        theirs = UPerNet(
            "tu-convnext_tiny",
            encoder_weights=None,
            decoder_channels=24,
            classes=2,
            upsampling=1,
            dims=(32, 64, 128, 256),
            depths=(1, 1, 2, 1),
        )
        disturb(theirs).eval()
        ours = self.build().eval()
        missing, unexpected = ours.load_state_dict(renamed(theirs.state_dict()), strict=False)
        assert not unexpected
        assert all(key.startswith("aux.") for key in missing)
        images = torch.randn(1, 3, 96, 160)
        with torch.no_grad():
            expected = theirs(images)
            assert expected.std() > 0.1
            torch.testing.assert_close(ours.segment(images)[0], expected, rtol=1e-4, atol=1e-4)

    def test_block_is_that_of_figure_4(self) -> None:
        """Every channel correlated with its own 7x7 kernel, pixel by pixel; then the pixel's own small network."""
        torch.manual_seed(0)
        block = disturb(self.build().encoder.stages[0].blocks[0])
        x = torch.randn(1, 32, 5, 6)
        padded = F.pad(x, (3, 3, 3, 3))
        expected = x.clone()
        for i in range(5):
            for j in range(6):
                z = (padded[0, :, i : i + 7, j : j + 7] * block.conv_dw.weight[:, 0]).sum((1, 2)) + block.conv_dw.bias
                z = (z - z.mean()) / (z.var(correction=0) + 1e-6).sqrt() * block.norm.weight + block.norm.bias
                z = block.mlp.fc2.weight @ F.gelu(block.mlp.fc1.weight @ z + block.mlp.fc1.bias) + block.mlp.fc2.bias
                expected[0, :, i, j] += block.gamma * z
        torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-5)

    def test_auxiliary_head_reads_the_third_stage(self) -> None:
        model = self.build().train()
        _, [auxiliary] = model.segment(torch.randn(2, 3, 64, 64))
        assert auxiliary.weight == AUXILIARY_WEIGHT == 0.4
        assert auxiliary.logits.shape == (2, 2, 4, 4)  # stride 16

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"depths": (2, 2, 2)}, "depths=.*four stages"),
            ({"depths": (2, 2, 0, 2)}, "depths="),
            ({"drop_path": -0.1}, "drop_path=-0.1"),
            ({"heads": (1, 2, 4, 8)}, "unknown option 'heads'"),
        ],
    )
    def test_bad_options_are_refused(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)
