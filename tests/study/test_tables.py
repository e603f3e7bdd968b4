import dataclasses

import pandas as pd
import pytest
from table_rows import rows

from scgcnet.peers import NETWORKS
from scgcnet.study.plan import at_home
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.show import Link, Links, Note, Sentences, Table
from scgcnet.study.tables import (
    PAPER_METHODS,
    changes,
    comparison,
    condition,
    cost_table,
    paper_scores,
    run_links,
    score_table,
)


@pytest.fixture
def plan(project):
    return load_plan()


def test_the_papers_row_on_bijie(project):
    assert paper_scores("bijie", "scgcnet") == {
        "precision": 85.04,
        "recall": 84.46,
        "f1": 84.75,
        "iou": 73.53,
        "oa": 97.37,
    }
    assert paper_scores("synthetic", "scgcnet") is None


def test_seeds_and_splits_get_rows_of_their_own(plan, tiny):
    table = comparison("bijie", "scgcnet", plan, tiny)[0]
    seeds, splits = rows(table, Score="IoU")
    assert seeds["Repeats"] == "3 seeds on split 0, 154 images"
    assert seeds["Measured, 95 % interval"] == "62.00 [57.03, 66.97]"
    assert seeds["Paper"] == "73.53"
    assert seeds["Difference"] == "-11.53"
    assert (seeds["Verdict"], seeds["Condition"]) == ("unresolved", "scaled down")
    assert seeds["Cost"] == "1.18 M, 0.08 GMAC"  # the machine was shared: no time
    assert splits["Repeats"] == "3 splits, seed 0, 154 images each"
    assert splits["Measured, 95 % interval"].startswith("65.00 [")
    assert len(rows(table)) == 10


def test_every_number_links_to_its_run_files(plan, tiny):
    seeds = rows(comparison("bijie", "scgcnet", plan, tiny)[0], Score="IoU")[0]
    assert [link.href for link in seeds["Runs"].items] == [record.file for record in tiny[:3]]
    assert all(link.href.startswith("results/runs/bijie-") for link in seeds["Runs"].items)
    assert str(run_links(tiny)) == ("split 0 seed 0, split 0 seed 1, split 0 seed 2, split 1 seed 0, split 2 seed 0")
    assert str(run_links(tiny[:1])) == "seed 0"
    assert str(run_links([tiny[0], *tiny[3:]])) == "split 0, split 1, split 2"


def test_links_are_named_by_what_differs(plan, tiny, make_record):
    unet = make_record(plan.make_run("bijie", "unet", "tiny", "cpu", seed=1))
    assert str(run_links([tiny[0], unet])) == "scgcnet seed 0, unet seed 1"
    shorter = make_record(plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 1}))
    old = dataclasses.replace(tiny[1], code_sha256="1" * 64)
    first, second = tiny[0].run_id[-10:], shorter.run_id[-10:]
    assert str(run_links([tiny[0], shorter, old])) == f"seed 0 {first}, seed 0 {second}, seed 1 (stale)"


def test_what_was_not_run_says_so(plan, tiny):
    (table,) = comparison("bijie", "scgcnet", plan, [])
    planned = [
        r for r in plan.runs if (r.dataset, r.model) == ("bijie", "scgcnet") and at_home(r.config) and r.unaltered
    ]
    configurations = {(r.size, r.profile, changes(r, plan), str(r.split).rpartition("-")[0]) for r in planned}
    assert len(rows(table)) == len(configurations)
    for row in rows(table):
        assert row["Measured, 95 % interval"] == row["Verdict"] == "not run"
        assert row["Difference"] == str(row["Runs"]) == "-"
    assert {row["Condition"] for row in rows(table)} == {"scaled down", "same"}
    assert [row["Network"] for row in rows(table, Condition="same")] == ["scgcnet base, profile paper"]
    assert len(rows(comparison("bijie", "scgcnet", plan, tiny)[-1])) == len(configurations) - 1


def test_synthetic_runs_never_stand_beside_the_paper(plan, make_record):
    run = plan.select("smoke")[0]
    with pytest.raises(ValueError, match="synthetic data: it cannot stand beside the paper"):
        comparison("bijie", "scgcnet", plan, [make_record(run, kind="synthetic")])
    (missing,) = comparison("synthetic", "scgcnet", plan, [])
    assert set(missing.frame["Paper"]) == {"-"}


def test_names_of_the_paper_are_rows_of_its_table():
    for model in PAPER_METHODS:
        found = paper_scores("bijie", model)
        assert found is not None and 50 < found["iou"] < 74
    assert paper_scores("bijie", "segnext") is None
    assert set(PAPER_METHODS) <= {*NETWORKS, "scgcnet"} - {"segnext"}


def test_the_full_size_of_a_peer_is_the_papers(plan):
    assert condition(plan.make_run("bijie", "unet", "paper", "paper"), plan) == "same"
    assert condition(plan.make_run("bijie", "unet", "base", "paper"), plan) == "scaled down"


def test_runs_of_other_settings_are_not_mixed_in(plan, tiny, make_record):
    trial = plan.make_run("bijie", "scgcnet", "tiny", "cpu", seed=3, changes={"epochs": 1})
    beside = comparison("bijie", "scgcnet", plan, [*tiny, make_record(trial, 0.01)])
    assert str(beside) == str(comparison("bijie", "scgcnet", plan, tiny))
    row = rows(comparison("bijie", "scgcnet", plan, [*tiny, make_record(trial, 0.01)])[0], Score="IoU")[0]
    assert row["Measured, 95 % interval"] == "62.00 [57.03, 66.97]"


def test_what_a_configuration_changes_stands_in_its_caption(plan, make_record):
    faster = plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"lr": 0.004})
    assert faster in plan.runs
    tables = comparison("bijie", "scgcnet", plan, [make_record(faster, 0.5)])
    assert tables[0].caption.startswith("scgcnet tiny, profile cpu, lr 0.004, on bijie")
    assert "scgcnet tiny, profile cpu" in tables[1].frame["Network"].tolist()


def test_a_run_of_other_code_is_called_stale(plan, tiny):
    old = [dataclasses.replace(record, code_sha256="1" * 64) for record in tiny]
    row = rows(comparison("bijie", "scgcnet", plan, old)[0], Score="IoU")[0]
    assert str(row["Runs"]) == "seed 0 (stale), seed 1 (stale), seed 2 (stale)"


def test_runs_of_other_code_or_other_images_are_no_repeats(plan, tiny):
    """Halfway through a rerun, or after a new download: what differs in more than chance has no interval."""
    tiny[0] = dataclasses.replace(tiny[0], code_sha256="1" * 64)
    row = rows(comparison("bijie", "scgcnet", plan, tiny)[0], Score="IoU")[0]
    assert (str(row["Runs"]), row["Repeats"]) == ("seed 1, seed 2", "2 seeds on split 0, 154 images")
    images = [dataclasses.replace(record, data_sha256="2" * 64) for record in tiny[1:3]]
    row = rows(comparison("bijie", "scgcnet", plan, [tiny[0], *images, *tiny[3:]])[0], Score="IoU")[0]
    assert "seed 1" in str(row["Runs"]) and "stale" not in str(row["Runs"])


def test_condition(plan):
    conditions = {
        (run.size, run.profile): condition(run, plan) for run in plan.runs if run.dataset in ("bijie", "synthetic")
    }
    assert conditions == {
        ("tiny", "domains"): "other data",  # tested on Bijie and trained on others
        ("tiny", "smoke"): "other data",
        ("tiny", "cpu"): "scaled down",
        ("small", "gpu"): "scaled down",
        ("base", "gpu"): "scaled down",
        ("base", "paper"): "same",
        ("paper", "paper"): "same",  # the comparison methods
    }
    ablated = plan.make_run("bijie", "scgcnet", "base", "paper", overrides={"cam": False})
    shorter = plan.make_run("bijie", "scgcnet", "base", "paper", changes={"epochs": 399})
    assert condition(ablated, plan) == condition(shorter, plan) == "scaled down"


def test_score_table_has_three_ways_and_no_paper(plan, tiny):
    table = score_table(tiny[:2])
    assert "Paper" not in table.frame.columns
    (iou,) = rows(table, Score="IoU")
    assert str(iou["mean over images at native size"]).startswith("61.00 [")
    assert "2 runs" in table.caption
    with pytest.raises(ValueError, match="differ in more than split and seed"):
        score_table([])


def test_an_interval_ends_where_scores_end(plan, make_record):
    runs = [make_record(run, iou) for run, iou in zip(plan.select("cpu"), (0.98, 0.60), strict=False)]
    (iou,) = rows(score_table(runs), Score="IoU")
    assert str(iou["mean over images at native size"]) == "79.00 [0.00, 100.00]"


def test_synthetic_scores_say_what_they_are(plan, make_record):
    run = plan.select("smoke")[0]
    assert "made-up images, not to be compared" in score_table([make_record(run, kind="synthetic")]).caption


def test_costs_show_the_looks_at_the_test_part(tiny):
    (row,) = rows(cost_table([dataclasses.replace(tiny[0], test_looks=2)]))
    assert (row["Looks at test"], row["GMAC an image"]) == (2, "0.08 at 128 px")


def test_html_is_escaped_and_marked_up():
    evil = "<script>alert(1)</script>"
    table = Table(pd.DataFrame([{"A": evil, "B": Links((Link(evil, 'x" onclick="y'),))}]), evil)
    html = table._repr_html_()
    assert "<script>" not in html
    assert 'href="x&quot; onclick=&quot;y"' in html
    assert '<th scope="col">A</th>' in html
    assert '<th scope="row">&lt;script&gt;' in html
    assert "<caption>" in html
    assert "<script>" not in Note(evil, evil)._repr_html_()
    assert str(Links(())) == "-"
    assert "A" in repr(table)


@pytest.mark.parametrize("score", ["Precision", "Recall"])
def test_one_side_of_a_trade_gets_no_verdict(plan, make_record, score):
    """Nearly full recall at a low threshold is no support for the paper's recall."""
    records = [make_record(run, 0.9) for run in plan.select("cpu")]
    row = rows(comparison("bijie", "scgcnet", plan, records)[0], Score=score)[0]
    assert row["Verdict"] == "-"
    assert row["Difference"] != "-"


def test_a_run_is_told_by_what_it_changes(plan):
    def told(**fields):
        run = next(run for run in plan.select("cpu") if (run.dataset, run.model, run.seed) == ("bijie", "scgcnet", 0))
        return changes(dataclasses.replace(run, **fields), plan)

    settings = plan.profile("cpu").settings
    assert told() == ""
    assert told(split=2, seed=5, train=("cld",)) == ""
    assert told(settings={**settings, "lr": 0.004, "epochs": 5}) == ", epochs 5, lr 0.004"
    augment = {**settings["augment"], "scale": [0.4, 2.0], "tint": 0.2}
    assert told(settings={**settings, "augment": augment}) == ", scale 0.4 to 2, tint 0.2"
    assert told(prediction={"views": 4, "thresholds": [0.4, 0.5]}) == ", views 4"
    assert told(overrides={"cam": False}, prediction={"views": 2, "thresholds": [0.5]}) == ", views 2, cam False"


def test_rates_of_different_stages_are_told_apart(plan):
    def told(*stages):
        return changes(plan.make_run("bijie", "scgcnet", "tiny", "cpu", overrides={"dilations": list(stages)}), plan)

    assert told([[3, 3, 3], [5, 5, 5]], [[8, 8, 8], [12, 12, 12]]) == ", dilations 3/3/3 5/5/5; 8/8/8 12/12/12"
    assert told([[1, 1, 1]], [[1, 1, 1], [2, 2, 2]]) == ", dilations 1/1/1; 1/1/1 2/2/2"
    assert told([[1, 1, 1], [1, 1, 1]], [[2, 2, 2]]) == ", dilations 1/1/1 1/1/1; 2/2/2"
    words = [changes(run, plan) for run in plan.select("cpu") if run.overrides]
    assert len(set(words)) == len({str(run.overrides) for run in plan.select("cpu") if run.overrides})


def test_a_table_fits_a_terminal(plan, tiny):
    """Nothing is lost but the links, of which the number is told."""
    table = Table(pd.DataFrame([{"What": "a sentence of many words", "Count": 7, "Runs": run_links(tiny)}]), "Title")
    text = table.fitted(30)
    assert text.startswith("Title\n") and max(map(len, text.splitlines()[1:])) <= 30
    assert " ".join(line[:14].strip() for line in text.splitlines()[2:]).strip() == "a sentence of many words"
    assert [line.split()[-2:] for line in text.splitlines() if "7" in line] == [["7", str(len(tiny))]]
    assert "a sentence of many words" in table.fitted(200)


def test_many_links_are_folded_up(plan, tiny):
    few, many = (Table(pd.DataFrame([{"A": 1, "Runs": run_links(runs)}]), "x") for runs in (tiny[:2], tiny * 2))
    assert "<details>" not in few._repr_html_()
    assert f"<summary>{2 * len(tiny)} files</summary>" in many._repr_html_()
    assert many._repr_html_().count("<a href=") == 2 * len(tiny)


def test_code_in_sentences_is_shown_as_code():
    assert "run <code>a &lt; b</code>." in Note("x", "run `a < b`.")._repr_html_()
    assert "<li>a ` b</li>" in Sentences(("a ` b",))._repr_html_()  # one alone encloses nothing
