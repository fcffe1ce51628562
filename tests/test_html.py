"""An answer as HTML: it shows everything once, and text from elsewhere is only text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answer import Answer, Statement
from rag.plaintext import plain
from rag.views.highlight import Highlight, PageImage, Pictures, Rectangle
from rag.views.html import LEAST, crop_of, to_fragment, to_html
from rag.views.markdown import ROLES, SupportWarning, is_link, numbers_of, place, work_of
from tests.parts.answers import EMPTY, fill, warn_of_all
from tests.parts.drawn import HEIGHT, WIDTH, drawn, png
from tests.parts.hostile import HOSTILE_HTML, WILD
from tests.parts.markup import Markup, parsed

FORMS = {"document": to_html, "fragment": to_fragment}


def hostile_page(form: str, answer: Answer, text: str) -> Markup:
    filled = fill(answer, text, ids_and_links=True)
    return parsed(
        FORMS[form](filled, drawn(filled), support_warnings=warn_of_all(filled, why=text))
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", HOSTILE_HTML)
def test_hostile_text_is_inert(answers: Mapping[str, Answer], text: str, form: str) -> None:
    answer = answers["remove"]
    harmless = ("https://x.org" if is_link(text) else "x") if plain(text) else ""
    page = hostile_page(form, answer, text)
    assert page.shape == hostile_page(form, answer, harmless).shape
    assert page.words.count(plain(text)) >= len(list(answer.quotes()))
    links = page.attributes("a", "href")
    assert links == ([text] * len(links) if is_link(text) else [])
    assert not any(
        unicodedata.category(char) in {"Cc", "Cf"} and char != "\n" for char in page.text
    )
    assert not {"script", "img", "iframe", "base", "object"} & {tag for tag, _ in page.elements}
    assert not [name for _, each in page.elements for name in each if name.startswith("on")]


@given(WILD)
@settings(max_examples=30)
def test_any_question_is_shown_as_it_is(text: str) -> None:
    html = to_html(replace(EMPTY, prompt=replace(EMPTY.prompt, question=text)))
    html.encode()
    # In the title and in the heading.
    assert parsed(html).words.count(plain(text)) >= 2
    assert parsed(html).shape == parsed(to_html(EMPTY)).shape


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["colour", "remove", "move"])
def test_an_answer_shows_every_part(answers: Mapping[str, Answer], name: str, form: str) -> None:
    answer = answers[name]
    words = parsed(FORMS[form](answer)).words
    assert plain(answer.prompt.question) in words
    for _, statement in answer.statements():
        assert plain(statement.text) in words
    for _, quote in answer.quotes():
        assert words.count(plain(quote.text)) == 1
        work = plain(work_of(answer, quote.source_id))
        number = numbers_of(answer)[quote]
        assert f"“{plain(quote.text)}” [{number}]" in words
        assert f"[{number}] {work}, {place(quote.source_type, quote.pages)}" in words
    for reference in answer.references:
        assert f"{plain(reference.name)} {ROLES[reference.role]}" in words
    for source in answer.sources:
        assert source.id in words
        assert source.document_sha256 in words


def test_a_fragment_tells_mathjax_to_set_no_formulas(answers: Mapping[str, Answer]) -> None:
    first, *_ = parsed(to_fragment(answers["move"])).elements
    assert {"mathjax_ignore", "tex2jax_ignore"} <= set(str(first[1]["class"]).split())


def test_an_answer_without_quotes_says_so() -> None:
    assert "Written by the w writer. Nothing could be quoted." in parsed(to_html(EMPTY)).words


def test_links_are_those_of_the_prompt_and_a_missing_one_is_none(
    answers: Mapping[str, Answer],
) -> None:
    answer = answers["remove"]
    html = to_html(answer, drawn(answer))
    page = parsed(html)
    listed = [link for item in answer.references for link in (item.paper, item.github)]
    links = [each for tag, each in page.elements if tag == "a"]
    assert {link["href"] for link in links} == set(filter(None, listed))
    assert {link["rel"] for link in links} == {"noopener noreferrer nofollow"}
    assert page.words.count("None") == listed.count(None) > 0
    # A quote from a README leads to it; one from a paper leads nowhere.
    link = 'href="https://github.com/mosaic-makers/mosaic.git" rel="noopener noreferrer nofollow"'
    assert f"<a {link}>README</a>" in html
    assert '<span class="place">full text, p. 1</span>' in html


def test_what_could_not_be_read_or_is_weakly_supported_comes_first(
    answers: Mapping[str, Answer],
) -> None:
    base = answers["colour"]
    statement = Statement("It has 7 colours.", tuple(quote for _, quote in base.quotes())[:1])
    answer = replace(base, task=(statement,))
    warning = SupportWarning("task", statement.text, "the number 7")
    words = parsed(to_html(answer, support_warnings=[warning])).words
    first = words[: words.index("1. What you were doing")]
    assert "Missing: 1 paper" in first
    assert "1 statement says more than its quotes seem to" in first
    assert "It has 7 colours. [1] Weakly supported: the number 7." in words
    assert "offline, and not in the mirror" in words
    without = parsed(to_html(answers["move"]))
    assert "warning" not in without.attributes("div", "class")


def test_every_page_is_embedded_once(answers: Mapping[str, Answer]) -> None:
    answer = answers["colour"]
    pictures = drawn(answer)
    page = parsed(to_html(answer, pictures))
    embedded = page.attributes("image", "href")
    assert len(embedded) == len(set(embedded)) == len(pictures.pages)
    assert all(each.startswith("data:image/png;base64,") for each in embedded)
    crops = sum(len(highlights) for highlights in pictures.highlights.values())
    assert crops > len(pictures.pages)
    assert len(page.attributes("use", "href")) == 2 * crops  # the part, and the whole page
    ids = [each["id"] for _, each in page.elements if each.get("id")]
    assert len(ids) == len(set(ids))
    assert {each.removeprefix("#") for each in page.attributes("use", "href")} <= set(ids)
    assert set(page.attributes("button", "popovertarget")) <= set(ids)


def test_only_quotes_with_highlights_and_pictures_are_shown_on_their_page(
    answers: Mapping[str, Answer],
) -> None:
    answer = answers["move"]
    pictures = drawn(answer)
    span, highlights = next(iter(pictures.highlights.items()))
    for incomplete, count in (
        (Pictures(), 0),
        (Pictures(pictures.highlights), 0),
        (Pictures(pages=pictures.pages), 0),
        (Pictures({span: (Highlight(1, ()),)}, pictures.pages), 0),
        (Pictures({span: highlights}, pictures.pages), 1),
    ):
        page = parsed(to_html(answer, incomplete))
        assert page.words.count("See it on page") == count
        assert bool(page.attributes("image", "href")) == bool(count)


def test_ids_are_equal_exactly_for_equal_content(answers: Mapping[str, Answer]) -> None:
    def ids(html: str) -> set[str]:
        return {each["id"] or "" for _, each in parsed(html).elements if "id" in each}

    answer = answers["colour"]
    pictures = drawn(answer)
    fragment = to_fragment(answer, pictures)
    assert fragment == to_fragment(answer, drawn(answer))
    asked = replace(answer, prompt=replace(answer.prompt, question="Another question?"))
    for other in (answers["remove"], asked):
        assert not ids(fragment) & ids(to_fragment(other, drawn(other)))
    pages = {key: replace(page, data=png(grey=9)) for key, page in pictures.pages.items()}
    assert not ids(fragment) & ids(to_fragment(answer, Pictures(pictures.highlights, pages)))


@st.composite
def rectangles(draw: st.DrawFn) -> Rectangle:
    left, top = draw(st.floats(0.0, 0.98)), draw(st.floats(0.0, 0.98))
    width, height = draw(st.floats(0.02, 1.0 - left)), draw(st.floats(0.02, 1.0 - top))
    return Rectangle(left, top, min(1.0, left + width), min(1.0, top + height))


@given(
    st.lists(rectangles(), min_size=1, max_size=6), st.integers(100, 3000), st.integers(100, 3000)
)
def test_a_crop_lies_on_the_page_and_holds_every_mark(
    marked: Iterable[Rectangle], width: int, height: int
) -> None:
    image = PageImage("arxiv:1", 3, width, height, "image/png", b"")
    crop = crop_of(Highlight(3, tuple(marked)), image)
    part = crop.part
    assert 0 <= part.x < part.x + part.width <= width
    assert 0 <= part.y < part.y + part.height <= height
    assert part.width >= LEAST[0] * width - 1
    assert part.height >= LEAST[1] * height - 1
    for mark in crop.marks:
        assert part.x <= mark.x < mark.x + mark.width <= part.x + part.width
        assert part.y <= mark.y < mark.y + mark.height <= part.y + part.height


def test_crops_and_marks_are_in_pixels_of_the_picture() -> None:
    image = PageImage("arxiv:1", 1, WIDTH, HEIGHT, "image/png", png())
    crop = crop_of(Highlight(1, (Rectangle(0.1, 0.5, 0.5, 0.525),)), image)
    assert [str(mark) for mark in crop.marks] == ["30 200 120 10"]
    assert str(crop.whole) == f"0 0 {WIDTH} {HEIGHT}"
    assert str(crop.part) == "24 177 132 56"


def test_a_line_of_a_page_of_one_column_is_shown_whole() -> None:
    image = PageImage("arxiv:1", 1, 1000, 1000, "image/png", b"")
    whole = crop_of(Highlight(1, (Rectangle(0.2, 0.5, 0.75, 0.52),)), image).part
    assert (whole.x, whole.x + whole.width) == (180, 820)
    column = crop_of(Highlight(1, (Rectangle(0.1, 0.5, 0.5, 0.52),)), image).part
    assert (column.x, column.x + column.width) == (80, 520)
