"""Prompt + segments of the listed works → Evidence. Nothing else is ever looked at.

Search is exact, dense and lexical together, over the passages of the prompt's own listings:
there is no catalog-wide index to filter, so no unlisted passage can come back and the cost does
not grow with the catalog (DESIGN, decisions 3 and 4).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.catalog import Listing
from index.encoder import Encoder, Vectors
from index.segments import Segment
from index.sources import Tier
from rag.candidates import Candidates
from rag.evidence import FACETS, Evidence, Facet, Hit, Nearness, Reading, Span
from rag.prompt import Prompt
from rag.prose import readable
from rag.ranking import order
from rag.reranker import Reranker

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
    tiers = dict(pool.sources)
    found = []
    for query, vector in zip(queries, encoder.encode_queries(queries), strict=True):
        scored = candidates.score(query, vector, reranker=reranker)
        found.append(
            tuple(
                Hit(
                    source_id=candidates.passages[row][0],
                    tier=tiers[candidates.passages[row][0]],
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
    return replace(evidence, nearness=_nearness(evidence, pool, encoder))


def _nearness(evidence: Evidence, pool: Pool, encoder: Encoder) -> dict[Span, Nearness]:
    """Every sentence of the evidence that can stand alone, compared with what is looked for."""
    known = pool.sentence_vectors()
    spans = [
        span
        for span, text in dict(item for hit in evidence.hits() for item in hit.sentences()).items()
        if readable(text)
    ]
    if not spans:
        return {}
    looked_for = [evidence.prompt.question, *(FACET_QUERIES[facet] for facet in FACETS)]
    cosines = np.stack([known[span] for span in spans]) @ encoder.encode_queries(looked_for).T
    return {
        span: Nearness(float(row[0]), dict(zip(FACETS, map(float, row[1:]), strict=True)))
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
