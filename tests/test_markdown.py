"""Text of a paper, a README or a prompt is shown as it is in Markdown, and does nothing."""

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

from rag.answer import Answer, Reference, Statement
from rag.answer.compose import NO_RELEVANCE, NOTHING_READ
from rag.plaintext import escape, plain
from rag.views.html import to_html
from rag.views.markdown import (
    SPEAKERS,
    SupportWarning,
    how_written,
    numbers_of,
    paper_of,
    place,
    role_of,
    to_markdown,
    work_of,
)
from rag.writers import WriterEvent, WriterRecord
from tests.parts.answers import EMPTY, fill
from tests.parts.hostile import HOSTILE, WILD

GITHUB = MarkdownIt("commonmark").enable(["table", "strikethrough"])
INERT = {"paragraph", "text", "text_special", "softbreak", "hardbreak", "inline"}


def tokens(parsed: Iterable[Token]) -> Iterator[Token]:
    for token in parsed:
        yield token
        yield from tokens(token.children or ())


def parse(markdown: str) -> list[Token]:
    return list(tokens(GITHUB.parse(markdown)))


def kinds(markdown: str) -> set[str]:
    return {token.type.removesuffix("_open").removesuffix("_close") for token in parse(markdown)}


def words(markdown: str) -> str:
    """What a reader sees, on one line."""
    shown = (
        " " if "break" in token.type or token.type == "paragraph_close" else token.content
        for token in parse(markdown)
        if token.type in INERT - {"inline"} | {"code_inline", "paragraph_close"}
    )
    return " ".join("".join(shown).split())


@given(WILD | st.sampled_from(HOSTILE))
@settings(max_examples=300)
def test_any_text_is_escaped_and_on_one_visible_line(text: str) -> None:
    assert kinds(escape(text)) <= INERT
    line = plain(text)
    assert words(escape(text)) == line
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in line)
    assert line == " ".join(line.split())
    assert visible(line) == visible(text)


def visible(text: str) -> list[str]:
    return [char for char in text if not char.isspace() and unicodedata.category(char)[0] != "C"]


@pytest.mark.parametrize("text", ["\\(x\\)", "\\[x\\]", "\\begin{equation}x\\end{equation}", "$x$"])
def test_no_formula_of_a_source_is_set_by_a_notebook(text: str) -> None:
    """JupyterLab and nbconvert take formulas out of Markdown before anything else reads it: between
    dollars, double backslashes with a bracket, and a begin with its end."""
    math = r"(?<!\\)\$|\\\\[(\[]|\\begin\{"
    assert re.search(math, text.replace("\\", "\\\\"))
    assert not re.search(math, escape(text))


@pytest.mark.parametrize("text", ["https://example.org", "www.example.org", "WWW.example.org"])
def test_a_bare_link_is_not_made_live_by_github_either(text: str) -> None:
    """GitHub links what begins with a scheme and `//` or with `www.` (GFM, autolinks)."""
    assert not re.search(r"(https?|ftp)://|www\.", escape(text), re.IGNORECASE)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_inert_everywhere_in_an_answer(
    answers: Mapping[str, Answer], text: str
) -> None:
    answer = answers["colour"]
    markdown = to_markdown(fill(answer, text))
    parsed = parse(markdown)
    harmless = parse(to_markdown(fill(answer, "x" if plain(text) else "")))
    assert kinds(markdown) <= kinds(to_markdown(answer))
    assert [token.type for token in parsed if token.type != "text"] == [
        token.type for token in harmless if token.type != "text"
    ]
    links = [token.attrs["href"] for token in parsed if token.type == "link_open"]
    assert links == [
        link for item in answer.references for link in (item.paper, item.github) if link
    ]
    assert not {"html_inline", "html_block", "image"} & {token.type for token in parsed}
    assert words(markdown).count(plain(text)) >= len(list(answer.quotes()))
    assert not any(unicodedata.category(c) in {"Cc", "Cf"} and c != "\n" for c in markdown)


@pytest.mark.parametrize("name", ["colour", "remove", "move"])
def test_an_answer_shows_every_part(answers: Mapping[str, Answer], name: str) -> None:
    answer = answers[name]
    shown = words(to_markdown(answer))
    assert plain(answer.prompt.question) in shown
    for _, statement in answer.statements():
        assert plain(statement.text) in shown
    for part, quote in answer.quotes():
        work, where = work_of(answer, quote.source_id), place(quote.source_type, quote.pages)
        number = numbers_of(answer)[quote]
        assert shown.count(plain(quote.text)) == 1
        if part.startswith("references"):
            assert f"“{plain(quote.text)}” [{number}] ({where})" in shown
        else:
            assert f"“{plain(quote.text)}” [{number}]" in shown
            source = re.escape(f" {plain(work)}, {where}")
            assert re.search(rf"\[{number}\](?: \[\d+\])*{source}", shown)
    for reference in answer.references:
        for link in (reference.paper, reference.github):
            assert (link or "None") in to_markdown(answer)


def test_own_words_are_marked_where_they_are_weakly_supported_and_followed_by_their_quotes(
    answers: Mapping[str, Answer],
) -> None:
    base = answers["colour"]
    first, second, *_ = (quote for _, quote in base.quotes())
    own = Statement("It has 7 colours.", (first,))
    answer = replace(base, task=(own, Statement("", (second,))))
    shown = words(to_markdown(answer, support_warnings=[SupportWarning("task", own.text, "no 7")]))
    told = f"{own.text} [1] (Weakly supported: no 7.) “{plain(second.text)}” [2]"
    assert f"{told} [1] “{plain(first.text)}” — " in shown


def test_a_mention_says_who_says_it_and_a_weak_work_what_it_is(
    answers: Mapping[str, Answer],
) -> None:
    base = answers["remove"]
    first, second, *_ = base.references
    (quote,), (own,) = first.relevance.quotes, second.relevance.quotes
    weak = Statement(NO_RELEVANCE, (own,))
    mentioned = replace(second, relevance=weak, mentions=(Statement("", (quote,)),))
    shown = words(to_markdown(replace(base, references=(first, mentioned))))
    assert f"{NO_RELEVANCE} What it is: “{plain(own.text)}” [" in shown
    says = SPEAKERS[quote.source_type]
    assert f"{says} {plain(first.name)} says of it: “{plain(quote.text)}” [" in shown


def test_what_could_not_be_read_comes_first_with_the_reason(answers: Mapping[str, Answer]) -> None:
    markdown = to_markdown(answers["colour"])
    assert markdown.index("Missing: 1 paper") < markdown.index("## 1.")
    shown = words(markdown)
    assert "Read: summary in the prompt; not read: paper (offline, and not in the mirror)" in shown
    assert "Read: full text, README, summary in the prompt" in shown
    assert "Missing:" not in to_markdown(answers["move"])
    rest = "What follows rests on the rest."
    assert rest in markdown
    silent = replace(EMPTY, sources=answers["colour"].sources)
    for shown in (to_markdown(silent), to_html(silent)):
        assert "Missing: 1 paper" in shown
        assert rest not in shown


def test_the_place_of_a_quote_names_its_pages() -> None:
    assert place("full text", (3,)) == "full text, p. 3"
    assert place("full text", (3, 4, 5)) == "full text, pp. 3–5"
    assert place("readme", ()) == "README"


def test_a_work_without_any_source_has_nothing_to_read() -> None:
    nothing = Statement(NOTHING_READ, ())
    bare = Reference("A", "related", None, None, (), False, nothing, ())
    assert "Nothing was given to read" in to_markdown(replace(EMPTY, references=(bare,)))


def test_a_file_of_one_s_own_is_called_so_and_its_hash_is_not_shown(
    answers: Mapping[str, Answer],
) -> None:
    answer = next(iter(answers.values()))
    first, *others = answer.references
    own = replace(first, paper=f"my paper.pdf (sha256 {'0a' * 8})", sources=("file:" + "0a" * 8,))
    shown = to_markdown(replace(answer, references=(own, *others)))
    assert (role_of(own), paper_of(own)) == ("own file", "my paper.pdf")
    assert f"**{escape(own.name)}** (own file)" in shown
    assert "Paper: my paper.pdf · GitHub" in shown
    assert [paper_of(one) for one in others] == [one.paper for one in others]


def test_it_is_said_how_much_of_what_a_model_wrote_was_kept(answers: Mapping[str, Answer]) -> None:
    answer = next(iter(answers.values()))
    own = Statement("In other words.", tuple(quote for _, quote in answer.quotes())[:1])
    events = [WriterEvent("task", kind, "why") for kind in ("rewritten", "rewritten", "replaced")]
    record = WriterRecord("local", model="m", events=tuple(events))
    written = replace(answer, task=(own, own), writer=record)
    replaced = "1 of 3 statements was replaced by sentences of the works, after 2 rewrites."
    assert replaced in how_written(written)
    kept = replace(written, writer=replace(record, events=()))
    assert "0 of 2 statements were replaced by sentences of the works." in how_written(kept)
    assert "replaced" not in how_written(replace(written, writer=WriterRecord("extractive")))
