"""The page of the failure atlas, driven in a browser: its scores, filters, keys, address and file."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import browser
import pytest
from browser import DESKTOP, PHONE, Visit, look, settle
from fake_atlas import NAMES, THRESHOLDS, fake_atlas
from playwright.sync_api import BrowserContext, Page, expect

from scgcnet.explain.atlas import Atlas
from scgcnet.explain.case_numbers import judge
from scgcnet.explain.explorer import PAGE, write_explorer

REPOSITORY = Path(__file__).resolve().parents[2]
ATLAS = fake_atlas()


def written(atlas: Atlas, folder: Path) -> Path:
    (folder / PAGE).parent.mkdir()
    (folder / PAGE).symlink_to(REPOSITORY / PAGE)
    return write_explorer(atlas, root=folder)


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    expect.set_options(timeout=20_000)
    with browser.open_browser(browser.find_browser()) as opened:
        opened.set_default_timeout(20_000)
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(ATLAS, tmp_path_factory.mktemp("atlas"))


@pytest.fixture
def show(context: BrowserContext, file: Path) -> Iterator[Callable[..., Page]]:
    """Opens the page at an address and a width; nothing may be asked for or complained of by the end."""
    visits: list[Visit] = []

    def show(address: str = "", width: int = DESKTOP, page: Path = file) -> Page:
        visits.append(browser.visit(context, page.as_uri() + address, width))
        opened = visits[-1].page
        opened.wait_for_selector("#panels canvas[role=img]")
        return opened

    yield show
    for visit in visits:
        assert browser.remote_requests(visit) == []
        assert visit.complaints == []
        visit.page.close()


@pytest.fixture
def page(show: Callable[..., Page]) -> Page:
    return show()


def names(page: Page) -> list[str]:
    return page.locator("#list .label").all_text_contents()  # rows out of sight are not laid out


def selected(page: Page) -> str:
    return page.locator("#list [aria-selected=true] .label").text_content()


def scores(page: Page) -> list[dict[str, float]]:
    return json.loads(page.evaluate("document.body.dataset.scores"))


def shown_case(page: Page) -> str:
    return page.locator("#name").inner_text()


def move_to(page: Page, value: int, model: int = 0) -> None:
    """Drag a threshold, in hundredths."""
    page.locator(f"#threshold-{model}").fill(str(value))


def entry_of(name: str) -> object:
    return next(entry for entry in (*ATLAS.entries, *ATLAS.free) if entry.facts.name == name)


def table(page: Page, of: str) -> dict[str, list[str]]:
    rows = page.locator(f"#{of} tbody tr").all()
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows}


@pytest.mark.parametrize("step", [1, 13, 40, 50, 55, 77, 99])
def test_scores_are_those_of_python(page: Page, step: int) -> None:
    """Every case, both networks: recomputed from pixels in the browser, and from the counts that the list uses."""
    page.locator("#b").select_option("1")
    for model in range(2):
        move_to(page, step, model)
    for name in NAMES:
        page.evaluate("name => choose(CASES.findIndex(item => item.name === name))", name)
        expect(page.locator("#name")).to_contain_text(name)
        page.wait_for_function("name => shown.item.name === name", arg=name)
        entry = entry_of(name)
        listed = page.evaluate("MODELS.map((_, model) => now(CASES[state.at], model))")
        for model, found in enumerate(scores(page)):
            wanted = judge(entry.sample, entry.values(model), step / 100)
            counts = (wanted.tp, wanted.fp, wanted.fn, wanted.iou, wanted.boundary_iou)
            assert tuple(found[key] for key in ("tp", "fp", "fn", "iou", "boundary")) == counts, (name, model)
            assert tuple(listed[model][key] for key in ("tp", "fp", "fn", "iou", "boundary")) == counts, (name, model)
            assert (found["found"], found["landslides"]) == (wanted.found, entry.facts.landslides)


def test_opens_with_the_worst_test_image_at_the_validation_threshold(page: Page) -> None:
    worst = min(ATLAS.entries, key=lambda entry: entry.outcomes[0].iou)
    assert selected(page) == worst.facts.name
    assert scores(page)[0]["iou"] == worst.outcomes[0].iou
    assert page.locator("#threshold-0").input_value() == "55"
    assert page.locator("#count").inner_text() == "5 of 6 cases"
    text = page.locator("#sliders").inner_text()
    assert "▲ 0.55 chosen on validation" in text
    assert f"△ {ATLAS.models[0].best_on_test:.2f} best on test: not a reportable score" in text


def test_pooled_scores(page: Page) -> None:
    move_to(page, 30)
    expect(page.locator("#pooled th[scope=col]")).to_have_text("net 0 at 0.30")
    pooled = table(page, "pooled")
    assert pooled["IoU"] == [f"{100 * ATLAS.models[0].test_iou[29]:.1f} %"]
    wanted = [judge(entry.sample, entry.values(0), 0.3) for entry in ATLAS.entries]
    assert pooled["Missed"] == [f"{sum(one.fn for one in wanted):,} px"]
    hits, union = (sum(one.band[place] for one in wanted) for place in range(2))
    assert pooled["Boundary IoU"] == [f"{100 * hits / union:.1f} %"]


def test_area_in_square_metres_where_the_resolution_is_known(page: Page) -> None:
    outcome, found = entry_of(NAMES[2]).outcomes[0], {}
    for name in NAMES[1:3]:
        page.locator(".row", has_text=name).click()
        expect(page.locator("#name")).to_contain_text(name)
        page.wait_for_function("name => shown.item.name === name", arg=name)
        found[name] = table(page, "scores")["Missed"][0]
    assert found[NAMES[2]] == f"{outcome.fn:,} px ({outcome.fn * 0.64:,.0f} m²)"
    assert "m²" not in found[NAMES[1]]


class TestList:
    def test_sorted_both_ways(self, page: Page) -> None:
        values = {
            "iou": lambda entry: entry.outcomes[0].iou,
            "size": lambda entry: entry.facts.truth,
            "largest": lambda entry: entry.facts.largest,
            "missed": lambda entry: entry.outcomes[0].fn,
            "alarm": lambda entry: entry.outcomes[0].fp,
            "boundary": lambda entry: entry.outcomes[0].boundary_iou,
            "entropy": lambda entry: entry.outcomes[0].entropy,
            "edges": lambda entry: entry.facts.edge_density,
            "difference": None,
        }
        for key, value in values.items():
            page.locator("#sort").select_option(key)
            if value:
                assert names(page) == [entry.facts.name for entry in sorted(ATLAS.entries, key=value)], key
        page.locator("#sort").select_option("size")
        page.locator("#direction").click()
        by_size = sorted(ATLAS.entries, key=lambda entry: -entry.facts.truth)
        assert names(page) == [entry.facts.name for entry in by_size]
        assert page.locator("#direction").get_attribute("aria-label") == "Order: falling"

    def test_sorted_anew_when_the_threshold_moves(self, page: Page) -> None:
        move_to(page, 97)
        wanted = sorted(ATLAS.entries, key=lambda entry: judge(entry.sample, entry.values(0), 0.97).iou)
        expect(page.locator("#list .label").first).to_have_text(wanted[0].facts.name)
        assert names(page) == [entry.facts.name for entry in wanted]

    def test_sorted_by_difference(self, show: Callable[..., Page]) -> None:
        page = show("#with=fake-1&sort=-difference")
        by = sorted(ATLAS.entries, key=lambda entry: entry.outcomes[1].iou - entry.outcomes[0].iou)
        assert names(page) == [entry.facts.name for entry in by]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("iou", lambda entry: 100 * entry.outcomes[0].iou),
            ("size", lambda entry: entry.facts.truth),
            ("largest", lambda entry: entry.facts.largest),
            ("missed", lambda entry: entry.outcomes[0].fn),
            ("alarm", lambda entry: entry.outcomes[0].fp),
            ("boundary", lambda entry: 100 * entry.outcomes[0].boundary_iou),
            ("entropy", lambda entry: entry.outcomes[0].entropy),
            ("edges", lambda entry: 100 * entry.facts.edge_density),
        ],
    )
    def test_filtered_by_number(self, page: Page, field: str, value: Callable[..., float]) -> None:
        page.locator("#filters summary").click()
        middle = sorted(map(value, ATLAS.entries))
        limit = (middle[2] + middle[3]) / 2
        page.locator(f"#{field}-low").fill(str(limit))
        assert set(names(page)) == {entry.facts.name for entry in ATLAS.entries if value(entry) >= limit}
        page.locator(f"#{field}-low").fill("")
        page.locator(f"#{field}-high").fill(str(limit))
        assert set(names(page)) == {entry.facts.name for entry in ATLAS.entries if value(entry) <= limit}
        page.locator("#filter button[type=reset]").click()
        expect(page.locator("#count")).to_have_text("5 of 6 cases")  # as at first: the test part

    def test_filtered_by_kind(self, page: Page) -> None:
        page.locator("#filters summary").click()
        everything = (*ATLAS.entries, *ATLAS.free)
        page.locator("#f-dataset").select_option("no slides")
        assert names(page) == [entry.facts.name for entry in ATLAS.free]
        page.locator("#f-dataset").select_option("")
        for choice, wanted in (
            ("any", lambda entry: bool(entry.causes[0])),
            ("none", lambda entry: not entry.causes[0]),
            *(
                (key, lambda entry, key=key: key in entry.causes[0])
                for key in ("cut", "built", "small", "wide", "bare")
            ),
        ):
            page.locator("#f-cause").select_option(choice)
            assert set(names(page)) == {entry.facts.name for entry in everything if wanted(entry)}, choice
        page.locator("#f-cause").select_option("")
        for choice in ("yes", "no"):
            page.locator("#f-touches").select_option(choice)
            touching = {entry.facts.name for entry in everything if entry.facts.touches == (choice == "yes")}
            assert set(names(page)) == touching

    def test_an_empty_selection(self, page: Page) -> None:
        page.locator("#filters summary").click()
        page.locator("#size-low").fill("1000000")
        assert names(page) == []
        expect(page.locator("#count")).to_have_text("0 of 6 cases")
        expect(page.locator("#pooled")).to_have_text("No case is listed: no scores.")
        expect(page.locator("#csv")).to_be_disabled()
        page.locator("#next").click()  # goes nowhere
        assert browser.axe_violations(page) == []


class TestCompare:
    def test_two_networks_on_one_case(self, page: Page) -> None:
        assert page.locator("#panels figure").count() == 4
        page.locator("#b").select_option("1")
        assert page.locator("#panels figcaption").all_inner_texts() == [
            "Image",
            "Probability, net 0",
            "Prediction, net 0 at 0.55",
            "Errors, net 0 at 0.55",
            "Truth",
            "Probability, net 1",
            "Prediction, net 1 at 0.40",
            "Errors, net 1 at 0.40",
        ]
        entry = entry_of(selected(page))
        assert table(page, "scores")["IoU"] == [f"{100 * outcome.iou:.1f} %" for outcome in entry.outcomes]
        move_to(page, 80, 1)
        expect(page.locator("#panels figcaption").last).to_have_text("Errors, net 1 at 0.80")
        assert table(page, "scores")["IoU"][0] == f"{100 * entry.outcomes[0].iou:.1f} %"

    def test_changing_places(self, page: Page) -> None:
        page.locator("#b").select_option("1")
        page.locator("#a").select_option("1")
        assert page.locator("#b").input_value() == "0"
        page.locator("#b").select_option("1")  # with itself: with none
        assert page.locator("#b").input_value() == "-1"
        assert page.locator("#panels figure").count() == 4

    def test_one_network_has_nothing_to_compare(self, show: Callable[..., Page], tmp_path: Path) -> None:
        page = show(page=written(fake_atlas(models=1), tmp_path))
        expect(page.locator("#compared")).to_be_hidden()
        page.keyboard.press("c")
        assert page.locator("#panels figure").count() == 4
        assert page.locator("#sort option[value=difference]").count() == 0


class TestAddress:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_case_has_one(self, show: Callable[..., Page], name: str) -> None:
        first = show()
        first.locator("#f-dataset").evaluate("field => { field.value = ''; list(); }")
        first.evaluate("name => choose(CASES.findIndex(item => item.name === name))", name)
        address = first.evaluate("location.hash")
        second = show(address)
        assert shown_case(second).startswith(f"{name} (")

    def test_all_that_is_looked_at(self, show: Callable[..., Page]) -> None:
        first = show()
        first.locator("#b").select_option("1")
        move_to(first, 20, 0)
        move_to(first, 90, 1)
        first.locator("#sort").select_option("entropy")
        first.locator(".row").nth(2).click()
        second = show(first.evaluate("location.hash"))
        for page in (first, second):
            assert [page.locator(f"#threshold-{model}").input_value() for model in range(2)] == ["20", "90"]
            assert page.locator("#sort").input_value() == "entropy"
        assert selected(second) == selected(first) and scores(second) == scores(first)

    def test_changed_by_hand(self, page: Page) -> None:
        page.evaluate("location.hash = '#case=made%20up/plain&at=0.33'")
        expect(page.locator("#name")).to_have_text("plain (made up)")
        assert page.locator("#threshold-0").input_value() == "33"

    @pytest.mark.parametrize(
        "address", ["#case=gone", "#model=gone&with=gone", "#at=7", "#at=x&sort=constructor", "#%", "#sort=-__proto__"]
    )
    def test_nonsense(self, show: Callable[..., Page], address: str) -> None:
        page = show(address)
        assert page.locator("#threshold-0").input_value() == "55"
        assert page.locator("#sort").input_value() == "iou"


class TestKeys:
    def test_from_case_to_case(self, page: Page) -> None:
        order = names(page)
        page.keyboard.press("ArrowRight")
        assert selected(page) == order[1]
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")  # at the beginning, it stays
        assert selected(page) == order[0]
        page.locator("#list").focus()
        for key, place in (("End", 4), ("ArrowUp", 3), ("Home", 0), ("ArrowDown", 1), ("PageDown", 4), ("PageUp", 0)):
            page.keyboard.press(key)
            assert selected(page) == order[place], key
            active = page.locator("#list").get_attribute("aria-activedescendant")
            assert page.locator(f"#{active} .label").text_content() == order[place]

    def test_letters(self, page: Page) -> None:
        page.keyboard.press(".")
        assert page.locator("#threshold-0").input_value() == "56"
        page.keyboard.press(",")
        page.keyboard.press(",")
        assert page.locator("#threshold-0").input_value() == "54"
        page.keyboard.press("v")
        assert page.locator("#threshold-0").input_value() == str(round(100 * THRESHOLDS[0]))
        page.keyboard.press("c")
        assert page.locator("#panels figure").count() == 8
        page.keyboard.press("c")
        assert page.locator("#panels figure").count() == 4
        page.keyboard.press("o")
        assert not page.locator("#outline").is_checked()

    def test_help_says_them_and_can_turn_letters_off(self, page: Page) -> None:
        page.keyboard.press("?")
        expect(page.locator("#keys")).to_be_visible()
        settle(page)
        assert browser.axe_violations(page) == []
        page.locator("#letters").uncheck()
        page.keyboard.press("Escape")
        expect(page.locator("#keys")).to_be_hidden()
        page.keyboard.press("c")
        page.keyboard.press(".")
        assert page.locator("#panels figure").count() == 4
        assert page.locator("#threshold-0").input_value() == "55"
        page.keyboard.press("ArrowRight")  # no letter
        assert selected(page) == names(page)[1]

    def test_a_field_keeps_its_own(self, page: Page) -> None:
        before = selected(page)
        page.locator("#filters summary").click()
        page.locator("#size-low").focus()
        page.keyboard.type("1.5")
        page.keyboard.press("ArrowRight")
        page.locator("#threshold-0").focus()
        page.keyboard.press("ArrowRight")
        assert (selected(page), page.locator("#threshold-0").input_value()) == (before, "56")

    def test_everything_is_reached(self, page: Page) -> None:
        look(page, "light")
        assert browser.keyboard_faults(page) == []


class TestFile:
    def rows(self, page: Page) -> list[dict[str, str]]:
        with page.expect_download() as download:
            page.locator("#csv").click()
        assert download.value.suggested_filename == "failures-fake-0.csv"
        return list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8"), newline="")))

    def test_the_selection_in_its_order(self, page: Page) -> None:
        page.locator("#filters summary").click()
        page.locator("#iou-high").fill("55")
        page.locator("#sort").select_option("size")
        rows = self.rows(page)
        assert [row["name"].removeprefix("'") for row in rows] == names(page)
        for row in rows:
            entry = entry_of(row["name"].removeprefix("'"))
            outcome = entry.outcomes[0]
            assert (int(row["tp_px"]), int(row["missed_px"])) == (outcome.tp, outcome.fn)
            assert float(row["iou"]) == outcome.iou and float(row["boundary_iou"]) == outcome.boundary_iou
            assert row["resolution_m"] == ("0.8" if entry.facts.resolution else "")
            assert row["causes_at_validation_threshold"] == ";".join(entry.causes[0])
            assert (row["run"], row["threshold"], row["threshold_chosen_on"]) == ("fake-0", "0.55", "validation")

    def test_no_formula(self, page: Page) -> None:
        assert {row["name"] for row in self.rows(page)} == {"'=HYPERLINK(1)", *NAMES[:5]} - {"=HYPERLINK(1)"}

    def test_says_where_a_threshold_is_from(self, page: Page) -> None:
        best = round(100 * ATLAS.models[0].best_on_test)
        assert best != 55
        for step, told in ((best, "test, not reportable"), (3, "by hand")):
            move_to(page, step)
            assert {row["threshold_chosen_on"] for row in self.rows(page)} == {told}

    def test_two_networks(self, show: Callable[..., Page]) -> None:
        for row in self.rows(show("#with=fake-1")):
            assert float(row["other_iou"]) == entry_of(row["name"].removeprefix("'")).outcomes[1].iou


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_accessible(show: Callable[..., Page], width: int, theme: str) -> None:
    page = show("#with=fake-1", width)
    page.locator("#filters summary").click()
    page.locator("main summary").click()
    look(page, theme)
    assert browser.axe_violations(page) == []
    assert browser.overflow(page) == []
    assert browser.bad_pictures_and_tables(page) == []


def test_panels_show_what_they_say(page: Page) -> None:
    """One pixel of each outcome, in its colour, and the landslide that nobody knows of hatched."""
    page.locator("#outline").uncheck()
    page.evaluate("name => choose(CASES.findIndex(item => item.name === name))", NAMES[3])
    page.wait_for_function("name => shown.item.name === name", arg=NAMES[3])
    entry = entry_of(NAMES[3])
    called, mask = entry.values(0) > 255 * 0.55, entry.sample.mask
    pixel = """([x, y]) => {
      const copy = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
      const panel = document.querySelectorAll("#panels canvas")[3], scale = panel.width / shown.item.width;
      copy.drawImage(panel, -scale * (x + 0.5), -scale * (y + 0.5));
      return [...copy.getImageData(0, 0, 1, 1).data.slice(0, 3)];
    }"""
    looks = {
        "hit": (called & (mask == 1), lambda r, g, b: b > 150 and r < 70),
        "alarm": (called & (mask == 0), lambda r, g, b: r > 200 and b < 70),
        "miss": (~called & (mask == 1), lambda r, g, b: max(r, g, b) < 70),
        "none": (~called & (mask == 0), lambda r, g, b: r == g == b > 100),
        "unknown": (mask == 255, lambda r, g, b: r == g == b and r in (150, 190)),
    }
    for kind, (where, fits) in looks.items():
        y, x = (int(places[len(places) // 2]) for places in where.nonzero())
        assert fits(*page.evaluate(pixel, [x, y])), kind


def test_a_case_whose_file_is_gone(show: Callable[..., Page], tmp_path: Path, context: BrowserContext) -> None:
    file = written(ATLAS, tmp_path)
    for path in (file.parent / "data").glob("case-*.js"):
        path.unlink()
    opened = browser.visit(context, file.as_uri())
    expect(opened.page.locator("#facts")).to_contain_text("is missing: build the page again")
    opened.page.close()


def test_without_javascript(file: Path, context: BrowserContext) -> None:
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setScriptExecutionDisabled", {"value": True})
    page.goto(file.as_uri())
    expect(page.locator("#app")).to_be_hidden()
    rows = page.locator("main.plain tbody tr")
    assert rows.count() == len(NAMES)
    assert rows.nth(4).locator("th").inner_text() == NAMES[4]
    page.close()
