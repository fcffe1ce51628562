"""How often retrieval finds the evidence, beside what a user would write without this project.

Every question is asked of its own document alone, as a prompt asks of its listed works alone, and
ranked by `rag.retrieval.retrieve.search`, as for an answer. Intervals and the paired test take the
document as the unit that was sampled. Ranks are measured by ir-measures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from index.build import Notify, passages_to_embed, silent
from index.documents import Document, Section
from index.encoder import Encoder, embed
from index.errors import DatasetError
from index.passages import split
from index.stores.segments import make_segment
from rag.evaluation import read_json_lines
from rag.evaluation.statistics import (
    Estimate,
    PairedDifference,
    Values,
    mean_estimate,
    paired_difference,
    plot_estimates,
)
from rag.retrieval.retrieve import Reranker, search
from rag.retrieval.scoring import Lexicon, order, similarities

BUDGETS = (2000, 5000)
MEASURES = ("hit@1", "hit@3", "hit@5", "hit@10", "MRR", "nDCG@10", "recall@2000c", "recall@5000c")

Offsets = tuple[int, int]
RankedSpans = Sequence[Offsets]
"""All passages of a document, as offsets into its text, best first."""
Ranker = Callable[[Sequence[str]], list[RankedSpans]]
"""Questions about one document → the ranking for each."""


@dataclass(frozen=True, slots=True)
class EvaluationQuestion:
    """A question about one document; `gold_spans` are half-open offsets into its text."""

    document_id: str | int
    question: str
    gold_spans: tuple[Offsets, ...]


@dataclass(frozen=True, slots=True)
class _DocumentRecord:
    """`sections` are (offset, heading): each runs to the next one's offset."""

    id: str | int
    text: str
    title: str = ""
    sections: tuple[tuple[int, str], ...] = ()

    def document(self) -> Document:
        headings = [(0, ""), *self.sections]
        ends = [*(offset for offset, _ in self.sections), len(self.text)]
        if ends != sorted(ends):
            raise ValueError("sections are not in order, or begin behind the end of the text")
        sections = tuple(
            Section(start, end, heading)
            for (start, heading), end in zip(headings, ends, strict=True)
            if start < end
        )
        return Document(self.text, self.title, (), sections, "as given")


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Documents by id, and questions about them with at least one gold span each."""

    name: str
    documents: Mapping[str | int, Document]
    questions: tuple[EvaluationQuestion, ...]


def read_evaluation_set(folder: Path) -> EvaluationSet:
    """The set in `folder`: documents.jsonl and questions.jsonl, their lines of the forms above;
    other keys are ignored. Questions without gold spans are left out: there is nothing to find.
    Raises DatasetError, naming the file and line that does not fit."""
    form = (
        "a folder with documents.jsonl (id, text, title, sections) and questions.jsonl "
        "(document_id, question, gold_spans)"
    )
    documents: dict[str | int, Document] = {}
    for where, record in read_json_lines(folder / "documents.jsonl", _DocumentRecord, form):
        try:
            documents[record.id] = record.document()
        except ValueError as error:
            raise DatasetError(f"{where}: {error}") from None
    questions = []
    for where, question in read_json_lines(folder / "questions.jsonl", EvaluationQuestion, form):
        if question.document_id not in documents:
            raise DatasetError(f"{where}: there is no document {question.document_id!r}")
        for start, end in question.gold_spans:
            if not 0 <= start < end <= len(documents[question.document_id].text):
                raise DatasetError(f"{where}: gold span [{start}, {end}] is not in the document")
        if question.gold_spans:
            questions.append(question)
    if not questions:
        raise DatasetError(f"{folder}: no question has a gold span: there is nothing to measure")
    return EvaluationSet(folder.resolve().name, documents, tuple(questions))


def hits(span: Offsets, gold: Iterable[Offsets]) -> bool:
    """Whether `span` overlaps one gold span by at least half of the shorter of the two."""
    return any(
        2 * (min(span[1], end) - max(span[0], start)) >= min(span[1] - span[0], end - start) > 0
        for start, end in gold
    )


def evidence_recall(ranking: RankedSpans, gold: Sequence[Offsets], budget: int) -> float:
    """Share of the gold characters that the first `budget` characters of `ranking` cover. The
    span that exceeds the budget is cut off at its end. A character that is retrieved twice is
    paid for twice and counts once."""
    shown: list[Offsets] = []
    for start, end in ranking:
        shown.append((start, min(end, start + budget)))
        budget -= end - start
        if budget <= 0:
            break
    wanted = _characters(gold)
    return len(wanted & _characters(shown)) / len(wanted)


def _characters(spans: Iterable[Offsets]) -> set[int]:
    return {offset for start, end in spans for offset in range(start, end)}


def question_measures(
    rankings: Sequence[RankedSpans], golds: Sequence[Sequence[Offsets]]
) -> dict[str, Values]:
    """[questions] for each of MEASURES. A question none of whose passages hits counts as 0 in the
    measures of rank."""
    import ir_measures

    relevant, ranked = [], []
    for number, (ranking, gold) in enumerate(zip(rankings, golds, strict=True)):
        for place, span in enumerate(ranking):
            # Scores fall by one a place: no ties that the library would break its own way.
            ranked.append(ir_measures.ScoredDoc(str(number), str(place), float(-place)))
            if hits(span, gold):
                relevant.append(ir_measures.Qrel(str(number), str(place), 1))
    names = {ir_measures.Success @ k: f"hit@{k}" for k in (1, 3, 5, 10)}
    names |= {ir_measures.RR: "MRR", ir_measures.nDCG @ 10: "nDCG@10"}
    values = {name: np.zeros(len(golds)) for name in MEASURES}
    if relevant:
        for metric in ir_measures.iter_calc(list(names), relevant, ranked):
            values[names[metric.measure]][int(metric.query_id)] = metric.value
    for budget in BUDGETS:
        values[f"recall@{budget}c"][:] = [
            evidence_recall(ranking, gold, budget)
            for ranking, gold in zip(rankings, golds, strict=True)
        ]
    return values


@dataclass(frozen=True, slots=True)
class RetrievalSystem:
    """One system's passages, the seconds that building and asking took, and its measures.
    `differences` are of a baseline: this project minus it."""

    name: str
    passages: int
    build_seconds: float
    query_seconds: float
    measures: dict[str, Estimate]
    differences: dict[str, PairedDifference] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """What an evaluation measured; the first system is this project's."""

    dataset: str
    documents: int
    questions: int
    encoder: str
    reranker: str | None
    systems: tuple[RetrievalSystem, ...]

    def to_json(self) -> str:
        """One JSON object with these fields."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=2)

    def table(self) -> str:
        """Plain text: a row for each measure, a column for each system; p of the paired test."""
        width = max(22, *(len(system.name) for system in self.systems))
        lines = [
            f"{self.dataset}: {self.questions} questions over {self.documents} documents, "
            f"encoder {self.encoder}" + (f", reranker {self.reranker}" if self.reranker else ""),
            " " * 14 + "  ".join(system.name.rjust(width) for system in self.systems),
        ]
        for measure in MEASURES:
            cells = [str(system.measures[measure]).rjust(width) for system in self.systems]
            for system in self.systems[1:]:
                change = system.differences[measure]
                p = "—" if change.p is None else f"{change.p:.3f}"
                cells.append(f"{change.mean:+.3f} against {system.name}, p = {p}")
            lines.append("  ".join([measure.ljust(12), *cells]))
        lines += [
            f"{system.name}: {system.passages} passages, built in {system.build_seconds:.1f} s, "
            f"{1000 * system.query_seconds / self.questions:.1f} ms a question"
            for system in self.systems
        ]
        return "\n".join(lines)

    def plot(self, path: Path) -> bool:
        """Draw the measures of all systems; False where matplotlib is not installed."""
        rows = {m: [(system.measures[m], "") for system in self.systems] for m in MEASURES}
        title = f"{self.dataset}: {self.questions} questions"
        names = [system.name for system in self.systems]
        return plot_estimates({title: rows}, names, path, title, "95 % intervals by document")


def _ours(document: Document, encoder: Encoder, reranker: Reranker | None) -> tuple[Ranker, int]:
    passages, _ = passages_to_embed(document, encoder)
    segments = {"summary:": make_segment("", document, passages, *embed(encoder, passages))}

    def rank(questions: Sequence[str]) -> list[RankedSpans]:
        ranked = search(segments, encoder, questions, reranker=reranker)
        return [[(hit.passage.start, hit.passage.end) for hit in hits] for hits in ranked]

    return rank, len(passages)


def _bm25(document: Document) -> tuple[Ranker, int]:
    passages = split(document)
    lexicon = Lexicon([passage.text for passage in passages])

    def rank(questions: Sequence[str]) -> list[RankedSpans]:
        orders = [order(lexicon.scores(question)) for question in questions]
        return [[(passages[row].start, passages[row].end) for row in rows] for rows in orders]

    return rank, len(passages)


def _langchain(document: Document, encoder: Encoder) -> tuple[Ranker, int]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    # The sizes of LangChain's documentation, and of most code written after it.
    splitter = RecursiveCharacterTextSplitter(
        chunk_size=1000, chunk_overlap=200, add_start_index=True
    )
    chunks = splitter.create_documents([document.text])
    texts = [chunk.page_content for chunk in chunks]
    starts = [int(chunk.metadata["start_index"]) for chunk in chunks]
    spans = [(at, at + len(text)) for at, text in zip(starts, texts, strict=True)]
    vectors = encoder.encode_passages(texts)

    def rank(questions: Sequence[str]) -> list[RankedSpans]:
        queries = encoder.encode_queries(questions)
        return [[spans[row] for row in order(similarities(vectors, q))] for q in queries]

    return rank, len(spans)


def evaluate_retrieval(
    data: EvaluationSet,
    encoder: Encoder,
    *,
    baselines: Sequence[str] = (),
    reranker: Reranker | None = None,
    notify: Notify = silent,
) -> RetrievalReport:
    """Run this project's configuration and each baseline over the same questions."""
    build: dict[str, Callable[[Document], tuple[Ranker, int]]] = {
        "rag": lambda document: _ours(document, encoder, reranker),
        "langchain": lambda document: _langchain(document, encoder),
        "bm25": _bm25,
    }
    golds = [question.gold_spans for question in data.questions]
    clusters = [str(question.document_id) for question in data.questions]
    ours: dict[str, Values] = {}
    systems: list[RetrievalSystem] = []
    for name in ("rag", *baselines):
        passages, build_seconds, query_seconds = 0, 0.0, 0.0
        rankings: list[RankedSpans] = [()] * len(golds)
        for done, (document_id, document) in enumerate(data.documents.items(), start=1):
            rows = [n for n, q in enumerate(data.questions) if q.document_id == document_id]
            begin = time.perf_counter()
            rank, size = build[name](document)
            built = time.perf_counter()
            ranked = rank([data.questions[row].question for row in rows])
            build_seconds += built - begin
            query_seconds += time.perf_counter() - built
            passages += size
            for row, ranking in zip(rows, ranked, strict=True):
                rankings[row] = ranking
            notify(name, done, len(data.documents), "")
        values = question_measures(rankings, golds)
        measures = {m: mean_estimate(values[m], clusters) for m in MEASURES}
        differences = {m: paired_difference(ours[m], values[m], clusters) for m in ours}
        ours = ours or values
        costs = (passages, build_seconds, query_seconds)
        systems.append(RetrievalSystem(name, *costs, measures, differences))
    model = reranker.name if reranker else None
    sizes = (len(data.documents), len(golds))
    return RetrievalReport(data.name, *sizes, encoder.name, model, tuple(systems))
