"""The HTML page in a real browser: it loads nothing, and everybody can use it."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog, FloatRect, Locator, Page

from rag.answer import Answer
from rag.views.html import to_fragment, to_html
from tests.parts.answers import fill, warn_of_all
from tests.parts.browser import chromium
from tests.parts.drawn import drawn
from tests.parts.hostile import HOSTILE_HTML

Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@contextmanager
def window(
    browser: Browser, path: Path, *, width: int = 1280, scheme: Scheme = "light"
) -> Iterator[Page]:
    """The file, opened; closing it checks that it asked for nothing and nothing went wrong."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    requests: list[str] = []
    complaints: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        complaints.append(dialog.message)
        dialog.dismiss()

    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", dismiss)
    try:
        page.goto(path.as_uri())
        yield page
        assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
        assert complaints == []
        assert page.url == path.as_uri()
    finally:
        context.close()


@pytest.fixture(scope="module")
def written(answers: Mapping[str, Answer], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An answer with all there can be: papers, a README, a summary, support warnings, pages."""
    answer = answers["remove"]
    some = warn_of_all(answer, "number: the statement says “400”, the evidence “40”")[1:4]
    path = tmp_path_factory.mktemp("page") / "answer.html"
    path.write_text(to_html(answer, drawn(answer), support_warnings=some), encoding="utf-8")
    return path


def assert_accessible(page: Page, context: str | None = None) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    results = Axe().run(page, context=context)
    assert results.violations_count == 0, results.generate_report()


def box(locator: Locator) -> FloatRect:
    bounds = locator.bounding_box()
    assert bounds is not None
    return bounds


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (1280, "dark")])
def test_an_accessibility_checker_finds_nothing(
    browser: Browser, written: Path, width: int, scheme: Scheme
) -> None:
    with window(browser, written, width=width, scheme=scheme) as page:
        assert_accessible(page)
        page.locator(".crop > button").first.click()
        assert_accessible(page)


def test_the_keyboard_reaches_and_unfolds_every_quote(browser: Browser, written: Path) -> None:
    def focused(selector: str) -> bool:
        return bool(page.evaluate(f"document.activeElement.matches('{selector}')"))

    with window(browser, written) as page:
        count = page.locator(".quote > details").count()
        assert count > 5
        unfolded = 0
        for _ in range(6 * count):
            page.keyboard.press("Tab")
            if focused("body"):
                break  # past the last of them
            if focused(".quote > details > summary"):
                page.keyboard.press("Enter")
                unfolded += 1
            elif focused(".crop > button"):
                page.keyboard.press("Enter")
                assert page.locator(".page:popover-open .all").is_visible()
                page.keyboard.press("Tab")
                assert page.evaluate("document.activeElement.textContent") == "Close"
                page.keyboard.press("Escape")
                assert page.locator(".page:popover-open").count() == 0
                assert focused(".crop > button")
        assert unfolded == count
        assert page.locator(".quote > details[open] .part").count() >= count
        for part in page.locator(".part").all():
            assert part.is_visible()


def colours(png: bytes) -> Counter[tuple[int, int, int]]:
    """How many pixels there are of each colour, specks aside."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        raw = image.convert("RGB").tobytes()
    pixels = Counter(zip(raw[::3], raw[1::3], raw[2::3], strict=True))
    return Counter({colour: count for colour, count in pixels.items() if count > 50})


def shows_marks_on_the_page(png: bytes) -> bool:
    """Whether both the grey of the drawn page and the mark upon the grey are to be seen."""
    greys = [c for c in colours(png) if max(c) - min(c) < 4 and 140 < c[0] < 180]
    marks = [c for c in colours(png) if 140 < c[0] < 180 and c[0] - c[2] > 60]
    return bool(greys and marks)


def test_hostile_and_endless_words_do_nothing_and_are_no_wider_than_the_window(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path
) -> None:
    text = " ".join((*HOSTILE_HTML, "w" * 300))
    answer = fill(answers["remove"], text, ids_and_links=True)
    path = tmp_path / "hostile.html"
    html = to_html(answer, drawn(answer), support_warnings=warn_of_all(answer, text))
    path.write_text(html, encoding="utf-8")
    with window(browser, path) as page:
        assert page.locator("script, img, iframe, object, base, [onerror]").count() == 0
        assert page.locator("a[href^='javascript' i], a[href^='data']").count() == 0
        assert "<img src=x onerror=alert(1)>" in page.locator("h1").inner_text()
        for summary in page.locator("summary").all():
            summary.click()
        for width in (320, 700, 1024):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_workflow_goes_across_a_wide_screen_and_down_a_narrow_one(
    browser: Browser, written: Path
) -> None:
    with window(browser, written) as page:
        for width, along in ((1280, "x"), (360, "y")):
            page.set_viewport_size({"width": width, "height": 900})
            ends = [
                {"x": (it["x"], it["x"] + it["width"]), "y": (it["y"], it["y"] + it["height"])}
                for it in map(box, page.locator(".box, .arrow").all())
            ]
            assert len(ends) == 5
            for before, after in pairwise(ends):
                assert before[along][1] <= after[along][0]
            assert (len({each["y"][0] for each in ends[::2]}) == 1) == (along == "x")


def test_the_policy_refuses_what_escaping_would_have_missed(
    browser: Browser, written: Path, tmp_path: Path
) -> None:
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


def test_a_page_is_seen_with_its_marks_and_printed_light_where_it_was_unfolded(
    browser: Browser, written: Path
) -> None:
    import pypdfium2

    with window(browser, written) as page:
        page.locator(".quote > details > summary").first.click()
        assert shows_marks_on_the_page(page.locator(".part").first.screenshot())
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator("details:not([open]) summary").first.is_hidden()
        assert page.locator(".crop > button").first.is_hidden()
        with pypdfium2.PdfDocument(page.pdf(format="A4")) as sheets:
            image = io.BytesIO()
            sheets[0].render(scale=1).to_pil().save(image, "PNG")
        assert shows_marks_on_the_page(image.getvalue())
        pixels = colours(image.getvalue())
        assert pixels[255, 255, 255] > 0.6 * sum(pixels.values())


HOST = """<!DOCTYPE html><html lang="en"><title>Host</title>
<style>.host * {{ color: rgb(1, 2, 3); }}</style>
<body data-jp-theme-light="{light}"><div class="host"><h2>Host</h2><p>Words <a href="#">link</a></p>
<table><tr><th>a</th><td>b</td></tr></table><blockquote>c</blockquote><pre>d</pre>
<details><summary>e</summary></details><button>f</button><div class="page label quote box">g</div>
</div>{fragment}</body></html>"""
STYLES = """[...document.querySelectorAll('.host, .host *, body')].map(element =>
    JSON.stringify(Object.fromEntries([...getComputedStyle(element)].filter(name =>
        !/height|block-size|origin/.test(name)).map(name =>
            [name, getComputedStyle(element)[name]]))))"""


def host(folder: Path, fragment: str, light: str = "true") -> Path:
    """A page of somebody else, with a fragment in it."""
    path = folder / "host.html"
    path.write_text(HOST.format(light=light, fragment=fragment), encoding="utf-8")
    return path


def test_a_fragment_leaves_the_page_around_it_alone(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path
) -> None:
    answer = answers["remove"]
    styles = []
    for fragment in ("", to_fragment(answer, drawn(answer))):
        with window(browser, host(tmp_path, fragment)) as page:
            styles.append(page.evaluate(STYLES))
    assert styles[0] == styles[1]


@pytest.mark.parametrize(
    ("light", "scheme", "background"),
    [("true", "dark", "rgb(253, 252, 249)"), ("false", "light", "rgb(25, 25, 23)")],
)
def test_a_fragment_follows_the_theme_of_the_notebook_and_not_of_the_machine(
    browser: Browser, answers: Mapping[str, Answer], tmp_path: Path,
    light: str, scheme: Scheme, background: str,
) -> None:  # fmt: skip
    answer = answers["remove"]
    fragment = to_fragment(answer, drawn(answer), support_warnings=warn_of_all(answer, "no")[:1])
    with window(browser, host(tmp_path, fragment, light=light), scheme=scheme) as page:
        colour = page.locator(".grounded-answer").evaluate(
            "element => getComputedStyle(element).backgroundColor"
        )
        assert colour == background
        assert_accessible(page, ".grounded-answer")
