"""VMamba under UPerNet: published counts, cross-scan and cross-merge against four sequences and a loop."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests, disturb
from torch import Tensor, nn

from scgcnet import cost
from scgcnet.chapters.competitors import GMAC_TOLERANCE, allowed_difference
from scgcnet.model.hmie import SelectiveScan
from scgcnet.peers.vmamba import PRESETS, SS2D, Encoder, VMambaConfig, VSSBlock


class Classifier(nn.Module):
    """The backbone as its authors train it on ImageNet: LayerNorm, mean over the map, 1000 classes."""

    def __init__(self, config: VMambaConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.norm = nn.LayerNorm(config.widths[3])
        self.linear = nn.Linear(config.widths[3], 1000)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.linear(self.norm(self.encoder(images)[3].permute(0, 2, 3, 1)).mean((1, 2)))
        return out


def cross_scan(x: Tensor) -> Tensor:
    """(B, C, H, W) to four sequences (B, 4, C, L): rows, columns, and both backwards."""
    rows, columns = x.flatten(2), x.transpose(2, 3).flatten(2)
    return torch.stack([rows, rows.flip(-1), columns, columns.flip(-1)], 1)


def cross_merge(y: Tensor, height: int, width: int) -> Tensor:
    """Four sequences (B, 4, C, L) back to their places, added: (B, C, H, W)."""
    rows, rows_back, columns, columns_back = y.unbind(1)
    rows = (rows + rows_back.flip(-1)).unflatten(2, (height, width))
    return rows + (columns + columns_back.flip(-1)).unflatten(2, (width, height)).transpose(2, 3)


def scan_plainly(scan: SelectiveScan, x: Tensor) -> Tensor:
    """The four sequences, projected and walked one step after the other; (B, H, W, C) to the same."""
    batch, height, width, channels = x.shape
    xs = cross_scan(x.permute(0, 3, 1, 2))  # (B, 4, C, L)
    ys = []
    for k in range(4):
        A = -scan.A_log[k].exp()  # (C, N)
        h = x.new_zeros(batch, channels, scan.state_size)
        steps = []
        for t in range(height * width):
            u = xs[:, k, :, t]  # (B, C)
            r, b, c = (u @ scan.in_weight[k].T).split([scan.dt_rank, scan.state_size, scan.state_size], 1)
            delta = F.softplus(r @ scan.dt_weight[k].T + scan.dt_bias[k])  # (B, C)
            h = torch.exp(delta[..., None] * A) * h + (delta * u)[..., None] * b[:, None]
            steps.append((h * c[:, None]).sum(-1) + scan.skip[k] * u)
        ys.append(torch.stack(steps, -1))
    return cross_merge(torch.stack(ys, 1), height, width).permute(0, 2, 3, 1)


class TestVMamba(PeerTests):
    name = "vmamba"
    auxiliary = ((0.4, "classes"),)

    # The same paper's Table 1, classifiers on ImageNet, 224x224 pixels: VMamba-T[s1l8], -S[s2l15], -B[s2l15].
    @pytest.mark.parametrize(
        ("options", "params", "gmac"), [(PRESETS["t"], "30", "4.9"), ({"width": 96}, "50", "8.7"), ({}, "89", "15.4")]
    )
    def test_backbone_counts_as_a_classifier(self, options: dict[str, object], params: str, gmac: str) -> None:
        with torch.device("meta"):
            model = Classifier(VMambaConfig(**options))
        counted = cost.count_cost(model, (1, 3, 224, 224))
        assert counted.params / 1e6 == pytest.approx(float(params), abs=0.5)
        assert counted.gmac == pytest.approx(float(gmac), abs=allowed_difference(gmac, GMAC_TOLERANCE))

    @pytest.mark.parametrize("state_size", [1, 3])
    def test_scan_walks_four_sequences_and_merges_them(self, state_size: int) -> None:
        """SS2D, values and the gradients of its input and of every weight."""
        torch.manual_seed(0)
        block = SS2D(6, VMambaConfig(expansion=2, state_size=state_size))
        disturb(block)
        x = torch.randn(2, 4, 3, 6, requires_grad=True)
        wrt = [x, *block.parameters()]
        z = x @ block.in_proj.weight.T
        z = F.silu(F.conv2d(z.permute(0, 3, 1, 2), block.dwconv.weight, padding=1, groups=12).permute(0, 2, 3, 1))
        z = F.layer_norm(scan_plainly(block.scan, z), (12,), block.norm.weight, block.norm.bias)
        expected = z @ block.out_proj.weight.T
        actual = block(x)
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)
        weights = torch.randn_like(expected)
        for ours, theirs in zip(
            torch.autograd.grad((actual * weights).sum(), wrt),
            torch.autograd.grad((expected * weights).sum(), wrt),
            strict=True,
        ):
            assert theirs.abs().max() > 0
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)

    def test_cross_merge_undoes_cross_scan_four_times(self) -> None:
        """Of the two plain functions above, so that the test of the scan rests on something."""
        x = torch.arange(6.0).view(1, 1, 2, 3)
        assert cross_scan(x)[0, :, 0].tolist() == [
            [0, 1, 2, 3, 4, 5],
            [5, 4, 3, 2, 1, 0],
            [0, 3, 1, 4, 2, 5],
            [5, 2, 4, 1, 3, 0],
        ]
        assert torch.equal(cross_merge(cross_scan(x), 2, 3), 4 * x)

    def test_block_adds_scan_and_then_mlp(self) -> None:
        torch.manual_seed(0)
        block = VSSBlock(8, VMambaConfig(expansion=1), drop_path=0.0)
        disturb(block)
        x = torch.randn(1, 3, 5, 8)
        y = x + block.ss2d(F.layer_norm(x, (8,), block.norm1.weight, block.norm1.bias))
        z = F.layer_norm(y, (8,), block.norm2.weight, block.norm2.bias)
        first, _, second = block.mlp
        z = F.gelu(z @ first.weight.T + first.bias) @ second.weight.T + second.bias
        torch.testing.assert_close(block(x), y + z, rtol=1e-4, atol=1e-5)

    def test_one_position_reaches_the_whole_map(self) -> None:
        """What a scan is for: along the four routes every pixel hears of every other one."""
        torch.manual_seed(0)
        scan = SelectiveScan(4, 1, 1)
        x = torch.randn(1, 5, 6, 4)
        changed = x.clone()
        changed[0, 2, 3] += 1
        with torch.no_grad():
            assert ((scan(x) - scan(changed)).abs().amax(-1) > 0).all()

    def test_maps_stay_channels_last(self) -> None:
        """Without a copy between convolutions, linear layers and scan: each finds its input as it lies in memory."""
        model = self.build().eval()
        seen = []
        for module in model.encoder.modules():
            if isinstance(module, SelectiveScan | nn.LayerNorm):
                module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].is_contiguous()))
        with torch.no_grad():
            model(torch.randn(1, 3, 64, 96))
        assert len(seen) == 2 + 3 + 4 * 5  # the stem, three downsamplings, five blocks
        assert all(seen)

    def test_initialisation_is_the_authors(self) -> None:
        encoder = self.build().encoder
        block = encoder.stages[3][0]
        assert float(block.ss2d.in_proj.weight.detach().std()) == pytest.approx(0.02, rel=0.05)
        assert not block.mlp[0].bias.any()
        steps = F.softplus(block.ss2d.scan.dt_bias.detach())
        assert 9e-4 < float(steps.min()) < float(steps.max()) < 0.11  # Mamba's

    def test_stochastic_depth_rises_to_the_last_block(self) -> None:
        with torch.device("meta"):
            encoder = Encoder(VMambaConfig(width=8, depths=(1, 1, 2, 1), drop_path=0.4))
        blocks = [block for stage in encoder.stages for block in stage]
        assert isinstance(blocks[0].drop_path, nn.Identity)
        assert [block.drop_path.drop_prob for block in blocks[1:]] == pytest.approx([0.1, 0.2, 0.3, 0.4])
