import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.scene.windows import Axis, Grid

axes = st.builds(Axis, st.integers(1, 3000), st.integers(64, 700), st.floats(0, 0.5))


@given(axes)
def test_windows_cover_everything_and_stay_inside(axis: Axis) -> None:
    spans = [axis.span(index) for index in range(len(axis.starts))]
    covered = np.zeros(axis.length, int)
    for begin, end in spans:
        assert 0 <= begin < end <= axis.length
        assert end - begin == min(axis.size, axis.length)  # none is cut or stretched
        covered[begin:end] += 1
    assert covered.min() >= 1
    assert spans[-1][1] == axis.length
    assert list(axis.starts) == sorted(set(axis.starts))
    # Neighbours share what was asked for, the last one more.
    steps = np.diff(axis.starts)
    assert (steps[:-1] == axis.size - axis.shared).all() and (steps <= axis.size - axis.shared).all()


@given(axes)
def test_weights_add_up_to_one(axis: Axis) -> None:
    total = np.zeros(axis.length)
    for index in range(len(axis.starts)):
        begin, end = axis.span(index)
        weights = axis.weights(index)
        assert weights.min() > 0
        total[begin:end] += weights
    assert total == pytest.approx(1, abs=1e-6)


@given(axes)
def test_no_later_window_reaches_what_is_final(axis: Axis) -> None:
    assert axis.final[-1] == axis.length
    for index, end in enumerate(axis.final[:-1]):
        assert min(axis.starts[index + 1 :]) >= end
        assert axis.span(index)[1] >= end  # and what is final is covered by now


@given(axes)
def test_what_the_network_is_given(axis: Axis) -> None:
    before, behind = axis.padding
    assert before + min(axis.size, axis.length) + behind == axis.size
    assert axis.size == axis.window or (axis.length < axis.window and axis.size < axis.window)
    assert axis.size >= min(axis.window, 128)


def test_values() -> None:
    axis = Axis(length=300, window=128, overlap=0.25)
    assert axis.starts == (0, 96, 172)
    assert axis.final == (96, 172, 300)
    first = axis.weights(0)
    assert (first[:96] == 1).all()
    assert first[96] > 0.99 and first[-1] < 0.01
    assert first[111] == pytest.approx(0.5, abs=0.03)  # halfway through what is shared
    assert np.diff(first[96:]).max() < 0


def test_without_overlap_they_are_tiles() -> None:
    axis = Axis(length=256, window=128, overlap=0)
    assert axis.starts == (0, 128)
    assert (axis.weights(0) == 1).all() and (axis.weights(1) == 1).all()


def test_a_small_scene_is_mirrored_and_back() -> None:
    grid = Grid.of((40, 150), window=512, overlap=0.25)
    image = np.random.default_rng(0).integers(0, 255, (40, 150, 3), np.uint8)
    padded = grid.padded(image)
    assert padded.shape == (128, 160, 3)
    assert (padded[43] == padded[44]).all() and (padded[84] == padded[83]).all()  # the scene's edges, mirrored
    assert (grid.unpadded(padded[..., 0].astype(np.float32)) == image[..., 0]).all()
    assert len(grid) == 1


def test_a_scene_far_smaller_than_what_it_is_mirrored_to() -> None:
    grid = Grid.of((16, 17), window=512, overlap=0.25)
    image = np.arange(16 * 17 * 3, dtype=np.uint8).reshape(16, 17, 3)
    assert grid.padded(image).shape == (128, 128, 3)
