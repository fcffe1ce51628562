"""What a user waits for while the catalog grows: evidence for a prompt, and one work more.

The works are of invented words, and their vectors random, which costs next to nothing: with a real
encoder adding takes longer, and the size of the catalog matters less.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from index.build import build, current_segment_name
from index.catalog import Catalog, GithubLink, Listing
from index.documents.extract import document_path, extract
from index.encoder import Vectors, embed, unit
from index.errors import RagError
from index.files import append
from index.passages import split
from index.settings import Settings
from index.sources.store import Attempt, Source, SourceStore
from index.stores.segments import SegmentStore
from rag.cli.options import say
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.retrieval.retrieve import search_data_dir
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks import Stopwatch, import_langchain, ratio, report

PER_WORK = 100  # passages
UNIQUE = 200  # works; beyond them the files repeat
DIMENSION = 384
LISTED = 10
K = 10
EVERYTHING = 10**6  # passages: more are not searched without a prompt


class RandomEncoder:
    """A random direction for every text, the same for the same text."""

    name = "random"
    dimension = DIMENSION
    max_tokens = 1 << 20

    def encode_passages(self, texts: Sequence[str]) -> Vectors:
        """See Encoder."""
        seeds = (list(hashlib.sha256(text.encode()).digest()) for text in texts)
        generators = map(np.random.default_rng, seeds)
        return unit(np.stack([each.standard_normal(DIMENSION) for each in generators]))

    encode_queries = encode_passages

    def count_tokens(self, text: str) -> int:
        """See Encoder."""
        return len(text.split())


def invented(number: int, passages: int = PER_WORK) -> str:
    """A README of so many passages, each two invented sentences that no other number shares."""
    rng = np.random.default_rng(number)
    sentences = [
        f"W{' w'.join(map(str, rng.integers(0, 5000, 36)))} x{number}x{row}.{end}"
        for row in range(passages)
        for end in (" ", "\n\n")
    ]
    return "".join(sentences)


class GrowingCatalog:
    """A data directory in `folder` that grows to any number of works; a prompt lists work n as
    `listing(n)`. Beyond `unique` works the files repeat: they are hard links under names and ids
    of their own, so that the folders have as many entries and the disk need not hold ten million
    vectors."""

    def __init__(self, folder: Path, *, per_work: int = PER_WORK, unique: int = UNIQUE) -> None:
        self.settings = Settings(folder / "data_dir", folder / "mirror", offline=True)
        self.encoder = RandomEncoder()
        self.works = 0
        self.per_work = per_work
        self.unique = unique
        self._written: list[Any] = []
        self._store = SourceStore(self.settings.sources)

    def grow(self, passages: int) -> None:
        """Add works until there are `passages` in all, rounded down to whole works."""
        works = range(self.works, passages // self.per_work)
        written = [self.write(number) for number in works if number < self.unique]
        built = build(Catalog.of(written), self.settings, self.encoder)
        self._written += [built.states[item.source_ids[0]].source for item in written]
        for number in works[len(written) :]:
            self._link(number)
        self.works = max(self.works, works.stop)

    def listing(self, number: int) -> Listing:
        """Work `number`."""
        name = f"w{number:07}"
        link = GithubLink(f"https://github.com/bench/{name}", "bench", name)
        return Listing(f"Work {number}", "recommended", github=link)

    def write(self, number: int) -> Listing:
        """Put work `number` into the mirror, where a build finds it."""
        path = self.settings.data_dir.with_name("mirror") / f"github/bench/w{number:07}/README.md"
        path.parent.mkdir(parents=True)
        path.write_text(invented(number, self.per_work), encoding="utf-8")
        return self.listing(number)

    def prompt(self, question: str, works: int) -> Prompt:
        """A prompt that lists the first `works` works."""
        return Prompt.build(question, recommended=[self.listing(n) for n in range(works)])

    def vectors(self, works: int) -> tuple[list[tuple[str, int]], Vectors]:
        """Source id and start of every passage of the first works, and their vectors [n, d],
        computed anew: nothing is read from the disk."""
        keys: list[tuple[str, int]] = []
        rows = []
        for number in range(works):
            (source_id,) = self.listing(number).source_ids
            text = invented(number, self.per_work)
            passages = split(extract(source_id, text.encode(), "text/markdown"))
            keys += [(source_id, passage.start) for passage in passages]
            rows.append(embed(self.encoder, passages)[0])
        return keys, np.concatenate(rows)

    def _link(self, number: int) -> None:
        """Add a work whose files are those of one that was written."""
        original = self._written[number % self.unique]
        (source_id,) = self.listing(number).source_ids
        sha256 = hashlib.sha256(f"{original.sha256} {number}".encode()).hexdigest()
        source = replace(original, id=source_id, sha256=sha256)
        for existing, path in zip(self._files(original), self._files(source), strict=True):
            os.link(existing, path)
        attempt = Attempt(source.id, "2026-01-01T00:00:00+00:00", source.origin, source=source)
        append(self._store.ledger(source.id), attempt.to_json())

    def _files(self, source: Source) -> tuple[Path, Path, Path]:
        """The bytes, the text and the segment of a work."""
        name = current_segment_name(source, self.encoder.name)
        segment = SegmentStore(self.settings.index).path(name)
        return self._store.folder / source.sha256, document_path(source, self.settings), segment


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
    (store_type,) = import_langchain("langchain_community.vectorstores.FAISS")
    questions = [f"What is question {number:06}?" for number in range(queries)]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        catalog = GrowingCatalog(Path(folder))
        for passages in sorted(size or [10**3, 10**5, 10**7]):
            with Stopwatch() as stopwatch:
                catalog.grow(passages)
            say(f"{passages} passages in {catalog.works} works: built in {stopwatch.wall:.0f} s")
            row: dict[str, Any] = {"passages": passages, "works": catalog.works}
            row |= _restricted(catalog, questions)
            if passages <= EVERYTHING:
                with Stopwatch() as stopwatch:
                    search_data_dir(questions[0], K, catalog.settings, catalog.encoder)
                row["everything_s"] = round(stopwatch.wall, 2)
            rows.append(row)
    others = [
        _filtered(store_type, passages, questions[:5]) for passages in filtered or [10**3, 10**5]
    ]
    report(
        {
            "listed_works": LISTED,
            "passages_per_work": PER_WORK,
            "restricted": rows,
            "last_over_first_wall": ratio(rows[-1]["wall_ms"], rows[0]["wall_ms"]),
            "last_over_first_cpu": ratio(rows[-1]["cpu_ms"], rows[0]["cpu_ms"]),
            "langchain_filter": others,
        }
    )


def _restricted(catalog: GrowingCatalog, questions: Sequence[str]) -> dict[str, float]:
    """Median time of gathering the evidence; recall@K against brute force over vectors that were
    never on disk. No passage shares a word with the questions: the cosine alone decides."""
    pipeline = Pipeline(catalog.settings, catalog.encoder, ExtractiveWriter())
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
            raise RagError(f"a listed work was not read: {evidence.readings}")
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


def _filtered(store_type: Any, size: int, questions: Sequence[str]) -> dict[str, Any]:
    """LangChain's FAISS over `size` passages, asked for K of the listed works by a filter on
    metadata: with the `fetch_k` that it takes unless told otherwise, and all passages fetched."""
    vectors = unit(np.random.default_rng(0).standard_normal((size, DIMENSION)))
    store = store_type.from_embeddings(
        ((str(row), vector) for row, vector in enumerate(vectors)),
        lambda _: [],
        metadatas=[{"work": row // PER_WORK} for row in range(size)],
        distance_strategy="MAX_INNER_PRODUCT",
    )
    figures: dict[str, Any] = {"passages": size}
    for label, fetch_k in (("fetch_k_20", 20), ("fetch_all", size)):
        seconds, recall = [], []
        for vector in RandomEncoder().encode_queries(questions):
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
        milliseconds: dict[str, list[float]] = {"one_listed_ms": [], "all_listed_ms": []}
        with tempfile.TemporaryDirectory() as folder:
            catalog = GrowingCatalog(Path(folder))
            catalog.grow(size * PER_WORK)
            say(f"a data directory of {size} works")
            present = [catalog.listing(number) for number in range(size)]
            for number in range(size, size + 2 * repeats):
                label, others = ("one_listed_ms", []) if number % 2 else ("all_listed_ms", present)
                listings = [*others, catalog.write(number)]
                with Stopwatch() as stopwatch:
                    built = build(Catalog.of(listings), catalog.settings, catalog.encoder)
                milliseconds[label].append(1000 * stopwatch.wall)
                if built.failed or built.embedded != 1:
                    raise RagError(f"{built.embedded} were embedded, failed: {built.failed}")
        medians = {name: round(float(np.median(times)), 1) for name, times in milliseconds.items()}
        rows.append({"works": size, **medians})
    growth = ratio(rows[-1]["one_listed_ms"], rows[0]["one_listed_ms"])
    report({"passages_per_work": PER_WORK, "adding": rows, "last_over_first": growth})
