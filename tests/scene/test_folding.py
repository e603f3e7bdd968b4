import pytest
import torch
from torch import nn

from scgcnet import zoo
from scgcnet.scene.folding import folded


def worn(network: nn.Module) -> nn.Module:
    """With normalisations as after a training: each channel with a scale and shift of its own."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", ["scgcnet", "fcn", "danet", "swin", "hrnet"])
def test_the_same_logits_with_fewer_layers(name: str) -> None:
    network = worn(zoo.create_model(name, "tiny"))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    image = torch.randn(1, 3, 96, 64)
    short = folded(network)
    with torch.inference_mode():
        expected, found = network(image), short(image)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert norms(short) < norms(network)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_none_is_left_in_the_paper_s_network() -> None:
    assert norms(folded(zoo.create_model("scgcnet", "tiny").eval())) == 0


class Backwards(nn.Sequential):
    """Calls its parts in another order than they stand in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        convolution, norm = self
        return convolution(norm(x))


def test_a_class_that_calls_its_parts_itself_is_left_alone() -> None:
    network = worn(Backwards(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)))
    image = torch.randn(1, 3, 8, 8)
    assert norms(folded(network)) == 1
    torch.testing.assert_close(folded(network)(image), network(image))


def test_a_normalisation_that_follows_no_convolution_stays() -> None:
    assert norms(folded(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)).eval())) == 1
