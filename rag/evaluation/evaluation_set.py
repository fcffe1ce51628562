"""Questions about documents with the spans that answer them, as two files of JSON lines.

`documents.jsonl`: {"id", "title", "text", "sections": [[offset, heading], …]} — a section runs
from its offset to the next; text before the first has no heading.
`questions.jsonl`: {"id", "document_id", "question", "gold_spans": [[start, end], …]} — half-open
offsets into that document's text. Other keys are ignored. Questions without spans are left out:
there is nothing to find.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index.documents.document import Document, Section
from index.errors import DatasetError

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Question:
    """`gold` are the spans of the document that answer it, never none."""

    id: str
    document_id: str
    text: str
    gold: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """`documents` are (id, document), in the order of the file."""

    name: str
    documents: tuple[tuple[str, Document], ...]
    questions: tuple[Question, ...]


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DatasetError(
            f"{path}: {error.strerror}: an evaluation set is a folder with documents.jsonl and "
            "questions.jsonl"
        ) from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DatasetError(f"{path}:{number}: not JSON: {error}") from error
            if not isinstance(record, dict):
                raise DatasetError(f"{path}:{number}: expected an object")
            yield f"{path}:{number}", record


@contextmanager
def _blaming(where: str) -> Iterator[None]:
    """Say in which line the record stands that is not of the documented form."""
    try:
        yield
    except KeyError as error:
        raise DatasetError(f"{where}: there is no {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise DatasetError(f"{where}: {error}") from error


def _document(record: dict[str, Any]) -> tuple[str, Document]:
    text = record["text"]
    starts = [(int(offset), str(heading)) for offset, heading in record.get("sections") or ()]
    if not starts or starts[0][0] > 0:
        starts.insert(0, (0, ""))
    ends = [offset for offset, _ in starts[1:]] + [len(text)]
    if any(start > end for (start, _), end in zip(starts, ends, strict=True)):
        raise ValueError("sections are not in order, or begin behind the end of the text")
    sections = tuple(
        Section(start, end, heading)
        for (start, heading), end in zip(starts, ends, strict=True)
        if start < end
    )
    return str(record["id"]), Document(text, record.get("title", ""), (), sections, "as given")


def _question(record: dict[str, Any], lengths: dict[str, int]) -> Question:
    gold = tuple((int(start), int(end)) for start, end in record["gold_spans"])
    document_id = str(record["document_id"])
    if document_id not in lengths:
        raise ValueError(f"there is no document {document_id!r}")
    for start, end in gold:
        if not 0 <= start < end <= lengths[document_id]:
            raise ValueError(f"gold span [{start}, {end}] is not in the document")
    return Question(str(record["id"]), document_id, record["question"], gold)


def read_evaluation_set(folder: Path) -> EvaluationSet:
    """The set in `folder`. Raises DatasetError naming the file and line that does not fit."""
    documents: dict[str, Document] = {}
    questions: list[Question] = []
    for where, record in _lines(folder / "documents.jsonl"):
        with _blaming(where):
            name, document = _document(record)
            documents[name] = document
    lengths = {name: len(document.text) for name, document in documents.items()}
    for where, record in _lines(folder / "questions.jsonl"):
        with _blaming(where):
            questions.append(_question(record, lengths))
    answerable = tuple(question for question in questions if question.gold)
    if not answerable:
        raise DatasetError(f"{folder}: no question has a gold span: there is nothing to measure")
    return EvaluationSet(folder.resolve().name, tuple(documents.items()), answerable)
