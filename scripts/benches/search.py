"""Restricted retrieval while the catalog grows, against one index with a metadata filter.

What is synthetic: the works. Each is a real segment file on disk, sealed and read as any other,
with passages of invented words and random unit vectors; LISTED of them, equal at every size, are
what a prompt lists. Beyond `UNIQUE` works, files repeat: the others are hard links to what was
written already, under names of their own, so that the folder has as many entries and the disk
need not hold ten million vectors.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from index.document import Document, Section
from index.embedding import embed
from index.encoder import Vectors
from index.passages import Passage
from index.segments import Segment, SegmentStore, make_segment
from rag.evidence import Hit, Reading
from rag.retrieval import Pool, search
from scripts.benches.clock import BenchError, machine, missing, ratio

LISTED = 10
PER_WORK = 100
UNIQUE = 200
DIMENSION = 384
K = 10
FETCH_K = 20  # what LangChain's FAISS fetches before it filters, unless told otherwise
Say = Callable[[str], None]


class RandomEncoder:
    """A random direction for every text, the same for the same text."""

    name = "random"
    dimension = DIMENSION
    max_tokens = 1 << 20

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        return np.stack([_direction(text) for text in texts])

    encode_queries = encode_passages

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        return len(text.split())


def _direction(text: str) -> Vectors:
    seed = int.from_bytes(text.encode()[-8:], "little")
    vector = np.random.default_rng(seed).standard_normal(DIMENSION)
    unit: Vectors = (vector / np.linalg.norm(vector)).astype(np.float32)
    return unit


def synthetic_segment(name: str, passages: int, number: int) -> Segment:
    """A segment of invented sentences, two to a passage, that no other number shares."""
    rng = np.random.default_rng(number)
    text, cut = "", []
    for row in range(passages):
        start = len(text)
        ends = []
        for half in "ab":
            words = " ".join(f"w{word}" for word in rng.integers(0, 5000, 30))
            text += f"{words} {half}{number:03}{row:04}"
            ends.append(len(text))
            text += " "
        spans = ((start, ends[0]), (ends[0] + 1, ends[1]))
        cut.append(Passage(start, ends[1], text[start : ends[1]], sentences=spans))
    document = Document(
        text=text,
        sections=(Section(0, len(text)),),
        page_starts=(0,),
        title=name,
        extractor="synthetic",
    )
    return make_segment(name, document, tuple(cut), *embed(RandomEncoder(), cut))


class GrowingCatalog:
    """A folder of segments that grows to any number of works; the first LISTED are listed."""

    def __init__(self, folder: Path, per_work: int = PER_WORK) -> None:
        self.store = SegmentStore(folder)
        self._per_work = per_work
        self.works = 0

    def grow(self, passages: int) -> None:
        """Until there are `passages` in the folder, rounded down to whole works."""
        while self.works < passages // self._per_work:
            name = f"{self.works:032x}"
            if self.works < UNIQUE:
                self.store.save(synthetic_segment(name, self._per_work, self.works))
            else:
                _link(self.store.path(f"{self.works % UNIQUE:032x}"), self.store.path(name))
            self.works += 1

    def listed(self) -> dict[str, str]:
        """Source id → segment name of the works that the prompt lists."""
        return {f"arxiv:2401.{row:05}v1": f"{row:032x}" for row in range(LISTED)}

    def restricted(self, query: str) -> tuple[Hit, ...]:
        """Segments from disk, checked, then every listed passage scored: as `rag ask` does."""
        segments, readings = {}, []
        for source_id, name in self.listed().items():
            if not self.store.intact(name):
                raise BenchError(f"the segment {name} is missing")
            segments[source_id] = self.store.load(name)
            readings.append(Reading(source_id, "full text"))
        (hits,) = search(Pool.of(readings, segments), RandomEncoder(), [query])
        return hits

    def recall(self, query: str, hits: Sequence[Hit], k: int = K) -> float:
        """The share of the k nearest by brute force that are among the k best by cosine."""
        names = self.listed()
        segments = {source_id: self.store.load(name) for source_id, name in names.items()}
        keys = [(source, p.start) for source in segments for p in segments[source].passages]
        products = np.concatenate([s.vectors for s in segments.values()]) @ _direction(query)
        nearest = {keys[row] for row in np.argsort(-products, kind="stable")[:k]}
        by_cosine = sorted(hits, key=lambda hit: -hit.dense)[:k]
        found = {(hit.source_id, hit.passage.start) for hit in by_cosine}
        return len(nearest & found) / len(nearest)


def _link(existing: Path, path: Path) -> None:
    try:
        os.link(existing, path)
    except OSError:  # a file system that allows only so many links, or none
        with contextlib.suppress(FileExistsError):
            path.symlink_to(existing)


def bench_search(
    sizes: Sequence[int], *, filtered_sizes: Sequence[int], queries: int = 20, say: Say
) -> dict[str, Any]:
    """Time and recall at each size, then of the filter at the sizes that memory holds."""
    asked = [f"question {number:06}" for number in range(queries)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        catalog = GrowingCatalog(Path(folder))
        for size in sorted(sizes):
            began = time.perf_counter()
            catalog.grow(size)
            built = time.perf_counter() - began
            say(f"{size} passages in {catalog.works} works: built in {built:.0f} s")
            catalog.restricted(asked[0])
            wall, cpu, recall = [], [], []
            for query in asked:
                before = time.perf_counter(), time.process_time()
                hits = catalog.restricted(query)
                wall.append(time.perf_counter() - before[0])
                cpu.append(time.process_time() - before[1])
                recall.append(catalog.recall(query, hits))
            rows.append(
                {
                    "passages": size,
                    "works": catalog.works,
                    "wall_ms": round(1000 * float(np.median(wall)), 1),
                    "cpu_ms": round(1000 * float(np.median(cpu)), 1),
                    "recall": round(float(np.mean(recall)), 4),
                }
            )
    return {
        "machine": machine(),
        "listed_works": LISTED,
        "passages_per_work": PER_WORK,
        "restricted": rows,
        "last_over_first_wall": ratio(rows[-1]["wall_ms"], rows[0]["wall_ms"]),
        "last_over_first_cpu": ratio(rows[-1]["cpu_ms"], rows[0]["cpu_ms"]),
        "langchain_filter": [filtered(size, asked, say=say) for size in sorted(filtered_sizes)],
    }


def filtered(size: int, queries: Sequence[str], *, say: Say) -> dict[str, Any]:
    """LangChain's FAISS over `size` passages, asked for K of the listed works by a filter on
    metadata, with its own fetch_k, and with all passages fetched."""
    try:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # langchain-community is to be replaced
            import faiss
            from langchain_community.docstore.in_memory import InMemoryDocstore
            from langchain_community.vectorstores import FAISS
            from langchain_core.documents import Document as LangChainDocument
    except ImportError as error:
        raise missing(error) from error
    vectors = np.random.default_rng(0).standard_normal((size, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(vectors)
    documents = {
        str(row): LangChainDocument(page_content=str(row), metadata={"work": row // PER_WORK})
        for row in range(size)
    }
    store = FAISS(
        embedding_function=_never,
        index=index,
        docstore=InMemoryDocstore(documents),
        index_to_docstore_id={row: str(row) for row in range(size)},
        distance_strategy="MAX_INNER_PRODUCT",
    )
    say(f"langchain: {size} passages in one index")
    listed = LISTED * PER_WORK
    found: dict[str, Any] = {"passages": size}
    for label, fetch_k in (("fetch_k_20", FETCH_K), ("fetch_all", size)):
        taken, recall = [], []
        for query in queries[:5]:
            vector = _direction(query)
            before = time.perf_counter()
            hits = store.similarity_search_by_vector(
                vector.tolist(), k=K, filter=lambda data: data["work"] < LISTED, fetch_k=fetch_k
            )
            taken.append(time.perf_counter() - before)
            nearest = set(map(str, np.argsort(-(vectors[:listed] @ vector))[:K]))
            recall.append(len(nearest & {hit.page_content for hit in hits}) / K)
        found[label] = {
            "wall_ms": round(1000 * float(np.median(taken)), 1),
            "recall": round(float(np.mean(recall)), 3),
        }
    return found


def _never(_text: str) -> list[float]:
    raise BenchError("vectors are given, nothing is embedded")
