"""The cases of a network in JupyterLab: threshold by slider, attribution on demand.

`Explorer(...)` as the last line of a cell shows it. An error is one line below the picture.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from torch import nn

from scgcnet.data import IGNORE_INDEX, EvalTransform, Sample
from scgcnet.explain.attribution import METHODS, PARTS, REGIONS, Attribution, Map, Region, ask, attribute, map_layers
from scgcnet.explain.drawings import draw_map, outline
from scgcnet.metrics import Confusion
from scgcnet.plots.panels import error_legend, error_overlay, without_ticks

Case = tuple[Sample, Map, float]  # with the probability of landslide (H, W) and the IoU at the validation threshold
_WIDE = widgets.Layout(width="28em")
_STYLE = {"description_width": "7em"}


def _dropdown(options: Sequence[Any], description: str) -> widgets.Dropdown:
    return widgets.Dropdown(options=options, description=description, layout=_WIDE, style=_STYLE)


class Explorer:
    """A network's cases from the worst IoU to the best, with prediction and attribution; shows itself in a notebook.

    The widgets are attributes, so that a notebook or a test can set their values: `case`, `threshold`, `region`,
    `method`, `layer` (for Grad-CAM), `button` (computes the attribution), `picture` (image, truth, probability, errors,
    attribution; PNG), `scores`, and `problem` (an error, else empty). `attribution` is None until it is asked for and
    after a change of anything that it depends on.

    Args:
        network: in evaluation mode.
        cases: images to choose from.
        image_size: side of the square network input, pixels.
        threshold: best on validation.
    """

    def __init__(self, network: nn.Module, cases: Sequence[Case], image_size: int, threshold: float) -> None:
        self.network, self.image_size = network, image_size
        self.attribution: Attribution | None = None
        self._region: Region = np.zeros((1, 1), dtype=bool)  # of the attribution
        self._cases = sorted(cases, key=lambda case: (case[2], case[0].name))
        titles = [f"{sample.name} (IoU {100 * iou:.0f} %)" for sample, _, iou in self._cases]
        layers = map_layers(network, EvalTransform(image_size)(cases[0][0])[0].unsqueeze(0))
        shown = {name: layer for name, layer in PARTS.items() if layer in layers}
        named = [*shown.items(), *((layer, layer) for layer in layers if layer not in shown.values())]
        self.case = _dropdown([(title, place) for place, title in enumerate(titles)], "case")
        # Not continuous: a picture at every step of the way would come late.
        slider = {"min": 0.01, "max": 0.99, "step": 0.01, "continuous_update": False}
        self.threshold = widgets.FloatSlider(threshold, description="threshold", layout=_WIDE, style=_STYLE, **slider)
        self.region = _dropdown(REGIONS, "explain the")
        self.method = _dropdown(METHODS, "by")
        self.layer = _dropdown(named, "at layer")
        self.button = widgets.Button(description="explain", tooltip="takes a few seconds")
        self.picture = widgets.Image(format="png")
        self.scores = widgets.HTML()
        self.problem = widgets.HTML()
        best = widgets.HTML(f"best on validation: {threshold:g}")
        self.view = widgets.VBox(
            [
                self.case,
                widgets.HBox([self.threshold, best]),
                self.scores,
                widgets.HBox([self.region, self.method]),
                widgets.HBox([self.layer, self.button]),
                self.problem,
                self.picture,
            ]
        )
        for chooser in (self.case, self.threshold, self.region, self.method, self.layer):
            chooser.observe(self._changed, names="value")
        self.button.on_click(self._explain)
        self._changed()

    @property
    def shown(self) -> Case:
        """The selected case."""
        place: int = self.case.value
        return self._cases[place]

    @property
    def prediction(self) -> npt.NDArray[np.bool_]:
        """Pixels called landslide at the threshold, (H, W)."""
        called: npt.NDArray[np.bool_] = self.shown[1] > self.threshold.value
        return called

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.view._repr_mimebundle_(**options)

    def _changed(self, _change: object = None) -> None:
        self.attribution = None
        self.layer.disabled = self.method.value != "grad-cam"
        self._try(self._show)

    def _explain(self, _button: object = None) -> None:
        self.button.disabled, self.button.description = True, "explaining ..."
        try:
            self._try(self._attribute)
        finally:
            self.button.disabled, self.button.description = False, "explain"

    def _try(self, step: Callable[[], None]) -> None:
        """Show an error: one in an event of a widget would go to a log."""
        self.problem.value = ""
        try:
            step()
        except Exception as error:  # of any kind, see above
            text = " ".join(str(error).split()) or type(error).__name__
            self.problem.value = f'<span style="color: #b00020">{html.escape(text)}</span>'

    def _attribute(self) -> None:
        self.attribution = None
        # Misses and false alarms are those at the slider's threshold.
        (one,) = ask([self.shown], self.image_size, self.threshold.value, self.region.value)
        self.attribution = attribute(self.method.value, self.network, one.pixels, one.region, self.layer.value)
        self._region = one.region
        self._show()

    def _show(self) -> None:
        sample = self.shown[0]
        found = Confusion.of(self.prediction, sample.mask)
        scores = {name: f"{100 * found.scores()[name]:.1f} %" for name in ("iou", "precision", "recall")}
        counts = f"{found.tp} pixels found, {found.fn} missed, {found.fp} falsely alarmed"
        self.scores.value = f"IoU {scores['iou']}, precision {scores['precision']}, recall {scores['recall']}; {counts}"
        self.picture.value = self._drawn(sample)
        self.picture.tooltip = f"{sample.name}: image, truth, probability, errors, attribution; its scores are above"

    def _drawn(self, sample: Sample) -> bytes:
        """The picture, as PNG."""
        figure, axes = plt.subplots(1, 5, figsize=(15, 3.6), layout="constrained")
        try:
            known = sample.mask != IGNORE_INDEX
            axes[0].imshow(sample.image[..., :3])
            axes[1].imshow(np.where(known, sample.mask, 0.5), cmap="gray", vmin=0, vmax=1)
            axes[2].imshow(self.shown[1], cmap="cividis", vmin=0, vmax=1)
            axes[3].imshow(error_overlay(sample.image, sample.mask, self.prediction & known))
            titles = ["image", "truth", "probability", f"errors at {self.threshold.value:.2f}", "not explained yet"]
            if self.attribution is None:
                axes[4].axis("off")
            else:
                draw_map(axes[4], self.attribution.values, sample.mask.shape)
                outline(axes[4], self._region, sample.mask.shape, "black")
                titles[4] = f"{self.method.value}, margin {self.attribution.margin:.2f}"
            for ax, title in zip(axes, titles, strict=True):
                ax.set_title(title)
            without_ticks(axes)
            error_legend(figure)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=80)
        finally:
            plt.close(figure)
        return file.getvalue()
