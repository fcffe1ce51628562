"""Whether the sentences of an answer explain: their grades by careful readers.

A graded prompt is a question, its works, and for each of their sentences a grade of 0 to 3 in each
place of an explanation. It is read from a JSON file that holds the sentences, or from a line of a
file that holds their offsets and hashes and needs the works themselves.

Over what is told: *useful* is the share graded 2 or more, *noise* the share graded below 1;
*attained* is, for each prompt and place, the sum of the best k grades told over the sum of the best
k there are; a place is *silent* where it is empty though a sentence of grade 2 or more was there.
`docs/evaluation.md` says what these cannot see.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from index.build import passages_to_embed
from index.catalog import Role
from index.documents import Document, Section
from index.documents.extract import extract
from index.encoder import Encoder, embed
from index.errors import DatasetError, RagError
from index.passages import Passage
from index.sources import source_type_of
from index.stores.segments import Segment, make_segment
from rag.answer import Answer
from rag.evaluation import first_error, read_json_lines
from rag.evaluation.statistics import Declared, Measure, Score, markdown_table, measures_of
from rag.prompt import Prompt
from rag.retrieval import Evidence, Hit, Span
from rag.retrieval.retrieve import sentence_contexts
from rag.selection.assignment import ROOM, select
from rag.selection.grading import PLACES, Place, SentenceScores

Grades = tuple[int, ...]
"""A grade, 0 to 3, for each of `PLACES`."""
Row = tuple[int, Span]
"""A sentence told for a listing."""
Told = Mapping[Place, Sequence[Row]]

DECLARED: tuple[Declared, ...] = (
    ("useful", 7, "useful", "higher", "sentences told that readers grade 2 or 3 in their place"),
    ("noise", 7, "noise", "lower", "sentences told that readers grade 0 in their place"),
    ("attained", 7, "attained", "higher", "grades told over the best there are, each place"),
    ("silent", 7, "silent", "lower", "empty places for which a good sentence was there"),
)


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


@dataclass(frozen=True, slots=True)
class _Sentence:
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
class _WorkWithHashes:
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
    question: str
    works: tuple[_WorkWithHashes, ...]


@dataclass(frozen=True, slots=True)
class _GradedWork:
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
    form = "a graded prompt (id, set, question, works)"
    documents: dict[str, tuple[Document, tuple[Passage, ...]]] = {}
    prompts = []
    for where, record in read_json_lines(path, _PromptWithHashes, form):
        works = []
        for work in record.works:
            if work.source not in documents:
                document = _document_of(work.source, mirrors, where)
                documents[work.source] = document, passages_to_embed(document, encoder)[0]
            works.append(_with_grades(work, *documents[work.source], where))
        prompts.append(_graded(record.id, record.set, record.question, works, encoder))
    return prompts


def _with_texts(path: Path, encoder: Encoder) -> GradedPrompt:
    """Each sentence is a passage of its own."""
    try:
        record = TypeAdapter(_PromptWithTexts).validate_json(path.read_bytes())
    except ValidationError as error:
        raise DatasetError(f"{path}: {first_error(error)}; expected a graded prompt") from None
    by_work: dict[str, list[_Sentence]] = {}
    for sentence in record.sentences:
        by_work.setdefault(sentence.work, []).append(sentence)
    works = []
    for name, sentences in by_work.items():
        passages: list[Passage] = []
        grades: dict[tuple[int, int], Grades] = {}
        start = 0
        for sentence in sentences:
            text = " ".join(sentence.text.split())
            span = start, start + len(text)
            passages.append(Passage(*span, text, sentence.heading or "", (), (span,)))
            places = ("task", "input", "model", "output", "bearing")
            grades[span] = tuple(sentence.grades.get(place, 0) for place in places)
            start = span[1] + 1
        whole = "\n".join(passage.text for passage in passages)
        document = Document(whole, name, (), (Section(0, len(whole)),), "as given")
        source = f"github:{name}" if "/" in name and " " not in name else "abstract:"
        role = sentences[0].role
        works.append(_GradedWork(name, role, source, document, tuple(passages), grades))
    return _graded(path.stem, "", record.question, works, encoder)


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
    looked = f"none of {', '.join(map(str, mirrors))}" if mirrors else "no mirror: none was given"
    raise DatasetError(
        f"{where}: {source} is in {looked}; name the folders with the graded works with --mirror"
    )


@cache
def _abstracts(path: Path) -> Mapping[str, str]:
    """The abstracts of a mirror, by arXiv id; none where it has no such file."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else ()
    return {record["arxiv_id"]: record["abstract"] for record in map(json.loads, lines)}


def _with_grades(
    work: _WorkWithHashes, document: Document, passages: tuple[Passage, ...], where: str
) -> _GradedWork:
    """The grades at the spans of this document's sentences: by hash, the nearest where the same
    words stand twice. Raises DatasetError where the text has become another one."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for passage in passages:
        for span in passage.sentences:
            spans.setdefault(text_hash(document.text[slice(*span)]), []).append(span)
    grades = {
        min(spans[digest], key=lambda span: abs(span[0] - offset)): tuple(map(int, digits))
        for offset, digest, digits in work.sentences
        if digest in spans
    }
    if len(grades) < 0.9 * len(work.sentences):
        raise DatasetError(
            f"{where}: of the {len(work.sentences)} graded sentences of {work.source} only "
            f"{len(grades)} stand in its text; take the version that was graded"
        )
    return _GradedWork(work.name, work.role, work.source, document, passages, grades)


def text_hash(sentence: str) -> str:
    """What names a sentence in a file of grades."""
    return hashlib.sha256(" ".join(sentence.split()).encode()).hexdigest()[:10]


def _graded(
    name: str, group: str, question: str, works: Sequence[_GradedWork], encoder: Encoder
) -> GradedPrompt:
    listings: dict[Role, list[dict[str, str]]] = {"recommended": [], "related": []}
    ordered = sorted(works, key=lambda work: work.role)
    for work in ordered:
        kind, _, link = work.source.partition(":")
        fields = {
            "github": {"github": f"https://github.com/{link}"},
            "arxiv": {"paper": f"https://arxiv.org/abs/{link}"},
            "abstract": {"summary": " ".join(work.document.text.split())},
        }
        listings[work.role].append({"model": work.name, **fields[kind]})
    recommended, related = listings["recommended"], listings["related"]
    prompt = Prompt.build(question, recommended=recommended, related=related)
    segments: dict[str, Segment] = {}
    hits: list[tuple[Hit, ...]] = []
    grades: dict[Row, Grades] = {}
    for number, (work, listing) in enumerate(zip(ordered, prompt.listings, strict=True)):
        (source_id,) = listing.source_ids
        vectors = embed(encoder, work.passages)
        segments[source_id] = make_segment("", work.document, work.passages, *vectors)
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


def relevance_measures(told: Iterable[tuple[GradedPrompt, Told]]) -> list[Measure]:
    """The four measures over the prompts and the places given for each; the cluster of a score is
    its prompt."""
    return measures_of(DECLARED, _scores(told))


def _scores(told: Iterable[tuple[GradedPrompt, Told]]) -> Iterator[Score]:
    for prompt, places in told:
        for place in places:
            grades = [
                (row[0], prompt.grades[row][PLACES.index(place)])
                for row in places[place]
                if row in prompt.grades
            ]
            for _, grade in grades:
                yield "useful", prompt.id, grade >= 2
                yield "noise", prompt.id, grade < 1
            attained, silent = _attained(prompt, place, grades)
            yield "attained", prompt.id, attained
            yield from (("silent", prompt.id, each) for each in silent)


def _attained(
    prompt: GradedPrompt, place: Place, grades: Sequence[tuple[int, int]]
) -> tuple[float, list[bool]]:
    """The share attained in a place, and for each place (of the works: each work) that has a good
    sentence whether it is silent."""
    if place != "relevance":
        count = ROOM[place]
        best = prompt.best(place, count)
        told = sum(sorted((grade for _, grade in grades), reverse=True)[:count])
        silent = [not grades] if prompt.best(place, 1) >= 2 else []
        return (told / best if best else 1.0), silent
    best_of = [prompt.best(place, 1, n) for n in range(len(prompt.evidence.prompt.listings))]
    if not any(best_of):
        return 1.0, []
    told_of = dict(sorted(grades))  # the best of each listing
    silent = [number not in told_of for number, best in enumerate(best_of) if best >= 2]
    return sum(told_of.values()) / (3 * len(best_of)), silent


Chooser = Literal["first sentences", "cosine"]


def floor(prompt: GradedPrompt, chooser: Chooser) -> dict[Place, list[Row]]:
    """What a chooser without training tells of the graded sentences: each work's first ones, or
    those nearest to the question."""
    rows = sorted(prompt.grades, key=lambda row: (row[0], row[1].source_id, row[1].start))
    if chooser == "cosine":
        rows.sort(key=lambda row: -prompt.evidence.contexts[row[1]].similarity)
    else:
        own = [[row for row in rows if row[0] == n] for n in sorted({row[0] for row in rows})]
        rows = [
            row for rank in range(max(map(len, own))) for each in own for row in each[rank:][:1]
        ]
    told: dict[Place, list[Row]] = {}
    for place, count in ROOM.items():
        told[place], rows = rows[:count], rows[count:]
    firsts: dict[int, Row] = {}
    for row in rows:
        firsts.setdefault(row[0], row)
    return {**told, "relevance": list(firsts.values())}


def told_in(answer: Answer, prompt: GradedPrompt) -> dict[Place, list[Row]]:
    """What an answer to a graded prompt quotes, place by place: a quote counts for the graded
    sentence of its source in which it stands."""
    names = [listing.source_ids for listing in prompt.evidence.prompt.listings]
    sentences: dict[str, list[tuple[str, Row]]] = {}
    for row in prompt.grades:
        text = " ".join(prompt.evidence.text(row[1]).split())
        sentences.setdefault(row[1].source_id, []).append((text, row))
    told: dict[Place, list[Row]] = {place: [] for place in PLACES}
    for part, quote in answer.quotes():
        place = part.rpartition(".")[2] if not part.startswith("references") else "relevance"
        quoted = " ".join(quote.text.split())
        for text, row in sentences.get(quote.source_id, ()):
            if quoted in text and quote.source_id in names[row[0]]:
                told.setdefault(place, []).append(row)  # type: ignore[arg-type]
                break
    return told


def choose(prompt: GradedPrompt, scores: SentenceScores) -> dict[Place, list[Row]]:
    """What `select` tells of the graded sentences: of others nobody knows whether they explain. A
    weak sentence beside a work that answers nothing counts too."""
    keys = [(item.listing, item.span) for item in scores.candidates]
    graded = [number for number, key in enumerate(keys) if key in prompt.grades]
    candidates = tuple(scores.candidates[number] for number in graded)
    selection = select(prompt.evidence, SentenceScores(candidates, scores.grades[graded]))
    works = [item for item in selection.works if item]
    return {
        place: [
            (item.candidate.listing, item.candidate.span)
            for item in (works if place == "relevance" else selection.parts[place])
        ]
        for place in PLACES
    }


def relevance_table(title: str, rows: Mapping[str, Sequence[tuple[GradedPrompt, Told]]]) -> str:
    """The four measures of each system, with intervals over prompts, and below them place by
    place; as Markdown."""
    header = ("", "sentences", *(one[2] for one in DECLARED))

    def row(name: str, told: Sequence[tuple[GradedPrompt, Told]]) -> list[str]:
        measures = relevance_measures(told)
        count = str(len(measures[0].scores))
        return [name, count, *(str(measure.estimate()) for measure in measures)]

    table = [row(name, told) for name, told in rows.items()]
    for name, told in rows.items():
        for place in PLACES:
            only = [(prompt, {place: places.get(place, ())}) for prompt, places in told]
            table.append(row(f"{name}: {place}", only))
    return "\n".join([f"# {title}", "", *markdown_table(header, table), ""])
