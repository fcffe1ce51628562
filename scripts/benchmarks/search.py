"""Restricted retrieval while the catalog grows, against one index with a metadata filter.

What is measured is what a user waits for: `Pipeline.gather` for a prompt of LISTED works, from the
ledger over the checks of every file to the evidence, in homes of every size. The works are
synthetic (see `scripts.benchmarks.catalogs`); the listed ones are the same at every size.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from rag.pipeline import Pipeline
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks.catalogs import DIMENSION, PER_WORK, GrowingCatalog, RandomEncoder
from scripts.benchmarks.clock import BenchError, machine, missing, ratio

LISTED = 10
K = 10
FETCH_K = 20  # what LangChain's FAISS fetches before it filters, unless told otherwise
Say = Callable[[str], None]


def bench_search(
    sizes: Sequence[int],
    *,
    filtered_sizes: Sequence[int],
    queries: int = 20,
    listed: int = LISTED,
    say: Say,
) -> dict[str, Any]:
    """Time and recall at each size, then of the filter at the sizes that memory holds."""
    asked = [f"What is question {number:06}?" for number in range(queries)]
    rows: list[dict[str, Any]] = []
    if filtered_sizes:
        _langchain()  # what is not installed is told now, not in ten minutes
    with tempfile.TemporaryDirectory() as folder:
        catalog = GrowingCatalog(Path(folder))
        pipeline = Pipeline(catalog.settings, catalog.encoder, ExtractiveWriter())
        for size in sorted(sizes):
            began = time.perf_counter()
            catalog.grow(size)
            built = time.perf_counter() - began
            say(f"{size} passages in {catalog.works} works: built in {built:.0f} s")
            rows.append({"passages": size, "works": catalog.works})
            rows[-1] |= _restricted(pipeline, catalog, asked, min(listed, catalog.works))
    return {
        "machine": machine(),
        "listed_works": listed,
        "passages_per_work": PER_WORK,
        "restricted": rows,
        "last_over_first_wall": ratio(rows[-1]["wall_ms"], rows[0]["wall_ms"]),
        "last_over_first_cpu": ratio(rows[-1]["cpu_ms"], rows[0]["cpu_ms"]),
        "langchain_filter": [filtered(size, asked, say=say) for size in sorted(filtered_sizes)],
    }


def _restricted(
    pipeline: Pipeline, catalog: GrowingCatalog, asked: Sequence[str], listed: int
) -> dict[str, Any]:
    """The median time of gathering the evidence for a prompt, and the share of the K nearest
    passages, by brute force over vectors that never were on disk, among the first K found.

    No passage shares a word with these questions, so that the cosine alone decides."""
    keys, vectors = catalog.vectors(listed)
    wall, cpu, recall = [], [], []
    pipeline.gather(catalog.prompt(asked[0], listed))  # files into the page cache
    for question in asked:
        prompt = catalog.prompt(question, listed)
        before = time.perf_counter(), time.process_time()
        evidence = pipeline.gather(prompt)
        wall.append(time.perf_counter() - before[0])
        cpu.append(time.process_time() - before[1])
        if any(reading.reason for reading in evidence.readings):
            raise BenchError(f"a listed work was not read: {evidence.readings}")
        (query,) = catalog.encoder.encode_queries([question])
        nearest = [keys[row] for row in np.argsort(-(vectors @ query), kind="stable")[:K]]
        hits = pipeline.search(question, prompt.catalog)[:K]
        found = {(hit.source_id, hit.passage.start) for hit in hits}
        recall.append(len(found & set(nearest)) / len(nearest))
    return {
        "wall_ms": round(1000 * float(np.median(wall)), 1),
        "cpu_ms": round(1000 * float(np.median(cpu)), 1),
        "recall": round(float(np.mean(recall)), 4),
    }


def filtered(size: int, queries: Sequence[str], *, say: Say) -> dict[str, Any]:
    """LangChain's FAISS over `size` passages, asked for K of the listed works by a filter on
    metadata, with its own fetch_k, and with all passages fetched."""
    import faiss

    made = _langchain()
    vectors = np.random.default_rng(0).standard_normal((size, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(vectors)
    documents = {
        str(row): made.Document(page_content=str(row), metadata={"work": row // PER_WORK})
        for row in range(size)
    }
    store = made.FAISS(
        embedding_function=_never,
        index=index,
        docstore=made.InMemoryDocstore(documents),
        index_to_docstore_id={row: str(row) for row in range(size)},
        distance_strategy="MAX_INNER_PRODUCT",
    )
    say(f"langchain: {size} passages in one index")
    listed = min(LISTED * PER_WORK, size)
    found: dict[str, Any] = {"passages": size}
    for label, fetch_k in (("fetch_k_20", FETCH_K), ("fetch_all", size)):
        taken, recall = [], []
        for query in queries[:5]:
            (vector,) = RandomEncoder().encode_queries([query])
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


def _langchain() -> SimpleNamespace:
    """LangChain's store and what it is made of. Raises BenchError where it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # langchain-community is to be replaced
            from langchain_community.docstore.in_memory import InMemoryDocstore
            from langchain_community.vectorstores import FAISS
            from langchain_core.documents import Document
    except ImportError as error:
        raise missing(error) from error
    return SimpleNamespace(FAISS=FAISS, InMemoryDocstore=InMemoryDocstore, Document=Document)


def _never(_text: str) -> list[float]:
    raise BenchError("vectors are given, nothing is embedded")
