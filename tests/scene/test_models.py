"""What weights files say: threshold, window, temperature, resolutions, colours; and the scale that follows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from scgcnet import zoo
from scgcnet.data import DatasetError, open_dataset
from scgcnet.scene import SceneError
from scgcnet.scene.models import TRAINED_AT, Models, choose_scales, map_image
from scgcnet.scene.predict import predict_image
from scgcnet.zoo import WeightsError

GREY = np.full((4, 4, 3), 100, np.uint8)
ALL = np.ones((4, 4), bool)


@pytest.fixture
def saved(tmp_path: Path):
    """Writes weights of a tiny network with metadata; returns the file's name."""

    def save(name: str = "a", in_channels: int = 3, num_classes: int = 2, **metadata: str) -> str:
        torch.manual_seed(0)
        path = tmp_path / f"{name}.safetensors"
        zoo.save_model(zoo.create_model("scgcnet", "tiny", in_channels, num_classes), path, metadata)
        return str(path)

    return save


def test_files_without_the_keys_are_mapped_as_before() -> None:
    models = Models(["tiny-bijie"])
    assert (models.window, models.trained_side, models.threshold, models.channels) == (1024, 128, 0.55, 3)
    assert models.spans == [(1.4, 1.4)] and models.sources == ["bijie"]
    assert Models([]).files == [zoo.pretrained_file()]


def test_several(saved) -> None:
    one, two = (
        saved("a", threshold="0.3", window="256", sources="bijie, cld"),
        saved("b", threshold="0.5", window="384"),
    )
    models = Models([one, two])
    assert (models.window, models.trained_side, models.threshold) == (384, 384, pytest.approx(0.4))
    assert models.sources == ["bijie", "cld"]
    assert models.sha256 not in (Models([one]).sha256, Models([two]).sha256)
    assert models.peak is None  # not all of them say
    assert models.describe(0.4, None)["file"] == "a.safetensors, b.safetensors"


def test_temperature(saved) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    (plain,) = Models([saved("a")]).engines
    (soft,) = Models([saved("b", temperature="2.5")]).engines
    logits = [np.log(p / (1 - p)) for p in (plain(image), soft(image))]
    assert np.abs(logits[0]).max() > 0.01
    assert logits[0] == pytest.approx(2.5 * logits[1], abs=1e-4)


def test_refused(saved) -> None:
    with pytest.raises(SceneError, match=r"takes 3 bands, .*b\.safetensors does not"):
        Models([saved("a"), saved("b", in_channels=4)])
    with pytest.raises(WeightsError, match="two classes"):
        Models([saved("a", num_classes=3)])
    with pytest.raises(SceneError, match=r"b\.safetensors has no threshold of its own"):
        _ = Models([saved("a", threshold="0.5"), saved("b")]).threshold
    for key, text in {"window": "wide", "temperature": "0", "resolutions": "1,-2", "colour": "{}"}.items():
        models = Models([saved("a", **{key: text})])
        with pytest.raises(WeightsError, match=rf"a\.safetensors: its {key} cannot be read"):
            _ = models.window, models.engines, models.spans, models.resemblance(1.0, GREY, ALL)
    with pytest.raises(WeightsError, match="2 resolutions and 1 zooms"):
        _ = Models([saved("a", resolutions="1,2", zooms="1-2")]).spans


def test_resolutions_and_zooms(saved) -> None:
    models = Models([saved("a", resolutions="0.8, 10", zooms="0.5-1.6,1-4", sources="bijie")])
    assert models.spans == [pytest.approx((0.5, 1.6)), pytest.approx((2.5, 10))]
    assert Models([saved("b", resolutions="0.8,10")]).spans == [(0.8, 0.8), (10, 10)]


class TestResemblance:
    def test_resolution(self) -> None:
        models = Models(["tiny-bijie"])
        assert models.resemblance(None, GREY, ALL) is None
        assert (
            models.resemblance(1.4, GREY, ALL) == "seen at 1.4 m per pixel, within 1.4 to 1.4 m of the training images"
        )
        assert "seen at 30 m per pixel, OUTSIDE 1.4 to 1.4 m" in models.resemblance(30, GREY, ALL)

    @pytest.mark.parametrize(("red", "place"), [("[90, 110]", "within"), ("[101, 110]", "OUTSIDE")])
    def test_colours(self, saved, red: str, place: str) -> None:
        models = Models([saved("a", colour=f"[{red}, [0, 200], [0, 200]]")])
        picture = np.where(np.arange(4)[:, None, None] % 2, 98, 102).astype(np.uint8) * np.ones((4, 4, 3), np.uint8)
        picture[0] = 255  # no data
        valid = ALL.copy()
        valid[0] = False
        told = models.resemblance(None, picture, valid)
        assert "are 99 ±2, 99 ±2, 99 ±2, " in told and f"{place} the means in training, " in told


@pytest.mark.parametrize(
    ("metres", "spans", "scale"),
    [
        (0.7, [(1.4, 1.4)], 0.5),
        (1.4, [(1.4, 1.4)], 1.0),
        (5.0, [(1.4, 1.4)], 1.0),  # never enlarged
        (9.0, [(1.4, 1.4), (10, 10)], 0.9),
        (0.2, [(10, 10), (1.4, 1.4)], 0.2 / 1.4),
        (0.2, [], 1.0),
        (None, [(1.4, 1.4)], 1.0),
        (1.39, [(1.4, 1.4)], 1.0),  # as good as the same
        (0.7, [(0.5, 2)], 1.0),  # within what was seen
        (0.1, [(0.5, 2), (5, 10)], 0.2),
    ],
)
def test_scale(metres: float | None, spans: list[tuple[float, float]], scale: float) -> None:
    assert choose_scales(metres, spans) == pytest.approx((scale,))


def test_an_image_in_memory_is_mapped_with_scales_window_and_temperature() -> None:
    network = zoo.load_pretrained("tiny-bijie")
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    raw = predict_image(network, image, 128, 0.25)
    odds = (raw / (1 - raw)) ** 2
    tempered = map_image(network, image, None, {"window": "128", "temperature": "0.5"})
    np.testing.assert_allclose(tempered, odds / (1 + odds), atol=1e-4)
    both = map_image(network, image, 1.6, {"window": "128", "seen_at": "1.6"})
    np.testing.assert_allclose(both, predict_image(network, image, 128, 0.25, (2, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("metres", "scales"),
    [
        (None, (1, 0.5, 0.25)),
        (0.1, (0.125, 0.0625, 0.03125)),
        (0.8, (1, 0.5, 0.25)),
        (0.79, (1, 0.49375, 0.246875)),  # as good as the same
        (1.6, (2, 1, 0.5)),
        (2.0, (2, 1.25, 0.625)),  # never enlarged more than twice
        (3.0, (1.875, 0.9375)),
        (30.0, (2, 1)),
    ],
)
def test_scales_of_weights_trained_on_windows(metres: float | None, scales: tuple[float, ...]) -> None:
    assert choose_scales(metres, [(0.5, 10)], seen_at=1.6) == pytest.approx(scales)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED_AT)
def test_as_the_training_images_have_it(name: str) -> None:
    try:
        part = open_dataset(name, 0, "train")
        samples = [part[index] for index in range(0, len(part), 7)]
    except DatasetError as error:
        pytest.skip(str(error))
    if part.kind == "synthetic":
        pytest.skip("synthetic images")
    metres = {"landslide4sense": 10.0}.get(name)
    seen = [(sample.resolution or metres) * np.sqrt(sample.mask.size) / 128 for sample in samples]
    assert np.median(seen) == pytest.approx(TRAINED_AT[name], rel=0.05)
