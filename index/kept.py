"""Extracted texts as they are kept, so that another encoder does not mean another extraction."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from index.document import Document
from index.errors import SegmentError
from index.extract import extractor_of
from index.sealed import seal, unseal
from index.settings import Settings
from index.sources import Source

log = logging.getLogger(__name__)


def document_path(source: Source, settings: Settings) -> Path:
    """Where the text of a source is kept, or would be: named by its bytes and the extractor."""
    key = f"{source.sha256}\n{extractor_of(source.media_type)}"
    return settings.documents / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.document"


def keep_document(document: Document, source: Source, settings: Settings) -> None:
    """Write down the text of a source, whole or not at all."""
    seal(document_path(source, settings), document.to_json().encode())


def kept_document(source: Source, settings: Settings) -> Document | None:
    """The text of a source, where it was read before and is kept undamaged."""
    path = document_path(source, settings)
    if not path.exists():
        return None
    try:
        return Document.from_json(unseal(path).decode())
    except SegmentError as error:
        log.warning("read again: %s", error)
        return None
