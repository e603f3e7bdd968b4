from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.peers.segformer import SegFormer


class TestSegFormer(PeerTests):
    name = "segformer"
    options: ClassVar[dict[str, Any]] = {"drop_path": 0.0}  # a block that both images skip would not learn
    refused = (
        ({"heads": (1, 2, 3, 8)}, "heads=.*must divide"),
        ({"reductions": (8, 8, 2, 1)}, "reductions=.*stage 2 must divide 4"),
    )


@pytest.fixture(scope="module")
def model() -> SegFormer:
    torch.manual_seed(0)
    built = zoo.create_model("segformer", "tiny", in_channels=4).eval()
    assert isinstance(built, SegFormer)
    with torch.no_grad():
        for p in built.parameters():
            p.add_(0.1 * torch.randn_like(p))  # biases and normalisations that do something
    return built


def stage_names(key: str) -> str:
    """The name in timm's PVT v2, whose encoder is wired alike, of a weight of transformers' SegFormer."""
    for old, new in {
        "patch_embeddings.layer_norm": "downsample.norm",
        "patch_embeddings": "downsample",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.q_proj": "attn.q",
        "attention.o_proj": "attn.proj",
        "sequence_reduction.sequence_reduction": "sr",
        "sequence_reduction.layer_norm": "norm",
        "attention.": "attn.",
        "dwconv.dwconv": "dwconv",
        "layer_norm": "norm",
    }.items():
        key = key.replace(old, new)
    return key.replace("stages.0.downsample", "patch_embed")


def test_the_encoder_is_that_of_timm(model: SegFormer) -> None:
    c = model.config
    oracle = PyramidVisionTransformerV2(
        in_chans=4,
        embed_dims=c.widths,
        depths=c.depths,
        num_heads=c.heads,
        sr_ratios=c.reductions,
        mlp_ratios=(c.expansion,) * 4,
        qkv_bias=True,
        num_classes=0,
    ).eval()
    weights = dict(model.net.segformer.state_dict())
    for key in [key for key in weights if ".k_proj." in key]:
        joined = torch.cat([weights.pop(key), weights.pop(key.replace("k_proj", "v_proj"))])
        weights[key.replace("attention.k_proj", "attn.kv")] = joined
    oracle.load_state_dict({stage_names(key): tensor for key, tensor in weights.items()})
    for module in oracle.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-5  # the library's
    image = torch.randn(2, 4, 64, 96)
    with torch.no_grad():
        x = oracle.patch_embed(image)
        expected = []
        for stage in oracle.stages:
            x = stage(x)
            expected.append(x)
        torch.testing.assert_close(
            model.net.segformer(image, output_hidden_states=True).hidden_states, tuple(expected), rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(model.segment(image)[0], decode_by_hand(model, expected), rtol=1e-4, atol=1e-4)


def decode_by_hand(model: SegFormer, maps: list[Tensor]) -> Tensor:
    """Sec. 3.2, eq. 4: one width, one size, joined from the deepest on, mixed, classified."""
    head = model.net.decode_head
    size = maps[0].shape[2:]
    widened = []
    for x, layer in zip(maps, head.linear_projections, strict=True):
        weight, bias = layer.proj.weight, layer.proj.bias
        x = torch.einsum("oc,bchw->bohw", weight, x) + bias[:, None, None]
        widened.append(F.interpolate(x, size, mode="bilinear", align_corners=False))
    x = F.relu(head.batch_norm(head.linear_fuse(torch.cat(widened[::-1], dim=1))))
    return F.conv2d(x, head.classifier.weight, head.classifier.bias)


def test_convolutions_keep_the_size_of_their_input() -> None:
    """With the library's start a depthwise 3x3 would give about 0.06."""
    torch.manual_seed(0)
    model = zoo.create_model("segformer", "tiny")
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups == m.in_channels]
    assert len(convs) == 8
    for conv in convs:
        spread = conv(torch.randn(1, conv.in_channels, 32, 32)).std().item()
        assert 1.2 < spread < 1.6  # sqrt(2)


def test_the_decoder_weighs_the_four_levels_alike() -> None:
    """With the library's start the finest, of 16 channels, would come out a third as strong as the coarsest."""
    torch.manual_seed(0)
    head = zoo.create_model("segformer", "tiny").net.decode_head
    levels = [m for m in head.modules() if isinstance(m, nn.Linear)]
    assert [level.in_features for level in levels] == [16, 32, 80, 128]
    for level in levels:
        assert level.weight.std().item() == pytest.approx((3 * level.in_features) ** -0.5, rel=0.1)


def test_training_starts_undecided() -> None:
    torch.manual_seed(0)
    logits, _ = zoo.create_model("segformer", "tiny").train().segment(torch.randn(4, 3, 64, 64))
    assert logits.std() < 0.5


def test_stochastic_depth_reaches_the_library() -> None:
    model = zoo.create_model("segformer", "tiny", drop_path=0.7)
    rates = [m.drop_prob for m in model.modules() if type(m).__name__ == "SegformerDropPath"]
    assert rates == pytest.approx([0.1 * i for i in range(1, 8)])  # none in the first block
