"""Published counts beside ours."""

from __future__ import annotations

import dataclasses

import pytest
from table_rows import rows

from scgcnet import cli, peers
from scgcnet.peers import catalogue
from scgcnet.peers.catalogue import ENTRIES, allowed
from scgcnet.study import competitors
from scgcnet.study.competitors import Check, check, check_all, cost_frame, origins, reference_table, who_is_who


def test_everyone_is_in_the_catalogue() -> None:
    assert sorted(ENTRIES) == sorted([*peers.NAMES, "scgcnet"])
    for entry in ENTRIES.values():
        assert entry.references and entry.idea.endswith(".") and 2015 <= entry.year <= 2025
        assert "TODO" not in repr(entry)


@pytest.mark.parametrize(
    ("printed", "relative", "tolerance"),
    [("49.08", 0.005, 0.2454), ("7.8", 0.005, 0.05), ("62", 0.03, 0.5), ("0.05", 0.03, 0.005), ("178.6", 0.03, 5.358)],
)
def test_tolerance_is_relative_or_the_rounding_of_few_digits(printed: str, relative: float, tolerance: float) -> None:
    assert allowed(printed, relative) == pytest.approx(tolerance)


def test_a_count_out_of_tolerance_is_named() -> None:
    reference = ENTRIES["pspnet"].references[0]
    good = Check("pspnet", reference, 49.08, 178.6)
    assert (good.faults, good.says) == ([], "agrees")
    bad = dataclasses.replace(good, params=50.0)
    assert bad.says == "parameters: 50.00 M, the reference has 49.08"
    assert dataclasses.replace(good, params=49.3, gmac=190.0).says == "cost: 190.00 GMAC, the reference has 178.6"
    (row,) = rows(reference_table([bad]))
    assert (row["Network"], row["Counted"]) == ("PSPNet", "paper, 150 classes, 512x512")


def test_the_command_prints_every_network_and_fails_where_one_is_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["peers"]) == 0
    told = capsys.readouterr()
    lines = told.out.strip().splitlines()
    assert len(lines) == 2 + len(ENTRIES)  # caption and head
    assert all(line.endswith("agrees") for line in lines[2:])
    assert told.err == f"{len(ENTRIES)} counts, none out of tolerance\n"

    wrong = dataclasses.replace(ENTRIES["resunet"].references[0], params="9.1")
    monkeypatch.setitem(ENTRIES, "resunet", dataclasses.replace(ENTRIES["resunet"], references=(wrong,)))
    monkeypatch.setattr(competitors, "check_all", lambda: check_all(["resunet"]))
    assert cli.main(["peers", "--all"]) == 1
    told = capsys.readouterr()
    assert "the reference has 9.1" in told.out
    assert told.err == "1 counts, 1 out of tolerance\n"


def test_every_published_count_agrees() -> None:
    checks = check_all()
    assert {c.name for c in checks} == set(ENTRIES)
    assert [(c.name, c.reference.label, c.says) for c in checks if c.faults] == []


def test_a_label_tells_every_option() -> None:
    labels = [reference.label for reference in ENTRIES["segnext"].references]
    assert "paper, rank 16, 150 classes, 512x512" in labels
    assert ENTRIES["deeplabv3plus"].references[0].label == "paper, 1 class, 512x512"


def test_cost_per_pixel_is_constant_but_for_two() -> None:
    """What the chapter says."""
    costs = cost_frame((512, 2048))
    growth = costs["GMAC at 2048"] / costs["GMAC at 512"] / 16
    assert set(growth[(growth - 1).abs() > 0.02].index) == {"danet", "segformer"}


def test_who_is_who_has_a_row_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: ENTRIES[name] for name in ("unet", "scgcnet")}
    monkeypatch.setattr(competitors, "ENTRIES", few)
    costs = cost_frame((512, 2048))
    assert costs.loc["scgcnet", "GMAC at 2048"] == pytest.approx(3068, rel=0.005)
    table = who_is_who(costs, [check(name, entry.references[0]) for name, entry in few.items()])
    (ours,) = rows(table, Network="SCGC-Net")
    assert ours["GMAC at 512"] == "191.7"
    assert ours["GMAC per megapixel at 512"] == ours["GMAC per megapixel at 2048"] == "731"
    assert [row["Network"] for row in rows(table)] == ["U-Net", "SCGC-Net"]
    assert ours["Check"] == "agrees"
    assert catalogue.PARAMS_TOLERANCE == 0.005 and catalogue.GMAC_TOLERANCE == 0.03


def test_origins_name_code_and_licence_of_each() -> None:
    frame = origins().frame
    assert frame["Network"].tolist() == [entry.title for entry in ENTRIES.values()]
    assert all(frame["Built from"]) and all(frame["Licence of the source"])
