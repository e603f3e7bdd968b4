"""At what ground resolution a network is to see a scene.

Every network of this study was trained on images that were resized to one side, 128 px for the published weights. How
many metres a pixel of those images was is what a scene should be brought to; a scene at another resolution shows the
network landslides of sizes that it never saw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

#: Metres per pixel of the network's input in training: median over the images of the source, once resized to 128 px.
#: Of AMU-Net the resolution is not known. tests/scene/test_resolution.py computes them where the images are.
TRAINED_AT = {"bijie": 1.4, "landslide4sense": 10.0, "cld": 12.0}


def working_scale(metres: float | None, sources: Sequence[str]) -> float:
    """Pixels of the working grid for one of the scene, along each side.

    The scene is shrunk to the resolution of that source whose resolution is nearest to its own (by ratio); it is never
    enlarged, for that adds nothing to see.

    Args:
        metres: ground resolution of the scene, None where it is not known.
        sources: data sets that the weights were trained on.

    Returns:
        Above 0, at most 1; 1 where the resolution of the scene or of all sources is unknown.
    """
    known = [TRAINED_AT[source] for source in sources if source in TRAINED_AT]
    if metres is None or not known:
        return 1.0
    nearest = min(known, key=lambda trained: abs(math.log(trained / metres)))
    return min(1.0, metres / nearest)
