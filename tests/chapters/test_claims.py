"""The claims ledger: verdicts and numbers of synthetic results, computed by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pandas as pd
import pytest

from scgcnet.chapters import claims, evidence
from scgcnet.chapters.claims import as_text, ledger, setting
from scgcnet.study import results
from scgcnet.study.paper import read_paper
from scgcnet.study.stats import Condition, Verdict


@pytest.fixture
def plan(plan, project, monkeypatch):
    """The plan in an empty project; nothing is compared but what a test sets."""
    empty = pd.DataFrame(columns=["model", "percent", "resized_iou", "run_id"])
    monkeypatch.setattr(evidence.comparison, "networks", lambda *_: [])
    monkeypatch.setattr(evidence.ablations, "networks", lambda *_: [])
    monkeypatch.setattr(evidence.transfer, "increment_scores", lambda *_: empty)
    return plan


def our_runs(plan, profile):
    """The planned runs of the network as it is on Bijie's first split."""
    return [run for run in plan.select(profile) if "bijie_iou" in run.claims and run.split == 0]


def judged(plan, name, *records):
    """Verdict, condition and number of runs of one claim by some stored records."""
    found = ledger_of(plan, *records).loc[name]
    return found.verdict, found.condition, len(found.runs)


def ledger_of(plan, *records):
    for record in records:
        results.write(record)
    return ledger(plan)


def speaking_to(plan, *names):
    return replace(plan, runs=tuple(replace(run, claims=names) for run in plan.runs))


def test_a_row_for_each_claim_as_frame_and_text(plan, make_record):
    run = our_runs(plan, "cpu")[0]
    found = ledger_of(plan, make_record(run))
    assert list(found.id) == list(read_paper().claims.id)
    assert set(found.verdict) <= set(get_args(Verdict)) and set(found.condition) <= {"", *get_args(Condition)}
    idle = found.verdict == "not run"
    assert ((found.condition == "") == idle).all() and ((found.need != "") == idle).all()
    assert found.exhibit["fig10_scaling"] == "fig10" and found.exhibit["lr"] == ""
    lines = {line.split("\t")[0]: line.split("\t") for line in as_text(found).split("\n")}
    assert len(lines) == 73 and {len(line) for line in lines.values()} == {6}
    assert lines["bijie_iou"][1:] == ["result", "unresolved", "scaled down", run.run_id, "IoU 60.0 %"]
    assert lines["split_val"][2:5] == ["not run", "-", "-"]


def test_without_runs_costs_and_counts_remain(plan):
    found = ledger(plan)
    costs = [
        "fig10_gflops_2048",
        "fig10_peers_hi",
        "fig10_peers_lo",
        "fig10_saving_hi",
        "fig10_saving_lo",
        "fig10_scaling",
    ]
    assert sorted(found.id[found.verdict != "not run"]) == ["ds_bijie", *costs, "mamba_linear"]
    verdicts = found[["verdict", "condition"]].apply(tuple, axis=1)
    assert verdicts["ds_bijie"] == ("unresolved", "same")
    assert verdicts["fig10_peers_lo"] == ("unresolved", "fitted")
    assert verdicts["fig10_scaling"] == ("contradicted", "same") and verdicts["mamba_linear"] == ("supported", "same")
    numbers = [found.finding[name] for name in ("fig10_gflops_2048", "fig10_saving_lo", "fig10_scaling")]
    assert [re.findall(r"\b\d{3,4}\b", text) for text in numbers] == [
        ["3068", "2048", "3066"],
        ["2048", "4652", "4657", "4698", "5691", "3068"],
        ["256", "256", "221"],
    ]


class TestScore:
    @pytest.mark.parametrize(
        ("profile", "ious", "changes", "expected"),
        [
            ("paper", (0.60, 0.61, 0.62), {}, ("contradicted", "same", 3)),
            ("paper", (0.60,), {}, ("unresolved", "same", 1)),
            ("paper", (0.733, 0.735, 0.737), {}, ("supported", "same", 3)),
            ("paper", (0.60, 0.75, 0.90), {}, ("unresolved", "same", 3)),
            ("cpu", (0.60, 0.61, 0.62), {}, ("unresolved", "scaled down", 3)),
            ("cpu", (0.80, 0.81, 0.82), {}, ("supported", "scaled down", 3)),
            ("paper", (0.99, 0.99, 0.99), {"flags": {"cam": False}}, ("unresolved", "same", 3)),  # a baseline
            ("paper", (0.99, 0.99, 0.99), {"model": "unet"}, ("unresolved", "same", 3)),
        ],
    )
    def test_is_judged_by_its_seeds(self, plan, make_record, profile, ious, changes, expected):
        records = [make_record(run, iou, **changes) for run, iou in zip(our_runs(plan, profile), ious, strict=False)]
        assert judged(plan, "bijie_iou", *records) == expected

    def test_of_the_nearest_configuration_decides(self, plan, make_record):
        tiny = [make_record(run, 0.9) for run in our_runs(plan, "cpu")]
        small, base = our_runs(plan, "gpu")
        assert judged(plan, "bijie_iou", *tiny) == ("supported", "scaled down", 3)
        found = ledger_of(plan, make_record(base, 0.5, params=10**8), make_record(small, 0.5, params=10**7))
        assert found.runs["bijie_iou"] == [base.run_id]
        same = [make_record(run, 0.6 + 0.01 * run.seed) for run in our_runs(plan, "paper")]
        assert judged(plan, "bijie_iou", *same) == ("contradicted", "same", 3)

    def test_on_too_few_images_or_other_data_settles_nothing(self, plan, make_record):
        part = next(run for run in plan.select("cpu") if run.claims == ("cld_iou",))
        assert judged(plan, "cld_iou", make_record(part, 0.99, n=8)) == ("unresolved", "other data", 1)
        records = [make_record(run, 0.99) for run in our_runs(plan, "paper")]
        assert judged(speaking_to(plan, "gldd_iou"), "gldd_iou_gain", *records)[0] == "not run"
        assert judged(speaking_to(plan, "a2_iou"), "a2_iou", *records) == ("unresolved", "other data", 3)

    def test_protocol_is_judged_at_the_paper_s_settings_only(self, plan, make_record):
        records = [make_record(run) for run in our_runs(plan, "cpu")]
        assert judged(speaking_to(plan, "fig8_pool"), "fig8_pool", *records) == ("not run", "", 0)


def test_settings_are_those_of_the_run(plan, make_record):
    rows = results.frame([make_record(our_runs(plan, profile)[0]) for profile in ("paper", "cpu")])
    stated = {name: float(read_paper().number(name)) for name in [*claims.SETTINGS, "cam_k0"]}
    paper, cpu = ({name: setting(row, name) for name in stated} for _, row in rows.iterrows())
    assert paper == stated
    followed = {"adam_b1", "adam_b2", "hflip", "loss_alpha", "loss_beta", "loss_gamma", "focal_gamma", "cam_k0"}
    assert {name for name, value in cpu.items() if value == stated[name]} == followed
    assert pd.isna(setting(rows.iloc[0].copy().replace("scgcnet", "unet"), "cam_k0"))
    found = ledger_of(plan, *map(make_record, our_runs(plan, "cpu")))
    assert tuple(found.loc["adam_b1", ["verdict", "condition"]]) == ("unresolved", "scaled down")
    assert found.finding["cam_k0"].startswith("5 in 3 of the 3 stored runs") and found.verdict["lr"] == "not run"


def test_other_results_are_those_tested_here(plan, make_record, monkeypatch):
    """A statement with runs is a finding without a verdict; one that costs answer has the paper's own condition."""
    asked = pd.DataFrame(
        {
            "answer": ["holds", "not tested", "not tested", "does not hold"],
            "evidence": ["IoU on Bijie: +3.0", "IoU on Bijie: +1.0; not run: A4", "no runs", "counted: 2 times"],
            "runs": [["one"], ["two"], [], []],
        },
        ["bijie_iou_gain", "hmie_largest_part", "silu_best", "mamba_linear"],
    )
    monkeypatch.setattr(claims, "answers", lambda plan: asked)
    found = ledger(plan)[["verdict", "condition", "finding", "runs"]].loc[asked.index]
    assert found.apply(tuple, axis=1).tolist() == [
        ("unresolved", "scaled down", "IoU on Bijie: +3.0", ["one"]),
        ("unresolved", "other data", "IoU on Bijie: +1.0; not run: A4", ["two"]),
        ("not run", "", "", []),
        ("contradicted", "same", "counted: 2 times", []),
    ]
