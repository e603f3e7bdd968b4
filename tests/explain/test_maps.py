"""Feature maps of networks whose maps are known, side by side and as a number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from scgcnet import zoo
from scgcnet.data import EvalTransform, LandslideDataset, Sample, write_fake
from scgcnet.data.sample import MARKER
from scgcnet.explain.edges import edge_contrast
from scgcnet.explain.features import capture, energy
from scgcnet.explain.maps import WIDTH, contrast_frame, images_at_hand, map_rows, spread_samples, validation_part

SIDE = 64


class Given(LandslideDataset):
    """Samples from a list."""

    def __init__(self, *samples: Sample) -> None:
        self.dataset, self.kind, self.samples = "given", "synthetic", samples
        self.names = tuple(sample.name for sample in samples)
        self.sites = ("",) * len(samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


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


def picture(name: str, rows: int, side: int = SIDE) -> Sample:
    """An image that is bright where its first rows are a landslide."""
    mask = np.zeros((side, side), np.uint8)
    mask[:rows] = 1
    return Sample(name, np.repeat(mask[..., None] * np.uint8(255), 3, axis=2), mask)


def test_the_validation_part_is_bijies_where_it_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "study.yml").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SCGCNET_DATA", raising=False)
    assert (images_at_hand(), validation_part("synthetic").dataset) == ("synthetic", "synthetic")
    write_fake("bijie", tmp_path / "data", n=10)
    part = validation_part("real")
    assert (part.dataset, len(part)) == ("bijie", 3)
    assert images_at_hand() == "synthetic"  # in the layout of the real ones, but made up
    write_fake("bijie", tmp_path / "real", n=10)
    next((tmp_path / "real").rglob(MARKER)).unlink()  # they pass for real ones
    monkeypatch.setenv("SCGCNET_DATA", str(tmp_path / "real"))
    assert images_at_hand() == "real"


@pytest.mark.parametrize(
    ("n", "expected"), [(-1, "a"), (0, "a"), (1, "a"), (2, "ae"), (3, "ace"), (5, "abcde"), (9, "abcde")]
)
def test_samples_are_spread_over_the_names(n: int, expected: str) -> None:
    part = Given(*(picture(name, 20) for name in "abcde"))
    assert "".join(sample.name for sample in spread_samples(part, n)) == expected


def test_rows_have_the_image_and_the_map_of_each_network() -> None:
    torch.manual_seed(0)
    networks = {"A8": zoo.create_model("scgcnet", "tiny").eval(), "A2": Shows(0.5).eval()}
    samples = [picture("a", 20), picture("b", 70, side=96)]
    first, second = map_rows(networks, samples, SIDE, "decoder")
    assert [row.image is sample.image for row, sample in zip((first, second), samples, strict=True)] == [True, True]
    assert second.mask is samples[1].mask
    assert list(second.maps) == ["A8", "A2"]
    for row, sample in zip((first, second), samples, strict=True):
        pixels = EvalTransform(SIDE)(sample)[0][None]
        for name, model in networks.items():
            np.testing.assert_array_equal(row.maps[name], energy(capture(model, pixels, ["decoder"])["decoder"]))
    assert second.maps["A2"].shape == (SIDE, SIDE)  # of the network's input, whatever the image's size
    assert map_rows(networks, [], SIDE, "decoder") == []


def test_a_layer_that_a_network_lacks_is_named() -> None:
    part = Given(picture("a", 20))
    with pytest.raises(ValueError, match="no layer 'neck'"):
        map_rows({"A8": Shows(0)}, list(part), SIDE, "neck")
    with pytest.raises(ValueError, match="no layer 'neck'"):  # and is no image without a boundary
        contrast_frame({"A8": Shows(0)}, part, SIDE, "neck")


def test_the_steepness_is_the_mean_over_images() -> None:
    samples = [picture("a", 20), picture("b", 40), picture("c", 30)]
    table = contrast_frame({"sharp": Shows(0), "half": Shows(0.5)}, Given(*samples), SIDE, "decoder").set_index(
        "Network"
    )
    assert table.loc["sharp"].tolist() == ["1.000", "1.000 to 1.000", 3]  # it is the truth itself
    values = [
        edge_contrast(energy(Shows(0.5)(EvalTransform(SIDE)(sample)[0][None])), sample.mask, WIDTH)
        for sample in samples
    ]
    mean, half = np.mean(values), 1.96 * np.std(values, ddof=1) / 3**0.5
    assert 0 < mean < 1 and half > 0
    assert table.loc["half"].tolist() == [f"{mean:.3f}", f"{mean - half:.3f} to {mean + half:.3f}", 3]


def test_images_without_a_boundary_are_left_out() -> None:
    nothing, everything, good = picture("a", 0), picture("b", SIDE), picture("c", 20)
    (row,) = contrast_frame({"A8": Shows(0)}, Given(nothing, good, everything), SIDE, "decoder").to_dict("records")
    assert row == {"Network": "A8", "Steepness": "1.000", "95 % over images": "one image: unknown", "Images": 1}
    (row,) = contrast_frame({"A8": Shows(0)}, Given(nothing, everything), SIDE, "decoder").to_dict("records")
    assert (row["Steepness"], row["95 % over images"], row["Images"]) == ("unknown", "no image has a boundary", 0)


def test_without_networks_the_table_says_so() -> None:
    frame = contrast_frame({}, Given(picture("a", 20)), SIDE, "decoder")
    assert frame.to_dict("records") == [{"Network": "no trained weights are at hand"}]
