from __future__ import annotations

import math
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from networks import PeerTests
from timm.models.pvt_v2 import PyramidVisionTransformerV2
from torch import Tensor, nn
from transformers.models.segformer.modeling_segformer import SegformerAttention

from scgcnet import efficiency, zoo
from scgcnet.peers.segformer import SegFormer


class TestSegFormer(PeerTests):
    name = "segformer"
    options: ClassVar[dict[str, Any]] = {"drop_path": 0.0}  # a block that both images skip would not learn


# Xie et al. 2021, Table 1: 24.2 M and 3.3 M, 3.4 M and 0.4 M for encoder and decoder, 150 classes; the second row to
# the digits that Hugging Face shows for the checkpoint of that size.
@pytest.mark.parametrize(("size", "params", "gmac"), [("paper", 27.5, 62.4), ("b0", 3.75, 8.4)])
def test_counts_as_the_reference(size: str, params: float, gmac: float) -> None:
    with torch.device("meta"):
        model = zoo.create_model("segformer", size, num_classes=150)
    cost = efficiency.count_cost(model, (1, 3, 512, 512))
    assert cost.params / 1e6 == pytest.approx(params, rel=0.005)
    assert cost.gmac == pytest.approx(gmac, rel=0.005)
    assert efficiency.count_params(model, auxiliary=False) == cost.params


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


def test_attention_looks_at_a_coarser_copy() -> None:
    """Sec. 3.1, eqs. 1 and 2, query by query."""
    torch.manual_seed(0)
    net = zoo.create_model("segformer", "tiny", widths=(8, 32, 80, 128), heads=(2, 2, 5, 8), reductions=(4, 4, 2, 1))
    attention = next(m for m in net.modules() if isinstance(m, SegformerAttention)).eval()
    height, width, heads, side = 8, 12, 2, 4
    tokens = torch.randn(1, height * width, 8)
    with torch.no_grad():
        conv, norm = attention.sequence_reduction.sequence_reduction, attention.sequence_reduction.layer_norm
        picture = tokens[0].reshape(height, width, 8)
        coarse = []
        for i in range(0, height, side):
            for j in range(0, width, side):
                patch = picture[i : i + side, j : j + side]  # (4, 4, 8)
                coarse.append(torch.einsum("ockl,klc->o", conv.weight, patch) + conv.bias)
        copy = norm(torch.stack(coarse))  # (6, 8)
        queries, keys, values = attention.q_proj(tokens[0]), attention.k_proj(copy), attention.v_proj(copy)
        rows = []
        for query in queries:
            parts = []
            for head in range(heads):
                part = slice(4 * head, 4 * head + 4)
                scores = torch.stack([query[part] @ key[part] for key in keys]) / math.sqrt(4)
                parts.append(scores.softmax(0) @ values[:, part])
            rows.append(torch.cat(parts))
        expected = attention.o_proj(torch.stack(rows))
        torch.testing.assert_close(attention(tokens, height, width)[0][0], expected)


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (16, 32, 80)}, "widths=.*four stages"),
        ({"heads": (1, 2, 3, 8)}, "heads=.*must divide"),
        ({"reductions": (8, 8, 2, 1)}, "reductions=.*stage 2 must divide 4"),
        ({"drop_path": -0.1}, r"drop_path=-0.1.*\[0, 1\)"),
        ({"depths": (2, 2, 2, 1000)}, "depths="),
        ({"pretrained": True}, "unknown option 'pretrained'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        zoo.create_model("segformer", "tiny", **options)
