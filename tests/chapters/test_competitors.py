"""Published counts beside ours, and the chapter's tables."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from networks import on_meta

from scgcnet import cli, cost
from scgcnet.chapters import competitors
from scgcnet.chapters.competitors import (
    allowed_difference,
    check_counts,
    count_costs,
    networks,
    overview_table,
    published_counts,
)

FIG_10 = pd.read_csv(Path(__file__).parents[2] / "results/paper/peer_gmacs.csv", index_col="model")


@pytest.fixture
def few(monkeypatch):
    """Of all networks two, so that tests are quick."""
    names = ["resunet", "scgcnet"]
    tables = networks().loc[names], published_counts().query("network in @names")
    monkeypatch.setattr(competitors, "networks", lambda: tables[0])
    monkeypatch.setattr(competitors, "published_counts", lambda: tables[1])
    return names


@pytest.mark.parametrize(
    ("printed", "relative", "expected"),
    [("49.08", 0.005, 0.2454), ("7.8", 0.005, 0.05), ("62", 0.03, 0.5), ("0.05", 0.03, 0.005), ("178.6", 0.03, 5.358)],
)
def test_tolerance_is_relative_or_the_rounding_of_few_digits(printed, relative, expected):
    assert allowed_difference(printed, relative) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({}, "agrees"),
        ({"params_m": "9.1"}, "parameters: 7.79 M, the reference has 9.1"),
        ({"params_m": "7.83"}, "parameters: 7.79 M, the reference has 7.83"),
        ({"params_m": "7.83", "tolerance": 0.01}, "agrees"),
        ({"gmac": "70.00"}, "cost: 169.58 GMAC, the reference has 70.00"),
        ({"params_m": "", "gmac": ""}, "agrees"),
    ],
)
def test_a_count_out_of_tolerance_is_named(changes, check):
    published = published_counts().query("network == 'resunet'").assign(**changes)
    (row,) = check_counts(published).to_dict("records")
    assert (row["check"], row["counted"]) == (check, "paper, 1 class, 512x512")


def test_the_command_fails_where_a_count_disagrees(few, capsys, monkeypatch):
    assert cli.main(["peers"]) == 0
    shown = capsys.readouterr()
    assert [line.split()[-1] for line in shown.out.splitlines()[2:]] == ["agrees"] * 2  # after caption and head
    assert shown.err == "2 counts, none out of tolerance\n"
    wrong = published_counts().query("network == 'resunet'").assign(params_m="9.1")
    monkeypatch.setattr(competitors, "published_counts", lambda: wrong)
    assert cli.main(["peers", "--all"]) == 1
    shown = capsys.readouterr()
    assert "the reference has 9.1" in shown.out and shown.err == "1 counts, 1 out of tolerance\n"


def test_overview_has_cost_and_count_of_each(few):
    costs = count_costs((512, 2048))
    assert costs.loc["scgcnet", "GMAC at 2048"] == pytest.approx(3068, rel=0.005)
    frame = overview_table(costs, check_counts(competitors.published_counts())).frame
    assert frame.Network.tolist() == ["ResUNet", "SCGC-Net"]
    ours = frame.loc["scgcnet"]
    assert ours["GMAC at 512"] == "191.7"
    assert ours["GMAC per megapixel at 512"] == ours["GMAC per megapixel at 2048"] == "731"
    assert (ours["Check"], ours["Reference count"]) == ("agrees", "3066 GMAC")
    figure = competitors.cost_figure(costs, "scgcnet")
    assert {label.get_text() for label in figure.axes[0].get_yticklabels()} == {"ResUNet", "SCGC-Net"}


@pytest.mark.slow
def test_cost_per_pixel_is_constant_but_for_two():
    """The chapter says so."""
    costs = count_costs((512, 2048))
    growth = costs["GMAC at 2048"] / costs["GMAC at 512"] / 16
    assert set(growth[(growth - 1).abs() > 0.02].index) == {"danet", "segformer"}


@pytest.mark.parametrize(
    "model",
    [
        "DANet-R50",
        "UPerNet-VMamba-B",
        pytest.param("UPerNet-ConvNeXt-B", marks=pytest.mark.slow),
        pytest.param("UPerNet-Swin-B", marks=pytest.mark.slow),
    ],
)
def test_costs_of_figure_10(model):
    """GMAC with two classes at six image sides; the counted DANet ran its branches' classifiers too (0.1 of 5691)."""
    network = on_meta(model.replace("UPerNet-", "").split("-")[0].lower())
    counted = {side: cost.count_cost(network, (1, 3, int(side), int(side))).gmac for side in FIG_10}
    assert counted == pytest.approx(FIG_10.loc[model].to_dict(), rel=1e-4, abs=0.051)
