"""The page in a real browser: it asks for nothing, and everybody can use it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

from rag.answer.model import Answer
from rag.views.highlight import Pictures
from rag.views.html import to_fragment, to_html
from tests.parts.answers import fill, warn_of_all
from tests.parts.browser import chromium
from tests.parts.drawn import drawn
from tests.parts.hostile import HOSTILE_HTML

Scheme = Literal["light", "dark"]
Colour = tuple[int, int, int]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@dataclass
class Window:
    """One page, and what it asked for or complained of."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def asked(self, request: Request) -> None:
        if not request.url.startswith(("data:", "file:")):
            self.requests.append(request.url)

    def complained(self, message: ConsoleMessage) -> None:
        self.complaints.append(message.text)

    def interrupted(self, dialog: Dialog) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()


@contextmanager
def window(
    browser: Browser, path: Path, *, width: int = 1280, scheme: Scheme = "light"
) -> Iterator[Window]:
    """The file, opened; closing it checks that it asked for nothing and nothing went wrong."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    opened = Window(page)
    page.on("request", opened.asked)
    page.on("console", opened.complained)
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("dialog", opened.interrupted)
    try:
        page.goto(path.as_uri())
        yield opened
        assert opened.requests == []
        assert opened.complaints == []
        assert page.url == path.as_uri()
    finally:
        context.close()


@pytest.fixture(scope="module")
def written(answers: Mapping[str, Answer], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An answer with all there can be: papers, a README, a summary, support_warnings, pages."""
    answer = answers["remove"]
    path = tmp_path_factory.mktemp("page") / "answer.html"
    support_warnings = warn_of_all(answer, "number: the statement says “400”, the evidence “40”")[
        1:4
    ]
    path.write_text(
        to_html(answer, drawn(answer), support_warnings=support_warnings), encoding="utf-8"
    )
    return path


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_an_accessibility_checker_finds_nothing(
    browser: Browser, written: Path, width: int, scheme: Scheme
) -> None:
    with window(browser, written, width=width, scheme=scheme) as opened:
        for details in opened.page.locator("details").all():
            details.locator("summary").first.click()
        assert (found := Axe().run(opened.page)).violations_count == 0, found.generate_report()
        opened.page.locator(".crop > button").first.click()
        assert (found := Axe().run(opened.page)).violations_count == 0, found.generate_report()


def test_the_keyboard_reaches_and_unfolds_every_quote(browser: Browser, written: Path) -> None:
    with window(browser, written) as opened:
        page = opened.page
        folded = page.locator(".quote > details")
        count = folded.count()
        assert count > 5
        unfolded = 0
        for _ in range(6 * count):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement === document.body"):
                break  # past the last of them
            if page.evaluate("document.activeElement.matches('.quote > details > summary')"):
                page.keyboard.press("Enter")
                unfolded += 1
            elif page.evaluate("document.activeElement.matches('.crop > button')"):
                page.keyboard.press("Enter")
                assert page.locator(".page:popover-open .all").is_visible()
                assert page.evaluate("document.activeElement.textContent") == "Close"
                page.keyboard.press("Escape")
                assert page.locator(".page:popover-open").count() == 0
                assert page.evaluate("document.activeElement.matches('.crop > button')")
        assert unfolded == count
        assert page.locator(".quote > details[open] .part").count() >= count
        for part in page.locator(".part").all():
            assert part.is_visible()


def test_the_page_is_seen_with_its_marks(browser: Browser, written: Path) -> None:
    with window(browser, written) as opened:
        page = opened.page
        page.locator(".quote > details > summary").first.click()
        part = page.locator(".part").first
        outer = part.bounding_box()
        assert outer is not None
        for mark in part.locator("rect").all():
            inner = mark.bounding_box()
            assert inner is not None
            assert (
                outer["x"]
                <= inner["x"]
                < inner["x"] + inner["width"]
                <= outer["x"] + outer["width"]
            )
            assert (
                outer["y"]
                <= inner["y"]
                < inner["y"] + inner["height"]
                <= outer["y"] + outer["height"]
            )
        colours = seen(part.screenshot())
        assert any(is_grey(colour) for colour in colours)  # the picture itself, not the paper
        assert any(is_marked(colour) for colour in colours)


def seen(png: bytes) -> Counter[Colour]:
    """How many pixels there are of each colour, specks aside."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        raw = image.convert("RGB").tobytes()
    pixels = Counter(zip(raw[::3], raw[1::3], raw[2::3], strict=True))
    return Counter({colour: count for colour, count in pixels.items() if count > 50})


def is_grey(colour: Colour) -> bool:
    return max(colour) - min(colour) < 4 and 140 < colour[0] < 180


def is_marked(colour: Colour) -> bool:
    """The mark upon the grey: both are to be seen."""
    red, _, blue = colour
    return 140 < red < 180 and red - blue > 60


@pytest.mark.parametrize("width", [320, 360, 700, 1024])
def test_nothing_is_wider_than_the_window(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path, width: int
) -> None:
    answer = fill(answers["remove"], "w" * 300, ids_and_links=True)
    path = tmp_path / "wide.html"
    path.write_text(to_html(answer, drawn(answer), support_warnings=warn_of_all(answer, "w" * 300)))
    with window(browser, path, width=width) as opened:
        for summary in opened.page.locator("summary").all():
            summary.click()
        assert opened.page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(("width", "across"), [(360, False), (1280, True)])
def test_the_workflow_goes_across_a_desk_and_down_a_phone(
    browser: Browser, written: Path, width: int, across: bool
) -> None:
    with window(browser, written, width=width) as opened:
        boxes = [box.bounding_box() for box in opened.page.locator(".box").all()]
        arrows = [arrow.bounding_box() for arrow in opened.page.locator(".arrow").all()]
        assert len(boxes) == 3
        assert len(arrows) == 2
        for before, arrow, after in zip(boxes, arrows, boxes[1:], strict=False):
            assert before
            assert arrow
            assert after
            way, size = ("x", "width") if across else ("y", "height")
            assert before[way] + before[size] <= arrow[way]  # type: ignore[literal-required]
            assert arrow[way] + arrow[size] <= after[way]  # type: ignore[literal-required]
            assert (before["y"] == after["y"]) == across


def test_hostile_text_does_nothing_in_a_browser(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path
) -> None:
    text = " ".join(HOSTILE_HTML)
    answer = fill(answers["remove"], text, ids_and_links=True)
    path = tmp_path / "hostile.html"
    html = to_html(answer, drawn(answer), support_warnings=warn_of_all(answer, text))
    path.write_text(html, encoding="utf-8")
    with window(browser, path) as opened:
        assert opened.page.locator("script, img, iframe, object, base, [onerror]").count() == 0
        assert opened.page.locator("a[href^='javascript' i], a[href^='data']").count() == 0
        assert "<img src=x onerror=alert(1)>" in opened.page.locator("h1").inner_text()


def test_a_live_script_would_be_refused(browser: Browser, written: Path, tmp_path: Path) -> None:
    """The policy, behind the escaping: the page with a script in it, as if that had failed."""
    path = tmp_path / "broken.html"
    evil = '<script>document.title="x"</script><img src="https://example.org/x.png">'
    path.write_text(written.read_text().replace("<article>", f"<article>{evil}"))
    context = browser.new_context()
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    assert page.title() != "x"
    assert len(refused) == 2
    assert all("Content Security Policy" in each for each in refused)
    context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_print_is_light_and_has_what_was_unfolded(
    browser: Browser, written: Path, scheme: Scheme
) -> None:
    import pypdfium2

    with window(browser, written, scheme=scheme) as opened:
        page = opened.page
        page.locator(".quote > details > summary").first.click()
        page.emulate_media(media="print")
        assert page.locator("details:not([open]) summary").first.is_hidden()
        assert page.locator(".crop > button").first.is_hidden()
        sheets = pypdfium2.PdfDocument(page.pdf(format="A4"))
        try:
            first = sheets[0]
            bitmap = first.render(scale=1)
            image = io.BytesIO()
            bitmap.to_pil().save(image, "PNG")
        finally:
            sheets.close()
        colours = seen(image.getvalue())
        assert any(is_grey(colour) for colour in colours)
        assert any(is_marked(colour) for colour in colours)
        assert colours[255, 255, 255] > 0.6 * sum(colours.values())


HOST = """<!DOCTYPE html><html lang="en"><title>Host</title>
<style>.host * {{ color: rgb(1, 2, 3); }}</style>
<body data-jp-theme-light="{light}"><div class="host"><h2>Host</h2><p>Words <a href="#">link</a></p>
<table><tr><th>a</th><td>b</td></tr></table><blockquote>c</blockquote><pre>d</pre>
<details><summary>e</summary></details><button>f</button><div class="page label quote box">g</div>
</div>{fragments}</body></html>"""
STYLES = """[...document.querySelectorAll('.host, .host *, body')].map(element =>
    JSON.stringify(Object.fromEntries([...getComputedStyle(element)].filter(name =>
        !/height|block-size|origin/.test(name)).map(name =>
            [name, getComputedStyle(element)[name]]))))"""


def test_a_fragment_leaves_the_page_around_it_alone(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path
) -> None:
    answer = answers["remove"]
    found = []
    for fragments in ("", to_fragment(answer, drawn(answer))):
        path = tmp_path / "host.html"
        path.write_text(HOST.format(light="true", fragments=fragments), encoding="utf-8")
        with window(browser, path) as opened:
            found.append(opened.page.evaluate(STYLES))
    assert found[0] == found[1]


def test_fragments_side_by_side_show_their_own_pages(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path
) -> None:
    one, two = answers["remove"], answers["colour"]
    other = replace(one, prompt=replace(one.prompt, question="Another question?"))
    pictures: list[tuple[Answer, Pictures]] = [(each, drawn(each)) for each in (one, two, other)]
    fragments = "".join(to_fragment(answer, drawn_) for answer, drawn_ in pictures)
    path = tmp_path / "notebook.html"
    path.write_text(HOST.format(light="true", fragments=fragments), encoding="utf-8")
    with window(browser, path) as opened:
        ids = opened.page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids))
        strays = opened.page.evaluate(
            "[...document.querySelectorAll('use')].filter(use => !use.closest('.grounded-answer')"
            ".querySelector(use.getAttribute('href'))).length"
        )
        assert strays == 0


@pytest.mark.parametrize(("light", "scheme"), [("true", "dark"), ("false", "light")])
def test_a_fragment_follows_the_theme_of_the_notebook_and_not_of_the_machine(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path, light: str, scheme: Scheme
) -> None:
    answer = answers["remove"]
    path = tmp_path / "notebook.html"
    fragment = to_fragment(answer, drawn(answer), support_warnings=warn_of_all(answer, "no")[:1])
    path.write_text(HOST.format(light=light, fragments=fragment), encoding="utf-8")
    with window(browser, path, scheme=scheme) as opened:
        colour = opened.page.locator(".grounded-answer").evaluate(
            "element => getComputedStyle(element).backgroundColor"
        )
        assert colour == ("rgb(253, 252, 249)" if light == "true" else "rgb(25, 25, 23)")
        for details in opened.page.locator(".grounded-answer details").all():
            details.locator("summary").first.click()
        found = Axe().run(opened.page, context=".grounded-answer")
        assert found.violations_count == 0, found.generate_report()
