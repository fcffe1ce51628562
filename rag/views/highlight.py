"""Where the quotes of an answer stand on the pages of their PDFs, and those pages as pictures.

From the answer, the stored bytes and the cached documents alone. The boxes come from the document;
pdfium only draws. Pictures are optional: a source that has none is named in the log, with why.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter

from index.build import Notify, silent
from index.documents import Document
from index.documents.extract import cached_document, isolated
from index.errors import ExtractionError, SourceError
from index.settings import Settings
from index.sources import SourceStore
from rag.answer import Answer, Quote, SourceRecord
from rag.answer.verify import Reextraction
from rag.retrieval import Span
from rag.views.drawing import MEDIA_TYPE, drawn_pages

log = logging.getLogger(__name__)

PDF = "application/pdf"
SECONDS = 30.0
"""For one PDF: a person waits for it. A page of a paper takes a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """In shares of the page's width and height as it is shown, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Highlight:
    """What a quote covers of one page (1-based): a rectangle for each line, in reading order."""

    page: int
    rectangles: tuple[Rectangle, ...]


@dataclass(frozen=True, slots=True)
class PageImage:
    """One page of a source, drawn: `width` and `height` in pixels."""

    source_id: str
    page: int
    width: int
    height: int
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Pictures:
    """For an answer's quotes from PDFs: where each stands, and each page that one stands on,
    once. `pages[source_id, page]`."""

    highlights: Mapping[Span, tuple[Highlight, ...]] = field(default_factory=dict)
    pages: Mapping[tuple[str, int], PageImage] = field(default_factory=dict)

    def of(self, quote: Quote) -> tuple[Highlight, ...]:
        """Where `quote` stands; () where it is not from a PDF or its source has no pictures."""
        return self.highlights.get(Span(quote.source_id, quote.start, quote.end), ())


NO_PICTURES = Pictures()


def pictures_of(answer: Answer, settings: Settings, *, notify: Notify = silent) -> Pictures:
    """The highlights of the answer's quotes from full texts, and the pages they stand on. Nothing
    is raised for what a source or an answer file may hold."""
    orders = dict(_orders(answer, settings))
    # The longest work first, so that the workers end at about one time.
    tasks = [
        (source_id, (data, " ".join(map(str, numbers)).encode()))
        for source_id, (data, numbers, _) in sorted(orders.items(), key=lambda o: -len(o[1][1]))
    ]
    highlights: dict[Span, tuple[Highlight, ...]] = {}
    pages: dict[tuple[str, int], PageImage] = {}
    notify("draw pages", 0, len(tasks), "")
    replies = isolated(
        "rag.views.drawing:draw",
        tasks,
        workers=2,
        seconds=min(SECONDS, settings.pdf_seconds),
        memory_bytes=settings.pdf_memory_bytes,
    )
    with contextlib.closing(replies):
        for done, (source_id, reply) in enumerate(replies, start=1):
            _, numbers, places = orders[source_id]
            try:
                if isinstance(reply, ExtractionError):
                    raise ValueError(reply.reason)
                drawn = drawn_pages(reply, numbers)
            except ValueError as error:
                log.warning("no pictures of %s: %s", source_id, error)
            else:
                highlights |= places
                for page, (width, height, data) in zip(numbers, drawn, strict=True):
                    image = PageImage(source_id, page, width, height, MEDIA_TYPE, data)
                    pages[source_id, page] = image
            notify("draw pages", done, len(tasks), source_id)
    return Pictures(highlights, pages)


Places = dict[Span, tuple[Highlight, ...]]


def _orders(
    answer: Answer, settings: Settings
) -> Iterator[tuple[str, tuple[bytes, list[int], Places]]]:
    """Each PDF that is quoted: its id, its bytes, the pages with quotes, and their places."""
    store, reextraction = SourceStore(settings.sources), Reextraction(settings)
    quotes: dict[str, list[Quote]] = {}
    for _, quote in answer.quotes():
        quotes.setdefault(quote.source_id, []).append(quote)
    for record in {record.id: record for record in answer.sources}.values():
        if record.source_type != "full text" or record.id not in quotes:
            continue
        try:
            data, document = _source(record, store, reextraction, settings)
        except (SourceError, OSError) as error:
            log.warning("no pictures: %s", error)
            continue
        places = {
            Span(quote.source_id, quote.start, quote.end): highlights
            for quote in quotes[record.id]
            if quote.start >= 0 and document.text[quote.start : quote.end] == quote.text
            if (highlights := highlights_of(document, quote.start, quote.end))
        }
        if places:
            numbers = {one.page for highlights in places.values() for one in highlights}
            yield record.id, (data, sorted(numbers), places)


def _source(
    record: SourceRecord, store: SourceStore, reextraction: Reextraction, settings: Settings
) -> tuple[bytes, Document]:
    """The bytes and the text that an answer names. Raises SourceError where they are not here."""
    source = store.find(record.id, record.sha256)
    if source is None:
        raise SourceError(record.id, f"its bytes are not in {settings.sources}")
    if source.media_type != PDF:
        raise SourceError(record.id, "it is not a PDF")
    document = cached_document(source, settings)
    if document is None or document.sha256 != record.document_sha256:
        document = reextraction(record)
    if document.sha256 != record.document_sha256:
        raise SourceError(record.id, "it reads as another text now: ask again")
    return store.read(source), document


def highlights_of(document: Document, start: int, end: int) -> tuple[Highlight, ...]:
    """Where the half-open span stands, page after page; () where there are no pages."""
    highlights = []
    for page, boxes in groupby(document.boxes(start, end), key=itemgetter(0)):
        width, height = document.page_sizes[page - 1]
        rectangles = tuple(
            Rectangle(left / width, 1 - top / height, min(1.0, right / width), 1 - bottom / height)
            for _, (left, bottom, right, top) in boxes
        )
        highlights.append(Highlight(page, rectangles))
    return tuple(highlights)
