"""Prompts whose sentences careful readers have graded, from files.

Either a folder of JSON files that hold the sentences, or a JSON-lines file that holds their offsets
and hashes and needs the works themselves. `docs/evaluation.md` has both forms.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from index.catalog import Role
from index.documents.document import Document, Section
from index.documents.extract import extract
from index.encoder import Encoder
from index.errors import DatasetError, RagError
from index.passages import Passage, split
from index.sources.store import source_type_of
from index.stores.segments import Segment
from rag.evaluation.datasets import first_error, read_json_lines
from rag.prompt import Prompt
from rag.retrieval import Evidence, Hit, Span
from rag.retrieval.retrieve import sentence_contexts
from rag.selection.grading import PLACES, Place, SentenceScores

Grades = tuple[int, ...]
"""A grade, 0 to 3, for each of `PLACES`."""
Row = tuple[int, Span]
"""A sentence told for a listing."""


@dataclass(frozen=True, slots=True)
class GradedPrompt:
    """A prompt whose sentences are graded. `evidence` holds its works whole; `grades` are of the
    graded sentences, by listing and span. `set` is "train", "test" or "" where there is no say."""

    id: str
    set: str
    evidence: Evidence
    grades: Mapping[Row, Grades]

    def best(self, place: Place, count: int, listing: int | None = None) -> int:
        """The sum of the `count` best grades in a place, of one listing where it is given."""
        column = PLACES.index(place)
        grades = (
            grade[column]
            for (own, _), grade in self.grades.items()
            if listing is None or own == listing
        )
        return sum(sorted(grades, reverse=True)[:count])

    def restrict(self, scores: SentenceScores) -> SentenceScores:
        """The scores of the graded sentences alone: of others nobody knows whether they explain."""
        rows = [
            row
            for row, item in enumerate(scores.candidates)
            if (item.listing, item.span) in self.grades
        ]
        return SentenceScores(tuple(scores.candidates[row] for row in rows), scores.grades[rows])


@dataclass(frozen=True, slots=True)
class _Sentence:
    i: int
    work: str
    role: Role
    text: str
    grades: dict[str, int]
    heading: str | None = None


@dataclass(frozen=True, slots=True)
class _PromptWithTexts:
    question: str
    sentences: tuple[_Sentence, ...]


@dataclass(frozen=True, slots=True)
class _GradedWork:
    """`source` is `github:owner/name`, `arxiv:id` or `abstract:id`; `sentences` are (offset, the
    first ten hex digits of the text's SHA-256, a digit for each place)."""

    source: str
    name: str
    role: Role
    sentences: tuple[tuple[int, str, str], ...]


@dataclass(frozen=True, slots=True)
class _PromptWithHashes:
    id: str
    set: str
    readings: int
    question: str
    works: tuple[_GradedWork, ...]


@dataclass(frozen=True, slots=True)
class _WorkText:
    """A work's document as passages, and the grades of some of its sentences by their span."""

    name: str
    role: Role
    source: str
    document: Document
    passages: tuple[Passage, ...]
    grades: Mapping[tuple[int, int], Grades]


def read_graded(path: Path, encoder: Encoder, mirrors: Sequence[Path] = ()) -> list[GradedPrompt]:
    """The graded prompts of a folder of JSON files that hold the sentences, or of a JSON-lines
    file that holds their offsets and hashes; the texts of these are read from `mirrors`. Raises
    DatasetError."""
    if path.is_dir():
        return [_with_texts(file, encoder) for file in sorted(path.glob("*.json"))]
    form = "a graded prompt (id, set, readings, question, works)"
    documents: dict[str, tuple[Document, tuple[Passage, ...]]] = {}
    prompts = []
    for where, record in read_json_lines(path, _PromptWithHashes, form):
        works = []
        for work in record.works:
            if work.source not in documents:
                document = _document_of(work.source, mirrors, where)
                documents[work.source] = document, split(document, fits=_fits(encoder))
            works.append(_matched(work, *documents[work.source], where))
        prompts.append(_graded(record.id, record.set, record.question, works, encoder))
    return prompts


def _with_texts(path: Path, encoder: Encoder) -> GradedPrompt:
    try:
        record = TypeAdapter(_PromptWithTexts).validate_json(path.read_bytes())
    except ValidationError as error:
        raise DatasetError(f"{path}: {first_error(error)}; expected a graded prompt") from None
    by_work: dict[str, list[_Sentence]] = {}
    for sentence in record.sentences:
        by_work.setdefault(sentence.work, []).append(sentence)
    works = []
    for name, sentences in by_work.items():
        passages, start = [], 0
        for sentence in sentences:
            text = " ".join(sentence.text.split())
            span = start, start + len(text)
            passages.append(Passage(*span, text, sentence.heading or "", (), (span,)))
            start = span[1] + 1
        whole = "\n".join(passage.text for passage in passages)
        is_repository = "/" in name and " " not in name
        works.append(
            _WorkText(
                name,
                sentences[0].role,
                f"github:{name}" if is_repository else "abstract:",
                Document(whole, name, (), (Section(0, len(whole)),), "as given"),
                tuple(passages),
                {
                    passage.sentences[0]: _grades(sentence.grades)
                    for passage, sentence in zip(passages, sentences, strict=True)
                },
            )
        )
    return _graded(path.stem, "", record.question, works, encoder)


def _grades(by_place: Mapping[str, int]) -> Grades:
    names = ("task", "input", "model", "output", "bearing")
    return tuple(by_place.get(name, 0) for name in names)


def _document_of(source: str, mirrors: Sequence[Path], where: str) -> Document:
    kind, _, name = source.partition(":")
    for mirror in mirrors:
        if kind == "abstract" and name in (abstracts := _abstracts(mirror / "abstracts.jsonl")):
            return extract(source, abstracts[name].encode(), "text/plain")
        path, media_type = mirror / "arxiv" / f"{name}.pdf", "application/pdf"
        if kind == "github":
            path, media_type = mirror / "github" / name / "README.md", "text/markdown"
        if kind != "abstract" and path.is_file():
            try:
                return extract(source, path.read_bytes(), media_type)
            except RagError as error:
                raise DatasetError(f"{where}: {error}") from error
    raise DatasetError(
        f"{where}: {source} is in none of {', '.join(map(str, mirrors)) or 'no mirror'}; name the "
        "folders with the graded works with --mirror"
    )


@cache
def _abstracts(path: Path) -> Mapping[str, str]:
    """The abstracts of a mirror, by arXiv id; none where it has no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()
    return {record["arxiv_id"]: record["abstract"] for record in map(json.loads, lines)}


def _matched(
    work: _GradedWork, document: Document, passages: tuple[Passage, ...], where: str
) -> _WorkText:
    """The grades at the spans of this document's sentences: by hash, the nearest where the same
    words stand twice. Raises DatasetError where the text has become another one."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for passage in passages:
        for start, end in passage.sentences:
            spans.setdefault(text_hash(document.text[start:end]), []).append((start, end))
    grades = {}
    for offset, digest, digits in work.sentences:
        if digest in spans:
            span = min(spans[digest], key=lambda each: abs(each[0] - offset))
            grades[span] = tuple(map(int, digits))
    if len(grades) < 0.9 * len(work.sentences):
        raise DatasetError(
            f"{where}: of the {len(work.sentences)} graded sentences of {work.source} only "
            f"{len(grades)} stand in its text; take the version that was graded"
        )
    return _WorkText(work.name, work.role, work.source, document, passages, grades)


def text_hash(sentence: str) -> str:
    """What names a sentence in a file of grades."""
    return hashlib.sha256(" ".join(sentence.split()).encode()).hexdigest()[:10]


def _graded(
    name: str, group: str, question: str, works: Sequence[_WorkText], encoder: Encoder
) -> GradedPrompt:
    listings: dict[Role, list[dict[str, str | None]]] = {"recommended": [], "related": []}
    ordered = sorted(works, key=lambda work: work.role)
    for work in ordered:
        kind, _, link = work.source.partition(":")
        fields: dict[str, str | None] = {"model": work.name}
        if kind == "github":
            fields["github"] = f"https://github.com/{link}"
        elif kind == "arxiv":
            fields["paper"] = f"https://arxiv.org/abs/{link}"
        else:
            fields["summary"] = " ".join(work.document.text.split())
        listings[work.role].append(fields)
    prompt = Prompt.build(
        question, recommended=listings["recommended"], related=listings["related"]
    )
    segments: dict[str, Segment] = {}
    hits: list[tuple[Hit, ...]] = []
    grades: dict[Row, Grades] = {}
    for number, (work, listing) in enumerate(zip(ordered, prompt.listings, strict=True)):
        (source_id,) = listing.source_ids
        segments[source_id] = _segment(work, encoder)
        source_type = source_type_of(source_id)
        own = tuple(Hit(source_id, source_type, passage, 0.0) for passage in work.passages)
        complete = {span for hit in own for span, _ in hit.sentences()}
        hits.append(own)
        for offsets, grade in work.grades.items():
            if (span := Span(source_id, *offsets)) in complete:
                grades[number, span] = grade
    evidence = Evidence(prompt, (), tuple(hits))
    (vector,) = encoder.encode_queries([question])
    contexts = sentence_contexts(evidence, segments, vector)
    return GradedPrompt(name, group, replace(evidence, contexts=contexts), grades)


def _segment(work: _WorkText, encoder: Encoder) -> Segment:
    texts = [
        work.document.text[start:end] for each in work.passages for start, end in each.sentences
    ]
    vectors = encoder.encode_passages(texts)
    none = np.zeros((0, vectors.shape[1]), dtype=np.float32)
    return Segment("", work.passages, none, vectors.astype(np.float16), "", "", work.name, ())


def _fits(encoder: Encoder) -> Callable[[str], bool]:
    return lambda text: encoder.count_tokens(text) <= encoder.max_tokens
