"""ST-UNet: the paper's count of parameters, each of its modules against a plain calculation, Swin against timm."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests, disturb, on_meta
from timm.models.swin_transformer import SwinTransformer
from torch import nn

from scgcnet import cost
from scgcnet.peers.stunet import FCM, RAM, SIM, SwinBlock, UpBlock, soft_pool


class TestSTUNet(PeerTests):
    name = "stunet"
    refused = (
        ({"swin_width": 25, "heads": (1, 1, 1, 1)}, "swin_width=25: must be even"),
        ({"heads": (5, 2, 4, 8)}, "5 do not divide a stage's 16 channels"),
    )

    def test_counts_of_the_module_s_table(self) -> None:
        counted = cost.count_cost(on_meta("stunet", num_classes=6), (1, 3, 256, 256))
        assert counted.params / 1e6 == pytest.approx(162.49, abs=0.005)
        assert counted.gmac == pytest.approx(49.32, rel=0.001)  # none is published: a change of the wiring shows

    def test_encoders_count_as_resnet50_and_swin_t(self) -> None:
        model = on_meta("stunet")
        with torch.device("meta"):
            swin_t = SwinTransformer(window_size=8, img_size=256, num_classes=0)
        ours = sum(p.numel() for n, p in model.swin_stages.named_parameters() if ".sim." not in n)
        assert ours == sum(p.numel() for n, p in swin_t.layers.named_parameters() if ".downsample." not in n)
        # ResNet-50 without its classifier has 23.508 M; the three 3x3 convolutions of the stem add 0.019 M.
        assert sum(p.numel() for p in model.cnn.parameters()) == 23_508_032 + 19_232

    def test_what_ram_gives_goes_on_to_the_next_stage(self, model: nn.Module) -> None:
        """Not to the skip alone: without the first RAM, the last one is given another map of the CNN."""
        image = torch.randn(1, 3, 64, 64)
        seen: list[torch.Tensor] = []
        hook = model.rams[3].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        with torch.no_grad():
            model(image)
            undo = model.rams[0].register_forward_hook(lambda _, inputs, __: inputs[0])
            model(image)
        undo.remove()
        hook.remove()
        assert (seen[0] - seen[1]).abs().max() > 1e-3


@torch.no_grad()
def test_swin_stages_are_timms() -> None:
    """Where windows divide the maps and SIM is silent, a stage gives what timm's whole network has after it."""
    torch.manual_seed(0)
    oracle = SwinTransformer(
        img_size=64, window_size=4, embed_dim=8, depths=(2, 2), num_heads=(1, 2), num_classes=0, drop_path_rate=0.0
    ).eval()
    blocks = nn.Sequential(*(SwinBlock(8, 1, 4, shifted) for shifted in (False, True))).eval()
    for block, theirs in zip(blocks, oracle.layers[0].blocks, strict=True):
        block.swin.load_state_dict(theirs.state_dict())
        nn.init.zeros_(block.sim.expand[1].weight)
    x = torch.randn(2, 8, 16, 16)
    expected = oracle.layers[0].blocks(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(blocks(x), expected)


@torch.no_grad()
def test_shifted_windows_never_wrap_around_the_border() -> None:
    """Also where the window does not divide the map: a token far away, beyond the border, changes nothing."""
    torch.manual_seed(0)
    block = SwinBlock(4, 1, 4, shifted=True).double().eval()
    nn.init.zeros_(block.sim.expand[1].weight)
    x = torch.randn(1, 4, 10, 14, dtype=torch.float64)
    moved = x.clone()
    moved[:, :, 0, 0] = -x[:, :, 0, 0]
    changed = (block(x) - block(moved)).abs().amax(dim=(0, 1)) > 1e-9
    expected = torch.zeros(10, 14, dtype=torch.bool)
    expected[:2, :2] = True  # shifted by 2, the first window holds two rows and two columns
    assert torch.equal(changed, expected)


@torch.no_grad()
def test_spatial_interaction_against_loops() -> None:
    torch.manual_seed(0)
    sim = disturb(SIM(6))
    x = torch.randn(2, 6, 5, 7)
    inner = sim.structure(x)
    relation = torch.empty_like(inner)
    for row in range(5):
        for column in range(7):
            relation[:, :, row, column] = inner[:, :, row].mean(-1) * inner[:, :, :, column].mean(-1)
    torch.testing.assert_close(sim(x), sim.expand(relation))
    conv = sim.structure[0]
    assert (conv.dilation, conv.out_channels) == ((2, 2), 3)


def test_soft_pooling_against_loops() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    expected = torch.empty(2, 3, 2, 3, dtype=torch.float64)
    for row in range(2):
        for column in range(3):
            window = x[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].flatten(2)
            expected[:, :, row, column] = (window.exp() * window).sum(2) / window.exp().sum(2)
    torch.testing.assert_close(soft_pool(x), expected)
    assert soft_pool(1e4 * x).isfinite().all()


@torch.no_grad()
def test_feature_compression_adds_both_branches() -> None:
    torch.manual_seed(0)
    fcm = disturb(FCM(4))
    x = torch.randn(2, 4, 6, 8)
    conv, bn = fcm.pooled
    pooled = bn(torch.einsum("oi,bihw->bohw", conv.weight[:, :, 0, 0], soft_pool(x)))
    reduce, dilated, expand = fcm.dilated
    compressed = F.conv2d(reduce(x), dilated[0].weight, stride=2, padding=2, dilation=2)
    expected = F.relu(pooled + expand(F.relu(dilated[1](compressed))))
    torch.testing.assert_close(fcm(x), expected)
    assert fcm(x).shape == (2, 8, 3, 4)


@torch.no_grad()
def test_relational_aggregation_weighs_channels() -> None:
    torch.manual_seed(0)
    ram = disturb(RAM(6, 4))
    a, s = torch.randn(2, 6, 5, 7), torch.randn(2, 4, 5, 7)
    first, second = ram.relations[1], ram.relations[3]
    hidden = F.relu(F.linear(s.mean(dim=(2, 3)), first.weight.flatten(1), first.bias))
    weights = torch.sigmoid(F.linear(hidden, second.weight.flatten(1), second.bias))  # (2, 6)
    weighed = torch.empty_like(a)
    for image in range(2):
        for channel in range(6):
            weighed[image, channel] = weights[image, channel] * a[image, channel]
    expected = a + ram.aggregate(weighed + ram.project(s))
    torch.testing.assert_close(ram(a, s), expected)


@torch.no_grad()
def test_decoder_doubles_the_size_and_joins_the_skip() -> None:
    torch.manual_seed(0)
    block = disturb(UpBlock(6, 4))
    x, skip = torch.randn(1, 6, 3, 5), torch.randn(1, 4, 6, 10)
    up = torch.empty(1, 4, 6, 10)
    for row in range(6):
        for column in range(10):
            kernel = block.up.weight[:, :, row % 2, column % 2]
            up[:, :, row, column] = x[:, :, row // 2, column // 2] @ kernel + block.up.bias
    torch.testing.assert_close(block(x, skip), block.convs(torch.cat([skip, up], dim=1)))
