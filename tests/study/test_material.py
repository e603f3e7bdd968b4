"""What runs on several data sets are trained and tested on, on fakes."""

from dataclasses import replace

import pytest

from scgcnet.data import DatasetError, data_sha256, open_dataset, open_whole, split_sha256, write_fake
from scgcnet.study import replaced, runner, store
from scgcnet.study.ledger import StoreError
from scgcnet.study.material import datasets_of, open_domains, open_material, open_test
from scgcnet.study.plan import Increment, Run
from scgcnet.study.plan_reader import load_plan
from scgcnet.study.runner import run, weights_for


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    root = tmp_path / "fakes"
    write_fake("bijie", root, n=12, seed=0)
    write_fake("landslide4sense", root, n=15, seed=1)
    monkeypatch.setenv("SCGCNET_DATA", str(root))
    return root


@pytest.fixture
def spec(project, fakes):
    settings = load_plan().profile("cpu").changed({"epochs": 1, "image_size": 32, "batch_size": 4})
    return Run("landslide4sense", "scgcnet", "tiny", "cpu", settings)


def test_one_data_set_is_as_it_always_was(spec):
    material = open_material(spec)
    assert material.train.names == open_dataset("landslide4sense", 0, "train").names
    assert material.data_sha256 == data_sha256("landslide4sense")
    assert material.split_sha256 == split_sha256("landslide4sense", 0)
    assert list(open_domains(spec)) == []
    assert "increment" not in spec.config and "start" not in spec.config


def test_a_domain_left_out_is_not_trained_on_and_scored_whole(spec):
    other = replace(spec, train=("bijie",))
    material = open_material(other)
    assert datasets_of(other) == ["bijie", "landslide4sense"]
    assert material.train.names == open_dataset("bijie", 0, "train").names
    assert material.val.names == open_dataset("bijie", 0, "val").names
    assert open_test(other).names == open_dataset("landslide4sense", 0, "test").names
    assert [(name, part) for name, part, _ in open_domains(other)] == [
        ("bijie", "val"),
        ("bijie", "test"),
        ("landslide4sense", "train"),
        ("landslide4sense", "val"),
        ("landslide4sense", "test"),
    ]
    # What is tested on is part of the hash, also where it is not trained on.
    assert material.data_sha256 not in (data_sha256("bijie"), data_sha256("landslide4sense"))


def test_merged_training(spec):
    both = replace(spec, train=("bijie", "landslide4sense"))
    material = open_material(both)
    assert dict(material.train.sources) == {
        name: len(open_dataset(name, 0, "train")) for name in ("bijie", "landslide4sense")
    }
    assert material.train.kind == "synthetic"
    assert {(name, part) for name, part, _ in open_domains(both)} == {
        (name, part) for name in ("bijie", "landslide4sense") for part in ("val", "test")
    }


def test_increments_train_on_the_pool_and_test_on_the_rest(spec):
    base = replace(spec, train=("bijie",), increment=Increment(0))
    whole = open_whole("landslide4sense")
    assert open_material(base).train.names == open_dataset("bijie", 0, "train").names
    most = replace(base, increment=Increment(20))
    added = set(open_material(most).train.names) - {f"bijie/{name}" for name in open_dataset("bijie", 0, "train").names}
    tested = set(open_test(most).names)
    assert {f"landslide4sense/{name}" for name in set(whole.names) - tested} == added
    assert tested == set(open_test(base).names)
    assert open_material(most).split_sha256 != open_material(base).split_sha256


def test_an_increment_goes_on_from_the_weights_of_the_first(project, spec):
    base = replace(spec, train=("bijie",), increment=Increment(0))
    more = replace(base, increment=Increment(20), start=base)
    record = run(more, progress=False)
    assert record.config["start"] == base.run_id
    assert set(record.domains) == {"bijie"}
    assert record.domains["bijie"]["test"]["n"] == len(open_dataset("bijie", 0, "test"))
    # The first was run for it, and is stored as well.
    assert (project / "build" / "runs" / f"{base.run_id}.json").is_file()
    stored = run(base, progress=False)
    assert stored.domains["bijie"] != {}
    counts = stored.metrics["per_image"]["n"]
    assert counts == len(open_test(base))
    # Once the first is made again, the weights that the other went on from are no more.
    assert not store.is_stale(record)
    store.save(replace(stored, finished_utc="2999-01-02T03:04:05Z"), project)
    assert store.is_stale(record) and not store.is_stale(stored)
    # Unless the same code came to the same number.
    replaced.note_replaced(replace(stored, data_kind="real"), project)
    assert not store.is_stale(record)
    store.save(replace(stored, finished_utc="2999-01-02T03:04:05Z", code_sha256="1" * 64), project)
    assert store.is_stale(record)


def test_a_real_start_without_its_weights_is_not_replaced_in_silence(spec, monkeypatch):
    base = replace(spec, train=("bijie",), increment=Increment(0))
    stored = replace(run(base, progress=False), data_kind="real")
    weights_for(stored).unlink()
    asked = []

    def read(spec, *, force=False, progress=True):
        asked.append((spec, force))
        return stored

    monkeypatch.setattr(runner, "run", read)
    with pytest.raises(StoreError, match=f"the weights of {base.run_id} are not at hand.*{base.run_id} --force"):
        run(replace(base, increment=Increment(20), start=base), progress=False)
    assert asked == [(base, False)]


def test_made_up_images_beside_real_ones_are_refused(spec, fakes):
    both = replace(spec, train=("bijie", "landslide4sense"))
    assert open_material(both).kind == open_material(spec).kind == "synthetic"
    (fakes / "Bijie-landslide-dataset" / "synthetic.json").unlink()  # what marks them
    with pytest.raises(DatasetError, match="landslide4sense is made up and others are not: get it, too"):
        open_material(replace(spec, train=("bijie",)))
    assert open_material(spec).kind == "synthetic"
