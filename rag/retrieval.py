"""Prompt + segments of the listed works → Evidence. Nothing else is ever looked at.

Search is exact, dense and lexical together, over the passages of the prompt's own listings:
there is no catalog-wide index to filter, so no unlisted passage can come back and the cost does
not grow with the catalog (DESIGN, decisions 3 and 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.encoder import Encoder
from index.segments import Segment, Vectors
from index.sources import Tier
from rag.evidence import FACETS, Evidence, Facet, Hit, Reading
from rag.prompt import Prompt
from rag.ranking import Lexicon, Scores, fuse, order

# What each part of the answer looks for beside the question: the words in which papers and
# READMEs say what goes in, what happens, and what comes out.
FACET_QUERIES: Mapping[Facet, str] = {
    "task": "{question} The task: the problem that this work addresses and what it is for.",
    "input": "{question} Input: what the model takes, is given, or is conditioned on.",
    "model": "{question} Method: how the model works inside, its architecture and training.",
    "output": "{question} Output: what the model generates, produces or predicts, and how good.",
}

PASSAGES_PER_FACET = 24
PASSAGES_PER_WORK = 12


@dataclass(frozen=True, slots=True)
class Pool:
    """The passages that may be searched, in the order of their source ids: the listings' order
    in the prompt changes nothing."""

    sources: tuple[tuple[str, Tier], ...]
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, readings: Sequence[Reading], segments: Mapping[str, Segment]) -> Pool:
        """The pool of every reading that has a segment."""
        read = {
            reading.source_id: reading.tier
            for reading in readings
            if not reading.reason and reading.source_id in segments
        }
        ordered = tuple(sorted(read.items()))
        return cls(ordered, tuple(segments[source_id] for source_id, _ in ordered))

    def hits(self) -> tuple[Hit, ...]:
        """Every passage of the pool, unscored, in a fixed order."""
        return tuple(
            Hit(source_id, tier, passage, 0.0)
            for (source_id, tier), segment in zip(self.sources, self.segments, strict=True)
            for passage in segment.passages
        )

    def vectors(self) -> Vectors:
        """[n, d], row i belonging to `hits()[i]`."""
        if not self.segments:
            return np.zeros((0, 0), dtype=np.float32)
        return np.concatenate([segment.vectors for segment in self.segments])


def search(pool: Pool, encoder: Encoder, queries: Sequence[str]) -> tuple[tuple[Hit, ...], ...]:
    """For each query all passages of the pool, best first. Exact: every passage is scored."""
    hits = pool.hits()
    if not hits:
        return tuple(() for _ in queries)
    keys = [(hit.source_id, hit.passage.start) for hit in hits]
    lexicon = Lexicon([hit.text for hit in hits])
    cosines = _inner_products(pool.vectors(), encoder.encode_queries(queries))
    found = []
    for query, dense in zip(queries, cosines, strict=True):
        lexical = lexicon.scores(query)
        fused = fuse(dense, lexical)
        found.append(
            tuple(
                replace(
                    hits[row],
                    score=float(fused[row]),
                    dense=float(dense[row]),
                    lexical=float(lexical[row]),
                )
                for row in order(fused, keys)
            )
        )
    return tuple(found)


def retrieve(
    prompt: Prompt,
    readings: Sequence[Reading],
    segments: Mapping[str, Segment],
    encoder: Encoder,
) -> Evidence:
    """The evidence for one prompt: one query for each part of the answer over all listed works,
    and one for each listed work within itself, so that every work gets its chance."""
    pool = Pool.of(readings, segments)
    facet_queries = [FACET_QUERIES[facet].format(question=prompt.question) for facet in FACETS]
    work_queries = [f"{prompt.question} {listing.name}" for listing in prompt.listings]
    found = search(pool, encoder, [*facet_queries, *work_queries])
    facets = dict(zip(FACETS, found[: len(FACETS)], strict=True))
    return Evidence(
        prompt=prompt,
        readings=tuple(readings),
        facets={facet: hits[:PASSAGES_PER_FACET] for facet, hits in facets.items()},
        works=tuple(
            tuple(hit for hit in hits if hit.source_id in listing.source_ids)[:PASSAGES_PER_WORK]
            for listing, hits in zip(prompt.listings, found[len(FACETS) :], strict=True)
        ),
    )


def _inner_products(vectors: Vectors, queries: Vectors) -> Scores:
    """[q, n]: the cosine of every query with every passage, through FAISS's exact index."""
    import faiss

    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors))
    scores, rows = flat.search(np.ascontiguousarray(queries), len(vectors))
    products = np.empty(scores.shape, dtype=np.float64)
    np.put_along_axis(products, rows, scores.astype(np.float64), axis=1)
    return products
