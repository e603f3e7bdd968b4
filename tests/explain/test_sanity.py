"""The randomisation check: it fails what ignores the weights, and passes what follows them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.data import Sample
from scgcnet.explain.attribution import ask, integrated_gradients
from scgcnet.explain.sanity import (
    EDGES,
    LIMIT,
    cascade,
    cascade_table,
    edge_map,
    judge,
    parts_from_output,
    random_table,
    randomised,
    rank_correlation,
)

SIDE = 24


class Backwards(nn.Module):
    """Registers its parts in another order than it uses them, and has a parameter outside of all parts."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Conv2d(8, 2, 1)
        self.body = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)])
        self.act = nn.ReLU()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.mix = nn.Parameter(torch.randn(8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) * self.mix.view(1, -1, 1, 1)
        for layer in self.body:
            x = self.act(layer(x))
        out: Tensor = self.head(x)
        return out


def image() -> Tensor:
    return torch.randn((1, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(1))


def gradients(model: nn.Module) -> np.ndarray:
    return integrated_gradients(model, image(), np.ones((SIDE, SIDE), bool), steps=4).values


def test_a_part_that_is_used_twice_counts_where_it_ends() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.first(self.second(self.first(x)))
            return out

    assert parts_from_output(Twice(), image()) == ["first", "second"]


def test_random_parts_keep_their_numbers_in_another_order() -> None:
    model = Backwards()
    before = {name: p.clone() for name, p in model.named_parameters()}
    other = dict(randomised(model, ["body"]).named_parameters())
    for name, old in before.items():
        assert torch.equal(old, dict(model.named_parameters())[name])  # the original is left as it is
        assert torch.equal(old, other[name]) == (not name.startswith("body")), name
        assert torch.equal(old.flatten().sort().values, other[name].flatten().sort().values)
    whole = dict(randomised(model, [""]).named_parameters())
    assert not any(torch.equal(old, whole[name]) for name, old in before.items())
    assert torch.equal(whole["mix"], dict(randomised(model, [""], seed=0).named_parameters())["mix"])
    assert not torch.equal(whole["mix"], dict(randomised(model, [""], seed=1).named_parameters())["mix"])


def test_an_edge_detector_fails() -> None:
    steps = cascade(lambda _: edge_map(image()), Backwards(), image())
    assert [step.part for step in steps] == ["head", "body", "stem"]
    assert [(step.signed, step.magnitude) for step in steps] == [pytest.approx((1.0, 1.0))] * 3
    assert "FAILS" in judge([steps[-1].signed], [steps[-1].magnitude])


def test_a_method_that_follows_the_weights_passes() -> None:
    last = [cascade(gradients, Backwards(), image(), seed)[-1].signed for seed in range(5)]
    assert abs(np.mean(last)) < 0.3
    assert judge(last, [0.1] * 5).startswith("passes")


def test_the_last_step_has_everything_random() -> None:
    """A method that sees nothing but a parameter outside of all parts changes at the last step alone."""
    model = Backwards()

    def mix(network: nn.Module) -> np.ndarray:
        return network.mix.detach().numpy()  # type: ignore[union-attr, operator]

    signed = [step.signed for step in cascade(mix, model, image())]
    assert signed[:2] == pytest.approx([1, 1]) and signed[2] < 0.99


def test_rank_correlation() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert rank_correlation(values, values**3) == pytest.approx(1)  # ranks alone count
    assert rank_correlation(values, -values) == pytest.approx(-1)
    assert rank_correlation(values, np.zeros_like(values)) == 0.0  # says nothing, so it keeps nothing
    swapped = values.copy()
    swapped[0, 0], swapped[0, 1] = 1, 0
    assert rank_correlation(values, swapped) == pytest.approx(1 - 6 * 2 / (12 * 143))


@pytest.mark.parametrize(
    ("signed", "magnitude", "verdict"),
    [
        ([0.49, 0.49], [0.49], "passes"),
        ([0.0, -0.1], [0.5, 0.5], "passes by its signs; where it is strong stays much the same"),
        ([0.5, 0.5], [0.0], "FAILS: it stays much the same"),
        ([-0.5, -0.5], [0.0], "FAILS: it stays much the same"),
        ([-0.74, 0.83], [0.0, 0.0], "FAILS: it stays much the same but for its sign"),  # their mean is near 0
        ([-0.1, 0.2, 0.7], [0.0], "passes, though 1 of 3 stay much the same"),
    ],
)
def test_verdicts(signed: list[float], magnitude: list[float], verdict: str) -> None:
    assert judge(signed, magnitude) == verdict


def test_the_limit_is_what_chance_reaches_once_in_twenty_times_in_16_places() -> None:
    made = np.random.default_rng(0)
    drawn = [rank_correlation(*made.normal(size=(2, 4, 4))) for _ in range(4000)]
    assert 0.03 < np.mean(np.abs(drawn) >= LIMIT) < 0.07


@pytest.mark.slow
def test_the_check_fails_the_edges_and_not_the_maps() -> None:
    torch.manual_seed(0)
    own = zoo.create_model("scgcnet", "tiny").eval()
    mask = np.zeros((32, 32), np.uint8)
    mask[4:12, 8:20] = 1
    sample = Sample("a", np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8), mask)
    questions = ask([(sample, np.zeros((32, 32), np.float32), 0.0)], 64, 0.5)
    table = random_table(own, questions, draws=2).set_index("Map")
    all_same = ["1.00 (1.00 to 1.00)", "1.00"]
    assert table.loc[EDGES].tolist() == [*all_same, *all_same, "FAILS: it stays much the same"]
    assert abs(float(table.loc["Integrated Gradients", "Rank correlation"].split()[0])) < 0.3
    with pytest.raises(ValueError, match="draws=0: the check takes one"):
        random_table(own, questions, draws=0)
    steps = cascade_table(own, questions, "integrated gradients", "")
    assert "(" not in steps["Rank correlation"].iloc[0]  # of one image there is no range
    assert steps["Random so far"].tolist()[:1] == ["head"]
    assert steps["Random so far"].tolist()[-1] == "head, decoder, cam, laterals, encoder"
    assert abs(float(steps["Rank correlation"].iloc[-1].split()[0])) < 0.3
