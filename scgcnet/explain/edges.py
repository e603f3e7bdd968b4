"""How clearly a feature map shows the boundary of the landslides: one number for what the paper's Fig. 7 shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from scgcnet.train.losses import boundary_mask


def edge_contrast(features: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8], width: int) -> float:
    """How much steeper a map is at the truth's boundary than elsewhere: (a - b) / (a + b).

    The map is brought to the mask's size as logits are, bilinearly; its steepness is the length of its gradient; a is
    the mean steepness of the pixels within `width` of the boundary, b that of all others. Unknown pixels are in
    neither. Scale, offset and sign of the map do not matter, so maps of different networks can be compared: on the
    same images, at equal `width` and equal (h, w), since a coarse map has no steep edges.

    Why not how well the map's values tell landslide from background near the boundary (an area under the ROC curve,
    say): along a straight boundary that is 1 for a sharp map and still 1 for a blurred one, whose values rise just as
    steadily, and it is 1/2 for a map that marks the boundary itself with a line. The paper's claim is of clear edges.

    Args:
        features: (h, w), such as `features.energy` gives, of the same ground as the mask: a network that pads its
            images gives maps of more ground, so take images whose sides its stride divides.
        mask: (H, W), 0 background, 1 landslide, 255 unknown.
        width: Pixels of the mask; a pixel is near the boundary if both classes lie within this many rows and columns
            of it. Below the stride of the map, H / h, even the sharpest edge spreads beyond it.

    Returns:
        1: all of the map's change is at the boundary. 1/3: it is twice as steep there. 0: it is no steeper there than
        elsewhere, or has no change at all. -1: it has none at the boundary.

    Raises:
        ValueError: The width is below 1, the mask has no boundary, or all known pixels are near it.
    """
    if width < 1:
        raise ValueError(f"width={width}: must be 1 pixel or more")
    near = boundary_mask(torch.tensor(mask[None], dtype=torch.int64), width)[0].numpy()
    at, elsewhere = near == 1, near == 0
    if not at.any() or not elsewhere.any():
        what = "there is no boundary in it" if not at.any() else f"all of it is within {width} pixels of a boundary"
        raise ValueError(f"mask of shape {mask.shape}: {what}")
    fine = F.interpolate(torch.tensor(features[None, None], dtype=torch.float64), mask.shape, mode="bilinear")[0, 0]
    steepness = np.hypot(*np.gradient(fine.numpy()))
    a, b = float(steepness[at].mean()), float(steepness[elsewhere].mean())
    return (a - b) / (a + b) if a + b > 0 else 0.0
