"""The shared prompts, answered from the shared mirror with the real encoder; the quotes are looked
for by pdfium, which shares no code with the extraction."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

import pypdfium2
import pytest

from index.settings import DEFAULT_ENCODER, Settings
from index.weights import BUNDLE
from rag.answer import Answer, Quote
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.prompt import Prompt, read_prompt
from rag.views.highlight import pictures_of
from rag.writers.extractive import ExtractiveWriter
from tests.parts import SHARED
from tests.parts.witness import covered, folded, words

MIRROR = SHARED / "mirror"
NAMES = sorted(path.stem for path in (SHARED / "prompts").glob("*.txt"))
FULL_TEXT = [name for name in NAMES if name.startswith("full-text-")]
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not NAMES, reason="the shared prompts and papers are not here"),
]


@pytest.fixture(scope="module")
def prompts() -> Mapping[str, Prompt]:
    return {name: read_prompt(SHARED / "prompts" / f"{name}.txt") for name in NAMES}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """With the official MiniLM weights, over one data directory for all prompts."""
    if not any(distributions(name=BUNDLE)):
        pytest.skip(f"the package {BUNDLE} is not installed")
    settings = Settings(tmp_path_factory.mktemp("shared"), MIRROR, True, DEFAULT_ENCODER)
    return Pipeline.of(settings, ExtractiveWriter())


@pytest.fixture(scope="module")
def answers(pipeline: Pipeline, prompts: Mapping[str, Prompt]) -> Mapping[str, Answer]:
    return {name: pipeline.ask(prompt) for name, prompt in prompts.items()}


@pytest.fixture(scope="module")
def reextraction(pipeline: Pipeline) -> Reextraction:
    return Reextraction(pipeline.settings)


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_verifies(
    answers: Mapping[str, Answer], reextraction: Reextraction, name: str
) -> None:
    verification = verify(Answer.from_json(answers[name].to_json()), reextraction)
    assert verification.verified, "\n".join(map(str, verification.failures))
    assert verification.quotes > 3


@pytest.mark.parametrize("name", NAMES)
def test_every_listing_is_there_with_exactly_its_links(
    answers: Mapping[str, Answer], name: str
) -> None:
    """Compared with the document's own lines, parsed here by their field names alone."""
    text = (SHARED / "prompts" / f"{name}.txt").read_text(encoding="utf-8-sig")
    blocks = re.split(r"^Model:", text[text.index("### Recommended") :], flags=re.MULTILINE)[1:]
    expected = []
    for block in blocks:
        lines = dict(re.findall(r"^(Paper|GitHub):[ \t]*(\S+)[ \t]*$", block, re.MULTILINE))
        links = [lines.get(field) for field in ("Paper", "GitHub")]
        title = block.splitlines()[0].strip()
        expected.append((title, *(None if link == "None" else link for link in links)))
    references = answers[name].references
    assert [(item.name, item.paper, item.github) for item in references] == expected


@pytest.mark.parametrize("name", NAMES)
def test_no_quote_comes_from_a_work_that_is_not_listed_and_none_comes_twice(
    answers: Mapping[str, Answer], prompts: Mapping[str, Prompt], name: str
) -> None:
    listed = {sid for listing in prompts[name].listings for sid in listing.source_ids}
    quotes = [quote for _, quote in answers[name].quotes()]
    assert {quote.source_id for quote in quotes} <= listed
    assert len({(q.source_id, q.start, q.end) for q in quotes}) == len(quotes)
    if name in FULL_TEXT:
        assert sum(quote.source_type == "summary" for quote in quotes) <= 0.25 * len(quotes)


def letters(text: str) -> str:
    """Letters and digits alone: two PDF readers differ in spaces, hyphens and ligatures."""
    plain = unicodedata.normalize("NFKD", text).lower()
    return "".join(char for char in plain if char.isalnum())


@cache
def pages_of(path: Path) -> list[str]:
    """The letters of each page as pdfium reads them."""
    document = pypdfium2.PdfDocument(str(path))
    try:
        return [letters(page.get_textpage().get_text_range()) for page in document]
    finally:
        document.close()


def full_text_quotes(answer: Answer, pipeline: Pipeline) -> list[tuple[Quote, Path]]:
    """The quotes from papers, each with the stored PDF."""
    files = {item.id: pipeline.settings.sources / item.sha256 for item in answer.sources}
    quotes = [quote for _, quote in answer.quotes() if quote.source_type == "full text"]
    assert len(quotes) >= 3
    return [(quote, files[quote.source_id]) for quote in quotes]


@pytest.mark.parametrize("name", FULL_TEXT)
def test_pdfium_finds_each_quote_on_its_pages(
    answers: Mapping[str, Answer], pipeline: Pipeline, name: str
) -> None:
    """Every word of it, whatever was repaired between them; and nearly always without a gap."""
    quotes = full_text_quotes(answers[name], pipeline)
    unbroken = 0
    for quote, file in quotes:
        pages = pages_of(file)
        there = "".join(pages[number - 1] for number in quote.pages)
        missing = [
            word for word in re.findall(r"[^\W\d_]{3,}", quote.text) if letters(word) not in there
        ]
        assert not missing, f"{quote.source_id} p. {quote.pages}: {missing} in {quote.text!r}"
        elsewhere = [n for n, page in enumerate(pages, start=1) if letters(quote.text) in page]
        assert not elsewhere or set(quote.pages) <= set(elsewhere)
        unbroken += letters(quote.text) in there
    assert unbroken >= 0.8 * len(quotes)


@pytest.mark.parametrize("name", FULL_TEXT)
def test_each_quote_from_a_pdf_is_highlighted_where_its_words_are(
    answers: Mapping[str, Answer], pipeline: Pipeline, name: str
) -> None:
    pictures = pictures_of(answers[name], pipeline.settings)
    for quote, file in full_text_quotes(answers[name], pipeline):
        where = pictures.of(quote)
        assert where
        there = covered(file.read_bytes(), where)
        assert all(word in folded(there) for word in words(quote.text))
        assert all(word in folded(quote.text) for word in words(there))
        assert all((quote.source_id, highlight.page) in pictures.pages for highlight in where)


def test_equal_prompts_have_equal_answers(
    answers: Mapping[str, Answer], pipeline: Pipeline, prompts: Mapping[str, Prompt]
) -> None:
    for name in NAMES[-2:]:
        assert json.loads(pipeline.ask(prompts[name]).to_json()) == json.loads(
            answers[name].to_json()
        )
