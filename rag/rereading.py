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
        self._read: dict[tuple[str, str, str | None], Document | SourceError] = {}

    def __call__(self, record: SourceRecord) -> Document:
        """The document of a source that an answer records. Raises SourceError where the bytes
        are not kept, were changed, or hold no text."""
        key = (record.id, record.sha256, record.version)
        if key not in self._read:
            self._read[key] = self._document(record)
        found = self._read[key]
        if isinstance(found, SourceError):
            raise found
        return found

    def _document(self, record: SourceRecord) -> Document | SourceError:
        try:
            kept = [attempt.source for attempt in self._store.attempts(record.id)]
        except OSError as error:
            return SourceError(record.id, f"the ledger cannot be read ({error})")
        same = [source for source in kept if source and source.sha256 == record.sha256]
        if not same:
            return SourceError(
                record.id,
                f"no bytes with the recorded hash are kept in {self._settings.sources}: "
                "name the home the answer was made with by --home, or ask again",
            )
        # The same bytes may have been fetched of several commits.
        source = next((source for source in same if source.version == record.version), None)
        if source is None:
            found = " or ".join(sorted({source.version or "unknown" for source in same}))
            return SourceError(record.id, f"its version is {found}, not {record.version!r}")
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
