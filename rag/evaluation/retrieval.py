"""How often retrieval finds the evidence, beside what a user would write without this project.

Every question is asked of its own document alone, as a prompt asks of its listed works alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from index.documents.document import Document
from index.encoder import Encoder, Vectors, embed
from index.errors import EncoderError
from index.passages import split
from index.stores.segments import make_segment
from rag.evaluation.evaluation_set import EvaluationSet
from rag.evaluation.evidence_recall import (
    MEASURES,
    Difference,
    Estimate,
    Span,
    Values,
    bootstrap,
    paired_test,
    question_measures,
)
from rag.retrieval.reranker import Reranker
from rag.retrieval.retrieve import search
from rag.retrieval.scoring import Lexicon, order, similarities

Baseline = Literal["langchain", "bm25"]
BASELINES: tuple[Baseline, ...] = ("langchain", "bm25")
OURS = "rag"

# LangChain's documentation, and most code written after it.
CHUNK_SIZE = 1000
CHUNK_OVERLAP = 200


# (question, its vector) -> the passages of one document, best first.
Ranker = Callable[[str, Vectors], Sequence[Span]]
# (what is being done, how many are done, how many there are)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class System:
    """One configuration: `measures` by name, and the seconds that building and asking took."""

    name: str
    passages: int
    build_seconds: float
    query_seconds: float
    measures: dict[str, Estimate]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first system minus the second, for each measure."""

    first: str
    second: str
    differences: dict[str, Difference]


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """Everything an evaluation found; the first system is this project's."""

    dataset: str
    documents: int
    questions: int
    encoder: str
    reranker: str | None
    systems: tuple[System, ...]
    comparisons: tuple[Comparison, ...]

    def to_json(self) -> str:
        """One JSON object with these fields."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    def table(self) -> str:
        """Plain text: a row for each measure, a column for each system; p of the paired test."""
        width = max(len(system.name) for system in self.systems)
        width = max(width, 22)
        lines = [
            f"{self.dataset}: {self.questions} questions over {self.documents} documents, "
            f"encoder {self.encoder}" + (f", reranker {self.reranker}" if self.reranker else ""),
            " " * 14 + "  ".join(system.name.rjust(width) for system in self.systems),
        ]
        for measure in MEASURES:
            cells = []
            for system in self.systems:
                found = system.measures[measure]
                cells.append(f"{found.mean:.3f} [{found.low:.3f}, {found.high:.3f}]".rjust(width))
            tests = [
                f"{item.differences[measure].mean:+.3f} against {item.second}, "
                f"p = {item.differences[measure].p:.3f}"
                for item in self.comparisons
            ]
            lines.append("  ".join([measure.ljust(12), *cells, *tests]))
        lines.extend(
            f"{system.name}: {system.passages} passages, built in {system.build_seconds:.1f} s, "
            f"{1000 * system.query_seconds / max(1, self.questions):.1f} ms a question"
            for system in self.systems
        )
        return "\n".join(lines)


def _ours(document: Document, encoder: Encoder, reranker: Reranker | None) -> tuple[Ranker, int]:
    passages = split(document, fits=lambda text: encoder.count_tokens(text) <= encoder.max_tokens)
    segments = {
        "summary:": make_segment("", document, passages, *embed(encoder, passages)),
    }

    def rank(question: str, _: Vectors) -> Sequence[Span]:
        (hits,) = search(segments, encoder, [question], reranker=reranker)
        return [(hit.passage.start, hit.passage.end) for hit in hits]

    return rank, len(passages)


def _bm25(document: Document) -> tuple[Ranker, int]:
    passages = split(document)
    spans = [(passage.start, passage.end) for passage in passages]
    lexicon = Lexicon([passage.text for passage in passages])

    def rank(question: str, _: Vectors) -> Sequence[Span]:
        return [spans[row] for row in order(lexicon.scores(question))]

    return rank, len(spans)


def _langchain(document: Document, encoder: Encoder) -> tuple[Ranker, int]:
    try:
        from langchain_text_splitters import RecursiveCharacterTextSplitter
    except ImportError as error:
        raise EncoderError(
            "the langchain baseline needs langchain-text-splitters: pip install it"
        ) from error
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=CHUNK_SIZE, chunk_overlap=CHUNK_OVERLAP, add_start_index=True
    )
    chunks = splitter.create_documents([document.text])
    starts = [int(chunk.metadata["start_index"]) for chunk in chunks]
    spans = [
        (start, start + len(chunk.page_content))
        for start, chunk in zip(starts, chunks, strict=True)
    ]
    vectors = encoder.encode_passages([chunk.page_content for chunk in chunks])

    def rank(_: str, vector: Vectors) -> Sequence[Span]:
        return [spans[row] for row in order(similarities(vectors, vector))]

    return rank, len(spans)


def evaluate_retrieval(
    data: EvaluationSet,
    encoder: Encoder,
    *,
    baselines: Sequence[Baseline] = (),
    reranker: Reranker | None = None,
    progress: Progress = lambda what, done, total: None,
) -> RetrievalReport:
    """Run this project's configuration and each baseline over the same questions."""
    golds = [question.gold for question in data.questions]
    clusters = [question.document_id for question in data.questions]
    progress("questions", 0, len(golds))
    vectors = encoder.encode_queries([question.text for question in data.questions])
    build: dict[str, Callable[[Document], tuple[Ranker, int]]] = {
        OURS: lambda document: _ours(document, encoder, reranker),
        "langchain": lambda document: _langchain(document, encoder),
        "bm25": _bm25,
    }
    found: dict[str, dict[str, Values]] = {}
    systems: list[System] = []
    for name in (OURS, *baselines):
        units, build_seconds, query_seconds = 0, 0.0, 0.0
        rankings: list[Sequence[Span]] = [()] * len(golds)
        for done, (document_id, document) in enumerate(data.documents):
            progress(name, done, len(data.documents))
            begin = time.perf_counter()
            rank, size = build[name](document)
            built = time.perf_counter()
            for row, question in enumerate(data.questions):
                if question.document_id == document_id:
                    rankings[row] = rank(question.text, vectors[row])
            build_seconds += built - begin
            query_seconds += time.perf_counter() - built
            units += size
        progress(name, len(data.documents), len(data.documents))
        found[name] = question_measures(rankings, rankings, golds)
        measures = {measure: bootstrap(found[name][measure], clusters) for measure in MEASURES}
        systems.append(System(name, units, build_seconds, query_seconds, measures))
    comparisons = tuple(
        Comparison(
            OURS,
            name,
            {m: paired_test(found[OURS][m], found[name][m], clusters) for m in MEASURES},
        )
        for name in baselines
    )
    return RetrievalReport(
        dataset=data.name,
        documents=len(data.documents),
        questions=len(golds),
        encoder=encoder.name,
        reranker=reranker.name if reranker else None,
        systems=tuple(systems),
        comparisons=comparisons,
    )


def plot(report: RetrievalReport, path: Path) -> bool:
    """Draw the measures of all systems with their intervals; False where matplotlib is not
    installed. The kind of picture follows from the suffix of `path`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(MEASURES))
    width = 0.8 / len(report.systems)
    for number, system in enumerate(report.systems):
        means = np.array([system.measures[m].mean for m in MEASURES])
        low = means - [system.measures[m].low for m in MEASURES]
        high = np.array([system.measures[m].high for m in MEASURES]) - means
        axes.bar(
            places + width * (number - (len(report.systems) - 1) / 2),
            means,
            width,
            yerr=np.maximum([low, high], 0),
            capsize=2,
            label=system.name,
        )
    axes.set_xticks(places, MEASURES)
    axes.set_ylim(0, 1)
    axes.set_title(f"{report.dataset}: {report.questions} questions, 95 % intervals by document")
    axes.legend()
    figure.savefig(path)
    return True
