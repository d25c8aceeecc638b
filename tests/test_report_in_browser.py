"""The report as a reader meets it: opened from a file, without a network, wide, narrow, by keyboard and on paper."""

import re
import shutil

import pytest

import sector_risk as sr

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SCRIPT = "<script>alert(1)</script>"
QUESTIONS = ("How bad can it get?", "Whose risk is it?", "What drives it?", "What would fix it?", "How sure are you?")
VISIBLE_TEXT = """() => [...document.querySelectorAll('.drawing text')]
    .filter(t => t.getClientRects().length && t.textContent.trim())
    .map(t => parseFloat(getComputedStyle(t).fontSize) * Math.hypot(t.getScreenCTM().b, t.getScreenCTM().d))"""
OVERFLOW = "() => document.documentElement.scrollWidth - window.innerWidth"


@pytest.fixture(scope="module")
def address(case, tmp_path_factory):
    from sector_risk.html_report import write_report

    name = case["name"].values.astype(object)
    name[:2] = SCRIPT, "A trust with a name that is as long as the longest there are NHS Foundation Trust"
    forecast = sr.simulate(case.assign_coords(name=("trust", name)), n_draws=300, seed=3)
    projection = sr.project(case, years=3, n_draws=60)
    path = write_report(forecast, tmp_path_factory.mktemp("report") / "page.html", projection=projection)
    return path.resolve().as_uri()


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser on the path: {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def opened(browser, address):
    """Open the page at a size, and refuse all that goes wrong on the way: errors, dialogs, requests."""
    contexts, wrong = [], []

    def open_page(size, **how):
        context = browser.new_context(viewport=size, offline=True, **how)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: request.url == address or wrong.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def column(page, place):
    """What the rows that are shown say in a column of the league."""
    return page.eval_on_selector_all(
        "#league tbody tr", f"rows => rows.filter(r => !r.hidden).map(r => r.cells[{place}].innerText)"
    )


def as_numbers(said):
    return [float(text.replace("−", "-").replace(",", "")) for text in said]


def test_the_first_screen_answers_the_five_questions(opened):
    page = opened(WIDE)
    for question in QUESTIONS:
        row = page.locator(".answers li").filter(has_text=question)
        box = row.bounding_box()
        assert box["y"] + box["height"] <= 800
        assert len(row.locator(".headline").inner_text()) > 30
        target = row.locator("a").get_attribute("href")
        assert question in page.locator(f"{target} h2").inner_text()


def test_a_heading_sorts_its_column_both_ways(opened):
    page = opened(WIDE)
    heading = page.locator("#league thead th").nth(4)
    assert heading.get_attribute("aria-sort") is None
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    once = as_numbers(column(page, 4))
    assert once == sorted(once, reverse=True)
    assert len(once) == 227
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert as_numbers(column(page, 4)) == once[::-1]
    page.locator("#league thead th").nth(1).get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    regions = column(page, 1)
    assert regions == sorted(regions)


def test_filters_choose_trusts_and_say_how_many(opened):
    page = opened(WIDE)
    count = page.get_by_role("status")
    assert count.inner_text() == "Showing 227 of 227"
    form = page.locator("form.filters")
    form.get_by_label("Region").select_option("London")
    assert set(column(page, 1)) == {"London"}
    form.get_by_label("Type").select_option("Mental health")
    both = column(page, 0)
    assert count.inner_text() == f"Showing {len(both)} of 227"
    assert set(column(page, 2)) == {"Mental health"}
    form.get_by_label("Trust").fill(both[0].split()[0].lower())
    assert column(page, 0) == both[:1]
    assert count.inner_text() == "Showing 1 of 227"


def test_a_name_that_is_a_script_is_shown_as_text(opened):
    page = opened(WIDE)
    page.locator("form.filters").get_by_label("Trust").fill(SCRIPT)
    (shown,) = column(page, 0)
    assert SCRIPT in shown
    assert page.locator("#league script").count() == 0


@pytest.mark.parametrize("size", [WIDE, NARROW, {"width": 320, "height": 640}, {"width": 768, "height": 1024}])
def test_the_page_is_never_wider_than_the_screen(opened, size):
    page = opened(size)
    assert page.evaluate(OVERFLOW) <= 0
    page.eval_on_selector_all("details", "all => all.forEach(d => d.open = true)")
    assert page.evaluate(OVERFLOW) <= 0


@pytest.mark.parametrize("size", [WIDE, NARROW, {"width": 768, "height": 1024}])
def test_text_in_pictures_can_be_read(opened, size):
    sizes = opened(size).evaluate(VISIBLE_TEXT)
    assert len(sizes) > 80
    assert min(sizes) >= 10.5


def test_text_in_pictures_stays_inside_them(opened):
    for size in (WIDE, NARROW):
        beyond = opened(size).evaluate("""() => [...document.querySelectorAll('.drawing svg')]
            .filter(svg => svg.getClientRects().length)
            .flatMap(svg => [...svg.querySelectorAll('text')].map(t => [svg.getBoundingClientRect(), t]))
            .filter(([box, t]) => { const r = t.getBoundingClientRect();
                return r.left < box.left - 2 || r.right > box.right + 2; })
            .map(([_, t]) => t.textContent)""")
        assert beyond == []


def test_it_works_without_a_script(opened):
    page = opened(WIDE, java_script_enabled=False)
    assert page.locator("#league tbody tr").count() == 227
    assert page.locator("form.filters").is_hidden()
    assert page.locator("#league thead button").count() == 0


def test_every_control_can_be_reached_by_keyboard_and_shows_focus(opened):
    page = opened(WIDE)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.locator("form.filters").get_by_label("Region").focus()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


def test_paper_has_all_sections_and_no_controls(opened):
    page = opened(WIDE)
    paper = page.pdf(prefer_css_page_size=True, outline=True, tagged=True)
    assert paper.startswith(b"%PDF")
    assert all(question.encode() in paper for question in (*QUESTIONS, "The years ahead", "What it rests on"))
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 703, "height": 1000})
    assert page.evaluate(OVERFLOW) <= 0
    assert page.locator("form.filters").is_hidden()
    assert page.locator("#league tbody tr").last.is_visible()
    cut = page.eval_on_selector_all(
        ".scroll", "all => all.filter(s => s.scrollWidth > s.clientWidth + 1).map(s => s.getAttribute('aria-label'))"
    )
    assert cut == []


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_axe_finds_nothing_serious(opened, size):
    checker = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is missing")
    found = checker.Axe().run(opened(size)).response["violations"]
    serious = {
        rule["id"]: rule["nodes"][0]["html"][:200] for rule in found if rule["impact"] in ("serious", "critical")
    }
    assert serious == {}


def test_motion_is_left_out_where_it_is_unwanted(opened):
    page = opened(WIDE, reduced_motion="reduce")
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert not re.search(r"animation|transition", page.content())
