"""Passages for queries, and the evidence for a prompt.

Search is exact, dense and lexical together, over the passages of the given works: there is no
catalog-wide index to filter, so no unlisted passage can come back and the cost of an answer does
not grow with the catalog. Off unless the user names one: a reranker, which reads question and
passage together and orders the best passages anew.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from index.build import Notify, current_segment_name, silent
from index.catalog import Listing
from index.encoder import Encoder, Vectors
from index.errors import EncoderError, LinkError, SegmentError, SourceError
from index.links import parse_github_link, parse_paper_link
from index.passages import Passage
from index.settings import Settings
from index.sources import Source, SourceStore, source_type_of
from index.stores import open_store
from index.stores.segments import Segment
from index.weights import device_of, locate, open_model
from rag.prompt import Prompt
from rag.retrieval import Evidence, Hit, Reading, SentenceContext, Span, best_first
from rag.retrieval.scoring import (
    HEADING_WEIGHT,
    Lexicon,
    Scores,
    fuse,
    order,
    similarities,
    standardise,
)

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

log = logging.getLogger(__name__)

PASSAGES = 1200
"""Passages of the evidence for a prompt, shared out among the listed works: all of most papers.
Which of their sentences explain is not for the search to say: one that does often has no word of
a lay question."""
PER_WORK = 12
"""Passages of each work at the least, however many are listed."""
MANY = 100
"""Works that are all read for a search over everything, whatever index there is."""
NEAREST = 50
"""Passages that an index over everything is asked for, by their vectors and by their words."""
OPENING = 3
"""Passages with which a source opens (its abstract, the top of its README), which are always
among them."""
DEPTH = 32
"""How many of the best passages a reranker reads again."""


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
    """The evidence for one prompt: of every listed work the best passages for the question, and
    those with which its sources open."""
    vectors, (hits,) = _search(segments, encoder, [prompt.question])
    own = _by_listing(hits, prompt.listings)
    per_work = max(PER_WORK, PASSAGES // len(prompt.listings))
    works = tuple(_best_and_openings(ranked, per_work) for ranked in own)
    evidence = Evidence(prompt, tuple(readings), works)
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


def _best_and_openings(ranked: Sequence[Hit], count: int) -> tuple[Hit, ...]:
    """The `count` best of a work's hits and the first passages of each of its sources, best
    first."""
    starts = sorted(ranked, key=lambda hit: hit.key)
    openings = (list(hits)[:OPENING] for _, hits in groupby(starts, lambda hit: hit.source_id))
    chosen = {hit.key for hit in chain(ranked[:count], *openings)}
    return tuple(hit for hit in ranked if hit.key in chosen)


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
    Of more than MANY works, those of the passages that an index of the store finds nearest are
    searched, exactly; the others are not. Fetches and indexes nothing. Text that several sources
    share is searched once, under the first of their ids. Raises SourceError where a name fits
    nothing, EncoderError where nothing was indexed with this encoder, SegmentError where everything
    there is to search is damaged."""
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
    vectors = encoder.encode_queries([query])
    if len(names) > MANY and not works:
        nearest = store.nearest(names, query, vectors[0], max(count, NEAREST))
        # Where it knows none of them, its rows are of other encoders or older versions.
        names = {name: names[name] for name in names if name in nearest} or names

    damaged: list[SegmentError] = []

    def segments() -> Iterator[tuple[str, Segment]]:
        for done, (name, found) in enumerate(store.load_all(names), 1):
            if isinstance(found, SegmentError):
                log.warning("%s is not searched: %s", names[name], found)
                damaged.append(found)
            else:
                yield names[name], found
            notify("search", done, len(names), "")

    (ranking,) = rank(segments(), [query], vectors)
    if len(damaged) == len(names):
        raise damaged[0]
    wanted = max(count, DEPTH) if reranker else count
    best = {ranking.places[row][0] for row in order(ranking.scores)[:wanted]}
    passages: dict[str, Sequence[Passage]] = {}
    for name, found in store.load_all([name for name in names if names[name] in best]):
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


class Reranker(Protocol):
    """Scores texts for a question; higher is better, and only the order of one call counts."""

    name: str
    """Which model this is, for reports."""

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        """[len(texts)]."""


def rerank(reranker: Reranker, query: str, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """`hits` (best first) with the first DEPTH of them rescored, and ordered anew, by `reranker`.
    They stay before all others, on the scale of standardised scores."""
    best = hits[:DEPTH]
    if not best:
        return ()
    scores = standardise(reranker.scores(query, [hit.text for hit in best]))
    floor = best[-1].score - scores.min()
    rescored = [
        replace(hit, score=float(floor + own)) for hit, own in zip(best, scores, strict=True)
    ]
    return (*sorted(rescored, key=best_first), *hits[DEPTH:])


class CrossEncoderReranker:
    """Any cross-encoder of sentence-transformers with one output."""

    def __init__(self, model: CrossEncoder, name: str) -> None:
        self._model = model
        self.name = name

    def scores(self, query: str, texts: Sequence[str]) -> Scores:
        """See Reranker."""
        scores = self._model.predict([(query, text) for text in texts], show_progress_bar=False)
        return np.asarray(scores, dtype=np.float64).reshape(len(texts))


def load_reranker(name: str, *, offline: bool = False, device: str = "") -> Reranker:
    """The cross-encoder `name` stands for: a local folder, else a model of the hub. `device` as for
    `index.weights.device_of`. Raises EncoderError."""
    folder, place = locate(name, offline=offline), device_of(device)
    model = open_model("CrossEncoder", folder, "reranker", device=place)
    if model.num_labels != 1:
        raise EncoderError(f"{name} gives {model.num_labels} scores for a passage: one is needed")
    return CrossEncoderReranker(model, name)
