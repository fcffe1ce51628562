"""The text of a source, read again from its kept bytes: what verification compares with."""

from __future__ import annotations

from index.document import Document
from index.errors import SourceError
from index.isolation import extract_isolated
from index.settings import Settings
from index.sources import SourceStore
from rag.answer import SourceRecord


class Rereading:
    """A `DocumentOf` over the kept sources. Reads each source once, however many answers quote
    it, in a worker process: the bytes are no more to be trusted now than they were then."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = SourceStore(settings.sources)
        self._read: dict[tuple[str, str], Document | SourceError] = {}

    def __call__(self, record: SourceRecord) -> Document:
        """The document of a source that an answer records. Raises SourceError where the bytes
        are not kept, were changed, or hold no text."""
        key = (record.id, record.sha256)
        if key not in self._read:
            self._read[key] = self._document(record)
        found = self._read[key]
        if isinstance(found, SourceError):
            raise found
        return found

    def _document(self, record: SourceRecord) -> Document | SourceError:
        source = self._store.find(record.id, record.sha256)
        if source is None:
            return SourceError(
                record.id,
                f"no bytes with the recorded hash are kept in {self._settings.sources}: "
                "name the home the answer was made with by --home, or ask again",
            )
        try:
            data = self._store.read(source)
        except SourceError as error:
            return error
        ((_, outcome),) = extract_isolated(
            [(record.id, data, source.media_type)],
            seconds=self._settings.pdf_seconds,
            memory_bytes=self._settings.pdf_memory_bytes,
        )
        return outcome
