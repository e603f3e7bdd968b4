from types import SimpleNamespace

import numpy as np
import pytest

from scgcnet.chapters.common import data_note, data_table, made_table, page_note
from scgcnet.study import PlanError
from scgcnet.study.results import frame


def test_a_page_names_its_kind_of_data(plan):
    assert page_note(plan, "smoke").kind == "warning"
    assert page_note(plan, "cpu").kind == "note"
    with pytest.raises(PlanError, match="no profile 'quick'"):
        page_note(plan, "quick")


@pytest.mark.parametrize(
    ("profile", "kinds", "title"),
    [
        ("smoke", [], "Synthetic data"),
        ("cpu", [], "Real data, scaled down"),
        ("paper", [], "The paper's protocol"),
        ("cpu", ["synthetic"], "Synthetic data"),  # synthetic images in the layout of the real ones
    ],
)
def test_a_page_names_its_protocol(plan, profile, kinds, title):
    parts = {str(place): SimpleNamespace(kind=kind) for place, kind in enumerate(kinds)}
    assert data_note(plan.select(profile)[0], plan, parts).title == title


def test_synthetic_runs_have_rows_and_real_ones_a_number(plan, make_record, stored):
    plain, changed = (make_record(run, 0.25, kind="synthetic", wall_s=2.4) for run in plan.select("smoke")[:2])
    table = made_table(frame([plain, changed, make_record(plan.select("cpu")[0])])).frame
    assert table["Changes"].tolist() == ["-", "hmie True, cam False, psccs False"]
    assert table.iloc[0, 4:6].tolist() == ["25.0", "2 s"] and "means nothing" in table.columns[4]
    assert [link.href for link in table["File"]] == [plain.file, changed.file]
    assert made_table(stored).frame.to_numpy().tolist() == [[8]]
    assert made_table(frame([])).frame.to_numpy().tolist() == [[0]]


class Part(list):
    kind = "synthetic"


def test_the_share_of_landslide_is_of_the_known_pixels():
    masks = [np.array([[1, 0, 0, 255], [255] * 4], np.uint8), np.full((2, 6), 255, np.uint8)]
    table = data_table({"test": Part(SimpleNamespace(mask=mask) for mask in masks)})
    assert table.frame.iloc[0].tolist() == ["test", 2, "2 to 6, median 4", "33.3 %"]
    assert table.caption.endswith("synthetic images")
    assert data_table({}).frame.to_numpy().tolist() == [["all", "not available"]]
