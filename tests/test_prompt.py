"""Prompt documents: what is read, what is refused and where, and that nothing else can happen."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.catalog import Listing
from index.errors import PromptError
from rag.parsing import MAX_SIZE, decode
from rag.prompt import REQUESTS, Prompt, parse_prompt, read_prompt, render_prompt
from tests.parts import SHARED

PREAMBLE = """\
You are an AI scientist.

A user has asked the following question:
"How does it do that?"

Based on the following recommended models, explain:

1. What task the user is trying to perform.
2. How it works.

Use **only the provided models and papers**.

"""
BODY = """\
### Recommended AI Models:
Model: First model
Paper: None
GitHub: https://github.com/o/first

Model: Second model

### Related Papers:
Model: A paper
Paper: http://arxiv.org/pdf/2404.13784v1.pdf
Summary: What it says.


Answer:
"""
DOCUMENT = PREAMBLE + BODY
MODELS, PAPERS = "### Recommended AI Models:", "### Related Papers:"


def asking(question: str, mark: str = "") -> str:
    """The document with what stands after the marker line replaced by `question`."""
    return DOCUMENT.replace('"How does it do that?"', question).replace("A user", f"{mark}A user")


def listing(body: str) -> str:
    """A document with these lines under the heading of related papers."""
    return f"{PREAMBLE}{PAPERS}\n{body}\n\nAnswer:\n"


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


# --- read -----------------------------------------------------------------------------------


def test_a_document_is_read_into_question_requests_and_listings() -> None:
    prompt = parse_prompt(DOCUMENT)
    assert prompt.question == "How does it do that?"
    assert prompt.requests == ("What task the user is trying to perform.", "How it works.")
    assert [x.name for x in prompt.listed_as("recommended")] == ["First model", "Second model"]
    assert [x.name for x in prompt.listed_as("related")] == ["A paper"]
    first, second, paper = prompt.listings
    assert (first.paper, second.paper, second.github, second.summary) == (None, None, None, None)
    assert first.source_ids == ("github:o/first",)
    assert paper.paper is not None
    assert paper.paper.written == "http://arxiv.org/pdf/2404.13784v1.pdf"
    assert paper.summary == "What it says."
    assert [x.line for x in prompt.listings] == [
        line_of(DOCUMENT, f"Model: {name}") for name in ("First model", "Second model", "A paper")
    ]
    assert set(prompt.catalog.listings) == set(prompt.listings)


def test_the_shared_prompts_are_read_and_written_back_byte_for_byte() -> None:
    if not (paths := sorted((SHARED / "prompts").glob("*.txt"))):
        pytest.skip("the shared prompts are not beside the project")
    for path in paths:
        prompt = read_prompt(path)
        assert prompt.requests == REQUESTS
        assert render_prompt(prompt).encode() == path.read_bytes()


@pytest.mark.parametrize(
    ("ends", "encoding"),
    [("\n", "utf-8"), ("\r\n", "utf-8"), ("\r", "utf-8"), ("\n", "utf-8-sig"), ("\n", "utf-16")],
)
def test_line_ends_and_the_encoding_of_a_file_are_no_part_of_the_document(
    tmp_path: Path, ends: str, encoding: str
) -> None:
    document, path = asking("“Süß, wie?”"), tmp_path / "prompt.txt"
    path.write_bytes(document.replace("\n", ends).encode(encoding))
    prompt = read_prompt(path)
    assert prompt == parse_prompt(document)
    assert prompt.question == "Süß, wie?"
    assert prompt.sha256 == hashlib.sha256(document.encode()).hexdigest()
    assert prompt.path == str(path)


LAYOUTS: Mapping[str, Sequence[tuple[str, str]]] = {
    "trailing spaces": [("\n", " \t\n")],
    "blank lines": [("\n", "\n\n")],
    "no blank lines": [("\n\n", "\n")],
    "no answer line": [("Answer:\n", "")],
    "an answer already there": [("Answer:\n", "Answer:\nThe task is to paint.\n")],
    "no first line": [("You are an AI scientist.\n", "")],
    "no paper line": [("Paper: None\n", "")],
    "empty paper line": [("Paper: None\n", "Paper:\n")],
    "case": [("Model:", "MODEL :"), ("Paper:", "paper:")],
    "bold": [("Model:", "**Model:**")],
    "bold, colon outside": [("Model:", "**Model**:")],
    "headings without marks": [("### R", "R")],
    "headings": [("### R", "## r"), ("s:\n", "s\n")],
    "summary on the next line": [("Summary: ", "Summary:\n")],
    "a request on two lines": [("2. How it", "2) How\n  it")],
    "no line before the requests": [("Based on the following recommended models, explain:\n", "")],
    "curly": [('"How', "“How"), ('that?"', "that?”")],
    "unquoted": [('"How', "How"), ('that?"', "that?")],
    "question on its line": [('question:\n"', 'question: "')],
    "same block": [("### Related", "Model: Second model\n\n### Related")],
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_however_it_is_laid_out_it_says_the_same(name: str) -> None:
    variant = DOCUMENT
    for old, new in LAYOUTS[name]:
        variant = variant.replace(old, new)
    assert variant != DOCUMENT
    assert render_prompt(parse_prompt(variant)) == render_prompt(parse_prompt(DOCUMENT))


@pytest.mark.parametrize(
    ("written", "question"),
    [
        ('"I typed “a cat” and got one?"', "I typed “a cat” and got one?"),
        ("“I typed “a cat” and got one?”", "I typed “a cat” and got one?"),
        ("“I typed “a cat””", "I typed “a cat”"),
        ('"I typed “a cat”"', "I typed “a cat”"),
        ('"I typed "a cat" and got one?"', 'I typed "a cat" and got one?'),
        ('“Is it magic?"', "Is it magic?"),
        ('"Is it magic?”', "Is it magic?"),
        ("“A cat” is what I typed?", "“A cat” is what I typed?"),
        ("“A cat” became “a dog”", "“A cat” became “a dog”"),
        ('"A cat" is what I typed?', '"A cat" is what I typed?'),
        ('" First line, \n\nand more?\t\n"', "First line,\n\nand more?"),
        ("'Why?'", "'Why?'"),
    ],
)
def test_the_quotes_around_a_question_are_not_a_part_of_it(written: str, question: str) -> None:
    assert parse_prompt(asking(written)).question == question


def test_a_summary_goes_on_until_the_next_field_heading_or_answer() -> None:
    body = """\
Model: A
Summary: First line\t
Note: not a field, and 1. no request.

After a blank line.

GitHub: https://github.com/o/a
Model: B
Summary: Its own.

### Recommended AI Models:
Model: C
Summary: The last

one.
"""
    prompt = parse_prompt(listing(body))
    a, b, c = prompt.listings
    assert a.summary == ("First line\nNote: not a field, and 1. no request.\n\nAfter a blank line.")
    assert a.source_ids[0] == "github:o/a"
    assert b.summary == "Its own."
    assert (c.role, c.summary) == ("recommended", "The last\n\none.")
    again = parse_prompt(render_prompt(prompt)).listings
    assert [(item.name, item.role) for item in again] == [(x.name, x.role) for x in (a, b, c)]


@pytest.mark.parametrize(
    ("body", "recommended", "related"),
    [
        (f"{MODELS}\nModel: A\n", ["A"], []),
        (f"{MODELS}\nModel: A\n\n{PAPERS}\n", ["A"], []),
        (f"{MODELS}\nModel: A\n\n{PAPERS}\nNone\n", ["A"], []),
        (f"{MODELS}\nModel: A\n\n{PAPERS} None\n", ["A"], []),
        (f"{PAPERS}\nModel: A\n", [], ["A"]),
        (f"{MODELS}\n\n{PAPERS}\nModel: A\n", [], ["A"]),
    ],
)
def test_there_may_be_works_of_one_kind_alone(
    body: str, recommended: list[str], related: list[str]
) -> None:
    prompt = parse_prompt(f"{PREAMBLE}{body}\nAnswer:")
    assert [x.name for x in prompt.listed_as("recommended")] == recommended
    assert [x.name for x in prompt.listed_as("related")] == related


def test_works_that_share_a_name_are_kept_apart_and_equal_blocks_are_one() -> None:
    links = [f"http://arxiv.org/abs/2404.13784{version}" for version in ("v1", "v2", "v1")]
    prompt = parse_prompt(listing("\n\n".join(f"Model: A\nPaper: {link}" for link in links)))
    ids = [x.source_ids for x in prompt.listings]
    assert ids == [("arxiv:2404.13784v1",), ("arxiv:2404.13784v2",)]


def test_control_characters_and_lone_surrogates_are_shown_and_do_nothing() -> None:
    text = DOCUMENT.replace("What it says.", "\x1b[2JRed\x00 \x9b\ud800\x7f")
    prompt = parse_prompt(text)
    assert prompt.listings[-1].summary == "␛[2JRed␀ \ufffd\ufffd␡"
    assert prompt.listings[-1].summary in prompt.text
    assert len(prompt.sha256) == 64


# --- refused --------------------------------------------------------------------------------


# § marks the line that is to be blamed.
@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("§", "A user has asked"),
        (asking('""', "§"), "question is empty"),
        (asking('"How does it do that?', "§"), "closing quote"),
        (asking('"I typed “a cat”', "§"), "closing quote"),
        (PREAMBLE + "§### Related Papers:\nNone\n\nAnswer:\n", "'Model: …'"),
        (PREAMBLE + "§Model: A\n", "'### Recommended AI Models:' before"),
        (listing("Paper: None\n§Model: A"), "the name first"),
        (listing("§GitHub: None\nSummary: x"), "'Model: …' or a link"),
        (listing("Model: A\n### Related Papers:\n§Summary: x"), "'Model: …' or a link as the"),
        (listing("§Model: none"), "a name after 'Model:'"),
        (listing("Model: A\nPaper: None\n\n§Paper: None"), "'Model: …' or a link"),
        (listing("Model: A\nPaper: None\n§Paper: None"), "each field once"),
        (listing("Model: A\nSummary: x\n§summary: y"), "each field once"),
        (
            listing("Model: A\nPaper:\n§https://arxiv.org"),
            "a field (Model, Paper, GitHub, Summary)",
        ),
        (listing("§What follows\nModel: A"), "'Model: …'"),
        (listing("Model: A\nSummary: x\n§### Tools:\nModel: B"), "a section's heading"),
        (listing("Model: A\nAnswer: yes\n§Model: B"), "no works after 'Answer:'"),
        (listing("Model: A\n\nAnswer:\n§### Related Papers:"), "no works after 'Answer:'"),
        (listing("Model: A\n§Paper: https://evil.com/x"), "an arXiv link"),
        (listing("Model: A\n§GitHub: https://evil.com/x"), "a repository's link"),
        (listing("Model: A work\n§GitHub: https://evil.com/x"), "in the block of 'A work'"),
        (listing("Model: A\n§Paper: N/A"), "or None"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line_and_what_was_expected(
    marked: str, expected: str
) -> None:
    line = line_of(marked, "§")
    with pytest.raises(PromptError) as refused:
        parse_prompt(marked.replace("§", ""), "some.txt")
    assert str(refused.value).startswith(f"some.txt:{line}: ")
    assert refused.value.line == line
    assert expected in refused.value.message


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        ("one\nNaïve".encode("latin-1"), 2, "byte 0xef is not UTF-8"),
        ("one\ntwo".encode("utf-16")[:-1], 2, "is not UTF-16"),
        # Two bytes a character: too many bytes, though few enough characters.
        (("é" * (MAX_SIZE // 2) + "x").encode(), 0, "expected at most 1,000,000"),
    ],
    ids=["Latin-1", "half a character", "too large"],
)
def test_bytes_that_are_no_document_are_refused_with_their_line(
    tmp_path: Path, data: bytes, line: int, message: str
) -> None:
    path = tmp_path / "some.txt"
    path.write_bytes(data)
    with pytest.raises(PromptError, match=message) as refused:
        read_prompt(path)
    assert (refused.value.line, refused.value.path) == (line, str(path))
    with pytest.raises(PromptError, match="too large"):
        parse_prompt(DOCUMENT + " " * MAX_SIZE)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.txt", tmp_path, "nul\x00byte"):
        with pytest.raises(PromptError, match="cannot be read") as refused:
            read_prompt(path)
        assert refused.value.path == str(path)


@pytest.mark.parametrize(
    "line",
    [
        "related papers" + " " * 300_000 + "x",
        "Model" + " " * 300_000,
        "**answer" + "*" * 300_000,
        "“" * 300_000,
        "#" * 300_000,
        "1." + " " * 300_000,
    ],
)
def test_a_line_made_to_be_slow_is_read_as_fast_as_any_other(line: str) -> None:
    for text in (listing(f"Model: A\nSummary: x\n{line}"), PREAMBLE.replace("explain:", line)):
        start = time.process_time()
        with suppress(PromptError):
            parse_prompt(text)
        assert time.process_time() - start < 2  # a quadratic match would take minutes


# --- from Python objects --------------------------------------------------------------------


def test_a_prompt_is_built_from_mappings_or_listings() -> None:
    prompt = Prompt.build(
        "How?",
        recommended=[{"model": "A", "paper": None, "github": "https://github.com/o/a"}],
        related=[Listing("B", "recommended", summary="Says\r\nthis."), {"Model": "C"}],
    )
    assert [(x.name, x.role) for x in prompt.listings] == [
        ("A", "recommended"),
        ("B", "related"),
        ("C", "related"),
    ]
    assert prompt.requests == REQUESTS
    assert prompt.listed_as("related")[0].summary == "Says\nthis."
    assert parse_prompt(prompt.text) == prompt
    assert render_prompt(prompt) == prompt.text


@pytest.mark.parametrize(
    ("question", "works", "message"),
    [
        ("How?", [{"model": "A", "summary": "One.\nModel: B"}], "reads as something else"),
        ("How?", [{"model": "A", "summary": "One.\nAnswer: two."}], "reads as something else"),
        ("How?", [{"model": "A\nGitHub: https://github.com/o/r"}], "reads as something else"),
        ("How?", [{"model": "A", "paper": "None\nSummary: two"}], "reads as something else"),
        ("How?\nBased on the following nothing", [{"model": "A"}], "closing quote"),
        (f"How?\n{PAPERS}\nModel: B", [{"model": "A"}], "closing quote"),
        ("How?", [{"model": ""}], "without a name"),
        ("How?", [{"name": "A"}], r"unknown keys \['name'\]"),
        ("How?", [{"model": "A", "paper": "https://evil.com"}], "an arXiv link"),
        ("", [{"model": "A"}], "the question is empty"),
        ("How?", [], "no work is listed"),
    ],
)
def test_what_a_document_could_not_say_cannot_be_built(
    question: str, works: list[dict[str, str | None]], message: str
) -> None:
    with pytest.raises(PromptError, match=message):
        Prompt.build(question, related=works)


# --- properties -----------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["A", "None", "“a”", '"', "Note: x", "1. x", "Model: x", "Answer: y", "a\n\nb", "\x1b[0m"]
)
pieces = st.sampled_from([*DOCUMENT.split("\n"), "", "Paper: https://github.com/o/r", "“", "\r"])
documents = st.lists(pieces | words, max_size=30).map("\n".join)
positions = st.integers(0, len(DOCUMENT))


@given(
    st.text()
    | documents.map(lambda text: PREAMBLE + text)
    | documents.map(lambda text: DOCUMENT.replace("Answer:\n", text))
    | st.builds(
        lambda data, at: DOCUMENT.encode()[:at] + data + DOCUMENT.encode()[at:],
        st.binary(max_size=200),
        positions,
    )
)
@example("\ud800")
@example("A user has asked the following question:\n“")
def test_any_text_is_refused_or_a_prompt_that_is_written_and_read_again(
    document: str | bytes,
) -> None:
    try:
        prompt = parse_prompt(document if isinstance(document, str) else decode(document))
    except PromptError as refused:
        data = document.encode("utf-8", "replace") if isinstance(document, str) else document
        assert 1 <= refused.line <= data.count(b"\n") + data.count(b"\r") + 1
        assert "expected" in refused.message
        assert str(refused).encode()
        return
    assert prompt.question
    assert prompt.listings
    again = parse_prompt(render_prompt(prompt))
    assert (again.question, again.requests) == (prompt.question, prompt.requests)
    assert [replace(item, line=0) for item in again.listings] == [
        replace(item, line=0) for item in prompt.listings
    ]
