import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scgcnet.scene.windows import Axis, Grid

axes = st.builds(Axis, st.integers(1, 3000), st.integers(64, 700), st.floats(0, 0.5))


@given(axes)
def test_windows_cover_everything_and_their_weights_add_up_to_one(axis: Axis) -> None:
    total = np.zeros(axis.length)
    for index in range(len(axis.starts)):
        begin, end = axis.span(index)
        assert end - begin == min(axis.size, axis.length)  # none is cut or stretched
        weights = axis.weights(index)
        assert weights.min() > 0
        total[begin:end] += weights
    assert total == pytest.approx(1, abs=1e-6)
    steps = np.diff(axis.starts)  # neighbours share what was asked for, the last one more
    assert (steps > 0).all() and (steps[:-1] == axis.size - axis.shared).all()
    assert (steps <= axis.size - axis.shared).all()


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
    assert axis.starts == (0, 128) and (axis.weights(0) == 1).all()


@pytest.mark.parametrize(("shape", "padded"), [((40, 150), (128, 160)), ((16, 17), (128, 128))])
def test_a_small_scene_is_mirrored_and_back(shape: tuple[int, int], padded: tuple[int, int]) -> None:
    grid = Grid.of(shape, window=512, overlap=0.25)
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)
    seen = grid.padded(image)
    assert len(grid) == 1 and seen.shape == (*padded, 3)
    top = grid.rows.padding[0]
    assert (seen[top - 1] == seen[top]).all()  # the edge of the scene, mirrored
    assert (grid.unpadded(seen[..., 0].astype(np.float32)) == image[..., 0]).all()
