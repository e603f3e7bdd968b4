"""Attributions of networks whose answer is known by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from subjects import Bright, picture
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.data import Sample
from scgcnet.explain.attribution import (
    METHODS,
    EmptyRegionError,
    all_maps,
    ask,
    attribute,
    baseline_table,
    black,
    completeness_table,
    grad_cam,
    integrated_gradients,
    map_layers,
    margin,
    methods_of,
    occlusion,
    region_of,
)

SIDE = 16


class Pixelwise(nn.Module):
    """Landslide's logit is the weighted sum of a pixel's bands, background's its negative third."""

    def __init__(self, *weights: float) -> None:
        super().__init__()
        self.mix = nn.Conv2d(len(weights), 1, 1, bias=False)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor(weights).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x)
        return torch.cat([-mixed / 3, mixed], dim=1)


class Looks(nn.Module):
    """Says landslide everywhere as strongly as one place of the image is bright."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        seen = x[:, :, self.rows, self.columns].mean(dim=(1, 2, 3)) * self.scale
        logit = seen.view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


def square(top: int, left: int, side: int = 4) -> np.ndarray:
    region = np.zeros((SIDE, SIDE), bool)
    region[top : top + side, left : left + side] = True
    return region


def image(bands: int = 3) -> Tensor:
    return torch.randn((1, bands, SIDE, SIDE), generator=torch.Generator().manual_seed(3))


class TestMargin:
    def test_is_the_mean_difference_of_logits(self) -> None:
        x, region = torch.cat([image(2), 2 * image(2)]), square(2, 5)
        network = Pixelwise(1.0, -2.0)
        logits = network(x)
        expected = [(logits[n, 1] - logits[n, 0])[torch.from_numpy(region)].mean() for n in range(2)]
        torch.testing.assert_close(margin(network, region)(x), torch.stack(expected))


class TestIntegratedGradients:
    def test_of_a_linear_network_is_weight_times_difference(self) -> None:
        x, region = image(), square(3, 8)
        found = integrated_gradients(Pixelwise(1.0, -2.0, 0.5), x, region, steps=3)
        weights = torch.tensor([1.0, -2.0, 0.5]).view(3, 1, 1) * 4 / 3  # of the difference of both logits
        expected = (weights * (x - black(x))[0]).sum(dim=0) / 16  # the region's mean
        expected[~torch.from_numpy(region)] = 0
        np.testing.assert_allclose(found.values, expected.numpy(), atol=1e-6)
        assert found.gap == pytest.approx(0, abs=1e-5)

    def test_starts_from_black(self) -> None:
        found = integrated_gradients(Pixelwise(1.0, 0.0, 0.0), image(), square(3, 8), steps=2)
        assert found.start == pytest.approx(-0.485 / 0.229 * 4 / 3, rel=1e-5)
        assert black(torch.zeros(2, 4, 5, 6))[1, :, 4, 5].tolist() == pytest.approx(
            [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225, -2.0], rel=1e-5
        )

    def test_nothing_changes_in_the_network(self) -> None:
        torch.manual_seed(0)
        model = zoo.create_model("scgcnet", "tiny").train()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        integrated_gradients(model, torch.randn(1, 3, 32, 32), np.ones((32, 32), bool), steps=2)
        assert model.training and model.head.training
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert all(p.grad is None for p in model.parameters())


class TestGradCam:
    def test_weights_channels_by_their_mean_gradient(self) -> None:
        class Two(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.Conv2d(2, 2, 1, bias=False)
                self.neck = nn.AvgPool2d(2)
                with torch.no_grad():
                    self.body.weight.copy_(torch.eye(2).view(2, 2, 1, 1))

            def forward(self, x: Tensor) -> Tensor:
                small = self.neck(self.body(x))
                logit = small[:, :1] - 3 * small[:, 1:]
                up = nn.functional.interpolate(logit, scale_factor=2)  # nearest
                return torch.cat([torch.zeros_like(up), up], dim=1)

        x, region = image(2), square(4, 4)  # 4 of the 64 places of the neck
        found = grad_cam(Two(), x, region, "neck")
        small = nn.functional.avg_pool2d(x, 2)
        expected = (small[:, :1] - 3 * small[:, 1:]) / 64  # each gradient is 1/4 at 4 places, so 1/64 in the mean
        wide = nn.functional.interpolate(expected, (SIDE, SIDE), mode="bilinear")[0, 0]
        np.testing.assert_allclose(found.values, wide.numpy(), atol=1e-6)
        assert found.values.min() < 0 and found.start is None and found.gap is None

    def test_an_unknown_layer_is_answered_with_those_there_are(self) -> None:
        torch.manual_seed(0)
        model = zoo.create_model("scgcnet", "tiny")
        x, region = torch.randn(1, 3, 64, 64), np.ones((64, 64), bool)
        with pytest.raises(
            ValueError,
            match=r"no layer 'cam\.4' \(did you mean 'cam\.\d'\?\).*encoder\.stage4.*cam\.3.*decoder\.units\.0",
        ):
            grad_cam(model, x, region, "cam.4")
        with pytest.raises(ValueError, match=r"layer 'decoder\.units' was not reached, or gave no tensor"):
            grad_cam(model, x, region, "decoder.units")
        rows_last = "encoder.stage3.1.context.norm"  # (B, H, W, C)
        with pytest.raises(ValueError, match=r"gives \(1, 4, 4, \d+\), which is no map"):
            grad_cam(model, x, region, rows_last)

    def test_layers_are_the_parts_of_the_network(self) -> None:
        names = map_layers(zoo.create_model("scgcnet", "tiny"), torch.randn(1, 3, 64, 64))
        assert {"encoder.stem", "encoder.stage4", "cam.3", "decoder.units.0", "head"} <= set(names)
        assert not {"", "encoder", "decoder.units", "cam.0", "encoder.stage1.0"} & set(names)  # no map, or deeper


class TestOcclusion:
    def test_finds_the_one_place_that_matters(self) -> None:
        x = torch.ones(1, 3, SIDE, SIDE)
        found = occlusion(Looks(slice(4, 8), slice(8, 12)), x, square(0, 0), patch=4)
        whole = 1 - float(black(x).mean())  # what the margin falls by where all of the place is hidden
        place = np.zeros((SIDE, SIDE), bool)
        place[4:8, 8:12] = True
        np.testing.assert_array_equal(found.values > 0.99 * found.values.max(), place)
        beyond = found.values.copy()
        beyond[2:10, 6:14] = 0  # squares that touch the place reach this far
        assert not beyond.any()
        covering = [1, 0.5, 0.5, 0.25]  # four squares cover each pixel; so much of the place does each hide
        assert found.values[5, 9] == pytest.approx(whole * np.mean(covering), rel=1e-5)
        assert found.margin == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scgcnet", "unet", "swin", "segformer"])
def test_any_network_of_the_zoo(name: str) -> None:
    torch.manual_seed(0)
    model = zoo.create_model(name, "tiny").eval()
    x, region = torch.randn(1, 3, 48, 64), np.zeros((48, 64), bool)
    region[10:20, 30:40] = True
    layers = map_layers(model, x)
    assert layers
    for method in METHODS:
        found = attribute(method, model, x, region, layers[0])
        assert found.values.shape == (48, 64) and found.values.dtype == np.float32
        assert np.isfinite(found.values).all() and np.ptp(found.values) > 0
        with torch.no_grad():
            assert found.margin == pytest.approx(float(margin(model, region)(x)), abs=1e-4)


def test_an_unknown_method_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no method 'lime': there are integrated gradients, grad-cam, occlusion"):
        attribute("lime", Pixelwise(1, 1, 1), image(), square(0, 0))  # type: ignore[arg-type]


class TestRegion:
    @pytest.fixture
    def sample(self) -> Sample:
        mask = np.zeros((32, 64), np.uint8)
        mask[8:16, 16:32] = 1
        mask[:, 60:] = 255
        return Sample("ls_1", np.zeros((32, 64, 3), np.uint8), mask)

    @pytest.fixture
    def probability(self) -> np.ndarray:
        probability = np.zeros((32, 64), np.float32)
        probability[8:24, 24:64] = 0.6
        return probability

    @pytest.mark.parametrize(
        ("which", "rows", "columns"),
        [
            ("truth", (4, 8), (4, 8)),  # both sides are resized to 16
            ("misses", (4, 8), (4, 6)),
            ((16, 8, 32, 16), (4, 8), (4, 8)),
            ((-5, 16, 32, 99), (8, 16), (0, 8)),
        ],
    )
    def test_is_drawn_on_the_input(self, sample, probability, which, rows, columns) -> None:
        expected = np.zeros((SIDE, SIDE), bool)
        expected[slice(*rows), slice(*columns)] = True
        np.testing.assert_array_equal(region_of(sample, which, SIDE, probability), expected)

    def test_false_alarms_are_where_the_truth_is_known_and_the_threshold_counts(self, sample, probability) -> None:
        found = region_of(sample, "false alarms", SIDE, probability)
        expected = np.zeros((SIDE, SIDE), bool)
        expected[4:12, 6:15] = True
        expected[4:8, 6:8] = False
        np.testing.assert_array_equal(found, expected)
        everything = region_of(sample, "misses", SIDE, probability, threshold=0.7)
        np.testing.assert_array_equal(everything, region_of(sample, "truth", SIDE, probability))

    def test_without_a_pixel_it_says_so(self, sample, probability) -> None:
        with pytest.raises(EmptyRegionError, match="ls_1: the region 'false alarms' has no pixel; choose another"):
            region_of(sample, "false alarms", SIDE, probability, threshold=0.9)
        with pytest.raises(EmptyRegionError, match=r"\(3, 3, 4, 4\) vanishes at 4 pixels"):
            region_of(sample, (3, 3, 4, 4), 4, probability)
        with pytest.raises(ValueError, match="no region 'hits': there are truth, misses, false alarms, and boxes"):
            region_of(sample, "hits", SIDE, probability)


WHITE, BLACK = (1 - 0.485) / 0.229, -0.485 / 0.229  # of red, normalised


def case(name: str, true: tuple[int, int], bright: tuple[int, int]) -> tuple[Sample, np.ndarray, float]:
    """A picture with the probability of `Bright`."""
    sample = picture(name, true, bright)
    return sample, (sample.image[..., 0] > 0).astype(np.float32), 0.5


class TestQuestions:
    def test_one_for_every_image_that_has_the_region(self) -> None:
        cases = [case("missed", (0, 8), (16, 24)), case("found", (0, 8), (0, 8))]
        (one,) = ask(cases, 32, 0.5, "misses")
        assert one.sample is cases[0][0] and one.pixels.shape == (1, 3, 32, 32)
        assert one.region[:8].all() and not one.region[8:].any()
        assert [len(ask(cases, 32, 0.5)), len(ask(cases, 32, 0.5, box=[0, 0, 4, 4]))] == [2, 2]
        with pytest.raises(EmptyRegionError, match="found: the region 'false alarms' has no pixel"):
            ask(cases[1:], 32, 0.5, "false alarms")
        with pytest.raises(ValueError, match=r"box \[1, 2\]: needs left, top, right, bottom"):
            ask(cases, 32, 0.5, box=[1, 2])

    def test_margins_of_images_that_show_nothing(self) -> None:
        (row,) = baseline_table(Bright(), ask([case("a", (0, 8), (0, 16))], 32, 0.5)).to_dict("records")
        mean = WHITE + BLACK  # twice the mean of half white, half black
        assert list(row.values()) == ["a", f"{2 * WHITE:.2f}", f"{2 * BLACK:.2f}", "0.00", f"{mean:.2f}"]

    def test_completeness(self) -> None:
        class Step(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                logit = torch.sigmoid(3000 * (x[:, :1] - 0.1234))
                return torch.cat([torch.zeros_like(logit), logit], dim=1)

        questions = ask([case("a", (0, 8), (0, 16))], 32, 0.5)
        linear, steep = (completeness_table(model, questions).iloc[0] for model in (Bright(), Step()))
        assert linear["Difference"] == linear["Sum of the values"] == f"{2 * (WHITE - BLACK):.3f}"
        assert (linear["Gap (%)"], linear["Within 5 %"]) == ("0.00", "yes")
        assert (steep["Difference"], steep["Within 5 %"]) == ("1.000", "NO") and float(steep["Gap (%)"]) > 5

    def test_methods_are_those_that_a_network_has(self) -> None:
        own = zoo.create_model("scgcnet", "tiny").eval()
        (one,) = ask([case("a", (0, 8), (0, 16))], 64, 0.5)
        maps = all_maps(own, one)
        assert list(maps) == list(methods_of(own)) and len(maps) == 8
        np.testing.assert_array_equal(maps["Grad-CAM at CAM"], grad_cam(own, one.pixels, one.region, "cam.3").values)
        assert "Grad-CAM at CAM" not in methods_of(zoo.create_model("scgcnet", "tiny", cam=False))
        assert list(methods_of(zoo.create_model("unet", "tiny"))) == ["Integrated Gradients", "Occlusion"]
