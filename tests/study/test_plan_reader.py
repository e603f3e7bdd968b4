"""study.yml as it is read: what a line stands for, and what is refused with its key."""

import json
from pathlib import Path

import pytest
import yaml

from scgcnet.study.plan import PlanError
from scgcnet.study.plan_reader import load_plan, loss_grid

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tree():
    return json.loads(json.dumps(yaml.safe_load((REPOSITORY / "study.yml").read_text())))  # without aliases


@pytest.fixture
def write(tmp_path):
    def write(tree) -> Path:
        path = tmp_path / "study.yml"
        path.write_text(yaml.safe_dump(tree))
        return path

    return write


def changed(tree, *keys, value):
    """A copy of the tree with one value set."""
    copy = json.loads(json.dumps(tree))
    block = copy
    for key in keys[:-1]:
        block = block[key]
    block[keys[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("profiles", "cpu", "epohcs"), 5, r"profiles\.cpu: unknown key epohcs"),
        (("profiles", "cpu", "augment", "flip"), 1, r"profiles\.cpu\.augment: unknown key flip"),
        (("profiles", "cpu", "epochs"), 0, r"profiles\.cpu\.epochs: 0 is less"),
        (("profiles", "cpu", "lr"), "2e-3", r"profiles\.cpu\.lr: .*write 2\.0e-4"),
        (("profiles", "cpu", "optimizer"), "sgd", r"profiles\.cpu\.optimizer: 'sgd' is not one of"),
        (("runs", 0, "profile"), "warp", r"runs\.0\.profile: no profile 'warp'"),
        (("runs", 0, "seeds"), [0, 0], r"runs\.0\.seeds: "),
        (("runs", 0, "priority"), True, r"runs\.0\.priority: True is not of type 'integer'"),
        (("runs", 1, "dataset"), "../etc", r"runs\.1\.dataset: "),
        (("chapters", "bijie", "template"), "book/x.py", r"chapters\.bijie\.template: "),
        (("chapters", "bijie", "parametres"), {}, r"chapters\.bijie: unknown key parametres"),
        (("exhibits", "table1", "title"), 5, r"exhibits\.table1\.title: "),
        (("extra",), 1, r"top level: unknown key extra"),
    ],
)
def test_faults_are_refused_with_their_key(tree, write, keys, value, message):
    path = write(changed(tree, *keys, value=value))
    with pytest.raises(PlanError, match=message) as error:
        load_plan(path)
    assert str(path) in str(error.value)


def small(tree, **blocks):
    """A plan with no more than these blocks, beside profiles, chapters and exhibits."""
    return {**{key: tree[key] for key in ("profiles", "chapters", "exhibits")}, "runs": [], **blocks}


RUN = {"dataset": "bijie", "model": "scgcnet", "size": "tiny", "profile": "cpu", "splits": [0], "seeds": [0]} | {
    "priority": 1
}
TRIAL = {"dataset": "bijie", "model": "scgcnet", "size": "tiny", "profile": "cpu", "split": 0, "seed": 0}


def test_lists_stand_for_every_combination(tree, write):
    flags = [{"cam": False}, {"hmie": False, "dilations": [[[1, 1, 1]], [[2, 2, 2]]]}]
    block = {**RUN, "dataset": ["cld", "bijie"], "model": ["scgcnet", "unet"], "overrides": flags}
    block |= {"splits": [0, 1], "seeds": [0, 1, 2]}
    runs = load_plan(write(small(tree, runs=[block]))).runs
    found = [(run.dataset, run.model, flags.index(run.overrides), run.split, run.seed) for run in runs]
    assert found == [
        (dataset, model, changed, split, seed)
        for dataset in ("cld", "bijie")
        for model in ("scgcnet", "unet")
        for changed in (0, 1)
        for split in (0, 1)
        for seed in (0, 1, 2)
    ]
    assert len({run.run_id for run in runs}) == len(runs) == 48


def test_a_list_of_one_and_a_single_value_are_the_same(tree, write):
    single = {**RUN, "overrides": {"cam": False}}
    listed = {**RUN, "dataset": ["bijie"], "model": ["scgcnet"], "overrides": [{"cam": False}]}
    (one,), (other,) = (load_plan(write(small(tree, runs=[block]))).runs for block in (single, listed))
    assert one == other
    with pytest.raises(PlanError, match="is listed twice"):
        load_plan(write(small(tree, runs=[single, listed])))


def test_increments_are_expanded_for_every_network(tree, write):
    block = {**RUN, "dataset": "landslide4sense", "model": ["unet", "swin"], "train": ["bijie"]}
    block["increments"] = {"by": "patch", "percents": [5, 20], "settings": {"epochs": 10}}
    runs = load_plan(write(small(tree, runs=[block]))).runs
    assert [(run.model, run.increment.percent) for run in runs] == [
        (model, percent) for model in ("unet", "swin") for percent in (0, 5, 20)
    ]
    assert all(run.start is None if run.increment.percent == 0 else run.start.model == run.model for run in runs)
    block["dataset"] = ["landslide4sense", "bijie"]
    with pytest.raises(PlanError, match=r"runs\.0\.train: increments of bijie need other data sets to start from"):
        load_plan(write(small(tree, runs=[block])))


def test_a_way_to_predict_is_part_of_the_run(tree, write):
    plain = RUN
    views = {**RUN, "prediction": {"views": 8, "thresholds": [0.4, 0.5]}}
    runs = load_plan(write(small(tree, runs=[plain, views]))).runs
    assert [run.prediction for run in runs] == [None, {"views": 8, "thresholds": [0.4, 0.5]}]
    assert [run.config.get("prediction") for run in runs] == [run.prediction for run in runs]
    assert len({run.run_id for run in runs}) == 2
    assert runs[0].run_id == load_plan().make_run("bijie", "scgcnet", "tiny", "cpu").run_id  # which stays as it was


def test_the_grid_of_loss_weights(tree, write):
    assert loss_grid(2) == [(0, 0, 1), (0, 0.5, 0.5), (0, 1, 0), (0.5, 0, 0.5), (0.5, 0.5, 0), (1, 0, 0)]
    assert len(loss_grid(10)) == 66
    plan = load_plan(write(small(tree, loss_weights=[{**TRIAL, "steps": 2, "settings": {"epochs": 8}}])))
    weights = [tuple(trial.settings["loss"].values()) for trial in plan.loss_trials]
    assert weights == loss_grid(2)
    assert {trial.settings["epochs"] for trial in plan.loss_trials} == {8}
    assert plan.select_trials("cpu") == list(plan.loss_trials) and plan.select_trials("gpu") == []
    assert plan.find_trial(plan.loss_trials[3].run_id) == plan.loss_trials[3]
    assert plan.runs == () == plan.trials


def test_other_constructions_are_trials(tree, write):
    built = [{"msle": "depthwise"}, {"state_size": 4}]
    plan = load_plan(write(small(tree, constructions=[{**TRIAL, "settings": {"epochs": 2}, "overrides": built}])))
    assert [dict(trial.overrides) for trial in plan.construction_trials] == built
    assert {trial.settings["epochs"] for trial in plan.construction_trials} == {2}
    assert plan.select_trials() == list(plan.construction_trials)


def test_other_recipes_are_trials(tree, write):
    recipes = [{"ema_decay": 0.9}, {"ema_decay": 0.9, "image_size": 256}]
    plan = load_plan(write(small(tree, recipes=[{**TRIAL, "settings": recipes}])))
    usual = plan.profile("cpu").settings
    assert [dict(trial.settings) for trial in plan.recipe_trials] == [{**usual, **changes} for changes in recipes]
    assert plan.select_trials() == list(plan.recipe_trials)
    assert plan.runs == ()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ({"runs": [{**RUN, "dataset": []}]}, r"runs\.0\.dataset: "),
        ({"runs": [{**RUN, "dataset": ["bijie", "bijie"]}]}, r"runs\.0\.dataset: "),
        ({"runs": [{**RUN, "model": ["unet", "../x"]}]}, r"runs\.0\.model"),
        ({"runs": [{**RUN, "model": [["unet"]]}]}, r"runs\.0\.model"),
        ({"runs": [{**RUN, "overrides": []}]}, r"runs\.0\.overrides: "),
        ({"runs": [{**RUN, "overrides": ["cam"]}]}, r"runs\.0\.overrides"),
        ({"runs": [{**RUN, "overrides": [{"cam": False}, {"cam": False}]}]}, "is listed twice"),
        ({"runs": [{**RUN, "prediction": {"views": 4, "thresholds": [0.5]}}]}, r"runs\.0\.prediction\.views: 4 is not"),
        ({"runs": [{**RUN, "prediction": {"views": 8, "thresholds": []}}]}, r"runs\.0\.prediction\.thresholds: "),
        ({"runs": [{**RUN, "prediction": {"views": 8, "thresholds": [1.0]}}]}, r"prediction\.thresholds\.0: 1\.0 is"),
        ({"runs": [{**RUN, "prediction": {"views": 8}}]}, r"runs\.0\.prediction: 'thresholds' is a required"),
        ({"runs": [{**RUN, "prediction": {"views": 8, "thresholds": [0.5], "x": 1}}]}, r"prediction: unknown key x"),
        ({"runs": [{**RUN, "settings": {"epoch": 1}}]}, r"runs\.0\..*unknown key epoch "),
        ({"loss_weights": [{**TRIAL, "steps": 0, "settings": {}}]}, r"loss_weights\.0\.steps: 0 is less"),
        ({"loss_weights": [{**TRIAL, "steps": 101, "settings": {}}]}, r"loss_weights\.0\.steps: 101 is greater"),
        ({"loss_weights": [{**TRIAL, "steps": 2}]}, r"loss_weights\.0: 'settings' is a required"),
        ({"loss_weights": [{**TRIAL, "steps": 2, "settings": {}, "model": ["unet"]}]}, r"loss_weights\.0\.model: "),
        ({"loss_weights": [{**TRIAL, "steps": 2, "settings": {}, "profile": "warp"}]},
         r"loss_weights\.0\.profile: no profile 'warp'"),
        ({"loss_weights": [{**TRIAL, "steps": 2, "settings": {"epoch": 8}}]},
         r"loss_weights\.0\.settings: .*unknown key epoch "),
        ({"loss_weights": [{**TRIAL, "steps": 2, "settings": {"epochs": 0}}]},
         r"loss_weights\.0\.settings: .*epochs: 0 is less"),
        ({"recipes": [{**TRIAL, "settings": []}]}, r"recipes\.0\.settings: "),
        ({"constructions": [{**TRIAL, "settings": {}, "overrides": []}]}, r"constructions\.0\.overrides: "),
        ({"constructions": [{**TRIAL, "settings": {"x": 1}, "overrides": [{}]}]}, r"constructions\.0\.settings: .*x"),
        ({"recipes": [{**TRIAL, "settings": {"epochs": 8}}]}, r"recipes\.0\.settings: .* is not of type 'array'"),
        ({"recipes": [{**TRIAL, "settings": [{"epochs": 8}, {"epochs": 8}]}]}, r"recipes\.0\.settings: "),
        ({"recipes": [{**TRIAL, "settings": [{}, {"epoch": 8}]}]}, r"recipes\.0\.settings: .*unknown key epoch "),
        ({"recipes": [{**TRIAL, "settings": [{}], "profile": "warp"}]}, r"recipes\.0\.profile: no profile 'warp'"),
        ({"recipes": [{**TRIAL, "settings": [{}], "split": "grouped-0"}]}, r"recipes\.0\.split: "),
    ],
)  # fmt: skip
def test_bad_blocks_are_refused_with_their_key(tree, write, blocks, message):
    path = write(small(tree, **blocks))
    with pytest.raises(PlanError, match=message) as error:
        load_plan(path)
    assert str(path) in str(error.value)


def test_a_missing_key_is_named(tree, write):
    settings = {key: value for key, value in tree["profiles"]["gpu"].items() if key != "lr"}
    with pytest.raises(PlanError, match=r"profiles\.gpu: 'lr' is a required property"):
        load_plan(write(changed(tree, "profiles", "gpu", value=settings)))


def test_the_same_run_twice_is_refused(tree, write):
    again = next(block for block in tree["runs"] if block["dataset"] == "bijie")
    with pytest.raises(PlanError, match=r"bijie-scgcnet-tiny-cpu-s0-.* is listed twice"):
        load_plan(write(changed(tree, "runs", value=[*tree["runs"], again])))


def test_a_claim_the_paper_does_not_make_is_refused(project):
    text = (project / "study.yml").read_text()
    (project / "study.yml").write_text(text.replace("claims: [bijie_iou, bijie_f1]", "claims: [bijie_uoi]", 1))
    first = next(index for index, block in enumerate(yaml.safe_load(text)["runs"]) if "claims" in block)
    with pytest.raises(PlanError, match=rf"runs\.{first}\.claims: 'bijie_uoi' is no id"):
        load_plan()


def test_yaml_cannot_run_code(tmp_path):
    path = tmp_path / "study.yml"
    path.write_text("profiles: !!python/object/apply:os.system ['touch pwned']")
    with pytest.raises(PlanError, match="not valid YAML"):
        load_plan(path)
