"""The committed results: whole, unedited, of the committed splits, and with every look at a test part in the ledger."""

from collections import Counter
from pathlib import Path

import pytest

from scgcnet import zoo
from scgcnet.data.splits import committed_split, file_sha256
from scgcnet.study import store
from scgcnet.study.looks import read_looks
from scgcnet.study.plan import load_plan
from scgcnet.study.store import FOLDERS

REPOSITORY = Path(__file__).resolve().parents[1]
RECORDS = {path.stem: store.load(path) for path in sorted((REPOSITORY / FOLDERS["real"]).glob("*.json"))}
WEIGHTS = sorted((REPOSITORY / "results" / "weights").glob("*.safetensors"))
LOOKS = Counter(look.run_id for look in read_looks("real", REPOSITORY))


@pytest.mark.parametrize("run_id", RECORDS)
def test_a_run_is_on_real_data_under_its_committed_split(run_id: str) -> None:
    record = RECORDS[run_id]
    assert record.data_kind == "real"
    assert record.split_sha256 == file_sha256(committed_split(record.dataset, record.split))
    assert record.dirty is False  # its commit has the code that made it
    assert record.test_looks <= LOOKS[run_id]


def test_all_runs_on_a_data_set_saw_the_same_images() -> None:
    seen: dict[str, set[str]] = {}
    for record in RECORDS.values():
        seen.setdefault(record.dataset, set()).add(record.data_sha256)
    assert {dataset: len(hashes) for dataset, hashes in seen.items()} == dict.fromkeys(seen, 1)


def test_every_look_is_at_a_split_of_its_run() -> None:
    for look in read_looks("real", REPOSITORY):
        if look.run_id in RECORDS:
            record = RECORDS[look.run_id]
            assert (look.dataset, look.split) == (record.dataset, record.split)


def test_claims_are_those_of_the_plan() -> None:
    for run in load_plan(REPOSITORY / "study.yml").runs:
        if run.run_id in RECORDS:
            assert RECORDS[run.run_id].claims == list(run.claims)


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "results" / "weights").glob("*.safetensors")), ids=lambda p: p.stem
)
def test_published_weights_belong_to_a_stored_run(path: Path) -> None:
    metadata = zoo.read_metadata(path)
    record = RECORDS[metadata["run_id"]]
    assert metadata["finished_utc"] == record.finished_utc
    network = zoo.load_model(path)
    assert sum(p.numel() for p in network.parameters() if p.requires_grad) == record.params
    assert path.with_suffix(".md").is_file()  # its model card
