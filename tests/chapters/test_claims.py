"""The claims ledger: verdicts and numbers of synthetic results, computed by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import get_args

import pandas as pd
import pytest

from scgcnet.chapters import claims
from scgcnet.chapters.claims import Evidence, as_text, ledger, setting
from scgcnet.study import results
from scgcnet.study.networks import Network
from scgcnet.study.paper import read_paper
from scgcnet.study.runs import Run
from scgcnet.study.stats import Condition, Verdict

#: IoU on a new data set by increment: of convnext 37 is above nine tenths of 40, but 35 follows.
CURVES = {"scgcnet": (10, 40, 44, 45, 44), "convnext": (20, 37, 35, 39, 40), "swin": (5, 6, 7, 20, 30)}


@pytest.fixture
def plan(plan, project, monkeypatch):
    """The plan in an empty project; nothing is compared but what a test sets."""
    empty = pd.DataFrame(columns=["model", "percent", "resized_iou", "run_id"])
    monkeypatch.setattr(claims.comparison, "networks", lambda *_: [])
    monkeypatch.setattr(claims.ablations, "networks", lambda *_: [])
    monkeypatch.setattr(claims.transfer, "increment_scores", lambda *_: empty)
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


def network(name, *ious, counted=0, **scores):
    """A network by the IoU of its seeds in percent; the other scores follow, or are given alike for all seeds."""
    rows = [
        {f"resized_{score}": scores.get(score, iou) for score in claims.SCORE_NAMES}
        | {"run_id": f"{name}-{seed}", "seed": seed}
        for seed, iou in enumerate(ious)
    ]
    made = Network(name, Run("bijie", name, "tiny", "cpu", {}), pd.DataFrame(rows))
    vars(made)["images"] = pd.DataFrame({"seed": range(counted)})
    return made


def ask(plan, name, *networks, value=None, rule=None, **frames):
    """What a claim's rule finds from networks (or rows of Tables II and III) or increments."""
    evidence, paper = Evidence(plan), read_paper()
    table = paper.claims.copy()
    if value is not None:
        table.loc[name, "value"] = value
    found = {one.name: one for one in networks}
    vars(evidence).update({"paper": replace(paper, claims=table), "networks": found, "experiments": found, **frames})
    return (rule or claims._RULES[name])(next(table.loc[[name]].itertuples(index=False)), evidence)


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
    assert lines["bijie_iou"][1:] == ["result", "unresolved", "scaled down", run.run_id, "IoU 60.00 %"]
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
    assert sorted(found.id[found.verdict != "not run"]) == ["ds_bijie", *costs]
    verdicts = found[["verdict", "condition"]].apply(tuple, axis=1)
    assert verdicts["ds_bijie"] == ("unresolved", "same")
    assert verdicts["fig10_peers_lo"] == ("unresolved", "fitted")
    assert verdicts["fig10_scaling"] == ("contradicted", "same")
    numbers = [found.finding[name] for name in ("fig10_gflops_2048", "fig10_saving_lo", "fig10_scaling")]
    assert [re.findall(r"\b\d{3,4}\b", text) for text in numbers] == [
        ["3068", "2048", "3066"],
        ["2048", "4652", "4657", "4698", "5691", "3068"],
        ["128", "2048", "256", "256", "256", "256", "221", "452"],
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


class TestLead:
    """Seeds one point apart, three each: Welch's half-interval of a difference is 2.776 times the root of 2/3."""

    def test_is_that_over_the_best_other(self, plan):
        ours, unet = network("scgcnet", 80, 81, 82), network("unet", 70, 71, 72)
        found = ask(plan, "bijie_iou_gain", network("fcn", 69), ours, unet)
        assert (found.verdict, found.condition) == ("supported", "scaled down")
        assert re.findall(r"[+-]?\d+\.\d", found.text) == ["81.0", "71.0", "+10.0", "+7.7", "+12.3"]
        assert found.runs == [f"{name}-{seed}" for name in ("scgcnet", "unet") for seed in range(3)]
        assert ask(plan, "bijie_iou_gain", ours) is ask(plan, "bijie_iou_gain", unet) is None

    @pytest.mark.parametrize(
        ("theirs", "claimed", "verdict"),
        [
            ((65, 65), "10", "supported"),  # the interval is a point
            ((65, 65), "10.01", "unresolved"),
            ((60, 70), "10", "unresolved"),  # ten in the mean, but the seeds differ too much
            ((65,), "3.06", "unresolved"),
            ((80, 80), "3.06", "unresolved"),  # a smaller network says nothing against the paper's
        ],
    )
    def test_counts_if_no_seed_falls_short(self, plan, theirs, claimed, verdict):
        found = ask(plan, "bijie_iou_gain", network("scgcnet", 75, 75), network("unet", *theirs), value=claimed)
        assert found.verdict == verdict

    def test_in_all_scores_is_counted(self, plan):
        ours, unet = network("scgcnet", 70), network("unet", 60)
        found = ask(plan, "best_all_metrics", ours, unet, network("fcn", 50, recall=99))
        assert "2 others in 4 of 5 scores (Precision, F1, IoU, Overall accuracy)" in found.text


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("a2_iou", ["62.00", "57.03", "66.97"]),
        ("a2_gain", ["+10.0", "+5.8", "+14.2"]),
        ("a8_gain", ["+19.0"]),
        ("a3_recall_gain", ["+38.0"]),
        ("hmie_largest_part", ["62.0", "55.0", "52.0"]),
    ],
)
def test_rows_are_compared(plan, name, numbers):
    rows = [network("A1", 51, 52, 53), network("A2", 60, 62, 64), network("A3", 55, recall=90), network("A8", 71)]
    found = ask(plan, name, *rows)
    assert (found.verdict, found.condition) == ("unresolved", "other data")
    assert re.findall(r"[+-]?\d+\.\d+", found.text) == numbers
    assert ask(plan, name, network("A5", 51)) is None


def test_finer_measures_stand_beside_the_best_and_the_median(plan):
    values = {"scgcnet": 15.0, "unet": 5.0, "fcn": 50.0, "danet": 25.0}
    networks = [network(name, 60, 61, counted=1 + (name == "fcn")) for name in values]
    rule = partial(claims._against_best, lambda one: values[one.name], "measure", min)
    found = ask(plan, "fewer_false", *networks, network("pspnet", 99), rule=rule)
    assert (found.verdict, len(found.runs)) == ("unresolved", 8)
    assert re.findall(r"\d+\.\d", found.text) == ["15.0", "5.0", "25.0"] and "1 to 2 of their seeds" in found.text
    values["scgcnet"] = float("nan")
    assert ask(plan, "fewer_false", *networks, rule=rule) is None


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("fig8_best_at_0", "convnext 20.0, scgcnet 10.0, swin 5.0"),
        ("fig8_lead_at_20", "scgcnet 44.0, convnext 40.0, swin 30.0"),
        ("fig8_ours_stable_at", "scgcnet 1 %, convnext 10 %, swin 20 % on"),
        ("fig8_plateau_20", "scgcnet -1.0, convnext +1.0, swin +10.0"),
    ],
)
def test_curves_by_increment(plan, name, end):
    columns = ["model", "percent", "resized_iou", "run_id"]
    pairs = [(model, *pair) for model, ious in CURVES.items() for pair in zip(claims.PERCENTS, ious, strict=True)]
    scores = pd.DataFrame([(*row, f"{row[0]}-{row[1]}") for row in pairs], columns=columns)
    found = ask(plan, name, increments=scores)
    assert found.text.endswith(end) and len(found.runs) == 15
    assert (found.verdict, found.condition) == ("unresolved", "other data")
    assert ask(plan, name, increments=scores[1:]) is None  # ours lacks one
    assert len(ask(plan, name, increments=scores[:-1]).runs) == 10
