"""Prompt + segments of the listed works → Evidence. Nothing else is ever looked at.

Search is exact, dense and lexical together, over the passages of the prompt's own listings:
there is no catalog-wide index to filter, so no unlisted passage can come back and the cost does
not grow with the catalog (DESIGN, decisions 3 and 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from index.catalog import Listing
from index.encoder import Encoder, Vectors
from index.passages import Passage, excerpts
from index.sources.store import SourceType
from index.stores.segments import Segment
from rag.prompt import Prompt
from rag.retrieval.evidence import FACETS, Evidence, Facet, Hit, Reading, Similarity, Span
from rag.retrieval.reranker import Reranker, rerank
from rag.retrieval.scoring import (
    HEADING_WEIGHT,
    Lexicon,
    Scores,
    fuse,
    fuse_excerpts,
    order,
    similarities,
)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One or a few consecutive sentences of a passage: what is read, and quoted, first. Half-open
    offsets in the document; scores of different queries cannot be compared."""

    source_id: str
    start: int
    end: int
    text: str
    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with its score for one query."""

    source_id: str
    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of one query, in the candidates' order: `passages` [n] and `excerpts` [m], and
    the cosines and the BM25 scores [n] they were fused from."""

    passages: Scores
    excerpts: Scores
    dense: Scores
    lexical: Scores


def counted_text(passage: Passage) -> str:
    """The text whose terms count as the passage's."""
    return " ".join((*[passage.heading] * HEADING_WEIGHT, passage.text))


def _flat(vectors: Vectors) -> Any:
    import faiss

    index = faiss.IndexFlatIP(max(1, vectors.shape[1]))
    if len(vectors):
        index.add(vectors)
    return index


# Passages in reading order, their vectors [n, d], and the vectors of their sentences [m, d].
Work = tuple[Sequence[Passage], Vectors, npt.NDArray[np.floating[Any]]]


class Candidates:
    """The passages and vectors of some works, with their terms counted once for all queries."""

    def __init__(self, works: Mapping[str, Work]) -> None:
        """`works` maps source ids to passages in reading order, their unit-length vectors
        [len(passages), d], and those of all their sentences in order. Works without passages are
        allowed, and so is having none at all."""
        sources = sorted(works)
        self.passages = [(source, p) for source in sources for p in works[source][0]]
        filled = [works[source][1] for source in sources if len(works[source][0])]
        vectors = np.concatenate(filled) if filled else np.zeros((0, 0), dtype=np.float32)
        if len(vectors) != len(self.passages):
            raise ValueError("each passage needs one vector")
        self._index = _flat(vectors)
        self._works = np.repeat(
            np.arange(len(sources), dtype=np.int64), [len(works[source][0]) for source in sources]
        )
        self.excerpts = [
            (row, span) for row, (_, p) in enumerate(self.passages) for span in excerpts(p)
        ]
        self._excerpt_vectors = self._means([works[source][2] for source in sources])
        self._owners = np.array([row for row, _ in self.excerpts], dtype=np.int64)
        self._lexicon = Lexicon([counted_text(passage) for _, passage in self.passages])
        self._excerpt_lexicon = Lexicon([self._text(row, span) for row, span in self.excerpts])

    def _means(self, sentences: Sequence[npt.NDArray[np.floating[Any]]]) -> Vectors:
        """[m, d]: for each excerpt the mean of its sentences' vectors, unit length."""
        filled = [rows for rows in sentences if len(rows)]
        counts = [
            sum(start <= first < end for first, _ in self.passages[row][1].sentences)
            for row, (start, end) in self.excerpts
        ]
        if sum(counts) != sum(map(len, filled)):
            raise ValueError("each sentence needs one vector")
        if not counts:
            return np.zeros((0, 0), dtype=np.float32)
        rows = np.concatenate(filled).astype(np.float32)
        sums = np.add.reduceat(rows, np.cumsum([0, *counts[:-1]]), axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        means: Vectors = sums / np.maximum(lengths, np.float32(1e-12))
        return means

    def _text(self, row: int, span: tuple[int, int]) -> str:
        passage = self.passages[row][1]
        return passage.text[span[0] - passage.start : span[1] - passage.start]

    def score(self, query: str, vector: Vectors, *, reranker: Reranker | None = None) -> Scored:
        """Score every candidate for `query`, whose vector is `vector` [d]."""
        if not self.passages:
            return Scored(*[np.zeros(0)] * 4)
        dense = self._cosines(vector)
        lexical = self._lexicon.scores(query)
        scores = fuse(dense, lexical, self._works)
        if reranker is not None:
            keys = [(source, p.start) for source, p in self.passages]
            texts = [p.text for _, p in self.passages]
            scores = rerank(reranker, query, texts, scores, order(scores, keys))
        read = fuse_excerpts(
            scores,
            self._owners,
            dense=similarities(self._excerpt_vectors, vector),
            lexical=self._excerpt_lexicon.scores(query),
        )
        return Scored(scores, read, dense, lexical)

    def _cosines(self, vector: Vectors) -> Scores:
        """[n]: the cosine of every passage with the query, through FAISS's exact index."""
        found, rows = self._index.search(np.ascontiguousarray(vector[None]), len(self.passages))
        cosines = np.empty(len(self.passages), dtype=np.float64)
        cosines[rows[0]] = found[0]
        return cosines

    def ranked_passages(self, scored: Scored) -> tuple[Found, ...]:
        """All passages, best first; ties by source id and place."""
        keys = [(source, passage.start) for source, passage in self.passages]
        return tuple(
            Found(*self.passages[row], score=float(scored.passages[row]))
            for row in order(scored.passages, keys)
        )

    def ranked_excerpts(self, scored: Scored) -> tuple[Excerpt, ...]:
        """All excerpts, best first; ties by source id and place."""
        keys = [(self.passages[row][0], span) for row, span in self.excerpts]
        found = []
        for place in order(scored.excerpts, keys):
            row, span = self.excerpts[place]
            source, passage = self.passages[row]
            text = self._text(row, span)
            found.append(Excerpt(source, *span, text, passage, score=float(scored.excerpts[place])))
        return tuple(found)


# What each part of the answer looks for: the words in which papers and READMEs say what the
# problem is, what goes in, what happens, and what comes out.
FACET_QUERIES: Mapping[Facet, str] = {
    "task": "The task: the problem that this work addresses and what it is for.",
    "input": "Input: what the model takes, is given, or is conditioned on.",
    "model": "Method: how the model works inside, its architecture and training.",
    "output": "Output: what the model generates, produces or predicts.",
}

PER_FACET = 12
"""Passages for one part of the answer, over all listed works."""
PER_WORK_AND_FACET = 3
"""Passages of each listed work that every part of the answer gets, whatever their rank: half
of them for the question, half for what that part looks for."""
PER_WORK = 12
"""Passages for the question within one listed work."""
OPENING = 3
"""Passages with which a work opens (its abstract, the top of its README): what it says it is."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The passages that may be searched, in the order of their source ids: the listings' order
    in the prompt changes nothing."""

    sources: tuple[tuple[str, SourceType], ...]
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, readings: Sequence[Reading], segments: Mapping[str, Segment]) -> Pool:
        """The pool of every reading that has a segment."""
        read = {
            reading.source_id: reading.source_type
            for reading in readings
            if not reading.reason and reading.source_id in segments
        }
        ordered = tuple(sorted(read.items()))
        return cls(ordered, tuple(segments[source_id] for source_id, _ in ordered))

    def candidates(self) -> Candidates:
        """Every passage of the pool, to be scored."""
        return Candidates(
            {
                source_id: (segment.passages, segment.vectors, segment.sentences)
                for (source_id, _), segment in zip(self.sources, self.segments, strict=True)
            }
        )

    def sentence_vectors(self) -> dict[Span, Vectors]:
        """The vector [d] of every sentence of the pool."""
        found: dict[Span, Vectors] = {}
        for (source_id, _), segment in zip(self.sources, self.segments, strict=True):
            spans = [
                Span(source_id, start, end)
                for passage in segment.passages
                for start, end in passage.sentences
            ]
            found.update(zip(spans, segment.sentences.astype(np.float32), strict=True))
        return found


def search(
    pool: Pool, encoder: Encoder, queries: Sequence[str], *, reranker: Reranker | None = None
) -> tuple[tuple[Hit, ...], ...]:
    """For each query all passages of the pool, best first. Exact: every passage is scored."""
    candidates = pool.candidates()
    if not candidates.passages:
        return tuple(() for _ in queries)
    keys = [(source_id, passage.start) for source_id, passage in candidates.passages]
    source_types = dict(pool.sources)
    found = []
    for query, vector in zip(queries, encoder.encode_queries(queries), strict=True):
        scored = candidates.score(query, vector, reranker=reranker)
        found.append(
            tuple(
                Hit(
                    source_id=candidates.passages[row][0],
                    source_type=source_types[candidates.passages[row][0]],
                    passage=candidates.passages[row][1],
                    score=float(scored.passages[row]),
                    dense=float(scored.dense[row]),
                    lexical=float(scored.lexical[row]),
                )
                for row in order(scored.passages, keys)
            )
        )
    return tuple(found)


def retrieve(
    prompt: Prompt,
    readings: Sequence[Reading],
    segments: Mapping[str, Segment],
    encoder: Encoder,
) -> Evidence:
    """The evidence for one prompt: the question alone and each part of the answer are queries
    over all listed works, and every listed work gets its chance in each of them."""
    pool = Pool.of(readings, segments)
    question, *rest = search(
        pool,
        encoder,
        [
            prompt.question,
            *(f"{prompt.question} {FACET_QUERIES[facet]}" for facet in FACETS),
            *(FACET_QUERIES[facet] for facet in FACETS),
        ],
    )
    asked = dict(zip(FACETS, rest[: len(FACETS)], strict=True))
    generic = dict(zip(FACETS, rest[len(FACETS) :], strict=True))
    listings = prompt.listings
    own = _by_listing(question, listings)
    evidence = Evidence(
        prompt=prompt,
        readings=tuple(readings),
        facets={
            facet: _with_every_work(asked[facet], generic[facet], listings) for facet in FACETS
        },
        works=tuple(tuple(hits[:PER_WORK]) for hits in own),
        openings=tuple(map(_opening, own, listings)),
    )
    return replace(evidence, similarities=_similarities(evidence, pool, encoder))


def _similarities(evidence: Evidence, pool: Pool, encoder: Encoder) -> dict[Span, Similarity]:
    """Every sentence of the evidence that can stand alone, compared with what is looked for."""
    known = pool.sentence_vectors()
    spans = list(dict.fromkeys(span for hit in evidence.hits() for span, _ in hit.sentences()))
    if not spans:
        return {}
    looked_for = [evidence.prompt.question, *(FACET_QUERIES[facet] for facet in FACETS)]
    cosines = np.stack([known[span] for span in spans]) @ encoder.encode_queries(looked_for).T
    return {
        span: Similarity(float(row[0]), dict(zip(FACETS, map(float, row[1:]), strict=True)))
        for span, row in zip(spans, cosines, strict=True)
    }


def _by_listing(hits: Sequence[Hit], listings: Sequence[Listing]) -> list[list[Hit]]:
    """For each listing the hits of its sources, in their order; one pass over the hits, however
    many listings there are."""
    listing: dict[str, list[int]] = {}
    for number, item in enumerate(listings):
        for source_id in dict.fromkeys(item.source_ids):
            listing.setdefault(source_id, []).append(number)
    found: list[list[Hit]] = [[] for _ in listings]
    for hit in hits:
        for number in listing.get(hit.source_id, ()):
            found[number].append(hit)
    return found


def _with_every_work(
    asked: Sequence[Hit], generic: Sequence[Hit], listings: Sequence[Listing]
) -> tuple[Hit, ...]:
    """The best hits over all works, and some of each work, in the order of `asked`."""
    chosen = {_key(hit) for hit in asked[:PER_FACET]}
    for ranked in (asked, generic):
        for own in _by_listing(ranked, listings):
            chosen |= {_key(hit) for hit in own[:PER_WORK_AND_FACET]}
    return tuple(hit for hit in asked if _key(hit) in chosen)


def _opening(hits: Sequence[Hit], listing: Listing) -> tuple[Hit, ...]:
    """The first passages of each source of a listing, whose hits these are, in reading order."""
    found: list[Hit] = []
    for source_id in listing.source_ids:
        own = [hit for hit in hits if hit.source_id == source_id]
        found += sorted(own, key=lambda hit: hit.passage.start)[:OPENING]
    return tuple(found)


def _key(hit: Hit) -> tuple[str, int]:
    return hit.source_id, hit.passage.start
