"""The text of a source, read again from its kept bytes: what verification compares with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from index.documents.document import Document
from index.documents.extract import Task, extract_isolated
from index.errors import ExtractionError, SourceError
from index.settings import Settings
from index.sources.store import SourceStore
from rag.answer.model import SourceRecord

_Key = tuple[str, str, str | None]


class Reextraction:
    """A `DocumentOf` over the kept sources. Reads each source once, however many answers quote
    it, in a worker process: the bytes are no more to be trusted now than they were then."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = SourceStore(settings.sources)
        self._read: dict[_Key, Document | SourceError] = {}

    def __call__(self, record: SourceRecord) -> Document:
        """The document of a source that an answer records. Raises SourceError where the bytes
        are not kept, were changed, or hold no text."""
        if _key(record) not in self._read:
            self.ahead([replace(record, reason="")])
        found = self._read[_key(record)]
        if isinstance(found, SourceError):
            raise found
        return found

    def ahead(self, records: Iterable[SourceRecord]) -> Reextraction:
        """Read all of these now, together: several workers, each for many files. Records of what
        was not read are passed over."""
        wanted: dict[str, _Key] = {}
        tasks: list[Task] = []
        for record in records:
            key = _key(record)
            if record.reason or key in self._read or key in wanted.values():
                continue
            found = self._bytes(record)
            if isinstance(found, SourceError):
                self._read[key] = found
                continue
            # The same source may be wanted in several versions.
            name = record.id if record.id not in wanted else f"{record.id} #{len(tasks)}"
            wanted[name] = key
            tasks.append((name, *found))
        for name, outcome in extract_isolated(
            tasks,
            seconds=self._settings.pdf_seconds,
            memory_bytes=self._settings.pdf_memory_bytes,
        ):
            key = wanted[name]
            if isinstance(outcome, Document):
                self._read[key] = outcome
            else:
                self._read[key] = ExtractionError(key[0], outcome.reason)
        return self

    def _bytes(self, record: SourceRecord) -> tuple[bytes, str] | SourceError:
        """The kept bytes that the record names, and their media type."""
        try:
            kept = [attempt.source for attempt in self._store.attempts(record.id)]
        except OSError as error:
            return SourceError(record.id, f"the ledger cannot be read ({error})")
        same = [source for source in kept if source and source.sha256 == record.sha256]
        if not same:
            return SourceError(
                record.id,
                f"no bytes with the recorded hash are kept in {self._settings.sources}: "
                "name the data directory the answer was made with by --data-dir, or ask again",
            )
        # The same bytes may have been fetched of several commits.
        source = next((source for source in same if source.version == record.version), None)
        if source is None:
            found = " or ".join(sorted({source.version or "unknown" for source in same}))
            return SourceError(record.id, f"its version is {found}, not {record.version!r}")
        try:
            return self._store.read(source), source.media_type
        except SourceError as error:
            return error


def _key(record: SourceRecord) -> _Key:
    return record.id, record.sha256, record.version
