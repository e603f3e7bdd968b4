"""The committed results: whole, unedited, of the committed splits, and with every look at a test part in the ledger."""

import json
import statistics
from collections import Counter
from pathlib import Path

import pytest

from scgcnet import zoo
from scgcnet.data.splits import committed_split, read_split, split_hash
from scgcnet.peers.catalogue import ENTRIES
from scgcnet.study import store
from scgcnet.study.comparison_tables import contestants
from scgcnet.study.construction_tables import trials_note
from scgcnet.study.contest import compare_all
from scgcnet.study.details import FOLDERS as DETAILS
from scgcnet.study.details import find_details
from scgcnet.study.domain_tables import left_out_runs, unseen_iou
from scgcnet.study.forecast import seconds_left
from scgcnet.study.looks import read_looks
from scgcnet.study.measure_tables import alarmed_share
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.replaced import read_replaced
from scgcnet.study.statistics import summarize
from scgcnet.study.store import FOLDERS
from scgcnet.study.tables import PAPER_METHODS
from scgcnet.study.trials import choices

REPOSITORY = Path(__file__).resolve().parents[1]
RECORDS = {path.stem: store.load(path) for path in sorted((REPOSITORY / FOLDERS["real"]).glob("*.json"))}
TRIALS = store.load_trials("real", REPOSITORY)
WEIGHTS = sorted((REPOSITORY / "scgcnet" / "weights").glob("*.safetensors"))
LOOKS = Counter(look.run_id for look in read_looks("real", REPOSITORY))
MADE_AGAIN = Counter(line.run_id for line in read_replaced(REPOSITORY))


PLANNED = {run.run_id for run in load_plan(REPOSITORY / "study.yml").runs}


@pytest.mark.parametrize("run_id", RECORDS)
def test_a_run_is_on_real_data_under_its_committed_split(run_id: str) -> None:
    record = RECORDS[run_id]
    assert record.data_kind == "real"
    if {record.dataset, *record.train_datasets} == {"bijie"}:  # the splits of the others are made from their images
        assert record.split_sha256 == split_hash(read_split(committed_split("bijie", record.split)))
    assert record.test_looks <= LOOKS[run_id]
    looks = [look for look in read_looks("real", REPOSITORY) if look.run_id == run_id]
    assert record.code_sha256 in {look.code_sha256 for look in looks}
    # Its commit has the code that made it; somebody's own trial may be of code that is not committed yet.
    assert record.dirty is False or run_id not in PLANNED


def test_the_readme_tells_what_is_stored() -> None:
    """The scores in its text, from the runs: three seeds on split 0, one seed on three splits."""
    runs = [record for run_id, record in RECORDS.items() if run_id in PLANNED and "bijie_iou" in record.claims]
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    for group in ([r for r in runs if r.split == 0], [r for r in runs if r.seed == 0]):
        found = summarize([100 * record.metrics["resized"]["iou"] for record in group])
        assert found.n == 3
        assert f"{found.mean:.2f} %" in readme
        assert f"{found.low:.2f} to {found.high:.2f}" in readme


def test_the_readme_tells_how_far_one_network_goes() -> None:
    runs = [run for run in load_plan(REPOSITORY / "study.yml").runs if run.prediction is not None]
    ious = {run.model: 100 * RECORDS[run.run_id].metrics["resized"]["iou"] for run in runs}
    assert all((run.prediction or {})["views"] == 8 for run in runs)
    assert all(LOOKS[run.run_id] == 1 + MADE_AGAIN[run.run_id] for run in runs)  # a look for each training
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert f"`tiny` comes to {ious['scgcnet']:.2f} %, ICNet of the same cost to {ious['icnet']:.2f} %" in readme


def test_the_readme_tells_what_rounding_does() -> None:
    lines = read_replaced(REPOSITORY)
    moved = {line: 100 * abs(RECORDS[line.run_id].metrics["pooled"]["iou"] - line.iou) for line in lines}
    at_home = [points for line, points in moved.items() if line.run_id.startswith("bijie-") and "-cpu-" in line.run_id]
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert f"a run's IoU moved by up to {max(at_home):.1f} points on Bijie" in readme
    assert f"by {max(moved.values()):.1f} away from home" in readme


def test_the_readme_tells_who_leads_the_comparison() -> None:
    plan = load_plan(REPOSITORY / "study.yml")
    found = {one.name: one for one in contestants("bijie", plan, list(RECORDS.values()), TRIALS, "cpu")}
    ious = {name: statistics.fmean(one.scores("iou")) for name, one in found.items()}
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    leader = max(ious, key=lambda name: ious[name])
    assert f"{ENTRIES[leader].title} leads with {ious[leader]:.1f} %." in readme
    assert sum(len(one.records) == 3 for one in found.values()) == 6
    assert "SCGC-Net, and the five that did best on the test part with one seed, have three" in readme
    native = {name: statistics.fmean(r.metrics["pooled"]["iou"] for r in one.records) for name, one in found.items()}
    assert max(native, key=lambda name: native[name]) == "segnext" and native["icnet"] < native["scgcnet"]
    assert "Counted at native size SegNeXt leads, and ICNet stands behind SCGC-Net." in readme
    own = [r for r in RECORDS.values() if "bijie_iou" in r.claims and r.split == 0]
    mean = statistics.fmean(100 * record.metrics["resized"]["iou"] for record in own)
    assert f"it comes to {ious['scgcnet']:.1f} %, with its own to {mean:.1f} % (three seeds each)" in readme
    better = [one for one in compare_all(list(found.values()), "scgcnet").values() if one.outcome == "better"]
    assert f"beside the first, {len(better)} networks are better on the same test images" in readme
    assert {alarmed_share(one) for one in found.values() if one.details} == {100.0}
    assert "every one of 150 images of the same place that show none" in readme


def test_the_readme_tells_what_carries_over() -> None:
    plan = load_plan(REPOSITORY / "study.yml")
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    runs = [run for run in plan.select("cpu") if (run.dataset, run.model) == ("landslide4sense", "scgcnet")]
    new = [RECORDS[run.run_id] for run in runs]
    home = next(record for record in new if "increment" not in record.config)
    by_percent = {r.config["increment"]["percent"]: r for r in new if "increment" in r.config}
    ious = [100 * record.metrics["resized"]["iou"] for record in (home, by_percent[0], by_percent[20])]
    counts = [f"{record.metrics['per_image']['n']:,}" for record in (home, by_percent[0], by_percent[20])]
    assert counts == ["199", "1,584", "1,584"]
    told = (
        "comes to {:.1f} % when trained there (199 test images); on 1,584 images of it, to {:.1f} % when trained on "
        "Bijie alone, and to {:.1f} % once a fifth"
    )
    assert told.format(*ious) in readme
    others = [
        100 * RECORDS[run.run_id].metrics["resized"]["iou"]
        for model in ("swin", "danet", "convnext")
        for run in plan.select("cpu")
        if (run.dataset, run.model) == ("landslide4sense", model) and run.increment and run.increment.percent == 20
    ]
    treated = "Swin, DANet and ConvNeXt of the same cost come to {:.1f}, {:.1f} and {:.1f} % there"
    assert treated.format(*others) in readme
    recipes = left_out_runs(plan, "domains")
    (colour,) = (runs for recipe, runs in recipes.items() if "tint" in recipe and "standardise" not in recipe)
    unseen = [unseen_iou(RECORDS[run.run_id]) for run in colour.values()]
    assert f"it comes to {min(unseen):.1f} to {max(unseen):.1f} % on the one left out" in readme
    (multi,) = (record for record in RECORDS.values() if len(record.train_datasets) == 5)
    assert f"gives up much at home for it: {100 * multi.metrics['resized']['iou']:.1f} % on Bijie" in readme


def test_the_readme_tells_how_long_the_study_takes() -> None:
    """Its runs and trials on one core, those stored and what the rest would take: about a day."""
    plan = load_plan(REPOSITORY / "study.yml")
    stored = {one.run_id: one.wall_s for one in (*RECORDS.values(), *TRIALS)}
    everything = [*plan.select("cpu"), *plan.select_trials("cpu")]
    measured = [(run, stored[run.run_id]) for run in everything if run.run_id in stored]
    left = seconds_left([run for run in everything if run.run_id not in stored], measured)
    assert left is not None
    assert 12 < (left + sum(seconds for _, seconds in measured)) / 3600 < 36
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert "(for `cpu` as a whole it is a day of one core)" in readme


def test_the_longest_run_is_that_of_the_profiles_text() -> None:
    about = load_plan(REPOSITORY / "study.yml").profile("cpu").about
    longest = max(record.wall_s for record in RECORDS.values() if record.profile == "cpu") / 60
    assert "the longest about an hour" in about and 20 < longest < 90


def test_more_seeds_went_to_those_that_did_best_with_the_first() -> None:
    """As the page says that shows them (`order_note`)."""
    plan = load_plan(REPOSITORY / "study.yml")
    found = contestants("bijie", plan, list(RECORDS.values()), TRIALS, "cpu")
    first = {choice.model: choice.run for choice in choices(plan, TRIALS) if choice.profile == "cpu"}
    ious = {name: RECORDS[run.run_id].metrics["resized"]["iou"] for name, run in first.items()}
    planned = {
        name: sum({**run.config, "seed": 0} == first[name].config for run in plan.select("cpu")) for name in first
    }
    several = {name for name, number in planned.items() if number > 1}
    others = sorted((name for name in ious if name != "scgcnet"), key=lambda name: -ious[name])
    assert several == {"scgcnet", *others[:5]} and len(found) == len(first)


def test_counts_by_image_belong_to_a_run() -> None:
    """`find_details` holds them against the run file; what is left of an older training has no place here."""
    folder = REPOSITORY / DETAILS["real"]
    found = {path.stem for path in folder.glob("*.json")}
    assert found <= RECORDS.keys()
    assert [run_id for run_id in sorted(found) if find_details(RECORDS[run_id], REPOSITORY) is None] == []


def test_all_runs_on_the_same_data_saw_the_same_images_and_parts() -> None:
    images: dict[object, set[str]] = {}
    parts: dict[object, set[str]] = {}
    for record in RECORDS.values():
        data = frozenset({record.dataset, *record.train_datasets})
        images.setdefault(data, set()).add(record.data_sha256)
        increment = json.dumps(record.config.get("increment"), sort_keys=True)
        parts.setdefault((data, record.dataset, record.split, increment), set()).add(record.split_sha256)
    assert {key: len(hashes) for key, hashes in images.items()} == dict.fromkeys(images, 1)
    assert {key: len(hashes) for key, hashes in parts.items()} == dict.fromkeys(parts, 1)


def test_every_network_takes_the_rate_that_won_its_trials() -> None:
    for choice in choices(load_plan(REPOSITORY / "study.yml"), TRIALS):
        assert choice.best is not None, f"{choice.model}: a trial is missing"
        assert choice.taken == choice.best, choice.model
        # Of other code they would say nothing of the present network.
        stale = [trial.run_id for trial in choice.found.values() if trial is not None and store.is_stale(trial)]
        assert stale == [], f"{choice.model}: make its trials again"


def test_every_network_of_the_comparison_has_a_run_of_the_present_code() -> None:
    planned = [choice.run for choice in choices(load_plan(REPOSITORY / "study.yml"), TRIALS)]
    assert {run.model for run in planned} >= {*PAPER_METHODS, "segnext"}
    assert [run.run_id for run in planned if run.run_id not in RECORDS] == []
    assert [run.run_id for run in planned if store.is_stale(RECORDS[run.run_id])] == []


def test_trials_saw_the_images_of_the_runs_and_their_split() -> None:
    for trial in TRIALS:
        assert trial.split_sha256 == split_hash(read_split(committed_split(trial.dataset, trial.split)))
        runs = [r for r in RECORDS.values() if {r.dataset, *r.train_datasets} == {trial.dataset}]
        assert trial.data_sha256 in {record.data_sha256 for record in runs}
        assert trial.dirty is False


def test_every_look_is_at_a_split_of_its_run() -> None:
    for look in read_looks("real", REPOSITORY):
        if look.run_id in RECORDS:
            record = RECORDS[look.run_id]
            assert look.dataset in {record.dataset, *record.domains}
            assert look.split == record.split


def test_claims_are_those_of_the_plan() -> None:
    for run in load_plan(REPOSITORY / "study.yml").runs:
        if run.run_id in RECORDS:
            assert RECORDS[run.run_id].claims == list(run.claims)


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_published_weights_belong_to_a_stored_run(path: Path) -> None:
    metadata = zoo.read_metadata(path)
    record = RECORDS[metadata["run_id"]]
    assert metadata["finished_utc"] == record.finished_utc
    network = zoo.load_model(path)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == record.params
    assert path.with_suffix(".md").is_file()  # its model card


def test_the_readme_tells_what_the_cheap_construction_keeps() -> None:
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    runs = [record for record in RECORDS.values() if record.flags.get("msle") in ("conv", "depthwise")]
    base, lean = ([r for r in runs if r.flags["msle"] == kind] for kind in ("conv", "depthwise"))
    assert f"with {100 * (1 - lean[0].gmac / base[0].gmac):.0f} % fewer multiplications" in readme
    ours, theirs = (summarize([100 * record.val_iou for record in group]) for group in (lean, base))
    assert (ours.n, theirs.n) == (3, 3)
    for found in (ours, theirs):
        assert f"{found.mean:.1f} % ({found.low:.1f} to {found.high:.1f})" in readme
    tested = [statistics.fmean(100 * r.metrics["resized"]["iou"] for r in group) for group in (lean, base)]
    assert "on the test part {:.1f} and {:.1f} %".format(*tested) in readme


def test_the_readme_tells_that_no_change_of_lean_stands_out() -> None:
    note = trials_note(load_plan(REPOSITORY / "study.yml"), list(RECORDS.values()), TRIALS, "bijie").text
    assert note.startswith("11 of 11 changes were tried") and "Above: none; below: none;" in note
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert "None of eleven single changes of it is told from another seed." in readme


def test_the_readme_tells_what_the_window_does() -> None:
    """And the chapter on mapping, in rounder words."""
    ways = json.loads((REPOSITORY / "results" / "scene" / "seams-multisource.json").read_text("utf-8"))["ways"]
    blended = {(way["scene"], way["window"], way["scale"]): way for way in ways if way["overlap"]}
    iou = {key: 100 * way["iou"] for key, way in blended.items()}
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert f"it has an IoU of {iou['A', 128, 1.0]:.0f} and {iou['B', 128, 1.0]:.0f} % on two mosaics" in readme
    assert f"{iou['A', 1024, 1.0]:.0f} and {iou['B', 1024, 1.0]:.0f} % with the usual 1024" in readme
    for scene in "AB":
        assert iou[scene, 128, 0.5] > iou[scene, 128, 1.0]
        assert 0.7 < iou[scene, 1024, 0.5] / iou[scene, 128, 0.5] < 0.8
        assert 0.55 < iou[scene, 1024, 1.0] / iou[scene, 128, 1.0] < 0.65
        assert 3 < blended[scene, 128, 1.0]["seconds"] / blended[scene, 1024, 1.0]["seconds"] < 5
    for scale in (0.5, 1.0):
        assert max(way["iou"] for way in ways if (way["scene"], way["scale"]) == ("A", scale)) == pytest.approx(
            blended["A", 128, scale]["iou"]
        )
    counts = RECORDS["bijie-scgcnet-tiny-domains-s0-cd1f135964"].domains["amunet"]["test"]
    assert round(100 * counts["tp"] / (counts["tp"] + counts["fp"] + counts["fn"])) == 36


def test_the_readme_tells_what_a_large_scene_takes() -> None:
    measured = json.loads((REPOSITORY / "results" / "scene" / "large.json").read_text("utf-8"))["scene"]
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert f"({measured['peak_mb'] / 1e3:.2f} GB for {measured['side']:,} x {measured['side']:,} px)" in readme
    assert measured["the_same"] is True and len(measured["killed_at"]) == 2


def test_the_readme_tells_what_another_size_does() -> None:
    measured = json.loads((REPOSITORY / "results" / "bench" / "sides.json").read_text("utf-8"))
    for name, one in measured["networks"].items():  # the runs that are stored now, not earlier trainings of them
        record = RECORDS[Path(one["file"]).stem]
        assert (record.model, record.seed, record.finished_utc) == (name, one["seed"], one["finished_utc"])
    ious = measured["places"]["bijie"]["iou"]
    readme = " ".join((REPOSITORY / "README.md").read_text(encoding="utf-8").split())
    assert len(ious) == 5 and all(max(by_side, key=by_side.get) == "128" for by_side in ious.values())
    assert min(ious, key=lambda name: ious[name]["256"]) == "scgcnet"
    ours, danet = ious["scgcnet"], ious["danet"]
    assert f"from {ours['128']:.1f} to {ours['256']:.1f} %" in readme
    assert f"DANet's from {danet['128']:.1f} to {danet['256']:.1f} %" in readme
