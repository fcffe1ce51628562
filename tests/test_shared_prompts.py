"""Shared prompts, answered from the shared mirror with the real encoder: three whose papers cannot
be had, and one whose five papers are read in full; a question about one of these; the quotes are
looked for by pdfium, which shares no code with the extraction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

import pytest

from index.settings import DEFAULT_ENCODER, Settings
from index.weights import BUNDLE
from rag.answer import Answer
from rag.answer.verify import Reextraction, verify
from rag.pipeline import Pipeline
from rag.prompt import parse_prompt, read_prompt
from rag.views.highlight import pictures_of
from rag.writers.extractive import ExtractiveWriter
from tests.parts import SHARED
from tests.parts.commands import invoke
from tests.parts.witness import covered, folded, words
from tests.parts.works import write

MIRROR = SHARED / "mirror"
FULL_TEXT = "full-text-recognition"
NAMES = ("000_4406e597453ad673", "001_0043775a0aa35c2b", "003_96061710fa91c7d9", FULL_TEXT)
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not MIRROR.is_dir(), reason="the shared prompts and papers are not here"),
]


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """With the official MiniLM weights, over one data directory for all prompts."""
    if not any(distributions(name=BUNDLE)):
        pytest.skip(f"the package {BUNDLE} is not installed")
    settings = Settings(tmp_path_factory.mktemp("shared"), MIRROR, True, DEFAULT_ENCODER)
    return Pipeline.of(settings, ExtractiveWriter())


@pytest.fixture(scope="module")
def answers(pipeline: Pipeline) -> Mapping[str, Answer]:
    prompts = {name: read_prompt(SHARED / "prompts" / f"{name}.txt") for name in NAMES}
    return {name: pipeline.ask(prompt) for name, prompt in prompts.items()}


@pytest.fixture(scope="module")
def reextraction(pipeline: Pipeline) -> Reextraction:
    return Reextraction(pipeline.settings)


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_verifies_and_quotes_listed_works_alone(
    answers: Mapping[str, Answer], reextraction: Reextraction, name: str
) -> None:
    answer = Answer.from_json(answers[name].to_json())
    verification = verify(answer, reextraction)
    assert verification.verified, "\n".join(map(str, verification.failures))
    quotes = [quote for _, quote in answer.quotes()]
    assert len({(q.source_id, q.start, q.end) for q in quotes}) == len(quotes) > 3
    listings = parse_prompt(answer.prompt.text).listings
    listed = {source_id for listing in listings for source_id in listing.source_ids}
    assert {quote.source_id for quote in quotes} <= listed
    # Compared with the document's own lines, read here by their field names alone.
    text = (SHARED / "prompts" / f"{name}.txt").read_text(encoding="utf-8-sig")
    links = [link for item in answer.references for link in (item.paper, item.github) if link]
    assert links == re.findall(r"^(?:Paper|GitHub):[ \t]*(h\S+)", text, re.MULTILINE)
    if name == FULL_TEXT:
        assert sum(quote.source_type == "summary" for quote in quotes) <= 0.25 * len(quotes)


def test_why_very_deep_networks_did_not_train(
    answers: Mapping[str, Answer], pipeline: Pipeline, tmp_path: Path
) -> None:
    """Asked of a link, and of the same paper as a file of one's own."""
    data = (MIRROR / "arxiv" / "1512.03385.pdf").read_bytes()
    data_dir = ("--data-dir", pipeline.settings.data_dir)
    question = "Why did very deep networks not train before this?"
    for link in ("1512.03385", write(tmp_path / "a copy.pdf", data)):
        options = (*data_dir, "--mirror", MIRROR, "--offline", "--writer", "extractive")
        saved = tmp_path / "answer.json"
        invoke("ask", question, link, *options, "--output", saved)
        assert invoke("verify", saved, *data_dir).out.startswith("verified: 1 answer")
        answer = Answer.from_json(saved.read_text("utf-8"))
        assert answer.references[0].name == "Deep Residual Learning for Image Recognition"
        quotes = [quote for _, quote in answer.quotes()]
        quoted = " ".join(quote.text for quote in quotes).lower()
        assert "the degradation problem" in quoted
        assert "shortcut connections" in quoted
    pictures = pictures_of(answer, pipeline.settings)
    for quote in quotes:
        where = pictures.of(quote)
        assert where
        assert tuple(highlight.page for highlight in where) == quote.pages
        there = covered(data, where)
        assert all(word in folded(there) for word in words(quote.text))
        assert all(word in folded(quote.text) for word in words(there))
        assert all((quote.source_id, highlight.page) in pictures.pages for highlight in where)
