"""Search over everything indexed: its time and memory at each size, and what it finds.

Two questions, two catalogs: how long over so many passages (synthetic ones, all different, see
`scripts.benchmarks.catalogs`), and whether the ranking is that of an exhaustive search and any good
(real questions, all documents of an evaluation set as one catalog).
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.documents.document import Document
from index.documents.extract import extractor_of
from index.encoder import Encoder, Vectors, embed, load_encoder
from index.passages import split
from index.settings import Settings
from index.sources.store import SourceStore
from index.stores.segments import Segment, SegmentStore, make_segment, segment_name
from rag.evaluation.evaluation_set import EvaluationSet, Question, read_evaluation_set
from rag.evaluation.evidence_recall import hits as overlaps
from rag.retrieval.evidence import Hit, Reading
from rag.retrieval.retrieve import Pool, search
from rag.retrieval.whole_catalog import ShardedCatalog
from scripts.benchmarks.catalogs import PER_WORK, GrowingCatalog
from scripts.benchmarks.clock import machine

K = 10
Say = Callable[[str], None]


def bench_whole(
    sizes: Sequence[int], *, sets: Sequence[Path], encoder: str, queries: int = 10, say: Say
) -> dict[str, Any]:
    """What is found at each size, and for each evaluation set."""
    found: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as folder:
        works = max(sizes, default=0) // PER_WORK
        catalog = GrowingCatalog(Path(folder), unique=works)
        found["sizes"] = []
        for size in sorted(sizes):
            say(f"{size} passages are made")
            catalog.grow(size)
            found["sizes"].append(_at(catalog, queries, say))
    if sets:
        loaded = load_encoder(encoder, offline=True)
        found["sets"] = [_quality(read_evaluation_set(path), loaded, say) for path in sets]
    return found


def _at(catalog: GrowingCatalog, queries: int, say: Say) -> dict[str, Any]:
    """Time of the first search, which takes up what is new, and of others; recall by cosine."""
    segments = SegmentStore(catalog.settings.index)
    # Words that passages have: both sides of the ranking have something to do.
    asked = [f"What are w{number} and w{number + 7} for?" for number in range(queries)]
    vectors = catalog.encoder.encode_queries(asked)
    say("the first search")
    began = time.perf_counter()
    ShardedCatalog(catalog.settings, catalog.encoder.name).best(asked[0], vectors[0], K)
    first = time.perf_counter() - began
    began = time.perf_counter()
    store = ShardedCatalog(catalog.settings, catalog.encoder.name)
    store.best(asked[0], vectors[0], K)
    opened = time.perf_counter() - began
    taken, nearest = [], []
    for question, vector in zip(asked, vectors, strict=True):
        began = time.perf_counter()
        store.best(question, vector, K)
        taken.append(time.perf_counter() - began)
        # No passage has these words: the cosine alone decides, and can be checked with NumPy.
        hits = store.best("?", vector, K)
        nearest.append({(hit.source_id, hit.passage.start) for hit in hits})
    say("brute force")
    brute = _brute_force(catalog, segments, vectors)
    shares = [len(due & got) / K for due, got in zip(brute, nearest, strict=True)]
    on_disk = sum(path.stat().st_size for path in catalog.settings.catalog.rglob("*.shard"))
    return {
        "passages": len(store),
        "works": catalog.works,
        "first_search_s": round(first, 1),
        "cold_search_s": round(opened, 2),
        "search_s": round(float(np.median(taken)), 2),
        "recall": round(float(np.mean(shares)), 4),
        "shards_mb": round(on_disk / 1e6),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
    }


def _brute_force(
    catalog: GrowingCatalog, segments: SegmentStore, vectors: Vectors
) -> list[set[tuple[str, int]]]:
    """For each query the places of the K nearest vectors, read from the sealed segments."""
    places: list[tuple[str, int]] = []
    products = []
    for source_id, name in catalog.names():
        segment = segments.load(name)
        places += [(source_id, passage.start) for passage in segment.passages]
        products.append(segment.vectors @ vectors.T)
    rows = np.argsort(-np.concatenate(products), axis=0, kind="stable")[:K]
    return [{places[row] for row in column} for column in rows.T]


def _quality(data: EvaluationSet, encoder: Encoder, say: Say) -> dict[str, Any]:
    """All documents as one catalog: is the ranking that of the exhaustive search, and how often
    does a passage that answers stand among the first, beside either score alone?"""
    say(f"{data.name}: {len(data.documents)} documents are embedded")
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), offline=True)
        loaded = dict(_indexed(data.documents, encoder, settings))
        store = ShardedCatalog(settings, encoder.name)
        pool = Pool.of([Reading(source_id, "readme") for source_id in loaded], loaded)
        texts = [question.text for question in data.questions]
        vectors = encoder.encode_queries(texts)
        store.best(texts[0], vectors[0], K)
        say(f"{data.name}: {len(texts)} questions over {len(store)} passages")
        same, answered, taken = [], [], []
        exhaustive = search(pool, encoder, texts)
        for question, vector, every in zip(data.questions, vectors, exhaustive, strict=True):
            began = time.perf_counter()
            found = store.best(question.text, vector, K)
            taken.append(time.perf_counter() - began)
            due = {(hit.source_id, hit.passage.start) for hit in every[:K]}
            got = {(hit.source_id, hit.passage.start) for hit in found}
            same.append(len(due & got) / len(due))
            answered.append(
                [
                    *(_answers(found[:depth], question) for depth in (1, 5, 10)),
                    _answers(sorted(every, key=lambda hit: -hit.dense)[:K], question),
                    _answers(sorted(every, key=lambda hit: -hit.lexical)[:K], question),
                ]
            )
    names = "hit@1", "hit@5", "hit@10", "hit@10_dense_alone", "hit@10_bm25_alone"
    means = np.mean(answered, axis=0)
    return {
        "set": data.name,
        "documents": len(data.documents),
        "passages": len(store),
        "questions": len(texts),
        "recall_at_10_of_exhaustive": round(float(np.mean(same)), 4),
        "search_ms": round(1000 * float(np.median(taken)), 1),
        **{name: round(float(mean), 3) for name, mean in zip(names, means, strict=True)},
    }


def _source_id(document_id: str) -> str:
    return f"github:set/{document_id}"


def _answers(hits: Sequence[Hit], question: Question) -> bool:
    own = [hit for hit in hits if hit.source_id == _source_id(question.document_id)]
    return any(overlaps((hit.passage.start, hit.passage.end), question.gold) for hit in own)


def _indexed(
    documents: Sequence[tuple[str, Document]], encoder: Encoder, settings: Settings
) -> Iterator[tuple[str, Segment]]:
    """Put documents into a data directory as if they had been read; each segment by its source id."""
    sources, segments = SourceStore(settings.sources), SegmentStore(settings.index)
    for document_id, document in documents:
        source = sources.put(
            _source_id(document_id),
            document.to_json().encode(),
            source_type="readme",
            media_type="text/plain",
            origin="evaluation set",
        )
        name = segment_name(source, extractor_of(source.media_type), encoder.name)
        cut = split(document, fits=lambda text: encoder.count_tokens(text) <= encoder.max_tokens)
        segment = make_segment(name, document, cut, *embed(encoder, cut))
        segments.save(segment)
        yield source.id, segment
