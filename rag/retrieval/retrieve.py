"""Passages for queries, and the evidence for a prompt.

Search is exact, dense and lexical together, over the passages of the given works: there is no
catalog-wide index to filter, so no unlisted passage can come back and the cost of an answer does
not grow with the catalog.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from index.build import Notify, current_segment_name, silent
from index.catalog import Listing
from index.encoder import Encoder, Vectors
from index.errors import EncoderError, LinkError, SegmentError, SourceError
from index.links import parse_github_link, parse_paper_link
from index.passages import Passage
from index.settings import Settings
from index.sources.store import Source, SourceStore, source_type_of
from index.stores import open_store
from index.stores.segments import Segment
from rag.prompt import Prompt
from rag.retrieval.evidence import (
    FACETS,
    Evidence,
    Facet,
    Hit,
    Reading,
    SentenceContext,
    Span,
    best_first,
)
from rag.retrieval.reranker import DEPTH, Reranker, rerank
from rag.retrieval.scoring import HEADING_WEIGHT, Lexicon, Scores, fuse, order, similarities

log = logging.getLogger(__name__)

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
"""Passages of each listed work that every part of the answer gets, whatever their rank: so many
for the question, and so many for what that part looks for."""
PER_WORK = 12
"""Passages for the question within one listed work."""
OPENING = 3
"""Passages with which a source opens (its abstract, the top of its README)."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The scores [n] of one query; `places[i]` is the source id of row i and the number of its
    passage there. Rows stand by source id and in reading order, which breaks ties."""

    places: Sequence[tuple[str, int]]
    scores: Scores
    dense: Scores
    lexical: Scores

    def hits(
        self, passages: Callable[[str], Sequence[Passage]], count: int | None = None
    ) -> tuple[Hit, ...]:
        """The `count` best passages (all, where None), best first; `passages(source_id)` are those
        of one work."""
        return tuple(
            Hit(
                source_id,
                source_type_of(source_id),
                passages(source_id)[number],
                *(float(scores[row]) for scores in (self.scores, self.dense, self.lexical)),
            )
            for row in order(self.scores)[:count]
            for source_id, number in (self.places[row],)
        )


def rank(
    works: Iterable[tuple[str, Segment]], queries: Sequence[str], vectors: Vectors
) -> list[Ranking]:
    """For each query, whose vector is a row of `vectors` [q, d], the scores of every passage.
    `works` are (source id, segment) in ascending order; they are read one after the other, and a
    few numbers are kept for each passage."""
    lexicon = Lexicon(queries=queries)
    places: list[tuple[str, int]] = []
    numbers: list[int] = []
    cosines = [np.zeros((len(queries), 0))]
    for number, (source_id, segment) in enumerate(works):
        if segment.passages:
            lexicon.add(" ".join((*[p.heading] * HEADING_WEIGHT, p.text)) for p in segment.passages)
            places += [(source_id, row) for row in range(len(segment.passages))]
            numbers += [number] * len(segment.passages)
            cosines.append(np.stack([similarities(segment.vectors, query) for query in vectors]))
    owners = np.array(numbers, dtype=np.int64)
    dense = np.concatenate(cosines, axis=1)
    lexical = [lexicon.scores(query) for query in queries]
    return [
        Ranking(places, fuse(cosine, bm25, owners), cosine, bm25)
        for cosine, bm25 in zip(dense, lexical, strict=True)
    ]


def search(
    segments: Mapping[str, Segment],
    encoder: Encoder,
    queries: Sequence[str],
    *,
    reranker: Reranker | None = None,
) -> tuple[tuple[Hit, ...], ...]:
    """For each query all passages of the works in `segments` (by source id), best first."""
    _, hits = _search(segments, encoder, queries)
    if reranker is None:
        return hits
    return tuple(rerank(reranker, query, own) for query, own in zip(queries, hits, strict=True))


def _search(
    segments: Mapping[str, Segment], encoder: Encoder, queries: Sequence[str]
) -> tuple[Vectors, tuple[tuple[Hit, ...], ...]]:
    """The vectors of the queries, [q, d], and the hits for each. Where there is no passage to
    find, no query is encoded."""
    if not any(segment.passages for segment in segments.values()):
        return np.zeros((len(queries), 0), dtype=np.float32), tuple(() for _ in queries)
    vectors = encoder.encode_queries(queries)
    rankings = rank(sorted(segments.items()), queries, vectors)
    hits = (ranking.hits(lambda source_id: segments[source_id].passages) for ranking in rankings)
    return vectors, tuple(hits)


def retrieve(
    prompt: Prompt,
    readings: Sequence[Reading],
    segments: Mapping[str, Segment],
    encoder: Encoder,
) -> Evidence:
    """The evidence for one prompt: the question alone and each part of the answer are queries
    over all listed works, and every listed work gets its chance in each of them."""
    generic = [FACET_QUERIES[facet] for facet in FACETS]
    queries = [prompt.question, *(f"{prompt.question} {query}" for query in generic), *generic]
    vectors, rankings = _search(segments, encoder, queries)
    own = _by_listing(rankings[0], prompt.listings)
    evidence = Evidence(
        prompt=prompt,
        readings=tuple(readings),
        facets={
            facet: _with_every_work(rankings[1 + n], rankings[1 + len(FACETS) + n], prompt.listings)
            for n, facet in enumerate(FACETS)
        },
        works=tuple(tuple(hits[:PER_WORK]) for hits in own),
        openings=tuple(map(_opening, own, prompt.listings)),
    )
    return replace(evidence, contexts=sentence_contexts(evidence, segments, vectors[0]))


def sentence_contexts(
    evidence: Evidence, segments: Mapping[str, Segment], question: npt.NDArray[np.float32]
) -> dict[Span, SentenceContext]:
    """The context of every sentence of the evidence; `question` [d] is the question's vector."""
    contexts: dict[Span, SentenceContext] = {}
    for source_id in sorted({hit.source_id for hit in evidence.hits()}):
        segment = segments[source_id]
        rows = [
            (passage, start, end)
            for passage in segment.passages
            for start, end in passage.sentences
        ]
        cosines = (segment.sentences.astype(np.float32) @ question).tolist()
        sections: Counter[str] = Counter()
        previous = ""
        for number, ((passage, start, end), cosine) in enumerate(zip(rows, cosines, strict=True)):
            span, before = Span(source_id, start, end), sections[passage.heading]
            contexts[span] = SentenceContext(cosine, number, len(rows), before, previous)
            sections[passage.heading] += 1
            previous = passage.text[start - passage.start : end - passage.start]
    return contexts


def _by_listing(hits: Sequence[Hit], listings: Sequence[Listing]) -> list[list[Hit]]:
    """For each listing the hits of its sources, best first."""
    own: dict[str, list[Hit]] = {}
    for hit in hits:
        own.setdefault(hit.source_id, []).append(hit)
    return [
        sorted(
            chain.from_iterable(own.get(sid, ()) for sid in set(listing.source_ids)),
            key=best_first,
        )
        for listing in listings
    ]


def _with_every_work(
    hits: Sequence[Hit], generic: Sequence[Hit], listings: Sequence[Listing]
) -> tuple[Hit, ...]:
    """The best of `hits` over all works, and some of each work, in their order; `generic` are the
    hits for the facet without the question."""
    chosen = {hit.key for hit in hits[:PER_FACET]}
    for ranked in (hits, generic):
        for own in _by_listing(ranked, listings):
            chosen |= {hit.key for hit in own[:PER_WORK_AND_FACET]}
    return tuple(hit for hit in hits if hit.key in chosen)


def _opening(hits: Sequence[Hit], listing: Listing) -> tuple[Hit, ...]:
    """The first passages of each source of a listing, whose hits these are, in reading order."""
    starts = sorted(hits, key=lambda hit: hit.passage.start)
    return tuple(
        hit
        for source_id in listing.source_ids
        for hit in [hit for hit in starts if hit.source_id == source_id][:OPENING]
    )


def search_data_dir(
    query: str,
    count: int,
    settings: Settings,
    encoder: Encoder,
    *,
    works: Sequence[str] = (),
    reranker: Reranker | None = None,
    notify: Notify = silent,
) -> tuple[Hit, ...]:
    """The `count` best passages of everything in the data directory that was indexed with
    `encoder`, or of the `works` named (a source id, a link, or a part of an id), best first.
    Fetches and indexes nothing. Text that several sources share is searched once, under the first
    of their ids. Raises SourceError where a name fits nothing, EncoderError where nothing was
    indexed with this encoder, SegmentError where everything there is to search is damaged."""
    store = open_store(settings)
    names: dict[str, str] = {}  # segment → source id
    for source in sorted(_named(works, SourceStore(settings.sources)), key=lambda item: item.id):
        names.setdefault(current_segment_name(source, encoder.name), source.id)
    here = store.known(names)
    names = {name: source_id for name, source_id in names.items() if name in here}
    if not names:
        raise EncoderError(
            f"{', '.join(works) or settings.data_dir}: nothing here is indexed by this version "
            f"with the encoder {settings.encoder} ({encoder.name}): run `rag index PROMPT…` "
            "first, or name another data directory with --data-dir"
        )

    damaged: list[SegmentError] = []

    def segments() -> Iterator[tuple[str, Segment]]:
        for done, (name, found) in enumerate(store.load_all(names), 1):
            if isinstance(found, SegmentError):
                log.warning("%s is not searched: %s", names[name], found)
                damaged.append(found)
            else:
                yield names[name], found
            notify("search", done, len(names), "")

    (ranking,) = rank(segments(), [query], encoder.encode_queries([query]))
    if len(damaged) == len(names):
        raise damaged[0]
    name_of = {source_id: name for name, source_id in names.items()}
    wanted = max(count, DEPTH) if reranker else count
    best = {ranking.places[row][0] for row in order(ranking.scores)[:wanted]}
    passages: dict[str, Sequence[Passage]] = {}
    for name, found in store.load_all([name_of[source_id] for source_id in best]):
        if isinstance(found, SegmentError):
            raise found
        passages[names[name]] = found.passages
    hits = ranking.hits(passages.__getitem__, wanted)
    return rerank(reranker, query, hits)[:count] if reranker else hits


def _named(works: Sequence[str], store: SourceStore) -> Iterable[Source]:
    """The sources that `works` name; all, where there are none. The whole ledger is read only
    where a name is no whole id."""
    if not works:
        return store.everything()
    sources: dict[str, Source] = {}
    for work in map(_as_id, works):
        if source := store.get(work):
            matches = {work: source}
        else:
            everything = store.everything()
            matches = {item.id: item for item in everything if work.lower() in item.id.lower()}
        if not matches:
            raise SourceError(work, "no work in this data directory has this in its id")
        sources |= matches
    return sources.values()


def _as_id(work: str) -> str:
    """The source id that a link stands for; any other name as it is."""
    for parse in (parse_paper_link, parse_github_link):
        with suppress(LinkError):
            if link := parse(work):
                return link.source_id
    return work
