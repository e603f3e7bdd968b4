import numpy as np
import pytest

from scgcnet.data import DatasetError, open_dataset
from scgcnet.scene.resolution import TRAINED_AT, working_scale


@pytest.mark.parametrize(
    ("metres", "sources", "scale"),
    [
        (0.7, ["bijie"], 0.5),
        (1.4, ["bijie"], 1.0),
        (5.0, ["bijie"], 1.0),  # never enlarged
        (9.0, ["bijie", "landslide4sense"], 0.9),
        (0.2, ["landslide4sense", "bijie", "amunet"], 0.2 / 1.4),
        (0.2, ["amunet"], 1.0),
        (None, ["bijie"], 1.0),
    ],
)
def test_scale(metres: float | None, sources: list[str], scale: float) -> None:
    assert working_scale(metres, sources) == pytest.approx(scale)


@pytest.mark.parametrize("name", TRAINED_AT)
def test_as_the_training_images_have_it(name: str) -> None:
    try:
        part = open_dataset(name, 0, "train")
        samples = [part[index] for index in range(0, len(part), 7)]
    except DatasetError as error:
        pytest.skip(str(error))
    if part.kind == "synthetic":
        pytest.skip("made-up images")
    metres = {"landslide4sense": 10.0}.get(name)
    seen = [(sample.resolution or metres) * np.sqrt(sample.mask.size) / 128 for sample in samples]
    assert np.median(seen) == pytest.approx(TRAINED_AT[name], rel=0.05)
