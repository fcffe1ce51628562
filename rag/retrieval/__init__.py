"""What was read and what was retrieved: all that a writer may use.

Knows nothing of how it was retrieved (`rag.retrieval.retrieve`) or of what will be written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, get_args

from index.documents import pages_of
from index.passages import Passage
from index.sources import SourceType
from rag.prompt import Prompt

Facet = Literal["task", "input", "model", "output"]
FACETS: tuple[Facet, ...] = get_args(Facet)


@dataclass(frozen=True, slots=True)
class Span:
    """Half-open offsets into the document of a source. A quote is this and nothing else: its
    words are looked up."""

    source_id: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of one listed source. `reason` is "" exactly when it was read; the hashes
    and the extractor then name the bytes and the text that its offsets count in. `title` is what
    arXiv or the source itself calls it, "" where neither says."""

    source_id: str
    source_type: SourceType
    reason: str = ""
    sha256: str = ""
    document_sha256: str = ""
    extractor: str = ""
    version: str | None = None
    page_starts: tuple[int, ...] = ()
    title: str = ""

    def pages(self, start: int, end: int) -> tuple[int, ...]:
        """The 1-based pages that [start, end) touches."""
        return pages_of(self.page_starts, start, end)


@dataclass(frozen=True, slots=True)
class Hit:
    """A retrieved passage. `score` orders the hits of one query only; `dense` is the cosine and
    `lexical` the BM25 score it was fused from."""

    source_id: str
    source_type: SourceType
    passage: Passage
    score: float
    dense: float = 0.0
    lexical: float = 0.0

    @property
    def text(self) -> str:
        """The passage's words."""
        return self.passage.text

    @property
    def key(self) -> tuple[str, int]:
        """Names the passage: its source and where it begins."""
        return self.source_id, self.passage.start

    def sentences(self) -> tuple[tuple[Span, str], ...]:
        """Every sentence of the passage that may be quoted: where it stands, and its words. Of
        one that the extraction took a part from (a formula), neither."""
        first = self.passage.start
        return tuple(
            (Span(self.source_id, start, end), self.passage.text[start - first : end - first])
            for start, end in self.passage.complete_sentences
        )


def best_first(hit: Hit) -> tuple[float, tuple[str, int]]:
    """The sort key of the hits of one query: by descending score, ties by place."""
    return -hit.score, hit.key


@dataclass(frozen=True, slots=True)
class SentenceContext:
    """Where a sentence stands, and how near it is to the question.

    It is sentence `number`, from 0, of the `total` of its source, and `in_section` sentences stand
    before it under its heading; `previous` is the sentence before it, "" for the first.
    `similarity` is the cosine of its vector and the question's."""

    similarity: float
    number: int
    total: int
    in_section: int
    previous: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything retrieved for one prompt, from the sources of its own listings only.

    `works[i]` are the passages of listing `i`, best first for the question, () where nothing of it
    could be read. `contexts` has every sentence of these.
    """

    prompt: Prompt
    readings: tuple[Reading, ...]
    works: tuple[tuple[Hit, ...], ...]
    contexts: Mapping[Span, SentenceContext] = field(default_factory=dict)
    _listings: Mapping[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the listings by source: they are looked up for every hit."""
        listings: dict[str, tuple[int, ...]] = {}
        for number, listing in enumerate(self.prompt.listings):
            for source_id in dict.fromkeys(listing.source_ids):
                listings[source_id] = (*listings.get(source_id, ()), number)
        object.__setattr__(self, "_listings", listings)

    def listings_of(self, source_id: str) -> tuple[int, ...]:
        """Indices of the listings with this source (two may share one)."""
        return self._listings.get(source_id, ())

    def hits(self) -> Iterator[Hit]:
        """Every retrieved passage; one may come repeatedly, of a source that two works list."""
        return chain.from_iterable(self.works)

    def text(self, span: Span) -> str:
        """The words `span` points to. Raises ValueError where no retrieved passage holds it."""
        for hit in self.hits():
            passage = hit.passage
            inside = passage.start <= span.start < span.end <= passage.end
            if hit.source_id == span.source_id and inside:
                return passage.text[span.start - passage.start : span.end - passage.start]
        raise ValueError(f"{span} lies in no retrieved passage")
