"""Data that evaluation reads: files of JSON lines, each line one record of a known form."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from index.documents.document import Document, Section
from index.errors import DatasetError

Record = TypeVar("Record")
Offsets = tuple[int, int]


def read_json_lines(path: Path, kind: type[Record], form: str) -> Iterator[tuple[str, Record]]:
    """("file:line", record) of each line that is not empty of a file, plain or gzipped. `form`
    says in words what was expected. Raises DatasetError, naming file, line and the part that is
    not of this form."""
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"{path} cannot be read ({reason}); expected {form}") from error
    adapter = TypeAdapter(kind)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}:{number}"
            try:
                record = adapter.validate_json(line, strict=True)
            except ValidationError as error:
                raise DatasetError(f"{where}: {first_error(error)}; expected {form}") from None
            yield where, record


def first_error(error: ValidationError) -> str:
    """The first thing that is wrong, after the part it is in: `statements[0].text: …`."""
    details = error.errors()[0]
    part = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in details["loc"])
    return ": ".join(filter(None, (part.lstrip("."), details["msg"])))


@dataclass(frozen=True, slots=True)
class LabelledClaim:
    """A claim with its evidence, and whether people found it supported by it. Claims about one
    `question` are not independent; `source` is the data set it comes from, `split` its part."""

    claim: str
    evidence: tuple[str, ...]
    supported: bool
    id: str | int | None = None
    question: str | None = None
    source: str | None = None
    split: str | None = None


def read_labelled_claims(path: Path, split: str = "") -> list[LabelledClaim]:
    """The labelled claims of a file, those of another split than `split` left out if it is given.
    Raises DatasetError."""
    form = (
        'a labelled claim, an object with "claim" (text), "evidence" (list of texts) and '
        '"supported" (true or false)'
    )
    claims = [claim for _, claim in read_json_lines(path, LabelledClaim, form)]
    return [claim for claim in claims if not split or claim.split in (split, None)]


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
        starts = [(0, ""), *self.sections]
        ends = [offset for offset, _ in self.sections] + [len(self.text)]
        if ends != sorted(ends):
            raise ValueError("sections are not in order, or begin behind the end of the text")
        sections = tuple(
            Section(start, end, heading)
            for (start, heading), end in zip(starts, ends, strict=True)
            if start < end
        )
        return Document(self.text, self.title, (), sections, "as given")


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Documents by id, and questions about them with at least one gold span each."""

    name: str
    documents: dict[str | int, Document]
    questions: tuple[EvaluationQuestion, ...]


def read_evaluation_set(folder: Path) -> EvaluationSet:
    """The set in `folder`: documents.jsonl and questions.jsonl, their lines of the forms above;
    other keys are ignored. Questions without gold spans are left out: there is nothing to find.
    Raises DatasetError, naming the file and line that does not fit."""
    form = "a folder with documents.jsonl (id, text, title, sections) and questions.jsonl ("
    form += "document_id, question, gold_spans)"
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
