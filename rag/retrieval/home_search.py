"""Search without a prompt: over works of a data directory that are named, or over everything it holds.

Fetches nothing and indexes nothing. Over named works it is the search that a prompt gets which
lists them, and costs what they are large; over everything see `rag.retrieval.whole_catalog`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from index.build import Notify, silent
from index.documents.extract import extractor_of
from index.encoder import Encoder
from index.errors import EncoderError, LinkError, SourceError
from index.links import parse_github_link, parse_paper_link
from index.settings import Settings
from index.sources.store import Source, SourceStore
from index.stores.segments import Segment, SegmentStore, segment_name
from rag.retrieval.evidence import Hit, Reading
from rag.retrieval.reranker import DEPTH, Reranker, rerank
from rag.retrieval.retrieve import Pool, search
from rag.retrieval.whole_catalog import CatalogStore, ShardedCatalog


def search_home(
    query: str,
    k: int,
    settings: Settings,
    encoder: Encoder,
    *,
    works: Sequence[str] = (),
    store: CatalogStore | None = None,
    reranker: Reranker | None = None,
    notify: Notify = silent,
) -> tuple[Hit, ...]:
    """The `k` best passages for `query`, best first: of the works that `works` name (a source id,
    a link, or a part of an id), else of everything, which `store` searches. Raises SourceError
    where a name fits nothing, EncoderError where nothing was indexed with this encoder."""
    if works:
        pool = _pool(_named(works, SourceStore(settings.sources)), settings, encoder.name)
        (hits,) = search(pool, encoder, [query], reranker=reranker)
        return hits[:k]
    if store is None:
        store = ShardedCatalog(settings, encoder.name, notify=notify)
    (vector,) = encoder.encode_queries([query])
    hits = store.best(query, vector, max(k, DEPTH) if reranker else k)
    if not hits:
        raise EncoderError(
            f"{settings.data_dir} holds nothing that this version has indexed with the encoder "
            f"{encoder.name}: run `rag index PROMPT…` first, or name another data directory with --data-dir"
        )
    return _reranked(query, hits, reranker)[:k] if reranker else hits


def _reranked(query: str, hits: Sequence[Hit], reranker: Reranker) -> tuple[Hit, ...]:
    scores = np.array([hit.score for hit in hits])
    found = rerank(reranker, query, [hit.text for hit in hits], scores, range(len(hits)))
    order = sorted(range(len(hits)), key=lambda row: (-found[row], row))
    return tuple(
        Hit(hit.source_id, hit.source_type, hit.passage, float(found[row]), hit.dense, hit.lexical)
        for row in order
        for hit in (hits[row],)
    )


def _named(works: Sequence[str], store: SourceStore) -> dict[str, Source]:
    """The sources that `works` name, by id. The ledger as a whole is read only where a name is no
    whole id."""
    found: dict[str, Source] = {}
    parts = []
    for work in map(_as_id, works):
        source = store.get(work)
        if source is None:
            parts.append(work)
        else:
            found[source.id] = source
    everything = list(store.everything()) if parts else []
    for part in parts:
        fitting = {item.id: item for item in everything if part.lower() in item.id.lower()}
        if not fitting:
            raise SourceError(part, "no work that is kept here has this in its id")
        found |= fitting
    return found


def _as_id(work: str) -> str:
    """The source id that a link stands for; any other name as it is."""
    for parse in (parse_paper_link, parse_github_link):
        try:
            link = parse(work)
        except LinkError:
            continue
        if link is not None:
            return link.source_id
    return work


def _pool(sources: dict[str, Source], settings: Settings, encoder_name: str) -> Pool:
    """What of these sources was indexed with the encoder. Raises EncoderError where nothing was,
    SegmentError where a segment is damaged."""
    segments: dict[str, Segment] = {}
    store = SegmentStore(settings.index)
    for source in sources.values():
        name = segment_name(source, extractor_of(source.media_type), encoder_name)
        if store.path(name).exists():
            segments[source.id] = store.load(name)
    if not segments:
        first = ", ".join(list(sources)[:3]) + (", …" if len(sources) > 3 else "")
        raise EncoderError(
            f"{first}: kept here, but not indexed by this version with the encoder "
            f"{encoder_name}: run `rag index PROMPT…` first"
        )
    return Pool.of([Reading(item.id, item.source_type) for item in sources.values()], segments)
