"""Proof that an answer file is right about its quotes, pages, links and listings.

It takes the file and the cached bytes, extracts their text again, and compares. Nothing that the
pipeline knew when it wrote the answer is trusted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, replace
from itertools import chain
from typing import Literal

from index.catalog import Listing
from index.documents import Document, is_complete
from index.documents.extract import Task, extract_isolated
from index.errors import ExtractionError, PromptError, RagError, SourceError
from index.passages import MAXIMUM, sentence_spans
from index.settings import Settings
from index.sources import SourceStore, source_type_of
from rag.answer import Answer, Quote, SourceRecord, Statement
from rag.answer.compose import FIXED, NO_RELEVANCE, NOTHING_READ, QUOTED_ELSEWHERE
from rag.plaintext import addresses_in
from rag.prompt import Prompt, parse_prompt
from rag.selection.mentions import names_of
from rag.writers import NOT_SAID, only_repeats
from rag.writers.grammar import numbers_in, prose_error

DocumentOf = Callable[[SourceRecord], Document]
"""Extracts the document of a source again from its bytes. Raises RagError where it cannot."""

FailureKind = Literal["unlisted link", "other"]
"""The kinds of failures that evaluation tells apart."""

_CLAUSE_BEGINS = re.compile(r"[,;:.!?。；—–]\s+\Z|\n\s*\Z")
_CLAUSE_ENDS = re.compile(r"[,;:.!?。；—–]\Z")


@dataclass(frozen=True, slots=True)
class Failure:
    """One claim of the file that does not hold: where it stands, and what is wrong."""

    part: str
    message: str
    kind: FailureKind = "other"

    def __str__(self) -> str:
        return f"{self.part}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verification:
    """How much was checked, and every failure."""

    quotes: int
    statements: int
    listings: int
    sources: int
    failures: tuple[Failure, ...]

    @property
    def verified(self) -> bool:
        """Whether every check passed."""
        return not self.failures


def verify(answer: Answer, document_of: DocumentOf) -> Verification:
    """Check every claim that can be checked exactly. Never raises for what a file may contain:
    whatever is wrong becomes a failure."""
    return Verification(
        quotes=sum(1 for _ in answer.quotes()),
        statements=sum(1 for _ in answer.statements()),
        listings=len(answer.references),
        sources=sum(1 for source in answer.sources if not source.reason),
        failures=tuple(_failures(answer, document_of)),
    )


def _failures(answer: Answer, document_of: DocumentOf) -> Iterator[Failure]:
    record = answer.prompt
    if hashlib.sha256(record.text.encode("utf-8", "replace")).hexdigest() != record.sha256:
        yield Failure("prompt", "the text does not have the recorded hash")
    try:
        prompt = parse_prompt(record.text)
    except PromptError as error:
        yield Failure("prompt", f"the text is no prompt document: {error}")
        return
    if prompt.question != record.question:
        yield Failure("prompt", "the question is not the one the text asks")
    yield from _listings(answer, prompt)
    yield from _urls(answer, prompt)
    documents: dict[str, Document] = {}
    yield from _sources(answer, prompt, document_of, documents)
    texts = (document.text for document in documents.values())
    numbers = numbers_in("\n".join((record.text, *texts)))
    yield from _statements(answer, numbers)
    yield from _repetitions(answer)
    yield from _mentions(answer, prompt, documents)
    lost = {source.id for source in answer.sources if not source.reason} - documents.keys()
    for part, quote in answer.quotes():  # of a lost source a failure was told above
        if quote.source_id not in lost and (problem := _quote_problem(quote, documents)):
            yield Failure(part, f"{problem} (quote {quote.text[:60]!r})")


def _listings(answer: Answer, prompt: Prompt) -> Iterator[Failure]:
    """Every listing is there, in order, with exactly its links and sources."""
    if len(answer.references) != len(prompt.listings):
        yield Failure(
            "references", f"{len(answer.references)} works, the prompt lists {len(prompt.listings)}"
        )
    for number, (reference, listing) in enumerate(
        zip(answer.references, prompt.listings, strict=False)
    ):
        claimed_and_listed = {
            "name": (reference.name, listing.name),
            "role": (reference.role, listing.role),
            "paper": (reference.paper, listing.paper.written if listing.paper else None),
            "GitHub": (reference.github, listing.github.written if listing.github else None),
            "sources": (reference.sources, listing.source_ids),
        }
        for what, (claimed, listed) in claimed_and_listed.items():
            if claimed != listed:
                yield Failure(
                    f"references[{number}]", f"{what} is {claimed!r}, the prompt gives {listed!r}"
                )


def _urls(answer: Answer, prompt: Prompt) -> Iterator[Failure]:
    """No URL outside quotes that the prompt did not give."""
    links = (link for item in prompt.listings for link in (item.paper, item.github))
    allowed = {link.written for link in links if link is not None}
    *fields, events = astuple(answer.writer)
    texts = [
        *((part, statement.text) for part, statement in answer.statements()),
        *(("writer", str(value)) for value in (*fields, *chain.from_iterable(events))),
        *((f"sources[{n}]", source.reason) for n, source in enumerate(answer.sources)),
    ]
    for part, text in texts:
        for url in addresses_in(text):
            if url.rstrip(".,;:)]}>'\"") not in allowed:
                yield Failure(part, f"the prompt gives no link {url!r}", "unlisted link")


def _sources(
    answer: Answer, prompt: Prompt, document_of: DocumentOf, documents: dict[str, Document]
) -> Iterator[Failure]:
    """Every source of the listings is there once, and what was read has the recorded text, which
    is put into `documents`."""
    listed = {sid: listing for listing in prompt.listings for sid in listing.source_ids}
    recorded = [source.id for source in answer.sources]
    for source_id in sorted(set(listed) - set(recorded)):
        yield Failure("sources", f"{source_id} is listed, but not accounted for")
    for number, source in enumerate(answer.sources):
        if source.id not in listed:
            problem = f"{source.id} is not a source of a listed work"
        elif recorded.count(source.id) > 1:
            problem = f"{source.id} is accounted for twice"
        else:
            problem = _source_problem(source, listed[source.id])
            if not problem and not source.reason:
                try:
                    documents[source.id] = document_of(source)
                    problem = _document_problem(source, documents[source.id])
                except RagError as error:
                    problem = str(error)
        if problem:
            yield Failure(f"sources[{number}]", problem)


def _source_problem(source: SourceRecord, listing: Listing) -> str:
    expected = source_type_of(source.id)
    if source.source_type != expected:
        return f"{source.id} is of source type {expected!r}, not {source.source_type!r}"
    claims = (source.sha256, source.extractor, source.document_sha256)
    if source.reason and (any(claims) or source.version is not None):
        return f"{source.id} claims to be read and not to be read"
    if not source.reason.strip() and not all(claims):
        return f"{source.id} was neither read nor is there a reason why not"
    kind, _, digest = source.id.partition(":")
    summary = hashlib.sha256((listing.summary or "").encode()).hexdigest()
    named = {"file": digest, "summary": summary}.get(kind, "")
    if not source.reason and not source.sha256.startswith(named):
        return f"{source.id} is not the {kind} that the prompt gives"
    return ""


def _document_problem(source: SourceRecord, document: Document) -> str:
    if document.extractor != source.extractor:
        return (
            f"the text of {source.id} was read by {source.extractor!r}, this installation reads "
            f"by {document.extractor!r}: ask again"
        )
    if document.sha256 != source.document_sha256:
        return f"the text of {source.id} is not the recorded one"
    return ""


def _statements(answer: Answer, numbers: Collection[str]) -> Iterator[Failure]:
    """Every part says something, and says nothing without a quote but the fixed sentences.
    `numbers` are those of the prompt and of the texts that were read."""
    for part, statements in answer.parts.items():
        if not statements:
            yield Failure(part, "says nothing")
        for statement in statements:
            yield from _statement(part, statement, NOT_SAID, numbers)
    read = {source.id for source in answer.sources if not source.reason}
    listed = {source_id for reference in answer.references for source_id in reference.sources}
    told = {quote.source_id for part, quote in answer.quotes() if not part.endswith("mentions")}
    for number, reference in enumerate(answer.references):
        part, note, own = f"references[{number}]", reference.relevance, set(reference.sources)
        silence = NO_RELEVANCE if read & own else NOTHING_READ
        fallback = QUOTED_ELSEWHERE if told & own else silence
        if reference.relevant != (note.text not in (NO_RELEVANCE, NOTHING_READ)):
            yield Failure(part, "whether the work is relevant is not what its note says")
        yield from _statement(part, note, fallback, numbers)
        for quote in note.quotes:
            if quote.source_id not in own:
                yield Failure(part, f"quotes {quote.source_id}, which is no source of this work")
        for mention in reference.mentions:
            if mention.text or len(mention.quotes) != 1:
                yield Failure(f"{part}.mentions", "is not one quotation")
            for quote in mention.quotes:
                if quote.source_id not in listed - own:
                    message = f"quotes {quote.source_id}, which is no source of another listed work"
                    yield Failure(f"{part}.mentions", message)


def _statement(
    part: str, statement: Statement, fallback: str, numbers: Collection[str]
) -> Iterator[Failure]:
    """It is one quotation; or it has words, which no quote merely repeats, in the alphabet that
    prose needs: nothing that passes for a quotation or a link, and no number of nowhere. Without a
    quote it is `fallback`."""
    text, quotes = statement.text, statement.quotes
    if not text and len(quotes) == 1:
        return
    if not any(map(str.isalnum, text)):
        yield Failure(part, "a statement is empty")
    elif not quotes and text != fallback:
        yield Failure(part, f"no quote stands behind {text[:80]!r}, expected {fallback!r}")
    elif text in FIXED and quotes and (text != NO_RELEVANCE or len(quotes) > 1):
        yield Failure(part, f"{text!r} stands with {len(quotes)} quotes")
    elif any(only_repeats(text, quote.text) for quote in quotes):
        yield Failure(part, f"only repeats its quote: {text[:80]!r}")
    elif text not in FIXED and (error := prose_error(text, numbers)):
        yield Failure(part, f"{text[:80]!a} is no plain statement: it holds {error}")


def _mentions(
    answer: Answer, prompt: Prompt, documents: Mapping[str, Document]
) -> Iterator[Failure]:
    """Each names its work, by a name that the listing or the work's own text gives it."""
    for number, (item, listing) in enumerate(zip(answer.references, prompt.listings, strict=False)):
        own = [documents[sid].text for sid in listing.source_ids if sid in documents]
        names = names_of(listing, own) if item.mentions else None
        for quote in chain.from_iterable(mention.quotes for mention in item.mentions):
            if not (names and names.search(quote.text)):
                shown = f"{quote.text[:60]!r} does not name {listing.name!r}"
                yield Failure(f"references[{number}].mentions", shown)


def _repetitions(answer: Answer) -> Iterator[Failure]:
    """No part of a source is quoted twice."""
    last: dict[str, Quote] = {}
    for part, quote in sorted(answer.quotes(), key=lambda item: item[1].start):
        if (before := last.get(quote.source_id)) and quote.start < before.end:
            yield Failure(part, f"is quoted twice in this answer (quote {quote.text[:60]!r})")
        if not before or quote.end > before.end:
            last[quote.source_id] = quote


def _quote_problem(quote: Quote, documents: Mapping[str, Document]) -> str:
    source, start, end = quote.source_id, quote.start, quote.end
    if (document := documents.get(source)) is None:
        return f"{source} is not a listed source that was read"
    if quote.source_type != source_type_of(source):
        return f"{source} is not of source type {quote.source_type!r}"
    if not 0 <= start < end <= len(document.text):
        return f"characters {start} to {end} lie outside the text of {source}"
    if document.text[start:end] != quote.text:
        return f"characters {start} to {end} of {source} read otherwise"
    pages = document.pages(start, end)
    if quote.pages != pages:
        return f"stands on page {_numbers(pages)} of {source}, not {_numbers(quote.pages)}"
    sections = (section for section in document.sections if section.quotable)
    if not any(section.start <= start and end <= section.end for section in sections):
        return f"stands in a part of {source} that is not to be quoted"
    if not on_sentence_boundaries(document, start, end):
        return f"is torn out of the middle of a sentence of {source}"
    if not is_complete(document.lost, start, end):
        return f"lacks a part that stands in {source} and could not be read"
    return ""


def _numbers(pages: Iterable[int]) -> str:
    return ", ".join(map(str, pages)) or "none"


def on_sentence_boundaries(document: Document, start: int, end: int) -> bool:
    """Whether [start, end) begins and ends at the edge of a sentence or a clause, within one
    section. A sentence too long for a passage may also be cut between words."""
    text = document.text
    for section in document.sections:
        if section.start <= start and end <= section.end:
            spans = sentence_spans(text, section.start, section.end)
            first, last = next((span for span in spans if span[0] <= start < span[1]), (start, end))
            begins = (
                start == first
                or _CLAUSE_BEGINS.search(text, max(first, start - 4), start)
                or (last - first > MAXIMUM and text[start - 1].isspace())
            )
            first, last = next((span for span in spans if span[0] < end <= span[1]), (start, end))
            ends = (
                end == last
                or _CLAUSE_ENDS.search(text, end - 1, end)
                or text[end : end + 1] == "\n"
                or (last - first > MAXIMUM and text[end].isspace())
            )
            return bool(begins and ends)
    return False


class Reextraction:
    """A `DocumentOf` over the cached sources. Extracts each source once, however many answers
    quote it, in a worker process: the bytes are as untrusted now as when they were fetched."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = SourceStore(settings.sources)
        self._results: dict[SourceRecord, Document | SourceError] = {}

    def __call__(self, record: SourceRecord) -> Document:
        """The document of a source that an answer records. Raises SourceError where the bytes
        are not there, were changed, or hold no text."""
        key = _key(record)
        if key not in self._results:
            self.ahead([key])
        result = self._results[key]
        if isinstance(result, SourceError):
            raise result
        return result

    def ahead(self, records: Iterable[SourceRecord]) -> Reextraction:
        """Extract all of these now, in several workers. Records of what was not read are passed
        over."""
        keys: dict[str, SourceRecord] = {}
        tasks: list[Task] = []
        for key in dict.fromkeys(_key(record) for record in records if not record.reason):
            if key not in self._results:
                try:
                    # Numbered, as a source may be asked for in several versions.
                    name = f"{key.id} #{len(tasks)}"
                    tasks.append((name, *self._bytes(key)))
                    keys[name] = key
                except SourceError as error:
                    self._results[key] = error
        settings = self._settings
        for name, result in extract_isolated(
            tasks, seconds=settings.pdf_seconds, memory_bytes=settings.pdf_memory_bytes
        ):
            key = keys[name]
            if isinstance(result, Document):
                self._results[key] = result
            else:
                self._results[key] = ExtractionError(key.id, result.reason)
        return self

    def _bytes(self, record: SourceRecord) -> tuple[bytes, str]:
        """The bytes that the record names, and their media type. Raises SourceError."""
        try:
            cached = [attempt.source for attempt in self._store.attempts(record.id)]
        except OSError as error:
            raise SourceError(record.id, f"the ledger cannot be read ({error})") from error
        same = [source for source in cached if source and source.sha256 == record.sha256]
        if not same:
            raise SourceError(
                record.id,
                f"no bytes with the recorded hash are in {self._settings.sources}: name the data "
                "directory the answer was made with by --data-dir, or ask again",
            )
        # The same bytes may have been fetched of several commits.
        source = next((source for source in same if source.version == record.version), None)
        if source is None:
            versions = " or ".join(sorted({source.version or "unknown" for source in same}))
            raise SourceError(record.id, f"its version is {versions}, not {record.version!r}")
        return self._store.read(source), source.media_type


def _key(record: SourceRecord) -> SourceRecord:
    """What decides the text of a record: its id, its bytes and their version."""
    return replace(record, extractor="", document_sha256="", reason="")
