"""Whatever comes from a paper, a README or a prompt shows as text and does nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.answer.model import Answer, Quote, Reference, SourceRecord, Statement
from rag.plaintext import escape, plain
from rag.views.markdown import place, to_markdown, what_was_read, work_of

HOSTILE = [
    "<script>alert(1)</script>",
    "<!-- hidden -->",
    "a &lt;b&gt; &#60;c&#62; &copy;",
    "[a link](https://example.org)",
    "![a picture](https://example.org/x.png)",
    "<https://example.org> and https://example.org and www.example.org",
    "[ref]: https://example.org",
    "`code` and ``more`` and ```",
    "```\nfenced",
    "~~~ and ~~struck~~",
    "1. one",
    "12) twelve",
    "1234567890. no list",
    "# a heading",
    "- a list",
    "+ a list",
    "* a list",
    "> a quote",
    "---",
    "===",
    "***bold*** __bold__ _it_",
    "| a | b |\n|---|---|\n| c | d |",
    "$x^2$ and $$y$$",
    "\\[x\\] and \\*",
    "    indented",
    "two\n\nparagraphs\nlines  \nbreaks\\\nhere",
    "\x1b[31mred\x1b[0m and \x1b]8;;https://example.org\x07link\x1b]8;;\x07 \x9b31m",
    "\u202egnp.exe\u202c and \u2066isolated\u2069 and \ufeffmark",
    "hidden \U000e0068\U000e0069 tags and \u061c\u200b\u00ad\u2028 marks",
    "bell\a and back\b\b\bspace and \r return \0 nothing",
    "someone@example.org",
    "trailing #",
    "trailing \\",
    "",
]
PIECES = st.sampled_from(
    [*"\\`*_[]()<>#|~$&;!+-=.:@ 19\n\t\x1b\u202eab", "http://", "www.", "&amp;", "<b>", "](", "--"]
)
WILD = st.lists(PIECES | st.characters(codec="utf-8"), max_size=12).map("".join)
GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PRESENT = {"paragraph", "text", "text_special", "softbreak", "hardbreak", "inline"}


def tokens(parsed: Iterable[Token]) -> Iterator[Token]:
    for token in parsed:
        yield token
        yield from tokens(token.children or ())


def kinds(markdown: str) -> set[str]:
    return {token.type.removesuffix("_open").removesuffix("_close") for token in parse(markdown)}


def parse(markdown: str) -> list[Token]:
    return list(tokens(GITHUB.parse(markdown)))


def words(markdown: str) -> str:
    """What a reader sees, on one line."""
    shown = (
        " " if "break" in token.type or token.type == "paragraph_close" else token.content
        for token in parse(markdown)
        if token.type in PRESENT - {"inline"} | {"code_inline", "paragraph_close"}
    )
    return " ".join("".join(shown).split())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    assert kinds(escape(text)) <= PRESENT
    assert words(escape(text)) == plain(text)


@given(WILD)
@settings(max_examples=500, deadline=None)
def test_any_text_is_shown_and_does_nothing(text: str) -> None:
    assert kinds(escape(text)) <= PRESENT
    assert words(escape(text)) == plain(text)


@pytest.mark.parametrize("text", ["\\(x\\)", "\\[x\\]", "\\begin{equation}x\\end{equation}", "$x$"])
def test_no_formula_of_a_source_is_set_by_a_notebook(text: str) -> None:
    """JupyterLab and nbconvert take formulas out of Markdown before anything else reads it: between
    dollars, double backslashes with a bracket, and a begin with its end."""
    math = r"(?<!\\)\$|\\\\[(\[]|\\begin\{"
    assert re.search(math, text.replace("\\", "\\\\"))
    assert not re.search(math, escape(text))
    assert words(escape(text)) == text


@given(WILD)
def test_plain_text_is_one_line_of_what_can_be_seen(text: str) -> None:
    line = plain(text)
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in line)
    assert line == " ".join(line.split())
    seen = [char for char in text if not char.isspace() and unicodedata.category(char)[0] != "C"]
    assert [char for char in line if char != " " and unicodedata.category(char)[0] != "C"] == seen


@pytest.mark.parametrize("text", ["https://example.org", "www.example.org", "WWW.example.org"])
def test_a_bare_link_is_not_made_live_by_github_either(text: str) -> None:
    """GitHub links what begins with a scheme and `//` or with `www.` (GFM, autolinks)."""
    assert not re.search(r"(https?|ftp)://|www\.", escape(text), re.IGNORECASE)


def hostile(answer: Answer, text: str) -> Answer:
    """The answer with `text` in every place that a file, a paper or a prompt may fill."""

    def quote(quote: Quote) -> Quote:
        return replace(quote, text=text)

    def statement(said: Statement) -> Statement:
        return Statement(text, tuple(map(quote, said.quotes)))

    def reference(item: Reference) -> Reference:
        return replace(item, name=text, relevance=statement(item.relevance))

    def source(item: SourceRecord) -> SourceRecord:
        return replace(item, reason=item.reason and text)

    return replace(
        answer,
        prompt=replace(answer.prompt, question=text),
        writer=replace(answer.writer, name=text, model=text, note=text),
        task=tuple(map(statement, answer.task)),
        workflow=replace(
            answer.workflow,
            input=tuple(map(statement, answer.workflow.input)),
            model=tuple(map(statement, answer.workflow.model)),
            output=tuple(map(statement, answer.workflow.output)),
        ),
        references=tuple(map(reference, answer.references)),
        sources=tuple(map(source, answer.sources)),
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_comes_alive_in_a_whole_answer(
    answers: Mapping[str, Answer], text: str
) -> None:
    answer = answers["colour"]
    markdown = to_markdown(hostile(answer, text))
    assert kinds(markdown) <= kinds(to_markdown(answer))
    found = parse(markdown)
    assert [token.type for token in found if token.type != "text"] == [
        token.type
        for token in parse(to_markdown(hostile(answer, "x" if plain(text) else "")))
        if token.type != "text"
    ]
    links = [token.attrs["href"] for token in found if token.type == "link_open"]
    assert links == [
        link for item in answer.references for link in (item.paper, item.github) if link
    ]
    assert not {"html_inline", "html_block", "image"} & {token.type for token in found}
    assert words(markdown).count(plain(text)) >= len(list(answer.quotes()))
    assert not any(unicodedata.category(c) in {"Cc", "Cf"} and c != "\n" for c in markdown)


@pytest.mark.parametrize("name", ["colour", "remove", "move"])
def test_an_answer_shows_every_part(answers: Mapping[str, Answer], name: str) -> None:
    answer = answers[name]
    shown = words(to_markdown(answer))
    assert plain(answer.prompt.question) in shown
    for _, statement in answer.statements():
        assert plain(statement.text) in shown
    for _, quote in answer.quotes():
        assert f"“{plain(quote.text)}” — {plain(work_of(answer, quote.source_id))}, " in shown
    for reference in answer.references:
        for link in (reference.paper, reference.github):
            assert (link or "None") in to_markdown(answer)


def test_what_could_not_be_read_is_said_first_and_why(answers: Mapping[str, Answer]) -> None:
    markdown = to_markdown(answers["colour"])
    assert markdown.index("1 paper could not be had") < markdown.index("## 1.")
    shown = words(markdown)
    assert "Read: summary in the prompt; not read: paper (offline, and not in the mirror)" in shown
    assert "Read: full text, README, summary in the prompt" in shown
    assert "could not be had" not in to_markdown(answers["move"])


def test_a_quote_says_where_it_stands() -> None:
    quote = Quote("arxiv:1", "full text", 0, 1, "x", (3,))
    assert place(quote) == "full text, p. 3"
    assert place(replace(quote, pages=(3, 4, 5))) == "full text, pp. 3–5"
    assert place(replace(quote, pages=(), source_type="readme")) == "README"


def test_a_work_without_any_source_has_nothing_to_read() -> None:
    nothing = Reference("A", "related", None, None, (), relevant=False, relevance=Statement("", ()))
    assert what_was_read(nothing, {}) == "nothing was given to read"
