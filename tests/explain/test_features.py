"""Feature maps: captured as the layers gave them, their strength, and their steepness at true boundaries."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter
from subjects import Given, picture
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.data import EvalTransform
from scgcnet.explain.features import (
    BOUNDARY,
    capture,
    contrast_frame,
    edge_contrast,
    energy,
    layer_shapes,
    outputs_of,
    strengths,
)


class TestCapture:
    def test_outputs_are_from_before_what_works_in_place(self) -> None:
        model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
        image = torch.randn(1, 3, 5, 6)
        maps = capture(model, image, ["0", "1", ""])
        torch.testing.assert_close(maps["0"], model[0](image))
        torch.testing.assert_close(maps["1"], model[0](image).relu())
        torch.testing.assert_close(maps[""], model(image))  # the network itself
        assert not maps[""].requires_grad
        assert not any(m._forward_hooks for m in model.modules())

    def test_layers_without_a_map_are_named(self) -> None:
        model = zoo.create_model("scgcnet", "tiny").eval()
        with pytest.raises(ValueError, match=r"no layer 'neck': .*encoder.*decoder.*head"):
            capture(model, torch.zeros(1, 3, 32, 32), ["neck"])
        with pytest.raises(ValueError, match="'encoder' gave no tensor"):
            capture(model, torch.zeros(1, 3, 32, 32), ["encoder"])
        with torch.no_grad(), outputs_of(model, ["encoder", "head"], strict=False) as outputs:
            model(torch.zeros(1, 3, 32, 32))
        assert list(outputs) == ["head"]
        assert not any(m._forward_hooks for m in model.modules())

    def test_shapes_without_computing(self) -> None:
        model = zoo.create_model("scgcnet", "tiny")
        shapes = layer_shapes(model, (1, 3, 512, 512), ["encoder.stage3", "decoder.units.2"])
        assert shapes == {"encoder.stage3": (1, 96, 32, 32), "decoder.units.2": (1, 32, 128, 128)}


def test_energy_is_the_scaled_root_mean_square() -> None:
    features = torch.zeros(1, 2, 1, 3)
    features[0, :, 0, 1] = torch.tensor([3.0, 4.0])
    features[0, :, 0, 2] = torch.tensor([6.0, 8.0])
    np.testing.assert_allclose(energy(features), [[0, 0.5, 1]], rtol=1e-6)
    assert not energy(torch.ones(1, 2, 3, 3)).any()


def disc(side: int = 96, radius: float = 20) -> npt.NDArray[np.uint8]:
    y, x = np.mgrid[:side, :side] - side // 2
    return (np.hypot(x, y) < radius).astype(np.uint8)


MASK = disc()
SHARP = MASK.astype(np.float32)
NOISE = np.random.default_rng(0).random(MASK.shape, dtype=np.float32)


class TestEdgeContrast:
    def test_extremes(self) -> None:
        far = np.zeros(MASK.shape, np.float32)
        far[:10] = 1
        line = gaussian_filter(disc(radius=21).astype(np.float32) - disc(radius=19), 1)
        assert edge_contrast(SHARP, MASK, 1) == edge_contrast(1 - SHARP, MASK, 1) == 1
        assert edge_contrast(np.full((24, 24), 0.3, np.float32), MASK, 2) == 0
        assert edge_contrast(far, MASK, 2) == -1
        assert edge_contrast(line, MASK, 5) > 0.95  # a line along the boundary is clear too

    def test_by_hand(self) -> None:
        half = np.zeros((8, 8), np.uint8)
        half[:, 4:] = 1
        double = np.array([0, 1, 2, 4, 6, 8, 9, 10], np.float32)[None, :].repeat(8, axis=0)
        # Central differences of each row: 1 1 1.5 2 2 1.5 1 1; near are columns 3 and 4.
        assert edge_contrast(double, half, 1) == pytest.approx((2 - 7 / 6) / (2 + 7 / 6))

    def test_blur_shift_and_noise_lower_it(self) -> None:
        values = [edge_contrast(gaussian_filter(SHARP, sigma) if sigma else SHARP, MASK, 3) for sigma in (0, 2, 4, 8)]
        assert values == sorted(values, reverse=True) and values[-1] < 0.8
        shifted = [edge_contrast(np.roll(SHARP, by, axis=1), MASK, 3) for by in (0, 6, 12)]
        assert 1 == shifted[0] > shifted[1] > shifted[2] + 0.1
        assert edge_contrast(SHARP + NOISE, MASK, 3) < 0.3
        assert edge_contrast(NOISE, MASK, 3) == pytest.approx(0, abs=0.05)

    def test_scale_offset_sign_and_unknown_pixels_do_not_matter(self) -> None:
        expected = edge_contrast(SHARP + NOISE, MASK, 2)
        for other in (3 * (SHARP + NOISE) + 7, -SHARP - NOISE):
            assert edge_contrast(other.astype(np.float32), MASK, 2) == pytest.approx(expected, rel=1e-4)
        mask, features = MASK.copy(), SHARP.copy()
        features[:, :10] = NOISE[:, :10]
        mask[:, :12] = 255
        assert edge_contrast(features, MASK, 2) < 0.9 < edge_contrast(features, mask, 2) == 1

    def test_masks_without_an_answer(self) -> None:
        no_background = np.where(disc(8, 3) == 1, 1, 255).astype(np.uint8)
        for mask, width in ((np.zeros((8, 8), np.uint8), 2), (no_background, 2), (disc(8, 3), 8)):
            assert np.isnan(edge_contrast(np.ones((4, 4), np.float32), mask, width))


class Shows(nn.Module):
    """A network whose decoder passes the first band on, mixed with a slope by `weight`."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.decoder = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        first = x[:, :1] - x[:, :1].min()
        slope = torch.linspace(0, 1, x.shape[-1]).expand_as(first)
        out: Tensor = self.decoder((1 - self.weight) * first + self.weight * slope)
        return out


class TestContrastFrame:
    def test_mean_over_images_with_a_boundary(self) -> None:
        nothing, everything = picture("x", (0, 0), (0, 0), 64), picture("y", (0, 64), (0, 64), 64)
        samples = [picture(name, (0, n), (0, n), 64) for name, n in (("a", 20), ("b", 40), ("c", 30))]
        networks = {"sharp": Shows(0), "half": Shows(0.5)}
        part = Given(nothing, *samples, everything)
        table = contrast_frame(networks, part, 64, "decoder").set_index("Network")
        assert table.loc["sharp"].tolist() == ["1.000", "1.000 to 1.000", 3]  # it is the truth itself
        values = [
            edge_contrast(energy(Shows(0.5)(EvalTransform(64)(sample)[0][None])), sample.mask, BOUNDARY)
            for sample in samples
        ]
        mean, half = np.mean(values), 1.96 * np.std(values, ddof=1) / 3**0.5
        assert table.loc["half"].tolist() == [f"{mean:.3f}", f"{mean - half:.3f} to {mean + half:.3f}", 3]
        one, none = (
            contrast_frame({"A8": Shows(0)}, Given(*few), 64, "decoder").iloc[0].tolist()
            for few in ((nothing, samples[0]), (nothing, everything))
        )
        assert one == ["A8", "1.000", "one image: unknown", 1]
        assert none == ["A8", "unknown", "no image has a boundary", 0]
        assert contrast_frame({}, part, 64, "decoder").columns.tolist() == ["Network"]

    def test_strengths_are_of_the_networks_input_and_a_missing_layer_is_named(self) -> None:
        sample = picture("b", (0, 70), (0, 70), side=96)
        pixels = EvalTransform(64)(sample)[0][None]
        found = strengths({"A2": Shows(0.5), "A8": Shows(0)}, sample, 64, "decoder")
        assert list(found) == ["A2", "A8"]
        np.testing.assert_array_equal(found["A2"], energy(Shows(0.5)(pixels)))
        with pytest.raises(ValueError, match="no layer 'neck'"):  # and is no image without a boundary
            contrast_frame({"A8": Shows(0)}, Given(sample), 64, "neck")
