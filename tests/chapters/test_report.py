import pandas as pd
import pytest

from scgcnet.chapters import report, statements
from scgcnet.chapters.claims import ledger
from scgcnet.study.paper import PaperError
from scgcnet.study.results import ResultError, frame


def claim(name, kind, verdict, condition="", runs=(), finding="", need="", **fields):
    given = {"id": name, "kind": kind, "dataset": "Bijie", "value": "1", "unit": "%", "location": "Table I"}
    given |= {"quote": f"quote of {name}", "exhibit": "", "verdict": verdict, "condition": condition}
    return given | {"finding": finding, "runs": list(runs), "need": need} | fields


@pytest.fixture
def claims(stored):
    """Five claims: a score after three runs, one contradicted, a fitted cost, two settings; two were not run."""
    seeds = list(stored.run_id[:3])
    rows = [
        claim("bijie_iou", "result", "unresolved", "scaled down", seeds, "IoU 62.00 %"),
        claim("bijie_f1", "result", "not run", need="a training"),
        claim("fig10_gflops_2048", "fitted", "unresolved", "fitted", finding="3066 GMAC"),
        claim("lr", "protocol", "contradicted", "same", seeds[:1], "0.002", quote="", dataset=""),
        claim("epochs", "protocol", "not run"),
    ]
    return pd.DataFrame(rows)


def test_claims_have_their_findings_or_needs(claims, stored, expect):
    expect(report.claim_table(claims, "result", stored), "claims_result")
    expect(report.claim_table(claims, "protocol", stored), "claims_protocol")
    assert report.claim_table(claims, "rumour", stored).frame.to_numpy().tolist() == [["none of the kind rumour"]]


def test_verdicts_are_counted(claims, expect):
    expect(report.verdict_table(claims), "verdicts")
    text = report.summary_note(claims).text
    for words in ("3 claims: 0 supported, 0 contradicted, 2 open", "1 not run. "):
        assert words in text
    assert "2 settings" in text and "follow 1, none all" in text


def test_findings_quote_the_paper(claims):
    assert report.findings(claims).items == ("“quote of bijie_iou”: IoU 62.00 %. Unresolved, scaled down.",)
    assert len(report.findings(claims.assign(finding="")).items) == 1


def test_exhibits_count_the_claims_measured(plan, claims, stored):
    table = report.exhibit_table(plan, claims, stored).frame.set_axis([one.name for one in plan.exhibits])
    columns = ["Status", "Claims measured"]
    assert table.loc["table1", columns].tolist() == ["partly measured, scaled down", "1 of 2"]
    assert table.loc["fig10", columns].tolist() == ["counted, fitted", "1 of 1"]
    assert table.loc["table2", columns].tolist() == ["not run", "0 of 0"]
    assert [link.href for link in table.Runs["table1"].items] == list(stored.file[:3])


@pytest.fixture(scope="module")
def table(plan, stored):
    return report.plan_table(plan, stored).frame


class TestPlanTable:
    def test_counts_add_up(self, plan, table):
        assert table[["Stored", "Not run"]].sum().tolist() == [8, len(plan.runs) - 8]
        assert not table.duplicated(["Network", "Data", "Profile", "Changes"]).any()
        assert table.Priority.is_monotonic_increasing

    def test_seeds_and_splits_share_a_row(self, table):
        own = table.query("Network == 'SCGC-Net tiny' and Profile == 'cpu' and Changes == '-'").set_index("Data")
        assert own.loc["Bijie", ["Priority", "Stored", "Not run"]].tolist() == [1, 5, 0]
        assert own.loc["Bijie, grouped split", ["Stored", "Not run"]].tolist() == [0, 1]
        assert (table.Data == "AMU-Net, block split").sum() == 1

    def test_increments_share_a_row_and_runs_beyond_the_plan_come_last(self, plan, make_record):
        runs = [run for run in plan.select("cpu") if run.model == "swin" and run.increment][:3]
        beyond = plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 1})
        table = report.plan_table(plan, frame(map(make_record, [*runs, beyond]))).frame
        swin = table[(table.Data == "Landslide4Sense, trained on Bijie, by increments") & (table.Stored > 0)]
        assert swin[["Network", "Stored", "Not run"]].to_numpy().tolist() == [
            ["Swin Transformer tiny", 1, 0],
            ["Swin Transformer tiny", 2, 2],
        ]
        last = table.iloc[-1][["Network", "Changes", "Priority", "Stored"]].tolist()
        assert last == ["SCGC-Net tiny", "epochs 1", "not in study.yml", 1]


def test_profiles_count_runs_and_hours(plan, make_record):
    runs = plan.select("cpu")
    some = report.profile_table(plan, frame([make_record(run, wall_s=1800.0) for run in runs[:3]])).frame
    some = some.set_index("Profile")[["Runs stored", "They took", "The others, about"]]
    assert some.loc["cpu"].tolist()[:2] == [f"3 of {len(runs)}", "1 h 30 min"]
    assert some.loc["paper"].tolist() == [f"0 of {len(plan.select('paper'))}", "-", "not known"]
    every = report.profile_table(plan, frame([make_record(run) for run in runs])).frame.set_index("Profile")
    assert every.loc["cpu", "The others, about"] == "-"


@pytest.mark.parametrize(("seconds", "text"), [(5, "a minute"), (300, "5 min"), (6600, "1 h 50 min"), (2e5, "2 d 7 h")])
def test_durations(seconds, text):
    assert report.duration(seconds) == text


def looks(*lines):
    return pd.DataFrame(lines, columns=["utc", "dataset", "split", "run_id"], dtype=str)


def test_looks_are_counted_by_test_part(stored, expect):
    first, second = stored.run_id[:2]
    lines = [("2026-01-02T00", "bijie", "0", first)] * 2 + [("2026-01-01T00", "bijie", "0", "gone")]
    table = report.look_table(looks(*lines, ("2026-01-03T00", "bijie", "0", second)), stored.iloc[:2])
    expect(table, "looks")
    assert report.look_table(looks(), stored.iloc[:0]).frame.to_numpy().tolist() == [["none", 0]]


def test_lost_looks_are_an_error(stored):
    line = ("2026-01-02T00", "cld", "0", stored.run_id.iloc[0])
    with pytest.raises(ResultError, match=r"0 looks of .* at bijie, whose run file counts 1"):
        report.look_table(looks(line), stored.iloc[:1])


class TestDeviations:
    def test_have_numbers_of_the_stored_runs(self, project, plan, make_record):
        made = [make_record(run, wall_s=60.0 * m) for run, m in zip(plan.select("cpu"), (6, 9, 66), strict=False)]
        lines = [("2026", "bijie", "0", name) for name in "aab"] + [("2026", "bijie", "1", "a")]
        table = report.deviation_table(frame(made), looks(*lines)).frame.set_index("What")
        assert table.Why["Epochs"].startswith("6 to 66 minutes, median 9,")
        assert "at most 2 looks" in table.Here["Test part"]

    def test_agree_with_the_profiles(self, plan, stored):
        table = report.deviation_table(stored.iloc[:0], looks()).frame.set_index("What")
        assert not (table == "").any().any()
        for column, profile in (("The paper", "paper"), ("Here", "cpu")):
            settings = plan.profile(profile).settings
            assert table[column]["Image side"] == f"{settings['image_size']} px"
            assert table[column]["Epochs"] == str(settings["epochs"])

    def test_a_missing_file_names_its_remedy(self, project, stored):
        (project / "results/paper/deviations.csv").unlink()
        with pytest.raises(PaperError, match=r"deviations\.csv.*git checkout"):
            report.deviation_table(stored, looks())


def test_each_claim_has_a_square(plan):
    found, answers = ledger(plan), statements.answers(plan)
    left, right = report.verdicts(plan, found, answers).values()
    assert list(left) == list(right) and list(left)[-1] == "Text"
    assert sum(map(len, left.values())) == (found.kind != "protocol").sum()
    assert sum(map(len, right.values())) == len(answers) == (found.kind == "result").sum()
