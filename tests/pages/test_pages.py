"""The built book in a browser: from the file system, and from a server for axe-core.

`make test-pages` builds the book and runs this; it needs Debian's Chromium, or playwright's.
"""

import functools
import http.server
import re
import shutil
import threading
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

HTML = Path(__file__).parents[2] / "_build" / "html"
FILES = {
    path.relative_to(HTML).as_posix(): path.read_text(encoding="utf-8")
    for folder in ("book", "notebooks")
    for path in (HTML / folder).rglob("*.html")
}
MOVED = {  # old addresses, and where they lead
    name: found[1]
    for name, text in FILES.items()
    if (found := re.search(r'http-equiv="refresh" content="0; url=([^"]*)"', text))
}
PAGES = sorted(FILES.keys() - MOVED.keys())
WITH_SLIDERS = [name for name in PAGES if "rnn-slider" in FILES[name]]
CHROMIUM = shutil.which("chromium")  # or else the one that playwright has installed
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]

# The theme declares this constant in two scripts of one page; without a button for live code
# neither is used.
SCRIPT_ERRORS_OF_THE_THEME = {"Identifier 'THEBE_JS_URL' has already been declared"}

# Without it axe-core finds a selector for each of the thousands of elements that pass.
ONLY_VIOLATIONS = {"resultTypes": ["violations"]}

# What axe-core finds in the theme and in docutils, by rule and by the element it is about.
AXE_OF_THE_THEME = {
    "region": ('class="sidebar-primary-item"',),  # the book's title stands outside the navigation
    # The bibliography: a role that was given up after docutils had taken it.
    "aria-allowed-role": ('role="doc-biblioentry"',),
    "aria-deprecated-role": ('role="doc-biblioentry"',),
    "aria-required-children": ('class="citation-list"',),
}

WIDE = ".cell_output pre, .bd-article div.math mjx-container, .rnn-table"
CUT_AT_A_DESK = f"""() => [...document.querySelectorAll("{WIDE}")]
        .filter(element => element.scrollWidth > element.clientWidth + 1)
        .map(element => element.innerText.slice(0, 80))"""
# Formulas in a text break into lines; one that does not would be cut without a sign.
CUT_FORMULAS = """() => {
    document.querySelectorAll("details").forEach(box => { box.open = true; });
    document.querySelectorAll(".toggle-hidden")
        .forEach(box => box.classList.remove("toggle-hidden"));
    return [...document.querySelectorAll(".bd-article span.math mjx-math")]
        .filter(formula => !formula.closest("table"))
        .filter(formula => {
            const edge = formula.closest("p, li, dd, dt, h1, h2, h3").getBoundingClientRect().right;
            return [...formula.getClientRects()].some(line => line.right > edge + 1);
        })
        .map(formula => formula.nextSibling.textContent.slice(0, 80));
}"""

pytestmark = pytest.mark.pages


def test_the_book_is_built():
    assert PAGES, f"no page in {HTML}: run make book"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server():
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = functools.partial(Quiet, directory=HTML)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def opened(browser):
    """A function that opens a page and fails at the end of the test on what went wrong in it."""
    contexts, wrong = [], []
    scripts = True

    def request_failed(request):
        # A browser refuses fonts that are preloaded from a file, and scripts if it is told to.
        expected = {"font"} if scripts else {"font", "script"}
        if not (request.url.startswith("file:") and request.resource_type in expected):
            wrong.append(f"request failed: {request.url}")

    def requested(request):
        if not request.url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:")):
            wrong.append(f"request to the network: {request.url}")

    def script_failed(error):
        if error.message not in SCRIPT_ERRORS_OF_THE_THEME:
            wrong.append(f"script error: {error.message}")

    def open_page(address, **settings):
        nonlocal scripts
        scripts = settings.get("java_script_enabled", True)
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("request", requested)
        page.on("requestfailed", request_failed)
        page.on("pageerror", script_failed)
        page.goto(address)
        if scripts:
            page.evaluate("window.MathJax?.startup?.promise")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opens_shows_its_mathematics_and_fits_on_the_screen(opened, name):
    page = opened((HTML / name).as_uri())
    assert page.locator(".bd-article h1").count() == 1
    page.wait_for_function(
        "document.querySelectorAll('.math').length"
        " <= document.querySelectorAll('.math mjx-container').length"
    )
    assert page.locator("mjx-merror, [data-mjx-error]").count() == 0
    for width in (1280, 380):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # Pictures scroll in their own frames where they would become too small.
        for figure in page.locator("figure.rnn-figure").all():
            box = figure.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        assert page.evaluate(CUT_AT_A_DESK if width == 1280 else CUT_FORMULAS) == []


def test_old_addresses_lead_to_pages():
    assert MOVED
    for name, address in MOVED.items():
        assert (HTML / name).parent.joinpath(address).is_file()


def test_every_notebook_has_a_slider():
    assert [name for name in PAGES if name.startswith("notebooks/")] == [
        name for name in WITH_SLIDERS if name.startswith("notebooks/")
    ]


@pytest.mark.parametrize("name", WITH_SLIDERS)
def test_every_slider_moves_by_keyboard_and_by_mouse(opened, name):
    page = opened((HTML / name).as_uri())
    for slider in page.locator(".rnn-slider").all():
        control = slider.get_by_role("slider")
        assert control.get_attribute("aria-valuetext")

        def seen(slider=slider, control=control):
            frames = slider.locator(".rnn-frame:visible")
            assert frames.count() == 1
            assert frames.locator("svg").get_attribute("aria-label")
            text = control.get_attribute("aria-valuetext")
            assert slider.locator("output").inner_text() == text
            return text, frames.inner_html()

        before = page.evaluate("document.documentElement.scrollHeight")
        control.focus()
        page.keyboard.press("Home")
        first = seen()
        page.keyboard.press("ArrowRight")
        second = seen()
        page.keyboard.press("End")
        last = seen()
        assert len({first, second, last}) == min(3, int(control.get_attribute("max")) + 1)
        assert len({picture for _, picture in (first, second, last)}) > 1
        assert page.evaluate("document.documentElement.scrollHeight") == before
        control.click(position={"x": 4, "y": control.bounding_box()["height"] / 2})
        assert seen() == first
        said = slider.locator(".rnn-said")
        shown = slider.locator(".rnn-frame:visible svg").get_attribute("aria-label")
        expect(said).to_have_text(shown, timeout=20_000)  # once the slider rests


def test_without_scripts_a_slider_is_a_figure(opened):
    name = WITH_SLIDERS[0]
    page = opened((HTML / name).as_uri(), java_script_enabled=False)
    slider = page.locator(".rnn-slider").first
    assert slider.locator(".rnn-frame:visible").count() == 1
    assert not slider.locator(".rnn-control").is_visible()


def test_on_paper_a_slider_is_a_grid_of_stills(opened):
    name = WITH_SLIDERS[0]
    page = opened((HTML / name).as_uri())
    page.emulate_media(media="print")
    slider = page.locator(".rnn-slider").first
    assert 2 <= slider.locator(".rnn-frame:visible").count() <= 4
    assert not slider.locator(".rnn-control").is_visible()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_in_light_and_dark(opened, server, name):
    page = opened(f"{server}/{name}")
    # While they change, colours would be measured midway.
    page.add_style_tag(content="* { transition: none !important }")
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_selector(f"html[data-theme={scheme}]", state="attached")
        found = [
            f"{rule['id']}: {node['target'][0]}: {node['failureSummary']}"
            for rule in Axe().run(page, options=ONLY_VIOLATIONS).response["violations"]
            for node in rule["nodes"]
            if not any(part in node["html"] for part in AXE_OF_THE_THEME.get(rule["id"], ()))
        ]
        assert not found, "\n".join([scheme, *found])
