"""The page's data: what a case takes, what comes back of it, and names that would break a page."""

import base64
import html
import json
import re
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from fake_atlas import NAMES, fake_atlas
from PIL import Image
from scipy import ndimage

from scgcnet.data import Sample
from scgcnet.explain.atlas import Atlas
from scgcnet.explain.explorer import MAX_BYTES, PAGE, case_data, plain_table, write_explorer
from scgcnet.explain.failures import curves, quantise
from scgcnet.files import WriteError

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return fake_atlas()


def write(atlas: Atlas, root: Path) -> Path:
    return write_explorer(atlas, [*atlas.entries, *atlas.free], root)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project that has the page's own files."""
    (tmp_path / PAGE).parent.mkdir()
    (tmp_path / PAGE).symlink_to(REPOSITORY / PAGE)
    return tmp_path


def index_of(page: Path) -> dict:
    text = (page.parent / "data" / "index.js").read_text()
    return json.loads(text.removeprefix("window.ATLAS = ").rstrip(";\n"))


def case_of(text: str) -> tuple[str, dict]:
    number, data = json.loads(f"[{text.removeprefix('atlasCase(').rstrip().removesuffix(');')}]")
    return number, data


def unpacked(text: str, rows: int, columns: int) -> np.ndarray:
    bytes_ = np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(rows, columns)
    return bytes_.cumsum(axis=0, dtype=np.uint8).cumsum(axis=1, dtype=np.uint8)


class TestCase:
    @pytest.mark.parametrize("place", range(5))
    def test_comes_back(self, atlas: Atlas, place: int) -> None:
        entry = atlas.entries[place]
        item, text = case_data(entry, "007")
        number, data = case_of(text)
        assert number == item["file"] == "007"
        mask = unpacked(data["mask"], item["height"], item["width"])
        np.testing.assert_array_equal(mask, entry.sample.mask)
        for stored, small in zip(data["small"], entry.small, strict=True):
            np.testing.assert_array_equal(unpacked(stored["data"], stored["rows"], stored["columns"]), small)
        photo = np.asarray(Image.open(BytesIO(base64.b64decode(data["photo"].partition(",")[2]))))
        assert photo.shape == entry.sample.image.shape
        assert np.abs(photo.astype(float) - entry.sample.image).mean() < 10

    def test_numbers(self, atlas: Atlas) -> None:
        entry = atlas.entries[2]
        item, _ = case_data(entry, "000")
        facts = entry.facts
        assert (item["dataset"], item["name"], item["resolution"]) == ("drawn", NAMES[2], 0.8)
        assert (item["truth"], item["largest"], item["touches"]) == (facts.truth, facts.largest, facts.touches)
        assert item["edges"] == pytest.approx(facts.edge_density, rel=1e-4)
        counted = curves(entry.sample.mask, entry.values(1))
        assert item["band"] == counted.truth_band
        assert (
            item["models"][1]["tp"] == counted.tp.tolist() and item["models"][1]["hits"] == counted.band_hits.tolist()
        )
        assert item["models"][1]["causes"] == entry.causes[1]

    def test_what_is_no_number_is_null(self, atlas: Atlas) -> None:
        assert case_data(atlas.free[0], "000")[0]["contrast"] is None

    def test_the_largest_fits(self, atlas: Atlas) -> None:
        """A photograph of pure noise, a square kilometre in size, and two networks that draw rough clouds."""
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (1239, 1197, 3), dtype=np.uint8)
        mask = np.kron(rng.integers(0, 2, (40, 40), dtype=np.uint8), np.ones((31, 30), dtype=np.uint8))[:1239, :1197]
        rough = [ndimage.gaussian_filter(rng.normal(size=(128, 128)), 2) for _ in range(2)]
        small = tuple(quantise(1 / (1 + np.exp(-16 * one))) for one in rough)
        entry = replace(atlas.entries[0], sample=Sample("large", image, mask), small=small)
        item, text = case_data(entry, "000")
        assert len(text) + len(json.dumps(item)) <= MAX_BYTES


class TestPage:
    def test_whole(self, atlas: Atlas, root: Path) -> None:
        page = write(atlas, root)
        assert page == root / "build" / "explorer" / "fake-0_fake-1" / "index.html"
        index = index_of(page)
        assert [item["name"] for item in index["cases"]] == NAMES
        assert {item["dataset"] for item in index["cases"]} == {"drawn", "no slides"}
        assert [model["threshold"] for model in index["models"]] == [55, 40]
        assert [model["best"] for model in index["models"]] == [
            round(100 * model.best_on_test) for model in atlas.models
        ]
        files = {path.name for path in page.parent.rglob("*") if path.is_file()}
        assert {f"case-{n:03d}.js" for n in range(6)} < files
        text = page.read_text()
        assert "{{" not in text and "5 of 5 test images, and 1 of 1 images of the same place" in text
        named = re.findall(r'(?:src|href)="([^"#:]+)"', text)
        assert {"scores.js", "explorer.css", "data/index.js"} <= set(named) <= files | {"data/index.js"}

    def test_no_name_breaks_it(self, atlas: Atlas, root: Path) -> None:
        page = write(atlas, root)
        text = page.read_text()
        for name in NAMES:
            assert html.escape(name) in text
        assert text.count("<script") == text.count("</script>") == 5  # the page's own
        assert "<b>" not in text
        for path in (page.parent / "data").iterdir():
            assert not set("<>&\u2028") & set(path.read_text())

    def test_synthetic_images_are_called_so(self, atlas: Atlas, root: Path) -> None:
        assert "its numbers mean nothing" in write(atlas, root).read_text()
        real = write(replace(atlas, kind="real"), root).read_text()
        assert "its numbers mean nothing" not in real and "may not be redistributed" in real

    def test_one_network(self, root: Path) -> None:
        page = write(fake_atlas(models=1), root)
        assert page.parent.name == "fake-0"
        assert len(index_of(page)["models"]) == len(index_of(page)["cases"][0]["models"]) == 1

    def test_an_older_page_is_replaced_whole(self, atlas: Atlas, root: Path) -> None:
        page = write(atlas, root)
        (page.parent / "data" / "old.js").touch()
        write_explorer(atlas, atlas.entries[:1], root)
        assert sorted(path.name for path in (page.parent / "data").iterdir()) == ["case-000.js", "index.js"]
        assert [path.name for path in page.parents[1].iterdir()] == [page.parent.name]

    def test_a_folder_that_cannot_be_made(self, atlas: Atlas, root: Path) -> None:
        (root / "build").write_text("in the way")
        with pytest.raises(WriteError, match="make room, or make the folder writable"):
            write(atlas, root)


def rows_of(table: str) -> list[list[str]]:
    rows = (re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall("<tr>(.*?)</tr>", table))
    return [[html.unescape(cell) for cell in row] for row in rows]


def test_plain_table(atlas: Atlas) -> None:
    head, *rows = rows_of(plain_table(atlas.models, atlas.entries))
    assert len(rows) == 5 and all(len(row) == len(head) == 6 + 2 * 6 for row in rows)
    assert [row[1] for row in rows] == NAMES[:5]
    entry = atlas.entries[2]
    assert rows[2][2:4] == [f"{entry.facts.truth:,}", f"{entry.facts.truth * 0.64:,.0f}"]
    assert rows[0][3] == "-"
    for place, found in enumerate(entry.predictions):
        own = rows[2][6 + 6 * place :]
        assert own[:3] == [f"{100 * found.iou:.1f}", f"{found.fn:,}", f"{found.fp:,}"]
