import numpy as np

from scgcnet import plots


def test_every_image_is_counted_in_both_histograms() -> None:
    left, right = plots.image_histograms([64, 128, 128, 512], [0.0, 0.1, 0.1, 0.5]).axes
    assert sum(bar.get_height() for bar in left.patches) == sum(bar.get_height() for bar in right.patches) == 4
    tall = max(right.patches, key=lambda bar: bar.get_height())
    assert tall.get_height() == 2 and tall.get_x() <= 10 <= tall.get_x() + tall.get_width()  # percent
    (left, _) = plots.image_histograms([256, 256], [0.1, 0.2]).axes  # one size: one bar around it
    np.testing.assert_allclose([(bar.get_x(), bar.get_height()) for bar in left.patches], [(0.9 * 256, 2)])
