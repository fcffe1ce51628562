"""Works whose passages are given, indexed with vectors of their words, and the search that they
should give, straight from its definition."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index.build import current_segment_name
from index.documents import Document, Section
from index.documents.extract import extractor_of
from index.encoder import Encoder, embed
from index.passages import Passage
from index.settings import Settings
from index.sources import Source, SourceStore
from index.stores.segments import Segment, SegmentStore, make_segment
from rag.retrieval.scoring import HEADING_WEIGHT, K1, NEIGHBOURS, B, terms
from tests.parts.tiny_encoders import WordEncoder

ENCODER = WordEncoder()


def segment(
    texts: Sequence[str], encoder: Encoder = ENCODER, *, heading: str = "", name: str = ""
) -> Segment:
    """A segment whose passages are `texts`, one sentence each."""
    passages, start = [], 0
    for text in texts:
        span = start, start + len(text)
        passages.append(Passage(*span, text, heading, sentences=(span,)))
        start += len(text) + 1
    extractor = extractor_of("text/plain")
    document = Document("\n".join(texts), "", (), (Section(0, start),), extractor)
    return make_segment(name, document, tuple(passages), *embed(encoder, passages))


class IndexedWorks:
    """A data directory of such works."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(folder, offline=True)
        self.sources = SourceStore(self.settings.sources)
        self.segments = SegmentStore(self.settings.index)

    def add(self, source_id: str, texts: Sequence[str], heading: str = "") -> Source:
        """Put a work here, or a newer text of one."""
        source = self.put(source_id, "\n".join(texts))
        self.segments.save(segment(texts, heading=heading, name=self.name(source)))
        return source

    def put(self, source_id: str, text: str) -> Source:
        """A work that is fetched and not indexed."""
        return self.sources.put(source_id, text.encode(), media_type="text/plain", origin="test")

    def name(self, source: Source) -> str:
        """The name of the source's segment."""
        return current_segment_name(source, ENCODER.name)


def bm25(texts: Sequence[str], query: str) -> list[float]:
    """The textbook formula, one term and one text at a time."""
    counts = [Counter(terms(text)) for text in texts]
    mean = max(sum(c.total() for c in counts), 1) / max(len(texts), 1)
    scores = [0.0] * len(texts)
    for term in terms(query):
        df = sum(term in count for count in counts)
        idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
        for row, count in enumerate(counts):
            norm = K1 * (1 - B + B * count.total() / mean)
            scores[row] += idf * count[term] * (K1 + 1) / (count[term] + norm)
    return scores


def brute_force(
    works: Mapping[str, Sequence[str]], query: str, encoder: Encoder = ENCODER, heading: str = ""
) -> dict[tuple[str, int], float]:
    """The score of every passage, by source id and start: z-score of the cosine, plus z-score of
    (z-score of BM25 plus a share of that of each neighbour in the same work)."""
    keys, texts = [], []
    for source_id in sorted(works):
        start = 0
        for text in works[source_id]:
            keys.append((source_id, start))
            texts.append(text)
            start += len(text) + 1
    if not texts:
        return {}
    vectors = encoder.encode_passages(texts).astype(np.float64)
    dense = vectors @ encoder.encode_queries([query])[0].astype(np.float64)
    alone = _standard(
        np.array(bm25([f"{heading} " * HEADING_WEIGHT + text for text in texts], query))
    )
    shared = []
    for _, rows in groupby(range(len(keys)), key=lambda row: keys[row][0]):
        own = alone[list(rows)]
        padded = np.pad(own, 1)
        shared += (own + NEIGHBOURS * (padded[:-2] + padded[2:])).tolist()
    scores = _standard(dense) + _standard(np.array(shared))
    return dict(zip(keys, scores.tolist(), strict=True))


def _standard(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    flat = np.ptp(scores) < 1e-6
    return np.zeros_like(scores) if flat else (scores - scores.mean()) / scores.std()
