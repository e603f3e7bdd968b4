from dataclasses import replace

import numpy as np
import pytest
from fake_atlas import fake_atlas

from scgcnet import plots
from scgcnet.explain.atlas import Atlas


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return fake_atlas()


def test_reliability_diagram(atlas: Atlas) -> None:
    figure = plots.reliability_diagram(atlas)
    above = figure.axes[:2]
    assert [axis.get_title() for axis in above] == ["net 0", "net 1"]
    found = atlas.models[1].calibration["test"]
    diagonal, _, test = above[1].lines
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
    np.testing.assert_array_equal(test.get_xdata(), found.confidence)
    np.testing.assert_array_equal(test.get_ydata(), found.frequency)
    assert test.get_label() == f"test, error {100 * found.error:.1f} points"
    share = figure.axes[3].lines[1].get_ydata()
    np.testing.assert_allclose(share, 100 * found.pixels / found.pixels.sum())


def test_threshold_curves(atlas: Atlas) -> None:
    axis = plots.threshold_curves(atlas).axes[0]
    for place, model in enumerate(atlas.models):
        curve, chosen, best = axis.lines[3 * place : 3 * place + 3]
        np.testing.assert_allclose(curve.get_ydata(), 100 * model.test_iou)
        assert chosen.get_xdata() == [model.threshold] and chosen.get_markerfacecolor() != "white"
        assert best.get_xdata() == [model.best_on_test] and best.get_markerfacecolor() == "white"
        assert best.get_ydata()[0] == pytest.approx(100 * model.test_iou.max())


def test_cause_panels_show_the_worst_of_each_kind_once(atlas: Atlas) -> None:
    kinds = (("built",), ("built", "vague"), ("vague",), (), ("other",))
    entries = tuple(replace(entry, causes=(why, why)) for entry, why in zip(atlas.entries, kinds, strict=True))
    figure = plots.cause_panels(replace(atlas, entries=entries))
    titles = [axis.get_title().replace("\n", " ") for axis in figure.axes[:3]]
    assert titles == ["built-up surroundings (by edge density, a proxy)", "vague boundary", "no rule explains it"]
    first = min(entries[:2], key=lambda entry: entry.outcomes[0].iou)
    rest = [entry for entry in entries[1:3] if entry is not first]
    second = min(rest, key=lambda entry: entry.outcomes[0].iou)
    shown = [axis.get_xlabel().split("\n")[0] for axis in figure.axes[4:7]]
    assert shown == [first.facts.name, second.facts.name, entries[4].facts.name]


def test_without_a_failure_it_says_so(atlas: Atlas) -> None:
    fine = tuple(replace(entry, causes=((), ())) for entry in atlas.entries)
    (text,) = plots.cause_panels(replace(atlas, entries=fine)).texts
    assert "No failure to show" in text.get_text()
