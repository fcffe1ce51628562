"""Every sentence of eighteen real papers, taken for a quote, is highlighted where pdfium, a
reader that shares no code with the extraction, has its words."""

from __future__ import annotations

from pathlib import Path

import pypdfium2
import pytest

from index.documents.extract import extract
from index.passages import split
from rag.views.highlight import highlights_of
from tests.parts import SHARED
from tests.parts.witness import covered, folded, words

PAPERS = sorted((SHARED / "mirror/arxiv").glob("*.pdf"))
pytestmark = pytest.mark.skipif(not PAPERS, reason="the shared mirror is not here")
# Signs of formulas that pdfium reads as letters, each next to what it is.
FORMULAS = {"1502.03167": 1, "1706.03762": 1, "2203.02155": 1}


@pytest.mark.parametrize("path", PAPERS, ids=lambda path: path.stem)
def test_every_sentence_is_highlighted_where_its_words_are(path: Path) -> None:
    data = path.read_bytes()
    document = extract("arxiv:1", data, "application/pdf")
    file = pypdfium2.PdfDocument(data)
    sentences = [span for passage in split(document) for span in passage.sentences]
    assert len(sentences) > 70
    missing: list[str] = []
    wrong: list[str] = []
    for start, end in sentences:
        quote = document.text[start:end]
        highlights = highlights_of(document, start, end)
        assert tuple(highlight.page for highlight in highlights) == document.pages(start, end)
        there = covered(file, highlights)
        missing += [word for word in words(quote) if word not in folded(there)]
        wrong += [word for word in words(there) if word not in folded(quote)]
    assert missing == []
    assert len(wrong) <= FORMULAS.get(path.stem, 0), wrong
