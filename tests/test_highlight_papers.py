"""Every sentence of eighteen real papers, taken for a quote: found on its page, or left alone."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from index.documents.extract import extract
from index.documents.pdf.pages import read_pdf
from index.passages import split
from tests.test_highlight_places import covered, found, spanning

PAPERS = sorted((Path(__file__).parents[1] / "../shared/mirror/arxiv").glob("*.pdf"))
QUICK = {"1411.1784", "2007.01282"}  # one column, two columns
pytestmark = pytest.mark.skipif(not PAPERS, reason="the shared mirror is not here")
# Where our reader and pdfium read a sign of a formula differently, there is no rectangle.
FORMULA = re.compile(r"[=<>≤≥~∼‖|∥𝓁∂∑∏∫√∈⊙⊤′∞×·←→⁰¹²³ˆ˜Α-Ωα-ωϵ−]|\(K2\)|bar\b")


def folded(words: str) -> str:
    plain = unicodedata.normalize("NFKD", words.replace("\ufffe", "-").replace("\x02", "-"))
    return re.sub(r"[\s\-−–—/⁄´`ˆ˜¨ˇ*∗~∼\u0300-\u036f]", "", plain).replace("ı", "i")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=() if path.stem in QUICK else pytest.mark.shared)
        for path in PAPERS
    ],
)
def test_sentences_are_covered_exactly_or_not_at_all(path: Path) -> None:
    data = path.read_bytes()
    document = extract("arxiv:1", data, "application/pdf")
    sheets = read_pdf("arxiv:1", data).pages
    spans = [span for passage in split(document) for span in passage.sentences]
    quotes = [spanning(document, *span) for span in spans]
    where, _ = found(data, quotes)

    plain = [
        bool(one)
        for quote, one in zip(quotes, where, strict=True)
        if not FORMULA.search(quote.quote)
    ]
    assert sum(plain) >= 0.99 * len(plain)
    assert sum(map(bool, where)) >= 0.9 * len(quotes)

    said = missing = 0
    for quote, one in zip(quotes, where, strict=True):
        if not one:
            continue
        assert {highlight.page for highlight in one} <= set(quote.pages)
        assert folded(covered(data, one)) == folded(quote.quote)
        # A reader that shares no code with pdfium has the words at the same places.
        there = ""
        for highlight in one:
            sheet = sheets[highlight.page - 1]
            for box in highlight.rectangles:
                there += "".join(
                    run.text
                    for run in sheet.runs
                    if run.x1 > box.left * sheet.width
                    and run.x0 < box.right * sheet.width
                    and -0.5 * run.size
                    < run.y - sheet.height * (1 - box.bottom)
                    < 0.5 * run.size + sheet.height * (box.bottom - box.top)
                )
        words = re.findall(r"[a-z]{4,}", quote.quote)
        said += len(words)
        missing += sum(folded(word) not in folded(there) for word in words)
    assert said > 500
    assert missing <= 0.01 * said
