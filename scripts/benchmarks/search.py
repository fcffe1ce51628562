"""What a user waits for while the catalog grows: evidence for a prompt, and one work more.

The works are synthetic (`scripts.benchmarks.catalogs`) and their vectors random, which costs next
to nothing: with a real encoder adding takes longer, and the size of the catalog matters less.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from index.build import build
from index.catalog import Catalog
from rag.cli.terminal import say
from rag.pipeline import Pipeline
from rag.retrieval.retrieve import search_data_dir
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks import BenchmarkError, Stopwatch, not_installed, ratio, report
from scripts.benchmarks.catalogs import (
    DIMENSION,
    PER_WORK,
    GrowingCatalog,
    RandomEncoder,
    invented,
)

LISTED = 10
K = 10
EVERYTHING = 10**6  # passages: more are not searched without a prompt
FETCH_K = 20  # what LangChain's FAISS fetches before it filters, unless told otherwise


def search(
    size: Annotated[
        list[int] | None, typer.Option(help="Passages in the catalog; may be repeated.")
    ] = None,
    filtered: Annotated[
        list[int] | None, typer.Option(help="Sizes for LangChain's FAISS with a filter.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="How many queries at each size.")] = 20,
) -> None:
    """Evidence for a prompt of ten works while the catalog grows, and LangChain's FAISS with a
    metadata filter: time and recall. Up to a million passages also one search over everything.
    The works are synthetic. Needs the extra `bench`."""
    _import_langchain()  # before ten minutes are spent on the other side
    questions = [f"What is question {number:06}?" for number in range(queries)]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        catalog = GrowingCatalog(Path(folder))
        pipeline = Pipeline(catalog.settings, catalog.encoder, ExtractiveWriter())
        for passages in sorted(size or [10**3, 10**5, 10**7]):
            with Stopwatch() as stopwatch:
                catalog.grow(passages)
            say(f"{passages} passages in {catalog.works} works: built in {stopwatch.wall:.0f} s")
            row: dict[str, Any] = {"passages": passages, "works": catalog.works}
            row |= _restricted(pipeline, catalog, questions)
            if passages <= EVERYTHING:
                with Stopwatch() as stopwatch:
                    search_data_dir(questions[0], K, catalog.settings, catalog.encoder)
                row["everything_s"] = round(stopwatch.wall, 2)
            rows.append(row)
    report(
        {
            "listed_works": LISTED,
            "passages_per_work": PER_WORK,
            "restricted": rows,
            "last_over_first_wall": ratio(rows[-1]["wall_ms"], rows[0]["wall_ms"]),
            "last_over_first_cpu": ratio(rows[-1]["cpu_ms"], rows[0]["cpu_ms"]),
            "langchain_filter": [
                _filtered(passages, questions) for passages in sorted(filtered or [10**3, 10**5])
            ],
        }
    )


def _restricted(
    pipeline: Pipeline, catalog: GrowingCatalog, questions: Sequence[str]
) -> dict[str, float]:
    """Median time of gathering the evidence; recall@K against brute force over vectors that were
    never on disk. No passage shares a word with the questions: the cosine alone decides."""
    works = min(LISTED, catalog.works)
    keys, vectors = catalog.vectors(works)
    runs, recall = [], []
    pipeline.gather(catalog.prompt(questions[0], works))  # files into the page cache
    for question in questions:
        prompt = catalog.prompt(question, works)
        with Stopwatch() as stopwatch:
            evidence = pipeline.gather(prompt)
        runs.append((stopwatch.wall, stopwatch.cpu))
        if any(reading.reason for reading in evidence.readings):
            raise BenchmarkError(f"a listed work was not read: {evidence.readings}")
        (query,) = catalog.encoder.encode_queries([question])
        nearest = {keys[row] for row in np.argsort(-(vectors @ query), kind="stable")[:K]}
        hits = pipeline.search(question, prompt.catalog)[:K]
        recall.append(len(nearest & {(hit.source_id, hit.passage.start) for hit in hits}) / K)
    wall, cpu = 1000 * np.median(runs, axis=0)
    return {
        "wall_ms": round(float(wall), 1),
        "cpu_ms": round(float(cpu), 1),
        "recall": round(float(np.mean(recall)), 4),
    }


def _filtered(size: int, questions: Sequence[str]) -> dict[str, Any]:
    """LangChain's FAISS over `size` passages, asked for K of the listed works by a filter on
    metadata: with its own fetch_k, and with all passages fetched."""
    import faiss

    store_type, docstore_type, document_type = _import_langchain()
    vectors = np.random.default_rng(0).standard_normal((size, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.IndexFlatIP(DIMENSION)
    index.add(vectors)
    documents = {
        str(row): document_type(page_content=str(row), metadata={"work": row // PER_WORK})
        for row in range(size)
    }
    store = store_type(
        embedding_function=lambda _: [],
        index=index,
        docstore=docstore_type(documents),
        index_to_docstore_id={row: str(row) for row in range(size)},
        distance_strategy="MAX_INNER_PRODUCT",
    )
    say(f"langchain: {size} passages in one index")
    figures: dict[str, Any] = {"passages": size}
    for label, fetch_k in (("fetch_k_20", FETCH_K), ("fetch_all", size)):
        seconds, recall = [], []
        for vector in RandomEncoder().encode_queries(questions[:5]):
            start = time.perf_counter()
            hits = store.similarity_search_by_vector(
                vector.tolist(), k=K, filter=lambda data: data["work"] < LISTED, fetch_k=fetch_k
            )
            seconds.append(time.perf_counter() - start)
            nearest = set(map(str, np.argsort(-(vectors[: LISTED * PER_WORK] @ vector))[:K]))
            recall.append(len(nearest & {hit.page_content for hit in hits}) / K)
        figures[label] = {
            "wall_ms": round(1000 * float(np.median(seconds)), 1),
            "recall": round(float(np.mean(recall)), 3),
        }
    return figures


def _import_langchain() -> tuple[Any, Any, Any]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # importing langchain-community warns of its end
            from langchain_community.docstore.in_memory import InMemoryDocstore
            from langchain_community.vectorstores import FAISS
            from langchain_core.documents import Document
    except ImportError as error:
        raise not_installed(error) from error
    return FAISS, InMemoryDocstore, Document


def add(
    works: Annotated[
        list[int] | None, typer.Option(help="Works in the data directory; may be repeated.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Works added in each way.")] = 5,
) -> None:
    """Adding one README to a data directory of ten works and of ten thousand: listed alone, and
    beside every work that is there, each of which is looked up and checked. All are synthetic."""
    rows = []
    for size in works or [10, 10_000]:
        with tempfile.TemporaryDirectory() as folder:
            catalog = GrowingCatalog(Path(folder) / "data_dir")
            catalog.grow(size * PER_WORK)
            say(f"a data directory of {size} works")
            rows.append({"works": size, **_add(catalog, Path(folder) / "mirror", repeats)})
    growth = ratio(rows[-1]["one_listed_ms"], rows[0]["one_listed_ms"])
    report({"passages_per_work": PER_WORK, "adding": rows, "last_over_first": growth})


def _add(catalog: GrowingCatalog, mirror: Path, repeats: int) -> dict[str, float]:
    settings = replace(catalog.settings, mirror=mirror)
    present = [catalog.listing(number) for number in range(catalog.works)]
    milliseconds: dict[str, list[float]] = {"one_listed_ms": [], "all_listed_ms": []}
    for number in range(catalog.works, catalog.works + 2 * repeats):
        readme = mirror / "github" / "bench" / f"w{number:07}" / "README.md"
        readme.parent.mkdir(parents=True)
        readme.write_text(invented(number)[0].text, encoding="utf-8")
        added = catalog.listing(number)
        label, listings = (
            ("one_listed_ms", [added]) if number % 2 else ("all_listed_ms", [*present, added])
        )
        start = time.perf_counter()
        built = build(Catalog.of(listings), settings, catalog.encoder)
        milliseconds[label].append(1000 * (time.perf_counter() - start))
        if built.failed or built.embedded != 1:
            raise BenchmarkError(f"{built.embedded} works were embedded, failed: {built.failed}")
    return {label: round(float(np.median(values)), 1) for label, values in milliseconds.items()}
