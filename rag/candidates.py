"""The passages that may answer a question, ranked for it: those of the listed works, no others.

The set is put in reading order of its works, sorted by id, so that the order in which works are
listed changes no score and no rank. Exact: every candidate is scored for every query.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from index.encoder import Vectors
from index.passages import Passage, excerpts
from rag.ranking import (
    HEADING_WEIGHT,
    Lexicon,
    Scores,
    fuse,
    fuse_excerpts,
    order,
    similarities,
)
from rag.reranker import Reranker, rerank


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
