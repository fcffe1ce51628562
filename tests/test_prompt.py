"""Prompt documents: what is read, what is refused and where, and that nothing else can happen."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.catalog import Listing
from index.errors import LinkError, PromptError
from rag.parsing import MAX_SIZE
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


def asking(question: str, mark: str = "") -> str:
    """The document with what stands after the marker line replaced by `question`."""
    return DOCUMENT.replace('"How does it do that?"', question).replace("A user", f"{mark}A user")


def listing(body: str) -> str:
    """A document with these lines under the heading of related papers."""
    return f"{PREAMBLE}### Related Papers:\n{body}\n\nAnswer:\n"


def outcome(text: str) -> Prompt | PromptError:
    try:
        return parse_prompt(text)
    except PromptError as refused:
        return refused


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


@pytest.mark.skipif(
    not (SHARED / "prompts").is_dir(), reason="the shared prompts are not beside the project"
)
@pytest.mark.parametrize(
    ("name", "works"),
    [
        ("000_4406e597453ad673", (1, 3)),
        ("001_0043775a0aa35c2b", (1, 3)),
        ("003_96061710fa91c7d9", (1, 3)),
        ("full-text-answers-with-sources", (1, 4)),
        ("full-text-image-translation", (1, 4)),
        ("full-text-inpainting", (1, 3)),
        ("full-text-recognition", (2, 3)),
    ],
)
def test_the_shared_prompts_are_read_and_written_back_byte_for_byte(
    name: str, works: tuple[int, int]
) -> None:
    path = SHARED / f"prompts/{name}.txt"
    prompt = read_prompt(path)
    assert (len(prompt.listed_as("recommended")), len(prompt.listed_as("related"))) == works
    assert prompt.requests == REQUESTS
    assert prompt.question[0] in "IMT"
    assert prompt.question[-1] == "?"
    assert render_prompt(prompt).encode() == path.read_bytes()
    assert prompt.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "variant",
    [DOCUMENT.replace("\n", "\r\n"), DOCUMENT.replace("\n", "\r"), "\ufeff" + DOCUMENT],
    ids=["CRLF", "CR", "byte-order mark"],
)
def test_line_ends_and_a_byte_order_mark_are_no_part_of_the_document(variant: str) -> None:
    assert parse_prompt(variant) == parse_prompt(DOCUMENT)
    assert parse_prompt(variant).sha256 == hashlib.sha256(DOCUMENT.encode()).hexdigest()


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
    a, b, c = parse_prompt(listing(body)).listings
    assert a.summary == ("First line\nNote: not a field, and 1. no request.\n\nAfter a blank line.")
    assert a.source_ids[0] == "github:o/a"
    assert b.summary == "Its own."
    assert (c.role, c.summary) == ("recommended", "The last\n\none.")


HEADING = "\n### Related Papers:"
RELATED = ["", f"{HEADING}\n", f"{HEADING}\nNone\n", f"{HEADING} None\n"]


@pytest.mark.parametrize("related", RELATED)
def test_there_may_be_no_related_papers(related: str) -> None:
    prompt = parse_prompt(f"{PREAMBLE}### Recommended AI Models:\nModel: A\n{related}\nAnswer:")
    assert [x.name for x in prompt.listed_as("recommended")] == ["A"]
    assert prompt.listed_as("related") == ()


@pytest.mark.parametrize("heading", ["", "### Recommended AI Models:\n\n"])
def test_there_may_be_no_recommended_model(heading: str) -> None:
    prompt = parse_prompt(f"{PREAMBLE}{heading}### Related Papers:\nModel: A\n")
    assert prompt.listed_as("recommended") == ()
    assert [x.name for x in prompt.listed_as("related")] == ["A"]


def test_works_that_share_a_name_are_kept_apart_and_equal_blocks_are_one() -> None:
    body = """\
Model: A
Paper: http://arxiv.org/abs/2404.13784v1

Model: A
Paper: http://arxiv.org/abs/2404.13784v2

Model: A
Paper:   http://arxiv.org/abs/2404.13784v1
"""
    ids = [x.source_ids for x in parse_prompt(listing(body)).listings]
    assert ids == [("arxiv:2404.13784v1",), ("arxiv:2404.13784v2",)]


def test_a_numbered_request_may_go_on_over_lines() -> None:
    text = DOCUMENT.replace("2. How it works.", "2) How it works\n  inside.")
    assert parse_prompt(text).requests[1] == "How it works inside."


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
        ("§Model: A", "A user has asked"),
        (asking('""', "§"), "question is empty"),
        (asking("", "§"), "question is empty"),
        (asking('"How does it do that?', "§"), "closing quote"),
        (asking("“How does it do that?", "§"), "closing quote"),
        (asking('"I typed “a cat”', "§"), "closing quote"),
        (PREAMBLE + "§### Related Papers:\n\nAnswer:\n", "'Model: …'"),
        (PREAMBLE + "§### Related Papers:\nNone\n\nAnswer:\n", "'Model: …'"),
        (PREAMBLE + "§Model: A\n", "'### Recommended AI Models:' before"),
        (listing("Paper: None\n§Model: A"), "the name first"),
        (listing("Paper: 2404.13784\n§Title: A"), "the name first"),
        (listing("§GitHub: None"), "'Model: …' or a link"),
        (listing("§GitHub: None\nSummary: x"), "'Model: …' or a link"),
        (listing("Model: A\n### Related Papers:\n§Summary: x"), "'Model: …' or a link as the"),
        (listing("§Model:\nPaper: None"), "a name after 'Model:'"),
        (listing("§Model: none"), "a name after 'Model:'"),
        (listing("Model: A\nPaper: None\n\n§Paper: None"), "'Model: …' or a link"),
        (listing("Model: A\nPaper: None\n§Paper: None"), "each field once"),
        (listing("Paper: 2404.13784\n§Paper: 2404.13785"), "each field once"),
        (listing("Model: A\nSummary: x\n§summary: y"), "each field once"),
        (listing("Model: A\n§Link: x"), "a field (Model, Paper, GitHub, Summary)"),
        (listing("Model: A\nPaper:\n§https://arxiv.org/abs/2404.13784"), "a field"),
        (listing("§What follows\nModel: A"), "'Model: …'"),
        (listing("Model: A\nSummary: x\n§### Tools:\nModel: B"), "a section's heading"),
        (listing("Model: A\nAnswer: yes\n§Model: B"), "no works after 'Answer:'"),
        (listing("Model: A\n\nAnswer:\n§### Related Papers:"), "no works after 'Answer:'"),
        (listing("Model: A\n§Paper: https://evil.com/x"), "an arXiv link"),
        (listing("Model: A\n§GitHub: https://evil.com/x"), "a repository's link"),
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


def test_a_bad_link_is_named_with_its_work() -> None:
    with pytest.raises(LinkError, match="in the block of 'A work'"):
        parse_prompt(listing("Model: A work\nGitHub: https://gitlab.com/o/r"))


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_with_or_without_its_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(asking("“Süß, wie?”").encode(encoding))
    prompt = read_prompt(path)
    assert prompt.question == "Süß, wie?"
    assert prompt.path == str(path)
    assert prompt == parse_prompt(asking("“Süß, wie?”"))


def test_bytes_that_are_no_text_are_refused_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.txt"
    path.write_bytes(DOCUMENT.replace("What it", "Naïve: it").encode("latin-1"))
    with pytest.raises(PromptError, match="byte 0xef is not UTF-8; expected") as refused:
        read_prompt(path)
    assert (refused.value.line, refused.value.path) == (line_of(DOCUMENT, "What it"), str(path))
    path.write_bytes(DOCUMENT.encode("utf-16")[:-1])
    with pytest.raises(PromptError, match="is not UTF-16"):
        read_prompt(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.txt", tmp_path, "nul\x00byte"):
        with pytest.raises(PromptError, match="cannot be read") as refused:
            read_prompt(path)
        assert refused.value.path == str(path)


def test_a_file_or_text_beyond_the_limit_is_refused_and_not_cut(tmp_path: Path) -> None:
    # Two bytes a character: too many bytes, though few enough characters.
    path = tmp_path / "long.txt"
    path.write_text(listing("Model: A\nSummary: " + "é" * (MAX_SIZE // 2)), encoding="utf-8")
    with pytest.raises(PromptError, match=r"too large .* expected at most 1,000,000") as refused:
        read_prompt(path)
    assert refused.value.path == str(path)
    with pytest.raises(PromptError, match="too large"):
        parse_prompt(DOCUMENT + " " * MAX_SIZE)


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
        outcome(text)
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
    ("question", "work"),
    [
        ("How?", {"model": "A", "summary": "One.\nModel: B"}),
        ("How?", {"model": "A", "summary": "One.\nAnswer: two."}),
        ("How?", {"model": "A", "summary": "One.\n### Related Papers:\nModel: B"}),
        ("How?", {"model": "A\nGitHub: https://github.com/o/r"}),
        ("How?", {"model": "A", "paper": "None\nSummary: two"}),
        ("How?\nBased on the following nothing", {"model": "A"}),
        ("How?\n### Related Papers:\nModel: B", {"model": "A"}),
        ("How?", {"model": ""}),
        ("How?", {"name": "A"}),
        ("How?", {"model": "A", "paper": "https://evil.com"}),
        ("", {"model": "A"}),
    ],
)
def test_what_a_document_could_not_say_cannot_be_built(
    question: str, work: dict[str, str | None]
) -> None:
    with pytest.raises(PromptError):
        Prompt.build(question, related=[work])


def test_a_prompt_without_works_cannot_be_built() -> None:
    with pytest.raises(PromptError, match="no work is listed"):
        Prompt.build("How?")


# --- properties -----------------------------------------------------------------------------

words = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(
    ["A", "None", "“a”", '"', "Note: x", "1. x", "Model: x", "Answer: y", "a\n\nb", "\x1b[0m"]
)
plain = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\ufeff"),
    max_size=20,
)
works = st.fixed_dictionaries(
    {"model": plain | st.sampled_from(["A", "B"])},
    optional={
        "paper": st.sampled_from(
            ["None", "http://arxiv.org/pdf/2404.13784v1.pdf", "<arXiv:math.GT/0309136>."]
        ),
        "github": st.sampled_from([None, "https://github.com/o/r", "git@github.com:O/R.git"]),
        "summary": st.none() | words,
    },
)


@given(
    question=words,
    recommended=st.lists(works, max_size=3),
    related=st.lists(works, max_size=3),
    requests=st.lists(words, max_size=3),
)
def test_what_can_be_built_is_read_back_as_it_was_given(
    question: str,
    recommended: list[dict[str, str | None]],
    related: list[dict[str, str | None]],
    requests: list[str],
) -> None:
    try:
        prompt = Prompt.build(question, recommended=recommended, related=related, requests=requests)
    except PromptError:
        return
    assert parse_prompt(render_prompt(prompt)) == prompt
    assert len(prompt.requests) == len(requests)
    for listed, works_given in (
        (prompt.listed_as("recommended"), recommended),
        (prompt.listed_as("related"), related),
    ):
        assert {x.name for x in listed} == {(work["model"] or "").strip() for work in works_given}


@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_the_order_of_the_blocks_is_kept(recommended: list[bool]) -> None:
    blocks = [
        f"### {'Recommended AI Models' if first else 'Related Papers'}:\nModel: {number}\n"
        for number, first in enumerate(recommended)
    ]
    expected = [(str(n), "recommended" if r else "related") for n, r in enumerate(recommended)]
    prompt = parse_prompt(PREAMBLE + "\n".join(blocks))
    for read in (prompt, parse_prompt(render_prompt(prompt))):
        assert [(item.name, item.role) for item in read.listings] == expected


pieces = st.sampled_from([*DOCUMENT.split("\n"), "", "Paper: https://github.com/o/r", "“", "\r"])
documents = st.lists(pieces | words, max_size=30).map("\n".join)


@given(
    st.text()
    | documents
    | documents.map(lambda text: PREAMBLE + text)
    | documents.map(lambda text: DOCUMENT.replace("Answer:\n", text))
)
@example("\ud800")
@example("A user has asked the following question:\n“")
def test_any_text_is_refused_or_a_prompt_that_is_written_and_read_again(text: str) -> None:
    result = outcome(text)
    if isinstance(result, PromptError):
        assert 1 <= result.line <= text.count("\n") + text.count("\r") + 1
        assert "expected" in result.message
        assert str(result).encode()
        return
    assert result.question
    assert result.listings
    assert len(result.sha256) == 64
    again = parse_prompt(render_prompt(result))
    assert (again.question, again.requests) == (result.question, result.requests)
    assert [replace(item, line=0) for item in again.listings] == [
        replace(item, line=0) for item in result.listings
    ]


@given(st.binary(max_size=200), st.integers(0, len(DOCUMENT)))
def test_any_bytes_in_a_file_are_a_prompt_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    whole = DOCUMENT.encode()
    path.write_bytes(whole[:at] + data + whole[at:])
    try:
        found = read_prompt(path).path
    except PromptError as refused:
        found = refused.path
    assert found == str(path)
