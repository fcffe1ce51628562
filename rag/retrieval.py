"""Prompt + segments of the listed works → Evidence. Nothing else is ever looked at.

Search is exact, dense and lexical together, over the passages of the prompt's own listings:
there is no catalog-wide index to filter, so no unlisted passage can come back and the cost does
not grow with the catalog (DESIGN, decisions 3 and 4).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.catalog import Listing
from index.encoder import Encoder
from index.segments import Segment, Vectors
from index.sources import Tier
from rag.evidence import FACETS, Evidence, Facet, Hit, Nearness, Reading, Span
from rag.prompt import Prompt
from rag.prose import readable
from rag.ranking import Lexicon, Scores, fuse, order

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
    keys = [_key(hit) for hit in hits]
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
    listed = [set(listing.source_ids) for listing in prompt.listings]
    evidence = Evidence(
        prompt=prompt,
        readings=tuple(readings),
        facets={facet: _with_every_work(asked[facet], generic[facet], listed) for facet in FACETS},
        works=tuple(_of(question, ids)[:PER_WORK] for ids in listed),
        openings=tuple(_opening(question, listing) for listing in prompt.listings),
    )
    return replace(evidence, nearness=_nearness(evidence, encoder))


def _nearness(evidence: Evidence, encoder: Encoder) -> dict[Span, Nearness]:
    """Every sentence of the evidence that can stand alone, compared with what is looked for."""
    sentences = {
        span: text for hit in evidence.hits() for span, text in hit.sentences() if readable(text)
    }
    if not sentences:
        return {}
    looked_for = [evidence.prompt.question, *(FACET_QUERIES[facet] for facet in FACETS)]
    queries = encoder.encode_queries(looked_for)
    cosines = encoder.encode_passages(list(sentences.values())) @ queries.T
    return {
        span: Nearness(float(row[0]), dict(zip(FACETS, map(float, row[1:]), strict=True)))
        for span, row in zip(sentences, cosines, strict=True)
    }


def _of(hits: Sequence[Hit], source_ids: Collection[str]) -> tuple[Hit, ...]:
    return tuple(hit for hit in hits if hit.source_id in source_ids)


def _with_every_work(
    asked: Sequence[Hit], generic: Sequence[Hit], listed: Sequence[Collection[str]]
) -> tuple[Hit, ...]:
    """The best hits over all works, and some of each work, in the order of `asked`."""
    chosen = {_key(hit) for hit in asked[:PER_FACET]}
    for source_ids in listed:
        for ranked in (asked, generic):
            chosen |= {_key(hit) for hit in _of(ranked, source_ids)[:PER_WORK_AND_FACET]}
    return tuple(hit for hit in asked if _key(hit) in chosen)


def _opening(hits: Sequence[Hit], listing: Listing) -> tuple[Hit, ...]:
    """The first passages of each source of a listing, in reading order."""
    found: list[Hit] = []
    for source_id in listing.source_ids:
        own = sorted(_of(hits, [source_id]), key=lambda hit: hit.passage.start)
        found += own[:OPENING]
    return tuple(found)


def _key(hit: Hit) -> tuple[str, int]:
    return hit.source_id, hit.passage.start


def _inner_products(vectors: Vectors, queries: Vectors) -> Scores:
    """[q, n]: the cosine of every query with every passage, through FAISS's exact index."""
    import faiss

    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(np.ascontiguousarray(vectors))
    scores, rows = flat.search(np.ascontiguousarray(queries), len(vectors))
    products = np.empty(scores.shape, dtype=np.float64)
    np.put_along_axis(products, rows, scores.astype(np.float64), axis=1)
    return products
