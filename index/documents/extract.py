"""Extracted texts as they are kept, so that another encoder does not mean another extraction."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

from index.documents.document import Document, Section
from index.documents.pdf.pages import pdf_extractor
from index.documents.pdf.paper import extract_pdf
from index.documents.readme import MARKDOWN, RST, extract_markdown, extract_rst
from index.documents.repair import encodable
from index.errors import ExtractionError, SegmentError
from index.files import read_checksummed, write_checksummed
from index.settings import Settings
from index.sources.store import Source

PLAIN = "plain-1"


def extract(source_id: str, data: bytes, media_type: str) -> Document:
    """Raises ExtractionError, with a reason in plain words, where no text can be had."""
    try:
        reader = READERS[media_type.partition(";")[0].strip().lower()]
    except KeyError:
        raise ExtractionError(
            source_id, f"files of type {media_type!r} are not read; {', '.join(READERS)} are"
        ) from None
    return reader(source_id, data)


def extract_plain(source_id: str, data: bytes) -> Document:
    """The text exactly as it is, but for line ends and what cannot be encoded."""
    text = encodable(data.decode("utf-8-sig", "replace"))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise ExtractionError(source_id, "the file holds no text")
    return Document(text, "", (), (Section(0, len(text)),), PLAIN)


READERS: dict[str, Callable[[str, bytes], Document]] = {
    "application/pdf": extract_pdf,
    "text/markdown": extract_markdown,
    "text/x-rst": extract_rst,
    "text/plain": extract_plain,
}


def extractor_of(media_type: str) -> str:
    """What `Document.extractor` will say of a file of this type, without reading one."""
    kind = media_type.partition(";")[0].strip().lower()
    return pdf_extractor() if kind == "application/pdf" else _MARKS.get(kind, PLAIN)


_MARKS = {"text/markdown": MARKDOWN, "text/x-rst": RST}


log = logging.getLogger(__name__)


def document_path(source: Source, settings: Settings) -> Path:
    """Where the text of a source is kept, or would be: named by its bytes and the extractor."""
    key = f"{source.sha256}\n{extractor_of(source.media_type)}"
    return settings.documents / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.document"


def cache_document(document: Document, source: Source, settings: Settings) -> None:
    """Write down the text of a source, whole or not at all."""
    write_checksummed(document_path(source, settings), document.to_json().encode())


def cached_document(source: Source, settings: Settings) -> Document | None:
    """The text of a source, where it was read before and is kept undamaged."""
    path = document_path(source, settings)
    if not path.exists():
        return None
    try:
        return Document.from_json(read_checksummed(path).decode())
    except SegmentError as error:
        log.warning("read again: %s", error)
        return None
