"""Bytes of a PDF → Document: the steps in their order."""

from __future__ import annotations

from collections.abc import Sequence

from index.document import Document
from index.errors import ExtractionError
from index.pdf.columns import lines_of
from index.pdf.composition import composed, read
from index.pdf.flow import flowing
from index.pdf.furniture import without_furniture
from index.pdf.layout import blocks_of
from index.pdf.lines import Line
from index.pdf.measures import Measures, measures_of
from index.pdf.pages import Pages, pdf_extractor, read_pdf
from index.pdf.sections import sectioned
from index.repair import Vocabulary


def extract_pdf(source_id: str, data: bytes) -> Document:
    """The clean text of a PDF."""
    document = document_of(read_pdf(source_id, data))
    if not document.text:
        raise ExtractionError(source_id, "no text can be read from the PDF: only numbers or signs")
    return document


def document_of(file: Pages) -> Document:
    """Lay out what was read."""
    lined = lines_of(file.pages)
    kept = without_furniture(lined, file.pages)
    usual = measures_of(kept)
    vocabulary = Vocabulary(line.text for page in kept for line in page)
    title = title_of(kept, usual) or file.title
    paragraphs = sectioned(flowing(blocks_of(kept, usual)), vocabulary)
    return composed(
        paragraphs,
        title=title,
        pages=len(file.pages),
        vocabulary=vocabulary,
        extractor=pdf_extractor(),
    )


def title_of(pages: Sequence[Sequence[Line]], usual: Measures) -> str:
    """The lines in the largest letters of the first page, where they are larger than the body."""
    lines = [line for line in (pages[0] if pages else ()) if line.words and len(line.text) > 3]
    size = max((line.size for line in lines), default=0.0)
    if size < 1.1 * usual.size:
        return ""
    found: list[Line] = []
    for line in lines:
        if line.size > 0.75 * size and (not found or abs(found[-1].y - line.y) < 2.2 * size):
            found.append(line)
    return read(found, Vocabulary(line.text for page in pages for line in page))[:300]
