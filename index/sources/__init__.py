"""Bytes of papers and READMEs: which are accepted, where they are stored, once under their hash,
and a ledger of every attempt to get them. Knows nothing of networks.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from index import files
from index.errors import SourceError

log = logging.getLogger(__name__)

SourceType = Literal["full text", "readme", "summary"]

_SOURCE_TYPES: dict[str, SourceType] = {
    "arxiv": "full text",
    "file": "full text",
    "github": "readme",
    "summary": "summary",
}
_MEDIA_TYPES = {
    **dict.fromkeys((".md", ".markdown", ".mdown", ".mkd", ".mkdn"), "text/markdown"),
    **dict.fromkeys((".rst", ".rest"), "text/x-rst"),
    **dict.fromkeys((".adoc", ".asciidoc"), "text/asciidoc"),
    ".org": "text/org",
}

PDF_LIMIT = 100_000_000
README_LIMIT = 5_000_000


def source_type_of(source_id: str) -> SourceType:
    """The type of the source with this id. Raises ValueError for what is no source id."""
    try:
        return _SOURCE_TYPES[source_id.split(":", 1)[0]]
    except KeyError:
        raise ValueError(f"not a source id: {source_id!r}") from None


def media_type_of(name: str) -> str:
    """The media type of a file called `name`; plain text where its ending says nothing."""
    return _MEDIA_TYPES.get(PurePosixPath(name).suffix.lower(), "text/plain")


def pdf_error(data: bytes) -> str:
    """Why `data` is not accepted as a PDF, for the user; "" if it is. Readers look for `%PDF-` in
    the first 1024 bytes (ISO 32000-1, annex H.3.4.1), and so do we."""
    head = data[:1024]
    if not data:
        return "not a PDF: the file is empty"
    if len(data) > PDF_LIMIT:
        return f"larger than {PDF_LIMIT // 1_000_000} MB: not stored"
    if _is_web_page(head):
        return "not a PDF: an HTML page came in its place"
    if b"%PDF-" in head:
        return ""
    if not head.strip(b"\0"):
        return "not a PDF: the file begins with zero bytes"
    return "not a PDF: it does not begin with %PDF-"


def text_error(data: bytes) -> str:
    """Why `data` is not accepted as a README or as notes, for the user; "" if it is."""
    if not data.strip():
        return "the file is empty"
    if len(data) > README_LIMIT:
        return f"larger than {README_LIMIT // 1_000_000} MB: not stored"
    if _is_web_page(data[:1024]):
        return "not plain text: it is an HTML page"
    return "not plain text: it has zero bytes" if b"\0" in data else ""


def _is_web_page(head: bytes) -> bool:
    """READMEs may well begin with HTML (`<p align="center">`), but not with a whole page's."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


class Download(NamedTuple):
    """Accepted bytes, not yet stored. `version` is the arXiv version (`v4`) or the commit, None
    where the origin does not say, `title` the one that arXiv gives, "" for none."""

    data: bytes
    media_type: str
    origin: str
    version: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Bytes that were fetched, and where they came from; `version` and `title` as in Download."""

    id: str
    media_type: str
    sha256: str
    size: int
    origin: str
    version: str | None = None
    title: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One ledger entry. `reason` is "" exactly when the bytes came; `when` is ISO 8601 in UTC."""

    source_id: str
    when: str
    origin: str
    reason: str = ""
    source: Source | None = None

    def to_json(self) -> str:
        """One line of ASCII without its line end, so that a cut anywhere is found as a cut."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str | bytes) -> Attempt:
        """The inverse of `to_json`. Fields of a source that only older versions wrote are dropped.
        Raises ValueError for anything else."""
        try:
            raw: dict[str, Any] = json.loads(line)
            if raw["source"] is not None:
                known = Source.__slots__
                raw["source"] = Source(**{k: v for k, v in raw["source"].items() if k in known})
            attempt = cls(**raw)
            timed = datetime.fromisoformat(attempt.when).tzinfo is not None
        except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a ledger entry: {error}") from error
        source = attempt.source
        texts = [attempt.source_id, attempt.origin, attempt.reason]
        if source:
            version = "" if source.version is None else source.version
            texts += [source.id, source.media_type, source.origin, version]
        sized = source is None or (type(source.size) is int and source.size >= 0)
        if not (timed and sized and all(isinstance(text, str) for text in texts)):
            raise ValueError("not a ledger entry: a field is of another type")
        # A hash is a file name: one that is none must not lead out of the folder.
        if bool(attempt.reason) is (source is not None) or (
            source and not re.fullmatch("[0-9a-f]{64}", str(source.sha256))
        ):
            raise ValueError("not a ledger entry: the fields do not fit together")
        return attempt


class SourceStore:
    """`folder` holds `<sha256>` files and `ledger/`, with one file for each source, which is only
    ever appended to: to know one source costs the same however many there are.

    Several processes may use one folder at once: bytes are written beside and renamed into
    place, an entry is a single appending write, and what others append is seen at the next call.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._swept = False

    def put(
        self,
        source_id: str,
        data: bytes,
        media_type: str,
        origin: str,
        version: str | None = None,
        title: str = "",
    ) -> Source:
        """Store `data` (atomically, once per hash) and write the ledger entry. Putting what is
        already the newest entry writes nothing, except bytes that were lost or changed."""
        sha256 = hashlib.sha256(data).hexdigest()
        source = Source(source_id, media_type, sha256, len(data), origin, version, title)
        path = self.folder / sha256
        try:
            is_here = path.read_bytes() == data
        except FileNotFoundError:
            is_here = False
        if not is_here:
            if not self._swept:
                self._swept = True
                files.sweep(self.folder)
            files.write_atomically(path, data, parts=files.parts_of(self.folder))
        attempts = self.attempts(source_id)
        if not attempts or attempts[-1].source != source:
            self._append(Attempt(source_id, _now(), origin, source=source))
        return source

    def fail(self, source_id: str, origin: str, reason: str) -> Attempt:
        """Write down that the bytes did not come, and why. Raises ValueError without a reason."""
        if not reason:
            raise ValueError("a failure has a reason")
        attempt = Attempt(source_id, _now(), origin, reason)
        self._append(attempt)
        return attempt

    def get(self, source_id: str) -> Source | None:
        """The newest source under this id whose bytes are still here and intact in size."""
        return self._newest(self.attempts(source_id))

    def everything(self) -> Iterator[Source]:
        """The newest source of every id, as `get` gives it, in no promised order. Reads the whole
        ledger: it costs what the catalog is large."""
        for path in self.folder.glob("ledger/*/*.jsonl"):
            if source := self._newest(files.read(path, Attempt.from_json)):
                yield source

    def besides(self, source_ids: Collection[str]) -> Iterator[Source]:
        """Every source, newest or not, of all ids but these, from the whole ledger."""
        for path in {*self.folder.glob("ledger/*/*.jsonl")}.difference(
            map(self.ledger, source_ids)
        ):
            yield from filter(None, (each.source for each in files.read(path, Attempt.from_json)))

    def find(self, source_id: str, sha256: str) -> Source | None:
        """The source under this id that has this hash, newest or not."""
        sources = (attempt.source for attempt in reversed(self.attempts(source_id)))
        return next((source for source in sources if source and source.sha256 == sha256), None)

    def read(self, source: Source) -> bytes:
        """The bytes, checked against their hash. Raises SourceError where they were changed."""
        path = self.folder / source.sha256
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = f"its stored bytes cannot be read ({error}); fetch it again"
            raise SourceError(source.id, reason) from error
        if hashlib.sha256(data).hexdigest() != source.sha256:
            reason = f"its stored bytes were changed on disk; delete {path} and fetch it again"
            raise SourceError(source.id, reason)
        return data

    def is_intact(self, source: Source) -> bool:
        """Whether the bytes are those of the hash. Damaged ones are deleted, so that they are
        fetched anew."""
        try:
            self.read(source)
        except SourceError as error:
            log.warning("fetched anew: %s", error)
            with contextlib.suppress(OSError):
                (self.folder / source.sha256).unlink(missing_ok=True)
            return False
        return True

    def failure(self, source_id: str) -> Attempt | None:
        """The newest attempt, where it failed."""
        attempts = self.attempts(source_id)
        return attempts[-1] if attempts and attempts[-1].reason else None

    def attempts(self, source_id: str) -> Sequence[Attempt]:
        """Every attempt for this id, oldest first."""
        attempts = files.read(self.ledger(source_id), Attempt.from_json)
        return [attempt for attempt in attempts if attempt.source_id == source_id]

    def ledger(self, source_id: str) -> Path:
        """The file of the attempts for this id: fanned out, so that no folder becomes large."""
        key = hashlib.sha256(source_id.encode("utf-8", "surrogatepass")).hexdigest()
        return self.folder / f"ledger/{key[:2]}/{key[2:32]}.jsonl"

    def _newest(self, attempts: Sequence[Attempt]) -> Source | None:
        sources = (attempt.source for attempt in reversed(attempts))
        return next((source for source in sources if source and self._holds(source)), None)

    def _holds(self, source: Source) -> bool:
        try:
            return (self.folder / source.sha256).stat().st_size == source.size
        except OSError:
            return False

    def _append(self, attempt: Attempt) -> None:
        files.append(self.ledger(attempt.source_id), attempt.to_json())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
