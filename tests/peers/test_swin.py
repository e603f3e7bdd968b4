"""Swin Transformer under UPerNet: published counts, the library with the same weights, its attention by loops."""

from __future__ import annotations

import pytest
import torch
from networks import PeerTests  # before smp and timm: it makes torchvision importable
from segmentation_models_pytorch import UPerNet
from timm.models.swin_transformer import SwinTransformerBlock
from upernets import disturb, renamed

from scgcnet import efficiency, zoo
from scgcnet.peers.upernet import AUXILIARY_WEIGHT


class TestSwin(PeerTests):
    name = "swin"

    def test_multiply_accumulates_by_size_of_the_image(self) -> None:
        """Behind Fig. 10 of the study's paper: UPerNet-Swin-B, 2 classes, in results/paper/peer_gmacs.csv."""
        with torch.device("meta"):
            model = zoo.create_model("swin", "paper")
        counted = [efficiency.count_cost(model, (1, 3, side, side)).gmac for side in (128, 256, 512, 768, 1024, 2048)]
        expected = [21.3, 77.9, 297.7, 660.0, 1184.6, 4698.4]
        assert counted == pytest.approx(expected, rel=0.03)
        assert counted == pytest.approx(expected, abs=0.051)  # in fact to the printed digit

    # Liu et al. 2021 (Swin), as in Liu et al. 2022 (ConvNeXt), Table 4: 150 classes, 512x2048 pixels, with both heads.
    @pytest.mark.parametrize(("size", "params", "gmac"), [("paper", 121, 1188), ("t", 60, 945)])
    def test_counts_of_the_authors(self, size: str, params: int, gmac: int) -> None:
        with torch.device("meta"):
            model = zoo.create_model("swin", size, num_classes=150)
        assert efficiency.count_params(model) / 1e6 == pytest.approx(params, abs=0.5)
        assert efficiency.count_cost(model, (1, 3, 512, 2048)).gmac == pytest.approx(gmac, rel=0.03)

    def test_counts_of_the_library(self) -> None:
        with torch.device("meta"):
            model = zoo.create_model("swin", "t", num_classes=150)
        # smp 0.6: UPerNet("tu-swin_tiny_patch4_window7_224", img_size=512, decoder_channels=512, classes=150)
        assert efficiency.count_params(model, auxiliary=False) / 1e6 == pytest.approx(59.02, rel=0.005)
        assert efficiency.count_cost(model, (1, 3, 512, 512)).gmac == pytest.approx(236.9, rel=0.03)

    @pytest.mark.parametrize("image_size", [(256, 256), (256, 320)])
    def test_equals_the_library_made_for_that_size(self, image_size: tuple[int, int]) -> None:
        """Windows of 7 on maps of 64, 32, 16 and 8 tokens: none is divided, all are larger than a window."""
        torch.manual_seed(0)
        theirs = UPerNet(
            "tu-swin_tiny_patch4_window7_224",
            encoder_weights=None,
            decoder_channels=20,
            classes=2,
            upsampling=1,
            img_size=image_size,
            embed_dim=24,
            depths=(2, 2, 2, 2),
            num_heads=(1, 2, 4, 8),
        )
        disturb(theirs).eval()
        ours = self.build(window=7).eval()
        missing, unexpected = ours.load_state_dict(renamed(theirs.state_dict()), strict=False)
        assert not unexpected
        assert all(key.startswith("aux.") for key in missing)
        images = torch.randn(1, 3, *image_size)
        with torch.no_grad():
            expected = theirs(images)
            assert expected.std() > 0.1
            torch.testing.assert_close(ours.segment(images)[0], expected, rtol=1e-4, atol=1e-4)

    def test_attention_stays_in_windows_that_every_second_block_shifts(self) -> None:
        """Token by token: two attend to each other where the shifted grid has them in one window, never around."""
        torch.manual_seed(0)
        side, window, channels, heads = 8, 4, 6, 2
        first, second = self.build(window=window).encoder.stages[0].blocks
        assert (first.shift_size, second.shift_size) == ((0, 0), (2, 2))
        for shift in (0, 2):
            block = SwinTransformerBlock(
                channels, (side, side), heads, window_size=window, shift_size=shift, dynamic_mask=True
            )
            disturb(block)
            x = torch.randn(1, side, side, channels)
            q, k, v = block.attn.qkv(x[0]).view(side, side, 3, heads, -1).unbind(2)
            tokens = [(i, j) for i in range(side) for j in range(side)]
            rows = []
            for i, j in tokens:
                cell = ((i - shift) // window, (j - shift) // window)
                others = [(a, b) for a, b in tokens if ((a - shift) // window, (b - shift) // window) == cell]
                scores = torch.stack(
                    [
                        (q[i, j] * k[a, b]).sum(-1) * (channels // heads) ** -0.5
                        + block.attn.relative_position_bias_table[
                            (i - a + window - 1) * (2 * window - 1) + j - b + window - 1
                        ]
                        for a, b in others
                    ]
                ).softmax(0)  # (others, heads)
                rows.append(sum(s[:, None] * v[a, b] for s, (a, b) in zip(scores, others, strict=True)).flatten())
            expected = block.attn.proj(torch.stack(rows)).view(1, side, side, channels)
            torch.testing.assert_close(block._attn(x), expected, rtol=1e-4, atol=1e-5)

    def test_auxiliary_head_reads_the_third_stage(self) -> None:
        model = self.build().train()
        images = torch.randn(2, 3, 64, 64)
        _, [auxiliary] = model.segment(images)
        assert auxiliary.weight == AUXILIARY_WEIGHT == 0.4
        assert auxiliary.logits.shape == (2, 2, 4, 4)  # stride 16

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"depths": (2, 2, 2)}, "depths=.*four stages"),
            ({"heads": (5, 2, 4, 8)}, "heads=.*divisor"),
            ({"heads": (1, 2, 4)}, "heads="),
            ({"drop_path": 1.0}, "drop_path=1.0"),
            ({"window": 0}, "window=0"),
            ({"widths": (8, 16, 32, 64)}, "unknown option 'widths'"),
        ],
    )
    def test_bad_options_are_refused(self, options: dict[str, object], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            self.build(**options)
