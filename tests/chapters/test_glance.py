"""The first page: dots, findings, chips, and the images on top."""

import pytest

from scgcnet import plots
from scgcnet.chapters import claims, glance, statements
from scgcnet.chapters.comparison import networks


@pytest.fixture
def found(plan):
    """The stored networks of the study itself."""
    return networks("bijie", plan)


def test_dots_and_their_title(found, plan):
    rows = glance.dot_rows("bijie", found, plan)
    assert len(rows) == 18 and {"SCGC-Net", "U-Net", "ICNet"} <= set(rows)
    printed, measured, seeds, images = rows["SCGC-Net"]
    assert printed == 73.53 and seeds[1] < measured < seeds[2] and images[1] < measured < images[2]
    assert rows["U-Net"][2] is None  # a single seed
    order = [row[1] for row in rows.values()]
    assert order == sorted(order, reverse=True)
    title = glance.finding(rows)
    assert title.startswith("17 of 18 networks lie within ") and title.endswith("the paper spreads them over 23")
    assert glance.finding({"a": (None, 50.0, None, None)}) == "No comparison yet"
    assert plots.paper_dots(rows, "SCGC-Net", title).axes[0].get_title(loc="left") == title


def test_findings_and_chips_count_what_the_ledger_says(found, plan):
    ledger, answers = claims.ledger(plan), statements.answers(plan)
    verdicts, rank, alarms = glance.headlines(ledger, found, "SCGC-Net").items
    results_alone = ledger[ledger.kind != "protocol"]
    supported = (results_alone.verdict == "supported").sum()
    assert verdicts[0] == f"{supported} of {len(results_alone)} claims supported"
    assert rank[0].endswith("of 18") and "rivals compared image by image" in rank[1]
    assert "false alarms" in alarms[0]
    shown = {label: (done, of, page) for label, done, of, page in glance.chips(plan, answers).items}
    assert list(shown) == [
        "Table I",
        "Table II",
        "Table III",
        "Figs. 5, 6",
        "Fig. 7",
        "Figs. 8, 9",
        "Fig. 10",
        "Fig. 11",
    ]
    here = answers.answer[answers.index.isin(plan.exhibits[0].claims)]
    assert shown["Table I"] == (here.isin(["holds", "does not hold"]).sum(), len(here), "comparison")
    empty = glance.headlines(ledger, [], "SCGC-Net").items
    assert len(empty) == 1


def test_without_real_images_three_drawn_ones_from_good_to_bad():
    cases = glance.hero_cases(real=False)
    assert [case[0] for case in cases] == ["synthetic"] * 3
    ious = [case[4] for case in cases]
    assert ious == sorted(ious, reverse=True) and cases[0][2].shape == cases[0][1].mask.shape
    assert len(plots.hero(cases).axes) == 9
