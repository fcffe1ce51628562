"""What is judged, in one form for answers of this project and of any other system.

The premises are the sources' own words, read again from their bytes. A quote that does not stand
in its source is no evidence, whatever it says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from index.catalog import Listing
from index.documents.document import Document
from index.errors import RagError
from index.passages import Passage, split
from rag.answer.compose import ABSTENTIONS, FIXED
from rag.answer.model import Answer, Quote, Statement
from rag.answer.verify import DocumentOf
from rag.prompt import works_of
from rag.retrieval.scoring import Lexicon, order
from rag.support.checker import premise

__all__ = ["Citation", "Claim", "ClosedSet", "Documents", "EvaluatedAnswer", "evaluated_answer"]

State = Literal["stands", "does not stand", "not read"]


@dataclass(frozen=True, slots=True)
class Citation:
    """The words that are cited and the passage around them, as the source has them; both "" where
    they do not stand there, or where the source could not be read. `work` is what the prompt calls
    the work: whoever is shown a quote is shown whose it is."""

    text: str
    passage: str
    state: State = "stands"
    work: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of an answer. `fixed` is one of the sentences that claim nothing."""

    part: str
    text: str
    citations: tuple[Citation, ...]
    fixed: bool = False


class ClosedSet:
    """Every passage of the listed works. `complete` is False where one of them could not be read
    again, so that nothing can be said to be missing from them."""

    def __init__(self, passages: Iterable[str], *, complete: bool = True) -> None:
        self.passages = tuple(dict.fromkeys(passages))
        self.complete = complete

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(self.passages)

    def best(self, statement: str, count: int) -> tuple[str, ...]:
        """The passages with most of the statement's words (BM25), best first."""
        scores = self._lexicon.scores(statement)
        ranked = order(scores)
        return tuple(self.passages[row] for row in ranked[:count] if scores[row] > 0)


@dataclass(frozen=True, slots=True)
class EvaluatedAnswer:
    """One answer, ready to be judged. `name` is how a reader finds it, `prompt` the question."""

    name: str
    prompt: str
    claims: tuple[Claim, ...]
    closed_set: ClosedSet = field(compare=False)

    def key(self, claim: Claim) -> str:
        """What a label is given to: the question, the statement and its citations."""
        cited = [f"{item.state}\0{item.text}" for item in claim.citations]
        said = "\0".join((self.prompt, claim.part, claim.text, *cited))
        # The letter keeps a spreadsheet from reading a hash such as 12e45 as a number.
        return "s" + hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:15]


class Documents:
    """The sources of answers, each read and cut into passages once."""

    def __init__(self, document_of: DocumentOf) -> None:
        self._document_of = document_of
        self._passages: dict[str, tuple[Passage, ...]] = {}

    def read(self, answer: Answer) -> Mapping[str, Document | None]:
        """Every source that the answer says was read; None where it cannot be read again, or
        where its text is not the recorded one."""
        found: dict[str, Document | None] = {}
        for record in answer.sources:
            if record.reason:
                continue
            try:
                document: Document | None = self._document_of(record)
            except RagError:
                document = None
            if document is not None and document.sha256 != record.document_sha256:
                document = None
            found[record.id] = document
        return found

    def passages(self, document: Document) -> tuple[Passage, ...]:
        """As the index cuts them."""
        key = document.sha256
        if key not in self._passages:
            self._passages[key] = split(document)
        return self._passages[key]


def evaluated_answer(
    answer: Answer, name: str, listings: Iterable[Listing], documents: Documents
) -> EvaluatedAnswer:  # fmt: skip
    """An answer of this project; `listings` are those of its prompt."""
    works = works_of(listings)
    read = documents.read(answer)
    passages = [
        premise(works[source_id], passage.text)
        for source_id, document in read.items()
        if document is not None and source_id in works
        for passage in documents.passages(document)
    ]
    complete = all(document is not None for document in read.values())
    claims = tuple(
        _claim(part, statement, works, read, documents) for part, statement in answer.statements()
    )
    return EvaluatedAnswer(
        name, answer.prompt.question, claims, ClosedSet(passages, complete=complete)
    )


def _claim(
    part: str,
    statement: Statement,
    works: Mapping[str, str],
    read: Mapping[str, Document | None],
    documents: Documents,
) -> Claim:
    citations = tuple(_citation(quote, works, read, documents) for quote in statement.quotes)
    without = statement.text in ABSTENTIONS and not citations
    return Claim(
        part, statement.text, citations, without or (statement.text in FIXED - ABSTENTIONS)
    )


def _citation(
    quote: Quote,
    works: Mapping[str, str],
    read: Mapping[str, Document | None],
    documents: Documents,
) -> Citation:
    if quote.source_id not in works or quote.source_id not in read:
        return Citation("", "", "does not stand")
    document = read[quote.source_id]
    if document is None:
        return Citation("", "", "not read")
    if not stands(quote, document):
        return Citation("", "", "does not stand")
    around = [
        passage.text
        for passage in documents.passages(document)
        if passage.start < quote.end and quote.start < passage.end
    ]
    passage = "\n".join(around) or quote.text
    return Citation(quote.text, passage, work=works[quote.source_id])


def stands(quote: Quote, document: Document) -> bool:
    """Whether the quote is the slice it claims to be."""
    inside = 0 <= quote.start < quote.end <= len(document.text)
    return inside and document.text[quote.start : quote.end] == quote.text
