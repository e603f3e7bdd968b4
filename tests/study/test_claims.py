"""The ledger: what made-up runs would say, and that nothing else says anything."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from table_rows import rows

from scgcnet.study import opening, tables
from scgcnet.study.claims import COUNTED, Entry, ledger
from scgcnet.study.needs import needed
from scgcnet.study.paper import PaperError, read_claims
from scgcnet.study.plan import Plan, Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.statistics import Condition, Verdict
from scgcnet.study.store import Record, StoreError, load_all
from scgcnet.study.trials import choices

REPOSITORY = Path(__file__).resolve().parents[2]
COSTS = {"fig10_peers_lo", "fig10_peers_hi", "fig10_saving_lo", "fig10_saving_hi", "fig10_scaling"}
SETTLED_WITHOUT_RUNS = {"fig10_gflops_2048", "ds_bijie", *COSTS}


@pytest.fixture
def plan(project: Path) -> Plan:
    return load_plan()


def verdict(entries: list[Entry], name: str) -> tuple[str, str | None, int]:
    entry = next(entry for entry in entries if entry.claim.id == name)
    return entry.verdict, entry.condition, len(entry.records)


def speaking_to(plan: Plan, *claims: str) -> Plan:
    """The plan, with every run speaking to these claims."""
    return replace(plan, runs=tuple(replace(run, claims=claims) for run in plan.runs))


def test_one_well_formed_line_for_each_claim(plan: Plan, make_record: Callable[..., Record]) -> None:
    records = [make_record(run) for run in plan.select("cpu")]
    entries = ledger(plan, records)
    claims = read_claims()
    assert [entry.claim for entry in entries] == list(claims.values())
    stored = {record.run_id for record in records}
    for entry in entries:
        name, kind, verdict, condition, runs, words = entry.line.split("\t")
        assert (name, kind) == (entry.claim.id, claims[name].kind)
        assert verdict in get_args(Verdict)
        assert condition in (*get_args(Condition), "-")
        assert (verdict == "not run") == (condition == "-")
        assert runs == "-" or stored.issuperset(runs.split(","))
        assert words == (entry.finding or entry.needs or "-")
        assert (verdict == "not run") == bool(entry.needs) == (words == needed(entry.claim))


def test_the_committed_results_are_told_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row of claims.csv once, in its order; every run that is named is stored; what was not run says why."""
    monkeypatch.chdir(REPOSITORY)
    lines = Path("results/paper/claims.csv").read_text(encoding="utf-8").splitlines()[1:]
    entries = ledger(load_plan(), load_all("real"))
    assert [entry.claim.id for entry in entries] == [line.partition(",")[0] for line in lines]
    for entry in entries:
        _, _, verdict, _, runs, words = entry.line.split("\t")
        for run_id in runs.split(",") if runs != "-" else []:
            assert Path(f"results/runs/{run_id}.json").is_file()
        assert verdict != "not run" or len(words) > 20


def test_without_runs_only_what_needs_none_is_told(plan: Plan) -> None:
    entries = ledger(plan, [])
    assert {entry.claim.id for entry in entries if entry.verdict != "not run"} == SETTLED_WITHOUT_RUNS
    assert verdict(entries, "fig10_gflops_2048") == ("unresolved", "fitted", 0)
    assert verdict(entries, "ds_bijie") == ("unresolved", "same", 0)
    told = next(entry for entry in entries if entry.claim.id == "ds_bijie").finding
    assert told.startswith("770 images in the public set; each shows one date")
    assert set(COUNTED) == {"ds_bijie"}


@pytest.mark.parametrize(
    ("profile", "ious", "expected"),
    [
        ("paper", (0.60, 0.61, 0.62), ("contradicted", "same", 3)),
        ("paper", (0.60,), ("unresolved", "same", 1)),
        ("paper", (0.80, 0.81, 0.82), ("supported", "same", 3)),
        ("paper", (0.733, 0.735, 0.737), ("supported", "same", 3)),
        ("paper", (0.60, 0.75, 0.90), ("unresolved", "same", 3)),
        ("cpu", (0.60, 0.61, 0.62), ("unresolved", "scaled down", 3)),
        ("cpu", (0.80, 0.81, 0.82), ("supported", "scaled down", 3)),
    ],
)
def test_scores_are_judged_by_their_seeds(
    plan: Plan,
    make_record: Callable[..., Record],
    profile: str,
    ious: tuple[float, ...],
    expected: tuple[str, str, int],
) -> None:
    records = [make_record(run, iou) for run, iou in zip(plan.select(profile), ious, strict=False)]
    entries = ledger(plan, records)
    assert verdict(entries, "bijie_iou") == expected
    assert verdict(entries, "cld_iou") == ("not run", None, 0)
    assert verdict(entries, "bijie_iou_gain") == ("not run", None, 0)
    told = next(entry for entry in entries if entry.claim.id == "bijie_iou")
    assert told.records == tuple(records)


def test_what_was_measured_is_said_and_needs_nothing(plan: Plan, make_record: Callable[..., Record]) -> None:
    records = [make_record(run, 0.60 + 0.02 * run.seed) for run in plan.select("cpu")]
    told = {entry.claim.id: entry for entry in ledger(plan, records)}
    assert (told["bijie_iou"].finding, told["bijie_iou"].needs) == ("IoU 62.00 [57.03, 66.97] %", "")
    assert told["bijie_f1"].finding.startswith("F1 76.5")
    assert (told["cld_iou_gain"].finding, "GPU hours" in told["cld_iou_gain"].needs) == ("", True)
    assert "\tunresolved\tfitted\t-\tcounted: base costs 3068 GMAC" in told["fig10_gflops_2048"].line


def test_a_small_part_of_a_data_set_is_judged_as_everywhere(plan: Plan, make_record: Callable[..., Record]) -> None:
    """36 tiles of CLD are not the paper's data: "other data", in the ledger as in the tables; the whole of it is."""
    run = next(run for run in plan.select("cpu") if run.dataset == "cld")
    whole = make_record(run, 0.5)
    part = replace(whole, metrics={**whole.metrics, "per_image": {**whole.metrics["per_image"], "n": 7}})
    (entry,) = (entry for entry in ledger(plan, [part]) if entry.claim.id == "cld_iou")
    assert (entry.verdict, entry.condition, entry.records) == ("unresolved", "other data", (part,))
    assert entry.finding == "IoU 50.00 % of tiny on 7 test images of the one part of CLD at hand"
    (table, *_) = tables.comparison("cld", "scgcnet", plan, [part])
    assert {row["Condition"] for row in rows(table)} == {"other data"}
    assert {row["Paper"] for row in rows(table)} == {row["Difference"] for row in rows(table)} == {"-"}
    assert {row["Verdict"] for row in rows(table)} == {"-"}
    assert "other data" in opening.data_note(run, plan, {"test": Tiles(7)}).title  # type: ignore[dict-item]
    assert "scaled down" in opening.data_note(run, plan, {"test": Tiles(4173)}).title  # type: ignore[dict-item]


class Tiles:
    """A test part of so many real images."""

    kind = "real"

    def __init__(self, number: int) -> None:
        self.number = number

    def __len__(self) -> int:
        return self.number


@pytest.fixture
def rivals(plan: Plan, make_record: Callable[..., Record]) -> list[Record]:
    """Three seeds of ours, with the profile's own rate, and three of U-Net, ten points below."""
    first = {choice.model: choice.run for choice in choices(plan, [])}
    ious = {"scgcnet": 0.80, "unet": 0.70}
    return [
        make_record(replace(first[model], seed=seed), iou + 0.01 * seed)
        for model, iou in ious.items()
        for seed in range(3)
    ]


def test_what_is_no_single_score_is_found_out(plan: Plan, rivals: list[Record]) -> None:
    entries = ledger(plan, rivals, trials=[])
    assert verdict(entries, "bijie_iou_gain") == ("supported", "scaled down", 6)
    (entry,) = (entry for entry in entries if entry.claim.id == "bijie_iou_gain")
    assert entry.line.split("\t")[-1] == entry.finding and "unet, 71.0: +10.0" in entry.finding
    assert verdict(entries, "best_all_metrics") == ("unresolved", "scaled down", 6)
    assert verdict(entries, "fewer_false") == ("not run", None, 0)  # nobody was counted by image


def test_the_rate_that_won_the_trials_is_compared(plan: Plan, rivals: list[Record]) -> None:
    ours = [trial for trial in plan.trials if trial.model == "scgcnet"]
    won = [SimpleNamespace(run_id=trial.run_id, val_iou=trial.settings["lr"]) for trial in ours]
    assert max(trial.settings["lr"] for trial in ours) != rivals[0].config["settings"]["lr"]
    assert verdict(ledger(plan, rivals, trials=won), "bijie_iou_gain") == ("not run", None, 0)


def test_trials_are_read_from_the_store(plan: Plan, rivals: list[Record], project: Path) -> None:
    (project / "results" / "trials").mkdir()
    (project / "results" / "trials" / "x.json").write_text("{")
    with pytest.raises(StoreError, match=r"x\.json: cannot be read as JSON"):
        ledger(plan, rivals)


def test_splits_are_not_mixed_with_seeds(plan: Plan, make_record: Callable[..., Record]) -> None:
    entry = next(e for e in ledger(plan, [make_record(r) for r in plan.select("cpu")]) if e.claim.id == "bijie_iou")
    assert [(record.split, record.seed) for record in entry.records] == [(0, 0), (0, 1), (0, 2)]


def test_the_nearest_configuration_decides(plan: Plan, make_record: Callable[..., Record]) -> None:
    tiny = [make_record(run, 0.9) for run in plan.select("cpu")]
    small, base = (make_record(run, 0.5, params=n) for run, n in zip(plan.select("gpu"), (10**7, 10**8), strict=True))
    same = [make_record(run, 0.6 + 0.01 * run.seed) for run in plan.select("paper")]
    assert verdict(ledger(plan, tiny), "bijie_iou") == ("supported", "scaled down", 3)
    assert verdict(ledger(plan, [*tiny, small]), "bijie_iou") == ("unresolved", "scaled down", 1)
    (entry,) = (e for e in ledger(plan, [*tiny, base, small]) if e.claim.id == "bijie_iou")
    assert [record.run_id for record in entry.records] == [base.run_id]
    assert verdict(ledger(plan, [*tiny, base, *same]), "bijie_iou") == ("contradicted", "same", 3)


def test_synthetic_runs_say_nothing(plan: Plan, make_record: Callable[..., Record]) -> None:
    fakes = [make_record(run, 0.9, kind="synthetic") for run in plan.runs]
    assert [e.line for e in ledger(plan, fakes)] == [e.line for e in ledger(plan, [])]


def test_stale_runs_count(plan: Plan, make_record: Callable[..., Record]) -> None:
    records = [make_record(run, code_sha256="1" * 64) for run in plan.select("cpu")]
    assert verdict(ledger(plan, records), "bijie_iou") == ("unresolved", "scaled down", 3)


def test_runs_without_claims_say_nothing(plan: Plan, make_record: Callable[..., Record]) -> None:
    trial = make_record(plan.make_run("bijie", "scgcnet", "tiny", "cpu", changes={"epochs": 1}))
    assert verdict(ledger(plan, [trial]), "bijie_iou") == ("not run", None, 0)


def test_another_data_set_never_settles_a_claim(plan: Plan, make_record: Callable[..., Record]) -> None:
    plan = speaking_to(plan, "cld_iou")
    high = [make_record(run, 0.99 + 0.001 * run.seed) for run in plan.select("paper")]
    assert verdict(ledger(plan, high), "cld_iou") == ("unresolved", "other data", 3)


def test_a_data_set_is_known_by_either_name(
    plan: Plan, make_record: Callable[..., Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table I's head calls HR-GLDD "GLDD"."""
    monkeypatch.setitem(tables.PAPER_DATASETS, "bijie", "GLDD")
    plan = speaking_to(plan, "gldd_iou_gain")
    assert verdict(ledger(plan, [make_record(run) for run in plan.select("paper")]), "gldd_iou_gain")[1] == "same"


def test_a_baseline_that_is_better_does_not_support_a_low_score(plan: Plan, make_record: Callable[..., Record]) -> None:
    plan = speaking_to(plan, "bijie_iou")
    for changes in ({"flags": {"cam": False}}, {"model": "unet"}):
        records = [make_record(run, 0.99, **changes) for run in plan.select("paper")]
        assert verdict(ledger(plan, records), "bijie_iou")[0] == "unresolved"


def test_recall_alone_and_what_is_no_score_stay_open(plan: Plan, make_record: Callable[..., Record]) -> None:
    plan = speaking_to(plan, "bijie_vmamba_recall", "bijie_iou_gain", "silu_best")
    entries = ledger(plan, [make_record(run, 0.99) for run in plan.select("paper")])
    assert verdict(entries, "bijie_vmamba_recall") == ("unresolved", "same", 3)
    assert verdict(entries, "bijie_iou_gain") == ("unresolved", "same", 3)
    assert verdict(entries, "silu_best") == ("unresolved", "other data", 3)


def test_protocol_is_judged_at_condition_same_only(plan: Plan, make_record: Callable[..., Record]) -> None:
    plan = speaking_to(plan, "lr")
    assert verdict(ledger(plan, [make_record(run) for run in plan.select("cpu")]), "lr") == ("not run", None, 0)


def test_a_planned_claim_without_a_number_is_an_error(plan: Plan, make_record: Callable[..., Record]) -> None:
    path = Path("results/paper/claims.csv")
    path.write_text(path.read_text().replace("73.53,%", "many,%", 1))
    records = [make_record(run) for run in plan.select("cpu")]
    with pytest.raises(PaperError, match=r"row bijie_iou, column value: 'many' is no number"):
        ledger(plan, records)


def test_planned_claims_exist(plan: Plan) -> None:
    runs: tuple[Run, ...] = plan.runs
    assert {claim for run in runs for claim in run.claims} <= set(read_claims())
