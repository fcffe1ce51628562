"""The seven shared prompts, answered from the shared mirror with the real encoder, and checked by
a reader that shares no code with ours."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from index.settings import DEFAULT_ENCODER, Settings
from index.weights import BUNDLE
from rag.answer.model import Answer
from rag.answer.reextraction import Reextraction
from rag.answer.verify import verify
from rag.pipeline import Pipeline
from rag.prompt import Prompt, read_prompt
from rag.views.highlight import pictures_of
from rag.writers.extractive import ExtractiveWriter
from tests.parts.witness import covered, folded, words

SHARED = Path(__file__).parents[1] / "../shared"
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
def line(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """The pipeline with the official MiniLM weights, over one data directory for all seven prompts."""
    import importlib.metadata

    try:
        importlib.metadata.distribution(BUNDLE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"the package {BUNDLE} is not installed")
    settings = Settings(tmp_path_factory.mktemp("shared"), MIRROR, True, DEFAULT_ENCODER)
    return Pipeline.of(settings, ExtractiveWriter())


@pytest.fixture(scope="module")
def given(line: Pipeline, prompts: Mapping[str, Prompt]) -> Mapping[str, Answer]:
    return {name: line.ask(prompt) for name, prompt in prompts.items()}


@pytest.fixture(scope="module")
def reextraction(line: Pipeline) -> Reextraction:
    return Reextraction(line.settings)


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_verifies(
    given: Mapping[str, Answer], reextraction: Reextraction, name: str
) -> None:
    found = verify(Answer.from_json(given[name].to_json()), reextraction)
    assert found.verified, "\n".join(map(str, found.failures))
    assert found.quotes > 3


@pytest.mark.parametrize("name", NAMES)
def test_every_listing_is_there_with_exactly_its_links(
    given: Mapping[str, Answer], name: str
) -> None:
    """Against the document's own lines, read here by nothing but their field names."""
    text = (SHARED / "prompts" / f"{name}.txt").read_text(encoding="utf-8-sig")
    listed = text[text.index("### Recommended") :]
    blocks = re.split(r"^Model:", listed, flags=re.MULTILINE)[1:]
    expected = []
    for block in blocks:
        lines = dict(re.findall(r"^(Paper|GitHub):[ \t]*(\S+)[ \t]*$", block, re.MULTILINE))
        links = [lines.get(field) for field in ("Paper", "GitHub")]
        title = block.splitlines()[0].strip()
        expected.append((title, *(None if link == "None" else link for link in links)))
    references = given[name].references
    assert [(item.name, item.paper, item.github) for item in references] == expected


@pytest.mark.parametrize("name", NAMES)
def test_no_quote_comes_from_a_work_that_is_not_listed(
    given: Mapping[str, Answer], prompts: Mapping[str, Prompt], name: str
) -> None:
    listed = {sid for listing in prompts[name].listings for sid in listing.source_ids}
    quotes = [quote for _, quote in given[name].quotes()]
    assert {quote.source_id for quote in quotes} <= listed
    assert len({(q.source_id, q.start, q.end) for q in quotes}) == len(quotes)


@pytest.mark.parametrize("name", FULL_TEXT)
def test_full_texts_and_readmes_give_most_quotes(given: Mapping[str, Answer], name: str) -> None:
    source_types = [quote.source_type for _, quote in given[name].quotes()]
    assert sum(source_type != "summary" for source_type in source_types) >= 0.75 * len(source_types)


def letters(text: str) -> str:
    """Letters and digits alone: two readers differ in spaces, hyphens and ligatures."""
    plain = unicodedata.normalize("NFKD", text).lower()
    return "".join(char for char in plain if char.isalnum())


@cache
def pages_of(path: Path) -> list[str]:
    """The letters of each page as PDFium reads them."""
    pdfium = pytest.importorskip("pypdfium2")
    document = pdfium.PdfDocument(str(path))
    try:
        return [letters(page.get_textpage().get_text_range()) for page in document]
    finally:
        document.close()


@pytest.mark.parametrize("name", FULL_TEXT)
def test_an_independent_reader_finds_each_quote_on_its_pages(
    given: Mapping[str, Answer], line: Pipeline, name: str
) -> None:
    """Every word of it, whatever was repaired between them; and nearly always without a gap."""
    read = {source.id: source.sha256 for source in given[name].sources if not source.reason}
    quotes = [quote for _, quote in given[name].quotes() if quote.source_type == "full text"]
    unbroken = 0
    for quote in quotes:
        pages = pages_of(line.settings.sources / read[quote.source_id])
        there = "".join(pages[number - 1] for number in quote.pages)
        words = re.findall(r"[^\W\d_]{3,}", quote.text)
        missing = [word for word in words if letters(word) not in there]
        assert not missing, f"{quote.source_id} p. {quote.pages}: {missing} in {quote.text!r}"
        elsewhere = [n for n, page in enumerate(pages, start=1) if letters(quote.text) in page]
        assert not elsewhere or set(quote.pages) <= set(elsewhere)
        unbroken += letters(quote.text) in there
    assert len(quotes) >= 3
    assert unbroken >= 0.8 * len(quotes)


@pytest.mark.parametrize("name", FULL_TEXT)
def test_each_quote_from_a_pdf_is_highlighted_where_its_words_are(
    given: Mapping[str, Answer], line: Pipeline, name: str
) -> None:
    read = {source.id: source.sha256 for source in given[name].sources if not source.reason}
    pictures = pictures_of(given[name], line.settings)
    quotes = [quote for _, quote in given[name].quotes() if quote.source_type == "full text"]
    for quote in quotes:
        where = pictures.of(quote)
        data = (line.settings.sources / read[quote.source_id]).read_bytes()
        there = covered(data, where)
        assert all(word in folded(there) for word in words(quote.text))
        assert all(word in folded(quote.text) for word in words(there))
        assert all((quote.source_id, highlight.page) in pictures.pages for highlight in where)
    assert all(pictures.of(quote) for quote in quotes)


def test_equal_prompts_have_equal_answers(
    given: Mapping[str, Answer], line: Pipeline, prompts: Mapping[str, Prompt]
) -> None:
    for name in NAMES[-2:]:
        assert json.loads(line.ask(prompts[name]).to_json()) == json.loads(given[name].to_json())
