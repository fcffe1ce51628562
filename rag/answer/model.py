"""The result: statements, quotes and references as frozen values, and their JSON form.

The form is documented in `docs/answer-format.md`; `FORMAT` changes when it does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from index.catalog import Role
from index.errors import AnswerError
from index.sources.store import SourceType
from rag.answer.serialization import members, parse, read
from rag.writers.base import WriterRecord

FORMAT = "grounded-answer/1"


@dataclass(frozen=True, slots=True)
class Quote:
    """A slice of a source's document. `pages` are 1-based, () where the source has none."""

    source_id: str
    source_type: SourceType
    start: int
    end: int
    text: str
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said, and the quotes it is said on the strength of."""

    text: str
    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """One listed work in section 3. `paper` and `github` are the links exactly as provided, None
    where there is none. `relevance` has a quote exactly when `bears`."""

    name: str
    role: Role
    paper: str | None
    github: str | None
    sources: tuple[str, ...]
    relevant: bool
    relevance: Statement


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """What became of one listed source: the hashes name its bytes and its text; where it could
    not be read they are "" and `reason` says why."""

    id: str
    source_type: SourceType
    sha256: str
    extractor: str
    document_sha256: str
    version: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Workflow:
    """Section 2: what goes in, what the models do with it, what comes out."""

    input: tuple[Statement, ...]
    model: tuple[Statement, ...]
    output: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """The prompt as it was put: its text is kept so that the answer can be checked alone."""

    question: str
    sha256: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Frozen; equal answers have equal JSON."""

    prompt: PromptRecord
    writer: WriterRecord
    task: tuple[Statement, ...]
    workflow: Workflow
    references: tuple[Reference, ...]
    sources: tuple[SourceRecord, ...]
    format: str = FORMAT

    def statements(self) -> Iterator[tuple[str, Statement]]:
        """Every statement with the part it stands in, in reading order."""
        for statement in self.task:
            yield "task", statement
        for part in ("input", "model", "output"):
            for statement in getattr(self.workflow, part):
                yield f"workflow.{part}", statement
        for number, reference in enumerate(self.references):
            yield f"references[{number}]", reference.relevance

    def quotes(self) -> Iterator[tuple[str, Quote]]:
        """Every quote with the part it stands in, in reading order."""
        for part, statement in self.statements():
            for quote in statement.quotes:
                yield part, quote

    def to_json(self) -> str:
        """The documented form: indented, UTF-8, keys in reading order."""
        raw = asdict(self)
        sections = {key: raw.pop(key) for key in ("task", "workflow", "references")}
        ordered = {"format": raw["format"], "prompt": raw["prompt"], "writer": raw["writer"]}
        return json.dumps(
            {**ordered, "sections": sections, "sources": raw["sources"]},
            ensure_ascii=False,
            indent=2,
        )

    @classmethod
    def from_json(cls, data: str) -> Answer:
        """The inverse of `to_json`. Raises AnswerError, naming what is not as documented."""
        try:
            raw = parse(data)
        except ValueError as error:
            raise AnswerError(f"not JSON: {error}") from None
        found = raw.get("format") if isinstance(raw, dict) else raw
        if found != FORMAT:
            raise AnswerError(
                f"expected an answer file of format {FORMAT!r}, found {ascii(found)[:60]}"
            )
        try:
            return _answer(raw)
        except ValueError as error:
            raise AnswerError(f"does not have the form of {FORMAT}: {error}") from None


def _answer(raw: Any) -> Answer:
    _, prompt, writer, sections, sources = members(
        raw, "", "format", "prompt", "writer", "sections", "sources"
    )
    task, workflow, references = members(sections, "sections", "task", "workflow", "references")
    return Answer(
        prompt=read(PromptRecord, prompt, "prompt"),
        writer=read(WriterRecord, writer, "writer"),
        task=read(tuple[Statement, ...], task, "task"),
        workflow=read(Workflow, workflow, "workflow"),
        references=read(tuple[Reference, ...], references, "references"),
        sources=read(tuple[SourceRecord, ...], sources, "sources"),
    )


def read_answer(path: Path) -> Answer:
    """The answer in a file. Raises AnswerError where there is none."""
    try:
        return Answer.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AnswerError(
            f"{path}: cannot be read ({error.strerror or error}); expected an answer file (JSON)"
        ) from None
    except UnicodeDecodeError as error:
        raise AnswerError(f"{path}: cannot be read ({error}); expected JSON in UTF-8") from None
