"""What a user waits for while the catalog grows: evidence for a prompt, and one work more.

The works are of invented words, and their vectors random, which costs next to nothing: with a real
encoder adding takes longer, and the size of the catalog matters less.
"""

from __future__ import annotations

import hashlib
import json
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
from index.documents.extract import extract
from index.encoder import Vectors, embed, unit
from index.errors import RagError
from index.files import append
from index.passages import split
from index.settings import Settings
from index.sources import Attempt, Source, SourceStore
from index.stores import open_store
from index.stores.segments import Segment
from rag.cli.options import say
from rag.pipeline import Pipeline
from rag.prompt import Prompt
from rag.retrieval import Hit
from rag.retrieval.retrieve import search_data_dir
from rag.writers.extractive import ExtractiveWriter
from scripts.benchmarks import Stopwatch, import_langchain, peak, ratio, report, run_python

PER_WORK = 100  # passages
UNIQUE = 20  # works; beyond them the texts repeat
DIMENSION = 384
LISTED = 10
K = 10


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


class SyntheticCatalog:
    """A data directory in `folder` with any number of works; a prompt lists work n as `listing(n)`.
    Beyond `unique` works the texts repeat, under names, ids and vectors of their own. `saving` is
    the time that the store took for these, `saved` counts their passages."""

    def __init__(
        self,
        folder: Path,
        works: int,
        *,
        store: str = "segments",
        per_work: int = PER_WORK,
        unique: int = UNIQUE,
    ) -> None:
        self.settings = Settings(folder / "data_dir", folder / "mirror", offline=True, store=store)
        self.encoder = RandomEncoder()
        self.works, self.per_work, self.unique = works, per_work, unique
        self.saving, self.saved = Stopwatch(), max(0, works - unique) * per_work
        self._written: list[tuple[Source, Segment]] = []
        written = [self.write(number) for number in range(min(works, unique))]
        built = build(Catalog.of(written), self.settings, self.encoder, load=True)
        for item in written:
            state = built.states[item.source_ids[0]]
            if state.source is None:
                raise RagError(state.reason)
            self._written.append((state.source, built.segments[state.segment]))
        sources = SourceStore(self.settings.sources)
        for number in range(unique, works):
            original, segment = self._written[number % unique]
            (source_id,) = self.listing(number).source_ids
            sha256 = hashlib.sha256(f"{original.sha256} {number}".encode()).hexdigest()
            source = replace(original, id=source_id, sha256=sha256)
            name = current_segment_name(source, self.encoder.name)
            repeated = replace(segment, name=name, vectors=self.vectors(number))
            with self.saving:
                open_store(self.settings).save(repeated)
            os.link(sources.folder / original.sha256, sources.folder / sha256)
            attempt = Attempt(source.id, "2026-01-01T00:00:00+00:00", source.origin, source=source)
            append(sources.ledger(source.id), attempt.to_json())

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

    def nearest(self, questions: Sequence[str], works: int) -> list[set[tuple[str, int]]]:
        """Source id and start of the K passages nearest to each question among the first `works`
        works, by brute force over vectors that are computed anew: no store is read."""
        queries = self.encoder.encode_queries(questions)
        cosines = np.empty((len(queries), works * self.per_work), np.float32)
        for number in range(works):
            rows = slice(number * self.per_work, (number + 1) * self.per_work)
            cosines[:, rows] = queries @ self.vectors(number).T
        best = np.argsort(-cosines, kind="stable")[:, :K]
        places = [[divmod(int(row), self.per_work) for row in own] for own in best]
        ids = [self.listing(number).source_ids[0] for number in range(works)]
        passages = [segment.passages for _, segment in self._written]
        return [
            {(ids[n], passages[n % self.unique][row].start) for n, row in own} for own in places
        ]

    def vectors(self, number: int) -> Vectors:
        """Those of the passages of a work, [n, d]."""
        if number >= self.unique:
            shape = self.per_work, self.encoder.dimension
            return unit(np.random.default_rng(number).standard_normal(shape))
        text = invented(number, self.per_work).encode()
        passages = split(extract("github:bench/any", text, "text/markdown"))
        return embed(self.encoder, passages)[0]


def scale(
    size: Annotated[
        list[int] | None, typer.Option(help="Passages in the catalog; may be repeated.")
    ] = None,
    store: Annotated[
        list[str] | None, typer.Option(help="segments or milvus (embedded); may be repeated.")
    ] = None,
    queries: Annotated[int, typer.Option(min=1, help="How many queries at each size.")] = 20,
    filtered: Annotated[
        list[int] | None, typer.Option(help="Sizes for LangChain's FAISS with a filter.")
    ] = None,
) -> None:
    """What a growing catalog costs in each store: writing, evidence for a prompt of ten works, a
    search over everything, memory, disk; recall against brute force. The works are synthetic. With
    --filtered (which needs the extra `bench`) also LangChain's FAISS with a metadata filter."""
    sizes, figures = sorted(size or [10**4, 10**5]), dict[str, Any]()
    for name in store or ("segments", "milvus"):
        rows = []
        for passages in sizes:
            say(f"{passages} passages in {name}")
            # In a process of its own, whose memory is that of this store and size.
            code = f"from {__name__} import measure; import sys; measure(*sys.argv[1:])"
            rows.append(json.loads(run_python(code, name, str(passages), str(queries))))
        growth = {
            f"last_over_first_{clock}": ratio(
                *(row["ten_works_ms"][clock] for row in (rows[-1], rows[0]))
            )
            for clock in ("wall", "cpu")
        }
        figures[name] = {"sizes": rows, **growth}
    if filtered:
        (store_type,) = import_langchain("langchain_community.vectorstores.FAISS")
        questions = _questions(min(queries, 5))
        figures["langchain_filter"] = [
            filtered_search(store_type, each, questions) for each in filtered
        ]
    report({"listed_works": LISTED, "passages_per_work": PER_WORK, **figures})


def _questions(count: int) -> list[str]:
    """No passage shares a word with them: the cosine alone decides."""
    return [f"What is question {number:06}?" for number in range(count)]


def measure(store: str, passages: str, queries: str) -> None:
    """Print the figures of one store at one size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = "segments" if store == "segments" else str(folder / "milvus.db")
        catalog = SyntheticCatalog(folder, int(passages) // PER_WORK, store=address)
        questions = _questions(int(queries))
        ten, everything = Stopwatch(), Stopwatch()
        pipeline = Pipeline(catalog.settings, catalog.encoder, ExtractiveWriter())
        works = min(LISTED, catalog.works)
        prompts = [catalog.prompt(question, works) for question in questions]
        pipeline.gather(prompts[0])  # what is loaded lazily, and files into the page cache
        for prompt in prompts:
            with ten:
                evidence = pipeline.gather(prompt)
            if any(reading.reason for reading in evidence.readings):
                raise RagError(f"a listed work was not read: {evidence.readings}")
        few = questions[:5]
        listed = [pipeline.search(asked, prompts[0].catalog)[:K] for asked in few]
        found = []
        for question in few:
            with everything:
                found.append(search_data_dir(question, K, catalog.settings, catalog.encoder))
        files = [path for path in folder.rglob("*") if path.is_file()]
        figures = {
            "passages": catalog.works * catalog.per_work,
            "works": catalog.works,
            "saved_per_second": {
                clock: round(ratio(catalog.saved, seconds))
                for clock, seconds in catalog.saving.mean().items()
            },
            "ten_works_ms": _milliseconds(ten, len(prompts)),
            "everything_ms": _milliseconds(everything, len(few)),
            "peak_mib": peak("self"),
            "disk_mib": sum(path.stat().st_size for path in files) >> 20,
            "recall_ten_works": _recall(listed, catalog.nearest(few, works)),
            "recall_everything": _recall(found, catalog.nearest(few, catalog.works)),
        }
    print(json.dumps(figures))  # noqa: T201


def _milliseconds(stopwatch: Stopwatch, repeats: int) -> dict[str, float]:
    return {clock: round(1000 * s, 1) for clock, s in stopwatch.mean(repeats).items()}


def _recall(found: Sequence[Sequence[Hit]], nearest: Sequence[set[tuple[str, int]]]) -> float:
    """The mean share of the nearest passages that were found."""
    keys = ({(hit.source_id, hit.passage.start) for hit in hits} for hits in found)
    return float(np.mean([len(own & best) / K for own, best in zip(keys, nearest, strict=True)]))


def filtered_search(store_type: Any, size: int, questions: Sequence[str]) -> dict[str, Any]:
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
            catalog = SyntheticCatalog(Path(folder), size)
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
