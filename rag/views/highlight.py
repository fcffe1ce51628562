"""Where the quotes of an answer stand on the pages of their PDFs, and those pages as pictures.

From the answer and the kept bytes alone. Pictures are a courtesy: whatever is wrong with a source,
its quotes have none, and the log says why.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from index.build import Notify, silent
from index.documents.document import Document
from index.documents.extract import cached_document
from index.documents.worker import isolated
from index.errors import ExtractionError, SourceError
from index.settings import Settings
from index.sources.store import SourceStore
from rag.answer.model import Answer, Quote, SourceRecord
from rag.answer.reextraction import Reextraction
from rag.retrieval.evidence import Span
from rag.views.page_places import Wanted
from rag.views.page_work import JOB, order_of, reply_of
from rag.views.pictures import Highlight, PageImage, Pictures

log = logging.getLogger(__name__)

PDF = "application/pdf"
SECONDS = 30.0
"""For one PDF: a person waits for it. A page of a paper takes a tenth of a second."""


def pictures_of(answer: Answer, settings: Settings, *, notify: Notify = silent) -> Pictures:
    """The highlights of the answer's quotes from full texts, and each page that one stands on,
    once. Nothing is raised for what a source or an answer file may hold."""
    wanted: dict[str, dict[Span, Wanted]] = {}
    tasks: list[tuple[str, tuple[bytes, bytes]]] = []
    for source_id, data, spans in _orders(answer, settings):
        wanted[source_id] = spans
        tasks.append((source_id, (data, order_of(tuple(spans.values())))))
    # The longest work first, so that the workers end at about one time.
    tasks.sort(key=lambda task: -len({n for one in wanted[task[0]].values() for n in one.pages}))

    highlights: dict[Span, tuple[Highlight, ...]] = {}
    pages: dict[tuple[str, int], PageImage] = {}
    notify("draw pages", 0, len(tasks), "")
    replies = isolated(
        JOB,
        tasks,
        workers=2,
        seconds=min(SECONDS, settings.pdf_seconds),
        memory_bytes=settings.pdf_memory_bytes,
    )
    with contextlib.closing(replies):
        for done, (source_id, said) in enumerate(replies, start=1):
            asked = wanted[source_id]
            try:
                if isinstance(said, ExtractionError):
                    raise ValueError(said.reason)
                found, drawn = reply_of(said, source_id, tuple(asked.values()))
            except ValueError as error:
                log.warning("no pictures of %s: %s", source_id, error)
            else:
                highlights |= {span: at for span, at in zip(asked, found, strict=True) if at}
                pages |= {(page.source_id, page.page): page for page in drawn}
            notify("draw pages", done, len(tasks), source_id)
    return Pictures(highlights, pages)


def _orders(answer: Answer, settings: Settings) -> Iterator[tuple[str, bytes, dict[Span, Wanted]]]:
    """Each PDF that is quoted: its id, its bytes, and what is wanted of it."""
    store, reextraction = SourceStore(settings.sources), Reextraction(settings)
    quoted: dict[str, list[Quote]] = {}
    for _, quote in answer.quotes():
        quoted.setdefault(quote.source_id, []).append(quote)
    for record in {record.id: record for record in answer.sources}.values():
        if record.source_type != "full text" or record.id not in quoted:
            continue
        try:
            data, document = _source(record, store, reextraction, settings)
        except (SourceError, OSError) as error:
            log.warning("no pictures: %s", error)
            continue
        if spans := dict(_wanted(quoted[record.id], document)):
            yield record.id, data, spans


def _source(
    record: SourceRecord, store: SourceStore, reextraction: Reextraction, settings: Settings
) -> tuple[bytes, Document]:
    """The bytes and the text that an answer names. Raises SourceError where they are not here."""
    source = store.find(record.id, record.sha256)
    if source is None:
        raise SourceError(record.id, f"its bytes are not kept in {settings.sources}")
    if source.media_type.partition(";")[0].strip().lower() != PDF:
        raise SourceError(record.id, "it is not a PDF")
    data = store.read(source)
    document = cached_document(source, settings)
    if document is None or document.sha256 != record.document_sha256:
        document = reextraction(record)
    if document.sha256 != record.document_sha256:
        raise SourceError(record.id, "it reads as another text now: ask again")
    return data, document


def _wanted(quotes: list[Quote], document: Document) -> Iterator[tuple[Span, Wanted]]:
    """Each quote that is what the document says there, with the text of its pages around it."""
    starts = (*document.page_starts, len(document.text))
    for quote in quotes:
        if not 0 <= quote.start < quote.end <= len(document.text):
            continue
        pages = document.pages(quote.start, quote.end)
        if pages and document.text[quote.start : quote.end] == quote.text:
            first, last = starts[pages[0] - 1], starts[pages[-1]]
            yield (
                Span(quote.source_id, quote.start, quote.end),
                Wanted(pages, document.text[first:last], quote.start - first, quote.end - first),
            )
