"""Proof that an answer file tells the truth about its quotes, pages, links and listings.

It takes the file and the kept bytes, reads the bytes again, and compares. Nothing that the
pipeline knew when it wrote the answer is trusted.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from index.catalog import Listing
from index.documents.document import Document
from index.errors import PromptError, RagError
from index.passages import MAXIMUM, sentence_spans
from index.sources.store import source_type_of
from rag.answer.compose import NO_RELEVANCE, NOTHING_READ
from rag.answer.model import Answer, Quote, SourceRecord, Statement
from rag.plaintext import plain
from rag.prompt import Prompt, parse_prompt
from rag.writers.base import NOT_SAID

_CLAUSE_BEGINS = re.compile(r"[,;:.!?。；—–]\s+\Z|\n\s*\Z")
_CLAUSE_ENDS = re.compile(r"[,;:.!?。；—–]\Z")


def on_sentence_boundaries(document: Document, start: int, end: int) -> bool:
    """Whether [start, end) begins and ends at a sentence's or a clause's edge, within one
    quotable section. A sentence too long for a passage may also be cut between words."""
    for section in document.sections:
        if section.start <= start and end <= section.end:
            spans = sentence_spans(document.text, section.start, section.end)
            return _begins(document.text, start, spans) and _ends(document.text, end, spans)
    return False


def _begins(text: str, start: int, spans: tuple[tuple[int, int], ...]) -> bool:
    first, last = next((span for span in spans if span[0] <= start < span[1]), (start, start))
    if start == first or _CLAUSE_BEGINS.search(text, max(first, start - 4), start):
        return True
    return last - first > MAXIMUM and text[start - 1].isspace()


def _ends(text: str, end: int, spans: tuple[tuple[int, int], ...]) -> bool:
    first, last = next((span for span in spans if span[0] < end <= span[1]), (end, end))
    if end == last or _CLAUSE_ENDS.search(text, end - 1, end) or text[end : end + 1] == "\n":
        return True
    return last - first > MAXIMUM and text[end].isspace()


DocumentOf = Callable[[SourceRecord], Document]
"""Reads the document of a source again from its bytes. Raises RagError where it cannot."""

# A scheme, "www.", or a host and a path. Each begins where a word does: no text takes long.
_URL = re.compile(
    r"(?:(?<!\w)\w+://|www\.)\S+|(?<![\w.-])(?:[a-z0-9-]+\.)+[a-z]{2,}(?::[0-9]+)?/\S+",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"“([^“”]*)”|„([^„“”]*)[“”]|«([^«»]*)»|\"([^\"]*)\"")


@dataclass(frozen=True, slots=True)
class Failure:
    """Something that is not as the file claims: where, and what."""

    part: str
    message: str

    def __str__(self) -> str:
        return f"{self.part}: {self.message}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What was checked, and every failure. Verified means: no failure."""

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
    whatever is wrong becomes a named failure."""
    failures: list[Failure] = []
    prompt = _prompt(answer, failures)
    if prompt is not None:
        failures += _listings(answer, prompt)
        failures += _urls(answer, prompt)
        documents, problems = _documents(answer, prompt, document_of)
        failures += problems
        failures += _statements(answer)
        failures += _quotes(answer, documents)
    return Verification(
        quotes=sum(1 for _ in answer.quotes()),
        statements=sum(1 for _ in answer.statements()),
        listings=len(answer.references),
        sources=sum(1 for source in answer.sources if not source.reason),
        failures=tuple(failures),
    )


def _prompt(answer: Answer, failures: list[Failure]) -> Prompt | None:
    """The prompt, parsed again from the text the file holds."""
    record = answer.prompt
    if hashlib.sha256(record.text.encode("utf-8", "replace")).hexdigest() != record.sha256:
        failures.append(Failure("prompt", "the text does not have the recorded hash"))
    try:
        prompt = parse_prompt(record.text)
    except PromptError as error:
        failures.append(Failure("prompt", f"the text is no prompt document: {error}"))
        return None
    if prompt.question != record.question:
        failures.append(Failure("prompt", "the question is not the one the text asks"))
    return prompt


def _listings(answer: Answer, prompt: Prompt) -> Iterator[Failure]:
    """Every listing is there, in order, with exactly its links and sources."""
    if len(answer.references) != len(prompt.listings):
        yield Failure(
            "references", f"{len(answer.references)} works, the prompt lists {len(prompt.listings)}"
        )
    for number, (reference, listing) in enumerate(
        zip(answer.references, prompt.listings, strict=False)
    ):
        part = f"references[{number}]"
        claimed_and_listed = {
            "name": (reference.name, listing.name),
            "role": (reference.role, listing.role),
            "paper": (reference.paper, listing.paper.written if listing.paper else None),
            "GitHub": (reference.github, listing.github.written if listing.github else None),
            "sources": (reference.sources, listing.source_ids),
        }
        for what, (claimed, listed) in claimed_and_listed.items():
            if claimed != listed:
                yield Failure(part, f"{what} is {claimed!r}, the prompt gives {listed!r}")


def _documents(
    answer: Answer, prompt: Prompt, document_of: DocumentOf
) -> tuple[dict[str, Document], list[Failure]]:
    """The text of every source that was read, extracted again from its bytes."""
    documents: dict[str, Document] = {}
    listed = {sid: listing for listing in prompt.listings for sid in listing.source_ids}
    recorded = [source.id for source in answer.sources]
    failures = [
        Failure("sources", f"{source_id} is listed, but not accounted for")
        for source_id in sorted(set(listed) - set(recorded))
    ]
    for number, source in enumerate(answer.sources):
        part = f"sources[{number}]"
        if source.id not in listed:
            failures.append(Failure(part, f"{source.id} is not a source of a listed work"))
        elif recorded.count(source.id) > 1:
            failures.append(Failure(part, f"{source.id} is accounted for twice"))
        elif problem := _source_problem(source, listed[source.id]):
            failures.append(Failure(part, problem))
        elif not source.reason:
            try:
                document = document_of(source)
            except RagError as error:
                failures.append(Failure(part, str(error)))
                continue
            documents[source.id] = document
            if document.extractor != source.extractor:
                failures.append(
                    Failure(
                        part,
                        f"the text of {source.id} was read by {source.extractor!r}, this "
                        f"installation reads by {document.extractor!r}: ask again",
                    )
                )
            elif document.sha256 != source.document_sha256:
                failures.append(Failure(part, f"the text of {source.id} is not the recorded one"))
    return documents, failures


def _source_problem(source: SourceRecord, listing: Listing) -> str:
    expected = source_type_of(source.id)
    if source.source_type != expected:
        return f"{source.id} is of source_type {expected!r}, not {source.source_type!r}"
    claims = (source.sha256, source.extractor, source.document_sha256)
    if source.reason and (any(claims) or source.version is not None):
        return f"{source.id} claims to be read and not to be read"
    if not source.reason.strip() and not all(claims):
        return f"{source.id} was neither read nor is there a reason why not"
    if expected == "summary" and not source.reason:
        summary = (listing.summary or "").encode()
        if hashlib.sha256(summary).hexdigest() != source.sha256:
            return f"{source.id} is not the summary that the prompt gives"
    return ""


def _statements(answer: Answer) -> Iterator[Failure]:
    """Every part says something, and says nothing without a quote but the fixed sentences."""
    workflow = answer.workflow
    for part, statements in (
        ("task", answer.task),
        ("workflow.input", workflow.input),
        ("workflow.model", workflow.model),
        ("workflow.output", workflow.output),
    ):
        if not statements:
            yield Failure(part, "says nothing")
        for statement in statements:
            if _wordless(statement.text):
                yield Failure(part, "a statement is empty")
            elif not statement.quotes and statement.text != NOT_SAID:
                yield Failure(part, f"no quote stands behind {_short(statement)}")
    for part, statement in answer.statements():
        yield from (Failure(part, problem) for problem in _typed_quotes(statement))
    read = {source.id for source in answer.sources if not source.reason}
    for number, reference in enumerate(answer.references):
        part, relevance = f"references[{number}]", reference.relevance
        silence = NO_RELEVANCE if read.intersection(reference.sources) else NOTHING_READ
        if reference.relevant != bool(relevance.quotes):
            yield Failure(part, "a work bears on the question exactly when a quote shows it")
        if _wordless(relevance.text):
            yield Failure(part, "a statement is empty")
        elif not relevance.quotes and relevance.text != silence:
            yield Failure(part, f"no quote stands behind {_short(relevance)}, expected {silence!r}")
        yield from (
            Failure(part, f"quotes {quote.source_id}, which is not a source of this work")
            for quote in relevance.quotes
            if quote.source_id not in reference.sources
        )


def _wordless(text: str) -> bool:
    """Whether a reader would see nothing said, whatever invisible signs there are."""
    return not any(map(str.isalnum, text))


def _typed_quotes(statement: Statement) -> Iterator[str]:
    """Words between quotation marks pass for a quote: they have to stand in one."""
    chosen = [plain(quote.text) for quote in statement.quotes]
    for found in _QUOTED.finditer(plain(statement.text)):
        words = "".join(found.groups("")).strip(" .,;:!?")
        if not any(words in text for text in chosen):
            yield f"{found[0][:60]!r} passes for a quote, and stands in none behind it"


def _quotes(answer: Answer, documents: dict[str, Document]) -> Iterator[Failure]:
    for part, quote in answer.quotes():
        if problem := _quote_problem(quote, documents.get(quote.source_id)):
            yield Failure(part, f"{problem} (quote {quote.text[:60]!r})")


def _quote_problem(quote: Quote, document: Document | None) -> str:
    if document is None:
        return f"{quote.source_id} is not a listed source that was read"
    if quote.source_type != source_type_of(quote.source_id):
        return f"{quote.source_id} is not of source_type {quote.source_type!r}"
    if not 0 <= quote.start < quote.end <= len(document.text):
        return f"[{quote.start}, {quote.end}) lies outside the text of {quote.source_id}"
    if document.text[quote.start : quote.end] != quote.text:
        return f"[{quote.start}, {quote.end}) of {quote.source_id} says something else"
    pages = document.pages(quote.start, quote.end)
    if quote.pages != pages:
        return f"stands on page {_pages(pages)} of {quote.source_id}, not {_pages(quote.pages)}"
    if not any(
        section.quotable and section.start <= quote.start and quote.end <= section.end
        for section in document.sections
    ):
        return f"stands in a part of {quote.source_id} that is not to be quoted"
    if not on_sentence_boundaries(document, quote.start, quote.end):
        return f"is torn out of the middle of a sentence of {quote.source_id}"
    return ""


def _urls(answer: Answer, prompt: Prompt) -> Iterator[Failure]:
    """No URL outside quotes that the prompt did not give."""
    given = {
        link.written
        for listing in prompt.listings
        for link in (listing.paper, listing.github)
        if link is not None
    }
    written: list[tuple[str, str]] = [
        *((part, statement.text) for part, statement in answer.statements()),
        *(("writer", text) for text in _strings(asdict(answer.writer))),
        *((f"sources[{n}]", source.reason) for n, source in enumerate(answer.sources)),
    ]
    for part, text in written:
        # As it is shown: invisible characters within a link hide it from no reader.
        for url in _URL.findall(plain(unicodedata.normalize("NFKC", text))):
            if url.rstrip(".,;:)]}>'\"") not in given:
                yield Failure(part, f"the prompt gives no link {url!r}")


def _strings(value: object) -> Iterator[str]:
    """Every string in what `asdict` gives."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _strings(item)


def _short(statement: Statement) -> str:
    return repr(statement.text[:80])


def _pages(pages: Iterable[int]) -> str:
    return ", ".join(map(str, pages)) or "none"
