"""The cases of a network in JupyterLab: threshold by slider, attribution on demand.

`explore(find_subject(...))` as the last line of a cell shows it. Whatever goes wrong is one line below the picture.
"""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.patches import Patch

from scgcnet.data import IGNORE_INDEX, EvalTransform, Sample
from scgcnet.explain.attributed import PARTS, ask, draw_map, outline
from scgcnet.explain.attribution import METHODS, REGIONS, Attribution, Region, attribute, map_layers
from scgcnet.plots.panels import FALSE_ALARM, HIT, MISS, error_overlay
from scgcnet.study.cases import Case
from scgcnet.study.show import Note
from scgcnet.study.subject import Subject, predicted
from scgcnet.train import Confusion

#: What stands in the explorer's place where nobody can use it: on a page there is no network to ask.
ELSEWHERE = Note(
    "The explorer is not shown", "It asks the network, which a page cannot: open the chapter in JupyterLab."
)
_WIDE = widgets.Layout(width="28em")
_STYLE = {"description_width": "7em"}


class Explorer:
    """A case, what a network makes of it at a threshold, and why; shows itself in a notebook.

    The widgets are attributes, so that a notebook or a test can set their values as a hand would.

    Attributes:
        case: chooses the image, from the worst IoU at the validation threshold to the best.
        threshold: probability above which a pixel is called landslide.
        region: whose margin is explained: truth, misses or false alarms.
        method: of `attribution.METHODS`.
        layer: for Grad-CAM.
        button: computes the attribution.
        picture: image, truth, probability, errors, attribution; PNG.
        scores: of the case at the threshold.
        problem: one line where something went wrong, else empty.
        attribution: what is shown, None until it is asked for and after anything that it depends on has changed.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.attribution: Attribution | None = None
        self._region: Region = np.zeros((1, 1), dtype=bool)  # of the attribution
        self._cases = sorted(
            predicted(subject, range(len(subject.part))), key=lambda case: (case.iou, case.sample.name)
        )
        options = [
            (f"{case.sample.name} (IoU {100 * case.iou:.0f} %)", number) for number, case in enumerate(self._cases)
        ]
        layers = map_layers(subject.network, EvalTransform(subject.image_size)(subject.part[0])[0].unsqueeze(0))
        shown = {name: layer for name, layer in PARTS.items() if layer in layers}
        named = [*shown.items(), *((layer, layer) for layer in layers if layer not in shown.values())]
        self.case = widgets.Dropdown(options=options, description="case", layout=_WIDE, style=_STYLE)
        self.threshold = widgets.FloatSlider(
            subject.threshold,
            min=0.01,
            max=0.99,
            step=0.01,
            description="threshold",
            continuous_update=False,  # a picture at every step of the way would come late
            layout=_WIDE,
            style=_STYLE,
        )
        self.region = widgets.Dropdown(options=REGIONS, description="explain the", layout=_WIDE, style=_STYLE)
        self.method = widgets.Dropdown(options=METHODS, description="by", layout=_WIDE, style=_STYLE)
        self.layer = widgets.Dropdown(options=named, description="at layer", layout=_WIDE, style=_STYLE)
        self.button = widgets.Button(description="explain", tooltip="takes a few seconds")
        self.picture = widgets.Image(format="png")
        self.scores = widgets.HTML()
        self.problem = widgets.HTML()
        best = widgets.HTML(f"best on validation: {subject.threshold:g}")
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
        """The case on show."""
        place: int = self.case.value
        return self._cases[place]

    @property
    def prediction(self) -> npt.NDArray[np.bool_]:
        """What is called landslide at the threshold, bool (H, W)."""
        called: npt.NDArray[np.bool_] = self.shown.probability > self.threshold.value
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
        """An error in an event of a widget would end in a log that nobody reads: it is shown instead."""
        self.problem.value = ""
        try:
            step()
        except Exception as error:  # of any kind, see above
            text = " ".join(str(error).split()) or type(error).__name__
            self.problem.value = f'<span style="color: #b00020">{html.escape(text)}</span>'

    def _attribute(self) -> None:
        self.attribution = None
        at = replace(self.subject, threshold=self.threshold.value)  # misses and false alarms are those on show
        (one,) = ask(at, [self.shown], self.region.value)
        self.attribution = attribute(self.method.value, self.subject.network, one.pixels, one.region, self.layer.value)
        self._region = one.region
        self._show()

    def _show(self) -> None:
        sample, found = self.shown.sample, Confusion.of(self.prediction, self.shown.sample.mask)
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
            axes[2].imshow(self.shown.probability, cmap="cividis", vmin=0, vmax=1)
            axes[3].imshow(error_overlay(sample.image, sample.mask, self.prediction & known))
            titles = ["image", "truth", "probability", f"errors at {self.threshold.value:.2f}", "not explained yet"]
            if self.attribution is None:
                axes[4].axis("off")
            else:
                draw_map(axes[4], self.attribution.values, sample.mask.shape)
                outline(axes[4], self._region, sample.mask.shape, "black")
                titles[4] = f"{self.method.value}, margin {self.attribution.margin:.2f}"
            for ax, title in zip(axes, titles, strict=True):
                ax.set(xticks=[], yticks=[], title=title)
            colours = {"found": HIT, "false alarm": FALSE_ALARM, "missed": MISS}
            patches = [Patch(color=colour, label=label) for label, colour in colours.items()]
            figure.legend(handles=patches, loc="outside lower center", ncols=3, frameon=False)
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=80)
        finally:
            plt.close(figure)
        return file.getvalue()


def explore(subject: Subject) -> Explorer:
    """The explorer of a network's cases, from the worst to the best; as the last line of a cell it shows itself.

    Args:
        subject: from `scgcnet.study.subject.find_subject`; predicting all its images takes seconds.
    """
    return Explorer(subject)
