"""An answer as HTML: it shows everything once, and whatever comes from elsewhere is only text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.answer.model import Answer, Quote, Reference, SourceRecord, Statement
from rag.plaintext import plain
from rag.retrieval.evidence import Span
from rag.views.highlight import Highlight, PageImage, Pictures, Rectangle
from rag.views.html import to_fragment, to_html
from rag.views.html.view import LEAST, crop_of
from rag.views.markdown import is_its_quote, is_link, place, work_of
from rag.views.warnings import SupportWarning
from tests.parts.drawn import HEIGHT, WIDTH, drawn, png
from tests.test_render import HOSTILE, WILD

FORMS = {"document": to_html, "fragment": to_fragment}
VOID = {"meta", "link", "br", "wbr", "img", "input", "hr"}
ATTACKS = [
    *HOSTILE,
    "<img src=x onerror=alert(1)>",
    '"><img src=https://example.org/x onerror="alert(1)">',
    "' onmouseover='alert(1)' x='",
    '" autofocus onfocus="alert(1)" style="color:red',
    "</style><script>alert(1)</script>",
    "</title></head><body onload=alert(1)>",
    "]]><svg onload=alert(1)>",
    "--><base href=https://example.org>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "http://example.org/\u202egpj.exe",
    'http://example.org/"onmouseover="alert(1)',
    "{{ 7 * 7 }} {% raw %} {# gone #} ${7*7}",
    "&lt;script&gt; &amp;lt; &#x3c;",
    "<svg><use href=https://example.org/x.svg#a></svg>",
    "@import url(https://example.org/x.css); } * { color: red",
]


@dataclass
class Parsed(HTMLParser):
    """What a browser would make of it, near enough: elements, and the words between them."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    text: str = ""
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def attributes(self, tag: str, name: str) -> list[str]:
        found = (attributes.get(name) for each, attributes in self.elements if each == tag)
        return [value for value in found if value is not None]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    @property
    def shape(self) -> list[tuple[str, tuple[str, ...]]]:
        """The elements and the names of their attributes. A link may have any number of places
        where a line may break."""
        return [(tag, tuple(found)) for tag, found in self.elements if tag != "wbr"]


def parsed(html: str) -> Parsed:
    found = Parsed()
    found.feed(html)
    found.close()
    assert not found.open
    return found


def attacked(answer: Answer, text: str) -> Answer:
    """The answer with `text` in every place that a file, a paper or a prompt may fill."""

    def quote(item: Quote) -> Quote:
        return replace(item, text=text, source_id=item.source_id + text)

    def statement(said: Statement, words: str = text) -> Statement:
        return Statement(words, tuple(map(quote, said.quotes)))

    def reference(item: Reference) -> Reference:
        return replace(
            item,
            name=text,
            paper=text,
            github=text,
            relevance=statement(item.relevance),
            sources=tuple(source + text for source in item.sources),
        )

    def source(item: SourceRecord) -> SourceRecord:
        return replace(
            item,
            id=item.id + text,
            version=text,
            sha256=text,
            document_sha256=text,
            reason=item.reason and text,
        )

    # Of every second statement the words differ from the quote's: both are shown then.
    return replace(
        answer,
        prompt=replace(answer.prompt, question=text),
        writer=replace(answer.writer, name=text, model=text, note=text),
        task=tuple(statement(each, text + "!") for each in answer.task),
        workflow=replace(
            answer.workflow,
            input=tuple(map(statement, answer.workflow.input)),
            model=tuple(statement(each, "? " + text) for each in answer.workflow.model),
            output=tuple(map(statement, answer.workflow.output)),
        ),
        references=tuple(map(reference, answer.references)),
        sources=tuple(map(source, answer.sources)),
    )


def doubted(answer: Answer, why: str) -> list[SupportWarning]:
    return [SupportWarning(part, said.text, why) for part, said in answer.statements()]


def shown(form: str, answer: Answer, why: str) -> Parsed:
    return parsed(FORMS[form](answer, drawn(answer), support_warnings=doubted(answer, why)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", ATTACKS)
def test_hostile_text_is_shown_and_does_nothing(
    answers: Mapping[str, Answer], text: str, form: str
) -> None:
    answer = answers["remove"]
    harmless = ("https://x.org" if is_link(text) else "x") if plain(text) else ""
    found = shown(form, attacked(answer, text), text)
    assert found.shape == shown(form, attacked(answer, harmless), harmless).shape
    assert found.words.count(plain(text)) >= len(list(answer.quotes()))
    expected = [text] * len(found.attributes("a", "href")) if is_link(text) else []
    assert found.attributes("a", "href") == expected
    assert not any(
        unicodedata.category(char) in {"Cc", "Cf"} and char != "\n" for char in found.text
    )
    assert not {"script", "img", "iframe", "base", "object"} & {tag for tag, _ in found.elements}
    assert not [name for _, each in found.elements for name in each if name.startswith("on")]


@given(WILD)
@settings(max_examples=60, deadline=None)
def test_any_question_is_shown_as_it_is(text: str) -> None:
    nothing = Answer.from_json(EMPTY)
    answer = replace(nothing, prompt=replace(nothing.prompt, question=text))
    html = to_html(answer)
    html.encode()
    # In the text a question may break at a slash; in the title it may not.
    assert parsed(html).words.count(plain(text)) >= 2
    assert parsed(html).shape == parsed(to_html(nothing)).shape


EMPTY = """{"format": "grounded-answer/1", "prompt": {"question": "?", "sha256": "", "text": ""},
"writer": {"name": "w", "model": null, "revision": null, "dtype": null, "device": null,
"seed": null, "tokens_decoded": 0, "tokens_forced": 0, "seconds": null, "note": "", "events": []},
"sections": {"task": [], "workflow": {"input": [], "model": [], "output": []}, "references": []},
"sources": []}"""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["colour", "remove", "move"])
def test_an_answer_shows_every_part(answers: Mapping[str, Answer], name: str, form: str) -> None:
    answer = answers[name]
    words = parsed(FORMS[form](answer)).words
    assert plain(answer.prompt.question) in words
    for _, statement in answer.statements():
        assert plain(statement.text) in words
    for _, quote in answer.quotes():
        named = f"“{plain(quote.text)}” {plain(work_of(answer, quote.source_id))}, {place(quote)}"
        assert named in words
    for reference in answer.references:
        assert f"{plain(reference.name)} recommended model" in words or (
            f"{plain(reference.name)} related paper" in words
        )
    for source in answer.sources:
        assert source.id in words
        assert source.document_sha256 in words


def test_a_notebook_is_told_to_set_no_formulas(answers: Mapping[str, Answer]) -> None:
    """MathJax 3 and 2 look for them in the whole of what a notebook shows."""
    first, *_ = parsed(to_fragment(answers["move"])).elements
    assert {"mathjax_ignore", "tex2jax_ignore"} <= set(str(first[1]["class"]).split())


def test_an_answer_without_quotes_says_so() -> None:
    words = parsed(to_html(Answer.from_json(EMPTY))).words
    assert "Written by the w writer. Nothing could be quoted." in words


def test_a_statement_that_is_its_quote_is_said_once(answers: Mapping[str, Answer]) -> None:
    found = [
        (answer, statement)
        for answer in answers.values()
        for _, statement in answer.statements()
        if is_its_quote(statement)
    ]
    assert found
    for answer, statement in found:
        assert parsed(to_html(answer)).words.count(plain(statement.text)) == 1


def test_links_are_those_of_the_prompt_and_none_stays_none(answers: Mapping[str, Answer]) -> None:
    answer = answers["remove"]
    found = parsed(to_html(answer, drawn(answer)))
    listed = {link for item in answer.references for link in (item.paper, item.github) if link}
    links = [each for tag, each in found.elements if tag == "a"]
    assert {link["href"] for link in links} == listed
    assert {link["rel"] for link in links} == {"noopener noreferrer nofollow"}
    missing = sum(link is None for item in answer.references for link in (item.paper, item.github))
    assert missing
    assert found.words.count("None") == missing


def test_a_quote_from_a_readme_leads_to_it_and_one_from_a_paper_nowhere(
    answers: Mapping[str, Answer],
) -> None:
    html = to_html(answers["remove"])
    link = 'href="https://github.com/mosaic-makers/mosaic.git" rel="noopener noreferrer nofollow"'
    assert f"<a {link}>README</a>" in html
    assert '<span class="place">full text, p. 1</span>' in html


def test_what_could_not_be_read_or_is_doubted_is_said_first(
    answers: Mapping[str, Answer],
) -> None:
    answer = answers["colour"]
    _, statement = next(answer.statements())
    html = to_html(
        answer, support_warnings=[SupportWarning("task", statement.text, "the number 7")]
    )
    words = parsed(html).words
    assert words.index("1 paper could not be had") < words.index("1. What you were doing")
    assert "1 statement says more than its quotes seem to" in words
    assert f"{plain(statement.text)} Weakly supported: the number 7." in words
    assert "offline, and not in the mirror" in words
    calm = parsed(to_html(answers["move"]))
    assert "warning" not in calm.attributes("div", "class")


def test_every_page_is_embedded_once(answers: Mapping[str, Answer]) -> None:
    answer = answers["colour"]
    pictures = drawn(answer)
    found = parsed(to_html(answer, pictures))
    embedded = found.attributes("image", "href")
    assert len(embedded) == len(set(embedded)) == len(pictures.pages)
    assert all(each.startswith("data:image/png;base64,") for each in embedded)
    marked = sum(len(highlights) for highlights in pictures.highlights.values())
    assert marked > len(pictures.pages)
    assert len(found.attributes("use", "href")) == 2 * marked  # the part, and the whole page
    ids = [each["id"] for _, each in found.elements if each.get("id")]
    assert len(ids) == len(set(ids))
    assert {each.removeprefix("#") for each in found.attributes("use", "href")} <= set(ids)
    assert set(found.attributes("button", "popovertarget")) <= set(ids)


def test_quotes_without_highlights_are_text_alone(answers: Mapping[str, Answer]) -> None:
    answer = answers["remove"]
    pictures = drawn(answer)
    for without in (Pictures(), Pictures(pictures.highlights), Pictures(pages=pictures.pages)):
        found = parsed(to_html(answer, without))
        assert not found.attributes("image", "href")
        assert "See it on page" not in found.words
    span = next(iter(pictures.highlights))
    bare = Pictures({span: (Highlight(1, ()),)}, pictures.pages)
    assert "See it on page" not in parsed(to_html(answer, bare)).words


def test_equal_answers_have_equal_pages_and_others_other_ids(
    answers: Mapping[str, Answer],
) -> None:
    def ids(html: str) -> set[str]:
        return {each["id"] or "" for _, each in parsed(html).elements if "id" in each}

    answer, other = answers["colour"], answers["remove"]
    assert to_fragment(answer, drawn(answer)) == to_fragment(answer, drawn(answer))
    assert not ids(to_fragment(answer, drawn(answer))) & ids(to_fragment(other, drawn(other)))
    repainted = drawn(answer)
    pages = {key: replace(page, data=png(grey=9)) for key, page in repainted.pages.items()}
    assert not ids(to_fragment(answer, drawn(answer))) & ids(
        to_fragment(answer, Pictures(repainted.highlights, pages))
    )


SHARES = st.floats(0.0, 1.0)


@st.composite
def rectangles(draw: st.DrawFn) -> Rectangle:
    left, top = draw(st.floats(0.0, 0.98)), draw(st.floats(0.0, 0.98))
    width, height = draw(st.floats(0.02, 1.0 - left)), draw(st.floats(0.02, 1.0 - top))
    return Rectangle(left, top, min(1.0, left + width), min(1.0, top + height))


@given(
    st.lists(rectangles(), min_size=1, max_size=6), st.integers(100, 3000), st.integers(100, 3000)
)
def test_the_part_that_is_shown_lies_on_the_page_and_holds_every_mark(
    marked: Iterable[Rectangle], width: int, height: int
) -> None:
    image = PageImage("arxiv:1", 3, width, height, "image/png", b"")
    crop = crop_of(Highlight(3, tuple(marked)), image)
    part = crop.part
    assert part.x >= 0
    assert part.y >= 0
    assert part.x + part.width <= width
    assert part.y + part.height <= height
    assert part.width >= LEAST[0] * width - 1
    assert part.height >= LEAST[1] * height - 1
    for mark in crop.marks:
        assert part.x <= mark.x < mark.x + mark.width <= part.x + part.width
        assert part.y <= mark.y < mark.y + mark.height <= part.y + part.height


def test_marks_are_in_pixels_of_the_picture() -> None:
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


def test_a_span_is_what_pictures_are_looked_up_by(answers: Mapping[str, Answer]) -> None:
    """Two quotes from one page, of which one was not found: only the other is shown on it."""
    answer = answers["move"]
    pictures = drawn(answer)
    (_, first), *_ = answer.quotes()
    key = Span(first.source_id, first.start, first.end)
    one = Pictures({key: pictures.highlights[key]}, pictures.pages)
    assert parsed(to_html(answer, one)).words.count("See it on page 1") == 1
